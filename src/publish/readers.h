/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads that read from the registry for those who must not block: each has a struct registry of
 * its own. The next job is the first that came, of a subject that has the fewest jobs at work: so
 * nobody waits for all that another has asked for.
 */
#ifndef PUBLISH_READERS_H
#define PUBLISH_READERS_H

#include "oci/registry.h"

struct readers;

/* Makes a registry for a thread of it, on the caller's thread. */
typedef int readers_connect(struct registry **ret, void *arg, struct error *err);

int readers_new(
	struct readers **ret, readers_connect *connect, void *arg, struct error *err) MUST_CHECK;

/* Of a thread of the readers. registry: NULL: they were stopped before its turn came, so that it
 * does nothing but say so. */
typedef void readers_job(struct registry *registry, void *arg);

/* Runs the job on a thread of the readers. Any thread; does not wait. subject: for whom, copied.
 * ERROR_TOO_MANY: LIMIT_READER_QUEUE jobs wait already, or LIMIT_READER_SHARE of this subject
 * do; ERROR_UNAVAILABLE: it is stopping. */
int readers_run(struct readers *r, const char *subject, readers_job *job, void *arg,
	struct error *err) MUST_CHECK;

/* No job is taken any more, and none that waits is run. A job that can take long asks
 * readers_stopping() now and then, and gives up with ERROR_UNAVAILABLE. Any thread. */
void readers_stop(struct readers *r);
bool readers_stopping(const struct readers *r);
void readers_free(struct readers *r); /* stops, waits for the jobs, frees the registries */

#endif
