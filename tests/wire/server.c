/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A server whose routes exercise all that http/server.h offers, for the tests next to it.
 *
 *   server [name=value]...   loops, port, and the fields of struct http_limits; drain_ms;
 *                            certificate and key: files, for TLS
 *
 * Prints its port on a line, and runs until SIGTERM. On SIGHUP it reads the two files again, and
 * prints a line that says how that went.
 */
#include "http/server.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/workers.h"
#include "http/uri.h"

#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/queue.h>
#include <unistd.h>

#define FILE_SIZE (8 * MIB)
#define SLEEPERS 32
#define ADLER_MOD 65521

static struct workers *sleepers;
static FILE *file; /* byte i is i % 251 */
static atomic_uint exchanges, hung, streams_gone, posts_gone, sources_freed;

/* ---- small helpers ---- */

static uint64_t query_number(const struct http_exchange *x, const char *name, uint64_t otherwise)
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(100);
	struct error err = ERROR_INIT;
	bool found = false;
	uint64_t n;

	if (http_query_get(http_exchange_query(x), name, &found, &text, &err) != 0 || !found)
		return otherwise;
	return slice_to_u64(buf_slice(&text), &n) ? n : otherwise;
}

static void reply_text(struct http_exchange *x, int status, const char *text)
{
	struct http_reply reply;

	http_reply_init(&reply, status);
	http_reply_header(&reply, "Content-Type", "text/plain");
	buf_puts(&reply.body, text);
	http_exchange_reply(x, &reply);
}

struct sleep {
	struct http_handle *handle;
	unsigned ms;
	void (*fn)(struct http_exchange *x, void *arg);
	void *arg;
};

static void sleep_and_post(void *arg)
{
	AUTO_FREE struct sleep *s = arg;

	usleep(1000 * s->ms);
	http_handle_post(s->handle, s->fn, s->arg);
}

/* Runs fn on the loop's thread again after a while on another one. */
static void later(struct http_exchange *x, unsigned ms,
	void (*fn)(struct http_exchange *x, void *arg), void *arg)
{
	struct sleep *s = malloc(sizeof(*s));
	struct error err = ERROR_INIT;

	AN(s != NULL);
	*s = (struct sleep){http_exchange_handle(x), ms, fn, arg};
	AN(s->handle != NULL);
	AZ(workers_submit(sleepers, sleep_and_post, s, &err));
}

/* ---- routes ---- */

static void get_root(struct http_exchange *x)
{
	static const char line[] = "0123456789abcdef0123456789abcdef";
	struct http_reply reply;

	http_reply_init(&reply, 200);
	for (size_t i = 0; i < 16; i++)
		buf_append(&reply.body, line, 32);
	http_exchange_reply(x, &reply);
}

static void echo(struct http_exchange *x, struct slice body, void *arg UNUSED)
{
	struct http_reply reply;

	http_reply_init(&reply, 200);
	buf_add(&reply.body, body);
	http_exchange_reply(x, &reply);
}

static void post_echo(struct http_exchange *x)
{
	http_exchange_collect(x, query_number(x, "max", MIB), echo, NULL);
}

/* The body is read from what was taken over. */
static void echo_taken(struct http_exchange *x, struct slice body UNUSED, void *arg)
{
	CLEANUP(http_collected_freep) struct http_collected *taken = http_exchange_take_body(x);

	AN(taken != NULL);
	echo(x, http_collected_text(taken), arg);
}

/* ?room=: of what is over 1,000 bytes. */
static int admit(struct http_exchange *x, size_t declared, void *arg UNUSED, struct error *err)
{
	if (declared <= query_number(x, "room", MIB))
		return 0;
	return error_set(err, ERROR_TOO_MANY, "no room for %zu bytes", declared);
}

static void post_echo_large(struct http_exchange *x)
{
	static const struct http_admission admission = {1000, admit};

	http_exchange_collect_large(x, query_number(x, "max", MIB), &admission, echo_taken, NULL);
}

/* The length and the Adler-32 checksum (RFC 1950) of a body: no byte is lost, doubled or moved. */
struct count {
	uint64_t bytes, a, b;
	unsigned pause_ms, work_ms; /* for every piece */
};

static void count_resume(struct http_exchange *x, void *arg UNUSED)
{
	if (x != NULL)
		http_exchange_resume(x);
	else
		posts_gone++;
}

static void count_data(struct http_exchange *x, struct slice data, void *arg)
{
	struct count *count = arg;

	count->bytes += data.n;
	for (size_t i = 0; i < data.n; i++) {
		count->a += (unsigned char)data.p[i];
		count->b += count->a;
	}
	count->a %= ADLER_MOD;
	count->b %= ADLER_MOD;
	usleep(1000 * count->work_ms);
	if (count->pause_ms > 0) {
		http_exchange_pause(x);
		later(x, count->pause_ms, count_resume, NULL);
	}
}

static void count_end(struct http_exchange *x, void *arg)
{
	struct count *count = arg;
	char text[100];

	snprintf(text, sizeof(text), "%" PRIu64 " %" PRIu64, count->bytes,
		count->b << 16 | count->a);
	reply_text(x, 200, text);
}

static void count_gone(void *arg UNUSED)
{
	streams_gone++;
}

static void post_count(struct http_exchange *x)
{
	static const struct http_sink sink = {count_data, count_end, count_gone};
	struct count *count = calloc(1, sizeof(*count));

	if (count == NULL) {
		reply_text(x, 503, "no memory");
		return;
	}
	count->a = 1;
	count->pause_ms = (unsigned)query_number(x, "pause_ms", 0);
	count->work_ms = (unsigned)query_number(x, "work_ms", 0);
	http_exchange_set_data(x, count, free);
	http_exchange_stream(x, &sink, count);
}

/* Answers in the middle of the stream. */
static void abort_data(struct http_exchange *x, struct slice data, void *arg)
{
	uint64_t *left = arg;

	if (data.n > *left)
		reply_text(x, 409, "enough");
	else
		*left -= data.n;
}

static void never_end(struct http_exchange *x UNUSED, void *arg UNUSED)
{
	assert_failed("a stream that was answered goes on", __FILE__, __LINE__);
}

static void never_gone(void *arg UNUSED)
{
	assert_failed("a stream that was answered is gone", __FILE__, __LINE__);
}

static void post_abort(struct http_exchange *x)
{
	static const struct http_sink sink = {abort_data, never_end, never_gone};
	uint64_t *left = malloc(sizeof(*left));

	AN(left != NULL);
	*left = query_number(x, "after", 0);
	http_exchange_set_data(x, left, free);
	http_exchange_stream(x, &sink, left);
}

static void post_early(struct http_exchange *x)
{
	reply_text(x, 403, "no");
}

static void answer_later(struct http_exchange *x, void *arg UNUSED)
{
	if (x != NULL)
		reply_text(x, 200, "later");
	else
		posts_gone++;
}

static void get_later(struct http_exchange *x)
{
	later(x, (unsigned)query_number(x, "ms", 10), answer_later, NULL);
}

/* Two posts race; the second finds the exchange gone. */
static void get_twice(struct http_exchange *x)
{
	later(x, 1, answer_later, NULL);
	later(x, 1, answer_later, NULL);
}

static void hang_over(struct http_exchange *x, void *arg UNUSED)
{
	AZ(x);
}

static void hang_free(void *data)
{
	hung--;
	http_handle_post(data, hang_over, NULL);
}

/* Is never answered. */
static void get_hang(struct http_exchange *x)
{
	struct http_handle *handle = http_exchange_handle(x);

	AN(handle != NULL);
	hung++;
	http_exchange_set_data(x, handle, hang_free);
}

static void collect_later(struct http_exchange *x, void *arg UNUSED)
{
	if (x != NULL)
		post_echo(x);
	else
		posts_gone++;
}

/* Asks for the body only after a while. */
static void post_echo_later(struct http_exchange *x)
{
	later(x, (unsigned)query_number(x, "ms", 10), collect_later, NULL);
}

struct generator {
	uint64_t pieces, size;
	bool breaks;
};

static int generate(void *arg, struct buf *piece)
{
	struct generator *g = arg;

	if (g->pieces == 0)
		return g->breaks ? -1 : 0;
	g->pieces--;
	for (uint64_t i = 0; i < g->size; i++)
		buf_putc(piece, (char)('a' + g->pieces % 26));
	return 1;
}

static void generator_free(void *arg)
{
	sources_freed++;
	free(arg);
}

static void get_generate(struct http_exchange *x)
{
	struct generator *g = calloc(1, sizeof(*g));
	struct http_reply reply;

	if (g == NULL) {
		reply_text(x, 503, "no memory");
		return;
	}
	g->pieces = query_number(x, "pieces", 3);
	g->size = query_number(x, "size", 10);
	g->breaks = query_number(x, "breaks", 0) > 0;
	http_reply_init(&reply, 200);
	reply.source = (struct http_source){generate, generator_free, g};
	http_exchange_reply(x, &reply);
}

/* ---- sources that wait ---- */

/* Who reads /watch. Its source owns it, and so does a handle that is under way. */
struct watcher {
	LIST_ENTRY(watcher) in_all;
	struct buf news;
	struct http_handle *handle; /* NULL: under way */
	unsigned refs;
	bool over;
};

static pthread_mutex_t watch_lock = PTHREAD_MUTEX_INITIALIZER; /* of all watchers */
static LIST_HEAD(, watcher) watchers = LIST_HEAD_INITIALIZER(watchers);
static unsigned n_watchers;

static void watcher_unref(struct watcher *w)
{
	bool last;

	AZ(pthread_mutex_lock(&watch_lock));
	last = --w->refs == 0;
	AZ(pthread_mutex_unlock(&watch_lock));
	if (!last)
		return;
	buf_done(&w->news);
	free(w);
}

static int watch_next(void *arg, struct buf *piece)
{
	struct watcher *w = arg;
	int more;

	AZ(pthread_mutex_lock(&watch_lock));
	buf_add(piece, buf_slice(&w->news));
	buf_reset(&w->news);
	more = piece->len > 0 ? 1 : w->over ? 0 : HTTP_SOURCE_WAITS;
	AZ(pthread_mutex_unlock(&watch_lock));
	return more;
}

static void watch_drop(struct http_exchange *x, void *arg)
{
	AZ(x);
	watcher_unref(arg);
}

static void watch_free(void *arg)
{
	struct watcher *w = arg;
	struct http_handle *handle;

	sources_freed++;
	AZ(pthread_mutex_lock(&watch_lock));
	LIST_REMOVE(w, in_all);
	n_watchers--;
	handle = TAKE_PTR(w->handle);
	AZ(pthread_mutex_unlock(&watch_lock));
	if (handle != NULL)
		http_handle_post(handle, watch_drop, w);
	watcher_unref(w);
}

static void get_watch(struct http_exchange *x)
{
	struct watcher *w = calloc(1, sizeof(*w));
	struct http_reply reply;

	AN(w != NULL);
	buf_init(&w->news, MIB);
	buf_puts(&w->news, "begin\n");
	w->refs = 2;
	w->handle = http_exchange_handle(x);
	AN(w->handle != NULL);
	AZ(pthread_mutex_lock(&watch_lock));
	LIST_INSERT_HEAD(&watchers, w, in_all);
	n_watchers++;
	AZ(pthread_mutex_unlock(&watch_lock));
	http_reply_init(&reply, 200);
	reply.close = query_number(x, "close", 0) > 0;
	reply.source = (struct http_source){watch_next, watch_free, w};
	http_exchange_reply(x, &reply);
}

static void watch_resume(struct http_exchange *x, void *arg)
{
	struct watcher *w = arg;
	struct http_handle *handle;

	if (x == NULL) {
		posts_gone++;
		watcher_unref(w);
		return;
	}
	handle = http_exchange_handle(x);
	AN(handle != NULL);
	AZ(pthread_mutex_lock(&watch_lock));
	w->handle = handle;
	AZ(pthread_mutex_unlock(&watch_lock));
	http_exchange_resume_source(x);
	http_exchange_resume_source(x); /* not waiting any more */
}

static void wake_later(struct http_handle *handle, unsigned ms, struct watcher *w)
{
	struct sleep *s = malloc(sizeof(*s));
	struct error err = ERROR_INIT;

	AN(s != NULL);
	*s = (struct sleep){handle, ms, watch_resume, w};
	AZ(workers_submit(sleepers, sleep_and_post, s, &err));
}

static void wake(struct watcher *w, unsigned ms)
{
	struct http_handle *handle = TAKE_PTR(w->handle);

	if (handle != NULL && ms > 0)
		wake_later(handle, ms, w);
	else if (handle != NULL)
		http_handle_post(handle, watch_resume, w);
}

/* Tells every watcher its query (nothing: so that they wake up for nothing), and that this was all.
 * ms: they hear of it after a while, on another thread. */
static void get_news(struct http_exchange *x)
{
	unsigned ms = (unsigned)query_number(x, "ms", 0);
	struct watcher *w;
	char text[20];

	AZ(pthread_mutex_lock(&watch_lock));
	snprintf(text, sizeof(text), "%u", n_watchers);
	LIST_FOREACH(w, &watchers, in_all)
	{
		buf_add(&w->news, http_exchange_query(x));
		w->over = w->over || query_number(x, "over", 0) > 0;
		wake(w, ms);
	}
	AZ(pthread_mutex_unlock(&watch_lock));
	reply_text(x, 200, text);
}

static void get_bytes(struct http_exchange *x)
{
	uint64_t n = query_number(x, "n", 0);
	struct http_reply reply;
	char *room;

	http_reply_init(&reply, (int)query_number(x, "status", 200));
	room = buf_room(&reply.body, n);
	if (room != NULL) {
		memset(room, 'x', n);
		buf_claim(&reply.body, n);
	}
	reply.close = query_number(x, "close", 0) > 0;
	http_exchange_reply(x, &reply);
}

static void get_file(struct http_exchange *x)
{
	uint64_t first = 0, last = FILE_SIZE - 1;
	struct http_reply reply;

	http_reply_init(&reply, 200);
	switch (http_range_parse(
		http_head_get(http_exchange_head(x), "Range"), FILE_SIZE, &first, &last)) {
	case HTTP_RANGE_OK:
		reply.status = 206;
		http_reply_header(&reply, "Content-Range", "bytes %" PRIu64 "-%" PRIu64 "/%zu",
			first, last, FILE_SIZE);
		break;
	case HTTP_RANGE_UNSATISFIABLE:
		reply_text(x, 416, "past the end");
		return;
	case HTTP_RANGE_NONE:
		break;
	}
	reply.fd = dup(fileno(file));
	reply.offset = first;
	reply.length = last - first + 1 + query_number(x, "lie", 0);
	http_exchange_reply(x, &reply);
}

/* The answer's length is known without its bytes. */
static void head_length(struct http_exchange *x)
{
	struct http_reply reply;

	http_reply_init(&reply, 200);
	reply.length = 1234567890123;
	http_exchange_reply(x, &reply);
}

static void get_stats(struct http_exchange *x)
{
	struct http_reply reply;

	http_reply_init(&reply, 200);
	json_begin_object(&reply.body);
	json_member_u64(&reply.body, "exchanges", exchanges);
	json_member_u64(&reply.body, "hung", hung);
	json_member_u64(&reply.body, "streams_gone", streams_gone);
	json_member_u64(&reply.body, "posts_gone", posts_gone);
	json_member_u64(&reply.body, "sources_freed", sources_freed);
	AZ(pthread_mutex_lock(&watch_lock));
	json_member_u64(&reply.body, "watchers", n_watchers);
	AZ(pthread_mutex_unlock(&watch_lock));
	json_end_object(&reply.body);
	http_exchange_reply(x, &reply);
}

static void get_peer(struct http_exchange *x)
{
	char text[100];

	snprintf(text, sizeof(text), "%s %s", http_exchange_peer(x),
		http_exchange_is_tls(x) ? "tls" : "plain");
	reply_text(x, 200, text);
}

static void show_request(struct http_exchange *x, struct slice body, void *arg UNUSED)
{
	const struct http_head *head = http_exchange_head(x);
	struct http_reply reply;

	http_reply_init(&reply, 200);
	buf_printf(&reply.body, "%.*s|%.*s|%.*s|", SLICE_ARG(head->method),
		SLICE_ARG(http_exchange_path(x)), SLICE_ARG(http_exchange_query(x)));
	for (size_t i = 0; i < head->n_headers; i++)
		buf_printf(&reply.body, "%.*s=%.*s|", SLICE_ARG(head->headers[i].name),
			SLICE_ARG(head->headers[i].value));
	buf_add(&reply.body, body);
	http_exchange_reply(x, &reply);
}

/* The head is still there when the body has been read. */
static void any_show(struct http_exchange *x)
{
	http_exchange_collect(x, MIB, show_request, NULL);
}

static void handle(struct http_exchange *x, void *arg UNUSED)
{
	static const struct {
		struct slice path;
		void (*handle)(struct http_exchange *x);
	} routes[] = {
		{SLICE("/"), get_root},
		{SLICE("/echo"), post_echo},
		{SLICE("/echo-large"), post_echo_large},
		{SLICE("/echo-later"), post_echo_later},
		{SLICE("/count"), post_count},
		{SLICE("/abort"), post_abort},
		{SLICE("/early"), post_early},
		{SLICE("/later"), get_later},
		{SLICE("/twice"), get_twice},
		{SLICE("/hang"), get_hang},
		{SLICE("/generate"), get_generate},
		{SLICE("/watch"), get_watch},
		{SLICE("/news"), get_news},
		{SLICE("/bytes"), get_bytes},
		{SLICE("/file"), get_file},
		{SLICE("/length"), head_length},
		{SLICE("/stats"), get_stats},
		{SLICE("/peer"), get_peer},
		{SLICE("/show"), any_show},
		{SLICE("*"), get_root},
	};

	exchanges++;
	for (size_t i = 0; i < ARRAY_SIZE(routes); i++)
		if (slice_eq(http_exchange_path(x), routes[i].path)) {
			routes[i].handle(x);
			return;
		}
	reply_text(x, 404, "no such route");
}

static void error_body(const struct error *err, struct buf *ret)
{
	json_begin_object(ret);
	json_member_cstr(ret, "error", err->text);
	json_member_cstr(ret, "code", error_name(err->code));
	json_end_object(ret);
}

/* ---- main ---- */

struct options {
	struct http_limits limits;
	unsigned loops, port, connections, collected, reserved, drain_ms;
	const char *certificate, *key; /* NULL: plain */
};

static bool set_file(struct options *o, struct slice name, const char *value)
{
	if (slice_eq(name, SLICE("certificate")))
		o->certificate = value;
	else if (slice_eq(name, SLICE("key")))
		o->key = value;
	else
		return false;
	return true;
}

static bool set_option(struct options *o, const char *arg)
{
	const struct {
		const char *name;
		unsigned *at;
	} known[] = {
		{"loops", &o->loops},
		{"port", &o->port},
		{"drain_ms", &o->drain_ms},
		{"connections", &o->connections},
		{"collected", &o->collected},
		{"reserved", &o->reserved},
		{"head_ms", &o->limits.head_ms},
		{"idle_ms", &o->limits.idle_ms},
		{"body_grace_ms", &o->limits.body_grace_ms},
		{"body_rate", &o->limits.body_rate},
		{"large_rate", &o->limits.large_rate},
		{"send_stall_ms", &o->limits.send_stall_ms},
	};
	struct slice value = slice_of(arg), name = slice_cut(&value, '=');
	uint64_t n;

	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (slice_eq(name, slice_of(known[i].name)) && slice_to_u64(value, &n)) {
			*known[i].at = (unsigned)n;
			return true;
		}
	return set_file(o, name, value.p);
}

static void write_file(void)
{
	file = tmpfile();
	AN(file != NULL);
	for (size_t i = 0; i < FILE_SIZE; i++)
		putc((int)(i % 251), file);
	AZ(fflush(file));
}

static void reload(struct http_tls *tls)
{
	struct error err = ERROR_INIT;

	if (http_tls_reload(tls, &err) != 0)
		printf("%s\n", err.text);
	else
		printf("reloaded\n");
	fflush(stdout);
}

static sigset_t awaited(void)
{
	sigset_t signals;

	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGHUP);
	return signals;
}

static int serve(const struct options *o, struct error *err)
{
	static const struct http_service service = {.handle = handle, .error_body = error_body};
	CLEANUP(http_tls_freep) struct http_tls *tls = NULL;
	struct http_loops *loops;
	struct http_server *server;
	char address[16];
	struct http_server_options options = {.address = address, .limits = &o->limits};
	sigset_t signals = awaited();
	int signal;

	snprintf(address, sizeof(address), ":%u", o->port);
	if (o->certificate != NULL && http_tls_new(&tls, o->certificate, o->key, err) != 0)
		return -1;
	options.tls = tls;
	if (workers_new(&sleepers, "sleeper", SLEEPERS, err) != 0 ||
		http_loops_new(&loops, o->loops, err) != 0 ||
		http_server_new(&server, loops, &options, &service, err) != 0)
		return -1;
	printf("%u\n", http_server_port(server));
	fflush(stdout);
	while (AZ(sigwait(&signals, &signal)), signal == SIGHUP)
		reload(tls);
	http_server_drain(server, o->drain_ms);
	http_server_free(server);
	workers_free(sleepers);
	http_loops_free(loops);
	return 0;
}

int main(int argc, char **argv)
{
	struct options o = {.limits = http_limits_default,
		.loops = 2,
		.connections = LIMIT_HTTP_CONNECTIONS,
		.collected = LIMIT_HTTP_COLLECTED,
		.drain_ms = 5000};
	struct error err = ERROR_INIT;
	sigset_t signals = awaited();

	for (int i = 1; i < argc; i++)
		if (!set_option(&o, argv[i])) {
			fprintf(stderr, "unknown option %s\n", argv[i]);
			return 2;
		}
	o.limits.connections = o.connections;
	o.limits.collected = o.collected;
	o.limits.reserved = o.reserved;
	AZ(sigprocmask(
		SIG_BLOCK, &signals, NULL)); /* the threads inherit it: main waits for them */
	write_file();
	if (serve(&o, &err) != 0) {
		fprintf(stderr, "%s\n", err.text);
		return 1;
	}
	fclose(file);
	return 0;
}
