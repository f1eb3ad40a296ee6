/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fields of a resource as the decoder checks them: for those who describe them to others
 * (OpenAPI) or check that another description says the same (the CRD).
 *
 * Paths are those of the short form. In a Kubernetes object name, namespace and labels lie in
 * metadata; spec is the same.
 */
#ifndef INTENT_SCHEMA_H
#define INTENT_SCHEMA_H

#include "base/base.h"

#define INTENT_API_VERSION "gitops-squared.io/v1alpha1"
#define INTENT_KIND "PlatformResource"

enum schema_type { SCHEMA_STRING, SCHEMA_INTEGER, SCHEMA_OBJECT };

struct schema_field {
	const char *path; /* "spec.type" */
	enum schema_type type;
	bool required; /* in the object that it lies in; namespace: where nothing else says it */
	const char *const *values; /* the only ones, NULL ends; NULL: any */
	/* Of an integer; of an object with members of any name (labels), how many it may have. */
	int64_t minimum, maximum;
	size_t max_length;       /* of a string, in bytes of UTF-8; 0: not said */
	const char *pattern;     /* of a string; of labels, of their values; or NULL */
	const char *key_pattern; /* of the keys of labels, or NULL */
	size_t key_max_length;   /* likewise */
	size_t value_max_length; /* of the values of labels */
	const char *initial;     /* the default, as JSON, or NULL */
	const char *allowed;     /* what it must be, as errors say it: "vm, database or bucket" */
	const char *description; /* one line, without a full stop */
};

/* In the order of enum intent_field; path == NULL ends. Patterns are regular expressions, anchored
 * at both ends, that POSIX (extended) and ECMA-262 read alike. */
extern const struct schema_field schema_fields[];

/* What a Kubernetes object has beside these: apiVersion, kind, metadata, metadata.annotations. */
extern const struct schema_field schema_object_fields[];

/* In either; NULL: there is none. */
const struct schema_field *schema_find(const char *path);

#endif
