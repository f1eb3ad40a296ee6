/* SPDX-License-Identifier: Apache-2.0 */
/* Runs an operation over and over, with a thread and a connection for each client, and measures. */
#ifndef BENCH_LOAD_RUN_H
#define BENCH_LOAD_RUN_H

#include "bench/load_http.h"

struct run {
	const struct target *target; /* NULL: the operation needs no connection */
	unsigned clients;
	double seconds; /* no operation begins later */
	size_t count;   /* nor after so many */
	/* Operation i, on any thread; adds to *bytes what it has moved. */
	int (*operation)(struct conn *c, size_t i, void *arg, uint64_t *bytes, struct error *err);
	void *arg;
};

struct result {
	size_t count;   /* operations that went well */
	size_t errors;  /* others; at the first the run ends */
	double seconds; /* from the common start to the end of the last operation */
	uint64_t bytes;
	double p50_ms, p99_ms;
	double cores; /* that the generator itself has kept busy */
	struct error err;
};

/* -1: it could not even start. */
int run_all(const struct run *run, struct result *ret, struct error *err) MUST_CHECK;

/* Like run_all(), for what must be there before the clock starts: any failure is one. */
int run_before(const struct run *run, struct error *err) MUST_CHECK;

/* Sorts the latencies of r->count operations and takes the percentiles from them. */
void result_percentiles(struct result *r, uint64_t *latency_ns);

/* One line of JSON; MB are 10^6 bytes. */
void result_print(const char *workload, unsigned clients, const struct result *r);

uint64_t now_ns(void);    /* monotonic */
double cpu_seconds(void); /* that this process has used */

#endif
