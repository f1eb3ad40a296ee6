/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli.h"

#include <stdio.h>

static int run(const struct verb *verb UNUSED, const struct cli_values *v UNUSED)
{
	printf("gsq %s\n", GSQ_VERSION);
	return EXIT_OK;
}

const struct verb verb_version = {
	.name = "version",
	.summary = "Print the version.",
	.run = run,
};
