/* SPDX-License-Identifier: Apache-2.0 */
#include "api/answer.h"

#include "api/preconditions.h"
#include "base/clock.h"
#include "base/json.h"
#include "intent/document.h"

#include <inttypes.h>
#include <stdio.h>

void answer_json_init(struct http_reply *reply, int status)
{
	http_reply_init(reply, status);
	buf_init(&reply->body, LIMIT_API_ANSWER);
	http_reply_header(reply, "Content-Type", "application/json");
}

static void add_error(const struct error *err, struct buf *ret)
{
	json_begin_object(ret);
	json_member_cstr(ret, "error", err->text);
	json_member_cstr(ret, "code", error_name(err->code));
	if (err->field[0] != '\0')
		json_member_cstr(ret, "field", err->field);
}

void answer_error_body(const struct error *err, struct buf *ret)
{
	add_error(err, ret);
	json_end_object(ret);
}

void answer_error_init(struct http_reply *reply, const struct error *err)
{
	answer_error_begin(reply, err);
	json_end_object(&reply->body);
}

void answer_error_begin(struct http_reply *reply, const struct error *err)
{
	unsigned retry_after_s = error_retry_after_s(err);

	answer_json_init(reply, error_status(err->code));
	if (retry_after_s > 0)
		http_reply_header(reply, "Retry-After", "%u", retry_after_s);
	if (err->code == ERROR_UNAUTHORIZED)
		http_reply_header(reply, "WWW-Authenticate", "Bearer realm=\"gitops-squared\"");
	add_error(err, &reply->body);
}

void answer_error(struct http_exchange *x, const struct error *err)
{
	struct http_reply reply;

	answer_error_init(&reply, err);
	http_exchange_reply(x, &reply);
}

void answer_no_resource(struct http_exchange *x, const char *namespace, const char *name)
{
	struct error err = ERROR_INIT;

	error_set(
		&err, ERROR_NOT_FOUND, "there is no resource %s in namespace %s", name, namespace);
	answer_error(x, &err);
}

void answer_ok(struct http_exchange *x)
{
	struct http_reply reply;

	answer_json_init(&reply, 200);
	buf_puts(&reply.body, "{\"status\":\"ok\"}");
	http_exchange_reply(x, &reply);
}

void answer_ok_but(struct http_exchange *x, const char *writes)
{
	struct http_reply reply;

	answer_json_init(&reply, 200);
	json_begin_object(&reply.body);
	json_member_cstr(&reply.body, "status", "ok");
	json_member_cstr(&reply.body, "writes", writes);
	json_end_object(&reply.body);
	http_exchange_reply(x, &reply);
}

/* ---- resources ---- */

#define ADD(b, literal) buf_add(b, SLICE(literal))

/* ,"version":"v1","digest":"sha256:..."; 0: of a version that is not made */
static void add_version(struct buf *b, uint64_t version, const struct digest *digest)
{
	char text[DIGEST_TEXT_SIZE];

	if (version == 0) {
		ADD(b, ",\"version\":null,\"digest\":null");
		return;
	}
	ADD(b, ",\"version\":\"v");
	buf_add_u64(b, version);
	ADD(b, "\",\"digest\":\"");
	buf_puts(b, digest_format(digest, text));
	buf_putc(b, '"');
}

static void add_labels(struct buf *b, const struct intent *intent)
{
	ADD(b, ",\"labels\":{");
	for (size_t i = 0; i < intent->n_labels; i++)
		json_member_cstr(b, intent->labels[i].key, intent->labels[i].value);
	buf_putc(b, '}');
}

static void add_spec(struct buf *b, const struct intent *intent)
{
	ADD(b, ",\"spec\":{\"type\":\"");
	buf_puts(b, intent_type_name(intent->type));
	ADD(b, "\",\"size\":\"");
	buf_puts(b, intent_size_name(intent->size));
	buf_putc(b, '"');
	if (intent->region != NULL) {
		ADD(b, ",\"region\":");
		json_add_string(b, slice_of(intent->region));
	}
	ADD(b, ",\"replicas\":");
	buf_add_u64(b, intent->replicas);
	buf_putc(b, '}');
}

static void add_updated(struct buf *b, uint64_t version)
{
	char updated[CLOCK_RFC3339_SIZE];

	if (version == 0) {
		ADD(b, ",\"updatedAt\":null");
		return;
	}
	clock_rfc3339(version, updated);
	ADD(b, ",\"updatedAt\":\"");
	buf_puts(b, updated);
	buf_putc(b, '"');
}

/* A list is made of these, so the keys are ready-made, and what can have no character to escape,
 * names above all, is not searched for one. */
static void add_intent(
	struct buf *b, const struct intent *intent, uint64_t version, const struct digest *digest)
{
	struct slice namespace = slice_of(intent->namespace), name = slice_of(intent->name);

	ADD(b, "{\"name\":\"");
	buf_add(b, name);
	ADD(b, "\",\"namespace\":\"");
	buf_add(b, namespace);
	buf_putc(b, '"');
	add_labels(b, intent);
	add_version(b, version, digest);
	ADD(b, ",\"repository\":\"" RESOURCE_REPOSITORY_PREFIX);
	buf_add(b, namespace);
	buf_putc(b, '/');
	buf_add(b, name);
	buf_putc(b, '"');
	add_spec(b, intent);
	add_updated(b, version);
}

void answer_add_resource(struct buf *b, const struct resource *r)
{
	add_intent(b, r->intent, r->version, &r->digest);
}

void answer_add_intent(struct buf *b, const struct intent *intent)
{
	add_labels(b, intent);
	add_spec(b, intent);
}

void answer_add_text(struct buf *b, const char *key, const char *text)
{
	if (text != NULL) {
		json_member_cstr(b, key, text);
		return;
	}
	json_key(b, key);
	buf_puts(b, "null");
}

void answer_add_status(struct buf *b, const struct tracker_status *status)
{
	ADD(b, ",\"status\":");
	tracker_status_json(status, b);
}

void answer_add_phase(struct buf *b, enum phase phase)
{
	ADD(b, ",\"status\":{\"phase\":\"");
	buf_puts(b, phase_name(phase));
	ADD(b, "\"}");
}

/* Not conditional (If-None-Match): an equal version may have another status. */
void answer_resource(struct http_exchange *x, const struct resource *r, struct tracker *tracker)
{
	struct tracker_status status;
	struct http_reply reply;

	buf_init(&status.object, LIMIT_STATUS_OBJECT);
	answer_json_init(&reply, 200);
	preconditions_add_etag(&reply, r->version);
	answer_add_resource(&reply.body, r);
	if (tracker_status(tracker, r->intent->namespace, r->intent->name, r, true, &status))
		answer_add_status(&reply.body, &status);
	buf_putc(&reply.body, '}');
	buf_done(&status.object);
	http_exchange_reply(x, &reply);
}

void answer_status(struct http_exchange *x, const struct tracker_status *status)
{
	struct http_reply reply;

	answer_json_init(&reply, 200);
	tracker_status_json(status, &reply.body);
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

/* name is for a deletion. */
static void add_deleted(
	struct buf *b, const char *name, uint64_t version, const struct digest *digest)
{
	json_begin_object(b);
	json_member_cstr(b, "name", name);
	add_version(b, version, digest);
	json_member_bool(b, "deleted", true);
}

void answer_outcome_init(struct http_reply *reply, const struct outcome *outcome, const char *name)
{
	if (outcome->err.code != ERROR_NONE) {
		answer_error_init(reply, &outcome->err);
		return;
	}
	answer_json_init(reply, outcome->op == OUTCOME_CREATED ? 201 : 200);
	if (outcome->op == OUTCOME_CREATED)
		add_location(reply, outcome->resource->intent);
	if (outcome->op == OUTCOME_DELETED) {
		add_deleted(&reply->body, name, outcome->version, &outcome->digest);
		return;
	}
	preconditions_add_etag(reply, outcome->resource->version);
	answer_add_resource(&reply->body, outcome->resource);
}

/* ETags are of versions that are there. */
static void add_dry_outcome(struct http_reply *reply, const struct outcome *outcome,
	const struct intent *wanted, const char *name)
{
	if (outcome->op == OUTCOME_CREATED)
		add_location(reply, wanted);
	if (outcome->op == OUTCOME_DELETED) {
		add_deleted(&reply->body, name, 0, NULL);
	} else if (outcome->op == OUTCOME_UNCHANGED) {
		preconditions_add_etag(reply, outcome->old->version);
		answer_add_resource(&reply->body, outcome->old);
	} else {
		add_intent(&reply->body, wanted, 0, NULL);
	}
}

/* Between what is there (NULL: nothing) and what is wanted (NULL: nothing). */
static void add_diff(struct buf *b, const struct resource *old, const struct intent *wanted)
{
	CLEANUP(buf_done) struct buf diff = BUF_INIT(LIMIT_DIFF);
	const struct intent *there = old == NULL ? NULL : old->intent;
	char from[INTENT_DIFF_NAME_SIZE], to[INTENT_DIFF_NAME_SIZE];

	intent_diff(there, wanted, intent_diff_name(there, old == NULL ? 0 : old->version, from),
		intent_diff_name(wanted, 0, to), &diff);
	if (diff.failed != ERROR_NONE)
		b->failed = diff.failed;
	json_member_string(b, "diff", buf_slice(&diff));
}

void answer_dry_run_init(struct http_reply *reply, const struct outcome *outcome,
	const struct intent *wanted, const char *name)
{
	if (outcome->err.code != ERROR_NONE) {
		answer_error_init(reply, &outcome->err);
		return;
	}
	answer_json_init(reply, outcome->op == OUTCOME_CREATED ? 201 : 200);
	add_dry_outcome(reply, outcome, wanted, name);
	json_member_bool(&reply->body, "dryRun", true);
	add_diff(&reply->body, outcome->old, wanted);
}
