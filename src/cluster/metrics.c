/* SPDX-License-Identifier: Apache-2.0 */
#include "cluster/metrics.h"

#define MS UINT64_C(1000)
#define S (1000 * MS)

/* Close together where a healthy cluster is, between a wake and a poll of Flux. */
static const struct metric_bounds applied_bounds = {
	15,
	{50 * MS, 100 * MS, 150 * MS, 200 * MS, 250 * MS, 300 * MS, 400 * MS, 500 * MS, 750 * MS,
		1 * S, 2 * S, 5 * S, 10 * S, 60 * S, 600 * S},
};

METRIC_HISTOGRAM_US(cluster_metric_applied, 1, applied_bounds, "gsq_applied_seconds",
	"From a commit to the first sight of its version in the cluster.");
METRIC_GAUGE_US(cluster_metric_lag, 1, "gsq_applied_lag_seconds",
	"Age of the oldest version that is pending, 0 where none is.");
METRIC_GAUGE(cluster_metric_resources, 8, "gsq_resources", "Resources, by phase.", "phase");
METRIC_GAUGE(cluster_metric_watch_up, 1, "gsq_cluster_watch_up",
	"1 while the cluster is heard from, else 0.");
METRIC_COUNTER(cluster_metric_wakes, 4, "gsq_flux_wakes_total",
	"Wakes of Flux after commits, by outcome.", "outcome");
