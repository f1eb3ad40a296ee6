/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Intent: what a user wants, decoded, validated, with defaults filled in.
 *
 * Immutable after it is made, shared by reference: any thread may read, ref and unref.
 */
#ifndef INTENT_INTENT_H
#define INTENT_INTENT_H

#include "base/buf.h"

enum intent_type { INTENT_VM, INTENT_DATABASE, INTENT_BUCKET, INTENT_TYPES_ };
enum intent_size { INTENT_SMALL, INTENT_MEDIUM, INTENT_LARGE, INTENT_SIZES_ };

struct intent_label {
	const char *key, *value;
};

/* Narrow fields, as there may be a hundred thousand. */
struct intent {
	unsigned refs; /* atomic */
	enum intent_type type : 8;
	enum intent_size size : 8;
	uint8_t replicas;
	uint8_t n_labels; /* the user's, sorted by key, ours not among them */
	const char *namespace;
	const char *name;
	const char *region; /* NULL: not given */
	struct intent_label labels[];
};

const char *intent_type_name(enum intent_type type);           /* "vm" */
const char *intent_size_name(enum intent_size size);           /* "small" */
extern const char *const intent_type_names[INTENT_TYPES_ + 1]; /* NULL ends */
extern const char *const intent_size_names[INTENT_SIZES_ + 1];

/* RFC 1123 label: [a-z0-9]([-a-z0-9]*[a-z0-9])?, at most 63. */
bool intent_name_ok(struct slice s);

/*
 * Decodes the body of a POST: {"name","labels"?,"spec":{"type","size","region"?,"replicas"?}}.
 * Every error is ERROR_INVALID: syntax with line and column, or err->field and what is allowed.
 * What it accepts Kubernetes accepts, and kustomize can read (DESIGN invariant 11).
 */
int intent_decode(struct intent **ret, struct slice json, const char *namespace,
	struct error *err) MUST_CHECK;
/* The body of a PUT: the same, but its name is known, so it may be left out, and must be that one.
 */
int intent_decode_named(struct intent **ret, struct slice json, const char *namespace,
	const char *name, struct error *err) MUST_CHECK;

struct intent *intent_ref(struct intent *i);
void intent_unref(struct intent *i);
DEFINE_CLEANUP(struct intent, intent_unref);

/* Same namespace, name, labels and spec. */
bool intent_eq(const struct intent *a, const struct intent *b);

/* The one label of ours that users may set, to "true" or "false". */
#define INTENT_PROTECT_LABEL "gitops-squared.io/protect"
/* Is it "true"? Then nobody may delete the resource. */
bool intent_is_protected(const struct intent *i);

#endif
