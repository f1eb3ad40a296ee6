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
static int next_page(struct request *req, bool *ret_more, struct error *err)
{
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

static int read_pages(struct request *req, const char *what, const char *name, struct slice prefix,
	each_fn *each, void *arg, struct error *err)
{
	bool more = true;

	req->method = "GET";
	req->body_max = LIMIT_LISTING;
	for (unsigned pages = 0; more; pages++) {
		if (pages == LIMIT_PAGES)
			return error_set(err, ERROR_INTERNAL,
				"the registry's listing does not end after %d pages", LIMIT_PAGES);
		request_renew(req);
		request_run(req);
		if (request_check(req, what, err) != 0 ||
			read_page(buf_slice(&req->call.response_body), name, prefix, each, arg,
				err) != 0 ||
			next_page(req, &more, err) != 0)
			return -1;
	}
	return 0;
}

static int remote_tags(struct registry *registry, const char *repository, each_fn *each, void *arg,
	struct error *err)
{
	CLEANUP(request_done) struct request req;

	request_init(&req, (struct remote *)registry);
	if (request_repository(&req, repository, "pull,push", err) != 0 ||
		request_path(&req, err, "tags/list") != 0)
		return -1;
	if (read_pages(&req, "listing tags", "tags", SLICE_NONE, each, arg, err) == 0)
		return 0;
	return req.call.status == 404 && err->code == ERROR_NOT_FOUND ? 0 : -1;
}

static int remote_repositories(
	struct registry *registry, each_fn *each, void *arg, struct error *err)
{
	struct remote *r = (struct remote *)registry;
	CLEANUP(request_done) struct request req;

	request_init(&req, r);
	req.scope = strdup("registry:catalog:*");
	if (req.scope == NULL)
		return error_no_memory(err);
	if (request_url(&req, err, "%s/v2/_catalog", r->location.base) != 0)
		return -1;
	return read_pages(&req, "listing repositories", "repositories",
		slice_of(r->location.prefix), each, arg, err);
}

/* ---- the rest ---- */

/* By tag, never by digest: some registries untag everything on a manifest that is deleted. */
static int delete_tag(struct remote *r, const char *repository, const char *tag, struct error *err)
{
	CLEANUP(request_done) struct request req;
	int status;

	ASSERT(oci_tag_ok(slice_of(tag)));
	request_init(&req, r);
	req.method = "DELETE";
	if (request_repository(&req, repository, "delete,pull,push", err) != 0 ||
		request_path(&req, err, "manifests/%s", tag) != 0)
		return -1;
	request_run(&req);
	status = req.call.status;
	if (req.err.code == ERROR_NONE && status >= 200 && status < 300)
		return 0;
	request_error(&req, "deleting a tag", err);
	if (status == 400 || status == 403 || status == 405 || status == 501)
		err->code = ERROR_NOT_IMPLEMENTED;
	return -1;
}

/* One after the other: nobody waits for it, and the registry has others to serve. */
static void remote_untag(
	struct registry *registry, const char *repository, struct untag *untags, size_t n)
{
	struct error failure = ERROR_INIT;

	for (size_t i = 0; i < n; i++) {
		struct untag *u = &untags[i];

		u->err = failure;
		if (failure.code == ERROR_NONE &&
			delete_tag((struct remote *)registry, repository, u->tag, &u->err) != 0 &&
			u->err.code != ERROR_NOT_FOUND)
			failure = u->err;
	}
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
	remote_auth_free(r->auth);
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
	.pull = remote_pull,
	.look = remote_look,
	.manifest = remote_manifest,
	.blob = remote_blob,
	.tags = remote_tags,
	.repositories = remote_repositories,
	.untag = remote_untag,
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
	r->empty = oci_empty_digest;
	r->timeout_ms = options->timeout_ms == 0 ? LIMIT_REQUEST_MS : options->timeout_ms;
	r->retries = options->retries == (unsigned)-1 ? LIMIT_RETRIES : options->retries;
	if (registry_location_parse(&r->location, options->location, err) != 0 ||
		http_url_parse(&r->origin, r->location.base, err) != 0 ||
		known_blobs_new(&r->known, err) != 0 ||
		http_client_new(&r->client, &http, err) != 0 ||
		remote_auth_new(&r->auth, r, options->docker_config, err) != 0)
		return -1;
	*ret = TAKE_PTR(registry);
	return 0;
}
