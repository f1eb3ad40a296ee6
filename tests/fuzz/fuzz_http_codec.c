/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests with their bodies, one after the other, read twice: in one piece, and cut into reads
 * whose sizes come from the first byte. Both must say the same.
 */
#include "base/buf.h"
#include "http/codec.h"

#include "fuzz.h"

struct reading {
	enum error_code code; /* why it was refused */
	size_t requests;      /* complete ones */
	size_t used;          /* bytes of complete heads and body parts */
	struct buf bodies;
};

static void reading_done(struct reading *r)
{
	buf_done(&r->bodies);
}

struct connection {
	struct reading *says;
	bool in_body;
	struct http_body body;
};

static bool refused(struct connection *c, const struct error *err)
{
	ASSERT(err->code != ERROR_NONE && err->text[0] != '\0');
	c->says->code = err->code;
	return false;
}

static bool read_head(struct connection *c, const char *p, size_t n)
{
	struct error err = ERROR_INIT;
	struct http_head head;
	ssize_t size = http_head_parse(&head, p, n, &err);

	if (size < 0)
		return refused(c, &err);
	if (size == 0)
		return false;
	ASSERT((size_t)size <= n && (size_t)size <= LIMIT_HTTP_HEAD);
	ASSERT(head.method.n > 0 && head.target.n > 0 && head.n_headers <= LIMIT_HTTP_HEADERS);
	c->says->used += (size_t)size;
	http_body_init(&c->body, &head);
	c->in_body = true;
	return true;
}

static bool read_body(struct connection *c, const char *p, size_t n)
{
	struct error err = ERROR_INIT;
	struct slice data;
	ssize_t used;

	if (c->body.done) {
		c->says->requests++;
		c->in_body = false;
		return true;
	}
	used = http_body_feed(&c->body, p, n, &data, &err);
	if (used < 0)
		return refused(c, &err);
	ASSERT((size_t)used <= n);
	ASSERT(data.n == 0 || (data.p >= p && data.p + data.n <= p + used));
	buf_add(&c->says->bodies, data);
	c->says->used += (size_t)used;
	return used > 0 || c->body.done;
}

static void read_all(struct connection *c, const uint8_t *bytes, size_t n)
{
	/* Memory of exactly this size, so that the sanitizer sees a read past the end. */
	AUTO_FREE char *copy = malloc(n > 0 ? n : 1);
	bool more = c->says->code == ERROR_NONE;

	AN(copy != NULL);
	if (n > 0)
		memcpy(copy, bytes, n);
	while (more) {
		const char *p = copy + c->says->used;
		size_t left = n - c->says->used;

		more = c->in_body ? read_body(c, p, left) : read_head(c, p, left);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP(reading_done) struct reading whole = {.bodies = BUF_INIT(MIB)};
	CLEANUP(reading_done) struct reading cut = {.bodies = BUF_INIT(MIB)};
	struct connection one = {.says = &whole}, two = {.says = &cut};
	unsigned seed;

	if (size == 0)
		return 0;
	seed = data[0];
	data++;
	size--;
	read_all(&one, data, size);
	for (size_t n = 0; n < size;) {
		size_t most = size / 16 + 1 + seed % 7;

		seed = seed * 1103515245 + 12345;
		n += 1 + (seed >> 16) % most;
		read_all(&two, data, n < size ? n : size);
	}
	ASSERT(whole.code == cut.code);
	ASSERT(whole.requests == cut.requests);
	ASSERT(whole.code != ERROR_NONE || whole.used == cut.used);
	ASSERT(whole.bodies.len >= cut.bodies.len || whole.code == ERROR_NONE);
	ASSERT(whole.code != ERROR_NONE ||
		slice_eq(buf_slice(&whole.bodies), buf_slice(&cut.bodies)));
	return 0;
}
