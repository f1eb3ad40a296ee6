/* SPDX-License-Identifier: Apache-2.0 */
/* The upkeep of the embedded registry, by its running server or on a folder that nobody has. */
#include "cli/backend.h"
#include "cli/cli.h"
#include "oci/digest.h"
#include "registry/admin.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#define RETRY_US 100000 /* while another command has the folder */

#define REPOSITORY_OPTION(help_) \
	{ \
		"repository", NULL, "NAME", NULL, help_ \
	}

static const struct verb verb_import_layout; /* the one that may make its folder */

static const struct cli_option plain_options[] = {BACKEND_OPTION_DATA_DIR, {NULL}};

static const struct cli_option gc_options[] = {
	BACKEND_OPTION_DATA_DIR,
	BACKEND_OPTION_GC_GRACE("grace", "; a running server goes by its own --gc-grace "
					 "unless this flag is given"),
	{"dry-run", NULL, NULL, NULL, "remove nothing, only say what would be"},
	{NULL},
};

static const struct cli_option export_options[] = {
	BACKEND_OPTION_DATA_DIR,
	REPOSITORY_OPTION("export this one only; not set: all of them"),
	{NULL},
};

static const struct cli_option import_options[] = {
	BACKEND_OPTION_DATA_DIR,
	REPOSITORY_OPTION("where images go whose name in the layout is a tag alone, or missing"),
	{NULL},
};

/* Paths mean the same to the server as to us. */
static int absolute(const char *path, char **ret, struct error *err)
{
	AUTO_FREE char *here = NULL;
	char *joined;

	if (path[0] == '\0')
		return error_set(err, ERROR_INVALID, "the path is empty; name one");
	if (path[0] != '/') {
		here = getcwd(NULL, 0);
		if (here == NULL)
			return error_set_errno(err, errno, "cannot find the current folder");
	}
	joined = str_printf("%s%s%s", here != NULL ? here : "", here != NULL ? "/" : "", path);
	if (joined == NULL)
		return error_no_memory(err);
	*ret = joined;
	return 0;
}

/* A mistyped folder must not become a new, empty registry. */
static int check_there_is_one(const char *data_dir, struct error *err)
{
	AUTO_FREE char *path = str_printf("%s/registry.db", data_dir);

	if (path == NULL)
		return error_no_memory(err);
	if (access(path, F_OK) != 0)
		return error_set_errno(
			err, errno, "there is no registry in the data folder %s", data_dir);
	return 0;
}

/* ---- the way to the data ---- */

static int run_here(struct embedded *e, const char *job, const struct job_args *args,
	struct buf *report, struct error *err)
{
	int result = job_find(slice_of(job))->run(e, args, report, err);

	embedded_free(e);
	return result;
}

static void say_wait(const struct verb *verb, const char *data_dir)
{
	fprintf(stderr, "gsq %s: waiting for another command on %s\n", verb->name, data_dir);
}

/* With the folder to ourselves, or else by the server that has it. Neither of them: another command
 * has it, or a server that starts or stops. */
static int run_job(const struct verb *verb, const char *data_dir, const char *job,
	const struct job_args *args, struct buf *report, struct error *err)
{
	for (bool waited = false;; waited = true) {
		struct embedded *e;

		if (embedded_new(&e, data_dir, err) == 0)
			return run_here(e, job, args, report, err);
		if (err->code != ERROR_CONFLICT)
			return -1;
		if (admin_call(data_dir, job, args, report, err) == 0)
			return 0;
		if (err->code != ERROR_NOT_FOUND)
			return -1;
		if (!waited)
			say_wait(verb, data_dir);
		usleep(RETRY_US);
	}
}

static int report_job(const struct verb *verb, const char *data_dir, const char *job,
	const struct job_args *args, struct error *err)
{
	CLEANUP(buf_done) struct buf report = BUF_INIT(LIMIT_JOB_REPORT);
	int result = run_job(verb, data_dir, job, args, &report, err);

	if (report.len > 0)
		fwrite(report.data, 1, report.len, stdout);
	if (fflush(stdout) != 0 && result == 0)
		return error_set_errno(err, errno, "cannot write the report");
	return result;
}

/* ---- the verbs: each is the job of its name ---- */

/* -1 when it is no option of this verb. */
static int find_option(const struct verb *verb, const char *flag)
{
	for (int i = 0; verb->options[i].flag != NULL; i++)
		if (strcmp(verb->options[i].flag, flag) == 0)
			return i;
	return -1;
}

/* NULL where it is not set, or no option of this verb. */
static const char *value_of(const struct cli_values *v, const struct verb *verb, const char *flag)
{
	int i = find_option(verb, flag);

	return i < 0 ? NULL : v->at[i];
}

static int read_grace(const struct cli_values *v, const struct verb *verb, struct job_args *ret,
	struct error *err)
{
	int i = find_option(verb, "grace");

	if (i < 0)
		return 0;
	ret->grace_given = v->given[i];
	return cli_duration("grace", v->at[i], &ret->grace_s, err);
}

static int read_args(const struct cli_values *v, const struct verb *verb, struct job_args *ret,
	struct error *err)
{
	ret->dry_run = value_of(v, verb, "dry-run") != NULL;
	ret->repository = value_of(v, verb, "repository");
	return read_grace(v, verb, ret, err);
}

static int run(const struct verb *verb, const struct cli_values *v)
{
	const char *job = verb->name + strlen("registry ");
	AUTO_FREE char *path = NULL;
	struct error err = ERROR_INIT;
	struct job_args args = {0};
	const char *data_dir;

	if (read_args(v, verb, &args, &err) != 0 ||
		(v->argument != NULL && absolute(v->argument, &path, &err) != 0))
		return cli_usage(verb, &err);
	args.path = path;
	data_dir = value_of(v, verb, "data-dir");
	signal(SIGPIPE, SIG_IGN);
	digest_setup();
	if ((verb != &verb_import_layout && check_there_is_one(data_dir, &err) != 0) ||
		report_job(verb, data_dir, job, &args, &err) != 0)
		return cli_failed(verb, &err);
	return EXIT_OK;
}

static const struct verb verb_gc = {
	.name = "registry gc",
	.summary = "Remove blobs that no manifest names, and uploads that were given up. "
		   "A server does it by itself (gsq serve --gc-interval).",
	.options = gc_options,
	.run = run,
};

static const struct verb verb_verify = {
	.name = "registry verify",
	.summary = "Hash everything again, follow every reference, and name what is damaged.",
	.options = plain_options,
	.run = run,
};

static const struct verb verb_backup = {
	.name = "registry backup",
	.summary = "Write a tar file of the whole data folder at one moment. "
		   "To restore it, unpack it into an empty folder and start the server there.",
	.argument = "FILE",
	.options = plain_options,
	.run = run,
};

static const struct verb verb_export_layout = {
	.name = "registry export",
	.summary =
		"Write an OCI image layout, which oras, skopeo and crane read, into a new folder.",
	.argument = "DIR",
	.options = export_options,
	.run = run,
};

static const struct verb verb_import_layout = {
	.name = "registry import",
	.summary = "Read an OCI image layout, from export or another program. "
		   "Makes the data folder where there is none. Under a running server nothing goes "
		   "below gitops-squared/, which only its API writes.",
	.argument = "DIR",
	.options = import_options,
	.run = run,
};

static const struct verb *const verbs[] = {
	&verb_gc, &verb_verify, &verb_backup, &verb_export_layout, &verb_import_layout, NULL};

const struct verb verb_registry = {
	.name = "registry",
	.summary = "Look after the embedded registry: garbage, verification, copies. "
		   "Where a server runs on the data folder it does the work, as its own user.",
	.verbs = verbs,
};
