/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who is it, and may they? The one place where both listeners ask.
 *
 * A credential is what an Authorization header brings: "Bearer X", or "Basic" with X as the
 * password and any user name. X is an API token (auth/tokens.h), a JWT of the OpenID Connect issuer
 * (auth/oidc.h), or else anything that the Kubernetes API takes (auth/reviewer.h). None at all is
 * anonymous, where that is allowed.
 *
 * All functions: any thread, an event loop's too, and none blocks. For a request that is on its
 * loop there is auth/gate.h.
 */
#ifndef AUTH_AUTH_H
#define AUTH_AUTH_H

#include "auth/flights.h"
#include "auth/oidc.h"
#include "auth/policy.h"
#include "auth/reviewer.h"
#include "auth/tokens.h"
#include "oci/digest.h"

#include <stdatomic.h>

#define AUTH_PEER_SIZE 46 /* an IPv6 address */

struct auth;

enum auth_anonymous {
	ANONYMOUS_NONE,
	ANONYMOUS_READ,  /* a viewer everywhere */
	ANONYMOUS_WRITE, /* an admin everywhere: for demos */
};

struct auth_options {
	const char *token_file;  /* NULL: no API tokens */
	const char *policy_file; /* NULL: no rules beside the tokens' own */
	enum auth_anonymous anonymous;
	const struct oidc_options *oidc; /* NULL: none */
	const struct reviewer *reviewer; /* NULL: none; copied. It is asked for what follows: */
	bool reviewer_identifies;        /* credentials that are neither tokens nor the issuer's */
	bool reviewer_authorizes; /* in place of the policy's rules; tokens keep their grants */
	unsigned rate; /* requests a second of a subject that the policy has no rate for; 0: any
			  number */
};

/* Reads both files: an error in one of them is one of the start. */
int auth_new(struct auth **ret, const struct auth_options *options, struct error *err) MUST_CHECK;
/* When nobody asks any more who somebody is: who waits for that gets an answer. */
void auth_stop(struct auth *a);
void auth_free(struct auth *a); /* nobody waits any more */

/* Reads a file again; a bad one keeps what was there, and says so in the log. */
void auth_reload(struct auth *a);
/* Now and then, at least every minute: writes down when tokens were last used. */
void auth_save_uses(struct auth *a);

/* ---- asking ---- */

/*
 * One question and its answer, in memory of the caller's, which must last until done() is called.
 * Where somebody else has to be asked it is answered later, on another thread.
 */
struct auth_question {
	/* in: borrowed until the function returns */
	struct slice authorization; /* the header's value, or SLICE_NONE */
	const char *peer;           /* the client's address; "": a Unix socket */
	enum auth_action action;
	const char *namespace; /* or AUTH_EVERYWHERE */
	bool quiet; /* a no is no refusal, but something to know: not logged or counted */

	/* out */
	struct subject *subject; /* a reference for the caller; may be set beside an error */
	/* ERROR_NONE: yes. ERROR_UNAUTHORIZED: no credential, or one that proves nothing.
	 * ERROR_DENIED: it may not. ERROR_TOO_MANY: too often. ERROR_UNAVAILABLE: who has to be
	 * asked does not answer. */
	struct error err;

	void (*done)(struct auth_question *q, void *arg);
	void *arg;

	/* auth's */
	struct auth *auth;
	bool authorizes; /* too, once it is known who it is */
	atomic_int state;
	struct passenger passenger; /* with the key of what is remembered of the answer */
	char own_peer[AUTH_PEER_SIZE], own_namespace[LIMIT_NAME + 1];
};

/* Who it is, and whether they may. True: answered already, and done() is not called. */
bool auth_ask(struct auth *a, struct auth_question *q) MUST_CHECK;
/* Who it is alone; action and namespace do not count. */
bool auth_identify(struct auth *a, struct auth_question *q) MUST_CHECK;
/* Whether q->subject, which is given here and stays the caller's, may. */
bool auth_authorize(struct auth *a, struct auth_question *q) MUST_CHECK;

/* ERROR_DENIED: it may do this nowhere, whatever a request names later. Who is asked about by
 * others' word may, as far as this knows. peer: for the log. */
int auth_check_somewhere(struct auth *a, const struct subject *subject, enum auth_action action,
	const char *peer, struct error *err) MUST_CHECK;

/* Counts a request that was not identified by one of the above against its subject's rate.
 * ERROR_TOO_MANY: it is one too many. */
int auth_take_rate(struct auth *a, const struct subject *subject, const char *peer,
	struct error *err) MUST_CHECK;

/* For a stream that was allowed: whether it still is, as far as that is known here: the token was
 * not revoked, nothing has expired, the policy still allows it. generation: 0 at first; nothing is
 * looked at while nothing has changed. */
bool auth_still(struct auth *a, const struct subject *subject, enum auth_action action,
	const char *namespace, unsigned *generation);

/* How long a stream may go on without asking again; 0: as long as auth_still(). */
uint64_t auth_stream_s(const struct auth *a, const struct subject *subject);

/* The most resources that a namespace may have, or POLICY_UNLIMITED. */
uint64_t auth_quota(struct auth *a, const char *namespace);

#endif
