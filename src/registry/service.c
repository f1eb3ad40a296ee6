/* SPDX-License-Identifier: Apache-2.0 */
/* The OCI Distribution API (distribution-spec v1.1): routes, and the way of a request through them.
 */
#include "registry/service.h"

#include "base/json.h"
#include "http/access.h"
#include "http/uri.h"
#include "oci/reference.h"

#include <ctype.h>
#include <stdio.h>

#define UPLOADS "/v2/<name>/blobs/uploads/"
#define UPLOAD UPLOADS "<id>"
#define BLOB "/v2/<name>/blobs/<digest>"
#define MANIFEST "/v2/<name>/manifests/<reference>"

/* clang-format off */
const struct route registry_routes[] = {
	{"GET", "/v2/", NEED_PROOF, NULL, "UNSUPPORTED", "UNSUPPORTED", NULL, version_get},
	{"GET", "/v2/_catalog", NEED_CATALOG, NULL, "NAME_UNKNOWN", "UNSUPPORTED", catalog_start, catalog_get},
	{"GET", "/v2/<name>/tags/list", NEED_PULL, NULL, "NAME_UNKNOWN", "UNSUPPORTED", NULL, tags_get},
	{"GET", "/v2/<name>/referrers/<digest>", NEED_PULL, NULL, "MANIFEST_UNKNOWN", "UNSUPPORTED", NULL, referrers_get},

	{"GET", MANIFEST, NEED_PULL, "If-None-Match", "MANIFEST_UNKNOWN", "MANIFEST_INVALID", NULL, manifest_get},
	{"PUT", MANIFEST, NEED_PUSH, "Content-Type", "MANIFEST_BLOB_UNKNOWN", "MANIFEST_INVALID", manifest_collect, manifest_put},
	{"DELETE", MANIFEST, NEED_PUSH, NULL, "MANIFEST_UNKNOWN", "MANIFEST_INVALID", NULL, manifest_delete},

	{"GET", BLOB, NEED_PULL, "Range", "BLOB_UNKNOWN", "DIGEST_INVALID", NULL, blob_get},
	{"DELETE", BLOB, NEED_PUSH, NULL, "BLOB_UNKNOWN", "DIGEST_INVALID", NULL, blob_delete},

	{"POST", UPLOADS, NEED_PUSH, NULL, "BLOB_UNKNOWN", "BLOB_UPLOAD_INVALID", upload_post, upload_put_finish},
	{"GET", UPLOAD, NEED_PUSH, NULL, "BLOB_UPLOAD_UNKNOWN", "BLOB_UPLOAD_INVALID", upload_status, NULL},
	{"PATCH", UPLOAD, NEED_PUSH, "Content-Range", "BLOB_UPLOAD_UNKNOWN", "BLOB_UPLOAD_INVALID", upload_patch, upload_patch_finish},
	{"PUT", UPLOAD, NEED_PUSH, "Content-Range", "BLOB_UPLOAD_UNKNOWN", "BLOB_UPLOAD_INVALID", upload_put, upload_put_finish},
	{"DELETE", UPLOAD, NEED_PUSH, NULL, "BLOB_UPLOAD_UNKNOWN", "BLOB_UPLOAD_INVALID", NULL, upload_cancel},

	{"GET", "/token", NEED_TOKEN, NULL, "UNSUPPORTED", "UNSUPPORTED", token_get, NULL},
	{"POST", "/token", NEED_TOKEN, NULL, "UNSUPPORTED", "UNSUPPORTED", token_post, NULL},
	{NULL},
};
/* clang-format on */

/* ---- errors ---- */

/* Where the spec has no code for it, the error's own name is one. */
static const char *const codes[ERROR_CODES_] = {
	[ERROR_UNAUTHORIZED] = "UNAUTHORIZED",
	[ERROR_DENIED] = "DENIED",
	[ERROR_METHOD] = "UNSUPPORTED",
	[ERROR_TOO_LARGE] = "SIZE_INVALID",
	[ERROR_TOO_MANY] = "TOOMANYREQUESTS",
	[ERROR_NOT_IMPLEMENTED] = "UNSUPPORTED",
};

static void add_code(struct buf *b, const struct error *err, const char *code)
{
	if (code == NULL)
		code = codes[err->code];
	if (code != NULL) {
		json_member_cstr(b, "code", code);
		return;
	}
	json_key(b, "code");
	buf_putc(b, '"');
	for (const char *at = error_name(err->code); *at != '\0'; at++)
		buf_putc(b, (char)toupper((unsigned char)*at));
	buf_putc(b, '"');
}

static void write_errors(
	struct buf *b, const struct error *err, const char *code, const char *repository)
{
	json_begin_object(b);
	json_key(b, "errors");
	json_begin_array(b);
	json_begin_object(b);
	add_code(b, err, code);
	json_member_cstr(b, "message", err->text);
	json_key(b, "detail");
	json_begin_object(b);
	if (repository != NULL && repository[0] != '\0')
		json_member_cstr(b, "repository", repository);
	json_end_object(b);
	json_end_object(b);
	json_end_array(b);
	json_end_object(b);
}

static void error_body(const struct error *err, struct buf *ret)
{
	write_errors(ret, err, NULL, NULL);
}

/* Empties the reply first. */
static void init_reply(struct http_reply *reply, int status)
{
	http_reply_done(reply);
	http_reply_init(reply, status);
}

static void write_error_reply(
	struct http_reply *reply, const struct error *err, const char *code, const char *repository)
{
	unsigned retry_after_s = error_retry_after_s(err);

	init_reply(reply, error_status(err->code));
	http_reply_header(reply, "Content-Type", "application/json");
	if (retry_after_s != 0)
		http_reply_header(reply, "Retry-After", "%u", retry_after_s);
	write_errors(&reply->body, err, code, repository);
}

static const char *code_of(const struct call *c, const struct error *err)
{
	if (c->code != NULL)
		return c->code;
	if (err->code == ERROR_NOT_FOUND)
		return c->route->unknown;
	if (err->code == ERROR_INVALID || err->code == ERROR_MEDIA_TYPE)
		return c->route->invalid;
	return NULL;
}

void call_error_reply(struct call *c, const struct error *err)
{
	write_error_reply(&c->reply, err, code_of(c, err), c->repository);
}

/* An error before there is a call. */
static void refuse(
	struct http_exchange *x, const struct error *err, const char *code, const char *allow)
{
	struct http_reply reply;

	http_reply_init(&reply, 200);
	write_error_reply(&reply, err, code, NULL);
	if (allow != NULL)
		http_reply_header(&reply, "Allow", "%s", allow);
	http_exchange_reply(x, &reply);
}

/* ---- the life of a call ---- */

void call_unref(void *call)
{
	struct call *c = call;
	struct embedded *e = c->e;

	if (atomic_fetch_sub(&c->refs, 1) > 1)
		return;
	ASSERT(c->handle == NULL);
	if (c->upload != NULL)
		upload_abandon(c);
	http_reply_done(&c->reply);
	buf_done(&c->body);
	oci_manifest_free(c->manifest);
	free(c->tags);
	buf_done(&c->tag_text);
	buf_done(&c->filling);
	buf_done(&c->draining);
	subject_unref(c->subject);
	free(c->scopes);
	token_request_free(c->token_request);
	catalog_walk_free(c->catalog_walk);
	free(c->query);
	free(c->header);
	free(c);
	embedded_call_ends(e);
}

/* Everything that a worker may need is copied: the exchange may be gone by then. */
static struct call *call_new(struct embedded *e, const struct route *route, struct http_exchange *x)
{
	struct slice header = SLICE_NONE;
	struct call *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return NULL;
	if (route->header != NULL)
		header = http_head_get(http_exchange_head(x), route->header);
	c->e = e;
	c->route = route;
	atomic_init(&c->refs, 1);
	c->head = slice_eq(http_exchange_head(x)->method, SLICE("HEAD"));
	http_reply_init(&c->reply, 200);
	buf_init(&c->body, LIMIT_MANIFEST);
	buf_init(&c->tag_text, LIMIT_HTTP_HEAD);
	buf_init(&c->filling, LIMIT_UPLOAD_CHUNK + LIMIT_HTTP_WINDOW);
	buf_init(&c->draining, LIMIT_UPLOAD_CHUNK + LIMIT_HTTP_WINDOW);
	embedded_call_begins(e);
	c->query = slice_dup(http_exchange_query(x));
	if (header.p != NULL)
		c->header = slice_dup(header);
	if (c->query == NULL || (header.p != NULL && c->header == NULL)) {
		call_unref(c);
		return NULL;
	}
	return c;
}

void call_answer(struct http_exchange *x, struct call *c)
{
	if (c->err.code != ERROR_NONE)
		call_error_reply(c, &c->err);
	if (c->err.code == ERROR_UNAUTHORIZED)
		call_add_challenge(x, c);
	http_reply_header(&c->reply, "Docker-Distribution-API-Version", "registry/2.0");
	http_exchange_reply(x, &c->reply);
}

/* Back on the loop: the work's reference is given back last. */
static void back(struct http_exchange *x, void *arg)
{
	struct call *c = arg;

	c->then(x, c);
	call_unref(c);
}

static void answer(struct http_exchange *x, struct call *c)
{
	if (x != NULL)
		call_answer(x, c);
}

void call_return(struct call *c)
{
	http_handle_post(TAKE_PTR(c->handle), back, c);
}

/* Takes the way back before the call leaves the loop. */
static bool leave(struct http_exchange *x, struct call *c,
	void (*then)(struct http_exchange *x, struct call *c))
{
	c->handle = http_exchange_handle(x);
	if (c->handle == NULL) {
		error_no_memory(&c->err);
		call_answer(x, c);
		return false;
	}
	c->then = then;
	c->refs++;
	return true;
}

static void on_worker(void *arg)
{
	struct call *c = arg;

	c->work(c);
}

void call_work(struct http_exchange *x, struct call *c, void (*work)(struct call *c),
	void (*then)(struct http_exchange *x, struct call *c))
{
	if (!leave(x, c, then))
		return;
	c->work = work;
	/* A queue that is full comes back with the error. */
	if (workers_submit(c->e->workers, on_worker, c, &c->err) != 0) {
		c->then = answer;
		call_return(c);
	}
}

static void committed(void *arg, const struct error *err)
{
	struct call *c = arg;

	c->err = *err;
	/* A HEAD wants no more than to keep the blob: on a full disk no push can end anyway. */
	if (c->head && err->code == ERROR_NO_SPACE)
		c->err.code = ERROR_NONE;
	if (c->upload != NULL)
		upload_drop(TAKE_PTR(c->upload));
	call_return(c);
}

static void run_route(struct call *c)
{
	bool on_checker = c->on_checker;

	if (c->route->run(c, &c->err) != 0)
		return call_return(c);
	if (c->apply != NULL)
		return committer_submit(c->e->committer, &c->write);
	if (c->on_checker == on_checker ||
		workers_submit(c->e->checker, on_worker, c, &c->err) != 0)
		call_return(c);
}

void call_run(struct http_exchange *x, struct call *c)
{
	call_work(x, c, run_route, answer);
}

static int apply_call(void *arg, struct store_conn *tx, struct error *err)
{
	struct call *c = arg;

	return c->apply(c, tx, err);
}

int call_write(
	struct call *c, int (*apply)(struct call *c, struct store_conn *tx, struct error *err))
{
	c->apply = apply;
	c->write = (struct write){.apply = apply_call, .done = committed, .arg = c};
	return 0;
}

static void submit(struct http_exchange *x, struct call *c)
{
	if (leave(x, c, answer))
		committer_submit(c->e->committer, &c->write);
}

void call_commit(struct http_exchange *x, struct call *c,
	int (*apply)(struct call *c, struct store_conn *tx, struct error *err))
{
	call_write(c, apply);
	submit(x, c);
}

void call_run_here(struct http_exchange *x, struct call *c)
{
	if (c->route->run(c, &c->err) == 0 && c->apply != NULL)
		submit(x, c);
	else
		call_answer(x, c);
}

/* ---- helpers ---- */

int call_query(const struct call *c, const char *name, char **ret, struct error *err)
{
	return http_query_take(slice_of(c->query), name, ret, err);
}

int call_digest(struct call *c, struct slice text, struct digest *ret, struct error *err)
{
	if (digest_parse(ret, text, err) == 0)
		return 0;
	c->code = "DIGEST_INVALID";
	return -1;
}

void call_reply_digest(struct call *c, const struct digest *digest)
{
	char text[DIGEST_TEXT_SIZE];

	http_reply_header(&c->reply, "Docker-Content-Digest", "%s", digest_format(digest, text));
}

/* ---- routing ---- */

/* "/v2/<name>/blobs/<digest>" matches a path by its end: a name may contain any segment. */
static bool matches(
	const char *pattern, struct slice path, struct slice *ret_name, struct slice *ret_reference)
{
	const char *tail = strstr(pattern, "<name>");
	const char *variable;
	struct slice fixed, prefix;
	size_t slash;

	if (tail == NULL)
		return slice_eq(path, slice_of(pattern));
	prefix = (struct slice){pattern, (size_t)(tail - pattern)};
	tail += strlen("<name>");
	variable = strchr(tail, '<');
	fixed = slice_of(tail);
	*ret_reference = SLICE_NONE;
	if (variable != NULL) {
		for (slash = path.n; slash > 0 && path.p[slash - 1] != '/'; slash--)
			;
		if (slash == path.n)
			return false;
		*ret_reference = (struct slice){path.p + slash, path.n - slash};
		path.n = slash;
		fixed.n = (size_t)(variable - tail);
	}
	if (path.n <= prefix.n + fixed.n || !slice_starts(path, prefix) || !slice_ends(path, fixed))
		return false;
	*ret_name = (struct slice){path.p + prefix.n, path.n - prefix.n - fixed.n};
	return true;
}

/* The route, or NULL with the methods that the path does have. */
static const struct route *find_route(const struct embedded *e, struct http_exchange *x,
	struct slice *ret_name, struct slice *ret_reference, struct buf *ret_allow)
{
	struct slice path = http_exchange_path(x);
	struct slice method = http_exchange_head(x)->method;

	if (slice_eq(method, SLICE("HEAD")))
		method = SLICE("GET");
	for (const struct route *route = registry_routes; route->method != NULL; route++) {
		if (route->need == NEED_TOKEN && e->auth == NULL)
			continue;
		if (!matches(route->path, path, ret_name, ret_reference))
			continue;
		if (slice_eq(method, slice_of(route->method)))
			return route;
		if (ret_allow->len > 0)
			buf_puts(ret_allow, ", ");
		buf_puts(ret_allow, route->method);
		if (strcmp(route->method, "GET") == 0)
			buf_puts(ret_allow, ", HEAD");
	}
	return NULL;
}

static int set_name(struct call *c, struct slice name, struct error *err)
{
	if (!oci_repository_ok(name)) {
		c->code = "NAME_INVALID";
		return error_set(err, ERROR_INVALID,
			"\"%.*s\" is not a repository name: use lower-case letters, digits and "
			"single separators in segments divided by slashes, at most %d characters",
			(int)(name.n < 64 ? name.n : 64), name.p, LIMIT_REPOSITORY);
	}
	memcpy(c->repository, name.p, name.n);
	return 0;
}

/* One that is too long names nothing that could be here. */
static int set_reference(struct call *c, struct slice reference, struct error *err)
{
	CLEANUP(buf_done) struct buf b = BUF_INIT(sizeof(c->reference) - 1);

	if (http_decode(reference, &b, err) != 0 || buf_check(&b, err) != 0)
		return error_set(err, ERROR_INVALID,
			"the last part of the path is malformed or longer than %zu characters",
			sizeof(c->reference) - 1);
	memcpy(c->reference, b.data, b.len);
	return 0;
}

static int check_author(const struct call *c, struct error *err)
{
	if (strcmp(c->route->method, "GET") == 0 ||
		!slice_starts(slice_of(c->repository), SLICE(STORE_OWN_REPOSITORIES)))
		return 0;
	return error_set(err, ERROR_DENIED,
		"only the API writes below %s: declare the resource there, or push to another "
		"repository",
		STORE_OWN_REPOSITORIES);
}

static int prepare(struct call *c, struct slice name, struct slice reference, struct error *err)
{
	if (name.p != NULL && set_name(c, name, err) != 0)
		return -1;
	return reference.p == NULL ? 0 : set_reference(c, reference, err);
}

void call_permitted(struct http_exchange *x, struct call *c)
{
	if (check_author(c, &c->err) != 0)
		return call_answer(x, c);
	(c->route->start != NULL ? c->route->start : call_run)(x, c);
}

static void handle(struct http_exchange *x, void *arg)
{
	CLEANUP(buf_done) struct buf allow = BUF_INIT(256);
	struct slice name = SLICE_NONE, reference = SLICE_NONE;
	const struct route *route = find_route(arg, x, &name, &reference, &allow);
	struct error err = ERROR_INIT;
	struct call *c;

	if (route == NULL && allow.len > 0) {
		error_set(&err, ERROR_METHOD, "use one of %s here", allow.data);
		return refuse(x, &err, NULL, allow.data);
	}
	if (route == NULL) {
		error_set(&err, ERROR_NOT_FOUND,
			"a registry has no such endpoint; see the OCI distribution-spec");
		return refuse(x, &err, "UNSUPPORTED", NULL);
	}
	http_exchange_set_route(x, route->path, false);
	c = call_new(arg, route, x);
	if (c == NULL) {
		error_no_memory(&err);
		return refuse(x, &err, NULL, NULL);
	}
	http_exchange_set_data(x, c, call_unref);
	if (prepare(c, name, reference, &c->err) != 0)
		return call_answer(x, c);
	call_permit(x, c);
}

struct http_service embedded_service(struct embedded *e, struct auth *auth, const char *public_url)
{
	e->auth = auth;
	e->public_url = public_url;
	return (struct http_service){
		.handle = handle,
		.arg = e,
		.error_body = error_body,
		.done = http_access_done,
	};
}
