/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to registry. A server's jobs: one thread that runs those that are asked for, one at a
 * time in the order of their coming, and collects garbage by itself now and then.
 */
#ifndef REGISTRY_UPKEEP_H
#define REGISTRY_UPKEEP_H

#include "registry/jobs.h"

/* A job that is asked for; the caller's memory until done() is called. */
struct job_request {
	const struct job *job;
	struct job_args args; /* borrowed */
	/* When it has ended, on the thread of the jobs. */
	void (*done)(struct job_request *r);

	/* out */
	struct buf report;
	struct error err; /* ERROR_NONE: it went well */

	struct job_request *next; /* the queue's */
};

struct upkeep;

int upkeep_new(struct upkeep **ret, struct embedded *e, const struct upkeep_options *options,
	struct error *err) MUST_CHECK;

/* Cuts off the job at hand where it lets itself be (store_interrupt), refuses those that wait and
 * those that still come, and ends the thread. Each has had its done(). Once. */
void upkeep_stop(struct upkeep *u);
void upkeep_free(struct upkeep *u); /* must be stopped */

/* Any thread. ERROR_TOO_MANY: LIMIT_JOB_QUEUE of them wait; ERROR_UNAVAILABLE: it is stopped. Then
 * done() is not called. */
int upkeep_submit(struct upkeep *u, struct job_request *r, struct error *err) MUST_CHECK;

#endif
