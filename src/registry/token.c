/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A token is "gsqr." PAYLOAD "." MAC, both in base64url. The payload: the second in which it ends,
 * the subject's seat in the table, the seat's number, and the scopes, with spaces between.
 */
#include "registry/token.h"

#include "base/siphash.h"

#include <inttypes.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <sodium.h>

#define WAYS 16 /* seats that a name may be in */
#define N_SETS (LIMIT_REGISTRY_SUBJECTS / WAYS)
#define KEY_SIZE 32
#define MAC_SIZE 32
#define URLSAFE sodium_base64_VARIANT_URLSAFE_NO_PADDING
#define MAC_TEXT_SIZE sodium_base64_ENCODED_LEN(MAC_SIZE, URLSAFE)

/* One that is given to another subject gets another number. */
struct seat {
	struct subject *subject; /* NULL: never taken */
	uint64_t number;
	uint64_t until_s; /* the last token's end */
};

struct registry_tokens {
	unsigned char key[KEY_SIZE];
	struct siphash_key hash; /* at random: nobody can choose names that share their seats */
	pthread_mutex_t lock;    /* guards what follows */
	uint64_t number;         /* the last that was given */
	struct seat seats[LIMIT_REGISTRY_SUBJECTS];
};

int registry_tokens_new(struct registry_tokens **ret, struct error *err)
{
	struct registry_tokens *t = calloc(1, sizeof(*t));

	if (t == NULL)
		return error_no_memory(err);
	if (RAND_bytes(t->key, sizeof(t->key)) != 1) {
		free(t);
		return error_set(err, ERROR_INTERNAL,
			"OpenSSL has no random numbers for a key: see that /dev/urandom is there");
	}
	arc4random_buf(&t->hash, sizeof(t->hash));
	AZ(pthread_mutex_init(&t->lock, NULL));
	*ret = t;
	return 0;
}

void registry_tokens_free(struct registry_tokens *t)
{
	if (t == NULL)
		return;
	for (size_t i = 0; i < LIMIT_REGISTRY_SUBJECTS; i++)
		subject_unref(t->seats[i].subject);
	AZ(pthread_mutex_destroy(&t->lock));
	OPENSSL_cleanse(t->key, sizeof(t->key));
	free(t);
}

/* ---- the table ---- */

static bool is_later(const struct subject *a, const struct subject *b)
{
	return b->expires_s != 0 && (a->expires_s == 0 || a->expires_s > b->expires_s);
}

static bool is_of(const struct seat *seat, const char *name)
{
	return seat->subject != NULL && strcmp(seat->subject->name, name) == 0;
}

/* The subject's own, or else the one that ends first: of its name, where that has enough of them,
 * or of all those it may have. One that was never taken has ended. */
static struct seat *find_seat(struct registry_tokens *t, const struct subject *subject)
{
	uint64_t set = siphash(&t->hash, slice_of(subject->name)) % N_SETS;
	struct seat *first = NULL, *first_of_name = NULL;
	size_t n_of_name = 0;

	for (size_t i = 0; i < WAYS; i++) {
		struct seat *seat = &t->seats[set * WAYS + i];

		if (seat->subject != NULL && subject_eq(seat->subject, subject))
			return seat;
		if (first == NULL || seat->until_s < first->until_s)
			first = seat;
		if (!is_of(seat, subject->name))
			continue;
		n_of_name++;
		if (first_of_name == NULL || seat->until_s < first_of_name->until_s)
			first_of_name = seat;
	}
	return n_of_name < LIMIT_REGISTRY_SEATS ? first : first_of_name;
}

static struct seat *take_seat(struct registry_tokens *t, struct subject *subject, uint64_t now_s)
{
	struct seat *seat = find_seat(t, subject);
	bool is_own = seat->subject != NULL && subject_eq(seat->subject, subject);

	if (!is_own)
		seat->number = ++t->number;
	if (!is_own || is_later(subject, seat->subject)) {
		subject_unref(seat->subject);
		seat->subject = subject_ref(subject);
	}
	seat->until_s = now_s + LIMIT_REGISTRY_TOKEN_S;
	return seat;
}

/* A reference, or NULL: somebody else sits there. */
static struct subject *find_subject(struct registry_tokens *t, uint64_t at, uint64_t number)
{
	struct subject *subject = NULL;

	if (at >= LIMIT_REGISTRY_SUBJECTS)
		return NULL;
	AZ(pthread_mutex_lock(&t->lock));
	if (t->seats[at].subject != NULL && t->seats[at].number == number)
		subject = subject_ref(t->seats[at].subject);
	AZ(pthread_mutex_unlock(&t->lock));
	return subject;
}

/* ---- tokens ---- */

static void add_base64(struct buf *b, const void *bytes, size_t n)
{
	size_t size = sodium_base64_encoded_len(n, URLSAFE);
	char *room = buf_room(b, size);

	if (room == NULL)
		return;
	sodium_bin2base64(room, size, bytes, n, URLSAFE);
	buf_claim(b, size - 1);
}

/* False: there is no memory. */
static bool sign(const struct registry_tokens *t, struct slice text, char ret[MAC_TEXT_SIZE])
{
	unsigned char mac[MAC_SIZE];

	if (HMAC(EVP_sha256(), t->key, sizeof(t->key), (const unsigned char *)text.p, text.n, mac,
		    NULL) == NULL)
		return false;
	sodium_bin2base64(ret, MAC_TEXT_SIZE, mac, sizeof(mac), URLSAFE);
	return true;
}

int registry_token_make(struct registry_tokens *t, struct subject *subject, struct slice scopes,
	uint64_t now_s, struct buf *ret, struct error *err)
{
	CLEANUP(buf_done) struct buf payload = BUF_INIT(LIMIT_CREDENTIAL);
	CLEANUP(buf_done) struct buf text = BUF_INIT(LIMIT_CREDENTIAL);
	const struct seat *seat;
	char mac[MAC_TEXT_SIZE];

	AZ(pthread_mutex_lock(&t->lock));
	seat = take_seat(t, subject, now_s);
	buf_printf(&payload, "%" PRIu64 " %zu %" PRIu64 " ", seat->until_s,
		(size_t)(seat - t->seats), seat->number);
	AZ(pthread_mutex_unlock(&t->lock));
	buf_add(&payload, scopes);
	if (buf_check(&payload, err) != 0)
		return -1;
	buf_puts(&text, REGISTRY_TOKEN_PREFIX);
	add_base64(&text, payload.data, payload.len);
	if (buf_check(&text, err) != 0)
		return -1;
	if (!sign(t, buf_slice(&text), mac))
		return error_no_memory(err);
	buf_add(ret, buf_slice(&text));
	buf_putc(ret, '.');
	buf_puts(ret, mac);
	return buf_check(ret, err);
}

/* What is before the MAC, where that is right. */
static enum registry_token take_signed(
	const struct registry_tokens *t, struct slice token, struct slice *ret)
{
	size_t mac_n = MAC_TEXT_SIZE - 1;
	char mac[MAC_TEXT_SIZE];

	if (token.n < mac_n + 1 || token.p[token.n - mac_n - 1] != '.')
		return REGISTRY_TOKEN_BAD;
	*ret = (struct slice){token.p, token.n - mac_n - 1};
	if (!slice_starts(*ret, SLICE(REGISTRY_TOKEN_PREFIX)))
		return REGISTRY_TOKEN_BAD;
	if (!sign(t, *ret, mac))
		return REGISTRY_TOKEN_NO_MEMORY;
	return CRYPTO_memcmp(mac, token.p + ret->n + 1, mac_n) == 0 ? REGISTRY_TOKEN_OK
								    : REGISTRY_TOKEN_BAD;
}

/* It was written here, so it is as we write it. */
static struct slice decode_payload(struct slice text, char *ret, size_t size)
{
	size_t prefix_n = strlen(REGISTRY_TOKEN_PREFIX), n;
	int result = sodium_base642bin((unsigned char *)ret, size, text.p + prefix_n,
		text.n - prefix_n, NULL, &n, NULL, URLSAFE);

	AZ(result);
	return (struct slice){ret, n};
}

static uint64_t take_number(struct slice *payload)
{
	uint64_t value;
	bool is_number = slice_to_u64(slice_cut(payload, ' '), &value);

	ASSERT(is_number);
	return value;
}

enum registry_token registry_token_check(struct registry_tokens *t, struct slice token,
	uint64_t now_s, struct subject **ret_subject, char **ret_scopes)
{
	CLEANUP(subject_unrefp) struct subject *subject = NULL;
	AUTO_FREE char *bytes = NULL;
	char *scopes;
	struct slice text, payload;
	uint64_t until_s, seat;
	enum registry_token result;

	result = take_signed(t, token, &text);
	if (result != REGISTRY_TOKEN_OK)
		return result;
	bytes = malloc(text.n);
	if (bytes == NULL)
		return REGISTRY_TOKEN_NO_MEMORY;
	payload = decode_payload(text, bytes, text.n);
	until_s = take_number(&payload);
	seat = take_number(&payload);
	subject = find_subject(t, seat, take_number(&payload));
	if (until_s <= now_s || subject == NULL)
		return REGISTRY_TOKEN_EXPIRED;
	scopes = slice_dup(payload);
	if (scopes == NULL)
		return REGISTRY_TOKEN_NO_MEMORY;
	*ret_subject = TAKE_PTR(subject);
	*ret_scopes = scopes;
	return REGISTRY_TOKEN_OK;
}
