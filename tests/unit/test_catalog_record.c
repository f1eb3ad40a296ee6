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

/* From the layout to the catalogs. */
#define SPLIT_START \
	"{\"format\":1,\"version\":1764005082123456,\"when\":\"2025-11-24T17:24:42.123456Z\"," \
	"\"who\":\"anonymous\",\"layout\":\"split\",\"catalogsPerNamespace\":16,"
#define SPLIT_END "\"changes\":[],\"catalogs\":[],\"state\":\"" D2 "\"}"

static void how_flux_reaches_the_catalogs_is_written_and_read_back(void **state UNUSED)
{
	static const struct {
		const char *json, *location, *secret;
		bool insecure;
	} cases[] = {
		{SPLIT_START "\"catalogUrl\":\"http://api.gsq:5000\"," SPLIT_END, "api.gsq:5000/",
			"", true},
		{SPLIT_START "\"catalogUrl\":\"https://ghcr.io/"
			     "acme\",\"catalogSecret\":\"ghcr\"," SPLIT_END,
			"ghcr.io/acme/", "ghcr", false},
		{SPLIT_START SPLIT_END, "", "", false},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		CLEANUP(buf_done) struct buf json = BUF_INIT(LIMIT_RECORD);
		CLEANUP(record_done) struct record r = {0};

		assert_int_equal(record_parse(&r, slice_of(cases[i].json), &err), 0);
		assert_string_equal(r.root.location, cases[i].location);
		assert_string_equal(r.root.secret, cases[i].secret);
		assert_int_equal(r.root.insecure, cases[i].insecure);
		record_write(&r, &json);
		assert_string_equal(json.data, cases[i].json);
	}
}

static void a_way_to_the_catalogs_that_flux_cannot_go_is_refused(void **state UNUSED)
{
	static const char *const cases[] = {
		SPLIT_START "\"catalogUrl\":\"ftp://api.gsq\"," SPLIT_END,
		SPLIT_START "\"catalogUrl\":\"\"," SPLIT_END,
		SPLIT_START "\"catalogUrl\":null," SPLIT_END,
		SPLIT_START "\"catalogSecret\":\"a b\"," SPLIT_END,
		SPLIT_START "\"catalogSecret\":1," SPLIT_END,
	};
	struct record r;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(record_parse(&r, slice_of(cases[i]), &err), -1);
		assert_int_equal(err.code, ERROR_INTERNAL);
		assert_non_null(strstr(err.text, "of the catalogs"));
	}
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
		{"gitops-squared/catalog", "gitops-squared/commits"},
		{"gitops-squared/catalog", "gitops-squared/catalogs/default/00"},
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

/* A record that names these two repositories, in a layout of 16 catalogs for each namespace. */
static int parse_split(const char *first, const char *second)
{
	CLEANUP(buf_done) struct buf json = BUF_INIT(LIMIT_RECORD);
	CLEANUP(record_done) struct record r = {0};

	buf_printf(&json,
		"{\"format\":1,\"version\":1,\"who\":\"anonymous\",\"layout\":\"split\","
		"\"catalogsPerNamespace\":16,\"changes\":[],\"catalogs\":["
		"{\"repository\":\"%s\",\"digest\":\"" D1 "\"},"
		"{\"repository\":\"%s\",\"digest\":\"" D1 "\"}],\"state\":\"" D2 "\"}",
		first, second);
	return record_parse(&r, buf_slice(&json), &err);
}

static void a_record_that_names_what_is_no_catalog_of_its_layout_is_refused_by_name(
	void **state UNUSED)
{
	static const char *const others[] = {"gitops-squared/catalogs/default/16",
		"gitops-squared/catalogs/default/7", "gitops-squared/resources/default/web",
		"gitops-squared/commits", "somebody/elses"};

	assert_int_equal(
		parse_split("gitops-squared/catalogs/default/07", "gitops-squared/catalog"), 0);
	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		assert_int_equal(parse_split("gitops-squared/catalog", others[i]), -1);
		assert_int_equal(err.code, ERROR_INTERNAL);
		assert_non_null(strstr(err.text, others[i]));
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
		cmocka_unit_test(how_flux_reaches_the_catalogs_is_written_and_read_back),
		cmocka_unit_test(a_way_to_the_catalogs_that_flux_cannot_go_is_refused),
		cmocka_unit_test(a_record_of_a_newer_format_is_refused),
		cmocka_unit_test(a_damaged_record_is_refused),
		cmocka_unit_test(
			a_record_that_names_what_is_no_catalog_of_its_layout_is_refused_by_name),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
