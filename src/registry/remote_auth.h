/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to registry. Answers Basic and Bearer challenges (RFC 7617, RFC 6750, and the token
 * protocol of the distribution project), with credentials from docker's config.json.
 *
 * The scheme is learnt from the first 401, and used from then on without waiting to be asked.
 * Tokens are kept per scope until shortly before they expire.
 */
#ifndef REGISTRY_REMOTE_AUTH_H
#define REGISTRY_REMOTE_AUTH_H

#include "registry/remote_request.h"

struct remote_auth;

int remote_auth_new(struct remote_auth **ret, struct remote *remote, const char *docker_config,
	struct error *err) MUST_CHECK;
void remote_auth_free(struct remote_auth *auth);

/* Sets req->authorization for its scope and calls request_authorized(), at once or when a token has
 * come. */
void remote_auth_authorize(struct remote_auth *auth, struct request *req);

/* The request was answered with 401. 0: something was learnt, so authorize and send it again. */
int remote_auth_challenge(
	struct remote_auth *auth, struct request *req, struct error *err) MUST_CHECK;

/* The answer of a token server: "token" or "access_token", and how long it is valid. */
int remote_auth_parse_token(
	struct slice json, char **ret_token, unsigned *ret_expires_s, struct error *err) MUST_CHECK;

#endif
