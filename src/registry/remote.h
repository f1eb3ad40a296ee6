/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any OCI registry over HTTP (distribution-spec v1.1), as a struct registry.
 *
 * Retries with jitter on 429, 500, 502, 503, 504 and lost connections, honouring Retry-After up to
 * LIMIT_RETRY_AFTER_MS, for about LIMIT_REQUEST_MS in all. A push that is safe to repeat ends with
 * ERROR_UNAVAILABLE after that. The move of a tag is repeated only after a look at the tag, and
 * only if it is where registry_resolve() last saw it; ERROR_UNKNOWN_OUTCOME when it may have moved.
 * Credentials come from a docker config.json, read again when the file changes, and answer Basic
 * and Bearer challenges. Tokens are kept per scope until they expire. The program must ignore
 * SIGPIPE.
 */
#ifndef REGISTRY_REMOTE_H
#define REGISTRY_REMOTE_H

#include "oci/reference.h"
#include "oci/registry.h"

struct remote_options {
	const char *location;      /* as for registry_location_parse() */
	const char *docker_config; /* config.json; NULL: $DOCKER_CONFIG/config.json, ~/.docker/ */
	const char *ca_file;       /* NULL: the system's */
	unsigned timeout_ms;       /* one request; 0: LIMIT_REQUEST_MS */
	unsigned retries;          /* tries after the first; (unsigned)-1: LIMIT_RETRIES */
};

int remote_new(
	struct registry **ret, const struct remote_options *options, struct error *err) MUST_CHECK;

#endif
