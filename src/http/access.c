/* SPDX-License-Identifier: Apache-2.0 */
#include "http/access.h"

#include "base/log.h"

#include <stdio.h>

/* The code for a connection that broke before its answer had begun, as nginx has it. */
#define NO_ANSWER 499

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

static void write_line(const struct http_done *done, const char *route, int status)
{
	struct log_field fields[11] = {LOG_SLICE("id", done->id)}, *f = fields + 1;

	if (done->path.p != NULL) {
		*f++ = (struct log_field)LOG_SLICE("method", cut(done->method, LIMIT_LOG_METHOD));
		*f++ = (struct log_field)LOG_STR("route", route);
		*f++ = (struct log_field)LOG_SLICE("path", cut(done->path, LIMIT_LOG_PATH));
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
