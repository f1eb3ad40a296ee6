/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli.h"

static int run(const struct verb *verb, const struct cli_values *v UNUSED)
{
	struct error err = ERROR_INIT;

	error_set(&err, ERROR_NOT_IMPLEMENTED, "not yet");
	return cli_failed(verb, &err);
}

const struct verb verb_doctor = {
	.name = "doctor",
	.summary = "Not yet.",
	.run = run,
};
