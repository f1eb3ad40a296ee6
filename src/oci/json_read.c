/* SPDX-License-Identifier: Apache-2.0 */
#include "oci/json_read.h"

#include "base/limits.h"

struct position {
	size_t line, column;
};

static const char no_nul[] = "the character U+0000 is not allowed";

static int refuse(struct error *err, const char *what, struct position at)
{
	return error_set(
		err, ERROR_INVALID, "%s at line %zu, column %zu", what, at.line, at.column);
}

/* Moves past one byte; a character's later bytes do not count as columns. */
static void advance(struct position *at, char c)
{
	if (c == '\n') {
		at->line++;
		at->column = 0;
	} else if (((unsigned char)c & 0xc0) != 0x80) {
		at->column++;
	}
}

static int refuse_many(struct error *err, size_t max, struct position at)
{
	return error_set(err, ERROR_TOO_LARGE,
		"more than the %zu values allowed at line %zu, column %zu", max, at.line,
		at.column);
}

/* What jansson would do worse: it recurses to greater depths, takes a NUL for the end, and makes a
 * hundred bytes of one that is an empty object. Brackets that do not match are left to it. one:
 * stops behind the first value. max: values in it. ret_n: how far it came; at is moved on. */
static int check_value(struct slice text, bool one, size_t max, struct position *at, size_t *ret_n,
	struct error *err)
{
	bool in_string = false, escaped = false;
	size_t depth = 0, i = 0, values = 1;

	while (i < text.n) {
		char c = text.p[i++];

		advance(at, c);
		if (c == '\0')
			return refuse(err, no_nul, *at);
		if (in_string) {
			in_string = escaped || c != '"';
			escaped = !escaped && c == '\\';
		} else if (c == '"') {
			in_string = true;
		} else if (c == '{' || c == '[') {
			if (++depth > LIMIT_JSON_DEPTH)
				return refuse(err, "objects and lists are nested too deep", *at);
			values++;
		} else if (c == ',') {
			values++;
		} else if ((c == '}' || c == ']') && depth > 0 && --depth == 0 && one) {
			break;
		}
		if (values > max)
			return refuse_many(err, max, *at);
	}
	*ret_n = i;
	return 0;
}

static int check_bytes(struct slice text, size_t max, struct error *err)
{
	struct position at = {1, 0};
	size_t n;

	return check_value(text, false, max, &at, &n, err);
}

/* The first byte that counts opens an object. */
static int check_object(struct slice text, struct error *err)
{
	struct position at = {1, 0};

	for (size_t i = 0; i < text.n; i++) {
		advance(&at, text.p[i]);
		if (text.p[i] == '{')
			return 0;
		if (memchr(" \t\r\n", text.p[i], 4) == NULL)
			return refuse(err, "not a JSON object: expected {", at);
	}
	at.column++;
	return refuse(err, "empty: expected a JSON object, {", at);
}

/* from: where the text begins that was read. */
static int syntax_error(const json_error_t *e, struct position from, struct error *err)
{
	static const char *const texts[] = {
		[json_error_premature_end_of_input] = "the JSON ends too early",
		[json_error_end_of_input_expected] = "something follows the JSON object",
		[json_error_invalid_utf8] = "invalid UTF-8",
		[json_error_null_character] = no_nul,
		[json_error_null_byte_in_key] = no_nul,
		[json_error_duplicate_key] = "a key that was given already",
		[json_error_numeric_overflow] = "a number that is too large",
	};
	size_t code = (size_t)json_error_code(e);
	const char *text = code < ARRAY_SIZE(texts) ? texts[code] : NULL;
	struct position at = {1, 1};

	/* Without memory jansson fails without a word. */
	if (code == json_error_out_of_memory || e->text[0] == '\0')
		return error_no_memory(err);
	if (e->line > 0)
		at.line = (size_t)e->line;
	if (e->column > 0)
		at.column = (size_t)e->column;
	if (at.line == 1)
		at.column += from.column;
	at.line += from.line - 1;
	return refuse(err, text != NULL ? text : "not valid JSON", at);
}

static int load(json_t **ret, struct slice text, bool wide, struct position from, struct error *err)
{
	json_error_t e = {.line = -1};
	json_t *root = json_loadb(text.p, text.n, JSON_REJECT_DUPLICATES, &e);

	if (root == NULL && wide && json_error_code(&e) == json_error_numeric_overflow)
		root = json_loadb(
			text.p, text.n, JSON_REJECT_DUPLICATES | JSON_DECODE_INT_AS_REAL, &e);
	if (root == NULL)
		return syntax_error(&e, from, err);
	*ret = root;
	return 0;
}

static int read_object(json_t **ret, struct slice text, bool wide, struct error *err)
{
	static const struct position start = {1, 0};
	size_t max = wide ? LIMIT_JSON_VALUES : SIZE_MAX;

	if (check_object(text, err) != 0 || check_bytes(text, max, err) != 0)
		return -1;
	return load(ret, text, wide, start, err);
}

int json_read_object(json_t **ret, struct slice text, struct error *err)
{
	return read_object(ret, text, false, err);
}

int json_read_object_wide(json_t **ret, struct slice text, struct error *err)
{
	return read_object(ret, text, true, err);
}

int json_skip_next(struct slice *ret, struct json_reader *reader, struct error *err)
{
	struct position at = {reader->line, reader->column};
	struct slice rest = reader->rest;
	size_t begins;

	while (rest.n > 0 && memchr(" \t\r\n", rest.p[0], 4) != NULL) {
		advance(&at, rest.p[0]);
		rest = (struct slice){rest.p + 1, rest.n - 1};
	}
	*ret = SLICE_NONE;
	if (rest.n == 0)
		return 0;
	begins = at.line;
	if (rest.p[0] != '{' && rest.p[0] != '[') {
		advance(&at, rest.p[0]);
		return refuse(err, "not a JSON object or list: expected { or [", at);
	}
	*ret = rest;
	if (check_value(rest, true, SIZE_MAX, &at, &ret->n, err) != 0)
		return -1;
	rest = (struct slice){rest.p + ret->n, rest.n - ret->n};
	*reader = (struct json_reader){rest, at.line, at.column, begins};
	return 0;
}
