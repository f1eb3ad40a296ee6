/* SPDX-License-Identifier: Apache-2.0 */
#include "http/uri.h"

#include "http/chars.h"

#include <arpa/inet.h>

/* ---- URLs and addresses ---- */

static bool parse_port(struct slice s, uint16_t *ret)
{
	uint64_t port;

	if (s.n > 5 || !slice_to_u64(s, &port) || port > UINT16_MAX)
		return false;
	*ret = (uint16_t)port;
	return true;
}

/* Splits "host", "host:port", "[v6]" or "[v6]:port"; *ret_port.p is NULL without a colon. */
static bool split_authority(struct slice s, struct slice *ret_host, struct slice *ret_port)
{
	if (s.n > 0 && s.p[0] == '[') {
		struct slice rest = {s.p + 1, s.n - 1};

		*ret_host = slice_cut(&rest, ']');
		if (rest.p == NULL || (rest.n > 0 && rest.p[0] != ':'))
			return false;
		*ret_port = rest.n > 0 ? (struct slice){rest.p + 1, rest.n - 1} : SLICE_NONE;
		return ret_host->n > 0;
	}
	*ret_host = slice_cut(&s, ':');
	*ret_port = s;
	return s.n == 0 || memchr(s.p, ':', s.n) == NULL;
}

static bool host_chars(struct slice host)
{
	for (size_t i = 0; i < host.n; i++)
		if (!http_char_is(host.p[i], CHAR_UNRESERVED) && host.p[i] != ':' &&
			host.p[i] != '%')
			return false;
	return true;
}

static bool path_chars(struct slice path)
{
	return http_chars_are(path, CHAR_TARGET) &&
	       (path.n == 0 || (memchr(path.p, '?', path.n) == NULL &&
				       memchr(path.p, '#', path.n) == NULL));
}

static bool cut_scheme(struct slice *rest, bool *ret_https)
{
	static const struct {
		struct slice prefix;
		bool https;
	} schemes[] = {{SLICE("http://"), false}, {SLICE("https://"), true}};

	for (size_t i = 0; i < ARRAY_SIZE(schemes); i++) {
		size_t n = schemes[i].prefix.n;

		if (rest->n < n || !slice_eq_nocase((struct slice){rest->p, n}, schemes[i].prefix))
			continue;
		*rest = (struct slice){rest->p + n, rest->n - n};
		*ret_https = schemes[i].https;
		return true;
	}
	return false;
}

int http_url_parse(struct http_url *ret, const char *text, struct error *err)
{
	struct slice rest = slice_of(text), authority, port;
	struct http_url url = {.path = SLICE_NONE};
	const char *slash;

	if (!cut_scheme(&rest, &url.https))
		return error_set(err, ERROR_INVALID,
			"the URL \"%.200s\" must start with http:// or https://", text);
	slash = memchr(rest.p, '/', rest.n);
	authority = (struct slice){rest.p, slash == NULL ? rest.n : (size_t)(slash - rest.p)};
	if (slash != NULL)
		url.path = (struct slice){slash, rest.n - authority.n};
	while (url.path.n > 0 && url.path.p[url.path.n - 1] == '/')
		url.path.n--;
	if (!split_authority(authority, &url.host, &port) || url.host.n == 0 ||
		!host_chars(url.host) || !path_chars(url.path))
		return error_set(err, ERROR_INVALID,
			"the URL \"%.200s\" must be a host with an optional port and path, "
			"without user, query or fragment",
			text);
	url.port = url.https ? 443 : 80;
	if (port.p != NULL && (!parse_port(port, &url.port) || url.port == 0))
		return error_set(err, ERROR_INVALID,
			"the port of the URL \"%.200s\" must be a number from 1 to 65535", text);
	*ret = url;
	return 0;
}

int http_address_parse(
	const char *text, char *ret_host, size_t host_size, uint16_t *ret_port, struct error *err)
{
	struct slice host, port_text;
	uint16_t port;

	if (!split_authority(slice_of(text), &host, &port_text) || port_text.p == NULL ||
		!parse_port(port_text, &port) || !host_chars(host))
		return error_set(err, ERROR_INVALID,
			"the address \"%.200s\" must be host:port or :port, with a port up to "
			"65535",
			text);
	if (host.n >= host_size)
		return error_set(
			err, ERROR_INVALID, "the host of the address \"%.200s\" is too long", text);
	memcpy(ret_host, host.p, host.n);
	ret_host[host.n] = '\0';
	*ret_port = port;
	return 0;
}

bool http_host_is_loopback(struct slice host)
{
	char text[INET6_ADDRSTRLEN];
	struct in6_addr six;
	struct in_addr four;

	if (slice_eq_nocase(host, SLICE("localhost")))
		return true;
	if (host.n >= sizeof(text) || memchr(host.p, '\0', host.n) != NULL)
		return false;
	memcpy(text, host.p, host.n);
	text[host.n] = '\0';
	if (inet_pton(AF_INET, text, &four) == 1)
		return ntohl(four.s_addr) >> 24 == IN_LOOPBACKNET;
	return inet_pton(AF_INET6, text, &six) == 1 && IN6_IS_ADDR_LOOPBACK(&six);
}

/* ---- percent-encoding ---- */

/* Takes one byte off *s, decoded; false for a malformed escape or %00. */
static bool take_decoded(struct slice *s, char *ret)
{
	size_t n = 1;
	char c = s->p[0];

	if (c == '%') {
		int high = s->n >= 3 ? http_hex_digit(s->p[1]) : -1;
		int low = s->n >= 3 ? http_hex_digit(s->p[2]) : -1;

		if (high < 0 || low < 0 || high + low == 0)
			return false;
		c = (char)(high << 4 | low);
		n = 3;
	}
	*s = (struct slice){s->p + n, s->n - n};
	*ret = c;
	return true;
}

static int bad_escape(struct error *err)
{
	return error_set(err, ERROR_INVALID,
		"the URL has a malformed escape: write \"%%\" and two hex digits, not %%00");
}

int http_decode(struct slice s, struct buf *ret, struct error *err)
{
	size_t old_len = ret->len;

	while (s.n > 0) {
		char c;

		if (!take_decoded(&s, &c)) {
			ret->len = old_len;
			return bad_escape(err);
		}
		buf_putc(ret, c);
	}
	return buf_check(ret, err);
}

void http_encode(struct slice s, struct buf *ret)
{
	static const char hex[] = "0123456789ABCDEF";

	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (http_char_is(s.p[i], CHAR_UNRESERVED))
			buf_putc(ret, s.p[i]);
		else
			buf_append(ret, (char[]){'%', hex[c >> 4], hex[c & 15]}, 3);
	}
}

/* Is s, decoded, that name? -1: it is malformed. */
static int decodes_to(struct slice s, const char *name, struct error *err)
{
	bool same = true;

	while (s.n > 0) {
		char c;

		if (!take_decoded(&s, &c))
			return bad_escape(err);
		same = same && *name != '\0' && c == *name++;
	}
	return same && *name == '\0';
}

int http_query_next(
	struct slice *query, const char *name, bool *ret_found, struct buf *ret, struct error *err)
{
	bool found = false;

	while (query->n > 0 && !found) {
		struct slice value = slice_cut(query, '&');
		struct slice key = slice_cut(&value, '=');
		int same = decodes_to(key, name, err);

		if (same < 0 || (same && http_decode(value, ret, err) != 0))
			return -1;
		found = same;
	}
	*ret_found = found;
	return 0;
}

int http_query_get(
	struct slice query, const char *name, bool *ret_found, struct buf *ret, struct error *err)
{
	return http_query_next(&query, name, ret_found, ret, err);
}

int http_query_take(struct slice query, const char *name, char **ret, struct error *err)
{
	CLEANUP(buf_done) struct buf value = BUF_INIT(LIMIT_HTTP_HEAD);
	bool found;

	if (http_query_get(query, name, &found, &value, err) != 0)
		return -1;
	if (!found)
		return 0;
	buf_puts(&value, ""); /* an empty value is not a missing one */
	if (buf_check(&value, err) != 0)
		return -1;
	*ret = buf_take(&value);
	return 0;
}
