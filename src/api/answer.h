/* SPDX-License-Identifier: Apache-2.0 */
/* Private to api. Answers: every body is JSON, every error has "error" and "code". */
#ifndef API_ANSWER_H
#define API_ANSWER_H

#include "catalog/resource.h"
#include "http/server.h"
#include "publish/publisher.h"

/* {"error":...,"code":...,"field":...}; the form that the HTTP server uses for its own, too. */
void answer_error_body(const struct error *err, struct buf *ret);

/* A reply for an error: status, Retry-After where it makes sense to wait. */
void answer_error_init(struct http_reply *reply, const struct error *err);
void answer_error(struct http_exchange *x, const struct error *err);

/* {"status":"ok"} */
void answer_ok(struct http_exchange *x);

/* The full object of DESIGN section 2. */
void answer_add_resource(struct buf *b, const struct resource *r);

/* A reply to GET of one resource. */
void answer_resource(struct http_exchange *x, const struct resource *r);

/* A reply to a change; names are for a deletion, whose resource is gone. */
void answer_outcome_init(struct http_reply *reply, const struct outcome *outcome, const char *name);

#endif
