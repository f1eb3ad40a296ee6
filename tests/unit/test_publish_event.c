/* SPDX-License-Identifier: Apache-2.0 */
/* What a listener is told, and when. */
#include "publisher_fixture.h"

#include <stdio.h>

/* What was told, as text; of one publisher's thread, read when that has answered. */
struct log {
	struct publisher *publisher;
	char text[4096];
	bool reader_saw; /* the state, before the event came */
};

static void add(struct log *log, const char *format, ...) PRINTF_LIKE(2, 3);

static void add(struct log *log, const char *format, ...)
{
	size_t len = strlen(log->text);
	va_list ap;

	va_start(ap, format);
	vsnprintf(log->text + len, sizeof(log->text) - len, format, ap);
	va_end(ap);
}

static bool readers_see(struct publisher *p, const struct state *state)
{
	CLEANUP(state_unrefp) struct state *s = publisher_state(p, NULL);

	return s == state;
}

static void on_restored(struct state *state, uint64_t version UNUSED,
	const struct record_repartition *repartition, void *arg)
{
	struct log *log = arg;

	add(log, "restored %zu step %d; ", state_count(state), repartition->step);
	if (log->publisher != NULL)
		log->reader_saw = readers_see(log->publisher, state);
}

static void on_committed(const struct publisher_event *event, void *arg)
{
	static const char *const ops[RECORD_OPS_] = {
		"create", "update", "delete", "hold", "release"};
	struct log *log = arg;

	add(log, "committed");
	for (size_t i = 0; i < event->n_changes; i++) {
		const struct publisher_change *c = &event->changes[i];

		add(log, " %s %s%s", ops[c->op], c->name, c->resource == NULL ? " (gone)" : "");
		assert_true(c->version <= event->version);
	}
	for (size_t i = 0; i < event->n_catalogs; i++)
		add(log, " %s", event->catalogs[i] + strlen("gitops-squared/"));
	add(log, "; ");
	if (log->publisher != NULL)
		log->reader_saw = readers_see(log->publisher, event->state);
}

static void on_repeated(const char *repository, void *arg)
{
	add(arg, "repeated %s; ", repository + strlen("gitops-squared/"));
}

static struct publisher *start_listening(
	struct fake *f, struct log *log, enum layout_kind kind, unsigned catalogs)
{
	struct layout layout = {kind, catalogs};
	struct publisher *p;

	*log = (struct log){.publisher = NULL};
	p = start_options(f, (struct publisher_options){
				     .init = true,
				     .layout = &layout,
				     .listener = {on_restored, on_committed, on_repeated, log},
			     });
	wait_ready(p);
	log->publisher = p;
	return p;
}

#define expect_told(log_, expected) \
	do { \
		assert_string_equal((log_)->text, expected); \
		(log_)->text[0] = '\0'; \
	} while (0)

static void commits_are_told_before_they_are_answered_and_after_readers_see_them(void **state)
{
	struct fake *f = fake_new(*(bool *)*state);
	struct log log;
	struct publisher *p = start_listening(f, &log, LAYOUT_SPLIT, 1);
	uint64_t version = put(p, "web", 1).version;

	expect_told(&log, "restored 0 step 0; "
			  "committed create web catalogs/default/00 catalog; ");
	assert_true(log.reader_saw);
	put(p, "web", 1);
	expect_told(&log, "repeated catalogs/default/00; ");
	version = put(p, "web", 2).version;
	expect_told(&log, "committed update web catalogs/default/00; ");
	hold(p, "web", version, HOLD_REFUSED, 0);
	expect_told(&log, "committed hold web catalogs/default/00; ");
	put(p, "web", 2);
	expect_told(&log, "committed release web catalogs/default/00; ");
	delete (p, "web");
	expect_told(&log, "committed delete web (gone) catalogs/default/00; ");
	delete (p, "web");
	expect_told(&log, "");
	publisher_free(p);
	fake_destroy(f);
}

/* The transaction of somebody else holds the first change up, so the others share a batch. */
static void a_catalog_is_told_once_for_a_batch_of_repeated_intents(void **state)
{
	CLEANUP(intent_unrefp) struct intent *first = make_intent("first", 2);
	struct fake *f = fake_new(*(bool *)*state);
	struct log log;
	struct publisher *p = start_listening(f, &log, LAYOUT_SINGLE, 1);
	const char *const names[] = {"web", "db", "queue"};
	struct waiter w;

	put(p, "first", 1);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		put(p, names[i], 1);
	log.text[0] = '\0';
	waiter_init(&w, 1 + ARRAY_SIZE(names));
	AZ(pthread_mutex_lock(&f->lock));
	publisher_put(p, first, ALWAYS, NULL, waiter_done, &w);
	wait_taken();
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		CLEANUP(intent_unrefp) struct intent *intent = make_intent(names[i], 1);

		publisher_put(p, intent, ALWAYS, NULL, waiter_done, &w);
	}
	AZ(pthread_mutex_unlock(&f->lock));
	waiter_wait(&w);
	assert_int_equal(w.ok, 4);
	expect_told(&log, "committed update first catalog; repeated catalog; ");
	publisher_free(p);
	fake_destroy(f);
}

static void a_commit_in_doubt_is_told_as_a_restore(void **state UNUSED)
{
	struct fake *f = fake_new(false);
	struct log log;
	struct publisher *p = start_listening(f, &log, LAYOUT_SINGLE, 1);

	log.text[0] = '\0';
	fake_fail(f, 4, 1, FAKE_LOST_AFTER); /* the commit point */
	assert_int_equal(put(p, "web", 1).err.code, ERROR_NONE);
	expect_told(&log, "restored 1 step 0; ");
	publisher_free(p);
	fake_destroy(f);
}

/* Who reads at the start must find listeners that know; who is told to read again later, the state.
 */
static void the_first_restore_is_told_before_anybody_can_read_and_others_after(void **state UNUSED)
{
	struct fake *f = fake_new(false);
	struct log log = {.reader_saw = true};
	struct publisher *p;

	AZ(pthread_mutex_lock(&f->lock));
	p = start_options(f, (struct publisher_options){
				     .init = true,
				     .listener = {on_restored, on_committed, on_repeated, &log},
			     });
	log.publisher = p;
	AZ(pthread_mutex_unlock(&f->lock));
	wait_ready(p);
	expect_told(&log, "restored 0 step 0; ");
	assert_false(log.reader_saw);
	fake_fail(f, 4, 1, FAKE_LOST_AFTER); /* the commit point */
	assert_int_equal(put(p, "web", 1).err.code, ERROR_NONE);
	expect_told(&log, "restored 1 step 0; ");
	assert_true(log.reader_saw);
	publisher_free(p);
	fake_destroy(f);
}

static void a_failed_commit_is_not_told(void **state)
{
	struct fake *f = fake_new(*(bool *)*state);
	struct log log;
	struct publisher *p = start_listening(f, &log, LAYOUT_SINGLE, 1);

	log.text[0] = '\0';
	fake_fail(f, 2, 1, FAKE_UNAVAILABLE); /* the catalog */
	assert_int_equal(put(p, "web", 1).err.code, ERROR_UNAVAILABLE);
	expect_told(&log, "");
	publisher_free(p);
	fake_destroy(f);
}

static void a_step_of_a_repartition_is_told_with_all_catalogs_that_it_pushed(void **state)
{
	struct fake *f = fake_new(*(bool *)*state);
	struct log log;
	struct publisher *p = start_listening(f, &log, LAYOUT_SPLIT, 1);

	put(p, "web", 1);
	log.text[0] = '\0';
	repartition(p, RECORD_FREEZE, LAYOUT_SINGLE, 1);
	expect_told(&log, "committed catalog; ");
	repartition(p, RECORD_SWITCH, LAYOUT_SINGLE, 1);
	expect_told(&log, "committed catalog catalogs/default/00; ");
	publisher_free(p);
	p = start_listening(f, &log, LAYOUT_SINGLE, 1);
	expect_told(&log, "restored 1 step 2; ");
	publisher_free(p);
	fake_destroy(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_BOTH(commits_are_told_before_they_are_answered_and_after_readers_see_them),
		ON_BOTH(a_catalog_is_told_once_for_a_batch_of_repeated_intents),
		cmocka_unit_test(a_commit_in_doubt_is_told_as_a_restore),
		cmocka_unit_test(
			the_first_restore_is_told_before_anybody_can_read_and_others_after),
		ON_BOTH(a_failed_commit_is_not_told),
		ON_BOTH(a_step_of_a_repartition_is_told_with_all_catalogs_that_it_pushed),
	};

	return cmocka_run_group_tests(tests, fixture_setup, NULL);
}
