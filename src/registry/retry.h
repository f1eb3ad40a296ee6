/* SPDX-License-Identifier: Apache-2.0 */
/* Private to registry. When to try a request again: full jitter, Retry-After, a deadline. */
#ifndef REGISTRY_RETRY_H
#define REGISTRY_RETRY_H

#include "base/base.h"
#include "base/str.h"

/* What a series of tries may still do. */
struct retry {
	unsigned max;         /* tries after the first */
	unsigned made;        /* of these, so far */
	uint64_t deadline_ms; /* clock_monotonic_ms(): no try begins later; 0: not known yet */
};

/* Is an answer with this status worth another try? */
bool retry_status(int status);

/* Wait before try number n (from 1) after the first: anything below 100 ms, doubled for each. */
unsigned retry_backoff_ms(unsigned n, uint32_t random);

/* Retry-After in seconds or as a date (RFC 9110 section 10.2.3), as milliseconds from now. */
bool retry_after_parse(struct slice value, uint64_t now_realtime_us, uint64_t *ret_ms);

/* Counts another try and says how long to wait; false when there is to be none. retry_after_ms: as
 * the registry asked, 0 where it did not. */
bool retry_next(struct retry *retry, uint64_t retry_after_ms, uint64_t now_ms, uint32_t random,
	unsigned *ret_delay_ms);

#endif
