/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/client_internal.h"

#include "base/clock.h"
#include "cli/event_stream.h"
#include "cli/interrupt.h"

#include <stdio.h>

struct watch {
	struct client *client;
	struct http_client *http;
	struct http_call call;
	struct event_stream stream;
	struct pipe_signal pipe; /* as it is outside of libcurl */
	bool (*each)(const char *event, json_t *data, void *arg);
	void *arg;
	uint64_t deadline_ms; /* 0: none */
	bool under_way;
	bool over;        /* each() has said so */
	bool told;        /* that the stream is broken */
	struct error err; /* of an event */
};

/* ---- events ---- */

/* What each() prints may go to a closed pipe, which ends us as it should. */
static bool take_event(const char *event, struct slice data, void *arg)
{
	CLEANUP(json_decrefp) json_t *root = NULL;
	struct watch *w = arg;
	struct pipe_signal ignored;
	struct error why = ERROR_INIT;

	w->told = false;
	if (strcmp(event, "end") == 0)
		return true;
	if (json_read_object(&root, data, &why) != 0) {
		client_not_understood(w->client, &w->err);
		return false;
	}
	pipe_signal_restore(&w->pipe);
	w->over = !w->each(event, root, w->arg);
	pipe_signal_ignore(&ignored);
	return !w->over;
}

static int take_piece(struct slice piece, void *arg, struct error *err)
{
	struct watch *w = arg;

	if (event_stream_feed(&w->stream, piece, err) == 0)
		return 0;
	if (err->code == ERROR_NONE && w->err.code != ERROR_NONE)
		*err = w->err;
	else if (err->code == ERROR_NONE)
		error_set(err, ERROR_INTERNAL, "it is over");
	else
		w->err = *err;
	return -1;
}

/* ---- one connection ---- */

static void ended(struct http_call *call UNUSED, void *arg)
{
	struct watch *w = arg;

	w->under_way = false;
}

static void woken(void *arg)
{
	struct watch *w = arg;

	if (interrupt_came() && w->under_way)
		http_client_cancel(w->http, &w->call);
}

static unsigned left_ms(const struct watch *w)
{
	uint64_t now_ms = clock_monotonic_ms();

	if (w->deadline_ms == 0)
		return LIMIT_JOB_MS;
	return now_ms >= w->deadline_ms ? 0 : (unsigned)(w->deadline_ms - now_ms);
}

static void connect_once(struct watch *w, const char *url)
{
	char last_id[sizeof("Last-Event-ID: ") + LIMIT_WATCH_ID];
	const char *headers[4] = {"Accept: text/event-stream"};
	size_t n = 1;

	event_stream_restart(&w->stream);
	if (w->client->authorization.len > 0)
		headers[n++] = w->client->authorization.data;
	if (w->stream.id[0] != '\0') {
		snprintf(last_id, sizeof(last_id), "Last-Event-ID: %s", w->stream.id);
		headers[n++] = last_id;
	}
	http_call_done(&w->call);
	http_call_init(&w->call, "GET", url, LIMIT_API_ANSWER);
	w->call.headers = headers;
	/* libcurl's clock may be ahead of ours: what it ends must be past the deadline here too. */
	w->call.timeout_ms = left_ms(w) + LIMIT_CLIENT_TICK_MS;
	w->call.idle_ms = LIMIT_CLIENT_SILENCE_MS;
	w->call.data = take_piece;
	w->call.ended = ended;
	w->call.arg = w;
	w->under_way = true;
	pipe_signal_ignore(&w->pipe);
	http_client_run(w->http, &w->call, 1);
	pipe_signal_restore(&w->pipe);
	w->call.headers = NULL;
}

/* ---- all of them ---- */

static bool may_pass(const struct error *err)
{
	return error_status(err->code) == 503 || error_status(err->code) == 429;
}

/* 0: connect again, and why. The server may be there again soon; but who asks for the first time,
 * and finds none, has mistyped it. */
static int judge(struct watch *w, struct error *why)
{
	CLEANUP(json_decrefp) json_t *ignored = NULL;
	bool first = w->stream.id[0] == '\0';

	if (w->err.code != ERROR_NONE) {
		*why = w->err;
		return -1;
	}
	if (w->call.status >= 200 && w->call.status < 300) {
		error_set(why, ERROR_UNAVAILABLE, "%s has ended the stream", w->client->server);
		return 0;
	}
	return client_judge(w->client, &w->call, &ignored, why) != 0 && !first && may_pass(why)
		       ? 0
		       : -1;
}

static void tell(struct watch *w, const struct error *why)
{
	if (!w->told)
		fprintf(stderr, "gsq: %s; connecting again\n", why->text);
	w->told = true;
}

static bool wait_a_little(const struct watch *w)
{
	uint64_t until_ms = clock_monotonic_ms() + LIMIT_CLIENT_AGAIN_MS;

	while (clock_monotonic_ms() < until_ms && !interrupt_came()) {
		if (left_ms(w) == 0)
			return false;
		usleep(LIMIT_CLIENT_TICK_MS * 1000);
	}
	return true;
}

static int follow(struct watch *w, const char *url, unsigned timeout_ms, struct error *err)
{
	for (;;) {
		struct error why = ERROR_INIT;

		if (left_ms(w) > 0)
			connect_once(w, url);
		w->client->interrupted = interrupt_came();
		if (w->over || w->client->interrupted)
			return 0;
		if (left_ms(w) == 0)
			return error_set(err, ERROR_TIMEOUT, "it was not over after %u s",
				timeout_ms / 1000);
		if (judge(w, &why) != 0) {
			*err = why;
			return -1;
		}
		tell(w, &why);
		(void)wait_a_little(w);
	}
}

int client_watch(struct client *c, const char *route, unsigned timeout_ms,
	bool (*each)(const char *event, json_t *data, void *arg), void *arg, struct error *err)
{
	struct watch w = {.client = c, .each = each, .arg = arg};
	const struct http_client_options options = {.ca_file = c->ca,
		.parallel = 1,
		.woken = woken,
		.woken_arg = &w,
		.tick_ms = LIMIT_CLIENT_TICK_MS};
	AUTO_FREE char *url = str_printf("%s%s", c->server, route);
	struct interrupt interrupt;
	struct pipe_signal pipe;
	int result;

	if (url == NULL)
		return error_no_memory(err);
	if (http_client_new(&w.http, &options, err) != 0)
		return -1;
	w.deadline_ms = timeout_ms == 0 ? 0 : clock_monotonic_ms() + timeout_ms;
	event_stream_init(&w.stream, take_event, &w);
	http_call_init(&w.call, "GET", url, LIMIT_API_ANSWER);
	interrupt_begin(&interrupt);
	result = follow(&w, url, timeout_ms, err);
	interrupt_end(&interrupt);
	http_call_done(&w.call);
	event_stream_done(&w.stream);
	pipe_signal_ignore(&pipe);
	http_client_free(w.http);
	pipe_signal_restore(&pipe);
	return result;
}
