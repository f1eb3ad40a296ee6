/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"
#include "cli/backend.h"
#include "cli/cli.h"
#include "cli/layout.h"
#include "cli/signing_options.h"
#include "oci/digest.h"
#include "publish/original.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>

enum {
	OPT_SKIP,
	OPT_DRY_RUN,
	OPT_SIGN_KEY,
	OPT_SIGN_PASSWORD,
	OPT_CA,
	LAYOUT_OPTIONS,
};

static const struct cli_option options[] = {
	[OPT_SKIP] = {.flag = "skip",
		.argument = "NAMESPACE/NAME",
		.help = "leave this resource out, so that Flux deletes it",
		.repeats = true},
	[OPT_DRY_RUN] = {"dry-run", NULL, NULL, NULL,
		"write nothing into the registry, only say what would become of each resource"},
	[OPT_SIGN_KEY] = SIGNING_OPTION_KEY,
	[OPT_SIGN_PASSWORD] = SIGNING_OPTION_PASSWORD,
	[OPT_CA] = BACKEND_OPTION_CA,
	LAYOUT_OPTION_ROWS,
	{NULL},
};

static const char *const words[ORIGINAL_FATES_] = {
	[ORIGINAL_TAKEN] = "take",
	[ORIGINAL_DELETED] = "deleted",
	[ORIGINAL_SKIPPED] = "skip",
	[ORIGINAL_REFUSED] = "refuse",
};

/* arg: the dry run tells all, otherwise only what cannot be is told. */
static void tell(
	enum original_fate fate, const char *namespace_and_name, const char *why, void *arg)
{
	const bool *dry_run = arg;

	if (fate == ORIGINAL_REFUSED)
		fprintf(stderr, "gsq import-original: %s: %s\n", namespace_and_name, why);
	else if (*dry_run)
		printf("%-7s  %s\n", words[fate], namespace_and_name);
}

static void summarize(const struct original_result *r, const char *registry)
{
	const size_t *counts = r->counts;

	printf("%s %zu resources (%zu were deleted, %zu skipped)",
		r->version == 0 ? "would take over" : "took over", counts[ORIGINAL_TAKEN],
		counts[ORIGINAL_DELETED], counts[ORIGINAL_SKIPPED]);
	if (r->version != 0)
		printf("; the first record is c%" PRIu64
		       ". Start the server: gsq serve --registry %s",
			r->version, registry);
	printf("\n");
}

static int import(struct original_options *o, const struct signing_options *signing,
	struct original_result *ret, const struct cli_values *v, struct error *err)
{
	CLEANUP(signing_files_done) struct signing_files files = {.key = NULL};
	struct backend backend;
	int rc;

	if (signing_files_load(&files, signing, v->argument, err) != 0 ||
		backend_open(&backend, v->argument, NULL, v->at[OPT_CA], err) != 0)
		return -1;
	o->adopt.signing = files.signing;
	rc = original_import(backend.registry, o, ret, err);
	backend_close(&backend);
	return rc;
}

static int read_layout(struct layout_options *ret, const struct cli_values *v, struct error *err)
{
	const struct layout_values values = {
		.layout = v->at[OPT_LAYOUT],
		.catalogs = v->at[OPT_CATALOGS],
		.catalog_url = v->at[OPT_CATALOG_URL],
		.catalog_secret = v->at[OPT_CATALOG_SECRET],
		.catalog_accounts = v->at[OPT_CATALOG_ACCOUNTS],
		.catalog_verify = v->at[OPT_CATALOG_VERIFY],
		.catalog_ca = v->at[OPT_CATALOG_CA],
		.registry = v->argument,
	};

	return layout_options(ret, &values, err);
}

static int run(const struct verb *verb, const struct cli_values *v)
{
	struct signing_options signing = {
		.key_file = v->at[OPT_SIGN_KEY], .password_file = v->at[OPT_SIGN_PASSWORD]};
	bool dry_run = v->at[OPT_DRY_RUN] != NULL;
	struct error err = ERROR_INIT;
	struct layout_options layout;
	struct original_result result;
	struct original_options o = {.skip = (const char *const *)v->all[OPT_SKIP],
		.adopt.dry_run = dry_run,
		.tell = tell,
		.arg = &dry_run};

	if (read_layout(&layout, v, &err) != 0 ||
		signing_options_check(&signing, !dry_run, &err) != 0)
		return cli_usage(verb, &err);
	o.adopt.layout = layout.given ? &layout.layout : NULL;
	o.adopt.root = layout.root;
	signal(SIGPIPE, SIG_IGN);
	digest_setup();
	if (import(&o, &signing, &result, v, &err) != 0)
		return cli_failed(verb, &err);
	summarize(&result, v->argument);
	return EXIT_OK;
}

const struct verb verb_import_original = {
	.name = "import-original",
	.summary = "Take over a registry that the original proof of concept wrote, and commit its "
		   "first record, so that serve starts on it. Stop the original first.",
	.argument = "REGISTRY",
	.options = options,
	.run = run,
	.example = "gsq import-original --dry-run http://zot:5000\n"
		   "gsq import-original http://zot:5000\n"
		   "gsq serve --registry http://zot:5000",
};
