/* SPDX-License-Identifier: Apache-2.0 */
#include "store_fixture.h"

#include "base/file.h"
#include "base/json.h"
#include "oci/json_read.h"
#include "store/layout.h"
#include "store/store.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#define REF_NAME "org.opencontainers.image.ref.name"
#define IMMUTABLE "io.gitops-squared.immutable"
#define SPARSE "io.gitops-squared.sparse"
#define APP SLICE("acme/app")
#define BIG (10 * MIB)

/* A store, another one that is empty, and a folder for layouts. */
struct fixture {
	char dir[64], other_dir[64], layouts[64];
	struct store *store, *other;
};

static int setup(void **state)
{
	struct fixture *f = test_malloc(sizeof(*f));
	struct error err = ERROR_INIT;

	digest_setup();
	make_folder(f->dir);
	make_folder(f->other_dir);
	make_folder(f->layouts);
	assert_ok(store_open(&f->store, f->dir, 2, &err));
	assert_ok(store_open(&f->other, f->other_dir, 2, &err));
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	store_close(f->store);
	store_close(f->other);
	remove_folder(f->dir);
	remove_folder(f->other_dir);
	remove_folder(f->layouts);
	test_free(f);
	return 0;
}

/* ---- filling a store ---- */

static struct digest put_blob_of(struct store *s, struct slice repository, struct slice bytes,
	enum digest_algorithm algorithm)
{
	struct digest digest = digest_of_as(algorithm, bytes);

	put_blob_as(s, repository, &digest, bytes);
	return digest;
}

static struct digest put_manifest(struct store *s, struct slice repository, const char *tag,
	bool immutable, const char *media_type, struct slice bytes, enum digest_algorithm algorithm)
{
	struct slice name = tag == NULL ? SLICE_NONE : slice_of(tag);
	struct store_push push = {
		.repository = repository,
		.n_tags = tag != NULL,
		.tags = &name,
		.n_new_tags = immutable,
		.sparse = true,
		.media_type = slice_of(media_type),
		.bytes = bytes,
		.digest = digest_of_as(algorithm, bytes),
	};
	struct error err = ERROR_INIT;
	struct store_conn *tx;

	assert_ok(store_begin(s, &tx, &err));
	assert_ok(store_manifest_put(tx, &push, &err));
	assert_ok(store_commit(s, &err));
	return push.digest;
}

static void add_descriptor(struct buf *b, const char *media_type, const struct digest *digest,
	size_t size, const char *platform)
{
	char text[DIGEST_TEXT_SIZE];

	json_begin_object(b);
	json_member_cstr(b, "mediaType", media_type);
	json_member_cstr(b, "digest", digest_format(digest, text));
	json_member_u64(b, "size", size);
	if (platform != NULL) {
		json_key(b, "platform");
		json_begin_object(b);
		json_member_cstr(b, "os", "linux");
		json_member_cstr(b, "architecture", platform);
		json_end_object(b);
	}
	json_end_object(b);
}

struct image {
	const char *media_type, *config_type, *layer_type; /* NULL: of OCI */
	struct slice layer;
	bool without_layer; /* the repository does not have it */
	enum digest_algorithm algorithm;
	const struct digest *subject;
};

static struct digest put_image(struct store *s, struct slice repository, const char *tag,
	bool immutable, const struct image *image)
{
	const char *type = image->media_type == NULL ? OCI_MEDIA_MANIFEST : image->media_type;
	enum digest_algorithm algorithm =
		image->algorithm == DIGEST_NONE ? DIGEST_SHA256 : image->algorithm;
	CLEANUP(buf_done) struct buf b = BUF_INIT(LIMIT_MANIFEST);
	struct digest config = put_blob_of(s, repository, OCI_EMPTY, algorithm);
	struct digest layer = image->without_layer
				      ? digest_of_as(algorithm, image->layer)
				      : put_blob_of(s, repository, image->layer, algorithm);

	json_begin_object(&b);
	json_member_u64(&b, "schemaVersion", 2);
	json_member_cstr(&b, "mediaType", type);
	json_key(&b, "config");
	add_descriptor(&b, image->config_type == NULL ? OCI_MEDIA_EMPTY : image->config_type,
		&config, OCI_EMPTY.n, NULL);
	json_key(&b, "layers");
	json_begin_array(&b);
	add_descriptor(&b,
		image->layer_type == NULL ? "application/octet-stream" : image->layer_type, &layer,
		image->layer.n, NULL);
	json_end_array(&b);
	if (image->subject != NULL) {
		json_key(&b, "subject");
		add_descriptor(&b, OCI_MEDIA_MANIFEST, image->subject, 100, NULL);
	}
	json_end_object(&b);
	return put_manifest(s, repository, tag, immutable, type, buf_slice(&b), algorithm);
}

static struct digest put_layer_image(
	struct store *s, struct slice repository, const char *tag, struct slice layer)
{
	const struct image image = {.layer = layer};

	return put_image(s, repository, tag, false, &image);
}

static struct digest put_index(struct store *s, struct slice repository, const char *tag,
	const char *child_type, const struct digest *children, size_t n)
{
	static const char *const platforms[] = {"amd64", "arm64"};
	CLEANUP(buf_done) struct buf b = BUF_INIT(LIMIT_MANIFEST);

	json_begin_object(&b);
	json_member_u64(&b, "schemaVersion", 2);
	json_member_cstr(&b, "mediaType", OCI_MEDIA_INDEX);
	json_key(&b, "manifests");
	json_begin_array(&b);
	for (size_t i = 0; i < n; i++)
		add_descriptor(&b, child_type, &children[i], 100, platforms[i % 2]);
	json_end_array(&b);
	json_end_object(&b);
	return put_manifest(
		s, repository, tag, false, OCI_MEDIA_INDEX, buf_slice(&b), DIGEST_SHA256);
}

/* ---- layouts ---- */

static const char *layout_name(const struct fixture *f, const char *name)
{
	static char paths[4][512];
	static size_t n;
	char *path = paths[n++ % ARRAY_SIZE(paths)];

	snprintf(path, sizeof(paths[0]), "%s/%s", f->layouts, name);
	return path;
}

static struct layout_report export(
	struct store *s, const struct fixture *f, const char *name, const char *repository)
{
	struct layout_report report = {0};
	struct error err = ERROR_INIT;

	assert_ok(layout_export(s, layout_name(f, name), repository, &report, &err));
	return report;
}

static int import(const struct fixture *f, const char *name, const char *repository, bool live,
	struct layout_report *ret, struct error *err)
{
	const struct layout_import options = {
		.dir = layout_name(f, name), .repository = repository, .live = live};

	return layout_import(f->other, &options, ret, err);
}

static struct layout_report must_import(
	const struct fixture *f, const char *name, const char *repository)
{
	struct layout_report report = {0};
	struct error err = ERROR_INIT;

	assert_ok(import(f, name, repository, false, &report, &err));
	return report;
}

static void read_whole(const struct fixture *f, const char *name, struct buf *ret)
{
	struct error err = ERROR_INIT;

	buf_init(ret, 64 * MIB);
	assert_ok(file_read(layout_name(f, name), ret, &err));
}

static void write_whole(const struct fixture *f, const char *name, const char *text)
{
	FILE *file = fopen(layout_name(f, name), "we");

	assert_non_null(file);
	assert_int_equal(fwrite(text, 1, strlen(text), file), strlen(text));
	assert_int_equal(fclose(file), 0);
}

static void path_in(char ret[256], const char *layout, const struct digest *digest)
{
	char text[DIGEST_TEXT_SIZE];

	snprintf(ret, 256, "%s/blobs/%s", layout, digest_format(digest, text));
	*strrchr(ret, ':') = '/';
}

static bool has_blob(const struct fixture *f, const char *layout, const struct digest *digest)
{
	char path[256];

	path_in(path, layout, digest);
	return access(layout_name(f, path), F_OK) == 0;
}

static json_t *read_index(const struct fixture *f, const char *layout)
{
	CLEANUP(buf_done) struct buf b;
	struct error err = ERROR_INIT;
	char name[128];
	json_t *root;

	snprintf(name, sizeof(name), "%s/index.json", layout);
	read_whole(f, name, &b);
	assert_ok(json_read_object(&root, buf_slice(&b), &err));
	return root;
}

/* The descriptor of index.json with a name; NULL: there is none. */
static json_t *named(const json_t *index, const char *name)
{
	json_t *descriptor;
	size_t i;

	json_array_foreach(json_object_get(index, "manifests"), i, descriptor)
	{
		json_t *annotations = json_object_get(descriptor, "annotations");

		if (strcmp(json_string_value(json_object_get(annotations, REF_NAME)), name) == 0)
			return descriptor;
	}
	return NULL;
}

static json_t *named_digest(
	const json_t *index, const char *repository, const struct digest *digest)
{
	char name[LIMIT_REPOSITORY + 1 + DIGEST_TEXT_SIZE], text[DIGEST_TEXT_SIZE];

	snprintf(name, sizeof(name), "%s@%s", repository, digest_format(digest, text));
	return named(index, name);
}

/* Both stores hold the same: their layouts have the same index.json and as many contents, each of
 * which was verified. */
static void assert_same(const struct fixture *f, const char *layout)
{
	struct layout_report report = export(f->other, f, "again", NULL);
	CLEANUP(buf_done) struct buf a;
	CLEANUP(buf_done) struct buf b;
	char name[128], diff[1100];

	snprintf(name, sizeof(name), "%s/index.json", layout);
	read_whole(f, name, &a);
	read_whole(f, "again/index.json", &b);
	assert_string_equal(a.data, b.data);
	snprintf(diff, sizeof(diff), "diff -r %s %s", layout_name(f, layout),
		layout_name(f, "again"));
	assert_int_equal(system(diff), 0);
	assert_true(report.manifests > 0);
}

static bool has_manifest(struct store *s, struct slice repository, const char *reference)
{
	CLEANUP(store_manifest_done) struct store_manifest m;
	struct store_conn *reader = store_reader(s);
	struct error err = ERROR_INIT;
	int result;

	store_manifest_init(&m);
	result = store_manifest_get(reader, repository, slice_of(reference), &m, &err);
	store_reader_done(reader);
	if (result != 0 && err.code != ERROR_NOT_FOUND)
		fail_msg("%s", err.text);
	return result == 0;
}

static char *big_bytes(void)
{
	char *p = test_malloc(BIG);

	for (size_t i = 0; i < BIG; i++)
		p[i] = (char)(i * 31 + i / 4096);
	return p;
}

static void flip(const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);
	char c;

	assert_int_equal(pread(fd, &c, 1, 1), 1);
	c ^= 1;
	assert_int_equal(pwrite(fd, &c, 1, 1), 1);
	close(fd);
}

/* ---- export ---- */

static void an_export_has_a_descriptor_for_each_tag(void **state)
{
	struct fixture *f = *state;
	struct digest digest = put_layer_image(f->store, APP, "v1", SLICE("one"));
	struct layout_report report;
	CLEANUP(json_decrefp) json_t *index = NULL;
	CLEANUP(buf_done) struct buf version;
	char text[DIGEST_TEXT_SIZE];

	put_layer_image(f->store, APP, "latest", SLICE("one"));
	put_layer_image(f->store, SLICE("team/x"), "v1", SLICE("one"));
	report = export(f->store, f, "a", NULL);
	index = read_index(f, "a");
	read_whole(f, "a/oci-layout", &version);
	assert_string_equal(version.data, "{\"imageLayoutVersion\":\"1.0.0\"}");
	assert_string_equal(
		json_string_value(json_object_get(index, "mediaType")), OCI_MEDIA_INDEX);
	assert_int_equal(json_array_size(json_object_get(index, "manifests")), 3);
	assert_non_null(named(index, "acme/app:v1"));
	assert_non_null(named(index, "team/x:v1"));
	assert_string_equal(
		json_string_value(json_object_get(named(index, "acme/app:latest"), "digest")),
		digest_format(&digest, text));
	assert_int_equal(report.repositories, 2);
	assert_int_equal(report.tags, 3);
	assert_int_equal(report.manifests, 2);
	assert_int_equal(report.blobs, 2); /* of both repositories */
}

static void only_the_repository_asked_for_is_exported(void **state)
{
	struct fixture *f = *state;
	struct layout_report report;
	struct error err = ERROR_INIT;
	struct digest layer = digest_of(SLICE("other"));
	CLEANUP(json_decrefp) json_t *index = NULL;

	put_layer_image(f->store, APP, "v1", SLICE("one"));
	put_layer_image(f->store, SLICE("team/x"), "v1", SLICE("other"));
	report = export(f->store, f, "a", "acme/app");
	index = read_index(f, "a");
	assert_int_equal(report.repositories, 1);
	assert_int_equal(json_array_size(json_object_get(index, "manifests")), 1);
	assert_false(has_blob(f, "a", &layer));
	assert_refused(layout_export(f->store, layout_name(f, "b"), "acme/none", &report, &err),
		ERROR_NOT_FOUND);
	assert_int_equal(access(layout_name(f, "b"), F_OK), -1);
}

static void manifests_below_an_index_are_not_listed(void **state)
{
	struct fixture *f = *state;
	struct digest children[2] = {put_layer_image(f->store, APP, NULL, SLICE("one")),
		put_layer_image(f->store, APP, NULL, SLICE("two"))};
	struct digest nested =
		put_index(f->store, APP, NULL, OCI_MEDIA_MANIFEST, children, ARRAY_SIZE(children));
	struct digest alone = put_layer_image(f->store, APP, NULL, SLICE("three"));
	CLEANUP(json_decrefp) json_t *index = NULL;

	put_index(f->store, APP, "v1", OCI_MEDIA_INDEX, &nested, 1);
	put_index(f->store, APP, NULL, OCI_MEDIA_INDEX, children, 1);
	export(f->store, f, "a", NULL);
	index = read_index(f, "a");
	assert_int_equal(json_array_size(json_object_get(index, "manifests")), 3);
	assert_non_null(named(index, "acme/app:v1"));
	assert_non_null(named_digest(index, "acme/app", &alone));
	assert_null(named_digest(index, "acme/app", &nested));
	assert_true(has_blob(f, "a", &children[0]) && has_blob(f, "a", &children[1]) &&
		    has_blob(f, "a", &nested));
}

static void a_child_in_another_repository_does_not_hide_a_manifest(void **state)
{
	struct fixture *f = *state;
	struct digest image = put_layer_image(f->store, APP, NULL, SLICE("one"));
	CLEANUP(json_decrefp) json_t *index = NULL;

	put_index(f->store, SLICE("team/x"), "v1", OCI_MEDIA_MANIFEST, &image, 1);
	export(f->store, f, "a", NULL);
	index = read_index(f, "a");
	assert_non_null(named_digest(index, "acme/app", &image));
}

static void an_artifact_type_may_be_long(void **state)
{
	enum { LONG = 3 * MIB };
	struct fixture *f = *state;
	CLEANUP(buf_done) struct buf b = BUF_INIT(LIMIT_MANIFEST);
	char *type = test_malloc(LONG);

	memset(type, '\x7f', LONG);
	buf_puts(&b, "{\"schemaVersion\":2,\"mediaType\":\"" OCI_MEDIA_INDEX
		     "\",\"manifests\":[],\"artifactType\":\"");
	buf_append(&b, type, LONG);
	buf_puts(&b, "\"}");
	put_manifest(f->store, APP, "v1", false, OCI_MEDIA_INDEX, buf_slice(&b), DIGEST_SHA256);
	put_layer_image(f->store, APP, "v2", SLICE("one"));
	export(f->store, f, "a", NULL);
	must_import(f, "a", NULL);
	assert_same(f, "a");
	test_free(type);
}

static mode_t mode_of(const struct fixture *f, const char *name)
{
	struct stat st;

	assert_int_equal(stat(layout_name(f, name), &st), 0);
	return st.st_mode & 07777;
}

static void only_its_owner_may_read_an_export(void **state)
{
	struct fixture *f = *state;
	struct digest manifest = put_layer_image(f->store, APP, "v1", SLICE("one"));
	char path[256];

	export(f->store, f, "a", NULL);
	path_in(path, "a", &manifest);
	assert_int_equal(mode_of(f, "a"), 0700);
	assert_int_equal(mode_of(f, "a/blobs"), 0700);
	assert_int_equal(mode_of(f, "a/blobs/sha256"), 0700);
	assert_int_equal(mode_of(f, "a/index.json"), 0600);
	assert_int_equal(mode_of(f, "a/oci-layout"), 0600);
	assert_int_equal(mode_of(f, path), 0600);
}

static void a_folder_that_is_not_empty_is_refused(void **state)
{
	struct fixture *f = *state;
	struct layout_report report;
	struct error err = ERROR_INIT;

	put_layer_image(f->store, APP, "v1", SLICE("one"));
	export(f->store, f, "a", NULL);
	assert_refused(
		layout_export(f->store, layout_name(f, "a"), NULL, &report, &err), ERROR_CONFLICT);
}

static void more_tags_than_a_page_are_all_listed(void **state)
{
	enum { N = 2 * LIMIT_LIST_PAGE + 1 };
	struct fixture *f = *state;
	struct error err = ERROR_INIT;
	CLEANUP(json_decrefp) json_t *index = NULL;
	struct layout_report report;
	struct store_conn *tx;

	put_layer_image(f->store, APP, "first", SLICE("one"));
	assert_ok(store_begin(f->store, &tx, &err));
	for (size_t i = 0; i < N; i++) {
		CLEANUP(buf_done) struct buf b = BUF_INIT(LIMIT_MANIFEST);
		char tag[32];
		struct slice name = {tag, 0};
		struct store_push push = {.repository = APP,
			.n_tags = i % 2,
			.tags = &name,
			.sparse = true,
			.media_type = SLICE(OCI_MEDIA_INDEX)};

		snprintf(tag, sizeof(tag), "t%zu", i);
		name = slice_of(tag);
		buf_printf(&b,
			"{\"schemaVersion\":2,\"mediaType\":\"" OCI_MEDIA_INDEX
			"\",\"manifests\":[],\"annotations\":{\"n\":\"%zu\"}}",
			i);
		push.bytes = buf_slice(&b);
		push.digest = digest_of(push.bytes);
		assert_ok(store_manifest_put(tx, &push, &err));
	}
	assert_ok(store_commit(f->store, &err));
	report = export(f->store, f, "a", NULL);
	index = read_index(f, "a");
	assert_int_equal(report.manifests, N + 1);
	assert_int_equal(report.tags, N / 2 + 1);
	assert_int_equal(json_array_size(json_object_get(index, "manifests")), N + 1);
	must_import(f, "a", NULL);
	assert_same(f, "a");
}

static void damage_fails_the_export_and_leaves_no_index(void **state)
{
	struct fixture *f = *state;
	struct layout_report report;
	struct error err = ERROR_INIT;
	char *bytes = big_bytes(), path[256], text[DIGEST_TEXT_SIZE];
	struct digest layer = digest_of((struct slice){bytes, BIG});
	int fd;

	put_layer_image(f->store, APP, "v1", (struct slice){bytes, BIG});
	digest_format(&layer, text);
	snprintf(path, sizeof(path), "%s/blobs/sha256/%.2s/%s", f->dir, text + 7, text + 7);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	assert_int_equal(pwrite(fd, "!", 1, BIG / 2), 1);
	close(fd);
	assert_refused(
		layout_export(f->store, layout_name(f, "a"), NULL, &report, &err), ERROR_INTERNAL);
	assert_non_null(strstr(err.text, text + 7));
	assert_non_null(strstr(err.text, "acme/app"));
	assert_int_equal(access(layout_name(f, "a/index.json"), F_OK), -1);
	test_free(bytes);
}

static void a_blob_file_that_is_gone_fails_the_export(void **state)
{
	struct fixture *f = *state;
	struct layout_report report;
	struct error err = ERROR_INIT;
	char *bytes = big_bytes(), path[256], text[DIGEST_TEXT_SIZE];
	struct digest layer = digest_of((struct slice){bytes, BIG});

	put_layer_image(f->store, APP, "v1", (struct slice){bytes, BIG});
	digest_format(&layer, text);
	snprintf(path, sizeof(path), "%s/blobs/sha256/%.2s/%s", f->dir, text + 7, text + 7);
	assert_int_equal(unlink(path), 0);
	assert_refused(
		layout_export(f->store, layout_name(f, "a"), NULL, &report, &err), ERROR_INTERNAL);
	assert_non_null(strstr(err.text, text + 7));
	test_free(bytes);
}

/* ---- there and back ---- */

static void put_one_of_each(struct fixture *f)
{
	char *bytes = big_bytes();
	const struct image images[] = {
		{.layer = SLICE("sha512"), .algorithm = DIGEST_SHA512},
		{.layer = SLICE("docker"),
			.media_type = DOCKER_MEDIA_MANIFEST,
			.config_type = "application/vnd.docker.container.image.v1+json",
			.layer_type = "application/vnd.docker.image.rootfs.diff.tar.gzip"},
		{.layer = {bytes, BIG}},
		{.layer = {bytes, LIMIT_BLOB_IN_ROW + 1}, .algorithm = DIGEST_SHA512},
		{.layer = SLICE("")},
	};
	struct digest children[ARRAY_SIZE(images)];
	struct digest missing = digest_of(SLICE("missing")), nested;
	struct image referrer = {.layer = SLICE("signature")};

	for (size_t i = 0; i < ARRAY_SIZE(images); i++)
		children[i] = put_image(f->store, APP, NULL, false, &images[i]);
	nested = put_index(f->store, APP, NULL, OCI_MEDIA_MANIFEST, children, 3);
	put_index(f->store, APP, "nested", OCI_MEDIA_INDEX, &nested, 1);
	put_index(f->store, APP, "sparse", OCI_MEDIA_MANIFEST, &missing, 1);
	put_index(f->store, APP, "empty", OCI_MEDIA_MANIFEST, &missing, 0);
	put_image(f->store, APP, "v1", true, &images[2]);
	referrer.subject = &children[0];
	put_image(f->store, APP, NULL, false, &referrer);
	put_image(f->store, SLICE("acme/other"), "v1", false, &images[2]);
	test_free(bytes);
}

static void a_store_survives_export_and_import(void **state)
{
	struct fixture *f = *state;
	struct layout_report out, in;

	put_one_of_each(f);
	out = export(f->store, f, "a", NULL);
	in = must_import(f, "a", NULL);
	assert_memory_equal(&in, &out, sizeof(out));
	assert_same(f, "a");
}

static void a_hundred_repositories_share_their_blobs(void **state)
{
	struct fixture *f = *state;
	struct layout_report out, in;
	char *bytes = big_bytes(), name[32];

	for (size_t i = 0; i < 100; i++) {
		snprintf(name, sizeof(name), "team/r%zu", i);
		put_layer_image(f->store, slice_of(name), "v1",
			(struct slice){bytes, 2 * LIMIT_BLOB_IN_ROW});
	}
	test_free(bytes);
	out = export(f->store, f, "a", NULL);
	in = must_import(f, "a", NULL);
	assert_int_equal(out.blobs, 2);
	assert_int_equal(in.blobs, 2);
	assert_int_equal(in.repositories, 100);
	assert_same(f, "a");
}

static void importing_again_finds_nothing_new(void **state)
{
	struct fixture *f = *state;
	struct layout_report again;

	put_one_of_each(f);
	export(f->store, f, "a", NULL);
	must_import(f, "a", NULL);
	again = must_import(f, "a", NULL);
	assert_int_equal(again.blobs, 0);
	assert_int_equal(again.manifests, 0);
	assert_int_equal(again.bytes, 0);
	assert_int_equal(again.tags, 4 + 1);
	assert_same(f, "a");
}

static void exec(const char *dir, const char *sql)
{
	char path[128];
	sqlite3 *db;

	snprintf(path, sizeof(path), "%s/registry.db", dir);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
		fail_msg("%s: %s", sql, sqlite3_errmsg(db));
	sqlite3_close(db);
}

static void an_import_heals_what_is_damaged(void **state)
{
	struct fixture *f = *state;
	char *bytes = big_bytes(), path[512], text[DIGEST_TEXT_SIZE];
	struct slice big = {bytes, BIG};
	struct digest layer = digest_of(big);

	put_layer_image(f->store, APP, "small", SLICE("layer"));
	put_layer_image(f->store, APP, "big", big);
	put_layer_image(f->store, APP, "gone", (struct slice){bytes, BIG / 2});
	export(f->store, f, "a", NULL);
	must_import(f, "a", NULL);

	exec(f->other_dir, "UPDATE blob SET data = CAST('lAyer' AS BLOB) WHERE size = 5");
	digest_format(&layer, text);
	snprintf(path, sizeof(path), "%s/blobs/sha256/%.2s/%s", f->other_dir, text + 7, text + 7);
	flip(path);
	layer = digest_of((struct slice){bytes, BIG / 2});
	digest_format(&layer, text);
	snprintf(path, sizeof(path), "%s/blobs/sha256/%.2s/%s", f->other_dir, text + 7, text + 7);
	assert_int_equal(unlink(path), 0);

	must_import(f, "a", NULL);
	assert_same(f, "a");
	test_free(bytes);
}

static void a_blob_that_only_the_store_has_is_mounted(void **state)
{
	struct fixture *f = *state;
	struct digest layer = put_blob_of(f->other, SLICE("team/x"), SLICE("layer"), DIGEST_SHA256);
	char path[256];

	put_layer_image(f->store, APP, "v1", SLICE("layer"));
	export(f->store, f, "a", NULL);
	export(f->store, f, "whole", NULL);
	path_in(path, "a", &layer);
	assert_int_equal(unlink(layout_name(f, path)), 0);
	must_import(f, "a", NULL);
	assert_same(f, "whole");
}

static void an_immutable_tag_stays_so(void **state)
{
	struct fixture *f = *state;
	const struct image one = {.layer = SLICE("one")}, two = {.layer = SLICE("two")};
	struct layout_report report;
	struct error err = ERROR_INIT;
	CLEANUP(json_decrefp) json_t *index = NULL;
	json_t *annotations;

	put_image(f->store, APP, "v1", true, &one);
	export(f->store, f, "a", NULL);
	put_image(f->other, APP, "v1", false, &two);
	assert_refused(import(f, "a", NULL, false, &report, &err), ERROR_CONFLICT);
	assert_non_null(strstr(err.text, "v1"));

	put_image(f->other, APP, "v1", false, &one);
	must_import(f, "a", NULL);
	export(f->other, f, "b", NULL);
	index = read_index(f, "b");
	annotations = json_object_get(named(index, "acme/app:v1"), "annotations");
	assert_string_equal(json_string_value(json_object_get(annotations, IMMUTABLE)), "true");
}

static void an_image_without_its_layer_comes_back_so(void **state)
{
	struct fixture *f = *state;
	const struct image image = {.layer = SLICE("elsewhere"), .without_layer = true};
	CLEANUP(json_decrefp) json_t *index = NULL;
	json_t *annotations;

	put_image(f->store, APP, "v1", false, &image);
	export(f->store, f, "a", NULL);
	index = read_index(f, "a");
	annotations = json_object_get(index, "annotations");
	assert_string_equal(json_string_value(json_object_get(annotations, SPARSE)), "true");
	must_import(f, "a", NULL);
	assert_same(f, "a");
}

static void a_blob_that_an_index_names_comes_along(void **state)
{
	struct fixture *f = *state;
	struct digest blob = put_blob_of(f->store, APP, SLICE("no manifest"), DIGEST_SHA256);
	struct layout_report report;

	put_index(f->store, APP, "v1", "application/octet-stream", &blob, 1);
	export(f->store, f, "a", NULL);
	report = must_import(f, "a", NULL);
	assert_int_equal(report.blobs, 1);
	assert_same(f, "a");
}

static void a_manifest_that_an_index_calls_something_else_comes_along(void **state)
{
	struct fixture *f = *state;
	struct digest image = put_layer_image(f->store, APP, NULL, SLICE("one"));
	struct layout_report report;

	put_index(f->store, APP, "v1", "application/vnd.example.custom+json", &image, 1);
	export(f->store, f, "a", NULL);
	report = must_import(f, "a", NULL);
	assert_int_equal(report.manifests, 2);
	assert_same(f, "a");
}

/* Each level names the one below twice: 2^30 ways to the bottom. */
static void indexes_that_share_their_children_are_read_once(void **state)
{
	struct fixture *f = *state;
	struct digest level[2];

	level[0] = put_layer_image(f->store, APP, NULL, SLICE("one"));
	level[1] = put_layer_image(f->store, APP, NULL, SLICE("two"));
	for (size_t i = 1; i < LIMIT_LAYOUT_DEPTH; i++) {
		struct digest three[3] = {level[0], level[1], level[0]};
		const char *type = i == 1 ? OCI_MEDIA_MANIFEST : OCI_MEDIA_INDEX;

		level[0] = put_index(f->store, APP, NULL, type, three, 2);
		level[1] = put_index(f->store, APP, NULL, type, three, 3);
	}
	put_index(f->store, APP, "top", OCI_MEDIA_INDEX, level, 2);
	export(f->store, f, "a", NULL);
	must_import(f, "a", NULL);
	assert_same(f, "a");
}

static void indexes_too_deep_are_refused(void **state)
{
	struct fixture *f = *state;
	struct digest child = put_layer_image(f->store, APP, NULL, SLICE("one"));
	struct layout_report report;
	struct error err = ERROR_INIT;

	for (size_t i = 0; i < LIMIT_LAYOUT_DEPTH; i++)
		child = put_index(f->store, APP, NULL, OCI_MEDIA_INDEX, &child, 1);
	put_index(f->store, APP, "top", OCI_MEDIA_INDEX, &child, 1);
	export(f->store, f, "a", NULL);
	assert_refused(import(f, "a", NULL, false, &report, &err), ERROR_INVALID);
	assert_false(has_manifest(f->other, APP, "top"));
}

/* ---- names ---- */

/* A layout with one image, whose descriptor has these annotations. */
static struct digest make_layout(struct fixture *f, const char *name, const char *annotations)
{
	struct digest digest = put_layer_image(f->store, APP, "v1", SLICE("one"));
	char path[64], text[DIGEST_TEXT_SIZE];
	CLEANUP(json_decrefp) json_t *index = NULL;
	CLEANUP(buf_done) struct buf b = BUF_INIT(4096);

	export(f->store, f, name, NULL);
	index = read_index(f, name);
	buf_printf(&b,
		"{\"schemaVersion\":2,\"manifests\":[{\"mediaType\":\"" OCI_MEDIA_MANIFEST
		"\",\"digest\":\"%s\",\"size\":%lld%s%s}]}",
		digest_format(&digest, text),
		json_integer_value(json_object_get(named(index, "acme/app:v1"), "size")),
		annotations[0] == '\0' ? "" : ",\"annotations\":", annotations);
	snprintf(path, sizeof(path), "%s/index.json", name);
	write_whole(f, path, b.data);
	return digest;
}

static void names_say_where_a_manifest_goes(void **state)
{
	static const struct {
		const char *annotations;
		const char *repository; /* asked for */
		const char *goes_to;    /* NULL: refused */
		const char *tag;        /* NULL: by digest only */
	} cases[] = {
		{"{\"" REF_NAME "\":\"a/b:v2\"}", NULL, "a/b", "v2"},
		{"{\"" REF_NAME "\":\"a/c:v2\"}", "x/y", "a/c", "v2"},
		{"{\"" REF_NAME "\":\"v3\"}", "x/y", "x/y", "v3"},
		{"{\"" REF_NAME "\":\"v4\",\"io.containerd.image.name\":\"h:1/z:v9\"}", "x/y",
			"x/y", "v4"},
		{"{\"" REF_NAME "\":\"docker.io/library/alpine:3\"}", NULL,
			"docker.io/library/alpine", "3"},
		{"", "x/z", "x/z", NULL},
		{"null", "x/n", "x/n", NULL},
		{"{\"" REF_NAME "\":\"v3\"}", NULL, NULL, NULL},
		{"", NULL, NULL, NULL},
		{"{\"" REF_NAME "\":\"../up:v1\"}", NULL, NULL, NULL},
		{"{\"" REF_NAME "\":\"a/../../b:v1\"}", NULL, NULL, NULL},
		{"{\"" REF_NAME "\":\"../up\"}", "x/y", NULL, NULL},
		{"{\"" REF_NAME "\":\"/etc/passwd:v1\"}", NULL, NULL, NULL},
		{"{\"" REF_NAME "\":\"localhost:5000/a:v1\"}", NULL, NULL, NULL},
		{"{\"" REF_NAME "\":\"UPPER:v1\"}", NULL, NULL, NULL},
		{"{\"" REF_NAME "\":\"a/b:\"}", NULL, NULL, NULL},
		{"{\"" REF_NAME "\":\"\"}", "x/y", NULL, NULL},
		{"{\"" REF_NAME "\":\":v1\"}", NULL, NULL, NULL},
		{"{\"" REF_NAME "\":\"a/b@sha256:00\"}", NULL, NULL, NULL},
		{"{\"" REF_NAME "\":\"a/b@sha256:"
		 "0000000000000000000000000000000000000000000000000000000000000000\"}",
			NULL, NULL, NULL},
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct layout_report report;
		struct error err = ERROR_INIT;
		struct digest digest;
		char name[16], text[DIGEST_TEXT_SIZE];
		int result;

		snprintf(name, sizeof(name), "l%zu", i);
		digest = make_layout(f, name, cases[i].annotations);
		result = import(f, name, cases[i].repository, false, &report, &err);
		if ((result == 0) != (cases[i].goes_to != NULL))
			fail_msg("%s: %d %s", cases[i].annotations, result, err.text);
		if (result != 0) {
			assert_int_equal(err.code, ERROR_INVALID);
			continue;
		}
		assert_true(has_manifest(f->other, slice_of(cases[i].goes_to),
			cases[i].tag == NULL ? digest_format(&digest, text) : cases[i].tag));
		assert_int_equal(report.tags, cases[i].tag != NULL);
	}
}

static void the_refusal_of_a_bare_tag_says_what_to_give(void **state)
{
	struct fixture *f = *state;
	struct layout_report report;
	struct error err = ERROR_INIT;

	make_layout(f, "a", "{\"" REF_NAME "\":\"v1\"}");
	assert_refused(import(f, "a", NULL, false, &report, &err), ERROR_INVALID);
	assert_non_null(strstr(err.text, "--repository"));
	assert_refused(import(f, "a", "../up", false, &report, &err), ERROR_INVALID);
}

static void a_running_server_keeps_its_own_repositories(void **state)
{
	struct fixture *f = *state;
	struct layout_report report;
	struct error err = ERROR_INIT;

	put_layer_image(f->store, APP, "v1", SLICE("one"));
	put_layer_image(f->store, SLICE("gitops-squared/catalog"), "latest", SLICE("two"));
	export(f->store, f, "a", NULL);
	assert_refused(import(f, "a", NULL, true, &report, &err), ERROR_DENIED);
	assert_non_null(strstr(err.text, "stop it"));
	assert_false(has_manifest(f->other, APP, "v1"));
	must_import(f, "a", NULL);
	assert_same(f, "a");
}

/* ---- what is damaged ---- */

static void a_layout_that_is_malformed_is_refused(void **state)
{
	static const struct {
		const char *file, *text;
	} cases[] = {
		{"oci-layout", "{\"imageLayoutVersion\":\"2.0.0\"}"},
		{"oci-layout", "{}"},
		{"oci-layout", "not JSON"},
		{"index.json", "{\"schemaVersion\":2"},
		{"index.json", ""},
		{"index.json", "[]"},
		{"index.json", "{\"schemaVersion\":1,\"manifests\":[]}"},
		{"index.json", "{\"schemaVersion\":2}"},
		{"index.json", "{\"schemaVersion\":2,\"manifests\":{}}"},
		{"index.json", "{\"schemaVersion\":2,\"manifests\":[1]}"},
		{"index.json", "{\"schemaVersion\":2,\"manifests\":[{}]}"},
		{"index.json", "{\"schemaVersion\":2,\"manifests\":[{\"digest\":"
			       "\"sha256:../../../../../../../../../../../../etc/passwd\"}]}"},
		{"index.json",
			"{\"schemaVersion\":2,\"manifests\":[{\"digest\":\"sha256:"
			"00000000000000000000000000000000000000000000000000000000000000000\"}]}"},
		{"index.json",
			"{\"schemaVersion\":2,\"manifests\":[{\"size\":-1,\"digest\":\"sha256:"
			"0000000000000000000000000000000000000000000000000000000000000000\"}]}"},
		{"index.json",
			"{\"schemaVersion\":2,\"manifests\":[{\"size\":2,\"digest\":\"sha256:"
			"0000000000000000000000000000000000000000000000000000000000000000\"}]}"},
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct layout_report report;
		struct error err = ERROR_INIT;
		char name[16], path[64];

		snprintf(name, sizeof(name), "l%zu", i);
		make_layout(f, name, "{\"" REF_NAME "\":\"a/b:v1\"}");
		snprintf(path, sizeof(path), "%s/%s", name, cases[i].file);
		write_whole(f, path, cases[i].text);
		if (import(f, name, "x/y", false, &report, &err) == 0 || err.code != ERROR_INVALID)
			fail_msg("%s: %s", cases[i].text, err.text);
	}
}

static void a_folder_without_an_index_is_no_complete_layout(void **state)
{
	struct fixture *f = *state;
	struct layout_report report;
	struct error err = ERROR_INIT;

	make_layout(f, "a", "{\"" REF_NAME "\":\"a/b:v1\"}");
	assert_int_equal(unlink(layout_name(f, "a/index.json")), 0);
	assert_refused(import(f, "a", NULL, false, &report, &err), ERROR_INVALID);
	assert_non_null(strstr(err.text, "index.json"));
	assert_refused(import(f, "none", NULL, false, &report, &err), ERROR_INTERNAL);
}

static void another_size_than_the_index_says_is_refused(void **state)
{
	struct fixture *f = *state;
	struct layout_report report;
	struct error err = ERROR_INIT;
	CLEANUP(json_decrefp) json_t *index = NULL;
	char *text;

	make_layout(f, "a", "{\"" REF_NAME "\":\"a/b:v1\"}");
	index = read_index(f, "a");
	json_object_set_new(named(index, "a/b:v1"), "size", json_integer(7));
	text = json_dumps(index, 0);
	write_whole(f, "a/index.json", text);
	free(text);
	assert_refused(import(f, "a", NULL, false, &report, &err), ERROR_INVALID);
	assert_non_null(strstr(err.text, "size"));
}

static void remove_it(const char *path)
{
	assert_int_equal(unlink(path), 0);
}

static void cut_off(const char *path)
{
	assert_int_equal(truncate(path, 1), 0);
}

static void put_a_folder(const char *path)
{
	remove_it(path);
	assert_int_equal(mkdir(path, 0700), 0);
}

static void put_a_pipe(const char *path)
{
	remove_it(path);
	assert_int_equal(mkfifo(path, 0600), 0);
}

static size_t count_uploads(const struct fixture *f)
{
	char command[128];
	FILE *p;
	size_t n = 0;
	int c;

	snprintf(command, sizeof(command), "ls %s/uploads", f->other_dir);
	p = popen(command, "re");
	assert_non_null(p);
	while ((c = fgetc(p)) != EOF)
		n += c == '\n';
	pclose(p);
	return n;
}

static void what_the_store_has_does_not_excuse_a_damaged_layout(void **state)
{
	struct fixture *f = *state;
	char *bytes = big_bytes();
	struct slice layers[] = {SLICE("layer"), {bytes, LIMIT_BLOB_IN_ROW + 1}};

	for (size_t i = 0; i < ARRAY_SIZE(layers); i++) {
		struct digest layer = digest_of(layers[i]);
		struct layout_report report;
		struct error err = ERROR_INIT;
		char name[16], path[256];

		put_layer_image(f->store, APP, "v1", layers[i]);
		put_layer_image(f->other, APP, "v1", layers[i]);
		snprintf(name, sizeof(name), "l%zu", i);
		export(f->store, f, name, NULL);
		path_in(path, name, &layer);
		flip(layout_name(f, path));
		assert_refused(import(f, name, NULL, false, &report, &err), ERROR_INVALID);
	}
	test_free(bytes);
}

static void a_layout_of_anything_but_files_is_refused(void **state)
{
	static void (*const harms[])(const char *path) = {put_a_folder, put_a_pipe};
	static const char *const names[] = {"oci-layout", "index.json"};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(harms) * ARRAY_SIZE(names); i++) {
		struct layout_report report;
		struct error err = ERROR_INIT;
		char layout[16], path[64];

		snprintf(layout, sizeof(layout), "l%zu", i);
		make_layout(f, layout, "{\"" REF_NAME "\":\"a/b:v1\"}");
		snprintf(path, sizeof(path), "%s/%s", layout, names[i % 2]);
		harms[i / 2](layout_name(f, path));
		assert_refused(import(f, layout, NULL, false, &report, &err), ERROR_INVALID);
		assert_non_null(strstr(err.text, names[i % 2]));
	}
}

static void a_running_server_reads_no_huge_index(void **state)
{
	struct fixture *f = *state;
	struct layout_report report;
	struct error err = ERROR_INIT;
	int fd;

	make_layout(f, "a", "{\"" REF_NAME "\":\"a/b:v1\"}");
	fd = open(layout_name(f, "a/index.json"), O_WRONLY | O_APPEND | O_CLOEXEC);
	assert_true(fd >= 0);
	for (size_t i = 0; i < LIMIT_LAYOUT_INDEX_LIVE / MIB; i++) {
		static char spaces[MIB];

		memset(spaces, ' ', sizeof(spaces));
		assert_ok(file_write_all(fd, spaces, sizeof(spaces), &err));
	}
	close(fd);
	assert_refused(import(f, "a", NULL, true, &report, &err), ERROR_TOO_LARGE);
	assert_non_null(strstr(err.text, "stop the server"));
	must_import(f, "a", NULL);
}

static void it_ends_when_the_server_does(void **state)
{
	struct fixture *f = *state;
	struct layout_report report;
	struct error err = ERROR_INIT;

	put_layer_image(f->store, APP, "v1", SLICE("one"));
	export(f->store, f, "a", NULL);
	store_interrupt(f->store);
	store_interrupt(f->other);
	assert_refused(layout_export(f->store, layout_name(f, "b"), NULL, &report, &err),
		ERROR_UNAVAILABLE);
	assert_refused(layout_export(f->store, layout_name(f, "c"), "acme/app", &report, &err),
		ERROR_UNAVAILABLE);
	assert_refused(import(f, "a", NULL, false, &report, &err), ERROR_UNAVAILABLE);
	assert_false(has_manifest(f->other, APP, "v1"));
}

/* A good tag before the bad one is in, the bad one is not, nor any trace of it. */
static void damage_is_refused_and_leaves_no_tag(void **state)
{
	static void (*const harms[])(const char *path) = {
		flip, remove_it, cut_off, put_a_folder, put_a_pipe};
	struct fixture *f = *state;
	char *bytes = big_bytes();
	struct slice layers[] = {SLICE("layer"), {bytes, LIMIT_BLOB_IN_ROW + 1}};

	for (size_t i = 0; i < 3 * ARRAY_SIZE(harms); i++) {
		struct slice layer = layers[i % 3 == 2];
		struct digest manifest = put_layer_image(f->store, APP, "v2", layer);
		struct digest harmed = i % 3 == 0 ? manifest : digest_of(layer);
		struct layout_report report;
		struct error err = ERROR_INIT;
		char name[16], path[256], text[DIGEST_TEXT_SIZE];

		put_layer_image(f->store, APP, "v1", SLICE("good"));
		snprintf(name, sizeof(name), "l%zu", i);
		export(f->store, f, name, NULL);
		path_in(path, name, &harmed);
		harms[i / 3](layout_name(f, path));
		assert_refused(import(f, name, NULL, false, &report, &err), ERROR_INVALID);
		digest_format(&harmed, text);
		assert_non_null(strstr(err.text, text + sizeof("sha256:") - 1));
		assert_true(has_manifest(f->other, APP, "v1"));
		assert_false(has_manifest(f->other, APP, "v2"));
		assert_false(has_manifest(f->other, APP, digest_format(&manifest, text)));
		assert_int_equal(count_uploads(f), 0);
	}
	test_free(bytes);
}

static void a_damaged_child_leaves_no_tag_on_its_index(void **state)
{
	struct fixture *f = *state;
	struct digest child = put_layer_image(f->store, APP, NULL, SLICE("one"));
	struct layout_report report;
	struct error err = ERROR_INIT;
	char path[256];

	put_index(f->store, APP, "v1", OCI_MEDIA_MANIFEST, &child, 1);
	export(f->store, f, "a", NULL);
	path_in(path, "a", &child);
	flip(layout_name(f, path));
	assert_refused(import(f, "a", NULL, false, &report, &err), ERROR_INVALID);
	assert_false(has_manifest(f->other, APP, "v1"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(an_export_has_a_descriptor_for_each_tag),
		TEST(only_the_repository_asked_for_is_exported),
		TEST(manifests_below_an_index_are_not_listed),
		TEST(a_child_in_another_repository_does_not_hide_a_manifest),
		TEST(an_artifact_type_may_be_long),
		TEST(only_its_owner_may_read_an_export),
		TEST(a_folder_that_is_not_empty_is_refused),
		TEST(more_tags_than_a_page_are_all_listed),
		TEST(damage_fails_the_export_and_leaves_no_index),
		TEST(a_blob_file_that_is_gone_fails_the_export),
		TEST(a_store_survives_export_and_import),
		TEST(a_hundred_repositories_share_their_blobs),
		TEST(importing_again_finds_nothing_new),
		TEST(an_import_heals_what_is_damaged),
		TEST(a_blob_that_only_the_store_has_is_mounted),
		TEST(an_immutable_tag_stays_so),
		TEST(an_image_without_its_layer_comes_back_so),
		TEST(a_blob_that_an_index_names_comes_along),
		TEST(a_manifest_that_an_index_calls_something_else_comes_along),
		TEST(indexes_that_share_their_children_are_read_once),
		TEST(indexes_too_deep_are_refused),
		TEST(names_say_where_a_manifest_goes),
		TEST(the_refusal_of_a_bare_tag_says_what_to_give),
		TEST(a_running_server_keeps_its_own_repositories),
		TEST(a_layout_that_is_malformed_is_refused),
		TEST(a_folder_without_an_index_is_no_complete_layout),
		TEST(another_size_than_the_index_says_is_refused),
		TEST(what_the_store_has_does_not_excuse_a_damaged_layout),
		TEST(a_layout_of_anything_but_files_is_refused),
		TEST(a_running_server_reads_no_huge_index),
		TEST(it_ends_when_the_server_does),
		TEST(damage_is_refused_and_leaves_no_tag),
		TEST(a_damaged_child_leaves_no_tag_on_its_index),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
