/* SPDX-License-Identifier: Apache-2.0 */
#include "publish/event.h"

void event_restored(const struct publisher_listener *listener, const struct head *head)
{
	if (listener->restored != NULL)
		listener->restored(head->state, head->version, &head->repartition, listener->arg);
}

static size_t list_changes(struct publisher_change *ret, const struct batch *b)
{
	size_t n = 0;

	for (size_t i = 0; i < b->n; i++) {
		const struct item *item = &b->items[i];

		if (!item->in_commit)
			continue;
		ret[n++] = (struct publisher_change){
			.op = item->op,
			.namespace = item->change->namespace,
			.name = item->change->name,
			.version = item->version,
			.digest = item->digest,
			.resource = item->resource,
		};
	}
	return n;
}

void event_committed(
	const struct publisher_listener *listener, const struct batch *b, const struct head *head)
{
	const struct revision *rev = &b->revision;
	AUTO_FREE struct publisher_change *changes = NULL;
	AUTO_FREE const char **catalogs = NULL;
	struct publisher_event event = {.state = head->state, .version = head->version};

	if (listener->committed == NULL)
		return;
	changes = calloc(commit_changes(b) + 1, sizeof(*changes));
	catalogs = calloc(rev->n_catalogs + 1, sizeof(*catalogs));
	if (changes == NULL || catalogs == NULL) {
		event_restored(listener, head); /* which says as much, at greater cost */
		return;
	}
	event.n_changes = list_changes(changes, b);
	event.changes = changes;
	for (size_t i = 0; i < rev->n_catalogs; i++)
		catalogs[i] = rev->catalogs[i].repository;
	event.n_catalogs = rev->n_catalogs;
	event.catalogs = catalogs;
	listener->committed(&event, listener->arg);
}

void event_repeated(
	const struct publisher_listener *listener, const struct batch *b, const struct state *state)
{
	const struct layout *layout = state_layout(state);
	AUTO_FREE struct place *places = NULL;
	size_t n = 0;

	if (listener->repeated == NULL || b->n == 0)
		return;
	places = calloc(b->n, sizeof(*places));
	if (places == NULL)
		return; /* Flux comes by itself, later */
	for (size_t i = 0; i < b->n; i++) {
		const struct item *item = &b->items[i];
		const struct change *change = item->change;

		if (change->kind == CHANGE_PUT && !item->in_commit && item->err.code == ERROR_NONE)
			places[n++] = layout_place(layout, change->namespace, change->name);
	}
	if (n > 0)
		qsort(places, n, sizeof(places[0]), place_compare);
	for (size_t i = 0; i < n; i++) {
		char repository[CATALOG_REPOSITORY_SIZE];

		if (i > 0 && place_cmp(&places[i - 1], &places[i]) == 0)
			continue;
		layout_repository(layout, &places[i], repository);
		listener->repeated(repository, listener->arg);
	}
}
