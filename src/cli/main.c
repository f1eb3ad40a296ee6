/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli.h"

#include <stdio.h>
#include <string.h>

static const struct verb *const verbs[] = {&verb_serve, &verb_rebuild, &verb_version};

static void help(FILE *out)
{
	fprintf(out,
		"Usage: gsq VERB [OPTION]...\n\n"
		"GitOps without Git: declare infrastructure over HTTP, keep it in an OCI registry, "
		"let Flux apply it.\n\nVerbs:\n");
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
		fprintf(out, "  %-8s  %s\n", verbs[i]->name, verbs[i]->summary);
	fprintf(out, "\nSee gsq VERB --help.\n");
}

int main(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : "";

	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
		if (strcmp(name, verbs[i]->name) == 0)
			return verbs[i]->run(argc - 2, argv + 2);
	if (strcmp(name, "--version") == 0)
		return verb_version.run(0, NULL);
	if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0) {
		help(stdout);
		return EXIT_OK;
	}
	if (*name != '\0')
		fprintf(stderr, "gsq: unknown verb %s\n\n", name);
	help(stderr);
	return EXIT_USAGE;
}
