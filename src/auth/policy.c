/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/policy.h"

#include <stdio.h>
#include <yaml.h>

#include "base/file.h"
#include "intent/intent.h"
#include "intent/text.h"

/* A user or group, and one of the rules that name it. */
struct binding {
	char *who; /* with the prefix of its method */
	bool is_group;
	size_t rule;
};

struct rule {
	enum auth_role role;
	size_t n_namespaces;
	char **namespaces; /* sorted; or AUTH_EVERYWHERE alone */
};

/* A line of quotas or rates. */
struct setting {
	char *of; /* a namespace or a subject; "*": each that is not named */
	uint64_t value;
	size_t line; /* while it is read */
};

struct settings {
	size_t n;
	struct setting *list; /* sorted */
};

struct policy {
	unsigned refs; /* atomic */
	size_t n_rules, n_bindings;
	struct rule *rules;
	struct binding *bindings; /* sorted */
	struct settings quotas, rates;
};

/* ---- its life ---- */

static void rule_done(struct rule *rule)
{
	for (size_t i = 0; i < rule->n_namespaces; i++)
		free(rule->namespaces[i]);
	free(rule->namespaces);
}

static void settings_done(struct settings *settings)
{
	for (size_t i = 0; i < settings->n; i++)
		free(settings->list[i].of);
	free(settings->list);
}

struct policy *policy_ref(struct policy *p)
{
	__atomic_add_fetch(&p->refs, 1, __ATOMIC_RELAXED);
	return p;
}

void policy_unref(struct policy *p)
{
	if (p == NULL || __atomic_sub_fetch(&p->refs, 1, __ATOMIC_ACQ_REL) > 0)
		return;
	for (size_t i = 0; i < p->n_rules; i++)
		rule_done(&p->rules[i]);
	for (size_t i = 0; i < p->n_bindings; i++)
		free(p->bindings[i].who);
	settings_done(&p->quotas);
	settings_done(&p->rates);
	free(p->rules);
	free(p->bindings);
	free(p);
}

static struct policy *policy_new(void)
{
	struct policy *p = calloc(1, sizeof(*p));

	if (p != NULL)
		p->refs = 1;
	return p;
}

/* ---- YAML, event by event: no aliases, so a short text stays a small policy ---- */

struct reader {
	struct slice yaml;
	const char *file; /* NULL: errors give the line alone */
	yaml_parser_t parser;
	yaml_event_t event; /* the last one */
	size_t line;        /* where it begins */
	struct policy *policy;
	struct error *err;
};

static int fail_at(struct reader *r, size_t line, const char *fmt, ...) PRINTF_LIKE(3, 4);
static int fail_at(struct reader *r, size_t line, const char *fmt, ...)
{
	char text[LIMIT_ERROR_TEXT];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (r->file == NULL)
		return error_set(r->err, ERROR_INVALID, "line %zu: %s", line, text);
	return error_set(r->err, ERROR_INVALID, "%.200s:%zu: %s", r->file, line, text);
}
#define fail(r, ...) fail_at(r, (r)->line, __VA_ARGS__)

static int fail_syntax(struct reader *r)
{
	const yaml_parser_t *parser = &r->parser;
	size_t line = parser->problem_mark.line + 1;

	if (parser->error == YAML_MEMORY_ERROR)
		return error_no_memory(r->err);
	if (parser->error == YAML_READER_ERROR) { /* its mark is not set */
		line = 1;
		for (size_t i = 0; i < parser->problem_offset && i < r->yaml.n; i++)
			line += r->yaml.p[i] == '\n';
	}
	return fail_at(r, line, "it is not YAML: %s",
		parser->problem == NULL ? "unreadable" : parser->problem);
}

static bool is_tagged(const yaml_event_t *event)
{
	switch (event->type) {
	case YAML_SCALAR_EVENT:
		return event->data.scalar.anchor != NULL || event->data.scalar.tag != NULL;
	case YAML_SEQUENCE_START_EVENT:
		return event->data.sequence_start.anchor != NULL ||
		       event->data.sequence_start.tag != NULL;
	case YAML_MAPPING_START_EVENT:
		return event->data.mapping_start.anchor != NULL ||
		       event->data.mapping_start.tag != NULL;
	default:
		return event->type == YAML_ALIAS_EVENT;
	}
}

static int next(struct reader *r)
{
	yaml_event_delete(&r->event);
	if (yaml_parser_parse(&r->parser, &r->event) == 0)
		return fail_syntax(r);
	r->line = r->event.start_mark.line + 1;
	if (is_tagged(&r->event))
		return fail(r, "a policy has no anchors (&), aliases (*) or tags (!): write it "
			       "out, and quote what begins with one of them");
	return 0;
}

/* The text of the last event. NULL for what is no scalar, and for a text with a NUL in it. */
static const char *text_of(const struct reader *r)
{
	const char *text;

	if (r->event.type != YAML_SCALAR_EVENT)
		return NULL;
	text = (const char *)r->event.data.scalar.value;
	return strlen(text) == r->event.data.scalar.length ? text : NULL;
}

typedef int read_text(struct reader *r, const char *text);

/* One text each of the list that comes next. */
static int read_list(struct reader *r, const char *name, read_text *item)
{
	if (next(r) != 0)
		return -1;
	if (r->event.type != YAML_SEQUENCE_START_EVENT)
		return fail(r, "\"%s\" must be a list: [a, b]", name);
	for (;;) {
		const char *text;

		if (next(r) != 0)
			return -1;
		if (r->event.type == YAML_SEQUENCE_END_EVENT)
			return 0;
		text = text_of(r);
		if (text == NULL)
			return fail(r, "\"%s\" must be a list of names", name);
		if (item(r, text) != 0)
			return -1;
	}
}

struct key {
	const char *name;
	int (*read)(struct reader *r); /* what comes after it */
};

/* A mapping that has begun. what: "a rule has role, namespaces, ..."; n: at most 32 keys; ret_seen:
 * a bit for each that was there. */
static int read_mapping(
	struct reader *r, const char *what, const struct key *keys, size_t n, unsigned *ret_seen)
{
	unsigned seen = 0;

	for (;;) {
		const char *name;
		size_t i = 0;

		if (next(r) != 0)
			return -1;
		if (r->event.type == YAML_MAPPING_END_EVENT)
			break;
		name = text_of(r);
		while (i < n && (name == NULL || strcmp(name, keys[i].name) != 0))
			i++;
		if (i == n)
			return fail(
				r, "unknown key \"%.60s\": %s", name == NULL ? "?" : name, what);
		if ((seen & 1U << i) != 0)
			return fail(r, "\"%s\" is given twice", name);
		seen |= 1U << i;
		if (keys[i].read(r) != 0)
			return -1;
	}
	*ret_seen = seen;
	return 0;
}

/* Room for one more, at array[n]; n goes up one by one. */
static int grow(void *array, size_t n, size_t size, struct error *err)
{
	void **at = array, *grown;

	if (n > 0 && (n & (n - 1)) != 0) /* it grows at powers of two */
		return 0;
	grown = reallocarray(*at, n == 0 ? 1 : 2 * n, size);
	if (grown == NULL)
		return error_no_memory(err);
	*at = grown;
	return 0;
}

/* ---- names ---- */

/* Printable, not too long, and a name behind one of the prefixes, which end with NULL. */
static bool is_name(const char *text, const char *const *prefixes)
{
	struct slice rest = slice_of(text);
	uint32_t c;

	if (rest.n > LIMIT_SUBJECT)
		return false;
	while (rest.n > 0)
		if (!utf8_next(&rest, &c) || !intent_char_ok(c))
			return false;
	for (; *prefixes != NULL; prefixes++)
		if (strncmp(text, *prefixes, strlen(*prefixes)) == 0)
			return text[strlen(*prefixes)] != '\0';
	return false;
}

static bool is_user(const char *text)
{
	static const char *const prefixes[] = {"token:", "oidc:", "kubernetes:", NULL};

	return strcmp(text, "anonymous") == 0 || is_name(text, prefixes);
}

static bool is_group(const char *text)
{
	static const char *const prefixes[] = {"oidc:", "kubernetes:", NULL};

	return is_name(text, prefixes);
}

static int check_namespace(struct reader *r, const char *text)
{
	if (strcmp(text, AUTH_EVERYWHERE) == 0 || intent_name_ok(slice_of(text)))
		return 0;
	return fail(r,
		"\"%.80s\" is no namespace: at most %d lower-case letters, digits and dashes, or "
		"\"*\" for all",
		text, LIMIT_NAME);
}

static int check_user(struct reader *r, const char *text)
{
	if (is_user(text))
		return 0;
	return fail(r,
		"\"%.80s\" is no user: token:NAME, oidc:NAME, kubernetes:NAME or anonymous, at "
		"most %d bytes",
		text, LIMIT_SUBJECT);
}

/* ---- rules ---- */

static int read_role(struct reader *r)
{
	struct rule *rule = &r->policy->rules[r->policy->n_rules - 1];
	const char *text;

	if (next(r) != 0)
		return -1;
	text = text_of(r);
	if (text == NULL || !role_parse(slice_of(text), &rule->role))
		return fail(r, "\"%.60s\" is no role: viewer, editor, admin or puller",
			text == NULL ? "?" : text);
	return 0;
}

static int add_namespace(struct reader *r, const char *text)
{
	struct rule *rule = &r->policy->rules[r->policy->n_rules - 1];
	char *copy;

	if (check_namespace(r, text) != 0)
		return -1;
	if (grow(&rule->namespaces, rule->n_namespaces, sizeof(*rule->namespaces), r->err) != 0)
		return -1;
	copy = strdup(text);
	if (copy == NULL)
		return error_no_memory(r->err);
	rule->namespaces[rule->n_namespaces++] = copy;
	if (rule->n_namespaces > 1 && (strcmp(rule->namespaces[0], AUTH_EVERYWHERE) == 0 ||
					      strcmp(text, AUTH_EVERYWHERE) == 0))
		return fail(r, "\"*\" is all namespaces: take the others out");
	return 0;
}

static int read_namespaces(struct reader *r)
{
	return read_list(r, "namespaces", add_namespace);
}

static int bind(struct reader *r, const char *who, bool to_group)
{
	struct policy *p = r->policy;
	char *copy;

	if (grow(&p->bindings, p->n_bindings, sizeof(*p->bindings), r->err) != 0)
		return -1;
	copy = strdup(who);
	if (copy == NULL)
		return error_no_memory(r->err);
	p->bindings[p->n_bindings++] = (struct binding){copy, to_group, p->n_rules - 1};
	return 0;
}

static int add_user(struct reader *r, const char *text)
{
	return check_user(r, text) == 0 ? bind(r, text, false) : -1;
}

static int add_group(struct reader *r, const char *text)
{
	if (!is_group(text))
		return fail(r,
			"\"%.80s\" is no group: oidc:NAME or kubernetes:NAME, at most %d bytes",
			text, LIMIT_SUBJECT);
	return bind(r, text, true);
}

static int read_users(struct reader *r)
{
	return read_list(r, "users", add_user);
}

static int read_groups(struct reader *r)
{
	return read_list(r, "groups", add_group);
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static int read_rule(struct reader *r)
{
	static const struct key keys[] = {
		{"role", read_role},
		{"namespaces", read_namespaces},
		{"users", read_users},
		{"groups", read_groups},
	};
	struct policy *p = r->policy;
	size_t line = r->line, bound = p->n_bindings;
	unsigned seen;
	struct rule *rule;

	if (r->event.type != YAML_MAPPING_START_EVENT)
		return fail(r, "a rule is a mapping: it has role, namespaces, users, groups");
	if (p->n_rules == LIMIT_POLICY_RULES)
		return fail(r, "there are more than %d rules", LIMIT_POLICY_RULES);
	if (grow(&p->rules, p->n_rules, sizeof(*p->rules), r->err) != 0)
		return -1;
	p->rules[p->n_rules++] = (struct rule){.namespaces = NULL};
	if (read_mapping(r, "a rule has role, namespaces, users, groups", keys, ARRAY_SIZE(keys),
		    &seen) != 0)
		return -1;
	rule = &p->rules[p->n_rules - 1];
	if ((seen & 1U) == 0)
		return fail_at(r, line, "the rule has no role: viewer, editor, admin or puller");
	if (rule->n_namespaces == 0)
		return fail_at(r, line,
			"the rule is for no namespace: name them, or say namespaces: [\"*\"]");
	if (p->n_bindings == bound)
		return fail_at(r, line, "the rule is for nobody: name users or groups");
	qsort(rule->namespaces, rule->n_namespaces, sizeof(*rule->namespaces), by_text);
	return 0;
}

static int read_rules(struct reader *r)
{
	if (next(r) != 0)
		return -1;
	if (r->event.type != YAML_SEQUENCE_START_EVENT)
		return fail(r, "\"rules\" must be a list, each rule behind a dash");
	for (;;) {
		if (next(r) != 0)
			return -1;
		if (r->event.type == YAML_SEQUENCE_END_EVENT)
			return 0;
		if (read_rule(r) != 0)
			return -1;
	}
}

/* ---- quotas and rates ---- */

struct range {
	const char *name;  /* "quotas" */
	read_text *check;  /* what a line is of */
	uint64_t min, max; /* of the number */
	const char *what;  /* the number is */
};

static int by_of(const void *a, const void *b)
{
	const struct setting *x = a, *y = b;
	int order = strcmp(x->of, y->of);

	return order != 0 ? order : x->line < y->line ? -1 : x->line > y->line;
}

static int read_value(struct reader *r, const struct range *range, uint64_t *ret)
{
	const char *text;

	if (next(r) != 0)
		return -1;
	text = text_of(r);
	if (text == NULL || !slice_to_u64(slice_of(text), ret) || *ret < range->min ||
		*ret > range->max)
		return fail(r, "\"%.40s\" must be %s", text == NULL ? "?" : text, range->what);
	return 0;
}

/* The line that has been begun by its key. */
static int read_setting(struct reader *r, const struct range *range, struct settings *ret)
{
	struct setting setting = {.line = r->line};
	AUTO_FREE char *of = NULL;
	const char *text = text_of(r);

	if (text == NULL)
		return fail(r, "\"%s\" must be names, each with a number", range->name);
	if (strcmp(text, AUTH_EVERYWHERE) != 0 && range->check(r, text) != 0)
		return -1;
	of = strdup(text);
	if (of == NULL)
		return error_no_memory(r->err);
	if (read_value(r, range, &setting.value) != 0 ||
		grow(&ret->list, ret->n, sizeof(*ret->list), r->err) != 0)
		return -1;
	setting.of = TAKE_PTR(of);
	ret->list[ret->n++] = setting;
	return 0;
}

static int read_settings(struct reader *r, const struct range *range, struct settings *ret)
{
	if (next(r) != 0)
		return -1;
	if (r->event.type != YAML_MAPPING_START_EVENT)
		return fail(r, "\"%s\" must be names, each with a number", range->name);
	for (;;) {
		if (next(r) != 0)
			return -1;
		if (r->event.type == YAML_MAPPING_END_EVENT)
			break;
		if (read_setting(r, range, ret) != 0)
			return -1;
	}
	if (ret->n > 1)
		qsort(ret->list, ret->n, sizeof(*ret->list), by_of);
	for (size_t i = 1; i < ret->n; i++)
		if (strcmp(ret->list[i - 1].of, ret->list[i].of) == 0)
			return fail_at(r, ret->list[i].line, "\"%.80s\" is given twice in \"%s\"",
				ret->list[i].of, range->name);
	return 0;
}

static int read_quotas(struct reader *r)
{
	static const struct range range = {"quotas", check_namespace, 0, POLICY_UNLIMITED - 1,
		"a number of resources, in digits"};

	return read_settings(r, &range, &r->policy->quotas);
}

static int read_rates(struct reader *r)
{
	static const struct range range = {"rates", check_user, 1, LIMIT_RATE,
		"a number of requests a second, from 1 to 1000000"};

	return read_settings(r, &range, &r->policy->rates);
}

/* ---- a file ---- */

static int by_who(const void *a, const void *b)
{
	const struct binding *x = a, *y = b;

	return x->is_group != y->is_group ? x->is_group - y->is_group : strcmp(x->who, y->who);
}

/* What comes is the end of the text. */
static int read_end(struct reader *r)
{
	do {
		if (next(r) != 0)
			return -1;
	} while (r->event.type == YAML_DOCUMENT_END_EVENT);
	if (r->event.type != YAML_STREAM_END_EVENT)
		return fail(r, "a second document begins: a policy is one");
	return 0;
}

/* From the start of the text to its end: one document, which is a mapping. */
static int read_all(struct reader *r)
{
	static const char what[] = "a policy has rules, quotas, rates";
	static const struct key keys[] = {
		{"rules", read_rules},
		{"quotas", read_quotas},
		{"rates", read_rates},
	};
	struct policy *p = r->policy;
	unsigned seen;

	do {
		if (next(r) != 0)
			return -1;
	} while (r->event.type == YAML_STREAM_START_EVENT ||
		 r->event.type == YAML_DOCUMENT_START_EVENT);
	if (r->event.type == YAML_STREAM_END_EVENT)
		return fail(r, "there is nothing in it; a policy that gives nobody a role is "
			       "\"rules: []\"");
	if (r->event.type != YAML_MAPPING_START_EVENT)
		return fail(r, "%s, as keys of a YAML mapping", what);
	if (read_mapping(r, what, keys, ARRAY_SIZE(keys), &seen) != 0 || read_end(r) != 0)
		return -1;
	if (p->n_bindings > 1)
		qsort(p->bindings, p->n_bindings, sizeof(*p->bindings), by_who);
	return 0;
}

static void done_reader(struct reader *r)
{
	yaml_event_delete(&r->event);
	yaml_parser_delete(&r->parser);
}

static int parse(struct policy **ret, struct slice yaml, const char *file, struct error *err)
{
	CLEANUP(policy_unrefp) struct policy *p = policy_new();
	CLEANUP(done_reader)
	struct reader r = {.yaml = yaml, .file = file, .policy = p, .err = err};

	if (p == NULL || yaml_parser_initialize(&r.parser) == 0)
		return error_no_memory(err);
	yaml_parser_set_input_string(
		&r.parser, (const unsigned char *)(yaml.n == 0 ? "" : yaml.p), yaml.n);
	if (read_all(&r) != 0)
		return -1;
	*ret = TAKE_PTR(p);
	return 0;
}

int policy_parse(struct policy **ret, struct slice yaml, struct error *err)
{
	return parse(ret, yaml, NULL, err);
}

int policy_load(struct policy **ret, const char *file, struct error *err)
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(LIMIT_CONFIG_FILE);

	if (file == NULL) {
		struct policy *p = policy_new();

		if (p == NULL)
			return error_no_memory(err);
		*ret = p;
		return 0;
	}
	if (file_read(file, &text, err) != 0) {
		err->code = err->code == ERROR_NOT_FOUND ? ERROR_INVALID : err->code;
		return error_wrap(err, "the policy");
	}
	return parse(ret, buf_slice(&text), file, err);
}

/* ---- asking ---- */

static bool covers(const struct rule *rule, const char *namespace)
{
	return namespace == NULL || strcmp(rule->namespaces[0], AUTH_EVERYWHERE) == 0 ||
	       bsearch(&namespace, rule->namespaces, rule->n_namespaces, sizeof(char *), by_text) !=
		       NULL;
}

/* The first binding that is not before the key. */
static size_t first_of(const struct policy *p, const struct binding *key)
{
	size_t low = 0, high = p->n_bindings;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (by_who(&p->bindings[middle], key) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool may(const struct policy *p, const struct binding *who, enum auth_action action,
	const char *namespace)
{
	for (size_t i = first_of(p, who); i < p->n_bindings && by_who(&p->bindings[i], who) == 0;
		i++) {
		const struct rule *rule = &p->rules[p->bindings[i].rule];

		if (role_may(rule->role, action) && covers(rule, namespace))
			return true;
	}
	return false;
}

bool policy_allows(const struct policy *p, const struct subject *s, enum auth_action action,
	const char *namespace)
{
	struct binding who = {.who = s->name};

	if (subject_may(s, action, namespace) || may(p, &who, action, namespace))
		return true;
	who.is_group = true;
	for (size_t i = 0; i < s->n_groups; i++) {
		who.who = s->groups[i];
		if (may(p, &who, action, namespace))
			return true;
	}
	return false;
}

static int of_key(const void *key, const void *setting)
{
	return strcmp(key, ((const struct setting *)setting)->of);
}

static const struct setting *find(const struct settings *settings, const char *of)
{
	return settings->n == 0
		       ? NULL
		       : bsearch(of, settings->list, settings->n, sizeof(*settings->list), of_key);
}

/* Its own, or that of each that is not named. */
static uint64_t value_of(const struct settings *settings, const char *of, uint64_t otherwise)
{
	const struct setting *found = find(settings, of);

	if (found == NULL)
		found = find(settings, AUTH_EVERYWHERE);
	return found == NULL ? otherwise : found->value;
}

uint64_t policy_quota(const struct policy *p, const char *namespace)
{
	return value_of(&p->quotas, namespace, POLICY_UNLIMITED);
}

unsigned policy_rate(const struct policy *p, const struct subject *s)
{
	return (unsigned)value_of(&p->rates, s->name, 0);
}
