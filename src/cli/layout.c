/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/layout.h"

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

static int read_accounts(struct layout_options *ret, const char *value, struct error *err)
{
	bool is_on = value == NULL || strcmp(value, "on") == 0;

	ret->root.accounts_given = value != NULL;
	ret->root.options.accounts = is_on;
	if (is_on || strcmp(value, "off") == 0)
		return 0;
	return error_set(err, ERROR_INVALID, "--catalog-accounts is on or off, not %s", value);
}

static int read_secret(char ret[LIMIT_SECRET_NAME + 1], bool *ret_given, const char *value,
	const char *flag, struct error *err)
{
	*ret_given = value != NULL;
	if (root_secret_parse(ret, value != NULL ? value : "", err) != 0)
		return error_wrap(err, "%s", flag);
	return 0;
}

static int read_root(
	struct layout_options *ret, const struct layout_values *values, struct error *err)
{
	const char *url = values->catalog_url != NULL ? values->catalog_url
			  : values->registry != NULL  ? values->registry
						      : LAYOUT_DEFAULT_URL;
	struct root_request *root = &ret->root;
	struct root_options *o = &root->options;

	root->url_given = values->catalog_url != NULL;
	if (root_url_parse(o, url, err) != 0)
		return error_wrap(err, "--catalog-url");
	if (read_accounts(ret, values->catalog_accounts, err) != 0 ||
		read_secret(o->secret, &root->secret_given, values->catalog_secret,
			"--catalog-secret", err) != 0 ||
		read_secret(o->verify, &root->verify_given, values->catalog_verify,
			"--catalog-verify-secret", err) != 0)
		return -1;
	return read_secret(o->ca, &root->ca_given, values->catalog_ca, "--catalog-ca-secret", err);
}

int layout_options(
	struct layout_options *ret, const struct layout_values *values, struct error *err)
{
	struct layout_options o = {.given = values->layout != NULL, .layout = {LAYOUT_SINGLE, 1}};

	if (read_kind(&o, values->layout, err) != 0 ||
		read_catalogs(&o, values->catalogs, err) != 0 || read_root(&o, values, err) != 0)
		return -1;
	*ret = o;
	return 0;
}

static const char *value_of(
	const char *flag, const struct cli_option *options, const struct cli_values *v)
{
	size_t i = 0;

	while (options[i].flag != NULL && strcmp(options[i].flag, flag) != 0)
		i++;
	AN(options[i].flag);
	return v->at[i];
}

int layout_options_read(struct layout_options *ret, const struct cli_option *options,
	const struct cli_values *v, struct error *err)
{
	struct layout_values values = {
		.layout = value_of("layout", options, v),
		.catalogs = value_of("catalogs", options, v),
		.catalog_url = value_of("catalog-url", options, v),
		.catalog_secret = value_of("catalog-secret", options, v),
		.catalog_accounts = value_of("catalog-accounts", options, v),
		.catalog_verify = value_of("catalog-verify-secret", options, v),
		.catalog_ca = value_of("catalog-ca-secret", options, v),
		.registry = value_of("registry", options, v),
	};

	return layout_options(ret, &values, err);
}
