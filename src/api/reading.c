/* SPDX-License-Identifier: Apache-2.0 */
#include "api/reading.h"

#include "api/answer.h"
#include "api/long_answer.h"
#include "api/params.h"
#include "auth/subject.h"
#include "base/json.h"
#include "base/log.h"
#include "catalog/key.h"

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

size_t page_first_after(
	const char *namespace, const char *name, const struct history_change *changes, size_t n)
{
	size_t i = 0;

	while (i < n && key_cmp(changes[i].namespace, changes[i].name, namespace, name) <= 0)
		i++;
	return i;
}

void page_add_name_token(struct buf *b, const char *namespace, const char *name)
{
	char token[2 * LIMIT_NAME + 2];

	snprintf(token, sizeof(token), "%s.%s", namespace, name);
	json_member_cstr(b, "continue", token);
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
	r->cache = call->api->history;
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

/* ---- reading as long as it is wanted ---- */

/* The registry of a reading: what reads history may read for long, and all of it comes by here. It
 * writes nothing. */
struct guarded {
	struct registry registry; /* first: a struct registry * is a struct guarded * */
	struct registry *inner;
	const struct reading *reading;
};

static int check(const struct registry *registry, struct error *err)
{
	return reading_go_on(((const struct guarded *)registry)->reading, err);
}

static struct registry *inner(struct registry *registry)
{
	return ((struct guarded *)registry)->inner;
}

static void guarded_pull(struct registry *registry, struct pull *pulls, size_t n)
{
	struct error over = ERROR_INIT;

	if (check(registry, &over) == 0)
		registry_pull(inner(registry), pulls, n);
	else
		for (size_t i = 0; i < n; i++)
			pulls[i].err = over;
}

static void guarded_look(struct registry *registry, struct look *looks, size_t n)
{
	struct error over = ERROR_INIT;

	if (check(registry, &over) == 0)
		registry_look(inner(registry), looks, n);
	else
		for (size_t i = 0; i < n; i++)
			looks[i].err = over;
}

static int guarded_manifest(struct registry *registry, const char *repository,
	const char *reference, struct buf *ret, struct digest *ret_digest, struct error *err)
{
	if (check(registry, err) != 0)
		return -1;
	return registry_manifest(inner(registry), repository, reference, ret, ret_digest, err);
}

static int guarded_blob(struct registry *registry, const char *repository,
	const struct digest *digest, struct buf *ret, struct error *err)
{
	if (check(registry, err) != 0)
		return -1;
	return registry_blob(inner(registry), repository, digest, ret, err);
}

struct guarded_listing {
	const struct reading *reading;
	int (*each)(struct slice tag, void *arg, struct error *err);
	void *arg;
};

static int guarded_tag(struct slice tag, void *arg, struct error *err)
{
	const struct guarded_listing *l = arg;

	return reading_go_on(l->reading, err) != 0 ? -1 : l->each(tag, l->arg, err);
}

static int guarded_tags(struct registry *registry, const char *repository, const char *after,
	int (*each)(struct slice tag, void *arg, struct error *err), void *arg, struct error *err)
{
	struct guarded_listing l = {((struct guarded *)registry)->reading, each, arg};

	if (check(registry, err) != 0)
		return -1;
	return registry_tags(inner(registry), repository, after, guarded_tag, &l, err);
}

static const struct registry_ops guarded_ops = {
	.pull = guarded_pull,
	.look = guarded_look,
	.manifest = guarded_manifest,
	.blob = guarded_blob,
	.tags = guarded_tags,
};

/* ---- there and back ---- */

static void come_back(struct http_exchange *x, void *arg)
{
	CLEANUP(reading_freep) struct reading *r = arg;

	if (x == NULL)
		return;
	r->call->reading = NULL;
	if (r->err.code != ERROR_NONE)
		answer_error(x, &r->err);
	else
		r->then(x, r->call, r);
}

void reading_leave(struct reading *r)
{
	r->is_left = true;
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
	struct guarded guarded = {{&guarded_ops, false}, registry, r};
	struct error over = ERROR_INIT;

	if (reading_go_on(r, &over) == 0 && r->read(r, &guarded.registry, &r->err) != 0 &&
		reading_go_on(r, &over) == 0)
		make_public(&r->err);
	if (over.code != ERROR_NONE)
		r->err = over;
	http_handle_post(r->handle, come_back, r);
}

/* Of those who need not say who they are, each address is one. */
static void name_subject(
	char ret[LIMIT_SUBJECT + 1], const struct http_exchange *x, const struct call *call)
{
	if (call->subject != NULL && call->subject->method != AUTH_ANONYMOUS)
		snprintf(ret, LIMIT_SUBJECT + 1, "%s", call->subject->name);
	else
		snprintf(ret, LIMIT_SUBJECT + 1, "anonymous %s", http_exchange_peer(x));
}

void reading_run(struct reading *r, struct http_exchange *x,
	int (*read)(struct reading *r, struct registry *registry, struct error *err),
	void (*then)(struct http_exchange *x, struct call *call, struct reading *r))
{
	char subject[LIMIT_SUBJECT + 1];

	r->read = read;
	r->then = then;
	r->call->reading = r;
	r->handle = http_exchange_handle(x);
	name_subject(subject, x, r->call);
	if (r->handle == NULL) {
		error_no_memory(&r->err);
		come_back(x, r);
	} else if (readers_run(r->readers, subject, run, r, &r->err) != 0) {
		http_handle_post(r->handle, come_back, r);
	}
}

void reading_answer(struct http_exchange *x, struct call *call UNUSED, struct reading *r)
{
	struct http_reply reply;
	struct error err = ERROR_INIT;

	answer_json_init(&reply, 200);
	reply.body = r->answer;
	buf_init(&r->answer, 0);
	if (long_answer_make(&reply, &err) != 0) {
		http_reply_done(&reply);
		answer_error_init(&reply, &err);
	}
	http_exchange_reply(x, &reply);
}

/* ---- while it is read ---- */

int reading_go_on(const struct reading *r, struct error *err)
{
	if (r->is_left)
		return error_set(err, ERROR_UNAVAILABLE, "nobody waits for this any more");
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
