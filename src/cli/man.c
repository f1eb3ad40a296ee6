/* SPDX-License-Identifier: Apache-2.0 */
/* Manual pages, in the language of man(7), of what --help says. */
#include "base/clock.h"
#include "base/file.h"
#include "cli/client.h"
#include "cli/verbs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#define LINE 72 /* characters in a line of the source */

/* ---- text ---- */

/* Neither a command at the beginning of a line nor a hyphen where a minus is meant. */
static void add_escaped(struct buf *b, struct slice text)
{
	if (text.n > 0 && (text.p[0] == '.' || text.p[0] == '\''))
		buf_puts(b, "\\&");
	for (size_t i = 0; i < text.n; i++) {
		if (text.p[i] == '\\')
			buf_puts(b, "\\e");
		else if (text.p[i] == '-')
			buf_puts(b, "\\-");
		else
			buf_putc(b, text.p[i]);
	}
}

/* A new line for each sentence, as man(7) wants it. */
static void add_text_after(struct buf *b, struct slice text, size_t at)
{
	struct slice rest = text;

	while (rest.n > 0) {
		struct slice word = slice_cut(&rest, ' ');
		bool ends = slice_ends(word, SLICE("."));

		if (at > 0 && at + word.n >= LINE) {
			buf_putc(b, '\n');
			at = 0;
		} else if (at > 0) {
			buf_putc(b, ' ');
		}
		add_escaped(b, word);
		at += word.n + 1;
		if (ends && rest.n > 0) {
			buf_putc(b, '\n');
			at = 0;
		}
	}
	buf_putc(b, '\n');
}

static void add_text(struct buf *b, struct slice text)
{
	add_text_after(b, text, 0);
}

static void add_line(struct buf *b, const char *macro, const char *text)
{
	buf_puts(b, macro);
	buf_putc(b, ' ');
	add_escaped(b, slice_of(text));
	buf_putc(b, '\n');
}

/* Not filled, in a column of its own. */
static void add_example(struct buf *b, const char *example)
{
	struct slice rest = slice_of(example);

	buf_puts(b, ".RS 4\n.nf\n");
	while (rest.n > 0) {
		add_escaped(b, slice_cut(&rest, '\n'));
		buf_putc(b, '\n');
	}
	buf_puts(b, ".fi\n.RE\n");
}

/* ---- parts of a page ---- */

/* Of a build that can be repeated: its own date. */
static uint64_t page_date_us(void)
{
	const char *epoch = getenv("SOURCE_DATE_EPOCH");
	uint64_t s;

	if (epoch != NULL && slice_to_u64(slice_of(epoch), &s) && s < LIMIT_VERSION / 1000000)
		return s * 1000000;
	return clock_realtime_us();
}

static void add_head(struct buf *b, const char *title)
{
	char date[CLOCK_RFC3339_SIZE];

	clock_rfc3339(page_date_us(), date);
	buf_puts(b, ".TH ");
	for (const char *c = title; *c != '\0'; c++)
		buf_putc(b, *c >= 'a' && *c <= 'z' ? (char)(*c - 'a' + 'A') : *c);
	buf_printf(b, " 1 %.10s \"gsq " GSQ_VERSION "\" \"GitOps without Git\"\n", date);
}

static void add_synopsis(struct buf *b, const struct verb *verb)
{
	buf_puts(b, ".B gsq");
	if (verb->name[0] != '\0') {
		buf_putc(b, ' ');
		add_escaped(b, slice_of(verb->name));
	}
	buf_putc(b, '\n');
	if (verb->run == NULL)
		buf_puts(b, ".I VERB\n");
	else if (verb->argument != NULL)
		add_line(b, ".I", verb->argument);
	if (verb_options(verb)->flag != NULL || verb->run == NULL)
		buf_puts(b, "[OPTION]...\n");
}

static void add_option(struct buf *b, const struct cli_option *o)
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(LIMIT_HELP);

	buf_puts(b, ".TP\n.B ");
	if (o->letter != 0)
		buf_printf(b, "\\-%c, ", o->letter);
	buf_puts(b, "\\-\\-");
	add_escaped(b, slice_of(o->flag));
	if (o->argument != NULL) {
		buf_putc(b, ' ');
		add_escaped(b, slice_of(o->argument));
	}
	if (o->env != NULL)
		buf_printf(b, " (%s)", o->env);
	buf_putc(b, '\n');
	help_of_option(o, &text);
	if (text.failed == ERROR_NONE)
		add_text(b, buf_slice(&text));
}

static void add_options(struct buf *b, const struct verb *verb, const char *heading)
{
	const struct cli_option *options = verb_options(verb);
	size_t connection = verb_is_client(verb) ? CLIENT_OPTIONS_ : 0;

	if (options->flag == NULL)
		return;
	buf_puts(b, heading);
	for (const struct cli_option *o = options + connection; o->flag != NULL; o++)
		add_option(b, o);
	if (connection > 0)
		buf_puts(b, ".SS Connection\n");
	for (size_t i = 0; i < connection; i++)
		add_option(b, &options[i]);
}

static void add_verb(struct buf *b, const struct verb *verb)
{
	buf_puts(b, ".SS gsq ");
	add_escaped(b, slice_of(verb->name));
	buf_putc(b, '\n');
	add_synopsis(b, verb);
	buf_puts(b, ".P\n");
	add_text(b, slice_of(verb->summary));
	add_options(b, verb, "");
	if (verb->example != NULL) {
		buf_puts(b, ".P\n");
		add_example(b, verb->example);
	}
}

static void add_verbs(struct buf *b, const struct verb *group)
{
	if (group->verbs == NULL)
		return;
	buf_puts(b, ".SH VERBS\n");
	for (const struct verb *const *v = group->verbs; *v != NULL; v++)
		if ((*v)->summary != NULL)
			add_verb(b, *v);
}

/* ---- pages ---- */

static struct slice without_full_stop(struct slice text)
{
	return slice_ends(text, SLICE(".")) ? (struct slice){text.p, text.n - 1} : text;
}

static void verb_page(struct buf *b, const struct verb *verb)
{
	AUTO_FREE char *title = str_printf("gsq-%s", verb->name);

	add_head(b, title != NULL ? title : "gsq");
	buf_puts(b, ".SH NAME\ngsq\\-");
	add_escaped(b, slice_of(verb->name));
	buf_puts(b, " \\-");
	add_text_after(b, without_full_stop(verb_in_short(verb)), strlen(verb->name) + 8);
	buf_puts(b, ".SH SYNOPSIS\n");
	add_synopsis(b, verb);
	buf_puts(b, ".SH DESCRIPTION\n");
	add_text(b, slice_of(verb->summary));
	add_verbs(b, verb);
	add_options(b, verb,
		".SH OPTIONS\nAn option is stronger than its environment variable, "
		"which stands in brackets.\n");
	if (verb->example != NULL) {
		buf_puts(b, ".SH EXAMPLES\n");
		add_example(b, verb->example);
	}
	buf_puts(b, ".SH SEE ALSO\n.BR gsq (1)\n");
}

static const char statuses[] =
	".SH EXIT STATUS\n"
	".TP\n0\nIt is done.\n"
	".TP\n1\nIt failed, and standard error says why; of\n.B gsq diff\nthere are differences.\n"
	".TP\n2\nThe command line is wrong; of\n.B gsq diff\n2 and more are errors.\n"
	".TP\n130\nInterrupted by Ctrl\\-C.\n";

static const char files[] = ".SH FILES\n"
			    ".TP\n.I ~/.config/gsq/config.json\n"
			    "The servers that\n.B gsq login\nknows, with their tokens.\n"
			    "It is in\n.B XDG_CONFIG_HOME\nwhere that is set, and\n.B GSQ_CONFIG\n"
			    "names another file.\n";

static void main_page(struct buf *b, const struct verb *gsq)
{
	add_head(b, "gsq");
	buf_puts(b, ".SH NAME\ngsq \\- GitOps without Git\n.SH SYNOPSIS\n");
	add_synopsis(b, gsq);
	buf_puts(b, ".P\n.B kubectl intent\n.I VERB\n[OPTION]...\n.SH DESCRIPTION\n");
	add_text(b, slice_of(gsq->summary));
	for (const struct verb *const *v = gsq->verbs; *v != NULL; v++) {
		if (verb_heading(*v) != NULL)
			add_line(b, ".SS", verb_heading(*v));
		buf_puts(b, ".TP\n.BR gsq\\-");
		add_escaped(b, slice_of((*v)->name));
		buf_puts(b, " (1)\n");
		add_text(b, verb_in_short(*v));
	}
	buf_puts(b, statuses);
	buf_puts(b, files);
}

/* In one step, so that the folder is as new as its pages. */
static int write_page(const char *folder, const char *name, struct slice text, struct error *err)
{
	AUTO_FREE char *path = str_printf("%s/%s", folder, name);
	AUTO_FREE char *new = str_printf("%s/.%s.new", folder, name);
	AUTO_CLOSE int fd = -1;

	if (path == NULL || new == NULL)
		return error_no_memory(err);
	fd = open(new, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0)
		return error_set_errno(err, errno, "cannot make %s", new);
	if (file_write_all(fd, text.p, text.n, err) != 0) {
		(void)unlink(new);
		return error_wrap(err, "%s", path);
	}
	if (rename(new, path) != 0)
		return error_set_errno(err, errno, "cannot replace %s", path);
	return 0;
}

static int write_verb(const char *folder, const struct verb *verb, struct error *err)
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(LIMIT_HELP);
	AUTO_FREE char *name = NULL;

	if (verb == &verb_gsq) {
		name = slice_dup(SLICE("gsq.1"));
		main_page(&text, verb);
	} else {
		name = str_printf("gsq-%s.1", verb->name);
		verb_page(&text, verb);
	}
	if (name == NULL)
		return error_no_memory(err);
	if (buf_check(&text, err) != 0)
		return -1;
	return write_page(folder, name, buf_slice(&text), err);
}

/* Other users read the pages, unlike the folders that we make otherwise. */
static int make_folder(const char *folder, struct error *err)
{
	if (mkdir(folder, 0755) == 0 || errno == EEXIST)
		return 0;
	return error_set_errno(err, errno, "cannot make the folder %s", folder);
}

static int write_all(const char *folder, struct error *err)
{
	if (make_folder(folder, err) != 0 || write_verb(folder, &verb_gsq, err) != 0)
		return -1;
	for (const struct verb *const *v = verb_gsq.verbs; *v != NULL; v++)
		if (write_verb(folder, *v, err) != 0)
			return -1;
	return 0;
}

static int print_main(struct error *err)
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(LIMIT_HELP);

	main_page(&text, &verb_gsq);
	if (buf_check(&text, err) != 0)
		return -1;
	fwrite(text.data, 1, text.len, stdout);
	return 0;
}

static int run(const struct verb *verb, const struct cli_values *v)
{
	struct error err = ERROR_INIT;
	int rc = v->argument != NULL ? write_all(v->argument, &err) : print_main(&err);

	return rc == 0 ? EXIT_OK : cli_failed(verb, &err);
}

const struct verb verb_man = {
	.name = "man",
	.summary = "Write the manual pages into a folder: gsq.1, and one for each verb. Without a "
		   "folder it prints gsq.1.",
	.argument = "[DIR]",
	.run = run,
	.example = "gsq man | man -l -\n"
		   "gsq man man1 && man -l man1/gsq-get.1",
};
