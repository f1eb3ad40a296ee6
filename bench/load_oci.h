/* SPDX-License-Identifier: Apache-2.0 */
/* The pushes of an OCI client, request by request. */
#ifndef BENCH_LOAD_OCI_H
#define BENCH_LOAD_OCI_H

#include "bench/load_http.h"

/* POST, and PUT to where that says, as most clients do. */
int put_blob(struct conn *c, const char *repository, const char *digest,
	const struct slice content[2], struct error *err) MUST_CHECK;

/* One POST with all of it, which not every registry takes. */
int post_blob(struct conn *c, const char *repository, const char *digest,
	const struct slice content[2], struct error *err) MUST_CHECK;

int put_manifest(struct conn *c, const char *repository, const char *tag, struct slice manifest,
	struct error *err) MUST_CHECK;

#endif
