/* SPDX-License-Identifier: Apache-2.0 */
#include "api/bodies.h"

#include "base/workers.h"

#include <pthread.h>
#include <stdio.h>
#include <sys/queue.h>

struct body_seat {
	struct bodies *bodies;
	LIST_ENTRY(body_seat) in_bodies;
	size_t size;
	char who[LIMIT_SUBJECT + 1];
};

struct bodies {
	pthread_mutex_t lock; /* guards what follows */
	LIST_HEAD(, body_seat) seats;
	size_t size;             /* of all of them */
	struct workers *workers; /* NULL: stopped */
};

int bodies_new(struct bodies **ret, struct error *err)
{
	struct bodies *b = calloc(1, sizeof(*b));

	if (b == NULL)
		return error_no_memory(err);
	if (workers_new(&b->workers, "gsq-decode", LIMIT_DECODERS, err) != 0) {
		free(b);
		return -1;
	}
	AZ(pthread_mutex_init(&b->lock, NULL));
	LIST_INIT(&b->seats);
	*ret = b;
	return 0;
}

void bodies_stop(struct bodies *b)
{
	struct workers *workers;

	AZ(pthread_mutex_lock(&b->lock));
	workers = TAKE_PTR(b->workers);
	AZ(pthread_mutex_unlock(&b->lock));
	workers_free(workers);
}

void bodies_free(struct bodies *b)
{
	if (b == NULL)
		return;
	bodies_stop(b);
	ASSERT(LIST_EMPTY(&b->seats) && b->size == 0);
	AZ(pthread_mutex_destroy(&b->lock));
	free(b);
}

/* ---- seats ---- */

static int find_room(struct bodies *b, const struct body_seat *seat, struct error *err)
{
	const struct body_seat *other;

	LIST_FOREACH(other, &b->seats, in_bodies)
	{
		if (strcmp(other->who, seat->who) == 0)
			return error_set(err, ERROR_TOO_MANY,
				"another change of more than %zu bytes is under way for %s: send "
				"one at a time; try again when it is done",
				LIMIT_API_BODY, seat->who);
	}
	if (seat->size > LIMIT_LARGE_BODIES - b->size)
		return error_set(err, ERROR_TOO_MANY,
			"the large changes of others take all room there is for them; try again "
			"in a moment, or send several of at most %zu bytes",
			LIMIT_API_BODY);
	return 0;
}

int bodies_sit(struct body_seat **ret, struct bodies *b, const struct subject *subject,
	const char *peer, size_t size, struct error *err)
{
	CLEANUP(body_seat_freep) struct body_seat *seat = calloc(1, sizeof(*seat));
	int rc;

	if (seat == NULL)
		return error_no_memory(err);
	seat->size = size;
	snprintf(seat->who, sizeof(seat->who), "%s",
		subject->method == AUTH_ANONYMOUS ? peer : subject->name);
	AZ(pthread_mutex_lock(&b->lock));
	rc = find_room(b, seat, err);
	if (rc == 0) {
		LIST_INSERT_HEAD(&b->seats, seat, in_bodies);
		b->size += size;
		seat->bodies = b;
	}
	AZ(pthread_mutex_unlock(&b->lock));
	if (rc != 0) {
		err->retry_after_s = 1;
		return -1;
	}
	*ret = TAKE_PTR(seat);
	return 0;
}

void body_seat_free(struct body_seat *seat)
{
	struct bodies *b = seat == NULL ? NULL : seat->bodies;

	if (b != NULL) {
		AZ(pthread_mutex_lock(&b->lock));
		LIST_REMOVE(seat, in_bodies);
		b->size -= seat->size;
		AZ(pthread_mutex_unlock(&b->lock));
	}
	free(seat);
}

/* ---- threads ---- */

bool bodies_run(struct bodies *b, void (*fn)(void *arg), void *arg)
{
	struct error ignored = ERROR_INIT;
	bool runs;

	AZ(pthread_mutex_lock(&b->lock));
	runs = b->workers != NULL && workers_submit(b->workers, fn, arg, &ignored) == 0;
	AZ(pthread_mutex_unlock(&b->lock));
	return runs;
}
