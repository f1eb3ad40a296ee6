/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The load of bench/api: one workload against one server, a line of JSON for each kind of
 * operation.
 *
 * A wrong status is an error, one error ends the run and makes the exit status 1. Resources are
 * taken in an order that is spread over all names, as users would: neighbours in the catalog are
 * cheaper to change together.
 */
#include "bench/api_load.h"

#include "base/buf.h"
#include "bench/api_intent.h"
#include "bench/load_loop.h"
#include "bench/load_options.h"
#include "oci/digest.h"

#include <getopt.h>
#include <stdio.h>

#define RESOURCES "/api/v1/resources"
#define CLIENTS_MAX 1024
#define LIST_MAX (1024 * MIB)
#define FOREVER_S 86400
#define CLEANING_CLIENTS 64
#define PATH_SIZE 1024
#define READS_PER_UPDATE 9

enum kind { FIRST_KIND, UPDATES_AMONG_READS };

/* ---- running ---- */

struct job {
	struct order order;
	size_t first; /* number of the resource, or change, that operation 0 is about */
	struct template read, write;
};

static struct loop loop_of(const struct api_options *o)
{
	return (struct loop){.target = &o->target,
		.clients = o->clients,
		.threads = o->threads,
		.seconds = o->seconds,
		.count = SIZE_MAX};
}

static void print(const char *name, const struct api_options *o, struct tally *t, unsigned kind)
{
	struct result r = tally_result(t, kind);

	result_print(name, o->clients, &r);
}

static int run_and_print(const char *name, const struct api_options *o, const struct loop *loop,
	size_t *ret_count, struct error *err)
{
	CLEANUP(tally_done) struct tally t = {0};

	if (loop_run(loop, &t, ret_count, err) != 0)
		return -1;
	print(name, o, &t, FIRST_KIND);
	return 0;
}

/* ---- asking once ---- */

static void add_part(void *arg, struct slice bytes)
{
	buf_add(arg, bytes);
}

static int fetch(const struct target *target, const char *path, struct buf *ret, struct error *err)
{
	CLEANUP(conn_freep) struct conn *c = NULL;
	struct request get = {
		.method = "GET", .path = path, .status = 200, .body_part = add_part, .arg = ret};
	struct answer answer;

	buf_reset(ret);
	if (conn_new(&c, target, err) != 0 || conn_ask(c, &get, &answer, err) != 0)
		return -1;
	return buf_check(ret, err);
}

/* ---- writes ---- */

static void write_post(const void *arg, size_t i, struct loop_request *ret)
{
	const struct job *job = arg;

	template_fill(
		&job->write, job->first + number_of(&job->order, i), job->order.change + i, ret);
}

/* Those from o->first on that are still missing, or were there. */
static int load(const char *name, const struct api_options *o, struct error *err)
{
	struct job job = {.first = o->first};
	struct loop loop = loop_of(o);
	size_t count;

	if (o->first >= o->resources)
		return error_set(err, ERROR_INVALID, "--first must be less than --resources");
	job.order = new_order(o->resources - o->first);
	template_post(&job.write, &o->target, false);
	job.write.request.or_status = 201;
	loop.seconds = FOREVER_S;
	loop.count = o->resources - o->first;
	loop.write = write_post;
	loop.arg = &job;
	return run_and_print(name, o, &loop, &count, err);
}

/* The last change must be what a reader gets. */
static int check_update(
	const struct api_options *o, const struct job *job, size_t i, struct error *err)
{
	CLEANUP(buf_done) struct buf body = BUF_INIT(1 * MIB);
	char path[PATH_SIZE], change[INTENT_CHANGE_SIZE];

	intent_change(job->order.change + i, change);
	snprintf(path, sizeof(path), RESOURCES "/r%06zu", number_of(&job->order, i));
	if (fetch(&o->target, path, &body, err) != 0)
		return -1;
	if (strstr(body.data, change) == NULL)
		return error_set(err, ERROR_UNPROCESSABLE, "%s is not at its last change, %s: %s",
			path, change, body.data);
	return 0;
}

static int update(const char *name, const struct api_options *o, struct error *err)
{
	struct job job = {.order = new_order(o->resources)};
	struct loop loop = loop_of(o);
	size_t count;

	template_post(&job.write, &o->target, false);
	loop.write = write_post;
	loop.arg = &job;
	if (run_and_print(name, o, &loop, &count, err) != 0)
		return -1;
	return count == 0 ? 0 : check_update(o, &job, count - 1, err);
}

static void write_created(const void *arg, size_t i, struct loop_request *ret)
{
	const struct job *job = arg;

	template_fill(
		&job->write, number_of(&job->order, i), job->order.change + job->first + i, ret);
}

/* Deletes the n that a burst has created; the clock stands still. */
static int clean_up(
	const struct api_options *o, const struct job *created, size_t n, struct error *err)
{
	CLEANUP(tally_done) struct tally t = {0};
	struct job job = {.order = created->order, .first = created->first};
	struct loop loop = {.target = &o->target,
		.clients = CLEANING_CLIENTS,
		.threads = 1,
		.seconds = FOREVER_S,
		.count = n,
		.write = write_created,
		.arg = &job};
	size_t count;

	template_one(&job.write, &o->target, "DELETE", true);
	return loop_run(&loop, &t, &count, err);
}

/* In bursts, so that there are never many more resources than before. */
static int create(const char *name, const struct api_options *o, struct error *err)
{
	CLEANUP(tally_done) struct tally t = {0};
	struct job job = {.order = new_order(o->resources)};
	struct loop loop = loop_of(o);
	size_t count = 1;

	template_post(&job.write, &o->target, true);
	loop.write = write_created;
	loop.arg = &job;
	loop.count = o->burst;
	/* Where hardly any time is left, none begins. */
	while (count > 0 && t.seconds < o->seconds) {
		loop.seconds = o->seconds - t.seconds;
		if (loop_run(&loop, &t, &count, err) != 0 || clean_up(o, &job, count, err) != 0)
			return -1;
		job.first += count;
	}
	print(name, o, &t, FIRST_KIND);
	return 0;
}

/* ---- reads ---- */

static void write_get(const void *arg, size_t i, struct loop_request *ret)
{
	const struct job *job = arg;

	template_fill(&job->read, number_of(&job->order, i), 0, ret);
}

static int get(const char *name, const struct api_options *o, struct error *err)
{
	struct job job = {.order = new_order(o->resources)};
	struct loop loop = loop_of(o);
	size_t count;

	template_one(&job.read, &o->target, "GET", false);
	loop.write = write_get;
	loop.arg = &job;
	return run_and_print(name, o, &loop, &count, err);
}

static void write_mixed(const void *arg, size_t i, struct loop_request *ret)
{
	if (i % (READS_PER_UPDATE + 1) == 0)
		write_post(arg, i / (READS_PER_UPDATE + 1), ret);
	else
		write_get(arg, i, ret);
}

static int mixed(const char *name, const struct api_options *o, struct error *err)
{
	CLEANUP(tally_done) struct tally t = {0};
	struct job job = {.order = new_order(o->resources)};
	struct loop loop = loop_of(o);
	char updates[64];
	size_t count;

	template_one(&job.read, &o->target, "GET", false);
	template_post(&job.write, &o->target, false);
	job.write.request.kind = UPDATES_AMONG_READS;
	loop.write = write_mixed;
	loop.arg = &job;
	if (loop_run(&loop, &t, &count, err) != 0)
		return -1;
	print(name, o, &t, FIRST_KIND);
	snprintf(updates, sizeof(updates), "%s-updates", name);
	print(updates, o, &t, UPDATES_AMONG_READS);
	return 0;
}

/* ---- lists ---- */

/* Answers that are known beforehand, by turns. */
struct pages {
	struct loop_request *list;
	size_t n, room;
	size_t resources; /* on all of them */
};

static void pages_done(struct pages *p)
{
	free(p->list);
}

static size_t count_resources(struct slice text)
{
	const struct slice mark = SLICE("\"updatedAt\":");
	const char *at = text.p, *end = text.p + text.n;
	size_t n = 0;

	while (at != NULL && (at = memmem(at, (size_t)(end - at), mark.p, mark.n)) != NULL) {
		at += mark.n;
		n++;
	}
	return n;
}

static int add_page(struct pages *p, const struct target *target, const char *path,
	struct slice body, struct error *err)
{
	struct loop_request *request;

	if (p->n == p->room) {
		size_t room = p->room == 0 ? 16 : 2 * p->room;
		struct loop_request *list = realloc(p->list, room * sizeof(*list));

		if (list == NULL)
			return error_no_memory(err);
		p->list = list;
		p->room = room;
	}
	request = &p->list[p->n++];
	*request = (struct loop_request){.status = 200, .body_length = body.n};
	snprintf(request->bytes, sizeof(request->bytes), "GET %s HTTP/1.1\r\nHost: %s\r\n%s\r\n",
		path, target->host, target->authorization);
	request->n = strlen(request->bytes);
	p->resources += count_resources(body);
	return 0;
}

static void write_page(const void *arg, size_t i, struct loop_request *ret)
{
	const struct pages *p = arg;
	const struct loop_request *request = &p->list[i % p->n];

	memcpy(ret->bytes, request->bytes, request->n);
	ret->n = request->n;
	ret->status = request->status;
	ret->body_length = request->body_length;
}

static int run_pages(
	const char *name, const struct api_options *o, struct pages *pages, struct error *err)
{
	struct loop loop = loop_of(o);
	size_t count;

	loop.write = write_page;
	loop.arg = pages;
	return run_and_print(name, o, &loop, &count, err);
}

/* The value of "continue", as it may stand in a query; false where there is none. */
static bool next_page(struct slice body, char *ret, size_t size)
{
	const struct slice mark = SLICE("\"continue\":\"");
	const char *at = memmem(body.p, body.n, mark.p, mark.n);
	size_t n = 0;

	if (at == NULL)
		return false;
	for (at += mark.n; *at != '"' && *at != '\0' && n + 4 < size; at++)
		n += (size_t)snprintf(ret + n, size - n, "%%%02x", (unsigned char)*at);
	return n > 0;
}

static int fetch_pages(struct pages *pages, const struct api_options *o, struct error *err)
{
	CLEANUP(buf_done) struct buf body = BUF_INIT(LIST_MAX);
	char path[PATH_SIZE], token[PATH_SIZE / 2];
	bool more;

	snprintf(path, sizeof(path), RESOURCES "?limit=%zu", o->limit);
	do {
		if (fetch(&o->target, path, &body, err) != 0 ||
			add_page(pages, &o->target, path, buf_slice(&body), err) != 0)
			return -1;
		if (pages->resources > pages->n * o->limit)
			return error_set(err, ERROR_NOT_IMPLEMENTED,
				"the server does not page: %s has more than that many resources",
				path);
		more = next_page(buf_slice(&body), token, sizeof(token));
		snprintf(path, sizeof(path), RESOURCES "?limit=%zu&continue=%s", o->limit, token);
	} while (more);
	if (pages->resources != o->resources)
		return error_set(err, ERROR_UNPROCESSABLE, "all pages have %zu resources of %zu",
			pages->resources, o->resources);
	return 0;
}

static int page(const char *name, const struct api_options *o, struct error *err)
{
	CLEANUP(pages_done) struct pages pages = {0};

	if (fetch_pages(&pages, o, err) != 0)
		return -1;
	return run_pages(name, o, &pages, err);
}

static int path(const char *name, const struct api_options *o, struct error *err)
{
	CLEANUP(pages_done) struct pages pages = {0};
	CLEANUP(buf_done) struct buf body = BUF_INIT(LIST_MAX);

	if (fetch(&o->target, o->path, &body, err) != 0 ||
		add_page(&pages, &o->target, o->path, buf_slice(&body), err) != 0)
		return -1;
	return run_pages(name, o, &pages, err);
}

static int list(const char *name, const struct api_options *o, struct error *err)
{
	struct api_options whole = *o;

	whole.path = RESOURCES;
	return path(name, &whole, err);
}

static const struct workload {
	const char *name;
	int (*run)(const char *name, const struct api_options *o, struct error *err);
} workloads[] = {
	{"load", load},
	{"create", create},
	{"update", update},
	{"mixed", mixed},
	{"get", get},
	{"page", page},
	{"list", list},
	{"path", path},
	{"artifact-push", artifact_push},
	{"catalog-build", catalog_build},
};

/* ---- the command line ---- */

static const char usage[] =
	"usage: api-load WORKLOAD --url http[s]://ADDRESS:PORT [options]\n"
	"\n"
	"  load           POST of the resources from --first up to --resources\n"
	"  create         POST of new ones, --burst of them, which are then deleted, not measured\n"
	"  update         POST of changes to those that there are\n"
	"  mixed          nine GETs for each update\n"
	"  get            GET of one\n"
	"  page           GET of a list's pages, by turns\n"
	"  list           GET of the whole list\n"
	"  path           GET of --path\n"
	"  artifact-push  pushes to a registry what it costs to store a resource, for --seconds\n"
	"  catalog-build  one change in a catalog of --resources, in this process: needs no --url\n"
	"\n"
	"  --token-file F the API token to send is in this file\n"
	"  --clients N    connections (64)\n"
	"  --threads N    that serve them (1)\n"
	"  --seconds S    when to stop (5)\n"
	"  --resources N  that there are, r000000 and so on (1000)\n"
	"  --first N      the first one to load (0)\n"
	"  --burst N      creates at a time, at most --resources (500)\n"
	"  --limit N      resources in a page (500)\n"
	"  --path PATH    to fetch\n"
	"  --how HOW      blobs are pushed: post-put, or post (one request)\n"
	"\n"
	"With https the authority is that of the system, or in the file of SSL_CERT_FILE.\n"
	"The exit status is 3 where the server lacks what the workload needs.\n";

static int set_unsigned(unsigned *ret, const char *name, size_t max, struct error *err)
{
	size_t n;

	if (load_number(&n, name, max, err) != 0)
		return -1;
	*ret = (unsigned)n;
	return 0;
}

static int set_option(struct api_options *o, int option, struct error *err)
{
	switch (option) {
	case 'u':
		return target_parse(&o->target, optarg, err);
	case 'a':
		return target_authorize(&o->target, optarg, err);
	case 'c':
		return set_unsigned(&o->clients, "clients", CLIENTS_MAX, err);
	case 't':
		return set_unsigned(&o->threads, "threads", 64, err);
	case 's':
		o->seconds = strtod(optarg, NULL);
		if (o->seconds > 0 && o->seconds <= 3600)
			return 0;
		return error_set(err, ERROR_INVALID, "--seconds must be more than 0, up to 3600");
	case 'r':
		return load_number(&o->resources, "resources", INTENT_NUMBERS, err);
	case 'f':
		return load_number(&o->first, "first", INTENT_NUMBERS, err);
	case 'b':
		return load_number(&o->burst, "burst", INTENT_NUMBERS, err);
	case 'l':
		return load_number(&o->limit, "limit", INTENT_NUMBERS, err);
	case 'p':
		o->path = optarg;
		return 0;
	case 'h':
		o->how = optarg;
		return 0;
	default:
		return error_set(err, ERROR_INVALID, "%s", usage);
	}
}

static int parse_options(struct api_options *o, int argc, char **argv, struct error *err)
{
	static const struct option known[] = {
		{"url", required_argument, NULL, 'u'},
		{"token-file", required_argument, NULL, 'a'},
		{"clients", required_argument, NULL, 'c'},
		{"threads", required_argument, NULL, 't'},
		{"seconds", required_argument, NULL, 's'},
		{"resources", required_argument, NULL, 'r'},
		{"first", required_argument, NULL, 'f'},
		{"burst", required_argument, NULL, 'b'},
		{"limit", required_argument, NULL, 'l'},
		{"path", required_argument, NULL, 'p'},
		{"how", required_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	int option;

	while ((option = getopt_long(argc, argv, "", known, NULL)) >= 0)
		if (set_option(o, option, err) != 0)
			return -1;
	if (o->burst > o->resources)
		o->burst = o->resources;
	return 0;
}

static const struct workload *find_workload(const char *name)
{
	for (size_t i = 0; name != NULL && i < ARRAY_SIZE(workloads); i++)
		if (strcmp(workloads[i].name, name) == 0)
			return &workloads[i];
	return NULL;
}

int main(int argc, char **argv)
{
	struct api_options options = {.clients = 64,
		.threads = 1,
		.seconds = 5,
		.resources = 1000,
		.burst = 500,
		.limit = 500,
		.path = "/",
		.how = "post-put"};
	const struct workload *workload = find_workload(argc > 1 ? argv[1] : NULL);
	struct error err = ERROR_INIT;
	int rc;

	if (workload == NULL) {
		fputs(usage, stderr);
		return 2;
	}
	digest_setup();
	rc = parse_options(&options, argc - 1, argv + 1, &err);
	if (rc == 0)
		rc = workload->run(workload->name, &options, &err);
	target_done(&options.target);
	if (rc == 0)
		return 0;
	fprintf(stderr, "api-load: %s\n", err.text);
	return err.code == ERROR_NOT_IMPLEMENTED ? 3 : 1;
}
