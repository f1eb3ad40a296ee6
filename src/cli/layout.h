/* SPDX-License-Identifier: Apache-2.0 */
/* Options about the layout of a store, and where Flux finds its catalogs. */
#ifndef CLI_LAYOUT_H
#define CLI_LAYOUT_H

#include "catalog/root.h"
#include "cli/cli.h"

struct layout_options {
	bool given;
	struct layout layout;
	struct root_request root;
};

/* The values of the options below and of --registry; NULL where there is none. */
struct layout_values {
	const char *layout, *catalogs, *catalog_url, *catalog_secret, *catalog_accounts,
		*catalog_verify, *catalog_ca, *registry;
};

/* ERROR_INVALID names the flag. */
int layout_options(struct layout_options *ret, const struct layout_values *values,
	struct error *err) MUST_CHECK;

/* Of a verb whose table has them all; found by their flags. */
int layout_options_read(struct layout_options *ret, const struct cli_option *options,
	const struct cli_values *v, struct error *err) MUST_CHECK;

#define LAYOUT_DEFAULT_URL "http://api.gitops-squared.svc.cluster.local:5000"

/* Places of the rows in the enum of a verb that has all of them, and the rows. */
#define LAYOUT_OPTIONS \
	OPT_LAYOUT, OPT_CATALOGS, OPT_CATALOG_URL, OPT_CATALOG_SECRET, OPT_CATALOG_ACCOUNTS, \
		OPT_CATALOG_VERIFY, OPT_CATALOG_CA
#define LAYOUT_OPTION_ROWS \
	[OPT_LAYOUT] = LAYOUT_OPTION_LAYOUT, [OPT_CATALOGS] = LAYOUT_OPTION_CATALOGS, \
	[OPT_CATALOG_URL] = LAYOUT_OPTION_CATALOG_URL, \
	[OPT_CATALOG_SECRET] = LAYOUT_OPTION_CATALOG_SECRET, \
	[OPT_CATALOG_ACCOUNTS] = LAYOUT_OPTION_CATALOG_ACCOUNTS, \
	[OPT_CATALOG_VERIFY] = LAYOUT_OPTION_CATALOG_VERIFY, \
	[OPT_CATALOG_CA] = LAYOUT_OPTION_CATALOG_CA

/* Rows for a verb's table of options. */
#define LAYOUT_OPTION_LAYOUT \
	{ \
		"layout", "LAYOUT", "single|split", NULL, \
			"of a new store: everything in one catalog (the default, up to 5000 " \
			"resources), or catalogs for each namespace" \
	}
#define LAYOUT_OPTION_CATALOGS \
	{ \
		"catalogs", "CATALOGS", "NUMBER", NULL, \
			"with --layout split: catalogs of each namespace; default 1" \
	}
#define LAYOUT_OPTION_CATALOG_URL \
	{ \
		"catalog-url", "CATALOG_URL", "HOST:PORT|URL", NULL, \
			"of the layout split: the registry as Flux reaches it; default what " \
			"the store has, and for a new one what --registry names, " \
			"or " LAYOUT_DEFAULT_URL \
	}
#define LAYOUT_OPTION_CATALOG_SECRET \
	{ \
		"catalog-secret", "CATALOG_SECRET", "NAME", NULL, \
			"of the layout split: the Secret of type dockerconfigjson in " \
			"flux-system with Flux's credentials for the registry; default what the " \
			"store has, and for a new one none" \
	}
#define LAYOUT_OPTION_CATALOG_ACCOUNTS \
	{ \
		"catalog-accounts", "CATALOG_ACCOUNTS", "on|off", NULL, \
			"of the layout split: whether Flux applies each catalog by a service " \
			"account that may touch the resources of its namespace only; default " \
			"what " \
			"the store has, and for a new one on" \
	}
#define LAYOUT_OPTION_CATALOG_VERIFY \
	{ \
		"catalog-verify-secret", "CATALOG_VERIFY_SECRET", "NAME", NULL, \
			"of the layout split: the Secret in flux-system with the public keys " \
			"(*.pub) by one of which a catalog has to be signed, or Flux does not " \
			"apply it; default what the store has, and for a new one none" \
	}
#define LAYOUT_OPTION_CATALOG_CA \
	{ \
		"catalog-ca-secret", "CATALOG_CA_SECRET", "NAME", NULL, \
			"of the layout split: the Secret in flux-system with the authority " \
			"(ca.crt) of the registry's certificate; default what the store has, and " \
			"for a new one none" \
	}

#endif
