/* SPDX-License-Identifier: Apache-2.0 */
#include "intent/draft.h"
#include "intent/manifest.h"

#include <yaml.h>

#define DEPTH_MAX 3

/* The mappings of the document. */
enum mapping {
	MAPPING_NONE,
	MAPPING_ROOT,
	MAPPING_METADATA,
	MAPPING_ANNOTATIONS,
	MAPPING_LABELS,
	MAPPING_SPEC,
};

struct reader {
	struct intent_draft draft;
	struct slice version, replicas;
	struct slice ignored; /* what has one value only: the comparison of all bytes sees to it */
	struct buf strings;   /* what the slices borrow; never grows, so never moves */

	enum mapping stack[DEPTH_MAX];
	size_t depth;
	bool has_key; /* the last scalar was a key, this one */
	struct slice key;
};

#define READER_SLICE(name) offsetof(struct reader, name)
static const struct member {
	const char *key;
	enum mapping in;
	enum mapping mapping; /* its value is this mapping, or a scalar: */
	size_t slice;         /* where in the reader it goes */
} members[] = {
	{"apiVersion", MAPPING_ROOT, .slice = READER_SLICE(ignored)},
	{"kind", MAPPING_ROOT, .slice = READER_SLICE(ignored)},
	{"metadata", MAPPING_ROOT, .mapping = MAPPING_METADATA},
	{"spec", MAPPING_ROOT, .mapping = MAPPING_SPEC},
	{"annotations", MAPPING_METADATA, .mapping = MAPPING_ANNOTATIONS},
	{"labels", MAPPING_METADATA, .mapping = MAPPING_LABELS},
	{"name", MAPPING_METADATA, .slice = READER_SLICE(draft.name)},
	{"namespace", MAPPING_METADATA, .slice = READER_SLICE(draft.namespace)},
	{"gitops-squared.io/pushed-at", MAPPING_ANNOTATIONS, .slice = READER_SLICE(ignored)},
	{"gitops-squared.io/version", MAPPING_ANNOTATIONS, .slice = READER_SLICE(version)},
	{"kustomize.toolkit.fluxcd.io/substitute", MAPPING_ANNOTATIONS,
		.slice = READER_SLICE(ignored)},
	{"app.kubernetes.io/managed-by", MAPPING_LABELS, .slice = READER_SLICE(ignored)},
	{"region", MAPPING_SPEC, .slice = READER_SLICE(draft.region)},
	{"replicas", MAPPING_SPEC, .slice = READER_SLICE(replicas)},
	{"size", MAPPING_SPEC, .slice = READER_SLICE(draft.size)},
	{"type", MAPPING_SPEC, .slice = READER_SLICE(draft.type)},
};

static int not_canonical(struct error *err)
{
	return error_set(
		err, ERROR_INVALID, "not a PlatformResource manifest as this server writes it");
}

static const struct member *find_member(const struct reader *r)
{
	for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
		if (members[i].in == r->stack[r->depth - 1] &&
			slice_eq(r->key, slice_of(members[i].key)))
			return &members[i];
	}
	return NULL;
}

/* ---- events ---- */

static int begin_mapping(struct reader *r, struct error *err)
{
	enum mapping mapping = MAPPING_ROOT;

	if (r->depth > 0) {
		const struct member *m = r->has_key ? find_member(r) : NULL;

		mapping = m != NULL ? m->mapping : MAPPING_NONE;
	}
	if (mapping == MAPPING_NONE)
		return not_canonical(err);
	ASSERT(r->depth < DEPTH_MAX);
	r->stack[r->depth++] = mapping;
	r->has_key = false;
	return 0;
}

static int put_value(struct reader *r, struct slice value, struct error *err)
{
	const struct member *m = find_member(r);

	if (m != NULL && m->mapping == MAPPING_NONE) {
		*(struct slice *)((char *)r + m->slice) = value;
		return 0;
	}
	if (m == NULL && r->stack[r->depth - 1] == MAPPING_LABELS)
		return intent_draft_add_label(&r->draft, r->key, value, err);
	return not_canonical(err);
}

static int put_scalar(struct reader *r, struct slice scalar, struct error *err)
{
	struct slice copy = {r->strings.data + r->strings.len, scalar.n};

	if (r->depth == 0)
		return not_canonical(err);
	buf_add(&r->strings, scalar);
	if (buf_check(&r->strings, err) != 0)
		return not_canonical(err);
	r->has_key = !r->has_key;
	if (r->has_key) {
		r->key = copy;
		return 0;
	}
	return put_value(r, copy, err);
}

static int take_event(struct reader *r, const yaml_event_t *event, struct error *err)
{
	switch (event->type) {
	case YAML_STREAM_START_EVENT:
	case YAML_DOCUMENT_START_EVENT:
	case YAML_DOCUMENT_END_EVENT:
	case YAML_STREAM_END_EVENT:
		return 0;
	case YAML_MAPPING_START_EVENT:
		return begin_mapping(r, err);
	case YAML_MAPPING_END_EVENT:
		r->depth--;
		return 0;
	case YAML_SCALAR_EVENT:
		return put_scalar(r,
			(struct slice){
				(const char *)event->data.scalar.value, event->data.scalar.length},
			err);
	default: /* a sequence or an alias */
		return not_canonical(err);
	}
}

static int read_events(struct reader *r, yaml_parser_t *parser, struct error *err)
{
	bool end = false;

	while (!end) {
		CLEANUP(yaml_event_delete) yaml_event_t event = {.type = YAML_NO_EVENT};

		if (yaml_parser_parse(parser, &event) != 1)
			return parser->error == YAML_MEMORY_ERROR ? error_no_memory(err)
								  : not_canonical(err);
		end = event.type == YAML_STREAM_END_EVENT;
		if (take_event(r, &event, err) != 0)
			return -1;
	}
	return 0;
}

static int read_document(struct reader *r, struct slice yaml, struct error *err)
{
	CLEANUP(yaml_parser_delete) yaml_parser_t parser = {.error = YAML_NO_ERROR};

	if (yaml_parser_initialize(&parser) != 1)
		return error_no_memory(err);
	yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&parser, (const unsigned char *)yaml.p, yaml.n);
	return read_events(r, &parser, err);
}

/* ---- values ---- */

static int read_numbers(struct reader *r, uint64_t *ret_version, struct error *err)
{
	uint64_t version, replicas;

	if (!slice_starts(r->version, SLICE("v")) ||
		!slice_to_u64((struct slice){r->version.p + 1, r->version.n - 1}, &version) ||
		version > LIMIT_VERSION || !slice_to_u64(r->replicas, &replicas) ||
		replicas > INT64_MAX)
		return not_canonical(err);
	r->draft.replicas = (int64_t)replicas;
	*ret_version = version;
	return 0;
}

static int check_bytes(
	const struct intent *intent, uint64_t version, struct slice yaml, struct error *err)
{
	CLEANUP(buf_done) struct buf rendered = BUF_INIT(LIMIT_INTENT_YAML);

	if (buf_room(&rendered, yaml.n) == NULL)
		return error_no_memory(err);
	intent_render(intent, version, &rendered);
	if (buf_check(&rendered, err) != 0)
		return -1;
	return slice_eq(buf_slice(&rendered), yaml) ? 0 : not_canonical(err);
}

static void reader_done(struct reader *r)
{
	buf_done(&r->strings);
}

int intent_parse(struct intent **ret, uint64_t *ret_version, struct slice yaml, struct error *err)
{
	/* An escape of two bytes can stand for a character of three. */
	CLEANUP(reader_done)
	struct reader r = {.draft = INTENT_DRAFT_INIT, .strings = BUF_INIT(2 * yaml.n)};
	CLEANUP(intent_unrefp) struct intent *intent = NULL;
	uint64_t version = 0;

	if (yaml.n == 0 || yaml.n > LIMIT_INTENT_YAML)
		return not_canonical(err);
	if (buf_room(&r.strings, 2 * yaml.n) == NULL)
		return error_no_memory(err);
	if (read_document(&r, yaml, err) != 0 || read_numbers(&r, &version, err) != 0 ||
		intent_new(&intent, &r.draft, err) != 0 ||
		check_bytes(intent, version, yaml, err) != 0)
		return -1;
	*ret = TAKE_PTR(intent);
	*ret_version = version;
	return 0;
}
