/* SPDX-License-Identifier: Apache-2.0 */
/* Private to store: the files of an image layout, for export and import. */
#ifndef STORE_LAYOUT_FILE_H
#define STORE_LAYOUT_FILE_H

#include "store/store.h"

#define LAYOUT_VERSION "1.0.0"

/* Annotations of a descriptor in index.json, */
#define LAYOUT_REF_NAME "org.opencontainers.image.ref.name"
#define LAYOUT_IMMUTABLE "io.gitops-squared.immutable" /* "true": of a tag that never moves */
/* and of index.json itself. */
#define LAYOUT_SPARSE \
	"io.gitops-squared.sparse" /* "true": blobs were missing in the store, too \
				    */

/* blobs/<algorithm>/<hex> */
#define LAYOUT_PATH_SIZE (sizeof("blobs/") + DIGEST_TEXT_SIZE)
const char *layout_path(const struct digest *digest, char ret[LAYOUT_PATH_SIZE]);

/* To read: *ret = -1 when the layout does not have it. ERROR_INVALID: not a regular file. */
int layout_open_path(
	int dir, const char *path, int *ret, uint64_t *ret_size, struct error *err) MUST_CHECK;
int layout_open(int dir, const struct digest *digest, int *ret, uint64_t *ret_size,
	struct error *err) MUST_CHECK;
/* Appends the whole of a small file, verified; or copies a large one, likewise. */
int layout_read(int fd, const struct digest *digest, size_t size, struct buf *ret,
	struct error *err) MUST_CHECK;
int layout_copy(const struct store *s, int fd, const struct digest *digest, int to,
	struct error *err) MUST_CHECK;

/* "the layout is damaged: blobs/... <how>" */
int layout_damaged(const struct digest *digest, const char *how, struct error *err);

#endif
