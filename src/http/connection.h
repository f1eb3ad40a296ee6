/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections and the exchanges on them. Private to the server; on the loop's thread only.
 *
 * Whatever happens to a connection - bytes, a call of the service, a deadline - only changes its
 * fields and puts it on its loop's ready list (conn_ready). The list is run at the end of each
 * callback of libevent (conns_run), by a step per state until there is nothing more to do. So steps
 * never nest, and a connection or an exchange is never freed under a caller's feet.
 */
#ifndef HTTP_CONNECTION_H
#define HTTP_CONNECTION_H

#include "http/loop.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <netinet/in.h>
#include <openssl/ssl.h>

/* The allowed transitions are in connection.c. */
enum conn_state {
	CONN_IDLE,    /* between requests: not a byte of the next one has come */
	CONN_HEAD,    /* a request head is coming in */
	CONN_SERVICE, /* the service has the exchange: it reads the body, or thinks */
	CONN_ANSWER,  /* reply is the answer, to be sent */
	CONN_SOURCE,  /* the answer's source makes more of it as the client takes it */
	CONN_DISCARD, /* the answer is queued; a rest of the body is read and dropped */
	CONN_FLUSH,   /* waiting until the client has taken the answer */
	CONN_LINGER,  /* we have said our last byte; reading until the client has understood */
	CONN_DEAD,    /* to be freed by conns_run */
	CONN_STATES_
};

#define REQUEST_OWN_ID_SIZE 17

/* What the service is told of a request when it is over: more than its exchange lives to see, and
 * all there is of one whose head could not be read. */
struct request {
	bool open;                  /* not over yet */
	bool answered;              /* all of the answer is queued */
	int status;                 /* 0: no answer yet */
	uint64_t started_us;        /* its first byte, or the connection's begin */
	uint64_t body;              /* bytes that came after the head */
	uint64_t queued;            /* of the connection, when it began */
	struct http_exchange *past; /* after exchange_end(), for the head; or NULL */
	struct slice id;            /* in the head, or: */
	char own_id[REQUEST_OWN_ID_SIZE];
};

/* TLS between the socket and a connection's buffers. */
struct secure {
	SSL *ssl; /* NULL: plain */
	struct event *readable, *writable, *again;
	bool begun;        /* the client's first byte was one of TLS */
	bool greeted;      /* the handshake is over */
	bool dry;          /* only the socket can bring more */
	bool read_blocked; /* until the socket takes what reading has to say */
	unsigned records;  /* that have come since the last data */
};

struct conn {
	struct loop *loop;
	struct http_server *server;
	LIST_ENTRY(conn) in_loop;
	STAILQ_ENTRY(conn) in_ready;
	bool is_ready;

	enum conn_state state;
	uint64_t deadline_ms; /* of CONN_IDLE, CONN_HEAD and CONN_LINGER */
	int fd;
	struct bufferevent *bev; /* NULL: TLS */
	struct secure secure;
	struct evbuffer *input, *output; /* what was said and is to be; bev's, or of its own */
	bool eof;                        /* the client has said its last byte */
	bool stopped;                    /* not reading: enough waits, or the service has paused */
	bool keep;                       /* another request may follow this one */
	size_t scanned;                  /* bytes of an incomplete head without a new line's end */

	char peer[INET6_ADDRSTRLEN]; /* "": a Unix socket */

	/* the request */
	struct request request;
	struct http_exchange *x; /* from the end of its head until its answer is queued */
	unsigned minor;          /* HTTP/1.minor */
	bool is_head;            /* the method is HEAD */
	bool continue_wanted;    /* the client waits for 100 Continue before it sends the body */
	bool probed;             /* bytes went out to see whether the client still reads */
	struct http_body body;
	uint64_t body_since_ms;  /* its rate is judged from here; 0: nobody has asked for it yet */
	uint64_t body_paused_ms; /* how long we did not want any of it since, */
	uint64_t body_bytes;     /* and how much of it has come */
	size_t received;         /* of it, past the input buffer, in this turn */

	/* the answer */
	struct http_reply reply;
	bool chunked;
	bool source_waits;    /* until http_exchange_resume_source() */
	uint64_t queued;      /* bytes written to this connection so far, */
	uint64_t taken;       /* of which the kernel had taken these */
	uint64_t taken_at_ms; /* at this time, when it last took some */
};

/* What the service reads of the body. */
enum reading {
	READING_NOT, /* nothing was asked for, or all has been handed over */
	READING_WHOLE,
	READING_STREAM,
};

struct http_exchange {
	struct conn *c;
	struct slice path, query;
	const char *route;
	bool probe;
	void *data;
	void (*free_data)(void *data);
	LIST_HEAD(, http_handle) handles;

	enum reading reading;
	bool was_read; /* a body can be asked for once */
	struct buf body;
	size_t body_memory; /* of the server's budget */
	void (*done)(struct http_exchange *x, struct slice body, void *arg);
	struct http_admission admission; /* admit NULL: none, or it was asked already, */
	bool is_large;                   /* and has let a large one in */
	struct http_sink sink;
	void *reading_arg;
	bool paused;
	uint64_t paused_at_ms;

	struct buf raw; /* the bytes of the head */
	struct http_head head;
};

/* ---- connection.c ---- */

/* Takes over the socket, which is closed when that fails. */
struct conn *conn_new(struct loop *loop, struct http_server *server, int fd) MUST_CHECK;

/* The handshake is over: the client may take its time for a request. */
void conn_greeted(struct conn *c);

/* Instead of a handshake came something else, in plain; so it is now. */
void conn_refuse_plain(struct conn *c);

void conn_ready(struct conn *c);
void conn_set_state(struct conn *c, enum conn_state state);

/* The server's own answer. Ends the exchange, if there is one. close: the framing is lost. */
void conn_fail(struct conn *c, const struct error *err, bool close);

/* Judges the rate of the body from now on. */
void conn_time_body(struct conn *c, uint64_t now);

/* Nothing more can be sent or is worth it. */
void conn_break(struct conn *c);

/* The next bytes that have come, in one piece, so not always all. n is 0 when there are none. */
struct slice conn_input(struct conn *c);

void conns_run(struct loop *loop);
void conns_tick(struct loop *loop);

/* ---- transport.c: all that is to know whether a connection is plain ---- */

/* Makes the buffers of a connection that has its socket, and begins to read. */
int transport_open(struct conn *c, struct http_tls *tls) MUST_CHECK;
int transport_open_plain(struct conn *c) MUST_CHECK;
void transport_close(struct conn *c); /* and the socket; takes what is half open */

void transport_read(struct conn *c, bool wanted);

/* What waits in the output is on its way, or goes when the socket takes it. True: all of it is gone
 * only now, so there may be more to do. */
bool transport_flush(struct conn *c);

/* Sends what the socket takes at once of two pieces, past the output, which is empty; flags: of
 * sendmsg. As sendmsg(2); EAGAIN where there is no such way. */
ssize_t transport_send(struct conn *c, struct slice a, struct slice b, int flags);

/* Reads past the input, which is empty. As recv(2). */
ssize_t transport_receive(struct conn *c, char *ret, size_t max);

/* Nothing more will be sent, and the client is told so, before the socket says it. */
void transport_end(struct conn *c);

/* ---- secure.c: the same of TLS ---- */

int secure_open(struct conn *c, struct http_tls *tls) MUST_CHECK;
void secure_close(struct conn *c);
void secure_read(struct conn *c, bool wanted);
bool secure_flush(struct conn *c);
ssize_t secure_receive(struct conn *c, char *ret, size_t max);
void secure_end(struct conn *c);

static inline bool is_secure(const struct conn *c)
{
	return c->secure.ssl != NULL;
}

/* ---- tls.c ---- */

SSL *tls_session(struct http_tls *tls) MUST_CHECK; /* NULL without memory. Any thread. */

/* ---- answer.c ---- */

/* Writes to the socket what it takes at once, and queues the rest. flags: of sendmsg. */
void conn_send(struct conn *c, struct slice bytes, int flags);

bool answer_step(struct conn *c);  /* CONN_ANSWER */
bool source_step(struct conn *c);  /* CONN_SOURCE */
bool discard_step(struct conn *c); /* CONN_DISCARD */

/* ---- exchange.c ---- */

/* An exchange that nobody uses, or NULL without memory; give_back takes it again. */
struct http_exchange *exchange_take(struct loop *loop);
void exchange_give_back(struct loop *loop, struct http_exchange *x);
void exchange_free_spare(struct loop *loop);

/* Moves a complete head from the connection's input into x and makes it the connection's. */
int exchange_begin(struct http_exchange *x, struct conn *c, const char *p, size_t head_size,
	struct error *err) MUST_CHECK;

/* Tells a sink that waits for the end of its body, detaches the handles, frees; what is left is the
 * head, until request_over(). */
void exchange_end(struct http_exchange *x);

/* From now on handles find the exchange gone. */
void exchange_detach(struct http_exchange *x);

bool service_step(struct conn *c); /* CONN_SERVICE */

/* ---- request.c ---- */

/* The head is there, or will not be: it counts from now on. Nothing if it does already. */
void request_begin(struct conn *c);

/* Tells the service, unless there is no request, and lets go of it. */
void request_over(struct conn *c);

/* ---- reply.c ---- */

void reply_from_error(
	struct http_reply *reply, const struct http_service *service, const struct error *err);

/* ---- server.c ---- */

const struct http_service *server_service(const struct http_server *server);
const struct http_limits *server_limits(const struct http_server *server);
struct http_tls *server_tls(const struct http_server *server); /* NULL: plain */
bool server_draining(const struct http_server *server);
void server_release(struct http_server *server); /* a connection is gone */

/* The budget of memory for collected bodies. Any thread. */
/* is_small: of a body that may use what is kept for small ones. */
bool server_take_memory(struct http_server *server, size_t n, bool is_small) MUST_CHECK;
void server_return_memory(struct http_server *server, size_t n);

#endif
