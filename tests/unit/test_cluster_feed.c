/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "cluster/feed.h"

#include <pthread.h>
#include <stdio.h>

#define PLENTY (64 * MIB)

static struct error err;

/* ---- helpers ---- */

static struct feed *new_feed(void)
{
	struct feed *feed;

	assert_int_equal(feed_new(&feed, &err), 0);
	return feed;
}

static void add(struct feed *feed, const char *namespace, const char *data)
{
	feed_add(feed, "change", namespace, slice_of(data));
	feed_wake(feed);
}

static void reset(struct feed *feed)
{
	feed_reset(feed);
	feed_wake(feed);
}

/* All that is there, and that this is the answer. */
static struct buf read_all(struct feed *feed, struct feed_position *at, enum feed_read expected)
{
	struct buf text = BUF_INIT(PLENTY);

	assert_int_equal(feed_read(feed, at, PLENTY, &text), expected);
	assert_int_equal(buf_check(&text, &err), 0);
	return text;
}

/* The data of all events that are there, one after the other: "1 2 3 ". */
static void assert_data(struct feed *feed, struct feed_position *at, const char *expected)
{
	CLEANUP(buf_done)
	struct buf text = read_all(feed, at, expected[0] == '\0' ? FEED_END : FEED_EVENTS);
	CLEANUP(buf_done) struct buf data = BUF_INIT(PLENTY);
	struct slice rest = buf_slice(&text);

	buf_puts(&data, "");
	while (rest.n > 0) {
		struct slice line = slice_cut(&rest, '\n');

		if (slice_starts(line, SLICE("data: ")))
			buf_printf(&data, "%.*s ", (int)line.n - 6, line.p + 6);
	}
	assert_string_equal(data.data, expected);
}

static void id_of(struct feed *feed, const struct feed_position *at, char ret[64])
{
	CLEANUP(buf_done) struct buf id = BUF_INIT(63);

	feed_id(feed, at, &id);
	snprintf(ret, 64, "%s", id.data);
}

static struct feed_position now(struct feed *feed, const char *namespace)
{
	struct feed_position at;

	feed_position_now(&at, feed);
	snprintf(at.namespace, sizeof(at.namespace), "%s", namespace);
	return at;
}

static void count_wake(void *arg)
{
	__atomic_add_fetch((unsigned *)arg, 1, __ATOMIC_RELAXED);
}

/* ---- reading ---- */

static void an_event_is_written_as_server_sent_events_are(void **state UNUSED)
{
	CLEANUP(feed_freep) struct feed *feed = new_feed();
	struct feed_position at = now(feed, "");
	CLEANUP(buf_done) struct buf text = BUF_INIT(PLENTY);
	char before[64], after[64], expected[256];

	id_of(feed, &at, before);
	feed_add(feed, "phase", "default", SLICE("{\"name\":\"web\"}"));
	assert_int_equal(feed_read(feed, &at, PLENTY, &text), FEED_EVENTS);
	id_of(feed, &at, after);
	snprintf(expected, sizeof(expected), "id: %s\nevent: phase\ndata: {\"name\":\"web\"}\n\n",
		after);
	assert_string_equal(text.data, expected);
	assert_string_not_equal(before, after);
	assert_int_equal(feed_read(feed, &at, PLENTY, &text), FEED_END);
}

static void a_reader_sees_each_event_once_from_its_position_on(void **state UNUSED)
{
	CLEANUP(feed_freep) struct feed *feed = new_feed();
	struct feed_position early, late;

	early = now(feed, "");
	add(feed, "default", "1");
	late = now(feed, "");
	add(feed, "default", "2");
	add(feed, "team-a", "3");
	assert_data(feed, &early, "1 2 3 ");
	assert_data(feed, &late, "2 3 ");
	assert_data(feed, &early, "");
	add(feed, "default", "4");
	assert_data(feed, &early, "4 ");
}

static void a_reader_of_a_namespace_sees_only_what_is_of_it(void **state UNUSED)
{
	CLEANUP(feed_freep) struct feed *feed = new_feed();
	struct feed_position a = now(feed, "team-a"), b = now(feed, "team-b");

	add(feed, "team-a", "1");
	add(feed, "team-ab", "2");
	add(feed, "team-b", "3");
	add(feed, "team-a", "4");
	assert_data(feed, &a, "1 4 ");
	assert_data(feed, &b, "3 ");
	add(feed, "team-ab", "5");
	assert_data(feed, &a, "");
}

static void a_read_stops_before_its_maximum_but_makes_progress(void **state UNUSED)
{
	CLEANUP(feed_freep) struct feed *feed = new_feed();
	struct feed_position at = now(feed, "");
	CLEANUP(buf_done) struct buf text = BUF_INIT(PLENTY);
	size_t one;

	for (unsigned i = 0; i < 5; i++)
		add(feed, "default", "12345");
	assert_int_equal(feed_read(feed, &at, 1, &text), FEED_EVENTS);
	one = text.len;
	assert_int_equal(feed_read(feed, &at, 2 * one, &text), FEED_EVENTS);
	assert_int_equal(text.len, 3 * one);
	assert_int_equal(feed_read(feed, &at, 2 * one - 1, &text), FEED_EVENTS);
	assert_int_equal(text.len, 4 * one);
	assert_int_equal(feed_read(feed, &at, PLENTY, &text), FEED_EVENTS);
	assert_int_equal(text.len, 5 * one);
	assert_int_equal(feed_read(feed, &at, PLENTY, &text), FEED_END);
}

static void more_events_than_one_look_takes_come_in_order(void **state UNUSED)
{
	CLEANUP(feed_freep) struct feed *feed = new_feed();
	struct feed_position at = now(feed, "team-a");
	CLEANUP(buf_done) struct buf expected = BUF_INIT(PLENTY);
	char number[32];

	for (unsigned i = 0; i < 5000; i++) {
		snprintf(number, sizeof(number), "%u", i);
		add(feed, i % 7 == 0 ? "team-a" : "team-b", number);
		if (i % 7 == 0)
			buf_printf(&expected, "%u ", i);
	}
	assert_data(feed, &at, expected.data);
}

/* ---- resuming ---- */

static void a_reader_goes_on_after_the_last_id_it_had(void **state UNUSED)
{
	CLEANUP(feed_freep) struct feed *feed = new_feed();
	struct feed_position at = now(feed, ""), again;
	char begin[64], id[64];

	id_of(feed, &at, begin);
	add(feed, "default", "1");
	assert_data(feed, &at, "1 ");
	id_of(feed, &at, id);
	add(feed, "default", "2");
	assert_true(feed_position_after(&again, feed, slice_of(id)));
	assert_data(feed, &again, "2 ");
	assert_true(feed_position_after(&again, feed, slice_of(begin)));
	assert_data(feed, &again, "1 2 ");
}

static void an_id_of_another_process_or_of_none_is_not_resumed(void **state UNUSED)
{
	CLEANUP(feed_freep) struct feed *feed = new_feed();
	CLEANUP(feed_freep) struct feed *other = new_feed();
	struct feed_position at = now(feed, ""), again;
	char id[64], *dash;

	add(feed, "default", "1");
	add(other, "default", "1");
	assert_data(feed, &at, "1 ");
	id_of(feed, &at, id);
	assert_true(feed_position_after(&again, feed, slice_of(id)));
	assert_false(feed_position_after(&again, other, slice_of(id)));
	dash = strchr(id, '-');
	strcpy(dash, "-2"); /* one that is yet to come */
	assert_false(feed_position_after(&again, feed, slice_of(id)));
	strcpy(dash, "-18446744073709551615");
	assert_false(feed_position_after(&again, feed, slice_of(id)));
	strcpy(dash, "-x");
	assert_false(feed_position_after(&again, feed, slice_of(id)));
	*dash = '\0';
	assert_false(feed_position_after(&again, feed, slice_of(id)));
	assert_false(feed_position_after(&again, feed, SLICE_NONE));
}

/* ---- bounds ---- */

static void a_reader_that_the_ring_has_gone_past_lists_again(void **state UNUSED)
{
	CLEANUP(feed_freep) struct feed *feed = new_feed();
	struct feed_position slow = now(feed, ""), slower = slow, again;
	char id[64];

	id_of(feed, &slow, id);
	add(feed, "default", "0");
	slow = now(feed, "");
	for (unsigned i = 0; i < LIMIT_FEED_EVENTS; i++)
		add(feed, "default", "1");
	read_all(feed, &slower, FEED_GONE);
	assert_data(feed, &slower, "");
	assert_false(feed_position_after(&again, feed, slice_of(id)));
	add(feed, "default", "2");
	assert_data(feed, &slower, "2 ");
	read_all(feed, &slow, FEED_GONE);
}

static void as_many_events_as_the_limit_are_kept(void **state UNUSED)
{
	CLEANUP(feed_freep) struct feed *feed = new_feed();
	struct feed_position at = now(feed, "");
	CLEANUP(buf_done) struct buf text = BUF_INIT(PLENTY);

	for (unsigned i = 0; i < LIMIT_FEED_EVENTS; i++)
		add(feed, "default", "1");
	assert_int_equal(feed_read(feed, &at, PLENTY, &text), FEED_EVENTS);
	assert_int_equal(feed_read(feed, &at, PLENTY, &text), FEED_END);
}

static void large_events_leave_room_for_fewer(void **state UNUSED)
{
	CLEANUP(feed_freep) struct feed *feed = new_feed();
	struct feed_position first = now(feed, ""), later;
	CLEANUP(buf_done) struct buf large = BUF_INIT(MIB);
	CLEANUP(buf_done) struct buf text = {.max = 0};

	memset(buf_room(&large, MIB - 1), 'x', MIB - 1);
	buf_claim(&large, MIB - 1);
	for (unsigned i = 0; i < LIMIT_FEED_BYTES / MIB; i++) {
		feed_add(feed, "change", "default", buf_slice(&large));
		if (i == 0)
			later = now(feed, "");
	}
	read_all(feed, &first, FEED_GONE);
	text = read_all(feed, &later, FEED_EVENTS);
	assert_true(text.len > LIMIT_FEED_BYTES - 2 * MIB && text.len <= LIMIT_FEED_BYTES);
}

static void a_reset_makes_every_reader_list_again(void **state UNUSED)
{
	CLEANUP(feed_freep) struct feed *feed = new_feed();
	struct feed_position behind = now(feed, ""), at_end, a = now(feed, "team-a"), again;
	char id[64];

	add(feed, "default", "1");
	at_end = now(feed, "");
	id_of(feed, &at_end, id);
	reset(feed);
	read_all(feed, &behind, FEED_GONE);
	read_all(feed, &at_end, FEED_GONE);
	read_all(feed, &a, FEED_GONE);
	assert_false(feed_position_after(&again, feed, slice_of(id)));
	assert_data(feed, &at_end, "");
	id_of(feed, &at_end, id);
	assert_true(feed_position_after(&again, feed, slice_of(id)));
	add(feed, "default", "2");
	assert_data(feed, &at_end, "2 ");
	assert_data(feed, &again, "2 ");
}

/* ---- parking ---- */

static void who_is_parked_is_woken_once(void **state UNUSED)
{
	CLEANUP(feed_freep) struct feed *feed = new_feed();
	struct feed_position at = now(feed, "");
	unsigned wakes = 0;
	struct feed_parked parked = {.wake = count_wake, .arg = &wakes};

	assert_true(feed_park(feed, &at, &parked));
	assert_int_equal(wakes, 0);
	add(feed, "default", "1");
	add(feed, "default", "2");
	assert_int_equal(wakes, 1);
	assert_false(feed_unpark(feed, &parked));
	assert_data(feed, &at, "1 2 ");
}

static void who_has_something_to_read_is_not_parked(void **state UNUSED)
{
	CLEANUP(feed_freep) struct feed *feed = new_feed();
	struct feed_position at = now(feed, "");
	unsigned wakes = 0;
	struct feed_parked parked = {.wake = count_wake, .arg = &wakes};

	add(feed, "default", "1");
	assert_false(feed_park(feed, &at, &parked));
	assert_data(feed, &at, "1 ");
	reset(feed);
	assert_false(feed_park(feed, &at, &parked));
	assert_int_equal(wakes, 0);
}

static void who_is_unparked_is_not_woken(void **state UNUSED)
{
	CLEANUP(feed_freep) struct feed *feed = new_feed();
	struct feed_position at = now(feed, "");
	unsigned wakes[3] = {0};
	struct feed_parked parked[3];

	for (size_t i = 0; i < 3; i++) {
		parked[i] = (struct feed_parked){.wake = count_wake, .arg = &wakes[i]};
		assert_true(feed_park(feed, &at, &parked[i]));
	}
	assert_true(feed_unpark(feed, &parked[1]));
	assert_false(feed_unpark(feed, &parked[1]));
	add(feed, "default", "1");
	assert_int_equal(wakes[0], 1);
	assert_int_equal(wakes[1], 0);
	assert_int_equal(wakes[2], 1);
}

static void who_waits_for_a_namespace_sleeps_through_the_others(void **state UNUSED)
{
	CLEANUP(feed_freep) struct feed *feed = new_feed();
	struct feed_position at = now(feed, "team-a"), patient = now(feed, "team-b");
	unsigned wakes = 0, never = 0;
	struct feed_parked parked = {.wake = count_wake, .arg = &wakes};
	struct feed_parked patiently = {.wake = count_wake, .arg = &never};

	assert_true(feed_park(feed, &at, &parked));
	assert_true(feed_park(feed, &patient, &patiently));
	for (unsigned i = 0; i < 2 * LIMIT_FEED_EVENTS; i++)
		add(feed, "default", "1");
	assert_int_equal(wakes, 0);
	add(feed, "team-a", "2");
	assert_int_equal(wakes, 1);
	assert_data(feed, &at, "2 ");
	assert_true(feed_unpark(feed, &patiently));
	assert_int_equal(never, 0);
	assert_data(feed, &patient, "");
}

static void a_reset_wakes_everybody(void **state UNUSED)
{
	CLEANUP(feed_freep) struct feed *feed = new_feed();
	struct feed_position at = now(feed, "team-a");
	unsigned wakes = 0;
	struct feed_parked parked = {.wake = count_wake, .arg = &wakes};

	assert_true(feed_park(feed, &at, &parked));
	reset(feed);
	assert_int_equal(wakes, 1);
	read_all(feed, &at, FEED_GONE);
}

static void an_event_wakes_when_it_is_told(void **state UNUSED)
{
	CLEANUP(feed_freep) struct feed *feed = new_feed();
	struct feed_position at = now(feed, ""), other = at;
	unsigned wakes = 0, never = 0;
	struct feed_parked parked = {.wake = count_wake, .arg = &wakes};
	struct feed_parked left = {.wake = count_wake, .arg = &never};

	assert_true(feed_park(feed, &at, &parked));
	assert_true(feed_park(feed, &other, &left));
	feed_add(feed, "change", "default", SLICE("1"));
	assert_int_equal(wakes, 0);
	assert_true(feed_unpark(feed, &left));
	feed_wake(feed);
	assert_int_equal(wakes, 1);
	assert_int_equal(never, 0);
	assert_data(feed, &at, "1 ");
	assert_data(feed, &other, "1 ");
}

static void all_of_many_are_woken(void **state UNUSED)
{
	CLEANUP(feed_freep) struct feed *feed = new_feed();
	struct feed_position at[1000];
	struct feed_parked parked[1000];
	unsigned wakes = 0;

	for (size_t i = 0; i < 1000; i++) {
		at[i] = now(feed, "");
		parked[i] = (struct feed_parked){.wake = count_wake, .arg = &wakes};
		assert_true(feed_park(feed, &at[i], &parked[i]));
	}
	add(feed, "default", "1");
	assert_int_equal(wakes, 1000);
}

/* ---- together ---- */

#define WRITERS 2
#define READERS 4
#define EACH 20000

struct reader {
	struct feed *feed;
	struct feed_position at;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	bool woken;
	size_t read, gone;
	bool in_order;
};

static void wake_reader(void *arg)
{
	struct reader *r = arg;

	AZ(pthread_mutex_lock(&r->lock));
	r->woken = true;
	AZ(pthread_cond_signal(&r->wake));
	AZ(pthread_mutex_unlock(&r->lock));
}

/* Each "id: EPOCH-N" is greater than the one before. */
static void check_order(struct reader *r, struct slice text, uint64_t *last, bool *is_over)
{
	while (text.n > 0) {
		struct slice line = slice_cut(&text, '\n');
		uint64_t n;

		if (slice_eq(line, SLICE("data: over")))
			*is_over = true;
		if (!slice_starts(line, SLICE("id: ")))
			continue;
		slice_cut(&line, '-');
		r->in_order &= slice_to_u64(line, &n) && n > *last;
		*last = n;
		r->read++;
	}
}

static void *read_on(void *arg)
{
	struct reader *r = arg;
	struct feed_parked parked = {.wake = wake_reader, .arg = r};
	CLEANUP(buf_done) struct buf text = BUF_INIT(PLENTY);
	bool is_over = false;
	uint64_t last = 0;

	while (!is_over) {
		buf_reset(&text);
		switch (feed_read(r->feed, &r->at, 64 * KIB, &text)) {
		case FEED_EVENTS:
			check_order(r, buf_slice(&text), &last, &is_over);
			break;
		case FEED_GONE:
			r->gone++;
			break;
		case FEED_END:
			r->woken = false;
			if (!feed_park(r->feed, &r->at, &parked))
				break;
			AZ(pthread_mutex_lock(&r->lock));
			while (!r->woken)
				AZ(pthread_cond_wait(&r->wake, &r->lock));
			AZ(pthread_mutex_unlock(&r->lock));
			break;
		}
	}
	return NULL;
}

static void *write_on(void *arg)
{
	for (unsigned i = 0; i < EACH; i++)
		add(arg, i % 2 ? "team-a" : "team-b", "{}");
	return NULL;
}

static void readers_and_writers_go_on_side_by_side(void **state UNUSED)
{
	CLEANUP(feed_freep) struct feed *feed = new_feed();
	struct reader readers[READERS];
	pthread_t threads[READERS + WRITERS];

	for (size_t i = 0; i < READERS; i++) {
		struct reader *r = &readers[i];

		*r = (struct reader){.feed = feed, .in_order = true};
		r->at = now(feed, i % 2 ? "team-a" : "");
		AZ(pthread_mutex_init(&r->lock, NULL));
		AZ(pthread_cond_init(&r->wake, NULL));
		AZ(pthread_create(&threads[i], NULL, read_on, r));
	}
	for (size_t i = 0; i < WRITERS; i++)
		AZ(pthread_create(&threads[READERS + i], NULL, write_on, feed));
	for (size_t i = 0; i < WRITERS; i++)
		AZ(pthread_join(threads[READERS + i], NULL));
	add(feed, "team-a", "over");
	for (size_t i = 0; i < READERS; i++) {
		AZ(pthread_join(threads[i], NULL));
		assert_true(readers[i].in_order);
		assert_true(readers[i].read > 0);
		if (readers[i].gone == 0)
			assert_int_equal(
				readers[i].read, 1 + (i % 2 ? WRITERS * EACH / 2 : WRITERS * EACH));
		AZ(pthread_cond_destroy(&readers[i].wake));
		AZ(pthread_mutex_destroy(&readers[i].lock));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_event_is_written_as_server_sent_events_are),
		cmocka_unit_test(a_reader_sees_each_event_once_from_its_position_on),
		cmocka_unit_test(a_reader_of_a_namespace_sees_only_what_is_of_it),
		cmocka_unit_test(a_read_stops_before_its_maximum_but_makes_progress),
		cmocka_unit_test(more_events_than_one_look_takes_come_in_order),
		cmocka_unit_test(a_reader_goes_on_after_the_last_id_it_had),
		cmocka_unit_test(an_id_of_another_process_or_of_none_is_not_resumed),
		cmocka_unit_test(a_reader_that_the_ring_has_gone_past_lists_again),
		cmocka_unit_test(as_many_events_as_the_limit_are_kept),
		cmocka_unit_test(large_events_leave_room_for_fewer),
		cmocka_unit_test(a_reset_makes_every_reader_list_again),
		cmocka_unit_test(who_is_parked_is_woken_once),
		cmocka_unit_test(who_has_something_to_read_is_not_parked),
		cmocka_unit_test(who_is_unparked_is_not_woken),
		cmocka_unit_test(who_waits_for_a_namespace_sleeps_through_the_others),
		cmocka_unit_test(a_reset_wakes_everybody),
		cmocka_unit_test(an_event_wakes_when_it_is_told),
		cmocka_unit_test(all_of_many_are_woken),
		cmocka_unit_test(readers_and_writers_go_on_side_by_side),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
