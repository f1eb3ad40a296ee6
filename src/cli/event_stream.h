/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Server-Sent Events as they come, in pieces (https://html.spec.whatwg.org/#server-sent-events).
 */
#ifndef CLI_EVENT_STREAM_H
#define CLI_EVENT_STREAM_H

#include "base/buf.h"

struct event_stream {
	struct buf line;
	struct buf data;
	char event[32];
	char id[LIMIT_WATCH_ID + 1]; /* of the last event, to go on from; "": none */
	char next_id[LIMIT_WATCH_ID + 1];
	bool after_cr;
	/* false: no more */
	bool (*each)(const char *event, struct slice data, void *arg);
	void *arg;
};

void event_stream_init(
	struct event_stream *s, bool (*each)(const char *, struct slice, void *), void *arg);
void event_stream_done(struct event_stream *s);

/* A new connection: what was half there is gone, the id of the last event stays. */
void event_stream_restart(struct event_stream *s);

/* -1 with ERROR_NONE in err: each() wants no more. */
int event_stream_feed(struct event_stream *s, struct slice piece, struct error *err) MUST_CHECK;

#endif
