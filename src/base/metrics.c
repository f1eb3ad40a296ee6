/* SPDX-License-Identifier: Apache-2.0 */
#include "base/metrics.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>

#define US_PER_S 1000000

const struct metric_bounds metric_latency = {
	15,
	{50, 100, 250, 500, 1000, 2500, 5000, 10000, 25000, 50000, 100000, 250000, 500000,
		1 * US_PER_S, 10 * US_PER_S},
};

const struct metric_bounds metric_duration = {
	15,
	{100, 250, 500, 1000, 2500, 5000, 10000, 25000, 50000, 100000, 250000, 500000, 1 * US_PER_S,
		10 * US_PER_S, 60 * US_PER_S},
};

const struct metric_bounds metric_size = {
	14,
	{1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192},
};

/* ---- series ---- */

static size_t count_labels(const struct metric *m)
{
	size_t n = 0;

	while (n < METRIC_LABELS_MAX && m->labels[n] != NULL)
		n++;
	return n;
}

/* FNV-1a */
static size_t hash(const struct metric_labels *labels, size_t n)
{
	uint32_t h = 2166136261u;

	for (size_t i = 0; i < n; i++) {
		const char *s = labels->at[i];

		for (size_t at = 0; s[at] != '\0' && at < METRIC_LABEL_SIZE - 1; at++)
			h = (h ^ (unsigned char)s[at]) * 16777619u;
		h *= 16777619u; /* "a", "b" is not "ab", "" */
	}
	return h ^ h >> 16;
}

static bool is_series(const struct metric_series *s, const struct metric_labels *labels, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (strncmp(s->labels[i], labels->at[i], METRIC_LABEL_SIZE - 1) != 0)
			return false;
	return true;
}

/* Linear probing in a table that only grows: the series, or the place for it, or NULL: full. */
static struct metric_series *find(
	const struct metric *m, const struct metric_labels *labels, size_t n)
{
	size_t h = hash(labels, n);

	for (size_t i = 0; i < m->n_series; i++) {
		struct metric_series *s = &m->series[(h + i) & (m->n_series - 1)];

		if (!atomic_load_explicit(&s->used, memory_order_acquire) ||
			is_series(s, labels, n))
			return s;
	}
	return NULL;
}

static void use(struct metric_series *s, const struct metric_labels *labels, size_t n)
{
	for (size_t i = 0; i < n; i++)
		snprintf(s->labels[i], METRIC_LABEL_SIZE, "%s", labels->at[i]);
	atomic_store_explicit(&s->used, true, memory_order_release);
}

/* A set of label values for the first time. */
static struct metric_series *add_series(
	const struct metric *m, const struct metric_labels *labels, size_t n)
{
	static const struct metric_labels others = {{"other", "other", "other"}};
	static pthread_mutex_t lock =
		PTHREAD_MUTEX_INITIALIZER; /* guards that a series gets used */
	struct metric_series *s;

	AZ(pthread_mutex_lock(&lock));
	s = find(m, labels, n);
	if (s == NULL) {
		s = &m->series[m->n_series];
		labels = &others;
	}
	if (!atomic_load_explicit(&s->used, memory_order_relaxed))
		use(s, labels, n);
	AZ(pthread_mutex_unlock(&lock));
	return s;
}

static struct metric_series *series_of(const struct metric *m, const struct metric_labels *labels)
{
	size_t n = count_labels(m);
	struct metric_series *s;

	for (size_t i = 0; i < n; i++)
		ASSERT(labels->at[i] != NULL);
	s = find(m, labels, n);
	if (s != NULL && atomic_load_explicit(&s->used, memory_order_acquire))
		return s;
	return add_series(m, labels, n);
}

/* ---- updates ---- */

void metric_add(struct metric *m, const struct metric_labels *labels, uint64_t n)
{
	ASSERT(m->type == METRIC_IS_COUNTER);
	atomic_fetch_add_explicit(&series_of(m, labels)->value, n, memory_order_relaxed);
}

void metric_set(struct metric *m, const struct metric_labels *labels, uint64_t value)
{
	ASSERT(m->type != METRIC_IS_HISTOGRAM);
	atomic_store_explicit(&series_of(m, labels)->value, value, memory_order_relaxed);
}

void metric_observe(struct metric *m, const struct metric_labels *labels, uint64_t value)
{
	struct metric_series *s = series_of(m, labels);
	size_t i = 0;

	ASSERT(m->type == METRIC_IS_HISTOGRAM);
	while (i < m->bounds->n && value > m->bounds->at[i])
		i++;
	atomic_fetch_add_explicit(&s->buckets[i], 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&s->value, value, memory_order_relaxed);
}

uint64_t metric_lap(struct metric *m, const struct metric_labels *labels, uint64_t since_us)
{
	uint64_t now = clock_monotonic_us();

	metric_observe(m, labels, now - since_us);
	return now;
}

/* ---- text ---- */

/* Backslash and newline, and in label values the quote, are escaped. */
static void write_escaped(struct buf *b, const char *text, bool quoted)
{
	for (const char *p = text; *p != '\0'; p++) {
		if (*p == '\n')
			buf_puts(b, "\\n");
		else if (*p == '\\' || (quoted && *p == '"'))
			buf_printf(b, "\\%c", *p);
		else
			buf_putc(b, *p);
	}
}

/* Seconds without zeros at the end: no digit is lost, and none is invented. */
static void write_number(struct buf *b, const struct metric *m, uint64_t value)
{
	uint64_t fraction = value % US_PER_S;
	int digits = 6;

	if (!m->is_time || fraction == 0) {
		buf_printf(b, "%" PRIu64, m->is_time ? value / US_PER_S : value);
		return;
	}
	for (; fraction % 10 == 0; fraction /= 10)
		digits--;
	buf_printf(b, "%" PRIu64 ".%0*" PRIu64, value / US_PER_S, digits, fraction);
}

static void write_label(struct buf *b, char before, const char *name, const char *value)
{
	buf_printf(b, "%c%s=\"", before, name);
	write_escaped(b, value, true);
	buf_putc(b, '"');
}

/* name_suffix{labels,le="..."}; bound is the bucket's, n_bounds that of the last one, which has
 * none. */
static void write_name(struct buf *b, const struct metric *m, const struct metric_series *s,
	const char *suffix, const size_t *bound)
{
	size_t n = count_labels(m);

	buf_printf(b, "%s%s", m->name, suffix);
	for (size_t i = 0; i < n; i++)
		write_label(b, i == 0 ? '{' : ',', m->labels[i], s->labels[i]);
	if (bound != NULL) {
		buf_printf(b, "%cle=\"", n == 0 ? '{' : ',');
		if (*bound == m->bounds->n)
			buf_puts(b, "+Inf");
		else
			write_number(b, m, m->bounds->at[*bound]);
		buf_putc(b, '"');
	}
	buf_puts(b, n > 0 || bound != NULL ? "} " : " ");
}

static void write_sample(struct buf *b, const struct metric *m, const struct metric_series *s,
	const char *suffix, uint64_t value)
{
	write_name(b, m, s, suffix, NULL);
	write_number(b, m, value);
	buf_putc(b, '\n');
}

/* The count is that of the buckets written, so they agree however much is observed meanwhile. */
static void write_histogram(struct buf *b, const struct metric *m, const struct metric_series *s)
{
	uint64_t count = 0;

	for (size_t i = 0; i <= m->bounds->n; i++) {
		count += atomic_load_explicit(&s->buckets[i], memory_order_relaxed);
		write_name(b, m, s, "_bucket", &i);
		buf_printf(b, "%" PRIu64 "\n", count);
	}
	write_sample(b, m, s, "_sum", atomic_load_explicit(&s->value, memory_order_relaxed));
	write_name(b, m, s, "_count", NULL);
	buf_printf(b, "%" PRIu64 "\n", count);
}

void metric_write(const struct metric *m, struct buf *ret)
{
	static const char *const types[] = {
		[METRIC_IS_COUNTER] = "counter",
		[METRIC_IS_GAUGE] = "gauge",
		[METRIC_IS_HISTOGRAM] = "histogram",
	};

	buf_printf(ret, "# HELP %s ", m->name);
	write_escaped(ret, m->help, false);
	buf_printf(ret, "\n# TYPE %s %s\n", m->name, types[m->type]);
	for (size_t i = 0; i <= m->n_series; i++) {
		const struct metric_series *s = &m->series[i];

		if (!atomic_load_explicit(&s->used, memory_order_acquire))
			continue;
		if (m->type == METRIC_IS_HISTOGRAM)
			write_histogram(ret, m, s);
		else
			write_sample(ret, m, s, "",
				atomic_load_explicit(&s->value, memory_order_relaxed));
	}
}
