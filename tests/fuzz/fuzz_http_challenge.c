/* SPDX-License-Identifier: Apache-2.0 */
/* Headers that a remote registry sends: WWW-Authenticate and Link. */
#include "http/uri.h"

#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO_FREE char *copy = malloc(size > 0 ? size : 1);
	struct slice value = {copy, size}, next;
	struct error err = ERROR_INIT;
	struct http_challenge c;

	AN(copy != NULL);
	if (size > 0)
		memcpy(copy, data, size);
	if (http_challenge_parse(&c, value, &err) == 0)
		ASSERT(c.bearer || (c.realm[0] == '\0' && c.scope[0] == '\0'));
	else
		ASSERT(err.code == ERROR_INVALID && err.text[0] != '\0');
	next = http_link_next(value);
	ASSERT(next.p == NULL || (next.p > copy && next.p + next.n < copy + size));
	return 0;
}
