/* SPDX-License-Identifier: Apache-2.0 */
/* Request targets and header values: RFC 3986, RFC 9110, RFC 8288. Strict, bounded, no I/O. */
#ifndef HTTP_URI_H
#define HTTP_URI_H

#include "base/buf.h"

/* An absolute http or https URL, split; slices point into the text. */
struct http_url {
	bool https;
	struct slice host; /* without brackets of an IPv6 address */
	uint16_t port;     /* the scheme's own when none is given */
	struct slice path; /* from the first "/", without trailing ones; may be empty */
};
int http_url_parse(struct http_url *ret, const char *text, struct error *err) MUST_CHECK;

/* "host:port", ":port", "[::1]:port": for listening. host is "" for all addresses. */
int http_address_parse(const char *text, char *ret_host, size_t host_size, uint16_t *ret_port,
	struct error *err) MUST_CHECK;

/* Is it "localhost", or an address of 127.0.0.0/8, or ::1? Other names are not looked up. */
bool http_host_is_loopback(struct slice host);

/* Appends s with %XX decoded; '%' must be followed by two hex digits, and %00 is refused.
 * "+" stays "+". */
int http_decode(struct slice s, struct buf *ret, struct error *err) MUST_CHECK;
/* Appends s with everything but unreserved characters as %XX. */
void http_encode(struct slice s, struct buf *ret);

/* Query parameter by name, decoded into *ret; *ret_found is false where it is missing. A malformed
 * escape is -1 through err. First of several wins; the other visits each, cutting it off *query. */
int http_query_get(struct slice query, const char *name, bool *ret_found, struct buf *ret,
	struct error *err) MUST_CHECK;
int http_query_next(struct slice *query, const char *name, bool *ret_found, struct buf *ret,
	struct error *err) MUST_CHECK;
/* As http_query_get(), into a string of the caller's own; where it is missing, *ret stays. */
int http_query_take(struct slice query, const char *name, char **ret, struct error *err) MUST_CHECK;

/*
 * Range: bytes=... with one range (RFC 9110 section 14.1.2) over size bytes.
 * HTTP_RANGE_NONE: not a byte range or more than one, serve it all. HTTP_RANGE_UNSATISFIABLE: 416;
 * also for one that ends before it starts, which may be ignored or rejected (14.2).
 */
enum http_range { HTTP_RANGE_NONE, HTTP_RANGE_OK, HTTP_RANGE_UNSATISFIABLE };
enum http_range http_range_parse(
	struct slice value, uint64_t size, uint64_t *ret_first, uint64_t *ret_last);

/* Content-Range of an upload chunk as OCI writes it: "<first>-<last>", with or without "bytes ". */
bool http_content_range_parse(struct slice value, uint64_t *ret_first, uint64_t *ret_last);

/* One challenge of WWW-Authenticate (RFC 9110 section 11.6.1). */
struct http_challenge {
	bool basic;  /* a Basic challenge is among them */
	bool bearer; /* a Bearer challenge is among them: */
	char realm[1024];
	char service[256];
	char scope[1024];
};
int http_challenge_parse(
	struct http_challenge *ret, struct slice value, struct error *err) MUST_CHECK;

/* Target of the first link with rel=next in a Link header (RFC 8288), or SLICE_NONE. */
struct slice http_link_next(struct slice value);

#endif
