/* SPDX-License-Identifier: Apache-2.0 */
/* Slices: borrowed bytes with a length, not NUL-terminated. */
#ifndef BASE_STR_H
#define BASE_STR_H

#include "base/base.h"

#include <string.h>

struct slice {
	const char *p;
	size_t n;
};

#define SLICE(literal) ((struct slice){(literal), sizeof(literal) - 1})
#define SLICE_NONE ((struct slice){NULL, 0})
/* For printf("%.*s", SLICE_ARG(s)). */
#define SLICE_ARG(s) (int)(s).n, (s).p

static inline struct slice slice_of(const char *cstr)
{
	return (struct slice){cstr, strlen(cstr)};
}

static inline bool slice_eq(struct slice a, struct slice b)
{
	return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

/* Texts that may be missing: NULL is the same as NULL alone. */
static inline bool cstr_same(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

/* ASCII case is ignored, as in HTTP field names. */
bool slice_eq_nocase(struct slice a, struct slice b);
bool slice_starts(struct slice s, struct slice prefix);
bool slice_ends(struct slice s, struct slice suffix);

/* Cuts *rest at the first sep: returns what is before it and leaves what is after it; all of it and
 * SLICE_NONE (p == NULL) where there is no sep. */
struct slice slice_cut(struct slice *rest, char sep);
struct slice slice_trim(struct slice s); /* spaces and tabs, both ends */

/* Takes one character off the front; false at the end or where it is not valid UTF-8 (RFC 3629). */
bool utf8_next(struct slice *rest, uint32_t *ret);

/* For texts that go to terminals and into JSON: what is no printable UTF-8 character becomes "?".
 * In place, as nothing gets longer. cut: the last character may lack its rest, and is dropped then.
 */
void utf8_make_printable(char *text, bool cut);

/* Decimal digits only, no sign, no overflow. */
bool slice_to_u64(struct slice s, uint64_t *ret);

/* The decimal digits of a number; they lie in digits. */
#define U64_DIGITS 20
struct slice u64_digits(uint64_t value, char digits[U64_DIGITS]);

/* A NUL-terminated copy, or NULL without memory. */
char *slice_dup(struct slice s) MUST_CHECK;
/* The text, which the caller owns, or NULL without memory. */
char *str_printf(const char *fmt, ...) PRINTF_LIKE(1, 2) MUST_CHECK;

#endif
