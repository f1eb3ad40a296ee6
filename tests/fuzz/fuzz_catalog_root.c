/* SPDX-License-Identifier: Apache-2.0 */
/* The input is the tar inside a layer. The places that are read from one are in order, and a root
 * that is written of them reads the same. Catalogs of an older layout may be among them, and are
 * left out. */
#include "fuzz.h"

#include "catalog/root.h"

static const struct root_options options = {.location = "registry.example/", .accounts = true};
static const struct layout layout = {LAYOUT_SPLIT, 16}, older = {LAYOUT_SPLIT, 101};

static void check_places(const struct place *places, size_t n)
{
	CLEANUP(buf_done) struct buf again = BUF_INIT(LIMIT_CATALOG_LAYER);
	CLEANUP(gzip_done) struct gzip z = {0};
	AUTO_FREE struct place *same = NULL;
	struct root_catalogs catalogs = {.layout = &layout, .n = n, .places = places};
	struct error err = ERROR_INIT;
	size_t n_same = 0;
	int rc;

	for (size_t i = 0; i < n; i++)
		ASSERT(places[i].number < layout.catalogs &&
			(i == 0 || place_cmp(&places[i - 1], &places[i]) < 0));
	rc = root_layer(&options, &catalogs, &z, &again, &err);
	AZ(rc);
	rc = root_read(&same, &n_same, &layout, NULL, buf_slice(&again), &err);
	AZ(rc);
	ASSERT(n_same == n);
	for (size_t i = 0; i < n; i++)
		AZ(place_cmp(&places[i], &same[i]));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP(buf_done) struct buf layer = BUF_INIT(LIMIT_CATALOG_LAYER);
	CLEANUP(gzip_done) struct gzip z = {0};
	AUTO_FREE struct place *places = NULL;
	AUTO_FREE struct place *alone = NULL;
	struct error err = ERROR_INIT;
	size_t n = 0, n_alone = 0;

	gzip_add(&z, (struct slice){(const char *)data, size}, &layer);
	if (root_read(&places, &n, &layout, &older, buf_slice(&layer), &err) != 0) {
		ASSERT(places == NULL && n == 0 && err.text[0] != '\0');
		ASSERT(root_read(&alone, &n_alone, &layout, NULL, buf_slice(&layer), &err) != 0);
		return 0;
	}
	check_places(places, n);
	if (root_read(&alone, &n_alone, &layout, NULL, buf_slice(&layer), &err) == 0)
		ASSERT(n_alone == n);
	return 0;
}
