/* SPDX-License-Identifier: Apache-2.0 */
#include "catalog/page.h"

#include "catalog/key.h"
#include "intent/manifest.h"

#define BORDER_CLASSES 24
#define TYPICAL_ENTRY (2 * TAR_BLOCK + 1)
#define FILE_MAX(size) ((size) + 2 * TAR_BLOCK)
#define PAGE_TAR_MAX \
	(LIMIT_PAGE * (2 * FILE_MAX(LIMIT_INTENT_YAML) + FILE_MAX(LIMIT_HOLD_MESSAGE + 1)))

bool page_is_border(const struct resource *r)
{
	return (key_hash(r->intent->namespace, r->intent->name) >> 32) % BORDER_CLASSES == 0;
}

/* What both paths end in, from end on. */
static void put_file(char *end, const char *namespace, const char *name, const char *ending)
{
	ASSERT(strlen(namespace) <= LIMIT_NAME && strlen(name) <= LIMIT_NAME);
	end = stpcpy(end, namespace);
	*end++ = strcmp(namespace, "default") == 0 ? '-' : '/';
	stpcpy(stpcpy(end, name), ending);
}

void page_file_path(const char *namespace, const char *name, char ret[TAR_PATH_MAX + 1])
{
	put_file(stpcpy(ret, CATALOG_FOLDER), namespace, name, ".yaml");
}

void page_held_path(enum hold_reason reason, const char *namespace, const char *name,
	const char *ending, char ret[TAR_PATH_MAX + 1])
{
	char *end = stpcpy(stpcpy(ret, HELD_FOLDER), hold_reason_name(reason));

	*end++ = '/';
	put_file(end, namespace, name, ending);
}

void page_add_line(const char *namespace, const char *name, struct buf *ret)
{
	char path[TAR_PATH_MAX + 1];

	page_file_path(namespace, name, path);
	buf_add(ret, SLICE("- "));
	buf_puts(ret, path + strlen(CATALOG_FOLDER));
	buf_putc(ret, '\n');
}

/* The header, which has the size in it, comes into the room left for it. */
static void add_file(const struct resource *r, const char *path, struct buf *tar)
{
	size_t start = tar->len, size;

	if (buf_room(tar, TAR_BLOCK) == NULL)
		return;
	buf_claim(tar, TAR_BLOCK);
	intent_render(r->intent, r->version, tar);
	if (tar->failed != ERROR_NONE)
		return;
	size = tar->len - start - TAR_BLOCK;
	tar_set_header(tar->data + start, slice_of(path), size);
	tar_add_padding(tar, size);
}

static void add_held(const struct resource *r, struct buf *tar)
{
	const struct intent *intent = r->intent;
	const struct hold *hold = r->hold;
	size_t size = strlen(hold->message) + 1;
	char path[TAR_PATH_MAX + 1];

	page_held_path(hold->reason, intent->namespace, intent->name, ".yaml", path);
	add_file(r, path, tar);
	if (size == 1)
		return;
	page_held_path(hold->reason, intent->namespace, intent->name, ".txt", path);
	tar_add_header(tar, slice_of(path), size);
	buf_puts(tar, hold->message);
	buf_putc(tar, '\n');
	tar_add_padding(tar, size);
}

static void add_resource(const struct resource *r, struct buf *tar)
{
	const struct resource *published = resource_published(r);
	char path[TAR_PATH_MAX + 1];

	if (published != NULL) {
		page_file_path(r->intent->namespace, r->intent->name, path);
		add_file(published, path, tar);
	}
	if (r->hold != NULL)
		add_held(r, tar);
}

/* Both members into one block of memory, which the page keeps. */
static int keep_members(struct page *p, struct slice files, struct slice lines, size_t lines_size,
	struct error *err)
{
	char *bytes;

	ASSERT(files.p != NULL && files.n > 0 && lines.p != NULL);
	bytes = malloc(files.n + lines.n);
	if (bytes == NULL)
		return error_no_memory(err);
	memcpy(bytes, files.p, files.n);
	memcpy(bytes + files.n, lines.p, lines.n);
	p->files = (struct slice){bytes, files.n};
	p->lines = (struct slice){bytes + files.n, lines.n};
	p->lines_size = lines_size;
	return 0;
}

/* The next resource from *i on that has a line, or NULL. */
static const struct intent *next_listed(const struct page *p, size_t *i)
{
	while (*i < p->n) {
		const struct resource *r = p->resources[(*i)++];

		if (resource_published(r) != NULL)
			return r->intent;
	}
	return NULL;
}

/* Are its lines those of the other page? */
static bool same_lines(const struct page *p, const struct page *other)
{
	size_t i = 0, j = 0;

	for (;;) {
		const struct intent *a = next_listed(p, &i), *b = next_listed(other, &j);

		if (a == NULL || b == NULL)
			return a == b;
		if (a != b && key_cmp(a->namespace, a->name, b->namespace, b->name) != 0)
			return false;
	}
}

static void add_files(const struct page *p, struct gzip *z, struct buf *ret)
{
	CLEANUP(buf_done) struct buf tar = BUF_INIT(PAGE_TAR_MAX);

	if (buf_room(&tar, p->n * TYPICAL_ENTRY) != NULL)
		for (size_t i = 0; i < p->n; i++)
			add_resource(p->resources[i], &tar);
	if (tar.failed == ERROR_NONE)
		gzip_add(z, buf_slice(&tar), ret);
	else
		ret->failed = tar.failed;
}

/* Where all are held, and nothing is published instead, the member is there and empty: so a layer
 * has two of each page whatever it holds, and whoever reads it need not know of holds to find them.
 */
static void add_lines(struct page *p, struct gzip *z, struct buf *ret)
{
	CLEANUP(buf_done) struct buf lines = BUF_INIT(PAGE_TAR_MAX);
	const struct intent *intent;
	size_t i = 0;

	while ((intent = next_listed(p, &i)) != NULL)
		page_add_line(intent->namespace, intent->name, &lines);
	p->lines_size = lines.len;
	if (lines.failed == ERROR_NONE)
		gzip_add(z, lines.len == 0 ? SLICE("") : buf_slice(&lines), ret);
	else
		ret->failed = lines.failed;
}

static int compress(struct page *p, const struct page *before, struct gzip *z, struct error *err)
{
	CLEANUP(buf_done) struct buf members = BUF_INIT(2 * PAGE_TAR_MAX);
	size_t files_len;

	add_files(p, z, &members);
	files_len = members.len;
	if (before != NULL && same_lines(p, before)) {
		buf_add(&members, before->lines);
		p->lines_size = before->lines_size;
	} else {
		add_lines(p, z, &members);
	}
	if (buf_check(&members, err) != 0)
		return -1;
	return keep_members(p, (struct slice){members.data, files_len},
		(struct slice){members.data + files_len, members.len - files_len}, p->lines_size,
		err);
}

static struct page *alloc_page(struct resource *const *resources, size_t n)
{
	struct page *p = malloc(sizeof(*p) + n * sizeof(p->resources[0]));

	if (p == NULL)
		return NULL;
	*p = (struct page){.refs = 1, .n = n, .is_border = page_is_border(resources[0])};
	for (size_t i = 0; i < n; i++)
		p->resources[i] = resource_ref(resources[i]);
	return p;
}

int page_new(struct page **ret, struct resource *const *resources, size_t n,
	const struct page *before, struct gzip *z, struct error *err)
{
	CLEANUP(page_unrefp) struct page *p = alloc_page(resources, n);

	if (p == NULL)
		return error_no_memory(err);
	if (compress(p, before, z, err) != 0)
		return -1;
	*ret = TAKE_PTR(p);
	return 0;
}

int page_adopt(struct page **ret, struct resource *const *resources, size_t n, struct slice files,
	struct slice lines, size_t lines_size, struct error *err)
{
	CLEANUP(page_unrefp) struct page *p = alloc_page(resources, n);

	if (p == NULL)
		return error_no_memory(err);
	if (keep_members(p, files, lines, lines_size, err) != 0)
		return -1;
	*ret = TAKE_PTR(p);
	return 0;
}

struct page *page_ref(struct page *p)
{
	__atomic_add_fetch(&p->refs, 1, __ATOMIC_RELAXED);
	return p;
}

void page_unref(struct page *p)
{
	if (p == NULL || __atomic_sub_fetch(&p->refs, 1, __ATOMIC_ACQ_REL) > 0)
		return;
	for (size_t i = 0; i < p->n; i++)
		resource_unref(p->resources[i]);
	free((char *)p->files.p); /* lines is in the same block */
	free(p);
}
