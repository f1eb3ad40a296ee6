/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Somebody else who knows identities and permissions: the cluster room, by TokenReview and
 * SubjectAccessReview of the Kubernetes API. An interface, as that room comes later.
 *
 * All functions: any thread, an event loop's too; they copy what they get, and done is called
 * exactly once, perhaps before they return, perhaps on another thread.
 */
#ifndef AUTH_REVIEWER_H
#define AUTH_REVIEWER_H

#include "auth/subject.h"

/* subject: borrowed, with ERROR_NONE; or NULL with err: ERROR_UNAUTHORIZED (it proves nothing) or
 * ERROR_UNAVAILABLE (it cannot be asked). */
typedef void reviewer_identified(struct subject *subject, const struct error *err, void *arg);
/* err: ERROR_NONE: yes; ERROR_DENIED: no, with the reason if there is one; ERROR_UNAVAILABLE. */
typedef void reviewer_authorized(const struct error *err, void *arg);

struct reviewer {
	void (*identify)(void *arg, struct slice token, reviewer_identified *done, void *done_arg);
	/* namespace AUTH_EVERYWHERE: in all of them. */
	void (*authorize)(void *arg, const struct subject *subject, enum auth_action action,
		const char *namespace, reviewer_authorized *done, void *done_arg);
	void *arg;
};

#endif
