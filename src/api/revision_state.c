/* SPDX-License-Identifier: Apache-2.0 */
/* Handler of /api/v1/.../revisions/{revision}/resources: the state that a commit left. */
#include "api/answer.h"
#include "api/reading.h"
#include "base/json.h"
#include "catalog/key.h"
#include "publish/history.h"

/* What is current, with what has changed since put back to what it was, in the order of names. */
struct past {
	struct state_cursor *cursor; /* of what is current */
	struct history_change *changes;
	size_t n;
	size_t at; /* the first that the walk has not passed */
};

static void past_done(struct past *p)
{
	state_cursor_free(p->cursor);
	free(p->changes);
}

static int past_init(
	struct past *p, const struct reading *r, struct registry *registry, struct error *err)
{
	const char *only = reading_namespace(r);
	char namespace[LIMIT_NAME + 1], name[LIMIT_NAME + 1];

	if (page_after_name(&r->page, namespace, name, err) != 0)
		return -1;
	if (history_changes(&p->changes, &p->n, registry, r->cache, only, r->revisions[0],
		    r->version, err) != 0)
		return reading_explain(r, r->revisions[0], err);
	if (name[0] != '\0')
		p->at = page_first_after(namespace, name, p->changes, p->n);
	if (only != NULL)
		return state_cursor_new(&p->cursor, r->state, only, name, err);
	return state_cursor_new_all(&p->cursor, r->state, namespace, name, err);
}

/* What comes next: a change, or a resource that has stayed the same since; both NULL: nothing. The
 * walk is on it until past_advance(). */
static const struct history_change *past_change(struct past *p, const struct resource **ret_same)
{
	*ret_same = NULL;
	for (;;) {
		const struct history_change *c = p->at < p->n ? &p->changes[p->at] : NULL;
		const struct resource *current = state_cursor_at(p->cursor);
		int order = c == NULL ? 1 : -1;

		if (c != NULL && current != NULL)
			order = key_cmp(c->namespace, c->name, current->intent->namespace,
				current->intent->name);
		if (order > 0) {
			*ret_same = current;
			return NULL;
		}
		if (order == 0)
			state_cursor_advance(p->cursor); /* it is another now than it was */
		if (c->before != 0)
			return c;
		p->at++; /* it was not there */
	}
}

static void past_advance(struct past *p, const struct history_change *change)
{
	if (change != NULL)
		p->at++;
	else
		state_cursor_advance(p->cursor);
}

/* A page of it, before what has changed since is read. */
struct past_page {
	size_t n, n_wanted;
	const struct resource *same[LIMIT_HISTORY_PAGE]; /* the state's; NULL: the next wanted */
	struct history_wanted wanted[LIMIT_HISTORY_PAGE];
	bool has_more;
};

static void past_page_free(struct past_page *page)
{
	if (page == NULL)
		return;
	for (size_t i = 0; i < page->n_wanted; i++)
		resource_unref(page->wanted[i].resource);
	free(page);
}
DEFINE_CLEANUP(struct past_page, past_page_free);

static void collect_page(struct past_page *page, struct past *past, size_t limit)
{
	const struct history_change *change;
	const struct resource *same;

	while ((change = past_change(past, &same)) != NULL || same != NULL) {
		page->has_more = page->n == limit;
		if (page->has_more)
			return;
		page->same[page->n++] = same;
		if (change != NULL)
			page->wanted[page->n_wanted++] = (struct history_wanted){
				change->namespace, change->name, change->before, NULL};
		past_advance(past, change);
	}
}

static void write_page(const struct past_page *page, struct buf *b)
{
	const struct history_wanted *wanted = page->wanted;
	const struct resource *resource = NULL;

	json_begin_object(b);
	json_key(b, "resources");
	json_begin_array(b);
	for (size_t i = 0; i < page->n; i++) {
		resource = page->same[i] != NULL ? page->same[i] : (wanted++)->resource;
		json_item(b);
		answer_add_resource(b, resource);
		buf_putc(b, '}');
	}
	json_end_array(b);
	json_member_u64(b, "count", page->n);
	if (page->has_more && resource != NULL)
		page_add_name_token(b, resource->intent->namespace, resource->intent->name);
	json_end_object(b);
}

/* Taken away after it was looked up. */
static int explain_gone(const struct reading *r, struct error *err)
{
	char tag[RECORD_TAG_SIZE];

	if (err->code != ERROR_GONE)
		return -1;
	record_tag(r->revisions[0], tag);
	return error_wrap(err, "the state at %s", tag);
}

static int read_resources(struct reading *r, struct registry *registry, struct error *err)
{
	CLEANUP(past_done) struct past past = {0};
	CLEANUP(past_page_freep) struct past_page *page = calloc(1, sizeof(*page));

	if (page == NULL)
		return error_no_memory(err);
	if (past_init(&past, r, registry, err) != 0)
		return -1;
	collect_page(page, &past, r->page.limit);
	if (history_resources(registry, page->wanted, page->n_wanted, err) != 0)
		return explain_gone(r, err);
	write_page(page, &r->answer);
	return 0;
}

void revision_resources(struct http_exchange *x, struct call *call)
{
	CLEANUP(reading_freep) struct reading *r = reading_new(x, call);
	struct error err = ERROR_INIT;

	if (r == NULL)
		return;
	if (page_query_parse(&r->page, "the state at a revision", http_exchange_query(x), &err) !=
		0) {
		answer_error(x, &err);
		return;
	}
	r->state = call_state_at(x, call, &r->version);
	if (r->state != NULL)
		reading_run(TAKE_PTR(r), x, read_resources, reading_answer);
}
