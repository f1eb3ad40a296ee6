/* SPDX-License-Identifier: Apache-2.0 */
/* The parameters of a list. */
#include "api/list.h"

#include "api/params.h"
#include "intent/draft.h"

#include <stdio.h>

/* A token is one of these, then ".NAMESPACE.NAME": what was the last. */
#define TOKEN_OF_ONE "v1" /* a list of that namespace */
#define TOKEN_OF_ALL "v1all"

static void copy_name(char ret[LIMIT_NAME + 1], struct slice name)
{
	snprintf(ret, LIMIT_NAME + 1, "%.*s", SLICE_ARG(name));
}

static int read_namespace(void *arg, struct slice value, struct error *err)
{
	struct list_query *q = arg;

	if (params_namespace(q->namespace, value, q->path_namespace, "/api/v1/resources", err) != 0)
		return -1;
	q->all = q->namespace[0] == '\0';
	return 0;
}

static int read_type(void *arg, struct slice value, struct error *err)
{
	struct list_query *q = arg;

	for (unsigned i = 0; i < INTENT_TYPES_; i++) {
		q->type = (enum intent_type)i;
		q->by_type = slice_eq(value, slice_of(intent_type_name(q->type)));
		if (q->by_type)
			return 0;
	}
	return params_refuse("type", intent_field_allowed(FIELD_TYPE), value, err);
}

static int read_size(void *arg, struct slice value, struct error *err)
{
	struct list_query *q = arg;

	for (unsigned i = 0; i < INTENT_SIZES_; i++) {
		q->size = (enum intent_size)i;
		q->by_size = slice_eq(value, slice_of(intent_size_name(q->size)));
		if (q->by_size)
			return 0;
	}
	return params_refuse("size", intent_field_allowed(FIELD_SIZE), value, err);
}

static int read_region(void *arg, struct slice value, struct error *err)
{
	struct list_query *q = arg;

	q->region = slice_dup(value);
	return q->region == NULL ? error_no_memory(err) : 0;
}

static int read_labels(void *arg, struct slice value, struct error *err)
{
	struct list_query *q = arg;

	return selector_parse(&q->labels, value, "labelSelector", err);
}

static int read_limit(void *arg, struct slice value, struct error *err)
{
	struct list_query *q = arg;

	if (slice_to_u64(value, &q->limit))
		return 0;
	return params_refuse("limit", "a whole number in digits, 0 for no limit", value, err);
}

/* No list has what is deleted. */
static int read_phase(void *arg, struct slice value, struct error *err)
{
	struct list_query *q = arg;

	q->by_phase = phase_parse(value, &q->phase);
	if (q->by_phase && q->phase == PHASE_DELETING)
		return error_set_field(err, "phase",
			"phase must be pending, applied, failed or unknown: a deleted resource is "
			"in no list; ask for its status at .../resources/{name}/status");
	if (q->by_phase)
		return 0;
	return params_refuse("phase", "pending, applied, failed or unknown", value, err);
}

/* ---- where the page before has ended ---- */

static int refuse_token(const char *why, struct error *err)
{
	return error_set_field(err, "continue", "continue %s; start again without it", why);
}

/* That it is of this list is judged when all parameters are known. */
static int read_continue(void *arg, struct slice value, struct error *err)
{
	struct list_query *q = arg;
	struct slice rest = value, kind = slice_cut(&rest, '.'), namespace = slice_cut(&rest, '.');

	if (value.n == 0)
		return 0;
	q->after_all = slice_eq(kind, SLICE(TOKEN_OF_ALL));
	if ((!q->after_all && !slice_eq(kind, SLICE(TOKEN_OF_ONE))) || !intent_name_ok(namespace) ||
		!intent_name_ok(rest))
		return refuse_token("is nothing that this server has answered", err);
	copy_name(q->after_namespace, namespace);
	copy_name(q->after, rest);
	return 0;
}

void list_query_add_token(const struct list_query *q, const struct resource *last, struct buf *ret)
{
	buf_puts(ret, q->all ? TOKEN_OF_ALL "." : TOKEN_OF_ONE ".");
	buf_puts(ret, last->intent->namespace);
	buf_putc(ret, '.');
	buf_puts(ret, last->intent->name);
}

static int check_token(const struct list_query *q, struct error *err)
{
	if (q->after[0] == '\0')
		return 0;
	if (q->after_all != q->all || (!q->all && strcmp(q->after_namespace, q->namespace) != 0))
		return refuse_token("is of a list of another namespace", err);
	return 0;
}

/* ---- all of them ---- */

static const struct param parameters[] = {
	{"limit", read_limit},
	{"continue", read_continue},
	{"namespace", read_namespace},
	{"type", read_type},
	{"size", read_size},
	{"region", read_region},
	{"phase", read_phase},
	{"labelSelector", read_labels},
};

static int read_all(struct list_query *q, struct slice query, struct error *err)
{
	return params_read(query, parameters, ARRAY_SIZE(parameters),
		"a list takes the parameters limit, continue, namespace, type, size, region, "
		"phase and labelSelector",
		q, err);
}

int list_query_parse(
	struct list_query *ret, const char *path_namespace, struct slice query, struct error *err)
{
	CLEANUP(list_query_done) struct list_query q = {.path_namespace = path_namespace};

	snprintf(q.namespace, sizeof(q.namespace), "%s",
		path_namespace != NULL ? path_namespace : "default");
	if (read_all(&q, query, err) != 0 || check_token(&q, err) != 0)
		return -1;
	*ret = q;
	q.region = NULL; /* the caller's now */
	q.labels = NULL;
	return 0;
}

void list_query_scope(char scope[LIMIT_NAME + 1], const char *path_namespace, struct slice query)
{
	CLEANUP(list_query_done) struct list_query q = {0};
	struct error ignored = ERROR_INIT;

	if (list_query_parse(&q, path_namespace, query, &ignored) == 0)
		snprintf(scope, LIMIT_NAME + 1, "%s", q.all ? AUTH_EVERYWHERE : q.namespace);
}

void list_query_done(struct list_query *q)
{
	free(q->region);
	selector_free(q->labels);
}
