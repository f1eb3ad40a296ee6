/* SPDX-License-Identifier: Apache-2.0 */
#include "api/change.h"

#include "api/answer.h"
#include "api/metrics.h"
#include "api/params.h"
#include "base/clock.h"
#include "base/duration.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/queue.h>

METRIC_GAUGE(api_metric_waiting, 1, "gsq_api_waiting_requests",
	"Requests that wait until the cluster has their change.");

/* ---- the query ---- */

#define TIMEOUT_MS 30000 /* where the query says none */

struct wait_reading {
	struct wait_query query;
	bool timeout_given;
};

static int read_wait(void *arg, struct slice value, struct error *err)
{
	struct wait_reading *reading = arg;

	reading->query.applied = slice_eq(value, SLICE("applied"));
	return reading->query.applied ? 0 : params_refuse("wait", "applied", value, err);
}

static int read_timeout(void *arg, struct slice value, struct error *err)
{
	struct wait_reading *reading = arg;
	AUTO_FREE char *text = slice_dup(value);
	struct error ignored = ERROR_INIT;
	char allowed[80];

	reading->timeout_given = true;
	if (text == NULL)
		return error_no_memory(err);
	if (duration_parse_ms(text, &reading->query.timeout_ms, &ignored) == 0 &&
		reading->query.timeout_ms <= LIMIT_WAIT_S * 1000)
		return 0;
	snprintf(allowed, sizeof(allowed), "a duration of at most %ds, as in 500ms, 30s or 2m",
		LIMIT_WAIT_S);
	return params_refuse("timeout", allowed, value, err);
}

static const struct param parameters[] = {{"wait", read_wait}, {"timeout", read_timeout}};

int wait_query_parse(struct wait_query *ret, struct slice query, struct error *err)
{
	struct wait_reading reading = {.query.timeout_ms = TIMEOUT_MS};

	if (params_read(query, parameters, ARRAY_SIZE(parameters),
		    "a change takes the parameters wait and timeout", &reading, err) != 0)
		return -1;
	if (reading.timeout_given && !reading.query.applied)
		return error_set_field(err, "timeout", "timeout goes with wait=applied; add that");
	*ret = reading.query;
	return 0;
}

/* ---- a change ---- */

struct change {
	struct api *api;
	struct call *call;          /* gone with the exchange */
	struct http_handle *handle; /* the publisher's or the tracker's, whoever has the change */
	char namespace[LIMIT_NAME + 1], name[LIMIT_NAME + 1];
	struct wait_query query;
	struct http_reply reply; /* its object lacks the end, where it is no error */
	struct tracker_wait wait;
	bool is_in_room;
	LIST_ENTRY(change) in_room;
};

struct wait_room {
	pthread_mutex_t lock; /* held around the tracker's, never the other way round */
	bool stopping;
	size_t n;
	LIST_HEAD(, change) changes;
};

static void change_free(struct change *c)
{
	http_reply_done(&c->reply);
	free(c);
}

struct change *change_new(struct http_exchange *x, struct call *call, const char *name,
	const struct wait_query *query)
{
	struct change *c = calloc(1, sizeof(*c));
	struct error err = ERROR_INIT;

	if (c != NULL && (c->handle = http_exchange_handle(x)) != NULL) {
		c->api = call->api;
		c->call = call;
		c->query = *query;
		http_reply_init(&c->reply, 200);
		snprintf(c->namespace, sizeof(c->namespace), "%s", call->namespace);
		snprintf(c->name, sizeof(c->name), "%s", name);
		return c;
	}
	free(c);
	error_no_memory(&err);
	answer_error(x, &err);
	return NULL;
}

static void send_reply(struct http_exchange *x, void *arg)
{
	struct change *c = arg;

	if (x != NULL)
		http_exchange_reply(x, &c->reply);
	change_free(c);
}

/* ---- waiting for the cluster ---- */

/* Nothing more is waited for. The code of the answer follows from the status that it has, so that
 * they never contradict each other. */
static void answer_status_of(struct http_exchange *x, struct change *c)
{
	struct tracker_status status;

	buf_init(&status.object, LIMIT_STATUS_OBJECT);
	tracker_status_waited(c->api->tracker, &c->wait, &status);
	if (status.phase != PHASE_APPLIED)
		c->reply.status = 202;
	answer_add_status(&c->reply.body, &status);
	buf_putc(&c->reply.body, '}');
	buf_done(&status.object);
	http_exchange_reply(x, &c->reply);
}

static void leave_room(struct change *c)
{
	struct wait_room *room = c->api->waits;

	AZ(pthread_mutex_lock(&room->lock));
	if (c->is_in_room) {
		LIST_REMOVE(c, in_room);
		metric_set(&api_metric_waiting, METRIC_NO_LABELS, --room->n);
	}
	AZ(pthread_mutex_unlock(&room->lock));
}

static void end_wait(struct http_exchange *x, void *arg)
{
	struct change *c = arg;

	leave_room(c);
	if (x != NULL) {
		c->call->waiting = NULL;
		answer_status_of(x, c);
	}
	change_free(c);
}

static void waited(void *arg)
{
	struct change *c = arg;

	http_handle_post(c->handle, end_wait, c);
}

/* Whoever the tracker tells that done() will not be called has the change. */
static void cancel(struct change *c)
{
	if (tracker_cancel(c->api->tracker, &c->wait))
		http_handle_post(c->handle, end_wait, c);
}

void change_left(struct change *c)
{
	cancel(c);
}

/* Under the room's lock, so that a stop either sees the change or is seen. */
static bool enter_room(struct change *c)
{
	struct wait_room *room = c->api->waits;

	AZ(pthread_mutex_lock(&room->lock));
	c->is_in_room =
		!room->stopping && room->n < LIMIT_WAITS && tracker_wait(c->api->tracker, &c->wait);
	if (c->is_in_room) {
		LIST_INSERT_HEAD(&room->changes, c, in_room);
		metric_set(&api_metric_waiting, METRIC_NO_LABELS, ++room->n);
	}
	AZ(pthread_mutex_unlock(&room->lock));
	return c->is_in_room;
}

static void begin_wait(struct http_exchange *x, void *arg)
{
	struct change *c = arg;

	if (x == NULL) {
		change_free(c);
		return;
	}
	c->handle = http_exchange_handle(x);
	if (c->handle == NULL) { /* the change is made: only waiting is not possible */
		answer_status_of(x, c);
		change_free(c);
		return;
	}
	c->call->waiting = c;
	c->wait.done = waited;
	c->wait.arg = c;
	c->wait.deadline_ms = clock_monotonic_ms() + c->query.timeout_ms;
	if (enter_room(c))
		return;
	c->call->waiting = NULL;
	http_handle_post(c->handle, end_wait, c);
}

/* ---- the publisher's answer ---- */

void change_decided(const struct outcome *outcome, void *arg)
{
	struct change *c = arg;

	answer_outcome_init(&c->reply, outcome, c->name);
	if (outcome->err.code != ERROR_NONE) {
		http_handle_post(c->handle, send_reply, c);
		return;
	}
	if (!c->query.applied) {
		buf_putc(&c->reply.body, '}');
		http_handle_post(c->handle, send_reply, c);
		return;
	}
	memcpy(c->wait.namespace, c->namespace, sizeof(c->wait.namespace));
	memcpy(c->wait.name, c->name, sizeof(c->wait.name));
	c->wait.version = outcome->version;
	c->wait.deleted = outcome->op == OUTCOME_DELETED;
	http_handle_post(c->handle, begin_wait, c);
}

/* ---- the room ---- */

int wait_room_new(struct wait_room **ret, struct error *err)
{
	struct wait_room *room = calloc(1, sizeof(*room));

	if (room == NULL)
		return error_no_memory(err);
	AZ(pthread_mutex_init(&room->lock, NULL));
	LIST_INIT(&room->changes);
	metric_set(&api_metric_waiting, METRIC_NO_LABELS, 0);
	*ret = room;
	return 0;
}

void wait_room_stop(struct wait_room *room)
{
	struct change *c;

	AZ(pthread_mutex_lock(&room->lock));
	room->stopping = true;
	LIST_FOREACH(c, &room->changes, in_room)
	cancel(c);
	AZ(pthread_mutex_unlock(&room->lock));
}

void wait_room_free(struct wait_room *room)
{
	if (room == NULL)
		return;
	ASSERT(LIST_EMPTY(&room->changes));
	AZ(pthread_mutex_destroy(&room->lock));
	free(room);
}
