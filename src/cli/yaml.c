/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/yaml.h"

#include "base/json.h"

/* Is it a string to every reader of YAML when written as it is? */
static bool is_plain(const char *s)
{
	static const struct slice words[] = {SLICE("y"), SLICE("n"), SLICE("yes"), SLICE("no"),
		SLICE("on"), SLICE("off"), SLICE("true"), SLICE("false"), SLICE("null"),
		SLICE("nan"), SLICE("inf"), SLICE("infinity")};

	if ((*s < 'a' || *s > 'z') && (*s < 'A' || *s > 'Z'))
		return false;
	if (s[strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._/-")] !=
		'\0')
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (slice_eq_nocase(slice_of(s), words[i]))
			return false;
	return true;
}

static void add_string(struct buf *b, const char *s)
{
	if (is_plain(s))
		buf_puts(b, s);
	else
		json_add_string(b, slice_of(s)); /* double-quoted YAML reads it alike */
}

/* Several lines, which can stand as they are. */
static bool is_literal(const char *s)
{
	size_t n = strlen(s);

	if (n < 2 || s[n - 1] != '\n' || s[n - 2] == '\n' || s[0] <= ' ')
		return false;
	for (size_t i = 0; i < n; i++)
		if (s[i] != '\n' && (s[i] < ' ' || s[i] > '~'))
			return false;
	return true;
}

static void add_literal(struct buf *b, const char *s, unsigned indent)
{
	struct slice rest = {s, strlen(s) - 1};

	buf_putc(b, '|');
	while (rest.p != NULL) {
		struct slice line = slice_cut(&rest, '\n');

		buf_printf(b, "\n%*s%.*s", line.n > 0 ? (int)indent : 0, "", SLICE_ARG(line));
	}
}

/* indent: of its lines, where it has several. */
static void add_scalar(struct buf *b, json_t *value, unsigned indent)
{
	char *text;

	if (json_is_string(value) && is_literal(json_string_value(value))) {
		add_literal(b, json_string_value(value), indent);
		return;
	}
	if (json_is_string(value)) {
		add_string(b, json_string_value(value));
		return;
	}
	text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
	if (text != NULL)
		buf_puts(b, text); /* a number, true, false, null, {} or [] */
	free(text);
}

static bool is_block(json_t *value)
{
	return json_object_size(value) > 0 || json_array_size(value) > 0;
}

/* An object or an array that is being written. */
struct level {
	json_t *value;
	void *member; /* of an object, the next */
	size_t item;  /* of an array, the next */
	unsigned indent;
};

struct yaml {
	struct buf *b;
	struct level levels[LIMIT_JSON_DEPTH + 4];
	size_t depth;
	bool is_begun; /* the line has its indentation */
};

static void enter(struct yaml *y, json_t *value, unsigned indent)
{
	ASSERT(y->depth < ARRAY_SIZE(y->levels));
	y->levels[y->depth++] =
		(struct level){.value = value, .member = json_object_iter(value), .indent = indent};
}

static void begin_line(struct yaml *y, unsigned indent)
{
	if (!y->is_begun)
		buf_printf(y->b, "%*s", (int)indent, "");
	y->is_begun = false;
}

static void add_member(struct yaml *y, struct level *l)
{
	json_t *value = json_object_iter_value(l->member);

	begin_line(y, l->indent);
	add_string(y->b, json_object_iter_key(l->member));
	l->member = json_object_iter_next(l->value, l->member);
	if (is_block(value)) {
		buf_puts(y->b, ":\n");
		enter(y, value, json_is_object(value) ? l->indent + 2 : l->indent);
		return;
	}
	buf_puts(y->b, ": ");
	add_scalar(y->b, value, l->indent + 2);
	buf_putc(y->b, '\n');
}

static void add_item(struct yaml *y, struct level *l)
{
	json_t *value = json_array_get(l->value, l->item++);

	begin_line(y, l->indent);
	buf_puts(y->b, "- ");
	if (is_block(value)) {
		y->is_begun = true;
		enter(y, value, l->indent + 2);
		return;
	}
	add_scalar(y->b, value, l->indent + 2);
	buf_putc(y->b, '\n');
}

void yaml_write(struct buf *b, json_t *object, unsigned indent, bool is_item)
{
	struct yaml y = {.b = b, .is_begun = is_item};

	enter(&y, object, indent);
	while (y.depth > 0) {
		struct level *l = &y.levels[y.depth - 1];

		if (l->member != NULL)
			add_member(&y, l);
		else if (l->item < json_array_size(l->value))
			add_item(&y, l);
		else
			y.depth--;
	}
}
