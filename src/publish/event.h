/* SPDX-License-Identifier: Apache-2.0 */
/* Private to publish. What listeners are told of a batch (struct publisher_listener). */
#ifndef PUBLISH_EVENT_H
#define PUBLISH_EVENT_H

#include "publish/commit.h"

void event_restored(const struct publisher_listener *listener, const struct head *head);

/* The batch's revision is the head. */
void event_committed(
	const struct publisher_listener *listener, const struct batch *b, const struct head *head);

/* The catalogs of those of the batch whose intent was current already. */
void event_repeated(const struct publisher_listener *listener, const struct batch *b,
	const struct state *state);

#endif
