/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP client on libcurl: many calls in parallel over kept connections, on the caller's thread.
 *
 * A call is started, perhaps after a delay, and ends with its callback, which may start this or
 * other calls: so each of many conversations goes on as soon as its own last answer is there.
 * http_client_drain() does the work and returns when nothing is left; http_client_run() is the
 * short form for calls that do not depend on each other.
 *
 * One thread at a time per client. No retries, no redirects, no authentication: those are the
 * caller's (registry/remote). Proxy variables (http_proxy, https_proxy, no_proxy) are honoured.
 * The program must ignore SIGPIPE.
 */
#ifndef HTTP_CLIENT_H
#define HTTP_CLIENT_H

#include "base/buf.h"

struct http_client;

struct http_client_options {
	const char *ca_file; /* PEM file to trust instead of the system's; NULL: the system's */
	size_t parallel;     /* transfers at one time; connections kept */
	/* Path of a Unix socket that every call goes to, whatever its URL says and without proxies;
	 * NULL: TCP. */
	const char *unix_socket;
	/* PEM text, copied; SLICE_NONE: none. ca is in place of ca_file and of the system's. */
	struct slice ca, certificate, key;
	bool insecure;     /* takes any certificate of a server */
	bool certificates; /* http_call.expires is wanted */
	/* NULL, or: called while draining, after http_client_wake() and about every tick_ms. It may
	 * start and cancel calls. */
	void (*woken)(void *arg);
	void *woken_arg;
	unsigned tick_ms; /* 0: only when woken */
};

int http_client_new(struct http_client **ret, const struct http_client_options *options,
	struct error *err) MUST_CHECK;
void http_client_free(struct http_client *client); /* nothing may be started and not ended */
DEFINE_CLEANUP(struct http_client, http_client_free);

struct http_call {
	/* in; borrowed until the call has ended */
	const char *method; /* GET, HEAD, POST, PUT, PATCH, DELETE */
	const char *url;
	/* "Name: value", NULL-terminated; NULL: none. One with a line break ends the call, before
	 * anything is sent, with ERROR_INVALID. */
	const char *const *headers;
	struct slice body; /* sent with Content-Length when send_body */
	bool send_body;
	unsigned timeout_ms; /* whole call, without its delay; 0: LIMIT_REQUEST_MS */
	unsigned idle_ms;    /* longest silence, give or take 5 s; 0: only timeout_ms counts */
	/* NULL, or: gets the body of a 2xx answer piece by piece, in place of response_body. -1,
	 * with err filled in: the call ends with that. Must not start or cancel calls. */
	int (*data)(struct slice piece, void *arg, struct error *err);
	void (*ended)(struct http_call *call, void *arg); /* NULL: none */
	void *arg;

	/*
	 * out; http_call_done() frees. The body's maximum is set by http_call_init(), or before a
	 * start in response_body.max: a longer answer is an error, but where the status is 400 or
	 * more its body is cut there.
	 */
	int status;                  /* 0 when no whole answer came: see err */
	struct buf response_headers; /* "name: value\n" lines, names in lower case */
	struct buf response_body;
	bool sent; /* some of the request may have reached the server */
	/* when the server's certificate expires, as OpenSSL says it ("Nov 29 08:05:03 2026 GMT");
	 * "": there is none, or the connection is an old one */
	char expires[32];
	uint64_t started_ms; /* clock_monotonic_ms() */
	struct error err;    /* ERROR_UNAVAILABLE: lost, refused or timed out; else: final */

	/* the client's */
	struct http_call *next;
	uint64_t due_ms;
};

void http_call_init(struct http_call *call, const char *method, const char *url, size_t body_max);
void http_call_done(struct http_call *call);

/* Queues a call that is not under way: new, or ended and now tried again. */
void http_client_start(struct http_client *client, struct http_call *call, unsigned delay_ms);

/* Runs until every call has ended, those included that callbacks start. Not from a callback. */
void http_client_drain(struct http_client *client);

/* Runs until http_client_leave() is called by a callback, also while there is no call. */
void http_client_serve(struct http_client *client);
void http_client_leave(struct http_client *client);

/* Any thread: woken() runs soon on the thread that drains or serves; one run may stand for several
 * wakes. */
void http_client_wake(struct http_client *client);

/* Ends a call that is started and has not ended: ended() is called with ERROR_UNAVAILABLE before
 * this returns. On the client's thread. */
void http_client_cancel(struct http_client *client, struct http_call *call);

/* Starts n calls and drains; each has its own outcome. */
void http_client_run(struct http_client *client, struct http_call *calls, size_t n);

/* Value of the first response header of that name (in lower case), or SLICE_NONE. */
struct slice http_call_header(const struct http_call *call, const char *name);

/* The next value of that name in what is left of the header lines, or SLICE_NONE:
 *   struct slice rest = buf_slice(&call->response_headers); */
struct slice http_header_next(struct slice *rest, const char *name);

/* Scheme, host and port of a URL, as they stand there: the part that a message may show, since a
 * query may hold a signature. */
struct slice http_url_origin(const char *url);

/* Resolves a Location or Link target against the URL of its request (RFC 3986 section 5). */
int http_url_join(
	char **ret, const char *base, const char *reference, struct error *err) MUST_CHECK;

#endif
