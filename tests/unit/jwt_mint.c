/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "jwt_mint.h"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <sodium.h>

#include "base/buf.h"

char *base64url(const void *bytes, size_t len)
{
	size_t size = sodium_base64_encoded_len(len, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
	char *text = malloc(size);

	return sodium_bin2base64(text, size, bytes, len, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
}

static bool is(const struct mint *m, const char *alg)
{
	return strcmp(m->alg, alg) == 0;
}

void mint_init(struct mint *m, const char *alg, const char *kid)
{
	*m = (struct mint){.alg = alg, .kid = kid};
	if (is(m, "RS256"))
		m->key = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)2048);
	else if (is(m, "ES256"))
		m->key = EVP_EC_gen("P-256");
	else
		m->key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	assert_non_null(m->key);
}

void mint_done(struct mint *m)
{
	EVP_PKEY_free(m->key);
}

/* ---- keys ---- */

static char *number(const struct mint *m, const char *name, int len)
{
	unsigned char bytes[512];
	BIGNUM *value = NULL;

	assert_int_equal(EVP_PKEY_get_bn_param(m->key, name, &value), 1);
	if (len == 0)
		len = BN_num_bytes(value);
	assert_int_equal(BN_bn2binpad(value, bytes, len), len);
	BN_free(value);
	return base64url(bytes, (size_t)len);
}

static char *members(const struct mint *m)
{
	if (is(m, "RS256")) {
		AUTO_FREE char *n = number(m, OSSL_PKEY_PARAM_RSA_N, 0);
		AUTO_FREE char *e = number(m, OSSL_PKEY_PARAM_RSA_E, 0);

		return str_printf("\"kty\":\"RSA\",\"n\":\"%s\",\"e\":\"%s\"", n, e);
	}
	if (is(m, "ES256")) {
		AUTO_FREE char *x = number(m, OSSL_PKEY_PARAM_EC_PUB_X, 32);
		AUTO_FREE char *y = number(m, OSSL_PKEY_PARAM_EC_PUB_Y, 32);

		return str_printf(
			"\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"%s\",\"y\":\"%s\"", x, y);
	}
	unsigned char raw[32];
	size_t len = sizeof(raw);

	assert_int_equal(EVP_PKEY_get_raw_public_key(m->key, raw, &len), 1);
	AUTO_FREE char *x = base64url(raw, len);
	return str_printf("\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"%s\"", x);
}

char *mint_jwk(const struct mint *m)
{
	AUTO_FREE char *all = members(m);

	if (m->kid == NULL)
		return str_printf("{%s}", all);
	return str_printf("{\"kid\":\"%s\",%s}", m->kid, all);
}

char *mint_jwks(const struct mint *const *mints, size_t n)
{
	struct buf b = BUF_INIT(MIB);

	buf_puts(&b, "{\"keys\":[");
	for (size_t i = 0; i < n; i++) {
		AUTO_FREE char *jwk = mint_jwk(mints[i]);

		buf_printf(&b, "%s%s", i == 0 ? "" : ",", jwk);
	}
	buf_puts(&b, "]}");
	return buf_take(&b);
}

/* ---- tokens ---- */

/* DER to r and s. */
static void split_signature(unsigned char signature[64], const unsigned char *der, size_t len)
{
	ECDSA_SIG *pair = d2i_ECDSA_SIG(NULL, &der, (long)len);

	assert_int_equal(BN_bn2binpad(ECDSA_SIG_get0_r(pair), signature, 32), 32);
	assert_int_equal(BN_bn2binpad(ECDSA_SIG_get0_s(pair), signature + 32, 32), 32);
	ECDSA_SIG_free(pair);
}

static size_t sign(const struct mint *m, const char *text, unsigned char signature[512])
{
	const EVP_MD *hash = is(m, "EdDSA") ? NULL : EVP_sha256();
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	unsigned char made[512];
	size_t len = sizeof(made);

	assert_int_equal(EVP_DigestSignInit(ctx, NULL, hash, NULL, m->key), 1);
	assert_int_equal(
		EVP_DigestSign(ctx, made, &len, (const unsigned char *)text, strlen(text)), 1);
	EVP_MD_CTX_free(ctx);
	if (is(m, "ES256")) {
		split_signature(signature, made, len);
		return 64;
	}
	memcpy(signature, made, len);
	return len;
}

static char *signed_part(const char *header, const char *claims)
{
	AUTO_FREE char *head = base64url(header, strlen(header));
	AUTO_FREE char *body = base64url(claims, strlen(claims));

	return str_printf("%s.%s", head, body);
}

char *mint_with(const char *header, const char *claims, const void *signature, size_t len)
{
	AUTO_FREE char *part = signed_part(header, claims);
	AUTO_FREE char *end = base64url(signature, len);

	return str_printf("%s.%s", part, end);
}

char *mint_token(const struct mint *m, const char *header, const char *claims)
{
	AUTO_FREE char *usual =
		m->kid == NULL ? str_printf("{\"alg\":\"%s\"}", m->alg)
			       : str_printf("{\"alg\":\"%s\",\"kid\":\"%s\"}", m->alg, m->kid);
	AUTO_FREE char *part = signed_part(header == NULL ? usual : header, claims);
	unsigned char signature[512];
	size_t len = sign(m, part, signature);

	return mint_with(header == NULL ? usual : header, claims, signature, len);
}
