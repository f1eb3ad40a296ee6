/* SPDX-License-Identifier: Apache-2.0 */
#include "intent/yaml_read.h"

#include "intent/text.h"

#include <yaml.h>

/* A list or mapping whose end has not come yet. */
struct frame {
	json_t *value;
	json_t *key; /* of the member of a mapping that comes next; NULL: the key does */
	bool items;  /* is it the list whose members have lines? */
};

struct yaml_reader {
	struct slice text;
	yaml_parser_t parser;
	yaml_event_t event; /* the last one */
	struct frame frames[LIMIT_JSON_DEPTH];
	size_t depth; /* of them */
	size_t documents;
	size_t values; /* of the document */
	size_t *lines; /* of members of the list */
	size_t n_lines, lines_max;
};

struct position {
	size_t line, column; /* from 1 */
};

static int fail_at(struct position at, struct error *err, const char *fmt, ...) PRINTF_LIKE(3, 4);
static int fail_at(struct position at, struct error *err, const char *fmt, ...)
{
	char text[LIMIT_ERROR_TEXT];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return error_set(
		err, ERROR_INVALID, "%s at line %zu, column %zu", text, at.line, at.column);
}

static struct position position_of(yaml_mark_t mark)
{
	return (struct position){mark.line + 1, mark.column + 1};
}

#define fail(r, err, ...) fail_at(position_of((r)->event.start_mark), err, __VA_ARGS__)

/* ---- bytes ---- */

static bool is_utf16(struct slice text)
{
	return slice_starts(text, SLICE("\xff\xfe")) || slice_starts(text, SLICE("\xfe\xff"));
}

/* And without characters that readers of YAML differ about, or directives of tags: each costs the
 * parser a look at all before it. */
static int check_utf8(struct slice text, struct error *err)
{
	struct position at = {1, 1};
	uint32_t c;

	if (is_utf16(text))
		return fail_at(at, err, "this is UTF-16, not UTF-8; save it as UTF-8");
	while (utf8_next(&text, &c)) {
		if (at.column == 1 && c == '%' && slice_starts(text, SLICE("TAG")))
			return fail_at(at, err,
				"a %%TAG directive, and tags are not taken: leave it out, or "
				"indent the line if it is text,");
		if (c == 0xfeff) /* the parser takes it for a column of its line */
			return fail_at(
				at, err, "a byte order mark (U+FEFF) inside the text; remove it");
		if (c == 0x85 || c == 0x2028 || c == 0x2029)
			return fail_at(at, err,
				"U+%04X, which ends a line for some readers of YAML only; remove "
				"it",
				(unsigned)c);
		at.column++;
		if (c == '\n')
			at = (struct position){at.line + 1, 1};
	}
	return text.n == 0 ? 0 : fail_at(at, err, "not UTF-8; save it as UTF-8");
}

/* A character that YAML does not allow; the parser says only where. */
static int fail_character(const struct yaml_reader *r, struct error *err)
{
	struct slice rest = r->text;
	struct position at = {1, 1};
	uint32_t c = 0;

	while ((size_t)(rest.p - r->text.p) < r->parser.problem_offset && utf8_next(&rest, &c)) {
		at.column++;
		if (c == '\n')
			at = (struct position){at.line + 1, 1};
	}
	return fail_at(at, err, "the character U+%04X is not allowed in YAML",
		(unsigned)r->parser.problem_value);
}

/* ---- events ---- */

static int fail_syntax(const struct yaml_reader *r, struct error *err)
{
	const yaml_parser_t *parser = &r->parser;

	if (parser->error == YAML_MEMORY_ERROR)
		return error_no_memory(err);
	if (parser->error == YAML_READER_ERROR)
		return fail_character(r, err);
	return fail_at(position_of(parser->problem_mark), err, "not YAML: %s%s%s",
		parser->problem != NULL ? parser->problem : "unreadable",
		parser->context != NULL ? " " : "", parser->context != NULL ? parser->context : "");
}

static int check_event(const struct yaml_reader *r, struct error *err)
{
	const yaml_event_t *e = &r->event;
	const yaml_char_t *anchor = NULL, *tag = NULL;

	if (e->type == YAML_SCALAR_EVENT) {
		anchor = e->data.scalar.anchor;
		tag = e->data.scalar.tag;
	} else if (e->type == YAML_SEQUENCE_START_EVENT) {
		anchor = e->data.sequence_start.anchor;
		tag = e->data.sequence_start.tag;
	} else if (e->type == YAML_MAPPING_START_EVENT) {
		anchor = e->data.mapping_start.anchor;
		tag = e->data.mapping_start.tag;
	}
	if (anchor != NULL || e->type == YAML_ALIAS_EVENT)
		return fail(r, err,
			"anchors (&) and aliases (*) are not taken: write it out, and quote what "
			"begins with one of them,");
	if (tag != NULL)
		return fail(
			r, err, "tags (!) are not taken: leave it out, and quote what begins so,");
	return 0;
}

static int next(struct yaml_reader *r, struct error *err)
{
	yaml_event_delete(&r->event);
	if (yaml_parser_parse(&r->parser, &r->event) == 0)
		return fail_syntax(r, err);
	return check_event(r, err);
}

/* ---- scalars ---- */

static bool is_one_of(struct slice s, const char *const *words)
{
	for (; *words != NULL; words++)
		if (slice_eq(s, slice_of(*words)))
			return true;
	return false;
}

static size_t count(struct slice s, size_t at, const char *set)
{
	size_t n = 0;

	while (at + n < s.n && s.p[at + n] != '\0' && strchr(set, s.p[at + n]) != NULL)
		n++;
	return n;
}

#define DIGITS "0123456789"

/* 0x, or another base, and at least one of its digits */
static bool is_of_base(struct slice s, char base, const char *digits)
{
	return s.n > 2 && s.p[0] == '0' && (s.p[1] | 0x20) == base &&
	       count(s, 2, digits) == s.n - 2;
}

/* (\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)? */
static bool is_decimal(struct slice s)
{
	size_t at = count(s, 0, DIGITS), digits = at;

	if (at < s.n && s.p[at] == '.') {
		at++;
		digits += count(s, at, DIGITS);
		at = digits + 1;
	}
	if (digits > 0 && at < s.n && (s.p[at] | 0x20) == 'e') {
		size_t sign = count(s, at + 1, "-+") == 1, n;

		n = count(s, at + 1 + sign, DIGITS);
		if (n > 0)
			at += 1 + sign + n;
	}
	return digits > 0 && at == s.n;
}

#define NUMBER_MAX 64 /* characters, without underscores, of what may be no decimal number */

/* Does some reader take it for a number? YAML 1.1 has underscores in them. */
static bool is_number_to_some(struct slice text)
{
	char digits[NUMBER_MAX];
	struct slice s = {digits, 0};

	if (text.n > 0 && (text.p[0] == '+' || text.p[0] == '-'))
		text = (struct slice){text.p + 1, text.n - 1};
	if (count(text, 0, "." DIGITS) == 0)
		return false;
	for (size_t i = 0; i < text.n; i++) {
		if (text.p[i] == '_')
			continue;
		if (s.n == NUMBER_MAX)
			return is_decimal(text);
		digits[s.n++] = text.p[i];
	}
	return is_decimal(s) || is_of_base(s, 'x', DIGITS "abcdefABCDEF") ||
	       is_of_base(s, 'o', "01234567") || is_of_base(s, 'b', "01") ||
	       slice_eq_nocase(s, SLICE(".inf")) || slice_eq_nocase(s, SLICE(".nan"));
}

/* -?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)? */
static bool is_json_number(struct slice s)
{
	size_t whole;

	if (s.n > 0 && s.p[0] == '-')
		s = (struct slice){s.p + 1, s.n - 1};
	whole = count(s, 0, DIGITS);
	if (whole == 0 || (whole > 1 && s.p[0] == '0'))
		return false;
	if (whole < s.n && s.p[whole] == '.' && count(s, whole + 1, DIGITS) == 0)
		return false;
	return is_decimal(s);
}

static int read_number(const struct yaml_reader *r, struct slice s, json_t **ret, struct error *err)
{
	json_error_t e;
	json_t *number = json_loadb(s.p, s.n, JSON_DECODE_ANY, &e);

	/* One that does not fit 64 bits is a real, as json_read_object_wide() has it. */
	if (number == NULL && json_error_code(&e) == json_error_numeric_overflow)
		number = json_loadb(s.p, s.n, JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL, &e);
	if (number == NULL && json_error_code(&e) == json_error_numeric_overflow)
		return fail(r, err, "a number that is too large");
	if (number == NULL)
		return error_no_memory(err);
	*ret = number;
	return 0;
}

static int give(json_t **ret, json_t *value, struct error *err)
{
	if (value == NULL)
		return error_no_memory(err);
	*ret = value;
	return 0;
}

/* A scalar without quotes. */
static int read_plain(const struct yaml_reader *r, struct slice s, json_t **ret, struct error *err)
{
	static const char *const nulls[] = {"", "~", "null", "Null", "NULL", NULL};
	static const char *const trues[] = {"true", "True", "TRUE", NULL};
	static const char *const falses[] = {"false", "False", "FALSE", NULL};
	static const char *const booleans_to_some[] = {"y", "Y", "yes", "Yes", "YES", "on", "On",
		"ON", "n", "N", "no", "No", "NO", "off", "Off", "OFF", NULL};
	char excerpt[INTENT_EXCERPT_SIZE];

	if (is_one_of(s, nulls))
		return give(ret, json_null(), err);
	if (is_one_of(s, trues) || is_one_of(s, falses))
		return give(ret, json_boolean(is_one_of(s, trues)), err);
	if (is_json_number(s))
		return read_number(r, s, ret, err);
	if (is_one_of(s, booleans_to_some))
		return fail(r, err,
			"%s is true or false to some readers of YAML and text to others: put it "
			"in quotes, or write true or false,",
			intent_excerpt(s, excerpt));
	if (is_number_to_some(s))
		return fail(r, err,
			"%s is a number to some readers of YAML, and not the same to all: put it "
			"in quotes, or write it in plain decimal digits,",
			intent_excerpt(s, excerpt));
	return give(ret, json_stringn_nocheck(s.p, s.n), err);
}

static int read_scalar(const struct yaml_reader *r, json_t **ret, struct error *err)
{
	const yaml_event_t *e = &r->event;
	struct slice s = {(const char *)e->data.scalar.value, e->data.scalar.length};

	if (memchr(s.p, '\0', s.n) != NULL)
		return fail(r, err, "the character U+0000 is not allowed");
	if (e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE)
		return read_plain(r, s, ret, err);
	return give(ret, json_stringn_nocheck(s.p, s.n), err);
}

/* ---- nodes ---- */

static int add_line(struct yaml_reader *r, struct error *err)
{
	if (r->n_lines == r->lines_max) {
		size_t max = r->lines_max == 0 ? 64 : 2 * r->lines_max;
		size_t *lines = reallocarray(r->lines, max, sizeof(*lines));

		if (lines == NULL)
			return error_no_memory(err);
		r->lines = lines;
		r->lines_max = max;
	}
	r->lines[r->n_lines++] = r->event.start_mark.line + 1;
	return 0;
}

/* The last event is its key. */
static int read_key(
	const struct yaml_reader *r, const json_t *object, json_t **ret, struct error *err)
{
	CLEANUP(json_decrefp) json_t *key = NULL;
	char excerpt[INTENT_EXCERPT_SIZE];

	if (r->event.type != YAML_SCALAR_EVENT)
		return fail(r, err, "a key must be a string, not a list or mapping,");
	if (read_scalar(r, &key, err) != 0)
		return -1;
	if (!json_is_string(key))
		return fail(r, err, "a key must be a string: put it in quotes,");
	if (r->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
		strcmp(json_string_value(key), "<<") == 0)
		return fail(r, err, "merge keys (<<) are not taken: write it out,");
	if (json_object_get(object, json_string_value(key)) != NULL)
		return fail(r, err, "the key \"%s\" was given already,",
			intent_excerpt(slice_of(json_string_value(key)), excerpt));
	*ret = TAKE_PTR(key);
	return 0;
}

static struct frame *innermost(struct yaml_reader *r)
{
	return r->depth > 0 ? &r->frames[r->depth - 1] : NULL;
}

/* A document that is a list, or its member "items". */
static bool has_lines(const struct yaml_reader *r)
{
	const json_t *key = r->depth == 1 ? r->frames[0].key : NULL;

	return r->depth == 0 || (key != NULL && strcmp(json_string_value(key), "items") == 0);
}

static int begin(struct yaml_reader *r, struct error *err)
{
	bool is_list = r->event.type == YAML_SEQUENCE_START_EVENT;
	struct frame frame = {.items = is_list && has_lines(r)};

	if (r->depth == LIMIT_JSON_DEPTH)
		return fail(r, err, "mappings and lists are nested too deep");
	frame.value = is_list ? json_array() : json_object();
	if (frame.value == NULL)
		return error_no_memory(err);
	r->frames[r->depth++] = frame;
	return 0;
}

/* Puts a finished value, which it takes, to where it belongs: *ret where that is the document. */
static int put(struct yaml_reader *r, json_t *value, json_t **ret, struct error *err)
{
	struct frame *in = innermost(r);
	int rc = 0;

	if (in == NULL) {
		*ret = value;
	} else if (in->key == NULL) {
		rc = json_array_append_new(in->value, value);
	} else {
		CLEANUP(json_decrefp) json_t *key = TAKE_PTR(in->key);

		rc = json_object_set_new_nocheck(in->value, json_string_value(key), value);
	}
	return rc != 0 ? error_no_memory(err) : 0;
}

/* So that a document of many small values is no more in memory than one of few large ones. */
static int count_value(struct yaml_reader *r, struct error *err)
{
	struct position at = position_of(r->event.start_mark);

	if (++r->values <= LIMIT_DOCUMENT_VALUES)
		return 0;
	return error_set(err, ERROR_TOO_LARGE,
		"more than the %d values allowed in one document: make one of each resource, with "
		"a line --- before it, at line %zu, column %zu",
		LIMIT_DOCUMENT_VALUES, at.line, at.column);
}

/* One event of a document. */
static int read_event(struct yaml_reader *r, json_t **ret, struct error *err)
{
	struct frame *in = innermost(r);
	json_t *value = NULL;

	if (r->event.type == YAML_SEQUENCE_END_EVENT || r->event.type == YAML_MAPPING_END_EVENT) {
		r->depth--;
		return put(r, in->value, ret, err);
	}
	if (in != NULL && json_is_object(in->value) && in->key == NULL)
		return read_key(r, in->value, &in->key, err);
	if (count_value(r, err) != 0)
		return -1;
	if (in != NULL && in->items && add_line(r, err) != 0)
		return -1;
	if (r->event.type != YAML_SCALAR_EVENT)
		return begin(r, err);
	return read_scalar(r, &value, err) != 0 ? -1 : put(r, value, ret, err);
}

/* ---- documents ---- */

int yaml_reader_new(struct yaml_reader **ret, struct slice text, struct error *err)
{
	static const struct slice bom = SLICE("\xef\xbb\xbf");
	struct yaml_reader *r;

	if (slice_starts(text, bom))
		text = (struct slice){text.p + bom.n, text.n - bom.n};
	if (check_utf8(text, err) != 0)
		return -1;
	r = calloc(1, sizeof(*r));
	if (r == NULL)
		return error_no_memory(err);
	if (yaml_parser_initialize(&r->parser) == 0) {
		free(r);
		return error_no_memory(err);
	}
	r->text = text;
	yaml_parser_set_encoding(&r->parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(
		&r->parser, (const unsigned char *)(text.n == 0 ? "" : text.p), text.n);
	*ret = r;
	return 0;
}

void yaml_reader_free(struct yaml_reader *r)
{
	if (r == NULL)
		return;
	for (size_t i = 0; i < r->depth; i++) {
		json_decref(r->frames[i].value);
		json_decref(r->frames[i].key);
	}
	yaml_event_delete(&r->event);
	yaml_parser_delete(&r->parser);
	free(r->lines);
	free(r);
}

/* The document whose start is the last event. */
static int read_document(struct yaml_reader *r, struct yaml_read *ret, struct error *err)
{
	CLEANUP(json_decrefp) json_t *value = NULL;
	size_t line = 0;

	r->documents++;
	r->n_lines = r->values = 0;
	while (value == NULL) {
		if (next(r, err) != 0)
			return -1;
		if (line == 0)
			line = r->event.start_mark.line + 1;
		if (read_event(r, &value, err) != 0)
			return -1;
	}
	*ret = (struct yaml_read){TAKE_PTR(value), r->documents, line};
	return 0;
}

int yaml_read_next(struct yaml_reader *r, struct yaml_read *ret, struct error *err)
{
	struct yaml_read read = {NULL, 0, 0};

	while (read.value == NULL || json_is_null(read.value)) {
		if (r->event.type != YAML_STREAM_END_EVENT && next(r, err) != 0)
			return -1;
		if (r->event.type == YAML_STREAM_END_EVENT)
			break;
		if (r->event.type == YAML_DOCUMENT_START_EVENT && read_document(r, &read, err) != 0)
			return -1;
	}
	*ret = r->event.type == YAML_STREAM_END_EVENT ? (struct yaml_read){NULL, 0, 0} : read;
	return 0;
}

size_t yaml_reader_item_line(const struct yaml_reader *r, size_t index)
{
	return index < r->n_lines ? r->lines[index] : 0;
}
