/* SPDX-License-Identifier: Apache-2.0 */
/* What auth counts. */
#ifndef AUTH_METRICS_H
#define AUTH_METRICS_H

#include "base/metrics.h"

extern struct metric auth_metric_failed;  /* by reason: "none", "credential", "shut out", "denied",
					      "rate" */
extern struct metric oidc_metric_fetches; /* by result: "ok", "failed" */
extern struct metric oidc_metric_tokens;  /* by result: "accepted", "refused", "unavailable" */

#endif
