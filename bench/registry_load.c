/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The load of bench/registry: one workload against one registry, one line of JSON.
 *
 * It shares the machine with the registry, so whatever can be done before the clock starts is:
 * contents are one block of random bytes for all, told apart by a number that is put before it as
 * it is sent, and their digests are known beforehand; so are the manifests. A wrong status or
 * length is an error, and one error ends the run and makes the exit status 1.
 */
#include "base/base.h"
#include "base/buf.h"
#include "bench/load_machine.h"
#include "bench/load_oci.h"
#include "bench/load_options.h"
#include "bench/load_run.h"
#include "oci/digest.h"
#include "oci/manifest.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <sys/random.h>

#define LAYER_SIZE 1024
#define PATH_SIZE 512
#define CLIENTS_MAX 1024

#define CONFIG_TYPE "application/vnd.bench.config.v1+json"
#define LAYER_TYPE "application/vnd.bench.layer.v1"

struct options {
	struct target target;
	const char *dir;
	unsigned clients;
	double seconds;
	size_t count, size, blobs, names;
};

/* Told apart from those of every other run. */
struct run_id {
	uint64_t value;
};

static struct run_id new_run_id(void)
{
	struct run_id id;

	ASSERT(getrandom(&id.value, sizeof(id.value), 0) == (ssize_t)sizeof(id.value));
	return id;
}

/* ---- blobs ---- */

struct blob_mark {
	uint64_t run, number;
};

struct blobs {
	size_t n, size; /* each: at least a mark */
	struct run_id run;
	unsigned repositories; /* bench/blobs0 and so on, by turns */
	char *block;
	char (*digests)[DIGEST_TEXT_SIZE];
};

static void blobs_done(struct blobs *b)
{
	free(b->block);
	free(b->digests);
}

/* The content of blob i, in two parts; mark must last as long as they. */
static void blob_content(
	const struct blobs *b, size_t i, struct blob_mark *mark, struct slice ret[2])
{
	*mark = (struct blob_mark){b->run.value, i};
	ret[0] = (struct slice){(const char *)mark, sizeof(*mark)};
	ret[1] = (struct slice){b->block, b->size - sizeof(*mark)};
}

static int hash_blob(const struct blobs *b, size_t i, struct error *err)
{
	CLEANUP(hasher_done) struct hasher h = {0};
	struct blob_mark mark;
	struct slice content[2];
	struct digest digest;

	if (hasher_init(&h, DIGEST_SHA256, err) != 0)
		return -1;
	blob_content(b, i, &mark, content);
	hasher_update(&h, content[0]);
	hasher_update(&h, content[1]);
	digest = hasher_finish(&h);
	digest_format(&digest, b->digests[i]);
	return 0;
}

static int random_fill(char *p, size_t n, struct error *err)
{
	while (n > 0) {
		ssize_t got = getrandom(p, n < MIB ? n : MIB, 0);

		if (got < 0 && errno != EINTR)
			return error_set_errno(err, errno, "cannot get random bytes");
		if (got > 0) {
			p += got;
			n -= (size_t)got;
		}
	}
	return 0;
}

static int blobs_init(
	struct blobs *b, size_t n, size_t size, unsigned repositories, struct error *err)
{
	ASSERT(size > sizeof(struct blob_mark));
	*b = (struct blobs){
		.n = n, .size = size, .run = new_run_id(), .repositories = repositories};
	b->block = malloc(size);
	b->digests = calloc(n, sizeof(b->digests[0]));
	if (b->block == NULL || b->digests == NULL)
		return error_no_memory(err);
	if (random_fill(b->block, size, err) != 0)
		return -1;
	for (size_t i = 0; i < n; i++)
		if (hash_blob(b, i, err) != 0)
			return -1;
	return 0;
}

static void blob_repository(const struct blobs *b, size_t i, char ret[PATH_SIZE])
{
	snprintf(ret, PATH_SIZE, "bench/blobs%zu", i % b->repositories);
}

static int push_blob(struct conn *c, size_t i, void *arg, uint64_t *bytes, struct error *err)
{
	const struct blobs *b = arg;
	char repository[PATH_SIZE];
	struct blob_mark mark;
	struct slice content[2];

	blob_repository(b, i, repository);
	blob_content(b, i, &mark, content);
	if (put_blob(c, repository, b->digests[i], content, err) != 0)
		return -1;
	*bytes += b->size;
	return 0;
}

static int get_blob(struct conn *c, const struct blobs *b, size_t i,
	void (*part)(void *arg, struct slice bytes), void *arg, struct error *err)
{
	char path[PATH_SIZE], repository[PATH_SIZE / 2];
	struct request get = {
		.method = "GET", .path = path, .status = 200, .body_part = part, .arg = arg};
	struct answer answer;

	snprintf(repository, sizeof(repository), "bench/blobs%zu", i % b->repositories);
	snprintf(path, sizeof(path), "/v2/%s/blobs/%s", repository, b->digests[i]);
	if (conn_ask(c, &get, &answer, err) != 0)
		return -1;
	if (answer.length != b->size)
		return error_set(err, ERROR_UNPROCESSABLE, "GET %s: %llu bytes in place of %zu",
			path, (unsigned long long)answer.length, b->size);
	return 0;
}

static int pull_blob(struct conn *c, size_t i, void *arg, uint64_t *bytes, struct error *err)
{
	const struct blobs *b = arg;

	if (get_blob(c, b, i % b->n, NULL, NULL, err) != 0)
		return -1;
	*bytes += b->size;
	return 0;
}

static void hash_part(void *arg, struct slice bytes)
{
	hasher_update(arg, bytes);
}

static int check_blob(
	struct conn *c, size_t i, void *arg, uint64_t *bytes UNUSED, struct error *err)
{
	CLEANUP(hasher_done) struct hasher h = {0};
	const struct blobs *b = arg;
	char text[DIGEST_TEXT_SIZE];
	struct digest digest;

	if (hasher_init(&h, DIGEST_SHA256, err) != 0 || get_blob(c, b, i, hash_part, &h, err) != 0)
		return -1;
	digest = hasher_finish(&h);
	if (strcmp(digest_format(&digest, text), b->digests[i]) == 0)
		return 0;
	return error_set(err, ERROR_UNPROCESSABLE, "blob %s came back as %s", b->digests[i], text);
}

/* ---- artifacts ---- */

struct artifact {
	char config[64], config_digest[DIGEST_TEXT_SIZE];
	char manifest[768];
};

struct artifacts {
	struct blobs layers;
	size_t repositories; /* bench/r0000 and so on, by turns */
	struct artifact *list;
};

static void artifacts_done(struct artifacts *a)
{
	blobs_done(&a->layers);
	free(a->list);
}

static void write_manifest(struct artifact *a, const char *layer_digest, size_t layer_size)
{
	int n = snprintf(a->manifest, sizeof(a->manifest),
		"{\"schemaVersion\":2,\"mediaType\":\"" OCI_MEDIA_MANIFEST "\",\"config\":{"
		"\"mediaType\":\"" CONFIG_TYPE "\",\"digest\":\"%s\",\"size\":%zu},"
		"\"layers\":[{\"mediaType\":\"" LAYER_TYPE "\",\"digest\":\"%s\",\"size\":%zu}]}",
		a->config_digest, strlen(a->config), layer_digest, layer_size);

	ASSERT(n > 0 && (size_t)n < sizeof(a->manifest));
}

static void make_config(struct artifact *a, struct run_id run, size_t i)
{
	struct digest digest;

	snprintf(a->config, sizeof(a->config), "{\"run\":\"%016llx\",\"number\":%zu}",
		(unsigned long long)run.value, i);
	digest = digest_of(slice_of(a->config));
	digest_format(&digest, a->config_digest);
}

static int artifacts_init(struct artifacts *a, size_t n, size_t repositories, struct error *err)
{
	*a = (struct artifacts){.repositories = repositories};
	if (blobs_init(&a->layers, n, LAYER_SIZE, 1, err) != 0)
		return -1;
	a->list = calloc(n, sizeof(a->list[0]));
	if (a->list == NULL)
		return error_no_memory(err);
	for (size_t i = 0; i < n; i++) {
		make_config(&a->list[i], a->layers.run, i);
		write_manifest(&a->list[i], a->layers.digests[i], LAYER_SIZE);
	}
	return 0;
}

static int push_artifact(struct conn *c, size_t i, void *arg, uint64_t *bytes, struct error *err)
{
	const struct artifacts *all = arg;
	const struct artifact *a = &all->list[i];
	const struct slice config[2] = {slice_of(a->config), SLICE_NONE};
	char repository[PATH_SIZE], tag[64];
	struct blob_mark mark;
	struct slice layer[2];

	snprintf(repository, sizeof(repository), "bench/r%04zu", i % all->repositories);
	snprintf(tag, sizeof(tag), "t%016llx-%zu", (unsigned long long)all->layers.run.value, i);
	blob_content(&all->layers, i, &mark, layer);
	if (put_blob(c, repository, a->config_digest, config, err) != 0 ||
		put_blob(c, repository, all->layers.digests[i], layer, err) != 0 ||
		put_manifest(c, repository, tag, slice_of(a->manifest), err) != 0)
		return -1;
	*bytes += strlen(a->config) + LAYER_SIZE + strlen(a->manifest);
	return 0;
}

/* ---- lists ---- */

#define TAGS_REPOSITORY "bench/tags"

struct list {
	const char *path;
	struct slice mark; /* what each name that counts begins with, quote included */
	size_t n;          /* names that there are to be */
	uint64_t length;   /* of all pages, once they were checked */
	struct artifact tiny;
};

static void add_page(void *arg, struct slice bytes)
{
	buf_add(arg, bytes);
}

/* The whole listing, page after page; its text is appended to *text unless that is NULL. */
static int fetch_list(struct conn *c, const struct list *list, struct buf *text,
	uint64_t *ret_length, struct error *err)
{
	char path[ANSWER_HEADER_SIZE];
	struct request get = {.method = "GET",
		.path = path,
		.status = 200,
		.body_part = text == NULL ? NULL : add_page,
		.arg = text};
	struct answer answer;
	uint64_t length = 0;

	snprintf(path, sizeof(path), "%s", list->path);
	do {
		if (conn_ask(c, &get, &answer, err) != 0)
			return -1;
		length += answer.length;
		memcpy(path, answer.next, sizeof(path));
	} while (path[0] != '\0');
	*ret_length = length;
	return 0;
}

static size_t count_marks(struct slice text, struct slice mark)
{
	const char *at = text.p, *end = text.p + text.n;
	size_t n = 0;

	while (at != NULL && (at = memmem(at, (size_t)(end - at), mark.p, mark.n)) != NULL) {
		at += mark.n;
		n++;
	}
	return n;
}

/* How many names there are already; none where the repository is unknown. */
static int count_names(const struct options *o, struct list *list, size_t *ret, struct error *err)
{
	CLEANUP(conn_freep) struct conn *c = NULL;
	CLEANUP(buf_done) struct buf text = BUF_INIT(64 * MIB);
	if (conn_new(&c, &o->target, err) != 0)
		return -1;
	/* A registry may not know the repository yet. */
	if (fetch_list(c, list, &text, &list->length, err) != 0 && err->code != ERROR_UNPROCESSABLE)
		return -1;
	*ret = count_marks(buf_slice(&text), list->mark);
	return buf_check(&text, err);
}

static int fetch_whole(
	struct conn *c, size_t i UNUSED, void *arg, uint64_t *bytes, struct error *err)
{
	const struct list *list = arg;
	uint64_t length;

	if (fetch_list(c, list, NULL, &length, err) != 0)
		return -1;
	if (length != list->length)
		return error_set(err, ERROR_UNPROCESSABLE, "%s: %llu bytes in place of %llu",
			list->path, (unsigned long long)length, (unsigned long long)list->length);
	*bytes += length;
	return 0;
}

static int put_tiny(struct conn *c, const struct artifact *a, const char *repository,
	const char *tag, struct error *err)
{
	const struct slice config[2] = {slice_of(a->config), SLICE_NONE};

	if (put_blob(c, repository, a->config_digest, config, err) != 0)
		return -1;
	return put_manifest(c, repository, tag, slice_of(a->manifest), err);
}

static int add_repository(
	struct conn *c, size_t i, void *arg, uint64_t *bytes UNUSED, struct error *err)
{
	const struct list *list = arg;
	char repository[PATH_SIZE];

	snprintf(repository, sizeof(repository), "bench/r%04zu", i);
	return put_tiny(c, &list->tiny, repository, "latest", err);
}

static int add_tag(struct conn *c, size_t i, void *arg, uint64_t *bytes UNUSED, struct error *err)
{
	const struct list *list = arg;
	char tag[64];

	snprintf(tag, sizeof(tag), "tag-%05zu", i);
	if (i == 0)
		return put_tiny(c, &list->tiny, TAGS_REPOSITORY, tag, err);
	return put_manifest(c, TAGS_REPOSITORY, tag, slice_of(list->tiny.manifest), err);
}

/* ---- the workloads ---- */

static int report(const char *name, const struct run *run, struct error *err)
{
	struct result result;

	if (run_all(run, &result, err) != 0)
		return -1;
	result_print(name, run->clients, &result);
	if (result.errors == 0)
		return 0;
	*err = result.err;
	return -1;
}

static struct run run_of(const struct options *o)
{
	return (struct run){.target = &o->target,
		.clients = o->clients,
		.seconds = o->seconds,
		.count = o->count};
}

static int artifact_push(const char *name, const struct options *o, struct error *err)
{
	CLEANUP(artifacts_done) struct artifacts artifacts = {0};
	struct run run = run_of(o);

	if (artifacts_init(&artifacts, o->count, o->names, err) != 0)
		return -1;
	run.operation = push_artifact;
	run.arg = &artifacts;
	return report(name, &run, err);
}

static int blob_push(const char *name, const struct options *o, struct error *err)
{
	CLEANUP(blobs_done) struct blobs blobs = {0};
	struct run run = run_of(o);

	if (blobs_init(&blobs, o->count, o->size, o->clients, err) != 0)
		return -1;
	run.operation = push_blob;
	run.arg = &blobs;
	return report(name, &run, err);
}

/* Each blob is pulled once before the clock starts, and its digest checked. */
static int blob_pull(const char *name, const struct options *o, struct error *err)
{
	CLEANUP(blobs_done) struct blobs blobs = {0};
	struct run run = run_of(o), before = run_of(o);

	if (blobs_init(&blobs, o->blobs, o->size, o->clients, err) != 0)
		return -1;
	before.count = o->blobs;
	before.seconds = 3600;
	before.arg = run.arg = &blobs;
	before.operation = push_blob;
	if (run_before(&before, err) != 0)
		return -1;
	before.operation = check_blob;
	if (run_before(&before, err) != 0)
		return -1;
	run.operation = pull_blob;
	return report(name, &run, err);
}

/* The first alone, since the others may need what it brings. */
static int add_names(struct run *run, const struct list *list, struct error *err)
{
	run->count = 1;
	if (run_before(run, err) != 0)
		return -1;
	run->count = list->n;
	return run_before(run, err);
}

/* Makes what is to be listed, unless an earlier run has. */
static int listing(const char *name, const struct options *o, struct list *list,
	int (*add)(struct conn *c, size_t i, void *arg, uint64_t *bytes, struct error *err),
	struct error *err)
{
	struct run run = run_of(o), before = run_of(o);
	size_t n = 0;

	make_config(&list->tiny, (struct run_id){0}, 0);
	write_manifest(&list->tiny, list->tiny.config_digest, strlen(list->tiny.config));
	list->n = o->names;
	before.seconds = 3600;
	before.operation = add;
	before.arg = run.arg = list;
	if (count_names(o, list, &n, err) != 0)
		return -1;
	if (n < list->n &&
		(add_names(&before, list, err) != 0 || count_names(o, list, &n, err) != 0))
		return -1;
	if (n != list->n)
		return error_set(err, ERROR_UNPROCESSABLE, "%s has %zu names of %zu", list->path, n,
			list->n);
	run.operation = fetch_whole;
	return report(name, &run, err);
}

static int catalog(const char *name, const struct options *o, struct error *err)
{
	struct list list = {.path = "/v2/_catalog", .mark = SLICE("\"bench/r")};

	return listing(name, o, &list, add_repository, err);
}

static int tags(const char *name, const struct options *o, struct error *err)
{
	struct list list = {.path = "/v2/" TAGS_REPOSITORY "/tags/list", .mark = SLICE("\"tag-")};

	return listing(name, o, &list, add_tag, err);
}

static int machine(const char *name UNUSED, const struct options *o, struct error *err)
{
	return machine_limits(o->dir, o->seconds, err);
}

static const struct workload {
	const char *name;
	int (*run)(const char *name, const struct options *o, struct error *err);
} workloads[] = {
	{"artifact-push", artifact_push},
	{"blob-push", blob_push},
	{"blob-pull", blob_pull},
	{"catalog", catalog},
	{"tags", tags},
	{"machine", machine},
};

/* ---- the command line ---- */

static const char usage[] =
	"usage: registry-load WORKLOAD --url http://ADDRESS:PORT [options]\n"
	"\n"
	"  artifact-push  config, layer of 1 KiB, manifest and tag; a repository each\n"
	"  blob-push      POST and PUT of blobs\n"
	"  blob-pull      GET of blobs, which are pushed and verified before\n"
	"  catalog, tags  a whole listing, page after page; the names are pushed before\n"
	"  machine        what the machine can do: needs --dir in place of --url\n"
	"\n"
	"  --clients N    connections, each with its thread (4)\n"
	"  --seconds N    when to stop (5)\n"
	"  --count N      operations after which to stop (10000)\n"
	"  --size BYTES   of a blob (1048576)\n"
	"  --blobs N      distinct blobs to pull (16)\n"
	"  --names N      repositories or tags to list, repositories to push artifacts to (10000)\n"
	"  --dir DIR      a folder on the disk to measure\n";

static int set_option(struct options *o, int option, struct error *err)
{
	size_t n = 0;

	switch (option) {
	case 'u':
		return target_parse(&o->target, optarg, err);
	case 'd':
		o->dir = optarg;
		return 0;
	case 'c':
		if (load_number(&n, "clients", CLIENTS_MAX, err) != 0)
			return -1;
		o->clients = (unsigned)n;
		return 0;
	case 's':
		if (load_number(&n, "seconds", 3600, err) != 0)
			return -1;
		o->seconds = (double)n;
		return 0;
	case 'n':
		return load_number(&o->count, "count", 10000000, err);
	case 'z':
		if (load_number(&o->size, "size", 1024 * MIB, err) != 0)
			return -1;
		if (o->size <= sizeof(struct blob_mark))
			return error_set(err, ERROR_INVALID, "--size must be more than %zu",
				sizeof(struct blob_mark));
		return 0;
	case 'b':
		return load_number(&o->blobs, "blobs", 100000, err);
	case 'm':
		return load_number(&o->names, "names", 100000, err);
	default:
		return error_set(err, ERROR_INVALID, "%s", usage);
	}
}

static int parse_options(struct options *o, int argc, char **argv, struct error *err)
{
	static const struct option known[] = {
		{"url", required_argument, NULL, 'u'},
		{"dir", required_argument, NULL, 'd'},
		{"clients", required_argument, NULL, 'c'},
		{"seconds", required_argument, NULL, 's'},
		{"count", required_argument, NULL, 'n'},
		{"size", required_argument, NULL, 'z'},
		{"blobs", required_argument, NULL, 'b'},
		{"names", required_argument, NULL, 'm'},
		{NULL, 0, NULL, 0},
	};
	int option;

	while ((option = getopt_long(argc, argv, "", known, NULL)) >= 0)
		if (set_option(o, option, err) != 0)
			return -1;
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
	struct options options = {.clients = 4,
		.seconds = 5,
		.count = 10000,
		.size = 1 * MIB,
		.blobs = 16,
		.names = 10000};
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
	fprintf(stderr, "registry-load: %s\n", err.text);
	return 1;
}
