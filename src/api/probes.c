/* SPDX-License-Identifier: Apache-2.0 */
/* GET /healthz and /readyz: asked over and over, by anybody. */
#include "api/answer.h"
#include "api/call.h"

void get_health(struct http_exchange *x, struct call *call UNUSED)
{
	answer_ok(x);
}

void get_ready(struct http_exchange *x, struct call *call)
{
	struct error err = ERROR_INIT;

	if (publisher_ready(call->api->publisher, &err) != 0)
		answer_error(x, &err);
	else if (publisher_writable(call->api->publisher, &err) != 0)
		answer_ok_but(x, err.text);
	else
		answer_ok(x);
}
