/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/limiter.h"

#include "base/clock.h"
#include "base/siphash.h"

#include <pthread.h>

#define WAYS 8   /* slots that a key may be in */
#define LOCKS 16 /* each of every 16th set */
#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_S UINT64_C(1000000000)

/*
 * One time says how full a bucket is (the generic cell rate algorithm of ATM Forum TM 4.0): full_ns
 * is when it will be full again. Each that is taken moves it by the interval at which one is
 * gained.
 */
struct slot {
	uint64_t key;
	uint64_t full_ns; /* monotonic; 0: empty slot, or as good as */
};

struct set {
	struct slot slots[WAYS];
};

struct limiter {
	struct siphash_key hash; /* at random: nobody can choose keys that share a set */
	pthread_mutex_t locks[LOCKS];
	size_t n_sets;
	struct set sets[];
};

int limiter_new(struct limiter **ret, size_t slots, struct error *err)
{
	size_t n_sets = slots / WAYS + 1;
	struct limiter *l = calloc(1, sizeof(*l) + n_sets * sizeof(l->sets[0]));

	if (l == NULL)
		return error_no_memory(err);
	arc4random_buf(&l->hash, sizeof(l->hash));
	l->n_sets = n_sets;
	for (size_t i = 0; i < LOCKS; i++)
		AZ(pthread_mutex_init(&l->locks[i], NULL));
	*ret = l;
	return 0;
}

void limiter_free(struct limiter *l)
{
	if (l == NULL)
		return;
	for (size_t i = 0; i < LOCKS; i++)
		AZ(pthread_mutex_destroy(&l->locks[i]));
	free(l);
}

/* The key's slot; else that of the set which may be taken for it, with a full bucket. */
static struct slot find(const struct set *set, uint64_t key, size_t *ret_at)
{
	size_t soonest = 0;

	for (size_t i = 0; i < WAYS; i++) {
		if (set->slots[i].key == key) {
			*ret_at = i;
			return set->slots[i];
		}
		if (set->slots[i].full_ns < set->slots[soonest].full_ns)
			soonest = i;
	}
	*ret_at = soonest;
	return (struct slot){.key = key};
}

static unsigned seconds_up(uint64_t ns)
{
	uint64_t s = (ns + NS_PER_S - 1) / NS_PER_S;

	return s < UINT32_MAX ? (unsigned)s : UINT32_MAX;
}

unsigned limiter_take(
	struct limiter *l, struct slice key, unsigned rate, unsigned per_s, unsigned burst)
{
	uint64_t hash = siphash(&l->hash, key), now_ns = clock_monotonic_ms() * NS_PER_MS;
	uint64_t interval_ns, slack_ns;
	size_t n = hash % l->n_sets, at;
	struct slot slot;
	unsigned wait_s = 0;

	ASSERT(rate > 0 && per_s > 0 && burst > 0);
	interval_ns = per_s * NS_PER_S / rate;
	if (__builtin_mul_overflow(interval_ns, burst - 1, &slack_ns))
		slack_ns = UINT64_MAX;
	AZ(pthread_mutex_lock(&l->locks[n % LOCKS]));
	slot = find(&l->sets[n], hash, &at);
	if (slot.full_ns < now_ns)
		slot.full_ns = now_ns;
	if (slot.full_ns - now_ns > slack_ns) {
		wait_s = seconds_up(slot.full_ns - now_ns - slack_ns);
	} else {
		slot.full_ns += interval_ns;
		l->sets[n].slots[at] = slot;
	}
	AZ(pthread_mutex_unlock(&l->locks[n % LOCKS]));
	return wait_s;
}

/* A bucket that was forgotten meanwhile is full anyway. */
void limiter_give(struct limiter *l, struct slice key, unsigned rate, unsigned per_s)
{
	uint64_t hash = siphash(&l->hash, key), interval_ns = per_s * NS_PER_S / rate;
	size_t n = hash % l->n_sets, at;
	struct slot *slot;

	AZ(pthread_mutex_lock(&l->locks[n % LOCKS]));
	find(&l->sets[n], hash, &at);
	slot = &l->sets[n].slots[at];
	if (slot->key == hash && slot->full_ns > interval_ns)
		slot->full_ns -= interval_ns;
	AZ(pthread_mutex_unlock(&l->locks[n % LOCKS]));
}
