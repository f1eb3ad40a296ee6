/* SPDX-License-Identifier: Apache-2.0 */
/* Private to cli: what client.c shares with client_watch.c and login.c. */
#ifndef CLI_CLIENT_INTERNAL_H
#define CLI_CLIENT_INTERNAL_H

#include "cli/client.h"

#include "http/client.h"

#include <signal.h>

struct client {
	struct http_client *http; /* NULL: nothing was asked yet */
	char *ca;                 /* NULL: the system's */
	char *server;             /* without slashes at its end */
	char *namespace;
	bool is_default; /* nobody has named a server */
	bool interrupted;
	bool is_login;            /* of client_open_context(): errors say what helps there */
	struct buf authorization; /* the header, or empty */
};

/* Of that context alone, whatever the environment says. */
struct context;
int client_open_context(
	struct client **ret, const struct context *context, struct error *err) MUST_CHECK;

/* What HTTP has to say about the answer of a call that has ended. */
int client_judge(const struct client *c, const struct http_call *call, json_t **ret,
	struct error *err) MUST_CHECK;

/* TLS writes to connections that may be closed, which must not end us; what goes to standard output
 * may. */
struct pipe_signal {
	struct sigaction before;
};
void pipe_signal_ignore(struct pipe_signal *p);
void pipe_signal_restore(const struct pipe_signal *p);

#endif
