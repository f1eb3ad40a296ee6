/* SPDX-License-Identifier: Apache-2.0 */
/* The same work on many items, on all cores. */
#ifndef BASE_PARALLEL_H
#define BASE_PARALLEL_H

#include <stddef.h>

/* Calls fn(i, arg) once for each i below n, on this thread and on others, and returns when all have
 * returned. Where no thread can be started this one does it all. */
void parallel_each(size_t n, void (*fn)(size_t i, void *arg), void *arg);

#endif
