/* SPDX-License-Identifier: Apache-2.0 */
/* Requests that are over: counted, and logged in a line each. For all services of a process. */
#ifndef HTTP_ACCESS_H
#define HTTP_ACCESS_H

#include "base/metrics.h"
#include "http/server.h"

extern struct metric http_metric_requests; /* by route, method and code */
extern struct metric http_metric_duration; /* by route and method */

enum http_access_log {
	HTTP_LOG_ALL,    /* but probes that succeed */
	HTTP_LOG_ERRORS, /* those answered with 400 and above, and those that broke */
	HTTP_LOG_NONE,
};

/* Before there are servers; HTTP_LOG_ALL without. */
void http_access_set_log(enum http_access_log which);

/* The done() of a service. */
void http_access_done(const struct http_done *done, void *arg);

#endif
