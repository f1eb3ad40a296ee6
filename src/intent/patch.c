/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The old intent is written as JSON in the form that the patch has, merged, and decoded like a body
 * that was sent whole: so every rule holds, and errors name the fields of that form.
 */
#include "intent/decode.h"
#include "intent/document.h"
#include "intent/schema.h"
#include "oci/json_read.h"

#include <stdio.h>

/* ---- the old intent ---- */

static json_t *labels_json(const struct intent *intent)
{
	CLEANUP(json_decrefp) json_t *labels = json_object();

	for (size_t i = 0; i < intent->n_labels; i++) {
		const struct intent_label *label = &intent->labels[i];

		if (json_object_set_new(labels, label->key, json_string(label->value)) != 0)
			return NULL;
	}
	return TAKE_PTR(labels);
}

static json_t *spec_json(const struct intent *intent)
{
	return json_pack("{s:s, s:s, s:s*, s:i}", "type", intent_type_name(intent->type), "size",
		intent_size_name(intent->size), "region", intent->region, "replicas",
		intent->replicas);
}

/* NULL without memory; so is "o" of a NULL. */
static json_t *intent_json(const struct intent *intent, bool as_object)
{
	const char *name = intent->name, *namespace = intent->namespace;

	if (as_object)
		return json_pack("{s:s, s:s, s:{s:s, s:s, s:o}, s:o}", "apiVersion",
			INTENT_API_VERSION, "kind", INTENT_KIND, "metadata", "name", name,
			"namespace", namespace, "labels", labels_json(intent), "spec",
			spec_json(intent));
	return json_pack("{s:s, s:s, s:o, s:o}", "name", name, "namespace", namespace, "labels",
		labels_json(intent), "spec", spec_json(intent));
}

/* ---- RFC 7396 ---- */

struct level {
	json_t *target, *patch;
	void *member; /* the next one of the patch */
};

static json_t *object_below(json_t *target, const char *key)
{
	json_t *below = json_object_get(target, key);

	if (json_is_object(below))
		return below;
	if (json_object_set_new(target, key, json_object()) != 0)
		return NULL;
	return json_object_get(target, key);
}

/* 0, or -1 without memory. The patch was read, so it is not deeper. */
static int merge(json_t *target, json_t *patch)
{
	struct level levels[LIMIT_JSON_DEPTH] = {{target, patch, json_object_iter(patch)}};
	size_t depth = 1;

	while (depth > 0) {
		struct level *l = &levels[depth - 1];
		const char *key = json_object_iter_key(l->member);
		json_t *value = json_object_iter_value(l->member), *below;

		if (l->member == NULL) {
			depth--;
			continue;
		}
		l->member = json_object_iter_next(l->patch, l->member);
		if (json_is_null(value)) {
			json_object_del(l->target, key);
		} else if (!json_is_object(value)) {
			if (json_object_set(l->target, key, value) != 0)
				return -1;
		} else {
			below = object_below(l->target, key);
			if (below == NULL)
				return -1;
			ASSERT(depth < LIMIT_JSON_DEPTH);
			levels[depth++] = (struct level){below, value, json_object_iter(value)};
		}
	}
	return 0;
}

/* ---- the patch ---- */

/* A null would take them away, and nobody would miss them. */
static int check_identity(const json_t *patch, bool as_object, struct error *err)
{
	static const char *const keys[] = {"name", "namespace"};
	const json_t *object = as_object ? json_object_get(patch, "metadata") : patch;

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		char path[64];

		if (!json_is_null(json_object_get(object, keys[i])))
			continue;
		snprintf(path, sizeof(path), "%s%s", as_object ? "metadata." : "", keys[i]);
		return error_set_field(err, path,
			"%s must not be null; leave it out: a patch cannot change it", path);
	}
	return 0;
}

int intent_patch(
	struct intent **ret, const struct intent *old, struct slice json, struct error *err)
{
	struct decode_rules rules = {
		.name = old->name, .only = old->namespace, .short_namespace = true};
	CLEANUP(json_decrefp) json_t *patch = NULL, *whole = NULL;
	bool as_object;

	if (json_read_object_wide(&patch, json, err) != 0 ||
		intent_json_check_keys(patch, err) != 0)
		return -1;
	as_object = intent_json_is_object(patch);
	if (check_identity(patch, as_object, err) != 0)
		return -1;
	whole = intent_json(old, as_object);
	if (whole == NULL || merge(whole, patch) != 0)
		return error_no_memory(err);
	return intent_decode_json(ret, whole, &rules, err);
}
