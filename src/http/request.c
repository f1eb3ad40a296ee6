/* SPDX-License-Identifier: Apache-2.0 */
/* What is remembered of a request until it is over, for the service's done(). */
#include "http/connection.h"

#include <stdio.h>

/* The steps and the mixing of splitmix64: no two of a loop's are equal. */
static struct slice make_id(struct conn *c)
{
	static const char digits[] = "0123456789abcdef";
	uint64_t id = c->loop->ids += UINT64_C(0x9e3779b97f4a7c15);
	char *at = c->request.own_id;

	id = (id ^ id >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	id = (id ^ id >> 27) * UINT64_C(0x94d049bb133111eb);
	id ^= id >> 31;
	for (size_t i = 0; i < REQUEST_OWN_ID_SIZE - 1; i++, id >>= 4)
		at[i] = digits[id & 15];
	return (struct slice){at, REQUEST_OWN_ID_SIZE - 1};
}

static bool id_is_good(struct slice id)
{
	if (id.n == 0 || id.n > LIMIT_HTTP_REQUEST_ID)
		return false;
	for (size_t i = 0; i < id.n; i++)
		if (id.p[i] < ' ' || id.p[i] > '~')
			return false;
	return true;
}

static struct slice choose_id(struct conn *c)
{
	struct slice id = SLICE_NONE;

	if (c->x != NULL)
		id = http_head_get(&c->x->head, "X-Request-Id");
	return id_is_good(id) ? id : make_id(c);
}

void request_begin(struct conn *c)
{
	struct request *r = &c->request;

	if (r->open)
		return;
	r->open = true;
	r->answered = false;
	r->status = 0;
	r->body = 0;
	r->queued = c->queued;
	r->id = server_service(c->server)->done != NULL ? choose_id(c) : SLICE_NONE;
}

/* Called when the client has taken the answer, or, where another request is there already, nearly;
 * or else when the connection is to be freed. */
static void tell(struct conn *c, const struct http_service *service)
{
	const struct request *r = &c->request;
	const struct http_exchange *x = r->past;
	uint64_t queued = c->queued - r->queued;
	size_t left = c->state == CONN_DEAD ? evbuffer_get_length(c->output) : 0;
	struct http_done done = {
		.id = r->id,
		.peer = c->peer,
		.status = r->status,
		.broken = !r->answered || left > 0,
		.received = r->body,
		/* what is left may begin with bytes of answers before this one */
		.sent = left < queued ? queued - left : 0,
		.duration_us = clock_monotonic_us() - r->started_us,
	};

	if (x != NULL) {
		done.method = x->head.method;
		done.path = x->path;
		done.route = x->route;
		done.probe = x->probe;
		done.received += x->raw.len;
	}
	service->done(&done, service->arg);
}

void request_over(struct conn *c)
{
	const struct http_service *service = server_service(c->server);
	struct request *r = &c->request;

	if (r->open && service->done != NULL)
		tell(c, service);
	r->open = false;
	if (r->past != NULL)
		exchange_give_back(c->loop, TAKE_PTR(r->past));
}
