/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An HTTP/1.1 answer as it comes in, piece by piece: its head is kept until it is whole, its body
 * is counted and dropped. It believes what the server says about framing.
 */
#ifndef BENCH_LOAD_ANSWER_H
#define BENCH_LOAD_ANSWER_H

#include "base/error.h"
#include "base/str.h"

enum arrival_phase {
	ARRIVAL_HEAD,
	ARRIVAL_BODY,
	ARRIVAL_CHUNK_SIZE,
	ARRIVAL_CHUNK,
	ARRIVAL_CHUNK_END,
	ARRIVAL_LAST_END,
	ARRIVAL_DONE,
};

struct arrival {
	enum arrival_phase phase;
	int status;
	uint64_t left;   /* of the body or chunk that comes now */
	uint64_t length; /* of the body so far */
};

/* Takes what it can from the front of *bytes and cuts that off; what stays is the start of a head
 * or line whose rest is not there yet, or belongs to the next answer. */
int arrival_take(struct arrival *a, struct slice *bytes, struct error *err) MUST_CHECK;

#endif
