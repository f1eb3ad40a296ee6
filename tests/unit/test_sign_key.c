/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <sodium.h>
#include <stdio.h>
#include <unistd.h>

#include "base/file.h"
#include "cosign_fixture.h"
#include "sign/cosign_key.h"
#include "sign/key.h"

static struct error err;

static int setup(void **state UNUSED)
{
	digest_setup();
	return 0;
}

/* ---- PEM made here ---- */

DEFINE_CLEANUP(EVP_PKEY, EVP_PKEY_free);

enum made { PKCS8, PKCS8_ENCRYPTED, SEC1, PUBLIC };

/* Appends the key to *ret. */
static void add_pem(EVP_PKEY *pkey, enum made as, const char *password, struct buf *ret)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *data;
	long n;

	if (as == PUBLIC)
		assert_int_equal(PEM_write_bio_PUBKEY(bio, pkey), 1);
	else if (as == SEC1)
		assert_int_equal(
			PEM_write_bio_PrivateKey_traditional(bio, pkey, NULL, NULL, 0, NULL, NULL),
			1);
	else
		assert_int_equal(PEM_write_bio_PKCS8PrivateKey(bio, pkey,
					 as == PKCS8 ? NULL : EVP_aes_256_cbc(), NULL, 0, NULL,
					 (void *)password),
			1);
	n = BIO_get_mem_data(bio, &data);
	buf_append(ret, data, (size_t)n);
	BIO_free(bio);
}

static int parse(struct sign_key **ret, EVP_PKEY *pkey, enum made as, const char *password,
	struct slice given)
{
	CLEANUP(buf_done) struct buf pem = BUF_INIT(LIMIT_KEY_FILE);

	add_pem(pkey, as, password, &pem);
	return sign_key_parse(ret, buf_slice(&pem), given, &err);
}

/* ---- private keys ---- */

/* They belong together: what one signs, the other verifies. */
static void assert_pair(const struct sign_key *key, const struct sign_keys *keys)
{
	CLEANUP(buf_done) struct buf signature = BUF_INIT(128);

	assert_int_equal(sign_bytes(key, SLICE("text"), &signature, &err), 0);
	assert_int_equal(sign_verify(keys, SLICE("text"), buf_slice(&signature), &err), 0);
}

static void cosigns_key_is_read_with_its_password_under_either_name(void **state UNUSED)
{
	static const char *const names[] = {
		"ENCRYPTED SIGSTORE PRIVATE KEY", "ENCRYPTED COSIGN PRIVATE KEY"};
	CLEANUP(sign_keys_freep) struct sign_keys *keys = NULL;

	assert_int_equal(sign_keys_parse(&keys, SLICE(COSIGN_PUBLIC_KEY), &err), 0);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		CLEANUP(buf_done) struct buf pem = BUF_INIT(LIMIT_KEY_FILE);
		CLEANUP(sign_key_freep) struct sign_key *key = NULL;

		buf_printf(&pem, "-----BEGIN %s-----\n" COSIGN_KEY_BODY "-----END %s-----\n",
			names[i], names[i]);
		assert_int_equal(
			sign_key_parse(&key, buf_slice(&pem), SLICE(COSIGN_PASSWORD), &err), 0);
		assert_pair(key, keys);
	}
}

static void a_wrong_password_is_told_from_none(void **state UNUSED)
{
	struct sign_key *key = NULL;

	assert_int_equal(sign_key_parse(&key, SLICE(COSIGN_KEY), SLICE("hunter3"), &err), -1);
	assert_int_equal(err.code, ERROR_INVALID);
	assert_string_equal(err.text, "the password is not that of the key, or the key is damaged");
	assert_int_equal(sign_key_parse(&key, SLICE(COSIGN_KEY), SLICE_NONE, &err), -1);
	assert_string_equal(err.text, "the key is encrypted; give its password");
	assert_int_equal(sign_key_parse(&key, SLICE(COSIGN_KEY), SLICE(""), &err), -1);
	assert_string_equal(err.text, "the password is not that of the key, or the key is damaged");
	assert_null(key);
}

static void a_cosign_key_that_is_cut_off_is_refused_wherever_it_ends(void **state UNUSED)
{
	for (size_t n = 0; n < sizeof(COSIGN_KEY) - 2; n += 7) {
		struct sign_key *key = NULL;

		assert_int_equal(sign_key_parse(&key, (struct slice){COSIGN_KEY, n},
					 SLICE(COSIGN_PASSWORD), &err),
			-1);
		assert_int_equal(err.code, ERROR_INVALID);
	}
}

static void pkcs8_is_read_plain_and_encrypted(void **state UNUSED)
{
	CLEANUP(EVP_PKEY_freep) EVP_PKEY *pkey = EVP_EC_gen("P-256");
	CLEANUP(sign_key_freep) struct sign_key *plain = NULL;
	CLEANUP(sign_key_freep) struct sign_key *encrypted = NULL;
	struct sign_key *none = NULL;

	assert_int_equal(parse(&plain, pkey, PKCS8, NULL, SLICE_NONE), 0);
	assert_int_equal(parse(&encrypted, pkey, PKCS8_ENCRYPTED, "sesame", SLICE("sesame")), 0);
	assert_pair(plain, sign_key_public(plain));
	assert_pair(encrypted, sign_key_public(plain));

	assert_int_equal(parse(&none, pkey, PKCS8_ENCRYPTED, "sesame", SLICE("Sesame")), -1);
	assert_string_equal(err.text, "the password is not that of the key, or the key is damaged");
	assert_int_equal(parse(&none, pkey, PKCS8_ENCRYPTED, "sesame", SLICE_NONE), -1);
	assert_string_equal(err.text, "the key is encrypted; give its password");
}

/* As openssl ecparam -genkey writes it: EC PARAMETERS before the key. */
static void what_stands_before_the_private_key_is_skipped(void **state UNUSED)
{
	CLEANUP(EVP_PKEY_freep) EVP_PKEY *pkey = EVP_EC_gen("P-256");
	CLEANUP(buf_done) struct buf pem = BUF_INIT(LIMIT_KEY_FILE);
	CLEANUP(sign_key_freep) struct sign_key *key = NULL;

	buf_puts(&pem, "a note\n-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n"
		       "-----END EC PARAMETERS-----\n");
	add_pem(pkey, PUBLIC, NULL, &pem);
	add_pem(pkey, PKCS8, NULL, &pem);
	assert_int_equal(sign_key_parse(&key, buf_slice(&pem), SLICE_NONE, &err), 0);
}

static void keys_that_are_not_of_p256_are_refused_for_what_they_are(void **state UNUSED)
{
	CLEANUP(EVP_PKEY_freep) EVP_PKEY *rsa = EVP_RSA_gen(2048);
	CLEANUP(EVP_PKEY_freep) EVP_PKEY *p384 = EVP_EC_gen("P-384");
	CLEANUP(EVP_PKEY_freep) EVP_PKEY *ed25519 = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	CLEANUP(EVP_PKEY_freep) EVP_PKEY *k256 = EVP_EC_gen("secp256k1");
	CLEANUP(EVP_PKEY_freep) EVP_PKEY *p256 = EVP_EC_gen("P-256");
	const struct {
		EVP_PKEY *pkey;
		enum made as;
		const char *text;
	} cases[] = {
		{rsa, PKCS8, "the key is of another algorithm; make one of ECDSA on P-256"},
		{ed25519, PKCS8, "the key is of another algorithm; make one of ECDSA on P-256"},
		{p384, PKCS8, "the key is of another curve than P-256; make one of P-256"},
		{k256, PKCS8, "the key is of another curve than P-256; make one of P-256"},
		{p256, SEC1,
			"the key is in an older format; convert it with: openssl pkcs8 -topk8"},
		{rsa, SEC1,
			"a PEM block RSA PRIVATE KEY is no key to sign with; make one of ECDSA on "
			"P-256, in PKCS#8 or by cosign"},
		{p256, PUBLIC, "there is no private key; it needs one as PEM"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct sign_key *key = NULL;

		assert_int_equal(parse(&key, cases[i].pkey, cases[i].as, NULL, SLICE_NONE), -1);
		assert_int_equal(err.code, ERROR_INVALID);
		assert_string_equal(err.text, cases[i].text);
	}
}

static int pkcs8_der(EVP_PKEY *pkey, unsigned char **ret)
{
	PKCS8_PRIV_KEY_INFO *info = EVP_PKEY2PKCS8(pkey);
	int n = i2d_PKCS8_PRIV_KEY_INFO(info, ret);

	PKCS8_PRIV_KEY_INFO_free(info);
	return n;
}

/* The public half in the file is another key's: what it signs nobody could verify. */
static void a_key_whose_halves_do_not_belong_together_is_refused(void **state UNUSED)
{
	CLEANUP(EVP_PKEY_freep) EVP_PKEY *one = EVP_EC_gen("P-256");
	CLEANUP(EVP_PKEY_freep) EVP_PKEY *two = EVP_EC_gen("P-256");
	CLEANUP(buf_done) struct buf pem = BUF_INIT(LIMIT_KEY_FILE);
	unsigned char *a = NULL, *b = NULL;
	int n = pkcs8_der(one, &a), m = pkcs8_der(two, &b);
	struct sign_key *key = NULL;
	char base64[512];

	/* The last 65 bytes are the point. */
	assert_int_equal(n, m);
	memcpy(a + n - 65, b + n - 65, 65);
	sodium_bin2base64(base64, sizeof(base64), a, (size_t)n, sodium_base64_VARIANT_ORIGINAL);
	buf_puts(&pem, "-----BEGIN PRIVATE KEY-----\n");
	for (size_t i = 0; i < strlen(base64); i += 64)
		buf_printf(&pem, "%.64s\n", base64 + i);
	buf_puts(&pem, "-----END PRIVATE KEY-----\n");
	OPENSSL_free(a);
	OPENSSL_free(b);
	assert_int_equal(sign_key_parse(&key, buf_slice(&pem), SLICE_NONE, &err), -1);
	assert_string_equal(err.text, "the key is not a valid key of P-256");
}

/* ---- the JSON in cosign's key ---- */

#define SALT "5ulOQpfGUaYT0pky5xSln5zk8DDusjvrnJHMjXwikJc="
#define KDF(name, params, salt) \
	"\"kdf\":{\"name\":\"" name "\",\"params\":{" params "},\"salt\":\"" salt "\"}"
#define PARAMS(n, r, p) "\"N\":" n ",\"r\":" r ",\"p\":" p
#define GOOD_KDF KDF("scrypt", PARAMS("65536", "8", "1"), SALT)
#define CIPHER(name, nonce) "\"cipher\":{\"name\":\"" name "\",\"nonce\":\"" nonce "\"}"
#define GOOD_CIPHER CIPHER("nacl/secretbox", "epgmZJv7gQXEAlaisExygRcovnBW/eNa")
#define TEXT(text) "\"ciphertext\":\"" text "\""
#define GOOD_TEXT TEXT("AAECAwQFBgcICQoLDA0ODxAR")
#define KEY(kdf, cipher, text) "{" kdf "," cipher "," text "}"

static void a_key_with_parameters_of_cosign_is_taken(void **state UNUSED)
{
	static const char *const cases[] = {
		KEY(GOOD_KDF, GOOD_CIPHER, GOOD_TEXT),
		KEY(KDF("scrypt", PARAMS("32768", "8", "1"), SALT), GOOD_CIPHER, GOOD_TEXT),
		KEY(KDF("scrypt", PARAMS("131072", "8", "1"), SALT), GOOD_CIPHER, GOOD_TEXT),
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct cosign_key key;

		assert_int_equal(cosign_key_parse(&key, slice_of(cases[i]), &err), 0);
		assert_int_equal(key.n_ciphertext, 18);
	}
}

static void what_could_cost_memory_or_is_not_of_cosign_is_refused(void **state UNUSED)
{
	static const char *const cases[] = {
		KEY(KDF("scrypt", PARAMS("262144", "8", "1"), SALT), GOOD_CIPHER, GOOD_TEXT),
		KEY(KDF("scrypt", PARAMS("16384", "8", "1"), SALT), GOOD_CIPHER, GOOD_TEXT),
		KEY(KDF("scrypt", PARAMS("65537", "8", "1"), SALT), GOOD_CIPHER, GOOD_TEXT),
		KEY(KDF("scrypt", PARAMS("-65536", "8", "1"), SALT), GOOD_CIPHER, GOOD_TEXT),
		KEY(KDF("scrypt", PARAMS("65536", "1024", "1"), SALT), GOOD_CIPHER, GOOD_TEXT),
		KEY(KDF("scrypt", PARAMS("65536", "8", "1000"), SALT), GOOD_CIPHER, GOOD_TEXT),
		KEY(KDF("scrypt", PARAMS("65536", "8.0", "1"), SALT), GOOD_CIPHER, GOOD_TEXT),
		KEY(KDF("scrypt", "", SALT), GOOD_CIPHER, GOOD_TEXT),
		KEY(KDF("argon2", PARAMS("65536", "8", "1"), SALT), GOOD_CIPHER, GOOD_TEXT),
		KEY(KDF("scrypt", PARAMS("65536", "8", "1"), "c2hvcnQ="), GOOD_CIPHER, GOOD_TEXT),
		KEY(KDF("scrypt", PARAMS("65536", "8", "1"), "no base64!"), GOOD_CIPHER, GOOD_TEXT),
		KEY("\"kdf\":\"scrypt\"", GOOD_CIPHER, GOOD_TEXT),
		KEY(GOOD_KDF, CIPHER("aes", SALT), GOOD_TEXT),
		KEY(GOOD_KDF, CIPHER("nacl/secretbox", SALT), GOOD_TEXT),
		KEY(GOOD_KDF, GOOD_CIPHER, TEXT("AAECAwQFBgcICQoLDA0ODw==")),
		KEY(GOOD_KDF, GOOD_CIPHER, TEXT("")),
		KEY(GOOD_KDF, GOOD_CIPHER, "\"ciphertext\":null"),
		"{}",
		"[]",
		"",
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct cosign_key key;

		assert_int_equal(cosign_key_parse(&key, slice_of(cases[i]), &err), -1);
		assert_int_equal(err.code, ERROR_INVALID);
	}
}

/* ---- public keys, signatures ---- */

static void any_of_several_public_keys_verifies(void **state UNUSED)
{
	CLEANUP(EVP_PKEY_freep) EVP_PKEY *old = EVP_EC_gen("P-256");
	CLEANUP(EVP_PKEY_freep) EVP_PKEY *new = EVP_EC_gen("P-256");
	CLEANUP(EVP_PKEY_freep) EVP_PKEY *strange = EVP_EC_gen("P-256");
	EVP_PKEY *const pkeys[] = {old, new, strange};
	CLEANUP(buf_done) struct buf pem = BUF_INIT(LIMIT_KEY_FILE);
	CLEANUP(sign_keys_freep) struct sign_keys *keys = NULL;

	add_pem(old, PUBLIC, NULL, &pem);
	add_pem(new, PUBLIC, NULL, &pem);
	assert_int_equal(sign_keys_parse(&keys, buf_slice(&pem), &err), 0);
	for (size_t i = 0; i < ARRAY_SIZE(pkeys); i++) {
		CLEANUP(sign_key_freep) struct sign_key *key = NULL;
		CLEANUP(buf_done) struct buf made = BUF_INIT(128);

		assert_int_equal(parse(&key, pkeys[i], PKCS8, NULL, SLICE_NONE), 0);
		assert_int_equal(sign_bytes(key, SLICE("text"), &made, &err), 0);
		assert_int_equal(sign_verify(keys, SLICE("text"), buf_slice(&made), &err),
			pkeys[i] == strange ? -1 : 0);
	}
	assert_int_equal(err.code, ERROR_DENIED);
}

static void a_signature_is_of_these_bytes_and_no_others(void **state UNUSED)
{
	CLEANUP(EVP_PKEY_freep) EVP_PKEY *pkey = EVP_EC_gen("P-256");
	CLEANUP(sign_key_freep) struct sign_key *key = NULL;
	CLEANUP(buf_done) struct buf made = BUF_INIT(128);
	const struct sign_keys *keys;

	assert_int_equal(parse(&key, pkey, PKCS8, NULL, SLICE_NONE), 0);
	keys = sign_key_public(key);
	assert_int_equal(sign_bytes(key, SLICE("text"), &made, &err), 0);
	assert_int_equal(sign_verify(keys, SLICE("Text"), buf_slice(&made), &err), -1);
	assert_int_equal(err.code, ERROR_DENIED);
	assert_int_equal(sign_verify(keys, SLICE("text"), SLICE_NONE, &err), -1);
	assert_int_equal(err.code, ERROR_DENIED);
	for (size_t i = 0; i < made.len; i++) {
		made.data[i] ^= 1;
		assert_int_equal(sign_verify(keys, SLICE("text"), buf_slice(&made), &err), -1);
		assert_int_equal(err.code, ERROR_DENIED);
		made.data[i] ^= 1;
	}
	assert_int_equal(sign_verify(keys, SLICE("text"), buf_slice(&made), &err), 0);
}

static void public_keys_that_do_not_count_are_refused(void **state UNUSED)
{
	CLEANUP(EVP_PKEY_freep) EVP_PKEY *p256 = EVP_EC_gen("P-256");
	CLEANUP(EVP_PKEY_freep) EVP_PKEY *p384 = EVP_EC_gen("P-384");
	CLEANUP(buf_done) struct buf many = BUF_INIT(LIMIT_KEY_FILE);
	CLEANUP(buf_done) struct buf mixed = BUF_INIT(LIMIT_KEY_FILE);
	CLEANUP(sign_keys_freep) struct sign_keys *most = NULL;
	struct sign_keys *keys = NULL;

	for (size_t i = 0; i < LIMIT_SIGN_KEYS; i++)
		add_pem(p256, PUBLIC, NULL, &many);
	assert_int_equal(sign_keys_parse(&most, buf_slice(&many), &err), 0);
	add_pem(p256, PUBLIC, NULL, &many);
	assert_int_equal(sign_keys_parse(&keys, buf_slice(&many), &err), -1);
	assert_string_equal(err.text, "there are more than 16 keys; take some away");

	/* One that is wrong is not passed over. */
	add_pem(p256, PUBLIC, NULL, &mixed);
	add_pem(p384, PUBLIC, NULL, &mixed);
	assert_int_equal(sign_keys_parse(&keys, buf_slice(&mixed), &err), -1);
	assert_string_equal(err.text, "the key is of another curve than P-256; make one of P-256");
	assert_int_equal(sign_keys_parse(&keys, SLICE(COSIGN_KEY), &err), -1);
	assert_string_equal(err.text, "there is no PUBLIC KEY; it needs one as PEM");
	assert_int_equal(
		sign_keys_parse(&keys,
			(struct slice){COSIGN_PUBLIC_KEY, sizeof(COSIGN_PUBLIC_KEY) - 9}, &err),
		-1);
	assert_string_equal(err.text, "a PEM block is cut off or damaged");
}

/* ---- files ---- */

static void errors_name_the_file(void **state UNUSED)
{
	char path[] = "/tmp/gsq-key-XXXXXX";
	AUTO_CLOSE int fd = mkstemp(path);
	CLEANUP(sign_key_freep) struct sign_key *key = NULL;
	CLEANUP(sign_keys_freep) struct sign_keys *keys = NULL;

	assert_true(fd >= 0);
	assert_int_equal(file_write_all(fd, COSIGN_KEY, sizeof(COSIGN_KEY) - 1, &err), 0);
	assert_int_equal(sign_keys_load(&keys, path, &err), -1);
	assert_non_null(strstr(err.text, path));
	assert_int_equal(sign_key_load(&key, path, SLICE_NONE, &err), -1);
	assert_non_null(strstr(err.text, path));
	assert_int_equal(
		file_write_all(fd, COSIGN_PUBLIC_KEY, sizeof(COSIGN_PUBLIC_KEY) - 1, &err), 0);
	assert_int_equal(sign_key_load(&key, path, SLICE(COSIGN_PASSWORD), &err), 0);
	assert_int_equal(sign_keys_load(&keys, path, &err), 0);
	assert_pair(key, keys);

	assert_int_equal(ftruncate(fd, LIMIT_KEY_FILE - 1), 0);
	CLEANUP(sign_key_freep) struct sign_key *padded = NULL;
	assert_int_equal(sign_key_load(&padded, path, SLICE(COSIGN_PASSWORD), &err), 0);
	assert_int_equal(ftruncate(fd, LIMIT_KEY_FILE), 0);
	struct sign_key *none = NULL;
	assert_int_equal(sign_key_load(&none, path, SLICE(COSIGN_PASSWORD), &err), -1);
	assert_non_null(strstr(err.text, "too long"));

	assert_int_equal(unlink(path), 0);
	assert_int_equal(sign_key_load(&none, path, SLICE_NONE, &err), -1);
	assert_non_null(strstr(err.text, path));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cosigns_key_is_read_with_its_password_under_either_name),
		cmocka_unit_test(a_wrong_password_is_told_from_none),
		cmocka_unit_test(a_cosign_key_that_is_cut_off_is_refused_wherever_it_ends),
		cmocka_unit_test(pkcs8_is_read_plain_and_encrypted),
		cmocka_unit_test(what_stands_before_the_private_key_is_skipped),
		cmocka_unit_test(keys_that_are_not_of_p256_are_refused_for_what_they_are),
		cmocka_unit_test(a_key_whose_halves_do_not_belong_together_is_refused),
		cmocka_unit_test(a_key_with_parameters_of_cosign_is_taken),
		cmocka_unit_test(what_could_cost_memory_or_is_not_of_cosign_is_refused),
		cmocka_unit_test(any_of_several_public_keys_verifies),
		cmocka_unit_test(a_signature_is_of_these_bytes_and_no_others),
		cmocka_unit_test(public_keys_that_do_not_count_are_refused),
		cmocka_unit_test(errors_name_the_file),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
