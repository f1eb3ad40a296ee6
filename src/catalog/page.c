/* SPDX-License-Identifier: Apache-2.0 */
#include "catalog/page.h"

#include "intent/manifest.h"

#include <stdio.h>

#define BORDER_CLASSES 16
#define PAGE_TAR_MAX (LIMIT_PAGE * (LIMIT_INTENT_YAML + 2 * TAR_BLOCK))

int page_key_cmp(
	const char *namespace_a, const char *name_a, const char *namespace_b, const char *name_b)
{
	int cmp = strcmp(namespace_a, namespace_b);

	return cmp != 0 ? cmp : strcmp(name_a, name_b);
}

/* FNV-1a, 64 bits: part of the format, since borders decide the bytes of the layer. */
static uint64_t hash(uint64_t h, const char *s)
{
	for (; *s != '\0'; s++)
		h = (h ^ (unsigned char)*s) * UINT64_C(0x100000001b3);
	return h;
}

bool page_is_border(const char *namespace, const char *name)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325);

	h = hash(h, namespace);
	h = hash(h, "/");
	h = hash(h, name);
	return (h >> 32) % BORDER_CLASSES == 0;
}

void page_file_path(const char *namespace, const char *name, char ret[TAR_PATH_MAX + 1])
{
	bool is_default = strcmp(namespace, "default") == 0;

	snprintf(ret, TAR_PATH_MAX + 1, CATALOG_FOLDER "%s%c%s.yaml", namespace,
		is_default ? '-' : '/', name);
}

void page_add_line(const char *namespace, const char *name, struct buf *ret)
{
	char path[TAR_PATH_MAX + 1];

	page_file_path(namespace, name, path);
	buf_printf(ret, "- %s\n", path + sizeof(CATALOG_FOLDER) - 1);
}

static void add_file(const struct resource *r, struct buf *yaml, struct buf *tar)
{
	char path[TAR_PATH_MAX + 1];

	page_file_path(r->intent->namespace, r->intent->name, path);
	buf_reset(yaml);
	intent_render(r->intent, r->version, yaml);
	if (yaml->failed != ERROR_NONE) {
		tar->failed = yaml->failed;
		return;
	}
	tar_add_header(tar, slice_of(path), yaml->len);
	buf_add(tar, buf_slice(yaml));
	tar_add_padding(tar, yaml->len);
}

/* Both members into one block of memory, which the page keeps. */
static int compress(struct page *p, struct gzip *z, struct error *err)
{
	CLEANUP(buf_done) struct buf yaml = BUF_INIT(LIMIT_INTENT_YAML);
	CLEANUP(buf_done) struct buf tar = BUF_INIT(PAGE_TAR_MAX);
	CLEANUP(buf_done) struct buf lines = BUF_INIT(PAGE_TAR_MAX);
	CLEANUP(buf_done) struct buf members = BUF_INIT(2 * PAGE_TAR_MAX);
	size_t files_len;
	char *bytes;

	for (size_t i = 0; i < p->n; i++) {
		const struct intent *intent = p->resources[i]->intent;

		add_file(p->resources[i], &yaml, &tar);
		page_add_line(intent->namespace, intent->name, &lines);
	}
	if (buf_check(&tar, err) != 0 || buf_check(&lines, err) != 0)
		return -1;
	gzip_add(z, buf_slice(&tar), &members);
	files_len = members.len;
	gzip_add(z, buf_slice(&lines), &members);
	if (buf_check(&members, err) != 0)
		return -1;
	bytes = slice_dup(buf_slice(&members));
	if (bytes == NULL)
		return error_no_memory(err);
	p->files = (struct slice){bytes, files_len};
	p->lines = (struct slice){bytes + files_len, members.len - files_len};
	p->lines_size = lines.len;
	return 0;
}

int page_new(struct page **ret, struct resource *const *resources, size_t n, struct gzip *z,
	struct error *err)
{
	struct page *p = malloc(sizeof(*p) + n * sizeof(p->resources[0]));

	if (p == NULL)
		return error_no_memory(err);
	*p = (struct page){.refs = 1, .n = n, .resources = (struct resource **)(p + 1)};
	for (size_t i = 0; i < n; i++)
		p->resources[i] = resource_ref(resources[i]);
	if (compress(p, z, err) != 0) {
		page_unref(p);
		return -1;
	}
	*ret = p;
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
