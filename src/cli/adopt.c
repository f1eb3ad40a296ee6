/* SPDX-License-Identifier: Apache-2.0 */
#include "publish/adopt.h"
#include "base/log.h"
#include "cli/backend.h"
#include "cli/cli.h"
#include "cli/cluster_objects.h"
#include "cli/layout.h"
#include "cli/prune.h"
#include "cli/signing_options.h"
#include "oci/digest.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>

enum {
	OPT_FROM_CLUSTER,
	OPT_KUBECONFIG,
	OPT_CONTEXT,
	OPT_DRY_RUN,
	OPT_MAX_PRUNE,
	OPT_CONFIRM,
	OPT_SIGN_KEY,
	OPT_SIGN_PASSWORD,
	OPT_VERIFY,
	OPT_REGISTRY,
	OPT_CA,
	OPT_DATA_DIR,
	LAYOUT_OPTIONS,
};

static const struct cli_option options[] = {
	[OPT_FROM_CLUSTER] = {"from-cluster", NULL, NULL, NULL,
		"take over what the cluster has; to be given, so that nobody does it by mistake"},
	[OPT_KUBECONFIG] = {"kubeconfig", "KUBECONFIG", "FILE", NULL,
		"kubeconfig of the cluster; not set: the cluster that this runs in, with its pod's "
		"service account"},
	[OPT_CONTEXT] = {"kube-context", "KUBE_CONTEXT", "NAME", NULL,
		"context of that kubeconfig; default its current one"},
	[OPT_DRY_RUN] = {"dry-run", NULL, NULL, NULL,
		"write nothing into the registry, only say what would become of each resource"},
	[OPT_MAX_PRUNE] = PRUNE_OPTION_MAX,
	[OPT_CONFIRM] = PRUNE_OPTION_CONFIRM,
	[OPT_SIGN_KEY] = SIGNING_OPTION_KEY,
	[OPT_SIGN_PASSWORD] = SIGNING_OPTION_PASSWORD,
	[OPT_VERIFY] = SIGNING_OPTION_VERIFY,
	[OPT_REGISTRY] = BACKEND_OPTION_REGISTRY,
	[OPT_CA] = BACKEND_OPTION_CA,
	[OPT_DATA_DIR] = BACKEND_OPTION_DATA_DIR,
	LAYOUT_OPTION_ROWS,
	{NULL},
};

static const char *const words[ADOPT_OPS_] = {
	[ADOPT_ADD] = "add",
	[ADOPT_CHANGE] = "change",
	[ADOPT_KEEP] = "keep",
	[ADOPT_REMOVE] = "remove",
};

static void tell(enum adopt_op op, const char *namespace, const char *name, uint64_t version,
	void *arg UNUSED)
{
	printf("%-6s  %s/%s v%" PRIu64 "\n", words[op], namespace, name, version);
}

static int read_options(struct adopt_options *ret, struct layout_options *layout,
	struct signing_options *signing, const struct cli_values *v, struct error *err)
{
	struct adopt_options o = {.dry_run = v->at[OPT_DRY_RUN] != NULL};

	if (v->at[OPT_FROM_CLUSTER] == NULL)
		return error_set(err, ERROR_INVALID,
			"--from-cluster is missing: the cluster is all that there is to adopt "
			"from");
	if (v->given[OPT_CONTEXT] && v->at[OPT_KUBECONFIG] == NULL)
		return error_set(err, ERROR_INVALID, "--kube-context goes with --kubeconfig");
	*signing = (struct signing_options){.key_file = v->at[OPT_SIGN_KEY],
		.password_file = v->at[OPT_SIGN_PASSWORD],
		.verify_file = v->at[OPT_VERIFY]};
	if (layout_options_read(layout, options, v, err) != 0 ||
		prune_options(&o.guard, v->at[OPT_MAX_PRUNE], v->at[OPT_CONFIRM],
			"give --confirm prune", err) != 0 ||
		signing_options_check(signing, !o.dry_run, err) != 0)
		return -1;
	o.layout = layout->given ? &layout->layout : NULL;
	o.root = layout->root;
	o.tell = o.dry_run ? tell : NULL;
	*ret = o;
	return 0;
}

static int read_cluster(struct cluster_objects *ret, const struct cli_values *v, struct error *err)
{
	struct kube_config config;

	if (v->at[OPT_KUBECONFIG] == NULL) {
		if (kube_config_in_cluster(&config, NULL, err) != 0)
			return error_wrap(
				err, "there is no --kubeconfig, and this is no pod of the cluster");
	} else if (kube_config_load(&config, v->at[OPT_KUBECONFIG], v->at[OPT_CONTEXT], err) != 0) {
		return -1;
	}
	if (cluster_objects_read(ret, &config, err) != 0)
		return error_wrap(err, "cannot read the cluster");
	if (ret->n_deleting > 0)
		log_warn("left out what the cluster is about to delete",
			LOG_NUM("objects", ret->n_deleting));
	return 0;
}

static void summarize(const struct adopt_options *o, const struct adopt_result *r)
{
	const size_t *counts = r->counts;
	size_t n = counts[ADOPT_ADD] + counts[ADOPT_CHANGE] + counts[ADOPT_KEEP];

	printf("%s %zu resources: added %zu, changed %zu, kept %zu, removed %zu; layout %s",
		o->dry_run ? "would adopt" : "adopted", n, counts[ADOPT_ADD], counts[ADOPT_CHANGE],
		counts[ADOPT_KEEP], counts[ADOPT_REMOVE], layout_kind_name(r->layout.kind));
	if (r->layout.kind == LAYOUT_SPLIT)
		printf(" with %u catalogs for a namespace", r->layout.catalogs);
	if (r->before != 0)
		printf(", on top of record c%" PRIu64, r->before);
	printf("\n");
}

/* The store first: its folder is locked while the cluster is read, so that no server starts. */
static int adopt(struct adopt_options *o, const struct signing_options *signing,
	struct adopt_result *ret, const struct cli_values *v, struct error *err)
{
	CLEANUP(signing_files_done) struct signing_files files = {.key = NULL};
	struct cluster_objects objects = {0};
	struct backend backend;
	int rc;

	if (signing_files_load(&files, signing, v->at[OPT_REGISTRY], err) != 0 ||
		backend_open(&backend, v->at[OPT_REGISTRY], v->at[OPT_DATA_DIR], v->at[OPT_CA],
			err) != 0)
		return -1;
	o->signing = files.signing;
	rc = read_cluster(&objects, v, err);
	if (rc == 0)
		rc = adopt_run(backend.registry, o, objects.list, objects.n, ret, err);
	cluster_objects_done(&objects);
	backend_close(&backend);
	return rc;
}

static int run(const struct verb *verb, const struct cli_values *v)
{
	struct error err = ERROR_INIT;
	struct layout_options layout;
	struct signing_options signing;
	struct adopt_options o;
	struct adopt_result result;

	if (read_options(&o, &layout, &signing, v, &err) != 0)
		return cli_usage(verb, &err);
	signal(SIGPIPE, SIG_IGN);
	digest_setup();
	if (adopt(&o, &signing, &result, v, &err) != 0)
		return cli_failed(verb, &err);
	summarize(&o, &result);
	return EXIT_OK;
}

const struct verb verb_adopt = {
	.name = "adopt",
	.summary = "Make the store say what the cluster has, after the registry was lost or an old "
		   "backup was put back. Stop every server on the store first.",
	.options = options,
	.run = run,
};
