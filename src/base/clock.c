/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"

#include <stdio.h>
#include <time.h>

#define US_PER_S 1000000

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

static void broken_down(uint64_t realtime_us, struct tm *ret)
{
	time_t seconds = (time_t)(realtime_us / US_PER_S);

	AN(gmtime_r(&seconds, ret));
}

void clock_rfc3339(uint64_t realtime_us, char ret[CLOCK_RFC3339_SIZE])
{
	struct tm tm;
	size_t len;

	broken_down(realtime_us, &tm);
	len = strftime(ret, CLOCK_RFC3339_SIZE, "%Y-%m-%dT%H:%M:%S", &tm);
	AN(len);
	snprintf(ret + len, CLOCK_RFC3339_SIZE - len, ".%06uZ", (unsigned)(realtime_us % US_PER_S));
}

void clock_http_date(uint64_t realtime_us, char ret[CLOCK_HTTP_DATE_SIZE])
{
	struct tm tm;

	broken_down(realtime_us, &tm);
	AN(strftime(ret, CLOCK_HTTP_DATE_SIZE, "%a, %d %b %Y %H:%M:%S GMT", &tm));
}
