/* SPDX-License-Identifier: Apache-2.0 */
#include "base/nearest.h"
#include "cli/client.h"
#include "cli/verbs.h"

#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>

/* ---- the table ---- */

static const struct verb *const verbs[] = {
	/* of the people who declare resources, */
	&verb_get, &verb_apply, &verb_delete, &verb_edit, &verb_diff, &verb_history, &verb_rollback,
	&verb_log, &verb_status, &verb_watch, &verb_export, &verb_login, &verb_context,
	&verb_doctor,
	/* of those who run the server, */
	&verb_serve, &verb_fsck, &verb_rebuild, &verb_adopt, &verb_import_original,
	&verb_repartition, &verb_audit, &verb_freeze, &verb_thaw, &verb_registry, &verb_token,
	/* and of the program itself */
	&verb_completion, &verb_man, &verb_version, NULL};

static const struct {
	const struct verb *first;
	const char *text;
} headings[] = {
	{&verb_get, "Resources"},
	{&verb_serve, "Running the server"},
	{&verb_completion, "The program itself"},
};

const struct verb verb_gsq = {
	.name = "",
	.summary =
		"GitOps without Git: declare infrastructure over HTTP, keep it in an OCI registry, "
		"let Flux apply it.",
	.verbs = verbs,
};

const char *verb_heading(const struct verb *verb)
{
	for (size_t i = 0; i < ARRAY_SIZE(headings); i++)
		if (headings[i].first == verb)
			return headings[i].text;
	return NULL;
}

const char *verb_word(const struct verb *verb)
{
	const char *space = strrchr(verb->name, ' ');

	return space == NULL ? verb->name : space + 1;
}

const struct cli_option *verb_options(const struct verb *verb)
{
	static const struct cli_option none[] = {{NULL}};

	return verb->options != NULL ? verb->options : none;
}

struct slice verb_in_short(const struct verb *verb)
{
	const char *end = strstr(verb->summary, ". ");

	return end == NULL ? slice_of(verb->summary)
			   : (struct slice){verb->summary, (size_t)(end + 1 - verb->summary)};
}

const struct verb *verb_find(const struct verb *group, const char *word)
{
	for (const struct verb *const *v = group->verbs; v != NULL && *v != NULL; v++)
		if (strcmp(word, verb_word(*v)) == 0)
			return *v;
	return NULL;
}

/* ---- which verb ---- */

/* What other programs call it, and people try. */
static const struct {
	const char *word, *meant;
} habits[] = {
	{"auth", "login"},
	{"config", "context"},
	{"create", "apply"},
	{"describe", "status"},
	{"events", "watch"},
	{"list", "get"},
	{"logs", "log"},
	{"ls", "get"},
	{"patch", "edit"},
	{"replace", "apply"},
	{"rm", "delete"},
	{"rollout", "rollback"},
	{"show", "get"},
	{"undo", "rollback"},
	{"use-context", "context use"},
	{"get-contexts", "context"},
	{"wait", "status"},
};

#define VERBS_MAX 64

static const char *meant_verb(const struct verb *group, const char *word)
{
	const char *words[VERBS_MAX + 1] = {NULL}, *meant;
	size_t n = 0;

	for (const struct verb *const *v = group->verbs; *v != NULL; v++) {
		ASSERT(n < VERBS_MAX);
		if ((*v)->summary != NULL)
			words[n++] = verb_word(*v);
	}
	meant = nearest_word(word, words);
	for (size_t i = 0; i < ARRAY_SIZE(habits) && group == &verb_gsq; i++)
		if (strcmp(word, habits[i].word) == 0)
			meant = habits[i].meant;
	return meant;
}

static int unknown_verb(const struct verb *group, const char *word)
{
	const char *space = group->name[0] == '\0' ? "" : " ";
	const char *meant = meant_verb(group, word);
	bool is_option = word[0] == '-';

	fprintf(stderr, "%s%s%s: unknown %s %s", cli_program(), space, group->name,
		is_option ? "option" : "verb", word);
	if (meant != NULL && !is_option)
		fprintf(stderr, "; did you mean %s?", meant);
	fprintf(stderr, "\nSee %s%s%s --help.\n", cli_program(), space, group->name);
	return EXIT_USAGE;
}

static bool is_help(const char *word)
{
	return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "help") == 0;
}

/* "help get" is "get --help". */
static int help_of(const struct verb *group, int argc, char **argv)
{
	while (argc > 0 && group->verbs != NULL) {
		const struct verb *one = verb_find(group, argv[0]);

		if (one == NULL)
			return unknown_verb(group, argv[0]);
		group = one;
		argc--;
		argv++;
	}
	help_verb(group, stdout);
	return EXIT_OK;
}

/* Options, or nothing at all, are not of one of its verbs. */
static bool runs_itself(const struct verb *group, int argc, char **argv)
{
	return group->run != NULL && (argc == 0 || argv[0][0] == '-');
}

/* How many arguments the option of a client verb is that stands before the verb, as in "gsq -n shop
 * get"; 0: it is none. */
static int option_before(int argc, char **argv)
{
	struct slice rest = slice_of(argv[0]), name = slice_cut(&rest, '=');

	for (const struct cli_option *o = cli_client_options; o->flag != NULL && argv[0][0] == '-';
		o++) {
		bool is_flag = slice_starts(name, SLICE("--")) &&
			       slice_eq((struct slice){name.p + 2, name.n - 2}, slice_of(o->flag));
		bool is_letter = o->letter != 0 && argv[0][1] == o->letter;

		if (is_flag)
			return rest.p != NULL || o->argument == NULL || argc < 2 ? 1 : 2;
		if (is_letter)
			return argv[0][2] != '\0' || o->argument == NULL || argc < 2 ? 1 : 2;
	}
	return 0;
}

int cli_options_before(int argc, char **argv)
{
	int before = 0, n = 1;

	while (before < argc && n > 0) {
		n = option_before(argc - before, argv + before);
		before += n;
	}
	return before;
}

void cli_verb_first(int argc, char **argv)
{
	int before = cli_options_before(argc, argv);

	if (before > 0 && before < argc && argv[before][0] != '-') {
		char *verb = argv[before];

		memmove(argv + 1, argv, (size_t)before * sizeof(*argv));
		argv[0] = verb;
	}
}

/* ---- running it ---- */

/* What could not be written to standard output was not said. Into a pipe that nobody reads it is no
 * error: we end by the signal for that, as others do. */
static int check_output(const struct verb *verb, int status)
{
	struct error err = ERROR_INIT;
	int failed;

	errno = 0;
	failed = fflush(stdout) != 0 || ferror(stdout);
	if (!failed)
		return status;
	if (errno == EPIPE) {
		signal(SIGPIPE, SIG_DFL);
		raise(SIGPIPE);
	}
	if (errno != 0)
		error_set_errno(&err, errno, "cannot write to standard output");
	else
		error_set(&err, ERROR_INTERNAL, "cannot write to standard output");
	clearerr(stdout);
	cli_failed(verb, &err);
	return status == EXIT_OK ? EXIT_FAILED : status;
}

static int run(const struct verb *verb, int argc, char **argv)
{
	struct error err = ERROR_INIT;
	struct cli_values v;
	int status = EXIT_OK;

	AN(verb->run);
	if (cli_parse(&v, verb, argc, argv, &err) != 0)
		return cli_usage(verb, &err);
	if (v.help)
		help_verb(verb, stdout);
	else
		status = verb->run(verb, &v);
	cli_values_done(&v);
	return check_output(verb, status);
}

/* Reads the options and runs the verb, or that one of its group that argv[0] names; or prints its
 * help. Returns the exit status. */
static int run_words(const struct verb *verb, int argc, char **argv)
{
	while (verb->verbs != NULL && !runs_itself(verb, argc, argv)) {
		const struct verb *one;

		if (argc == 0) {
			help_verb(verb, stderr);
			return EXIT_USAGE;
		}
		if (is_help(argv[0]))
			return check_output(verb, help_of(verb, argc - 1, argv + 1));
		one = verb_find(verb, argv[0]);
		if (one == NULL)
			return unknown_verb(verb, argv[0]);
		verb = one;
		argc--;
		argv++;
	}
	return run(verb, argc, argv);
}

static void say(const struct verb *verb, const char *text)
{
	fflush(stdout);
	fprintf(stderr, "%s%s%s: %s\n", cli_program(), verb->name[0] != '\0' ? " " : "", verb->name,
		text);
}

int cli_failed(const struct verb *verb, const struct error *err)
{
	say(verb, err->text);
	return EXIT_FAILED;
}

int cli_usage(const struct verb *verb, const struct error *err)
{
	say(verb, err->text);
	fprintf(stderr, "See %s %s --help.\n", cli_program(), verb->name);
	return EXIT_USAGE;
}

int cli_interrupted(const struct verb *verb, const char *goes_on)
{
	fflush(stdout);
	fprintf(stderr, "%s %s: interrupted; %s\n", cli_program(), verb->name, goes_on);
	return EXIT_INTERRUPTED;
}

/* ---- the program ---- */

static const char *program = "gsq";

const char *cli_program(void)
{
	return program;
}

/* kubectl runs kubectl-NAME of the PATH as its verb NAME. */
static bool is_called(const char *path, const char *name)
{
	return path != NULL && strcmp(basename(path), name) == 0;
}

/* Every verb may hold keys and tokens: they go into no core file, and no process of the same user
 * reads them in its memory. */
static void keep_memory_private(void)
{
	const struct rlimit none = {0};

	AZ(setrlimit(RLIMIT_CORE, &none));
	AZ(prctl(PR_SET_DUMPABLE, 0));
}

int main(int argc, char **argv)
{
	keep_memory_private();
	if (is_called(argv[0], "kubectl_complete-intent"))
		return completion_for_kubectl(argc - 1, argv + 1);
	if (is_called(argv[0], "kubectl-intent"))
		program = "kubectl intent";
	if (argc > 1 && strcmp(argv[1], "--version") == 0)
		return run_words(&verb_version, 0, NULL);
	if (argc > 1)
		cli_verb_first(argc - 1, argv + 1);
	return run_words(&verb_gsq, argc > 1 ? argc - 1 : 0, argv + 1);
}
