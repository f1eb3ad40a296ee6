/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/tokens.h"

#include "auth/token_file.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/timestamp.h"

#define US_PER_S 1000000

struct token {
	unsigned char hash[SUBJECT_TOKEN_HASH];
	struct subject *subject;
	uint64_t used_s; /* atomic; 0: never */
};

struct tokens {
	unsigned refs; /* atomic */
	bool unsaved;  /* atomic; there were uses since the last tokens_save_uses() */
	size_t n;
	struct token at[]; /* sorted by hash: of random bits, so where one lies tells nothing */
};

static uint64_t now_s(void)
{
	return clock_realtime_us() / US_PER_S;
}

/* ---- loading ---- */

static int make_subject(struct subject **ret, const struct token_entry *e, struct error *err)
{
	AUTO_FREE struct grant *grants = calloc(e->row.n_namespaces, sizeof(*grants));
	struct subject_draft draft = {
		.method = AUTH_TOKEN,
		.name = slice_of(e->row.name),
		.n_grants = e->row.n_namespaces,
		.grants = grants,
		.expires_s = e->row.expires_s,
		.token_hash = e->hash.bytes,
	};

	if (grants == NULL)
		return error_no_memory(err);
	for (size_t i = 0; i < e->row.n_namespaces; i++) {
		size_t len = strlen(e->row.namespaces[i]);

		ASSERT(len < sizeof(grants[i].namespace));
		grants[i].role = e->row.role;
		memcpy(grants[i].namespace, e->row.namespaces[i], len);
	}
	return subject_new(ret, &draft, err);
}

static int compare(const void *a, const void *b)
{
	const struct token *x = a, *y = b;

	return memcmp(x->hash, y->hash, sizeof(x->hash));
}

static int fill(struct tokens *t, const struct token_file *f, const json_t *uses, struct error *err)
{
	for (; t->n < f->n; t->n++) {
		const struct token_entry *e = &f->entries[t->n];
		struct token *token = &t->at[t->n];

		if (make_subject(&token->subject, e, err) != 0)
			return -1;
		memcpy(token->hash, e->hash.bytes, sizeof(token->hash));
		token->used_s = token_uses_get(uses, &e->hash);
	}
	qsort(t->at, t->n, sizeof(t->at[0]), compare);
	return 0;
}

int tokens_load(struct tokens **ret, const char *file, struct error *err)
{
	CLEANUP(token_file_done) struct token_file f = {0};
	CLEANUP(tokens_unrefp) struct tokens *t = NULL;
	CLEANUP(json_decrefp) json_t *uses = NULL;

	if (file != NULL && token_file_read(&f, file, err) != 0)
		return -1;
	if (file != NULL)
		uses = token_uses_read(file);
	t = calloc(1, sizeof(*t) + f.n * sizeof(t->at[0]));
	if (t == NULL)
		return error_no_memory(err);
	t->refs = 1;
	if (fill(t, &f, uses, err) != 0)
		return -1;
	*ret = TAKE_PTR(t);
	return 0;
}

struct tokens *tokens_ref(struct tokens *t)
{
	__atomic_add_fetch(&t->refs, 1, __ATOMIC_RELAXED);
	return t;
}

void tokens_unref(struct tokens *t)
{
	if (t == NULL || __atomic_sub_fetch(&t->refs, 1, __ATOMIC_ACQ_REL) > 0)
		return;
	for (size_t i = 0; i < t->n; i++)
		subject_unref(t->at[i].subject);
	free(t);
}

size_t tokens_count(const struct tokens *t)
{
	return t->n;
}

/* ---- looking up ---- */

static struct token *find(const struct tokens *t, const unsigned char hash[SUBJECT_TOKEN_HASH])
{
	struct token key;

	memcpy(key.hash, hash, sizeof(key.hash));
	return bsearch(&key, t->at, t->n, sizeof(t->at[0]), compare);
}

/* Once a second at most, so that loops do not fight over the cache line of a busy token. */
static void note_use(struct tokens *t, struct token *token)
{
	uint64_t now = now_s(), end = token->subject->expires_s;

	if ((end != 0 && now >= end) || __atomic_load_n(&token->used_s, __ATOMIC_RELAXED) == now)
		return;
	__atomic_store_n(&token->used_s, now, __ATOMIC_RELAXED);
	__atomic_store_n(&t->unsaved, true, __ATOMIC_RELEASE);
}

struct subject *tokens_find(struct tokens *t, struct slice secret)
{
	struct token *token;
	struct digest hash;

	if (secret.n != TOKEN_SECRET_SIZE - 1 || !slice_starts(secret, SLICE(TOKEN_PREFIX)))
		return NULL;
	hash = digest_of(secret);
	token = find(t, hash.bytes);
	if (token == NULL)
		return NULL;
	note_use(t, token);
	return subject_ref(token->subject);
}

bool tokens_has(const struct tokens *t, const struct subject *s)
{
	const struct token *token = s->method == AUTH_TOKEN ? find(t, s->token_hash) : NULL;

	return token != NULL && token->subject->expires_s == s->expires_s &&
	       subject_eq(token->subject, s);
}

/* ---- last uses ---- */

void tokens_take_uses(struct tokens *t, const struct tokens *before)
{
	for (size_t i = 0; i < t->n; i++) {
		const struct token *old = find(before, t->at[i].hash);
		uint64_t used_s = old != NULL ? __atomic_load_n(&old->used_s, __ATOMIC_RELAXED) : 0;

		if (used_s > __atomic_load_n(&t->at[i].used_s, __ATOMIC_RELAXED)) {
			__atomic_store_n(&t->at[i].used_s, used_s, __ATOMIC_RELAXED);
			__atomic_store_n(&t->unsaved, true, __ATOMIC_RELEASE);
		}
	}
}

static void add_use(struct buf *b, struct token *token)
{
	uint64_t used_s = __atomic_load_n(&token->used_s, __ATOMIC_RELAXED);
	struct digest hash = {.algorithm = DIGEST_SHA256};
	char key[DIGEST_TEXT_SIZE], when[TIMESTAMP_SIZE];

	if (used_s == 0)
		return;
	memcpy(hash.bytes, token->hash, sizeof(token->hash));
	json_member_cstr(b, digest_format(&hash, key), timestamp_format(used_s, when));
}

static int save(struct tokens *t, const char *file, struct error *err)
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(LIMIT_TOKEN_FILE);

	json_begin_object(&text);
	json_key(&text, "used");
	json_begin_object(&text);
	for (size_t i = 0; i < t->n; i++)
		add_use(&text, &t->at[i]);
	json_end_object(&text);
	json_end_object(&text);
	buf_putc(&text, '\n');
	if (buf_check(&text, err) != 0)
		return -1;
	return token_uses_write(file, buf_slice(&text), err);
}

int tokens_save_uses(struct tokens *t, const char *file, struct error *err)
{
	if (!__atomic_exchange_n(&t->unsaved, false, __ATOMIC_ACQ_REL))
		return 0;
	if (save(t, file, err) == 0)
		return 0;
	__atomic_store_n(&t->unsaved, true, __ATOMIC_RELEASE);
	return -1;
}
