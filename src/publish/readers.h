/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads that read from the registry for those who must not block: each has a struct registry of
 * its own. Jobs are run first come, first served.
 */
#ifndef PUBLISH_READERS_H
#define PUBLISH_READERS_H

#include "oci/registry.h"

struct readers;

/* Makes a registry for a thread of it, on the caller's thread. */
typedef int readers_connect(struct registry **ret, void *arg, struct error *err);

int readers_new(
	struct readers **ret, readers_connect *connect, void *arg, struct error *err) MUST_CHECK;

/* Runs the job on a thread of the readers. Any thread; does not wait. ERROR_TOO_MANY:
 * LIMIT_READER_QUEUE jobs wait already; ERROR_UNAVAILABLE: it is stopping. */
int readers_run(struct readers *r, void (*job)(struct registry *registry, void *arg), void *arg,
	struct error *err) MUST_CHECK;

/* No job is taken any more; those that wait are run still, so that nobody is left without an
 * answer. A job that can take long asks readers_stopping() now and then, and gives up with
 * ERROR_UNAVAILABLE. Any thread. */
void readers_stop(struct readers *r);
bool readers_stopping(struct readers *r);
void readers_free(struct readers *r); /* stops, waits for the jobs, frees the registries */

#endif
