/* SPDX-License-Identifier: Apache-2.0 */
/* What this machine can do, to hold the registries' figures against. */
#ifndef BENCH_LOAD_MACHINE_H
#define BENCH_LOAD_MACHINE_H

#include "base/error.h"

/* One line of JSON for each limit, each measured for so many seconds. The disk is that of dir. */
int machine_limits(const char *dir, double seconds, struct error *err) MUST_CHECK;

#endif
