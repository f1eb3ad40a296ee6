/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each descriptor of index.json in turn: what its manifest names first, then the manifest, then the
 * tag. Files are read and verified, and large blobs copied, outside of transactions.
 */
#include "store/layout.h"

#include "base/file.h"
#include "oci/json_read.h"
#include "oci/reference.h"
#include "store/db.h"
#include "store/layout_batch.h"
#include "store/layout_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

/* Only the server's own API writes below it. */

/* A descriptor: of index.json, or in an index below. */
struct entry {
	struct slice repository;
	struct slice tag; /* p == NULL: none */
	bool immutable;
	struct slice media_type;
	struct digest digest;
	uint64_t size; /* of index.json */
};

struct loaded {
	struct buf bytes;
	struct oci_manifest *parsed;
};

static void loaded_done(struct loaded *l)
{
	buf_done(&l->bytes);
	oci_manifest_free(l->parsed);
}

/* A manifest whose children are being imported. */
struct level {
	struct entry entry;
	struct loaded loaded;
	size_t next; /* child */
};

struct import {
	const struct layout_import *options;
	struct store *store;
	int dir;              /* the layout's */
	json_t *index;        /* index.json */
	bool sparse;          /* the layout says that blobs were missing in the store it is from */
	json_t *repositories; /* a set: those that the layout names */
	json_t *blobs;        /* a set: those that were looked for in the layout */
	json_t *seen;         /* a set: manifests below the current descriptor */
	size_t n_levels;      /* from the current descriptor down */
	struct level levels[LIMIT_LAYOUT_DEPTH + 1];
	struct layout_batch batch;
	struct layout_report report;
};

static void import_free(struct import *x)
{
	if (x == NULL)
		return;
	closep(&x->dir);
	json_decref(x->index);
	json_decref(x->repositories);
	json_decref(x->blobs);
	json_decref(x->seen);
	while (x->n_levels > 0)
		loaded_done(&x->levels[--x->n_levels].loaded);
	layout_batch_done(&x->batch);
	free(x);
}
DEFINE_CLEANUP(struct import, import_free);

/* Is it new in the set? */
static int add_to_set(json_t *set, struct slice key, bool *ret_new, struct error *err)
{
	bool is_new = json_object_getn(set, key.p, key.n) == NULL;

	if (is_new && json_object_setn_new(set, key.p, key.n, json_true()) != 0)
		return error_no_memory(err);
	*ret_new = is_new;
	return 0;
}

/* ---- descriptors of index.json ---- */

static struct slice string_of(const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key);

	if (!json_is_string(value))
		return SLICE_NONE;
	return (struct slice){json_string_value(value), json_string_length(value)};
}

/* Splits "<repository>:<tag>", "<repository>@<digest>" or "<tag>". */
static int split_name(struct entry *e, struct slice name, struct error *err)
{
	struct slice text = name, before = slice_cut(&text, '@');
	const char *colon;
	struct digest digest;

	if (text.p != NULL) {
		e->repository = before;
		if (digest_parse(&digest, text, err) != 0)
			return error_wrap(err, "the name %.*s", SLICE_ARG(name));
		if (digest_eq(&digest, &e->digest))
			return 0;
		return error_set(err, ERROR_INVALID,
			"the name %.*s has another digest than its descriptor", SLICE_ARG(name));
	}
	colon = memrchr(name.p, ':', name.n);
	if (colon != NULL) {
		e->repository = (struct slice){name.p, (size_t)(colon - name.p)};
		name.n -= e->repository.n + 1;
		name.p = colon + 1;
	}
	e->tag = name;
	return 0;
}

static int check_name(
	const struct import *x, const struct entry *e, struct slice name, struct error *err)
{
	if (e->repository.p == NULL)
		return error_set(err, ERROR_INVALID,
			"the layout does not say to which repository \"%.*s\" belongs; name one "
			"with --repository",
			SLICE_ARG(name));
	if (!oci_repository_ok(e->repository) || (e->tag.p != NULL && !oci_tag_ok(e->tag)))
		return error_set(err, ERROR_INVALID,
			"the layout names something \"%.*s\", which is neither "
			"<repository>:<tag> nor <repository>@<digest> nor a tag",
			SLICE_ARG(name));
	if (x->options->live && slice_starts(e->repository, SLICE(STORE_OWN_REPOSITORIES)))
		return error_set(err, ERROR_DENIED,
			"only the running server writes to %.*s; stop it to import that",
			SLICE_ARG(e->repository));
	return 0;
}

static int read_name(
	const struct import *x, const json_t *descriptor, struct entry *e, struct error *err)
{
	const json_t *annotations = json_object_get(descriptor, "annotations");
	struct slice name = string_of(annotations, LAYOUT_REF_NAME);

	if (x->options->repository != NULL)
		e->repository = slice_of(x->options->repository);
	if (name.p != NULL && split_name(e, name, err) != 0)
		return -1;
	e->immutable = slice_eq(string_of(annotations, LAYOUT_IMMUTABLE), SLICE("true"));
	return check_name(x, e, name.p == NULL ? SLICE("") : name, err);
}

static int read_entry(
	const struct import *x, const json_t *descriptor, struct entry *ret, struct error *err)
{
	const json_t *size = json_object_get(descriptor, "size");
	struct slice digest = string_of(descriptor, "digest");
	struct entry e = {.media_type = string_of(descriptor, "mediaType")};

	if (digest.p == NULL)
		return error_set(err, ERROR_INVALID, "a descriptor has no digest");
	if (digest_parse(&e.digest, digest, err) != 0)
		return -1;
	if (!json_is_integer(size) || json_integer_value(size) < 0)
		return error_set(err, ERROR_INVALID, "the size of %.*s must be a number of bytes",
			SLICE_ARG(digest));
	e.size = (uint64_t)json_integer_value(size);
	if (read_name(x, descriptor, &e, err) != 0)
		return -1;
	*ret = e;
	return 0;
}

/* ---- files of the layout ---- */

/* A large one, into its place in the store. */
static int adopt_blob(struct import *x, int from, const struct digest *digest, struct error *err)
{
	AUTO_FREE char *path = str_printf("%s/uploads/import.XXXXXX", store_dir(x->store));
	AUTO_CLOSE int fd = -1;

	if (path == NULL)
		return error_no_memory(err);
	fd = mkostemp(path, O_CLOEXEC);
	if (fd < 0)
		return error_set_errno(err, errno, "cannot store a blob");
	if (layout_copy(x->store, from, digest, fd, err) == 0 && file_sync(fd, err) == 0 &&
		store_blob_adopt_file(x->store, digest, path, err) == 0)
		return 0;
	unlink(path);
	return -1;
}

/* ---- blobs ---- */

enum where { NOWHERE, IN_STORE, IN_REPOSITORY };

static int find_blob(const struct import *x, struct slice repository, const struct digest *digest,
	enum where *ret, struct error *err)
{
	CLEANUP(store_reader_donep) struct store_conn *reader = store_reader(x->store);
	CLEANUP(query_done) struct query q = query(reader, SQL_BLOB_FIND);
	int64_t id, of_repository, anywhere;

	query_bind_digest(&q, digest);
	if (store_repository_find(reader, repository, &id, err) != 0 ||
		store_blob_find(reader, id, digest, &of_repository, err) != 0 ||
		query_id(&q, &anywhere, err) != 0)
		return -1;
	if (of_repository != 0 || layout_batch_has_blob(&x->batch, repository, digest))
		*ret = IN_REPOSITORY;
	else if (anywhere != 0 || layout_batch_has_blob(&x->batch, SLICE_NONE, digest))
		*ret = IN_STORE;
	else
		*ret = NOWHERE;
	return 0;
}

/* Takes it from the layout; *ret_found is false when it is not there. is_new: to the store. */
static int copy_blob(struct import *x, struct slice repository, const struct digest *digest,
	bool is_new, bool *ret_found, struct error *err)
{
	CLEANUP(layout_change_done)
	struct layout_change change = {.kind = LAYOUT_PUT_BLOB,
		.repository = repository,
		.digest = *digest,
		.bytes = BUF_INIT(LIMIT_BLOB_IN_ROW)};
	AUTO_CLOSE int fd = -1;
	int result;

	if (layout_open(x->dir, digest, &fd, &change.size, err) != 0)
		return -1;
	*ret_found = fd >= 0;
	if (fd < 0)
		return 0;
	result = change.size <= LIMIT_BLOB_IN_ROW
			 ? layout_read(fd, digest, (size_t)change.size, &change.bytes, err)
			 : adopt_blob(x, fd, digest, err);
	if (result != 0)
		return -1;
	x->report.blobs += is_new;
	x->report.bytes += is_new ? change.size : 0;
	return layout_batch_add(&x->batch, &change, err);
}

/* What the store has may be damaged, and is healed by what the layout has: once in an import.
 * *ret_found: the repository has it now. */
static int import_blob(struct import *x, struct slice repository, const struct digest *digest,
	bool *ret_found, struct error *err)
{
	struct layout_change mount = {
		.kind = LAYOUT_MOUNT_BLOB, .repository = repository, .digest = *digest};
	char text[DIGEST_TEXT_SIZE];
	bool is_first, found = false;
	enum where where;

	if (find_blob(x, repository, digest, &where, err) != 0 ||
		add_to_set(x->blobs, slice_of(digest_format(digest, text)), &is_first, err) != 0)
		return -1;
	if ((is_first || where == NOWHERE) &&
		copy_blob(x, repository, digest, where == NOWHERE, &found, err) != 0)
		return -1;
	*ret_found = found || where != NOWHERE;
	if (found || where == NOWHERE)
		return 0;
	return where == IN_REPOSITORY ? 0 : layout_batch_add(&x->batch, &mount, err);
}

static int import_part(struct import *x, struct slice repository, const struct oci_descriptor *d,
	struct error *err)
{
	bool found;

	if (import_blob(x, repository, &d->digest, &found, err) != 0)
		return -1;
	if (found || x->sparse || oci_descriptor_is_elsewhere(d))
		return 0;
	return layout_damaged(&d->digest, "is missing", err);
}

/* ---- manifests ---- */

static bool is_manifest_type(struct slice type)
{
	enum oci_manifest_kind ignored;

	return oci_manifest_media_type(type, &ignored) != NULL;
}

/* What the document says, else its descriptor if that fits, else what its kind has in OCI. */
static struct slice type_of(const struct oci_manifest *m, struct slice said)
{
	enum oci_manifest_kind kind;
	const char *known;

	if (m->media_type != NULL)
		said = slice_of(m->media_type);
	known = oci_manifest_media_type(said, &kind);
	if (known != NULL && kind == m->kind)
		return slice_of(known);
	return m->kind == OCI_IMAGE ? SLICE(OCI_MEDIA_MANIFEST) : SLICE(OCI_MEDIA_INDEX);
}

static int is_stored(const struct import *x, struct slice repository, const struct digest *digest,
	bool *ret, struct error *err)
{
	CLEANUP(store_reader_donep) struct store_conn *reader = store_reader(x->store);
	int64_t id, manifest;

	if (store_repository_find(reader, repository, &id, err) != 0 ||
		store_manifest_find(reader, id, digest, &manifest, err) != 0)
		return -1;
	*ret = manifest != 0 || layout_batch_has_manifest(&x->batch, repository, digest);
	return 0;
}

static int load(
	int fd, uint64_t size, const struct digest *digest, struct loaded *ret, struct error *err)
{
	char text[DIGEST_TEXT_SIZE];

	buf_init(&ret->bytes, LIMIT_MANIFEST);
	if (size > LIMIT_MANIFEST)
		return error_set(err, ERROR_INVALID,
			"the manifest %s has %llu bytes, more than the %zu allowed",
			digest_format(digest, text), (unsigned long long)size, LIMIT_MANIFEST);
	if (layout_read(fd, digest, (size_t)size, &ret->bytes, err) != 0)
		return -1;
	if (oci_manifest_parse(&ret->parsed, buf_slice(&ret->bytes), err) != 0)
		return error_wrap(err, "the manifest %s", digest_format(digest, text));
	return 0;
}

static int put_manifest(
	struct import *x, const struct entry *e, struct loaded *l, struct error *err)
{
	struct layout_change change = {
		.kind = LAYOUT_PUT_MANIFEST,
		.repository = e->repository,
		.digest = e->digest,
		.tag = e->tag,
		.immutable = e->immutable,
		.type = type_of(l->parsed, e->media_type),
	};
	bool stored;

	if (is_stored(x, e->repository, &e->digest, &stored, err) != 0)
		return -1;
	x->report.tags += e->tag.p != NULL;
	x->report.manifests += !stored;
	x->report.bytes += stored ? 0 : l->bytes.len;
	change.bytes = l->bytes;
	buf_init(&l->bytes, 0);
	return layout_batch_add(&x->batch, &change, err);
}

/* ---- trees of indexes ---- */

/* Takes over what was loaded. */
static int push_level(struct import *x, const struct entry *e, struct loaded *l, struct error *err)
{
	if (x->n_levels == ARRAY_SIZE(x->levels))
		return error_set(err, ERROR_INVALID,
			"the layout has more than %d levels of indexes", LIMIT_LAYOUT_DEPTH);
	x->levels[x->n_levels++] = (struct level){.entry = *e, .loaded = *l};
	*l = (struct loaded){.parsed = NULL};
	return 0;
}

/* What an index names: a manifest, or anything else, as a blob. It may be missing: an index may
 * name platforms that were not copied. */
static int import_child(struct import *x, struct slice repository, const struct oci_descriptor *d,
	struct error *err)
{
	struct entry e = {.repository = repository,
		.digest = d->digest,
		.media_type = slice_of(d->media_type)};
	CLEANUP(loaded_done) struct loaded l = {.parsed = NULL};
	char text[DIGEST_TEXT_SIZE];
	AUTO_CLOSE int fd = -1;
	struct error failure = ERROR_INIT;
	bool is_new, found;
	uint64_t size;

	if (add_to_set(x->seen, slice_of(digest_format(&d->digest, text)), &is_new, err) != 0)
		return -1;
	if (!is_new)
		return 0;
	if (layout_open(x->dir, &d->digest, &fd, &size, err) != 0)
		return -1;
	if (fd < 0)
		return 0;
	if (load(fd, size, &d->digest, &l, &failure) == 0)
		return push_level(x, &e, &l, err);
	if (!is_manifest_type(e.media_type))
		return import_blob(x, repository, &d->digest, &found, err);
	*err = failure;
	return -1;
}

static int import_parts(
	struct import *x, struct slice repository, const struct oci_manifest *m, struct error *err)
{
	if (import_part(x, repository, &m->config, err) != 0)
		return -1;
	for (size_t i = 0; i < m->n_children; i++)
		if (import_part(x, repository, &m->children[i], err) != 0)
			return -1;
	return 0;
}

/* Everything below it is in. */
static int finish_level(struct import *x, struct level *level, struct error *err)
{
	const struct oci_manifest *m = level->loaded.parsed;

	if (m->kind == OCI_IMAGE && import_parts(x, level->entry.repository, m, err) != 0)
		return -1;
	if (put_manifest(x, &level->entry, &level->loaded, err) != 0)
		return -1;
	loaded_done(&level->loaded);
	x->n_levels--;
	return 0;
}

static int import_levels(struct import *x, struct error *err)
{
	while (x->n_levels > 0) {
		struct level *top = &x->levels[x->n_levels - 1];
		const struct oci_manifest *m = top->loaded.parsed;
		bool has_child = m->kind == OCI_INDEX && top->next < m->n_children;

		if (store_interrupted(x->store, err) != 0)
			return -1;
		if ((has_child ? import_child(
					 x, top->entry.repository, &m->children[top->next++], err)
			       : finish_level(x, top, err)) != 0)
			return -1;
	}
	return 0;
}

/* ---- index.json ---- */

static int import_entry(struct import *x, const struct entry *e, struct error *err)
{
	CLEANUP(loaded_done) struct loaded l = {.parsed = NULL};
	AUTO_CLOSE int fd = -1;
	bool is_new = false;
	uint64_t size;

	AZ(json_object_clear(x->seen));
	if (add_to_set(x->repositories, e->repository, &is_new, err) != 0 ||
		layout_open(x->dir, &e->digest, &fd, &size, err) != 0)
		return -1;
	x->report.repositories += is_new;
	if (fd < 0)
		return layout_damaged(&e->digest, "is missing", err);
	if (size != e->size)
		return layout_damaged(&e->digest, "has another size than index.json says", err);
	if (load(fd, size, &e->digest, &l, err) != 0)
		return -1;
	return push_level(x, e, &l, err) == 0 ? import_levels(x, err) : -1;
}

static int do_nothing(
	struct import *x UNUSED, const struct entry *e UNUSED, struct error *err UNUSED)
{
	return 0;
}

static int for_each_entry(struct import *x,
	int (*each)(struct import *x, const struct entry *e, struct error *err), struct error *err)
{
	const json_t *descriptor;
	struct entry e;
	size_t i;

	json_array_foreach(json_object_get(x->index, "manifests"), i, descriptor)
	{
		if (read_entry(x, descriptor, &e, err) != 0)
			return error_wrap(err, "index.json, manifests[%zu]", i);
		if (each(x, &e, err) != 0)
			return -1;
	}
	return 0;
}

/* All of index.json is looked at before anything is written. What is complete when it fails is
 * written, too. */
static int import_entries(struct import *x, struct error *err)
{
	struct error failure = ERROR_INIT;

	if (for_each_entry(x, do_nothing, err) != 0)
		return -1;
	if (for_each_entry(x, import_entry, err) == 0)
		return layout_batch_flush(&x->batch, err);
	if (layout_batch_flush(&x->batch, &failure) != 0)
		*err = failure;
	return -1;
}

static int read_json(
	const struct import *x, const char *name, size_t max, json_t **ret, struct error *err)
{
	CLEANUP(buf_done) struct buf b = BUF_INIT(max);
	AUTO_CLOSE int fd = -1;
	uint64_t size;

	if (layout_open_path(x->dir, name, &fd, &size, err) != 0)
		return -1;
	if (fd < 0)
		return error_set(err, ERROR_INVALID,
			"%s is not a complete image layout: it has no %s", x->options->dir, name);
	if (file_read_fd(fd, name, &b, err) != 0)
		return -1;
	return json_read_object(ret, buf_slice(&b), err) == 0 ? 0 : error_wrap(err, "%s", name);
}

static int check_version(const struct import *x, struct error *err)
{
	CLEANUP(json_decrefp) json_t *root = NULL;

	if (read_json(x, "oci-layout", LIMIT_CONFIG_FILE, &root, err) != 0)
		return -1;
	if (slice_eq(string_of(root, "imageLayoutVersion"), SLICE(LAYOUT_VERSION)))
		return 0;
	return error_set(err, ERROR_INVALID, "the imageLayoutVersion of %s must be " LAYOUT_VERSION,
		x->options->dir);
}

static int read_index(struct import *x, struct error *err)
{
	size_t max = x->options->live ? LIMIT_LAYOUT_INDEX_LIVE : LIMIT_LAYOUT_INDEX;
	const json_t *version;

	if (read_json(x, "index.json", max, &x->index, err) != 0)
		return x->options->live && err->code == ERROR_TOO_LARGE
			       ? error_set(err, ERROR_TOO_LARGE,
					 "index.json is larger than the %zu bytes that a running "
					 "server reads; stop the server and import again",
					 max)
			       : -1;
	version = json_object_get(x->index, "schemaVersion");
	if (!json_is_integer(version) || json_integer_value(version) != 2)
		return error_set(err, ERROR_INVALID, "the schemaVersion of index.json must be 2");
	if (!json_is_array(json_object_get(x->index, "manifests")))
		return error_set(err, ERROR_INVALID, "index.json must have a list of manifests");
	x->sparse = slice_eq(
		string_of(json_object_get(x->index, "annotations"), LAYOUT_SPARSE), SLICE("true"));
	return 0;
}

static int begin(struct import *x, struct error *err)
{
	const struct layout_import *options = x->options;

	if (options->repository != NULL && !oci_repository_ok(slice_of(options->repository)))
		return error_set(err, ERROR_INVALID, "\"%s\" cannot be the name of a repository",
			options->repository);
	x->dir = open(options->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (x->dir < 0)
		return error_set_errno(err, errno, "cannot open the folder %s", options->dir);
	x->repositories = json_object();
	x->blobs = json_object();
	x->seen = json_object();
	return x->repositories == NULL || x->blobs == NULL || x->seen == NULL ? error_no_memory(err)
									      : 0;
}

int layout_import(struct store *s, const struct layout_import *import, struct layout_report *ret,
	struct error *err)
{
	CLEANUP(import_freep) struct import *x = calloc(1, sizeof(*x));
	int result;

	if (x == NULL)
		return error_no_memory(err);
	x->options = import;
	x->store = x->batch.store = s;
	x->dir = -1;
	if (begin(x, err) != 0 || check_version(x, err) != 0 || read_index(x, err) != 0)
		return -1;
	result = import_entries(x, err);
	*ret = x->report;
	return result;
}
