/* SPDX-License-Identifier: Apache-2.0 */
#include "cluster/tracker_internal.h"

/* Waits of a resource are in the slot of its hash, those that are over in t->ended. */
static struct tracker_wait **slot_of(struct tracker *t, uint32_t hash)
{
	return &t->waits[hash & (WAIT_SLOTS - 1)];
}

static void push(struct tracker_wait **list, struct tracker_wait *wait)
{
	wait->previous = NULL;
	wait->next = *list;
	if (*list != NULL)
		(*list)->previous = wait;
	*list = wait;
}

static void unlink_from(struct tracker_wait **list, struct tracker_wait *wait)
{
	if (wait->next != NULL)
		wait->next->previous = wait->previous;
	if (wait->previous != NULL)
		wait->previous->next = wait->next;
	else
		*list = wait->next;
}

static void end(struct tracker *t, struct tracker_wait **list, struct tracker_wait *wait)
{
	unlink_from(list, wait);
	t->n_waits--;
	push(&t->ended, wait);
}

/* Made again meanwhile, it is gone too once Flux has applied its deletion. */
static bool may_come(const struct tracked *e, uint64_t deletion)
{
	const struct tracked_catalog *c = e->catalog;

	return e->may_come && (c == NULL || tracked_catalog_commit(c, &c->applied) < deletion);
}

static enum outlook outlook_of_deletion(const struct tracked *e, uint64_t version)
{
	if (e == NULL || e->seen > version)
		return IS_APPLIED;
	return e->seen != 0 || may_come(e, version) ? GOES_ON : IS_APPLIED;
}

enum outlook tracker_outlook(const struct tracked *e, const struct tracker_wait *wait)
{
	if (wait->deleted)
		return outlook_of_deletion(e, wait->version);
	if (e == NULL)
		return NEVER_COMES;
	if (e->seen >= wait->version && !e->is_deleting)
		return IS_APPLIED;
	if (e->wanted == 0)
		return NEVER_COMES;
	if (e->wanted >= wait->version && verdict_phase(e->verdict) == PHASE_FAILED)
		return HAS_FAILED;
	return GOES_ON;
}

static bool is_of(const struct tracker_wait *wait, const char *key)
{
	size_t n = strlen(wait->namespace);

	return strncmp(wait->namespace, key, n) == 0 && key[n] == '/' &&
	       strcmp(wait->name, key + n + 1) == 0;
}

void tracker_check_waits(struct tracker *t, const char *key, uint32_t hash, const struct tracked *e)
{
	struct tracker_wait **slot = slot_of(t, hash), *next;

	for (struct tracker_wait *wait = *slot; wait != NULL; wait = next) {
		next = wait->next;
		if (is_of(wait, key) && tracker_outlook(e, wait) != GOES_ON)
			end(t, slot, wait);
	}
}

/* now_ms: UINT64_MAX ends them all, for nothing is heard that they could wait for. */
static void end_until(struct tracker *t, uint64_t now_ms)
{
	struct tracker_wait *next;

	for (size_t i = 0; t->n_waits > 0 && i < WAIT_SLOTS; i++) {
		for (struct tracker_wait *wait = t->waits[i]; wait != NULL; wait = next) {
			next = wait->next;
			if (wait->deadline_ms <= now_ms)
				end(t, &t->waits[i], wait);
		}
	}
}

void tracker_expire(struct tracker *t)
{
	AZ(pthread_mutex_lock(&t->lock));
	tracker_settle_doubts(t);
	end_until(t, tracker_is_known(t) ? t->monotonic_ms() : UINT64_MAX);
	tracker_unlock_and_tell(t);
}

size_t tracker_take_ended(struct tracker *t, struct tracker_wait *ret, size_t n)
{
	size_t taken = 0;

	while (t->ended != NULL && taken < n) {
		struct tracker_wait *wait = t->ended;

		unlink_from(&t->ended, wait);
		wait->is_waiting = false;
		ret[taken++] = *wait;
	}
	return taken;
}

bool tracker_wait(struct tracker *t, struct tracker_wait *wait)
{
	char key[KEY_SIZE];
	uint32_t hash = tracked_key(t, wait->namespace, wait->name, key);
	bool waits;

	AZ(pthread_mutex_lock(&t->lock));
	waits = tracker_is_known(t) &&
		tracker_outlook(tracked_find(t, wait->namespace, wait->name), wait) == GOES_ON;
	wait->is_waiting = waits;
	if (waits) {
		push(slot_of(t, hash), wait);
		t->n_waits++;
	}
	AZ(pthread_mutex_unlock(&t->lock));
	return waits;
}

static bool is_in(const struct tracker_wait *list, const struct tracker_wait *wait)
{
	while (list != NULL && list != wait)
		list = list->next;
	return list != NULL;
}

bool tracker_cancel(struct tracker *t, struct tracker_wait *wait)
{
	char key[KEY_SIZE];
	uint32_t hash = tracked_key(t, wait->namespace, wait->name, key);
	bool was;

	AZ(pthread_mutex_lock(&t->lock));
	was = wait->is_waiting;
	if (was && is_in(t->ended, wait)) {
		unlink_from(&t->ended, wait);
	} else if (was) {
		unlink_from(slot_of(t, hash), wait);
		t->n_waits--;
	}
	wait->is_waiting = false;
	AZ(pthread_mutex_unlock(&t->lock));
	return was;
}
