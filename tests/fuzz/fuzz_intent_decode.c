/* SPDX-License-Identifier: Apache-2.0 */
/* What a POST may hold survives the way through YAML; what it may not has an error fit for JSON. */
#include "intent/manifest.h"
#include "intent/text.h"

#include "fuzz.h"

static void check_round_trip(const struct intent *i)
{
	CLEANUP(intent_unrefp) struct intent *back = NULL;
	CLEANUP(buf_done) struct buf yaml = BUF_INIT(LIMIT_INTENT_YAML);
	struct error err = ERROR_INIT;
	uint64_t version = 0;

	intent_render(i, 1764005082123456, &yaml);
	ASSERT(buf_check(&yaml, &err) == 0);
	ASSERT(intent_parse(&back, &version, buf_slice(&yaml), &err) == 0);
	ASSERT(version == 1764005082123456 && intent_eq(i, back));
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
	CLEANUP(intent_unrefp) struct intent *i = NULL;
	struct error err = ERROR_INIT;

	if (intent_decode(&i, (struct slice){(const char *)data, size}, "default", &err) == 0) {
		check_round_trip(i);
		return 0;
	}
	ASSERT(i == NULL && err.code == ERROR_INVALID && strlen(err.text) > 0);
	check_text(err.text);
	check_text(err.field);
	return 0;
}
