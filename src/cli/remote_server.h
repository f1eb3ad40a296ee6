/* SPDX-License-Identifier: Apache-2.0 */
/* A running server, as the client verbs see it: through its API. */
#ifndef CLI_REMOTE_SERVER_H
#define CLI_REMOTE_SERVER_H

#include "base/error.h"
#include "base/str.h"
#include "oci/json_read.h"

struct remote_server;

struct remote_server_options {
	const char *url;
	const char *token_file; /* NULL: it does not ask who we are */
	const char *ca_file;    /* NULL: the system's */
	bool insecure;          /* the token may go over plain HTTP, and not just to this machine */
};
int remote_server_new(struct remote_server **ret, const struct remote_server_options *options,
	struct error *err) MUST_CHECK;
void remote_server_free(struct remote_server *s);
DEFINE_CLEANUP(struct remote_server, remote_server_free);

/* body: JSON, or SLICE_NONE. ret: the object that it answers. An error has the server's own
 * sentence; ERROR_UNAVAILABLE: it may pass. */
int remote_server_call(struct remote_server *s, const char *method, const char *route,
	struct slice body, json_t **ret, struct error *err) MUST_CHECK;

/* The answer is none that this program knows. */
int remote_server_not_understood(struct error *err);

/* Rows for a verb's table of options. */
#define REMOTE_SERVER_OPTION_URL \
	{ \
		"server", "GSQ_SERVER", "URL", "http://127.0.0.1:8080", \
			"of the API of the server that has the store" \
	}
#define REMOTE_SERVER_OPTION_TOKEN \
	{ \
		"bearer-file", "GSQ_BEARER_FILE", "FILE", NULL, \
			"file with the token that says who you are" \
	}
#define REMOTE_SERVER_OPTION_CA \
	{ \
		"server-ca", "GSQ_SERVER_CA", "FILE", NULL, \
			"PEM file of the authority that signed the server's certificate" \
	}
#define REMOTE_SERVER_OPTION_INSECURE \
	{ \
		"insecure", NULL, NULL, NULL, "send the token over http:// to another machine" \
	}

#endif
