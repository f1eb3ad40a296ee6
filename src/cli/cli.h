/* SPDX-License-Identifier: Apache-2.0 */
/* The command line: one file per verb or group of verbs, each with a table of its options. */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include "base/error.h"

/* Exit statuses */
#define EXIT_OK 0
#define EXIT_FAILED 1
#define EXIT_USAGE 2

struct cli_values;

struct verb {
	const char *name; /* as typed after "gsq", with the group's name first */
	const char *summary;
	const char *argument;             /* name of the one it takes beside options; NULL: none */
	const struct cli_option *options; /* NULL flag ends; NULL: none */
	/* NULL ends; a group of verbs has these in place of run, or beside it for when none is
	 * named */
	const struct verb *const *verbs;
	int (*run)(const struct verb *verb, const struct cli_values *v);
};

extern const struct verb verb_serve, verb_fsck, verb_rebuild, verb_adopt, verb_repartition,
	verb_audit, verb_freeze, verb_thaw, verb_registry, verb_token, verb_version;

/* Reads the options and runs the verb, or that one of its group that argv[0] names; or prints its
 * help. Returns the exit status. */
int cli_run(const struct verb *verb, int argc, char **argv);

/* ---- options: each a flag, most an environment variable too ---- */

struct cli_option {
	const char *flag;     /* without "--" */
	const char *env;      /* NULL: none */
	const char *argument; /* name of the value in the help; NULL: a switch */
	const char *initial;  /* NULL: not set */
	const char *help;
};

#define CLI_OPTIONS_MAX 64

/* Values by the order of the table: from the command line, else from the environment, else the
 * initial one. A switch is "1" or NULL. Borrowed from argv, environ and the table. */
struct cli_values {
	const char *at[CLI_OPTIONS_MAX];
	bool given[CLI_OPTIONS_MAX]; /* on the command line */
	const char *argument;
	bool help; /* asked for: the rest is not complete */
};

/* The value of an option that is a duration, in seconds; the error names the flag. */
int cli_duration(
	const char *flag, const char *value, uint64_t *ret_s, struct error *err) MUST_CHECK;

/* Prints "gsq VERB: text" and returns the exit status. */
int cli_failed(const struct verb *verb, const struct error *err);
int cli_usage(const struct verb *verb, const struct error *err);

#endif
