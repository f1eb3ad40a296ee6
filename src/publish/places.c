/* SPDX-License-Identifier: Apache-2.0 */
#include "publish/places.h"

#include <stdlib.h>

void places_done(struct places *p)
{
	free(p->list);
	*p = (struct places){0};
}

int places_copy(struct places *ret, const struct places *from, struct error *err)
{
	struct place *list = calloc(from->n + 1, sizeof(*list));

	if (list == NULL)
		return error_no_memory(err);
	for (size_t i = 0; i < from->n; i++)
		list[i] = from->list[i];
	*ret = (struct places){from->n, list};
	return 0;
}
