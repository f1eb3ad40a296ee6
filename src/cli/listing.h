/* SPDX-License-Identifier: Apache-2.0 */
/* A list of history, the newest first: so many of it, shown as it comes or printed as a whole. */
#ifndef CLI_LISTING_H
#define CLI_LISTING_H

#include "cli/client.h"

#define LISTING_OPTION_LIMIT \
	{ \
		.flag = "limit", .argument = "NUMBER", .help = "the newest so many; else all" \
	}

struct listing {
	/* One element. */
	int (*show)(json_t *element, void *arg, struct error *err);
	void *arg;

	/* the listing's */
	json_t *all;   /* to be printed as JSON or YAML; NULL: shown as they come */
	uint64_t left; /* UINT64_MAX: any number */
};

/* "v123", "c123": the letter of versions or of commits, and a number. */
bool listing_is_tag(char letter, struct slice text);

/* output: "json" and "yaml" are for programs, others are for show(). limit: NULL: all. */
int listing_begin(
	struct listing *l, const char *output, const char *limit, struct error *err) MUST_CHECK;
/* The pages of a route, by client_list(). */
int listing_run(struct listing *l, struct client *c, const char *route, const char *list,
	struct error *err) MUST_CHECK;
/* That one alone. */
int listing_one(struct listing *l, json_t *element, struct error *err) MUST_CHECK;
/* Prints what was kept. */
int listing_end(struct listing *l, const char *output, struct error *err) MUST_CHECK;
void listing_done(struct listing *l);

#endif
