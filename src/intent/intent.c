/* SPDX-License-Identifier: Apache-2.0 */
#include "intent/intent.h"

const char *const intent_type_names[INTENT_TYPES_ + 1] = {
	[INTENT_VM] = "vm",
	[INTENT_DATABASE] = "database",
	[INTENT_BUCKET] = "bucket",
};

const char *const intent_size_names[INTENT_SIZES_ + 1] = {
	[INTENT_SMALL] = "small",
	[INTENT_MEDIUM] = "medium",
	[INTENT_LARGE] = "large",
};

const char *intent_type_name(enum intent_type type)
{
	ASSERT(type < INTENT_TYPES_);
	return intent_type_names[type];
}

const char *intent_size_name(enum intent_size size)
{
	ASSERT(size < INTENT_SIZES_);
	return intent_size_names[size];
}

struct intent *intent_ref(struct intent *i)
{
	unsigned before = __atomic_fetch_add(&i->refs, 1, __ATOMIC_RELAXED);

	ASSERT(before > 0);
	return i;
}

void intent_unref(struct intent *i)
{
	if (i != NULL && __atomic_fetch_sub(&i->refs, 1, __ATOMIC_ACQ_REL) == 1)
		free(i);
}

static bool region_eq(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static bool labels_eq(const struct intent *a, const struct intent *b)
{
	if (a->n_labels != b->n_labels)
		return false;
	for (size_t i = 0; i < a->n_labels; i++) {
		if (strcmp(a->labels[i].key, b->labels[i].key) != 0 ||
			strcmp(a->labels[i].value, b->labels[i].value) != 0)
			return false;
	}
	return true;
}

bool intent_eq(const struct intent *a, const struct intent *b)
{
	return a->type == b->type && a->size == b->size && a->replicas == b->replicas &&
	       strcmp(a->namespace, b->namespace) == 0 && strcmp(a->name, b->name) == 0 &&
	       region_eq(a->region, b->region) && labels_eq(a, b);
}

bool intent_is_protected(const struct intent *i)
{
	for (size_t n = 0; n < i->n_labels; n++)
		if (strcmp(i->labels[n].key, INTENT_PROTECT_LABEL) == 0)
			return strcmp(i->labels[n].value, "true") == 0;
	return false;
}
