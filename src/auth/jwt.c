/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/jwt.h"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <sodium.h>
#include <strings.h>

#include "base/limits.h"
#include "oci/json_read.h"

#define RSA_BITS_MIN 2048
#define RSA_BITS_MAX 16384
#define P256_LEN 32 /* a coordinate, and each half of a signature */
#define ED25519_LEN 32
#define TIME_MAX INT64_C(253402300799) /* the last second of the year 9999 */
#define QUOTED 100                     /* bytes of what a token says, in an error */

enum algorithm { RS256, ES256, EDDSA, ALGORITHMS_ };

/* "EdDSA" with an Ed25519 key is "Ed25519" since RFC 9864. */
static const char *const names[ALGORITHMS_][2] = {
	[RS256] = {"RS256"},
	[ES256] = {"ES256"},
	[EDDSA] = {"EdDSA", "Ed25519"},
};

struct key {
	enum algorithm algorithm;
	char *kid; /* NULL: none */
	EVP_PKEY *public;
};

struct jwks {
	size_t n;
	struct key keys[];
};

static bool has_name(enum algorithm algorithm, const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(names[algorithm]); i++)
		if (names[algorithm][i] != NULL && strcmp(names[algorithm][i], name) == 0)
			return true;
	return false;
}

/* ---- base64url (RFC 4648 section 5) ---- */

/* Without padding and white space, and with no other text for the same bytes (RFC 7515 section 2).
 */
static bool decode(struct slice text, unsigned char *ret, size_t size, size_t *ret_len)
{
	return sodium_base642bin(ret, size, text.p, text.n, NULL, ret_len, NULL,
		       sodium_base64_VARIANT_URLSAFE_NO_PADDING) == 0;
}

static bool decode_exactly(const char *text, unsigned char *ret, size_t size)
{
	size_t len;

	return text != NULL && decode(slice_of(text), ret, size, &len) && len == size;
}

/* ---- keys ---- */

static const char *string_of(const json_t *object, const char *name)
{
	return json_string_value(json_object_get(object, name));
}

static EVP_PKEY *key_from_params(const char *type, OSSL_PARAM *params)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
	EVP_PKEY *key = NULL;

	if (ctx != NULL && EVP_PKEY_fromdata_init(ctx) > 0 &&
		EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, params) <= 0)
		key = NULL;
	EVP_PKEY_CTX_free(ctx);
	return key;
}

static BIGNUM *decode_number(const char *text)
{
	unsigned char bytes[RSA_BITS_MAX / 8 + 1]; /* some write a zero in front */
	size_t len;

	if (text == NULL || !decode(slice_of(text), bytes, sizeof(bytes), &len))
		return NULL;
	return BN_bin2bn(bytes, (int)len, NULL);
}

/* An exponent of 1 would make each text its own signature. */
static bool are_rsa_numbers(const BIGNUM *n, const BIGNUM *e)
{
	return n != NULL && e != NULL && BN_num_bits(n) >= RSA_BITS_MIN &&
	       BN_num_bits(n) <= RSA_BITS_MAX && BN_is_odd(n) && BN_is_odd(e) && !BN_is_one(e) &&
	       BN_num_bits(e) <= 32;
}

static EVP_PKEY *read_rsa(const json_t *jwk)
{
	BIGNUM *n = decode_number(string_of(jwk, "n")), *e = decode_number(string_of(jwk, "e"));
	OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
	OSSL_PARAM *params = NULL;
	EVP_PKEY *key = NULL;

	if (build != NULL && are_rsa_numbers(n, e) &&
		OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N, n) &&
		OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_E, e))
		params = OSSL_PARAM_BLD_to_param(build);
	if (params != NULL)
		key = key_from_params("RSA", params);
	OSSL_PARAM_free(params);
	OSSL_PARAM_BLD_free(build);
	BN_free(n);
	BN_free(e);
	return key;
}

/* OpenSSL refuses a point that is not on the curve. */
static EVP_PKEY *read_p256(const json_t *jwk)
{
	unsigned char point[1 + 2 * P256_LEN] = {POINT_CONVERSION_UNCOMPRESSED};
	char group[] = "P-256";
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, group, 0),
		OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, point, sizeof(point)),
		OSSL_PARAM_construct_end(),
	};

	if (!decode_exactly(string_of(jwk, "x"), point + 1, P256_LEN) ||
		!decode_exactly(string_of(jwk, "y"), point + 1 + P256_LEN, P256_LEN))
		return NULL;
	return key_from_params("EC", params);
}

static EVP_PKEY *read_ed25519(const json_t *jwk)
{
	unsigned char x[ED25519_LEN];

	if (!decode_exactly(string_of(jwk, "x"), x, sizeof(x)))
		return NULL;
	return EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, x, sizeof(x));
}

static const struct key_type {
	const char *kty, *crv; /* NULL: has none */
	EVP_PKEY *(*read)(const json_t *jwk);
	const char *expected;
} key_types[ALGORITHMS_] = {
	[RS256] = {"RSA", NULL, read_rsa,
		"n and e as base64url, 2,048 to 16,384 bits and an odd exponent above 1"},
	[ES256] = {"EC", "P-256", read_p256, "x and y, 32 bytes each, of a point on the curve"},
	[EDDSA] = {"OKP", "Ed25519", read_ed25519, "x, 32 bytes"},
};

static int find_type(const json_t *jwk, enum algorithm *ret, struct error *err)
{
	const char *kty = string_of(jwk, "kty"), *crv = string_of(jwk, "crv");

	for (enum algorithm a = 0; kty != NULL && a < ALGORITHMS_; a++) {
		const struct key_type *type = &key_types[a];

		if (strcmp(type->kty, kty) == 0 &&
			(type->crv == NULL || (crv != NULL && strcmp(type->crv, crv) == 0))) {
			*ret = a;
			return 0;
		}
	}
	return error_set(
		err, ERROR_INVALID, "its type is none of RSA, EC with P-256 and OKP with Ed25519");
}

/* RFC 7517 section 4.3 */
static bool may_verify(const json_t *key_ops)
{
	const json_t *op;
	size_t i;

	if (key_ops == NULL)
		return true;
	json_array_foreach(
		key_ops, i, op) if (json_is_string(op) &&
				    strcmp(json_string_value(op), "verify") == 0) return true;
	return false;
}

static bool is_absent_or(const json_t *jwk, const char *name, const char *value)
{
	const json_t *found = json_object_get(jwk, name);

	return found == NULL ||
	       (json_is_string(found) && strcmp(json_string_value(found), value) == 0);
}

static int check_use(const json_t *jwk, enum algorithm algorithm, struct error *err)
{
	const json_t *alg = json_object_get(jwk, "alg"), *kid = json_object_get(jwk, "kid");

	if (!is_absent_or(jwk, "use", "sig") || !may_verify(json_object_get(jwk, "key_ops")))
		return error_set(err, ERROR_INVALID, "it is not for signatures");
	if (alg != NULL && (!json_is_string(alg) || !has_name(algorithm, json_string_value(alg))))
		return error_set(err, ERROR_INVALID, "its \"alg\" is not %s", names[algorithm][0]);
	if (kid != NULL && !json_is_string(kid))
		return error_set(err, ERROR_INVALID, "its \"kid\" is not a string");
	if (json_object_get(jwk, "d") != NULL)
		return error_set(err, ERROR_INVALID, "its private part is published");
	return 0;
}

/* ERROR_INVALID: it is of no use here. */
static int read_key(struct key *ret, const json_t *jwk, struct error *err)
{
	const char *kid = string_of(jwk, "kid");
	struct key key = {.kid = NULL};

	if (find_type(jwk, &key.algorithm, err) != 0 || check_use(jwk, key.algorithm, err) != 0)
		return -1;
	key.public = key_types[key.algorithm].read(jwk);
	if (key.public == NULL) {
		ERR_clear_error();
		return error_set(err, ERROR_INVALID, "%s keys have %s",
			key_types[key.algorithm].kty, key_types[key.algorithm].expected);
	}
	if (kid != NULL && (key.kid = strdup(kid)) == NULL) {
		EVP_PKEY_free(key.public);
		return error_no_memory(err);
	}
	*ret = key;
	return 0;
}

static int read_keys(struct jwks *set, const json_t *list, struct error *err)
{
	struct error why = ERROR_INIT;
	const json_t *jwk;
	size_t i;

	json_array_foreach(list, i, jwk)
	{
		if (read_key(&set->keys[set->n], jwk, &why) == 0)
			set->n++;
		else if (why.code == ERROR_NO_MEMORY)
			return error_no_memory(err);
	}
	if (set->n == 0)
		return error_set(err, ERROR_INVALID,
			"none of the %zu keys can be used, the last because %s", i, why.text);
	return 0;
}

int jwks_parse(struct jwks **ret, struct slice json, struct error *err)
{
	CLEANUP(json_decrefp) json_t *root = NULL;
	CLEANUP(jwks_freep) struct jwks *set = NULL;
	const json_t *list;
	size_t n;

	if (json_read_object(&root, json, err) != 0)
		return -1;
	list = json_object_get(root, "keys");
	n = json_array_size(list);
	if (n == 0)
		return error_set(err, ERROR_INVALID, "\"keys\" is not a list with keys in it");
	if (n > LIMIT_JWKS_KEYS)
		return error_set(err, ERROR_INVALID, "there are %zu keys; at most %d are read", n,
			LIMIT_JWKS_KEYS);
	set = calloc(1, sizeof(*set) + n * sizeof(set->keys[0]));
	if (set == NULL)
		return error_no_memory(err);
	if (read_keys(set, list, err) != 0)
		return -1;
	*ret = TAKE_PTR(set);
	return 0;
}

void jwks_free(struct jwks *keys)
{
	if (keys == NULL)
		return;
	for (size_t i = 0; i < keys->n; i++) {
		free(keys->keys[i].kid);
		EVP_PKEY_free(keys->keys[i].public);
	}
	free(keys);
}

size_t jwks_count(const struct jwks *keys)
{
	return keys->n;
}

/* ---- a token, taken apart ---- */

static int refuse(struct error *err, const char *what)
{
	return error_set(err, ERROR_UNAUTHORIZED, "%s", what);
}

static int decode_part(unsigned char **ret, size_t *ret_len, struct slice part, const char *name,
	struct error *err)
{
	AUTO_FREE unsigned char *bytes = malloc(part.n + 1);
	size_t len;

	if (bytes == NULL)
		return error_no_memory(err);
	if (part.n == 0 || !decode(part, bytes, part.n, &len))
		return error_set(err, ERROR_UNAUTHORIZED,
			"the token is no JWT: its %s is not base64url without padding", name);
	*ret = TAKE_PTR(bytes);
	*ret_len = len;
	return 0;
}

static int read_part(json_t **ret, struct slice part, const char *name, struct error *err)
{
	AUTO_FREE unsigned char *bytes = NULL;
	struct error why = ERROR_INIT;
	size_t len = 0;

	if (decode_part(&bytes, &len, part, name, err) != 0)
		return -1;
	if (json_read_object(ret, (struct slice){(const char *)bytes, len}, &why) == 0)
		return 0;
	if (why.code == ERROR_NO_MEMORY)
		return error_no_memory(err);
	return error_set(
		err, ERROR_UNAUTHORIZED, "the token is no JWT: its %s is %s", name, why.text);
}

static bool is_known_type(const char *typ)
{
	if (strncasecmp(typ, "application/", strlen("application/")) == 0)
		typ += strlen("application/");
	return strcasecmp(typ, "JWT") == 0 || strcasecmp(typ, "at+jwt") == 0;
}

static int check_header(struct jwt *t, struct error *err)
{
	const json_t *kid = json_object_get(t->header, "kid"),
		     *typ = json_object_get(t->header, "typ");

	if (json_object_get(t->header, "crit") != NULL)
		return refuse(err, "the token has \"crit\", of which nothing is understood here");
	if (typ != NULL && (!json_is_string(typ) || !is_known_type(json_string_value(typ))))
		return refuse(err, "the token's \"typ\" is neither JWT nor at+jwt");
	if (kid != NULL && !json_is_string(kid))
		return refuse(err, "the token's \"kid\" is not a string");
	t->kid = json_string_value(kid);
	return 0;
}

int jwt_parse(struct jwt *ret, struct slice token, struct error *err)
{
	CLEANUP(jwt_done) struct jwt t = {.header = NULL};
	struct slice rest = token, header, claims;

	if (token.n > LIMIT_CREDENTIAL)
		return error_set(err, ERROR_UNAUTHORIZED, "the token is longer than %zu bytes",
			LIMIT_CREDENTIAL);
	header = slice_cut(&rest, '.');
	claims = slice_cut(&rest, '.');
	if (rest.p == NULL || memchr(rest.p, '.', rest.n) != NULL)
		return refuse(err, "the token is no JWT: that has three parts with dots between");
	t.signed_part = (struct slice){token.p, header.n + 1 + claims.n};
	if (read_part(&t.header, header, "header", err) != 0 || check_header(&t, err) != 0 ||
		read_part(&t.claims, claims, "payload", err) != 0 ||
		decode_part(&t.signature, &t.signature_len, rest, "signature", err) != 0)
		return -1;
	*ret = t;
	t = (struct jwt){.header = NULL};
	return 0;
}

bool jwt_is_of(struct slice token, const char *issuer)
{
	CLEANUP(json_decrefp) json_t *claims = NULL;
	struct slice rest = token, payload;
	struct error ignored = ERROR_INIT;
	const char *iss;

	slice_cut(&rest, '.');
	payload = slice_cut(&rest, '.');
	if (rest.p == NULL || token.n > LIMIT_CREDENTIAL ||
		read_part(&claims, payload, "payload", &ignored) != 0)
		return false;
	iss = string_of(claims, "iss");
	return iss != NULL && strcmp(iss, issuer) == 0;
}

void jwt_done(struct jwt *t)
{
	json_decref(t->header);
	json_decref(t->claims);
	free(t->signature);
	*t = (struct jwt){.header = NULL};
}

/* ---- its signature ---- */

static bool verify_bytes(EVP_MD_CTX *ctx, const struct key *key, const struct jwt *t,
	const unsigned char *signature, size_t len)
{
	const EVP_MD *hash = key->algorithm == EDDSA ? NULL : EVP_sha256();

	return EVP_DigestVerifyInit(ctx, NULL, hash, NULL, key->public) == 1 &&
	       EVP_DigestVerify(ctx, signature, len, (const unsigned char *)t->signed_part.p,
		       t->signed_part.n) == 1;
}

/* RFC 7518 section 3.4: r and s, where OpenSSL wants them in DER. It refuses those that are zero or
 * not below the order. */
static bool verify_es256(EVP_MD_CTX *ctx, const struct key *key, const struct jwt *t)
{
	BIGNUM *r = BN_bin2bn(t->signature, P256_LEN, NULL),
	       *s = BN_bin2bn(t->signature + P256_LEN, P256_LEN, NULL);
	ECDSA_SIG *pair = ECDSA_SIG_new();
	unsigned char *der = NULL;
	int len;
	bool holds;

	if (r == NULL || s == NULL || pair == NULL) {
		BN_free(r);
		BN_free(s);
		ECDSA_SIG_free(pair);
		return false;
	}
	AN(ECDSA_SIG_set0(pair, r, s));
	len = i2d_ECDSA_SIG(pair, &der);
	holds = len > 0 && verify_bytes(ctx, key, t, der, (size_t)len);
	OPENSSL_free(der);
	ECDSA_SIG_free(pair);
	return holds;
}

static bool verify_with(EVP_MD_CTX *ctx, const struct key *key, const struct jwt *t)
{
	bool holds;

	EVP_MD_CTX_reset(ctx);
	if (key->algorithm == ES256)
		holds = t->signature_len == 2 * P256_LEN && verify_es256(ctx, key, t);
	else
		holds = t->signature_len == (size_t)EVP_PKEY_get_size(key->public) &&
			verify_bytes(ctx, key, t, t->signature, t->signature_len);
	ERR_clear_error();
	return holds;
}

static int read_algorithm(const struct jwt *t, enum algorithm *ret, struct error *err)
{
	const char *alg = string_of(t->header, "alg");

	for (enum algorithm a = 0; alg != NULL && a < ALGORITHMS_; a++) {
		if (has_name(a, alg)) {
			*ret = a;
			return 0;
		}
	}
	return refuse(err, "the token's \"alg\" is none of RS256, ES256 and EdDSA");
}

static bool is_named(const struct jwt *t, const struct key *key)
{
	return t->kid == NULL || (key->kid != NULL && strcmp(t->kid, key->kid) == 0);
}

int jwt_verify(const struct jwt *t, const struct jwks *keys, struct error *err)
{
	enum algorithm algorithm = RS256;
	bool known = false, tried = false, holds = false;
	EVP_MD_CTX *ctx;

	if (read_algorithm(t, &algorithm, err) != 0)
		return -1;
	ctx = EVP_MD_CTX_new();
	if (ctx == NULL)
		return error_no_memory(err);
	for (size_t i = 0; i < keys->n && !holds; i++) {
		const struct key *key = &keys->keys[i];

		if (!is_named(t, key))
			continue;
		known = true;
		if (key->algorithm != algorithm)
			continue;
		tried = true;
		holds = verify_with(ctx, key, t);
	}
	EVP_MD_CTX_free(ctx);
	if (holds)
		return 0;
	if (!known || t->kid == NULL)
		return 1;
	return refuse(err, tried ? "the token's signature is wrong"
				 : "the token's \"alg\" is not that of the key it names");
}

/* ---- its claims ---- */

/* NumericDate (RFC 7519 section 2): a number, which may have a fraction. */
static int read_time(
	const struct jwt *t, const char *name, bool *ret_found, uint64_t *ret_s, struct error *err)
{
	const json_t *found = json_object_get(t->claims, name);
	double value = json_number_value(found);

	*ret_found = found != NULL;
	if (found == NULL)
		return 0;
	if (!json_is_number(found) || !(value >= 0 && value <= (double)TIME_MAX))
		return error_set(err, ERROR_UNAUTHORIZED,
			"the token's \"%s\" is not a number of seconds since 1970", name);
	*ret_s = (uint64_t)value;
	return 0;
}

static int check_expiry(
	const struct jwt *t, uint64_t now_s, uint64_t *ret_until_s, struct error *err)
{
	uint64_t exp_s = 0;
	bool found;

	if (read_time(t, "exp", &found, &exp_s, err) != 0)
		return -1;
	if (!found)
		return refuse(err, "the token has no \"exp\", so it would never expire");
	if (now_s >= exp_s + LIMIT_CLOCK_SKEW_S)
		return error_set(err, ERROR_UNAUTHORIZED,
			"the token has expired; ask the issuer for a new one");
	*ret_until_s = exp_s + LIMIT_CLOCK_SKEW_S;
	return 0;
}

static int check_begun(
	const struct jwt *t, const char *name, uint64_t now_s, const char *what, struct error *err)
{
	uint64_t from_s = 0;
	bool found;

	if (read_time(t, name, &found, &from_s, err) != 0)
		return -1;
	if (found && from_s > now_s + LIMIT_CLOCK_SKEW_S)
		return error_set(err, ERROR_UNAUTHORIZED,
			"the token %s; compare the issuer's clock with this server's", what);
	return 0;
}

static int check_issuer(const struct jwt *t, const char *issuer, struct error *err)
{
	const char *iss = string_of(t->claims, "iss");

	if (iss == NULL)
		return refuse(err, "the token names no issuer (\"iss\")");
	if (strcmp(iss, issuer) != 0)
		return error_set(err, ERROR_UNAUTHORIZED,
			"the token is of another issuer (\"iss\"): %.*s", QUOTED, iss);
	return 0;
}

static bool is_string(const json_t *value, const char *text)
{
	return json_is_string(value) && strcmp(json_string_value(value), text) == 0;
}

/* A string or a list of strings (RFC 7519 section 4.1.3). */
static int check_audience(const struct jwt *t, const char *audience, struct error *err)
{
	const json_t *aud = json_object_get(t->claims, "aud"), *one;
	bool is_for_us = is_string(aud, audience);
	size_t i;

	json_array_foreach(aud, i, one)
	{
		if (!json_is_string(one))
			return refuse(err, "the token's \"aud\" is not a list of strings");
		is_for_us = is_for_us || is_string(one, audience);
	}
	if (!is_for_us)
		return error_set(err, ERROR_UNAUTHORIZED,
			"the token is not for this server: \"aud\" must hold %s", audience);
	return 0;
}

int jwt_check_claims(const struct jwt *t, const char *issuer, const char *audience, uint64_t now_s,
	uint64_t *ret_until_s, struct error *err)
{
	uint64_t until_s = 0;

	if (check_issuer(t, issuer, err) != 0 || check_audience(t, audience, err) != 0 ||
		check_expiry(t, now_s, &until_s, err) != 0 ||
		check_begun(t, "nbf", now_s, "is not valid yet", err) != 0 ||
		check_begun(t, "iat", now_s, "is from the future", err) != 0)
		return -1;
	*ret_until_s = until_s;
	return 0;
}
