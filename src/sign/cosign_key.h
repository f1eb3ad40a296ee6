/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The encrypted private keys of cosign: a JSON object in a PEM block, with a PKCS#8 key sealed by
 * NaCl's secretbox under a key that scrypt makes of the password
 * (secure-systems-lab/go-securesystemslib, encrypted).
 */
#ifndef SIGN_COSIGN_KEY_H
#define SIGN_COSIGN_KEY_H

#include "base/str.h"
#include "sign/openssl.h"

#include <sodium.h>

/* Holds RSA keys too, so that they are refused for what they are. */
#define COSIGN_CIPHERTEXT_MAX (8 * KIB)

struct cosign_key {
	uint64_t cost; /* scrypt's N */
	unsigned char salt[32];
	unsigned char nonce[crypto_secretbox_NONCEBYTES];
	unsigned char ciphertext[COSIGN_CIPHERTEXT_MAX];
	size_t n_ciphertext; /* at least crypto_secretbox_MACBYTES and a byte */
};

/* What is in the PEM block. ERROR_INVALID: what cosign would not take either. */
int cosign_key_parse(struct cosign_key *ret, struct slice json, struct error *err) MUST_CHECK;

/* The PKCS#8 key (DER). Takes up to a second and 128 MiB. ERROR_INVALID: not its password. */
int cosign_key_decrypt(const struct cosign_key *key, struct slice password, struct secret *ret,
	struct error *err) MUST_CHECK;

#endif
