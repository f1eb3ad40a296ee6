/* SPDX-License-Identifier: Apache-2.0 */
#include "api/list.h"

#include "api/answer.h"
#include "base/json.h"

#include <inttypes.h>

#define PIECE (32 * KIB)
/* Resources looked at for a piece: a filter that matches few must not keep the loop from others. */
#define LOOKS 512

struct list {
	struct list_query query;
	struct tracker *tracker;
	struct state_cursor *cursor;
	const struct resource *last; /* that was looked at; the cursor holds it */
	uint64_t count;              /* so far */
	bool begun;
};

/* All but the phase. */
static bool matches(const struct list_query *q, const struct intent *intent)
{
	return (!q->by_type || intent->type == q->type) &&
	       (!q->by_size || intent->size == q->size) &&
	       (q->region == NULL ||
		       (intent->region != NULL && strcmp(intent->region, q->region) == 0)) &&
	       selector_holds(q->labels, intent);
}

static bool is_full(const struct list *list)
{
	return list->query.limit != 0 && list->count == list->query.limit;
}

static void add(struct list *list, const struct resource *r, enum phase phase, struct buf *piece)
{
	if (list->count > 0)
		buf_putc(piece, ',');
	answer_add_resource(piece, r);
	answer_add_phase(piece, phase);
	buf_putc(piece, '}');
	list->count++;
}

/* more: there is another that matches. It goes on after all that was looked at, since the next page
 * would only skip that again. */
static void add_end(const struct list *list, bool more, struct buf *piece)
{
	buf_printf(piece, "],\"count\":%" PRIu64, list->count);
	if (more) {
		buf_puts(piece, ",\"continue\":\"");
		list_query_add_token(&list->query, list->last, piece);
		buf_putc(piece, '"');
	}
	buf_putc(piece, '}');
}

static int next(void *arg, struct buf *piece)
{
	struct list *list = arg;
	const struct resource *r;
	unsigned looks = 0;

	if (!list->begun)
		buf_puts(piece, "{\"resources\":[");
	list->begun = true;
	while ((r = state_cursor_at(list->cursor)) != NULL) {
		bool wanted = matches(&list->query, r->intent);
		enum phase phase = PHASE_UNKNOWN;

		if (wanted) {
			phase = tracker_phase(list->tracker, r);
			wanted = !list->query.by_phase || phase == list->query.phase;
		}
		if (wanted && is_full(list))
			break;
		if (piece->len >= PIECE || looks++ == LOOKS) {
			if (piece->len == 0)
				buf_putc(piece, '\n'); /* a piece must not be empty */
			return 1;
		}
		if (wanted)
			add(list, r, phase, piece);
		list->last = r;
		state_cursor_advance(list->cursor);
	}
	add_end(list, r != NULL, piece);
	return 0;
}

static void list_free(void *arg)
{
	struct list *list = arg;

	if (list == NULL)
		return;
	list_query_done(&list->query);
	state_cursor_free(list->cursor);
	free(list);
}

static int new_cursor(struct state_cursor **ret, struct state *state, const struct list_query *q,
	struct error *err)
{
	if (q->all)
		return state_cursor_new_all(ret, state, q->after_namespace, q->after, err);
	return state_cursor_new(ret, state, q->namespace, q->after, err);
}

void list_answer(struct http_exchange *x, struct state *state, uint64_t version,
	struct tracker *tracker, struct list_query *query)
{
	struct list *list = calloc(1, sizeof(*list));
	struct error err = ERROR_INIT;
	struct http_reply reply;

	if (list == NULL || new_cursor(&list->cursor, state, query, &err) != 0) {
		list_free(list);
		error_no_memory(&err);
		answer_error(x, &err);
		return;
	}
	list->tracker = tracker;
	list->query = *query;
	query->region = NULL;
	query->labels = NULL;
	http_reply_init(&reply, 200);
	http_reply_header(&reply, "Content-Type", "application/json");
	http_reply_header(&reply, "ETag", "\"c%" PRIu64 "\"", version);
	reply.source = (struct http_source){next, list_free, list};
	http_exchange_reply(x, &reply);
}
