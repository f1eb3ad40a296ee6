/* SPDX-License-Identifier: Apache-2.0 */
/* Private to api. What it counts itself. */
#ifndef API_METRICS_H
#define API_METRICS_H

#include "base/metrics.h"

extern struct metric api_metric_waiting;  /* requests that wait for the cluster */
extern struct metric api_metric_watchers; /* streams of events that are open */

#endif
