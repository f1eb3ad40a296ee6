/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to publish. Holds: accepted versions that Flux does not get (catalog/resource.h). A hold
 * and a release store no artifact and issue no version: the accepted one stays what it is.
 */
#ifndef PUBLISH_HOLD_H
#define PUBLISH_HOLD_H

#include "publish/commit.h"

/* What a hold or a release comes to; item->old is set. */
void hold_decide(struct item *item);

/* What a put of the intent that is current already comes to: where that was refused, the caller
 * wants it tried again. */
void hold_decide_repeated(struct item *item);

/* Makes the resources of the holds and releases that are in the commit; reads the versions to apply
 * in their place, so it may take a while. Those that fail leave the batch: ERROR_NOT_FOUND where
 * there is no such version. */
void hold_make(struct batch *b, struct registry *registry);

/* A new version of a resource whose namespace is gone is held as the one before: *resource becomes
 * the held one. */
int hold_keep(struct resource **resource, const struct resource *old, struct error *err) MUST_CHECK;

#endif
