/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A running server, as the client verbs see it: which one (flags, environment, the current context
 * of the configuration), who we are, and calls of its API.
 */
#ifndef CLI_CLIENT_H
#define CLI_CLIENT_H

#include "base/buf.h"
#include "cli/cli.h"
#include "oci/json_read.h"

/* Rows at the beginning of the table of options of a client verb; its own go on at CLIENT_OPTIONS_.
 * Each flag beats its environment variable, which beats the context. A context's token, CA and
 * insecure are for its own server, or for one that --server names beside --context. */
enum {
	CLIENT_OPT_NAMESPACE, /* -n */
	CLIENT_OPT_CONTEXT,
	CLIENT_OPT_SERVER,
	CLIENT_OPT_BEARER_FILE,
	CLIENT_OPT_CA,
	CLIENT_OPT_INSECURE,
	CLIENT_OPTIONS_
};
#define CLIENT_OPTION_ROWS \
	[CLIENT_OPT_NAMESPACE] = {.flag = "namespace", \
		.letter = 'n', \
		.env = "GSQ_NAMESPACE", \
		.argument = "NAMESPACE", \
		.help = "of the resources; else the context's, else default"}, \
	[CLIENT_OPT_CONTEXT] = {.flag = "context", \
		.env = "GSQ_CONTEXT", \
		.argument = "NAME", \
		.help = "which of the servers that gsq login knows; else the current one"}, \
	[CLIENT_OPT_SERVER] = {.flag = "server", \
		.env = "GSQ_SERVER", \
		.argument = "URL", \
		.help = "of the API; else the context's, else http://127.0.0.1:8080"}, \
	[CLIENT_OPT_BEARER_FILE] = {.flag = "bearer-file", \
		.env = "GSQ_BEARER_FILE", \
		.argument = "FILE", \
		.help = "file with the token that says who you are"}, \
	[CLIENT_OPT_CA] = {.flag = "server-ca", \
		.env = "GSQ_SERVER_CA", \
		.argument = "FILE", \
		.help = "PEM file of the authority that signed the server's certificate"}, \
	[CLIENT_OPT_INSECURE] = { \
		.flag = "insecure", .help = "send the token over http:// to another machine"}

struct client;

/* Of the verb's values, whose table begins with CLIENT_OPTION_ROWS. Connects to nothing yet. */
int client_open(struct client **ret, const struct cli_values *v, struct error *err) MUST_CHECK;
void client_free(struct client *c);
DEFINE_CLEANUP(struct client, client_free);

const char *client_namespace(const struct client *c); /* as the rows say; a name that can be one */
const char *client_server(const struct client *c);    /* its URL, for messages */

/* ---- calls ---- */

struct client_call {
	const char *method;
	const char *route;        /* path and query, escaped */
	struct slice body;        /* SLICE_NONE: none */
	const char *content_type; /* NULL: application/json */
	const char *headers[4];   /* "Name: value"; NULL ends */
	unsigned timeout_ms;      /* 0: LIMIT_REQUEST_MS */
	struct buf *text;         /* a 2xx answer is no JSON, and goes here; NULL: it is */

	/* out; client_call_done() frees */
	int status;       /* 0: no answer came */
	bool sent;        /* some of it may have reached the server */
	json_t *json;     /* the answer's object, an error's too; NULL: none */
	char etag[64];    /* without quotes; "": none */
	uint64_t at_us;   /* the server's clock, to the second; 0: not told */
	char expires[32]; /* its certificate, as http_call.expires says */
};
void client_call_done(struct client_call *call);

/* 0: 2xx, with json. -1: the server's own sentence, with the code and the field that it gives;
 * ERROR_UNAVAILABLE: it cannot be reached (the text names the server and says what to try), or says
 * so. An answer may be of up to 256 MiB. */
int client_run(struct client *c, struct client_call *call, struct error *err) MUST_CHECK;

/* The short form: GET. ret is the caller's. */
int client_get(struct client *c, const char *route, json_t **ret, struct error *err) MUST_CHECK;

/* All pages of a list, one after the other: calls each() for every element of the member `list` of
 * the answers ("resources"). route without limit and continue. */
int client_list(struct client *c, const char *route, const char *list,
	int (*each)(json_t *element, void *arg, struct error *err), void *arg,
	struct error *err) MUST_CHECK;
/* The same, in pages of so many: where each() soon has enough. */
int client_list_by(struct client *c, const char *route, const char *list, unsigned page,
	int (*each)(json_t *element, void *arg, struct error *err), void *arg,
	struct error *err) MUST_CHECK;

/* Server-Sent Events of a watch route: each(), with the event's name and its data as JSON, until it
 * returns false, or Ctrl-C, which is no error. Connects again where the stream breaks, goes on
 * after the last event, and calls each() with "reset" where events were missed; "hello" comes at
 * first. timeout_ms 0: for ever; else ERROR_TIMEOUT. */
int client_watch(struct client *c, const char *route, unsigned timeout_ms,
	bool (*each)(const char *event, json_t *data, void *arg), void *arg,
	struct error *err) MUST_CHECK;

/* In place of a namespace: all of them, as with -A. It is no name, so no option can be it. */
#define CLIENT_ALL "*"
bool client_is_all(const char *namespace);

/* "/api/v1/namespaces/NAMESPACE/resources" and what follows; NULL without memory. CLIENT_ALL:
 * "/api/v1/resources?namespace=*" where suffix is "". The caller's to free. */
char *client_route(const char *namespace, const char *format, ...) PRINTF_LIKE(2, 3);

/* The answer is none that this program knows. */
int client_not_understood(const struct client *c, struct error *err);

#endif
