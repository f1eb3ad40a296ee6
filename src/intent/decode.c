/* SPDX-License-Identifier: Apache-2.0 */
#include "intent/decode.h"

#include "base/nearest.h"
#include "intent/document.h"
#include "intent/draft.h"
#include "intent/text.h"
#include "oci/json_read.h"

#include <stdio.h>

struct decoding;

/* A member of an object, in the order in which they are checked. read == NULL: it is taken, and
 * passed over. */
struct member {
	const char *key;
	enum intent_field field;
	int (*read)(const struct member *m, json_t *value, struct decoding *d, struct error *err);
	size_t slice;                /* read_string: where in the draft it goes */
	const struct table *members; /* read_object: those of its value, which have none such */
};

struct table {
	const char *path; /* "spec." */
	const struct member *members;
	size_t n;
};

struct decoding {
	struct intent_draft draft;
	const struct table *form;
};

static int read_table(const struct table *t, json_t *object, struct decoding *d, struct error *err);

/* ---- one member ---- */

const char *intent_json_kind(const json_t *json)
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

	return kinds[json_typeof(json)];
}

static int refuse_kind(enum intent_field field, const json_t *value, struct error *err)
{
	return intent_refuse(field, intent_json_kind(value), err);
}

static struct slice string_of(const json_t *value)
{
	return (struct slice){json_string_value(value), json_string_length(value)};
}

static int read_string(const struct member *m, json_t *value, struct decoding *d, struct error *err)
{
	if (!json_is_string(value))
		return refuse_kind(m->field, value, err);
	*(struct slice *)((char *)&d->draft + m->slice) = string_of(value);
	return 0;
}

static int read_replicas(
	const struct member *m, json_t *value, struct decoding *d, struct error *err)
{
	/* What was written with a fraction, an exponent or too many digits is not shown: as a
	 * number it may look right. */
	if (json_is_real(value))
		return intent_refuse(m->field, NULL, err);
	if (!json_is_integer(value))
		return refuse_kind(m->field, value, err);
	d->draft.replicas = json_integer_value(value);
	return 0;
}

static int read_label(const char *key, const json_t *text, struct decoding *d, struct error *err)
{
	bool protects = strcmp(key, INTENT_PROTECT_LABEL) == 0;

	if (!json_is_string(text))
		return refuse_kind(protects ? FIELD_PROTECT : FIELD_LABELS, text, err);
	return intent_draft_add_label(&d->draft, slice_of(key), string_of(text), err);
}

static int read_labels(const struct member *m, json_t *value, struct decoding *d, struct error *err)
{
	const char *key;
	json_t *text;

	if (!json_is_object(value))
		return refuse_kind(m->field, value, err);
	json_object_foreach(value, key, text)
	{
		if (read_label(key, text, d, err) != 0)
			return -1;
	}
	return 0;
}

static int read_object(const struct member *m, json_t *value, struct decoding *d, struct error *err)
{
	if (!json_is_object(value))
		return refuse_kind(m->field, value, err);
	return read_table(m->members, value, d, err);
}

/* ---- members that only Kubernetes objects have ---- */

/* What the server and Flux put on every object, and is not the user's. */
static bool is_ours(const char *key, const json_t *text)
{
	static const struct slice flux = SLICE("kustomize.toolkit.fluxcd.io/");

	if (strcmp(key, "app.kubernetes.io/managed-by") == 0)
		return json_is_string(text) && slice_eq(string_of(text), SLICE("gitops-squared"));
	return slice_starts(slice_of(key), flux);
}

static int read_object_labels(
	const struct member *m, json_t *value, struct decoding *d, struct error *err)
{
	const char *key;
	json_t *text;

	if (!json_is_object(value))
		return refuse_kind(m->field, value, err);
	json_object_foreach(value, key, text)
	{
		if (!is_ours(key, text) && read_label(key, text, d, err) != 0)
			return -1;
	}
	return 0;
}

static int read_annotations(
	const struct member *m, json_t *value, struct decoding *d UNUSED, struct error *err)
{
	static const struct slice dropped[] = {SLICE("gitops-squared.io/"),
		SLICE("kustomize.toolkit.fluxcd.io/"), SLICE("kubectl.kubernetes.io/")};
	const char *key;
	json_t *text;

	if (!json_is_object(value))
		return refuse_kind(m->field, value, err);
	json_object_foreach(value, key, text)
	{
		char excerpt[INTENT_EXCERPT_SIZE];
		bool found = false;

		for (size_t i = 0; i < ARRAY_SIZE(dropped); i++)
			found = found || slice_starts(slice_of(key), dropped[i]);
		if (!found)
			return error_set_field(err, intent_field_path(m->field),
				"the annotation %s would not be kept; take it out, or make it a "
				"label",
				intent_excerpt(slice_of(key), excerpt));
	}
	return 0;
}

/* An error of a field that lies in metadata, and that the rules name as in the short form. */
static int locate_in_metadata(struct error *err)
{
	static const enum intent_field moved[] = {
		FIELD_NAMESPACE, FIELD_NAME, FIELD_LABELS, FIELD_PROTECT};

	for (size_t i = 0; i < ARRAY_SIZE(moved); i++) {
		struct error old = *err;

		if (strcmp(old.field, intent_field_path(moved[i])) != 0)
			continue;
		snprintf(err->field, sizeof(err->field), "metadata.%.50s", old.field);
		if (slice_starts(slice_of(old.text), slice_of(old.field)))
			snprintf(err->text, sizeof(err->text), "metadata.%.*s",
				(int)(sizeof(err->text) - sizeof("metadata.")), old.text);
		break;
	}
	return -1;
}

static int read_metadata(
	const struct member *m, json_t *value, struct decoding *d, struct error *err)
{
	return read_object(m, value, d, err) != 0 ? locate_in_metadata(err) : 0;
}

static int read_constant(
	const struct member *m, json_t *value, struct decoding *d UNUSED, struct error *err)
{
	const struct schema_field *schema = intent_field_schema(m->field);
	char excerpt[INTENT_EXCERPT_SIZE];

	if (!json_is_string(value))
		return refuse_kind(m->field, value, err);
	if (slice_eq(string_of(value), slice_of(schema->values[0])))
		return 0;
	return error_set_field(err, schema->path,
		"%s must be %s, not \"%s\": only " INTENT_KIND "s are taken", schema->path,
		schema->allowed, intent_excerpt(string_of(value), excerpt));
}

/* ---- the tables ---- */

#define DRAFT_SLICE(name) .slice = offsetof(struct intent_draft, name)
#define TABLE(path, members) \
	{ \
		path, members, ARRAY_SIZE(members) \
	}

static const struct member spec_members[] = {
	{"type", FIELD_TYPE, read_string, DRAFT_SLICE(type)},
	{"size", FIELD_SIZE, read_string, DRAFT_SLICE(size)},
	{"region", FIELD_REGION, read_string, DRAFT_SLICE(region)},
	{"replicas", FIELD_REPLICAS, read_replicas},
};
static const struct table spec = TABLE("spec.", spec_members);

static const struct member short_members[] = {
	{"namespace", FIELD_NAMESPACE, read_string, DRAFT_SLICE(namespace)},
	{"name", FIELD_NAME, read_string, DRAFT_SLICE(name)},
	{"labels", FIELD_LABELS, read_labels},
	{"spec", FIELD_SPEC, read_object, .members = &spec},
};
static const struct table short_form = TABLE("", short_members);
/* Without the first. */
static const struct table short_form_of_path = {
	"", short_members + 1, ARRAY_SIZE(short_members) - 1};

static const struct member metadata_members[] = {
	{"namespace", FIELD_NAMESPACE, read_string, DRAFT_SLICE(namespace)},
	{"name", FIELD_NAME, read_string, DRAFT_SLICE(name)},
	{"labels", FIELD_LABELS, read_object_labels},
	{"annotations", FIELD_ANNOTATIONS, read_annotations},
	{"creationTimestamp"},
	{"generation"},
	{"managedFields"},
	{"resourceVersion"},
	{"selfLink"},
	{"uid"},
};
static const struct table metadata = TABLE("metadata.", metadata_members);

static const struct member object_members[] = {
	{"kind", FIELD_KIND, read_constant},
	{"apiVersion", FIELD_API_VERSION, read_constant},
	{"metadata", FIELD_METADATA, read_metadata, .members = &metadata},
	{"spec", FIELD_SPEC, read_object, .members = &spec},
	{"status"},
};
static const struct table object_form = TABLE("", object_members);

/* ---- unknown members ---- */

struct meant {
	const char *path, *key;
	size_t distance;
};

/* Remembers the nearest member that a misspelt key could mean. */
static void find_nearest(const char *key, const struct table *t, struct meant *best)
{
	for (size_t i = 0; i < t->n; i++) {
		const struct member *m = &t->members[i];
		size_t distance = nearest_distance(key, m->key);

		if (m->read != NULL && distance < best->distance &&
			nearest_is_close(m->key, distance))
			*best = (struct meant){t->path, m->key, distance};
	}
}

static int refuse_unknown(
	const struct table *t, const struct table *form, const char *key, struct error *err)
{
	char excerpt[INTENT_EXCERPT_SIZE], full[INTENT_EXCERPT_SIZE + 16], known[128] = "";
	struct meant meant = {.distance = SIZE_MAX};

	snprintf(full, sizeof(full), "%s%s", t->path, intent_excerpt(slice_of(key), excerpt));
	find_nearest(key, t, &meant);
	find_nearest(key, form, &meant);
	for (size_t i = 0; i < form->n; i++) {
		if (form->members[i].members != NULL)
			find_nearest(key, form->members[i].members, &meant);
	}
	if (meant.key != NULL)
		return error_set_field(err, full, "unknown field %s; did you mean %s%s?", full,
			meant.path, meant.key);
	for (size_t i = 0; i < t->n; i++) {
		size_t len = strlen(known);

		if (t->members[i].read != NULL)
			snprintf(known + len, sizeof(known) - len, "%s%s%s", i > 0 ? ", " : "",
				t->path, t->members[i].key);
	}
	return error_set_field(err, full, "unknown field %s; known are %s", full, known);
}

static const struct member *find_member(const struct table *t, const char *key)
{
	for (size_t i = 0; i < t->n; i++) {
		if (strcmp(t->members[i].key, key) == 0)
			return &t->members[i];
	}
	return NULL;
}

static int check_keys(
	const struct table *t, const struct table *form, json_t *object, struct error *err)
{
	const char *key;
	json_t *value;

	json_object_foreach(object, key, value)
	{
		if (find_member(t, key) == NULL)
			return refuse_unknown(t, form, key, err);
	}
	return 0;
}

/* ---- all members of an object ---- */

static bool is_known_already(const struct member *m, const struct intent_draft *draft)
{
	return (m->field == FIELD_NAME && draft->name.p != NULL) ||
	       (m->field == FIELD_NAMESPACE && draft->namespace.p != NULL);
}

static int read_member(const struct member *m, json_t *value, struct decoding *d, struct error *err)
{
	const struct schema_field *schema = intent_field_schema(m->field);

	if (value == NULL && (!schema->required || is_known_already(m, &d->draft)))
		return 0;
	if (value == NULL)
		return error_set_field(err, schema->path, "%s is missing; it must be %s",
			schema->path, schema->allowed);
	if (json_is_null(value) && !schema->required)
		return error_set_field(err, schema->path,
			"%s must not be null; leave it out, or give %s", schema->path,
			schema->allowed);
	return m->read(m, value, d, err);
}

static int read_table(const struct table *t, json_t *object, struct decoding *d, struct error *err)
{
	if (check_keys(t, d->form, object, err) != 0)
		return -1;
	for (size_t i = 0; i < t->n; i++) {
		const struct member *m = &t->members[i];

		if (m->read != NULL && read_member(m, json_object_get(object, m->key), d, err) != 0)
			return -1;
	}
	return 0;
}

/* What an object is comes before what is in it: of another kind everything would be unknown. */
static int read_form(json_t *root, struct decoding *d, struct error *err)
{
	for (size_t i = 0; i < d->form->n; i++) {
		const struct member *m = &d->form->members[i];
		json_t *value = json_object_get(root, m->key);

		if (m->read == read_constant && value != NULL && m->read(m, value, d, err) != 0)
			return -1;
	}
	return read_table(d->form, root, d, err);
}

/* ---- a whole resource ---- */

static int check_rules(
	const struct decode_rules *rules, const struct intent_draft *draft, struct error *err)
{
	char excerpt[INTENT_EXCERPT_SIZE];

	if (rules->name != NULL && !slice_eq(draft->name, slice_of(rules->name)))
		return error_set_field(err, intent_field_path(FIELD_NAME),
			"name must be %s, as in the path, or be left out", rules->name);
	if (rules->only != NULL && !slice_eq(draft->namespace, slice_of(rules->only)))
		return error_set_field(err, intent_field_path(FIELD_NAMESPACE),
			"namespace must be %s here, or be left out, not \"%s\"", rules->only,
			intent_excerpt(draft->namespace, excerpt));
	return 0;
}

static int finish(struct intent **ret, const struct decode_rules *rules,
	const struct intent_draft *draft, struct error *err)
{
	return check_rules(rules, draft, err) != 0 ? -1 : intent_new(ret, draft, err);
}

static const struct table *form_of(const json_t *root, const struct decode_rules *rules)
{
	if (intent_json_is_object(root))
		return &object_form;
	return rules->short_namespace ? &short_form : &short_form_of_path;
}

int intent_decode_json(
	struct intent **ret, json_t *json, const struct decode_rules *rules, struct error *err)
{
	struct decoding d = {.draft = INTENT_DRAFT_INIT};
	int rc;

	if (!json_is_object(json))
		return error_set(err, ERROR_INVALID, "a resource must be an object, not %s",
			intent_json_kind(json));
	d.form = form_of(json, rules);
	if (rules->namespace != NULL)
		d.draft.namespace = slice_of(rules->namespace);
	if (rules->name != NULL)
		d.draft.name = slice_of(rules->name);
	if (read_form(json, &d, err) != 0)
		return -1;
	rc = finish(ret, rules, &d.draft, err);
	return rc != 0 && d.form == &object_form ? locate_in_metadata(err) : rc;
}

static int decode(
	struct intent **ret, struct slice json, const struct decode_rules *rules, struct error *err)
{
	CLEANUP(json_decrefp) json_t *root = NULL;

	if (json_read_object_wide(&root, json, err) != 0)
		return -1;
	return intent_decode_json(ret, root, rules, err);
}

int intent_decode(struct intent **ret, struct slice json, const char *namespace, struct error *err)
{
	struct decode_rules rules = {.namespace = namespace, .only = namespace};

	return decode(ret, json, &rules, err);
}

int intent_decode_named(struct intent **ret, struct slice json, const char *namespace,
	const char *name, struct error *err)
{
	struct decode_rules rules = {.name = name, .namespace = namespace, .only = namespace};

	return decode(ret, json, &rules, err);
}

int intent_from_json(struct intent **ret, json_t *json, const char *namespace, struct error *err)
{
	struct decode_rules rules = {.namespace = namespace, .short_namespace = true};

	return intent_decode_json(ret, json, &rules, err);
}

/* ---- what others ask of the forms ---- */

bool intent_json_is_object(const json_t *json)
{
	return json_object_get(json, "apiVersion") != NULL ||
	       json_object_get(json, "kind") != NULL || json_object_get(json, "metadata") != NULL;
}

const char *intent_json_name(const json_t *json)
{
	if (intent_json_is_object(json))
		json = json_object_get(json, "metadata");
	return json_string_value(json_object_get(json, "name"));
}

int intent_json_check_keys(json_t *json, struct error *err)
{
	const struct table *form = intent_json_is_object(json) ? &object_form : &short_form;

	if (check_keys(form, form, json, err) != 0)
		return -1;
	for (size_t i = 0; i < form->n; i++) {
		const struct member *m = &form->members[i];
		json_t *value = json_object_get(json, m->key);

		if (m->members != NULL && check_keys(m->members, form, value, err) != 0)
			return -1;
	}
	return 0;
}
