/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What goes to people: tables that fit the terminal, colour where it is wanted, progress.
 *
 * Nothing here fails on a closed pipe: main.c ends the program quietly by SIGPIPE's status, as
 * other commands do.
 */
#ifndef CLI_TERMINAL_H
#define CLI_TERMINAL_H

#include "base/base.h"

#include <stdio.h>

/* Columns of standard output; SIZE_MAX where it is no terminal: nothing is cut then. COLUMNS in the
 * environment is believed where it is a terminal. */
size_t terminal_width(void);

/* ---- colour: only on a terminal, not with NO_COLOR (no-color.org) or TERM=dumb ---- */

enum colour { COLOUR_NONE, COLOUR_GOOD, COLOUR_BAD, COLOUR_WAITING, COLOUR_FAINT, COLOUR_BOLD };
/* In that colour, and back to the terminal's own after it. */
void colour_print(FILE *out, enum colour colour, const char *fmt, ...) PRINTF_LIKE(3, 4);
enum colour colour_of_phase(const char *phase); /* "applied" is good */

/* A unified difference, its lines in colour on a terminal. */
void terminal_diff(FILE *out, const char *text);

/* ---- tables ---- */

struct table;

struct table_column {
	const char *head;
	bool wide;    /* only where the table is asked for all */
	bool shrinks; /* is cut first, with an ellipsis, where the terminal is narrow */
	enum colour (*colour)(const char *cell); /* NULL: none */
};

/* columns: borrowed, head NULL ends. wide: with all of them, and whole, whatever the terminal's
 * width. NULL without memory. */
struct table *table_new(const struct table_column *columns, bool wide, bool heads);
/* One cell for each column, the wide ones too; copied. NULL or "" is shown as "-". */
int table_add(struct table *t, const char *const *cells) MUST_CHECK;
size_t table_rows(const struct table *t);
/* Prints and forgets the rows: widths are those of all rows so far, so a watch can go on. On a
 * terminal columns are cut, and where that is not enough left away from the right, so that every
 * line fits, down to 20 columns; the first column is never left away. Widths count characters. */
void table_print(struct table *t, FILE *out);
void table_free(struct table *t);
DEFINE_CLEANUP(struct table, table_free);

/* "3s", "5m", "2h", "4d" since that RFC 3339 time; "-" where it is none. */
#define AGE_SIZE 24
const char *terminal_age(const char *rfc3339, char ret[AGE_SIZE]);

/* ---- progress: on standard error, only where that is a terminal ---- */

struct progress {
	const char *what; /* "applied" */
	size_t done, all;
	bool shown;
	uint64_t last_ms;
};
/* Draws a bar at most ten times a second. */
void progress_show(struct progress *p);
/* Takes it away, before anything else is printed. */
void progress_end(struct progress *p);

#endif
