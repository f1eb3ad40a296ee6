/* SPDX-License-Identifier: Apache-2.0 */
#include "intent/draft.h"

#include "intent/text.h"

#include <inttypes.h>
#include <stdio.h>

int intent_refuse(enum intent_field field, const char *instead, struct error *err)
{
	const struct schema_field *schema = intent_field_schema(field);

	return error_set_field(err, schema->path, "%s must be %s%s%s", schema->path,
		schema->allowed, instead != NULL ? ", not " : "", instead != NULL ? instead : "");
}

int intent_refuse_text(enum intent_field field, struct slice instead, struct error *err)
{
	char excerpt[INTENT_EXCERPT_SIZE], quoted[INTENT_EXCERPT_SIZE + 2];

	snprintf(quoted, sizeof(quoted), "\"%s\"", intent_excerpt(instead, excerpt));
	return intent_refuse(field, quoted, err);
}

int intent_draft_add_label(
	struct intent_draft *draft, struct slice key, struct slice value, struct error *err)
{
	if (draft->n_labels == LIMIT_LABELS)
		return error_set_field(err, intent_field_path(FIELD_LABELS),
			"labels has more than the %d entries allowed", LIMIT_LABELS);
	draft->labels[draft->n_labels++] = (struct draft_label){key, value};
	return 0;
}

/* ---- the rules ---- */

static int check_name(enum intent_field field, struct slice name, struct error *err)
{
	return intent_name_ok(name) ? 0 : intent_refuse_text(field, name, err);
}

static int check_labels(const struct intent_draft *draft, struct error *err)
{
	size_t text = 0;

	for (size_t i = 0; i < draft->n_labels; i++) {
		if (intent_label_check(&draft->labels[i], err) != 0)
			return -1;
		text += draft->labels[i].key.n + draft->labels[i].value.n;
	}
	if (text > LIMIT_LABELS_TEXT)
		return error_set_field(err, intent_field_path(FIELD_LABELS),
			"labels must have at most %zu bytes of keys and values, not %zu",
			LIMIT_LABELS_TEXT, text);
	return 0;
}

static int check_region(struct slice region, struct error *err)
{
	struct slice rest = region;
	uint32_t c;

	if (region.p == NULL)
		return 0;
	if (region.n > LIMIT_REGION)
		return error_set_field(err, intent_field_path(FIELD_REGION),
			"spec.region must have at most %d bytes, not %zu", LIMIT_REGION, region.n);
	while (utf8_next(&rest, &c)) {
		if (!intent_char_ok(c))
			return error_set_field(err, intent_field_path(FIELD_REGION),
				"spec.region must not contain the character U+%04" PRIX32, c);
	}
	if (rest.n > 0)
		return error_set_field(
			err, intent_field_path(FIELD_REGION), "spec.region must be valid UTF-8");
	return 0;
}

static int check_replicas(int64_t replicas, struct error *err)
{
	char text[24];

	if (replicas >= LIMIT_REPLICAS_MIN && replicas <= LIMIT_REPLICAS)
		return 0;
	snprintf(text, sizeof(text), "%" PRId64, replicas);
	return intent_refuse(FIELD_REPLICAS, text, err);
}

static int find_type(struct slice name, enum intent_type *ret, struct error *err)
{
	for (int i = 0; i < INTENT_TYPES_; i++) {
		if (slice_eq(name, slice_of(intent_type_name((enum intent_type)i)))) {
			*ret = (enum intent_type)i;
			return 0;
		}
	}
	return intent_refuse_text(FIELD_TYPE, name, err);
}

static int find_size(struct slice name, enum intent_size *ret, struct error *err)
{
	for (int i = 0; i < INTENT_SIZES_; i++) {
		if (slice_eq(name, slice_of(intent_size_name((enum intent_size)i)))) {
			*ret = (enum intent_size)i;
			return 0;
		}
	}
	return intent_refuse_text(FIELD_SIZE, name, err);
}

/* ---- the finished intent: one heap block of struct, labels and strings ---- */

static const char *put_string(char **end, struct slice s)
{
	char *start = *end;

	memcpy(start, s.p, s.n);
	start[s.n] = '\0';
	*end = start + s.n + 1;
	return start;
}

/* By insertion: there are few, and those of a manifest are in order. */
static void sort_labels(struct intent_label *labels, size_t n)
{
	for (size_t i = 1; i < n; i++) {
		struct intent_label label = labels[i];
		size_t at = i;

		for (; at > 0 && strcmp(labels[at - 1].key, label.key) > 0; at--)
			labels[at] = labels[at - 1];
		labels[at] = label;
	}
}

static struct intent *build(
	const struct intent_draft *draft, enum intent_type type, enum intent_size size)
{
	size_t bytes = sizeof(struct intent) + draft->n_labels * sizeof(struct intent_label) +
		       draft->namespace.n + draft->name.n + draft->region.n + 3;
	struct intent *i;
	char *strings;

	for (size_t n = 0; n < draft->n_labels; n++)
		bytes += draft->labels[n].key.n + draft->labels[n].value.n + 2;
	i = malloc(bytes);
	if (i == NULL)
		return NULL;
	strings = (char *)(i->labels + draft->n_labels);
	*i = (struct intent){
		.refs = 1,
		.namespace = put_string(&strings, draft->namespace),
		.name = put_string(&strings, draft->name),
		.type = type,
		.size = size,
		.region = draft->region.p == NULL ? NULL : put_string(&strings, draft->region),
		.replicas = (uint8_t)draft->replicas,
		.n_labels = (uint8_t)draft->n_labels,
	};
	for (size_t n = 0; n < draft->n_labels; n++) {
		i->labels[n].key = put_string(&strings, draft->labels[n].key);
		i->labels[n].value = put_string(&strings, draft->labels[n].value);
	}
	sort_labels(i->labels, i->n_labels);
	return i;
}

static int check_duplicates(const struct intent *i, struct error *err)
{
	for (size_t n = 1; n < i->n_labels; n++) {
		if (strcmp(i->labels[n - 1].key, i->labels[n].key) == 0)
			return error_set_field(err, intent_field_path(FIELD_LABELS),
				"the label %s is given twice", i->labels[n].key);
	}
	return 0;
}

int intent_new(struct intent **ret, const struct intent_draft *draft, struct error *err)
{
	CLEANUP(intent_unrefp) struct intent *i = NULL;
	enum intent_type type = INTENT_VM;
	enum intent_size size = INTENT_SMALL;

	if (check_name(FIELD_NAMESPACE, draft->namespace, err) != 0 ||
		check_name(FIELD_NAME, draft->name, err) != 0 || check_labels(draft, err) != 0 ||
		find_type(draft->type, &type, err) != 0 ||
		find_size(draft->size, &size, err) != 0 || check_region(draft->region, err) != 0 ||
		check_replicas(draft->replicas, err) != 0)
		return -1;
	i = build(draft, type, size);
	if (i == NULL)
		return error_no_memory(err);
	if (check_duplicates(i, err) != 0)
		return -1;
	*ret = TAKE_PTR(i);
	return 0;
}
