/* SPDX-License-Identifier: Apache-2.0 */
/* Repository, tag, digest and the address of a registry: what is accepted has one meaning. */
#include "oci/digest.h"
#include "oci/reference.h"

#include <stdio.h>

#include "fuzz.h"

static void check_digest(struct slice text)
{
	struct error err = ERROR_INIT;
	char formatted[DIGEST_TEXT_SIZE];
	struct digest d;

	if (digest_parse(&d, text, &err) == 0)
		ASSERT(slice_eq(text, slice_of(digest_format(&d, formatted))));
	else
		ASSERT(err.code == ERROR_INVALID);
}

/* What was made of the address is an address again, of the same place. */
static void check_location(const char *text)
{
	struct registry_location a, b;
	struct error err = ERROR_INIT;
	char again[sizeof(a.base) + sizeof(a.prefix) + 1];
	struct slice prefix;

	if (registry_location_parse(&a, text, &err) != 0) {
		ASSERT(err.code == ERROR_INVALID);
		return;
	}
	prefix = slice_of(a.prefix);
	ASSERT(prefix.n == 0 || oci_repository_ok((struct slice){prefix.p, prefix.n - 1}));
	ASSERT(slice_ends(slice_of(a.base), slice_of(a.host)));
	snprintf(again, sizeof(again), "%s/%s", a.base, a.prefix);
	ASSERT(registry_location_parse(&b, again, &err) == 0);
	ASSERT(strcmp(a.base, b.base) == 0 && strcmp(a.host, b.host) == 0 &&
		strcmp(a.prefix, b.prefix) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice text = {(const char *)data, size};
	AUTO_FREE char *cstr = slice_dup(text);

	AN(cstr);
	if (oci_repository_ok(text))
		ASSERT(size > 0 && size <= LIMIT_REPOSITORY && memchr(data, 0, size) == NULL);
	if (oci_tag_ok(text))
		ASSERT(size > 0 && size <= LIMIT_TAG && memchr(data, '/', size) == NULL);
	check_digest(text);
	check_location(cstr);
	return 0;
}
