/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP/1.1 messages: bytes to request heads and body data, nothing else (RFC 9112).
 *
 * Strict where leniency is how requests are smuggled: anything whose framing two implementations
 * could read differently is an error, after which the connection must be closed. No result depends
 * on how the bytes were cut into reads.
 */
#ifndef HTTP_CODEC_H
#define HTTP_CODEC_H

#include "base/error.h"
#include "base/limits.h"
#include "base/str.h"

#include <sys/types.h>

struct http_header {
	struct slice name;  /* as sent; compare with slice_eq_nocase */
	struct slice value; /* without surrounding white space */
};

enum http_framing { HTTP_NO_BODY, HTTP_LENGTH, HTTP_CHUNKED };

/* Slices point into the bytes that were parsed, which must outlive the head. */
struct http_head {
	struct slice method;
	struct slice target; /* origin-form, still percent-encoded, or "*" with OPTIONS */
	unsigned minor;      /* HTTP/1.minor: 0 or 1 */
	size_t n_headers;
	struct http_header headers[LIMIT_HTTP_HEADERS];
	enum http_framing framing;
	uint64_t content_length; /* with HTTP_LENGTH */
	bool keep_alive;
	bool expect_continue;
};

/*
 * Parses the request head at the start of the n bytes at p.
 * Returns its size when it is complete, 0 when more bytes are needed, -1 when it is refused:
 * ERROR_INVALID (400: malformed or ambiguous), ERROR_URI_TOO_LONG, ERROR_HEADERS_TOO_LARGE (over
 * LIMIT_HTTP_HEAD bytes or LIMIT_HTTP_HEADERS fields), ERROR_EXPECTATION,
 * ERROR_HTTP_VERSION. *ret means something only when the head is complete.
 */
ssize_t http_head_parse(struct http_head *ret, const char *p, size_t n, struct error *err);

/* The bytes have moved from old to now. */
void http_head_rebase(struct http_head *head, const char *old, const char *now);

/* The value of the first header of that name, or SLICE_NONE. */
struct slice http_head_get(const struct http_head *head, const char *name);

/* Body decoder for both framings. */
struct http_body {
	enum http_framing framing;
	int state;       /* of the chunked framing */
	uint64_t left;   /* bytes of this chunk or of the body still to come */
	size_t line_len; /* bytes of this chunk size line, or of the trailers, so far */
	bool done;
};

void http_body_init(struct http_body *body, const struct http_head *head);

/*
 * Decodes from the n bytes at p: *ret_data is the next run of body bytes inside p (n == 0: none
 * yet). Returns how many bytes of p are used up, to be called again with the rest; body->done says
 * that the body is complete (what follows is the next request). -1: malformed, ERROR_INVALID.
 */
ssize_t http_body_feed(
	struct http_body *body, const char *p, size_t n, struct slice *ret_data, struct error *err);

/* "OK" for 200; "Unknown" for what RFC 9110 does not list. */
const char *http_reason(int status);

#endif
