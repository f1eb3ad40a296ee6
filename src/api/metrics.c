/* SPDX-License-Identifier: Apache-2.0 */
/* GET /metrics: what all rooms count, in one table. */
#include "api/metrics.h"
#include "api/answer.h"
#include "api/call.h"
#include "auth/metrics.h"
#include "cluster/metrics.h"
#include "http/access.h"
#include "publish/metrics.h"
#include "registry/metrics.h"

static METRIC_GAUGE(build_info, 1, "gsq_build_info", "Always 1: the labels say it.", "version");

static METRIC_GAUGE(writable, 1, "gsq_writable",
	"1 when changes are taken, else 0: not ready, held, or the cluster knows better.");

static const struct metric *const all[] = {
	&build_info,
	&auth_metric_failed,
	&oidc_metric_fetches,
	&oidc_metric_tokens,
	&http_metric_requests,
	&http_metric_duration,
	&publish_metric_ready,
	&writable,
	&publish_metric_restore,
	&publish_metric_queue_depth,
	&publish_metric_commits,
	&publish_metric_batch_size,
	&publish_metric_commit_duration,
	&publish_metric_catalog_resources,
	&publish_metric_catalog_largest,
	&publish_metric_catalog_bytes,
	&publish_metric_catalog_build,
	&publish_metric_expired,
	&cluster_metric_watch_up,
	&cluster_metric_resources,
	&cluster_metric_applied,
	&cluster_metric_lag,
	&cluster_metric_wakes,
	&api_metric_waiting,
	&api_metric_watchers,
	&registry_metric_requests,
	&registry_metric_store_bytes,
};

void metrics_setup(const char *version)
{
	metric_set(&build_info, METRIC_LABELS(version), 1);
}

/* The store's size is that of the last time, as nothing here may wait. */
void get_metrics(struct http_exchange *x, struct call *call)
{
	struct error ignored = ERROR_INIT;
	struct http_reply reply;

	metric_set(&writable, METRIC_NO_LABELS,
		publisher_writable(call->api->publisher, &ignored) == 0);
	if (call->api->embedded != NULL)
		embedded_measure(call->api->embedded);
	tracker_measure(call->api->tracker);
	http_reply_init(&reply, 200);
	http_reply_header(&reply, "Content-Type", "text/plain; version=0.0.4; charset=utf-8");
	buf_init(&reply.body, LIMIT_METRICS);
	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		metric_write(all[i], &reply.body);
	metrics_write_process(&reply.body);
	http_exchange_reply(x, &reply);
}
