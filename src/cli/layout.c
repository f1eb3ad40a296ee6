/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/layout.h"

#include "oci/reference.h"

#include <stdio.h>

static int read_kind(struct layout_options *ret, const char *value, struct error *err)
{
	if (value == NULL || layout_kind_parse(slice_of(value), &ret->layout.kind))
		return 0;
	return error_set(err, ERROR_INVALID, "--layout is single or split, not %s", value);
}

static int read_catalogs(struct layout_options *ret, const char *value, struct error *err)
{
	uint64_t n;

	if (value == NULL)
		return 0;
	if (ret->layout.kind != LAYOUT_SPLIT)
		return error_set(err, ERROR_INVALID, "--catalogs goes with --layout split");
	if (!slice_to_u64(slice_of(value), &n) || n < 1 || n > LIMIT_LAYOUT_CATALOGS)
		return error_set(err, ERROR_INVALID, "--catalogs is 1 to %d, not %s",
			LIMIT_LAYOUT_CATALOGS, value);
	ret->layout.catalogs = (unsigned)n;
	return 0;
}

static int read_url(struct layout_options *ret, const char *value, struct error *err)
{
	struct registry_location location;

	if (registry_location_parse(&location, value, err) != 0)
		return error_wrap(err, "--catalog-url");
	snprintf(ret->root.location, sizeof(ret->root.location), "%s/%s", location.host,
		location.prefix);
	ret->root.insecure = strncmp(location.base, "http://", strlen("http://")) == 0;
	return 0;
}

int layout_options(struct layout_options *ret, const char *layout, const char *catalogs,
	const char *catalog_url, const char *registry, struct error *err)
{
	const char *url = catalog_url != NULL ? catalog_url
			  : registry != NULL  ? registry
					      : LAYOUT_DEFAULT_URL;
	struct layout_options o = {.given = layout != NULL, .layout = {LAYOUT_SINGLE, 1}};

	if (read_kind(&o, layout, err) != 0 || read_catalogs(&o, catalogs, err) != 0 ||
		read_url(&o, url, err) != 0)
		return -1;
	*ret = o;
	return 0;
}
