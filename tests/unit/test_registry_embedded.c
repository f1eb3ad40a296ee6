/* SPDX-License-Identifier: Apache-2.0 */
/* The publisher's view: struct registry on the embedded store. */
#include "store_fixture.h"

#include "registry/embedded.h"

#include <pthread.h>

#define REPOSITORY "gitops-squared/resources/default/web"

struct fixture {
	char dir[64];
	struct embedded *embedded;
	struct registry *registry;
};

static void open_it(struct fixture *f)
{
	struct error err = ERROR_INIT;

	assert_ok(embedded_new(&f->embedded, f->dir, &err));
	assert_ok(embedded_registry(&f->registry, f->embedded, &err));
}

static void close_it(struct fixture *f)
{
	registry_free(f->registry);
	embedded_free(f->embedded);
}

static int setup(void **state)
{
	struct fixture *f = test_malloc(sizeof(*f));

	digest_setup();
	make_folder(f->dir);
	open_it(f);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	close_it(f);
	remove_folder(f->dir);
	test_free(f);
	return 0;
}

static void push_all(struct fixture *f, struct push *pushes, size_t n)
{
	struct error err = ERROR_INIT;

	assert_ok(registry_begin(f->registry, &err));
	registry_push(f->registry, pushes, n);
	for (size_t i = 0; i < n; i++)
		if (pushes[i].err.code != ERROR_NONE)
			fail_msg("%s", pushes[i].err.text);
	assert_ok(registry_commit(f->registry, &err));
}

static void a_push_is_there_after_commit_and_restart(void **state)
{
	struct fixture *f = *state;
	struct error err = ERROR_INIT;
	CLEANUP(artifact_done) struct artifact a;
	CLEANUP(buf_done) struct buf manifest = BUF_INIT(LIMIT_MANIFEST);
	CLEANUP(buf_done) struct buf layer = BUF_INIT(KIB);
	struct push push;
	struct digest got;

	artifact_init(&a, SLICE("kind: PlatformResource\n"), NULL);
	push = artifact_push(&a, REPOSITORY, "v1");
	assert_true(f->registry->atomic);
	push_all(f, &push, 1);
	close_it(f);
	open_it(f);
	assert_ok(registry_resolve(f->registry, REPOSITORY, "v1", &got, &err));
	assert_true(digest_eq(&got, &a.digest));
	assert_ok(registry_manifest(f->registry, REPOSITORY, "v1", &manifest, &got, &err));
	assert_true(slice_eq(buf_slice(&manifest), buf_slice(&a.manifest)));
	assert_ok(registry_blob(f->registry, REPOSITORY, &a.blobs[1].digest, &layer, &err));
	assert_slice(buf_slice(&layer), "kind: PlatformResource\n");
}

static void reads_see_the_transaction_and_rollback_undoes_it(void **state)
{
	struct fixture *f = *state;
	struct error err = ERROR_INIT;
	CLEANUP(artifact_done) struct artifact a;
	struct push push;
	struct digest got;

	artifact_init(&a, SLICE("layer"), NULL);
	push = artifact_push(&a, REPOSITORY, "v1");
	assert_ok(registry_begin(f->registry, &err));
	registry_push(f->registry, &push, 1);
	assert_int_equal(push.err.code, ERROR_NONE);
	assert_ok(registry_resolve(f->registry, REPOSITORY, "v1", &got, &err));
	registry_rollback(f->registry);
	assert_refused(
		registry_resolve(f->registry, REPOSITORY, "v1", &got, &err), ERROR_NOT_FOUND);
}

static void a_conflict_fails_that_push_and_no_other(void **state)
{
	struct fixture *f = *state;
	struct error err = ERROR_INIT;
	CLEANUP(artifact_done) struct artifact one, two, three;
	CLEANUP(buf_done) struct buf layer = BUF_INIT(KIB);
	struct push pushes[3];
	struct digest got;

	artifact_init(&one, SLICE("one"), NULL);
	artifact_init(&two, SLICE("two"), NULL);
	artifact_init(&three, SLICE("three"), NULL);
	pushes[0] = artifact_push(&one, REPOSITORY, "v1");
	pushes[0].tag_is_new = true;
	push_all(f, pushes, 1);

	pushes[0] = artifact_push(&two, REPOSITORY, "latest");
	pushes[1] = artifact_push(&three, REPOSITORY, "v1");
	pushes[1].tag_is_new = true;
	pushes[2] = artifact_push(&two, "gitops-squared/catalog", "latest");
	assert_ok(registry_begin(f->registry, &err));
	registry_push(f->registry, pushes, 3);
	assert_int_equal(pushes[0].err.code, ERROR_NONE);
	assert_int_equal(pushes[1].err.code, ERROR_CONFLICT);
	assert_int_equal(pushes[2].err.code, ERROR_NONE);
	assert_ok(registry_commit(f->registry, &err));

	assert_ok(registry_resolve(f->registry, REPOSITORY, "v1", &got, &err));
	assert_true(digest_eq(&got, &one.digest));
	assert_ok(registry_resolve(f->registry, "gitops-squared/catalog", "latest", &got, &err));
	/* Not even its blob has stayed. */
	assert_refused(registry_blob(f->registry, REPOSITORY, &three.blobs[1].digest, &layer, &err),
		ERROR_NOT_FOUND);
}

static void a_tag_moves_to_a_stored_manifest_without_its_blobs(void **state)
{
	struct fixture *f = *state;
	struct error err = ERROR_INIT;
	CLEANUP(artifact_done) struct artifact a;
	struct push push;
	struct digest got;

	artifact_init(&a, SLICE("layer"), NULL);
	push = artifact_push(&a, REPOSITORY, "v1");
	push_all(f, &push, 1);
	push = artifact_push(&a, REPOSITORY, "latest");
	push.n_blobs = 0;
	push.blobs = NULL;
	push_all(f, &push, 1);
	assert_ok(registry_resolve(f->registry, REPOSITORY, "latest", &got, &err));
	assert_true(digest_eq(&got, &a.digest));
}

static void a_blob_above_the_border_comes_back_whole(void **state)
{
	struct fixture *f = *state;
	struct error err = ERROR_INIT;
	CLEANUP(artifact_done) struct artifact a;
	CLEANUP(buf_done) struct buf layer = BUF_INIT(5 * MIB);
	CLEANUP(buf_done) struct buf too_small = BUF_INIT(MIB);
	char *bytes = test_calloc(1, 5 * MIB);
	struct push push;

	memcpy(bytes + 3 * MIB, "mark", 4);
	artifact_init(&a, (struct slice){bytes, 5 * MIB}, NULL);
	push = artifact_push(&a, REPOSITORY, "v1");
	push_all(f, &push, 1);
	assert_ok(registry_blob(f->registry, REPOSITORY, &a.blobs[1].digest, &layer, &err));
	assert_int_equal(layer.len, 5 * MIB);
	assert_memory_equal(layer.data, bytes, 5 * MIB);
	assert_refused(registry_blob(f->registry, REPOSITORY, &a.blobs[1].digest, &too_small, &err),
		ERROR_TOO_LARGE);
	test_free(bytes);
}

static void a_manifest_goes_with_its_last_tag(void **state)
{
	struct fixture *f = *state;
	struct error err = ERROR_INIT;
	CLEANUP(artifact_done) struct artifact a;
	CLEANUP(buf_done) struct buf manifest = BUF_INIT(LIMIT_MANIFEST);
	char text[DIGEST_TEXT_SIZE];
	struct push push;
	struct digest got;

	artifact_init(&a, SLICE("layer"), NULL);
	push = artifact_push(&a, REPOSITORY, "v1");
	push_all(f, &push, 1);
	push = artifact_push(&a, REPOSITORY, "v2");
	push_all(f, &push, 1);
	assert_ok(registry_delete_tag(f->registry, REPOSITORY, "v1", &err));
	assert_refused(registry_delete_tag(f->registry, REPOSITORY, "v1", &err), ERROR_NOT_FOUND);
	assert_ok(registry_begin(f->registry, &err));
	assert_ok(registry_delete_tag(f->registry, REPOSITORY, "v2", &err));
	registry_rollback(f->registry);
	assert_ok(registry_manifest(
		f->registry, REPOSITORY, digest_format(&a.digest, text), &manifest, &got, &err));
	assert_ok(registry_begin(f->registry, &err));
	assert_ok(registry_delete_tag(f->registry, REPOSITORY, "v2", &err));
	assert_ok(registry_commit(f->registry, &err));
	assert_refused(
		registry_resolve(f->registry, REPOSITORY, "v2", &got, &err), ERROR_NOT_FOUND);
	assert_refused(registry_manifest(f->registry, REPOSITORY, digest_format(&a.digest, text),
			       &manifest, &got, &err),
		ERROR_NOT_FOUND);
}

struct deletion {
	struct registry *registry;
	size_t n;
};

static int delete_each(struct slice tag, void *arg, struct error *err)
{
	struct deletion *d = arg;

	d->n++;
	return registry_delete_tag(d->registry, REPOSITORY, tag.p, err);
}

static int count(struct slice name UNUSED, void *arg, struct error *err UNUSED)
{
	(*(size_t *)arg)++;
	return 0;
}

static int stop_at_once(struct slice name UNUSED, void *arg UNUSED, struct error *err)
{
	return error_set(err, ERROR_UNAVAILABLE, "enough");
}

static void more_tags_than_a_page_are_listed_and_may_be_deleted_meanwhile(void **state)
{
	enum { N = LIMIT_LIST_PAGE * 2 + 1 };
	struct fixture *f = *state;
	struct error err = ERROR_INIT;
	CLEANUP(artifact_done) struct artifact a;
	struct deletion d = {.registry = f->registry};
	size_t n = 0;

	artifact_init(&a, SLICE("layer"), NULL);
	assert_ok(registry_begin(f->registry, &err));
	for (unsigned i = 0; i < N; i++) {
		char tag[16];
		struct push push = artifact_push(&a, REPOSITORY, tag);

		snprintf(tag, sizeof(tag), "v%u", i);
		registry_push(f->registry, &push, 1);
		assert_int_equal(push.err.code, ERROR_NONE);
	}
	assert_ok(registry_commit(f->registry, &err));

	assert_refused(registry_tags(f->registry, REPOSITORY, NULL, stop_at_once, NULL, &err),
		ERROR_UNAVAILABLE);
	assert_ok(registry_tags(f->registry, REPOSITORY, NULL, count, &n, &err));
	assert_int_equal(n, N);
	n = 0;
	assert_ok(registry_tags(f->registry, REPOSITORY, "v1", count, &n, &err));
	assert_int_equal(n, N - 2); /* all but v0 and v1 */
	n = 0;
	assert_ok(registry_begin(f->registry, &err));
	assert_ok(registry_tags(f->registry, REPOSITORY, NULL, delete_each, &d, &err));
	assert_ok(registry_commit(f->registry, &err));
	assert_int_equal(d.n, N);
	n = 0;
	assert_ok(registry_tags(f->registry, REPOSITORY, NULL, count, &n, &err));
	assert_int_equal(n, 0);
}

struct after {
	const char *tags; /* that come, in their order; NUL-terminated each */
	size_t stop;      /* it is enough after so many */
	size_t n;
};

static int expect_next(struct slice tag, void *arg, struct error *err)
{
	struct after *a = arg;

	assert_string_equal(tag.p, a->tags);
	a->tags += tag.n + 1;
	return ++a->n < a->stop ? 0 : error_set(err, ERROR_UNAVAILABLE, "enough");
}

static void tags_after_a_tag_come_in_the_order_of_bytes(void **state)
{
	static const char *const tags[] = {"c3", "latest", "v10", "v2", "v1", "v100"};
	struct fixture *f = *state;
	struct error err = ERROR_INIT;
	CLEANUP(artifact_done) struct artifact a;
	struct after some = {"v10\0v100\0v2\0", 100, 0}, all = {"c3\0latest\0v1\0", 3, 0},
		     none = {"", 100, 0};

	artifact_init(&a, SLICE("layer"), NULL);
	assert_ok(registry_begin(f->registry, &err));
	for (size_t i = 0; i < ARRAY_SIZE(tags); i++) {
		struct push push = artifact_push(&a, REPOSITORY, tags[i]);

		registry_push(f->registry, &push, 1);
		assert_int_equal(push.err.code, ERROR_NONE);
	}
	assert_ok(registry_commit(f->registry, &err));

	assert_ok(registry_tags(f->registry, REPOSITORY, "v1", expect_next, &some, &err));
	assert_int_equal(some.n, 3);
	assert_refused(registry_tags(f->registry, REPOSITORY, "c", expect_next, &all, &err),
		ERROR_UNAVAILABLE);
	assert_int_equal(all.n, 3);
	assert_ok(registry_tags(f->registry, REPOSITORY, "v2", expect_next, &none, &err));
	assert_ok(registry_tags(f->registry, "nobody/here", "v2", expect_next, &none, &err));
	assert_int_equal(none.n, 0);
}

static void an_unknown_repository_has_no_tags(void **state)
{
	struct fixture *f = *state;
	struct error err = ERROR_INIT;
	size_t n = 0;

	assert_ok(registry_tags(f->registry, "nobody/here", NULL, count, &n, &err));
	assert_ok(registry_repositories(f->registry, count, &n, &err));
	assert_int_equal(n, 0);
}

static void a_malformed_manifest_is_refused(void **state)
{
	struct fixture *f = *state;
	struct error err = ERROR_INIT;
	struct push push = {.repository = REPOSITORY,
		.tag = "v1",
		.media_type = OCI_MEDIA_MANIFEST,
		.manifest = SLICE("{"),
		.digest = digest_of(SLICE("{"))};

	assert_ok(registry_begin(f->registry, &err));
	registry_push(f->registry, &push, 1);
	assert_int_equal(push.err.code, ERROR_INVALID);
	registry_rollback(f->registry);
}

/* ---- a publisher and readers at the same time ---- */

struct readers {
	struct embedded *embedded;
	_Atomic bool stop;
	_Atomic size_t seen;
};

/* A tag moves over complete artifacts only: its manifest and layer are always there. */
static void *read_always(void *arg)
{
	struct readers *r = arg;
	struct error err = ERROR_INIT;
	struct registry *registry;

	assert_ok(embedded_registry(&registry, r->embedded, &err));
	while (!r->stop) {
		CLEANUP(buf_done) struct buf json = BUF_INIT(LIMIT_MANIFEST);
		CLEANUP(buf_done) struct buf layer = BUF_INIT(KIB);
		CLEANUP(oci_manifest_freep) struct oci_manifest *m = NULL;
		struct digest digest;

		if (registry_manifest(registry, REPOSITORY, "latest", &json, &digest, &err) != 0) {
			assert_int_equal(err.code, ERROR_NOT_FOUND);
			continue;
		}
		assert_ok(oci_manifest_parse(&m, buf_slice(&json), &err));
		assert_ok(
			registry_blob(registry, REPOSITORY, &m->children[0].digest, &layer, &err));
		r->seen++;
	}
	registry_free(registry);
	return NULL;
}

static void readers_never_see_half_of_a_push(void **state)
{
	struct fixture *f = *state;
	struct readers r = {.embedded = f->embedded};
	pthread_t threads[2];

	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, read_always, &r), 0);
	for (unsigned i = 0; i < 100 || r.seen < 100; i++) {
		CLEANUP(artifact_done) struct artifact a;
		char layer[16];
		struct push push;

		snprintf(layer, sizeof(layer), "%u", i);
		artifact_init(&a, slice_of(layer), NULL);
		push = artifact_push(&a, REPOSITORY, "latest");
		push_all(f, &push, 1);
	}
	r.stop = true;
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_push_is_there_after_commit_and_restart),
		TEST(reads_see_the_transaction_and_rollback_undoes_it),
		TEST(a_conflict_fails_that_push_and_no_other),
		TEST(a_tag_moves_to_a_stored_manifest_without_its_blobs),
		TEST(a_blob_above_the_border_comes_back_whole),
		TEST(a_manifest_goes_with_its_last_tag),
		TEST(more_tags_than_a_page_are_listed_and_may_be_deleted_meanwhile),
		TEST(tags_after_a_tag_come_in_the_order_of_bytes),
		TEST(an_unknown_repository_has_no_tags),
		TEST(a_malformed_manifest_is_refused),
		TEST(readers_never_see_half_of_a_push),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
