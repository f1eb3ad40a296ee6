/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli.h"

#include <string.h>

static const struct verb *const verbs[] = {&verb_serve, &verb_registry, &verb_fsck, &verb_rebuild,
	&verb_adopt, &verb_repartition, &verb_version, NULL};

static const struct verb gsq = {
	.name = "",
	.summary =
		"GitOps without Git: declare infrastructure over HTTP, keep it in an OCI registry, "
		"let Flux apply it.",
	.verbs = verbs,
};

int main(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "--version") == 0)
		return cli_run(&verb_version, 0, NULL);
	return cli_run(&gsq, argc - 1, argv + 1);
}
