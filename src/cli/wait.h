/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Waiting until the cluster has what was changed: the server's stream of events is opened, then it
 * is asked how things are, so nothing is missed in between.
 */
#ifndef CLI_WAIT_H
#define CLI_WAIT_H

#include "cli/client.h"

/* Rows of the table of options. */
#define WAIT_OPTION_WAIT \
	{ \
		.flag = "wait", \
		.help = "wait until the cluster has it; the status is 1 where it does not" \
	}
#define WAIT_OPTION_TIMEOUT \
	{ \
		.flag = "timeout", .argument = "DURATION", .initial = "5m", \
		.help = "with --wait: for so long at most; 0: for ever" \
	}

enum wait_state {
	WAIT_PENDING,
	WAIT_DONE,     /* applied, or gone */
	WAIT_FAILED,   /* in the phase "failed"; it may still come out of it */
	WAIT_REPLACED, /* somebody else deleted it, or made it again, meanwhile */
};

struct wait_item {
	const char *namespace, *name; /* borrowed */
	/* "v123": that version, or a later one, is to be applied; NULL: whichever is there */
	const char *version;
	bool deleted; /* its object is to be gone from the cluster */

	/* out */
	enum wait_state state;
	char phase[16]; /* "" where nothing was heard of it */
	char reason[64];
	char message[LIMIT_ERROR_TEXT];
};

/* Of the two options: a duration, that goes with --wait. */
int wait_check(const struct cli_values *v, size_t opt_wait, size_t opt_timeout,
	struct error *err) MUST_CHECK;

/*
 * Waits until none is pending, with a bar of progress on a terminal, and says what came of it: a
 * line on standard output where all are done, else one on standard error for each that is not.
 * Sorts the items by namespace, then name. v: of the verb whose table has WAIT_OPTION_TIMEOUT at
 * opt_timeout.
 *
 * Returns the exit status: EXIT_FAILED also where the time is over, no cluster is watched or the
 * server cannot be reached; 128 and SIGINT after Ctrl-C, when it says that the change itself stays.
 */
int wait_run(const struct verb *verb, struct client *c, const struct cli_values *v,
	size_t opt_timeout, struct wait_item *items, size_t n);

#endif
