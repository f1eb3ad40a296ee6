/* SPDX-License-Identifier: Apache-2.0 */
/* What a list asks for, below a namespace's path and without one. */
#include "fuzz.h"

#include "api/list.h"

static void check(struct slice query, const char *path_namespace)
{
	CLEANUP(list_query_done) struct list_query q = {0};
	struct error err = ERROR_INIT;

	if (list_query_parse(&q, path_namespace, query, &err) != 0) {
		ASSERT(q.region == NULL && err.code != ERROR_NONE && err.text[0] != '\0');
		return;
	}
	ASSERT(q.all == (q.namespace[0] == '\0'));
	ASSERT(q.all || intent_name_ok(slice_of(q.namespace)));
	ASSERT(path_namespace == NULL || strcmp(q.namespace, path_namespace) == 0);
	ASSERT((q.after[0] == '\0') == (q.after_namespace[0] == '\0'));
	ASSERT(q.after[0] == '\0' || q.all || strcmp(q.after_namespace, q.namespace) == 0);
	ASSERT(q.type < INTENT_TYPES_ || !q.by_type);
	ASSERT(q.size < INTENT_SIZES_ || !q.by_size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO_FREE char *copy = malloc(size > 0 ? size : 1);

	AN(copy != NULL);
	if (size > 0)
		memcpy(copy, data, size);
	check((struct slice){copy, size}, NULL);
	check((struct slice){copy, size}, "team-a");
	return 0;
}
