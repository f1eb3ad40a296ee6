/* SPDX-License-Identifier: Apache-2.0 */
#include "catalog/gzip.h"

#include "base/limits.h"

#include <libdeflate.h>

#define LEVEL 6
#define ROOM_FIRST (64 * KIB)

int gzip_init(struct gzip *z, struct error *err)
{
	z->compressor = libdeflate_alloc_compressor(LEVEL);
	if (z->compressor == NULL)
		return error_no_memory(err);
	return 0;
}

void gzip_done(struct gzip *z)
{
	if (z->compressor != NULL)
		libdeflate_free_compressor(z->compressor);
	z->compressor = NULL;
}

void gzip_add(struct gzip *z, struct slice bytes, struct buf *ret)
{
	size_t bound = libdeflate_gzip_compress_bound(z->compressor, bytes.n);
	void *room = buf_room(ret, bound);
	size_t n;

	if (room == NULL)
		return;
	n = libdeflate_gzip_compress(z->compressor, bytes.p, bytes.n, room, bound);
	AN(n);
	buf_claim(ret, n);
}

/* One member from the start of *stream, which moves past it. */
static int read_member(
	struct libdeflate_decompressor *d, struct slice *stream, struct buf *ret, struct error *err)
{
	for (size_t size = ROOM_FIRST;; size *= 4) {
		size_t room_size = size < ret->max - ret->len ? size : ret->max - ret->len;
		void *room = buf_room(ret, room_size);
		size_t used, got;

		if (room == NULL)
			return buf_check(ret, err);
		switch (libdeflate_gzip_decompress_ex(
			d, stream->p, stream->n, room, room_size, &used, &got)) {
		case LIBDEFLATE_SUCCESS:
			buf_claim(ret, got);
			stream->p += used;
			stream->n -= used;
			return 0;
		case LIBDEFLATE_INSUFFICIENT_SPACE:
			if (room_size == size)
				continue;
			return error_set(err, ERROR_INTERNAL,
				"unpacks to more than the %zu bytes allowed", ret->max);
		default:
			return error_set(err, ERROR_INTERNAL, "the gzip stream is damaged");
		}
	}
}

int gzip_read(struct slice stream, struct buf *ret, struct error *err)
{
	struct libdeflate_decompressor *d = libdeflate_alloc_decompressor();
	int rc = 0;

	if (d == NULL)
		return error_no_memory(err);
	while (rc == 0 && stream.n > 0)
		rc = read_member(d, &stream, ret, err);
	libdeflate_free_decompressor(d);
	return rc;
}
