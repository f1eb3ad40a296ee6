/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A longest common subsequence by dynamic programming: the texts are short, and what it finds is
 * always the smallest difference.
 */
#include "base/line_diff.h"

struct lines {
	struct slice *line; /* with their ends */
	size_t n;
};

enum edit_op { KEEP = ' ', REMOVE = '-', ADD = '+' };

/* One step from the old to the new. */
struct edit {
	enum edit_op op;
	size_t old, new; /* lines of each that are behind it */
};

struct script {
	const struct lines *old, *new;
	struct edit *edits;
	size_t n;
};

/* ---- lines ---- */

static size_t count_lines(struct slice text)
{
	size_t n = 0;

	for (size_t i = 0; i < text.n; i++)
		n += text.p[i] == '\n' || i + 1 == text.n;
	return n;
}

/* 0, or -1 without memory. */
static int split(struct slice text, struct lines *ret)
{
	ret->line = malloc((count_lines(text) + 1) * sizeof(*ret->line));
	if (ret->line == NULL)
		return -1;
	while (text.n > 0) {
		const char *end = memchr(text.p, '\n', text.n);
		size_t n = end == NULL ? text.n : (size_t)(end - text.p) + 1;

		ret->line[ret->n++] = (struct slice){text.p, n};
		text.p += n;
		text.n -= n;
	}
	return 0;
}

static void lines_done(struct lines *lines)
{
	free(lines->line);
}

/* ---- the script of edits ---- */

static void add_edit(struct script *s, enum edit_op op, size_t old, size_t new)
{
	s->edits[s->n++] = (struct edit){op, old, new};
}

static void replace_all(struct script *s)
{
	for (size_t i = 0; i < s->old->n; i++)
		add_edit(s, REMOVE, i, 0);
	for (size_t j = 0; j < s->new->n; j++)
		add_edit(s, ADD, s->old->n, j);
}

/* Lines that are the same are kept as early as possible, so that changes of repeated lines slide
 * down, as diff shows them; what is taken away stands before what is added. */
static void follow(struct script *s, const uint16_t *common)
{
	size_t i = 0, j = 0, n = s->old->n, m = s->new->n, width = m + 1;

	while (i < n || j < m) {
		if (i < n && j < m && slice_eq(s->old->line[i], s->new->line[j])) {
			add_edit(s, KEEP, i++, j++);
		} else if (j == m ||
			   (i < n && common[(i + 1) * width + j] >= common[i * width + j + 1])) {
			add_edit(s, REMOVE, i++, j);
		} else {
			add_edit(s, ADD, i, j++);
		}
	}
}

/* common[i * width + j]: how many lines the old from i on and the new from j on have in common.
 * 0, or -1 without memory. */
static int compare(struct script *s)
{
	size_t n = s->old->n, m = s->new->n, width = m + 1;
	AUTO_FREE uint16_t *common = NULL;

	if (n > LIMIT_DIFF_LINES || m > LIMIT_DIFF_LINES) {
		replace_all(s);
		return 0;
	}
	common = calloc((n + 1) * width, sizeof(*common));
	if (common == NULL)
		return -1;
	for (size_t i = n; i-- > 0;) {
		for (size_t j = m; j-- > 0;) {
			uint16_t below = common[(i + 1) * width + j];
			uint16_t right = common[i * width + j + 1];

			if (slice_eq(s->old->line[i], s->new->line[j]))
				common[i * width + j] =
					(uint16_t)(common[(i + 1) * width + j + 1] + 1);
			else
				common[i * width + j] = below > right ? below : right;
		}
	}
	follow(s, common);
	return 0;
}

/* ---- hunks ---- */

/* "3", "3,2", or with no lines the line before them: "2,0". */
static void add_range(struct buf *b, size_t first, size_t n)
{
	buf_add_u64(b, n == 0 ? first : first + 1);
	if (n != 1) {
		buf_putc(b, ',');
		buf_add_u64(b, n);
	}
}

static void add_line(struct buf *b, enum edit_op op, struct slice line)
{
	buf_putc(b, (char)op);
	buf_add(b, line);
	if (line.p[line.n - 1] != '\n')
		buf_add(b, SLICE("\n\\ No newline at end of file\n"));
}

/* The edits from first to before end. */
static void add_hunk(struct buf *b, const struct script *s, size_t first, size_t end)
{
	size_t removed = 0, added = 0;

	for (size_t i = first; i < end; i++) {
		removed += s->edits[i].op != ADD;
		added += s->edits[i].op != REMOVE;
	}
	buf_add(b, SLICE("@@ -"));
	add_range(b, s->edits[first].old, removed);
	buf_add(b, SLICE(" +"));
	add_range(b, s->edits[first].new, added);
	buf_add(b, SLICE(" @@\n"));
	for (size_t i = first; i < end; i++) {
		const struct edit *e = &s->edits[i];

		add_line(b, e->op, e->op == ADD ? s->new->line[e->new] : s->old->line[e->old]);
	}
}

static size_t next_change(const struct script *s, size_t i)
{
	while (i < s->n && s->edits[i].op == KEEP)
		i++;
	return i;
}

static size_t next_kept(const struct script *s, size_t i)
{
	while (i < s->n && s->edits[i].op != KEEP)
		i++;
	return i;
}

/* Changes whose context would meet are one hunk. */
static void add_hunks(struct buf *b, const struct script *s)
{
	size_t change = next_change(s, 0);

	while (change < s->n) {
		size_t first = change > LINE_DIFF_CONTEXT ? change - LINE_DIFF_CONTEXT : 0;
		size_t end = next_kept(s, change);

		change = next_change(s, end);
		while (change < s->n && change - end <= 2 * LINE_DIFF_CONTEXT) {
			end = next_kept(s, change);
			change = next_change(s, end);
		}
		end += s->n - end < LINE_DIFF_CONTEXT ? s->n - end : LINE_DIFF_CONTEXT;
		add_hunk(b, s, first, end);
	}
}

void line_diff(
	struct slice old, struct slice new, const char *from, const char *to, struct buf *ret)
{
	CLEANUP(lines_done) struct lines a = {0};
	CLEANUP(lines_done) struct lines b = {0};
	AUTO_FREE struct edit *edits = NULL;
	struct script s = {.old = &a, .new = &b};

	if (slice_eq(old, new))
		return;
	if (split(old, &a) == 0 && split(new, &b) == 0)
		s.edits = edits = malloc((a.n + b.n + 1) * sizeof(*edits));
	if (edits == NULL || compare(&s) != 0) {
		if (ret->failed == ERROR_NONE)
			ret->failed = ERROR_NO_MEMORY;
		return;
	}
	buf_printf(ret, "--- %s\n+++ %s\n", from, to);
	add_hunks(ret, &s);
}
