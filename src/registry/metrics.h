/* SPDX-License-Identifier: Apache-2.0 */
/* What the registry, embedded or remote, tells of itself. */
#ifndef REGISTRY_METRICS_H
#define REGISTRY_METRICS_H

#include "base/metrics.h"

/*
 * Requests to a remote registry, each try of its own. operation: "PUT manifest", "HEAD blob", ...;
 * outcome: ok (a 404 too, it is an answer), challenged (401: credentials are wanted, or refused),
 * refused (another 4xx, a full disk), transient (429, 5xx, no connection), lost (it was sent, and
 * no answer came).
 */
extern struct metric registry_metric_requests;

/* Of the embedded registry's folder, by part; see embedded_measure(). */
extern struct metric registry_metric_store_bytes;

#endif
