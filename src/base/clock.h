/* SPDX-License-Identifier: Apache-2.0 */
/* Time: microseconds since 1970 (UTC) for versions, monotonic milliseconds for deadlines and
 * microseconds for durations. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include "base/base.h"

#include <time.h>

uint64_t clock_realtime_us(void);
uint64_t clock_monotonic_ms(void);
uint64_t clock_monotonic_us(void);

/* So many microseconds from now, for waits on the monotonic clock. */
struct timespec clock_deadline(uint64_t us);

/* "2026-11-24T17:24:42.123456Z" (RFC 3339, UTC); years up to 9999. */
#define CLOCK_RFC3339_SIZE 28
void clock_rfc3339(uint64_t realtime_us, char ret[CLOCK_RFC3339_SIZE]);

/* "Tue, 24 Nov 2026 17:24:42 GMT" (RFC 9110 section 5.6.7) */
#define CLOCK_HTTP_DATE_SIZE 30
void clock_http_date(uint64_t realtime_us, char ret[CLOCK_HTTP_DATE_SIZE]);

#endif
