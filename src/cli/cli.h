/* SPDX-License-Identifier: Apache-2.0 */
/* The command line: one file per verb, each with a table of its options. */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include "base/error.h"

/* Exit statuses */
#define EXIT_OK 0
#define EXIT_FAILED 1
#define EXIT_USAGE 2

struct verb {
	const char *name;
	const char *summary;
	const struct cli_option *options; /* NULL name ends */
	int (*run)(int argc, char **argv);
};

extern const struct verb verb_serve, verb_rebuild, verb_version;

/* ---- options: each a flag and an environment variable ---- */

struct cli_option {
	const char *flag; /* without "--" */
	const char *env;
	const char *argument; /* name of the value in the help; NULL: a switch */
	const char *initial;  /* NULL: not set */
	const char *help;
};

#define CLI_OPTIONS_MAX 16

/* Values by the order of the table: from the command line, else from the environment, else the
 * initial one. A switch is "1" or NULL. Borrowed from argv, environ and the table. */
struct cli_values {
	const char *at[CLI_OPTIONS_MAX];
	bool help;
};
int cli_parse(struct cli_values *ret, const struct cli_option *options, int argc, char **argv,
	struct error *err) MUST_CHECK;
void cli_help(const struct verb *verb);

/* Prints "gsq VERB: text" and returns the exit status. */
int cli_failed(const struct verb *verb, const struct error *err);
int cli_usage(const struct verb *verb, const struct error *err);

#endif
