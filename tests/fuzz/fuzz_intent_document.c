/* SPDX-License-Identifier: Apache-2.0 */
/* What is taken out of a document, written and read again, is equal; what is not has an error fit
 * for JSON. */
#include "intent/document.h"
#include "intent/text.h"

#include "fuzz.h"

struct again {
	const struct intent *intent;
	size_t n;
};

static const struct document_options options_of[] = {
	{.format = DOCUMENT_JSON, .namespace = "default", .max = 50},
	{.format = DOCUMENT_YAML, .namespace = "default", .max = 50},
	{.format = DOCUMENT_YAML, .only = "default", .max = 50},
};

static int compare(struct intent *intent, const struct document_place *place, void *arg,
	struct error *err UNUSED)
{
	struct again *again = arg;

	ASSERT(place->index == 0 && place->line == 1);
	ASSERT(intent_eq(intent, again->intent));
	again->n++;
	return 0;
}

static int write_and_read(
	struct intent *intent, const struct document_place *place, void *arg, struct error *err)
{
	CLEANUP(buf_done) struct buf yaml = BUF_INIT(LIMIT_INTENT_YAML);
	struct document_options options = {.format = DOCUMENT_YAML, .max = 1};
	struct again again = {.intent = intent};
	size_t *n = arg;

	ASSERT(place->index == (*n)++);
	intent_write_yaml(intent, &yaml);
	ASSERT(buf_check(&yaml, err) == 0);
	ASSERT(document_read(buf_slice(&yaml), &options, compare, &again, err) == 0);
	ASSERT(again.n == 1);
	return 0;
}

static void check_text(const char *cstr)
{
	struct slice rest = slice_of(cstr);
	uint32_t c;

	while (utf8_next(&rest, &c))
		ASSERT(intent_char_ok(c));
	ASSERT(rest.n == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice text = {(const char *)data, size};

	for (size_t i = 0; i < ARRAY_SIZE(options_of); i++) {
		struct error err = ERROR_INIT;
		size_t n = 0;

		if (document_read(text, &options_of[i], write_and_read, &n, &err) == 0)
			continue;
		ASSERT(err.code == ERROR_INVALID || err.code == ERROR_TOO_LARGE);
		ASSERT(strlen(err.text) > 0);
		check_text(err.text);
		check_text(err.field);
	}
	return 0;
}
