/* SPDX-License-Identifier: Apache-2.0 */
#include "api/changes_body.h"

#include "base/nearest.h"
#include "intent/json_walk.h"
#include "intent/text.h"

#include <stdio.h>

struct reading {
	const struct changes_options *options;
	struct change_set *set;
	struct changes_prune *prune;
	struct set_place *place; /* of the item at hand */
	size_t *lines;           /* of documents: where each resource begins */
};

void changes_body_done(struct changes_body *b)
{
	change_set_free(b->set);
	changes_prune_done(&b->prune);
}

/* ---- words ---- */

/* "unknown operation deletee: did you mean delete?" */
static int refuse_word(const char *field, const char *what, struct slice word,
	const char *const *words, const char *known, struct error *err)
{
	char excerpt[INTENT_EXCERPT_SIZE];
	const char *near = nearest_word(intent_excerpt(word, excerpt), words);

	if (field == NULL)
		field = excerpt;
	if (near != NULL)
		return error_set_field(
			err, field, "unknown %s %s: did you mean %s?", what, excerpt, near);
	return error_set_field(err, field, "unknown %s %s: known are %s", what, excerpt, known);
}

static struct slice string_of(const json_t *string)
{
	return (struct slice){json_string_value(string), json_string_length(string)};
}

/* ---- one item ---- */

enum operation { APPLY, CREATE, UPDATE, DELETE };

static const char *const operations[] = {
	[APPLY] = "apply", [CREATE] = "create", [UPDATE] = "update", [DELETE] = "delete", NULL};

static int read_operation(enum operation *ret, const json_t *value, struct error *err)
{
	static const char known[] = "apply, create, update and delete";

	*ret = APPLY;
	if (value == NULL)
		return 0;
	if (!json_is_string(value))
		return error_set_field(err, "operation", "operation must be one of %s", known);
	for (unsigned i = 0; operations[i] != NULL; i++) {
		*ret = (enum operation)i;
		if (slice_eq(string_of(value), slice_of(operations[i])))
			return 0;
	}
	return refuse_word("operation", "operation", string_of(value), operations, known, err);
}

static int read_precondition(struct precondition *ret, enum operation operation,
	const json_t *version, struct error *err)
{
	*ret = ALWAYS;
	if (operation == CREATE)
		ret->kind = IF_NOT_THERE;
	else if (operation == UPDATE)
		ret->kind = IF_THERE;
	if (version == NULL)
		return 0;
	if (operation == CREATE)
		return error_set_field(err, "ifMatch",
			"ifMatch contradicts the operation create, which takes nothing that is "
			"there: leave one of them out");
	ret->kind = IF_VERSION;
	if (json_is_string(version) && resource_tag_parse(string_of(version), &ret->version))
		return 0;
	return error_set_field(err, "ifMatch",
		"ifMatch must be a version as the server answers it, like \"v1795893153160483\"");
}

static int check_members(json_t *item, enum operation operation, struct error *err)
{
	static const char *const of_put[] = {"operation", "resource", "ifMatch", NULL};
	static const char *const of_delete[] = {"operation", "namespace", "name", "ifMatch", NULL};
	bool is_delete = operation == DELETE;
	const char *key;
	json_t *value;

	json_object_foreach(item, key, value)
	{
		const char *const *words = is_delete ? of_delete : of_put;
		const char *const *word = words;

		while (*word != NULL && strcmp(*word, key) != 0)
			word++;
		if (*word != NULL)
			continue;
		if (is_delete && strcmp(key, "resource") == 0)
			return error_set_field(err, key,
				"a delete takes name and namespace in place of the resource");
		if (!is_delete && (strcmp(key, "name") == 0 || strcmp(key, "namespace") == 0))
			return error_set_field(err, key,
				"%s belongs into the resource: only a delete has it here", key);
		return refuse_word(NULL, "member", slice_of(key), words,
			is_delete ? "operation, namespace, name and ifMatch"
				  : "operation, resource and ifMatch",
			err);
	}
	return 0;
}

static int check_only(
	const struct reading *r, const char *namespace, const char *field, struct error *err)
{
	const char *only = r->options->only;

	if (only == NULL || strcmp(only, namespace) == 0)
		return 0;
	return error_set_field(err, field,
		"namespace contradicts the path, which is that of %s: leave it out, or POST to "
		"/api/v1/changes",
		only);
}

/* Takes over a name that is one. */
static bool look_at(const json_t *value, char to[LIMIT_NAME + 1])
{
	struct slice text = string_of(value);

	if (!json_is_string(value) || !intent_name_ok(text))
		return false;
	snprintf(to, LIMIT_NAME + 1, "%.*s", SLICE_ARG(text));
	return true;
}

/* For errors: the name of what may be no resource at all, in either form. */
static void find_place(const struct reading *r, const json_t *resource)
{
	const json_t *metadata = json_object_get(resource, "metadata");
	const json_t *from = metadata != NULL ? metadata : resource;

	if (!look_at(json_object_get(from, "name"), r->place->name))
		return;
	if (!look_at(json_object_get(from, "namespace"), r->place->namespace))
		snprintf(r->place->namespace, sizeof(r->place->namespace), "%s",
			r->options->namespace);
}

/* "resource." before the field. */
static void wrap_field(struct error *err)
{
	char field[sizeof(err->field)];

	snprintf(field, sizeof(field), "resource%s%.50s", err->field[0] == '\0' ? "" : ".",
		err->field);
	memcpy(err->field, field, sizeof(field));
}

static int read_put(struct reading *r, json_t *item, struct precondition when, struct error *err)
{
	CLEANUP(intent_unrefp) struct intent *intent = NULL;
	json_t *resource = json_object_get(item, "resource");

	if (!json_is_object(resource))
		return error_set_field(err, "resource",
			"resource must be an object, like "
			"{\"name\":\"web\",\"spec\":{\"type\":\"vm\",\"size\":\"small\"}}");
	find_place(r, resource);
	if (intent_from_json(&intent, resource, r->options->namespace, err) != 0) {
		wrap_field(err);
		return -1;
	}
	if (check_only(r, intent->namespace, "resource.namespace", err) != 0)
		return -1;
	return change_set_put(r->set, intent, when, err);
}

static int read_delete(
	struct reading *r, const json_t *item, struct precondition when, struct error *err)
{
	const json_t *namespace = json_object_get(item, "namespace");
	struct set_place *place = r->place;

	if (!look_at(json_object_get(item, "name"), place->name))
		return error_set_field(err, "name",
			"name must be that of the resource to delete (lower-case letters, digits "
			"and "
			"dashes)");
	snprintf(place->namespace, sizeof(place->namespace), "%s", r->options->namespace);
	if (namespace != NULL && !look_at(namespace, place->namespace))
		return error_set_field(err, "namespace",
			"namespace must be a name (lower-case letters, digits and dashes)");
	if (check_only(r, place->namespace, "namespace", err) != 0)
		return -1;
	return change_set_delete(r->set, place->namespace, place->name, when, false, err);
}

static int read_item(struct reading *r, json_t *item, struct error *err)
{
	enum operation operation;
	struct precondition when;

	if (read_operation(&operation, json_object_get(item, "operation"), err) != 0 ||
		check_members(item, operation, err) != 0 ||
		read_precondition(&when, operation, json_object_get(item, "ifMatch"), err) != 0)
		return -1;
	if (operation == DELETE)
		return read_delete(r, item, when, err);
	return read_put(r, item, when, err);
}

/* ---- {"changes","prune"} ---- */

static int read_piece(
	struct reading *r, const struct json_walk *w, struct slice piece, struct error *err)
{
	CLEANUP(json_decrefp) json_t *item = NULL;

	return json_walk_read(&item, w, piece, err) == 0 ? read_item(r, item, err) : -1;
}

static int read_changes(struct reading *r, struct slice whole, struct slice text, struct error *err)
{
	struct json_walk w;
	struct slice piece;
	int rc;

	if (json_walk_begin(&w, whole, text, '[', err) != 0)
		return error_wrap(err, "changes must be a list");
	while ((rc = json_walk_item(&w, &piece, err)) == 1) {
		*r->place = (struct set_place){.index = r->set->n};
		if (read_piece(r, &w, piece, err) != 0) {
			if (err->code != ERROR_NO_MEMORY)
				set_error_wrap(err, r->place);
			return -1;
		}
	}
	*r->place = SET_PLACE_NONE;
	return rc;
}

static int read_prune(
	struct reading *r, const struct json_walk *w, struct slice text, struct error *err)
{
	CLEANUP(json_decrefp) json_t *json = NULL;
	char field[sizeof(err->field)];

	if (json_walk_read(&json, w, text, err) != 0) {
		error_wrap(err, "prune must be an object with namespaces and a selector");
		snprintf(err->field, sizeof(err->field), "prune");
		return -1;
	}
	if (changes_prune_read(r->prune, json, r->options->only, err) == 0)
		return 0;
	snprintf(field, sizeof(field), "prune.%.57s", err->field);
	memcpy(err->field, field, sizeof(field));
	return -1;
}

static int read_member(struct reading *r, const struct json_walk *w, struct slice key,
	struct slice value, unsigned *seen, struct error *err)
{
	static const char *const members[] = {"changes", "prune", NULL};
	unsigned i = 0;

	while (members[i] != NULL && !slice_eq(key, slice_of(members[i])))
		i++;
	if (members[i] == NULL)
		return refuse_word(NULL, "member", key, members, "changes and prune", err);
	if ((*seen & 1u << i) != 0)
		return error_set_field(err, members[i], "%s is there twice", members[i]);
	*seen |= 1u << i;
	return i == 0 ? read_changes(r, w->whole, value, err) : read_prune(r, w, value, err);
}

static int name_both(struct reading *r, size_t first, size_t second, struct error *err)
{
	const struct set_item *item = &r->set->items[second];

	if (r->lines == NULL) {
		error_wrap(err, "changes[%zu] and changes[%zu]", first, second);
		snprintf(err->field, sizeof(err->field), "changes[%zu]", second);
	} else {
		error_wrap(err, "resources %zu and %zu, at lines %zu and %zu", first + 1,
			second + 1, r->lines[first], r->lines[second]);
	}
	r->place->index = second;
	snprintf(r->place->namespace, sizeof(r->place->namespace), "%s", item->namespace);
	snprintf(r->place->name, sizeof(r->place->name), "%s", item->name);
	return -1;
}

static int check_whole(struct reading *r, struct error *err)
{
	size_t first, second;

	if (r->set->n == 0 && r->prune->n == 0)
		return error_set(err, ERROR_INVALID,
			"the change is empty: give at least one resource, or one to delete, or "
			"prune");
	if (change_set_check(r->set, &first, &second, err) == 0)
		return 0;
	return err->code == ERROR_INVALID ? name_both(r, first, second, err) : -1;
}

static int read_object(struct reading *r, struct slice text, struct error *err)
{
	struct slice key, value;
	struct json_walk w;
	unsigned seen = 0;
	int rc;

	if (json_walk_begin(&w, text, text, '{', err) != 0)
		return -1;
	while ((rc = json_walk_member(&w, &key, &value, err)) == 1)
		if (read_member(r, &w, key, value, &seen, err) != 0)
			return -1;
	return rc;
}

/* ---- documents ---- */

static int take_document(
	struct intent *intent, const struct document_place *place, void *arg, struct error *err)
{
	struct reading *r = arg;

	r->place->index = place->index;
	snprintf(r->place->namespace, sizeof(r->place->namespace), "%s", intent->namespace);
	snprintf(r->place->name, sizeof(r->place->name), "%s", intent->name);
	if (change_set_put(r->set, intent, ALWAYS, err) != 0)
		return -1;
	r->lines[r->set->n - 1] = place->line;
	*r->place = SET_PLACE_NONE;
	return 0;
}

static int read_documents(struct reading *r, struct slice text, struct error *err)
{
	struct document_options options = {
		.format = r->options->format,
		.namespace = r->options->namespace,
		.only = r->options->only,
		.max = LIMIT_CHANGES,
	};

	r->lines = calloc(LIMIT_CHANGES, sizeof(*r->lines));
	if (r->lines == NULL)
		return error_no_memory(err);
	if (document_read(text, &options, take_document, r, err) == 0)
		return 0;
	if (err->field[0] != '\0') /* a resource's: else it may be the text */
		r->place->index = r->set->n;
	return -1;
}

/* Whether the members are those of a change: not of a resource or a List. What cannot be told is
 * said to be one, which then says what is wrong. */
static bool is_object_of_changes(struct slice text)
{
	static const char *const of_resources[] = {
		"apiVersion", "kind", "metadata", "items", "name", "namespace", "spec", "labels"};
	struct error ignored = ERROR_INIT;
	struct slice key, value;
	struct json_walk w;

	if (json_walk_begin(&w, text, text, '{', &ignored) != 0)
		return false;
	while (json_walk_member(&w, &key, &value, &ignored) == 1)
		for (size_t i = 0; i < ARRAY_SIZE(of_resources); i++)
			if (slice_eq(key, slice_of(of_resources[i])))
				return false;
	return true;
}

static int read_any(struct reading *r, struct slice text, struct error *err)
{
	int rc;

	if (r->options->format == DOCUMENT_JSON && is_object_of_changes(text))
		rc = read_object(r, text, err);
	else
		rc = read_documents(r, text, err);
	return rc != 0 ? -1 : check_whole(r, err);
}

int changes_body_read(struct changes_body *ret, struct slice text,
	const struct changes_options *options, struct set_place *ret_place, struct error *err)
{
	CLEANUP(changes_body_done) struct changes_body b = {.set = NULL};
	struct reading r = {.options = options, .prune = &b.prune, .place = ret_place};
	int rc;

	*ret_place = SET_PLACE_NONE;
	if (change_set_new(&b.set, err) != 0)
		return -1;
	r.set = b.set;
	rc = read_any(&r, text, err);
	free(r.lines);
	if (rc != 0)
		return -1;
	*ret = b;
	b = (struct changes_body){.set = NULL};
	return 0;
}
