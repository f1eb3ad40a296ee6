/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "base/limits.h"
#include "catalog/record.h"

static struct error err;

#define D1 "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define D2 "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

static const char golden[] =
	"{\"format\":1,\"version\":1764005082123456,\"when\":\"2025-11-24T17:24:42.123456Z\","
	"\"who\":\"anonymous\",\"why\":\"init\",\"parent\":\"" D1
	"\",\"layout\":\"single\",\"changes\":["
	"{\"op\":\"delete\",\"namespace\":\"default\",\"name\":\"web\","
	"\"version\":\"v1764005082123456\",\"digest\":\"" D2 "\"}],"
	"\"catalogs\":[{\"repository\":\"gitops-squared/catalog\",\"digest\":\"" D1 "\"}],"
	"\"state\":\"" D2 "\"}";

static void a_record_is_written_as_documented_and_read_back(void **state UNUSED)
{
	CLEANUP(buf_done) struct buf json = BUF_INIT(LIMIT_RECORD);
	CLEANUP(record_done) struct record r = {0};

	assert_int_equal(record_parse(&r, SLICE(golden), &err), 0);
	assert_int_equal(r.version, 1764005082123456);
	assert_int_equal(r.n_changes, 1);
	assert_int_equal(r.changes[0].op, RECORD_DELETE);
	assert_string_equal(r.catalogs[0].repository, "gitops-squared/catalog");
	record_write(&r, &json);
	assert_string_equal(json.data, golden);
}

static void a_record_of_a_newer_format_is_refused(void **state UNUSED)
{
	struct record r;

	assert_int_equal(record_parse(&r, SLICE("{\"format\":2,\"anything\":[]}"), &err), -1);
	assert_int_equal(err.code, ERROR_UNAVAILABLE);
	assert_non_null(strstr(err.text, "newer gsq"));
}

/* Each replacement makes the golden record bad. */
static void a_damaged_record_is_refused(void **state UNUSED)
{
	static const struct {
		const char *from, *to;
	} cases[] = {
		{"\"format\":1", "\"format\":\"1\""},
		{"\"version\":1764005082123456", "\"version\":-1"},
		{"\"version\":\"v", "\"version\":\"x"},
		{"delete", "deleet"},
		{"\"name\":\"web\"", "\"name\":\"We\""},
		{"gitops-squared/catalog", "../catalog////////////"},
		{"\"layout\"", "\"layuot\""},
		{"\"who\"", "\"whom\""},
		{"\"format\":1", "\"format\":0"},
		{"\"state\"", "\"staet\""},
		{"aaaaaaaa\",\"lay", "aaaaaaa\",\"lay"},
		{"}]", "}"},
		{"\"changes\":[", "\"changes\":{"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		CLEANUP(buf_done) struct buf bad = BUF_INIT(LIMIT_RECORD);
		const char *at = strstr(golden, cases[i].from);
		struct record r;

		assert_non_null(at);
		buf_append(&bad, golden, (size_t)(at - golden));
		buf_puts(&bad, cases[i].to);
		buf_puts(&bad, at + strlen(cases[i].from));
		assert_int_equal(record_parse(&r, buf_slice(&bad), &err), -1);
		assert_int_equal(err.code, ERROR_INTERNAL);
	}
}

static int setup(void **state UNUSED)
{
	digest_setup();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_record_is_written_as_documented_and_read_back),
		cmocka_unit_test(a_record_of_a_newer_format_is_refused),
		cmocka_unit_test(a_damaged_record_is_refused),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
