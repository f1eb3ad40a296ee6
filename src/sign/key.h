/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys for signatures: ECDSA on P-256 with SHA-256, as cosign makes them. Immutable, any thread.
 */
#ifndef SIGN_KEY_H
#define SIGN_KEY_H

#include "base/buf.h"
#include "oci/digest.h"

struct sign_key; /* a private key, with its public half */

/*
 * The first private key of a PEM file: PKCS#8 ("PRIVATE KEY", "ENCRYPTED PRIVATE KEY") or cosign's
 * own ("ENCRYPTED SIGSTORE PRIVATE KEY", "ENCRYPTED COSIGN PRIVATE KEY": sign/cosign_key.h).
 * password: SLICE_NONE where none was given; one of no characters is a password, too.
 * ERROR_INVALID: what is wrong with file or password. Blocks, up to a second: cosign's scrypt.
 */
int sign_key_load(struct sign_key **ret, const char *file, struct slice password,
	struct error *err) MUST_CHECK;
/* The same of its text, of less than LIMIT_KEY_FILE bytes. */
int sign_key_parse(struct sign_key **ret, struct slice pem, struct slice password,
	struct error *err) MUST_CHECK;
void sign_key_free(struct sign_key *key);
DEFINE_CLEANUP(struct sign_key, sign_key_free);

/* Appends the signature of bytes: ASN.1 DER, as sigstore has it. */
int sign_bytes(const struct sign_key *key, struct slice bytes, struct buf *ret,
	struct error *err) MUST_CHECK;

/* ---- public keys: a set, so that a new one can be taken in before the old one goes ---- */

struct sign_keys;

/* A PEM file with one or more "PUBLIC KEY" blocks, all of P-256, at most LIMIT_SIGN_KEYS. */
int sign_keys_load(struct sign_keys **ret, const char *file, struct error *err) MUST_CHECK;
/* The same of its text, of less than LIMIT_KEY_FILE bytes. */
int sign_keys_parse(struct sign_keys **ret, struct slice pem, struct error *err) MUST_CHECK;
/* The one that belongs to a private key, which owns the set. */
const struct sign_keys *sign_key_public(const struct sign_key *key);
void sign_keys_free(struct sign_keys *keys);
DEFINE_CLEANUP(struct sign_keys, sign_keys_free);

/* ERROR_DENIED: none of the keys has made that signature (DER) of bytes. */
int sign_verify(const struct sign_keys *keys, struct slice bytes, struct slice signature,
	struct error *err) MUST_CHECK;

/* What a bundle calls the key by: SHA-256 of its SubjectPublicKeyInfo (DER). */
struct digest sign_key_id(const struct sign_key *key);

#endif
