/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP/1.1 for the load generator: one blocking keep-alive connection per thread, no copy of a
 * request's body, as little work as possible per answer. Not for anything else: it believes what
 * the server says about framing.
 */
#ifndef BENCH_LOAD_HTTP_H
#define BENCH_LOAD_HTTP_H

#include "base/error.h"
#include "base/str.h"
#include "bench/load_tls.h"

#include <netinet/in.h>

struct target {
	struct sockaddr_in address;
	char ip[INET_ADDRSTRLEN];
	char host[64];           /* for the Host header */
	char authorization[512]; /* that header, as a line; "": none */
	SSL_CTX *tls;            /* NULL: without */
};

/* "http://127.0.0.1:5000", or https: an IPv4 address and a port. An authorization that is there
 * stays. */
int target_parse(struct target *ret, const char *url, struct error *err) MUST_CHECK;
/* Of an API token, which the file has. */
int target_authorize(struct target *target, const char *token_file, struct error *err) MUST_CHECK;
void target_done(struct target *target);

/* A connection that blocks, with its handshake done; *ret_tls is NULL without TLS. */
int target_connect(
	const struct target *target, int *ret_fd, SSL **ret_tls, struct error *err) MUST_CHECK;

#define ANSWER_HEADER_SIZE 2048

struct answer {
	int status;
	uint64_t length;                   /* bytes of the body, received */
	char location[ANSWER_HEADER_SIZE]; /* "" when there is none; a path, whatever was sent */
	char next[ANSWER_HEADER_SIZE];     /* of a Link, likewise */
};

struct request {
	const char *method;
	const char *path;         /* with its query */
	const char *content_type; /* NULL: none */
	struct slice body[2];     /* sent one after the other */
	int status;               /* of the answer; any other is an error */
	/* Takes the answer's body piece by piece; NULL drops it. */
	void (*body_part)(void *arg, struct slice bytes);
	void *arg;
};

/* Not connected yet; the target must outlive it. */
struct conn;
int conn_new(struct conn **ret, const struct target *target, struct error *err) MUST_CHECK;
void conn_free(struct conn *c);
DEFINE_CLEANUP(struct conn, conn_free);

int conn_open(struct conn *c, struct error *err) MUST_CHECK; /* unless it is already */

/* Sends and receives. On failure the connection is closed, and opened again by the next request. */
int conn_ask(
	struct conn *c, const struct request *r, struct answer *ret, struct error *err) MUST_CHECK;

#endif
