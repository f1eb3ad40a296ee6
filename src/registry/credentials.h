/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to registry. Credentials for one registry from docker's config.json: auths, credHelpers
 * and credsStore, in docker's own order: the host's helper, the store, the file.
 *
 * What was found is kept until the file changes (time, size or inode) or credentials_forget():
 * helpers may hand out passwords that live for hours only.
 */
#ifndef REGISTRY_CREDENTIALS_H
#define REGISTRY_CREDENTIALS_H

#include "base/buf.h"

struct credentials {
	char *username, *password; /* both or none */
	char *identity_token;      /* an OAuth2 refresh token, in place of a password; or NULL */
};

struct credential_store;

/* config: NULL for $DOCKER_CONFIG/config.json or ~/.docker/config.json, which need not exist.
 * host: "host" or "host:port". */
int credential_store_new(struct credential_store **ret, const char *config, const char *host,
	struct error *err) MUST_CHECK;
void credential_store_free(struct credential_store *store);

/* Borrowed until the next call; all NULL where there are none. May block on a helper. Every failure
 * is ERROR_UNAUTHORIZED, but for ERROR_NO_MEMORY. */
int credential_store_get(struct credential_store *store, const struct credentials **ret,
	struct error *err) MUST_CHECK;

/* The registry refused them: the next get looks anew. */
void credential_store_forget(struct credential_store *store);

/* Appends "Basic <base64 of username:password>". */
int credentials_basic(const struct credentials *c, struct buf *ret, struct error *err) MUST_CHECK;

/* Is a key of auths or credHelpers this host's? Keys are "host:port" or "https://host/v1/", and
 * Docker Hub's is https://index.docker.io/v1/. */
bool credentials_key_matches(const char *key, const char *host);

#endif
