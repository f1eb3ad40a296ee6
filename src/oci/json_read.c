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

/* What jansson would do worse: it recurses to greater depths, and takes a NUL for the end. Brackets
 * that do not match are left to it. */
static int check_bytes(struct slice text, struct error *err)
{
	struct position at = {1, 0};
	bool in_string = false, escaped = false;
	size_t depth = 0;

	for (size_t i = 0; i < text.n; i++) {
		char c = text.p[i];

		advance(&at, c);
		if (c == '\0')
			return refuse(err, no_nul, at);
		if (in_string) {
			in_string = escaped || c != '"';
			escaped = !escaped && c == '\\';
		} else if (c == '"') {
			in_string = true;
		} else if (c == '{' || c == '[') {
			if (++depth > LIMIT_JSON_DEPTH)
				return refuse(err, "objects and lists are nested too deep", at);
		} else if ((c == '}' || c == ']') && depth > 0) {
			depth--;
		}
	}
	return 0;
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

static int syntax_error(const json_error_t *e, struct error *err)
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
	return refuse(err, text != NULL ? text : "not valid JSON", at);
}

static int read_object(json_t **ret, struct slice text, bool wide, struct error *err)
{
	json_error_t e = {.line = -1};
	json_t *root;

	if (check_object(text, err) != 0 || check_bytes(text, err) != 0)
		return -1;
	root = json_loadb(text.p, text.n, JSON_REJECT_DUPLICATES, &e);
	if (root == NULL && wide && json_error_code(&e) == json_error_numeric_overflow)
		root = json_loadb(
			text.p, text.n, JSON_REJECT_DUPLICATES | JSON_DECODE_INT_AS_REAL, &e);
	if (root == NULL)
		return syntax_error(&e, err);
	*ret = root;
	return 0;
}

int json_read_object(json_t **ret, struct slice text, struct error *err)
{
	return read_object(ret, text, false, err);
}

int json_read_object_wide(json_t **ret, struct slice text, struct error *err)
{
	return read_object(ret, text, true, err);
}
