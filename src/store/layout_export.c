/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each repository in two steps: the contents of all its manifests, then the descriptors of those
 * that have a name or no parent. Only manifests that were there before the first step take part, so
 * a descriptor never comes without what it names. index.json gets its name last, when everything is
 * durable: a folder without it is an export that did not end.
 */
#include "store/layout.h"

#include "base/file.h"
#include "base/json.h"
#include "oci/reference.h"
#include "store/db.h"
#include "store/layout_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#define INDEX_PARTIAL "index.json.partial"
#define INDEX_FLUSH (64 * KIB) /* index.json is written in pieces of this size */
/* A piece, and one more descriptor: its artifactType comes out of a manifest and may grow when it
 * is escaped. */
#define INDEX_MAX (2 * INDEX_FLUSH + 6 * LIMIT_MANIFEST)

struct export
{
	struct store *store;
	int dir;          /* the layout's */
	int index_fd;     /* index.json, */
	struct buf index; /* and what of it is still to be written */
	bool sparse;      /* a manifest names a blob that its repository does not have */
	struct layout_report report;
};

static void export_done(struct export *x)
{
	closep(&x->dir);
	closep(&x->index_fd);
	buf_done(&x->index);
}

struct exported_repository {
	int64_t id;
	struct slice name;
	int64_t last_manifest; /* younger ones are left out */
};

/* ---- contents ---- */

static bool is_there(const struct export *x, const struct digest *digest)
{
	char path[LAYOUT_PATH_SIZE];

	return faccessat(x->dir, layout_path(digest, path), F_OK, 0) == 0;
}

static int create(const struct export *x, const char *path, int *ret, struct error *err)
{
	int fd = openat(x->dir, path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd < 0)
		return error_set_errno(err, errno, "cannot make %s in the layout", path);
	*ret = fd;
	return 0;
}

static int write_file(
	const struct export *x, const char *path, struct slice bytes, struct error *err)
{
	AUTO_CLOSE int fd = -1;

	if (create(x, path, &fd, err) != 0)
		return -1;
	return file_write_all(fd, bytes.p, bytes.n, err);
}

static int copy_file(
	const struct export *x, const struct digest *digest, uint64_t size, struct error *err)
{
	char path[LAYOUT_PATH_SIZE];
	AUTO_CLOSE int fd = -1;

	if (create(x, layout_path(digest, path), &fd, err) != 0)
		return -1;
	return store_blob_copy_file(x->store, digest, size, fd, err);
}

static int get_blob(const struct export *x, struct slice repository, const struct digest *digest,
	struct store_blob *ret, struct error *err)
{
	CLEANUP(store_reader_donep) struct store_conn *reader = store_reader(x->store);

	return store_blob_get(reader, repository, digest, ret, err);
}

/* *ret_found: the repository has it. */
static int export_blob(struct export *x, struct slice repository, const struct digest *digest,
	bool *ret_found, struct error *err)
{
	CLEANUP(store_blob_done) struct store_blob blob;
	struct error failure = ERROR_INIT;
	char path[LAYOUT_PATH_SIZE];
	int result;

	store_blob_init(&blob);
	*ret_found = true;
	if (is_there(x, digest))
		return 0;
	if (get_blob(x, repository, digest, &blob, &failure) != 0) {
		*ret_found = false;
		if (failure.code == ERROR_NOT_FOUND)
			return 0;
		*err = failure;
		return -1;
	}
	result = blob.fd >= 0
			 ? copy_file(x, digest, blob.size, err)
			 : write_file(x, layout_path(digest, path), buf_slice(&blob.data), err);
	if (result != 0)
		return -1;
	x->report.blobs++;
	x->report.bytes += blob.size;
	return 0;
}

/* What an index names are manifests, which are exported for themselves, or in rare cases blobs. */
static int export_children(
	struct export *x, struct slice repository, const struct oci_manifest *m, struct error *err)
{
	bool found;

	if (m->kind == OCI_IMAGE) {
		if (export_blob(x, repository, &m->config.digest, &found, err) != 0)
			return -1;
		x->sparse = x->sparse || !found;
	}
	for (size_t i = 0; i < m->n_children; i++) {
		if (export_blob(x, repository, &m->children[i].digest, &found, err) != 0)
			return -1;
		x->sparse = x->sparse || (!found && m->kind == OCI_IMAGE);
	}
	return 0;
}

static int export_manifest(struct export *x, const struct exported_repository *r,
	const struct store_manifest *manifest, struct error *err)
{
	CLEANUP(oci_manifest_freep) struct oci_manifest *m = NULL;
	struct slice bytes = buf_slice(&manifest->bytes);
	char path[LAYOUT_PATH_SIZE];

	if (oci_manifest_parse(&m, bytes, err) != 0 || export_children(x, r->name, m, err) != 0)
		return -1;
	x->report.manifests++;
	x->report.bytes += bytes.n;
	if (is_there(x, &manifest->digest))
		return 0;
	return write_file(x, layout_path(&manifest->digest, path), bytes, err);
}

/* The manifest with the least digest above that of *m, which it replaces. */
static int next_manifest(const struct export *x, const struct exported_repository *r,
	struct store_manifest *m, bool *ret_found, struct error *err)
{
	CLEANUP(store_reader_donep) struct store_conn *reader = store_reader(x->store);
	CLEANUP(query_done) struct query q = query(reader, SQL_MANIFEST_NEXT);
	struct slice bytes;
	int row;

	query_bind_int(&q, r->id);
	if (m->digest.algorithm == DIGEST_NONE)
		query_bind_blob(&q, SLICE(""));
	else
		query_bind_digest(&q, &m->digest);
	query_bind_int(&q, r->last_manifest);
	row = query_row(&q, err);
	*ret_found = row > 0;
	if (row <= 0)
		return row;
	if (query_digest(&q, &m->digest, err) != 0)
		return -1;
	bytes = query_slice(&q);
	if (store_check_digest(&m->digest, bytes, err) != 0)
		return -1;
	buf_reset(&m->bytes);
	buf_add(&m->bytes, bytes);
	return buf_check(&m->bytes, err);
}

static int export_contents(struct export *x, const struct exported_repository *r, struct error *err)
{
	CLEANUP(store_manifest_done) struct store_manifest m;
	char text[DIGEST_TEXT_SIZE];
	bool found;

	store_manifest_init(&m);
	for (;;) {
		if (store_interrupted(x->store, err) != 0 ||
			next_manifest(x, r, &m, &found, err) != 0)
			return -1;
		if (!found)
			return 0;
		if (export_manifest(x, r, &m, err) != 0)
			return error_wrap(err, "the manifest %s", digest_format(&m.digest, text));
	}
}

/* ---- index.json ---- */

static int flush_index(struct export *x, struct error *err)
{
	int result = buf_check(&x->index, err);

	if (result == 0)
		result = file_write_all(x->index_fd, x->index.data, x->index.len, err);
	buf_reset(&x->index);
	return result;
}

struct listed {
	struct slice tag; /* p == NULL: none */
	bool immutable;
	struct digest digest;
	struct slice media_type, artifact_type; /* artifact_type.p == NULL: none */
	uint64_t size;
};

static void write_descriptor(
	struct buf *b, const struct exported_repository *r, const struct listed *l)
{
	char digest[DIGEST_TEXT_SIZE], name[LIMIT_REPOSITORY + DIGEST_TEXT_SIZE + LIMIT_TAG];

	digest_format(&l->digest, digest);
	if (l->tag.p != NULL)
		snprintf(name, sizeof(name), "%.*s:%.*s", SLICE_ARG(r->name), SLICE_ARG(l->tag));
	else
		snprintf(name, sizeof(name), "%.*s@%s", SLICE_ARG(r->name), digest);
	json_begin_object(b);
	json_member_string(b, "mediaType", l->media_type);
	json_member_cstr(b, "digest", digest);
	json_member_u64(b, "size", l->size);
	if (l->artifact_type.p != NULL)
		json_member_string(b, "artifactType", l->artifact_type);
	json_key(b, "annotations");
	json_begin_object(b);
	if (l->immutable)
		json_member_cstr(b, LAYOUT_IMMUTABLE, "true");
	json_member_cstr(b, LAYOUT_REF_NAME, name);
	json_end_object(b);
	json_end_object(b);
}

static int list_one(struct export *x, const struct exported_repository *r, const struct listed *l,
	struct error *err)
{
	char text[DIGEST_TEXT_SIZE];

	if (!is_there(x, &l->digest))
		return 0; /* it took the id of one that was deleted meanwhile */
	/* What was written already is not there for json_item() to see. */
	if (x->index.len == 0)
		buf_putc(&x->index, ',');
	write_descriptor(&x->index, r, l);
	x->report.tags += l->tag.p != NULL;
	if (x->index.len < INDEX_FLUSH || flush_index(x, err) == 0)
		return 0;
	return error_wrap(err, "the descriptor of %s", digest_format(&l->digest, text));
}

/* Where a list goes on: after this tag or key of a digest. */
struct cursor {
	char bytes[LIMIT_TAG];
	size_t n;
};

static int read_listed(struct query *q, struct cursor *at, struct listed *ret, struct error *err)
{
	struct slice key = query_slice(q);

	if (key.n > sizeof(at->bytes))
		return error_set(err, ERROR_INTERNAL,
			"the registry's database is damaged: a tag is too long");
	memcpy(at->bytes, key.p, key.n);
	at->n = key.n;
	ret->tag = query_slice(q);
	ret->immutable = query_int(q) != 0;
	if (query_digest(q, &ret->digest, err) != 0)
		return -1;
	ret->media_type = query_slice(q);
	ret->artifact_type = query_slice(q);
	ret->size = (uint64_t)query_int(q);
	return 0;
}

static int list_page(struct export *x, const struct exported_repository *r, enum store_sql sql,
	struct cursor *at, bool *ret_more, struct error *err)
{
	CLEANUP(store_reader_donep) struct store_conn *reader = store_reader(x->store);
	CLEANUP(query_done) struct query q = query(reader, sql);
	struct cursor from = *at;
	struct slice after = {from.bytes, from.n};
	struct listed l;
	size_t n = 0;
	int row;

	query_bind_int(&q, r->id);
	if (sql == SQL_LAYOUT_TAGS)
		query_bind_text(&q, after);
	else
		query_bind_blob(&q, after);
	query_bind_int(&q, r->last_manifest);
	query_bind_int(&q, LIMIT_LIST_PAGE);
	for (; (row = query_row(&q, err)) == 1; n++)
		if (read_listed(&q, at, &l, err) != 0 || list_one(x, r, &l, err) != 0)
			return -1;
	*ret_more = n == LIMIT_LIST_PAGE;
	return row;
}

static int list_all(struct export *x, const struct exported_repository *r, enum store_sql sql,
	struct error *err)
{
	struct cursor at = {.n = 0};
	bool more = true;

	while (more)
		if (store_interrupted(x->store, err) != 0 ||
			list_page(x, r, sql, &at, &more, err) != 0)
			return -1;
	return 0;
}

/* ---- repositories ---- */

static int last_manifest(struct store_conn *c, int64_t *ret, struct error *err)
{
	CLEANUP(query_done) struct query q = query(c, SQL_MANIFEST_LAST);

	return query_id(&q, ret, err);
}

/* id: 0 when there is none of that name. */
static int find_repository(
	struct export *x, struct slice name, struct exported_repository *ret, struct error *err)
{
	CLEANUP(store_reader_donep) struct store_conn *reader = store_reader(x->store);

	ret->name = name;
	if (store_repository_find(reader, name, &ret->id, err) != 0)
		return -1;
	return last_manifest(reader, &ret->last_manifest, err);
}

static int export_repository(struct export *x, struct slice name, struct error *err)
{
	struct exported_repository r;

	if (find_repository(x, name, &r, err) != 0 || export_contents(x, &r, err) != 0 ||
		list_all(x, &r, SQL_LAYOUT_TAGS, err) != 0 ||
		list_all(x, &r, SQL_LAYOUT_UNTAGGED, err) != 0)
		return error_wrap(err, "the repository %.*s", SLICE_ARG(name));
	x->report.repositories++;
	return 0;
}

static int get_page(struct export *x, struct slice last, struct store_names *ret, struct error *err)
{
	CLEANUP(store_reader_donep) struct store_conn *reader = store_reader(x->store);

	return store_repositories(reader, last, LIMIT_LIST_PAGE, ret, err);
}

static int export_page(
	struct export *x, char last[LIMIT_REPOSITORY + 1], bool *ret_more, struct error *err)
{
	CLEANUP(store_names_done) struct store_names names;
	struct slice name = SLICE_NONE;
	size_t at = 0;

	store_names_init(&names);
	if (get_page(x, slice_of(last), &names, err) != 0)
		return -1;
	while (store_names_next(&names, &at, &name))
		if (export_repository(x, name, err) != 0)
			return -1;
	if (name.p != NULL)
		snprintf(last, LIMIT_REPOSITORY + 1, "%.*s", SLICE_ARG(name));
	*ret_more = names.more;
	return 0;
}

static int export_all(struct export *x, struct error *err)
{
	char last[LIMIT_REPOSITORY + 1] = "";
	bool more = true;

	while (more)
		if (store_interrupted(x->store, err) != 0 || export_page(x, last, &more, err) != 0)
			return -1;
	return 0;
}

/* ---- the folder ---- */

static int check_empty(const char *path, struct error *err)
{
	DIR *d = opendir(path);
	struct dirent *entry;
	bool empty = true;

	if (d == NULL)
		return error_set_errno(err, errno, "cannot open the folder %s", path);
	while ((entry = readdir(d)) != NULL)
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			empty = false;
	closedir(d);
	return empty ? 0
		     : error_set(err, ERROR_CONFLICT,
			       "the folder %s is not empty; export into a new one", path);
}

static int make_folders(struct export *x, const char *path, struct error *err)
{
	static const char *const folders[] = {"blobs", "blobs/sha256", "blobs/sha512"};

	if (file_make_dirs(path, err) != 0 || check_empty(path, err) != 0)
		return -1;
	x->dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (x->dir < 0)
		return error_set_errno(err, errno, "cannot open the folder %s", path);
	if (store_check_outside(x->store, x->dir, err) != 0)
		return error_wrap(err, "the layout %s", path);
	for (size_t i = 0; i < ARRAY_SIZE(folders); i++)
		if (mkdirat(x->dir, folders[i], 0700) != 0)
			return error_set_errno(err, errno, "cannot make the folder %s", folders[i]);
	return 0;
}

static int begin(struct export *x, const char *path, struct error *err)
{
	if (make_folders(x, path, err) != 0 || create(x, INDEX_PARTIAL, &x->index_fd, err) != 0)
		return -1;
	json_begin_object(&x->index);
	json_member_u64(&x->index, "schemaVersion", 2);
	json_member_cstr(&x->index, "mediaType", OCI_MEDIA_INDEX);
	json_key(&x->index, "manifests");
	json_begin_array(&x->index);
	return 0;
}

static int finish_index(struct export *x, struct error *err)
{
	struct buf *b = &x->index;

	json_end_array(b);
	if (x->sparse) {
		json_key(b, "annotations");
		json_begin_object(b);
		json_member_cstr(b, LAYOUT_SPARSE, "true");
		json_end_object(b);
	}
	json_end_object(b);
	return flush_index(x, err);
}

static int write_version(const struct export *x, struct error *err)
{
	CLEANUP(buf_done) struct buf b = BUF_INIT(LIMIT_CONFIG_FILE);

	json_begin_object(&b);
	json_member_cstr(&b, "imageLayoutVersion", LAYOUT_VERSION);
	json_end_object(&b);
	if (buf_check(&b, err) != 0)
		return -1;
	return write_file(x, "oci-layout", buf_slice(&b), err);
}

/* A disk that fails is not the store's: the export fails, the process goes on. */
static int publish(const struct export *x, struct error *err)
{
	if (syncfs(x->dir) != 0)
		return error_set_errno(err, errno, "cannot sync the layout to disk");
	if (renameat(x->dir, INDEX_PARTIAL, x->dir, "index.json") != 0)
		return error_set_errno(err, errno, "cannot name the layout's index.json");
	if (fsync(x->dir) != 0)
		return error_set_errno(err, errno, "cannot sync the layout to disk");
	return 0;
}

static int check_repository(struct export *x, const char *repository, struct error *err)
{
	struct exported_repository r;

	if (find_repository(x, slice_of(repository), &r, err) != 0)
		return -1;
	if (r.id == 0)
		return error_set(err, ERROR_NOT_FOUND, "there is no repository %s", repository);
	return 0;
}

int layout_export(struct store *s, const char *dir, const char *repository,
	struct layout_report *ret, struct error *err)
{
	CLEANUP(export_done)
	struct export x = {.store = s, .dir = -1, .index_fd = -1, .index = BUF_INIT(INDEX_MAX)};
	int result;

	if (repository != NULL && check_repository(&x, repository, err) != 0)
		return -1;
	if (begin(&x, dir, err) != 0)
		return -1;
	result = repository == NULL ? export_all(&x, err)
				    : export_repository(&x, slice_of(repository), err);
	*ret = x.report;
	if (result != 0 || finish_index(&x, err) != 0 || write_version(&x, err) != 0)
		return -1;
	return publish(&x, err);
}
