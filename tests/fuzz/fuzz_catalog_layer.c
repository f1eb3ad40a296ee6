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
	CLEANUP(buf_done) struct buf tar = BUF_INIT(LIMIT_CATALOG_TAR);
	CLEANUP(catalog_unrefp) struct catalog *c = NULL;
	struct slice input = {(const char *)data, size};
	struct error err = ERROR_INIT;
	struct gzip z;
	int rc;

	digest_setup();
	AZ(gzip_init(&z, &err));
	gzip_add(&z, input, &layer);
	gzip_done(&z);
	if (catalog_read(&c, buf_slice(&layer), &err) != 0)
		return 0;
	rc = catalog_layer(c, &again, &err);
	AZ(rc);
	rc = gzip_read(buf_slice(&again), &tar, &err);
	AZ(rc);
	ASSERT(slice_eq(input, buf_slice(&tar)));
	return 0;
}
