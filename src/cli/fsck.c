/* SPDX-License-Identifier: Apache-2.0 */
#include "publish/fsck.h"
#include "cli/backend.h"
#include "cli/cli.h"
#include "oci/digest.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

enum { OPT_REGISTRY, OPT_CA, OPT_DATA_DIR, OPT_REPAIR };

static const struct cli_option options[] = {
	[OPT_REGISTRY] = BACKEND_OPTION_REGISTRY,
	[OPT_CA] = BACKEND_OPTION_CA,
	[OPT_DATA_DIR] = BACKEND_OPTION_DATA_DIR,
	[OPT_REPAIR] = {"repair", NULL, NULL, NULL,
		"move every tag latest to where it belongs by the record; nothing else is "
		"written"},
	{NULL},
};

static void say(const char *line, void *arg UNUSED)
{
	puts(line);
}

static void settle(void *arg UNUSED)
{
	usleep(LIMIT_FSCK_SETTLE_MS * 1000);
}

static void summarize(const struct fsck_result *r)
{
	if (r->version == 0)
		printf("record none");
	else
		printf("record c%" PRIu64, r->version);
	printf(", catalogs %zu, resources %zu, unfinished %zu, differences %zu, repaired %zu\n",
		r->catalogs, r->resources, r->unfinished, r->differences, r->repaired);
}

static int run(const struct verb *verb, const struct cli_values *v)
{
	struct error err = ERROR_INIT;
	struct fsck_options what = {.say = say, .settle = settle};
	struct fsck_result result;
	struct backend backend;
	int rc;

	what.repair = v->at[OPT_REPAIR] != NULL;
	digest_setup();
	if (backend_open_existing(&backend, v->at[OPT_REGISTRY], v->at[OPT_DATA_DIR], v->at[OPT_CA],
		    "fsck", &err) != 0)
		return cli_failed(verb, &err);
	rc = fsck_run(backend.registry, &what, &result, &err);
	backend_close(&backend);
	if (rc != 0)
		return cli_failed(verb, &err);
	summarize(&result);
	if (fflush(stdout) != 0) {
		error_set_errno(&err, errno, "cannot write the report");
		return cli_failed(verb, &err);
	}
	return result.differences == result.repaired ? EXIT_OK : EXIT_FAILED;
}

const struct verb verb_fsck = {
	.name = "fsck",
	.summary =
		"Compare the commit record with the catalogs, artifacts and tags in the registry. "
		"It may run beside a server, over HTTP: --registry http://HOST:5000 reads its "
		"embedded registry. The status is 1 when something differs.",
	.options = options,
	.run = run,
};
