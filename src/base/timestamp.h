/* SPDX-License-Identifier: Apache-2.0 */
/* Moments as people and other programs write them (RFC 3339), from 1970 to 9999. */
#ifndef BASE_TIMESTAMP_H
#define BASE_TIMESTAMP_H

#include "base/str.h"

/* "2026-11-24T17:24:42Z", with a fraction or an offset ("+01:00") where there is one; false: it is
 * none, or there is no such day. In microseconds since 1970; what is finer is cut off. */
bool timestamp_parse(struct slice text, uint64_t *ret_us);

/* "2026-11-24T17:24:42Z" of seconds since 1970. */
#define TIMESTAMP_SIZE 21
const char *timestamp_format(uint64_t s, char ret[TIMESTAMP_SIZE]);

#endif
