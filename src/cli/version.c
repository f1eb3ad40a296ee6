/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli.h"

#include <stdio.h>

static const struct cli_option options[] = {{NULL}};

static int run(int argc, char **argv)
{
	struct error err = ERROR_INIT;
	struct cli_values v;

	if (cli_parse(&v, options, argc, argv, &err) != 0)
		return cli_usage(&verb_version, &err);
	if (v.help)
		cli_help(&verb_version);
	else
		printf("gsq %s\n", GSQ_VERSION);
	return EXIT_OK;
}

const struct verb verb_version = {
	.name = "version",
	.summary = "Print the version.",
	.run = run,
};
