/* SPDX-License-Identifier: Apache-2.0 */
#include "publish/capacity.h"

#include <inttypes.h>

/* Resources in one catalog, or in one namespace (as the place with number 0). */
struct tally {
	struct place place;
	size_t n;
	uint64_t most;
	bool is_there; /* the catalog */
};

struct tallies {
	size_t n;
	struct tally *list; /* in the order of their places */
};

struct capacity {
	struct batch *batch;
	const struct state *state;
	struct tallies namespaces, catalogs;
	size_t n_catalogs; /* in the root */
	size_t objects, objects_more;
};

static bool is_create(const struct item *item)
{
	return item->in_commit && item->op == RECORD_CREATE;
}

static struct place namespace_of(const struct change *change)
{
	struct place place = {.number = 0};

	memcpy(place.namespace, change->namespace, sizeof(change->namespace));
	return place;
}

static struct place catalog_of(const struct state *state, const struct change *change)
{
	return layout_place(state_layout(state), change->namespace, change->name);
}

static size_t count_catalog(const struct state *state, const struct place *place)
{
	const struct partition *p = state_partition_at(state, place);

	return p == NULL ? 0 : catalog_count(p->catalog);
}

static uint64_t quota_of(const struct writer *w, const char *namespace)
{
	return w->quota == NULL ? UINT64_MAX : w->quota(namespace, w->quota_arg);
}

/* ---- most batches are nowhere near any limit ---- */

static bool fits_surely(const struct batch *b, size_t i, const struct writer *w)
{
	const struct state *state = w->head.state;
	const struct change *change = b->items[i].change;
	struct place place = catalog_of(state, change);
	uint64_t quota = quota_of(w, change->namespace);

	if (count_catalog(state, &place) + b->n > LIMIT_CATALOG_RESOURCES)
		return false;
	return quota == UINT64_MAX ||
	       state_count_namespace(state, change->namespace) + b->n <= quota;
}

static bool fit_surely(
	const struct batch *b, const struct writer *w, const struct root_options *root)
{
	size_t n = state_n_partitions(w->head.state) + w->head.leftovers.n + b->n;

	if (root_count_objects(root, n, n) > LIMIT_ROOT_OBJECTS)
		return false;
	for (size_t i = 0; i < b->n; i++)
		if (is_create(&b->items[i]) && !fits_surely(b, i, w))
			return false;
	return true;
}

/* ---- counting ---- */

static int compare(const void *a, const void *b)
{
	const struct tally *x = a, *y = b;

	return place_cmp(&x->place, &y->place);
}

static struct tally *find(const struct tallies *t, struct place place)
{
	struct tally key = {.place = place};

	return bsearch(&key, t->list, t->n, sizeof(*t->list), compare);
}

static void sort(struct tallies *t)
{
	size_t n = 0;

	qsort(t->list, t->n, sizeof(*t->list), compare);
	for (size_t i = 0; i < t->n; i++)
		if (n == 0 || place_cmp(&t->list[n - 1].place, &t->list[i].place) != 0)
			t->list[n++] = t->list[i];
	t->n = n;
}

static void capacity_done(struct capacity *c)
{
	free(c->namespaces.list);
	free(c->catalogs.list);
}

static void count_deletes(struct capacity *c)
{
	for (size_t i = 0; i < c->batch->n; i++) {
		const struct item *item = &c->batch->items[i];
		struct tally *namespace, *catalog;

		if (!item->in_commit || item->op != RECORD_DELETE)
			continue;
		namespace = find(&c->namespaces, namespace_of(item->change));
		catalog = find(&c->catalogs, catalog_of(c->state, item->change));
		if (namespace != NULL) { /* braces, as clang-format takes it for C++ */
			namespace->n--;
		}
		if (catalog != NULL)
			catalog->n--;
	}
}

/* Every namespace and catalog that something comes to, with what it holds. */
static int count(struct capacity *c, const struct writer *w, struct error *err)
{
	const struct batch *b = c->batch;

	c->namespaces.list = calloc(b->n + 1, sizeof(*c->namespaces.list));
	c->catalogs.list = calloc(b->n + 1, sizeof(*c->catalogs.list));
	if (c->namespaces.list == NULL || c->catalogs.list == NULL)
		return error_no_memory(err);
	for (size_t i = 0; i < b->n; i++) {
		const struct change *change = b->items[i].change;

		if (!is_create(&b->items[i]))
			continue;
		c->namespaces.list[c->namespaces.n++].place = namespace_of(change);
		c->catalogs.list[c->catalogs.n++].place = catalog_of(c->state, change);
	}
	sort(&c->namespaces);
	sort(&c->catalogs);
	for (size_t i = 0; i < c->namespaces.n; i++) {
		struct tally *t = &c->namespaces.list[i];

		t->n = state_count_namespace(c->state, t->place.namespace);
		t->most = quota_of(w, t->place.namespace);
	}
	for (size_t i = 0; i < c->catalogs.n; i++) {
		struct tally *t = &c->catalogs.list[i];

		t->n = count_catalog(c->state, &t->place);
		t->most = LIMIT_CATALOG_RESOURCES;
		t->is_there = state_partition_at(c->state, &t->place) != NULL;
	}
	if (b->set != NULL)
		count_deletes(c);
	return 0;
}

/* The root has objects for every catalog there is, and for every namespace that has one. A catalog
 * that comes is taken for the first of its namespace. */
static void count_root(struct capacity *c, const struct head *head, const struct root_options *root)
{
	c->n_catalogs = state_n_partitions(c->state) + head->leftovers.n;
	c->objects = root_count_objects(root, c->n_catalogs, state_count_namespaces(c->state));
	c->objects_more = root_count_objects(root, 1, 1) - root_count_objects(root, 0, 0);
}

/* ---- refusing ---- */

static int refuse_over_quota(const struct tally *t, struct error *err)
{
	return error_set(err, ERROR_DENIED,
		"namespace %s has %zu resources, and its quota is %" PRIu64
		": delete some, or ask an operator for more",
		t->place.namespace, t->n, t->most);
}

static int refuse_overfull(const struct capacity *c, struct error *err)
{
	bool split = state_layout(c->state)->kind == LAYOUT_SPLIT;

	return error_set(err, ERROR_UNPROCESSABLE,
		"the catalog holds %d resources, the most that Flux can apply as one: "
		"delete some first, or share them out with gsq repartition %s",
		LIMIT_CATALOG_RESOURCES,
		split ? "and more --catalogs" : "--layout split and enough --catalogs");
}

static int refuse_catalog(const struct capacity *c, struct error *err)
{
	return error_set(err, ERROR_UNPROCESSABLE,
		"the store has %zu catalogs, the most that Flux can apply, and this resource needs "
		"one more: put it into a namespace that has resources, under another name, or run "
		"gsq repartition with fewer --catalogs",
		c->n_catalogs);
}

static int take_room(struct capacity *c, const struct change *change, struct error *err)
{
	struct tally *namespace = find(&c->namespaces, namespace_of(change));
	struct tally *catalog = find(&c->catalogs, catalog_of(c->state, change));

	if (namespace->n >= namespace->most)
		return refuse_over_quota(namespace, err);
	if (catalog->n >= catalog->most)
		return refuse_overfull(c, err);
	if (!catalog->is_there) {
		if (c->objects + c->objects_more > LIMIT_ROOT_OBJECTS)
			return refuse_catalog(c, err);
		c->objects += c->objects_more;
		c->n_catalogs++;
		catalog->is_there = true;
	}
	namespace->n++;
	catalog->n++;
	return 0;
}

void capacity_check(struct batch *b, const struct writer *w, const struct root_options *root)
{
	CLEANUP(capacity_done) struct capacity c = {.batch = b, .state = w->head.state};
	struct error no_memory = ERROR_INIT;

	if (fit_surely(b, w, root))
		return;
	if (count(&c, w, &no_memory) == 0)
		count_root(&c, &w->head, root);
	for (size_t i = 0; i < b->n; i++) {
		struct item *item = &b->items[i];

		if (!is_create(item))
			continue;
		item->err = no_memory;
		if (no_memory.code != ERROR_NONE || take_room(&c, item->change, &item->err) != 0)
			item->in_commit = false;
	}
}
