/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to api. A request whose answer is read from the registry: on a thread of the readers, as
 * that blocks, and then back on the loop. Once the client has left, or the server stops, nothing
 * more is read for it.
 */
#ifndef API_READING_H
#define API_READING_H

#include "api/call.h"
#include "publish/change_set.h"
#include "publish/history.h"

#include <stdatomic.h>

/* The query of a page: ?limit=50&continue=... */
struct page_query {
	size_t limit;
	char after[DIGEST_TEXT_SIZE]; /* the token as it came; "": from the start */
};
/* takes: what such a path lists, for errors: "a history". */
int page_query_parse(struct page_query *ret, const char *takes, struct slice query,
	struct error *err) MUST_CHECK;
/* A token that is none of this path; ERROR_INVALID. */
int page_refuse_token(struct error *err);

/* Tokens of resources in the order of their names: "NAMESPACE.NAME", the last that was looked at.
 */
int page_after_name(const struct page_query *page, char namespace[LIMIT_NAME + 1],
	char name[LIMIT_NAME + 1], struct error *err) MUST_CHECK;
/* Of changes in that order, the first behind that one. */
size_t page_first_after(
	const char *namespace, const char *name, const struct history_change *changes, size_t n);
/* "continue":"NAMESPACE.NAME" */
void page_add_name_token(struct buf *b, const char *namespace, const char *name);

struct reading {
	/* What read() may know of the request: the exchange and its call may be gone. */
	struct readers *readers;
	struct history_cache *cache;
	char namespace[LIMIT_NAME + 1]; /* that it is about; "": all of them */
	char name[LIMIT_NAME + 1];
	uint64_t revisions[2];
	struct page_query page;
	struct state *state; /* what was current at the request; NULL: it does not matter */
	uint64_t version;    /* of the commit that made it so */
	uint64_t below;      /* of a history: only versions below; 0: all */
	struct digest from;  /* of revisions: where the page begins; */
	bool has_from;       /* else at the head; */
	bool is_next;        /* it was read there, and is no client's */

	/* What comes of it. */
	struct buf answer;      /* a JSON object */
	struct intent *intent;  /* of a version, to be put again */
	struct change_set *set; /* that a rollback is made of */

	/* Its own. */
	struct call *call;   /* gone with the exchange: */
	atomic_bool is_left; /* the client has left, so that it is */
	struct http_handle *handle;
	int (*read)(struct reading *r, struct registry *registry, struct error *err);
	void (*then)(struct http_exchange *x, struct call *call, struct reading *r);
	struct error err;
};

/* Of this call, with what read() may know of its path; NULL after answering that memory is gone. */
struct reading *reading_new(struct http_exchange *x, struct call *call) MUST_CHECK;
void reading_free(struct reading *r);
DEFINE_CLEANUP(struct reading, reading_free);

/* Takes over r. read() is called on a reader's thread, then then() on the loop, if the exchange is
 * still there; an error of read() is answered instead. The registry that read() gets refuses, with
 * ERROR_UNAVAILABLE, what need not be read any more. */
void reading_run(struct reading *r, struct http_exchange *x,
	int (*read)(struct reading *r, struct registry *registry, struct error *err),
	void (*then)(struct http_exchange *x, struct call *call, struct reading *r));
/* The exchange is gone before it is answered. On the loop. */
void reading_leave(struct reading *r);
/* For then(): answers with r->answer. */
void reading_answer(struct http_exchange *x, struct call *call, struct reading *r);

/* For read(). -1: the client has left, or the server stops. */
int reading_go_on(const struct reading *r, struct error *err) MUST_CHECK;
/* NOT_FOUND, and that the revision is later than what is current: where there are revisions. */
int reading_explain(const struct reading *r, uint64_t revision, struct error *err);
/* Enough for one page, whatever its limit. */
bool reading_is_large(const struct reading *r);
const char *reading_namespace(const struct reading *r); /* NULL: of all */

#endif
