/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between decoding and the finished intent: what the JSON and the YAML decoder collect, and the one
 * set of rules that both obey.
 */
#ifndef INTENT_DRAFT_H
#define INTENT_DRAFT_H

#include "intent/intent.h"
#include "intent/schema.h"

struct draft_label {
	struct slice key, value;
};

/* The slices borrow from the decoded document; p == NULL: not given. */
struct intent_draft {
	struct slice namespace, name, type, size, region;
	int64_t replicas;
	size_t n_labels;
	struct draft_label labels[LIMIT_LABELS];
};

#define INTENT_REPLICAS_INITIAL 1
#define INTENT_DRAFT_INIT \
	{ \
		.replicas = INTENT_REPLICAS_INITIAL \
	}

enum intent_field {
	FIELD_NAMESPACE,
	FIELD_NAME,
	FIELD_LABELS,
	FIELD_PROTECT,
	FIELD_SPEC,
	FIELD_TYPE,
	FIELD_SIZE,
	FIELD_REGION,
	FIELD_REPLICAS,
	FIELDS_SHORT_, /* the others are in Kubernetes objects only */
	FIELD_API_VERSION = FIELDS_SHORT_,
	FIELD_KIND,
	FIELD_METADATA,
	FIELD_ANNOTATIONS,
	FIELDS_
};
const struct schema_field *intent_field_schema(enum intent_field field);
const char *intent_field_path(enum intent_field field);    /* "spec.type" */
const char *intent_field_allowed(enum intent_field field); /* "vm, database or bucket" */

/* "spec.type must be vm, database or bucket, not xyz"; instead is NULL where it cannot be shown. */
int intent_refuse(enum intent_field field, const char *instead, struct error *err);
/* The same, with the text that was given. */
int intent_refuse_text(enum intent_field field, struct slice instead, struct error *err);

int intent_draft_add_label(struct intent_draft *draft, struct slice key, struct slice value,
	struct error *err) MUST_CHECK;

/* Checks every rule and makes the intent, which borrows nothing. */
int intent_new(struct intent **ret, const struct intent_draft *draft, struct error *err) MUST_CHECK;

/* A label that Kubernetes accepts (apimachinery's IsQualifiedName and IsValidLabelValue) and that
 * is not ours, or is INTENT_PROTECT_LABEL. */
int intent_label_check(const struct draft_label *label, struct error *err) MUST_CHECK;

#endif
