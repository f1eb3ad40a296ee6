/* SPDX-License-Identifier: Apache-2.0 */
/* Private to registry. What the parts of a remote registry share. */
#ifndef REGISTRY_REMOTE_INTERNAL_H
#define REGISTRY_REMOTE_INTERNAL_H

#include "base/limits.h"
#include "http/client.h"
#include "http/uri.h"
#include "oci/manifest.h"
#include "registry/known_blobs.h"
#include "registry/remote.h"
#include "registry/remote_auth.h"
#include "registry/remote_request.h"

#define REMOTE_DIGEST_HEADER "docker-content-digest"
#define REMOTE_ACCEPT \
	"Accept: " OCI_MEDIA_MANIFEST ", " OCI_MEDIA_INDEX ", " DOCKER_MEDIA_MANIFEST \
	", " DOCKER_MEDIA_LIST
#define REMOTE_SEEN_TAGS 8

/* A tag and what it named when somebody last looked. */
struct seen_tag {
	char *name; /* "repository:tag" */
	struct digest digest;
};

struct remote {
	struct registry registry; /* first: a struct registry * is a struct remote * */
	struct registry_location location;
	struct http_url origin; /* of location.base */
	unsigned timeout_ms, retries;
	struct http_client *client;
	struct remote_auth *auth;

	/* What pushes have learnt. */
	struct digest empty; /* of OCI_EMPTY */
	struct known_blobs *known;
	char *empty_at; /* a repository, as on the wire, that holds the empty blob; or NULL */
	bool mount_refused;
	enum { POST_UNTRIED, POST_STORES, POST_ONLY_STARTS } post; /* a POST with the whole blob */

	/* What listings have learnt. */
	bool refuses_last;   /* "last", where a listing of tags begins */
	bool tags_unordered; /* they are not in the order of bytes */

	struct seen_tag seen[REMOTE_SEEN_TAGS]; /* latest first */
};

/* Is the URL on the registry itself: same scheme, host and port? */
bool remote_is_origin(const struct remote *r, const char *url);

/* May a URL that the registry named be followed: http or https, and https if the registry is? */
int remote_check_url(const struct remote *r, const char *url, struct error *err) MUST_CHECK;

/* ---- remote_read.c ---- */

void remote_pull(struct registry *registry, struct pull *pulls, size_t n);
void remote_look(struct registry *registry, struct look *looks, size_t n);
int remote_manifest(struct registry *registry, const char *repository, const char *reference,
	struct buf *ret, struct digest *ret_digest, struct error *err) MUST_CHECK;
int remote_blob(struct registry *registry, const char *repository, const struct digest *digest,
	struct buf *ret, struct error *err) MUST_CHECK;

/* ---- remote_push.c ---- */

void remote_push(struct registry *registry, struct push *pushes, size_t n);

/* Somebody looked: the tag (repository as on the wire) names this digest, or, NULL, nothing. Not
 * noted when there is no memory. */
void remote_saw_tag(
	struct remote *r, const char *repository, const char *tag, const struct digest *digest);

#endif
