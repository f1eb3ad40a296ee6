/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Many clients on few threads: each has a kept connection, sends a request that is ready as bytes,
 * and the next one as soon as the answer is whole.
 *
 * A thread for each client (load_run.h) costs a switch of context for each answer, which the server
 * on the same machine has to do without.
 */
#ifndef BENCH_LOAD_LOOP_H
#define BENCH_LOAD_LOOP_H

#include "bench/load_run.h"

#define LOOP_REQUEST_SIZE 2048
#define LOOP_KINDS 2

/* One request, and what its answer must be. */
struct loop_request {
	char bytes[LOOP_REQUEST_SIZE];
	size_t n;
	unsigned kind;        /* operations of a kind are measured together */
	int status;           /* of the answer, */
	int or_status;        /* or this one; 0: no other */
	uint64_t body_length; /* of the answer; 0: any */
};

struct loop {
	const struct target *target;
	unsigned clients, threads;
	double seconds; /* no operation begins later */
	size_t count;   /* nor after so many */
	/* Writes request i, on any thread; *ret is what the same client sent before. */
	void (*write)(const void *arg, size_t i, struct loop_request *ret);
	const void *arg;
};

/* What several runs have measured, one after another. */
struct tally {
	struct tally_kind {
		uint64_t *latency_ns;
		size_t n, room;
	} kinds[LOOP_KINDS];
	uint64_t bytes[LOOP_KINDS]; /* of bodies received */
	double seconds, cpu_seconds;
	size_t errors;
	struct error err; /* of the first that failed */
};
void tally_done(struct tally *t);

/* Runs and adds to the tally; *ret_count operations were begun, and all of them are over. -1: it
 * could not start, or an operation has failed, which ends the run. */
int loop_run(
	const struct loop *loop, struct tally *t, size_t *ret_count, struct error *err) MUST_CHECK;

/* Sorts what was measured; a kind's rate is that of its own operations. */
struct result tally_result(struct tally *t, unsigned kind);

#endif
