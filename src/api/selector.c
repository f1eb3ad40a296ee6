/* SPDX-License-Identifier: Apache-2.0 */
/* The grammar is that of Kubernetes' apimachinery/pkg/labels, without < and >. */
#include "api/selector.h"

#include "base/limits.h"
#include "intent/text.h"

enum term_op { TERM_IN, TERM_NOT_IN, TERM_EXISTS, TERM_NOT_EXISTS };

struct term {
	enum term_op op;
	struct slice key;
	size_t first, n; /* of the selector's values */
};

struct selector {
	char *text; /* what the slices lie in */
	size_t n_terms, n_values;
	struct term *terms;
	struct slice *values;
};

/* ---- words and signs ---- */

enum token { TOKEN_END, TOKEN_WORD, TOKEN_SIGN };

struct parser {
	struct selector *s;
	struct slice rest;
	const char *field;
	/* What comes next: */
	enum token token;
	struct slice text;
	const char *start; /* where it begins; the end of all where there is nothing */
};

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool is_sign(char c)
{
	return c != '\0' && strchr("=!(),<>", c) != NULL;
}

static void take(struct parser *p, size_t n)
{
	p->text = (struct slice){p->rest.p, n};
	p->rest.p += n;
	p->rest.n -= n;
}

static void advance(struct parser *p)
{
	size_t n = 0;

	while (p->rest.n > 0 && is_space(p->rest.p[0]))
		take(p, 1);
	p->start = p->rest.p;
	if (p->rest.n == 0) {
		p->token = TOKEN_END;
		take(p, 0);
	} else if (is_sign(p->rest.p[0])) {
		p->token = TOKEN_SIGN;
		n = slice_starts(p->rest, SLICE("==")) || slice_starts(p->rest, SLICE("!="));
		take(p, 1 + n);
	} else {
		p->token = TOKEN_WORD;
		while (n < p->rest.n && !is_space(p->rest.p[n]) && !is_sign(p->rest.p[n]))
			n++;
		take(p, n);
	}
}

static bool at_sign(const struct parser *p, const char *sign)
{
	return p->token == TOKEN_SIGN && slice_eq(p->text, slice_of(sign));
}

static bool at_word(const struct parser *p, const char *word)
{
	return p->token == TOKEN_WORD && slice_eq(p->text, slice_of(word));
}

static int refuse(const struct parser *p, const char *expected, struct error *err)
{
	char excerpt[INTENT_EXCERPT_SIZE];

	if (p->token == TOKEN_END)
		return error_set_field(err, p->field,
			"%s ends where %s must follow; it is like app=web,tier!=db,env in "
			"(test,prod)",
			p->field, expected);
	return error_set_field(err, p->field,
		"%s: expected %s at character %zu, not \"%s\"; it is like app=web,tier!=db,env in "
		"(test,prod)",
		p->field, expected, (size_t)(p->start - p->s->text) + 1,
		intent_excerpt(p->text, excerpt));
}

/* ---- keys and values ---- */

static bool has_label_characters(struct slice s)
{
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];

		if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9') &&
			c != '-' && c != '_' && c != '.')
			return false;
	}
	return true;
}

/* No label could have another: then it is mistyped. */
static int check_key(const struct parser *p, struct error *err)
{
	struct slice name = p->text, prefix = slice_cut(&name, '/');

	if (name.p == NULL) {
		name = prefix;
		prefix = SLICE("x");
	}
	if (prefix.n > 0 && prefix.n <= LIMIT_LABEL_PREFIX && name.n > 0 &&
		name.n <= LIMIT_LABEL_VALUE && has_label_characters(prefix) &&
		has_label_characters(name))
		return 0;
	return refuse(p, "the key of a label", err);
}

static int check_value(const struct parser *p, struct error *err)
{
	if (p->text.n <= LIMIT_LABEL_VALUE && has_label_characters(p->text))
		return 0;
	return refuse(p, "the value of a label", err);
}

static int add_value(struct parser *p, struct slice value, struct error *err)
{
	struct selector *s = p->s;
	struct slice *grown;

	if (s->n_values == LIMIT_SELECTOR_VALUES)
		return error_set_field(err, p->field, "%s has more than %d values", p->field,
			LIMIT_SELECTOR_VALUES);
	grown = realloc(s->values, (s->n_values + 1) * sizeof(*grown));
	if (grown == NULL)
		return error_no_memory(err);
	s->values = grown;
	grown[s->n_values++] = value;
	return 0;
}

/* One value, which may be empty. */
static int read_value(struct parser *p, struct error *err)
{
	struct slice value = SLICE("");

	if (p->token == TOKEN_WORD) {
		if (check_value(p, err) != 0)
			return -1;
		value = p->text;
		advance(p);
	}
	return add_value(p, value, err);
}

/* (a,b) */
static int read_values(struct parser *p, struct error *err)
{
	if (!at_sign(p, "("))
		return refuse(p, "( with the values", err);
	do {
		advance(p);
		if (read_value(p, err) != 0)
			return -1;
	} while (at_sign(p, ","));
	if (!at_sign(p, ")"))
		return refuse(p, ", or )", err);
	advance(p);
	return 0;
}

/* ---- terms ---- */

static int read_one_value(struct parser *p, struct error *err)
{
	advance(p);
	return read_value(p, err);
}

static int read_set(struct parser *p, struct error *err)
{
	advance(p);
	return read_values(p, err);
}

/* What stands after the key. */
static int read_operator(struct parser *p, struct term *term, struct error *err)
{
	static const struct {
		const char *text;
		bool is_word;
		enum term_op op;
		int (*read)(struct parser *p, struct error *err);
	} operators[] = {
		{"=", false, TERM_IN, read_one_value},
		{"==", false, TERM_IN, read_one_value},
		{"!=", false, TERM_NOT_IN, read_one_value},
		{"in", true, TERM_IN, read_set},
		{"notin", true, TERM_NOT_IN, read_set},
	};

	for (size_t i = 0; i < ARRAY_SIZE(operators); i++) {
		bool is_it = operators[i].is_word ? at_word(p, operators[i].text)
						  : at_sign(p, operators[i].text);

		if (!is_it)
			continue;
		term->op = operators[i].op;
		return operators[i].read(p, err);
	}
	term->op = TERM_EXISTS;
	if (p->token == TOKEN_END || at_sign(p, ","))
		return 0;
	return refuse(p, "=, !=, in, notin or a comma", err);
}

static int read_term(struct parser *p, struct error *err)
{
	bool is_absence = at_sign(p, "!");
	struct term term = {.op = TERM_NOT_EXISTS, .first = p->s->n_values};
	struct term *grown;

	if (is_absence)
		advance(p);
	if (p->token != TOKEN_WORD)
		return refuse(p, "the key of a label", err);
	if (check_key(p, err) != 0)
		return -1;
	term.key = p->text;
	advance(p);
	if (!is_absence && read_operator(p, &term, err) != 0)
		return -1;
	term.n = p->s->n_values - term.first;
	if (p->s->n_terms == LIMIT_SELECTOR_TERMS)
		return error_set_field(
			err, p->field, "%s has more than %d terms", p->field, LIMIT_SELECTOR_TERMS);
	grown = realloc(p->s->terms, (p->s->n_terms + 1) * sizeof(*grown));
	if (grown == NULL)
		return error_no_memory(err);
	p->s->terms = grown;
	grown[p->s->n_terms++] = term;
	return 0;
}

static int read_terms(struct parser *p, struct error *err)
{
	advance(p);
	if (p->token == TOKEN_END)
		return 0;
	if (read_term(p, err) != 0)
		return -1;
	while (at_sign(p, ",")) {
		advance(p);
		if (read_term(p, err) != 0)
			return -1;
	}
	return p->token == TOKEN_END ? 0 : refuse(p, "a comma", err);
}

int selector_parse(struct selector **ret, struct slice text, const char *field, struct error *err)
{
	CLEANUP(selector_freep) struct selector *s = calloc(1, sizeof(*s));
	struct parser p = {.s = s, .field = field};

	if (s == NULL || (s->text = slice_dup(text)) == NULL)
		return error_no_memory(err);
	p.rest = (struct slice){s->text, text.n};
	if (read_terms(&p, err) != 0)
		return -1;
	*ret = TAKE_PTR(s);
	return 0;
}

void selector_free(struct selector *s)
{
	if (s == NULL)
		return;
	free(s->terms);
	free(s->values);
	free(s->text);
	free(s);
}

/* ---- does it hold? ---- */

static const char *label_of(const struct intent *intent, struct slice key)
{
	for (size_t i = 0; i < intent->n_labels; i++)
		if (slice_eq(slice_of(intent->labels[i].key), key))
			return intent->labels[i].value;
	return NULL;
}

static bool is_among(const struct selector *s, const struct term *term, const char *value)
{
	struct slice wanted = slice_of(value);

	for (size_t i = 0; i < term->n; i++)
		if (slice_eq(s->values[term->first + i], wanted))
			return true;
	return false;
}

static bool term_holds(
	const struct selector *s, const struct term *term, const struct intent *intent)
{
	const char *value = label_of(intent, term->key);

	switch (term->op) {
	case TERM_EXISTS:
		return value != NULL;
	case TERM_NOT_EXISTS:
		return value == NULL;
	case TERM_IN:
		return value != NULL && is_among(s, term, value);
	case TERM_NOT_IN:
		return value == NULL || !is_among(s, term, value);
	}
	return false;
}

bool selector_holds(const struct selector *s, const struct intent *intent)
{
	if (s == NULL)
		return true;
	for (size_t i = 0; i < s->n_terms; i++)
		if (!term_holds(s, &s->terms[i], intent))
			return false;
	return true;
}
