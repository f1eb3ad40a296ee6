/* SPDX-License-Identifier: Apache-2.0 */
#include "registry/metrics.h"

METRIC_COUNTER(registry_metric_requests, 128, "gsq_registry_requests_total",
	"Requests to the remote registry, each try, by operation and outcome.", "operation",
	"outcome");
METRIC_GAUGE(registry_metric_store_bytes, 4, "gsq_store_bytes",
	"Size of the embedded registry's files, by part.", "part");
