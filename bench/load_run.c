/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/load_run.h"

#include "base/json.h"

#include <pthread.h>
#include <stdio.h>
#include <sys/resource.h>
#include <time.h>

/* Shared by the clients of a run. */
struct course {
	const struct run *run;
	pthread_barrier_t start;
	uint64_t start_ns, deadline_ns;
	_Atomic size_t next;
	_Atomic size_t errors;
	uint64_t *latency_ns; /* of each operation; 0: not done */
};

struct client {
	struct course *course;
	struct conn *conn;
	pthread_t thread;
	uint64_t bytes, end_ns;
	struct error err;
};

uint64_t now_ns(void)
{
	struct timespec now;

	AZ(clock_gettime(CLOCK_MONOTONIC, &now));
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

double cpu_seconds(void)
{
	struct rusage use;

	AZ(getrusage(RUSAGE_SELF, &use));
	return (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) +
	       (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1e6;
}

static bool take_next(struct course *course, uint64_t now, size_t *ret)
{
	if (now >= course->deadline_ns || course->errors > 0)
		return false;
	*ret = course->next++;
	return *ret < course->run->count;
}

static void *client_main(void *arg)
{
	struct client *client = arg;
	struct course *course = client->course;
	const struct run *run = course->run;
	uint64_t begin;
	size_t i;

	if (client->conn != NULL && conn_open(client->conn, &client->err) != 0)
		course->errors++;
	pthread_barrier_wait(&course->start); /* all are connected */
	pthread_barrier_wait(&course->start); /* the clock runs */
	begin = course->start_ns;
	while (take_next(course, begin, &i)) {
		uint64_t end;

		if (run->operation(client->conn, i, run->arg, &client->bytes, &client->err) != 0) {
			course->errors++;
			break;
		}
		end = now_ns();
		course->latency_ns[i] = end - begin;
		begin = end;
	}
	client->end_ns = begin;
	return NULL;
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* The smallest latency that the share does not exceed. */
static double percentile_ms(const uint64_t *sorted, size_t n, double share)
{
	size_t at = (size_t)((double)n * share);

	return n == 0 ? 0 : (double)sorted[at < n ? at : n - 1] / 1e6;
}

void result_percentiles(struct result *r, uint64_t *latency_ns)
{
	qsort(latency_ns, r->count, sizeof(latency_ns[0]), compare);
	r->p50_ms = percentile_ms(latency_ns, r->count, 0.50);
	r->p99_ms = percentile_ms(latency_ns, r->count, 0.99);
}

static void sum_up(struct course *course, struct client *clients, struct result *ret)
{
	uint64_t end_ns = course->start_ns;
	size_t taken = course->next < course->run->count ? course->next : course->run->count;

	ret->errors = course->errors;
	for (unsigned k = 0; k < course->run->clients; k++) {
		ret->bytes += clients[k].bytes;
		if (clients[k].end_ns > end_ns)
			end_ns = clients[k].end_ns;
		if (clients[k].err.code != ERROR_NONE)
			ret->err = clients[k].err;
	}
	ret->seconds = (double)(end_ns - course->start_ns) / 1e9;
	for (size_t i = 0; i < taken; i++)
		if (course->latency_ns[i] != 0)
			course->latency_ns[ret->count++] = course->latency_ns[i];
	result_percentiles(ret, course->latency_ns);
}

static void race(struct course *course, struct client *clients, struct result *ret)
{
	const struct run *run = course->run;
	double cpu;

	AZ(pthread_barrier_init(&course->start, NULL, run->clients + 1));
	for (unsigned k = 0; k < run->clients; k++)
		AZ(pthread_create(&clients[k].thread, NULL, client_main, &clients[k]));
	pthread_barrier_wait(&course->start);
	cpu = cpu_seconds();
	course->start_ns = now_ns();
	course->deadline_ns = course->start_ns + (uint64_t)(run->seconds * 1e9);
	pthread_barrier_wait(&course->start);
	for (unsigned k = 0; k < run->clients; k++)
		AZ(pthread_join(clients[k].thread, NULL));
	cpu = cpu_seconds() - cpu;
	AZ(pthread_barrier_destroy(&course->start));
	sum_up(course, clients, ret);
	ret->cores = ret->seconds > 0 ? cpu / ret->seconds : 0;
}

int run_all(const struct run *run, struct result *ret, struct error *err)
{
	AUTO_FREE struct client *clients = calloc(run->clients, sizeof(*clients));
	AUTO_FREE uint64_t *latency_ns = calloc(run->count, sizeof(*latency_ns));
	struct course course = {.run = run, .latency_ns = latency_ns};
	int result = 0;

	*ret = (struct result){0};
	if (clients == NULL || latency_ns == NULL)
		return error_no_memory(err);
	for (unsigned k = 0; result == 0 && k < run->clients; k++) {
		clients[k].course = &course;
		if (run->target != NULL)
			result = conn_new(&clients[k].conn, run->target, err);
	}
	if (result == 0)
		race(&course, clients, ret);
	for (unsigned k = 0; k < run->clients; k++)
		conn_free(clients[k].conn);
	return result;
}

int run_before(const struct run *run, struct error *err)
{
	struct result result;

	if (run_all(run, &result, err) != 0)
		return -1;
	if (result.errors == 0)
		return 0;
	*err = result.err;
	return -1;
}

void result_print(const char *workload, unsigned clients, const struct result *r)
{
	CLEANUP(buf_done) struct buf line = BUF_INIT(64 * KIB);
	double per_s = r->seconds > 0 ? 1 / r->seconds : 0;

	json_begin_object(&line);
	json_member_cstr(&line, "workload", workload);
	json_member_u64(&line, "clients", clients);
	json_member_u64(&line, "count", r->count);
	buf_printf(&line,
		",\"seconds\":%.3f,\"rate\":%.2f,\"mb_per_s\":%.2f,\"p50_ms\":%.3f,\"p99_ms\":%.3f,"
		"\"generator_cores\":%.2f",
		r->seconds, (double)r->count * per_s, (double)r->bytes / 1e6 * per_s, r->p50_ms,
		r->p99_ms, r->cores);
	json_member_u64(&line, "errors", r->errors);
	if (r->errors > 0)
		json_member_cstr(&line, "error", r->err.text);
	json_end_object(&line);
	puts(line.data == NULL ? "{}" : line.data);
}
