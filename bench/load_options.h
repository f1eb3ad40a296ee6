/* SPDX-License-Identifier: Apache-2.0 */
/* What the load generators' command lines have in common. */
#ifndef BENCH_LOAD_OPTIONS_H
#define BENCH_LOAD_OPTIONS_H

#include "base/error.h"

/* The number in optarg, from 1 to max. */
int load_number(size_t *ret, const char *name, size_t max, struct error *err) MUST_CHECK;

#endif
