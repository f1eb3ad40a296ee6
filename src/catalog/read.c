/* SPDX-License-Identifier: Apache-2.0 */
/* A layer back into a catalog: every byte of the tar must be the one that we would write. */
#include "catalog/key.h"
#include "catalog/pages.h"
#include "intent/manifest.h"

/* A resource, and where its parts of the layer end. */
struct entry {
	struct resource *resource; /* a reference */
	size_t file_end;           /* in the tar */
	size_t line_end;           /* in the lines of kustomization.yaml */
};

struct reader {
	size_t n, cap;
	struct entry *entries;
	struct buf lines; /* that the files call for */
	size_t lines_at;  /* where they begin in the tar */
};

static void reader_done(struct reader *r)
{
	for (size_t i = 0; i < r->n; i++)
		resource_unref(r->entries[i].resource);
	free(r->entries);
	buf_done(&r->lines);
}

static int grow(struct reader *r, struct error *err)
{
	size_t cap = r->cap == 0 ? 64 : 2 * r->cap;
	struct entry *entries;

	if (r->n < r->cap)
		return 0;
	entries = realloc(r->entries, cap * sizeof(*entries));
	if (entries == NULL)
		return error_no_memory(err);
	r->entries = entries;
	r->cap = cap;
	return 0;
}

static int damaged(const char *path, const char *why, struct error *err)
{
	return error_set(err, ERROR_INTERNAL, "%s: %s", path, why);
}

/* Where a file of a resource belongs; false where it is of no folder that we write. */
static bool find_folder(const char *path, bool *ret_held, enum hold_reason *ret_reason)
{
	struct slice rest = slice_of(path);

	*ret_held = slice_starts(rest, SLICE(HELD_FOLDER));
	if (!*ret_held)
		return slice_starts(rest, SLICE(CATALOG_FOLDER));
	slice_cut(&rest, '/');
	rest = slice_cut(&rest, '/');
	for (size_t i = 0; i < HOLD_REASONS_; i++) {
		if (slice_eq(rest, slice_of(hold_reason_name((enum hold_reason)i)))) {
			*ret_reason = (enum hold_reason)i;
			return true;
		}
	}
	return false;
}

/* The version that a file holds; it is not held yet. */
static int read_version(struct resource **ret, const struct tar_file *file, struct error *err)
{
	CLEANUP(intent_unrefp) struct intent *intent = NULL;
	struct digest digest;
	uint64_t version;

	if (intent_parse(&intent, &version, file->content, err) != 0) {
		if (err->code == ERROR_INVALID)
			err->code = ERROR_INTERNAL;
		return error_wrap(err, "%s", file->path);
	}
	if (artifact_digest(&digest, intent, version, file->content, err) != 0)
		return -1;
	return resource_new(ret, intent, version, &digest, err);
}

static struct entry *last_entry(const struct reader *r)
{
	return r->n == 0 ? NULL : &r->entries[r->n - 1];
}

/* How its key compares with the last one's. */
static int cmp_to_last(const struct reader *r, const struct intent *intent)
{
	const struct entry *last = last_entry(r);

	if (last == NULL)
		return 1;
	return key_cmp(intent->namespace, intent->name, last->resource->intent->namespace,
		last->resource->intent->name);
}

/* Takes over the reference. */
static int add_entry(struct reader *r, struct resource *resource, struct error *err)
{
	if (grow(r, err) != 0) {
		resource_unref(resource);
		return -1;
	}
	r->entries[r->n++] = (struct entry){.resource = resource};
	return 0;
}

/* Takes over the reference. */
static void replace_last(struct reader *r, struct resource *resource)
{
	struct entry *last = last_entry(r);

	resource_unref(last->resource);
	last->resource = resource;
}

static int add_published(struct reader *r, const struct tar_file *file, struct error *err)
{
	CLEANUP(resource_unrefp) struct resource *version = NULL;
	char expected[TAR_PATH_MAX + 1];
	const struct intent *intent;

	if (read_version(&version, file, err) != 0)
		return -1;
	intent = version->intent;
	page_file_path(intent->namespace, intent->name, expected);
	if (strcmp(file->path, expected) != 0)
		return damaged(file->path, "holds a resource of another name", err);
	if (cmp_to_last(r, intent) <= 0)
		return damaged(file->path, "is out of order", err);
	page_add_line(intent->namespace, intent->name, &r->lines);
	return add_entry(r, TAKE_PTR(version), err);
}

/* The accepted version of a held resource, behind the one that is published instead, if any is. */
static int add_held(
	struct reader *r, const struct tar_file *file, enum hold_reason reason, struct error *err)
{
	CLEANUP(resource_unrefp) struct resource *accepted = NULL;
	struct resource *instead = NULL, *held;
	char expected[TAR_PATH_MAX + 1];
	int cmp;

	if (read_version(&accepted, file, err) != 0)
		return -1;
	page_held_path(
		reason, accepted->intent->namespace, accepted->intent->name, ".yaml", expected);
	if (strcmp(file->path, expected) != 0)
		return damaged(file->path, "holds a resource of another name", err);
	cmp = cmp_to_last(r, accepted->intent);
	if (cmp == 0)
		instead = last_entry(r)->resource;
	if (cmp < 0 || (instead != NULL && instead->hold != NULL))
		return damaged(file->path, "is out of order", err);
	if (instead != NULL && instead->version >= accepted->version)
		return damaged(file->path, "is no later than what is published instead", err);
	if (resource_new_held(&held, accepted, reason, instead, "", err) != 0)
		return -1;
	if (instead == NULL)
		return add_entry(r, held, err);
	replace_last(r, held);
	return 0;
}

/* The message to the accepted version before it. */
static int add_message(struct reader *r, const struct tar_file *file, struct error *err)
{
	struct resource *last = r->n == 0 ? NULL : last_entry(r)->resource, *held;
	char expected[TAR_PATH_MAX + 1] = "", message[LIMIT_HOLD_MESSAGE + 1] = "";
	struct slice text = file->content;
	bool same;

	if (last != NULL && last->hold != NULL && last->hold->message[0] == '\0')
		page_held_path(last->hold->reason, last->intent->namespace, last->intent->name,
			".txt", expected);
	if (last == NULL || last->hold == NULL || strcmp(file->path, expected) != 0)
		return damaged(file->path, "is out of order", err);
	if (slice_ends(text, SLICE("\n")) && text.n <= sizeof(message))
		memcpy(message, text.p, text.n - 1);
	if (resource_new_held(&held, last, last->hold->reason, last->hold->instead, message, err) !=
		0)
		return -1;
	same = strlen(held->hold->message) + 1 == text.n && text.n > 1 &&
	       memcmp(held->hold->message, text.p, text.n - 1) == 0;
	replace_last(r, held);
	return same ? 0 : damaged(file->path, "is no message as this server writes it", err);
}

static int add_file(
	struct reader *r, const struct tar_file *file, size_t file_end, struct error *err)
{
	enum hold_reason reason = HOLD_REFUSED;
	struct entry *last;
	bool held;
	int rc;

	if (!find_folder(file->path, &held, &reason))
		return damaged(file->path, "is no file of a catalog", err);
	if (!held)
		rc = add_published(r, file, err);
	else if (slice_ends(slice_of(file->path), SLICE(".txt")))
		rc = add_message(r, file, err);
	else
		rc = add_held(r, file, reason, err);
	if (rc != 0)
		return -1;
	last = last_entry(r);
	last->file_end = file_end;
	last->line_end = r->lines.len;
	return 0;
}

/* The last file must list all that is published, no more and no fewer. */
static int check_kustomization(struct reader *r, const struct tar_file *file, struct error *err)
{
	struct slice head = r->lines.len == 0 ? SLICE(KUSTOMIZATION_HEAD " []\n")
					      : SLICE(KUSTOMIZATION_HEAD "\n");
	struct slice lines = file->content;

	if (buf_check(&r->lines, err) != 0)
		return -1;
	if (slice_starts(lines, head)) {
		lines = (struct slice){lines.p + head.n, lines.n - head.n};
		if (slice_eq(lines, buf_slice(&r->lines)))
			return 0;
	}
	return damaged(file->path, "does not list just what the catalog publishes", err);
}

static int read_tar(struct reader *r, struct slice tar, struct error *err)
{
	struct tar_file file;
	size_t at = 0;
	int rc;

	while ((rc = tar_next(tar, &at, &file, err)) == 1) {
		if (strcmp(file.path, KUSTOMIZATION_PATH) != 0) {
			if (add_file(r, &file, at, err) != 0)
				return -1;
			continue;
		}
		if (check_kustomization(r, &file, err) != 0)
			return -1;
		r->lines_at = (size_t)(file.content.p - tar.p) + file.content.n - r->lines.len;
		rc = tar_next(tar, &at, &file, err);
		return rc == 1 ? damaged(file.path, "comes after " KUSTOMIZATION_PATH, err) : rc;
	}
	return rc == 0 ? damaged(KUSTOMIZATION_PATH, "is missing", err) : rc;
}

/* ---- pages ----
 *
 * The content is known to be right, so where a member of the layer holds just the files of one
 * page, it is what compressing these would give, and is kept. Other members come from another
 * version of the compressor or of the borders; such a page is compressed anew.
 */

/* The members of a layer: the files of each page, the head of kustomization.yaml, the lines of each
 * page, the end. */
struct members {
	struct slice layer;
	const struct gzip_content *content;
	size_t n_pages; /* that the members would make */
};

static struct slice packed(const struct members *m, size_t i)
{
	const struct gzip_member *at = &m->content->members[i];

	return (struct slice){m->layer.p + at[0].packed, at[1].packed - at[0].packed};
}

static bool holds(const struct members *m, size_t i, size_t start, size_t end)
{
	const struct gzip_member *at = &m->content->members[i];

	return at[0].unpacked == start && at[1].unpacked == end;
}

/* Entries [first, end) as the next page of the catalog. */
static int add_page(struct catalog *c, const struct reader *r, size_t first, size_t end,
	const struct members *m, struct gzip *z, struct error *err)
{
	static const struct entry none = {.resource = NULL};
	const struct entry *before = first == 0 ? &none : &r->entries[first - 1];
	const struct entry *last = &r->entries[end - 1];
	struct resource *resources[LIMIT_PAGE];
	size_t i = c->n_pages, lines = i + m->n_pages + 1;
	struct page *page;
	int rc;

	for (size_t n = 0; n < end - first; n++)
		resources[n] = r->entries[first + n].resource;
	if (i < m->n_pages && holds(m, i, before->file_end, last->file_end) &&
		holds(m, lines, r->lines_at + before->line_end, r->lines_at + last->line_end))
		rc = page_adopt(&page, resources, end - first, packed(m, i), packed(m, lines),
			last->line_end - before->line_end, err);
	else
		rc = page_new(&page, resources, end - first, NULL, z, err);
	if (rc == 0)
		catalog_add_page(c, page);
	return rc;
}

static bool starts_page(const struct reader *r, size_t first, size_t i)
{
	return i == r->n || i - first == LIMIT_PAGE || page_is_border(r->entries[i].resource);
}

static int add_pages(
	struct catalog *c, const struct reader *r, const struct members *m, struct error *err)
{
	CLEANUP(gzip_done) struct gzip z = {0};
	size_t first = 0;

	for (size_t i = 1; i <= r->n; i++) {
		if (!starts_page(r, first, i))
			continue;
		if (add_page(c, r, first, i, m, &z, err) != 0)
			return -1;
		first = i;
	}
	return 0;
}

static size_t count_pages(const struct reader *r)
{
	size_t n = 0, first = 0;

	for (size_t i = 1; i <= r->n; i++) {
		if (!starts_page(r, first, i))
			continue;
		first = i;
		n++;
	}
	return n;
}

static int make_catalog(struct catalog **ret, const struct reader *r, struct slice layer,
	const struct gzip_content *content, struct error *err)
{
	struct members m = {
		.layer = layer,
		.content = content,
		.n_pages = content->n_members < 2 ? 0 : (content->n_members - 2) / 2,
	};
	CLEANUP(catalog_unrefp) struct catalog *c = catalog_alloc(count_pages(r));

	if (c == NULL)
		return error_no_memory(err);
	if (add_pages(c, r, &m, err) != 0)
		return -1;
	*ret = TAKE_PTR(c);
	return 0;
}

int catalog_read(struct catalog **ret, struct slice layer, struct error *err)
{
	CLEANUP(reader_done) struct reader r = {.lines = BUF_INIT(LIMIT_CATALOG_TAR)};
	CLEANUP(gzip_content_done)
	struct gzip_content content = {.bytes = BUF_INIT(LIMIT_CATALOG_TAR)};

	if (gzip_read(&content, layer, err) != 0 ||
		read_tar(&r, buf_slice(&content.bytes), err) != 0)
		return -1;
	return make_catalog(ret, &r, layer, &content, err);
}
