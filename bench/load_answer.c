/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/load_answer.h"

static int take_field(struct arrival *a, struct slice line, struct error *err)
{
	struct slice value = line;
	struct slice name = slice_cut(&value, ':');

	/* Two comparisons for each field of each answer would cost more than all the rest. */
	if (name.n == strlen("content-length") && slice_eq_nocase(name, SLICE("content-length"))) {
		if (!slice_to_u64(slice_trim(value), &a->left))
			return error_set(err, ERROR_INVALID, "the answer's length is no number");
		a->phase = a->left == 0 ? ARRIVAL_DONE : ARRIVAL_BODY;
	} else if (name.n == strlen("transfer-encoding") &&
		   slice_eq_nocase(name, SLICE("transfer-encoding"))) {
		a->phase = ARRIVAL_CHUNK_SIZE;
	}
	return 0;
}

static struct slice cut_line(struct slice *rest)
{
	struct slice line = slice_cut(rest, '\n');

	if (line.n > 0 && line.p[line.n - 1] == '\r')
		line.n--;
	return line;
}

static int take_head(struct arrival *a, struct slice head, struct error *err)
{
	struct slice line = cut_line(&head);
	uint64_t status;

	if (!slice_starts(line, SLICE("HTTP/1.1 ")) || line.n < 12 ||
		!slice_to_u64((struct slice){line.p + 9, 3}, &status))
		return error_set(
			err, ERROR_INVALID, "\"%.*s\" is no HTTP/1.1 status line", SLICE_ARG(line));
	a->status = (int)status;
	for (line = cut_line(&head); line.n > 0; line = cut_line(&head))
		if (take_field(a, line, err) != 0)
			return -1;
	if (a->phase == ARRIVAL_HEAD)
		return error_set(err, ERROR_INVALID, "the answer has no length");
	return 0;
}

static int take_chunk_size(struct arrival *a, struct slice line, struct error *err)
{
	uint64_t size = 0;
	size_t i;

	for (i = 0; i < line.n && line.p[i] != ';'; i++) {
		const char *digits = "0123456789abcdef";
		const char *digit = line.p[i] == '\0' ? NULL : strchr(digits, line.p[i] | 0x20);

		if (digit == NULL || i >= 8)
			return error_set(err, ERROR_INVALID, "a chunk of the answer has no size");
		size = size << 4 | (uint64_t)(digit - digits);
	}
	a->left = size;
	a->phase = size > 0 ? ARRIVAL_CHUNK : ARRIVAL_LAST_END;
	return 0;
}

static void skip(struct slice *bytes, size_t n)
{
	bytes->p += n;
	bytes->n -= n;
}

static void take_body(struct arrival *a, struct slice *bytes)
{
	size_t n = bytes->n < a->left ? bytes->n : (size_t)a->left;

	a->left -= n;
	a->length += n;
	skip(bytes, n);
	if (a->left == 0)
		a->phase = a->phase == ARRIVAL_BODY ? ARRIVAL_DONE : ARRIVAL_CHUNK_END;
}

/* One line of the framing of chunks. */
static int take_line(struct arrival *a, struct slice line, struct error *err)
{
	if (a->phase == ARRIVAL_CHUNK_SIZE)
		return take_chunk_size(a, line, err);
	/* After the last chunk an empty line is the end of trailers that nobody sends. */
	if (line.n > 0)
		return error_set(err, ERROR_INVALID, "a chunk of the answer has no end");
	a->phase = a->phase == ARRIVAL_CHUNK_END ? ARRIVAL_CHUNK_SIZE : ARRIVAL_DONE;
	return 0;
}

/* What has to be whole before it is read, with its end; p is NULL while it is not. */
static struct slice find_whole(const struct arrival *a, struct slice bytes)
{
	struct slice end = a->phase == ARRIVAL_HEAD ? SLICE("\r\n\r\n") : SLICE("\n");
	const char *at = memmem(bytes.p, bytes.n, end.p, end.n);

	if (at == NULL)
		return SLICE_NONE;
	return (struct slice){bytes.p, (size_t)(at - bytes.p) + end.n};
}

int arrival_take(struct arrival *a, struct slice *bytes, struct error *err)
{
	while (bytes->n > 0 && a->phase != ARRIVAL_DONE) {
		struct slice whole;

		if (a->phase == ARRIVAL_BODY || a->phase == ARRIVAL_CHUNK) {
			take_body(a, bytes);
			continue;
		}
		whole = find_whole(a, *bytes);
		if (whole.p == NULL)
			return 0;
		skip(bytes, whole.n);
		if (a->phase == ARRIVAL_HEAD ? take_head(a, whole, err) != 0
					     : take_line(a, cut_line(&whole), err) != 0)
			return -1;
	}
	return 0;
}
