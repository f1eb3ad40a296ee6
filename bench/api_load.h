/* SPDX-License-Identifier: Apache-2.0 */
/* The workloads of api-load, and what its command line says. */
#ifndef BENCH_API_LOAD_H
#define BENCH_API_LOAD_H

#include "bench/load_http.h"

struct api_options {
	struct target target;
	unsigned clients, threads;
	double seconds;
	size_t resources; /* that there are: r000000 and so on */
	size_t first;     /* of those to load */
	size_t burst;     /* creates before they are deleted again */
	size_t limit;     /* resources in a page */
	const char *path; /* to fetch */
	const char *how;  /* blobs are pushed */
};

/* One line of JSON for each kind of operation. */
int artifact_push(const char *name, const struct api_options *o, struct error *err) MUST_CHECK;
int catalog_build(const char *name, const struct api_options *o, struct error *err) MUST_CHECK;

#endif
