/* SPDX-License-Identifier: Apache-2.0 */
#include "api/reading.h"

#include "api/answer.h"
#include "api/params.h"
#include "base/log.h"

#include <stdio.h>

#define PAGE_DEFAULT 50
#define PAGE_LARGE (4 * MIB) /* a page ends here, though its limit would take more */

/* ---- pages ---- */

static int read_limit(void *arg, struct slice value, struct error *err)
{
	struct page_query *page = arg;
	char allowed[64];
	uint64_t limit;

	if (slice_to_u64(value, &limit) && limit > 0 && limit <= LIMIT_HISTORY_PAGE) {
		page->limit = (size_t)limit;
		return 0;
	}
	snprintf(allowed, sizeof(allowed), "a whole number from 1 to %d", LIMIT_HISTORY_PAGE);
	return params_refuse("limit", allowed, value, err);
}

int page_refuse_token(struct error *err)
{
	return error_set_field(err, "continue",
		"continue is nothing that this path has answered; start again without it");
}

static int read_continue(void *arg, struct slice value, struct error *err)
{
	struct page_query *page = arg;

	if (value.n >= sizeof(page->after))
		return page_refuse_token(err);
	snprintf(page->after, sizeof(page->after), "%.*s", SLICE_ARG(value));
	return strlen(page->after) == value.n ? 0 : page_refuse_token(err);
}

int page_query_parse(
	struct page_query *ret, const char *takes, struct slice query, struct error *err)
{
	static const struct param parameters[] = {
		{"limit", read_limit}, {"continue", read_continue}};
	struct page_query page = {.limit = PAGE_DEFAULT};
	char text[100];

	snprintf(text, sizeof(text), "%s takes the parameters limit and continue", takes);
	if (params_read(query, parameters, ARRAY_SIZE(parameters), text, &page, err) != 0)
		return -1;
	*ret = page;
	return 0;
}

int page_after_name(const struct page_query *page, char namespace[LIMIT_NAME + 1],
	char name[LIMIT_NAME + 1], struct error *err)
{
	struct slice rest = slice_of(page->after), first = slice_cut(&rest, '.');

	namespace[0] = name[0] = '\0';
	if (page->after[0] == '\0')
		return 0;
	if (!intent_name_ok(first) || !intent_name_ok(rest))
		return page_refuse_token(err);
	snprintf(namespace, LIMIT_NAME + 1, "%.*s", SLICE_ARG(first));
	snprintf(name, LIMIT_NAME + 1, "%.*s", SLICE_ARG(rest));
	return 0;
}

/* ---- life ---- */

struct reading *reading_new(struct http_exchange *x, struct call *call)
{
	bool is_of_all = call->name[0] == '\0' && call_path_namespace(x, call) == NULL;
	struct reading *r = calloc(1, sizeof(*r));
	struct error err = ERROR_INIT;

	if (r == NULL) {
		error_no_memory(&err);
		answer_error(x, &err);
		return NULL;
	}
	r->readers = call->api->readers;
	r->call = call;
	snprintf(r->namespace, sizeof(r->namespace), "%s", is_of_all ? "" : call->namespace);
	snprintf(r->name, sizeof(r->name), "%s", call->name);
	memcpy(r->revisions, call->revisions, sizeof(r->revisions));
	buf_init(&r->answer, LIMIT_CHANGES_ANSWER);
	return r;
}

void reading_free(struct reading *r)
{
	if (r == NULL)
		return;
	state_unref(r->state);
	buf_done(&r->answer);
	intent_unref(r->intent);
	change_set_free(r->set);
	free(r);
}

/* ---- there and back ---- */

static void come_back(struct http_exchange *x, void *arg)
{
	CLEANUP(reading_freep) struct reading *r = arg;

	if (x == NULL)
		return;
	if (r->err.code != ERROR_NONE)
		answer_error(x, &r->err);
	else
		r->then(x, r->call, r);
}

/* What is wrong with the registry is for operators: the log has all of it. That it lets the server
 * in no more must not look as if it were the client who may not. */
static void make_public(struct error *err)
{
	bool is_damage = err->code == ERROR_INTERNAL || err->is_private;

	if (!is_damage && err->code != ERROR_DENIED && err->code != ERROR_UNAUTHORIZED)
		return;
	log_error("history cannot be read", LOG_STR("error", err->text));
	if (is_damage)
		error_set(err, err->code,
			"what the registry has of this history is damaged, or cannot be read: the "
			"server's log names it");
	else
		error_set(err, ERROR_UNAVAILABLE,
			"the registry does not let the server read: its log says what it answers");
}

static void run(struct registry *registry, void *arg)
{
	struct reading *r = arg;

	if (r->read(r, registry, &r->err) != 0)
		make_public(&r->err);
	http_handle_post(r->handle, come_back, r);
}

void reading_run(struct reading *r, struct http_exchange *x,
	int (*read)(struct reading *r, struct registry *registry, struct error *err),
	void (*then)(struct http_exchange *x, struct call *call, struct reading *r))
{
	r->read = read;
	r->then = then;
	r->handle = http_exchange_handle(x);
	if (r->handle == NULL) {
		error_no_memory(&r->err);
		come_back(x, r);
	} else if (readers_run(r->readers, run, r, &r->err) != 0) {
		http_handle_post(r->handle, come_back, r);
	}
}

void reading_answer(struct http_exchange *x, struct call *call UNUSED, struct reading *r)
{
	struct http_reply reply;

	answer_json_init(&reply, 200);
	reply.body = r->answer;
	buf_init(&r->answer, 0);
	http_exchange_reply(x, &reply);
}

/* ---- while it is read ---- */

int reading_go_on(const struct reading *r, struct error *err)
{
	if (!readers_stopping(r->readers))
		return 0;
	return error_set(err, ERROR_UNAVAILABLE, "the server is being stopped; try again");
}

int reading_explain(const struct reading *r, uint64_t revision, struct error *err)
{
	char tag[RECORD_TAG_SIZE];

	if (err->code != ERROR_NOT_FOUND && err->code != ERROR_INVALID)
		return -1;
	record_tag(revision, tag);
	return error_set(err, ERROR_NOT_FOUND,
		"there is no revision %s: those there are, are at /api/v1/%s%s%srevisions", tag,
		r->namespace[0] == '\0' ? "" : "namespaces/", r->namespace,
		r->namespace[0] == '\0' ? "" : "/");
}

bool reading_is_large(const struct reading *r)
{
	return r->answer.len >= PAGE_LARGE;
}

const char *reading_namespace(const struct reading *r)
{
	return r->namespace[0] == '\0' ? NULL : r->namespace;
}
