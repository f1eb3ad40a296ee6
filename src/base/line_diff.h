/* SPDX-License-Identifier: Apache-2.0 */
/* The difference of two short texts, line by line, in the unified format of diff -u (POSIX diff).
 */
#ifndef BASE_LINE_DIFF_H
#define BASE_LINE_DIFF_H

#include "base/buf.h"

#define LINE_DIFF_CONTEXT 3

/* Appends "--- from\n+++ to\n" and hunks; nothing where both are equal. Memory and time grow with
 * the product of their lines, so these are at most LIMIT_DIFF_LINES each: beyond, one hunk takes
 * all of the old away and adds all of the new. A last line without its end is marked as diff does.
 */
void line_diff(
	struct slice old, struct slice new, const char *from, const char *to, struct buf *ret);

#endif
