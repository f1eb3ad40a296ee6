/* SPDX-License-Identifier: Apache-2.0 */
#include "cluster/kube_internal.h"

#include "base/clock.h"
#include "base/limits.h"
#include "http/uri.h"

#define BACKOFF_BASE_MS 100u
#define WATCH_SLACK_MS 30000u /* the server ends a watch, and we only when it does not */
#define STATUS_GONE 410

struct kube_watcher {
	struct kube *kube;
	struct kube_watch watch;
	enum { WATCHER_PAUSES, WATCHER_LISTS, WATCHER_WATCHES } state;
	struct kube_request request; /* in use but when it pauses */
	char *version;               /* resourceVersion to watch from; NULL: to be listed first */
	char *next_page;             /* "continue" of the list; NULL: from the start */
	struct buf event;            /* as much of its line as is there */
	uint64_t due_ms;             /* end of the pause */
	unsigned failures;           /* in a row */
	bool is_lost;                /* or has never been synced */
	bool is_out;                 /* it pauses for want of a server that can answer */
	bool is_answered;            /* the watch: since a tick */
	bool is_accepted;            /* the watch */
	bool is_expired;             /* the watch has ended with 410 */
	uint64_t heard_ms;           /* when the watch was accepted, or brought something last */
	STAILQ_ENTRY(kube_watcher) next;
};

/* ---- where it stands ---- */

static void forget(char **text)
{
	free(TAKE_PTR(*text));
}

static void list_anew(struct kube_watcher *w)
{
	forget(&w->version);
	forget(&w->next_page);
}

static int keep(char **text, const char *value, struct error *err)
{
	char *copy = strdup(value);

	if (copy == NULL)
		return error_no_memory(err);
	free(*text);
	*text = copy;
	return 0;
}

/* The server is back for all when it is for one: then the others need not sit out their pauses. */
static void hurry_others(struct kube_watcher *w)
{
	struct kube_watcher *other;

	STAILQ_FOREACH(other, &w->kube->watchers, next)
	{
		if (other->is_out)
			other->due_ms = 0;
		other->is_out = false;
	}
}

static void set_synced(struct kube_watcher *w)
{
	w->failures = 0;
	w->is_lost = false;
	hurry_others(w);
	w->watch.synced(w->watch.arg);
}

static void take_pause(struct kube_watcher *w)
{
	uint64_t ceiling_ms = BACKOFF_BASE_MS;

	for (unsigned i = 0; i < w->failures && ceiling_ms < LIMIT_KUBE_BACKOFF_MS; i++)
		ceiling_ms *= 2;
	if (ceiling_ms > LIMIT_KUBE_BACKOFF_MS)
		ceiling_ms = LIMIT_KUBE_BACKOFF_MS;
	w->failures++;
	w->due_ms = clock_monotonic_ms() + ceiling_ms / 2 + arc4random() % (ceiling_ms / 2);
	w->state = WATCHER_PAUSES;
}

static void fail(struct kube_watcher *w, const struct error *why)
{
	w->is_lost = true;
	take_pause(w);
	w->watch.lost(why, w->watch.arg);
}

/* After a refusal the place in a list or a watch may be to blame, but not for these. */
static bool is_place_kept(int status)
{
	return status == 0 || status == 401 || status == 403 || status == 429;
}

/* An answer that is not as it should be, or none. */
static void fail_request(struct kube_watcher *w, int status, const struct error *why)
{
	if (!is_place_kept(status))
		list_anew(w);
	if (status == STATUS_GONE)
		take_pause(w);
	else
		fail(w, why);
	w->is_out = status == 0 || status == 429 || status >= 500;
}

/* ---- requests ---- */

static void add_parameter(struct buf *target, const char *name, const char *value)
{
	buf_printf(target, "&%s=", name);
	http_encode(slice_of(value), target);
}

static void send_request(struct kube_watcher *w, struct buf *target)
{
	struct error err = ERROR_INIT;

	if (w->watch.query != NULL)
		buf_printf(target, "&%s", w->watch.query);
	w->request.call.arg = w;
	if (buf_check(target, &err) != 0 ||
		kube_request_start(&w->request, w->kube, target->data, NULL, &err) != 0)
		fail(w, &err);
}

static void on_listed(struct http_call *call, void *arg);
static void on_watch_ended(struct http_call *call, void *arg);
static int on_piece(struct slice piece, void *arg, struct error *err);

static void begin_list(struct kube_watcher *w)
{
	CLEANUP(buf_done) struct buf target = BUF_INIT(LIMIT_HTTP_HEAD);

	w->state = WATCHER_LISTS;
	kube_request_done(&w->request);
	kube_request_init(&w->request, "GET", LIMIT_KUBE_ANSWER);
	w->request.call.ended = on_listed;
	buf_printf(&target, "%s?limit=%d", w->watch.path, LIMIT_KUBE_PAGE);
	if (w->next_page != NULL)
		add_parameter(&target, "continue", w->next_page);
	send_request(w, &target);
}

static void begin_watch(struct kube_watcher *w)
{
	CLEANUP(buf_done) struct buf target = BUF_INIT(LIMIT_HTTP_HEAD);

	w->state = WATCHER_WATCHES;
	w->is_answered = false;
	w->is_accepted = false;
	w->is_expired = false;
	buf_reset(&w->event);
	kube_request_done(&w->request);
	kube_request_init(&w->request, "GET", LIMIT_KUBE_EVENT);
	w->request.call.ended = on_watch_ended;
	w->request.call.data = on_piece;
	w->request.call.timeout_ms = LIMIT_KUBE_WATCH_S * 1000u + WATCH_SLACK_MS;
	w->request.call.idle_ms = LIMIT_KUBE_SILENCE_S * 1000u;
	buf_printf(&target, "%s?watch=1&allowWatchBookmarks=true&timeoutSeconds=%d", w->watch.path,
		LIMIT_KUBE_WATCH_S);
	add_parameter(&target, "resourceVersion", w->version);
	send_request(w, &target);
}

/* ---- lists ---- */

static void tell_page(struct kube_watcher *w, const json_t *page)
{
	json_t *object;
	size_t i;

	if (w->next_page == NULL)
		w->watch.relist(w->watch.arg);
	json_array_foreach(json_object_get(page, "items"), i, object)
		w->watch.object(object, w->watch.arg);
}

static void on_listed(struct http_call *call, void *arg)
{
	CLEANUP(json_decrefp) json_t *page = NULL;
	struct kube_watcher *w = arg;
	const char *next_page, *version;
	struct error err = ERROR_INIT;

	w->state = WATCHER_PAUSES;
	if (w->kube->ending)
		return;
	if (kube_request_answer(&w->request, &page, &err) != 0) {
		fail_request(w, call->status, &err);
		return;
	}
	tell_page(w, page);
	next_page = kube_string(page, "metadata", "continue", NULL);
	version = kube_string(page, "metadata", "resourceVersion", NULL);
	if (next_page[0] != '\0') {
		if (keep(&w->next_page, next_page, &err) != 0) {
			fail(w, &err);
			return;
		}
		begin_list(w);
		return;
	}
	forget(&w->next_page);
	if (version[0] == '\0')
		error_set(&err, ERROR_UNAVAILABLE,
			"the Kubernetes API's list of %s has no resourceVersion", w->watch.path);
	if (version[0] == '\0' || keep(&w->version, version, &err) != 0) {
		fail(w, &err);
		return;
	}
	set_synced(w);
	begin_watch(w);
}

/* ---- watches ---- */

static void accept_watch(struct kube_watcher *w)
{
	if (w->is_accepted)
		return;
	w->is_accepted = true;
	w->heard_ms = clock_monotonic_ms();
	w->failures = 0;
	if (w->is_lost)
		set_synced(w);
}

/* ERROR: its object is a Status. */
static int on_error(struct kube_watcher *w, const json_t *status, struct error *err)
{
	int code = (int)json_integer_value(json_object_get(status, "code"));

	w->is_expired = code == STATUS_GONE;
	return kube_status_error(
		code, status, "the Kubernetes API ends a watch with an error", err);
}

static int on_event(struct kube_watcher *w, struct slice line, struct error *err)
{
	CLEANUP(json_decrefp) json_t *event = NULL;
	const char *type, *version;
	json_t *object;

	if (kube_json(&event, line, err) != 0)
		return -1;
	type = kube_string(event, "type", NULL);
	object = json_object_get(event, "object");
	if (strcmp(type, "ERROR") == 0)
		return on_error(w, object, err);
	version = kube_string(object, "metadata", "resourceVersion", NULL);
	if (version[0] != '\0' && keep(&w->version, version, err) != 0)
		return -1;
	accept_watch(w);
	if (strcmp(type, "ADDED") == 0 || strcmp(type, "MODIFIED") == 0)
		w->watch.object(object, w->watch.arg);
	else if (strcmp(type, "DELETED") == 0)
		w->watch.deleted(object, w->watch.arg);
	return 0;
}

/* An event that cannot be taken in would come again: so all is listed. */
static int on_piece(struct slice piece, void *arg, struct error *err)
{
	struct kube_watcher *w = arg;

	w->heard_ms = clock_monotonic_ms();
	while (piece.n > 0) {
		struct slice line = slice_cut(&piece, '\n');
		bool is_whole = piece.p != NULL;

		buf_add(&w->event, line);
		if (buf_check(&w->event, err) != 0 ||
			(is_whole && w->event.len > 0 &&
				on_event(w, buf_slice(&w->event), err) != 0)) {
			list_anew(w);
			return -1;
		}
		if (is_whole)
			buf_reset(&w->event);
	}
	return 0;
}

/* The server may have nothing to say: of a kind without changes since it started, it sends not even
 * bookmarks. Whether it is there is seen when the watch is begun again. */
static bool is_silence(const struct kube_watcher *w)
{
	return w->is_accepted && w->version != NULL &&
	       clock_monotonic_ms() - w->heard_ms >= LIMIT_KUBE_SILENCE_S * 1000 / 2;
}

static void on_watch_ended(struct http_call *call, void *arg)
{
	CLEANUP(json_decrefp) json_t *nothing = NULL;
	struct kube_watcher *w = arg;
	struct error err = ERROR_INIT;

	w->state = WATCHER_PAUSES;
	if (w->kube->ending)
		return;
	if (w->is_expired)
		take_pause(w);
	else if (call->status == 0 && is_silence(w))
		begin_watch(w);
	else if (call->status == 0)
		fail_request(w, 0, &call->err);
	else if (call->status >= 300 && kube_request_answer(&w->request, &nothing, &err) != 0)
		fail_request(w, call->status, &err);
	else if (w->is_accepted)
		begin_watch(w);
	else
		take_pause(w); /* a server that ends each watch at once must not be hurried */
}

/* ---- all of them ---- */

static void resume(struct kube_watcher *w)
{
	w->is_out = false;
	if (w->version == NULL)
		begin_list(w);
	else
		begin_watch(w);
}

/* A watch that is accepted is silent until something happens: all there is to see of it is the head
 * of the answer. A refusal has a short body, which is here by the next tick. */
static void look_for_answer(struct kube_watcher *w, uint64_t now_ms)
{
	const struct http_call *call = &w->request.call;

	if (call->response_headers.len == 0) {
		if (call->started_ms != 0 && now_ms - call->started_ms > LIMIT_REQUEST_MS)
			http_client_cancel(w->kube->client, &w->request.call);
		return;
	}
	if (w->is_answered)
		accept_watch(w);
	w->is_answered = true;
}

void kube_watchers_tick(struct kube *kube)
{
	uint64_t now_ms = clock_monotonic_ms();
	struct kube_watcher *w;

	STAILQ_FOREACH(w, &kube->watchers, next)
	{
		if (w->state == WATCHER_PAUSES && now_ms >= w->due_ms)
			resume(w);
		else if (w->state == WATCHER_WATCHES && !w->is_accepted)
			look_for_answer(w, now_ms);
	}
}

void kube_watchers_cancel(struct kube *kube)
{
	struct kube_watcher *w;

	STAILQ_FOREACH(w, &kube->watchers, next)
	{
		if (w->state != WATCHER_PAUSES)
			http_client_cancel(kube->client, &w->request.call);
	}
}

void kube_watchers_free(struct kube *kube)
{
	struct kube_watcher *w;

	while ((w = STAILQ_FIRST(&kube->watchers)) != NULL) {
		STAILQ_REMOVE_HEAD(&kube->watchers, next);
		kube_request_done(&w->request);
		buf_done(&w->event);
		forget(&w->version);
		forget(&w->next_page);
		free(w);
	}
}

int kube_add_watch(struct kube *kube, const struct kube_watch *watch, struct error *err)
{
	struct kube_watcher *w = calloc(1, sizeof(*w));

	if (w == NULL)
		return error_no_memory(err);
	w->kube = kube;
	w->watch = *watch;
	w->is_lost = true;
	buf_init(&w->event, LIMIT_KUBE_EVENT);
	kube_request_init(&w->request, "GET", LIMIT_KUBE_ANSWER);
	STAILQ_INSERT_TAIL(&kube->watchers, w, next);
	return 0;
}
