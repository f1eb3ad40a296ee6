/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"
#include "cli/client.h"
#include "cli/terminal.h"
#include "cli/verbs.h"

#define WIDTH_MAX 100  /* longer lines are hard to read */
#define WIDTH_PIPED 80 /* where it is no terminal */
#define NARROW 50      /* a terminal where a verb and what it does do not fit beside each other */

/* ---- lines ---- */

static size_t width(void)
{
	size_t columns = terminal_width();

	if (columns == SIZE_MAX)
		return WIDTH_PIPED;
	return columns < WIDTH_MAX ? columns : WIDTH_MAX;
}

/* Goes on in column *at; lines after the first begin at the indent. */
static void add_words(FILE *out, struct slice text, size_t indent, size_t at)
{
	bool first = true;

	while (text.n > 0) {
		struct slice word = slice_cut(&text, ' ');

		if (!first && at + 1 + word.n > width()) {
			fprintf(out, "\n%*s", (int)indent, "");
			at = indent;
		} else if (!first) {
			fputc(' ', out);
			at++;
		}
		fwrite(word.p, 1, word.n, out);
		at += word.n;
		first = false;
	}
	fputc('\n', out);
}

static void add_paragraph(FILE *out, const char *text, size_t indent)
{
	fprintf(out, "%*s", (int)indent, "");
	add_words(out, slice_of(text), indent, indent);
}

/* ---- parts ---- */

/* "a|b|c" as "one of a, b and c". */
static void add_choices(const char *values, struct buf *ret)
{
	struct slice rest = slice_of(values);
	const char *before = "; one of ";

	while (rest.n > 0) {
		struct slice one = slice_cut(&rest, '|');

		buf_printf(ret, "%s%.*s", before, SLICE_ARG(one));
		if (rest.n > 0)
			before = memchr(rest.p, '|', rest.n) != NULL ? ", " : " and ";
	}
}

void help_of_option(const struct cli_option *o, struct buf *ret)
{
	buf_puts(ret, o->help);
	if (o->values != NULL && strchr(o->values, '|') != NULL)
		add_choices(o->values, ret);
	if (o->initial != NULL)
		buf_printf(ret, "; default %s", o->initial);
	if (o->repeats)
		buf_puts(ret, "; may be given several times");
}

/* n of them, or up to their end. */
static void add_options(FILE *out, const char *heading, const struct cli_option *options, size_t n)
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(LIMIT_HELP);

	if (options->flag == NULL)
		return;
	fputc('\n', out);
	add_words(out, slice_of(heading), 0, 0);
	for (const struct cli_option *o = options; o < options + n && o->flag != NULL; o++) {
		buf_reset(&text);
		if (o->letter != 0)
			buf_printf(&text, "-%c, ", o->letter);
		buf_printf(&text, "--%s%s%s", o->flag, o->argument != NULL ? " " : "",
			o->argument != NULL ? o->argument : "");
		if (o->env != NULL)
			buf_printf(&text, " (%s)", o->env);
		add_paragraph(out, text.data, 2);
		buf_reset(&text);
		help_of_option(o, &text);
		add_paragraph(out, text.data, 6);
	}
}

/* Those that say which server it is come last: they are the same everywhere. */
static void add_all_options(FILE *out, const struct verb *verb)
{
	const struct cli_option *options = verb_options(verb);
	size_t skipped = verb_is_client(verb) ? CLIENT_OPTIONS_ : 0;

	add_options(
		out, "Options (and environment variables):", options + skipped, CLI_OPTIONS_MAX);
	if (skipped > 0)
		add_options(out, "Connection:", options, skipped);
}

static size_t longest_word(const struct verb *group)
{
	size_t longest = 0;

	for (const struct verb *const *v = group->verbs; *v != NULL; v++) {
		size_t n = strlen(verb_word(*v));

		longest = n > longest ? n : longest;
	}
	return longest;
}

static void add_verb(FILE *out, const struct verb *verb, size_t longest)
{
	size_t indent = width() >= NARROW ? 2 + longest + 2 : 4;

	if (width() >= NARROW)
		fprintf(out, "  %-*s  ", (int)longest, verb_word(verb));
	else
		fprintf(out, "  %s\n    ", verb_word(verb));
	add_words(out, verb_in_short(verb), indent, indent);
}

static void add_verbs(FILE *out, const struct verb *group)
{
	if (group->verbs == NULL)
		return;
	if (group != &verb_gsq)
		fprintf(out, "\nVerbs:\n");
	for (const struct verb *const *v = group->verbs; *v != NULL; v++) {
		const char *heading = group == &verb_gsq ? verb_heading(*v) : NULL;

		if (heading != NULL)
			fprintf(out, "\n%s:\n", heading);
		if ((*v)->summary != NULL)
			add_verb(out, *v, longest_word(group));
	}
}

/* "gsq" as the user calls it. */
static void add_command(FILE *out, struct slice line)
{
	static const struct slice name = SLICE("gsq ");
	char before = ' ';

	while (line.n > 0) {
		bool is_name = strchr(" (\"'", before) != NULL && slice_starts(line, name);
		size_t n = is_name ? name.n - 1 : 1;

		if (is_name)
			fputs(cli_program(), out);
		else
			fputc(line.p[0], out);
		before = line.p[n - 1];
		line = (struct slice){line.p + n, line.n - n};
	}
}

static void add_example(FILE *out, const char *example)
{
	struct slice rest = slice_of(example != NULL ? example : "");

	if (rest.n > 0)
		fprintf(out, "\nExamples:\n");
	while (rest.n > 0) {
		struct slice line = slice_cut(&rest, '\n');

		fputs(line.n > 0 ? "  " : "", out);
		add_command(out, line);
		fputc('\n', out);
	}
}

static void add_usage(FILE *out, const struct verb *verb)
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(LIMIT_HELP);
	const char *takes = verb->run == NULL ? "VERB" : verb->argument;

	buf_printf(&text, "Usage: %s", cli_program());
	if (verb->name[0] != '\0')
		buf_printf(&text, " %s", verb->name);
	if (verb->run != NULL && verb->verbs != NULL)
		takes = "[VERB]";
	if (takes != NULL)
		buf_printf(&text, " %s", takes);
	if (verb_options(verb)->flag != NULL || verb->run == NULL)
		buf_puts(&text, " [OPTION]...");
	add_words(out, buf_slice(&text), 7, 0);
}

void help_verb(const struct verb *verb, FILE *out)
{
	CLEANUP(buf_done) struct buf more = BUF_INIT(LIMIT_HELP);

	add_usage(out, verb);
	fputc('\n', out);
	add_words(out, slice_of(verb->summary != NULL ? verb->summary : ""), 0, 0);
	add_verbs(out, verb);
	add_all_options(out, verb);
	add_example(out, verb->example);
	if (verb->verbs == NULL)
		return;
	buf_printf(&more, "See %s%s%s VERB --help.", cli_program(),
		verb->name[0] != '\0' ? " " : "", verb->name);
	fputc('\n', out);
	add_words(out, buf_slice(&more), 0, 0);
}
