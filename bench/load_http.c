/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/load_http.h"

#include "base/file.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/uio.h>

#define BUFFER_SIZE (256 * KIB)
#define HEAD_SIZE 4096
#define TIMEOUT_S 120 /* without a byte */

struct conn {
	const struct target *target;
	int fd;
	SSL *tls;          /* NULL: without */
	size_t start, end; /* received and not read yet, in buffer */
	char buffer[BUFFER_SIZE];
};

/* What the head says about the body. */
struct framing {
	uint64_t length;
	bool has_length, chunked, closes;
};

int target_parse(struct target *ret, const char *url, struct error *err)
{
	struct slice rest = slice_of(url), host;
	bool secure = slice_starts(rest, SLICE("https://"));
	size_t n_scheme = strlen(secure ? "https://" : "http://");
	struct target target = *ret;
	uint64_t port;

	if (!secure && !slice_starts(rest, SLICE("http://")))
		return error_set(err, ERROR_INVALID, "%s must start with http:// or https://", url);
	rest.p += n_scheme;
	rest.n -= n_scheme;
	if (slice_ends(rest, SLICE("/")))
		rest.n--;
	snprintf(target.host, sizeof(target.host), "%.*s", SLICE_ARG(rest));
	host = slice_cut(&rest, ':');
	snprintf(target.ip, sizeof(target.ip), "%.*s", SLICE_ARG(host));
	if (inet_pton(AF_INET, target.ip, &target.address.sin_addr) != 1 ||
		!slice_to_u64(rest, &port) || port == 0 || port > UINT16_MAX)
		return error_set(err, ERROR_INVALID,
			"%s must be http://ADDRESS:PORT, with an IPv4 address", url);
	target.address.sin_family = AF_INET;
	target.address.sin_port = htons((uint16_t)port);
	if (secure && target.tls == NULL && tls_context_new(&target.tls, err) != 0)
		return -1;
	*ret = target;
	return 0;
}

int target_authorize(struct target *target, const char *token_file, struct error *err)
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(sizeof(target->authorization));
	struct slice rest, token;
	int n;

	if (file_read(token_file, &text, err) != 0)
		return -1;
	rest = buf_slice(&text);
	token = slice_trim(slice_cut(&rest, '\n'));
	n = snprintf(target->authorization, sizeof(target->authorization),
		"Authorization: Bearer %.*s\r\n", SLICE_ARG(token));
	if (token.n == 0 || n < 0 || (size_t)n >= sizeof(target->authorization))
		return error_set(err, ERROR_INVALID, "%s has no token", token_file);
	return 0;
}

void target_done(struct target *target)
{
	SSL_CTX_free(TAKE_PTR(target->tls));
}

int target_connect(const struct target *target, int *ret_fd, SSL **ret_tls, struct error *err)
{
	AUTO_CLOSE int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	const struct timeval timeout = {.tv_sec = TIMEOUT_S};
	const int on = 1;
	SSL *tls = NULL;

	if (fd < 0 ||
		connect(fd, (const struct sockaddr *)&target->address, sizeof(target->address)) !=
			0 ||
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) != 0 ||
		setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)) != 0)
		return error_set_errno(err, errno, "cannot connect to %s", target->host);
	if (target->tls != NULL && tls_connect(&tls, target->tls, fd, target->ip, err) != 0)
		return error_wrap(err, "%s", target->host);
	*ret_tls = tls;
	*ret_fd = fd;
	fd = -1;
	return 0;
}

int conn_new(struct conn **ret, const struct target *target, struct error *err)
{
	struct conn *c = malloc(sizeof(*c));

	if (c == NULL)
		return error_no_memory(err);
	c->target = target;
	c->fd = -1;
	c->tls = NULL;
	*ret = c;
	return 0;
}

static void conn_close(struct conn *c)
{
	SSL_free(TAKE_PTR(c->tls));
	closep(&c->fd);
	c->fd = -1;
	c->start = c->end = 0;
}

void conn_free(struct conn *c)
{
	if (c == NULL)
		return;
	conn_close(c);
	free(c);
}

int conn_open(struct conn *c, struct error *err)
{
	if (c->fd >= 0)
		return 0;
	c->start = c->end = 0;
	return target_connect(c->target, &c->fd, &c->tls, err);
}

/* ---- out ---- */

/* Forgets the first n bytes of what is to be sent. */
static void advance(struct iovec **parts, size_t *n_parts, size_t n)
{
	while (*n_parts > 0 && n >= (*parts)->iov_len) {
		n -= (*parts)->iov_len;
		(*parts)++;
		(*n_parts)--;
	}
	if (n == 0)
		return;
	(*parts)->iov_base = (char *)(*parts)->iov_base + n;
	(*parts)->iov_len -= n;
}

static int send_all_tls(SSL *tls, const struct iovec *parts, size_t n_parts, struct error *err)
{
	for (size_t i = 0; i < n_parts; i++)
		if (parts[i].iov_len > 0 && tls_send(tls, parts[i].iov_base, parts[i].iov_len) <= 0)
			return error_set_errno(err, errno, "cannot send");
	return 0;
}

static int send_all(struct conn *c, struct iovec *parts, size_t n_parts, struct error *err)
{
	if (c->tls != NULL)
		return send_all_tls(c->tls, parts, n_parts, err);
	while (n_parts > 0) {
		struct msghdr message = {.msg_iov = parts, .msg_iovlen = n_parts};
		ssize_t n = sendmsg(c->fd, &message, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return error_set_errno(err, errno, "cannot send");
		advance(&parts, &n_parts, (size_t)n);
	}
	return 0;
}

static struct iovec part_of(struct slice s)
{
	return (struct iovec){.iov_base = (void *)(uintptr_t)s.p, .iov_len = s.n};
}

static int send_request(struct conn *c, const struct request *r, struct error *err)
{
	char head[HEAD_SIZE], type[256] = "";
	size_t length = r->body[0].n + r->body[1].n;
	struct iovec parts[3];
	int n;

	if (r->content_type != NULL)
		snprintf(type, sizeof(type), "Content-Type: %s\r\n", r->content_type);
	n = snprintf(head, sizeof(head),
		"%s %s HTTP/1.1\r\nHost: %s\r\n%s%sContent-Length: %zu\r\n\r\n", r->method, r->path,
		c->target->host, c->target->authorization, type, length);
	if (n < 0 || (size_t)n >= sizeof(head))
		return error_set(err, ERROR_INVALID, "the request's head is too long");
	parts[0] = part_of((struct slice){head, (size_t)n});
	parts[1] = part_of(r->body[0]);
	parts[2] = part_of(r->body[1]);
	return send_all(c, parts, ARRAY_SIZE(parts), err);
}

/* ---- in ---- */

/* Receives more behind what is in the buffer. */
static int fill(struct conn *c, struct error *err)
{
	ssize_t n;

	if (c->start == c->end)
		c->start = c->end = 0;
	if (c->end == BUFFER_SIZE) {
		memmove(c->buffer, c->buffer + c->start, c->end - c->start);
		c->end -= c->start;
		c->start = 0;
	}
	if (c->end == BUFFER_SIZE)
		return error_set(err, ERROR_TOO_LARGE, "a line of the answer is too long");
	do {
		n = c->tls != NULL ? tls_receive(c->tls, c->buffer + c->end, BUFFER_SIZE - c->end)
				   : recv(c->fd, c->buffer + c->end, BUFFER_SIZE - c->end, 0);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return error_set_errno(err, errno, "cannot receive");
	if (n == 0)
		return error_set(err, ERROR_UNAVAILABLE, "the server has closed the connection");
	c->end += (size_t)n;
	return 0;
}

/* One line without its end; borrowed until the next read. */
static int read_line(struct conn *c, struct slice *ret, struct error *err)
{
	size_t seen = 0;

	for (;;) {
		const char *from = c->buffer + c->start;
		const char *lf = memchr(from + seen, '\n', c->end - c->start - seen);

		if (lf != NULL) {
			size_t n = (size_t)(lf - from);

			c->start += n + 1;
			*ret = (struct slice){from, n > 0 && from[n - 1] == '\r' ? n - 1 : n};
			return 0;
		}
		seen = c->end - c->start;
		if (fill(c, err) != 0)
			return -1;
	}
}

static int read_body(struct conn *c, uint64_t length, const struct request *r, struct answer *ret,
	struct error *err)
{
	while (length > 0) {
		size_t n;

		if (c->start == c->end && fill(c, err) != 0)
			return -1;
		n = c->end - c->start;
		if (n > length)
			n = (size_t)length;
		if (r->body_part != NULL)
			r->body_part(r->arg, (struct slice){c->buffer + c->start, n});
		c->start += n;
		ret->length += n;
		length -= n;
	}
	return 0;
}

static bool parse_hex(struct slice s, uint64_t *ret)
{
	uint64_t value = 0;

	if (s.n == 0 || s.n > 8)
		return false;
	for (size_t i = 0; i < s.n; i++) {
		const char *digits = "0123456789abcdef";
		const char *digit = s.p[i] == '\0' ? NULL : strchr(digits, s.p[i] | 0x20);

		if (digit == NULL)
			return false;
		value = value << 4 | (uint64_t)(digit - digits);
	}
	*ret = value;
	return true;
}

static int read_chunks(
	struct conn *c, const struct request *r, struct answer *ret, struct error *err)
{
	struct slice line;
	uint64_t size;

	do {
		if (read_line(c, &line, err) != 0)
			return -1;
		if (!parse_hex(slice_trim(slice_cut(&line, ';')), &size))
			return error_set(err, ERROR_INVALID, "a chunk of the answer has no size");
		/* After the last chunk this is the end of trailers that nobody sends. */
		if (read_body(c, size, r, ret, err) != 0 || read_line(c, &line, err) != 0)
			return -1;
		if (line.n != 0)
			return error_set(err, ERROR_INVALID, "a chunk of the answer has no end");
	} while (size > 0);
	return 0;
}

/* The path of a URI that is absolute or begins with its path. */
static int copy_path(char ret[ANSWER_HEADER_SIZE], struct slice uri, struct error *err)
{
	if (slice_starts(uri, SLICE("http://"))) {
		slice_cut(&uri, '/');
		slice_cut(&uri, '/');
		slice_cut(&uri, '/');
		uri.p--;
		uri.n++;
	}
	if (uri.n == 0 || uri.p[0] != '/' || uri.n >= ANSWER_HEADER_SIZE)
		return error_set(err, ERROR_INVALID, "cannot follow \"%.*s\"", SLICE_ARG(uri));
	memcpy(ret, uri.p, uri.n);
	ret[uri.n] = '\0';
	return 0;
}

/* </v2/_catalog?n=...>; rel="next" */
static int copy_link(char ret[ANSWER_HEADER_SIZE], struct slice value, struct error *err)
{
	slice_cut(&value, '<');
	if (value.p == NULL)
		return error_set(err, ERROR_INVALID, "the answer's Link has no <URI>");
	return copy_path(ret, slice_cut(&value, '>'), err);
}

static int read_field(struct slice line, struct answer *ret, struct framing *f, struct error *err)
{
	struct slice value = line;
	struct slice name = slice_cut(&value, ':');

	value = slice_trim(value);
	if (slice_eq_nocase(name, SLICE("content-length"))) {
		f->has_length = slice_to_u64(value, &f->length);
		return f->has_length
			       ? 0
			       : error_set(err, ERROR_INVALID, "the answer's length is no number");
	}
	if (slice_eq_nocase(name, SLICE("location")))
		return copy_path(ret->location, value, err);
	if (slice_eq_nocase(name, SLICE("link")))
		return copy_link(ret->next, value, err);
	if (slice_eq_nocase(name, SLICE("transfer-encoding")))
		f->chunked = slice_eq_nocase(value, SLICE("chunked"));
	if (slice_eq_nocase(name, SLICE("connection")))
		f->closes = slice_eq_nocase(value, SLICE("close"));
	return 0;
}

static int read_head(struct conn *c, struct answer *ret, struct framing *f, struct error *err)
{
	struct slice line;
	uint64_t status;

	if (read_line(c, &line, err) != 0)
		return -1;
	if (!slice_starts(line, SLICE("HTTP/1.1 ")) || line.n < 12 ||
		!slice_to_u64((struct slice){line.p + 9, 3}, &status))
		return error_set(
			err, ERROR_INVALID, "\"%.*s\" is no HTTP/1.1 status line", SLICE_ARG(line));
	ret->status = (int)status;
	for (;;) {
		if (read_line(c, &line, err) != 0)
			return -1;
		if (line.n == 0)
			return 0;
		if (read_field(line, ret, f, err) != 0)
			return -1;
	}
}

static int read_answer(
	struct conn *c, const struct request *r, struct answer *ret, struct error *err)
{
	struct framing f = {0};

	*ret = (struct answer){0};
	if (read_head(c, ret, &f, err) != 0)
		return -1;
	if (f.chunked ? read_chunks(c, r, ret, err) != 0 : read_body(c, f.length, r, ret, err) != 0)
		return -1;
	if (!f.chunked && !f.has_length && ret->status != 204)
		return error_set(err, ERROR_INVALID, "the answer has no length");
	if (f.closes)
		conn_close(c);
	return 0;
}

int conn_ask(struct conn *c, const struct request *r, struct answer *ret, struct error *err)
{
	if (conn_open(c, err) != 0)
		return -1;
	if (send_request(c, r, err) != 0 || read_answer(c, r, ret, err) != 0) {
		conn_close(c);
		return error_wrap(err, "%s %s", r->method, r->path);
	}
	if (ret->status != r->status)
		return error_set(err, ERROR_UNPROCESSABLE, "%s %s: the answer is %d in place of %d",
			r->method, r->path, ret->status, r->status);
	return 0;
}
