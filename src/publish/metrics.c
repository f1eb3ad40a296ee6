/* SPDX-License-Identifier: Apache-2.0 */
#include "publish/metrics.h"

METRIC_COUNTER(publish_metric_commits, 8, "gsq_commits_total", "Commits, by outcome.", "outcome");
METRIC_HISTOGRAM(publish_metric_batch_size, 1, metric_size, "gsq_commit_batch_size",
	"Changes in one commit.");
METRIC_HISTOGRAM_US(publish_metric_commit_duration, 8, metric_duration,
	"gsq_commit_duration_seconds", "A commit, by stage; all: from its begin to its end.",
	"stage");
METRIC_GAUGE(publish_metric_queue_depth, 1, "gsq_queue_depth", "Changes that wait for a commit.");
METRIC_GAUGE(publish_metric_ready, 1, "gsq_ready",
	"1 when all was read from the registry and verified, else 0.");
METRIC_GAUGE_US(publish_metric_restore, 1, "gsq_restore_seconds",
	"Time that the last reading of the registry took, until ready.");
METRIC_GAUGE(publish_metric_catalog_resources, 1, "gsq_catalog_resources",
	"Resources there are, in all catalogs.");
METRIC_GAUGE(publish_metric_catalog_largest, 1, "gsq_largest_catalog_resources",
	"Resources in the largest catalog.");
METRIC_GAUGE(
	publish_metric_catalog_bytes, 1, "gsq_catalog_bytes", "Compressed size of all catalogs.");
METRIC_HISTOGRAM_US(publish_metric_catalog_build, 1, metric_duration, "gsq_catalog_build_seconds",
	"Building what one commit changed of the catalogs.");
METRIC_COUNTER(publish_metric_expired, 2, "gsq_expired_tags_total",
	"Tags of superseded catalogs and versions that were taken away.", "kind");
