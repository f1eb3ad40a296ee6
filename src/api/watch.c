/* SPDX-License-Identifier: Apache-2.0 */
#include "api/watch.h"

#include "api/answer.h"
#include "api/call.h"
#include "api/metrics.h"
#include "api/params.h"
#include "base/clock.h"
#include "base/json.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/queue.h>

METRIC_GAUGE(api_metric_watchers, 1, "gsq_api_watchers", "Streams of events that are open.");

#define RETRY_MS "2000"  /* a client whose stream breaks comes again after that */
#define PIECE (32 * KIB) /* of events, handed to the connection at once */

struct watch_room {
	struct feed *feed;
	struct auth *auth;
	pthread_t thread;
	sem_t wake; /* there are events, or the end */
	atomic_bool stopping;
	atomic_uint beats; /* heartbeats so far */

	pthread_mutex_t lock;
	size_t n;
	LIST_HEAD(, watcher) watchers;
};

/* One stream. All but the handle is used on its loop only. */
struct watcher {
	struct watch_room *room;
	struct feed_position position;
	struct subject *subject;    /* who watches; */
	char scope[LIMIT_NAME + 1]; /* the namespace that they were allowed, or AUTH_EVERYWHERE */
	unsigned generation;        /* of auth_still() */
	uint64_t ends_ms;           /* clock_monotonic_ms(); 0: not by itself */
	bool begun;
	bool gone;      /* what the client has seen last is not known any more */
	bool broken;    /* it cannot be woken */
	bool ended;     /* its source is freed */
	unsigned beats; /* that it has had, or did not need */

	/* under the room's lock */
	LIST_ENTRY(watcher) in_room;
	struct http_handle *handle; /* to wake it with; NULL while it is being woken */
	bool is_posted;
};

/* ---- the stream ---- */

/* With the id, so that a client which loses the stream comes back to here. */
static void add_event(
	struct watcher *w, const char *event, const char *key, const char *value, struct buf *piece)
{
	buf_puts(piece, "event: ");
	buf_puts(piece, event);
	buf_puts(piece, "\nid: ");
	feed_id(w->room->feed, &w->position, piece);
	buf_puts(piece, "\ndata: {");
	json_member_cstr(piece, key, value);
	buf_puts(piece, "}\n\n");
}

static void add_reset(struct watcher *w, struct buf *piece)
{
	add_event(w, "reset", "message",
		"events were missed: list the resources again; what follows is what comes from now "
		"on",
		piece);
}

static void add_begin(struct watcher *w, struct buf *piece)
{
	buf_puts(piece, "retry: " RETRY_MS "\n\n");
	if (w->gone)
		add_reset(w, piece);
	else
		add_event(w, "hello", "namespace",
			w->position.namespace[0] != '\0' ? w->position.namespace : "*", piece);
	w->begun = true;
}

/* Whoever comes again is asked who they are, and told. */
static void add_end(struct watcher *w, struct buf *piece)
{
	add_event(w, "end", "message",
		"what this stream was opened with counts no more: the token has expired or was "
		"revoked, or the role was taken away",
		piece);
}

static bool may_go_on(struct watcher *w)
{
	if (w->ends_ms != 0 && clock_monotonic_ms() >= w->ends_ms)
		return false;
	return auth_still(w->room->auth, w->subject, ACTION_WATCH, w->scope, &w->generation);
}

static int next(void *arg, struct buf *piece)
{
	struct watcher *w = arg;
	unsigned beats = atomic_load(&w->room->beats);

	if (atomic_load(&w->room->stopping))
		return 0;
	if (w->broken)
		return -1;
	if (!may_go_on(w)) {
		add_end(w, piece);
		return 0;
	}
	if (!w->begun) {
		add_begin(w, piece);
		return 1;
	}
	switch (feed_read(w->room->feed, &w->position, PIECE, piece)) {
	case FEED_EVENTS:
		break;
	case FEED_GONE:
		add_reset(w, piece);
		break;
	case FEED_END:
		if (w->beats == beats)
			return HTTP_SOURCE_WAITS;
		buf_puts(piece, ": heartbeat\n\n");
		break;
	}
	w->beats = beats;
	return 1;
}

/* ---- waking ---- */

static void watcher_free(struct watcher *w)
{
	subject_unref(w->subject);
	free(w);
}

static void set_handle(struct watcher *w, struct http_handle *handle)
{
	AZ(pthread_mutex_lock(&w->room->lock));
	w->handle = handle;
	w->is_posted = false;
	AZ(pthread_mutex_unlock(&w->room->lock));
}

/* The next handle stands before the source is asked: what comes in between wakes it again. */
static void woken(struct http_exchange *x, void *arg)
{
	struct watcher *w = arg;
	struct http_handle *handle;

	if (w->ended) {
		watcher_free(w);
		return;
	}
	AN(x);
	handle = http_exchange_handle(x);
	w->broken = handle == NULL;
	set_handle(w, handle);
	http_exchange_resume_source(x);
}

/* Under the room's lock. */
static void wake(struct watcher *w)
{
	struct http_handle *handle = TAKE_PTR(w->handle);

	if (handle == NULL)
		return;
	w->is_posted = true;
	http_handle_post(handle, woken, w);
}

static void wake_all(struct watch_room *room)
{
	struct watcher *w;

	AZ(pthread_mutex_lock(&room->lock));
	LIST_FOREACH(w, &room->watchers, in_room)
	wake(w);
	AZ(pthread_mutex_unlock(&room->lock));
}

/* ---- coming and going: on the stream's loop ---- */

/* A few that come at the same moment may be more. */
static int check_room(struct watch_room *room, struct error *err)
{
	size_t n;

	AZ(pthread_mutex_lock(&room->lock));
	n = room->n;
	AZ(pthread_mutex_unlock(&room->lock));
	if (n < LIMIT_WATCHERS)
		return 0;
	error_set(err, ERROR_UNAVAILABLE,
		"%d streams are open already, the most that there may be: try again later",
		LIMIT_WATCHERS);
	err->retry_after_s = LIMIT_WATCH_HEARTBEAT_S;
	return -1;
}

static void enter_room(struct watcher *w, struct http_handle *handle)
{
	struct watch_room *room = w->room;

	w->broken = handle == NULL;
	AZ(pthread_mutex_lock(&room->lock));
	w->handle = handle;
	LIST_INSERT_HEAD(&room->watchers, w, in_room);
	metric_set(&api_metric_watchers, METRIC_NO_LABELS, ++room->n);
	AZ(pthread_mutex_unlock(&room->lock));
}

/* Freed by woken(), which is on its way or is sent, as handles must be used up. */
static void leave_room(void *arg)
{
	struct watcher *w = arg;
	struct watch_room *room = w->room;
	bool is_posted;

	w->ended = true;
	AZ(pthread_mutex_lock(&room->lock));
	LIST_REMOVE(w, in_room);
	metric_set(&api_metric_watchers, METRIC_NO_LABELS, --room->n);
	wake(w);
	is_posted = w->is_posted;
	AZ(pthread_mutex_unlock(&room->lock));
	if (!is_posted)
		watcher_free(w);
}

/* ---- the request ---- */

struct watch_query {
	const char *path_namespace;     /* NULL: the path names none */
	char namespace[LIMIT_NAME + 1]; /* "": all */
	bool by_id;
	char id[LIMIT_WATCH_ID + 1];
};

static int read_namespace(void *arg, struct slice value, struct error *err)
{
	struct watch_query *q = arg;

	return params_namespace(q->namespace, value, q->path_namespace, "/api/v1/watch", err);
}

/* One that is too long is of no feed: it is cut, and not found there. */
static void set_id(struct watch_query *q, struct slice id)
{
	q->by_id = id.n > 0;
	snprintf(q->id, sizeof(q->id), "%.*s", (int)(id.n < LIMIT_WATCH_ID ? id.n : LIMIT_WATCH_ID),
		id.n > 0 ? id.p : "");
}

static int read_id(void *arg, struct slice value, struct error *err UNUSED)
{
	set_id(arg, value);
	return 0;
}

static const struct param parameters[] = {
	{"namespace", read_namespace},
	{"lastEventId", read_id},
};

static int read_params(
	struct watch_query *ret, const char *path_namespace, struct slice query, struct error *err)
{
	struct watch_query q = {.path_namespace = path_namespace};

	if (path_namespace != NULL)
		snprintf(q.namespace, sizeof(q.namespace), "%s", path_namespace);
	if (params_read(query, parameters, ARRAY_SIZE(parameters),
		    "a watch takes the parameters namespace and lastEventId", &q, err) != 0)
		return -1;
	*ret = q;
	return 0;
}

static const char *scope_of(const struct watch_query *q)
{
	return q->namespace[0] == '\0' ? AUTH_EVERYWHERE : q->namespace;
}

/* The header is what a browser sends when it comes back, and says more than the URL of the first
 * time. */
static int read_query(struct watch_query *ret, const struct http_exchange *x, struct call *call,
	struct error *err)
{
	struct slice id = http_head_get(http_exchange_head(x), "last-event-id");

	if (read_params(ret, call_path_namespace(x, call), http_exchange_query(x), err) != 0)
		return -1;
	if (strcmp(call->scope, scope_of(ret)) != 0) /* there was no memory for the gate's copy */
		return error_no_memory(err);
	if (id.n > 0)
		set_id(ret, id);
	return 0;
}

void watch_query_scope(char scope[LIMIT_NAME + 1], const char *path_namespace, struct slice query)
{
	struct error ignored = ERROR_INIT;
	struct watch_query q;

	if (read_params(&q, path_namespace, query, &ignored) == 0)
		snprintf(scope, LIMIT_NAME + 1, "%s", scope_of(&q));
}

static struct watcher *watcher_new(const struct call *call, const struct watch_query *q)
{
	struct watch_room *room = call->api->watches;
	struct watcher *w = calloc(1, sizeof(*w));
	uint64_t for_s;

	if (w == NULL)
		return NULL;
	w->room = room;
	w->subject = subject_ref(call->subject);
	snprintf(w->scope, sizeof(w->scope), "%s", call->scope);
	for_s = auth_stream_s(room->auth, call->subject);
	w->ends_ms = for_s == 0 ? 0 : clock_monotonic_ms() + for_s * 1000;
	w->beats = atomic_load(&room->beats);
	w->gone = q->by_id && !feed_position_after(&w->position, room->feed, slice_of(q->id));
	if (w->gone || !q->by_id)
		feed_position_now(&w->position, room->feed);
	snprintf(w->position.namespace, sizeof(w->position.namespace), "%s", q->namespace);
	return w;
}

void watch_get(struct http_exchange *x, struct call *call)
{
	struct watch_room *room = call->api->watches;
	struct error err = ERROR_INIT;
	struct http_reply reply;
	struct watch_query query;
	struct watcher *w;

	if (read_query(&query, x, call, &err) != 0 || check_room(room, &err) != 0) {
		answer_error(x, &err);
		return;
	}
	w = watcher_new(call, &query);
	if (w == NULL) {
		error_no_memory(&err);
		answer_error(x, &err);
		return;
	}
	http_reply_init(&reply, 200);
	http_reply_header(&reply, "Content-Type", "text/event-stream");
	http_reply_header(&reply, "Cache-Control", "no-store");
	http_reply_header(&reply, "X-Accel-Buffering", "no"); /* nginx: pass each event on */
	reply.source = (struct http_source){next, leave_room, w};
	reply.close = true;
	http_exchange_reply(x, &reply);
	enter_room(w, http_exchange_handle(x));
}

/* ---- the thread ---- */

static void events_came(void *arg)
{
	struct watch_room *room = arg;

	sem_post(&room->wake);
}

static struct timespec monotonic(uint64_t ms)
{
	return (struct timespec){
		.tv_sec = (time_t)(ms / 1000),
		.tv_nsec = (long)(ms % 1000 * 1000000),
	};
}

static void pause_for_a_burst(void)
{
	struct timespec pause = monotonic(LIMIT_WATCH_GATHER_MS);

	while (nanosleep(&pause, &pause) != 0)
		ASSERT(errno == EINTR);
}

/* Until there are events, or it is time for the heartbeat, or all ends. */
static void wait_for_events(struct watch_room *room, uint64_t deadline_ms)
{
	struct timespec deadline = monotonic(deadline_ms);

	while (sem_clockwait(&room->wake, CLOCK_MONOTONIC, &deadline) != 0) {
		if (errno == ETIMEDOUT)
			return;
		ASSERT(errno == EINTR);
	}
}

/* The position is taken before the streams are woken, so what comes later is seen by the next
 * feed_park(). */
static void *run(void *arg)
{
	struct watch_room *room = arg;
	const uint64_t interval_ms = LIMIT_WATCH_HEARTBEAT_S * UINT64_C(1000);
	uint64_t beat_ms = clock_monotonic_ms() + interval_ms;
	struct feed_parked parked = {.wake = events_came, .arg = room};
	struct feed_position position;

	feed_position_now(&position, room->feed);
	while (!atomic_load(&room->stopping)) {
		if (feed_park(room->feed, &position, &parked)) {
			wait_for_events(room, beat_ms);
			feed_unpark(room->feed, &parked);
		}
		if (clock_monotonic_ms() >= beat_ms) {
			beat_ms += interval_ms;
			atomic_fetch_add(&room->beats, 1);
		}
		feed_position_now(&position, room->feed);
		wake_all(room);
		pause_for_a_burst();
	}
	return NULL;
}

/* ---- life ---- */

int watch_room_new(struct watch_room **ret, struct feed *feed, struct auth *auth, struct error *err)
{
	struct watch_room *room = calloc(1, sizeof(*room));
	int rc;

	if (room == NULL)
		return error_no_memory(err);
	room->feed = feed;
	room->auth = auth;
	LIST_INIT(&room->watchers);
	metric_set(&api_metric_watchers, METRIC_NO_LABELS, 0);
	AZ(sem_init(&room->wake, 0, 0));
	AZ(pthread_mutex_init(&room->lock, NULL));
	rc = pthread_create(&room->thread, NULL, run, room);
	if (rc != 0) {
		atomic_store(&room->stopping, true);
		watch_room_free(room);
		return error_set_errno(err, rc, "the thread for streams of events");
	}
	pthread_setname_np(room->thread, "api-watch");
	*ret = room;
	return 0;
}

void watch_room_stop(struct watch_room *room)
{
	atomic_store(&room->stopping, true);
	sem_post(&room->wake);
	AZ(pthread_join(room->thread, NULL));
	wake_all(room);
}

void watch_room_free(struct watch_room *room)
{
	if (room == NULL)
		return;
	ASSERT(atomic_load(&room->stopping) && LIST_EMPTY(&room->watchers));
	AZ(pthread_mutex_destroy(&room->lock));
	AZ(sem_destroy(&room->wake));
	free(room);
}
