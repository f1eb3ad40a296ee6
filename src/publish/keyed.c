/* SPDX-License-Identifier: Apache-2.0 */
#include "publish/keyed.h"

#include "publish/trace.h"

#define US_PER_S 1000000

void keyed_done(struct keyed *k)
{
	free(k->list);
	*k = (struct keyed){.n = 0};
}

int keyed_key(struct record_key *ret, const struct change_set *set, struct error *err)
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

static int make_room(struct keyed *k, struct error *err)
{
	if (k->list == NULL)
		k->list = calloc(LIMIT_IDEMPOTENCY_KEYS, sizeof(*k->list));
	return k->list != NULL ? 0 : error_no_memory(err);
}

/* Those that are not in the list yet, until they are too old to count, or too many. */
static int read_all(struct keyed *k, const struct record_keyed *last, uint64_t oldest_us,
	struct registry *registry, struct error *err)
{
	struct record_keyed at = *last;

	k->n = 0;
	while (at.is_set && k->n < LIMIT_IDEMPOTENCY_KEYS) {
		CLEANUP(record_done) struct record record = {0};

		if (trace_record(&record, &at.record, registry, err) != 0)
			return -1;
		if (record.version < oldest_us)
			break;
		k->list[k->n++] = (struct keyed_commit){record.key, record.version, at.record};
		at = record.keyed;
	}
	k->complete = true;
	return 0;
}

int keyed_find(const struct keyed_commit **ret, struct keyed *k, const struct record_key *key,
	const struct record_keyed *last, uint64_t now_us, struct registry *registry,
	struct error *err)
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

void keyed_add(struct keyed *k, const struct keyed_commit *commit)
{
	if (!k->complete)
		return;
	if (k->n == LIMIT_IDEMPOTENCY_KEYS)
		k->n--;
	memmove(k->list + 1, k->list, k->n * sizeof(*k->list));
	k->list[0] = *commit;
	k->n++;
}
