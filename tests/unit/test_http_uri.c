/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "http/uri.h"

static void a_url_is_taken_apart(void **state UNUSED)
{
	static const struct {
		const char *text, *host, *path;
		uint16_t port;
		bool https;
	} cases[] = {
		{"http://localhost:5000", "localhost", "", 5000, false},
		{"https://ghcr.io/acme", "ghcr.io", "/acme", 443, true},
		{"HTTP://a.b/c/d//", "a.b", "/c/d", 80, false},
		{"https://[::1]:8443/", "::1", "", 8443, true},
		{"http://[::1]", "::1", "", 80, false},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct error err = ERROR_INIT;
		struct http_url url;

		assert_int_equal(http_url_parse(&url, cases[i].text, &err), 0);
		assert_true(slice_eq(url.host, slice_of(cases[i].host)));
		assert_true(slice_eq(url.path, slice_of(cases[i].path)));
		assert_int_equal(url.port, cases[i].port);
		assert_int_equal(url.https, cases[i].https);
	}
}

static void urls_that_are_not_plain_are_refused(void **state UNUSED)
{
	static const char *const texts[] = {
		"",
		"localhost:5000",
		"ftp://a",
		"http:/a",
		"http://",
		"http:///x",
		"http://u@a",
		"http://u:p@a",
		"http://a:0",
		"http://a:65536",
		"http://a:",
		"http://a:x",
		"http://a:1:2",
		"http://a?b",
		"http://a/b?c",
		"http://a/b#c",
		"http://a b",
		"http://a/b c",
		"http://[::1",
		"http://[::1]x",
		"http://[]",
		"http://\xc3\xa9",
	};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct error err = ERROR_INIT;
		struct http_url url;

		if (http_url_parse(&url, texts[i], &err) == 0)
			fail_msg("accepted: %s", texts[i]);
		assert_int_equal(err.code, ERROR_INVALID);
	}
}

static void an_address_is_a_host_and_a_port(void **state UNUSED)
{
	static const struct {
		const char *text, *host;
		uint16_t port;
	} good[] = {
		{":8080", "", 8080},
		{"127.0.0.1:0", "127.0.0.1", 0},
		{"[::1]:5000", "::1", 5000},
		{"localhost:65535", "localhost", 65535},
	};
	static const char *const bad[] = {"", "8080", "a", "a:", ":65536", ":-1", "::1:80", "[::1]",
		":http", "a b:1", "0123456789012345678901234567890123456789:1"};
	struct error err = ERROR_INIT;
	char host[32];
	uint16_t port;

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		assert_int_equal(
			http_address_parse(good[i].text, host, sizeof(host), &port, &err), 0);
		assert_string_equal(host, good[i].host);
		assert_int_equal(port, good[i].port);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		if (http_address_parse(bad[i], host, sizeof(host), &port, &err) == 0)
			fail_msg("accepted: %s", bad[i]);
}

static void loopback_is_an_address_and_not_how_a_name_begins(void **state UNUSED)
{
	static const char *const good[] = {
		"localhost", "LocalHost", "127.0.0.1", "127.255.255.254", "::1"};
	static const char *const bad[] = {"", "127.", "127.evil.example", "127.0.0.1.evil.example",
		"localhost.evil.example", "128.0.0.1", "0.0.0.0", "::", "::2", "127.0.0.1 ",
		"0123456789012345678901234567890123456789012345678901234567890123456789"};

	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		if (!http_host_is_loopback(slice_of(good[i])))
			fail_msg("not loopback: %s", good[i]);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		if (http_host_is_loopback(slice_of(bad[i])))
			fail_msg("loopback: %s", bad[i]);
	assert_false(http_host_is_loopback(SLICE("127.0.0.1\0evil")));
}

static void escapes_are_decoded_and_a_plus_stays(void **state UNUSED)
{
	CLEANUP(buf_done) struct buf b = BUF_INIT(100);
	struct error err = ERROR_INIT;

	buf_puts(&b, ">");
	assert_int_equal(http_decode(SLICE("a%2Fb%2f+%41%C3%A9"), &b, &err), 0);
	assert_string_equal(b.data, ">a/b/+A\xc3\xa9");
}

static void malformed_escapes_are_refused_and_leave_nothing(void **state UNUSED)
{
	static const char *const texts[] = {"a%", "a%4", "a%4g", "a%g4", "a%00b", "%%41"};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		CLEANUP(buf_done) struct buf b = BUF_INIT(100);
		struct error err = ERROR_INIT;

		assert_int_equal(http_decode(slice_of(texts[i]), &b, &err), -1);
		assert_int_equal(b.len, 0);
	}
}

static void what_is_encoded_decodes_to_itself(void **state UNUSED)
{
	CLEANUP(buf_done) struct buf encoded = BUF_INIT(1000), decoded = BUF_INIT(1000);
	struct error err = ERROR_INIT;
	char all[255];

	for (size_t i = 0; i < sizeof(all); i++)
		all[i] = (char)(i + 1);
	http_encode((struct slice){all, sizeof(all)}, &encoded);
	assert_null(strpbrk(encoded.data, " /?#&=+:\"<>"));
	assert_int_equal(http_decode(buf_slice(&encoded), &decoded, &err), 0);
	assert_int_equal(decoded.len, sizeof(all));
	assert_memory_equal(decoded.data, all, sizeof(all));
	buf_reset(&encoded);
	http_encode(SLICE("a-b.c_d~e/f:"), &encoded);
	assert_string_equal(encoded.data, "a-b.c_d~e%2Ff%3A");
}

static void query_parameters_are_found_by_name(void **state UNUSED)
{
	static const struct {
		const char *query, *value; /* NULL: not there */
		int result;
	} cases[] = {
		{"n=1", "1", 0},
		{"last=b&n=2&n=3", "2", 0},
		{"%6E=4", "4", 0},
		{"n=a%20b", "a b", 0},
		{"n=a=b", "a=b", 0},
		{"n", "", 0},
		{"n=&x", "", 0},
		{"nn=1&m=2", NULL, 0},
		{"", NULL, 0},
		{"&&", NULL, 0},
		{"n=%4", NULL, -1},
		{"%zz=1&n=2", NULL, -1},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		CLEANUP(buf_done) struct buf b = BUF_INIT(100);
		struct error err = ERROR_INIT;
		AUTO_FREE char *taken = NULL;
		bool found = false;

		assert_int_equal(http_query_get(slice_of(cases[i].query), "n", &found, &b, &err),
			cases[i].result);
		assert_int_equal(found, cases[i].value != NULL);
		if (found)
			assert_true(slice_eq(buf_slice(&b), slice_of(cases[i].value)));
		assert_int_equal(http_query_take(slice_of(cases[i].query), "n", &taken, &err),
			cases[i].result);
		if (found)
			assert_string_equal(taken, cases[i].value);
		else
			assert_null(taken);
	}
}

static void byte_ranges_follow_the_rfc(void **state UNUSED)
{
	static const struct {
		const char *text;
		uint64_t size;
		enum http_range result;
		uint64_t first, last;
	} cases[] = {
		{"bytes=0-99", 100, HTTP_RANGE_OK, 0, 99},
		{"bytes=0-0", 100, HTTP_RANGE_OK, 0, 0},
		{"Bytes=10-", 100, HTTP_RANGE_OK, 10, 99},
		{"bytes=10-1000", 100, HTTP_RANGE_OK, 10, 99},
		{"bytes=-5", 100, HTTP_RANGE_OK, 95, 99},
		{"bytes=-500", 100, HTTP_RANGE_OK, 0, 99},
		{"bytes= 1-2 ", 100, HTTP_RANGE_OK, 1, 2},
		{"bytes=1-99999999999999999999999", 100, HTTP_RANGE_OK, 1, 99},
		{"bytes=100-", 100, HTTP_RANGE_UNSATISFIABLE, 0, 0},
		{"bytes=99999999999999999999999-", 100, HTTP_RANGE_UNSATISFIABLE, 0, 0},
		{"bytes=-0", 100, HTTP_RANGE_UNSATISFIABLE, 0, 0},
		{"bytes=0-", 0, HTTP_RANGE_UNSATISFIABLE, 0, 0},
		{"bytes=-5", 0, HTTP_RANGE_NONE, 0, 0},
		{"bytes=5-4", 100, HTTP_RANGE_UNSATISFIABLE, 0, 0},
		{"bytes=-", 100, HTTP_RANGE_NONE, 0, 0},
		{"bytes=", 100, HTTP_RANGE_NONE, 0, 0},
		{"bytes=5", 100, HTTP_RANGE_NONE, 0, 0},
		{"bytes=a-b", 100, HTTP_RANGE_NONE, 0, 0},
		{"bytes=+1-2", 100, HTTP_RANGE_NONE, 0, 0},
		{"bytes=0-1,3-4", 100, HTTP_RANGE_NONE, 0, 0},
		{"bytes 0-1", 100, HTTP_RANGE_NONE, 0, 0},
		{"items=0-1", 100, HTTP_RANGE_NONE, 0, 0},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		uint64_t first = 0, last = 0;

		if (http_range_parse(slice_of(cases[i].text), cases[i].size, &first, &last) !=
				cases[i].result ||
			first != cases[i].first || last != cases[i].last)
			fail_msg("%s of %d", cases[i].text, (int)cases[i].size);
	}
}

static void upload_ranges_are_read_as_oci_writes_them(void **state UNUSED)
{
	static const char *const bad[] = {"", "-", "1-", "-1", "2-1", "1-2/3", "bytes=1-2", "a-b",
		"1-99999999999999999999999"};
	uint64_t first, last;

	assert_true(http_content_range_parse(SLICE("0-1023"), &first, &last));
	assert_int_equal(first, 0);
	assert_int_equal(last, 1023);
	assert_true(http_content_range_parse(SLICE("bytes 5-5"), &first, &last));
	assert_int_equal(first, 5);
	assert_int_equal(last, 5);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_false(http_content_range_parse(slice_of(bad[i]), &first, &last));
}

static void challenges_are_told_apart(void **state UNUSED)
{
	static const struct {
		const char *text;
		bool basic, bearer;
		const char *realm, *service, *scope;
	} cases[] = {
		{"Bearer realm=\"https://a/token\",service=\"r\",scope=\"repository:x:pull,push\"",
			false, true, "https://a/token", "r", "repository:x:pull,push"},
		{"bearer REALM=a , Scope = \"b\"", false, true, "a", "", "b"},
		{"Basic realm=\"x\"", true, false, "", "", ""},
		{"Basic realm=\"x\", Bearer realm=\"y\"", true, true, "y", "", ""},
		{"Bearer realm=\"y\", Basic realm=\"x\"", true, true, "y", "", ""},
		{"Bearer realm=\"y\", Bearer realm=\"z\",scope=\"s\"", false, true, "y", "", ""},
		{"Negotiate YWJj==, Basic", true, false, "", "", ""},
		{"Basic realm=\"Bearer realm=\\\"no\\\"\"", true, false, "", "", ""},
		{"Bearer realm=\"a\\\"b\\\\c\"", false, true, "a\"b\\c", "", ""},
		{", ,Basic,", true, false, "", "", ""},
		{"Bearer error=\"x\", realm=\"y\"", false, true, "y", "", ""},
		{"", false, false, "", "", ""},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct error err = ERROR_INIT;
		struct http_challenge c;

		assert_int_equal(http_challenge_parse(&c, slice_of(cases[i].text), &err), 0);
		assert_int_equal(c.basic, cases[i].basic);
		assert_int_equal(c.bearer, cases[i].bearer);
		assert_string_equal(c.realm, cases[i].realm);
		assert_string_equal(c.service, cases[i].service);
		assert_string_equal(c.scope, cases[i].scope);
	}
}

static void malformed_challenges_are_refused(void **state UNUSED)
{
	CLEANUP(buf_done) struct buf longest = BUF_INIT(10000);
	static const char *const texts[] = {"\"x\"", "Bearer realm=\"a", "Bearer realm=\"a\\",
		"Bearer realm=\"a\" \"b\"", "=", "Basic realm=\"a\"x", "Bearer realm=\"a\x01\""};
	struct error err = ERROR_INIT;
	struct http_challenge c;

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		if (http_challenge_parse(&c, slice_of(texts[i]), &err) == 0)
			fail_msg("accepted: %s", texts[i]);
	buf_puts(&longest, "Bearer service=");
	for (size_t i = 0; i < sizeof(c.service); i++)
		buf_putc(&longest, 'a');
	assert_int_equal(http_challenge_parse(&c, buf_slice(&longest), &err), -1);
	longest.len--;
	assert_int_equal(http_challenge_parse(&c, buf_slice(&longest), &err), 0);
	assert_int_equal(strlen(c.service), sizeof(c.service) - 1);
}

static void the_next_link_is_found(void **state UNUSED)
{
	static const struct {
		const char *text, *next;
	} cases[] = {
		{"</v2/_catalog?last=b&n=2>; rel=\"next\"", "/v2/_catalog?last=b&n=2"},
		{"<a>; rel=next", "a"},
		{"<a>; rel=prev, <b>; rel=next", "b"},
		{"<a>; rel=\"prev Next\"", "a"},
		{"<a>; title=\"x, <y>; rel=next\"; rel=up, <b>;rel=\"next\"", "b"},
		{"<a,b;c>; crossorigin; REL=next", "a,b;c"},
		{"<>; rel=next", ""},
		{"<a>; rel=prev", NULL},
		{"<a>", NULL},
		{"<a; rel=next", NULL},
		{"a; rel=next", NULL},
		{"<a>; rel=nextish", NULL},
		{"", NULL},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct slice next = http_link_next(slice_of(cases[i].text));

		assert_int_equal(next.p != NULL, cases[i].next != NULL);
		if (next.p != NULL)
			assert_true(slice_eq(next, slice_of(cases[i].next)));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_url_is_taken_apart),
		cmocka_unit_test(urls_that_are_not_plain_are_refused),
		cmocka_unit_test(an_address_is_a_host_and_a_port),
		cmocka_unit_test(loopback_is_an_address_and_not_how_a_name_begins),
		cmocka_unit_test(escapes_are_decoded_and_a_plus_stays),
		cmocka_unit_test(malformed_escapes_are_refused_and_leave_nothing),
		cmocka_unit_test(what_is_encoded_decodes_to_itself),
		cmocka_unit_test(query_parameters_are_found_by_name),
		cmocka_unit_test(byte_ranges_follow_the_rfc),
		cmocka_unit_test(upload_ranges_are_read_as_oci_writes_them),
		cmocka_unit_test(challenges_are_told_apart),
		cmocka_unit_test(malformed_challenges_are_refused),
		cmocka_unit_test(the_next_link_is_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
