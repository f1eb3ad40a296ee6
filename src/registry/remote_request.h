/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to registry. One request to a remote registry: credentials, redirects and repetition on
 * top of an http_call. Like a call, it is started and ends with its callback, on the thread that
 * runs http_client_drain().
 */
#ifndef REGISTRY_REMOTE_REQUEST_H
#define REGISTRY_REMOTE_REQUEST_H

#include "http/client.h"
#include "registry/retry.h"

struct remote;

#define REQUEST_ERROR_BODY (64 * KIB) /* enough for any error answer */

struct request {
	/* in */
	struct remote *remote;
	const char *method;
	char *repository; /* as on the wire; this and the next two are the request's to free */
	char *scope;      /* for tokens; NULL: nothing but what authorization holds */
	char *url;
	const char *accept;       /* "Accept: ..." or NULL */
	const char *content_type; /* with a body */
	struct slice body;
	bool send_body;
	size_t transfer; /* bytes that may come or go: a long transfer is given more time */
	size_t body_max; /* of the answer; at first REQUEST_ERROR_BODY */
	bool once;       /* the caller repeats, with request_retry() */
	struct retry retry;
	void (*ended)(struct request *req, void *arg);
	void *arg;

	/* out */
	struct http_call call; /* its answer when err is not set, whatever the status */
	struct error err;
	bool maybe_done; /* some try may have been carried out without saying so */

	/* its own, and that of remote_auth */
	char *authorization; /* "Authorization: ..." or NULL */
	char *content_type_line;
	const char *headers[4];
	unsigned delay_ms;
	unsigned redirects;
	bool challenged; /* was refused without credentials before */
	bool refused;    /* was refused with credentials before */
	struct request *next_waiting;
};

void request_init(struct request *req, struct remote *remote);
void request_done(struct request *req);

/* It may be tried as often and as long as a new one. */
void request_renew(struct request *req);

/* Sets repository (here without the prefix), and as scope these actions on it ("pull,push"). */
int request_repository(struct request *req, const char *repository, const char *actions,
	struct error *err) MUST_CHECK;

/* Sets the URL from the format; _path: what follows the repository in it ("manifests/%s"). */
int request_url(struct request *req, struct error *err, const char *fmt, ...)
	PRINTF_LIKE(3, 4) MUST_CHECK;
int request_path(struct request *req, struct error *err, const char *fmt, ...)
	PRINTF_LIKE(3, 4) MUST_CHECK;

/* Starts it, again if it has ended. The callback may come before this returns. */
void request_start(struct request *req, unsigned delay_ms);

/* Starts it and waits for its end. */
void request_run(struct request *req);

/* Did it fail in a way that may pass? */
bool request_is_transient(const struct request *req);

/* Counts another try and says when it may start; false: give up. */
bool request_retry(struct request *req, unsigned *ret_delay_ms);

/* Where the answer's Location leads; the caller's to free. */
int request_location(char **ret, const struct request *req, struct error *err) MUST_CHECK;

/* Turns an ended request into an error: its own, or what the answer says. "what" begins the
 * sentence. */
int request_error(const struct request *req, const char *what, struct error *err);

/* 0 when it was answered with 200, else that error. */
int request_check(const struct request *req, const char *what, struct error *err) MUST_CHECK;

/* ---- for remote_auth: what it answers to remote_auth_authorize() ---- */
void request_authorized(struct request *req, const struct error *err);

#endif
