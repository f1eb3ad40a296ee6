/* SPDX-License-Identifier: Apache-2.0 */
#include "sign/key.h"

#include "base/file.h"
#include "sign/cosign_key.h"
#include "sign/openssl.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/pkcs12.h>

struct sign_keys {
	size_t n;
	EVP_PKEY *pkeys[LIMIT_SIGN_KEYS];
};

struct sign_key {
	struct sign_keys pair; /* one, which is both halves */
	struct digest id;
};

DEFINE_CLEANUP(BIO, BIO_free);
DEFINE_CLEANUP(EVP_PKEY, EVP_PKEY_free);
DEFINE_CLEANUP(EVP_PKEY_CTX, EVP_PKEY_CTX_free);
DEFINE_CLEANUP(PKCS8_PRIV_KEY_INFO, PKCS8_PRIV_KEY_INFO_free);
DEFINE_CLEANUP(X509_SIG, X509_SIG_free);

/* ---- files and PEM ---- */

/* Not file_read(), which leaves copies behind as its buffer grows. */
static int read_file(struct secret *ret, const char *file, struct error *err)
{
	AUTO_CLOSE int fd = open(file, O_RDONLY | O_CLOEXEC);
	CLEANUP(secret_done) struct secret bytes = {NULL, 0};
	size_t n = 0;

	if (fd < 0)
		return error_set_errno(err, errno, "cannot open the key file %s", file);
	if (secret_init(&bytes, LIMIT_KEY_FILE, err) != 0)
		return -1;
	for (;;) {
		ssize_t got = read(fd, bytes.p + n, bytes.n - n);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return error_set_errno(err, errno, "cannot read the key file %s", file);
		if (got == 0)
			break;
		n += (size_t)got;
	}
	if (n == bytes.n)
		return error_set(err, ERROR_INVALID,
			"%s is too long for a key file, which has less than %zu bytes", file,
			LIMIT_KEY_FILE);
	*ret = bytes;
	ret->n = n;
	bytes.p = NULL;
	return 0;
}

static int open_pem(BIO **ret, struct slice pem, struct error *err)
{
	/* At least a byte: of none OpenSSL makes no BIO. */
	BIO *bio = BIO_new_mem_buf(pem.n > 0 ? pem.p : "\n", pem.n > 0 ? (int)pem.n : 1);

	if (bio == NULL)
		return openssl_failed(err, ERROR_NO_MEMORY, "out of memory");
	*ret = bio;
	return 0;
}

struct block {
	char *name, *header;
	unsigned char *bytes;
	long n;
};

static void block_done(struct block *b)
{
	OPENSSL_secure_free(b->name);
	OPENSSL_secure_free(b->header);
	OPENSSL_secure_clear_free(b->bytes, (size_t)b->n);
}

/* The next block whose name ends so. ERROR_NOT_FOUND: there is no more. */
static int next_block(struct block *ret, BIO *pem, struct slice suffix, struct error *err)
{
	for (;;) {
		struct block b = {.n = 0};

		if (PEM_read_bio_ex(pem, &b.name, &b.header, &b.bytes, &b.n, PEM_FLAG_SECURE) !=
			1) {
			bool end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;

			return openssl_failed(err, end ? ERROR_NOT_FOUND : ERROR_INVALID,
				"a PEM block is cut off or damaged");
		}
		if (slice_ends(slice_of(b.name), suffix)) {
			*ret = b;
			return 0;
		}
		block_done(&b);
	}
}

/* ---- what is accepted ---- */

static int check_curve(EVP_PKEY *pkey, struct error *err)
{
	char curve[64] = "";

	if (EVP_PKEY_is_a(pkey, "EC") != 1)
		return error_set(err, ERROR_INVALID,
			"the key is of another algorithm; make one of ECDSA on P-256");
	if (EVP_PKEY_get_group_name(pkey, curve, sizeof(curve), NULL) != 1 ||
		strcmp(curve, "prime256v1") != 0)
		return openssl_failed(err, ERROR_INVALID,
			"the key is of another curve than P-256; make one of P-256");
	return 0;
}

/* check: EVP_PKEY_check, also that both halves belong together, or EVP_PKEY_public_check */
static int check_key(EVP_PKEY *pkey, int (*check)(EVP_PKEY_CTX *), struct error *err)
{
	CLEANUP(EVP_PKEY_CTX_freep) EVP_PKEY_CTX *ctx = NULL;

	if (check_curve(pkey, err) != 0)
		return -1;
	ctx = EVP_PKEY_CTX_new_from_pkey(NULL, pkey, NULL);
	if (ctx == NULL)
		return openssl_failed(err, ERROR_NO_MEMORY, "out of memory");
	if (check(ctx) != 1)
		return openssl_failed(err, ERROR_INVALID, "the key is not a valid key of P-256");
	return 0;
}

/* ---- private keys ---- */

static int from_info(EVP_PKEY **ret, const PKCS8_PRIV_KEY_INFO *info, struct error *err)
{
	CLEANUP(EVP_PKEY_freep) EVP_PKEY *pkey = info == NULL ? NULL : EVP_PKCS82PKEY(info);

	if (pkey == NULL)
		return openssl_failed(err, ERROR_INVALID, "the key is not a PKCS#8 private key");
	if (check_key(pkey, EVP_PKEY_check, err) != 0)
		return -1;
	*ret = TAKE_PTR(pkey);
	return 0;
}

static int from_pkcs8(EVP_PKEY **ret, const unsigned char *der, size_t n, struct error *err)
{
	CLEANUP(PKCS8_PRIV_KEY_INFO_freep)
	PKCS8_PRIV_KEY_INFO *info = d2i_PKCS8_PRIV_KEY_INFO(NULL, &der, (long)n);

	return from_info(ret, info, err);
}

static int need_password(struct slice password, struct error *err)
{
	if (password.p != NULL)
		return 0;
	return error_set(err, ERROR_INVALID, "the key is encrypted; give its password");
}

static int from_encrypted_pkcs8(
	EVP_PKEY **ret, const struct block *b, struct slice password, struct error *err)
{
	const unsigned char *der = b->bytes;
	CLEANUP(X509_SIG_freep) X509_SIG *sealed = d2i_X509_SIG(NULL, &der, b->n);
	CLEANUP(PKCS8_PRIV_KEY_INFO_freep) PKCS8_PRIV_KEY_INFO *info = NULL;

	if (sealed == NULL)
		return openssl_failed(
			err, ERROR_INVALID, "the key is not an encrypted PKCS#8 private key");
	if (need_password(password, err) != 0)
		return -1;
	info = PKCS8_decrypt(sealed, password.p, (int)password.n);
	if (info == NULL)
		return openssl_failed(err, ERROR_INVALID,
			"the password is not that of the key, or the key is damaged");
	return from_info(ret, info, err);
}

static int from_cosign(
	EVP_PKEY **ret, const struct block *b, struct slice password, struct error *err)
{
	CLEANUP(secret_done) struct secret der = {NULL, 0};
	struct slice json = {(const char *)b->bytes, (size_t)b->n};
	struct cosign_key key;

	if (cosign_key_parse(&key, json, err) != 0 || need_password(password, err) != 0 ||
		cosign_key_decrypt(&key, password, &der, err) != 0)
		return -1;
	return from_pkcs8(ret, der.p, der.n, err);
}

static int from_block(
	EVP_PKEY **ret, const struct block *b, struct slice password, struct error *err)
{
	if (strcmp(b->name, PEM_STRING_PKCS8INF) == 0)
		return from_pkcs8(ret, b->bytes, (size_t)b->n, err);
	if (strcmp(b->name, PEM_STRING_PKCS8) == 0)
		return from_encrypted_pkcs8(ret, b, password, err);
	if (strcmp(b->name, "ENCRYPTED SIGSTORE PRIVATE KEY") == 0 ||
		strcmp(b->name, "ENCRYPTED COSIGN PRIVATE KEY") == 0)
		return from_cosign(ret, b, password, err);
	if (strcmp(b->name, PEM_STRING_ECPRIVATEKEY) == 0)
		return error_set(err, ERROR_INVALID,
			"the key is in an older format; convert it with: openssl pkcs8 -topk8");
	return error_set(err, ERROR_INVALID,
		"a PEM block %s is no key to sign with; make one of ECDSA on P-256, in PKCS#8 or "
		"by cosign",
		b->name);
}

static struct digest id_of(EVP_PKEY *pkey, unsigned char **der)
{
	int n = i2d_PUBKEY(pkey, der);

	if (n <= 0)
		return (struct digest){.algorithm = DIGEST_NONE};
	return digest_of((struct slice){(const char *)*der, (size_t)n});
}

static int new_key(struct sign_key **ret, EVP_PKEY *pkey, struct error *err)
{
	AUTO_FREE struct sign_key *key = calloc(1, sizeof(*key));
	unsigned char *der = NULL;

	if (key == NULL)
		return error_no_memory(err);
	key->id = id_of(pkey, &der);
	OPENSSL_free(der);
	if (key->id.algorithm == DIGEST_NONE)
		return openssl_failed(err, ERROR_INTERNAL, "OpenSSL cannot encode the public key");
	AN(EVP_PKEY_up_ref(pkey));
	key->pair = (struct sign_keys){1, {pkey}};
	*ret = TAKE_PTR(key);
	return 0;
}

int sign_key_parse(
	struct sign_key **ret, struct slice pem, struct slice password, struct error *err)
{
	CLEANUP(BIO_freep) BIO *bio = NULL;
	CLEANUP(EVP_PKEY_freep) EVP_PKEY *pkey = NULL;
	CLEANUP(block_done) struct block b = {.n = 0};

	if (open_pem(&bio, pem, err) != 0)
		return -1;
	if (next_block(&b, bio, SLICE("PRIVATE KEY"), err) != 0) {
		if (err->code != ERROR_NOT_FOUND)
			return -1;
		return error_set(
			err, ERROR_INVALID, "there is no private key; it needs one as PEM");
	}
	if (from_block(&pkey, &b, password, err) != 0)
		return -1;
	return new_key(ret, pkey, err);
}

int sign_key_load(struct sign_key **ret, const char *file, struct slice password, struct error *err)
{
	CLEANUP(secret_done) struct secret bytes = {NULL, 0};

	if (read_file(&bytes, file, err) != 0)
		return -1;
	if (sign_key_parse(ret, (struct slice){(const char *)bytes.p, bytes.n}, password, err) != 0)
		return error_wrap(err, "%s", file);
	return 0;
}

void sign_key_free(struct sign_key *key)
{
	if (key == NULL)
		return;
	EVP_PKEY_free(key->pair.pkeys[0]);
	free(key);
}

struct digest sign_key_id(const struct sign_key *key)
{
	return key->id;
}

/* What is signed is a hash: digest_of() has its algorithm at hand, where OpenSSL would look for it
 * again each time. */
int sign_bytes(const struct sign_key *key, struct slice bytes, struct buf *ret, struct error *err)
{
	CLEANUP(EVP_PKEY_CTX_freep)
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key->pair.pkeys[0], NULL);
	struct digest hash = digest_of(bytes);
	unsigned char signature[80];
	size_t n = sizeof(signature);

	if (ctx == NULL || EVP_PKEY_sign_init(ctx) != 1 ||
		EVP_PKEY_sign(ctx, signature, &n, hash.bytes, digest_size(hash.algorithm)) != 1)
		return openssl_failed(err, ERROR_INTERNAL, "OpenSSL cannot sign with the key");
	buf_append(ret, signature, n);
	return buf_check(ret, err);
}

/* ---- public keys ---- */

static int from_public(EVP_PKEY **ret, const struct block *b, struct error *err)
{
	const unsigned char *der = b->bytes;
	CLEANUP(EVP_PKEY_freep) EVP_PKEY *pkey = NULL;

	if (strcmp(b->name, PEM_STRING_PUBLIC) != 0)
		return error_set(err, ERROR_INVALID,
			"a PEM block %s is no key to verify with; it needs a PUBLIC KEY of P-256",
			b->name);
	pkey = d2i_PUBKEY(NULL, &der, b->n);
	if (pkey == NULL)
		return openssl_failed(err, ERROR_INVALID, "a PUBLIC KEY is damaged");
	if (check_key(pkey, EVP_PKEY_public_check, err) != 0)
		return -1;
	*ret = TAKE_PTR(pkey);
	return 0;
}

/* 1: taken in, 0: there is no more. */
static int add_next(struct sign_keys *keys, BIO *pem, struct error *err)
{
	CLEANUP(block_done) struct block b = {.n = 0};

	if (next_block(&b, pem, SLICE("PUBLIC KEY"), err) != 0)
		return err->code == ERROR_NOT_FOUND ? 0 : -1;
	if (keys->n == LIMIT_SIGN_KEYS)
		return error_set(err, ERROR_INVALID, "there are more than %d keys; take some away",
			LIMIT_SIGN_KEYS);
	if (from_public(&keys->pkeys[keys->n], &b, err) != 0)
		return -1;
	keys->n++;
	return 1;
}

int sign_keys_parse(struct sign_keys **ret, struct slice pem, struct error *err)
{
	CLEANUP(sign_keys_freep) struct sign_keys *keys = calloc(1, sizeof(*keys));
	CLEANUP(BIO_freep) BIO *bio = NULL;
	int rc;

	if (keys == NULL)
		return error_no_memory(err);
	if (open_pem(&bio, pem, err) != 0)
		return -1;
	do {
		rc = add_next(keys, bio, err);
	} while (rc > 0);
	if (rc < 0)
		return -1;
	if (keys->n == 0)
		return error_set(err, ERROR_INVALID, "there is no PUBLIC KEY; it needs one as PEM");
	*ret = TAKE_PTR(keys);
	return 0;
}

int sign_keys_load(struct sign_keys **ret, const char *file, struct error *err)
{
	CLEANUP(secret_done) struct secret bytes = {NULL, 0};

	if (read_file(&bytes, file, err) != 0)
		return -1;
	if (sign_keys_parse(ret, (struct slice){(const char *)bytes.p, bytes.n}, err) != 0)
		return error_wrap(err, "%s", file);
	return 0;
}

const struct sign_keys *sign_key_public(const struct sign_key *key)
{
	return &key->pair;
}

void sign_keys_free(struct sign_keys *keys)
{
	if (keys == NULL)
		return;
	for (size_t i = 0; i < keys->n; i++)
		EVP_PKEY_free(keys->pkeys[i]);
	free(keys);
}

static bool made_by(EVP_PKEY_CTX *ctx, const struct digest *hash, struct slice signature)
{
	return EVP_PKEY_verify_init(ctx) == 1 &&
	       EVP_PKEY_verify(ctx, (const unsigned char *)signature.p, signature.n, hash->bytes,
		       digest_size(hash->algorithm)) == 1;
}

int sign_verify(
	const struct sign_keys *keys, struct slice bytes, struct slice signature, struct error *err)
{
	struct digest hash = digest_of(bytes);

	for (size_t i = 0; i < keys->n; i++) {
		CLEANUP(EVP_PKEY_CTX_freep)
		EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, keys->pkeys[i], NULL);

		if (ctx == NULL)
			return openssl_failed(err, ERROR_NO_MEMORY, "out of memory");
		if (made_by(ctx, &hash, signature)) {
			ERR_clear_error();
			return 0;
		}
	}
	return openssl_failed(err, ERROR_DENIED, "no key that counts has made the signature");
}
