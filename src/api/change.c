/* SPDX-License-Identifier: Apache-2.0 */
#include "api/change.h"

#include "api/answer.h"
#include "api/metrics.h"
#include "api/params.h"
#include "api/preconditions.h"
#include "base/clock.h"
#include "base/duration.h"
#include "publish/change_set.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/queue.h>

METRIC_GAUGE(api_metric_waiting, 1, "gsq_api_waiting_requests",
	"Requests that wait until the cluster has their change.");

/* ---- the query ---- */

#define TIMEOUT_MS 30000 /* where the query says none */

struct query_reading {
	struct wait_query wait;
	bool timeout_given;
	bool dry_run;
};

static int read_wait(void *arg, struct slice value, struct error *err)
{
	struct query_reading *reading = arg;

	reading->wait.applied = slice_eq(value, SLICE("applied"));
	return reading->wait.applied ? 0 : params_refuse("wait", "applied", value, err);
}

static int read_timeout(void *arg, struct slice value, struct error *err)
{
	struct query_reading *reading = arg;
	AUTO_FREE char *text = slice_dup(value);
	struct error ignored = ERROR_INIT;
	char allowed[80];

	reading->timeout_given = true;
	if (text == NULL)
		return error_no_memory(err);
	if (duration_parse_ms(text, &reading->wait.timeout_ms, &ignored) == 0 &&
		reading->wait.timeout_ms <= LIMIT_WAIT_S * 1000)
		return 0;
	snprintf(allowed, sizeof(allowed), "a duration of at most %ds, as in 500ms, 30s or 2m",
		LIMIT_WAIT_S);
	return params_refuse("timeout", allowed, value, err);
}

static int read_dry_run(void *arg, struct slice value, struct error *err)
{
	struct query_reading *reading = arg;

	return params_dry_run(&reading->dry_run, value, err);
}

static const struct param parameters[] = {
	{"wait", read_wait},
	{"timeout", read_timeout},
	{"dryRun", read_dry_run},
};

int change_query_parse(struct call *call, struct slice query, struct error *err)
{
	struct query_reading reading = {.wait.timeout_ms = TIMEOUT_MS};

	if (params_read(query, parameters, ARRAY_SIZE(parameters),
		    "a change takes the parameters wait, timeout and dryRun", &reading, err) != 0)
		return -1;
	if (reading.timeout_given && !reading.wait.applied)
		return error_set_field(err, "timeout", "timeout goes with wait=applied; add that");
	if (reading.dry_run && reading.wait.applied)
		return error_set_field(err, "wait",
			"a dry run changes nothing that could be waited for: leave out wait, or "
			"dryRun");
	call->wait = reading.wait;
	call->dry_run = reading.dry_run;
	return 0;
}

/* ---- a change ---- */

struct change {
	struct api *api;
	struct call *call;          /* gone with the exchange */
	struct http_handle *handle; /* the publisher's or the tracker's, whoever has the change */
	char namespace[LIMIT_NAME + 1], name[LIMIT_NAME + 1];
	struct wait_query query;
	change_again *again; /* or NULL */
	bool deletes;
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

/* NULL after answering that memory is gone. */
static struct change *change_new(
	struct http_exchange *x, struct call *call, const char *name, change_again *again)
{
	struct change *c = calloc(1, sizeof(*c));
	struct error err = ERROR_INIT;

	if (c != NULL && (c->handle = http_exchange_handle(x)) != NULL) {
		c->api = call->api;
		c->call = call;
		c->query = call->wait;
		c->again = again;
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

static void answer_failed(struct http_exchange *x, struct change *c)
{
	CLEANUP(state_unrefp) struct state *state = publisher_state(c->api->publisher, NULL);
	const struct resource *current =
		state == NULL ? NULL : state_find(state, c->namespace, c->name);

	if (c->deletes && current == NULL) { /* conditions do not matter (RFC 9110 13.2.1) */
		answer_no_resource(x, c->namespace, c->name);
		return;
	}
	preconditions_failed_init(&c->reply, &c->call->when, c->name, current);
	http_exchange_reply(x, &c->reply);
}

/* It was made from another version than is current. */
static void precondition_failed(struct http_exchange *x, void *arg)
{
	struct change *c = arg;
	struct call *call = c->call;
	change_again *again = c->again;

	if (x != NULL && again == NULL)
		answer_failed(x, c);
	change_free(c);
	if (x != NULL && again != NULL)
		again(x, call);
}

/* Whether the outcome is an error, which is on its way then. */
static bool is_refused(struct change *c, const struct error *err)
{
	if (err->code == ERROR_NONE)
		return false;
	if (err->code == ERROR_PRECONDITION) {
		http_handle_post(c->handle, precondition_failed, c);
		return true;
	}
	answer_error_init(&c->reply, err);
	http_handle_post(c->handle, send_reply, c);
	return true;
}

static void decided(const struct outcome *outcome, void *arg)
{
	struct change *c = arg;

	if (is_refused(c, &outcome->err))
		return;
	answer_outcome_init(&c->reply, outcome, c->name);
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

static void tried(const struct set_outcome *outcome, void *arg)
{
	struct change *c = arg;

	if (is_refused(c, &outcome->err))
		return;
	answer_dry_run_init(&c->reply, &outcome->items[0], outcome->set->items[0].intent, c->name);
	buf_putc(&c->reply.body, '}');
	http_handle_post(c->handle, send_reply, c);
}

/* ---- handing it over ---- */

struct wanted {
	struct intent *intent; /* NULL: the resource gone */
	const char *namespace, *name;
	struct precondition when;
};

/* Takes a reference to the author. */
static int dry_run_new(struct change_set **ret, const struct wanted *wanted, struct author *author,
	struct error *err)
{
	CLEANUP(change_set_freep) struct change_set *set = NULL;

	if (change_set_new(&set, err) != 0)
		return -1;
	set->author = author_ref(author);
	set->dry_run = true;
	if ((wanted->intent != NULL ? change_set_put(set, wanted->intent, wanted->when, err)
				    : change_set_delete(set, wanted->namespace, wanted->name,
					      wanted->when, false, err)) != 0)
		return -1;
	*ret = TAKE_PTR(set);
	return 0;
}

static void submit(struct http_exchange *x, struct call *call, const struct wanted *wanted,
	change_again *again)
{
	CLEANUP(author_unrefp) struct author *author = NULL;
	CLEANUP(change_set_freep) struct change_set *set = NULL;
	struct publisher *p = call->api->publisher;
	struct error err = ERROR_INIT;
	struct change *c;

	if (call_author(&author, x, call, &err) != 0 ||
		(call->dry_run && dry_run_new(&set, wanted, author, &err) != 0)) {
		answer_error(x, &err);
		return;
	}
	c = change_new(x, call, wanted->name, again);
	if (c == NULL)
		return;
	c->deletes = wanted->intent == NULL;
	if (set != NULL)
		publisher_apply(p, TAKE_PTR(set), tried, c);
	else if (wanted->intent != NULL)
		publisher_put(p, wanted->intent, wanted->when, author, decided, c);
	else
		publisher_delete(
			p, wanted->namespace, wanted->name, wanted->when, author, decided, c);
}

void change_put(struct http_exchange *x, struct call *call, struct intent *intent,
	struct precondition when, change_again *again)
{
	struct wanted wanted = {intent, intent->namespace, intent->name, when};

	submit(x, call, &wanted, again);
}

void change_delete(struct http_exchange *x, struct call *call, struct precondition when)
{
	struct wanted wanted = {NULL, call->namespace, call->name, when};

	submit(x, call, &wanted, NULL);
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
