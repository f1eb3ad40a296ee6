/* SPDX-License-Identifier: Apache-2.0 */
/* Label selectors: what is one holds or does not of any labels, and says the same each time. */
#include "fuzz.h"

#include "api/selector.h"

static struct intent *make(const char *json)
{
	struct error err = ERROR_INIT;
	struct intent *intent;

	AZ(intent_decode(&intent, slice_of(json), "default", &err));
	return intent;
}

static void check(struct slice text)
{
	CLEANUP(selector_freep) struct selector *s = NULL;
	CLEANUP(intent_unrefp)
	struct intent *plain =
		make("{\"name\":\"a\",\"spec\":{\"type\":\"vm\",\"size\":\"small\"}}");
	CLEANUP(intent_unrefp)
	struct intent *labelled = make("{\"name\":\"a\",\"labels\":{\"app\":\"web\",\"tier\":\"\"},"
				       "\"spec\":{\"type\":\"vm\","
				       "\"size\":\"small\"}}");
	struct error err = ERROR_INIT;

	if (selector_parse(&s, text, "selector", &err) != 0) {
		ASSERT(s == NULL && err.code == ERROR_INVALID && err.text[0] != '\0');
		ASSERT(strcmp(err.field, "selector") == 0);
		return;
	}
	ASSERT(selector_holds(s, plain) == selector_holds(s, plain));
	ASSERT(selector_holds(s, labelled) == selector_holds(s, labelled));
	ASSERT(text.n > 0 || selector_holds(s, plain));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO_FREE char *copy = malloc(size > 0 ? size : 1);

	AN(copy != NULL);
	if (size > 0)
		memcpy(copy, data, size);
	check((struct slice){copy, size});
	return 0;
}
