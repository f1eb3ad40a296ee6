/* SPDX-License-Identifier: Apache-2.0 */
#include "catalog/state.h"

#include "base/parallel.h"
#include "catalog/key.h"
#include "catalog/pages.h"

#include <limits.h>
#include <stdio.h>

struct state {
	unsigned refs; /* atomic */
	struct layout layout;
	size_t count;
	struct digest root;
	size_t n_partitions;
	struct partition *partitions[];
};

/* ---- partitions ---- */

int partition_new(struct partition **ret, const struct layout *layout, const struct place *place,
	struct catalog *catalog, struct error *err)
{
	struct partition *p = calloc(1, sizeof(*p));

	if (p == NULL) {
		catalog_unref(catalog);
		return error_no_memory(err);
	}
	p->refs = 1;
	p->place = *place;
	layout_repository(layout, place, p->repository);
	p->catalog = catalog;
	*ret = p;
	return 0;
}

int partition_new_empty(struct partition **ret, const struct layout *layout,
	const struct place *place, struct error *err)
{
	struct catalog *catalog;

	if (catalog_new(&catalog, err) != 0)
		return -1;
	return partition_new(ret, layout, place, catalog, err);
}

struct partition *partition_ref(struct partition *p)
{
	__atomic_add_fetch(&p->refs, 1, __ATOMIC_RELAXED);
	return p;
}

void partition_unref(struct partition *p)
{
	if (p == NULL || __atomic_sub_fetch(&p->refs, 1, __ATOMIC_ACQ_REL) > 0)
		return;
	catalog_unref(p->catalog);
	free(p);
}

int partition_compare(const void *a, const void *b)
{
	const struct partition *const *x = a, *const *y = b;

	return place_cmp(&(*x)->place, &(*y)->place);
}

void partitions_free(struct partition **partitions, size_t n)
{
	for (size_t i = 0; i < n; i++)
		partition_unref(partitions[i]);
	free(partitions);
}

/* ---- life ---- */

static struct state *alloc_state(const struct layout *layout, size_t n_partitions)
{
	struct state *s = calloc(1, sizeof(*s) + n_partitions * sizeof(s->partitions[0]));

	if (s == NULL)
		return NULL;
	s->refs = 1;
	s->layout = *layout;
	return s;
}

/* Takes over the reference. */
static void add_partition(struct state *s, struct partition *p)
{
	ASSERT(s->n_partitions == 0 ||
		place_cmp(&s->partitions[s->n_partitions - 1]->place, &p->place) < 0);
	s->partitions[s->n_partitions++] = p;
	s->count += catalog_count(p->catalog);
}

int state_new(struct state **ret, const struct layout *layout, struct error *err)
{
	struct state *s = alloc_state(layout, 0);

	if (s == NULL)
		return error_no_memory(err);
	*ret = s;
	return 0;
}

struct state *state_ref(struct state *s)
{
	__atomic_add_fetch(&s->refs, 1, __ATOMIC_RELAXED);
	return s;
}

void state_unref(struct state *s)
{
	if (s == NULL || __atomic_sub_fetch(&s->refs, 1, __ATOMIC_ACQ_REL) > 0)
		return;
	for (size_t i = 0; i < s->n_partitions; i++)
		partition_unref(s->partitions[i]);
	free(s);
}

/* ---- reading ---- */

const struct layout *state_layout(const struct state *s)
{
	return &s->layout;
}

size_t state_count(const struct state *s)
{
	return s->count;
}

size_t state_n_partitions(const struct state *s)
{
	return s->n_partitions;
}

struct partition *state_partition(const struct state *s, size_t i)
{
	ASSERT(i < s->n_partitions);
	return s->partitions[i];
}

/* Index of the first that is not before the place. */
static size_t lower_bound(const struct state *s, const struct place *place)
{
	size_t low = 0, high = s->n_partitions;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (place_cmp(&s->partitions[mid]->place, place) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

const struct partition *state_partition_at(const struct state *s, const struct place *place)
{
	size_t i = lower_bound(s, place);

	if (i == s->n_partitions || place_cmp(&s->partitions[i]->place, place) != 0)
		return NULL;
	return s->partitions[i];
}

struct resource *state_find(const struct state *s, const char *namespace, const char *name)
{
	struct place place = layout_place(&s->layout, namespace, name);
	const struct partition *p = state_partition_at(s, &place);

	return p == NULL ? NULL : catalog_find(p->catalog, namespace, name);
}

const struct digest *state_root(const struct state *s)
{
	return s->layout.kind == LAYOUT_SPLIT ? &s->root : NULL;
}

static void add_to_digest(struct buf *b, const char *repository, const struct digest *digest)
{
	char text[DIGEST_TEXT_SIZE];

	buf_puts(b, repository);
	buf_putc(b, ' ');
	buf_puts(b, digest_format(digest, text));
	buf_putc(b, '\n');
}

int state_digest(struct digest *ret, const struct state *s, struct error *err)
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(LIMIT_STATE_TEXT);

	if (s->layout.kind == LAYOUT_SPLIT)
		add_to_digest(&text, CATALOG_REPOSITORY, &s->root);
	for (size_t i = 0; i < s->n_partitions; i++)
		add_to_digest(&text, s->partitions[i]->repository, &s->partitions[i]->digest);
	if (buf_check(&text, err) != 0)
		return -1;
	*ret = digest_of(buf_slice(&text));
	return 0;
}

/* ---- walking: the catalogs of a namespace are merged by a heap of their next resources ---- */

struct run {
	const struct page *page;
	struct page *const *next_page;
	size_t at;   /* in the page */
	size_t left; /* this resource among them */
	const struct resource *next;
	const char *name; /* of the next */
};

struct state_cursor {
	struct state *state;
	bool all;
	char namespace[LIMIT_NAME + 1];       /* unless all */
	char after_namespace[LIMIT_NAME + 1]; /* "", with after "": from the first */
	char after[LIMIT_NAME + 1];

	/* Partitions share a group where they share a namespace. Each group has its turn, in the
	 * order of the namespaces, which is not quite that of the repositories. */
	size_t group, n_groups;
	size_t *groups; /* index of each one's first partition */

	size_t n;         /* runs in the heap */
	struct run *heap; /* the first has the least name */
};

static bool comes_before(const struct run *a, const struct run *b)
{
	return strcmp(a->name, b->name) < 0;
}

static void sift_down(struct state_cursor *c, size_t i)
{
	for (;;) {
		size_t least = i, left = 2 * i + 1, right = left + 1;
		struct run swapped;

		if (left < c->n && comes_before(&c->heap[left], &c->heap[least]))
			least = left;
		if (right < c->n && comes_before(&c->heap[right], &c->heap[least]))
			least = right;
		if (least == i)
			return;
		swapped = c->heap[i];
		c->heap[i] = c->heap[least];
		c->heap[least] = swapped;
		i = least;
	}
}

/* Resources lie anywhere in memory. What this run needs next is fetched while the others have their
 * turn, which takes a quarter off the time of a long walk. */
static void look_at(struct run *run)
{
	struct resource *const *at = &run->page->resources[run->at];
	size_t left = run->page->n - run->at;

	run->next = *at;
	run->name = run->next->intent->name;
	if (left > 1) {
		__builtin_prefetch(at[1]->intent);
		__builtin_prefetch((const char *)at[1]->intent + 64);
	}
	if (left > 2)
		__builtin_prefetch(at[2]);
}

static bool is_after(const struct resource *r, const char *namespace, const char *name)
{
	return key_cmp(r->intent->namespace, r->intent->name, namespace, name) > 0;
}

/* Puts it at the first resource after the key, which may be past the end of the last page. Returns
 * the resource's index. */
static size_t seek(
	struct run *run, const struct catalog *catalog, const char *namespace, const char *name)
{
	size_t low = 0, high = catalog->n_pages, page;

	while (high - low > 1) {
		size_t mid = low + (high - low) / 2;

		if (is_after(catalog->pages[mid]->resources[0], namespace, name))
			high = mid;
		else
			low = mid;
	}
	page = low;
	run->page = catalog->pages[page];
	run->next_page = &catalog->pages[page] + 1;
	for (low = 0, high = run->page->n; low < high;) {
		size_t mid = low + (high - low) / 2;

		if (is_after(run->page->resources[mid], namespace, name))
			high = mid;
		else
			low = mid + 1;
	}
	run->at = low;
	return catalog->starts[page] + low;
}

static void go_to_next_page(struct run *run)
{
	run->page = *run->next_page++;
	run->at = 0;
}

/* False after the last. */
static bool advance_run(struct run *run)
{
	if (--run->left == 0)
		return false;
	if (++run->at == run->page->n)
		go_to_next_page(run);
	look_at(run);
	return true;
}

/* Index after the last resource of the namespace. */
static size_t end_of_namespace(
	const struct state *s, const struct catalog *catalog, const char *namespace)
{
	if (s->layout.kind == LAYOUT_SPLIT)
		return catalog_count(catalog);
	/* Names are ASCII letters, digits and dashes: DEL is after all of them. */
	return catalog_lower_bound(catalog, namespace, "\x7f");
}

/* Index after the last resource that is wanted. */
static size_t end_of(const struct state_cursor *c, const struct catalog *catalog)
{
	return c->all ? catalog_count(catalog) : end_of_namespace(c->state, catalog, c->namespace);
}

static void add_run(struct state_cursor *c, const struct catalog *catalog)
{
	struct run *run = &c->heap[c->n];
	size_t start, end = end_of(c, catalog);

	ASSERT(c->n < c->state->layout.catalogs);
	if (end == 0)
		return;
	start = seek(run, catalog, c->after_namespace, c->after);
	if (start >= end)
		return;
	if (run->at == run->page->n)
		go_to_next_page(run);
	run->left = end - start;
	look_at(run);
	c->n++;
}

/* Index of the first partition that may have resources of the namespace; false: there is none. */
static bool find_group(const struct state *s, const char *namespace, size_t *ret)
{
	struct place first = {.number = 0};

	if (s->layout.kind == LAYOUT_SPLIT)
		snprintf(first.namespace, sizeof(first.namespace), "%s", namespace);
	*ret = lower_bound(s, &first);
	return *ret < s->n_partitions &&
	       strcmp(s->partitions[*ret]->place.namespace, first.namespace) == 0;
}

/* Index of the first partition that is not of this one's namespace. */
static size_t end_of_group(const struct state *s, size_t first)
{
	struct place last = s->partitions[first]->place;

	last.number = UINT_MAX;
	return lower_bound(s, &last);
}

size_t state_count_namespace(const struct state *s, const char *namespace)
{
	size_t first, n = 0;

	if (!find_group(s, namespace, &first))
		return 0;
	for (size_t i = first; i < end_of_group(s, first); i++) {
		const struct catalog *c = s->partitions[i]->catalog;

		n += end_of_namespace(s, c, namespace) - catalog_lower_bound(c, namespace, "");
	}
	return n;
}

static const char *group_namespace(const struct state_cursor *c, size_t group)
{
	return c->state->partitions[c->groups[group]]->place.namespace;
}

/* Goes on to the next group that has any resource, unless this one has. */
static void fill_heap(struct state_cursor *c)
{
	for (; c->n == 0 && c->group < c->n_groups; c->group++) {
		size_t first = c->groups[c->group], end = end_of_group(c->state, first);

		for (size_t i = first; i < end; i++)
			add_run(c, c->state->partitions[i]->catalog);
		for (size_t i = c->n / 2; i-- > 0;)
			sift_down(c, i);
	}
}

/* By insertion: the partitions are almost in that order. */
static void sort_groups(struct state_cursor *c)
{
	for (size_t i = 1; i < c->n_groups; i++) {
		size_t first = c->groups[i], at = i;

		for (; at > 0 && strcmp(group_namespace(c, at - 1),
					 c->state->partitions[first]->place.namespace) > 0;
			at--)
			c->groups[at] = c->groups[at - 1];
		c->groups[at] = first;
	}
}

static void find_groups(struct state_cursor *c)
{
	const struct state *s = c->state;

	if (c->all) {
		for (size_t i = 0; i < s->n_partitions; i = end_of_group(s, i))
			c->groups[c->n_groups++] = i;
		sort_groups(c);
		while (c->group < c->n_groups && s->layout.kind == LAYOUT_SPLIT &&
			strcmp(group_namespace(c, c->group), c->after_namespace) < 0)
			c->group++;
		return;
	}
	c->n_groups = find_group(s, c->namespace, &c->groups[0]);
}

/* At most one run for each catalog of a namespace, and one group for each namespace. */
static struct state_cursor *alloc_cursor(struct state *s, bool all)
{
	struct state_cursor *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return NULL;
	c->state = state_ref(s);
	c->all = all;
	c->groups = malloc((all ? s->n_partitions + 1 : 1) * sizeof(c->groups[0]));
	c->heap = malloc(s->layout.catalogs * sizeof(c->heap[0]));
	if (c->groups == NULL || c->heap == NULL) {
		state_cursor_free(c);
		return NULL;
	}
	return c;
}

int state_cursor_new(struct state_cursor **ret, struct state *s, const char *namespace,
	const char *after, struct error *err)
{
	struct state_cursor *c = alloc_cursor(s, false);

	if (c == NULL)
		return error_no_memory(err);
	snprintf(c->namespace, sizeof(c->namespace), "%s", namespace);
	snprintf(c->after_namespace, sizeof(c->after_namespace), "%s", namespace);
	snprintf(c->after, sizeof(c->after), "%s", after);
	find_groups(c);
	fill_heap(c);
	*ret = c;
	return 0;
}

int state_cursor_new_all(struct state_cursor **ret, struct state *s, const char *after_namespace,
	const char *after, struct error *err)
{
	struct state_cursor *c = alloc_cursor(s, true);

	if (c == NULL)
		return error_no_memory(err);
	snprintf(c->after_namespace, sizeof(c->after_namespace), "%s", after_namespace);
	snprintf(c->after, sizeof(c->after), "%s", after);
	find_groups(c);
	fill_heap(c);
	*ret = c;
	return 0;
}

void state_cursor_free(struct state_cursor *c)
{
	if (c == NULL)
		return;
	state_unref(c->state);
	free(c->groups);
	free(c->heap);
	free(c);
}

const struct resource *state_cursor_at(const struct state_cursor *c)
{
	return c->n == 0 ? NULL : c->heap[0].next;
}

void state_cursor_advance(struct state_cursor *c)
{
	ASSERT(c->n > 0);
	if (!advance_run(&c->heap[0]))
		c->heap[0] = c->heap[--c->n];
	sift_down(c, 0);
	fill_heap(c);
}

/* ---- changing ---- */

struct placed {
	struct place place;
	struct catalog_change change;
};

static int placed_cmp(const void *a, const void *b)
{
	return place_cmp(&((const struct placed *)a)->place, &((const struct placed *)b)->place);
}

static struct placed *sort_by_place(
	const struct layout *layout, const struct catalog_change *changes, size_t n)
{
	struct placed *placed = malloc((n + 1) * sizeof(*placed));

	if (placed == NULL)
		return NULL;
	for (size_t i = 0; i < n; i++)
		placed[i] = (struct placed){
			layout_place(layout, changes[i].namespace, changes[i].name), changes[i]};
	qsort(placed, n, sizeof(*placed), placed_cmp);
	return placed;
}

/* The changes of one place, and what they come to. */
struct touch {
	struct place place;
	const struct catalog_change *changes;
	size_t n;
	struct partition *partition;
	struct error err;
};

struct touching {
	const struct state *state;
	struct gzips *gzips;
	struct touch *touches;
};

static int change_one(struct touch *t, const struct state *s, struct gzip *z, struct error *err)
{
	CLEANUP(catalog_unrefp) struct catalog *empty = NULL;
	const struct partition *old = state_partition_at(s, &t->place);
	struct catalog *catalog;

	if (old == NULL && catalog_new(&empty, err) != 0)
		return -1;
	if (catalog_apply(&catalog, old == NULL ? empty : old->catalog, t->changes, t->n, z, err) !=
		0)
		return -1;
	return partition_new(&t->partition, &s->layout, &t->place, catalog, err);
}

static void run_touch(size_t i, size_t thread, void *arg)
{
	struct touching *all = arg;
	struct touch *t = &all->touches[i];

	if (change_one(t, all->state, &all->gzips->at[thread], &t->err) == 0)
		t->err = (struct error)ERROR_INIT;
}

/* Groups the changes by place; changes has room for them. */
static size_t group(struct touch *touches, struct catalog_change *changes,
	const struct placed *placed, size_t n)
{
	size_t n_touches = 0;

	for (size_t i = 0; i < n; i++) {
		changes[i] = placed[i].change;
		if (i == 0 || place_cmp(&placed[i - 1].place, &placed[i].place) != 0)
			touches[n_touches++] =
				(struct touch){.place = placed[i].place, .changes = &changes[i]};
		touches[n_touches - 1].n++;
	}
	return n_touches;
}

/* Takes over all partitions, or none where one has failed. */
static int take_partitions(
	struct partition **ret, struct touch *touches, size_t n, struct error *err)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < n; i++) {
		if (touches[i].err.code != ERROR_NONE) {
			*err = touches[i].err;
			rc = -1;
		}
	}
	for (size_t i = 0; i < n; i++) {
		if (rc == 0)
			ret[i] = touches[i].partition;
		else
			partition_unref(touches[i].partition);
	}
	return rc;
}

int state_change(const struct state *s, const struct catalog_change *changes, size_t n,
	struct gzips *gzips, struct partition ***ret, size_t *ret_n, struct error *err)
{
	AUTO_FREE struct placed *placed = sort_by_place(&s->layout, changes, n);
	AUTO_FREE struct catalog_change *sorted = malloc((n + 1) * sizeof(*sorted));
	AUTO_FREE struct touch *touches = malloc((n + 1) * sizeof(*touches));
	AUTO_FREE struct partition **partitions = calloc(n + 1, sizeof(*partitions));
	struct touching all = {s, gzips, touches};
	size_t n_touches;

	if (placed == NULL || sorted == NULL || touches == NULL || partitions == NULL)
		return error_no_memory(err);
	n_touches = group(touches, sorted, placed, n);
	parallel_each(n_touches, run_touch, &all);
	if (take_partitions(partitions, touches, n_touches, err) != 0)
		return -1;
	*ret = TAKE_PTR(partitions);
	*ret_n = n_touches;
	return 0;
}

int state_replace(struct state **ret, const struct state *old, struct partition *const *partitions,
	size_t n, const struct digest *root, struct error *err)
{
	struct state *s = alloc_state(&old->layout, old->n_partitions + n);
	size_t i = 0, j = 0;

	if (s == NULL)
		return error_no_memory(err);
	s->root = root != NULL ? *root : old->root;
	while (i < old->n_partitions || j < n) {
		int cmp = i == old->n_partitions ? 1
			  : j == n               ? -1
				   : place_cmp(&old->partitions[i]->place, &partitions[j]->place);

		add_partition(s, partition_ref(cmp < 0 ? old->partitions[i] : partitions[j]));
		i += cmp <= 0;
		j += cmp >= 0;
	}
	*ret = s;
	return 0;
}

bool state_has_others(const struct state *s, const char *namespace)
{
	const char *first, *last;
	const struct catalog *all;

	if (s->n_partitions == 0)
		return false;
	all = s->partitions[0]->catalog;
	if (s->layout.kind == LAYOUT_SPLIT) {
		first = s->partitions[0]->place.namespace;
		last = s->partitions[s->n_partitions - 1]->place.namespace;
	} else if (catalog_count(all) > 0) {
		first = catalog_at(all, 0)->intent->namespace;
		last = catalog_at(all, catalog_count(all) - 1)->intent->namespace;
	} else {
		return false;
	}
	return strcmp(first, namespace) != 0 || strcmp(last, namespace) != 0;
}

/* ---- would it fit another layout? ---- */

/* Catalogs of a namespace are side by side. */
size_t state_count_namespaces(const struct state *s)
{
	const char *last = "";
	size_t n = 0;

	for (size_t i = 0; i < s->n_partitions; i++) {
		const char *namespace = s->partitions[i]->place.namespace;

		n += strcmp(last, namespace) != 0;
		last = namespace;
	}
	return n;
}

/* Resources of one namespace, by the number of their catalog. */
struct fill {
	size_t *counts;    /* layout->catalogs of them */
	size_t n_catalogs; /* that hold anything, of all namespaces so far */
	size_t n_namespaces;
};

static int put_in(
	struct fill *f, const struct layout *layout, const struct intent *intent, struct error *err)
{
	struct place place = layout_place(layout, intent->namespace, intent->name);

	f->n_catalogs += f->counts[place.number] == 0;
	if (f->counts[place.number]++ < LIMIT_CATALOG_RESOURCES)
		return 0;
	return error_set(err, ERROR_UNPROCESSABLE,
		"a catalog%s%s would hold more than %d resources, the most that Flux can apply as "
		"one: take more catalogs for a namespace",
		layout->kind == LAYOUT_SPLIT ? " of namespace " : "",
		layout->kind == LAYOUT_SPLIT ? intent->namespace : "", LIMIT_CATALOG_RESOURCES);
}

static int fill_up(
	struct fill *f, struct state_cursor *cursor, const struct layout *layout, struct error *err)
{
	const struct resource *r;
	const char *namespace = "";

	while ((r = state_cursor_at(cursor)) != NULL) {
		bool is_other = strcmp(namespace, r->intent->namespace) != 0;

		namespace = r->intent->namespace;
		f->n_namespaces += is_other;
		if (is_other && layout->kind == LAYOUT_SPLIT)
			memset(f->counts, 0, layout->catalogs * sizeof(f->counts[0]));
		if (put_in(f, layout, r->intent, err) != 0)
			return -1;
		state_cursor_advance(cursor);
	}
	return 0;
}

int state_fits(struct state *s, const struct layout *layout, const struct root_options *root,
	struct error *err)
{
	CLEANUP(state_cursor_freep) struct state_cursor *cursor = NULL;
	AUTO_FREE size_t *counts = calloc(layout->catalogs, sizeof(*counts));
	struct fill f = {.counts = counts};

	if (counts == NULL)
		return error_no_memory(err);
	if (state_cursor_new_all(&cursor, s, "", "", err) != 0 ||
		fill_up(&f, cursor, layout, err) != 0)
		return -1;
	return layout->kind == LAYOUT_SINGLE
		       ? 0
		       : root_check_size(root, f.n_catalogs, f.n_namespaces, err);
}
