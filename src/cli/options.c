/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli.h"

#include "base/str.h"

#include <stdio.h>

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
		const char *value = getenv(options[i].env);

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
	struct slice rest = {argv[0] + 2, strlen(argv[0]) - 2};
	struct slice name = slice_cut(&rest, '=');
	const struct cli_option *o = find(options, name);

	if (o == NULL)
		return error_set(err, ERROR_INVALID, "unknown option %s", argv[0]);
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

int cli_parse(struct cli_values *ret, const struct cli_option *options, int argc, char **argv,
	struct error *err)
{
	struct cli_values v = {0};

	from_environment(&v, options);
	for (int i = 0; i < argc;) {
		int taken;

		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
			v.help = true;
			break;
		}
		if (strncmp(argv[i], "--", 2) != 0)
			return error_set(err, ERROR_INVALID, "unexpected argument %s", argv[i]);
		taken = parse_one(&v, options, argc - i, &argv[i], err);
		if (taken < 0)
			return -1;
		i += taken;
	}
	*ret = v;
	return 0;
}

void cli_help(const struct verb *verb)
{
	printf("Usage: gsq %s [OPTION]...\n\n%s\n", verb->name, verb->summary);
	if (verb->options == NULL)
		return;
	printf("\nOptions (and environment variables):\n");
	for (const struct cli_option *o = verb->options; o->flag != NULL; o++) {
		printf("  --%s%s%s (%s)\n      %s", o->flag, o->argument != NULL ? " " : "",
			o->argument != NULL ? o->argument : "", o->env, o->help);
		if (o->initial != NULL)
			printf("; default %s", o->initial);
		printf("\n");
	}
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
