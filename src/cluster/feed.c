/* SPDX-License-Identifier: Apache-2.0 */
#include "cluster/feed.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>

#define EPOCH_SIZE 17 /* 64 bits in hexadecimal, and its NUL */
#define SHARE 64      /* events read, or readers woken, each time that the lock is taken */
#define SCAN 1024     /* events of other namespaces passed over, likewise */

/* The text of an event, as it is sent, lies behind its namespace's. Immutable. */
struct event {
	unsigned refs; /* atomic */
	uint64_t sequence;
	size_t len;
	const char *text;
	char namespace[];
};

struct feed {
	char epoch[EPOCH_SIZE];
	pthread_mutex_t lock; /* guards all below */
	uint64_t first, next; /* sequence numbers: the ring's oldest, and that of the next event */
	size_t bytes;
	struct feed_parked *parked; /* wait */
	struct feed_parked *woken;  /* are about to be told */
	struct event *ring[LIMIT_FEED_EVENTS];
};

/* ---- events ---- */

static size_t event_size(const struct event *e)
{
	return sizeof(*e) + strlen(e->namespace) + 1 + e->len;
}

static void event_unref(struct event *e)
{
	if (__atomic_sub_fetch(&e->refs, 1, __ATOMIC_ACQ_REL) == 0)
		free(e);
}

/* NULL without memory. The id is the feed's to give, so it is called under the lock. */
static struct event *event_new(
	const struct feed *feed, const char *name, const char *namespace, struct slice data)
{
	static const char form[] = "id: %s-%" PRIu64 "\nevent: %s\ndata: ";
	size_t namespace_size = strlen(namespace) + 1;
	int head = snprintf(NULL, 0, form, feed->epoch, feed->next, name);
	struct event *e;
	char *text;

	ASSERT(head > 0 && data.n < LIMIT_FEED_BYTES);
	e = malloc(sizeof(*e) + namespace_size + (size_t)head + data.n + sizeof("\n\n"));
	if (e == NULL)
		return NULL;
	e->refs = 1;
	e->sequence = feed->next;
	memcpy(e->namespace, namespace, namespace_size);
	text = e->namespace + namespace_size;
	snprintf(text, (size_t)head + 1, form, feed->epoch, feed->next, name);
	memcpy(text + head, data.p, data.n);
	memcpy(text + head + data.n, "\n\n", sizeof("\n\n"));
	e->text = text;
	e->len = (size_t)head + data.n + strlen("\n\n");
	return e;
}

static struct event **slot_of(struct feed *feed, uint64_t sequence)
{
	return &feed->ring[sequence % LIMIT_FEED_EVENTS];
}

static bool is_of(const struct feed_position *position, const char *namespace)
{
	return position->namespace[0] == '\0' || strcmp(position->namespace, namespace) == 0;
}

static void drop_oldest(struct feed *feed)
{
	struct event *e = *slot_of(feed, feed->first);

	*slot_of(feed, feed->first++) = NULL;
	feed->bytes -= event_size(e);
	event_unref(e);
}

/* ---- life ---- */

int feed_new(struct feed **ret, struct error *err)
{
	struct feed *feed = calloc(1, sizeof(*feed));
	uint64_t epoch;

	if (feed == NULL)
		return error_no_memory(err);
	arc4random_buf(&epoch, sizeof(epoch));
	snprintf(feed->epoch, sizeof(feed->epoch), "%016" PRIx64, epoch);
	AZ(pthread_mutex_init(&feed->lock, NULL));
	feed->first = feed->next = 1;
	*ret = feed;
	return 0;
}

void feed_free(struct feed *feed)
{
	if (feed == NULL)
		return;
	ASSERT(feed->parked == NULL && feed->woken == NULL);
	while (feed->first < feed->next)
		drop_oldest(feed);
	AZ(pthread_mutex_destroy(&feed->lock));
	free(feed);
}

/* ---- who is parked ---- */

static void list_push(struct feed_parked **list, struct feed_parked *parked)
{
	parked->previous = NULL;
	parked->next = *list;
	if (*list != NULL)
		(*list)->previous = parked;
	*list = parked;
}

static void list_remove(struct feed *feed, struct feed_parked *parked)
{
	if (parked->next != NULL)
		parked->next->previous = parked->previous;
	if (parked->previous != NULL)
		parked->previous->next = parked->next;
	else if (feed->parked == parked)
		feed->parked = parked->next;
	else
		feed->woken = parked->next;
}

/* namespace: NULL for everyone, who is left behind. */
static void rouse(struct feed *feed, const char *namespace, uint64_t sequence)
{
	struct feed_parked *next;

	for (struct feed_parked *at = feed->parked; at != NULL; at = next) {
		next = at->next;
		if (namespace != NULL && !is_of(at->position, namespace))
			continue;
		if (namespace != NULL)
			at->position->next = sequence;
		list_remove(feed, at);
		list_push(&feed->woken, at);
	}
}

void feed_wake(struct feed *feed)
{
	struct feed_parked woken[SHARE]; /* copies: theirs may be gone once they are let go */
	size_t n;

	do {
		n = 0;
		AZ(pthread_mutex_lock(&feed->lock));
		while (feed->woken != NULL && n < SHARE) {
			struct feed_parked *at = feed->woken;

			list_remove(feed, at);
			at->is_parked = false;
			woken[n++] = *at;
		}
		AZ(pthread_mutex_unlock(&feed->lock));
		for (size_t i = 0; i < n; i++)
			woken[i].wake(woken[i].arg);
	} while (n == SHARE);
}

bool feed_park(struct feed *feed, struct feed_position *position, struct feed_parked *parked)
{
	bool parks;

	AZ(pthread_mutex_lock(&feed->lock));
	parks = position->next == feed->next;
	parked->is_parked = parks;
	if (parks) {
		parked->position = position;
		list_push(&feed->parked, parked);
	}
	AZ(pthread_mutex_unlock(&feed->lock));
	return parks;
}

/* One that is woken already, but not told, has its position where that event is. */
bool feed_unpark(struct feed *feed, struct feed_parked *parked)
{
	struct feed_parked *at;
	bool was;

	AZ(pthread_mutex_lock(&feed->lock));
	was = parked->is_parked;
	if (was) {
		for (at = feed->woken; at != NULL && at != parked; at = at->next)
			;
		if (at == NULL)
			parked->position->next = feed->next;
		list_remove(feed, parked);
		parked->is_parked = false;
	}
	AZ(pthread_mutex_unlock(&feed->lock));
	return was;
}

/* ---- adding ---- */

/* The number that no event gets is what tells readers, and ids, from before apart. */
static void reset(struct feed *feed)
{
	while (feed->first < feed->next)
		drop_oldest(feed);
	feed->first = ++feed->next;
	rouse(feed, NULL, feed->next);
}

void feed_reset(struct feed *feed)
{
	AZ(pthread_mutex_lock(&feed->lock));
	reset(feed);
	AZ(pthread_mutex_unlock(&feed->lock));
}

void feed_add(struct feed *feed, const char *event, const char *namespace, struct slice data)
{
	struct event *e;

	AZ(pthread_mutex_lock(&feed->lock));
	e = event_new(feed, event, namespace, data);
	if (e == NULL) {
		reset(feed);
	} else {
		feed->bytes += event_size(e);
		while (feed->first < feed->next && (feed->next - feed->first == LIMIT_FEED_EVENTS ||
							   feed->bytes > LIMIT_FEED_BYTES))
			drop_oldest(feed);
		*slot_of(feed, feed->next++) = e;
		rouse(feed, namespace, e->sequence);
	}
	AZ(pthread_mutex_unlock(&feed->lock));
}

/* ---- reading ---- */

void feed_position_now(struct feed_position *ret, struct feed *feed)
{
	AZ(pthread_mutex_lock(&feed->lock));
	*ret = (struct feed_position){.next = feed->next};
	AZ(pthread_mutex_unlock(&feed->lock));
}

bool feed_position_after(struct feed_position *ret, struct feed *feed, struct slice id)
{
	struct slice rest = id, epoch = slice_cut(&rest, '-');
	uint64_t sequence;
	bool is_there;

	if (!slice_eq(epoch, slice_of(feed->epoch)) || !slice_to_u64(rest, &sequence) ||
		sequence == UINT64_MAX)
		return false;
	AZ(pthread_mutex_lock(&feed->lock));
	is_there = sequence + 1 >= feed->first && sequence < feed->next;
	AZ(pthread_mutex_unlock(&feed->lock));
	if (is_there)
		*ret = (struct feed_position){.next = sequence + 1};
	return is_there;
}

void feed_id(struct feed *feed, const struct feed_position *position, struct buf *ret)
{
	buf_printf(ret, "%s-%" PRIu64, feed->epoch, position->next - 1);
}

/* What one look at the ring found. */
struct look {
	bool is_gone;
	bool is_done; /* at the end, or no room for the next */
	size_t n;
	struct event *events[SHARE]; /* referenced */
};

/* Moves the position past what it takes and what is of others. room: bytes that may be taken;
 * with is_first, one event is taken that is larger. */
static void look(struct feed *feed, struct feed_position *position, size_t room, bool is_first,
	struct look *ret)
{
	ret->n = 0;
	ret->is_done = false;
	ret->is_gone = position->next < feed->first || position->next > feed->next;
	for (size_t scanned = 0; !ret->is_gone && position->next < feed->next; scanned++) {
		struct event *e = *slot_of(feed, position->next);

		if (scanned == SCAN || ret->n == SHARE)
			break;
		if (is_of(position, e->namespace)) {
			ret->is_done = e->len > room && !(is_first && ret->n == 0);
			if (ret->is_done)
				break;
			room -= e->len < room ? e->len : room;
			__atomic_add_fetch(&e->refs, 1, __ATOMIC_RELAXED);
			ret->events[ret->n++] = e;
		}
		position->next++;
	}
	ret->is_done |= position->next == feed->next;
	if (ret->is_gone && is_first)
		position->next = feed->next;
}

enum feed_read feed_read(
	struct feed *feed, struct feed_position *position, size_t max, struct buf *ret)
{
	size_t taken = 0;
	struct look found;

	for (;;) {
		AZ(pthread_mutex_lock(&feed->lock));
		look(feed, position, max > taken ? max - taken : 0, taken == 0, &found);
		AZ(pthread_mutex_unlock(&feed->lock));
		if (found.is_gone)
			return taken == 0 ? FEED_GONE : FEED_EVENTS;
		for (size_t i = 0; i < found.n; i++) {
			taken += found.events[i]->len;
			buf_append(ret, found.events[i]->text, found.events[i]->len);
			event_unref(found.events[i]);
		}
		if (found.is_done)
			return taken == 0 ? FEED_END : FEED_EVENTS;
	}
}
