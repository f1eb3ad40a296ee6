/* SPDX-License-Identifier: Apache-2.0 */
#include "fake_publisher.h"

#include "intent/intent.h"

#include <stdio.h>

static struct error err;

struct publisher *fake_publisher_new(enum layout_kind kind, unsigned catalogs)
{
	struct layout layout = {kind, catalogs};
	struct publisher *p = calloc(1, sizeof(*p));

	assert_non_null(p);
	assert_int_equal(state_new(&p->state, &layout, &err), 0);
	return p;
}

void fake_publisher_free(struct publisher *p)
{
	state_unref(p->state);
	gzips_done(&p->gzips);
	free(p);
}

/* ---- the state ---- */

static struct digest next_digest(struct publisher *p)
{
	p->digests++;
	return digest_of((struct slice){(const char *)&p->digests, sizeof(p->digests)});
}

/* Each catalog that is touched gets another digest, and so does the root. */
static void change(struct publisher *p, const struct catalog_change *changes, size_t n)
{
	struct digest root = next_digest(p);
	bool has_root = state_layout(p->state)->kind == LAYOUT_SPLIT;
	struct partition **partitions;
	struct state *s;
	size_t n_partitions;

	assert_int_equal(
		state_change(p->state, changes, n, &p->gzips, &partitions, &n_partitions, &err), 0);
	for (size_t i = 0; i < n_partitions; i++)
		partitions[i]->digest = next_digest(p);
	assert_int_equal(state_replace(&s, p->state, partitions, n_partitions,
				 has_root ? &root : NULL, &err),
		0);
	partitions_free(partitions, n_partitions);
	state_unref(p->state);
	p->state = s;
}

static void set(struct publisher *p, const char *namespace, const char *name, struct resource *r)
{
	struct catalog_change one = {namespace, name, r};

	change(p, &one, 1);
}

static struct resource *make(const char *namespace, const char *name, uint64_t version)
{
	CLEANUP(intent_unrefp) struct intent *intent = NULL;
	struct digest digest = digest_of(slice_of(name));
	struct resource *r;
	char json[200];

	snprintf(json, sizeof(json),
		"{\"name\":\"%s\",\"spec\":{\"type\":\"vm\",\"size\":\"small\"}}", name);
	assert_int_equal(intent_decode(&intent, slice_of(json), namespace, &err), 0);
	assert_int_equal(resource_new(&r, intent, version, &digest, &err), 0);
	return r;
}

void fake_publisher_put(
	struct publisher *p, const char *namespace, const char *name, uint64_t version)
{
	CLEANUP(resource_unrefp) struct resource *r = make(namespace, name, version);

	set(p, namespace, name, r);
}

void fake_publisher_put_held(struct publisher *p, const char *namespace, const char *name,
	uint64_t version, enum hold_reason reason, uint64_t instead)
{
	CLEANUP(resource_unrefp) struct resource *r = make(namespace, name, version);
	CLEANUP(resource_unrefp) struct resource *held = NULL, *earlier = NULL;

	if (instead != 0)
		earlier = make(namespace, name, instead);
	assert_int_equal(resource_new_held(&held, r, reason, earlier, "held", &err), 0);
	set(p, namespace, name, held);
}

void fake_publisher_remove(struct publisher *p, const char *namespace, const char *name)
{
	set(p, namespace, name, NULL);
}

static void set_all(struct publisher *p, struct state *from)
{
	struct catalog_change *all = calloc(state_count(from) + 1, sizeof(*all));
	size_t n = 0;

	assert_non_null(all);
	for (size_t i = 0; i < state_n_partitions(from); i++) {
		const struct catalog *c = state_partition(from, i)->catalog;

		for (size_t j = 0; j < catalog_count(c); j++) {
			struct resource *r = catalog_at(c, j);

			all[n++] =
				(struct catalog_change){r->intent->namespace, r->intent->name, r};
		}
	}
	change(p, all, n);
	free(all);
}

void fake_publisher_lay_out(struct publisher *p, const struct layout *to)
{
	struct state *old = p->state;

	assert_int_equal(state_new(&p->state, to, &err), 0);
	set_all(p, old);
	state_unref(old);
}

void fake_publisher_touch(struct publisher *p)
{
	CLEANUP(state_unrefp) struct state *old = state_ref(p->state);

	set_all(p, old);
}

enum hold_reason fake_publisher_held(
	const struct publisher *p, const char *namespace, const char *name)
{
	const struct resource *r = state_find(p->state, namespace, name);

	assert_non_null(r);
	return r->hold == NULL ? HOLD_REASONS_ : r->hold->reason;
}

/* ---- publisher.h ---- */

int publisher_open(struct publisher *p, struct error *ret)
{
	void (*meanwhile)(void *arg) = TAKE_PTR(p->meanwhile);

	if (meanwhile != NULL)
		meanwhile(p->meanwhile_arg);
	if (p->unwritable.code == ERROR_NONE)
		return 0;
	*ret = p->unwritable;
	return -1;
}

int publisher_writable(struct publisher *p, struct error *ret)
{
	return publisher_open(p, ret);
}

struct state *publisher_state(struct publisher *p, uint64_t *ret_version UNUSED)
{
	return state_ref(p->state);
}

void publisher_root(struct publisher *p, struct root_options *ret)
{
	*ret = p->root;
}

void publisher_refuse_deletes(struct publisher *p, const char *reason)
{
	snprintf(p->no_deletes, sizeof(p->no_deletes), "%s", reason == NULL ? "" : reason);
}

bool publisher_may_delete(struct publisher *p)
{
	return p->no_deletes[0] == '\0' || p->is_deleting;
}

static struct fake_call *add(
	struct publisher *p, enum fake_call_kind kind, publisher_done *done, void *arg)
{
	struct fake_call *call = &p->calls[p->n_calls++];

	assert_in_range(p->n_calls, 1, FAKE_CALLS);
	*call = (struct fake_call){.kind = kind, .done = done, .arg = arg};
	return call;
}

void publisher_hold(struct publisher *p, const char *namespace, const char *name, uint64_t version,
	enum hold_reason reason, uint64_t instead, const char *message, publisher_done *done,
	void *arg)
{
	struct fake_call *call = add(p, FAKE_HOLD, done, arg);

	snprintf(call->namespace, sizeof(call->namespace), "%s", namespace);
	snprintf(call->name, sizeof(call->name), "%s", name);
	snprintf(call->message, sizeof(call->message), "%s", message);
	call->version = version;
	call->reason = reason;
	call->instead = instead;
}

void publisher_release(struct publisher *p, const char *namespace, const char *name,
	enum hold_reason reason, publisher_done *done, void *arg)
{
	struct fake_call *call = add(p, FAKE_RELEASE, done, arg);

	snprintf(call->namespace, sizeof(call->namespace), "%s", namespace);
	snprintf(call->name, sizeof(call->name), "%s", name);
	call->reason = reason;
}

void publisher_repartition(struct publisher *p, enum record_repartition_step step,
	const struct layout *to, struct author *author, publisher_done *done, void *arg)
{
	struct fake_call *call = add(p, FAKE_REPARTITION, done, arg);

	snprintf(call->who, sizeof(call->who), "%s", author == NULL ? "" : author->who);
	call->step = step;
	call->to = *to;
}

void publisher_render_root(struct publisher *p, publisher_done *done, void *arg)
{
	add(p, FAKE_ROOT, done, arg);
}

/* ---- answers ---- */

struct fake_call *fake_publisher_last(struct publisher *p)
{
	struct fake_call *call = &p->calls[p->n_calls - 1];

	assert_true(p->n_calls > 0);
	assert_non_null(call->done);
	return call;
}

static void answer(struct fake_call *call, const struct outcome *outcome)
{
	publisher_done *done = call->done;

	assert_non_null(done);
	call->done = NULL;
	done(outcome, call->arg);
}

void fake_publisher_answer(struct publisher *p, struct fake_call *call)
{
	struct outcome outcome = {.op = OUTCOME_UPDATED, .version = 1000 + p->n_calls};
	struct resource *r;

	if (call->kind == FAKE_HOLD || call->kind == FAKE_RELEASE) {
		r = state_find(p->state, call->namespace, call->name);
		assert_non_null(r);
		if (call->kind == FAKE_RELEASE)
			fake_publisher_put(p, call->namespace, call->name, r->version);
		else
			fake_publisher_put_held(p, call->namespace, call->name, r->version,
				call->reason, call->instead);
	}
	answer(call, &outcome);
}

void fake_publisher_refuse(struct publisher *p UNUSED, struct fake_call *call, enum error_code code)
{
	struct outcome outcome = {.err = ERROR_INIT};

	error_set(&outcome.err, code, "the commit failed");
	answer(call, &outcome);
}
