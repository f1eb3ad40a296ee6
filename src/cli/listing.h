/* SPDX-License-Identifier: Apache-2.0 */
/* Verbs that show a list of history, the newest first: so many of it, shown as it comes or printed
 * as a whole. */
#ifndef CLI_LISTING_H
#define CLI_LISTING_H

#include "cli/client.h"
#include "cli/terminal.h"

#define LISTING_OPTION_LIMIT \
	{ \
		.flag = "limit", .argument = "NUMBER", .help = "the newest so many; else all" \
	}

struct listing {
	const struct cli_values *v;
	struct client *client;
	struct table *table; /* printed at the end, where it has rows */
	/* One element. */
	int (*show)(struct listing *l, json_t *element, struct error *err);
	size_t n; /* elements so far */
	const char
		*name; /* becomes a member of elements, where there are several lists; NULL: no */

	/* the listing's */
	json_t *all;    /* to be printed as JSON or YAML; NULL: shown as they come */
	uint64_t limit; /* UINT64_MAX: any number */
	uint64_t left;
};

struct listing_verb {
	size_t opt_output,
		opt_limit; /* of the table of options; "json" and "yaml" are for programs */
	const struct table_column *columns;
	int (*show)(struct listing *l, json_t *element, struct error *err);
	/* Calls listing_run() or listing_one(). */
	int (*list)(struct listing *l, struct error *err);
};

/* Opens the client, lists, and prints what is kept. Returns the exit status. */
int listing_verb_run(
	const struct verb *verb, const struct cli_values *v, const struct listing_verb *how);

/* The pages of a route, by client_list(), each of up to the limit. */
int listing_run(
	struct listing *l, const char *route, const char *list, struct error *err) MUST_CHECK;
/* That one alone. */
int listing_one(struct listing *l, json_t *element, struct error *err) MUST_CHECK;

/* "v123", "c123": the letter of versions or of revisions, and a number. */
bool listing_is_tag(char letter, struct slice text);

/* Where the server does not know a revision: that gsq log shows those there are. Returns -1. */
int listing_explain_revision(const char *revision, struct error *err);

#endif
