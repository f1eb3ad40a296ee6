/* SPDX-License-Identifier: Apache-2.0 */
#include "catalog/gzip.h"

#include "base/limits.h"

#include <isa-l/igzip_lib.h>

#define LEVEL 1
#define ROOM_FIRST (64 * KIB)

/* ---- writing ---- */

struct gzip_compressor {
	struct isal_zstream stream;
	uint8_t tables[ISAL_DEF_LVL1_DEFAULT];
};

void gzip_done(struct gzip *z)
{
	free(z->compressor);
	z->compressor = NULL;
}

/* Header, trailer, and what it takes to store it uncompressed. */
static size_t bound(size_t n)
{
	return n + n / 1024 + 1024;
}

void gzip_add(struct gzip *z, struct slice bytes, struct buf *ret)
{
	size_t max = bound(bytes.n);
	void *room = buf_room(ret, max);
	struct isal_zstream *s;

	if (z->compressor == NULL)
		z->compressor = malloc(sizeof(*z->compressor));
	if (z->compressor == NULL)
		ret->failed = ERROR_NO_MEMORY;
	if (room == NULL || z->compressor == NULL)
		return;
	ASSERT(bytes.n <= LIMIT_CATALOG_TAR);
	s = &z->compressor->stream;
	isal_deflate_stateless_init(s);
	s->level = LEVEL;
	s->level_buf = z->compressor->tables;
	s->level_buf_size = sizeof(z->compressor->tables);
	s->gzip_flag = IGZIP_GZIP;
	s->end_of_stream = 1;
	s->next_in = (uint8_t *)bytes.p;
	s->avail_in = (uint32_t)bytes.n;
	s->next_out = room;
	s->avail_out = (uint32_t)max;
	AZ(isal_deflate_stateless(s));
	buf_claim(ret, s->total_out);
}

/* ---- reading ---- */

static int damaged(struct error *err)
{
	return error_set(err, ERROR_INTERNAL, "the gzip stream is damaged");
}

/* Goes on into more room; 1 when the member has ended. */
static int read_piece(struct inflate_state *s, struct buf *ret, struct error *err)
{
	size_t left = ret->max - ret->len, n = left < ROOM_FIRST ? left : ROOM_FIRST;
	void *room = buf_room(ret, n == 0 ? 1 : n);

	if (room == NULL && ret->failed == ERROR_TOO_LARGE)
		return error_set(err, ERROR_INTERNAL, "unpacks to more than the %zu bytes allowed",
			ret->max);
	if (room == NULL)
		return error_no_memory(err);
	s->next_out = room;
	s->avail_out = (uint32_t)n;
	if (isal_inflate(s) != ISAL_DECOMP_OK)
		return damaged(err);
	buf_claim(ret, n - s->avail_out);
	if (s->block_state == ISAL_BLOCK_FINISH)
		return 1;
	if (s->avail_in == 0 && s->avail_out > 0)
		return damaged(err); /* cut off */
	return 0;
}

/* One member from the start of *stream, which moves past it. */
static int read_member(
	struct inflate_state *s, struct slice *stream, struct buf *ret, struct error *err)
{
	int rc;

	isal_inflate_init(s);
	s->crc_flag = ISAL_GZIP;
	s->next_in = (uint8_t *)stream->p;
	s->avail_in = (uint32_t)stream->n;
	do {
		rc = read_piece(s, ret, err);
	} while (rc == 0);
	if (rc < 0)
		return -1;
	stream->p += stream->n - s->avail_in;
	stream->n = s->avail_in;
	return 0;
}

/* Room for one more and the end. */
static int grow_members(struct gzip_content *c, size_t *cap, struct error *err)
{
	struct gzip_member *grown;

	if (c->n_members + 1 < *cap)
		return 0;
	*cap = *cap == 0 ? 64 : 2 * *cap;
	grown = realloc(c->members, *cap * sizeof(*grown));
	if (grown == NULL)
		return error_no_memory(err);
	c->members = grown;
	return 0;
}

static int read_members(
	struct gzip_content *ret, struct inflate_state *s, struct slice stream, struct error *err)
{
	struct slice rest = stream;
	size_t cap = 0;

	do {
		if (grow_members(ret, &cap, err) != 0)
			return -1;
		ret->members[ret->n_members++] =
			(struct gzip_member){stream.n - rest.n, ret->bytes.len};
		if (read_member(s, &rest, &ret->bytes, err) != 0)
			return -1;
	} while (rest.n > 0);
	ret->members[ret->n_members] = (struct gzip_member){stream.n, ret->bytes.len};
	return 0;
}

int gzip_read(struct gzip_content *ret, struct slice stream, struct error *err)
{
	AUTO_FREE struct inflate_state *s = malloc(sizeof(*s));

	if (s == NULL)
		return error_no_memory(err);
	if (stream.n > LIMIT_CATALOG_LAYER)
		return error_set(err, ERROR_INTERNAL,
			"the gzip stream has more than the %zu bytes allowed", LIMIT_CATALOG_LAYER);
	return read_members(ret, s, stream, err);
}

void gzip_content_done(struct gzip_content *c)
{
	buf_done(&c->bytes);
	free(c->members);
	c->members = NULL;
}
