/* SPDX-License-Identifier: Apache-2.0 */
/* Bodies of changes, as JSON and as YAML, below a namespace's path and without one. */
#include "fuzz.h"

#include "api/changes_body.h"

static void check_set(const struct changes_body *body, const char *only)
{
	const struct change_set *set = body->set;

	ASSERT(set->n <= LIMIT_CHANGES);
	ASSERT(set->n > 0 || body->prune.n > 0);
	for (size_t i = 0; i < set->n; i++) {
		const struct set_item *item = &set->items[i];

		ASSERT(intent_name_ok(slice_of(item->name)));
		ASSERT(intent_name_ok(slice_of(item->namespace)));
		ASSERT(only == NULL || strcmp(item->namespace, only) == 0);
		ASSERT(item->intent == NULL || strcmp(item->intent->name, item->name) == 0);
		ASSERT(item->intent != NULL || item->when.kind != IF_NOT_THERE);
		ASSERT(!item->pruned);
	}
	for (size_t i = 0; i < body->prune.n; i++)
		ASSERT(only == NULL || strcmp(body->prune.namespaces[i], only) == 0);
}

static void check(struct slice text, enum document_format format, const char *only)
{
	CLEANUP(changes_body_done) struct changes_body body = {.set = NULL};
	struct changes_options options = {format, only != NULL ? only : "default", only};
	struct error err = ERROR_INIT;
	struct set_place place;

	if (changes_body_read(&body, text, &options, &place, &err) == 0) {
		check_set(&body, only);
		return;
	}
	ASSERT(body.set == NULL && err.code != ERROR_NONE && err.text[0] != '\0');
	ASSERT(place.index == SIZE_MAX || place.index <= LIMIT_CHANGES);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO_FREE char *copy = malloc(size > 0 ? size : 1);

	AN(copy != NULL);
	if (size > 0)
		memcpy(copy, data, size);
	check((struct slice){copy, size}, DOCUMENT_JSON, NULL);
	check((struct slice){copy, size}, DOCUMENT_JSON, "team-a");
	check((struct slice){copy, size}, DOCUMENT_YAML, NULL);
	return 0;
}
