/* SPDX-License-Identifier: Apache-2.0 */
/* Content digests: "sha256:<64 hex>" and "sha512:<128 hex>" (OCI image-spec, descriptor.md). */
#ifndef OCI_DIGEST_H
#define OCI_DIGEST_H

#include "base/error.h"
#include "base/str.h"

enum digest_algorithm { DIGEST_NONE = 0, DIGEST_SHA256, DIGEST_SHA512 };

#define DIGEST_BYTES_MAX 64
#define DIGEST_TEXT_SIZE (sizeof("sha512:") + 2 * DIGEST_BYTES_MAX)

struct digest {
	enum digest_algorithm algorithm;
	unsigned char bytes[DIGEST_BYTES_MAX]; /* unused ones are zero */
};

/* Fetches the hash functions once. Call before any other; aborts when OpenSSL has none. */
void digest_setup(void);

int digest_parse(struct digest *ret, struct slice text, struct error *err) MUST_CHECK;
/* Writes the text with its NUL into ret and returns ret. */
const char *digest_format(const struct digest *d, char ret[DIGEST_TEXT_SIZE]);
bool digest_eq(const struct digest *a, const struct digest *b);
size_t digest_size(enum digest_algorithm algorithm); /* bytes: 32 or 64 */
const char *digest_algorithm_name(enum digest_algorithm algorithm);

struct digest digest_of(struct slice bytes); /* sha256 */
struct digest digest_of_as(enum digest_algorithm algorithm, struct slice bytes);

/* Hash while writing. */
struct hasher {
	enum digest_algorithm algorithm;
	void *ctx; /* EVP_MD_CTX */
};
int hasher_init(struct hasher *h, enum digest_algorithm algorithm, struct error *err) MUST_CHECK;
void hasher_update(struct hasher *h, struct slice bytes);
struct digest hasher_finish(struct hasher *h); /* once */
void hasher_done(struct hasher *h);

#endif
