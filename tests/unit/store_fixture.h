/* SPDX-License-Identifier: Apache-2.0 */
/* A data folder of its own for each test of the embedded registry, and small artifacts. */
#ifndef TESTS_UNIT_STORE_FIXTURE_H
#define TESTS_UNIT_STORE_FIXTURE_H

#include "test.h"

#include "oci/manifest.h"
#include "oci/registry.h"
#include "store/store.h"

#include <stdio.h>

/* A fresh folder's path, or its removal. */
void make_folder(char ret[64]);
void remove_folder(const char *path);

/* Config {}, one layer, and the manifest around them. */
struct artifact {
	struct push_blob blobs[2];
	struct buf manifest;
	struct digest digest;
	struct oci_manifest *parsed;
};
/* Of a layer that lives as long; artifact_type may be NULL. */
void artifact_init(struct artifact *a, struct slice layer, const char *artifact_type);
void artifact_done(struct artifact *a);

/* The whole artifact as one push. */
struct push artifact_push(const struct artifact *a, const char *repository, const char *tag);

/* Stores the bytes, row or file, in a transaction of their own; under a digest that they may not
 * have. */
void put_blob(struct store *s, struct slice repository, struct slice bytes);
void put_blob_as(
	struct store *s, struct slice repository, const struct digest *digest, struct slice bytes);

#define assert_ok(expr) \
	do { \
		if ((expr) != 0) \
			fail_msg("%s: %s", #expr, err.text); \
	} while (0)

#define assert_refused(expr, code_) \
	do { \
		assert_int_equal((expr), -1); \
		if (err.code != (code_)) \
			fail_msg("%s: %s, %s", #expr, error_name(err.code), err.text); \
	} while (0)

#endif
