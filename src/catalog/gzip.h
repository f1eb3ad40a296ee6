/* SPDX-License-Identifier: Apache-2.0 */
/* gzip members (RFC 1952) by libdeflate; concatenated members are one stream.
 */
#ifndef CATALOG_GZIP_H
#define CATALOG_GZIP_H

#include "base/buf.h"
#include "base/parallel.h"

struct libdeflate_compressor;

/* A compressor, which takes long to make and can be used again and again, by one thread at a time.
 * Starts as {0}; its memory comes with the first use. */
struct gzip {
	struct libdeflate_compressor *compressor;
};
void gzip_done(struct gzip *z);

/* One for each thread of parallel_each(). */
struct gzips {
	struct gzip at[PARALLEL_MAX];
};
void gzips_done(struct gzips *gzips);

/* Appends one member: mtime 0 and no name, so the same bytes give the same member. Without memory
 * for the compressor ret fails. */
void gzip_add(struct gzip *z, struct slice bytes, struct buf *ret);

/* Where a member begins, in the stream and in what it unpacks to. */
struct gzip_member {
	size_t packed, unpacked;
};

/* What a stream holds. */
struct gzip_content {
	struct buf bytes; /* bounded by its maximum, which the caller sets */
	size_t n_members;
	struct gzip_member *members; /* and one more: the end of both */
};
void gzip_content_done(struct gzip_content *c);

/* Appends to an empty content. */
int gzip_read(struct gzip_content *ret, struct slice stream, struct error *err) MUST_CHECK;

#endif
