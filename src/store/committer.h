/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Group commit for writes from outside: a thread that runs all that wait in one transaction, so
 * they share its sync, and answers each after the commit.
 */
#ifndef STORE_COMMITTER_H
#define STORE_COMMITTER_H

#include "store/store.h"

/* One write; the caller's memory, until done() is called. */
struct write {
	/* In the transaction, on the committer's thread. A refusal leaves nothing behind and is
	 * this write's alone; a failure of the database is everybody's. */
	int (*apply)(void *arg, struct store_conn *tx, struct error *err);
	/* After the commit: err->code is ERROR_NONE when it is durable. On the same thread. */
	void (*done)(void *arg, const struct error *err);
	void *arg;

	struct error err;
	struct write *next;
};

struct committer;

int committer_new(struct committer **ret, struct store *store, struct error *err) MUST_CHECK;
void committer_free(struct committer *c); /* commits what waits, then ends the thread */
void committer_submit(struct committer *c, struct write *w); /* any thread */

#endif
