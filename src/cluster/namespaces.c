/* SPDX-License-Identifier: Apache-2.0 */
#include "cluster/namespaces.h"

#include "base/clock.h"
#include "base/log.h"
#include "cluster/kube.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#define LOOK_AGAIN_MS 1000

/* One that the cluster has, or that resources are in. */
struct one {
	char name[LIMIT_NAME + 1];
	bool is_listed, is_there, is_active;
	bool was_active;  /* seen so by this process: that it is gone is then no mistake */
	bool is_lacking;  /* gone, and no mistake: as the root is to have it */
	bool look;        /* its resources are to be looked at */
	uint64_t look_ms; /* not before; clock_monotonic_ms() */
};

struct namespaces {
	atomic_size_t under_way; /* holds, releases and roots that are not answered */
	atomic_bool root_due;    /* it is to be rendered again, */
	atomic_ullong root_ms;   /* not before */

	pthread_mutex_t lock; /* guards the rest, for a few instructions */
	bool look_at_all;
	bool known;  /* a list was complete, which answers until the next one is */
	bool synced; /* and nothing was missed since */
	size_t n, cap;
	struct one *list; /* sorted by name */
};

int namespaces_new(struct namespaces **ret, struct error *err)
{
	struct namespaces *n = calloc(1, sizeof(*n));

	if (n == NULL)
		return error_no_memory(err);
	AZ(pthread_mutex_init(&n->lock, NULL));
	*ret = n;
	return 0;
}

void namespaces_free(struct namespaces *n)
{
	if (n == NULL)
		return;
	ASSERT(atomic_load(&n->under_way) == 0);
	AZ(pthread_mutex_destroy(&n->lock));
	free(n->list);
	free(n);
}

/* ---- the list; under the lock ---- */

static size_t lower_bound(const struct namespaces *n, const char *name)
{
	size_t low = 0, high = n->n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (strcmp(n->list[mid].name, name) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static struct one *find(struct namespaces *n, const char *name)
{
	size_t i = lower_bound(n, name);

	return i < n->n && strcmp(n->list[i].name, name) == 0 ? &n->list[i] : NULL;
}

static bool grow(struct namespaces *n)
{
	size_t cap = n->cap == 0 ? 16 : 2 * n->cap;
	struct one *grown;

	if (n->n < n->cap)
		return true;
	grown = realloc(n->list, cap * sizeof(*grown));
	if (grown == NULL)
		return false;
	n->list = grown;
	n->cap = cap;
	return true;
}

/* NULL without memory, and for what is no namespace's name. */
static struct one *find_or_add(struct namespaces *n, const char *name)
{
	struct one *one = find(n, name);
	size_t i;

	if (one != NULL || !intent_name_ok(slice_of(name)) || !grow(n))
		return one;
	i = lower_bound(n, name);
	memmove(&n->list[i + 1], &n->list[i], (n->n - i) * sizeof(n->list[0]));
	n->n++;
	n->list[i] = (struct one){.is_there = false};
	snprintf(n->list[i].name, sizeof(n->list[i].name), "%s", name);
	return &n->list[i];
}

static void set(struct one *one, bool is_there, bool is_active)
{
	if (one->is_there != is_there || one->is_active != is_active)
		one->look = true;
	one->is_there = is_there;
	one->is_active = is_active;
	one->was_active = one->was_active || is_active;
}

/* ---- what the watch says ---- */

void namespaces_relist(struct namespaces *n)
{
	AZ(pthread_mutex_lock(&n->lock));
	for (size_t i = 0; i < n->n; i++)
		n->list[i].is_listed = false;
	AZ(pthread_mutex_unlock(&n->lock));
}

void namespaces_see(struct namespaces *n, const json_t *object)
{
	bool is_active = strcmp(kube_string(object, "status", "phase", NULL), "Active") == 0;
	struct one *one;

	AZ(pthread_mutex_lock(&n->lock));
	one = find_or_add(n, kube_string(object, "metadata", "name", NULL));
	if (one != NULL) {
		one->is_listed = true;
		set(one, true, is_active);
	}
	AZ(pthread_mutex_unlock(&n->lock));
}

void namespaces_gone(struct namespaces *n, const json_t *object)
{
	struct one *one;

	AZ(pthread_mutex_lock(&n->lock));
	one = find(n, kube_string(object, "metadata", "name", NULL));
	if (one != NULL)
		set(one, false, false);
	AZ(pthread_mutex_unlock(&n->lock));
}

void namespaces_synced(struct namespaces *n)
{
	AZ(pthread_mutex_lock(&n->lock));
	for (size_t i = 0; i < n->n; i++)
		if (!n->list[i].is_listed)
			set(&n->list[i], false, false);
	if (!n->synced)
		n->look_at_all = true;
	n->known = n->synced = true;
	AZ(pthread_mutex_unlock(&n->lock));
}

void namespaces_lost(struct namespaces *n, bool denied)
{
	AZ(pthread_mutex_lock(&n->lock));
	n->synced = false;
	n->known = n->known && !denied;
	AZ(pthread_mutex_unlock(&n->lock));
}

/* ---- asking ---- */

int namespaces_check(struct namespaces *n, const char *namespace, struct error *err)
{
	bool known, is_there = false, is_active = false, is_lacking = false;
	const struct one *one;

	AZ(pthread_mutex_lock(&n->lock));
	known = n->known;
	one = find(n, namespace);
	if (one != NULL) {
		is_there = one->is_there;
		is_active = one->is_active;
		is_lacking = one->is_lacking;
	}
	AZ(pthread_mutex_unlock(&n->lock));
	if (!known)
		return -1;
	if (is_active && !is_lacking)
		return 1;
	error_set(err, ERROR_UNPROCESSABLE,
		is_active  ? "namespace %s is back, and not prepared yet: try again"
		: is_there ? "namespace %s is being deleted in the cluster: wait until it is there "
			     "again, or use another"
			   : "namespace %s does not exist in the cluster: create it first",
		namespace);
	snprintf(err->field, sizeof(err->field), "namespace");
	return 0;
}

bool namespaces_lacks(struct namespaces *n, const char *namespace)
{
	const struct one *one;
	bool is_lacking;

	AZ(pthread_mutex_lock(&n->lock));
	one = find(n, namespace);
	is_lacking = one != NULL && one->is_lacking;
	AZ(pthread_mutex_unlock(&n->lock));
	return is_lacking;
}

void namespaces_look(struct namespaces *n, const char *namespace)
{
	struct one *one;

	AZ(pthread_mutex_lock(&n->lock));
	one = find_or_add(n, namespace);
	if (one != NULL && !one->is_active)
		one->look = true;
	AZ(pthread_mutex_unlock(&n->lock));
}

void namespaces_look_at_all(struct namespaces *n)
{
	AZ(pthread_mutex_lock(&n->lock));
	n->look_at_all = true;
	AZ(pthread_mutex_unlock(&n->lock));
}

/* ---- holding and releasing ---- */

static void answered(const struct outcome *outcome UNUSED, void *arg)
{
	struct namespaces *n = arg;

	atomic_fetch_sub(&n->under_way, 1);
}

/* Does what has to be done about one resource; false: nothing. */
static bool settle(struct namespaces *n, struct publisher *publisher, const struct resource *r,
	const struct one *one)
{
	bool is_held = r->hold != NULL && r->hold->reason == HOLD_NAMESPACE;
	const struct intent *intent = r->intent;
	char message[128];

	/* What is refused is left so, but an earlier version that Flux gets instead has to go too.
	 */
	if (one->is_active ? !is_held : resource_published(r) == NULL)
		return false;
	atomic_fetch_add(&n->under_way, 1);
	if (is_held) {
		publisher_release(
			publisher, intent->namespace, intent->name, HOLD_NAMESPACE, answered, n);
		return true;
	}
	snprintf(message, sizeof(message), "namespace %s %s", one->name,
		one->is_there ? "is being deleted" : "does not exist");
	publisher_hold(publisher, intent->namespace, intent->name, r->version, HOLD_NAMESPACE, 0,
		message, answered, n);
	return true;
}

/* At most LIMIT_BATCH at once. Returns how many had to be touched. */
static size_t settle_all(struct namespaces *n, struct publisher *publisher, struct state *state,
	const struct one *one)
{
	CLEANUP(state_cursor_freep) struct state_cursor *cursor = NULL;
	struct error err = ERROR_INIT;
	const struct resource *r;
	size_t touched = 0;

	if (state_cursor_new(&cursor, state, one->name, "", &err) != 0)
		return 1; /* without memory: later */
	while ((r = state_cursor_at(cursor)) != NULL && touched < LIMIT_BATCH) {
		touched += settle(n, publisher, r, one);
		state_cursor_advance(cursor);
	}
	return touched;
}

static void look_at(struct namespaces *n, const char *name)
{
	struct one *one;

	AZ(pthread_mutex_lock(&n->lock));
	one = find_or_add(n, name);
	if (one != NULL)
		one->look = true;
	AZ(pthread_mutex_unlock(&n->lock));
}

/* Every namespace that catalogs are in. */
static void look_at_catalogs_of(struct namespaces *n, const struct state *state)
{
	const char *last = "";

	for (size_t i = 0; i < state_n_partitions(state); i++) {
		const char *namespace = state_partition(state, i)->place.namespace;

		if (strcmp(last, namespace) != 0)
			look_at(n, namespace);
		last = namespace;
	}
}

/* Every namespace that resources are in. */
static void look_at_those_of(struct namespaces *n, struct state *state)
{
	CLEANUP(state_cursor_freep) struct state_cursor *cursor = NULL;
	struct error err = ERROR_INIT;
	const struct resource *r;
	const char *last = "";

	if (state_cursor_new_all(&cursor, state, "", "", &err) != 0) {
		namespaces_look_at_all(n);
		return;
	}
	while ((r = state_cursor_at(cursor)) != NULL) {
		if (strcmp(last, r->intent->namespace) != 0)
			look_at(n, r->intent->namespace);
		last = r->intent->namespace;
		state_cursor_advance(cursor);
	}
}

/* ---- the root ---- */

static void root_answered(const struct outcome *outcome, void *arg)
{
	struct namespaces *n = arg;

	if (outcome->err.code != ERROR_NONE) {
		atomic_store(&n->root_ms, clock_monotonic_ms() + LOOK_AGAIN_MS);
		atomic_store(&n->root_due, true);
	}
	atomic_fetch_sub(&n->under_way, 1);
}

/* False: it is not due. */
static bool render_root(struct namespaces *n, struct publisher *publisher)
{
	if (clock_monotonic_ms() < atomic_load(&n->root_ms) ||
		!atomic_exchange(&n->root_due, false))
		return false;
	atomic_fetch_add(&n->under_way, 1);
	publisher_render_root(publisher, root_answered, n);
	return true;
}

static bool has_catalog(const struct state *state, const char *namespace)
{
	for (size_t i = 0; i < state_n_partitions(state); i++)
		if (strcmp(state_partition(state, i)->place.namespace, namespace) == 0)
			return true;
	return false;
}

/* The root has no account of a namespace that is gone, and has it again of one that is back. */
static void settle_account(struct namespaces *n, const struct state *state, const struct one *seen)
{
	bool changes = false;
	struct one *one;

	AZ(pthread_mutex_lock(&n->lock));
	one = find(n, seen->name);
	if (one != NULL) {
		changes = one->is_lacking == seen->is_active;
		one->is_lacking = !seen->is_active;
	}
	AZ(pthread_mutex_unlock(&n->lock));
	if (changes && has_catalog(state, seen->name))
		atomic_store(&n->root_due, true);
}

/* Whether that was asked for; it is not any more. */
static bool take_look_at_all(struct namespaces *n)
{
	bool asked;

	AZ(pthread_mutex_lock(&n->lock));
	asked = n->synced && n->look_at_all;
	if (asked)
		n->look_at_all = false;
	AZ(pthread_mutex_unlock(&n->lock));
	return asked;
}

/* The next one to look at, as a copy; false: none. */
static bool next_look(struct namespaces *n, struct one *ret)
{
	uint64_t now = clock_monotonic_ms();
	bool found = false;

	AZ(pthread_mutex_lock(&n->lock));
	for (size_t i = 0; n->synced && !found && i < n->n; i++) {
		struct one *one = &n->list[i];

		if (!one->look || one->look_ms > now)
			continue;
		one->look = false;
		one->look_ms = now + LOOK_AGAIN_MS;
		*ret = *one;
		found = true;
	}
	AZ(pthread_mutex_unlock(&n->lock));
	return found;
}

void namespaces_tick(struct namespaces *n, struct publisher *publisher, bool is_ours)
{
	CLEANUP(state_unrefp) struct state *state = NULL;
	struct error ignored = ERROR_INIT;
	struct one one;
	size_t touched;
	bool told;

	if (atomic_load(&n->under_way) > 0 || publisher_open(publisher, &ignored) != 0)
		return;
	state = publisher_state(publisher, NULL);
	if (state == NULL)
		return;
	if (take_look_at_all(n)) {
		look_at_those_of(n, state);
		look_at_catalogs_of(n, state);
	}
	if (render_root(n, publisher))
		return;
	do {
		if (!next_look(n, &one))
			return;
		touched = 0;
		told = false;
		if (one.is_active || one.was_active || is_ours) {
			/* The account first: what is released needs it. */
			settle_account(n, state, &one);
			told = render_root(n, publisher);
			touched = settle_all(n, publisher, state, &one);
		} else {
			look_at(n, one.name); /* later: it may turn out to be ours */
		}
	} while (touched == 0 && !told);
	look_at(n, one.name); /* until nothing is left to do */
	log_info(one.is_active ? "a namespace is there: its resources are published again"
			       : "a namespace is gone: its resources are held",
		LOG_STR("namespace", one.name), LOG_NUM("resources", touched));
}
