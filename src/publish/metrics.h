/* SPDX-License-Identifier: Apache-2.0 */
/* What the publisher tells of its work. Updated on its thread, but the queue's depth, which is
 * updated wherever the queue changes. */
#ifndef PUBLISH_METRICS_H
#define PUBLISH_METRICS_H

#include "base/metrics.h"

extern struct metric publish_metric_commits;    /* by outcome */
extern struct metric publish_metric_batch_size; /* changes in one commit */

/* By stage: "artifacts", "catalog", "record", "point", "derived", "sync", and "all" of them. */
extern struct metric publish_metric_commit_duration;

extern struct metric publish_metric_queue_depth; /* changes that wait */
extern struct metric publish_metric_ready;       /* 1 or 0 */
extern struct metric publish_metric_restore;     /* microseconds; the last one */

/* All catalogs together. */
extern struct metric publish_metric_catalog_resources;
extern struct metric publish_metric_catalog_largest; /* resources in the largest */
extern struct metric publish_metric_catalog_bytes;   /* compressed */
extern struct metric publish_metric_catalog_build;   /* of what one commit changed */

/* Tags that retention has taken away, by kind: "catalogs" or "versions". On its thread. */
extern struct metric publish_metric_expired;

#endif
