/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to publish. Is there room for what a batch creates: in its namespaces' quotas, in its
 * catalogs, which Flux has to hold in one inventory each, and in the root?
 */
#ifndef PUBLISH_CAPACITY_H
#define PUBLISH_CAPACITY_H

#include "publish/commit.h"

/* One create after the other, so that one that is refused takes up no room of those behind it. What
 * a change set deletes makes room first, as it is made as a whole. root: as it will be. */
void capacity_check(struct batch *b, const struct writer *w, const struct root_options *root);

#endif
