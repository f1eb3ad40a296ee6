/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to api. The parameters of a query: a table of those that a path takes, each read by a
 * function of its own. An unknown one, and one that is given twice, are errors, as a mistyped word
 * must not quietly mean something else.
 */
#ifndef API_PARAMS_H
#define API_PARAMS_H

#include "base/error.h"
#include "base/limits.h"
#include "base/str.h"

struct param {
	const char *name;
	int (*read)(void *arg, struct slice value, struct error *err); /* value is decoded */
};

/* takes: "a list takes the parameters limit and continue", for the error. */
int params_read(struct slice query, const struct param *params, size_t n, const char *takes,
	void *arg, struct error *err) MUST_CHECK;

/* For paths that take none. */
int params_none(struct slice query, struct error *err) MUST_CHECK;

/* The parameter namespace: a name, or * for all of them, which is "" in ret. path: the namespace
 * that the path names, which it must not contradict, or NULL; whole: the path that asks of all. */
int params_namespace(char ret[LIMIT_NAME + 1], struct slice value, const char *path,
	const char *whole, struct error *err) MUST_CHECK;

/* The parameter dryRun: true or false. */
int params_dry_run(bool *ret, struct slice value, struct error *err) MUST_CHECK;

/* "limit must be a whole number, not "ten"" */
int params_refuse(
	const char *parameter, const char *allowed, struct slice value, struct error *err);

#endif
