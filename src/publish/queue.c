/* SPDX-License-Identifier: Apache-2.0 */
#include "publish/queue.h"

#include <stdlib.h>

void change_free(struct change *change)
{
	author_unref(change->author);
	intent_unref(change->intent);
	free(change->message);
	free(change);
}

void queue_init(struct queue *q)
{
	*q = (struct queue){.n = 0};
	q->last = &q->first;
	arc4random_buf(&q->key, sizeof(q->key));
}

static struct change **slot_of(struct queue *q, const struct change *change)
{
	char text[2 * LIMIT_NAME + 1]; /* "namespace/name" */
	size_t namespace = strlen(change->namespace), name = strlen(change->name);

	memcpy(text, change->namespace, namespace);
	text[namespace] = '/';
	memcpy(text + namespace + 1, change->name, name);
	return &q->slots[siphash(&q->key, (struct slice){text, namespace + 1 + name}) %
			 QUEUE_SLOTS];
}

static bool same_resource(const struct change *a, const struct change *b)
{
	return strcmp(a->name, b->name) == 0 && strcmp(a->namespace, b->namespace) == 0;
}

static void line_up(struct queue *q, struct change *change)
{
	struct change **slot = slot_of(q, change);

	change->next = NULL;
	*q->last = change;
	q->last = &change->next;
	q->in_line++;
	change->next_in_slot = *slot;
	*slot = change;
}

void queue_add(struct queue *q, struct change *change)
{
	struct change *ahead = *slot_of(q, change);

	q->n++;
	change->later = change->last_later = NULL;
	while (ahead != NULL && !same_resource(ahead, change))
		ahead = ahead->next_in_slot;
	if (ahead == NULL) {
		line_up(q, change);
		return;
	}
	if (ahead->later == NULL)
		ahead->later = change;
	else
		ahead->last_later->later = change;
	ahead->last_later = change;
}

static struct change *take_first(struct queue *q)
{
	struct change *change = q->first, *later = change->later;
	struct change **at = slot_of(q, change);

	q->first = change->next;
	if (q->first == NULL)
		q->last = &q->first;
	q->in_line--;
	q->n--;
	while (*at != change)
		at = &(*at)->next_in_slot;
	*at = change->next_in_slot;
	if (later != NULL) {
		later->last_later = change->last_later == later ? NULL : change->last_later;
		line_up(q, later);
	}
	return change;
}

size_t queue_take(struct queue *q, struct change **ret, size_t max)
{
	/* What lines up meanwhile is of a resource that has been taken. */
	size_t n = q->in_line < max ? q->in_line : max;

	for (size_t i = 0; i < n; i++)
		ret[i] = take_first(q);
	return n;
}
