/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Drives a remote registry through the interface that the program uses: reads a command a line from
 * standard input and answers each with one line, "ok ..." or "error CODE RETRY_AFTER TEXT".
 *
 *   registry_probe LOCATION [DOCKER_CONFIG [CA_FILE [TIMEOUT_MS [RETRIES]]]]   ("-": not given)
 */
#include <signal.h>
#include <stdio.h>

#include "oci/manifest.h"
#include "registry/remote.h"

#define WORDS_MAX 8
#define BATCH_MAX 10000
#define NAME_SIZE (LIMIT_REPOSITORY + 1)
#define LIST_MAX (4 * MIB)

/* An artifact whose only layer is a text: config, layer and manifest as a resource has them. */
struct artifact {
	struct push_blob blobs[2];
	struct buf manifest;
	struct digest digest;
	const char *repository;
};

static void artifact_init(struct artifact *a, const char *repository, struct slice text)
{
	struct oci_manifest_draft draft = {.artifact_type = "application/vnd.example.probe"};

	a->blobs[0] = (struct push_blob){digest_of(OCI_EMPTY), OCI_EMPTY};
	a->blobs[1] = (struct push_blob){digest_of(text), text};
	draft.config = (struct oci_descriptor){OCI_MEDIA_EMPTY, a->blobs[0].digest, 2, 0, NULL};
	draft.layer = (struct oci_descriptor){"text/plain", a->blobs[1].digest, text.n, 0, NULL};
	buf_init(&a->manifest, LIMIT_MANIFEST);
	oci_manifest_write(&draft, &a->manifest);
	a->digest = digest_of(buf_slice(&a->manifest));
	a->repository = repository;
}

static struct push push_of(const struct artifact *a, const char *tag)
{
	return (struct push){
		.repository = a->repository,
		.tag = tag,
		.media_type = OCI_MEDIA_MANIFEST,
		.manifest = buf_slice(&a->manifest),
		.digest = a->digest,
		.n_blobs = ARRAY_SIZE(a->blobs),
		.blobs = a->blobs,
	};
}

static int print_digest(const struct digest *digest)
{
	char text[DIGEST_TEXT_SIZE];

	printf("ok %s\n", digest_format(digest, text));
	return 0;
}

/* ---- commands; words[0] is the command itself ---- */

static int push_one(struct registry *r, struct artifact *a, struct push *push, struct error *err)
{
	registry_push(r, push, 1);
	*err = push->err;
	buf_done(&a->manifest);
	return err->code == ERROR_NONE ? print_digest(&a->digest) : -1;
}

/* put REPOSITORY TAG TEXT; put-careful: look whether the tag exists */
static int do_put(struct registry *r, char **words, struct error *err)
{
	struct artifact a;
	struct push push;

	artifact_init(&a, words[1], slice_of(words[3]));
	push = push_of(&a, words[2]);
	push.tag_is_new = true;
	push.tag_may_exist = strcmp(words[0], "put-careful") == 0;
	return push_one(r, &a, &push, err);
}

/* put-digest REPOSITORY TEXT */
static int do_put_digest(struct registry *r, char **words, struct error *err)
{
	struct artifact a;
	struct push push;

	artifact_init(&a, words[1], slice_of(words[2]));
	push = push_of(&a, NULL);
	return push_one(r, &a, &push, err);
}

/* put-large REPOSITORY TAG BYTES */
static int do_put_large(struct registry *r, char **words, struct error *err)
{
	size_t n = strtoul(words[3], NULL, 10);
	AUTO_FREE char *bytes = calloc(1, n);
	struct artifact a;
	struct push push;

	if (bytes == NULL)
		return error_no_memory(err);
	artifact_init(&a, words[1], (struct slice){bytes, n});
	push = push_of(&a, words[2]);
	push.tag_is_new = true;
	return push_one(r, &a, &push, err);
}

/* move REPOSITORY TAG TEXT: to the artifact that was put with this text */
static int do_move(struct registry *r, char **words, struct error *err)
{
	struct artifact a;
	struct push push;

	artifact_init(&a, words[1], slice_of(words[3]));
	push = push_of(&a, words[2]);
	push.n_blobs = 0;
	return push_one(r, &a, &push, err);
}

/* ---- batches: COUNT REPOSITORY TAG, where a # stands for 0, 1, ... ---- */

static char names[BATCH_MAX][NAME_SIZE], tags[BATCH_MAX][NAME_SIZE];

static void number_name(char ret[NAME_SIZE], const char *pattern, size_t i)
{
	size_t n = strcspn(pattern, "#");

	if (pattern[n] == '\0')
		snprintf(ret, NAME_SIZE, "%s", pattern);
	else
		snprintf(ret, NAME_SIZE, "%.*s%zu%s", (int)n, pattern, i, pattern + n + 1);
}

/* Fills names and tags. */
static size_t number_names(char **words)
{
	size_t n = strtoul(words[1], NULL, 10);

	ASSERT(n <= BATCH_MAX);
	for (size_t i = 0; i < n; i++) {
		number_name(names[i], words[2], i);
		number_name(tags[i], words[3], i);
	}
	return n;
}

/* put-many: artifacts whose text is their repository */
static int do_put_many(struct registry *r, char **words, struct error *err)
{
	static struct artifact artifacts[BATCH_MAX];
	static struct push pushes[BATCH_MAX];
	size_t n = number_names(words), failed = 0;

	for (size_t i = 0; i < n; i++) {
		artifact_init(&artifacts[i], names[i], slice_of(names[i]));
		pushes[i] = push_of(&artifacts[i], tags[i]);
		pushes[i].tag_is_new = true;
	}
	registry_push(r, pushes, n);
	for (size_t i = 0; i < n; i++) {
		if (pushes[i].err.code != ERROR_NONE) {
			*err = pushes[i].err;
			failed++;
		}
		buf_done(&artifacts[i].manifest);
	}
	if (failed > 0)
		return error_wrap(err, "%zu of %zu failed", failed, n);
	printf("ok %zu\n", n);
	return 0;
}

/* look-many: answers each with a word, the digest or the name of its error */
static int do_look_many(struct registry *r, char **words, struct error *err UNUSED)
{
	static struct look looks[BATCH_MAX];
	size_t n = number_names(words);
	char text[DIGEST_TEXT_SIZE];

	for (size_t i = 0; i < n; i++)
		looks[i] = (struct look){.repository = names[i], .tag = tags[i]};
	registry_look(r, looks, n);
	printf("ok");
	for (size_t i = 0; i < n; i++)
		printf(" %s", looks[i].err.code == ERROR_NONE
				      ? digest_format(&looks[i].digest, text)
				      : error_name(looks[i].err.code));
	printf("\n");
	return 0;
}

/* pull-many: answers each with a word, DIGEST=TEXT or the name of its error */
static int do_pull_many(struct registry *r, char **words, struct error *err UNUSED)
{
	static struct pull pulls[BATCH_MAX];
	size_t n = number_names(words);
	char text[DIGEST_TEXT_SIZE];

	for (size_t i = 0; i < n; i++)
		pulls[i] = (struct pull){
			.repository = names[i],
			.reference = tags[i],
			.manifest = BUF_INIT(LIMIT_MANIFEST),
			.layer = BUF_INIT(LIST_MAX),
		};
	registry_pull(r, pulls, n);
	printf("ok");
	for (size_t i = 0; i < n; i++) {
		if (pulls[i].err.code == ERROR_NONE)
			printf(" %s=%s", digest_format(&pulls[i].digest, text),
				pulls[i].layer.data);
		else
			printf(" %s", error_name(pulls[i].err.code));
		buf_done(&pulls[i].manifest);
		buf_done(&pulls[i].layer);
	}
	printf("\n");
	return 0;
}

/* ---- single reads ---- */

static int do_resolve(struct registry *r, char **words, struct error *err)
{
	struct digest digest;

	if (registry_resolve(r, words[1], words[2], &digest, err) != 0)
		return -1;
	return print_digest(&digest);
}

static int do_manifest(struct registry *r, char **words, struct error *err)
{
	CLEANUP(buf_done) struct buf manifest = BUF_INIT(LIMIT_MANIFEST);
	struct digest digest;

	if (registry_manifest(r, words[1], words[2], &manifest, &digest, err) != 0)
		return -1;
	return print_digest(&digest);
}

/* blob REPOSITORY TEXT MAXIMUM: reads the text back */
static int do_blob(struct registry *r, char **words, struct error *err)
{
	CLEANUP(buf_done) struct buf blob = BUF_INIT(strtoul(words[3], NULL, 10));
	struct digest digest = digest_of(slice_of(words[2]));

	if (registry_blob(r, words[1], &digest, &blob, err) != 0)
		return -1;
	printf("ok %s\n", blob.data);
	return 0;
}

static int collect(struct slice item, void *arg, struct error *err)
{
	struct buf *list = arg;

	buf_putc(list, ' ');
	buf_add(list, item);
	return buf_check(list, err);
}

static int do_tags(struct registry *r, char **words, struct error *err)
{
	CLEANUP(buf_done) struct buf list = BUF_INIT(LIST_MAX);

	if (registry_tags(r, words[1], NULL, collect, &list, err) != 0)
		return -1;
	printf("ok%s\n", list.data == NULL ? "" : list.data);
	return 0;
}

struct some {
	struct buf list;
	size_t left;
};

static int collect_some(struct slice item, void *arg, struct error *err)
{
	struct some *some = arg;

	if (collect(item, &some->list, err) != 0)
		return -1;
	return --some->left > 0 ? 0 : error_set(err, ERROR_EXPECTATION, "that is enough");
}

/* tags-after REPOSITORY TAG NUMBER: so many of them, then it ends the listing */
static int do_tags_after(struct registry *r, char **words, struct error *err)
{
	struct some some = {BUF_INIT(LIST_MAX), strtoul(words[3], NULL, 10)};
	int rc = registry_tags(r, words[1], words[2], collect_some, &some, err);

	if (rc == 0 || some.left == 0) {
		printf("ok%s\n", some.list.data == NULL ? "" : some.list.data);
		rc = 0;
	}
	buf_done(&some.list);
	return rc;
}

static int do_repositories(struct registry *r, char **words UNUSED, struct error *err)
{
	CLEANUP(buf_done) struct buf list = BUF_INIT(LIST_MAX);

	if (registry_repositories(r, collect, &list, err) != 0)
		return -1;
	printf("ok%s\n", list.data == NULL ? "" : list.data);
	return 0;
}

static int do_delete(struct registry *r, char **words, struct error *err)
{
	if (registry_delete_tag(r, words[1], words[2], err) != 0)
		return -1;
	printf("ok\n");
	return 0;
}

static const struct {
	const char *name;
	unsigned n_arguments;
	int (*run)(struct registry *r, char **words, struct error *err);
} commands[] = {
	{"put", 3, do_put},
	{"put-careful", 3, do_put},
	{"put-digest", 2, do_put_digest},
	{"put-large", 3, do_put_large},
	{"put-many", 3, do_put_many},
	{"look-many", 3, do_look_many},
	{"pull-many", 3, do_pull_many},
	{"move", 3, do_move},
	{"resolve", 2, do_resolve},
	{"manifest", 2, do_manifest},
	{"blob", 3, do_blob},
	{"tags", 1, do_tags},
	{"tags-after", 3, do_tags_after},
	{"repositories", 0, do_repositories},
	{"delete", 2, do_delete},
};

static int run_command(struct registry *r, char **words, unsigned n_words, struct error *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		if (strcmp(words[0], commands[i].name) == 0 &&
			n_words == commands[i].n_arguments + 1)
			return commands[i].run(r, words, err);
	}
	return error_set(err, ERROR_INVALID, "no such command, or not with %u words", n_words);
}

static void run_line(struct registry *r, char *line)
{
	char *words[WORDS_MAX], *rest = NULL;
	struct error err = ERROR_INIT;
	unsigned n = 0;

	for (char *word = strtok_r(line, " \n", &rest); word != NULL && n < WORDS_MAX;
		word = strtok_r(NULL, " \n", &rest))
		words[n++] = word;
	if (n > 0 && run_command(r, words, n, &err) != 0)
		printf("error %s %u %s\n", error_name(err.code), err.retry_after_s, err.text);
	fflush(stdout);
}

static const char *argument(char **argv, int argc, int i)
{
	return i < argc && strcmp(argv[i], "-") != 0 ? argv[i] : NULL;
}

static unsigned number(char **argv, int argc, int i, unsigned otherwise)
{
	const char *text = argument(argv, argc, i);

	return text == NULL ? otherwise : (unsigned)strtoul(text, NULL, 10);
}

int main(int argc, char **argv)
{
	CLEANUP(registry_freep) struct registry *r = NULL;
	struct remote_options options = {
		.location = argument(argv, argc, 1),
		.docker_config = argument(argv, argc, 2),
		.ca_file = argument(argv, argc, 3),
		.timeout_ms = number(argv, argc, 4, 0),
		.retries = number(argv, argc, 5, (unsigned)-1),
	};
	struct error err = ERROR_INIT;
	AUTO_FREE char *line = NULL;
	size_t size = 0;

	signal(SIGPIPE, SIG_IGN);
	digest_setup();
	if (options.location == NULL || remote_new(&r, &options, &err) != 0) {
		fprintf(stderr, "%s\n", err.text);
		return EXIT_FAILURE;
	}
	while (getline(&line, &size, stdin) > 0)
		run_line(r, line);
	return EXIT_SUCCESS;
}
