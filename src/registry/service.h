/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One request to the embedded registry, from its route to its answer.
 *
 *   event loop    who asks, and may they (service_auth.c); somebody else may have to be asked
 *   event loop    start()  picks what it needs of the request, reads the body
 *   worker        run()    reads the store, checks; fills the reply, or asks for a write
 *   committer     apply()  writes, in a transaction that others share; fills the reply
 *   event loop             answers
 *
 * Bodies up to LIMIT_RUN_HERE skip the worker: the loop itself runs what they need.
 *
 * A call is in one place at a time. It outlives its exchange when the connection breaks meanwhile.
 */
#ifndef REGISTRY_SERVICE_H
#define REGISTRY_SERVICE_H

#include "auth/gate.h"
#include "registry/access.h"
#include "registry/embedded_private.h"

#include <stdatomic.h>

struct call;
struct token_request;
struct catalog_walk;

/* What a route asks for, where not everybody may do everything. */
enum need {
	NEED_PROOF,   /* anybody, once proven */
	NEED_CATALOG, /* likewise, and what it lists is what they may pull */
	NEED_PULL,
	NEED_PUSH,
	NEED_TOKEN, /* nothing: it finds out by itself. There only where there is auth */
};

struct route {
	const char *method; /* GET is HEAD too */
	const char *path;   /* "<name>": a repository; a last "<...>": one segment */
	enum need need;
	const char *header;            /* the one request header that run() looks at, or NULL */
	const char *unknown, *invalid; /* codes for ERROR_NOT_FOUND and ERROR_INVALID */
	void (*start)(struct http_exchange *x, struct call *c); /* NULL: call_run */
	int (*run)(struct call *c, struct error *err);          /* 0: c->reply or call_write() */
};

extern const struct route registry_routes[]; /* the NULL method ends */

struct call {
	struct embedded *e;
	const struct route *route;
	atomic_uint refs; /* of the exchange and of the work in progress */
	bool head;        /* HEAD, on a route of GET */

	char repository[LIMIT_REPOSITORY + 1];
	char reference[DIGEST_TEXT_SIZE]; /* tag, digest or upload, decoded */
	char *query;                      /* raw */
	char *header;                     /* NULL when the request has none */

	struct http_reply reply;
	struct error err; /* set: the answer is this error */
	const char *code; /* OCI error code, where the route's own does not fit */

	/* on its way through worker or committer, and where it comes back to */
	struct http_handle *handle;
	void (*work)(struct call *c);
	void (*then)(struct http_exchange *x, struct call *c);
	int (*apply)(struct call *c, struct store_conn *tx, struct error *err);
	struct write write; /* of apply, when run() has asked for it */

	/* who asks (service_auth.c) */
	struct subject *subject; /* NULL: not known, or everybody may do everything */
	char *scopes;            /* all that it may by its registry token; NULL: it has none */
	bool sees_all;           /* may pull from everywhere */
	bool may_mount;          /* what the request names, from c->from */
	const char *challenge;   /* RFC 6750's word for what is wrong with the token, or NULL */
	struct token_request *token_request; /* service_token.c */
	struct catalog_walk *catalog_walk;   /* service_list.c */

	bool on_checker; /* run() has asked to be run once more, there */

	struct digest digest; /* of what the request is about */

	/* pushed manifests */
	struct buf body;
	struct oci_manifest *manifest; /* body, parsed */
	struct slice media_type;
	size_t n_tags;
	struct slice *tags;  /* of the reference or the query, */
	struct buf tag_text; /* where they stand */

	/* uploads */
	struct upload *upload; /* claimed */
	uint64_t chunk_end;    /* where the upload must be after this body; 0: anywhere */
	bool drop_when_cut;    /* a connection that breaks takes the upload with it */
	struct buf filling;    /* from the connection, while */
	struct buf draining;   /* goes to the upload on a worker */
	bool draining_now, paused, ended;
	struct slice content; /* of the finished upload, for its row */
	char from[LIMIT_REPOSITORY + 1];
};

/* ---- service.c: on the loop ---- */

/* It may do what it asks for: goes on with start(). */
void call_permitted(struct http_exchange *x, struct call *c);
/* Runs the route on a worker; answers. */
void call_run(struct http_exchange *x, struct call *c);
/* Runs the route here: for what neither blocks nor takes long. */
void call_run_here(struct http_exchange *x, struct call *c);
/* Runs work on a worker, which ends with call_return(), then "then" here; x == NULL: gone. */
void call_work(struct http_exchange *x, struct call *c, void (*work)(struct call *c),
	void (*then)(struct http_exchange *x, struct call *c));
/* Skips the worker: straight to the committer. */
void call_commit(struct http_exchange *x, struct call *c,
	int (*apply)(struct call *c, struct store_conn *tx, struct error *err));
/* Answers with c->reply, or with c->err. */
void call_answer(struct http_exchange *x, struct call *c);

/* ---- elsewhere ---- */

/* At the end of a run(): what it wants written. */
int call_write(
	struct call *c, int (*apply)(struct call *c, struct store_conn *tx, struct error *err));
/* Goes back to the loop. */
void call_return(struct call *c);

void call_unref(void *call);

/* ---- helpers for the handlers ---- */

/* Makes c->reply an error answer that may have headers of its own. */
void call_error_reply(struct call *c, const struct error *err);
/* Appends a query parameter, decoded, NUL-terminated; *ret stays NULL where it is missing. */
int call_query(const struct call *c, const char *name, char **ret, struct error *err) MUST_CHECK;
/* The reference as a digest; ERROR_INVALID with code DIGEST_INVALID. */
int call_digest(
	struct call *c, struct slice text, struct digest *ret, struct error *err) MUST_CHECK;
void call_reply_digest(struct call *c, const struct digest *digest);

/* ---- service_auth.c: on the loop ---- */

/* Ends in call_permitted(), or answers. */
void call_permit(struct http_exchange *x, struct call *c);

/* May it pull from another repository too, or from all, if that is ""? then() is told, with c as
 * its arg. */
void call_ask_pull(
	struct http_exchange *x, struct call *c, const char *repository, gate_then *then);
/* Or from that namespace? Only if it may by what is known here. */
void call_ask_namespace(
	struct http_exchange *x, struct call *c, const char *namespace, gate_then *then);

/* Puts WWW-Authenticate into c->reply. */
void call_add_challenge(struct http_exchange *x, struct call *c);

/* ---- the handlers ---- */

/* service_token.c */
void token_get(struct http_exchange *x, struct call *c);
void token_post(struct http_exchange *x, struct call *c);
void token_request_free(struct token_request *r);

/* service_manifest.c */
int manifest_get(struct call *c, struct error *err);
void manifest_collect(struct http_exchange *x, struct call *c);
int manifest_put(struct call *c, struct error *err);
int manifest_delete(struct call *c, struct error *err);

/* service_blob.c */
int blob_get(struct call *c, struct error *err);
int blob_delete(struct call *c, struct error *err);

/* service_upload.c */
void upload_post(struct http_exchange *x, struct call *c);
void upload_patch(struct http_exchange *x, struct call *c);
int upload_patch_finish(struct call *c, struct error *err);
void upload_put(struct http_exchange *x, struct call *c);
int upload_put_finish(struct call *c, struct error *err);
void upload_status(struct http_exchange *x, struct call *c);
int upload_cancel(struct call *c, struct error *err);
void upload_abandon(struct call *c); /* the call ends while it has an upload claimed */

/* service_list.c */
int version_get(struct call *c, struct error *err);
void catalog_start(struct http_exchange *x, struct call *c);
void catalog_walk_free(struct catalog_walk *w);
int catalog_get(struct call *c, struct error *err);
int tags_get(struct call *c, struct error *err);
int referrers_get(struct call *c, struct error *err);

#endif
