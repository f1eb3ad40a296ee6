/* SPDX-License-Identifier: Apache-2.0 */
#include "cluster/tracker_internal.h"

#include <stdio.h>

#define FIRST_SLOTS 1024
#define FIRST_COMMITS 4

/* ---- resources ---- */

uint32_t tracked_key(
	const struct tracker *t, const char *namespace, const char *name, char ret[KEY_SIZE])
{
	size_t namespace_len = strlen(namespace), name_len = strlen(name);

	ASSERT(namespace_len <= LIMIT_NAME && name_len <= LIMIT_NAME);
	memcpy(ret, namespace, namespace_len);
	ret[namespace_len] = '/';
	memcpy(ret + namespace_len + 1, name, name_len + 1);
	return (uint32_t)siphash(&t->key, (struct slice){ret, namespace_len + 1 + name_len});
}

static struct tracked *find(struct tracker *t, const char *key, uint32_t hash)
{
	struct tracked *e = t->slots == NULL ? NULL : t->slots[hash & (t->n_slots - 1)];

	while (e != NULL && (e->hash != hash || strcmp(e->key, key) != 0))
		e = e->next;
	return e;
}

/* Others' objects in the cluster may have longer names than ours can have. */
static bool can_be_ours(const char *namespace, const char *name)
{
	return strlen(namespace) <= LIMIT_NAME && strlen(name) <= LIMIT_NAME;
}

struct tracked *tracked_find(struct tracker *t, const char *namespace, const char *name)
{
	char key[KEY_SIZE];
	uint32_t hash;

	if (!can_be_ours(namespace, name))
		return NULL;
	hash = tracked_key(t, namespace, name, key);
	return find(t, key, hash);
}

/* Without memory the chains get longer, and it is tried again at the next one. */
static void grow(struct tracker *t)
{
	size_t n_slots = t->slots == NULL ? FIRST_SLOTS : 2 * t->n_slots;
	struct tracked **slots = calloc(n_slots, sizeof(*slots)), *next;

	if (slots == NULL)
		return;
	for (size_t i = 0; t->slots != NULL && i < t->n_slots; i++) {
		for (struct tracked *e = t->slots[i]; e != NULL; e = next) {
			struct tracked **slot = &slots[e->hash & (n_slots - 1)];

			next = e->next;
			e->next = *slot;
			*slot = e;
		}
	}
	free(t->slots);
	t->slots = slots;
	t->n_slots = n_slots;
}

struct tracked *tracked_get(struct tracker *t, const char *namespace, const char *name)
{
	char key[KEY_SIZE];
	struct tracked *e;
	uint32_t hash;
	size_t size;

	if (!can_be_ours(namespace, name))
		return NULL;
	hash = tracked_key(t, namespace, name, key);
	e = find(t, key, hash);
	if (e != NULL)
		return e;
	size = strlen(key) + 1;
	if (t->n >= t->n_slots)
		grow(t);
	e = t->slots == NULL ? NULL : calloc(1, sizeof(*e) + size);
	if (e == NULL) {
		t->is_incomplete = true;
		return NULL;
	}
	memcpy(e->key, key, size);
	e->namespace_len = (uint8_t)strlen(namespace);
	e->hash = hash;
	e->next = t->slots[hash & (t->n_slots - 1)];
	t->slots[hash & (t->n_slots - 1)] = e;
	t->n++;
	t->counts[e->verdict]++;
	tracked_place(t, e);
	return e;
}

void tracked_remove(struct tracker *t, struct tracked *e)
{
	struct tracked **at = &t->slots[e->hash & (t->n_slots - 1)];

	while (*at != e)
		at = &(*at)->next;
	*at = e->next;
	t->n--;
	t->counts[e->verdict]--;
	tracked_unlist(e);
	free(e->status);
	free(e);
}

void tracked_each(
	struct tracker *t, void (*fn)(struct tracker *t, struct tracked *e, void *arg), void *arg)
{
	struct tracked *next;

	for (size_t i = 0; t->slots != NULL && i < t->n_slots; i++) {
		for (struct tracked *e = t->slots[i]; e != NULL; e = next) {
			next = e->next;
			fn(t, e, arg);
		}
	}
}

void tracked_unlist(struct tracked *e)
{
	if (e->unsettled == NULL)
		return;
	*e->unsettled = e->next_unsettled;
	if (e->next_unsettled != NULL)
		e->next_unsettled->unsettled = e->unsettled;
	e->unsettled = NULL;
}

void tracked_list(struct tracked *e)
{
	bool is_awaited = e->wanted == 0 ? e->may_come : e->hold == 0 && e->seen != e->wanted;

	if (e->catalog == NULL || !is_awaited) {
		tracked_unlist(e);
	} else if (e->unsettled == NULL) {
		e->unsettled = &e->catalog->unsettled;
		e->next_unsettled = *e->unsettled;
		if (e->next_unsettled != NULL)
			e->next_unsettled->unsettled = &e->next_unsettled;
		*e->unsettled = e;
	}
}

void tracked_namespace(const struct tracked *e, char ret[LIMIT_NAME + 1])
{
	memcpy(ret, e->key, e->namespace_len);
	ret[e->namespace_len] = '\0';
}

void tracked_place(struct tracker *t, struct tracked *e)
{
	char namespace[LIMIT_NAME + 1], repository[CATALOG_REPOSITORY_SIZE];
	const struct layout *layout;
	struct place place;

	tracked_unlist(e);
	e->catalog = NULL;
	if (t->state == NULL)
		return;
	layout = state_layout(t->state);
	tracked_namespace(e, namespace);
	place = layout_place(layout, namespace, e->key + e->namespace_len + 1);
	layout_repository(layout, &place, repository);
	e->catalog = tracked_catalog_get(t, repository);
	e->may_come = e->may_come && e->catalog != NULL;
}

/* ---- catalogs ---- */

struct tracked_catalog *tracked_catalog_get(struct tracker *t, const char *repository)
{
	struct tracked_catalog **slot =
		&t->catalogs[siphash(&t->key, slice_of(repository)) & (CATALOG_SLOTS - 1)];
	struct tracked_catalog *c = *slot;

	while (c != NULL && strcmp(c->repository, repository) != 0)
		c = c->next;
	if (c != NULL || strlen(repository) >= sizeof(c->repository))
		return c;
	c = calloc(1, sizeof(*c));
	if (c == NULL)
		return NULL;
	snprintf(c->repository, sizeof(c->repository), "%s", repository);
	c->next = *slot;
	*slot = c;
	return c;
}

/* More room, up to the limit, if there is memory. */
static void grow_commits(struct tracked_catalog *c)
{
	size_t cap = c->cap_commits == 0 ? FIRST_COMMITS : 2 * c->cap_commits;
	struct tracked_commit *commits;

	if (cap > LIMIT_TRACKED_COMMITS)
		return;
	commits = realloc(c->commits, cap * sizeof(*commits));
	if (commits == NULL)
		return;
	c->commits = commits;
	c->cap_commits = cap;
}

void tracked_catalog_add(struct tracked_catalog *c, const struct digest *digest, uint64_t version)
{
	struct tracked_commit *at;

	if (digest->algorithm != DIGEST_SHA256 || tracked_catalog_commit(c, digest) != 0)
		return;
	if (c->n_commits == c->cap_commits)
		grow_commits(c);
	if (c->cap_commits == 0)
		return;
	if (c->n_commits == c->cap_commits)
		memmove(c->commits, c->commits + 1, --c->n_commits * sizeof(c->commits[0]));
	at = &c->commits[c->n_commits++];
	memcpy(at->sha256, digest->bytes, sizeof(at->sha256));
	at->version = version;
}

uint64_t tracked_catalog_commit(const struct tracked_catalog *c, const struct digest *digest)
{
	for (size_t i = 0; digest->algorithm == DIGEST_SHA256 && i < c->n_commits; i++)
		if (memcmp(c->commits[i].sha256, digest->bytes, sizeof(c->commits[i].sha256)) == 0)
			return c->commits[i].version;
	return 0;
}

uint64_t tracked_catalog_last(const struct tracked_catalog *c)
{
	return c->n_commits == 0 ? 0 : c->commits[c->n_commits - 1].version;
}

/* ---- the end ---- */

static void free_catalogs(struct tracked_catalog *c)
{
	struct tracked_catalog *next;

	for (; c != NULL; c = next) {
		next = c->next;
		free(c->message);
		free(c->commits);
		free(c);
	}
}

static void remove_one(struct tracker *t, struct tracked *e, void *arg UNUSED)
{
	tracked_remove(t, e);
}

void tracked_free_all(struct tracker *t)
{
	tracked_each(t, remove_one, NULL);
	free(t->slots);
	for (size_t i = 0; i < CATALOG_SLOTS; i++)
		free_catalogs(t->catalogs[i]);
}
