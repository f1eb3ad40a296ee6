/* SPDX-License-Identifier: Apache-2.0 */
/* The command line: one file per verb or group of verbs, each with a table of its options. */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include "base/error.h"

/* Exit statuses. diff has its own: 0 no difference, 1 some, 2 or more an error. Ended by a signal:
 * 128 and its number. */
#define EXIT_OK 0
#define EXIT_FAILED 1
#define EXIT_USAGE 2
#define EXIT_INTERRUPTED 130

struct cli_values;

struct verb {
	const char *name; /* as typed after "gsq", with the group's name first */
	const char *summary;
	/* What it takes beside options, as the help shows it: "NAME", "[NAME]" where it may be
	 * missing, "NAME..." where there may be several, "[NAME]..." both, "FROM TO"; NULL: none */
	const char *argument;
	const struct cli_option *options; /* NULL flag ends; NULL: none */
	/* NULL ends; a group of verbs has these in place of run, or beside it for when none is
	 * named */
	const struct verb *const *verbs;
	int (*run)(const struct verb *verb, const struct cli_values *v);
	const char *example;  /* lines of the help and of the man page; NULL: none */
	bool completes_names; /* its arguments are names of resources */
};

/* Of the people who declare resources, */
extern const struct verb verb_get, verb_apply, verb_delete, verb_edit, verb_diff, verb_history,
	verb_rollback, verb_log, verb_status, verb_watch, verb_export, verb_login, verb_context,
	verb_doctor;
/* of those who run the server, */
extern const struct verb verb_serve, verb_fsck, verb_rebuild, verb_adopt, verb_import_original,
	verb_repartition, verb_audit, verb_freeze, verb_thaw, verb_registry, verb_token;
/* and of the program itself. */
extern const struct verb verb_completion, verb_man, verb_version;

/* ---- options: each a flag, most an environment variable too ---- */

struct cli_option {
	const char *flag;     /* without "--" */
	const char *env;      /* NULL: none */
	const char *argument; /* name of the value in the help; NULL: a switch */
	const char *initial;  /* NULL: not set */
	const char *help;
	char letter;        /* 'n' for -n; 0: none */
	bool repeats;       /* may be given several times: see cli_values.all */
	const char *values; /* "table|yaml|json": no others, and shells complete them; NULL: any */
	bool is_file;       /* shells complete file names */
};

#define CLI_OPTIONS_MAX 64

/* Values by the order of the table: from the command line, else from the environment, else the
 * initial one. A switch is "1" or NULL. Borrowed from argv, environ and the table. */
struct cli_values {
	const char *at[CLI_OPTIONS_MAX];   /* the last one, where it repeats */
	bool given[CLI_OPTIONS_MAX];       /* on the command line */
	const char **all[CLI_OPTIONS_MAX]; /* of one that repeats: NULL ends; NULL: not set */
	const char *argument;              /* the first, or NULL */
	size_t n_arguments;
	char **arguments;
	bool help; /* asked for: the rest is not complete */
};

/* The value of an option that is a duration, in seconds; the error names the flag. */
int cli_duration(
	const char *flag, const char *value, uint64_t *ret_s, struct error *err) MUST_CHECK;

/* Prints "gsq VERB: text" and returns the exit status. */
int cli_failed(const struct verb *verb, const struct error *err);
int cli_usage(const struct verb *verb, const struct error *err);
/* Of Ctrl-C in a wait: "gsq VERB: interrupted; " and what goes on all the same. */
int cli_interrupted(const struct verb *verb, const char *goes_on);

#endif
