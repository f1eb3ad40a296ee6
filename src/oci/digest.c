/* SPDX-License-Identifier: Apache-2.0 */
#include "oci/digest.h"

#include <openssl/evp.h>
#include <pthread.h>

static const struct {
	struct slice name;
	const char *evp_name;
	size_t size;
} algorithms[] = {
	[DIGEST_SHA256] = {{"sha256", 6}, "SHA2-256", 32},
	[DIGEST_SHA512] = {{"sha512", 6}, "SHA2-512", 64},
};

/* What digest_setup() fetches. The spare context lets digest_of() work when memory is gone: an
 * algorithm's context that is started again needs no allocation. */
static struct {
	EVP_MD *md;
	EVP_MD_CTX *spare;
	pthread_mutex_t spare_lock;
} fetched[ARRAY_SIZE(algorithms)] = {
	[DIGEST_SHA256] = {.spare_lock = PTHREAD_MUTEX_INITIALIZER},
	[DIGEST_SHA512] = {.spare_lock = PTHREAD_MUTEX_INITIALIZER},
};

/* Nor does it take the time of one, which is twice that of hashing a token: so each thread keeps a
 * context for SHA-256, until it ends. */
static pthread_key_t own_key;
static _Thread_local EVP_MD_CTX *own;

static void free_own(void *ctx)
{
	EVP_MD_CTX_free(ctx);
}

static EVP_MD_CTX *own_context(void)
{
	if (own == NULL) {
		own = EVP_MD_CTX_new();
		if (own != NULL)
			pthread_setspecific(own_key, own);
	}
	return own;
}

void digest_setup(void)
{
	static bool has_key;

	if (!has_key)
		AZ(pthread_key_create(&own_key, free_own));
	has_key = true;
	for (size_t i = DIGEST_SHA256; i < ARRAY_SIZE(algorithms); i++) {
		if (fetched[i].md != NULL)
			continue;
		fetched[i].md = EVP_MD_fetch(NULL, algorithms[i].evp_name, NULL);
		AN(fetched[i].md);
		fetched[i].spare = EVP_MD_CTX_new();
		AN(fetched[i].spare);
		AN(EVP_DigestInit_ex2(fetched[i].spare, fetched[i].md, NULL));
	}
}

size_t digest_size(enum digest_algorithm algorithm)
{
	ASSERT(algorithm > DIGEST_NONE && algorithm < ARRAY_SIZE(algorithms));
	return algorithms[algorithm].size;
}

const char *digest_algorithm_name(enum digest_algorithm algorithm)
{
	return algorithms[algorithm].name.p;
}

/* ---- text ---- */

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

static enum digest_algorithm find_algorithm(struct slice name)
{
	for (size_t i = DIGEST_SHA256; i < ARRAY_SIZE(algorithms); i++) {
		if (slice_eq(name, algorithms[i].name))
			return (enum digest_algorithm)i;
	}
	return DIGEST_NONE;
}

int digest_parse(struct digest *ret, struct slice text, struct error *err)
{
	struct digest d = {.algorithm = DIGEST_NONE};
	struct slice hex = text, name = slice_cut(&hex, ':');
	size_t size;

	if (hex.p == NULL)
		return error_set(err, ERROR_INVALID,
			"not a digest; write sha256: and 64 lower-case hex digits");
	d.algorithm = find_algorithm(name);
	if (d.algorithm == DIGEST_NONE)
		return error_set(err, ERROR_INVALID,
			"the digest's algorithm is not supported; use sha256 or sha512");
	size = digest_size(d.algorithm);
	if (hex.n != 2 * size)
		return error_set(err, ERROR_INVALID,
			"a %.*s digest has %zu lower-case hex digits, this one has %zu",
			SLICE_ARG(name), 2 * size, hex.n);
	for (size_t i = 0; i < size; i++) {
		int high = hex_value(hex.p[2 * i]), low = hex_value(hex.p[2 * i + 1]);

		if (high < 0 || low < 0)
			return error_set(err, ERROR_INVALID,
				"a digest's hex digits are 0-9 and lower-case a-f only");
		d.bytes[i] = (unsigned char)(high << 4 | low);
	}
	*ret = d;
	return 0;
}

const char *digest_format(const struct digest *d, char ret[DIGEST_TEXT_SIZE])
{
	static const char digits[] = "0123456789abcdef";
	size_t size = digest_size(d->algorithm);
	struct slice name = algorithms[d->algorithm].name;
	char *p = ret;

	memcpy(p, name.p, name.n);
	p += name.n;
	*p++ = ':';
	for (size_t i = 0; i < size; i++) {
		*p++ = digits[d->bytes[i] >> 4];
		*p++ = digits[d->bytes[i] & 15];
	}
	*p = '\0';
	return ret;
}

bool digest_eq(const struct digest *a, const struct digest *b)
{
	return a->algorithm == b->algorithm && memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

/* ---- hashing: with a started context OpenSSL's SHA-2 cannot fail ---- */

static void update(EVP_MD_CTX *ctx, struct slice bytes)
{
	if (bytes.n > 0)
		AN(EVP_DigestUpdate(ctx, bytes.p, bytes.n));
}

static struct digest finish(EVP_MD_CTX *ctx, enum digest_algorithm algorithm)
{
	struct digest d = {.algorithm = algorithm};
	unsigned size = 0;

	AN(EVP_DigestFinal_ex(ctx, d.bytes, &size));
	ASSERT(size == digest_size(algorithm));
	return d;
}

static EVP_MD_CTX *start(enum digest_algorithm algorithm)
{
	EVP_MD_CTX *ctx;

	ASSERT(algorithm > DIGEST_NONE && algorithm < ARRAY_SIZE(algorithms));
	AN(fetched[algorithm].md);
	ctx = EVP_MD_CTX_new();
	if (ctx != NULL && EVP_DigestInit_ex2(ctx, fetched[algorithm].md, NULL) != 1) {
		EVP_MD_CTX_free(ctx);
		return NULL;
	}
	return ctx;
}

static struct digest digest_with_spare(enum digest_algorithm algorithm, struct slice bytes)
{
	EVP_MD_CTX *ctx = fetched[algorithm].spare;
	struct digest d;

	AZ(pthread_mutex_lock(&fetched[algorithm].spare_lock));
	AN(EVP_DigestInit_ex2(ctx, fetched[algorithm].md, NULL));
	update(ctx, bytes);
	d = finish(ctx, algorithm);
	AZ(pthread_mutex_unlock(&fetched[algorithm].spare_lock));
	return d;
}

struct digest digest_of_as(enum digest_algorithm algorithm, struct slice bytes)
{
	EVP_MD_CTX *ctx = start(algorithm);
	struct digest d;

	if (ctx == NULL)
		return digest_with_spare(algorithm, bytes);
	update(ctx, bytes);
	d = finish(ctx, algorithm);
	EVP_MD_CTX_free(ctx);
	return d;
}

struct digest digest_of(struct slice bytes)
{
	EVP_MD_CTX *ctx = own_context();

	AN(fetched[DIGEST_SHA256].md);
	if (ctx == NULL || EVP_DigestInit_ex2(ctx, fetched[DIGEST_SHA256].md, NULL) != 1)
		return digest_with_spare(DIGEST_SHA256, bytes);
	update(ctx, bytes);
	return finish(ctx, DIGEST_SHA256);
}

int hasher_init(struct hasher *h, enum digest_algorithm algorithm, struct error *err)
{
	EVP_MD_CTX *ctx = start(algorithm);

	if (ctx == NULL)
		return error_no_memory(err);
	*h = (struct hasher){.algorithm = algorithm, .ctx = ctx};
	return 0;
}

void hasher_update(struct hasher *h, struct slice bytes)
{
	update(h->ctx, bytes);
}

struct digest hasher_finish(struct hasher *h)
{
	return finish(h->ctx, h->algorithm);
}

void hasher_done(struct hasher *h)
{
	EVP_MD_CTX_free(TAKE_PTR(h->ctx));
}
