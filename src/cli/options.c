/* SPDX-License-Identifier: Apache-2.0 */
#include "base/duration.h"
#include "base/nearest.h"
#include "cli/client.h"
#include "cli/verbs.h"

#include <stdio.h>

const struct cli_option cli_client_options[] = {CLIENT_OPTION_ROWS, {NULL}};

bool verb_is_client(const struct verb *verb)
{
	const struct cli_option *options = verb_options(verb);

	for (size_t i = 0; i < CLIENT_OPTIONS_; i++)
		if (options[i].flag == NULL ||
			strcmp(options[i].flag, cli_client_options[i].flag) != 0)
			return false;
	return true;
}

/* ---- what the verb takes ---- */

/* The words of verb->argument. */
struct takes {
	size_t at_least, at_most;
};

static struct takes takes_of(const struct verb *verb)
{
	struct slice rest = slice_of(verb->argument != NULL ? verb->argument : "");
	struct takes takes = {0};

	while (rest.n > 0) {
		struct slice word = slice_cut(&rest, ' ');

		if (word.n > 0 && word.p[0] != '[')
			takes.at_least++;
		if (slice_ends(word, SLICE("...")) || slice_ends(word, SLICE("...]")))
			takes.at_most = SIZE_MAX;
		else if (takes.at_most != SIZE_MAX)
			takes.at_most++;
	}
	return takes;
}

/* The i-th word, as the help has it. */
static struct slice takes_word(const struct verb *verb, size_t i)
{
	struct slice rest = slice_of(verb->argument), word = SLICE_NONE;

	for (size_t at = 0; at <= i && rest.n > 0; at++)
		word = slice_cut(&rest, ' ');
	return word;
}

static const struct cli_option *find_flag(const struct cli_option *options, struct slice name)
{
	for (const struct cli_option *o = options; o->flag != NULL; o++)
		if (slice_eq(name, slice_of(o->flag)))
			return o;
	return NULL;
}

static int take_argument(
	struct cli_values *v, const struct verb *verb, char *value, struct error *err)
{
	bool takes_files = find_flag(verb_options(verb), SLICE("filename")) != NULL;

	if (v->n_arguments >= takes_of(verb).at_most)
		return error_set(err, ERROR_INVALID, "unexpected argument %s%s%s", value,
			takes_files ? ": files are given as -f " : "", takes_files ? value : "");
	if (*value == '\0' && verb->completes_names)
		return error_set(err, ERROR_INVALID, "a name is empty");
	v->arguments[v->n_arguments++] = value;
	v->argument = v->arguments[0];
	return 0;
}

static int check_arguments(const struct cli_values *v, const struct verb *verb, struct error *err)
{
	struct slice missing;

	if (v->n_arguments >= takes_of(verb).at_least)
		return 0;
	missing = takes_word(verb, v->n_arguments);
	return error_set(err, ERROR_INVALID, "%.*s is missing", SLICE_ARG(missing));
}

/* ---- values ---- */

static int set_value(struct cli_values *v, const struct cli_option *o, size_t i, const char *value,
	struct error *err)
{
	size_t n = 0;
	const char **more;

	v->at[i] = value;
	if (!o->repeats || value == NULL)
		return 0;
	while (v->all[i] != NULL && v->all[i][n] != NULL)
		n++;
	more = reallocarray(v->all[i], n + 2, sizeof(*more));
	if (more == NULL)
		return error_no_memory(err);
	more[n] = value;
	more[n + 1] = NULL;
	v->all[i] = more;
	return 0;
}

/* Switches in the environment are on with anything but these. */
static bool is_off(const char *value)
{
	return *value == '\0' || strcmp(value, "0") == 0 || strcmp(value, "false") == 0;
}

/* What was not given: of the environment, else the initial one. */
static int set_others(struct cli_values *v, const struct cli_option *options, struct error *err)
{
	for (size_t i = 0; options[i].flag != NULL; i++) {
		const struct cli_option *o = &options[i];
		const char *value = o->env != NULL ? getenv(o->env) : NULL;

		if (v->given[i])
			continue;
		if (value == NULL || *value == '\0')
			value = o->initial;
		else if (o->argument == NULL)
			value = is_off(value) ? o->initial : "1";
		if (set_value(v, o, i, value, err) != 0)
			return -1;
	}
	return 0;
}

#define CHOICES_MAX 32

/* "a, b and c" */
static void add_choices(struct buf *text, const char *const *words)
{
	for (size_t i = 0; words[i] != NULL; i++)
		buf_printf(text, "%s%s",
			i == 0                 ? ""
			: words[i + 1] == NULL ? " and "
					       : ", ",
			words[i]);
}

static int no_choice(
	const char *name, const char *value, const char *const *words, struct error *err)
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(LIMIT_ERROR_TEXT);
	const char *meant = nearest_word(value, words);

	add_choices(&text, words);
	if (buf_check(&text, err) != 0)
		return -1;
	return error_set(err, ERROR_INVALID, "%s: \"%s\" is not one of %s%s%s%s", name, value,
		text.data, meant != NULL ? "; did you mean " : "", meant != NULL ? meant : "",
		meant != NULL ? "?" : "");
}

/* One of "a|b|c", or an error that says which there are and which was meant. */
static int check_choice(
	const struct cli_option *o, const char *name, const char *value, struct error *err)
{
	AUTO_FREE char *text = slice_dup(slice_of(o->values));
	const char *words[CHOICES_MAX + 1] = {NULL};
	char *rest = text;
	size_t n = 0;

	if (text == NULL)
		return error_no_memory(err);
	while (rest != NULL) {
		ASSERT(n < CHOICES_MAX);
		words[n] = strsep(&rest, "|");
		if (strcmp(words[n++], value) == 0)
			return 0;
	}
	return no_choice(name, value, words, err);
}

static int check_option(
	const struct cli_values *v, const struct cli_option *o, size_t i, struct error *err)
{
	char name[64];

	if (o->values == NULL || v->at[i] == NULL)
		return 0;
	snprintf(name, sizeof(name), "%s%s", v->given[i] || o->env == NULL ? "--" : "",
		v->given[i] || o->env == NULL ? o->flag : o->env);
	if (!o->repeats)
		return check_choice(o, name, v->at[i], err);
	for (const char **value = v->all[i]; value != NULL && *value != NULL; value++)
		if (check_choice(o, name, *value, err) != 0)
			return -1;
	return 0;
}

/* ---- options ---- */

struct parser {
	const struct verb *verb;
	const struct cli_option *options;
	struct cli_values v;
	int left; /* arguments, the current one included */
	char **argv;
};

static const struct cli_option *find_letter(const struct cli_option *options, char letter)
{
	for (const struct cli_option *o = options; o->flag != NULL; o++)
		if (o->letter == letter)
			return o;
	return NULL;
}

/* What other programs call it, and people try; where the verb has what is meant. */
static const struct {
	const char *word, *meant;
} habits[] = {
	{"as-of", "revision"},
	{"change-cause", "reason"},
	{"commit", "revision"},
	{"file", "filename"},
	{"format", "output"},
	{"message", "reason"},
	{"revision", "to"},
	{"since", "limit"},
	{"tail", "limit"},
	{"to-revision", "to"},
	{"token", "bearer-file"},
	{"token-file", "bearer-file"},
};

static const char *meant_by_habit(const struct parser *p, struct slice name)
{
	for (size_t i = 0; i < ARRAY_SIZE(habits); i++)
		if (slice_eq(name, slice_of(habits[i].word)) &&
			find_flag(p->options, slice_of(habits[i].meant)) != NULL)
			return habits[i].meant;
	return NULL;
}

static int unknown_flag(const struct parser *p, struct slice name, struct error *err)
{
	const char *flags[CLI_OPTIONS_MAX + 2] = {NULL}, *meant = meant_by_habit(p, name);
	char word[NEAREST_WORD + 2];
	size_t n = 0;

	for (const struct cli_option *o = p->options; o->flag != NULL; o++)
		flags[n++] = o->flag;
	flags[n] = "help";
	snprintf(word, sizeof(word), "%.*s", SLICE_ARG(name));
	if (meant == NULL)
		meant = nearest_word(word, flags);
	return error_set(err, ERROR_INVALID, "unknown option --%.*s%s%s%s", SLICE_ARG(name),
		meant != NULL ? "; did you mean --" : "", meant != NULL ? meant : "",
		meant != NULL ? "?" : "");
}

static int take(struct parser *p, const struct cli_option *o, const char *value, struct error *err)
{
	size_t i = (size_t)(o - p->options);

	p->v.given[i] = true;
	return set_value(&p->v, o, i, value, err);
}

/* Its value is the next argument. Returns how many were taken, or -1. */
static int take_next(
	struct parser *p, const struct cli_option *o, const char *as_given, struct error *err)
{
	if (p->left < 2)
		return error_set(err, ERROR_INVALID, "%s needs a value: %s", as_given, o->argument);
	return take(p, o, p->argv[1], err) == 0 ? 2 : -1;
}

/* "--flag value", "--flag=value" or a switch; returns how many arguments it took, or -1. */
static int parse_flag(struct parser *p, struct error *err)
{
	struct slice rest = slice_of(p->argv[0] + strlen("--"));
	struct slice name = slice_cut(&rest, '=');
	const struct cli_option *o = find_flag(p->options, name);
	char as_given[64];

	if (o == NULL)
		return unknown_flag(p, name, err);
	snprintf(as_given, sizeof(as_given), "--%s", o->flag);
	if (o->argument == NULL && rest.p != NULL)
		return error_set(
			err, ERROR_INVALID, "%s takes no value: say %s", as_given, as_given);
	if (o->argument == NULL || rest.p != NULL)
		return take(p, o, o->argument == NULL ? "1" : rest.p, err) == 0 ? 1 : -1;
	return take_next(p, o, as_given, err);
}

/* "-n value", "-nvalue", "-n=value", and switches before it, as in "-wn value". */
static int parse_letters(struct parser *p, struct error *err)
{
	for (const char *at = p->argv[0] + 1; *at != '\0'; at++) {
		const struct cli_option *o = find_letter(p->options, *at);
		char as_given[] = {'-', *at, '\0'};

		if (*at == 'h') {
			p->v.help = true;
			return 1;
		}
		if (o == NULL)
			return error_set(err, ERROR_INVALID, "unknown option %s%s%s", as_given,
				p->argv[0][2] != '\0' ? " in " : "",
				p->argv[0][2] != '\0' ? p->argv[0] : "");
		if (o->argument != NULL && at[1] == '\0')
			return take_next(p, o, as_given, err);
		if (o->argument != NULL)
			return take(p, o, at + (at[1] == '=' ? 2 : 1), err) == 0 ? 1 : -1;
		if (at[1] == '=')
			return error_set(err, ERROR_INVALID, "%s takes no value: say %s", as_given,
				as_given);
		if (take(p, o, "1", err) != 0)
			return -1;
	}
	return 1;
}

/* Returns how many arguments it took, or -1. */
static int parse_one(struct parser *p, bool *are_over, struct error *err)
{
	char *word = p->argv[0];

	if (*are_over || word[0] != '-' || word[1] == '\0')
		return take_argument(&p->v, p->verb, word, err) == 0 ? 1 : -1;
	if (strcmp(word, "--") == 0) {
		*are_over = true;
		return 1;
	}
	if (strcmp(word, "--help") == 0) {
		p->v.help = true;
		return 1;
	}
	return word[1] == '-' ? parse_flag(p, err) : parse_letters(p, err);
}

static int parse_all(struct parser *p, struct error *err)
{
	bool are_over = false;

	while (p->left > 0 && !p->v.help) {
		int taken = parse_one(p, &are_over, err);

		if (taken < 0)
			return -1;
		p->left -= taken;
		p->argv += taken;
	}
	if (p->v.help)
		return 0;
	if (set_others(&p->v, p->options, err) != 0)
		return -1;
	for (size_t i = 0; p->options[i].flag != NULL; i++)
		if (check_option(&p->v, &p->options[i], i, err) != 0)
			return -1;
	return check_arguments(&p->v, p->verb, err);
}

int cli_parse(
	struct cli_values *ret, const struct verb *verb, int argc, char **argv, struct error *err)
{
	struct parser p = {.verb = verb, .options = verb_options(verb), .left = argc, .argv = argv};
	size_t n = 0;

	while (p.options[n].flag != NULL)
		n++;
	ASSERT(n <= CLI_OPTIONS_MAX);
	p.v.arguments = calloc((size_t)argc + 1, sizeof(*p.v.arguments));
	if (p.v.arguments == NULL)
		return error_no_memory(err);
	if (parse_all(&p, err) != 0) {
		cli_values_done(&p.v);
		return -1;
	}
	*ret = p.v;
	return 0;
}

void cli_values_done(struct cli_values *v)
{
	for (size_t i = 0; i < CLI_OPTIONS_MAX; i++)
		free(v->all[i]);
	free(v->arguments);
}

int cli_duration(const char *flag, const char *value, uint64_t *ret_s, struct error *err)
{
	if (duration_parse(value, ret_s, err) == 0)
		return 0;
	return error_wrap(err, "--%s", flag);
}
