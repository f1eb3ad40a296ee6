/* SPDX-License-Identifier: Apache-2.0 */
#include "api/answer.h"

#include "base/clock.h"
#include "base/json.h"

#define LIST_PIECE (32 * KIB)

static void json_reply_init(struct http_reply *reply, int status)
{
	http_reply_init(reply, status);
	buf_init(&reply->body, LIMIT_API_ANSWER);
	http_reply_header(reply, "Content-Type", "application/json");
}

void answer_error_body(const struct error *err, struct buf *ret)
{
	json_begin_object(ret);
	json_member_cstr(ret, "error", err->text);
	json_member_cstr(ret, "code", error_name(err->code));
	if (err->field[0] != '\0')
		json_member_cstr(ret, "field", err->field);
	json_end_object(ret);
}

void answer_error_init(struct http_reply *reply, const struct error *err)
{
	unsigned retry_after_s = error_retry_after_s(err);

	json_reply_init(reply, error_status(err->code));
	if (retry_after_s > 0)
		http_reply_header(reply, "Retry-After", "%u", retry_after_s);
	answer_error_body(err, &reply->body);
}

void answer_error(struct http_exchange *x, const struct error *err)
{
	struct http_reply reply;

	answer_error_init(&reply, err);
	http_exchange_reply(x, &reply);
}

void answer_ok(struct http_exchange *x)
{
	struct http_reply reply;

	json_reply_init(&reply, 200);
	buf_puts(&reply.body, "{\"status\":\"ok\"}");
	http_exchange_reply(x, &reply);
}

/* ---- resources ---- */

static void add_version(struct buf *b, uint64_t version, const struct digest *digest)
{
	char tag[RESOURCE_TAG_SIZE], text[DIGEST_TEXT_SIZE];

	resource_tag(version, tag);
	json_member_cstr(b, "version", tag);
	json_member_cstr(b, "digest", digest_format(digest, text));
}

static void add_spec(struct buf *b, const struct intent *intent)
{
	json_key(b, "spec");
	json_begin_object(b);
	json_member_cstr(b, "type", intent_type_name(intent->type));
	json_member_cstr(b, "size", intent_size_name(intent->size));
	if (intent->region != NULL)
		json_member_cstr(b, "region", intent->region);
	json_member_u64(b, "replicas", intent->replicas);
	json_end_object(b);
}

void answer_add_resource(struct buf *b, const struct resource *r)
{
	char repository[RESOURCE_REPOSITORY_SIZE], updated[CLOCK_RFC3339_SIZE];
	const struct intent *intent = r->intent;

	resource_repository(intent->namespace, intent->name, repository);
	clock_rfc3339(r->version, updated);
	json_begin_object(b);
	json_member_cstr(b, "name", intent->name);
	json_member_cstr(b, "namespace", intent->namespace);
	json_key(b, "labels");
	json_begin_object(b);
	for (size_t i = 0; i < intent->n_labels; i++)
		json_member_cstr(b, intent->labels[i].key, intent->labels[i].value);
	json_end_object(b);
	add_version(b, r->version, &r->digest);
	json_member_cstr(b, "repository", repository);
	add_spec(b, intent);
	json_member_cstr(b, "updatedAt", updated);
	json_end_object(b);
}

void answer_resource(struct http_exchange *x, const struct resource *r)
{
	struct http_reply reply;

	json_reply_init(&reply, 200);
	answer_add_resource(&reply.body, r);
	http_exchange_reply(x, &reply);
}

static void add_location(struct http_reply *reply, const struct intent *intent)
{
	if (strcmp(intent->namespace, "default") == 0)
		http_reply_header(reply, "Location", "/api/v1/resources/%s", intent->name);
	else
		http_reply_header(reply, "Location", "/api/v1/namespaces/%s/resources/%s",
			intent->namespace, intent->name);
}

void answer_outcome_init(struct http_reply *reply, const struct outcome *outcome, const char *name)
{
	if (outcome->err.code != ERROR_NONE) {
		answer_error_init(reply, &outcome->err);
		return;
	}
	json_reply_init(reply, outcome->op == OUTCOME_CREATED ? 201 : 200);
	if (outcome->op == OUTCOME_CREATED)
		add_location(reply, outcome->resource->intent);
	if (outcome->op != OUTCOME_DELETED) {
		answer_add_resource(&reply->body, outcome->resource);
		return;
	}
	json_begin_object(&reply->body);
	json_member_cstr(&reply->body, "name", name);
	add_version(&reply->body, outcome->version, &outcome->digest);
	json_member_bool(&reply->body, "deleted", true);
	json_end_object(&reply->body);
}

/* ---- lists ---- */

struct list {
	struct catalog *catalog;
	size_t first, at, end;
};

static int list_next(void *arg, struct buf *piece)
{
	struct list *list = arg;
	size_t before = piece->len;

	if (list->at == list->first)
		buf_puts(piece, "{\"resources\":[");
	for (; list->at < list->end && piece->len - before < LIST_PIECE; list->at++)
		answer_add_resource(piece, catalog_at(list->catalog, list->at));
	if (list->at < list->end) {
		/* Between two objects of a piece json_begin_object() puts it. */
		buf_putc(piece, ',');
		return 1;
	}
	buf_printf(piece, "],\"count\":%zu}", list->end - list->first);
	return 0;
}

static void list_free(void *arg)
{
	struct list *list = arg;

	catalog_unref(list->catalog);
	free(list);
}

void answer_list(struct http_exchange *x, struct catalog *catalog, size_t first, size_t end)
{
	struct list *list = malloc(sizeof(*list));
	struct http_reply reply;

	if (list == NULL) {
		struct error err = ERROR_INIT;

		error_no_memory(&err);
		answer_error(x, &err);
		return;
	}
	*list = (struct list){catalog_ref(catalog), first, first, end};
	json_reply_init(&reply, 200);
	reply.source = (struct http_source){list_next, list_free, list};
	http_exchange_reply(x, &reply);
}
