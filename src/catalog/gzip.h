/* SPDX-License-Identifier: Apache-2.0 */
/* Private to catalog. gzip members (RFC 1952) by libdeflate; concatenated members are one stream.
 */
#ifndef CATALOG_GZIP_H
#define CATALOG_GZIP_H

#include "base/buf.h"

struct libdeflate_compressor;

/* Not shared between threads. */
struct gzip {
	struct libdeflate_compressor *compressor;
};
int gzip_init(struct gzip *z, struct error *err) MUST_CHECK;
void gzip_done(struct gzip *z);

/* Appends one member: mtime 0 and no name, so the same bytes give the same member. */
void gzip_add(struct gzip *z, struct slice bytes, struct buf *ret);

/* Appends what all members of the stream hold; bounded by the maximum of ret. */
int gzip_read(struct slice stream, struct buf *ret, struct error *err) MUST_CHECK;

#endif
