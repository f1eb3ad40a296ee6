/* SPDX-License-Identifier: Apache-2.0 */
/* What is told of the cluster. Any thread. */
#ifndef CLUSTER_METRICS_H
#define CLUSTER_METRICS_H

#include "base/metrics.h"

/* From the commit to the first sight of that version in the cluster; of this process' commits. */
extern struct metric cluster_metric_applied;
extern struct metric cluster_metric_lag;       /* age of the oldest pending; tracker_measure() */
extern struct metric cluster_metric_resources; /* by phase; tracker_measure() */
extern struct metric cluster_metric_watch_up;  /* 1 or 0 */
extern struct metric cluster_metric_wakes;     /* by outcome: "sent", "failed", "coalesced" */

#endif
