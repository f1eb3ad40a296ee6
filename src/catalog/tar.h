/* SPDX-License-Identifier: Apache-2.0 */
/* POSIX ustar. A catalog needs only regular files, 0644, mtime 0; tar_add_entry() writes the header
 * of any file or folder, for archives that tar(1) unpacks. */
#ifndef CATALOG_TAR_H
#define CATALOG_TAR_H

#include "base/buf.h"

#define TAR_BLOCK 512
#define TAR_PATH_MAX 255

/* Header of a file. A path over 100 bytes is split at its last slash, as ustar allows; one that
 * still does not fit is a bug. */
void tar_add_header(struct buf *ret, struct slice path, size_t size);
/* The same into TAR_BLOCK bytes. */
void tar_set_header(void *ret, struct slice path, size_t size);
/* Zeros up to the next block after size bytes of content. */
void tar_add_padding(struct buf *ret, size_t size);

/* What has no room in ustar (a path that cannot be split, 8 GiB and more) is written as GNU tar
 * does, which every tar reads. */
struct tar_entry {
	struct slice path; /* a folder's ends in a slash */
	uint64_t size;
	unsigned mode;    /* permissions */
	uint64_t mtime_s; /* since 1970 */
};
void tar_add_entry(struct buf *ret, const struct tar_entry *entry);

/* End of archive: two blocks of zeros. */
void tar_add_end(struct buf *ret);

/* Reads what the above wrote, in sequence; *at starts at 0. */
struct tar_file {
	char path[TAR_PATH_MAX + 1];
	struct slice content;
};
/* 1: a file; 0: the end of the archive, and nothing after it; -1: not as we write it. */
int tar_next(struct slice tar, size_t *at, struct tar_file *ret, struct error *err) MUST_CHECK;

#endif
