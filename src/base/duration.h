/* SPDX-License-Identifier: Apache-2.0 */
/* Lengths of time as people write them: "90s", "15m", "1h", "7d", "0". */
#ifndef BASE_DURATION_H
#define BASE_DURATION_H

#include "base/error.h"

/* In seconds, up to LIMIT_DURATION_S. ERROR_INVALID: a number without a unit (but 0), or longer. */
int duration_parse(const char *text, uint64_t *ret_s, struct error *err) MUST_CHECK;
/* The same in milliseconds; "500ms" is one too. */
int duration_parse_ms(const char *text, uint64_t *ret_ms, struct error *err) MUST_CHECK;

#endif
