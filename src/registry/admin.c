/* SPDX-License-Identifier: Apache-2.0 */
#include "registry/admin.h"

#include "base/json.h"
#include "http/client.h"
#include "http/uri.h"
#include "oci/json_read.h"
#include "registry/embedded_private.h"

#include <inttypes.h>

#define JOBS "/v1/jobs/"
/* A byte of the report is at most six of JSON. */
#define ANSWER_MAX (6 * (LIMIT_JOB_REPORT + LIMIT_ERROR_TEXT) + KIB)

/* "<prefix><folder>/admin.sock" */
static char *socket_path(const char *prefix, const char *data_dir)
{
	return str_printf("%s%s/admin.sock", prefix, data_dir);
}

/* ---- the server's side ---- */

/* A request on its way through the jobs' thread and back. */
struct asking {
	struct job_request request;
	struct http_handle *handle;
	char *path, *repository;
};

static void asking_free(struct asking *a)
{
	if (a == NULL)
		return;
	ASSERT(a->handle == NULL);
	buf_done(&a->request.report);
	free(a->path);
	free(a->repository);
	free(a);
}
DEFINE_CLEANUP(struct asking, asking_free);

static void write_answer(struct buf *b, struct slice report, const struct error *err)
{
	json_begin_object(b);
	json_member_string(b, "report", report);
	if (err->code != ERROR_NONE)
		json_member_cstr(b, "error", err->text);
	json_end_object(b);
}

static void error_body(const struct error *err, struct buf *ret)
{
	write_answer(ret, SLICE(""), err);
}

static void answer(struct http_exchange *x, struct slice report, const struct error *err)
{
	struct http_reply reply;

	http_reply_init(&reply, error_status(err->code));
	http_reply_header(&reply, "Content-Type", "application/json");
	write_answer(&reply.body, report, err);
	http_exchange_reply(x, &reply);
}

/* Back on the loop. */
static void back(struct http_exchange *x, void *arg)
{
	struct asking *a = arg;

	if (x != NULL)
		answer(x, buf_slice(&a->request.report), &a->request.err);
	asking_free(a);
}

static void done(struct job_request *r)
{
	struct asking *a = (struct asking *)r; /* its first member */

	http_handle_post(TAKE_PTR(a->handle), back, a);
}

static int parse_grace(const char *text, uint64_t own_s, uint64_t *ret, struct error *err)
{
	uint64_t grace_s = own_s;

	if (text != NULL && (!slice_to_u64(slice_of(text), &grace_s) || grace_s > LIMIT_DURATION_S))
		return error_set(err, ERROR_INVALID,
			"grace must be a number of seconds, at most "
			"%" PRIu64,
			LIMIT_DURATION_S);
	*ret = grace_s;
	return 0;
}

static int parse_args(
	struct asking *a, const struct embedded *e, struct slice query, struct error *err)
{
	struct job_args *args = &a->request.args;
	AUTO_FREE char *dry_run = NULL;
	AUTO_FREE char *grace = NULL;

	if (http_query_take(query, "dry-run", &dry_run, err) != 0 ||
		http_query_take(query, "grace", &grace, err) != 0 ||
		http_query_take(query, "path", &a->path, err) != 0 ||
		http_query_take(query, "repository", &a->repository, err) != 0 ||
		parse_grace(grace, e->gc_grace_s, &args->grace_s, err) != 0)
		return -1;
	args->live = true;
	args->dry_run = dry_run != NULL && strcmp(dry_run, "true") == 0;
	args->path = a->path;
	args->repository = a->repository;
	if (a->request.job->needs_path && (a->path == NULL || a->path[0] != '/'))
		return error_set(
			err, ERROR_INVALID, "%s needs an absolute path", a->request.job->name);
	return 0;
}

static int find_job(struct http_exchange *x, const struct job **ret, struct error *err)
{
	struct slice path = http_exchange_path(x), jobs = SLICE(JOBS);

	if (!slice_eq(http_exchange_head(x)->method, SLICE("POST")))
		return error_set(err, ERROR_METHOD, "use POST here");
	if (slice_starts(path, jobs))
		*ret = job_find((struct slice){path.p + jobs.n, path.n - jobs.n});
	if (*ret == NULL)
		return error_set(err, ERROR_NOT_FOUND, "there is no such job");
	return 0;
}

static int ask(struct embedded *e, struct http_exchange *x, struct error *err)
{
	CLEANUP(asking_freep) struct asking *a = calloc(1, sizeof(*a));

	if (a == NULL)
		return error_no_memory(err);
	if (find_job(x, &a->request.job, err) != 0 ||
		parse_args(a, e, http_exchange_query(x), err) != 0)
		return -1;
	a->request.done = done;
	a->handle = http_exchange_handle(x);
	if (a->handle == NULL)
		return error_no_memory(err);
	if (upkeep_submit(e->upkeep, &a->request, &a->request.err) != 0)
		done(&a->request);
	a = NULL;
	return 0;
}

static void handle(struct http_exchange *x, void *arg)
{
	struct error err = ERROR_INIT;

	if (ask(arg, x, &err) != 0)
		answer(x, SLICE(""), &err);
}

int admin_listen(
	struct http_server **ret, struct http_loops *loops, struct embedded *e, struct error *err)
{
	struct http_service service = {.handle = handle, .arg = e, .error_body = error_body};
	AUTO_FREE char *address = socket_path("unix:", store_dir(e->store));
	const struct http_server_options options = {.address = address};

	ASSERT(e->upkeep != NULL);
	if (address == NULL)
		return error_no_memory(err);
	return http_server_new(ret, loops, &options, &service, err);
}

/* ---- the command's side ---- */

static void add_parameter(struct buf *url, const char *name, const char *value)
{
	if (value == NULL)
		return;
	buf_printf(url, "&%s=", name);
	http_encode(slice_of(value), url);
}

static int make_url(
	struct buf *url, const char *job, const struct job_args *args, struct error *err)
{
	buf_printf(url, "http://localhost" JOBS "%s?", job);
	if (args->grace_given)
		buf_printf(url, "&grace=%" PRIu64, args->grace_s);
	add_parameter(url, "dry-run", args->dry_run ? "true" : NULL);
	add_parameter(url, "path", args->path);
	add_parameter(url, "repository", args->repository);
	return buf_check(url, err);
}

static int no_answer(const struct http_call *call, const char *data_dir, struct error *err)
{
	if (call->err.code != ERROR_UNAVAILABLE) {
		*err = call->err;
		return -1;
	}
	if (!call->sent)
		return error_set(
			err, ERROR_NOT_FOUND, "no server listens at %s/admin.sock", data_dir);
	return error_set(err, ERROR_UNAVAILABLE,
		"the server on %s ended before the job did; run it again", data_dir);
}

/* Copies the report; the outcome is the job's. */
static int read_answer(const struct http_call *call, struct buf *report, struct error *err)
{
	CLEANUP(json_decrefp) json_t *root = NULL;
	const char *said = NULL, *error = NULL;

	if (json_read_object(&root, buf_slice(&call->response_body), err) != 0 ||
		json_unpack(root, "{s:s, s?s}", "report", &said, "error", &error) != 0)
		return error_set(err, ERROR_INTERNAL,
			"the server gave an answer that this program does not understand (status "
			"%d); use the same version of both",
			call->status);
	buf_puts(report, said);
	if (call->status != 200)
		return error_set(err, ERROR_INTERNAL, "%s", error != NULL ? error : "it failed");
	return buf_check(report, err);
}

int admin_call(const char *data_dir, const char *job, const struct job_args *args,
	struct buf *report, struct error *err)
{
	AUTO_FREE char *path = socket_path("", data_dir);
	struct http_client_options options = {.parallel = 1, .unix_socket = path};
	CLEANUP(http_client_freep) struct http_client *client = NULL;
	CLEANUP(buf_done) struct buf url = BUF_INIT(LIMIT_HTTP_HEAD);
	CLEANUP(http_call_done) struct http_call call;

	http_call_init(&call, "POST", NULL, ANSWER_MAX);
	if (path == NULL)
		return error_no_memory(err);
	if (make_url(&url, job, args, err) != 0 || http_client_new(&client, &options, err) != 0)
		return -1;
	call.url = url.data;
	call.send_body = true; /* an empty one */
	call.timeout_ms = LIMIT_JOB_MS;
	http_client_run(client, &call, 1);
	if (call.status == 0)
		return no_answer(&call, data_dir, err);
	return read_answer(&call, report, err);
}
