/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli.h"

#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

static const struct verb *const verbs[] = {&verb_serve, &verb_registry, &verb_fsck, &verb_rebuild,
	&verb_adopt, &verb_repartition, &verb_audit, &verb_freeze, &verb_thaw, &verb_token,
	&verb_version, NULL};

static const struct verb gsq = {
	.name = "",
	.summary =
		"GitOps without Git: declare infrastructure over HTTP, keep it in an OCI registry, "
		"let Flux apply it.",
	.verbs = verbs,
};

/* Every verb may hold keys and tokens: they go into no core file, and no process of the same user
 * reads them in its memory. */
static void keep_memory_private(void)
{
	const struct rlimit none = {0};

	AZ(setrlimit(RLIMIT_CORE, &none));
	AZ(prctl(PR_SET_DUMPABLE, 0));
}

int main(int argc, char **argv)
{
	keep_memory_private();
	if (argc > 1 && strcmp(argv[1], "--version") == 0)
		return cli_run(&verb_version, 0, NULL);
	return cli_run(&gsq, argc - 1, argv + 1);
}
