/* SPDX-License-Identifier: Apache-2.0 */
/* Private to publish. A list of places, in the order of their repositories. */
#ifndef PUBLISH_PLACES_H
#define PUBLISH_PLACES_H

#include "catalog/layout.h"

struct places {
	size_t n;
	struct place *list;
};

void places_done(struct places *p);
int places_copy(struct places *ret, const struct places *from, struct error *err) MUST_CHECK;

#endif
