/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"
#include "cli/terminal.h"
#include "cli/verbs.h"

#define WIDTH_MAX 100 /* longer lines are hard to read */
#define NARROW 50     /* a terminal where a verb and what it does do not fit beside each other */

/* ---- lines ---- */

static size_t width(void)
{
	size_t columns = terminal_width();

	return columns == SIZE_MAX || columns < WIDTH_MAX ? columns : WIDTH_MAX;
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

void help_of_option(const struct cli_option *o, struct buf *ret)
{
	buf_puts(ret, o->help);
	if (o->initial != NULL)
		buf_printf(ret, "; default %s", o->initial);
	if (o->repeats)
		buf_puts(ret, "; may be given several times");
}

static void add_options(FILE *out, const struct cli_option *options)
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(LIMIT_HELP);

	if (options->flag == NULL)
		return;
	fputc('\n', out);
	add_words(out, SLICE("Options (and environment variables):"), 0, 0);
	for (const struct cli_option *o = options; o->flag != NULL; o++) {
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

static void add_example(FILE *out, const char *example)
{
	struct slice rest = slice_of(example != NULL ? example : "");

	if (rest.n > 0)
		fprintf(out, "\nExamples:\n");
	while (rest.n > 0) {
		struct slice line = slice_cut(&rest, '\n');

		fprintf(out, "%s%.*s\n", line.n > 0 ? "  " : "", SLICE_ARG(line));
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
	add_options(out, verb_options(verb));
	add_example(out, verb->example);
	if (verb->verbs == NULL)
		return;
	buf_printf(&more, "See %s%s%s VERB --help.", cli_program(),
		verb->name[0] != '\0' ? " " : "", verb->name);
	fputc('\n', out);
	add_words(out, buf_slice(&more), 0, 0);
}
