/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"

#include "base/limits.h"

#include <time.h>

#define US_PER_S 1000000
#define S_PER_DAY 86400

uint64_t clock_realtime_us(void)
{
	struct timespec ts;

	AZ(clock_gettime(CLOCK_REALTIME, &ts));
	return (uint64_t)ts.tv_sec * US_PER_S + (uint64_t)ts.tv_nsec / 1000;
}

uint64_t clock_monotonic_ms(void)
{
	struct timespec ts;

	AZ(clock_gettime(CLOCK_MONOTONIC, &ts));
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

uint64_t clock_monotonic_us(void)
{
	struct timespec ts;

	AZ(clock_gettime(CLOCK_MONOTONIC, &ts));
	return (uint64_t)ts.tv_sec * US_PER_S + (uint64_t)ts.tv_nsec / 1000;
}

struct timespec clock_deadline(uint64_t us)
{
	struct timespec t;

	AZ(clock_gettime(CLOCK_MONOTONIC, &t));
	us += (uint64_t)t.tv_nsec / 1000;
	t.tv_sec += (time_t)(us / 1000000);
	t.tv_nsec = (long)(us % 1000000) * 1000;
	return t;
}

/* A day of the Gregorian calendar. */
struct date {
	unsigned year, month, day;
};

/*
 * Years are counted from the first of March, so that a leap day is the last of its year, and in
 * eras of 400 years, which are all alike (Howard Hinnant, "chrono-Compatible Low-Level Date
 * Algorithms", civil_from_days).
 */
static struct date date_of(uint64_t days_since_1970)
{
	uint64_t days = days_since_1970 + 719468; /* since the first of March of the year 0 */
	unsigned of_era = (unsigned)(days % 146097);
	unsigned year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
	unsigned of_year = of_era - (365 * year + year / 4 - year / 100);
	unsigned month = (5 * of_year + 2) / 153; /* 0 is March */
	struct date date = {
		.year = (unsigned)(days / 146097) * 400 + year,
		.month = month < 10 ? month + 3 : month - 9,
		.day = of_year - (153 * month + 2) / 5 + 1,
	};

	if (date.month < 3)
		date.year++;
	return date;
}

/* n digits, and what follows them. */
static char *put(char *p, unsigned value, unsigned n, char after)
{
	for (unsigned i = n; i > 0; i--) {
		p[i - 1] = (char)('0' + value % 10);
		value /= 10;
	}
	p[n] = after;
	return p + n + 1;
}

void clock_rfc3339(uint64_t realtime_us, char ret[CLOCK_RFC3339_SIZE])
{
	uint64_t seconds = realtime_us / US_PER_S;
	unsigned of_day = (unsigned)(seconds % S_PER_DAY);
	struct date date = date_of(seconds / S_PER_DAY);

	ASSERT(realtime_us <= LIMIT_VERSION);
	ret = put(ret, date.year, 4, '-');
	ret = put(ret, date.month, 2, '-');
	ret = put(ret, date.day, 2, 'T');
	ret = put(ret, of_day / 3600, 2, ':');
	ret = put(ret, of_day / 60 % 60, 2, ':');
	ret = put(ret, of_day % 60, 2, '.');
	ret = put(ret, (unsigned)(realtime_us % US_PER_S), 6, 'Z');
	*ret = '\0';
}

void clock_http_date(uint64_t realtime_us, char ret[CLOCK_HTTP_DATE_SIZE])
{
	time_t seconds = (time_t)(realtime_us / US_PER_S);
	struct tm tm;

	AN(gmtime_r(&seconds, &tm));
	AN(strftime(ret, CLOCK_HTTP_DATE_SIZE, "%a, %d %b %Y %H:%M:%S GMT", &tm));
}
