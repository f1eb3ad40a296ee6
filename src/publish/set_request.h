/* SPDX-License-Identifier: Apache-2.0 */
/* Private to publish. A change set that waits for the writer, and what a commit makes of it. */
#ifndef PUBLISH_SET_REQUEST_H
#define PUBLISH_SET_REQUEST_H

#include "catalog/record.h"
#include "publish/change_set.h"

struct batch;
struct writer;

struct set_request {
	struct change_set *set; /* owned */
	publisher_set_done *done;
	void *arg;
	struct set_request *next; /* in the publisher's line */

	/* what is decided */
	struct error err;     /* why none of it is made, beside the errors of items */
	bool is_replayed;     /* it was made before: */
	struct record record; /* by this commit */
};

/* ERROR_NO_MEMORY frees nothing of the caller's. */
int set_request_new(struct set_request **ret, struct change_set *set, publisher_set_done *done,
	void *arg, struct error *err) MUST_CHECK;
void set_request_free(struct set_request *r); /* NULL is none */

/* Answers with that error alone. */
void set_request_refuse(struct set_request *r, const struct error *err);

/* Makes the batch's items of the set. */
int set_request_fill(
	struct batch *b, struct set_request *r, struct author *self, struct error *err) MUST_CHECK;

/* Before its items are decided: was it made before, does it find the revision that it wants? err of
 * the request says why not. -1: the registry cannot tell. */
int set_request_begin(struct batch *b, struct writer *w, struct error *err) MUST_CHECK;

/* It has changed nothing: its key is remembered as long as the program runs. A set without items
 * only asks whether the key is known. */
void set_request_note_unchanged(const struct batch *b, struct writer *w);

/* After: all or none. */
void set_request_settle(struct batch *b, const struct writer *w);

/* Answers it; err as of commit_answer(). */
void set_request_answer(struct batch *b, const struct error *err);

#endif
