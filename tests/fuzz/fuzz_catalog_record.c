/* SPDX-License-Identifier: Apache-2.0 */
/* A record that is accepted is written again to one that reads the same. */
#include "fuzz.h"

#include "catalog/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP(record_done) struct record first = {0};
	CLEANUP(record_done) struct record second = {0};
	CLEANUP(buf_done) struct buf a = BUF_INIT(2 * LIMIT_RECORD);
	CLEANUP(buf_done) struct buf b = BUF_INIT(2 * LIMIT_RECORD);
	struct error err = ERROR_INIT;
	int rc;

	digest_setup();
	if (record_parse(&first, (struct slice){(const char *)data, size}, &err) != 0)
		return 0;
	record_write(&first, &a);
	rc = record_parse(&second, buf_slice(&a), &err);
	AZ(rc);
	record_write(&second, &b);
	ASSERT(slice_eq(buf_slice(&a), buf_slice(&b)));
	return 0;
}
