/* SPDX-License-Identifier: Apache-2.0 */
/* The first byte is the size that the range is of, the rest is the header. */
#include "http/uri.h"

#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint64_t first = 0, last = 0, total;
	AUTO_FREE char *copy = malloc(size > 0 ? size : 1);
	struct slice value;

	AN(copy != NULL);
	if (size == 0)
		return 0;
	memcpy(copy, data + 1, size - 1);
	value = (struct slice){copy, size - 1};
	total = data[0];
	if (http_range_parse(value, total, &first, &last) == HTTP_RANGE_OK)
		ASSERT(first <= last && last < total);
	if (http_content_range_parse(value, &first, &last))
		ASSERT(first <= last);
	return 0;
}
