/* SPDX-License-Identifier: Apache-2.0 */
/* The same work on many items, on all cores. */
#ifndef BASE_PARALLEL_H
#define BASE_PARALLEL_H

#include <stddef.h>

#define PARALLEL_MAX 16

/* Calls fn(i, thread, arg) once for each i below n, on this thread and on others, and returns when
 * all have returned. thread is below PARALLEL_MAX and the same for no two at a time: an index for
 * what they cannot share. Where no thread can be started this one does it all. */
void parallel_each(size_t n, void (*fn)(size_t i, size_t thread, void *arg), void *arg);

#endif
