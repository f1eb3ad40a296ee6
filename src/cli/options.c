/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli.h"

#include "base/duration.h"
#include "base/str.h"

#include <stdio.h>

static const struct cli_option none[] = {{NULL}};

static const struct cli_option *options_of(const struct verb *verb)
{
	return verb->options != NULL ? verb->options : none;
}

static const struct cli_option *find(const struct cli_option *options, struct slice name)
{
	for (const struct cli_option *o = options; o->flag != NULL; o++)
		if (slice_eq(name, slice_of(o->flag)))
			return o;
	return NULL;
}

/* Switches in the environment are on with anything but these. */
static bool is_off(const char *value)
{
	return *value == '\0' || strcmp(value, "0") == 0 || strcmp(value, "false") == 0;
}

static void from_environment(struct cli_values *v, const struct cli_option *options)
{
	for (size_t i = 0; options[i].flag != NULL; i++) {
		const char *value = options[i].env != NULL ? getenv(options[i].env) : NULL;

		ASSERT(i < CLI_OPTIONS_MAX);
		v->at[i] = options[i].initial;
		if (value == NULL || *value == '\0')
			continue;
		if (options[i].argument != NULL)
			v->at[i] = value;
		else if (!is_off(value))
			v->at[i] = "1";
	}
}

/* "--flag value", "--flag=value" or a switch; returns how many arguments it took, or -1. */
static int parse_one(struct cli_values *v, const struct cli_option *options, int left, char **argv,
	struct error *err)
{
	struct slice rest = slice_of(argv[0] + strlen("--"));
	struct slice name = slice_cut(&rest, '=');
	const struct cli_option *o = find(options, name);

	if (o == NULL)
		return error_set(err, ERROR_INVALID, "unknown option %s", argv[0]);
	v->given[o - options] = true;
	if (o->argument == NULL) {
		if (rest.p != NULL)
			return error_set(err, ERROR_INVALID, "--%s takes no value", o->flag);
		v->at[o - options] = "1";
		return 1;
	}
	if (rest.p != NULL) {
		v->at[o - options] = rest.p;
		return 1;
	}
	if (left < 2)
		return error_set(
			err, ERROR_INVALID, "--%s needs a value: %s", o->flag, o->argument);
	v->at[o - options] = argv[1];
	return 2;
}

static int take_argument(
	struct cli_values *v, const struct verb *verb, const char *value, struct error *err)
{
	if (verb->argument == NULL || v->argument != NULL || value[0] == '-')
		return error_set(err, ERROR_INVALID, "unexpected argument %s", value);
	v->argument = value;
	return 0;
}

static int parse(
	struct cli_values *ret, const struct verb *verb, int argc, char **argv, struct error *err)
{
	const struct cli_option *options = options_of(verb);
	struct cli_values v = {0};

	from_environment(&v, options);
	for (int i = 0; i < argc;) {
		int taken = 1;

		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
			v.help = true;
			break;
		}
		if (strncmp(argv[i], "--", 2) == 0)
			taken = parse_one(&v, options, argc - i, &argv[i], err);
		else if (take_argument(&v, verb, argv[i], err) != 0)
			return -1;
		if (taken < 0)
			return -1;
		i += taken;
	}
	if (verb->argument != NULL && v.argument == NULL && !v.help)
		return error_set(err, ERROR_INVALID, "%s is missing", verb->argument);
	*ret = v;
	return 0;
}

int cli_duration(const char *flag, const char *value, uint64_t *ret_s, struct error *err)
{
	if (duration_parse(value, ret_s, err) == 0)
		return 0;
	return error_wrap(err, "--%s", flag);
}

/* ---- help ---- */

static void help_options(const struct cli_option *options)
{
	if (options->flag == NULL)
		return;
	printf("\nOptions (and environment variables):\n");
	for (const struct cli_option *o = options; o->flag != NULL; o++) {
		printf("  --%s%s%s", o->flag, o->argument != NULL ? " " : "",
			o->argument != NULL ? o->argument : "");
		if (o->env != NULL)
			printf(" (%s)", o->env);
		printf("\n      %s", o->help);
		if (o->initial != NULL)
			printf("; default %s", o->initial);
		printf("\n");
	}
}

/* What is typed after the name of its group. */
static const char *last_word(const char *name)
{
	const char *space = strrchr(name, ' ');

	return space == NULL ? name : space + 1;
}

/* Its first sentence. */
static struct slice in_short(const char *summary)
{
	const char *end = strstr(summary, ". ");

	return end == NULL ? slice_of(summary)
			   : (struct slice){summary, (size_t)(end + 1 - summary)};
}

/* The name of the program itself is empty. */
static const char *space_before(const struct verb *group)
{
	return group->name[0] == '\0' ? "" : " ";
}

static void help_group(const struct verb *group, FILE *out)
{
	const char *space = space_before(group);

	fprintf(out, "Usage: gsq%s%s VERB [OPTION]...\n\n%s\n\nVerbs:\n", space, group->name,
		group->summary);
	for (const struct verb *const *v = group->verbs; *v != NULL; v++)
		fprintf(out, "  %-11s  %.*s\n", last_word((*v)->name),
			SLICE_ARG(in_short((*v)->summary)));
	fprintf(out, "\nSee gsq%s%s VERB --help.\n", space, group->name);
}

static void help(const struct verb *verb)
{
	bool has_options = options_of(verb)->flag != NULL;

	printf("Usage: gsq %s%s%s%s\n\n%s\n", verb->name, verb->argument != NULL ? " " : "",
		verb->argument != NULL ? verb->argument : "", has_options ? " [OPTION]..." : "",
		verb->summary);
	help_options(options_of(verb));
}

/* ---- verbs ---- */

static bool is_help(const char *word)
{
	return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "help") == 0;
}

static const struct verb *find_verb(const struct verb *group, const char *word)
{
	for (const struct verb *const *v = group->verbs; *v != NULL; v++)
		if (strcmp(word, last_word((*v)->name)) == 0)
			return *v;
	return NULL;
}

/* The word is none of the group's verbs. */
static int run_group(const struct verb *group, const char *word)
{
	if (is_help(word)) {
		help_group(group, stdout);
		return EXIT_OK;
	}
	if (*word != '\0')
		fprintf(stderr, "gsq%s%s: unknown verb %s\n\n", space_before(group), group->name,
			word);
	help_group(group, stderr);
	return EXIT_USAGE;
}

/* Options, or nothing at all, are not of one of its verbs. */
static bool runs_itself(const struct verb *group, int argc, char **argv)
{
	return group->run != NULL && (argc == 0 || argv[0][0] == '-');
}

int cli_run(const struct verb *verb, int argc, char **argv)
{
	struct error err = ERROR_INIT;
	struct cli_values v;

	while (verb->verbs != NULL && !runs_itself(verb, argc, argv)) {
		const char *word = argc > 0 ? argv[0] : "";
		const struct verb *one = find_verb(verb, word);

		if (one == NULL)
			return run_group(verb, word);
		verb = one;
		argc--;
		argv++;
	}
	if (parse(&v, verb, argc, argv, &err) != 0)
		return cli_usage(verb, &err);
	if (!v.help)
		return verb->run(verb, &v);
	help(verb);
	return EXIT_OK;
}

int cli_failed(const struct verb *verb, const struct error *err)
{
	fprintf(stderr, "gsq %s: %s\n", verb->name, err->text);
	return EXIT_FAILED;
}

int cli_usage(const struct verb *verb, const struct error *err)
{
	fprintf(stderr, "gsq %s: %s\nSee gsq %s --help.\n", verb->name, err->text, verb->name);
	return EXIT_USAGE;
}
