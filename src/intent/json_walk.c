/* SPDX-License-Identifier: Apache-2.0 */
#include "intent/json_walk.h"

#include "base/buf.h"
#include "base/limits.h"
#include "oci/json_read.h"

static bool is_continuation(char c)
{
	return ((unsigned char)c & 0xc0) == 0x80;
}

static int refuse(const struct json_walk *w, const char *what, struct error *err)
{
	size_t line = 1, column = 1;

	for (const char *p = w->whole.p; p < w->at; p++) {
		if (*p == '\n') {
			line++;
			column = 1;
		} else if (!is_continuation(*p)) {
			column++;
		}
	}
	return error_set(err, ERROR_INVALID, "%s at line %zu, column %zu", what, line, column);
}

static void skip_space(struct json_walk *w)
{
	while (w->at < w->end && memchr(" \t\r\n", *w->at, 4) != NULL)
		w->at++;
}

static bool take(struct json_walk *w, char c)
{
	skip_space(w);
	if (w->at == w->end || *w->at != c)
		return false;
	w->at++;
	return true;
}

/* ---- a piece ---- */

/* From its quote to after the other one. */
static void skip_string(struct json_walk *w)
{
	for (w->at++; w->at < w->end && *w->at != '"'; w->at++)
		if (*w->at == '\\' && w->at + 1 < w->end)
			w->at++;
	if (w->at < w->end)
		w->at++;
}

/* From its bracket to after the one that belongs to it, whatever its kind. */
static void skip_brackets(struct json_walk *w)
{
	size_t depth = 0;

	while (w->at < w->end) {
		char c = *w->at;

		if (c == '"') {
			skip_string(w);
			continue;
		}
		w->at++;
		if (c == '{' || c == '[')
			depth++;
		else if ((c == '}' || c == ']') && --depth == 0)
			return;
	}
}

static int take_value(struct json_walk *w, struct slice *ret, struct error *err)
{
	const char *start;

	skip_space(w);
	start = w->at;
	if (w->at < w->end && (*w->at == '{' || *w->at == '['))
		skip_brackets(w);
	else if (w->at < w->end && *w->at == '"')
		skip_string(w);
	else
		while (w->at < w->end && memchr(",]}: \t\r\n", *w->at, 8) == NULL)
			w->at++;
	if (w->at == start)
		return refuse(w, "expected a value", err);
	*ret = (struct slice){start, (size_t)(w->at - start)};
	return 0;
}

/* ---- one after the other ---- */

int json_walk_begin(
	struct json_walk *w, struct slice whole, struct slice piece, char open, struct error *err)
{
	char expected[] = "expected {";

	if (piece.p == NULL) /* nothing has no address to count from */
		whole = piece = SLICE("");
	*w = (struct json_walk){whole, piece.p, piece.p + piece.n, false};
	expected[sizeof(expected) - 2] = open;
	return take(w, open) ? 0 : refuse(w, expected, err);
}

/* To the next item, or past the end. */
static int next(struct json_walk *w, char close, struct error *err)
{
	const char *expected = close == '}' ? "expected , or }" : "expected , or ]";

	if (take(w, close)) {
		skip_space(w);
		return w->at == w->end ? 0 : refuse(w, "something follows the end", err);
	}
	if (w->begun && !take(w, ','))
		return refuse(w, expected, err);
	w->begun = true;
	return 1;
}

int json_walk_item(struct json_walk *w, struct slice *ret, struct error *err)
{
	int rc = next(w, ']', err);

	if (rc != 1)
		return rc;
	return take_value(w, ret, err) == 0 ? 1 : -1;
}

int json_walk_member(
	struct json_walk *w, struct slice *ret_key, struct slice *ret, struct error *err)
{
	int rc = next(w, '}', err);
	struct slice key = SLICE_NONE;

	if (rc != 1)
		return rc;
	skip_space(w);
	if (w->at == w->end || *w->at != '"')
		return refuse(w, "expected a name in double quotes", err);
	if (take_value(w, &key, err) != 0)
		return -1;
	if (!take(w, ':'))
		return refuse(w, "expected :", err);
	if (take_value(w, ret, err) != 0)
		return -1;
	*ret_key = (struct slice){key.p + 1, key.n - 2};
	return 1;
}

/* ---- reading one ---- */

/* With all before it blank, so that errors say where it stands. */
static int read_in_its_place(
	json_t **ret, const struct json_walk *w, struct slice piece, struct error *err)
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(w->whole.n);
	char *to = buf_room(&text, w->whole.n);
	size_t n = 0;

	if (to == NULL)
		return error_no_memory(err);
	for (const char *p = w->whole.p; p < piece.p; p++)
		if (!is_continuation(*p))
			to[n++] = *p == '\n' ? '\n' : ' ';
	memcpy(to + n, piece.p, piece.n);
	return json_read_object_wide(ret, (struct slice){to, n + piece.n}, err);
}

int json_walk_read(json_t **ret, const struct json_walk *w, struct slice piece, struct error *err)
{
	struct error ignored = ERROR_INIT;

	if (piece.n > LIMIT_API_BODY)
		return error_set(err, ERROR_TOO_LARGE, "it is larger than %zu bytes",
			(size_t)LIMIT_API_BODY);
	if (json_read_object_wide(ret, piece, &ignored) == 0)
		return 0;
	return read_in_its_place(ret, w, piece, err);
}
