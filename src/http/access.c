/* SPDX-License-Identifier: Apache-2.0 */
#include "http/access.h"

#include "base/log.h"

#include <string.h>

/* The code for a connection that broke before its answer had begun, as nginx has it. */
#define NO_ANSWER 499
#define SECRET_MIN 40 /* an API token has 47 characters */

METRIC_COUNTER(http_metric_requests, 1024, "gsq_http_requests_total",
	"Requests answered, by route, method and status.", "route", "method", "code");
METRIC_HISTOGRAM_US(http_metric_duration, 256, metric_latency, "gsq_http_request_duration_seconds",
	"From the first byte of a request to the last of its answer.", "route", "method");

static enum http_access_log chosen = HTTP_LOG_ALL;

void http_access_set_log(enum http_access_log which)
{
	chosen = which;
}

/* Whatever clients invent, there are no more values than these. */
static const char *method_label(struct slice method)
{
	static const char *const known[] = {
		"GET", "POST", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"};

	if (method.p == NULL)
		return "none";
	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (slice_eq(method, slice_of(known[i])))
			return known[i];
	return "other";
}

static void count(const struct http_done *done, const char *route, int status)
{
	const char *method = method_label(done->method);
	char code[] = {(char)('0' + status / 100 % 10), (char)('0' + status / 10 % 10),
		(char)('0' + status % 10), '\0'};

	metric_add(&http_metric_requests, METRIC_LABELS(route, method, code), 1);
	metric_observe(&http_metric_duration, METRIC_LABELS(route, method), done->duration_us);
}

static bool is_worth_a_line(const struct http_done *done, int status)
{
	if (chosen == HTTP_LOG_NONE)
		return false;
	if (done->broken || status >= 400)
		return true;
	return chosen == HTTP_LOG_ALL && !done->probe;
}

static struct slice cut(struct slice s, size_t max)
{
	return s.n <= max ? s : (struct slice){s.p, max};
}

/* No name, tag or digest is that long and has capitals, but tokens are and do: somebody has put one
 * into the URL. */
static bool may_be_secret(struct slice segment)
{
	if (segment.n < SECRET_MIN)
		return false;
	for (size_t i = 0; i < segment.n; i++)
		if (segment.p[i] >= 'A' && segment.p[i] <= 'Z')
			return true;
	return false;
}

/* The path with such segments left out, as far as it fits. */
static struct slice without_secrets(struct slice path, char ret[LIMIT_LOG_PATH])
{
	size_t n = 0;

	while (path.p != NULL && n < LIMIT_LOG_PATH) {
		struct slice segment = slice_cut(&path, '/');

		segment = may_be_secret(segment) ? SLICE("...") : segment;
		segment = cut(segment, LIMIT_LOG_PATH - n);
		memcpy(ret + n, segment.p, segment.n);
		n += segment.n;
		if (path.p != NULL && n < LIMIT_LOG_PATH)
			ret[n++] = '/';
	}
	return (struct slice){ret, n};
}

static void write_line(const struct http_done *done, const char *route, int status)
{
	struct log_field fields[11] = {LOG_SLICE("id", done->id)}, *f = fields + 1;
	char path[LIMIT_LOG_PATH];

	if (done->path.p != NULL) {
		*f++ = (struct log_field)LOG_SLICE("method", cut(done->method, LIMIT_LOG_METHOD));
		*f++ = (struct log_field)LOG_STR("route", route);
		*f++ = (struct log_field)LOG_SLICE("path", without_secrets(done->path, path));
	}
	*f++ = (struct log_field)LOG_NUM("status", status);
	*f++ = (struct log_field)LOG_MS("ms", done->duration_us);
	*f++ = (struct log_field)LOG_NUM("received", done->received);
	*f++ = (struct log_field)LOG_NUM("bytes", done->sent);
	*f++ = (struct log_field)LOG_STR("peer", done->peer);
	if (done->broken)
		*f++ = (struct log_field)LOG_NUM("broken", 1);
	log_write_later("info", "request", fields);
}

/* Neither query nor headers: those may hold secrets. */
void http_access_done(const struct http_done *done, void *arg UNUSED)
{
	const char *route = done->route != NULL ? done->route : "none";
	int status = done->status != 0 ? done->status : NO_ANSWER;

	count(done, route, status);
	if (is_worth_a_line(done, status))
		write_line(done, route, status);
}
