/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "base/buf.h"
#include "http/codec.h"

#include <stdio.h>

#define LINE "GET / HTTP/1.1\r\n"
#define HOST "Host: a\r\n"
#define POST "POST / HTTP/1.1\r\n" HOST

struct parsed {
	struct http_head head;
	struct error err;
	ssize_t size;
};

/* From memory of exactly that size, so that a read past the end is seen. */
static void parse_bytes(struct parsed *ret, const char *p, size_t n)
{
	static char *copy; /* the head of the last call points into it */

	free(copy);
	copy = malloc(n > 0 ? n : 1);
	assert_non_null(copy);
	memcpy(copy, p, n);
	ret->err = (struct error)ERROR_INIT;
	ret->size = http_head_parse(&ret->head, copy, n, &ret->err);
}

static void parse(struct parsed *ret, const char *text)
{
	parse_bytes(ret, text, strlen(text));
}

static void assert_code(const char *text, enum error_code code)
{
	struct parsed got;

	parse(&got, text);
	if (code == ERROR_NONE && got.size <= 0)
		fail_msg("not accepted (%s): %s", got.err.text, text);
	if (code != ERROR_NONE && (got.size != -1 || got.err.code != code))
		fail_msg("size %zd, code %d instead of %d: %s", got.size, (int)got.err.code,
			(int)code, text);
}

static void a_request_is_taken_apart(void **state UNUSED)
{
	static const char text[] = "POST /v2/a%20b/?x=1&y HTTP/1.1\r\nHost: example.com:8080\r\n"
				   "Content-Length: 12\r\nX-Empty:\r\nX-Spaces: \t a b \t\r\n\r\n";
	struct parsed got;

	parse_bytes(&got, text, sizeof(text) - 1);
	assert_int_equal(got.size, sizeof(text) - 1);
	assert_slice(got.head.method, "POST");
	assert_slice(got.head.target, "/v2/a%20b/?x=1&y");
	assert_int_equal(got.head.minor, 1);
	assert_int_equal(got.head.n_headers, 4);
	assert_slice(http_head_get(&got.head, "host"), "example.com:8080");
	assert_slice(http_head_get(&got.head, "x-empty"), "");
	assert_slice(http_head_get(&got.head, "X-SPACES"), "a b");
	assert_null(http_head_get(&got.head, "x-none").p);
	assert_int_equal(got.head.framing, HTTP_LENGTH);
	assert_int_equal(got.head.content_length, 12);
	assert_true(got.head.keep_alive);
	assert_false(got.head.expect_continue);
}

static void every_prefix_of_a_request_wants_more(void **state UNUSED)
{
	static const char text[] =
		"\r\nPUT /x?y HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n"
		"Expect: 100-continue\r\n\r\n";
	struct parsed got;

	for (size_t n = 0; n < sizeof(text) - 1; n++) {
		parse_bytes(&got, text, n);
		assert_int_equal(got.size, 0);
	}
	parse_bytes(&got, text, sizeof(text) - 1);
	assert_int_equal(got.size, sizeof(text) - 1);
	assert_int_equal(got.head.framing, HTTP_CHUNKED);
	assert_true(got.head.expect_continue);
}

static void what_follows_the_head_is_left_alone(void **state UNUSED)
{
	struct parsed got;

	parse(&got, LINE HOST "\r\nGET");
	assert_int_equal(got.size, strlen(LINE HOST "\r\n"));
}

static void a_moved_head_points_to_its_new_bytes(void **state UNUSED)
{
	char old[] = "GET /path HTTP/1.1\r\nHost: a\r\n\r\n", now[sizeof(old)];
	struct error err = ERROR_INIT;
	struct http_head head;

	assert_true(http_head_parse(&head, old, sizeof(old) - 1, &err) > 0);
	memcpy(now, old, sizeof(old));
	memset(old, 0, sizeof(old));
	http_head_rebase(&head, old, now);
	assert_slice(head.method, "GET");
	assert_slice(head.target, "/path");
	assert_slice(http_head_get(&head, "Host"), "a");
}

static void malformed_request_lines_are_refused(void **state UNUSED)
{
	static const char *const lines[] = {
		" GET / HTTP/1.1\r\n",
		"GET  / HTTP/1.1\r\n",
		"GET /  HTTP/1.1\r\n",
		"GET / HTTP/1.1 \r\n",
		"GET\t/ HTTP/1.1\r\n",
		"GET /\r\n",
		"GET / \r\n",
		"G@T / HTTP/1.1\r\n",
		"GET /a b HTTP/1.1\r\n",
		"GET /\xc3\xa9 HTTP/1.1\r\n",
		"GET /\x7f HTTP/1.1\r\n",
		"GET /\x01 HTTP/1.1\r\n",
		"GET x HTTP/1.1\r\n",
		"GET http://a/ HTTP/1.1\r\n",
		"GET * HTTP/1.1\r\n",
		"OPTIONS *x HTTP/1.1\r\n",
		"CONNECT a:443 HTTP/1.1\r\n",
		"CONNECT / HTTP/1.1\r\n",
		"GET / http/1.1\r\n",
		"GET / HTTP/11\r\n",
		"GET / HTTP/1.\r\n",
		"GET / HTTP/1.10\r\n",
		"GET / HTTP/x.1\r\n",
		"GET / HTTP/1.1\n",
		"GET / HTTP/1.1\r\r\n",
		"\nGET / HTTP/1.1\r\n",
		"\r\n\r\nGET / HTTP/1.1\r\n",
		"\rGET / HTTP/1.1\r\n",
	};

	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		char text[200];

		snprintf(text, sizeof(text), "%s" HOST "\r\n", lines[i]);
		assert_code(text, ERROR_INVALID);
	}
}

static void malformed_or_ambiguous_headers_are_refused(void **state UNUSED)
{
	static const char *const headers[] = {
		"Host : a\r\n",
		"Host\t: a\r\n",
		HOST " folded\r\n",
		HOST "\tfolded\r\n",
		" A: b\r\n" HOST,
		HOST "A: b\r\n folded\r\n",
		HOST ": empty\r\n",
		HOST "no colon\r\n",
		HOST "nocolon\r\n",
		HOST "A: b\n",
		HOST "A: b\rc\r\n",
		HOST "A: b\r\r\n",
		HOST "A: \x01\r\n",
		HOST "A: \x7f\r\n",
		HOST "A(: b\r\n",
		HOST "\xc3\xa9: b\r\n",
		HOST HOST,
		"A: b\r\n",
		"Host: a b\r\n",
		"Host: a, b\r\n",
		"Host: a/b\r\n",
		"Host: u@a\r\n",
		HOST "Content-Length: 5\r\nContent-Length: 5\r\n",
		HOST "Content-Length: 5\r\nContent-Length: 6\r\n",
		HOST "Content-Length: 5, 5\r\n",
		HOST "Content-Length: +5\r\n",
		HOST "Content-Length: -5\r\n",
		HOST "Content-Length: 5 5\r\n",
		HOST "Content-Length: 0x5\r\n",
		HOST "Content-Length:\r\n",
		HOST "Content-Length: 5a\r\n",
		HOST "Content-Length: 18446744073709551616\r\n",
		HOST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
		HOST "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
		HOST "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n",
		HOST "Transfer-Encoding: gzip, chunked\r\n",
		HOST "Transfer-Encoding: chunked, chunked\r\n",
		HOST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
		HOST "Transfer-Encoding: identity\r\n",
		HOST "Transfer-Encoding:\r\n",
		HOST "Transfer-Encoding: xchunked\r\n",
		HOST "Transfer-Encoding: \"chunked\"\r\n",
		HOST "Transfer-Encoding: chunked;a=b\r\n",
		HOST "Transfer-Encoding: \x0b"
		     "chunked\r\n",
	};

	for (size_t i = 0; i < ARRAY_SIZE(headers); i++) {
		char text[400];

		snprintf(text, sizeof(text), LINE "%s\r\n", headers[i]);
		assert_code(text, ERROR_INVALID);
	}
}

static void a_nul_is_refused_wherever_it_is(void **state UNUSED)
{
	static const char text[] = LINE "Host: a\r\nAb: cd\r\n\r\n";
	char bytes[sizeof(text)];
	struct parsed got;

	for (size_t i = 0; i < sizeof(text) - 1; i++) {
		memcpy(bytes, text, sizeof(text));
		bytes[i] = '\0';
		parse_bytes(&got, bytes, sizeof(text) - 1);
		assert_int_equal(got.size, -1);
		assert_int_equal(got.err.code, ERROR_INVALID);
	}
}

static void unusual_but_clear_requests_are_accepted(void **state UNUSED)
{
	static const char *const texts[] = {
		"\r\n" LINE HOST "\r\n",
		"OPTIONS * HTTP/1.1\r\n" HOST "\r\n",
		"OPTIONS /x HTTP/1.1\r\n" HOST "\r\n",
		"BREW /pot HTTP/1.1\r\n" HOST "\r\n",
		"GET / HTTP/1.0\r\n\r\n",
		"GET //x//..?a?b HTTP/1.1\r\n" HOST "\r\n",
		LINE "Host:\r\n\r\n",
		LINE "Host: [::1]:8080\r\n\r\n",
		LINE "hOST:a\r\n\r\n",
		LINE HOST "A: caf\xc3\xa9\r\n\r\n",
		LINE HOST "A: b\tc\r\n\r\n",
		POST "Transfer-Encoding: Chunked\r\n\r\n",
		POST "Content-Length: 18446744073709551615\r\n\r\n",
		POST "Content-Length: 00\r\n\r\n",
	};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		assert_code(texts[i], ERROR_NONE);
}

static void other_versions_and_expectations_have_their_own_status(void **state UNUSED)
{
	assert_code("GET / HTTP/2.0\r\n" HOST "\r\n", ERROR_HTTP_VERSION);
	assert_code("GET / HTTP/0.9\r\n" HOST "\r\n", ERROR_HTTP_VERSION);
	assert_code("GET / HTTP/1.2\r\n" HOST "\r\n", ERROR_HTTP_VERSION);
	assert_code(POST "Expect: a miracle\r\n\r\n", ERROR_EXPECTATION);
	assert_code("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", ERROR_INVALID);
}

static void connections_are_kept_as_the_version_and_the_header_say(void **state UNUSED)
{
	static const struct {
		const char *text;
		bool keep;
	} cases[] = {
		{LINE HOST "\r\n", true},
		{LINE HOST "Connection: close\r\n\r\n", false},
		{LINE HOST "Connection: x ,CLOSE\r\n\r\n", false},
		{LINE HOST "Connection: x\r\nConnection: close\r\n\r\n", false},
		{LINE HOST "Connection: closed\r\n\r\n", true},
		{"GET / HTTP/1.0\r\n\r\n", false},
		{"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", true},
		{"GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n", false},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct parsed got;

		parse(&got, cases[i].text);
		assert_true(got.size > 0);
		assert_int_equal(got.head.keep_alive, cases[i].keep);
	}
}

static void only_a_body_of_http_1_1_is_continued(void **state UNUSED)
{
	static const struct {
		const char *text;
		bool expects;
	} cases[] = {
		{POST "Content-Length: 1\r\nExpect: 100-Continue\r\n\r\n", true},
		{POST "Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n", true},
		{POST "Content-Length: 0\r\nExpect: 100-continue\r\n\r\n", false},
		{POST "Expect: 100-continue\r\n\r\n", false},
		{"POST / HTTP/1.0\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n", false},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct parsed got;

		parse(&got, cases[i].text);
		assert_true(got.size > 0);
		assert_int_equal(got.head.expect_continue, cases[i].expects);
	}
}

static void a_hundred_headers_are_accepted_and_one_more_is_not(void **state UNUSED)
{
	for (int n = LIMIT_HTTP_HEADERS; n <= LIMIT_HTTP_HEADERS + 1; n++) {
		CLEANUP(buf_done) struct buf text = BUF_INIT(LIMIT_HTTP_HEAD);

		buf_puts(&text, LINE HOST);
		for (int i = 1; i < n; i++)
			buf_puts(&text, "A: b\r\n");
		buf_puts(&text, "\r\n");
		assert_code(
			text.data, n == LIMIT_HTTP_HEADERS ? ERROR_NONE : ERROR_HEADERS_TOO_LARGE);
	}
}

static void the_size_of_a_head_is_limited_exactly(void **state UNUSED)
{
	for (size_t over = 0; over <= 1; over++) {
		CLEANUP(buf_done) struct buf text = BUF_INIT(2 * LIMIT_HTTP_HEAD);

		buf_puts(&text, LINE HOST "A: ");
		while (text.len < LIMIT_HTTP_HEAD + over - 4)
			buf_putc(&text, 'b');
		buf_puts(&text, "\r\n\r\n");
		assert_code(text.data, over == 0 ? ERROR_NONE : ERROR_HEADERS_TOO_LARGE);
	}
}

static void a_target_without_end_is_too_long(void **state UNUSED)
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(2 * LIMIT_HTTP_HEAD);

	buf_puts(&text, "GET /");
	while (text.len < LIMIT_HTTP_HEAD)
		buf_putc(&text, 'a');
	assert_code(text.data, ERROR_URI_TOO_LONG);
}

/* Feeds the text in pieces of `step` bytes; appends what comes out. Returns what was used up. */
static ssize_t decode(const char *head, const char *text, size_t step, struct buf *ret,
	bool *ret_done, struct error *err)
{
	size_t size = strlen(text), used = 0;
	struct parsed request;
	struct http_body body;

	parse(&request, head);
	assert_true(request.size > 0);
	http_body_init(&body, &request.head);
	for (size_t given = 0; given < size && !body.done;) {
		given = given + step < size ? given + step : size;
		while (used < given && !body.done) {
			struct slice data;
			ssize_t n = http_body_feed(&body, text + used, given - used, &data, err);

			if (n < 0)
				return -1;
			buf_add(ret, data);
			used += (size_t)n;
		}
	}
	*ret_done = body.done;
	return (ssize_t)used;
}

#define CHUNKED POST "Transfer-Encoding: chunked\r\n\r\n"

static void bodies_are_the_same_however_they_are_cut(void **state UNUSED)
{
	static const struct {
		const char *head, *text, *body;
		size_t used;
	} cases[] = {
		{POST "Content-Length: 5\r\n\r\n", "helloGET", "hello", 5},
		{POST "\r\n", "GET", "", 0},
		{CHUNKED, "5\r\nhello\r\n0\r\n\r\nGET", "hello", 15},
		{CHUNKED, "0\r\n\r\n", "", 5},
		{CHUNKED, "00a;x=\"y\";z\r\n0123456789\r\n1\r\n\n\r\n0;e\r\nA: b\r\nC:\r\n\r\nG",
			"0123456789\n", 48},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		for (size_t step = 1; step < 60; step++) {
			CLEANUP(buf_done) struct buf got = BUF_INIT(1000);
			struct error err = ERROR_INIT;
			bool done = false;
			ssize_t used =
				decode(cases[i].head, cases[i].text, step, &got, &done, &err);

			assert_int_equal(used, cases[i].used);
			assert_true(slice_eq(buf_slice(&got), slice_of(cases[i].body)));
			assert_true(done || cases[i].used == 0);
		}
}

static void malformed_chunks_are_refused(void **state UNUSED)
{
	static const char *const texts[] = {
		"x",
		"\r\n",
		";\r\n",
		" 5\r\n",
		"5 \r\n",
		"-5\r\n",
		"0x5\r\n",
		"5\nhello",
		"5;a\nhello",
		"5\rhello",
		"5\r\nhello0\r\n",
		"5\r\nhello\n0\r\n\r\n",
		"5\r\nhello\r0",
		"5;a\x01\r\n",
		"10000000000000000\r\n",
		"fffffffffffffffff\r\n",
		"0\r\n\n",
		"0\r\n\rx",
		"0\r\nA: b\n\r\n",
		"0\r\nA : b\r\n\r\n",
		"0\r\n: b\r\n\r\n",
		"0\r\nA\r\n\r\n",
		"0\r\n A: b\r\n\r\n",
		"0\r\nA: b\r\n c\r\n\r\n",
		"0\r\nA: \x01\r\n\r\n",
	};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		for (size_t step = 1; step < 20; step++) {
			CLEANUP(buf_done) struct buf got = BUF_INIT(1000);
			struct error err = ERROR_INIT;
			bool done;

			if (decode(CHUNKED, texts[i], step, &got, &done, &err) != -1)
				fail_msg("accepted: %s", texts[i]);
			assert_int_equal(err.code, ERROR_INVALID);
		}
}

static void repeated(struct buf *b, const char *before, size_t n, const char *after)
{
	buf_puts(b, before);
	for (size_t i = 0; i < n; i++)
		buf_putc(b, 'a');
	buf_puts(b, after);
}

static void chunk_lines_and_trailers_are_limited_exactly(void **state UNUSED)
{
	for (size_t over = 0; over <= 1; over++) {
		CLEANUP(buf_done) struct buf line = BUF_INIT(MIB), trailers = BUF_INIT(MIB);
		CLEANUP(buf_done) struct buf got = BUF_INIT(MIB);
		struct error err = ERROR_INIT;
		ssize_t wanted = over == 0 ? 0 : -1;
		bool done;

		repeated(&line, "1;", LIMIT_HTTP_CHUNK_LINE - 4 + over, "\r\nx\r\n0\r\n\r\n");
		repeated(&trailers, "0\r\nA:", LIMIT_HTTP_TRAILERS - 6 + over, "\r\n\r\n");
		assert_int_equal(
			decode(CHUNKED, line.data, 7, &got, &done, &err) < 0 ? -1 : 0, wanted);
		assert_int_equal(
			decode(CHUNKED, trailers.data, 7, &got, &done, &err) < 0 ? -1 : 0, wanted);
	}
}

static void statuses_have_their_reasons(void **state UNUSED)
{
	assert_string_equal(http_reason(200), "OK");
	assert_string_equal(http_reason(507), "Insufficient Storage");
	assert_string_equal(http_reason(299), "Unknown");
	assert_string_equal(http_reason(-1), "Unknown");
	assert_string_equal(http_reason(100000), "Unknown");
	for (int code = ERROR_NONE; code < ERROR_CODES_; code++)
		assert_string_not_equal(
			http_reason(error_status((enum error_code)code)), "Unknown");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_request_is_taken_apart),
		cmocka_unit_test(every_prefix_of_a_request_wants_more),
		cmocka_unit_test(what_follows_the_head_is_left_alone),
		cmocka_unit_test(a_moved_head_points_to_its_new_bytes),
		cmocka_unit_test(malformed_request_lines_are_refused),
		cmocka_unit_test(malformed_or_ambiguous_headers_are_refused),
		cmocka_unit_test(a_nul_is_refused_wherever_it_is),
		cmocka_unit_test(unusual_but_clear_requests_are_accepted),
		cmocka_unit_test(other_versions_and_expectations_have_their_own_status),
		cmocka_unit_test(connections_are_kept_as_the_version_and_the_header_say),
		cmocka_unit_test(only_a_body_of_http_1_1_is_continued),
		cmocka_unit_test(a_hundred_headers_are_accepted_and_one_more_is_not),
		cmocka_unit_test(the_size_of_a_head_is_limited_exactly),
		cmocka_unit_test(a_target_without_end_is_too_long),
		cmocka_unit_test(bodies_are_the_same_however_they_are_cut),
		cmocka_unit_test(malformed_chunks_are_refused),
		cmocka_unit_test(chunk_lines_and_trailers_are_limited_exactly),
		cmocka_unit_test(statuses_have_their_reasons),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
