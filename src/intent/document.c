/* SPDX-License-Identifier: Apache-2.0 */
#include "intent/document.h"

#include "base/nearest.h"
#include "intent/decode.h"
#include "intent/json_walk.h"
#include "intent/schema.h"
#include "intent/text.h"
#include "intent/yaml_read.h"
#include "oci/json_read.h"

#include <stdio.h>

struct reading {
	const struct document_options *options;
	int (*each)(struct intent *intent, const struct document_place *place, void *arg,
		struct error *err);
	void *arg;
	size_t n;                       /* resources so far */
	const struct yaml_reader *yaml; /* or NULL */
	bool is_located;                /* the error begins with the file already */
};

/* One value of the text, and where it is. */
struct document {
	json_t *json;
	size_t number, line; /* from 1 */
};

/* ---- one resource ---- */

/* item: from 1, in the document's list; 0: it is the document. */
static size_t line_of(const struct reading *r, const struct document *document, size_t item)
{
	if (item == 0)
		return document->line;
	return r->yaml != NULL ? yaml_reader_item_line(r->yaml, item - 1) : 0;
}

/* Says which of many resources an error is about. */
static int locate(struct reading *r, const struct document *document, size_t line, size_t item,
	const char *name, struct error *err)
{
	char place[80], excerpt[INTENT_EXCERPT_SIZE];

	if (err->code != ERROR_INVALID)
		return -1;
	if (r->options->file != NULL && line > 0) {
		r->is_located = true;
		if (name != NULL)
			error_wrap(err, "%s", intent_excerpt(slice_of(name), excerpt));
		return error_wrap(err, "%s:%zu", r->options->file, line);
	}
	if (line > 0)
		snprintf(place, sizeof(place), "document %zu, line %zu", document->number, line);
	else
		snprintf(place, sizeof(place), "document %zu, item %zu", document->number, item);
	if (name == NULL)
		return error_wrap(err, "%s", place);
	return error_wrap(err, "\"%s\" (%s)", intent_excerpt(slice_of(name), excerpt), place);
}

static int read_resource(struct reading *r, const struct document *document, json_t *json,
	size_t item, struct error *err)
{
	struct decode_rules rules = {.namespace = r->options->namespace,
		.only = r->options->only,
		.short_namespace = true};
	struct document_place place = {r->n, line_of(r, document, item)};
	CLEANUP(intent_unrefp) struct intent *intent = NULL;

	if (r->n == r->options->max)
		return error_set(err, ERROR_TOO_LARGE,
			"more than the %zu resources allowed; send them in several parts",
			r->options->max);
	if (intent_decode_json(&intent, json, &rules, err) != 0)
		return locate(r, document, place.line, item, intent_json_name(json), err);
	r->n++;
	return r->each(intent, &place, r->arg, err);
}

/* ---- lists ---- */

static int read_items(
	struct reading *r, const struct document *document, json_t *items, struct error *err)
{
	json_t *item;
	size_t i;

	json_array_foreach(items, i, item)
	{
		if (read_resource(r, document, item, i + 1, err) != 0)
			return -1;
	}
	return 0;
}

/* The apiVersion that belongs to the kind of a list; NULL: it is none. */
static const char *list_version(const json_t *json)
{
	const char *kind = json_string_value(json_object_get(json, "kind"));

	if (kind == NULL)
		return NULL;
	if (strcmp(kind, "List") == 0)
		return "v1";
	return strcmp(kind, INTENT_KIND "List") == 0 ? INTENT_API_VERSION : NULL;
}

static int check_list_key(const char *key, struct error *err)
{
	static const char *const known[] = {"apiVersion", "kind", "metadata", "items", NULL};
	const char *meant = nearest_word(key, known);
	char excerpt[INTENT_EXCERPT_SIZE];

	if (meant != NULL && strcmp(meant, key) == 0)
		return 0;
	intent_excerpt(slice_of(key), excerpt);
	if (meant != NULL)
		return error_set_field(err, excerpt, "unknown field %s of a list; did you mean %s?",
			excerpt, meant);
	return error_set_field(err, excerpt,
		"unknown field %s of a list; known are apiVersion, kind, metadata, items", excerpt);
}

static int check_list(json_t *list, struct error *err)
{
	const char *version = json_string_value(json_object_get(list, "apiVersion"));
	const char *key;
	json_t *value;

	if (version == NULL || strcmp(version, list_version(list)) != 0)
		return error_set_field(err, "apiVersion", "apiVersion of a %s must be %s",
			json_string_value(json_object_get(list, "kind")), list_version(list));
	json_object_foreach(list, key, value)
	{
		if (check_list_key(key, err) != 0)
			return -1;
	}
	if (!json_is_array(json_object_get(list, "items")))
		return error_set_field(err, "items", "items must be a list of resources");
	return 0;
}

static int read_document(struct reading *r, const struct document *document, struct error *err)
{
	json_t *json = document->json;

	if (json_is_array(json))
		return read_items(r, document, json, err);
	if (list_version(json) == NULL)
		return read_resource(r, document, json, 0, err);
	if (check_list(json, err) != 0)
		return locate(r, document, document->line, 0, NULL, err);
	return read_items(r, document, json_object_get(json, "items"), err);
}

/* ---- JSON: of a list one item at a time ---- */

/* What is no object is refused by what it is; of a list that is all that counts. */
static int read_piece(
	json_t **ret, const struct json_walk *w, struct slice piece, struct error *err)
{
	json_t *json = NULL;

	if (piece.p[0] == '[')
		json = json_array();
	else if (piece.p[0] != '{')
		json = json_loadb(piece.p, piece.n, JSON_DECODE_ANY, NULL);
	if (json == NULL)
		return json_walk_read(ret, w, piece, err);
	*ret = json;
	return 0;
}

/* Of syntax errors the line is enough. */
static int locate_large(const struct document *document, size_t item, struct error *err)
{
	if (err->code != ERROR_TOO_LARGE)
		return -1;
	if (item == 0)
		return error_wrap(err, "document %zu", document->number);
	return error_wrap(err, "document %zu, item %zu", document->number, item);
}

static int read_pieces(struct reading *r, const struct document *document, struct slice whole,
	struct slice list, struct error *err)
{
	struct json_walk w;
	struct slice piece;
	size_t item = 0;
	int rc;

	if (json_walk_begin(&w, whole, list, '[', err) != 0)
		return -1;
	while ((rc = json_walk_item(&w, &piece, err)) == 1) {
		CLEANUP(json_decrefp) json_t *json = NULL;

		item++;
		if (read_piece(&json, &w, piece, err) != 0)
			return locate_large(document, item, err);
		if (read_resource(r, document, json, item, err) != 0)
			return -1;
	}
	return rc;
}

/* An object without its items, which stay text. */
struct head {
	json_t *json;
	struct slice items; /* p == NULL: it has none */
};

static void head_done(struct head *head)
{
	json_decref(head->json);
}

/* Takes one member over; false: only reading all of the object tells what it is. */
static bool take_member(
	struct head *head, const struct json_walk *w, struct slice key, struct slice piece)
{
	char name[INTENT_EXCERPT_SIZE];
	struct error ignored = ERROR_INIT;
	json_t *value = NULL;

	snprintf(name, sizeof(name), "%.*s", SLICE_ARG(key));
	if (memchr(key.p, '\\', key.n) != NULL || json_object_get(head->json, name) != NULL)
		return false;
	if (check_list_key(name, &ignored) != 0) {
		value = json_null(); /* it is enough that it is there */
	} else if (slice_eq(key, SLICE("items")) && piece.p[0] == '[') {
		head->items = piece;
		value = json_array();
	} else if (piece.p[0] == '{') {
		if (json_walk_read(&value, w, piece, &ignored) != 0)
			return false;
	} else if (piece.p[0] != '[') {
		value = json_loadb(piece.p, piece.n, JSON_DECODE_ANY, NULL);
	}
	return value != NULL && json_object_set_new(head->json, name, value) == 0;
}

/* Whether an object is a list as others write it. */
static bool find_list(struct head *ret, struct slice whole, struct slice text)
{
	struct error ignored = ERROR_INIT;
	struct slice key, piece;
	struct json_walk w;
	int rc;

	if (json_walk_begin(&w, whole, text, '{', &ignored) != 0)
		return false;
	ret->json = json_object();
	if (ret->json == NULL)
		return false;
	while ((rc = json_walk_member(&w, &key, &piece, &ignored)) == 1)
		if (!take_member(ret, &w, key, piece))
			return false;
	return rc == 0 && list_version(ret->json) != NULL;
}

static int read_json_document(struct reading *r, struct document *document, struct slice whole,
	struct slice text, struct error *err)
{
	struct json_walk w = {.whole = whole};
	CLEANUP(head_done) struct head head = {NULL, SLICE_NONE};
	CLEANUP(json_decrefp) json_t *json = NULL;

	if (text.p[0] == '[')
		return read_pieces(r, document, whole, text, err);
	if (find_list(&head, whole, text)) {
		if (check_list(head.json, err) != 0)
			return locate(r, document, document->line, 0, NULL, err);
		return read_pieces(r, document, whole, head.items, err);
	}
	if (json_walk_read(&json, &w, text, err) != 0)
		return locate_large(document, 0, err);
	document->json = json;
	return read_document(r, document, err);
}

/* ---- the whole text ---- */

static int read_json(struct reading *r, struct slice text, struct error *err)
{
	static const struct slice bom = SLICE("\xef\xbb\xbf");
	struct document document = {.number = 0};
	struct json_reader reader;
	struct slice value;

	if (slice_starts(text, bom))
		text = (struct slice){text.p + bom.n, text.n - bom.n};
	reader = (struct json_reader)JSON_READER_INIT(text);
	for (;;) {
		if (json_skip_next(&value, &reader, err) != 0)
			return -1;
		if (value.p == NULL)
			break;
		document = (struct document){NULL, document.number + 1, reader.begins};
		if (read_json_document(r, &document, text, value, err) != 0)
			return -1;
	}
	if (document.number == 0)
		return error_set(err, ERROR_INVALID, "empty: expected a JSON object or list");
	return 0;
}

static int read_yaml(struct reading *r, struct slice text, struct error *err)
{
	CLEANUP(yaml_reader_freep) struct yaml_reader *reader = NULL;

	if (yaml_reader_new(&reader, text, err) != 0)
		return -1;
	r->yaml = reader;
	for (;;) {
		CLEANUP(json_decrefp) json_t *json = NULL;
		struct document document;
		struct yaml_read read;

		if (yaml_read_next(reader, &read, err) != 0)
			return -1;
		if (read.value == NULL)
			return 0;
		json = read.value;
		document = (struct document){json, read.number, read.line};
		if (read_document(r, &document, err) != 0)
			return -1;
	}
}

/* The readers end their errors with the place; beside a file it stands where compilers have it. */
static int locate_syntax(const char *file, struct error *err)
{
	static const char before[] = " at line ";
	char *place = strstr(err->text, before);
	size_t line, column;

	for (char *next = place; next != NULL; next = strstr(next + 1, before))
		place = next;
	if (place == NULL || sscanf(place, " at line %zu, column %zu", &line, &column) != 2)
		return error_wrap(err, "%s", file);
	*place = '\0';
	return error_wrap(err, "%s:%zu:%zu", file, line, column);
}

int document_read(struct slice text, const struct document_options *options,
	int (*each)(struct intent *intent, const struct document_place *place, void *arg,
		struct error *err),
	void *arg, struct error *err)
{
	struct reading r = {.options = options, .each = each, .arg = arg};
	int rc = options->format == DOCUMENT_YAML ? read_yaml(&r, text, err)
						  : read_json(&r, text, err);

	if (rc == 0 || options->file == NULL || r.is_located)
		return rc;
	return locate_syntax(options->file, err);
}
