/* SPDX-License-Identifier: Apache-2.0 */
/* What a patch makes is an intent of the same name that can be written and read; the same patch
 * once more changes nothing (RFC 7396). */
#include "intent/document.h"
#include "intent/text.h"

#include "fuzz.h"

static int compare(struct intent *intent, const struct document_place *place UNUSED, void *arg,
	struct error *err UNUSED)
{
	ASSERT(intent_eq(intent, arg));
	return 0;
}

static void check_patched(
	const struct intent *old, struct intent *patched, struct slice patch, struct error *err)
{
	CLEANUP(intent_unrefp) struct intent *again = NULL;
	CLEANUP(buf_done) struct buf yaml = BUF_INIT(LIMIT_INTENT_YAML);
	CLEANUP(buf_done) struct buf diff = BUF_INIT(LIMIT_DIFF);
	struct document_options options = {.format = DOCUMENT_YAML, .max = 1};

	ASSERT(strcmp(old->name, patched->name) == 0);
	ASSERT(strcmp(old->namespace, patched->namespace) == 0);
	ASSERT(intent_patch(&again, patched, patch, err) == 0);
	ASSERT(intent_eq(patched, again));
	intent_write_yaml(patched, &yaml);
	ASSERT(document_read(buf_slice(&yaml), &options, compare, patched, err) == 0);
	intent_diff(old, patched, "old", "new", &diff);
	ASSERT(buf_check(&diff, err) == 0);
	ASSERT((diff.len == 0) == intent_eq(old, patched));
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
	static const char body[] =
		"{\"name\":\"web\",\"labels\":{\"team\":\"shop\",\"gitops-squared.io/protect\":"
		"\"true\"},\"spec\":{\"type\":\"vm\",\"size\":\"small\",\"region\":\"eu\","
		"\"replicas\":3}}";
	CLEANUP(intent_unrefp) struct intent *old = NULL, *patched = NULL;
	struct slice patch = {(const char *)data, size};
	struct error err = ERROR_INIT;

	ASSERT(intent_decode(&old, slice_of(body), "default", &err) == 0);
	if (intent_patch(&patched, old, patch, &err) == 0) {
		check_patched(old, patched, patch, &err);
		return 0;
	}
	ASSERT(patched == NULL && err.code == ERROR_INVALID && strlen(err.text) > 0);
	check_text(err.text);
	check_text(err.field);
	return 0;
}
