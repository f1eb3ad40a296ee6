/* SPDX-License-Identifier: Apache-2.0 */
#include "base/timestamp.h"

#include "base/clock.h"
#include "base/limits.h"

#define US_PER_S 1000000

/* Takes n digits off the front. */
static bool take_number(struct slice *rest, size_t n, int *ret)
{
	int value = 0;

	if (rest->n < n)
		return false;
	for (size_t i = 0; i < n; i++) {
		if (rest->p[i] < '0' || rest->p[i] > '9')
			return false;
		value = value * 10 + (rest->p[i] - '0');
	}
	*rest = (struct slice){rest->p + n, rest->n - n};
	*ret = value;
	return true;
}

/* Takes one character off the front, if it is this one or that one. */
static bool take_char(struct slice *rest, char one, char other)
{
	if (rest->n == 0 || (rest->p[0] != one && rest->p[0] != other))
		return false;
	*rest = (struct slice){rest->p + 1, rest->n - 1};
	return true;
}

static bool take_date_and_time(struct slice *rest, struct tm *ret)
{
	struct tm tm = {0};

	if (!take_number(rest, 4, &tm.tm_year) || !take_char(rest, '-', '-') ||
		!take_number(rest, 2, &tm.tm_mon) || !take_char(rest, '-', '-') ||
		!take_number(rest, 2, &tm.tm_mday) || !take_char(rest, 'T', 't') ||
		!take_number(rest, 2, &tm.tm_hour) || !take_char(rest, ':', ':') ||
		!take_number(rest, 2, &tm.tm_min) || !take_char(rest, ':', ':') ||
		!take_number(rest, 2, &tm.tm_sec))
		return false;
	tm.tm_year -= 1900;
	tm.tm_mon -= 1;
	*ret = tm;
	return true;
}

/* timegm() makes the 31st of February a day in March. */
static bool seconds_of(struct tm tm, int64_t *ret)
{
	struct tm given = tm;

	*ret = timegm(&tm);
	return tm.tm_mon == given.tm_mon && tm.tm_mday == given.tm_mday &&
	       tm.tm_hour == given.tm_hour && tm.tm_min == given.tm_min &&
	       tm.tm_sec == given.tm_sec;
}

static bool take_fraction(struct slice *rest, int64_t *ret_us)
{
	int64_t unit = US_PER_S / 10;
	int digit;

	*ret_us = 0;
	if (!take_char(rest, '.', '.'))
		return true;
	if (!take_number(rest, 1, &digit))
		return false;
	do {
		*ret_us += digit * unit;
		unit /= 10;
	} while (take_number(rest, 1, &digit));
	return true;
}

static bool take_offset(struct slice *rest, int64_t *ret_s)
{
	int sign = 1, hours, minutes;

	*ret_s = 0;
	if (take_char(rest, 'Z', 'z'))
		return true;
	if (rest->n > 0 && rest->p[0] == '-')
		sign = -1;
	if (!take_char(rest, '+', '-') || !take_number(rest, 2, &hours) || hours > 23 ||
		!take_char(rest, ':', ':') || !take_number(rest, 2, &minutes) || minutes > 59)
		return false;
	*ret_s = sign * (hours * 60 + minutes) * 60;
	return true;
}

bool timestamp_parse(struct slice text, uint64_t *ret_us)
{
	int64_t s, fraction_us, offset_s, us;
	struct tm tm;

	if (!take_date_and_time(&text, &tm) || !seconds_of(tm, &s) ||
		!take_fraction(&text, &fraction_us) || !take_offset(&text, &offset_s) || text.n > 0)
		return false;
	us = (s - offset_s) * US_PER_S + fraction_us;
	if (us < 0 || (uint64_t)us > LIMIT_VERSION)
		return false;
	*ret_us = (uint64_t)us;
	return true;
}

const char *timestamp_format(uint64_t s, char ret[TIMESTAMP_SIZE])
{
	char text[CLOCK_RFC3339_SIZE];

	clock_rfc3339(s * US_PER_S, text);
	memcpy(ret, text, TIMESTAMP_SIZE - 2);
	ret[TIMESTAMP_SIZE - 2] = 'Z';
	ret[TIMESTAMP_SIZE - 1] = '\0';
	return ret;
}
