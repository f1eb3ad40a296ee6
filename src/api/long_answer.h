/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to api. Answers that may be long, and that clients may take their time to read: all of
 * them together are at most LIMIT_CHANGES_ANSWERS bytes. Any thread.
 */
#ifndef API_LONG_ANSWER_H
#define API_LONG_ANSWER_H

#include "http/server.h"

/* For what cannot be taken back any more once its answer is made, before it is: ERROR_UNAVAILABLE:
 * such answers hold LIMIT_CHANGES_MADE bytes already, beside all others. */
int long_answer_check(struct error *err) MUST_CHECK;

/* Of a reply with a body that is whole: counts it, and sends it piece by piece, if it is longer
 * than LIMIT_HTTP_WINDOW, which any connection may hold. ERROR_UNAVAILABLE: there is no room; the
 * reply is as it was. */
int long_answer_make(struct http_reply *reply, struct error *err) MUST_CHECK;

/* Likewise, of what is done already: counts it, whether there is room or not. */
void long_answer_make_anyway(struct http_reply *reply);

#endif
