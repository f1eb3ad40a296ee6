/* SPDX-License-Identifier: Apache-2.0 */
#include "publish/rebuild.h"
#include "cli/backend.h"
#include "cli/cli.h"
#include "cli/layout.h"
#include "cli/prune.h"
#include "cli/signing_options.h"
#include "oci/digest.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

enum {
	OPT_REGISTRY,
	OPT_CA,
	OPT_DATA_DIR,
	LAYOUT_OPTIONS,
	OPT_SIGN_KEY,
	OPT_SIGN_PASSWORD,
	OPT_VERIFY,
	OPT_MAX_PRUNE,
	OPT_CONFIRM,
};

static const struct cli_option options[] = {
	[OPT_REGISTRY] = BACKEND_OPTION_REGISTRY,
	[OPT_CA] = BACKEND_OPTION_CA,
	[OPT_DATA_DIR] = BACKEND_OPTION_DATA_DIR,
	LAYOUT_OPTION_ROWS,
	[OPT_SIGN_KEY] = SIGNING_OPTION_KEY,
	[OPT_SIGN_PASSWORD] = SIGNING_OPTION_PASSWORD,
	[OPT_VERIFY] = SIGNING_OPTION_VERIFY,
	[OPT_MAX_PRUNE] = PRUNE_OPTION_MAX,
	[OPT_CONFIRM] = PRUNE_OPTION_CONFIRM,
	{NULL},
};

static int read_options(struct rebuild_options *ret, struct layout_options *layout,
	struct signing_options *signing, const struct cli_values *v, struct error *err)
{
	struct rebuild_options o = {.layout = NULL};

	*signing = (struct signing_options){.key_file = v->at[OPT_SIGN_KEY],
		.password_file = v->at[OPT_SIGN_PASSWORD],
		.verify_file = v->at[OPT_VERIFY]};
	if (layout_options_read(layout, options, v, err) != 0 ||
		prune_options(&o.guard, v->at[OPT_MAX_PRUNE], v->at[OPT_CONFIRM],
			"give --confirm prune", err) != 0 ||
		signing_options_check(signing, true, err) != 0)
		return -1;
	o.layout = layout->given ? &layout->layout : NULL;
	o.root = layout->root;
	*ret = o;
	return 0;
}

static int rebuild(struct rebuild_options *o, const struct signing_options *signing,
	const struct cli_values *v, size_t *ret_count, struct error *err)
{
	CLEANUP(signing_files_done) struct signing_files files = {.key = NULL};
	struct backend backend;
	int rc;

	if (signing_files_load(&files, signing, v->at[OPT_REGISTRY], err) != 0 ||
		backend_open(&backend, v->at[OPT_REGISTRY], v->at[OPT_DATA_DIR], v->at[OPT_CA],
			err) != 0)
		return -1;
	o->signing = files.signing;
	rc = rebuild_run(backend.registry, o, ret_count, err);
	backend_close(&backend);
	return rc;
}

static int run(const struct verb *verb, const struct cli_values *v)
{
	struct error err = ERROR_INIT;
	struct layout_options layout;
	struct signing_options signing;
	struct rebuild_options what;
	size_t count;

	if (v->at[OPT_REGISTRY] == NULL && access(v->at[OPT_DATA_DIR], F_OK) != 0) {
		error_set_errno(&err, errno, "cannot open the data folder %s", v->at[OPT_DATA_DIR]);
		return cli_failed(verb, &err);
	}
	if (read_options(&what, &layout, &signing, v, &err) != 0)
		return cli_usage(verb, &err);
	digest_setup();
	if (rebuild(&what, &signing, v, &count, &err) != 0)
		return cli_failed(verb, &err);
	printf("rebuilt the commit record: %zu resources\n", count);
	return EXIT_OK;
}

const struct verb verb_rebuild = {
	.name = "rebuild",
	.summary = "Make a new commit record out of the resource repositories, after the record or "
		   "the catalog was lost. Stop every server on the store first.",
	.options = options,
	.run = run,
};
