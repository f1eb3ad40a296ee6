/* SPDX-License-Identifier: Apache-2.0 */
#include "intent/draft.h"
#include "intent/text.h"
#include "oci/json_read.h"

#include <stdio.h>

/* A member of the body or of spec, in the order in which they are checked. */
struct member {
	const char *key;
	enum intent_field field;
	bool required;
	int (*read)(const struct member *m, json_t *value, struct intent_draft *draft,
		struct error *err);
	size_t slice; /* read_string: where in the draft it goes */
};

static int read_members(const struct member *members, size_t n, const char *path, json_t *object,
	struct intent_draft *draft, struct error *err);

/* ---- one member ---- */

static int refuse_kind(enum intent_field field, const json_t *value, struct error *err)
{
	static const char *const kinds[] = {
		[JSON_OBJECT] = "an object",
		[JSON_ARRAY] = "a list",
		[JSON_STRING] = "a string",
		[JSON_INTEGER] = "a number",
		[JSON_REAL] = "a number",
		[JSON_TRUE] = "true",
		[JSON_FALSE] = "false",
		[JSON_NULL] = "null",
	};

	return intent_refuse(field, kinds[json_typeof(value)], err);
}

static struct slice string_of(const json_t *value)
{
	return (struct slice){json_string_value(value), json_string_length(value)};
}

static int read_string(
	const struct member *m, json_t *value, struct intent_draft *draft, struct error *err)
{
	if (!json_is_string(value))
		return refuse_kind(m->field, value, err);
	*(struct slice *)((char *)draft + m->slice) = string_of(value);
	return 0;
}

static int read_replicas(
	const struct member *m, json_t *value, struct intent_draft *draft, struct error *err)
{
	/* What was written with a fraction, an exponent or too many digits is not shown: as a
	 * number it may look right. */
	if (json_is_real(value))
		return intent_refuse(m->field, NULL, err);
	if (!json_is_integer(value))
		return refuse_kind(m->field, value, err);
	draft->replicas = json_integer_value(value);
	return 0;
}

static int read_labels(
	const struct member *m, json_t *value, struct intent_draft *draft, struct error *err)
{
	const char *key;
	json_t *text;

	if (!json_is_object(value))
		return refuse_kind(m->field, value, err);
	json_object_foreach(value, key, text)
	{
		bool protects = strcmp(key, INTENT_PROTECT_LABEL) == 0;

		if (!json_is_string(text))
			return refuse_kind(protects ? FIELD_PROTECT : m->field, text, err);
		if (intent_draft_add_label(draft, slice_of(key), string_of(text), err) != 0)
			return -1;
	}
	return 0;
}

#define DRAFT_SLICE(name) offsetof(struct intent_draft, name)
static const struct member spec_members[] = {
	{"type", FIELD_TYPE, true, read_string, DRAFT_SLICE(type)},
	{"size", FIELD_SIZE, true, read_string, DRAFT_SLICE(size)},
	{"region", FIELD_REGION, false, read_string, DRAFT_SLICE(region)},
	{"replicas", FIELD_REPLICAS, false, read_replicas, 0},
};

static int read_spec(
	const struct member *m, json_t *value, struct intent_draft *draft, struct error *err)
{
	if (!json_is_object(value))
		return refuse_kind(m->field, value, err);
	return read_members(spec_members, ARRAY_SIZE(spec_members), "spec.", value, draft, err);
}

static const struct member body_members[] = {
	{"name", FIELD_NAME, true, read_string, DRAFT_SLICE(name)},
	{"labels", FIELD_LABELS, false, read_labels, 0},
	{"spec", FIELD_SPEC, true, read_spec, 0},
};

/* ---- unknown members ---- */

#define WORD_MAX 16

static int lower(char c)
{
	return c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c;
}

/* Levenshtein distance without regard to case. */
static size_t distance(const char *a, const char *b)
{
	size_t row[WORD_MAX + 1], n = strlen(b);

	ASSERT(n <= WORD_MAX);
	for (size_t j = 0; j <= n; j++)
		row[j] = j;
	for (size_t i = 0; a[i] != '\0'; i++) {
		size_t diagonal = row[0];

		row[0] = i + 1;
		for (size_t j = 0; j < n; j++) {
			size_t best = diagonal + (lower(a[i]) != lower(b[j]));

			if (row[j] + 1 < best)
				best = row[j] + 1;
			if (row[j + 1] + 1 < best)
				best = row[j + 1] + 1;
			diagonal = row[j + 1];
			row[j + 1] = best;
		}
	}
	return row[n];
}

/* Remembers the nearest member that a misspelt key could mean. */
static void nearest(const char *key, const struct member *members, size_t n,
	const struct member **best, size_t *best_distance)
{
	for (size_t i = 0; i < n; i++) {
		size_t d = distance(key, members[i].key);

		if (d <= strlen(members[i].key) / 3 + 1 && d < *best_distance) {
			*best = &members[i];
			*best_distance = d;
		}
	}
}

static int refuse_unknown(const struct member *members, size_t n, const char *path, const char *key,
	struct error *err)
{
	char excerpt[INTENT_EXCERPT_SIZE], full[INTENT_EXCERPT_SIZE + 8], known[64] = "";
	const struct member *meant = NULL;
	size_t best = SIZE_MAX;

	snprintf(full, sizeof(full), "%s%s", path, intent_excerpt(slice_of(key), excerpt));
	if (strlen(key) <= WORD_MAX) {
		nearest(key, members, n, &meant, &best);
		nearest(key, body_members, ARRAY_SIZE(body_members), &meant, &best);
		nearest(key, spec_members, ARRAY_SIZE(spec_members), &meant, &best);
	}
	if (meant != NULL)
		return error_set_field(err, full, "unknown field %s; did you mean %s?", full,
			intent_field_path(meant->field));
	for (size_t i = 0; i < n; i++) {
		size_t len = strlen(known);

		snprintf(known + len, sizeof(known) - len, "%s%s", i > 0 ? ", " : "",
			intent_field_path(members[i].field));
	}
	return error_set_field(err, full, "unknown field %s; known are %s", full, known);
}

/* ---- all members of an object ---- */

static bool is_known(const struct member *members, size_t n, const char *key)
{
	for (size_t i = 0; i < n; i++) {
		if (strcmp(members[i].key, key) == 0)
			return true;
	}
	return false;
}

static bool is_known_already(const struct member *m, const struct intent_draft *draft)
{
	return m->field == FIELD_NAME && draft->name.p != NULL;
}

static int read_member(
	const struct member *m, json_t *value, struct intent_draft *draft, struct error *err)
{
	const char *path = intent_field_path(m->field), *allowed = intent_field_allowed(m->field);

	if (value == NULL && (!m->required || is_known_already(m, draft)))
		return 0;
	if (value == NULL)
		return error_set_field(err, path, "%s is missing; it must be %s", path, allowed);
	if (json_is_null(value) && !m->required)
		return error_set_field(
			err, path, "%s must not be null; leave it out, or give %s", path, allowed);
	return m->read(m, value, draft, err);
}

static int read_members(const struct member *members, size_t n, const char *path, json_t *object,
	struct intent_draft *draft, struct error *err)
{
	const char *key;
	json_t *value;

	json_object_foreach(object, key, value)
	{
		if (!is_known(members, n, key))
			return refuse_unknown(members, n, path, key, err);
	}
	for (size_t i = 0; i < n; i++) {
		value = json_object_get(object, members[i].key);
		if (read_member(&members[i], value, draft, err) != 0)
			return -1;
	}
	return 0;
}

/* name: NULL where the body must say it. */
static int decode(struct intent **ret, struct slice json, const char *namespace, const char *name,
	struct error *err)
{
	struct intent_draft draft = INTENT_DRAFT_INIT;
	CLEANUP(json_decrefp) json_t *root = NULL;

	draft.namespace = slice_of(namespace);
	if (name != NULL)
		draft.name = slice_of(name);
	if (json_read_object_wide(&root, json, err) != 0 ||
		read_members(body_members, ARRAY_SIZE(body_members), "", root, &draft, err) != 0)
		return -1;
	if (name != NULL && !slice_eq(draft.name, slice_of(name)))
		return error_set_field(err, intent_field_path(FIELD_NAME),
			"name must be %s, as in the path, or be left out", name);
	return intent_new(ret, &draft, err);
}

int intent_decode(struct intent **ret, struct slice json, const char *namespace, struct error *err)
{
	return decode(ret, json, namespace, NULL, err);
}

int intent_decode_named(struct intent **ret, struct slice json, const char *namespace,
	const char *name, struct error *err)
{
	return decode(ret, json, namespace, name, err);
}
