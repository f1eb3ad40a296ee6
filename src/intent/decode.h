/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From JSON to intents, by one table of members for each form: the short one ({"name","labels",
 * "spec"}) and Kubernetes objects, which have apiVersion, kind or metadata.
 */
#ifndef INTENT_DECODE_H
#define INTENT_DECODE_H

#include "intent/intent.h"

#include <jansson.h>

struct decode_rules {
	const char *name;      /* what it must be, and may be left out; NULL: it must be there */
	const char *namespace; /* of what names none; NULL: it must */
	const char *only;      /* the one namespace that it may be in; NULL: any */
	bool short_namespace;  /* may the short form name a namespace? */
};

/* Every error is ERROR_INVALID, with the field as that form has it. */
int intent_decode_json(struct intent **ret, json_t *json, const struct decode_rules *rules,
	struct error *err) MUST_CHECK;

/* "an object", "a number": for errors. */
const char *intent_json_kind(const json_t *json);

bool intent_json_is_object(const json_t *json);   /* in the Kubernetes form? */
const char *intent_json_name(const json_t *json); /* NULL: it has none, or it is no string */

/* Refuses what is unknown in either form, at all levels, and looks at nothing else. */
int intent_json_check_keys(json_t *json, struct error *err) MUST_CHECK;

#endif
