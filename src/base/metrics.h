/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Metrics: counters, gauges and histograms with labels, in Prometheus' text format (0.0.4).
 *
 * A metric is a static object of its room. Any thread updates it, with relaxed atomics: without
 * allocating, and without a lock but for the first time that it sees a set of label values. Their
 * number is fixed; what does not fit is counted together, under the value "other".
 *
 * Values are whole numbers. Times are given in microseconds and written in seconds.
 *
 *   static METRIC_COUNTER(pushes, 16, "gsq_pushes_total", "Pushes by outcome.", "outcome");
 *   static METRIC_HISTOGRAM_US(push_time, 1, metric_latency, "gsq_push_seconds", "One push.");
 *
 *   uint64_t started = clock_monotonic_us();
 *   ...
 *   metric_add(&pushes, METRIC_LABELS("ok"), 1);
 *   metric_lap(&push_time, METRIC_NO_LABELS, started);
 *
 *   gsq_pushes_total{outcome="ok"} 1
 *   gsq_push_seconds_bucket{le="0.00005"} 0
 *   ...
 */
#ifndef BASE_METRICS_H
#define BASE_METRICS_H

#include "base/buf.h"
#include "base/clock.h"

#include <stdatomic.h>

#define METRIC_LABELS_MAX 3
#define METRIC_BOUNDS_MAX 15
#define METRIC_LABEL_SIZE 64 /* a value and its NUL; longer ones are cut */

enum metric_type { METRIC_IS_COUNTER, METRIC_IS_GAUGE, METRIC_IS_HISTOGRAM };

/* Upper bounds of a histogram's buckets, in ascending order; the last bucket has none. */
struct metric_bounds {
	size_t n;
	uint64_t at[METRIC_BOUNDS_MAX];
};
extern const struct metric_bounds metric_latency;  /* microseconds: 50 us to 10 s */
extern const struct metric_bounds metric_duration; /* microseconds: 100 us to 60 s */
extern const struct metric_bounds metric_size;     /* 1, 2, 4, ... 8192 */

/* What one set of label values has come to. */
struct metric_series {
	atomic_bool used; /* the labels stand */
	char labels[METRIC_LABELS_MAX][METRIC_LABEL_SIZE];
	_Atomic uint64_t value; /* the sum of a histogram */
	_Atomic uint64_t buckets[METRIC_BOUNDS_MAX + 1];
};

struct metric {
	enum metric_type type;
	bool is_time; /* microseconds, written as seconds */
	const char *name, *help;
	const struct metric_bounds *bounds;    /* of a histogram */
	const char *labels[METRIC_LABELS_MAX]; /* names; NULL after the last */
	size_t n_series;                       /* a power of two */
	struct metric_series *series; /* a hash table, and behind it that of what does not fit */
};

/* Values of the labels, in the order of their names. They are copied. */
struct metric_labels {
	const char *at[METRIC_LABELS_MAX];
};
#define METRIC_LABELS(...) (&(const struct metric_labels){{__VA_ARGS__}})
#define METRIC_NO_LABELS METRIC_LABELS(NULL)

/* Definitions: object, number of sets of label values, [bounds,] name, help, names of labels. */
#define METRIC_COUNTER(object_, n_, ...) \
	METRIC_(object_, n_, METRIC_IS_COUNTER, false, NULL, __VA_ARGS__)
#define METRIC_GAUGE(object_, n_, ...) \
	METRIC_(object_, n_, METRIC_IS_GAUGE, false, NULL, __VA_ARGS__)
#define METRIC_COUNTER_US(object_, n_, ...) \
	METRIC_(object_, n_, METRIC_IS_COUNTER, true, NULL, __VA_ARGS__)
#define METRIC_GAUGE_US(object_, n_, ...) \
	METRIC_(object_, n_, METRIC_IS_GAUGE, true, NULL, __VA_ARGS__)
#define METRIC_HISTOGRAM(object_, n_, bounds_, ...) \
	METRIC_(object_, n_, METRIC_IS_HISTOGRAM, false, &(bounds_), __VA_ARGS__)
#define METRIC_HISTOGRAM_US(object_, n_, bounds_, ...) \
	METRIC_(object_, n_, METRIC_IS_HISTOGRAM, true, &(bounds_), __VA_ARGS__)
#define METRIC_(object_, n_, type_, is_time_, bounds_, name_, help_, ...) \
	struct metric object_ = { \
		.type = (type_), \
		.is_time = (is_time_), \
		.name = (name_), \
		.help = (help_), \
		.bounds = (bounds_), \
		.labels = {__VA_ARGS__}, \
		.n_series = (n_), \
		.series = (struct metric_series[(n_) + 1]){{.used = false}}, \
	}

void metric_add(struct metric *m, const struct metric_labels *labels, uint64_t n); /* counters */
/* Gauges, and counters that somebody else keeps, such as the kernel. */
void metric_set(struct metric *m, const struct metric_labels *labels, uint64_t value);
void metric_observe(struct metric *m, const struct metric_labels *labels, uint64_t value);

/* Observes the time since then, and returns the time it is: where the next lap starts. */
uint64_t metric_lap(struct metric *m, const struct metric_labels *labels, uint64_t since_us);

/* Appends HELP, TYPE and all that was counted. */
void metric_write(const struct metric *m, struct buf *ret);

/* Appends process_...: CPU, memory, file descriptors and start of this process, as all client
 * libraries of Prometheus call them. Reads /proc. */
void metrics_write_process(struct buf *ret);

#endif
