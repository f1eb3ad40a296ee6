/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "intent/draft.h"
#include "intent/manifest.h"

#include <stdio.h>

#define HEAD \
	"apiVersion: gitops-squared.io/v1alpha1\n" \
	"kind: PlatformResource\n" \
	"metadata:\n" \
	"  annotations:\n" \
	"    gitops-squared.io/pushed-at: \"2025-11-24T17:24:42.123456Z\"\n" \
	"    gitops-squared.io/version: v1764005082123456\n" \
	"    kustomize.toolkit.fluxcd.io/substitute: disabled\n" \
	"  labels:\n"
#define MANAGED_BY "    app.kubernetes.io/managed-by: gitops-squared\n"
#define NAMES \
	"  name: web-server\n" \
	"  namespace: default\n"
#define SPEC \
	"spec:\n" \
	"  replicas: 2\n" \
	"  size: small\n" \
	"  type: vm\n"
#define SMALLEST HEAD MANAGED_BY NAMES SPEC
/* Labels on both sides of ours; keys, values and a region that are quoted, escaped, not ASCII. */
#define LABELS \
	"    \"0x1f\": \"\"\n" MANAGED_BY "    app.kubernetes.io/name: web\n" \
	"    gitops-squared.io/protect: \"true\"\n" \
	"    zone: \"yes\"\n"
#define REGION "  region: \"eu \\\"central\\\" \\\\ ${HOME} # \xc3\xbc\xf0\x9f\x9a\x80\"\n"
#define FULL \
	HEAD LABELS NAMES "spec:\n" REGION "  replicas: 2\n" \
			  "  size: small\n" \
			  "  type: vm\n"
#define VERSION UINT64_C(1764005082123456)

static struct intent_draft smallest(void)
{
	return (struct intent_draft){
		.namespace = SLICE("default"),
		.name = SLICE("web-server"),
		.type = SLICE("vm"),
		.size = SLICE("small"),
		.replicas = 2,
	};
}

static void render(const struct intent_draft *draft, struct buf *ret)
{
	CLEANUP(intent_unrefp) struct intent *i = NULL;
	struct error err = ERROR_INIT;

	if (intent_new(&i, draft, &err) != 0)
		fail_msg("%s", err.text);
	intent_render(i, VERSION, ret);
	assert_int_equal(buf_check(ret, &err), 0);
}

static void the_bytes_of_a_manifest_are_fixed(void **state UNUSED)
{
	CLEANUP(buf_done) struct buf b = BUF_INIT(LIMIT_INTENT_YAML);
	struct intent_draft draft = smallest();

	render(&draft, &b);
	assert_string_equal(b.data, SMALLEST);
	buf_reset(&b);
	draft.region = SLICE("eu \"central\" \\ ${HOME} # \xc3\xbc\xf0\x9f\x9a\x80");
	draft.n_labels = 4;
	draft.labels[0] = (struct draft_label){SLICE("zone"), SLICE("yes")};
	draft.labels[1] = (struct draft_label){SLICE("0x1f"), SLICE("")};
	draft.labels[2] = (struct draft_label){SLICE("app.kubernetes.io/name"), SLICE("web")};
	draft.labels[3] = (struct draft_label){SLICE(INTENT_PROTECT_LABEL), SLICE("true")};
	render(&draft, &b);
	assert_string_equal(b.data, FULL);
}

static void strings_are_plain_only_when_no_reader_can_mistake_them(void **state UNUSED)
{
	static const struct {
		const char *region, *yaml;
	} cases[] = {
		{"", "\"\""},
		{"eu-central-1", "eu-central-1"},
		{"a.b_c/D-1", "a.b_c/D-1"},
		{"e1", "e1"},
		{"yesterday", "yesterday"},
		{"y", "\"y\""},
		{"N", "\"N\""},
		{"Yes", "\"Yes\""},
		{"no", "\"no\""},
		{"ON", "\"ON\""},
		{"oFf", "\"oFf\""},
		{"true", "\"true\""},
		{"False", "\"False\""},
		{"null", "\"null\""},
		{"NaN", "\"NaN\""},
		{"~", "\"~\""},
		{"0o7", "\"0o7\""},
		{"0x1F", "\"0x1F\""},
		{"1e3", "\"1e3\""},
		{"1_000", "\"1_000\""},
		{"12:30:45", "\"12:30:45\""},
		{"2026-11-24", "\"2026-11-24\""},
		{".inf", "\".inf\""},
		{"-1", "\"-1\""},
		{"+1", "\"+1\""},
		{"-", "\"-\""},
		{"---", "\"---\""},
		{"a: b", "\"a: b\""},
		{"a:", "\"a:\""},
		{"a #b", "\"a #b\""},
		{" a ", "\" a \""},
		{"=", "\"=\""},
		{"<<", "\"<<\""},
		{"*a", "\"*a\""},
		{"&a", "\"&a\""},
		{"!a", "\"!a\""},
		{"{a}", "\"{a}\""},
		{"'a'", "\"'a'\""},
		{"%a", "\"%a\""},
		{"@a", "\"@a\""},
		{"ü", "\"ü\""},
		{"\xc2\xa0", "\"\xc2\xa0\""},
		{"\xf0\x9f\x9a\x80", "\"\xf0\x9f\x9a\x80\""},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		CLEANUP(buf_done) struct buf b = BUF_INIT(LIMIT_INTENT_YAML);
		struct intent_draft draft = smallest();
		char line[64];

		draft.region = slice_of(cases[i].region);
		render(&draft, &b);
		snprintf(line, sizeof(line), "\n  region: %s\n", cases[i].yaml);
		if (strstr(b.data, line) == NULL)
			fail_msg("%s is not in:\n%s", line, b.data);
	}
}

static void what_was_rendered_is_parsed(void **state UNUSED)
{
	CLEANUP(intent_unrefp) struct intent *i = NULL;
	struct error err = ERROR_INIT;
	uint64_t version = 0;

	assert_int_equal(intent_parse(&i, &version, SLICE(SMALLEST), &err), 0);
	assert_int_equal(version, VERSION);
	assert_string_equal(i->namespace, "default");
	assert_string_equal(i->name, "web-server");
	assert_int_equal(i->type, INTENT_VM);
	assert_int_equal(i->size, INTENT_SMALL);
	assert_int_equal(i->replicas, 2);
	assert_null(i->region);
	assert_int_equal(i->n_labels, 0);
}

static void labels_and_region_are_parsed_without_quotes_and_escapes(void **state UNUSED)
{
	CLEANUP(intent_unrefp) struct intent *i = NULL;
	struct error err = ERROR_INIT;
	uint64_t version = 0;

	assert_int_equal(intent_parse(&i, &version, SLICE(FULL), &err), 0);
	assert_string_equal(i->region, "eu \"central\" \\ ${HOME} # \xc3\xbc\xf0\x9f\x9a\x80");
	assert_int_equal(i->n_labels, 4);
	assert_string_equal(i->labels[0].key, "0x1f");
	assert_string_equal(i->labels[0].value, "");
	assert_string_equal(i->labels[1].key, "app.kubernetes.io/name");
	assert_string_equal(i->labels[1].value, "web");
	assert_string_equal(i->labels[2].key, INTENT_PROTECT_LABEL);
	assert_true(intent_is_protected(i));
	assert_string_equal(i->labels[3].key, "zone");
	assert_string_equal(i->labels[3].value, "yes");
}

/* Accepted or not, with as many labels as n and the names k00, k01, ... */
static int parse_labels(size_t n, struct error *err)
{
	CLEANUP(buf_done) struct buf b = BUF_INIT(LIMIT_INTENT_YAML);
	CLEANUP(intent_unrefp) struct intent *i = NULL;
	uint64_t version;

	buf_puts(&b, HEAD MANAGED_BY);
	for (size_t k = 0; k < n; k++)
		buf_printf(&b, "    k%02zu: v%zu\n", k, k);
	buf_puts(&b, NAMES SPEC);
	return intent_parse(&i, &version, buf_slice(&b), err);
}

static void as_many_labels_as_a_post_may_have_are_parsed(void **state UNUSED)
{
	struct error err = ERROR_INIT;

	assert_int_equal(parse_labels(LIMIT_LABELS, &err), 0);
	assert_int_equal(parse_labels(LIMIT_LABELS + 1, &err), -1);
	assert_int_equal(err.code, ERROR_INVALID);
}

static int parse_region(const char *piece, size_t n, struct error *err)
{
	CLEANUP(buf_done) struct buf b = BUF_INIT(LIMIT_INTENT_YAML);
	CLEANUP(intent_unrefp) struct intent *i = NULL;
	uint64_t version;

	buf_puts(&b, HEAD MANAGED_BY NAMES "spec:\n  region: \"#");
	for (size_t k = 1; k < n; k++)
		buf_puts(&b, piece);
	buf_puts(&b, "\"\n  replicas: 2\n  size: small\n  type: vm\n");
	return intent_parse(&i, &version, buf_slice(&b), err);
}

static void a_region_may_be_as_long_as_in_a_post_escapes_not_counted(void **state UNUSED)
{
	static const char *const pieces[] = {"x", "\\\"", "\\\\"};

	for (size_t n = 0; n < ARRAY_SIZE(pieces); n++) {
		struct error err = ERROR_INIT;

		assert_int_equal(parse_region(pieces[n], LIMIT_REGION, &err), 0);
		assert_int_equal(parse_region(pieces[n], LIMIT_REGION + 1, &err), -1);
		assert_int_equal(err.code, ERROR_INVALID);
	}
}

static void anything_but_the_canonical_text_is_refused(void **state UNUSED)
{
	static const char *const texts[] = {
		"",
		"\n",
		"x",
		"[]",
		"{}",
		"# deleted: default/web-server",
		SMALLEST "\n",
		SMALLEST "# comment\n",
		SMALLEST "...\n",
		SMALLEST "---\n" SMALLEST,
		"---\n" SMALLEST,
		"%YAML 1.1\n---\n" SMALLEST,
		"\xef\xbb\xbf" SMALLEST,
		HEAD MANAGED_BY NAMES,
		HEAD NAMES SPEC,
		HEAD MANAGED_BY "    a: b\n    a: b\n" NAMES SPEC,
		HEAD MANAGED_BY "    b: b\n    b: a\n" NAMES SPEC,
		HEAD "    b: b\n" MANAGED_BY NAMES SPEC,
		HEAD MANAGED_BY "    gitops-squared.io/x: b\n" NAMES SPEC,
		HEAD MANAGED_BY "    gitops-squared.io/protect: true\n" NAMES SPEC,
		HEAD MANAGED_BY "    gitops-squared.io/protect: \"yes\"\n" NAMES SPEC,
		HEAD MANAGED_BY "    x: \"b\"\n" NAMES SPEC,
		HEAD MANAGED_BY "    x: 'b'\n" NAMES SPEC,
		HEAD MANAGED_BY "    x: yes\n" NAMES SPEC,
		HEAD MANAGED_BY "    x: !!str b\n" NAMES SPEC,
		HEAD MANAGED_BY "    x: &b b\n" NAMES SPEC,
		HEAD MANAGED_BY "    x: *b\n" NAMES SPEC,
		HEAD MANAGED_BY "    x: [b]\n" NAMES SPEC,
		HEAD MANAGED_BY "    ? {a: b}\n    : b\n" NAMES SPEC,
		HEAD MANAGED_BY "    x: {y: z}\n" NAMES SPEC,
		HEAD MANAGED_BY NAMES "  uid: x\n" SPEC,
		HEAD MANAGED_BY NAMES SPEC "  zone: x\n",
		HEAD MANAGED_BY NAMES SPEC "status:\n  x: y\n",
		HEAD MANAGED_BY NAMES "spec: {replicas: 2, size: small, type: vm}\n",
		HEAD MANAGED_BY NAMES "spec:\n  replicas: 11\n  size: small\n  type: vm\n",
		HEAD MANAGED_BY NAMES "spec:\n  replicas: 02\n  size: small\n  type: vm\n",
		HEAD MANAGED_BY NAMES "spec:\n  replicas: \"2\"\n  size: small\n  type: vm\n",
		HEAD MANAGED_BY NAMES "spec:\n  replicas:\n  size: small\n  type: vm\n",
		HEAD MANAGED_BY NAMES "spec:\n  size: small\n  replicas: 2\n  type: vm\n",
		HEAD MANAGED_BY NAMES "spec:\n  region: \"\\x41\"\n  replicas: 2\n  size: small\n"
				      "  type: vm\n",
		HEAD MANAGED_BY NAMES "spec:\n  region: \"\\L\"\n  replicas: 2\n  size: small\n"
				      "  type: vm\n",
		HEAD MANAGED_BY NAMES "spec:\n  region: \"a\\\n  replicas: 2\n  size: small\n"
				      "  type: vm\n",
		HEAD MANAGED_BY NAMES "spec:\n  region: a\\\n  replicas: 2\n  size: small\n"
				      "  type: vm\n",
		HEAD MANAGED_BY NAMES "spec:\n  region: \"a b\" \n  replicas: 2\n  size: small\n"
				      "  type: vm\n",
		HEAD MANAGED_BY NAMES "spec:\n  region: \"a b\n  replicas: 2\n  size: small\n"
				      "  type: vm\n",
		HEAD MANAGED_BY NAMES "spec:\n  region: a b\n  replicas: 2\n  size: small\n"
				      "  type: vm\n",
		HEAD MANAGED_BY NAMES
		"spec:\n  region:\n  replicas: 2\n  size: small\n  type: vm\n",
		HEAD MANAGED_BY NAMES "spec:\n  replicas: 2\n  size: small\n  type: vm",
		HEAD MANAGED_BY MANAGED_BY NAMES SPEC,
		HEAD MANAGED_BY "    \"x\": b\n" NAMES SPEC,
		HEAD MANAGED_BY "    x:b\n" NAMES SPEC,
		HEAD MANAGED_BY "    x:\n" NAMES SPEC,
		HEAD MANAGED_BY "    x\n" NAMES SPEC,
		HEAD MANAGED_BY NAMES "spec:\n  replicas: 2\r\n  size: small\n  type: vm\n",
	};

	for (size_t n = 0; n < ARRAY_SIZE(texts); n++) {
		struct error err = ERROR_INIT;
		struct intent *i = NULL;
		uint64_t version = 7;

		if (intent_parse(&i, &version, slice_of(texts[n]), &err) != -1)
			fail_msg("accepted:\n%s", texts[n]);
		assert_null(i);
		assert_int_equal(version, 7);
		assert_int_equal(err.code, ERROR_INVALID);
	}
}

static void every_shorter_text_is_refused(void **state UNUSED)
{
	for (size_t n = 0; n < sizeof(FULL) - 1; n++) {
		AUTO_FREE char *text =
			slice_dup((struct slice){FULL, n}); /* so that ASan sees its end */
		struct error err = ERROR_INIT;
		struct intent *i = NULL;
		uint64_t version;

		assert_int_equal(intent_parse(&i, &version, (struct slice){text, n}, &err), -1);
		assert_int_equal(err.code, ERROR_INVALID);
	}
}

/* Is it accepted? Then it must be the text of the intent that it was taken for. */
static bool is_taken_for_what_it_says(struct slice text)
{
	CLEANUP(buf_done) struct buf b = BUF_INIT(LIMIT_INTENT_YAML);
	CLEANUP(intent_unrefp) struct intent *i = NULL;
	struct error err = ERROR_INIT;
	uint64_t version;

	if (intent_parse(&i, &version, text, &err) != 0) {
		assert_int_equal(err.code, ERROR_INVALID);
		return false;
	}
	intent_render(i, version, &b);
	assert_true(slice_eq(buf_slice(&b), text));
	return true;
}

static void every_changed_byte_is_noticed(void **state UNUSED)
{
	static const char bytes[] = {
		0, '\n', ' ', '"', '\\', ':', '0', 'x', '\x7f', '\x80', '\xff'};
	size_t accepted = 0, refused = 0;

	for (size_t n = 0; n < sizeof(FULL) - 1; n++) {
		for (size_t k = 0; k <= sizeof(bytes); k++) {
			char text[] = FULL;

			text[n] = k < sizeof(bytes) ? bytes[k] : (char)(text[n] ^ 1);
			if (text[n] == FULL[n])
				continue;
			if (is_taken_for_what_it_says(SLICE(text)))
				accepted++;
			else
				refused++;
		}
	}
	/* Letters of names, values and the region may be others; all else may not. */
	assert_in_range(accepted, 100, refused / 5);
}

static void a_byte_more_or_less_is_noticed(void **state UNUSED)
{
	for (size_t n = 0; n < sizeof(FULL) - 1; n++) {
		char less[sizeof(FULL) - 2], more[sizeof(FULL)];

		memcpy(less, FULL, n);
		memcpy(less + n, &FULL[n + 1], sizeof(less) - n);
		is_taken_for_what_it_says((struct slice){less, sizeof(less)});
		memcpy(more, FULL, n);
		more[n] = FULL[n];
		memcpy(more + n + 1, &FULL[n], sizeof(FULL) - 1 - n);
		is_taken_for_what_it_says((struct slice){more, sizeof(more)});
	}
}

static void a_text_over_the_limit_is_refused(void **state UNUSED)
{
	CLEANUP(buf_done) struct buf b = BUF_INIT(LIMIT_INTENT_YAML + 1);
	struct error err = ERROR_INIT;
	struct intent *i = NULL;
	uint64_t version;

	while (b.len <= LIMIT_INTENT_YAML)
		buf_putc(&b, '[');
	assert_int_equal(intent_parse(&i, &version, buf_slice(&b), &err), -1);
	b.len--;
	assert_int_equal(intent_parse(&i, &version, buf_slice(&b), &err), -1);
	assert_int_equal(err.code, ERROR_INVALID);
}

static int parse_version(const char *pushed_at, const char *version, struct error *err)
{
	CLEANUP(intent_unrefp) struct intent *i = NULL;
	uint64_t ignored;
	char text[1024];

	snprintf(text, sizeof(text),
		"apiVersion: gitops-squared.io/v1alpha1\nkind: PlatformResource\nmetadata:\n"
		"  annotations:\n    gitops-squared.io/pushed-at: \"%s\"\n"
		"    gitops-squared.io/version: %s\n"
		"    kustomize.toolkit.fluxcd.io/substitute: disabled\n  labels:\n" MANAGED_BY NAMES
			SPEC,
		pushed_at, version);
	return intent_parse(&i, &ignored, slice_of(text), err);
}

static void versions_go_from_1970_to_9999(void **state UNUSED)
{
	struct error err = ERROR_INIT;

	assert_int_equal(parse_version("1970-01-01T00:00:00.000000Z", "v0", &err), 0);
	assert_int_equal(
		parse_version("9999-12-31T23:59:59.999999Z", "v253402300799999999", &err), 0);
	assert_int_equal(
		parse_version("10000-01-01T00:00:00.000000Z", "v253402300800000000", &err), -1);
	assert_int_equal(
		parse_version("1970-01-01T00:00:00.000000Z", "v18446744073709551616", &err), -1);
}

static void a_version_has_one_spelling_and_its_own_time(void **state UNUSED)
{
	static const char *const versions[] = {"", "v", "1", "v-1", "v+1", "v01", "\"v1\"", "V1"};
	struct error err = ERROR_INIT;

	assert_int_equal(parse_version("1970-01-01T00:00:00.000001Z", "v1", &err), 0);
	for (size_t n = 0; n < ARRAY_SIZE(versions); n++)
		assert_int_equal(
			parse_version("1970-01-01T00:00:00.000001Z", versions[n], &err), -1);
	assert_int_equal(parse_version("1970-01-01T00:00:00.000002Z", "v1", &err), -1);
}

/* ---- property: whatever is valid comes back equal, and as the same bytes ---- */

static uint64_t seed = 88172645463325252;

static uint32_t below(uint32_t n)
{
	seed ^= seed << 13; /* xorshift64, Marsaglia 2003 */
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (uint32_t)(seed >> 33) % n;
}

static const char *const hostile[] = {"y", "no", "true", "null", "0", "1e3", "0x1f", "0o17", "1.5",
	"2026-11-24", "nan", "e1", "on", "x", "a-b"};

/* A word of the characters given, or one that YAML readers stumble over. */
static void random_word(struct buf *b, const char *middle, const char *ends, uint32_t max)
{
	uint32_t n = 1 + below(max);

	if (below(4) == 0) {
		const char *word = hostile[below(ARRAY_SIZE(hostile))];

		buf_puts(b, strspn(word, middle) == strlen(word) ? word : "off");
		return;
	}
	for (uint32_t i = 0; i < n; i++) {
		const char *from = i == 0 || i == n - 1 ? ends : middle;

		buf_putc(b, from[below((uint32_t)strlen(from))]);
	}
}

static void random_character(struct buf *b)
{
	static const uint32_t limits[] = {0x7f, 0x80, 0x800, 0x3000, 0x10000, 0x110000};
	uint32_t c = below(limits[below(ARRAY_SIZE(limits))]);

	if (c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x2028 || c == 0x2029 || c == 0xfeff ||
		(c >= 0xd800 && c < 0xe000) || (c >= 0xfdd0 && c < 0xfdf0) ||
		(c & 0xfffe) == 0xfffe)
		c = (uint32_t) "\"\\ #:'-?"[below(8)];
	if (c < 0x80) {
		buf_putc(b, (char)c);
	} else if (c < 0x800) {
		buf_printf(b, "%c%c", 0xc0 | c >> 6, 0x80 | (c & 0x3f));
	} else if (c < 0x10000) {
		buf_printf(b, "%c%c%c", 0xe0 | c >> 12, 0x80 | (c >> 6 & 0x3f), 0x80 | (c & 0x3f));
	} else {
		buf_printf(b, "%c%c%c%c", 0xf0 | c >> 18, 0x80 | (c >> 12 & 0x3f),
			0x80 | (c >> 6 & 0x3f), 0x80 | (c & 0x3f));
	}
}

#define LOWER "abcdefghijklmnopqrstuvwxyz0123456789"
#define ANY LOWER "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

/* The strings of one random intent; the buffer never moves, as its room is made first. */
static struct slice random_string(struct buf *b, const char *kind)
{
	size_t start = b->len;

	if (strcmp(kind, "name") == 0) {
		random_word(b, LOWER "-", LOWER, LIMIT_NAME);
	} else if (strcmp(kind, "key") == 0) {
		if (below(2) == 0) {
			random_word(b, LOWER "-", LOWER, 100);
			buf_puts(b, ".x/");
		}
		random_word(b, ANY "-_.", ANY, LIMIT_LABEL_VALUE);
	} else if (strcmp(kind, "value") == 0) {
		if (below(5) > 0)
			random_word(b, ANY "-_.", ANY, LIMIT_LABEL_VALUE);
	} else {
		for (uint32_t n = below(65); n > 0; n--)
			random_character(b);
	}
	return (struct slice){b->data + start, b->len - start};
}

static bool has_label(const struct intent_draft *draft, struct slice key)
{
	for (size_t i = 0; i < draft->n_labels; i++) {
		if (slice_eq(draft->labels[i].key, key))
			return true;
	}
	return false;
}

static struct intent_draft random_draft(struct buf *strings)
{
	struct intent_draft draft = {
		.namespace = random_string(strings, "name"),
		.name = random_string(strings, "name"),
		.type = slice_of(intent_type_name((enum intent_type)below(INTENT_TYPES_))),
		.size = slice_of(intent_size_name((enum intent_size)below(INTENT_SIZES_))),
		.replicas = 1 + (int64_t)below(LIMIT_REPLICAS),
	};

	if (below(4) > 0)
		draft.region = random_string(strings, "region");
	for (uint32_t n = below(3) == 0 ? below(LIMIT_LABELS + 1) : below(4); n > 0; n--) {
		struct slice key = random_string(strings, "key");

		if (!has_label(&draft, key))
			draft.labels[draft.n_labels++] =
				(struct draft_label){key, random_string(strings, "value")};
	}
	return draft;
}

static void random_intents_come_back_equal_and_as_the_same_bytes(void **state UNUSED)
{
	for (int round = 0; round < 5000; round++) {
		CLEANUP(intent_unrefp) struct intent *i = NULL, *back = NULL;
		CLEANUP(buf_done) struct buf strings = BUF_INIT(MIB);
		CLEANUP(buf_done) struct buf yaml = BUF_INIT(LIMIT_INTENT_YAML);
		CLEANUP(buf_done) struct buf again = BUF_INIT(LIMIT_INTENT_YAML);
		uint64_t version = (uint64_t)below(UINT32_MAX) * 4194304, back_version = 0;
		struct error err = ERROR_INIT;
		struct intent_draft draft;

		assert_non_null(buf_room(&strings, 64 * KIB));
		draft = random_draft(&strings);
		if (intent_new(&i, &draft, &err) != 0)
			fail_msg("%s", err.text);
		intent_render(i, version, &yaml);
		if (intent_parse(&back, &back_version, buf_slice(&yaml), &err) != 0)
			fail_msg("%s:\n%s", err.text, yaml.data);
		assert_int_equal(back_version, version);
		assert_true(intent_eq(i, back));
		intent_render(back, version, &again);
		assert_string_equal(yaml.data, again.data);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_bytes_of_a_manifest_are_fixed),
		cmocka_unit_test(strings_are_plain_only_when_no_reader_can_mistake_them),
		cmocka_unit_test(what_was_rendered_is_parsed),
		cmocka_unit_test(labels_and_region_are_parsed_without_quotes_and_escapes),
		cmocka_unit_test(as_many_labels_as_a_post_may_have_are_parsed),
		cmocka_unit_test(a_region_may_be_as_long_as_in_a_post_escapes_not_counted),
		cmocka_unit_test(anything_but_the_canonical_text_is_refused),
		cmocka_unit_test(every_shorter_text_is_refused),
		cmocka_unit_test(every_changed_byte_is_noticed),
		cmocka_unit_test(a_byte_more_or_less_is_noticed),
		cmocka_unit_test(a_text_over_the_limit_is_refused),
		cmocka_unit_test(versions_go_from_1970_to_9999),
		cmocka_unit_test(a_version_has_one_spelling_and_its_own_time),
		cmocka_unit_test(random_intents_come_back_equal_and_as_the_same_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
