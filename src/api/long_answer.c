/* SPDX-License-Identifier: Apache-2.0 */
#include "api/long_answer.h"

#include <stdatomic.h>

/* Bytes of all of them, from when they are made to when they are sent. */
static atomic_size_t held;

struct long_answer {
	struct buf body;
	size_t sent;
};

static int next(void *arg, struct buf *piece)
{
	struct long_answer *a = arg;
	size_t rest = a->body.len - a->sent;
	size_t n = rest < LIMIT_HTTP_WINDOW / 2 ? rest : LIMIT_HTTP_WINDOW / 2;

	buf_append(piece, a->body.data + a->sent, n);
	a->sent += n;
	return a->sent < a->body.len;
}

static void long_answer_free(void *arg)
{
	struct long_answer *a = arg;

	atomic_fetch_sub(&held, a->body.cap);
	buf_done(&a->body);
	free(a);
}

static int no_room(struct error *err)
{
	return error_set(err, ERROR_UNAVAILABLE,
		"there are too many long answers to send at the moment; try again");
}

int long_answer_check(struct error *err)
{
	return atomic_load(&held) < LIMIT_CHANGES_ANSWERS + LIMIT_CHANGES_MADE ? 0 : no_room(err);
}

/* Its bytes are counted already. Without memory it stays as it is. */
static void make(struct http_reply *reply)
{
	struct long_answer *a = calloc(1, sizeof(*a));

	if (a == NULL) {
		atomic_fetch_sub(&held, reply->body.cap);
		return;
	}
	a->body = reply->body;
	buf_init(&reply->body, reply->body.max);
	reply->source = (struct http_source){next, long_answer_free, a};
}

static bool is_long(const struct http_reply *reply)
{
	return reply->body.failed == ERROR_NONE && reply->body.cap > LIMIT_HTTP_WINDOW;
}

int long_answer_make(struct http_reply *reply, struct error *err)
{
	size_t size = reply->body.cap;

	if (!is_long(reply))
		return 0;
	if (atomic_fetch_add(&held, size) + size > LIMIT_CHANGES_ANSWERS) {
		atomic_fetch_sub(&held, size);
		return no_room(err);
	}
	make(reply);
	return 0;
}

void long_answer_make_anyway(struct http_reply *reply)
{
	if (!is_long(reply))
		return;
	atomic_fetch_add(&held, reply->body.cap);
	make(reply);
}
