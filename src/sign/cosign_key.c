/* SPDX-License-Identifier: Apache-2.0 */
#include "sign/cosign_key.h"

#include "oci/json_read.h"

#include <openssl/core_names.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

/* The same for every key that cosign has written or reads; only N has grown: 2^15, 2^16, 2^17. */
#define SCRYPT_R 8
#define SCRYPT_P 1
#define SCRYPT_N_MIN (UINT64_C(1) << 15)
#define SCRYPT_N_MAX (UINT64_C(1) << 17)

DEFINE_CLEANUP(EVP_KDF, EVP_KDF_free);
DEFINE_CLEANUP(EVP_KDF_CTX, EVP_KDF_CTX_free);

/* ---- parsing ---- */

static int check_name(const json_t *object, const char *what, const char *name, struct error *err)
{
	const char *given = json_string_value(json_object_get(object, "name"));

	if (given != NULL && strcmp(given, name) == 0)
		return 0;
	return error_set(err, ERROR_INVALID, "the key's %s must be %s", what, name);
}

/* As cosign, takes no numbers but those it writes: a bad file shall not cost memory or time. */
static int read_cost(uint64_t *ret, const json_t *params, struct error *err)
{
	json_int_t n = json_integer_value(json_object_get(params, "N"));
	json_int_t r = json_integer_value(json_object_get(params, "r"));
	json_int_t p = json_integer_value(json_object_get(params, "p"));

	if (r != SCRYPT_R || p != SCRYPT_P || n < (json_int_t)SCRYPT_N_MIN ||
		n > (json_int_t)SCRYPT_N_MAX || (n & (n - 1)) != 0)
		return error_set(err, ERROR_INVALID,
			"the key's scrypt parameters are none that cosign uses: N 32768, 65536 or "
			"131072, r 8, p 1");
	*ret = (uint64_t)n;
	return 0;
}

static int read_base64(unsigned char *ret, size_t max, size_t *ret_n, const json_t *object,
	const char *member, struct error *err)
{
	const json_t *text = json_object_get(object, member);

	if (!json_is_string(text) ||
		sodium_base642bin(ret, max, json_string_value(text), json_string_length(text), NULL,
			ret_n, NULL, sodium_base64_VARIANT_ORIGINAL) != 0)
		return error_set(err, ERROR_INVALID,
			"the key's %s must be base64 of at most %zu bytes", member, max);
	return 0;
}

static int read_base64_all(
	unsigned char *ret, size_t n, const json_t *object, const char *member, struct error *err)
{
	size_t got = 0;

	if (read_base64(ret, n, &got, object, member, err) != 0)
		return -1;
	if (got != n)
		return error_set(err, ERROR_INVALID, "the key's %s has %zu bytes instead of %zu",
			member, got, n);
	return 0;
}

int cosign_key_parse(struct cosign_key *ret, struct slice json, struct error *err)
{
	CLEANUP(json_decrefp) json_t *root = NULL;
	const json_t *kdf, *cipher;
	struct cosign_key key = {.n_ciphertext = 0};

	if (json_read_object(&root, json, err) != 0)
		return error_wrap(err, "the encrypted key");
	kdf = json_object_get(root, "kdf");
	cipher = json_object_get(root, "cipher");
	if (check_name(kdf, "kdf", "scrypt", err) != 0 ||
		check_name(cipher, "cipher", "nacl/secretbox", err) != 0 ||
		read_cost(&key.cost, json_object_get(kdf, "params"), err) != 0 ||
		read_base64_all(key.salt, sizeof(key.salt), kdf, "salt", err) != 0 ||
		read_base64_all(key.nonce, sizeof(key.nonce), cipher, "nonce", err) != 0 ||
		read_base64(key.ciphertext, sizeof(key.ciphertext), &key.n_ciphertext, root,
			"ciphertext", err) != 0)
		return -1;
	if (key.n_ciphertext <= crypto_secretbox_MACBYTES)
		return error_set(err, ERROR_INVALID, "the key's ciphertext is cut off");
	*ret = key;
	return 0;
}

/* ---- decrypting ---- */

static int derive(const struct cosign_key *key, struct slice password,
	unsigned char ret[crypto_secretbox_KEYBYTES], struct error *err)
{
	CLEANUP(EVP_KDF_freep) EVP_KDF *kdf = EVP_KDF_fetch(NULL, "SCRYPT", NULL);
	CLEANUP(EVP_KDF_CTX_freep) EVP_KDF_CTX *ctx = kdf == NULL ? NULL : EVP_KDF_CTX_new(kdf);
	uint64_t n = key->cost, memory_max = 2 * 128 * SCRYPT_N_MAX * SCRYPT_R;
	uint32_t r = SCRYPT_R, p = SCRYPT_P;
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_octet_string(
			OSSL_KDF_PARAM_PASSWORD, (void *)password.p, password.n),
		OSSL_PARAM_construct_octet_string(
			OSSL_KDF_PARAM_SALT, (void *)key->salt, sizeof(key->salt)),
		OSSL_PARAM_construct_uint64(OSSL_KDF_PARAM_SCRYPT_N, &n),
		OSSL_PARAM_construct_uint32(OSSL_KDF_PARAM_SCRYPT_R, &r),
		OSSL_PARAM_construct_uint32(OSSL_KDF_PARAM_SCRYPT_P, &p),
		OSSL_PARAM_construct_uint64(OSSL_KDF_PARAM_SCRYPT_MAXMEM, &memory_max),
		OSSL_PARAM_construct_end(),
	};

	if (ctx == NULL || EVP_KDF_derive(ctx, ret, crypto_secretbox_KEYBYTES, params) != 1)
		return openssl_failed(
			err, ERROR_INTERNAL, "OpenSSL cannot compute scrypt, which the key needs");
	return 0;
}

int cosign_key_decrypt(
	const struct cosign_key *key, struct slice password, struct secret *ret, struct error *err)
{
	CLEANUP(secret_done) struct secret box_key = {NULL, 0};
	CLEANUP(secret_done) struct secret opened = {NULL, 0};

	if (sodium_init() < 0)
		return error_set(err, ERROR_INTERNAL, "libsodium cannot be set up");
	if (secret_init(&box_key, crypto_secretbox_KEYBYTES, err) != 0 ||
		secret_init(&opened, key->n_ciphertext - crypto_secretbox_MACBYTES, err) != 0 ||
		derive(key, password, box_key.p, err) != 0)
		return -1;
	if (crypto_secretbox_open_easy(
		    opened.p, key->ciphertext, key->n_ciphertext, key->nonce, box_key.p) != 0)
		return error_set(err, ERROR_INVALID,
			"the password is not that of the key, or the key is damaged");
	*ret = opened;
	opened.p = NULL;
	return 0;
}
