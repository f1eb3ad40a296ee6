/* SPDX-License-Identifier: Apache-2.0 */
#include "publish/set_request.h"

#include "publish/commit.h"
#include "publish/precondition.h"
#include "publish/trace.h"

#include <stdio.h>

int set_request_new(struct set_request **ret, struct change_set *set, publisher_set_done *done,
	void *arg, struct error *err)
{
	struct set_request *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return error_no_memory(err);
	r->set = set;
	r->done = done;
	r->arg = arg;
	*ret = r;
	return 0;
}

void set_request_free(struct set_request *r)
{
	if (r == NULL)
		return;
	change_set_free(r->set);
	record_done(&r->record);
	free(r);
}

void set_request_refuse(struct set_request *r, const struct error *err)
{
	struct set_outcome outcome = {.err = *err, .failed = SIZE_MAX, .set = r->set};

	r->done(&outcome, r->arg);
	set_request_free(r);
}

/* ---- items ---- */

int set_request_fill(struct batch *b, struct set_request *r, struct author *self, struct error *err)
{
	const struct change_set *set = r->set;

	if (batch_reserve(b, set->n, err) != 0)
		return -1;
	for (size_t i = 0; i < set->n; i++) {
		const struct set_item *item = &set->items[i];
		struct change *change = calloc(1, sizeof(*change));

		if (change == NULL)
			return error_no_memory(err);
		b->items[b->n++] = (struct item){.change = change};
		change->kind = item->intent != NULL ? CHANGE_PUT : CHANGE_DELETE;
		change->author = author_ref(set->author != NULL ? set->author : self);
		change->intent = item->intent != NULL ? intent_ref(item->intent) : NULL;
		change->when = item->when;
		change->pruned = item->pruned;
		memcpy(change->namespace, item->namespace, sizeof(change->namespace));
		memcpy(change->name, item->name, sizeof(change->name));
	}
	b->set = r;
	return 0;
}

/* ---- deciding ---- */

static void refuse_key(struct error *err)
{
	error_set(err, ERROR_UNPROCESSABLE,
		"this Idempotency-Key was sent with another request before: use a new key for each "
		"change");
}

/* Whether its key is that of a commit. */
static int find_commit(struct set_request *r, struct writer *w, struct error *err)
{
	const struct record_keyed none = {.is_set = false};
	const struct record_keyed_commit *found;
	uint64_t now_us = w->versions.now_us();
	struct record_key key;

	if (idempotency_key(&key, r->set, err) != 0 ||
		idempotency_find(&found, &w->idempotency, &key, &w->head.keyed, now_us, w->registry,
			err) != 0)
		return -1;
	if (found == NULL &&
		idempotency_find(&found, &w->unchanged, &key, &none, now_us, w->registry, err) != 0)
		return -1;
	if (found == NULL)
		return 0;
	if (!digest_eq(&found->key.request, &r->set->request)) {
		refuse_key(&r->err);
		return 0;
	}
	if (found->record.algorithm != DIGEST_NONE &&
		trace_record(&r->record, &found->record, w->registry, err) != 0)
		return -1;
	r->is_replayed = true;
	return 0;
}

static size_t find_failed(const struct batch *b)
{
	for (size_t i = 0; i < b->n; i++)
		if (b->items[i].err.code != ERROR_NONE)
			return i;
	return SIZE_MAX;
}

void set_request_note_unchanged(const struct batch *b, struct writer *w)
{
	const struct set_request *r = b->set;
	struct record_keyed_commit commit = {.version = w->versions.now_us()};
	struct error ignored = ERROR_INIT;

	if (b->n == 0 || r->set->key[0] == '\0' || r->set->dry_run || r->is_replayed ||
		r->err.code != ERROR_NONE || find_failed(b) != SIZE_MAX)
		return;
	if (idempotency_key(&commit.key, r->set, &ignored) == 0)
		idempotency_add(&w->unchanged, &commit);
}

int set_request_begin(struct batch *b, struct writer *w, struct error *err)
{
	struct set_request *r = b->set;
	uint64_t wanted = r->set->if_revision;

	if (r->set->key[0] != '\0' && !r->set->dry_run && find_commit(r, w, err) != 0)
		return -1;
	if (r->is_replayed || r->err.code != ERROR_NONE)
		return 0;
	r->err = head_why_frozen(&w->head.frozen);
	if (r->err.code == ERROR_NONE && wanted != 0 && wanted != w->head.version)
		precondition_refuse_revision(wanted, w->head.version, &r->err);
	return 0;
}

/* ---- all or none ---- */

/* Removals that nobody named, in one namespace after the other. */
static int compare_namespaces(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int guard(const struct batch *b, const struct writer *w, struct error *err)
{
	AUTO_FREE const char **namespaces = calloc(b->n + 1, sizeof(*namespaces));
	struct prune_guard guard = w->guard;
	size_t n = 0;

	if (namespaces == NULL)
		return error_no_memory(err);
	guard.confirmed = b->set->set->confirmed;
	for (size_t i = 0; i < b->n; i++)
		if (b->items[i].in_commit && b->items[i].change->pruned)
			namespaces[n++] = b->items[i].change->namespace;
	qsort(namespaces, n, sizeof(*namespaces), compare_namespaces);
	for (size_t i = 0, of; i < n; i += of) {
		for (of = 1; i + of < n && strcmp(namespaces[i], namespaces[i + of]) == 0; of++)
			;
		if (prune_guard_judge(&guard, namespaces[i],
			    state_count_namespace(w->head.state, namespaces[i]), of, err) != 0)
			return -1;
	}
	return 0;
}

void set_request_settle(struct batch *b, const struct writer *w)
{
	struct set_request *r = b->set;

	if (r->err.code == ERROR_NONE && find_failed(b) == SIZE_MAX && guard(b, w, &r->err) == 0)
		return;
	for (size_t i = 0; i < b->n; i++)
		b->items[i].in_commit = false;
}

/* ---- answering ---- */

static void answer(struct set_request *r, struct set_outcome *outcome)
{
	outcome->set = r->set;
	r->done(outcome, r->arg);
}

static void answer_error(struct batch *b, const struct error *err, size_t failed)
{
	struct set_outcome outcome = {.err = *err, .failed = failed};

	answer(b->set, &outcome);
}

static void answer_replayed(struct set_request *r)
{
	struct set_outcome outcome = {
		.failed = SIZE_MAX, .version = r->record.version, .replayed = &r->record};

	answer(r, &outcome);
}

void set_request_answer(struct batch *b, const struct error *err)
{
	struct set_request *r = b->set;
	AUTO_FREE struct outcome *outcomes = calloc(b->n + 1, sizeof(*outcomes));
	struct set_outcome outcome = {.failed = SIZE_MAX, .n = b->n, .items = outcomes};
	size_t failed = find_failed(b);
	struct error no_memory = ERROR_INIT;

	if (r->err.code == ERROR_NONE && failed != SIZE_MAX) {
		answer_error(b, &b->items[failed].err, failed);
		return;
	}
	if (r->err.code != ERROR_NONE || err != NULL) {
		answer_error(b, r->err.code != ERROR_NONE ? &r->err : err, SIZE_MAX);
		return;
	}
	if (r->is_replayed) {
		answer_replayed(r);
		return;
	}
	if (outcomes == NULL) { /* what was committed can be read, or asked for again */
		error_no_memory(&no_memory);
		answer_error(b, &no_memory, SIZE_MAX);
		return;
	}
	for (size_t i = 0; i < b->n; i++)
		commit_outcome(&outcomes[i], &b->items[i], r->set->dry_run);
	outcome.version = b->has_revision ? b->revision.version : 0;
	answer(r, &outcome);
}
