/* SPDX-License-Identifier: Apache-2.0 */
/* The input is the tar inside a layer. One that is accepted is the one that we would write. */
#include "fuzz.h"

#include "base/limits.h"
#include "catalog/catalog.h"
#include "catalog/gzip.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP(buf_done) struct buf layer = BUF_INIT(LIMIT_CATALOG_LAYER);
	CLEANUP(buf_done) struct buf again = BUF_INIT(LIMIT_CATALOG_LAYER);
	CLEANUP(gzip_content_done)
	struct gzip_content content = {.bytes = BUF_INIT(LIMIT_CATALOG_TAR)};
	CLEANUP(gzip_done) struct gzip z = {0};
	CLEANUP(catalog_unrefp) struct catalog *c = NULL;
	struct slice input = {(const char *)data, size};
	struct error err = ERROR_INIT;
	int rc;

	digest_setup();
	gzip_add(&z, input, &layer);
	if (catalog_read(&c, buf_slice(&layer), &err) != 0)
		return 0;
	rc = catalog_layer(c, &z, &again, &err);
	AZ(rc);
	rc = gzip_read(&content, buf_slice(&again), &err);
	AZ(rc);
	ASSERT(slice_eq(input, buf_slice(&content.bytes)));
	return 0;
}
