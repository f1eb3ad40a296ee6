/* SPDX-License-Identifier: Apache-2.0 */
/* A pool of threads for blocking work (disk, SQLite listings), so that event loops never wait. */
#ifndef BASE_WORKERS_H
#define BASE_WORKERS_H

#include "base/error.h"

struct workers;

int workers_new(
	struct workers **ret, const char *name, size_t n_threads, struct error *err) MUST_CHECK;

/* Runs what is queued, then ends the threads. */
void workers_free(struct workers *w);

/* Runs fn(arg) on one of the threads, in no particular order. Any thread.
 * ERROR_TOO_MANY when LIMIT_WORKER_QUEUE jobs wait already. */
int workers_submit(
	struct workers *w, void (*fn)(void *arg), void *arg, struct error *err) MUST_CHECK;

#endif
