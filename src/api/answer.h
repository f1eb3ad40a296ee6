/* SPDX-License-Identifier: Apache-2.0 */
/* Private to api. Answers: every body is JSON, every error has "error" and "code". */
#ifndef API_ANSWER_H
#define API_ANSWER_H

#include "catalog/resource.h"
#include "cluster/tracker.h"
#include "http/server.h"
#include "publish/publisher.h"

/* {"error":...,"code":...,"field":...}; the form that the HTTP server uses for its own, too. */
void answer_error_body(const struct error *err, struct buf *ret);

/* A reply for an error: status, Retry-After where it makes sense to wait. */
void answer_error_init(struct http_reply *reply, const struct error *err);
/* The same without the brace at its end: more is to be said. */
void answer_error_begin(struct http_reply *reply, const struct error *err);
void answer_error(struct http_exchange *x, const struct error *err);

/* 404 */
void answer_no_resource(struct http_exchange *x, const char *namespace, const char *name);

/* {"status":"ok"} */
void answer_ok(struct http_exchange *x);
/* {"status":"ok","writes":"..."}: why none are taken. */
void answer_ok_but(struct http_exchange *x, const char *writes);

/* A reply of 200 or another status that is no error; its body is a JSON object, to be filled in. */
void answer_json_init(struct http_reply *reply, int status);

/* The full object of DESIGN section 2, without the brace at its end: a status may follow. */
void answer_add_resource(struct buf *b, const struct resource *r);
/* ,"labels":{...},"spec":{...} */
void answer_add_intent(struct buf *b, const struct intent *intent);
/* "key":"text", or "key":null */
void answer_add_text(struct buf *b, const char *key, const char *text);
/* ,"status":{...} */
void answer_add_status(struct buf *b, const struct tracker_status *status);
void answer_add_phase(struct buf *b, enum phase phase);

/* A reply to GET of one resource, with its status. */
void answer_resource(struct http_exchange *x, const struct resource *r, struct tracker *tracker);
void answer_status(struct http_exchange *x, const struct tracker_status *status);

/* A reply to a change; where it is no error its object lacks the brace at its end, as above. name
 * is for a deletion, whose resource is gone. */
void answer_outcome_init(struct http_reply *reply, const struct outcome *outcome, const char *name);
/* Likewise, to a dry run; what has no version yet has null for it. wanted: what was to be put;
 * NULL: a deletion. */
void answer_dry_run_init(struct http_reply *reply, const struct outcome *outcome,
	const struct intent *wanted, const char *name);

#endif
