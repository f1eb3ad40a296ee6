/* SPDX-License-Identifier: Apache-2.0 */
#include "base/str.h"
#include "cli/terminal.h"

#include <sys/queue.h>

#define GAP 2      /* spaces between columns */
#define CELL_MIN 6 /* a column is cut down to that before others go */
#define ELLIPSIS "\xe2\x80\xa6"

struct row {
	STAILQ_ENTRY(row) next;
	char *cells[]; /* of the columns shown */
};

struct column {
	const struct table_column *is;
	size_t given; /* its place among the cells of table_add() */
	size_t width; /* of the widest cell so far */
	size_t shown; /* of those; 0: left away */
};

struct table {
	bool wide;  /* nothing is cut */
	bool heads; /* still to be printed */
	size_t n_columns, n_rows;
	struct column *columns;
	STAILQ_HEAD(, row) rows;
};

/* ---- characters ---- */

static bool is_in(uint32_t c, uint32_t first, uint32_t last)
{
	return c >= first && c <= last;
}

/* Those that stand on the one before, and those of two columns (Unicode TR 11), roughly: a locale
 * may not be there to ask. */
static size_t columns_of(uint32_t c)
{
	if (is_in(c, 0x300, 0x36f) || is_in(c, 0x200b, 0x200f) || is_in(c, 0xfe00, 0xfe0f) ||
		is_in(c, 0x20d0, 0x20ff))
		return 0;
	return is_in(c, 0x1100, 0x115f) || is_in(c, 0x2e80, 0xa4cf) || is_in(c, 0xac00, 0xd7a3) ||
			       is_in(c, 0xf900, 0xfaff) || is_in(c, 0xfe30, 0xfe6f) ||
			       is_in(c, 0xff00, 0xff60) || is_in(c, 0xffe0, 0xffe6) ||
			       is_in(c, 0x1f300, 0x1f64f) || is_in(c, 0x1f900, 0x1f9ff) ||
			       is_in(c, 0x20000, 0x3fffd)
		       ? 2
		       : 1;
}

/* The longest beginning of at most so many columns, and how many it has. */
static struct slice beginning(const char *text, size_t max, size_t *ret_columns)
{
	struct slice rest = slice_of(text), before = rest;
	size_t n = 0;
	uint32_t c;

	while (rest.n > 0 && utf8_next(&rest, &c) && n + columns_of(c) <= max) {
		n += columns_of(c);
		before = rest;
	}
	*ret_columns = n;
	return (struct slice){text, (size_t)(before.p - text)};
}

static size_t width_of(const char *text)
{
	size_t n;

	(void)beginning(text, SIZE_MAX, &n);
	return n;
}

/* ---- rows ---- */

static void row_free(struct row *row, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(row->cells[i]);
	free(row);
}

static void forget_rows(struct table *t)
{
	while (!STAILQ_EMPTY(&t->rows)) {
		struct row *row = STAILQ_FIRST(&t->rows);

		STAILQ_REMOVE_HEAD(&t->rows, next);
		row_free(row, t->n_columns);
	}
	t->n_rows = 0;
}

struct table *table_new(const struct table_column *columns, bool wide, bool heads)
{
	struct table *t = calloc(1, sizeof(*t));
	size_t n = 0;

	while (columns[n].head != NULL)
		n++;
	if (t != NULL)
		t->columns = calloc(n + 1, sizeof(*t->columns));
	if (t == NULL || t->columns == NULL) {
		free(t);
		return NULL;
	}
	STAILQ_INIT(&t->rows);
	t->wide = wide;
	t->heads = heads;
	for (size_t i = 0; i < n; i++)
		if (wide || !columns[i].wide)
			t->columns[t->n_columns++] = (struct column){.is = &columns[i],
				.given = i,
				.width = heads ? width_of(columns[i].head) : 0};
	return t;
}

void table_free(struct table *t)
{
	if (t == NULL)
		return;
	forget_rows(t);
	free(t->columns);
	free(t);
}

/* What is no printable character would move the others, or do worse to the terminal. */
static char *cell_of(const char *text)
{
	char *cell = slice_dup(slice_of(text == NULL || *text == '\0' ? "-" : text));

	if (cell != NULL)
		utf8_make_printable(cell, false);
	return cell;
}

int table_add(struct table *t, const char *const *cells)
{
	struct row *row = calloc(1, sizeof(*row) + t->n_columns * sizeof(row->cells[0]));

	if (row == NULL)
		return -1;
	for (size_t i = 0; i < t->n_columns; i++) {
		struct column *column = &t->columns[i];
		size_t width;

		row->cells[i] = cell_of(cells[column->given]);
		if (row->cells[i] == NULL) {
			row_free(row, t->n_columns);
			return -1;
		}
		width = width_of(row->cells[i]);
		column->width = width > column->width ? width : column->width;
	}
	STAILQ_INSERT_TAIL(&t->rows, row, next);
	t->n_rows++;
	return 0;
}

size_t table_rows(const struct table *t)
{
	return t->n_rows;
}

/* ---- what fits ---- */

static size_t whole_width(const struct table *t)
{
	size_t sum = 0;

	for (size_t i = 0; i < t->n_columns; i++)
		if (t->columns[i].shown > 0)
			sum += (i > 0 ? GAP : 0) + t->columns[i].shown;
	return sum;
}

/* The widest of those that may be cut, a column at a time so that they come out alike. */
static bool cut_widest(struct table *t)
{
	struct column *widest = NULL;

	for (size_t i = 0; i < t->n_columns; i++) {
		struct column *c = &t->columns[i];

		if (c->is->shrinks && c->shown > CELL_MIN &&
			(widest == NULL || c->shown > widest->shown))
			widest = c;
	}
	if (widest != NULL)
		widest->shown--;
	return widest != NULL;
}

static bool leave_away_last(struct table *t)
{
	for (size_t i = t->n_columns; i-- > 1;)
		if (t->columns[i].shown > 0) {
			t->columns[i].shown = 0;
			return true;
		}
	return false;
}

/* First those that shrink are cut, then columns go from the right, and at last the first one alone
 * is cut. */
static void fit(struct table *t, size_t max)
{
	for (size_t i = 0; i < t->n_columns; i++)
		t->columns[i].shown = t->columns[i].width > 0 ? t->columns[i].width : 1;
	while (whole_width(t) > max)
		if (!cut_widest(t) && !leave_away_last(t))
			break;
	while (whole_width(t) > max && t->columns[0].shown > 1)
		t->columns[0].shown--;
}

/* ---- printing ---- */

static void print_cell(
	FILE *out, const struct column *c, const char *text, enum colour colour, bool is_last)
{
	size_t n = width_of(text);

	if (n <= c->shown) {
		colour_print(out, colour, "%s", text);
	} else {
		struct slice part = beginning(text, c->shown - 1, &n);

		colour_print(out, colour, "%.*s" ELLIPSIS, SLICE_ARG(part));
		n++;
	}
	if (!is_last)
		fprintf(out, "%*s", (int)(c->shown - n + GAP), "");
}

static bool is_last(const struct table *t, size_t column)
{
	for (size_t i = column + 1; i < t->n_columns; i++)
		if (t->columns[i].shown > 0)
			return false;
	return true;
}

static enum colour colour_of(const struct column *c, const char *cell)
{
	return c->is->colour != NULL ? c->is->colour(cell) : COLOUR_NONE;
}

/* cells NULL: the heads. */
static void print_line(const struct table *t, FILE *out, char *const *cells)
{
	for (size_t i = 0; i < t->n_columns; i++) {
		const struct column *c = &t->columns[i];

		if (c->shown == 0)
			continue;
		if (cells == NULL)
			print_cell(out, c, c->is->head, COLOUR_NONE, is_last(t, i));
		else
			print_cell(out, c, cells[i], colour_of(c, cells[i]), is_last(t, i));
	}
	fputc('\n', out);
}

void table_print(struct table *t, FILE *out)
{
	struct row *row;

	fit(t, t->wide ? SIZE_MAX : terminal_width());
	if (t->heads)
		print_line(t, out, NULL);
	t->heads = false;
	STAILQ_FOREACH(row, &t->rows, next)
	print_line(t, out, row->cells);
	forget_rows(t);
}
