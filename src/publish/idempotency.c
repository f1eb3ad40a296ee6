/* SPDX-License-Identifier: Apache-2.0 */
#include "publish/idempotency.h"

#include "base/log.h"
#include "publish/trace.h"

#define US_PER_S 1000000

void idempotency_done(struct idempotency *k)
{
	free(k->list);
	*k = (struct idempotency){.n = 0};
}

int idempotency_key(struct record_key *ret, const struct change_set *set, struct error *err)
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(LIMIT_SUBJECT + 1 + LIMIT_IDEMPOTENCY_KEY);

	buf_puts(&text, set->author != NULL ? set->author->who : AUTHOR_SERVER);
	buf_putc(&text, '\n'); /* in neither */
	buf_puts(&text, set->key);
	if (buf_check(&text, err) != 0)
		return -1;
	*ret = (struct record_key){
		.is_set = true, .key = digest_of(buf_slice(&text)), .request = set->request};
	return 0;
}

static int make_room(struct idempotency *k, struct error *err)
{
	if (k->list == NULL)
		k->list = calloc(LIMIT_IDEMPOTENCY_KEYS, sizeof(*k->list));
	return k->list != NULL ? 0 : error_no_memory(err);
}

static void take(struct idempotency *k, const struct record_keyed_commit *commit)
{
	if (k->n < LIMIT_IDEMPOTENCY_KEYS)
		k->list[k->n++] = *commit;
}

/* One record, and the commits that it names. *at: those before them. */
static int read_some(struct idempotency *k, struct record_keyed *at, uint64_t *ret_version,
	struct registry *registry, struct error *err)
{
	CLEANUP(record_done) struct record record = {0};
	bool listed = k->n > 0 && digest_eq(&k->list[k->n - 1].record, &at->record);

	if (trace_record(&record, &at->record, registry, err) != 0)
		return -1;
	if (!listed)
		take(k, &(struct record_keyed_commit){record.key, record.version, at->record});
	for (size_t i = 0; i < record.n_keyed_before; i++)
		take(k, &record.keyed_before[i]);
	*ret_version = record.version;
	*at = record.keyed;
	if (record.n_keyed_before > 1) {
		at->record = record.keyed_before[record.n_keyed_before - 1].record;
		*ret_version = record.keyed_before[record.n_keyed_before - 1].version;
	}
	return 0;
}

/* Until they are too old to count, or too many. A record that is lost or damaged ends the list: all
 * other changes go on, and so must these. */
static int read_all(struct idempotency *k, const struct record_keyed *last, uint64_t oldest_us,
	struct registry *registry, struct error *err)
{
	struct record_keyed at = *last;
	uint64_t version = UINT64_MAX;

	k->n = 0;
	while (at.is_set && k->n < LIMIT_IDEMPOTENCY_KEYS && version >= oldest_us) {
		if (read_some(k, &at, &version, registry, err) == 0)
			continue;
		if (err->code != ERROR_NOT_FOUND && err->code != ERROR_INTERNAL)
			return -1;
		log_warn("older Idempotency-Keys are forgotten: their commit cannot be read",
			LOG_STR("reason", err->text));
		break;
	}
	k->complete = true;
	return 0;
}

int idempotency_find(const struct record_keyed_commit **ret, struct idempotency *k,
	const struct record_key *key, const struct record_keyed *last, uint64_t now_us,
	struct registry *registry, struct error *err)
{
	uint64_t age_us = UINT64_C(1) * LIMIT_IDEMPOTENCY_S * US_PER_S;
	uint64_t oldest_us = now_us > age_us ? now_us - age_us : 0;

	*ret = NULL;
	if (make_room(k, err) != 0)
		return -1;
	if (!k->complete && read_all(k, last, oldest_us, registry, err) != 0)
		return -1;
	for (size_t i = 0; i < k->n && *ret == NULL; i++)
		if (k->list[i].version >= oldest_us && digest_eq(&k->list[i].key.key, &key->key))
			*ret = &k->list[i];
	return 0;
}

const struct record_keyed_commit *idempotency_last(const struct idempotency *k, size_t *ret_n)
{
	*ret_n = k->n < RECORD_KEYED_BEFORE ? k->n : RECORD_KEYED_BEFORE;
	return k->list;
}

void idempotency_add(struct idempotency *k, const struct record_keyed_commit *commit)
{
	if (!k->complete)
		return;
	if (k->n == LIMIT_IDEMPOTENCY_KEYS)
		k->n--;
	memmove(k->list + 1, k->list, k->n * sizeof(*k->list));
	k->list[0] = *commit;
	k->n++;
}
