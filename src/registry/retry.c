/* SPDX-License-Identifier: Apache-2.0 */
#include "registry/retry.h"

#include <time.h>

#include "base/limits.h"

#define BACKOFF_BASE_MS 100u

bool retry_status(int status)
{
	return status == 429 || status == 500 || (status >= 502 && status <= 504);
}

unsigned retry_backoff_ms(unsigned n, uint32_t random)
{
	unsigned ceiling = BACKOFF_BASE_MS;

	ASSERT(n > 0);
	while (--n > 0 && ceiling < LIMIT_BACKOFF_MS)
		ceiling *= 2;
	return random % (ceiling < LIMIT_BACKOFF_MS ? ceiling : LIMIT_BACKOFF_MS);
}

static bool parse_http_date(struct slice value, uint64_t *ret_s)
{
	char text[40];
	struct tm tm = {0};
	const char *end;
	time_t at;

	if (value.n >= sizeof(text))
		return false;
	memcpy(text, value.p, value.n);
	text[value.n] = '\0';
	end = strptime(text, "%a, %d %b %Y %H:%M:%S GMT", &tm);
	if (end == NULL || *end != '\0')
		return false;
	at = timegm(&tm);
	if (at < 0)
		return false;
	*ret_s = (uint64_t)at;
	return true;
}

bool retry_after_parse(struct slice value, uint64_t now_realtime_us, uint64_t *ret_ms)
{
	uint64_t s, now_s = now_realtime_us / 1000000;

	if (value.n == 0)
		return false;
	if (slice_to_u64(value, &s)) {
		*ret_ms = s < UINT32_MAX ? s * 1000 : (uint64_t)UINT32_MAX * 1000;
		return true;
	}
	if (!parse_http_date(value, &s))
		return false;
	*ret_ms = s > now_s ? (s - now_s) * 1000 : 0;
	return true;
}

bool retry_next(struct retry *retry, uint64_t retry_after_ms, uint64_t now_ms, uint32_t random,
	unsigned *ret_delay_ms)
{
	uint64_t delay_ms;

	if (retry->made >= retry->max)
		return false;
	/* The jitter is added, so that all who were told the same second do not come at once. */
	delay_ms = retry_after_ms < LIMIT_RETRY_AFTER_MS ? retry_after_ms : LIMIT_RETRY_AFTER_MS;
	delay_ms += retry_backoff_ms(retry->made + 1, random);
	if (now_ms + delay_ms > retry->deadline_ms)
		return false;
	retry->made++;
	*ret_delay_ms = (unsigned)delay_ms;
	return true;
}
