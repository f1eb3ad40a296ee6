/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli.h"

#include <stdio.h>

static int run(const struct verb *verb, int argc, char **argv)
{
	struct error err = ERROR_INIT;
	struct cli_values v;

	if (cli_parse(&v, verb, argc, argv, &err) != 0)
		return cli_usage(verb, &err);
	if (v.help)
		cli_help(verb);
	else
		printf("gsq %s\n", GSQ_VERSION);
	return EXIT_OK;
}

const struct verb verb_version = {
	.name = "version",
	.summary = "Print the version.",
	.run = run,
};
