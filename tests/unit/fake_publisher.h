/* SPDX-License-Identifier: Apache-2.0 */
/* In place of publisher.c: a state that the test changes, and calls that are kept until the test
 * answers them. One thread. */
#ifndef TESTS_UNIT_FAKE_PUBLISHER_H
#define TESTS_UNIT_FAKE_PUBLISHER_H

#include "test.h"

#include "publish/publisher.h"

#define FAKE_CALLS 4096

enum fake_call_kind { FAKE_HOLD, FAKE_RELEASE, FAKE_REPARTITION, FAKE_ROOT };

struct fake_call {
	enum fake_call_kind kind;
	char namespace[LIMIT_NAME + 1], name[LIMIT_NAME + 1];
	uint64_t version, instead;
	enum hold_reason reason;
	char message[LIMIT_HOLD_MESSAGE + 100];
	enum record_repartition_step step;
	struct layout to;
	char who[LIMIT_SUBJECT + 1]; /* whose step it is; "": the server's */
	publisher_done *done;        /* NULL: answered */
	void *arg;
};

struct publisher {
	struct state *state;
	struct gzips gzips;
	uint64_t digests; /* so many have been given out */
	struct root_options root;
	struct error unwritable;
	char no_deletes[LIMIT_ERROR_TEXT]; /* why deletes are refused; "": they are taken */
	bool is_deleting;                  /* one that was decided before is being committed */
	/* Runs once, when it is asked whether it is writable. */
	void (*meanwhile)(void *arg);
	void *meanwhile_arg;
	size_t n_calls;
	struct fake_call calls[FAKE_CALLS];
};

struct publisher *fake_publisher_new(enum layout_kind kind, unsigned catalogs);
void fake_publisher_free(struct publisher *p);

void fake_publisher_put(
	struct publisher *p, const char *namespace, const char *name, uint64_t version);
/* Held for that reason; instead: 0, or the version that is applied. */
void fake_publisher_put_held(struct publisher *p, const char *namespace, const char *name,
	uint64_t version, enum hold_reason reason, uint64_t instead);
/* Its catalog stays. */
void fake_publisher_remove(struct publisher *p, const char *namespace, const char *name);
/* All resources in catalogs of another layout. */
void fake_publisher_lay_out(struct publisher *p, const struct layout *to);
/* All catalogs, and the root, have changed. */
void fake_publisher_touch(struct publisher *p);

/* The last call, which has not been answered. */
struct fake_call *fake_publisher_last(struct publisher *p);
/* Makes the change (but of a repartition or a root), and says so. */
void fake_publisher_answer(struct publisher *p, struct fake_call *call);
void fake_publisher_refuse(struct publisher *p, struct fake_call *call, enum error_code code);
/* Why it is held; HOLD_REASONS_: it is not. */
enum hold_reason fake_publisher_held(
	const struct publisher *p, const char *namespace, const char *name);

#endif
