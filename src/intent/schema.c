/* SPDX-License-Identifier: Apache-2.0 */
#include "intent/schema.h"

#include "intent/draft.h"

#include <string.h>

#define TEXT_OF(number) #number
#define TEXT(limit) TEXT_OF(limit)

#define NAME_ALLOWED \
	"1 to " TEXT(LIMIT_NAME) " lower-case letters, digits and dashes, starting and ending " \
				 "with a letter or digit"
#define DOMAIN_WORD "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
#define NAME_PATTERN "^" DOMAIN_WORD "$"
#define LABEL_WORD "[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?"

static const char *const booleans[] = {"true", "false", NULL};
static const char *const api_versions[] = {INTENT_API_VERSION, NULL};
static const char *const kinds[] = {INTENT_KIND, NULL};

const struct schema_field schema_fields[] = {
	[FIELD_NAMESPACE] = {.path = "namespace",
		.type = SCHEMA_STRING,
		.required = true,
		.max_length = LIMIT_NAME,
		.pattern = NAME_PATTERN,
		.allowed = NAME_ALLOWED,
		.description = "The namespace of the resource"},
	[FIELD_NAME] = {.path = "name",
		.type = SCHEMA_STRING,
		.required = true,
		.max_length = LIMIT_NAME,
		.pattern = NAME_PATTERN,
		.allowed = NAME_ALLOWED,
		.description = "The name of the resource, unique in its namespace"},
	[FIELD_LABELS] = {.path = "labels",
		.type = SCHEMA_OBJECT,
		.maximum = LIMIT_LABELS,
		.pattern = "^(" LABEL_WORD ")?$",
		.value_max_length = LIMIT_LABEL_VALUE,
		.key_pattern = "^(" DOMAIN_WORD "(\\." DOMAIN_WORD ")*/)?" LABEL_WORD "$",
		.key_max_length = LIMIT_LABEL_KEY,
		.allowed = "an object whose values are strings",
		.description = "Labels of the object in the cluster, as Kubernetes takes them"},
	[FIELD_PROTECT] = {.path = "labels." INTENT_PROTECT_LABEL,
		.type = SCHEMA_STRING,
		.values = booleans,
		.allowed = "the string \"true\" or \"false\"",
		.description = "With \"true\" the resource cannot be deleted"},
	[FIELD_SPEC] = {.path = "spec",
		.type = SCHEMA_OBJECT,
		.required = true,
		.allowed = "an object with type and size",
		.description = "What is wanted"},
	[FIELD_TYPE] = {.path = "spec.type",
		.type = SCHEMA_STRING,
		.required = true,
		.values = intent_type_names,
		.allowed = "vm, database or bucket",
		.description = "What kind of resource it is"},
	[FIELD_SIZE] = {.path = "spec.size",
		.type = SCHEMA_STRING,
		.required = true,
		.values = intent_size_names,
		.allowed = "small, medium or large",
		.description = "How large it is"},
	[FIELD_REGION] = {.path = "spec.region",
		.type = SCHEMA_STRING,
		.max_length = LIMIT_REGION,
		.allowed = "a string of at most " TEXT(LIMIT_REGION) " bytes without control "
								     "characters",
		.description = "Where it is to be; no control characters"},
	[FIELD_REPLICAS] = {.path = "spec.replicas",
		.type = SCHEMA_INTEGER,
		.minimum = LIMIT_REPLICAS_MIN,
		.maximum = LIMIT_REPLICAS,
		.initial = TEXT(INTENT_REPLICAS_INITIAL),
		.allowed = "a whole number from " TEXT(LIMIT_REPLICAS_MIN) " to " TEXT(
			LIMIT_REPLICAS) ", in digits only",
		.description = "How many of it"},
	[FIELDS_SHORT_] = {NULL},
};

#define OBJECT_FIELD(field) [(field)-FIELD_API_VERSION]

const struct schema_field schema_object_fields[] = {
	OBJECT_FIELD(FIELD_API_VERSION) = {.path = "apiVersion",
		.type = SCHEMA_STRING,
		.required = true,
		.values = api_versions,
		.allowed = INTENT_API_VERSION,
		.description = "The API group and version of the object"},
	OBJECT_FIELD(FIELD_KIND) = {.path = "kind",
		.type = SCHEMA_STRING,
		.required = true,
		.values = kinds,
		.allowed = INTENT_KIND,
		.description = "The kind of the object"},
	OBJECT_FIELD(FIELD_METADATA) = {.path = "metadata",
		.type = SCHEMA_OBJECT,
		.required = true,
		.allowed = "an object with name",
		.description = "The name, namespace and labels of the object"},
	OBJECT_FIELD(FIELD_ANNOTATIONS) = {.path = "metadata.annotations",
		.type = SCHEMA_OBJECT,
		.allowed = "an object whose values are strings",
		.description =
			"Annotations that the server, Flux or kubectl wrote; they are passed "
			"over"},
	OBJECT_FIELD(FIELDS_) = {NULL},
};

static const struct schema_field *find(const struct schema_field *fields, const char *path)
{
	for (; fields->path != NULL; fields++)
		if (strcmp(fields->path, path) == 0)
			return fields;
	return NULL;
}

const struct schema_field *schema_find(const char *path)
{
	const struct schema_field *found = find(schema_fields, path);

	return found != NULL ? found : find(schema_object_fields, path);
}

const struct schema_field *intent_field_schema(enum intent_field field)
{
	ASSERT(field < FIELDS_);
	return field < FIELDS_SHORT_ ? &schema_fields[field]
				     : &schema_object_fields[field - FIELD_API_VERSION];
}

const char *intent_field_path(enum intent_field field)
{
	return intent_field_schema(field)->path;
}

const char *intent_field_allowed(enum intent_field field)
{
	return intent_field_schema(field)->allowed;
}
