/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include <pthread.h>
#include <stdio.h>

#include "base/metrics.h"

#define THREADS 4
#define ROUNDS 20000

static const struct metric_bounds few = {3, {100, 2500, 1000000}};

static char *text_of(const struct metric *m)
{
	struct buf b = BUF_INIT(1 * MIB);

	metric_write(m, &b);
	assert_int_equal(b.failed, ERROR_NONE);
	return buf_take(&b);
}

#define assert_text(metric_, expected_) \
	do { \
		AUTO_FREE char *text_ = text_of(metric_); \
		assert_string_equal(text_, expected_); \
	} while (0)

static void a_counter_adds_up_for_each_set_of_label_values(void **state UNUSED)
{
	METRIC_COUNTER(m, 8, "gsq_pushes_total", "Pushes.", "kind", "outcome");

	metric_add(&m, METRIC_LABELS("blob", "ok"), 1);
	metric_add(&m, METRIC_LABELS("blob", "ok"), 41);
	assert_text(&m, "# HELP gsq_pushes_total Pushes.\n"
			"# TYPE gsq_pushes_total counter\n"
			"gsq_pushes_total{kind=\"blob\",outcome=\"ok\"} 42\n");
}

static void label_values_are_told_apart_also_where_they_run_together(void **state UNUSED)
{
	METRIC_COUNTER(m, 8, "m", "h", "a", "b");
	AUTO_FREE char *text = NULL;

	metric_add(&m, METRIC_LABELS("ab", ""), 1);
	metric_add(&m, METRIC_LABELS("a", "b"), 2);
	metric_add(&m, METRIC_LABELS("", "ab"), 3);
	text = text_of(&m);
	assert_non_null(strstr(text, "m{a=\"ab\",b=\"\"} 1\n"));
	assert_non_null(strstr(text, "m{a=\"a\",b=\"b\"} 2\n"));
	assert_non_null(strstr(text, "m{a=\"\",b=\"ab\"} 3\n"));
}

static void a_metric_that_was_never_touched_is_named_all_the_same(void **state UNUSED)
{
	METRIC_GAUGE(m, 1, "gsq_depth", "Waiting.");

	assert_text(&m, "# HELP gsq_depth Waiting.\n# TYPE gsq_depth gauge\n");
}

static void a_gauge_says_what_it_was_set_to_last(void **state UNUSED)
{
	METRIC_GAUGE(m, 1, "gsq_depth", "Waiting.");

	metric_set(&m, METRIC_NO_LABELS, 7);
	metric_set(&m, METRIC_NO_LABELS, 3);
	assert_text(&m, "# HELP gsq_depth Waiting.\n# TYPE gsq_depth gauge\ngsq_depth 3\n");
}

static void times_are_written_in_seconds_without_zeros_at_the_end(void **state UNUSED)
{
	static const struct {
		uint64_t us;
		const char *written;
	} cases[] = {
		{0, "0"},
		{1, "0.000001"},
		{250, "0.00025"},
		{1000000, "1"},
		{1500000, "1.5"},
		{1795891648298733, "1795891648.298733"},
	};
	METRIC_GAUGE_US(m, 1, "t", "h");

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char expected[128];

		metric_set(&m, METRIC_NO_LABELS, cases[i].us);
		snprintf(expected, sizeof(expected), "# HELP t h\n# TYPE t gauge\nt %s\n",
			cases[i].written);
		assert_text(&m, expected);
	}
}

static void the_buckets_of_a_histogram_count_all_up_to_their_bound(void **state UNUSED)
{
	METRIC_HISTOGRAM_US(m, 1, few, "gsq_seconds", "Time.", "stage");

	metric_observe(&m, METRIC_LABELS("all"), 0);
	metric_observe(&m, METRIC_LABELS("all"), 100); /* its bound belongs to a bucket */
	metric_observe(&m, METRIC_LABELS("all"), 101);
	metric_observe(&m, METRIC_LABELS("all"), 1000001);
	assert_text(&m, "# HELP gsq_seconds Time.\n"
			"# TYPE gsq_seconds histogram\n"
			"gsq_seconds_bucket{stage=\"all\",le=\"0.0001\"} 2\n"
			"gsq_seconds_bucket{stage=\"all\",le=\"0.0025\"} 3\n"
			"gsq_seconds_bucket{stage=\"all\",le=\"1\"} 3\n"
			"gsq_seconds_bucket{stage=\"all\",le=\"+Inf\"} 4\n"
			"gsq_seconds_sum{stage=\"all\"} 1.000202\n"
			"gsq_seconds_count{stage=\"all\"} 4\n");
}

static void a_histogram_of_numbers_has_bounds_that_are_numbers(void **state UNUSED)
{
	METRIC_HISTOGRAM(m, 1, few, "gsq_size", "Size.");

	metric_observe(&m, METRIC_NO_LABELS, 2500);
	assert_text(&m, "# HELP gsq_size Size.\n"
			"# TYPE gsq_size histogram\n"
			"gsq_size_bucket{le=\"100\"} 0\n"
			"gsq_size_bucket{le=\"2500\"} 1\n"
			"gsq_size_bucket{le=\"1000000\"} 1\n"
			"gsq_size_bucket{le=\"+Inf\"} 1\n"
			"gsq_size_sum 2500\n"
			"gsq_size_count 1\n");
}

static void the_bounds_that_all_share_ascend(void **state UNUSED)
{
	const struct metric_bounds *const all[] = {&metric_latency, &metric_duration, &metric_size};

	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		assert_in_range(all[i]->n, 2, METRIC_BOUNDS_MAX);
		for (size_t at = 1; at < all[i]->n; at++)
			assert_true(all[i]->at[at] > all[i]->at[at - 1]);
	}
}

static void a_lap_is_observed_and_ends_now(void **state UNUSED)
{
	METRIC_HISTOGRAM_US(m, 1, few, "m", "h");
	uint64_t started = clock_monotonic_us(), ended;
	AUTO_FREE char *text = NULL;

	ended = metric_lap(&m, METRIC_NO_LABELS, started - 2000000);
	assert_true(ended >= started && ended <= clock_monotonic_us());
	text = text_of(&m);
	assert_non_null(strstr(text, "m_bucket{le=\"1\"} 0\nm_bucket{le=\"+Inf\"} 1\n"));
	assert_non_null(strstr(text, "m_count 1\n"));
}

static void label_values_cannot_break_out_of_their_quotes(void **state UNUSED)
{
	METRIC_COUNTER(m, 1, "m", "Two\nlines, one \\ and \"quotes\".", "l");

	metric_add(&m, METRIC_LABELS("a\"} 1\nforged{x=\"\\"), 1);
	assert_text(&m, "# HELP m Two\\nlines, one \\\\ and \"quotes\".\n"
			"# TYPE m counter\n"
			"m{l=\"a\\\"} 1\\nforged{x=\\\"\\\\\"} 1\n");
}

static void long_label_values_are_cut_and_still_one_series(void **state UNUSED)
{
	METRIC_COUNTER(m, 4, "m", "h", "l");
	char value[2 * METRIC_LABEL_SIZE], expected[256];

	memset(value, 'x', sizeof(value) - 1);
	value[sizeof(value) - 1] = '\0';
	metric_add(&m, METRIC_LABELS(value), 1);
	metric_add(&m, METRIC_LABELS(value), 1);
	snprintf(expected, sizeof(expected), "# HELP m h\n# TYPE m counter\nm{l=\"%.*s\"} 2\n",
		METRIC_LABEL_SIZE - 1, value);
	assert_text(&m, expected);
}

static void what_does_not_fit_is_counted_together_as_other(void **state UNUSED)
{
	METRIC_COUNTER(m, 4, "m", "h", "l");
	AUTO_FREE char *text = NULL;

	for (unsigned i = 0; i < 10; i++) {
		char value[16];

		snprintf(value, sizeof(value), "v%u", i);
		metric_add(&m, METRIC_LABELS(value), 1);
	}
	metric_add(&m, METRIC_LABELS("v0"), 1);
	text = text_of(&m);
	assert_non_null(strstr(text, "m{l=\"v0\"} 2\n"));
	assert_non_null(strstr(text, "m{l=\"v3\"} 1\n"));
	assert_null(strstr(text, "m{l=\"v4\"}"));
	assert_non_null(strstr(text, "m{l=\"other\"} 6\n"));
}

/* ---- threads ---- */

static METRIC_COUNTER(shared, 8, "shared_total", "h", "l");
static METRIC_HISTOGRAM(sizes, 8, few, "shared_size", "h", "l");
static const char *const values[] = {"a", "b", "c", "d"};

static void *update(void *arg UNUSED)
{
	for (unsigned i = 0; i < ROUNDS; i++) {
		metric_add(&shared, METRIC_LABELS(values[i % ARRAY_SIZE(values)]), 1);
		metric_observe(&sizes, METRIC_LABELS(values[i % ARRAY_SIZE(values)]), i % 200);
	}
	return NULL;
}

static void nothing_is_lost_between_threads(void **state UNUSED)
{
	AUTO_FREE char *counters = NULL, *histograms = NULL;
	pthread_t threads[THREADS];

	for (size_t i = 0; i < THREADS; i++)
		AZ(pthread_create(&threads[i], NULL, update, NULL));
	for (size_t i = 0; i < THREADS; i++)
		AZ(pthread_join(threads[i], NULL));
	counters = text_of(&shared);
	histograms = text_of(&sizes);
	for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
		char expected[64];

		snprintf(expected, sizeof(expected), "shared_total{l=\"%s\"} %d\n", values[i],
			THREADS * ROUNDS / (int)ARRAY_SIZE(values));
		assert_non_null(strstr(counters, expected));
		snprintf(expected, sizeof(expected), "shared_size_count{l=\"%s\"} %d\n", values[i],
			THREADS * ROUNDS / (int)ARRAY_SIZE(values));
		assert_non_null(strstr(histograms, expected));
	}
	assert_null(strstr(counters, "other"));
}

/* ---- the process ---- */

static void the_process_tells_of_itself(void **state UNUSED)
{
	static const char *const names[] = {"process_cpu_seconds_total",
		"process_resident_memory_bytes", "process_virtual_memory_bytes", "process_open_fds",
		"process_max_fds", "process_start_time_seconds"};
	CLEANUP(buf_done) struct buf b = BUF_INIT(1 * MIB);
	double start;

	metrics_write_process(&b);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		char begin[64];
		const char *at;

		snprintf(begin, sizeof(begin), "\n%s ", names[i]);
		at = strstr(b.data, begin);
		assert_non_null(at);
		assert_true(strtod(at + strlen(begin), NULL) > 0);
	}
	start = strtod(strstr(b.data, "\nprocess_start_time_seconds ") + 28, NULL);
	assert_true(start <= (double)clock_realtime_us() / 1e6 + 1);
	assert_true(start > (double)clock_realtime_us() / 1e6 - 86400);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_counter_adds_up_for_each_set_of_label_values),
		cmocka_unit_test(label_values_are_told_apart_also_where_they_run_together),
		cmocka_unit_test(a_metric_that_was_never_touched_is_named_all_the_same),
		cmocka_unit_test(a_gauge_says_what_it_was_set_to_last),
		cmocka_unit_test(times_are_written_in_seconds_without_zeros_at_the_end),
		cmocka_unit_test(the_buckets_of_a_histogram_count_all_up_to_their_bound),
		cmocka_unit_test(a_histogram_of_numbers_has_bounds_that_are_numbers),
		cmocka_unit_test(the_bounds_that_all_share_ascend),
		cmocka_unit_test(a_lap_is_observed_and_ends_now),
		cmocka_unit_test(label_values_cannot_break_out_of_their_quotes),
		cmocka_unit_test(long_label_values_are_cut_and_still_one_series),
		cmocka_unit_test(what_does_not_fit_is_counted_together_as_other),
		cmocka_unit_test(nothing_is_lost_between_threads),
		cmocka_unit_test(the_process_tells_of_itself),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
