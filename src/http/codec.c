/* SPDX-License-Identifier: Apache-2.0 */
#include "http/codec.h"

#include "http/chars.h"

/* What a part of the parser says about the bytes that it was given. */
enum outcome { REFUSED = -1, MORE = 0, COMPLETE = 1 };

struct parser {
	const char *p;
	const char *end;
	struct http_head *head;
	struct error *err;
	bool in_target; /* the request line has come as far as the target */
	bool has_host, has_length, has_coding, has_authorization, has_close, has_keep_alive;
};

static enum outcome refuse(struct parser *in, const char *why)
{
	error_set(in->err, ERROR_INVALID, "%s", why);
	return REFUSED;
}

/* CR LF, both of them. */
static enum outcome line_end(struct parser *in)
{
	if (in->p == in->end)
		return MORE;
	if (*in->p == '\n')
		return refuse(in, "end each line of the request with CR LF, not with LF alone");
	if (*in->p != '\r')
		return refuse(
			in, "the request line or a header has a byte that is not allowed there");
	if (in->p + 1 == in->end)
		return MORE;
	if (in->p[1] != '\n')
		return refuse(in, "a CR in the request must be followed by LF");
	in->p += 2;
	return COMPLETE;
}

/* The bytes of one class up to the first of another, which must have come too. */
static enum outcome take(struct parser *in, unsigned class, struct slice *ret)
{
	const char *start = in->p;

	while (in->p < in->end && http_char_is(*in->p, class))
		in->p++;
	*ret = (struct slice){start, (size_t)(in->p - start)};
	return in->p == in->end ? MORE : COMPLETE;
}

/* ---- request line ---- */

static enum outcome method(struct parser *in)
{
	enum outcome got = take(in, CHAR_TOKEN, &in->head->method);

	if (got != COMPLETE)
		return got;
	if (*in->p != ' ' || in->head->method.n == 0)
		return refuse(in, "start the request with a method, one space and the path");
	if (slice_eq(in->head->method, SLICE("CONNECT")))
		return refuse(in, "CONNECT is not supported; this is not a proxy");
	in->p++;
	return COMPLETE;
}

static enum outcome target(struct parser *in)
{
	struct http_head *head = in->head;
	enum outcome got;

	in->in_target = true;
	got = take(in, CHAR_TARGET, &head->target);
	if (head->target.n > 0 && head->target.p[0] != '/' &&
		!(head->target.p[0] == '*' && slice_eq(head->method, SLICE("OPTIONS"))))
		return refuse(in, "the request target must be a path that starts with \"/\"");
	if (got != COMPLETE)
		return got;
	if (*in->p != ' ' || head->target.n == 0)
		return refuse(in, "the request target must be visible ASCII, percent-encoded where "
				  "needed, and be followed by one space and HTTP/1.1");
	if (head->target.p[0] == '*' && head->target.n != 1)
		return refuse(in, "the request target of OPTIONS must be \"*\" or a path");
	in->p++;
	return COMPLETE;
}

static enum outcome version(struct parser *in)
{
	static const char prefix[] = "HTTP/";
	const size_t n_prefix = sizeof(prefix) - 1, n_version = n_prefix + 3;
	size_t n = (size_t)(in->end - in->p);
	const char *v = in->p;

	if (memcmp(v, prefix, n < n_prefix ? n : n_prefix) != 0)
		return refuse(in, "end the request line with HTTP/1.1");
	if (n < n_version)
		return MORE;
	if (v[5] < '0' || v[5] > '9' || v[6] != '.' || v[7] < '0' || v[7] > '9')
		return refuse(in, "end the request line with HTTP/1.1");
	if (v[5] != '1' || v[7] > '1') {
		error_set(in->err, ERROR_HTTP_VERSION,
			"HTTP/%c.%c is not supported here; use HTTP/1.1", v[5], v[7]);
		return REFUSED;
	}
	in->head->minor = (unsigned)(v[7] - '0');
	in->p += n_version;
	return line_end(in);
}

static enum outcome request_line(struct parser *in)
{
	static enum outcome (*const parts[])(struct parser *) = {method, target, version};
	enum outcome got = COMPLETE;

	if (in->p < in->end && *in->p == '\r') /* a stray one after a body: RFC 9112 section 2.2 */
		got = line_end(in);
	for (size_t i = 0; i < ARRAY_SIZE(parts) && got == COMPLETE; i++)
		got = parts[i](in);
	return got;
}

/* ---- the fields that decide about framing, connection and who asks ---- */

static enum outcome host_field(struct parser *in, struct slice value)
{
	if (in->has_host)
		return refuse(in, "send one Host header, not several");
	if (!http_chars_are(value, CHAR_HOST))
		return refuse(in, "the Host header must be a host name with an optional port");
	in->has_host = true;
	return COMPLETE;
}

static enum outcome content_length_field(struct parser *in, struct slice value)
{
	if (in->has_length)
		return refuse(in, "send one Content-Length header, not several");
	if (!slice_to_u64(value, &in->head->content_length))
		return refuse(in, "Content-Length must be one number of decimal digits");
	in->has_length = true;
	return COMPLETE;
}

static enum outcome transfer_encoding_field(struct parser *in, struct slice value)
{
	if (in->has_coding || !slice_eq_nocase(value, SLICE("chunked")))
		return refuse(in, "Transfer-Encoding must be \"chunked\", once and alone");
	if (in->head->minor == 0)
		return refuse(in, "HTTP/1.0 has no Transfer-Encoding; use HTTP/1.1");
	in->has_coding = true;
	return COMPLETE;
}

/* A proxy that looks at the last one must not see another client than we do. */
static enum outcome authorization_field(struct parser *in, struct slice value UNUSED)
{
	if (in->has_authorization)
		return refuse(in, "send one Authorization header, not several");
	in->has_authorization = true;
	return COMPLETE;
}

static enum outcome connection_field(struct parser *in, struct slice value)
{
	while (value.p != NULL) {
		struct slice option = slice_trim(slice_cut(&value, ','));

		if (slice_eq_nocase(option, SLICE("close")))
			in->has_close = true;
		else if (slice_eq_nocase(option, SLICE("keep-alive")))
			in->has_keep_alive = true;
	}
	return COMPLETE;
}

static enum outcome expect_field(struct parser *in, struct slice value)
{
	if (!slice_eq_nocase(value, SLICE("100-continue"))) {
		error_set(in->err, ERROR_EXPECTATION,
			"the only Expect header understood here is 100-continue");
		return REFUSED;
	}
	in->head->expect_continue = in->head->minor == 1;
	return COMPLETE;
}

static enum outcome apply(struct parser *in, const struct http_header *field)
{
	static const struct {
		struct slice name;
		enum outcome (*apply)(struct parser *in, struct slice value);
	} known[] = {
		{SLICE("host"), host_field},
		{SLICE("content-length"), content_length_field},
		{SLICE("transfer-encoding"), transfer_encoding_field},
		{SLICE("authorization"), authorization_field},
		{SLICE("connection"), connection_field},
		{SLICE("expect"), expect_field},
	};

	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (slice_eq_nocase(field->name, known[i].name))
			return known[i].apply(in, field->value);
	return COMPLETE;
}

static enum outcome field_name(struct parser *in, struct slice *ret)
{
	enum outcome got = take(in, CHAR_TOKEN, ret);

	if (got != COMPLETE)
		return got;
	if (*in->p == ':' && ret->n > 0) {
		in->p++;
		return COMPLETE;
	}
	if (*in->p != ' ' && *in->p != '\t')
		return refuse(in, "each header line must be a name, a colon and a value");
	if (ret->n > 0)
		return refuse(
			in, "no white space is allowed between a header's name and its colon");
	return refuse(in, "a header must be on one line; it may not be folded");
}

static enum outcome field_line(struct parser *in)
{
	struct http_head *head = in->head;
	struct http_header field;
	enum outcome got = field_name(in, &field.name);

	if (got == COMPLETE)
		got = take(in, CHAR_VALUE, &field.value);
	if (got == COMPLETE)
		got = line_end(in);
	if (got != COMPLETE)
		return got;
	if (head->n_headers == LIMIT_HTTP_HEADERS) {
		error_set(in->err, ERROR_HEADERS_TOO_LARGE, "send at most %d headers",
			LIMIT_HTTP_HEADERS);
		return REFUSED;
	}
	field.value = slice_trim(field.value);
	head->headers[head->n_headers++] = field;
	return apply(in, &field);
}

static enum outcome field_lines(struct parser *in)
{
	enum outcome got = COMPLETE;

	while (got == COMPLETE) {
		if (in->p < in->end && (*in->p == '\r' || *in->p == '\n'))
			return line_end(in);
		got = field_line(in);
	}
	return got;
}

/* What can be said only when all fields are known. */
static enum outcome conclude(struct parser *in)
{
	struct http_head *head = in->head;

	if (head->minor == 1 && !in->has_host)
		return refuse(in, "HTTP/1.1 requests need a Host header");
	if (in->has_length && in->has_coding)
		return refuse(in, "send Content-Length or Transfer-Encoding, not both");
	if (in->has_coding)
		head->framing = HTTP_CHUNKED;
	else if (in->has_length && head->content_length > 0)
		head->framing = HTTP_LENGTH;
	head->keep_alive = !in->has_close && (head->minor == 1 || in->has_keep_alive);
	head->expect_continue = head->expect_continue && head->framing != HTTP_NO_BODY;
	return COMPLETE;
}

ssize_t http_head_parse(struct http_head *ret, const char *p, size_t n, struct error *err)
{
	bool full = n >= LIMIT_HTTP_HEAD;
	struct parser in = {
		.p = p, .end = p + (full ? LIMIT_HTTP_HEAD : n), .head = ret, .err = err};
	enum outcome got;

	ret->n_headers = 0;
	ret->framing = HTTP_NO_BODY;
	ret->content_length = 0;
	ret->expect_continue = false;
	got = request_line(&in);
	if (got == MORE && full && in.in_target)
		return error_set(err, ERROR_URI_TOO_LONG,
			"shorten the request target; request line and headers may have at most "
			"%zu bytes together",
			LIMIT_HTTP_HEAD);
	if (got == COMPLETE)
		got = field_lines(&in);
	if (got == MORE && full)
		return error_set(err, ERROR_HEADERS_TOO_LARGE,
			"shorten the headers; request line and headers may have at most %zu bytes "
			"together",
			LIMIT_HTTP_HEAD);
	if (got == COMPLETE)
		got = conclude(&in);
	return got == COMPLETE ? in.p - p : (ssize_t)got;
}

void http_head_rebase(struct http_head *head, const char *old, const char *now)
{
	head->method.p = now + (head->method.p - old);
	head->target.p = now + (head->target.p - old);
	for (size_t i = 0; i < head->n_headers; i++) {
		struct http_header *field = &head->headers[i];

		field->name.p = now + (field->name.p - old);
		field->value.p = now + (field->value.p - old);
	}
}

struct slice http_head_get(const struct http_head *head, const char *name)
{
	struct slice wanted = slice_of(name);

	for (size_t i = 0; i < head->n_headers; i++)
		if (slice_eq_nocase(head->headers[i].name, wanted))
			return head->headers[i].value;
	return SLICE_NONE;
}

/* ---- bodies ---- */

/* Where the chunked decoder is: what the next byte belongs to (RFC 9112 section 7.1). */
enum chunk_state {
	SIZE_FIRST,
	SIZE_MORE,
	EXTENSION,
	SIZE_LF,
	DATA,
	DATA_CR,
	DATA_LF,
	TRAILER_FIRST,
	TRAILER_NAME,
	TRAILER_VALUE,
	TRAILER_LF,
	LAST_LF,
};

void http_body_init(struct http_body *body, const struct http_head *head)
{
	*body = (struct http_body){
		.framing = head->framing,
		.state = head->framing == HTTP_CHUNKED ? SIZE_FIRST : DATA,
		.left = head->framing == HTTP_LENGTH ? head->content_length : 0,
		.done = head->framing == HTTP_NO_BODY,
	};
}

static int expect_byte(
	struct http_body *body, char c, char wanted, enum chunk_state next, struct error *err)
{
	if (c != wanted)
		return error_set(err, ERROR_INVALID,
			"the chunked body is malformed: CR LF is missing after a line or a chunk");
	body->state = (int)next;
	return 0;
}

static int size_digit(struct http_body *body, char c, struct error *err)
{
	int digit = http_hex_digit(c);

	if (digit < 0)
		return error_set(err, ERROR_INVALID,
			"the chunked body is malformed: a chunk must start with its size in hex");
	if (body->left > UINT64_MAX >> 4)
		return error_set(
			err, ERROR_INVALID, "the chunked body has a chunk that is too large");
	body->left = body->left << 4 | (uint64_t)digit;
	body->state = SIZE_MORE;
	return 0;
}

static int trailer_byte(struct http_body *body, char c, struct error *err)
{
	bool in_value = body->state == TRAILER_VALUE;

	if (http_char_is(c, in_value ? CHAR_VALUE : CHAR_TOKEN)) {
		body->state = in_value ? TRAILER_VALUE : TRAILER_NAME;
		return 0;
	}
	if (body->state == TRAILER_NAME && c == ':') {
		body->state = TRAILER_VALUE;
		return 0;
	}
	if (body->state == TRAILER_NAME)
		return error_set(err, ERROR_INVALID, "the chunked body has a malformed trailer");
	return expect_byte(body, c, '\r', in_value ? TRAILER_LF : LAST_LF, err);
}

/* Size line and trailers are bounded together with their line ends. */
static int count_byte(struct http_body *body, struct error *err)
{
	bool trailer = body->state >= TRAILER_FIRST;

	if (++body->line_len <= (trailer ? LIMIT_HTTP_TRAILERS : LIMIT_HTTP_CHUNK_LINE))
		return 0;
	return error_set(err, ERROR_INVALID, "the chunked body has %s that are too long",
		trailer ? "trailers" : "chunk extensions");
}

/* One byte that is not data. */
static int frame_byte(struct http_body *body, char c, struct error *err)
{
	if (count_byte(body, err) != 0)
		return -1;
	switch ((enum chunk_state)body->state) {
	case SIZE_FIRST:
		return size_digit(body, c, err);
	case SIZE_MORE:
		if (c == ';')
			body->state = EXTENSION;
		else if (c == '\r')
			body->state = SIZE_LF;
		else
			return size_digit(body, c, err);
		return 0;
	case EXTENSION:
		if (http_char_is(c, CHAR_VALUE))
			return 0;
		return expect_byte(body, c, '\r', SIZE_LF, err);
	case SIZE_LF:
		body->line_len = 0;
		return expect_byte(body, c, '\n', body->left > 0 ? DATA : TRAILER_FIRST, err);
	case DATA_CR:
		return expect_byte(body, c, '\r', DATA_LF, err);
	case DATA_LF:
		body->line_len = 0;
		return expect_byte(body, c, '\n', SIZE_FIRST, err);
	case TRAILER_FIRST:
	case TRAILER_NAME:
	case TRAILER_VALUE:
		return trailer_byte(body, c, err);
	case TRAILER_LF:
		return expect_byte(body, c, '\n', TRAILER_FIRST, err);
	case LAST_LF:
		body->done = c == '\n';
		return expect_byte(body, c, '\n', LAST_LF, err);
	case DATA:
		break;
	}
	assert_failed("a framing byte inside data", __FILE__, __LINE__);
}

ssize_t http_body_feed(
	struct http_body *body, const char *p, size_t n, struct slice *ret_data, struct error *err)
{
	size_t used = 0;

	*ret_data = SLICE_NONE;
	while (used < n && !body->done && body->state != DATA)
		if (frame_byte(body, p[used++], err) != 0)
			return -1;
	if (used == n || body->done)
		return (ssize_t)used;
	ret_data->p = p + used;
	ret_data->n = body->left < n - used ? (size_t)body->left : n - used;
	body->left -= ret_data->n;
	if (body->left == 0) {
		body->done = body->framing == HTTP_LENGTH;
		body->state = DATA_CR;
	}
	return (ssize_t)(used + ret_data->n);
}

/* ---- status ---- */

const char *http_reason(int status)
{
	static const char *const reasons[600] = {
		[100] = "Continue",
		[101] = "Switching Protocols",
		[200] = "OK",
		[201] = "Created",
		[202] = "Accepted",
		[203] = "Non-Authoritative Information",
		[204] = "No Content",
		[205] = "Reset Content",
		[206] = "Partial Content",
		[300] = "Multiple Choices",
		[301] = "Moved Permanently",
		[302] = "Found",
		[303] = "See Other",
		[304] = "Not Modified",
		[307] = "Temporary Redirect",
		[308] = "Permanent Redirect",
		[400] = "Bad Request",
		[401] = "Unauthorized",
		[402] = "Payment Required",
		[403] = "Forbidden",
		[404] = "Not Found",
		[405] = "Method Not Allowed",
		[406] = "Not Acceptable",
		[407] = "Proxy Authentication Required",
		[408] = "Request Timeout",
		[409] = "Conflict",
		[410] = "Gone",
		[411] = "Length Required",
		[412] = "Precondition Failed",
		[413] = "Content Too Large",
		[414] = "URI Too Long",
		[415] = "Unsupported Media Type",
		[416] = "Range Not Satisfiable",
		[417] = "Expectation Failed",
		[421] = "Misdirected Request",
		[422] = "Unprocessable Content",
		[426] = "Upgrade Required",
		[428] = "Precondition Required",
		[429] = "Too Many Requests",
		[431] = "Request Header Fields Too Large",
		[500] = "Internal Server Error",
		[501] = "Not Implemented",
		[502] = "Bad Gateway",
		[503] = "Service Unavailable",
		[504] = "Gateway Timeout",
		[505] = "HTTP Version Not Supported",
		[507] = "Insufficient Storage",
	};

	if (status < 0 || (size_t)status >= ARRAY_SIZE(reasons) || reasons[status] == NULL)
		return "Unknown";
	return reasons[status];
}
