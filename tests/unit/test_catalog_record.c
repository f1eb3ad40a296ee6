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
	assert_string_equal(r.changes[0].author->who, "anonymous"); /* as the record */
	assert_null(r.frozen.by);
	assert_string_equal(r.catalogs[0].repository, "gitops-squared/catalog");
	record_write(&r, &json);
	assert_string_equal(json.data, golden);
}

/* From its author to its parent, and the authors of its changes. */
static void authors_are_written_and_read_back(void **state UNUSED)
{
	static const char json[] =
		"{\"format\":1,\"version\":1764005082123456,\"when\":\"2025-11-24T17:24:42."
		"123456Z\","
		"\"who\":\"several\",\"from\":\"192.0.2.7\",\"layout\":\"single\",\"changes\":["
		"{\"op\":\"create\",\"namespace\":\"default\",\"name\":\"db\","
		"\"version\":\"v1764005082123455\",\"digest\":\"" D1 "\","
		"\"who\":\"token:ci\",\"from\":\"192.0.2.7\",\"why\":\"ticket 12\"},"
		"{\"op\":\"hold\",\"namespace\":\"default\",\"name\":\"web\","
		"\"version\":\"v1764005082123456\",\"digest\":\"" D2 "\",\"who\":\"gsq\"}],"
		"\"catalogs\":[],\"state\":\"" D2 "\"}";
	CLEANUP(buf_done) struct buf again = BUF_INIT(LIMIT_RECORD);
	CLEANUP(record_done) struct record r = {0};

	assert_int_equal(record_parse(&r, SLICE(json), &err), 0);
	assert_string_equal(r.who, RECORD_SEVERAL);
	assert_string_equal(r.from, "192.0.2.7");
	assert_null(r.why);
	assert_string_equal(r.changes[0].author->who, "token:ci");
	assert_string_equal(r.changes[0].author->why, "ticket 12");
	assert_null(r.changes[1].author->from);
	record_write(&r, &again);
	assert_string_equal(again.data, json);
}

/* The commit's author, and that of its one change. */
#define BY(own, of_change) \
	"{\"format\":1,\"version\":1764005082123456,\"when\":\"2025-11-24T17:24:42.123456Z\"," own \
	",\"layout\":\"single\",\"changes\":[{\"op\":\"create\",\"namespace\":\"default\"," \
	"\"name\":\"db\",\"version\":\"v1764005082123455\",\"digest\":\"" D1 "\"," of_change \
	"}],\"catalogs\":[],\"state\":\"" D2 "\"}"

/* Reports show them, each in its column. */
static void an_author_that_could_forge_a_report_is_refused(void **state UNUSED)
{
	static const char *const cases[] = {
		"\"who\":\"ci\\n2026-01-01T00:00:00Z  root\"",
		"\"who\":\"\\u001b[1A\"",
		"\"who\":\"ci\",\"from\":\"192.0.2.7  delete\"",
		"\"who\":\"ci\",\"from\":\"\\r\"",
		"\"who\":\"ci\",\"why\":\"a\\nb\"",
	};
	struct record r;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		AUTO_FREE char *own = str_printf(BY("%s", "\"who\":\"gsq\""), cases[i]);
		AUTO_FREE char *other = str_printf(BY("\"who\":\"gsq\"", "%s"), cases[i]);
		const char *both[] = {own, other};

		for (size_t j = 0; j < ARRAY_SIZE(both); j++) {
			assert_int_equal(record_parse(&r, slice_of(both[j]), &err), -1);
			assert_int_equal(err.code, ERROR_INTERNAL);
			assert_non_null(strstr(err.text, "the commit record is damaged: "));
		}
	}
	for (size_t n = LIMIT_SUBJECT; n <= LIMIT_SUBJECT + 1; n++) {
		char who[LIMIT_SUBJECT + 2] = "";
		AUTO_FREE char *json = NULL;

		memset(who, 'x', n);
		json = str_printf(BY("\"who\":\"%s\"", "\"who\":\"%s\""), who, who);
		assert_int_equal(
			record_parse(&r, slice_of(json), &err), n > LIMIT_SUBJECT ? -1 : 0);
		if (n <= LIMIT_SUBJECT)
			record_done(&r);
	}
}

/* Levels that are the last one again are not written. */
static void its_place_in_the_chain_and_keys_are_written_and_read_back(void **state UNUSED)
{
	static const char json[] =
		"{\"format\":1,\"version\":1764005082123456,\"when\":\"2025-11-24T17:24:42."
		"123456Z\",\"who\":\"token:ci\",\"parent\":\"" D1
		"\",\"height\":17,\"parentVersion\":1764005082123455,\"ancestors\":["
		"{\"version\":1764005082123000,\"digest\":\"" D2 "\"},"
		"{\"version\":1764005082000000,\"digest\":\"" D1 "\"}],"
		"\"layout\":\"single\",\"idempotency\":{\"key\":\"" D1 "\",\"request\":\"" D2
		"\",\"before\":[{\"key\":\"" D2 "\",\"request\":\"" D1
		"\",\"version\":1764005082123001,\"record\":\"" D2 "\"}]},\"keyed\":\"" D2
		"\",\"changes\":[],\"catalogs\":[],\"state\":\"" D2 "\"}";
	CLEANUP(buf_done) struct buf again = BUF_INIT(LIMIT_RECORD);
	CLEANUP(record_done) struct record r = {0};

	assert_int_equal(record_parse(&r, SLICE(json), &err), 0);
	assert_int_equal(r.ancestry.height, 17);
	assert_int_equal(r.ancestry.at[0].version, 1764005082123000);
	for (size_t i = 1; i < RECORD_LEVELS; i++)
		assert_int_equal(r.ancestry.at[i].version, 1764005082000000);
	assert_int_equal(r.n_keyed_before, 1);
	assert_int_equal(r.keyed_before[0].version, 1764005082123001);
	record_write(&r, &again);
	assert_string_equal(again.data, json);
}

static void a_place_in_the_chain_that_cannot_be_is_refused(void **state UNUSED)
{
	static const char *const cases[] = {
		"\"height\":-1",
		"\"height\":\"1\"",
		"\"height\":1",
		"\"height\":1,\"parentVersion\":5",
		"\"height\":1,\"parentVersion\":0,\"ancestors\":[{\"version\":1,\"digest\":\"" D1
		"\"}]",
		"\"height\":1,\"parentVersion\":5,\"ancestors\":[{\"version\":1}]",
		"\"height\":1,\"parentVersion\":5,\"ancestors\":[1,2,3,4,5,6]",
		"\"idempotency\":{}",
		"\"idempotency\":{\"key\":\"" D1 "\",\"request\":\"x\"}",
		"\"keyed\":\"x\"",
	};
	struct record r;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		AUTO_FREE char *own = str_printf("\"who\":\"gsq\",%s", cases[i]);
		AUTO_FREE char *json = str_printf(BY("%s", "\"who\":\"gsq\""), own);

		assert_int_equal(record_parse(&r, slice_of(json), &err), -1);
		assert_int_equal(err.code, ERROR_INTERNAL);
	}
}

static void a_tag_is_that_of_a_version(void **state UNUSED)
{
	static const char *const bad[] = {"", "c", "c0", "c01", "v1", "c1x", "c-1", "latest"};
	char tag[RECORD_TAG_SIZE];
	uint64_t version = 0;

	record_tag(1764005082123456, tag);
	assert_string_equal(tag, "c1764005082123456");
	assert_true(record_tag_parse(slice_of(tag), &version));
	assert_int_equal(version, 1764005082123456);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_false(record_tag_parse(slice_of(bad[i]), &version));
}

#define FROZEN(members) \
	"{\"format\":1,\"version\":1764005082123456,\"when\":\"2025-11-24T17:24:42.123456Z\"," \
	"\"who\":\"token:ops\",\"layout\":\"single\",\"frozen\":{" members \
	"},\"changes\":[],\"catalogs\":[],\"state\":\"" D2 "\"}"

static void a_freeze_is_written_and_read_back(void **state UNUSED)
{
	static const char json[] = FROZEN("\"who\":\"token:ops\",\"from\":\"192.0.2.9\","
					  "\"why\":\"migration\",\"since\":1764005082000000");
	CLEANUP(buf_done) struct buf again = BUF_INIT(LIMIT_RECORD);
	CLEANUP(record_done) struct record r = {0};

	assert_int_equal(record_parse(&r, SLICE(json), &err), 0);
	assert_string_equal(r.frozen.by->why, "migration");
	assert_int_equal(r.frozen.since, 1764005082000000);
	record_write(&r, &again);
	assert_string_equal(again.data, json);
}

static void a_freeze_without_who_or_why_is_refused(void **state UNUSED)
{
	static const char *const cases[] = {
		FROZEN("\"why\":\"migration\",\"since\":1"),
		FROZEN("\"who\":\"token:ops\",\"since\":1"),
		FROZEN("\"who\":\"token:ops\",\"why\":\"a\\nb\",\"since\":1"),
		FROZEN("\"who\":\"token:ops\",\"why\":\"migration\""),
		FROZEN("\"who\":\"token:ops\",\"why\":\"migration\",\"since\":0"),
		FROZEN("\"who\":7,\"why\":\"migration\",\"since\":1"),
	};
	struct record r;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(record_parse(&r, slice_of(cases[i]), &err), -1);
		assert_int_equal(err.code, ERROR_INTERNAL);
	}
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
		bool insecure, woken, accounts;
		const char *verify, *ca; /* NULL: none */
	} cases[] = {
		{SPLIT_START "\"catalogUrl\":\"http://api.gsq:5000\"," SPLIT_END, "api.gsq:5000/",
			"", true},
		{SPLIT_START "\"catalogUrl\":\"https://ghcr.io/"
			     "acme\",\"catalogSecret\":\"ghcr\"," SPLIT_END,
			"ghcr.io/acme/", "ghcr", false},
		{SPLIT_START SPLIT_END, "", "", false},
		{SPLIT_START
			"\"catalogUrl\":\"http://api.gsq:5000\",\"catalogsWoken\":true," SPLIT_END,
			"api.gsq:5000/", "", true, true},
		{SPLIT_START "\"catalogUrl\":\"https://api.gsq\",\"catalogAccounts\":true,"
			     "\"catalogVerify\":\"keys\",\"catalogCa\":\"authority\"," SPLIT_END,
			"api.gsq/", "", false, false, true, "keys", "authority"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		CLEANUP(buf_done) struct buf json = BUF_INIT(LIMIT_RECORD);
		CLEANUP(record_done) struct record r = {0};

		assert_int_equal(record_parse(&r, slice_of(cases[i].json), &err), 0);
		assert_string_equal(r.root.location, cases[i].location);
		assert_string_equal(r.root.secret, cases[i].secret);
		assert_int_equal(r.root.insecure, cases[i].insecure);
		assert_int_equal(r.root.woken, cases[i].woken);
		assert_int_equal(r.root.accounts, cases[i].accounts);
		assert_string_equal(r.root.verify, cases[i].verify == NULL ? "" : cases[i].verify);
		assert_string_equal(r.root.ca, cases[i].ca == NULL ? "" : cases[i].ca);
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
		SPLIT_START "\"catalogsWoken\":1," SPLIT_END,
		SPLIT_START "\"catalogAccounts\":1," SPLIT_END,
		SPLIT_START "\"catalogVerify\":\"a b\"," SPLIT_END,
		SPLIT_START "\"catalogCa\":1," SPLIT_END,
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

static void a_hold_and_a_release_are_written_and_read_back(void **state UNUSED)
{
	static const char *const ops[] = {[RECORD_HOLD] = "hold", [RECORD_RELEASE] = "release"};

	for (unsigned op = RECORD_HOLD; op <= RECORD_RELEASE; op++) {
		CLEANUP(buf_done) struct buf given = BUF_INIT(LIMIT_RECORD);
		CLEANUP(buf_done) struct buf json = BUF_INIT(LIMIT_RECORD);
		CLEANUP(record_done) struct record r = {0};
		const char *at = strstr(golden, "delete");

		buf_append(&given, golden, (size_t)(at - golden));
		buf_puts(&given, ops[op]);
		buf_puts(&given, at + strlen("delete"));
		assert_int_equal(record_parse(&r, buf_slice(&given), &err), 0);
		assert_int_equal(r.changes[0].op, op);
		record_write(&r, &json);
		assert_string_equal(json.data, given.data);
	}
}

static void a_repartition_that_is_under_way_is_written_and_read_back(void **state UNUSED)
{
	static const struct {
		const char *json;
		struct record_repartition repartition;
	} cases[] = {
		{"", {.step = RECORD_SETTLED}},
		{"\"repartition\":{\"step\":\"freeze\",\"layout\":\"split\","
		 "\"catalogsPerNamespace\":4},",
			{RECORD_FREEZE, {LAYOUT_SPLIT, 4}}},
		{"\"repartition\":{\"step\":\"switch\",\"layout\":\"single\"},",
			{RECORD_SWITCH, {LAYOUT_SINGLE, 1}}},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		CLEANUP(buf_done) struct buf given = BUF_INIT(LIMIT_RECORD);
		CLEANUP(buf_done) struct buf json = BUF_INIT(LIMIT_RECORD);
		CLEANUP(record_done) struct record r = {0};

		buf_printf(&given, SPLIT_START "%s" SPLIT_END, cases[i].json);
		assert_int_equal(record_parse(&r, buf_slice(&given), &err), 0);
		assert_int_equal(r.repartition.step, cases[i].repartition.step);
		assert_true(layout_eq(&r.repartition.other, &cases[i].repartition.other));
		assert_int_equal(r.layout.catalogs, 16);
		record_write(&r, &json);
		assert_string_equal(json.data, given.data);
	}
}

static void a_repartition_that_makes_no_sense_is_refused(void **state UNUSED)
{
	static const char *const cases[] = {"null", "[]", "\"freeze\"", "{}",
		"{\"step\":\"thaw\",\"layout\":\"single\"}", "{\"step\":1,\"layout\":\"single\"}",
		"{\"step\":\"\",\"layout\":\"single\"}", "{\"step\":\"freeze\"}",
		"{\"step\":\"switch\",\"layout\":\"split\"}",
		"{\"step\":\"switch\",\"layout\":\"split\",\"catalogsPerNamespace\":0}"};
	struct record r;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		CLEANUP(buf_done) struct buf json = BUF_INIT(LIMIT_RECORD);

		buf_printf(&json, SPLIT_START "\"repartition\":%s," SPLIT_END, cases[i]);
		assert_int_equal(record_parse(&r, buf_slice(&json), &err), -1);
		assert_int_equal(err.code, ERROR_INTERNAL);
	}
}

/* A switch to two digits from three, which names this repository. */
static int parse_step(const char *step, const char *repository)
{
	CLEANUP(buf_done) struct buf json = BUF_INIT(LIMIT_RECORD);
	CLEANUP(record_done) struct record r = {0};

	buf_printf(&json,
		SPLIT_START
		"\"repartition\":{\"step\":\"%s\",\"layout\":\"split\",\"catalogsPerNamespace\":"
		"101},\"changes\":[],\"catalogs\":[{\"repository\":\"%s\",\"digest\":\"" D1
		"\"}],\"state\":\"" D2 "\"}",
		step, repository);
	return record_parse(&r, buf_slice(&json), &err);
}

static void only_a_switch_may_name_catalogs_of_the_layout_before(void **state UNUSED)
{
	static const char before[] = "gitops-squared/catalogs/default/100";

	assert_int_equal(parse_step("switch", before), 0);
	assert_int_equal(parse_step("switch", "gitops-squared/catalogs/default/15"), 0);
	assert_int_equal(parse_step("switch", "gitops-squared/catalogs/default/101"), -1);
	assert_non_null(strstr(err.text, "default/101"));
	assert_int_equal(parse_step("freeze", before), -1);
	assert_non_null(strstr(err.text, before));
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
		cmocka_unit_test(authors_are_written_and_read_back),
		cmocka_unit_test(an_author_that_could_forge_a_report_is_refused),
		cmocka_unit_test(its_place_in_the_chain_and_keys_are_written_and_read_back),
		cmocka_unit_test(a_place_in_the_chain_that_cannot_be_is_refused),
		cmocka_unit_test(a_tag_is_that_of_a_version),
		cmocka_unit_test(a_freeze_is_written_and_read_back),
		cmocka_unit_test(a_freeze_without_who_or_why_is_refused),
		cmocka_unit_test(how_flux_reaches_the_catalogs_is_written_and_read_back),
		cmocka_unit_test(a_way_to_the_catalogs_that_flux_cannot_go_is_refused),
		cmocka_unit_test(a_record_of_a_newer_format_is_refused),
		cmocka_unit_test(a_damaged_record_is_refused),
		cmocka_unit_test(
			a_record_that_names_what_is_no_catalog_of_its_layout_is_refused_by_name),
		cmocka_unit_test(a_hold_and_a_release_are_written_and_read_back),
		cmocka_unit_test(a_repartition_that_is_under_way_is_written_and_read_back),
		cmocka_unit_test(a_repartition_that_makes_no_sense_is_refused),
		cmocka_unit_test(only_a_switch_may_name_catalogs_of_the_layout_before),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
