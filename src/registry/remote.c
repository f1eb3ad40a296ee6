/* SPDX-License-Identifier: Apache-2.0 */
#include "registry/remote.h"

#include <jansson.h>
#include <stdio.h>

#include "registry/remote_internal.h"

/* ---- URLs ---- */

/* Where a URL leads, whatever its path and query. */
struct origin {
	char text[512];
	struct http_url url; /* of the text */
};

static int parse_origin(struct origin *ret, const char *url, struct error *err)
{
	struct slice origin = http_url_origin(url);

	if (origin.n >= sizeof(ret->text))
		return error_set(err, ERROR_INTERNAL, "the registry named a URL that is too long");
	memcpy(ret->text, origin.p, origin.n);
	ret->text[origin.n] = '\0';
	if (http_url_parse(&ret->url, ret->text, err) == 0)
		return 0;
	err->code = ERROR_INTERNAL;
	return error_wrap(err, "the registry named a URL that cannot be followed");
}

bool remote_is_origin(const struct remote *r, const char *url)
{
	const struct http_url *own = &r->origin;
	struct origin other;
	struct error ignored;

	return parse_origin(&other, url, &ignored) == 0 && other.url.https == own->https &&
	       other.url.port == own->port && slice_eq_nocase(other.url.host, own->host);
}

int remote_check_url(const struct remote *r, const char *url, struct error *err)
{
	struct origin origin;

	if (parse_origin(&origin, url, err) != 0)
		return -1;
	if (r->origin.https && !origin.url.https)
		return error_set(err, ERROR_INTERNAL,
			"the registry is reached over https and refers to plain http; set its "
			"external URL (behind a proxy: X-Forwarded-Proto)");
	return 0;
}

/* ---- one request and its answer ---- */

/* A request of a read, with what it needs around it. */
struct read {
	struct retry retry;
	char *repository; /* as on the wire */
	char *scope;
	struct request request;
};

static void read_done(struct read *read)
{
	request_done(&read->request);
	free(read->repository);
	free(read->scope);
}

static void read_init(struct read *read, struct remote *r, const char *method, size_t body_max)
{
	*read = (struct read){.retry = remote_retry(r)};
	request_init(&read->request, r, body_max);
	read->request.method = method;
	read->request.retry = &read->retry;
}

static int read_set_repository(
	struct read *read, const char *repository, const char *actions, struct error *err)
{
	read->repository = str_printf("%s%s", read->request.remote->location.prefix, repository);
	if (read->repository == NULL)
		return error_no_memory(err);
	read->scope = str_printf("repository:%s:%s", read->repository, actions);
	if (read->scope == NULL)
		return error_no_memory(err);
	read->request.scope = read->scope;
	return 0;
}

static int set_manifest_url(struct read *read, const char *reference, struct error *err)
{
	return request_url(&read->request, err, "%s/v2/%s/manifests/%s",
		read->request.remote->location.base, read->repository, reference);
}

/* Sends it; anything but a 200 is an error that begins with "what". */
static int read_run(struct read *read, const char *what, struct error *err)
{
	if (request_run(&read->request, err) != 0)
		return error_wrap(err, "%s", what);
	if (read->request.call.status != 200)
		return request_error(&read->request, what, err);
	return 0;
}

static struct slice body_of(const struct read *read)
{
	return buf_slice(&read->request.call.response_body);
}

/* ---- manifests ---- */

static int get_manifest(struct read *read, struct remote *r, const char *repository,
	const char *reference, size_t max, struct error *err)
{
	read_init(read, r, "GET", max);
	read->request.accept = REMOTE_ACCEPT;
	if (read_set_repository(read, repository, "pull,push", err) != 0 ||
		set_manifest_url(read, reference, err) != 0)
		return -1;
	return read_run(read, "reading a manifest", err);
}

static int parse_said(struct digest *ret, struct slice said, struct error *err)
{
	if (digest_parse(ret, said, err) == 0)
		return 0;
	err->code = ERROR_INTERNAL;
	return error_wrap(err, "the registry's Docker-Content-Digest");
}

/* What the answer must be: the digest that was asked for, else the one that the header states, else
 * whatever came. */
static int verify_manifest(
	struct digest *ret, const struct read *read, const char *reference, struct error *err)
{
	struct slice said = http_call_header(&read->request.call, REMOTE_DIGEST_HEADER);
	struct digest expected, found;

	if (strchr(reference, ':') != NULL)
		said = slice_of(reference);
	if (said.p == NULL) {
		*ret = digest_of(body_of(read));
		return 0;
	}
	if (parse_said(&expected, said, err) != 0)
		return -1;
	found = digest_of_as(expected.algorithm, body_of(read));
	if (!digest_eq(&found, &expected))
		return error_set(err, ERROR_INTERNAL,
			"the manifest %s is damaged: its bytes do not match its digest", reference);
	*ret = found;
	return 0;
}

static int remote_manifest(struct registry *registry, const char *repository, const char *reference,
	struct buf *ret, struct digest *ret_digest, struct error *err)
{
	struct remote *r = (struct remote *)registry;
	CLEANUP(read_done) struct read read;
	struct digest digest;

	if (get_manifest(&read, r, repository, reference, ret->max - ret->len, err) != 0 ||
		verify_manifest(&digest, &read, reference, err) != 0)
		return -1;
	buf_add(ret, body_of(&read));
	if (buf_check(ret, err) != 0)
		return -1;
	*ret_digest = digest;
	return 0;
}

/* Some registries tell the digest on GET only, or not at all. */
static int resolve_by_get(struct remote *r, const char *repository, const char *tag,
	struct digest *ret, struct error *err)
{
	CLEANUP(read_done) struct read read;

	if (get_manifest(&read, r, repository, tag, LIMIT_MANIFEST, err) != 0)
		return -1;
	return verify_manifest(ret, &read, tag, err);
}

static int look_up(struct remote *r, const char *repository, const char *tag, struct digest *ret,
	struct error *err)
{
	CLEANUP(read_done) struct read read;
	struct slice said;

	read_init(&read, r, "HEAD", REQUEST_ERROR_BODY);
	read.request.accept = REMOTE_ACCEPT;
	if (read_set_repository(&read, repository, "pull,push", err) != 0 ||
		set_manifest_url(&read, tag, err) != 0)
		return -1;
	if (read_run(&read, "looking up a tag", err) != 0) {
		if (err->code == ERROR_NOT_FOUND)
			remote_saw_tag(r, read.repository, tag, NULL);
		return -1;
	}
	said = http_call_header(&read.request.call, REMOTE_DIGEST_HEADER);
	if (said.p == NULL ? resolve_by_get(r, repository, tag, ret, err) != 0
			   : parse_said(ret, said, err) != 0)
		return -1;
	remote_saw_tag(r, read.repository, tag, ret);
	return 0;
}

static void remote_look(struct registry *registry, struct look *looks, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct look *l = &looks[i];

		l->err = (struct error)ERROR_INIT;
		(void)look_up(
			(struct remote *)registry, l->repository, l->tag, &l->digest, &l->err);
	}
}

/* ---- blobs ---- */

static int remote_blob(struct registry *registry, const char *repository,
	const struct digest *digest, struct buf *ret, struct error *err)
{
	struct remote *r = (struct remote *)registry;
	CLEANUP(read_done) struct read read;
	char text[DIGEST_TEXT_SIZE];
	struct digest found;

	read_init(&read, r, "GET", ret->max - ret->len);
	read.request.transfer = ret->max - ret->len;
	if (read_set_repository(&read, repository, "pull,push", err) != 0 ||
		request_url(&read.request, err, "%s/v2/%s/blobs/%s", r->location.base,
			read.repository, digest_format(digest, text)) != 0 ||
		read_run(&read, "reading a blob", err) != 0)
		return -1;
	found = digest_of_as(digest->algorithm, body_of(&read));
	if (!digest_eq(&found, digest))
		return error_set(err, ERROR_INTERNAL,
			"the blob %s is damaged: its bytes do not match its digest", text);
	buf_add(ret, body_of(&read));
	return buf_check(ret, err);
}

/* ---- listings: pages of the size that the registry likes, since some refuse a large n ---- */

typedef int each_fn(struct slice item, void *arg, struct error *err);

/* Calls each() for the strings in the page's array of that name (null, and it may be missing, when
 * there are none). */
static int read_page(struct slice body, const char *name, struct slice prefix, each_fn *each,
	void *arg, struct error *err)
{
	CLEANUP(json_decrefp)
	json_t *root = json_loadb(body.p == NULL ? "" : body.p, body.n, 0, NULL);
	const json_t *list = json_object_get(root, name), *item;
	size_t i;

	if (!json_is_object(root) || (list != NULL && !json_is_array(list) && !json_is_null(list)))
		return error_set(err, ERROR_INTERNAL,
			"the registry's listing is no JSON object with an array \"%s\"", name);
	json_array_foreach(list, i, item)
	{
		struct slice text = {json_string_value(item), json_string_length(item)};

		if (text.p == NULL)
			return error_set(err, ERROR_INTERNAL,
				"the registry's listing holds something else than strings");
		if (!slice_starts(text, prefix))
			continue;
		text.p += prefix.n;
		text.n -= prefix.n;
		if (each(text, arg, err) != 0)
			return -1;
	}
	return 0;
}

/* Sets the request's URL to the next page; *ret_more says whether there is one. */
static int next_page(struct read *read, bool *ret_more, struct error *err)
{
	struct request *req = &read->request;
	struct slice target = http_link_next(http_call_header(&req->call, "link"));
	AUTO_FREE char *text = slice_dup(target), *url = NULL;

	if (text == NULL)
		return error_no_memory(err);
	*ret_more = target.p != NULL;
	if (!*ret_more)
		return 0;
	if (http_url_join(&url, req->url, text, err) != 0)
		return -1;
	if (!remote_is_origin(req->remote, url))
		return error_set(err, ERROR_INTERNAL,
			"the registry continues a listing on another host; set its external URL");
	return request_url(req, err, "%s", url);
}

static int read_pages(struct read *read, const char *what, const char *name, struct slice prefix,
	each_fn *each, void *arg, struct error *err)
{
	bool more = true;

	for (unsigned pages = 0; more; pages++) {
		if (pages == LIMIT_PAGES)
			return error_set(err, ERROR_INTERNAL,
				"the registry's listing does not end after %d pages", LIMIT_PAGES);
		read->retry = remote_retry(read->request.remote);
		if (read_run(read, what, err) != 0 ||
			read_page(body_of(read), name, prefix, each, arg, err) != 0 ||
			next_page(read, &more, err) != 0)
			return -1;
	}
	return 0;
}

static int remote_tags(struct registry *registry, const char *repository, each_fn *each, void *arg,
	struct error *err)
{
	struct remote *r = (struct remote *)registry;
	CLEANUP(read_done) struct read read;
	int status;

	read_init(&read, r, "GET", LIMIT_LISTING);
	if (read_set_repository(&read, repository, "pull,push", err) != 0 ||
		request_url(&read.request, err, "%s/v2/%s/tags/list", r->location.base,
			read.repository) != 0)
		return -1;
	if (read_pages(&read, "listing tags", "tags", SLICE_NONE, each, arg, err) == 0)
		return 0;
	status = read.request.call.status;
	return status == 404 && err->code == ERROR_NOT_FOUND ? 0 : -1;
}

static int remote_repositories(
	struct registry *registry, each_fn *each, void *arg, struct error *err)
{
	struct remote *r = (struct remote *)registry;
	CLEANUP(read_done) struct read read;

	read_init(&read, r, "GET", LIMIT_LISTING);
	read.request.scope = "registry:catalog:*";
	if (request_url(&read.request, err, "%s/v2/_catalog", r->location.base) != 0)
		return -1;
	return read_pages(&read, "listing repositories", "repositories",
		slice_of(r->location.prefix), each, arg, err);
}

/* ---- the rest ---- */

/* By tag, never by digest: some registries untag everything on a manifest that is deleted. */
static int remote_delete_tag(
	struct registry *registry, const char *repository, const char *tag, struct error *err)
{
	struct remote *r = (struct remote *)registry;
	CLEANUP(read_done) struct read read;
	int status;

	ASSERT(oci_tag_ok(slice_of(tag)));
	read_init(&read, r, "DELETE", REQUEST_ERROR_BODY);
	if (read_set_repository(&read, repository, "delete,pull,push", err) != 0 ||
		set_manifest_url(&read, tag, err) != 0)
		return -1;
	if (request_run(&read.request, err) != 0)
		return error_wrap(err, "deleting a tag");
	status = read.request.call.status;
	if (status >= 200 && status < 300)
		return 0;
	request_error(&read.request, "deleting a tag", err);
	if (status == 400 || status == 403 || status == 405 || status == 501)
		err->code = ERROR_NOT_IMPLEMENTED;
	return -1;
}

static int remote_begin(struct registry *registry UNUSED, struct error *err UNUSED)
{
	return 0;
}

static int remote_commit(struct registry *registry UNUSED, struct error *err UNUSED)
{
	return 0;
}

static void remote_rollback(struct registry *registry UNUSED)
{
}

static void remote_free(struct registry *registry)
{
	struct remote *r = (struct remote *)registry;

	for (size_t i = 0; i < REMOTE_SEEN_TAGS; i++)
		free(r->seen[i].name);
	auth_free(r->auth);
	http_client_free(r->client);
	known_blobs_free(r->known);
	free(r->empty_at);
	free(r);
}

static const struct registry_ops ops = {
	.begin = remote_begin,
	.push = remote_push,
	.commit = remote_commit,
	.rollback = remote_rollback,
	.pull = registry_pull_in_turn,
	.look = remote_look,
	.manifest = remote_manifest,
	.blob = remote_blob,
	.tags = remote_tags,
	.repositories = remote_repositories,
	.delete_tag = remote_delete_tag,
	.free = remote_free,
};

int remote_new(struct registry **ret, const struct remote_options *options, struct error *err)
{
	struct http_client_options http = {
		.ca_file = options->ca_file,
		.parallel = LIMIT_PARALLEL_TRANSFERS,
	};
	struct remote *r = calloc(1, sizeof(*r));
	CLEANUP(registry_freep) struct registry *registry = NULL;

	if (r == NULL)
		return error_no_memory(err);
	r->registry.ops = &ops;
	registry = &r->registry;
	r->empty = digest_of(OCI_EMPTY);
	r->timeout_ms = options->timeout_ms == 0 ? LIMIT_REQUEST_MS : options->timeout_ms;
	r->retries = options->retries == (unsigned)-1 ? LIMIT_RETRIES : options->retries;
	if (registry_location_parse(&r->location, options->location, err) != 0 ||
		http_url_parse(&r->origin, r->location.base, err) != 0 ||
		known_blobs_new(&r->known, err) != 0 ||
		http_client_new(&r->client, &http, err) != 0 ||
		auth_new(&r->auth, r, options->docker_config, err) != 0)
		return -1;
	*ret = TAKE_PTR(registry);
	return 0;
}
