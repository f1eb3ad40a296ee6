/* SPDX-License-Identifier: Apache-2.0 */
#include "registry/remote_request.h"

#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/clock.h"
#include "registry/metrics.h"
#include "registry/remote_internal.h"

#define SLOWEST_BYTES_PER_MS \
	256              /* a transfer that takes longer than its size at this rate is stuck */
#define LAST_TRY_MS 1000 /* what a repetition is given at least */

static void on_call_ended(struct http_call *call, void *arg);

void request_init(struct request *req, struct remote *remote)
{
	*req = (struct request){.remote = remote, .body_max = REQUEST_ERROR_BODY};
	request_renew(req);
	http_call_init(&req->call, NULL, NULL, req->body_max);
	req->call.ended = on_call_ended;
	req->call.arg = req;
}

void request_done(struct request *req)
{
	http_call_done(&req->call);
	free(req->repository);
	free(req->scope);
	free(req->url);
	free(req->authorization);
	free(req->content_type_line);
}

void request_renew(struct request *req)
{
	req->retry = (struct retry){.max = req->remote->retries};
}

/* Takes the text, NULL for want of memory, in place of the one before. */
static int set_text(char **at, char *text, struct error *err)
{
	if (text == NULL)
		return error_no_memory(err);
	free(*at);
	*at = text;
	return 0;
}

int request_repository(
	struct request *req, const char *repository, const char *actions, struct error *err)
{
	char *name = str_printf("%s%s", req->remote->location.prefix, repository);

	if (set_text(&req->repository, name, err) != 0)
		return -1;
	return set_text(&req->scope, str_printf("repository:%s:%s", name, actions), err);
}

static char *format(const char *fmt, va_list ap)
{
	char *text;

	return vasprintf(&text, fmt, ap) < 0 ? NULL : text;
}

int request_url(struct request *req, struct error *err, const char *fmt, ...)
{
	va_list ap;
	char *url;

	va_start(ap, fmt);
	url = format(fmt, ap);
	va_end(ap);
	return set_text(&req->url, url, err);
}

int request_path(struct request *req, struct error *err, const char *fmt, ...)
{
	AUTO_FREE char *path = NULL;
	va_list ap;

	va_start(ap, fmt);
	path = format(fmt, ap);
	va_end(ap);
	if (path == NULL)
		return error_no_memory(err);
	return request_url(
		req, err, "%s/v2/%s/%s", req->remote->location.base, req->repository, path);
}

/* ---- sending ---- */

static void end(struct request *req)
{
	req->ended(req, req->arg);
}

static unsigned timeout_of(const struct request *req)
{
	uint64_t ms = req->remote->timeout_ms + req->transfer / SLOWEST_BYTES_PER_MS;
	uint64_t now_ms = clock_monotonic_ms(), left_ms = LAST_TRY_MS;

	if (req->retry.made > 0) {
		if (req->retry.deadline_ms > now_ms + LAST_TRY_MS)
			left_ms = req->retry.deadline_ms - now_ms;
		if (ms > left_ms)
			ms = left_ms;
	}
	return (unsigned)ms;
}

static int set_content_type(struct request *req, struct error *err)
{
	return set_text(
		&req->content_type_line, str_printf("Content-Type: %s", req->content_type), err);
}

static void send(struct request *req)
{
	size_t n = 0;

	if (req->accept != NULL)
		req->headers[n++] = req->accept;
	if (req->authorization != NULL)
		req->headers[n++] = req->authorization;
	if (req->content_type != NULL) {
		if (set_content_type(req, &req->err) != 0) {
			end(req);
			return;
		}
		req->headers[n++] = req->content_type_line;
	}
	req->headers[n] = NULL;
	req->call.method = req->method;
	req->call.url = req->url;
	req->call.headers = req->headers;
	req->call.body = req->body;
	req->call.send_body = req->send_body;
	req->call.response_body.max = req->body_max;
	req->call.timeout_ms = timeout_of(req);
	http_client_start(req->remote->client, &req->call, req->delay_ms);
}

void request_authorized(struct request *req, const struct error *err)
{
	if (err != NULL) {
		req->err = *err;
		end(req);
		return;
	}
	send(req);
}

/* Credentials go to the registry alone, not to where it sends us. */
static void try(struct request *req, unsigned delay_ms)
{
	req->delay_ms = delay_ms;
	req->err = (struct error)ERROR_INIT;
	if (req->scope == NULL) {
		send(req);
	} else if (!remote_is_origin(req->remote, req->url)) {
		free(TAKE_PTR(req->authorization));
		send(req);
	} else {
		remote_auth_authorize(req->remote->auth, req);
	}
}

void request_start(struct request *req, unsigned delay_ms)
{
	req->redirects = 0;
	req->challenged = false;
	req->refused = false;
	req->maybe_done = false;
	try(req, delay_ms);
}

/* ---- judging answers ---- */

/* Distribution passes errno on as it is. */
static bool is_disk_full(const struct http_call *call)
{
	static const char *const texts[] = {"no space left", "disk full", "\"Err\":28"};

	if (call->status == 507)
		return true;
	if (call->status < 500 || call->response_body.data == NULL)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		if (strcasestr(call->response_body.data, texts[i]) != NULL)
			return true;
	}
	return false;
}

bool request_is_transient(const struct request *req)
{
	if (req->err.code != ERROR_NONE)
		return req->err.code == ERROR_UNAVAILABLE;
	return retry_status(req->call.status) && !is_disk_full(&req->call);
}

static uint64_t retry_after_ms(const struct request *req)
{
	struct slice value = http_call_header(&req->call, "retry-after");
	uint64_t ms = 0;

	retry_after_parse(value, clock_realtime_us(), &ms);
	return ms;
}

bool request_retry(struct request *req, unsigned *ret_delay_ms)
{
	return retry_next(
		&req->retry, retry_after_ms(req), clock_monotonic_ms(), arc4random(), ret_delay_ms);
}

int request_location(char **ret, const struct request *req, struct error *err)
{
	struct slice value = http_call_header(&req->call, "location");
	AUTO_FREE char *location = slice_dup(value), *url = NULL;

	if (location == NULL)
		return error_no_memory(err);
	if (value.n == 0)
		return error_set(err, ERROR_INTERNAL, "the registry answered %d without a Location",
			req->call.status);
	if (http_url_join(&url, req->url, location, err) != 0 ||
		remote_check_url(req->remote, url, err) != 0)
		return -1;
	*ret = TAKE_PTR(url);
	return 0;
}

/* Appends " CODE: message" of the first error in an OCI error body, in ASCII. */
static void describe(const struct http_call *call, char *ret, size_t size)
{
	CLEANUP(json_decrefp)
	json_t *root = json_loadb(call->response_body.data == NULL ? "" : call->response_body.data,
		call->response_body.len, 0, NULL);
	const json_t *first = json_array_get(json_object_get(root, "errors"), 0);
	const char *code = json_string_value(json_object_get(first, "code"));
	const char *message = json_string_value(json_object_get(first, "message"));

	ret[0] = '\0';
	if (code == NULL)
		return;
	snprintf(ret, size, " %s%s%s", code, message == NULL ? "" : ": ",
		message == NULL ? "" : message);
	for (char *p = ret; *p != '\0'; p++) {
		if (*p < ' ' || *p >= 0x7f)
			*p = '?';
	}
}

static enum error_code code_of(const struct http_call *call)
{
	static const struct {
		int status;
		enum error_code code;
	} codes[] = {
		{401, ERROR_UNAUTHORIZED},
		{403, ERROR_DENIED},
		{404, ERROR_NOT_FOUND},
		{405, ERROR_DENIED},
		{413, ERROR_DENIED},
		{429, ERROR_UNAVAILABLE},
	};

	if (is_disk_full(call))
		return ERROR_NO_SPACE;
	if (call->status >= 500)
		return ERROR_UNAVAILABLE;
	for (size_t i = 0; i < ARRAY_SIZE(codes); i++) {
		if (codes[i].status == call->status)
			return codes[i].code;
	}
	return ERROR_INTERNAL;
}

int request_error(const struct request *req, const char *what, struct error *err)
{
	uint64_t after_ms = retry_after_ms(req);
	char said[256];

	if (req->err.code != ERROR_NONE) {
		*err = req->err;
		return error_wrap(err, "%s", what);
	}
	describe(&req->call, said, sizeof(said));
	error_set(err, code_of(&req->call), "%s: the registry answered %d%s", what,
		req->call.status, said);
	err->retry_after_s = (unsigned)((after_ms + 999) / 1000);
	return -1;
}

int request_check(const struct request *req, const char *what, struct error *err)
{
	if (req->err.code == ERROR_NONE && req->call.status == 200)
		return 0;
	return request_error(req, what, err);
}

/* ---- what comes back ---- */

static bool is_redirect(const struct request *req)
{
	static const int statuses[] = {301, 302, 303, 307, 308};

	if (req->scope == NULL ||
		(strcmp(req->method, "GET") != 0 && strcmp(req->method, "HEAD") != 0))
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(statuses); i++) {
		if (req->call.status == statuses[i])
			return true;
	}
	return false;
}

static void follow(struct request *req)
{
	char *url;

	if (++req->redirects > LIMIT_REDIRECTS)
		error_set(&req->err, ERROR_INTERNAL, "the registry redirects more than %d times",
			LIMIT_REDIRECTS);
	else if (request_location(&url, req, &req->err) == 0) {
		free(req->url);
		req->url = url;
		try(req, 0);
		return;
	}
	end(req);
}

/* A 5xx may come from a proxy that lost sight of what the registry did; a 429 did nothing. */
static bool may_have_happened(const struct http_call *call)
{
	return call->status == 0 ? call->sent : call->status >= 500 && !is_disk_full(call);
}

/* What a request is about, by its URL: the method says the rest. */
static const char *object_of(const struct request *req)
{
	static const char *const objects[][2] = {
		{"/blobs/uploads/", "upload"},
		{"/blobs/", "blob"},
		{"/manifests/", "manifest"},
		{"/tags/list", "tags"},
		{"/v2/_catalog", "catalog"},
	};

	if (req->scope == NULL)
		return "token";
	for (size_t i = 0; i < ARRAY_SIZE(objects); i++) {
		if (strstr(req->url, objects[i][0]) != NULL)
			return objects[i][1];
	}
	return "other"; /* where the registry has sent us */
}

static const char *outcome_of(const struct http_call *call)
{
	if (call->status == 0)
		return call->sent ? "lost" : "transient";
	if (retry_status(call->status))
		return "transient";
	if (call->status == 401)
		return "challenged";
	return call->status < 400 || call->status == 404 ? "ok" : "refused";
}

static void count(const struct request *req)
{
	char operation[32];

	snprintf(operation, sizeof(operation), "%s %s", req->method, object_of(req));
	metric_add(&registry_metric_requests, METRIC_LABELS(operation, outcome_of(&req->call)), 1);
}

static void on_call_ended(struct http_call *call, void *arg)
{
	struct request *req = arg;
	unsigned delay_ms;

	count(req);
	if (req->retry.deadline_ms == 0)
		req->retry.deadline_ms = call->started_ms + LIMIT_REQUEST_MS;
	req->err = call->err;
	req->maybe_done = req->maybe_done || may_have_happened(call);
	if (call->status == 401 && req->scope != NULL && remote_is_origin(req->remote, req->url)) {
		if (remote_auth_challenge(req->remote->auth, req, &req->err) == 0) {
			try(req, 0);
			return;
		}
	} else if (is_redirect(req)) {
		follow(req);
		return;
	} else if (!req->once && request_is_transient(req) && request_retry(req, &delay_ms)) {
		try(req, delay_ms);
		return;
	}
	end(req);
}

/* ---- waiting ---- */

static void on_run_ended(struct request *req UNUSED, void *arg UNUSED)
{
}

void request_run(struct request *req)
{
	req->ended = on_run_ended;
	request_start(req, 0);
	http_client_drain(req->remote->client);
}
