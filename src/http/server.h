/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP/1.1 server: one event loop per core, each a thread with its own connections.
 *
 * A service gets each request as a struct http_exchange, on the loop's thread, as soon as its head
 * is complete. It then
 *   - reads the body: http_exchange_collect() (whole, in memory) or http_exchange_stream()
 *     (piecewise, with back-pressure), or not at all, and
 *   - answers once, with http_exchange_reply(), at once or later.
 * To answer from another thread, take a handle: http_exchange_handle() before leaving the loop's
 * thread, http_handle_post() from anywhere to come back to it.
 *
 * The exchange belongs to the server, and is gone when it is answered, or its source is over, or
 * its connection breaks; only handles outlive it. A client that leaves before its answer is noticed
 * at once where it resets the connection, and within a second where it just closes it: it might
 * still read. HTTP/1.0's is not noticed then. All http_exchange_ functions: on the loop's thread
 * only.
 */
#ifndef HTTP_SERVER_H
#define HTTP_SERVER_H

#include "base/buf.h"
#include "http/codec.h"
#include "http/tls.h"

struct http_exchange;

/* ---- loops: shared by all servers of a process ---- */

struct http_loops;

int http_loops_new(struct http_loops **ret, size_t n_loops, struct error *err) MUST_CHECK;
/* Ends the threads; the servers must have been freed. Whatever was posted has run. */
void http_loops_free(struct http_loops *loops);

/* ---- servers ---- */

/* A request that is over: its answer was sent, or its connection broke. */
struct http_done {
	struct slice method, path; /* SLICE_NONE where its head could not be read */
	const char *route;         /* of http_exchange_set_route(), or NULL */
	bool probe;
	struct slice id;
	const char *peer;        /* the client's address; "": a Unix socket */
	int status;              /* 0: no answer had begun */
	bool broken;             /* the client has not had all of the answer */
	uint64_t received, sent; /* bytes, heads included */
	uint64_t duration_us;    /* from the first byte that came to the last that went */
};

struct http_service {
	void (*handle)(struct http_exchange *x, void *arg);
	void *arg;
	/* The body of an error answer that the server itself gives (400, 408, 413, 431, 503). */
	void (*error_body)(const struct error *err, struct buf *ret);
	/*
	 * NULL, or: told of each request that is over, on the loop's thread, those that handle()
	 * never saw included. Its requests have ids then: that of their X-Request-Id, where it is
	 * printable ASCII of at most LIMIT_HTTP_REQUEST_ID bytes, else a fresh one. Every answer
	 * has it as X-Request-Id.
	 */
	void (*done)(const struct http_done *done, void *arg);
};

struct http_limits {
	size_t connections;
	unsigned head_ms, idle_ms;
	unsigned body_grace_ms, body_rate; /* bytes a second, over every body_grace_ms, */
	unsigned large_rate;               /* of one that was admitted as large, or that takes more
					    * than LIMIT_HTTP_SMALL of memory */
	unsigned send_stall_ms;
	size_t collected; /* bytes of memory for the bodies of http_exchange_collect(), */
	size_t reserved;  /* of which so many are for those of at most LIMIT_HTTP_SMALL */
};
extern const struct http_limits http_limits_default; /* from base/limits.h */

struct http_server;

struct http_server_options {
	const char *address;
	const struct http_limits *limits; /* NULL: the default */
	struct http_tls *tls;             /* NULL: plain. Borrowed; never of a Unix socket */
};

/*
 * Listens at once; the service is called from then on.
 *
 * address: "host:port" or ":port", where port 0 picks one and a taken one is an error that names
 * it; or "unix:PATH": a Unix socket of mode 0600, for who may use this folder. The caller must know
 * that no other process listens there: what was left behind at PATH is replaced. It is removed when
 * the server drains.
 */
int http_server_new(struct http_server **ret, struct http_loops *loops,
	const struct http_server_options *options, const struct http_service *service,
	struct error *err) MUST_CHECK;
uint16_t http_server_port(const struct http_server *server); /* 0: a Unix socket */

/* Stops accepting, closes idle connections, lets open requests finish for timeout_ms, then closes
 * what is left. Not from a loop's thread. Returns when no connection is left. */
void http_server_drain(struct http_server *server, unsigned timeout_ms);
void http_server_free(struct http_server *server); /* drains with 0 */

/* ---- requests ---- */

const struct http_head *http_exchange_head(const struct http_exchange *x);
struct slice http_exchange_path(const struct http_exchange *x);  /* raw, before "?" */
struct slice http_exchange_query(const struct http_exchange *x); /* raw, after "?", or empty */

/* The client's address, as that of http_done. */
const char *http_exchange_peer(const struct http_exchange *x);
bool http_exchange_is_tls(const struct http_exchange *x);

/* What done() calls its path by: a constant, such as "/api/v1/resources/{name}". probe: it is asked
 * over and over, so that it succeeds is not worth a line. */
void http_exchange_set_route(struct http_exchange *x, const char *route, bool probe);

/* A place for the service's own state, freed with the exchange. */
void http_exchange_set_data(struct http_exchange *x, void *data, void (*free_data)(void *data));

/* Reads the body, then calls done; the body lives as long as the exchange. Over max bytes: the
 * server answers 413, before reading it where the length was declared, and done is not called. Nor
 * is it where all bodies together would take more memory than the limit: then it answers 503. */
void http_exchange_collect(struct http_exchange *x, size_t max,
	void (*done)(struct http_exchange *x, struct slice body, void *arg), void *arg);

/* Likewise, of what may be large: once it is known to be over small bytes, by what was declared or
 * by what has come, admit() is called, which says no with an error that the server answers;
 * declared: at most so many bytes. From then on the body must come faster (large_rate). */
struct http_admission {
	size_t small;
	int (*admit)(struct http_exchange *x, size_t declared, void *arg, struct error *err);
};
void http_exchange_collect_large(struct http_exchange *x, size_t max,
	const struct http_admission *admission,
	void (*done)(struct http_exchange *x, struct slice body, void *arg), void *arg);

/* The collected body, for another thread: the caller's until it lets go of it, which must be before
 * the server is freed. The slice stays what it is. NULL without memory. */
struct http_collected;
struct http_collected *http_exchange_take_body(struct http_exchange *x) MUST_CHECK;
struct slice http_collected_text(const struct http_collected *body);
void http_collected_free(struct http_collected *body); /* any thread */
DEFINE_CLEANUP(struct http_collected, http_collected_free);

/* Streams the body. data() may call http_exchange_pause(); no more comes until
 * http_exchange_resume(). gone() is called instead of end() when the connection breaks or the
 * framing is bad. An answer given before end() stops the stream: none of them is called then. */
struct http_sink {
	void (*data)(struct http_exchange *x, struct slice data, void *arg);
	void (*end)(struct http_exchange *x, void *arg);
	void (*gone)(void *arg);
};
void http_exchange_stream(struct http_exchange *x, const struct http_sink *sink, void *arg);
void http_exchange_pause(struct http_exchange *x);
void http_exchange_resume(struct http_exchange *x);

/* ---- answers ---- */

/* A body made piece by piece, as the client takes it. Sent chunked (HTTP/1.0: until close). */
struct http_source {
	/* Appends the next piece, at most LIMIT_HTTP_WINDOW bytes. 1: there is more (and the piece
	 * is not empty; after one of less than 1 KiB other connections have their turn), 0: that
	 * was all, -1: break the connection, HTTP_SOURCE_WAITS: nothing now (and the piece is
	 * empty); it is asked again after http_exchange_resume_source(). */
	int (*next)(void *arg, struct buf *piece);
	void (*free)(void *arg);
	void *arg;
};

#define HTTP_SOURCE_WAITS 2

/*
 * There may be more of the source that said HTTP_SOURCE_WAITS. On the loop's thread: so from
 * http_handle_post(), with the x that it gives. Harmless where it does not wait.
 *
 * An exchange answered with a source lives until that is over, and its handles reach it until then:
 * those taken before the answer, and those taken since (one per post). They find it gone when the
 * source's free() is called.
 *
 * While a source waits and the client has all there was, the connection has no deadline. The source
 * is over, and what was sent is ended as a whole answer, as soon as the client closes the
 * connection or its side of it, and when the server drains. Such an answer should set close: what a
 * client sends behind its request would wait for ever.
 */
void http_exchange_resume_source(struct http_exchange *x);

/* An answer under construction. Content-Length, Date, Connection and Transfer-Encoding are the
 * server's; HEAD and 204/304 are sent without the body but with its length. */
struct http_reply {
	int status;
	struct buf headers;        /* "Name: value\r\n" lines */
	struct buf body;           /* used when neither of the next two is set */
	int fd;                    /* >= 0: bytes [offset, offset + length) of that file; owned */
	uint64_t offset, length;   /* length alone says it where no body is sent (HEAD) */
	struct http_source source; /* next != NULL: owned */
	bool close;
};

void http_reply_init(struct http_reply *reply, int status);
void http_reply_done(struct http_reply *reply);
void http_reply_header(struct http_reply *reply, const char *name, const char *fmt, ...)
	PRINTF_LIKE(3, 4); /* CR or LF in the value is a bug: asserted */

/* Sends it and leaves reply empty (as after http_reply_done). Once per exchange. A reply whose
 * buffers failed becomes a 503. */
void http_exchange_reply(struct http_exchange *x, struct http_reply *reply);

/* ---- other threads ---- */

struct http_handle;

/* Any number per exchange, until it is answered, or its source is over. NULL without memory. */
struct http_handle *http_exchange_handle(struct http_exchange *x) MUST_CHECK;

/* Any thread: consumes the handle and runs fn on the loop's thread, with x == NULL when the
 * exchange is gone by then. fn always runs, exactly once. */
void http_handle_post(
	struct http_handle *handle, void (*fn)(struct http_exchange *x, void *arg), void *arg);

#endif
