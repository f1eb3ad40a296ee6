/* SPDX-License-Identifier: Apache-2.0 */
/* A manifest that is accepted is rendered to the same bytes. */
#include "intent/manifest.h"

#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP(intent_unrefp) struct intent *i = NULL;
	CLEANUP(buf_done) struct buf again = BUF_INIT(LIMIT_INTENT_YAML);
	struct slice yaml = {(const char *)data, size};
	struct error err = ERROR_INIT;
	uint64_t version = 0;

	if (intent_parse(&i, &version, yaml, &err) != 0) {
		ASSERT(i == NULL && err.code == ERROR_INVALID);
		return 0;
	}
	intent_render(i, version, &again);
	ASSERT(slice_eq(buf_slice(&again), yaml));
	return 0;
}
