/* SPDX-License-Identifier: Apache-2.0 */
#include "catalog/catalog.h"

#include "catalog/key.h"
#include "catalog/pages.h"
#include "catalog/record.h"

struct catalog *catalog_alloc(size_t n_pages)
{
	struct catalog *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return NULL;
	c->refs = 1;
	c->pages = calloc(n_pages + 1, sizeof(c->pages[0]));
	c->starts = calloc(n_pages + 1, sizeof(c->starts[0]));
	if (c->pages == NULL || c->starts == NULL) {
		catalog_unref(c);
		return NULL;
	}
	return c;
}

int catalog_new(struct catalog **ret, struct error *err)
{
	struct catalog *c = catalog_alloc(0);

	if (c == NULL)
		return error_no_memory(err);
	*ret = c;
	return 0;
}

struct catalog *catalog_ref(struct catalog *c)
{
	__atomic_add_fetch(&c->refs, 1, __ATOMIC_RELAXED);
	return c;
}

void catalog_unref(struct catalog *c)
{
	if (c == NULL || __atomic_sub_fetch(&c->refs, 1, __ATOMIC_ACQ_REL) > 0)
		return;
	for (size_t i = 0; i < c->n_pages; i++)
		page_unref(c->pages[i]);
	free(c->pages);
	free(c->starts);
	free(c->frame.bytes);
	free(c);
}

size_t catalog_count(const struct catalog *c)
{
	return c->count;
}

/* ---- looking up ---- */

static int cmp_to_key(const struct resource *r, const char *namespace, const char *name)
{
	return key_cmp(r->intent->namespace, r->intent->name, namespace, name);
}

/* Index of the page that holds the key if any does: the last that starts at or before it. */
static size_t page_for(const struct catalog *c, const char *namespace, const char *name)
{
	size_t low = 0, high = c->n_pages;

	while (high - low > 1) {
		size_t mid = low + (high - low) / 2;

		if (cmp_to_key(c->pages[mid]->resources[0], namespace, name) <= 0)
			low = mid;
		else
			high = mid;
	}
	return low;
}

size_t catalog_lower_bound(const struct catalog *c, const char *namespace, const char *name)
{
	size_t page, i = 0;

	if (c->n_pages == 0)
		return 0;
	page = page_for(c, namespace, name);
	while (i < c->pages[page]->n &&
		cmp_to_key(c->pages[page]->resources[i], namespace, name) < 0)
		i++;
	return c->starts[page] + i;
}

struct resource *catalog_at(const struct catalog *c, size_t i)
{
	size_t low = 0, high = c->n_pages;

	ASSERT(i < c->count);
	while (high - low > 1) {
		size_t mid = low + (high - low) / 2;

		if (c->starts[mid] <= i)
			low = mid;
		else
			high = mid;
	}
	return c->pages[low]->resources[i - c->starts[low]];
}

struct resource *catalog_find(const struct catalog *c, const char *namespace, const char *name)
{
	size_t i = catalog_lower_bound(c, namespace, name);
	struct resource *r;

	if (i == c->count)
		return NULL;
	r = catalog_at(c, i);
	return cmp_to_key(r, namespace, name) == 0 ? r : NULL;
}

/* ---- changing ----
 *
 * Resources in order are cut into pages before every border key and after every LIMIT_PAGE
 * resources since the last cut. A builder does just that, and is given whole pages of the old
 * catalog where nothing has changed, so that a change costs the pages around it and no others.
 */
struct builder {
	struct catalog *out; /* with room for every page that can come */
	struct gzip *z;
	const struct page *before; /* the old page that was merged last */
	size_t n_pending;
	struct resource
		*pending[LIMIT_PAGE]; /* borrowed: the old catalog or the changes hold them */
};

void catalog_add_page(struct catalog *c, struct page *p)
{
	c->starts[c->n_pages] = c->count;
	c->pages[c->n_pages++] = p;
	c->count += p->n;
	c->lines_size += p->lines_size;
}

static int flush(struct builder *b, struct error *err)
{
	struct page *p;

	if (b->n_pending == 0)
		return 0;
	if (page_new(&p, b->pending, b->n_pending, b->before, b->z, err) != 0)
		return -1;
	b->n_pending = 0;
	catalog_add_page(b->out, p);
	return 0;
}

/* The last page goes back to pending, to be continued. Its resources stay alive: whoever gave them
 * to the builder still holds them. */
static void reopen(struct builder *b)
{
	struct catalog *c = b->out;
	struct page *last = c->pages[--c->n_pages];

	c->count -= last->n;
	c->lines_size -= last->lines_size;
	memcpy(b->pending, last->resources, last->n * sizeof(b->pending[0]));
	b->n_pending = last->n;
	page_unref(last);
}

static int add_resource(struct builder *b, struct resource *r, struct error *err)
{
	struct catalog *c = b->out;

	if (page_is_border(r) || b->n_pending == LIMIT_PAGE) {
		if (flush(b, err) != 0)
			return -1;
	} else if (b->n_pending == 0 && c->n_pages > 0 &&
		   c->pages[c->n_pages - 1]->n < LIMIT_PAGE) {
		reopen(b);
	}
	b->pending[b->n_pending++] = r;
	return 0;
}

/* May the old page follow what has been built as it is? Yes, when a cut comes before it. */
static bool fits_here(const struct builder *b, const struct page *p)
{
	const struct catalog *c = b->out;

	if (p->is_border)
		return true;
	if (b->n_pending > 0)
		return b->n_pending == LIMIT_PAGE;
	return c->n_pages == 0 || c->pages[c->n_pages - 1]->n == LIMIT_PAGE;
}

static int change_cmp(const void *a, const void *b)
{
	const struct catalog_change *x = a, *y = b;

	return key_cmp(x->namespace, x->name, y->namespace, y->name);
}

/* Changes sorted by key, and how far they have been merged. */
struct changes {
	const struct catalog_change *at;
	const struct catalog_change *end;
};

static bool change_is_before(const struct changes *ch, const struct resource *limit)
{
	return ch->at < ch->end &&
	       (limit == NULL || cmp_to_key(limit, ch->at->namespace, ch->at->name) > 0);
}

/* All changes before the resource (NULL: all that are left). */
static int add_changes(
	struct builder *b, struct changes *ch, const struct resource *limit, struct error *err)
{
	for (; change_is_before(ch, limit); ch->at++)
		if (ch->at->resource != NULL && add_resource(b, ch->at->resource, err) != 0)
			return -1;
	return 0;
}

static int merge_page(struct builder *b, struct page *p, struct changes *ch, struct error *err)
{
	if (b->n_pending == 0)
		b->before = p;
	for (size_t i = 0; i < p->n; i++) {
		struct resource *r = p->resources[i];

		if (add_changes(b, ch, r, err) != 0)
			return -1;
		if (ch->at < ch->end && cmp_to_key(r, ch->at->namespace, ch->at->name) == 0) {
			r = ch->at->resource;
			ch->at++;
		}
		if (r != NULL && add_resource(b, r, err) != 0)
			return -1;
	}
	return 0;
}

/* Index of the page that the next change goes to, from page i on. */
static size_t next_touched(const struct catalog *old, size_t i, const struct changes *ch)
{
	size_t page;

	if (ch->at == ch->end)
		return old->n_pages;
	page = page_for(old, ch->at->namespace, ch->at->name);
	return page > i ? page : i;
}

static int merge(
	struct builder *b, const struct catalog *old, struct changes *ch, struct error *err)
{
	size_t i = 0;

	while (i < old->n_pages) {
		size_t touched = next_touched(old, i, ch);

		if (i < touched && fits_here(b, old->pages[i])) {
			if (flush(b, err) != 0)
				return -1;
			while (i < touched)
				catalog_add_page(b->out, page_ref(old->pages[i++]));
			continue;
		}
		if (merge_page(b, old->pages[i], ch, err) != 0)
			return -1;
		i++;
		if (i < old->n_pages && add_changes(b, ch, old->pages[i]->resources[0], err) != 0)
			return -1;
	}
	if (add_changes(b, ch, NULL, err) != 0)
		return -1;
	return flush(b, err);
}

static int make_frame(struct frame *ret, const struct catalog *c, struct gzip *z, struct error *err)
{
	const char *head =
		c->lines_size == 0 ? KUSTOMIZATION_HEAD " []\n" : KUSTOMIZATION_HEAD "\n";
	CLEANUP(buf_done) struct buf tar = BUF_INIT(4 * TAR_BLOCK);
	CLEANUP(buf_done) struct buf members = BUF_INIT(16 * TAR_BLOCK);
	size_t size = strlen(head) + c->lines_size, head_len;

	tar_add_header(&tar, SLICE(KUSTOMIZATION_PATH), size);
	buf_puts(&tar, head);
	gzip_add(z, buf_slice(&tar), &members);
	head_len = members.len;
	buf_reset(&tar);
	tar_add_padding(&tar, size);
	tar_add_end(&tar);
	gzip_add(z, buf_slice(&tar), &members);
	if (buf_check(&tar, err) != 0 || buf_check(&members, err) != 0)
		return -1;
	*ret = (struct frame){.head_len = head_len, .len = members.len};
	ret->bytes = buf_take(&members);
	return 0;
}

/* It follows from the size of the lines alone. An update changes none of them, so what was
 * compressed for the old catalog will do. */
static int take_frame(
	struct catalog *c, const struct catalog *old, struct gzip *z, struct error *err)
{
	const struct frame *f = &old->frame;

	if (f->bytes == NULL || old->lines_size != c->lines_size)
		return make_frame(&c->frame, c, z, err);
	c->frame = (struct frame){.head_len = f->head_len, .len = f->len};
	c->frame.bytes = slice_dup((struct slice){f->bytes, f->len});
	return c->frame.bytes == NULL ? error_no_memory(err) : 0;
}

int catalog_apply(struct catalog **ret, const struct catalog *old,
	const struct catalog_change *changes, size_t n, struct gzip *z, struct error *err)
{
	AUTO_FREE struct catalog_change *sorted = malloc((n + 1) * sizeof(*sorted));
	AUTO_FREE struct builder *b = calloc(1, sizeof(*b));
	struct changes ch = {sorted, sorted + n};
	int rc;

	if (sorted == NULL || b == NULL)
		return error_no_memory(err);
	if (n > 0)
		memcpy(sorted, changes, n * sizeof(*sorted));
	qsort(sorted, n, sizeof(*sorted), change_cmp);
	/* Each change adds at most its own page and splits one. */
	b->out = catalog_alloc(old->n_pages + 2 * n);
	if (b->out == NULL)
		return error_no_memory(err);
	b->z = z;
	rc = merge(b, old, &ch, err);
	if (rc == 0)
		rc = take_frame(b->out, old, z, err);
	if (rc == 0)
		*ret = TAKE_PTR(b->out);
	catalog_unref(b->out);
	return rc;
}

/* ---- the layer ---- */

static void put_together(const struct catalog *c, const struct frame *f, struct buf *ret)
{
	for (size_t i = 0; i < c->n_pages; i++)
		buf_add(ret, c->pages[i]->files);
	buf_add(ret, (struct slice){f->bytes, f->head_len});
	for (size_t i = 0; i < c->n_pages; i++)
		buf_add(ret, c->pages[i]->lines);
	buf_add(ret, (struct slice){f->bytes + f->head_len, f->len - f->head_len});
}

static void frame_done(struct frame *f)
{
	free(f->bytes);
}

int catalog_layer(const struct catalog *c, struct gzip *z, struct buf *ret, struct error *err)
{
	CLEANUP(frame_done) struct frame made = {.bytes = NULL};
	const struct frame *f = &c->frame;
	size_t packed;

	if (f->bytes == NULL) {
		if (make_frame(&made, c, z, err) != 0)
			return -1;
		f = &made;
	}
	packed = f->len;
	for (size_t i = 0; i < c->n_pages; i++)
		packed += c->pages[i]->files.n + c->pages[i]->lines.n;
	if (buf_room(ret, packed) != NULL)
		put_together(c, f, ret);
	return buf_check(ret, err);
}

void catalog_manifest(
	const struct digest *layer, uint64_t layer_size, uint64_t commit_version, struct buf *ret)
{
	char revision[RECORD_TAG_SIZE];
	struct oci_annotation annotation = {"org.opencontainers.image.revision", revision};
	struct oci_manifest_draft draft = {
		.config = {.media_type = CATALOG_MEDIA_CONFIG,
			.digest = oci_empty_digest,
			.size = OCI_EMPTY.n},
		.layer = {.media_type = CATALOG_MEDIA_LAYER, .digest = *layer, .size = layer_size},
		.n_annotations = 1,
		.annotations = &annotation,
	};

	record_tag(commit_version, revision);
	oci_manifest_write(&draft, ret);
}
