/* SPDX-License-Identifier: Apache-2.0 */
#include "publisher_fixture.h"

#include "publish/fsck.h"
#include "publish/metrics.h"

#include <stdio.h>
#include <unistd.h>

struct error err;
bool with_transactions = true, without_transactions = false;

int fixture_setup(void **state UNUSED)
{
	digest_setup();
	return 0;
}

/* ---- a caller that waits ---- */

void waiter_init(struct waiter *w, size_t n)
{
	*w = (struct waiter){.left = n};
	AZ(pthread_mutex_init(&w->lock, NULL));
	AZ(pthread_cond_init(&w->wake, NULL));
}

void waiter_done(const struct outcome *outcome, void *arg)
{
	struct waiter *w = arg;

	AZ(pthread_mutex_lock(&w->lock));
	w->last = *outcome;
	w->last.resource = NULL;
	w->ok += outcome->err.code == ERROR_NONE;
	w->unchanged += outcome->err.code == ERROR_NONE && outcome->op == OUTCOME_UNCHANGED;
	w->left--;
	AZ(pthread_cond_signal(&w->wake));
	AZ(pthread_mutex_unlock(&w->lock));
}

void waiter_wait(struct waiter *w)
{
	AZ(pthread_mutex_lock(&w->lock));
	while (w->left > 0)
		AZ(pthread_cond_wait(&w->wake, &w->lock));
	AZ(pthread_mutex_unlock(&w->lock));
}

static struct intent *decode(const char *namespace, const char *json)
{
	struct intent *intent;

	if (intent_decode(&intent, slice_of(json), namespace, &err) != 0)
		fail_msg("%s: %s", json, err.text);
	return intent;
}

struct intent *make_intent_in(const char *namespace, const char *name, unsigned replicas)
{
	char json[256];

	snprintf(json, sizeof(json),
		"{\"name\":\"%s\",\"spec\":{\"type\":\"vm\",\"size\":\"small\",\"replicas\":%u}}",
		name, replicas);
	return decode(namespace, json);
}

struct intent *make_intent(const char *name, unsigned replicas)
{
	return make_intent_in("default", name, replicas);
}

static struct outcome put_intent(struct publisher *p, struct intent *intent)
{
	struct waiter w;

	waiter_init(&w, 1);
	publisher_put(p, intent, ALWAYS, NULL, waiter_done, &w);
	intent_unref(intent);
	waiter_wait(&w);
	return w.last;
}

struct outcome put(struct publisher *p, const char *name, unsigned replicas)
{
	return put_intent(p, make_intent(name, replicas));
}

struct outcome put_in(
	struct publisher *p, const char *namespace, const char *name, unsigned replicas)
{
	return put_intent(p, make_intent_in(namespace, name, replicas));
}

struct outcome put_protected(struct publisher *p, const char *name, bool protected)
{
	char json[256];

	snprintf(json, sizeof(json),
		"{\"name\":\"%s\",\"labels\":{\"gitops-squared.io/protect\":\"%s\"},"
		"\"spec\":{\"type\":\"vm\",\"size\":\"small\"}}",
		name, protected ? "true" : "false");
	return put_intent(p, decode("default", json));
}

struct outcome delete (struct publisher *p, const char *name)
{
	struct waiter w;

	waiter_init(&w, 1);
	publisher_delete(p, "default", name, ALWAYS, NULL, waiter_done, &w);
	waiter_wait(&w);
	return w.last;
}

struct outcome hold(struct publisher *p, const char *name, uint64_t version,
	enum hold_reason reason, uint64_t instead)
{
	struct waiter w;

	waiter_init(&w, 1);
	publisher_hold(
		p, "default", name, version, reason, instead, "a webhook says no", waiter_done, &w);
	waiter_wait(&w);
	return w.last;
}

struct outcome release(struct publisher *p, const char *name, enum hold_reason reason)
{
	struct waiter w;

	waiter_init(&w, 1);
	publisher_release(p, "default", name, reason, waiter_done, &w);
	waiter_wait(&w);
	return w.last;
}

struct outcome repartition(struct publisher *p, enum record_repartition_step step,
	enum layout_kind kind, unsigned catalogs)
{
	struct layout to = {kind, catalogs};
	struct waiter w;

	waiter_init(&w, 1);
	publisher_repartition(p, step, &to, NULL, waiter_done, &w);
	waiter_wait(&w);
	return w.last;
}

/* ---- publishers ---- */

uint64_t fixture_now = 1764000000000000;

uint64_t fixture_clock(void)
{
	return __atomic_load_n(&fixture_now, __ATOMIC_RELAXED);
}

struct publisher *start_options(struct fake *f, struct publisher_options options)
{
	struct publisher *p;

	options.registry = &f->registry;
	assert_int_equal(
		root_url_parse(&options.root.options, "https://registry.example", &err), 0);
	assert_int_equal(publisher_new(&p, &options, &err), 0);
	return p;
}

struct publisher *start_with(struct fake *f, bool init, uint64_t (*now_us)(void))
{
	return start_options(f, (struct publisher_options){.init = init, .now_us = now_us});
}

void wait_ready(struct publisher *p)
{
	while (publisher_ready(p, &err) != 0)
		usleep(1000);
}

void wait_taken(void)
{
	for (bool taken = false; !taken;) {
		CLEANUP(buf_done) struct buf text = BUF_INIT(64 * KIB);

		metric_write(&publish_metric_queue_depth, &text);
		assert_int_equal(buf_check(&text, &err), 0);
		taken = strstr(text.data, "gsq_queue_depth 0\n") != NULL;
		usleep(1000);
	}
}

struct publisher *start(struct fake *f)
{
	struct publisher *p = start_with(f, true, NULL);

	wait_ready(p);
	return p;
}

struct publisher *start_layout(struct fake *f, enum layout_kind kind, unsigned catalogs)
{
	struct layout layout = {kind, catalogs};
	struct publisher *p =
		start_options(f, (struct publisher_options){.init = true, .layout = &layout});

	wait_ready(p);
	return p;
}

unsigned seen(struct publisher *p, const char *name)
{
	CLEANUP(state_unrefp) struct state *s = publisher_state(p, NULL);
	struct resource *r = state_find(s, "default", name);

	return r == NULL ? 0 : r->intent->replicas;
}

unsigned seen_after_restart(struct fake *f, const char *name)
{
	struct publisher *p = start_with(f, false, NULL);
	unsigned replicas;

	wait_ready(p);
	replicas = seen(p, name);
	publisher_free(p);
	return replicas;
}

enum hold_reason held(struct publisher *p, const char *name)
{
	CLEANUP(state_unrefp) struct state *s = publisher_state(p, NULL);
	struct resource *r = state_find(s, "default", name);

	return r == NULL || r->hold == NULL ? HOLD_REASONS_ : r->hold->reason;
}

void expect_latest(struct fake *f, const char *name, const struct digest *digest)
{
	struct digest latest;
	char repository[200];

	snprintf(repository, sizeof(repository), "gitops-squared/resources/default/%s", name);
	assert_true(fake_resolve(f, repository, "latest", &latest));
	assert_true(digest_eq(&latest, digest));
}

static void on_line(const char *line, void *arg UNUSED)
{
	print_error("%s\n", line);
}

static void on_settle(void *arg UNUSED)
{
}

size_t differences(struct fake *f)
{
	const struct fsck_options options = {.say = on_line, .settle = on_settle};
	struct fsck_result result;

	if (fsck_run(&f->registry, &options, &result, &err) != 0)
		fail_msg("fsck: %s", err.text);
	return result.differences;
}

void last_record(struct fake *f, struct record *ret)
{
	struct pull pull = {
		.repository = RECORD_REPOSITORY,
		.reference = "latest",
		.manifest = BUF_INIT(LIMIT_MANIFEST),
		.layer = BUF_INIT(LIMIT_RECORD),
	};

	registry_pull(&f->registry, &pull, 1);
	assert_int_equal(pull.err.code, ERROR_NONE);
	assert_int_equal(record_parse(ret, buf_slice(&pull.layer), &err), 0);
	buf_done(&pull.manifest);
	buf_done(&pull.layer);
}
