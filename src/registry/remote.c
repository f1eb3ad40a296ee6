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

struct listing {
	const char *what, *name;
	struct slice prefix;
	each_fn *each;
	int (*page_end)(void *arg, struct error *err); /* NULL: nobody asks */
	void *arg;
	unsigned n_pages; /* that were taken */
};

static int take_page(struct listing *l, struct request *req, struct error *err)
{
	if (request_check(req, l->what, err) != 0 ||
		read_page(buf_slice(&req->call.response_body), l->name, l->prefix, l->each, l->arg,
			err) != 0)
		return -1;
	l->n_pages++;
	return l->page_end == NULL ? 0 : l->page_end(l->arg, err);
}

static int read_pages(struct listing *l, struct request *req, struct error *err)
{
	bool more = true;

	req->method = "GET";
	req->body_max = LIMIT_LISTING;
	while (more) {
		if (l->n_pages == LIMIT_PAGES)
			return error_set(err, ERROR_INTERNAL,
				"the registry's listing does not end after %d pages", LIMIT_PAGES);
		request_renew(req);
		request_run(req);
		if (take_page(l, req, err) != 0 || next_page(req, &more, err) != 0)
			return -1;
	}
	return 0;
}

/* ---- tags ---- */

#define TAGS_AFTER "100" /* who says where to begin wants a few, as a rule */

/* Where the next page begins is a tag, which some registries must find there still. */
static int lost_its_place(struct error *err)
{
	return error_set(err, ERROR_UNAVAILABLE,
		"the registry could not go on with a listing of tags: one may have been deleted "
		"meanwhile; try again");
}

/* last: NULL: from the first. *ret_status: of the answer that was an error, or 0. */
static int list_tags(struct remote *r, const char *repository, const char *last, each_fn *each,
	int (*page_end)(void *arg, struct error *err), void *arg, int *ret_status,
	struct error *err)
{
	CLEANUP(request_done) struct request req;
	struct listing listing = {"listing tags", "tags", SLICE_NONE, each, page_end, arg, 0};

	request_init(&req, r);
	*ret_status = 0;
	if (request_repository(&req, repository, "pull,push", err) != 0)
		return -1;
	if (last == NULL && request_path(&req, err, "tags/list") != 0)
		return -1;
	if (last != NULL &&
		request_path(&req, err, "tags/list?n=" TAGS_AFTER "&last=%s", last) != 0)
		return -1;
	if (read_pages(&listing, &req, err) == 0)
		return 0;
	*ret_status = req.call.status;
	if (*ret_status != 404 || err->code != ERROR_NOT_FOUND)
		return -1;
	return listing.n_pages == 0 ? 0 : lost_its_place(err);
}

/* A listing from somewhere on, whether the registry knows "last" or not. */
struct ordered {
	struct remote *remote;
	const char *after;
	each_fn *each;
	void *arg;
	bool any;                 /* was given to each() */
	bool disorder;            /* this is not the order of bytes */
	char last[LIMIT_TAG + 1]; /* that the registry listed */
	struct buf tags;          /* those after it of a page, or of all; NUL-terminated */
};

static int give_tags(struct ordered *o, struct error *err)
{
	for (size_t at = 0; at < o->tags.len; at += strlen(o->tags.data + at) + 1) {
		o->any = true;
		if (o->each(slice_of(o->tags.data + at), o->arg, err) != 0)
			return -1;
	}
	buf_reset(&o->tags);
	return 0;
}

static int add_tag(struct slice tag, void *arg, struct error *err)
{
	struct ordered *o = arg;
	char text[LIMIT_TAG + 1];

	if (!oci_tag_ok(tag))
		return error_set(err, ERROR_INTERNAL, "the registry lists a tag that is none");
	snprintf(text, sizeof(text), "%.*s", SLICE_ARG(tag));
	o->disorder = o->disorder || strcmp(text, o->last) < 0;
	memcpy(o->last, text, sizeof(text));
	if (strcmp(text, o->after) > 0) {
		buf_add(&o->tags, tag);
		buf_putc(&o->tags, '\0');
	}
	return buf_check(&o->tags, err);
}

static int give_page(void *arg, struct error *err)
{
	struct ordered *o = arg;

	if (!o->disorder)
		return give_tags(o, err);
	o->remote->tags_unordered = true;
	return error_set(err, ERROR_UNAVAILABLE,
		"the registry lists tags in an order that is not OCI's; try again");
}

static int compare_tags(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* All of them were read. */
static int give_sorted(struct ordered *o, struct error *err)
{
	AUTO_FREE const char **tags = NULL;
	size_t n = 0;

	for (size_t at = 0; at < o->tags.len; at += strlen(o->tags.data + at) + 1)
		n++;
	tags = calloc(n + 1, sizeof(*tags));
	if (tags == NULL)
		return error_no_memory(err);
	n = 0;
	for (size_t at = 0; at < o->tags.len; at += strlen(o->tags.data + at) + 1)
		tags[n++] = o->tags.data + at;
	qsort(tags, n, sizeof(*tags), compare_tags);
	for (size_t i = 0; i < n; i++)
		if (o->each(slice_of(tags[i]), o->arg, err) != 0)
			return -1;
	return 0;
}

/* Not for what it asks, but for how. 404 may be for either: Zot's, where last is none of its tags.
 */
static bool refuses_last(int status)
{
	return status >= 400 && status < 500 && status != 401 && status != 403 && status != 408 &&
	       status != 429;
}

static int list_ordered(struct ordered *o, const char *repository, struct error *err)
{
	const char *last = o->remote->refuses_last ? NULL : o->after;
	int status, rc;

	rc = list_tags(o->remote, repository, last, add_tag, give_page, o, &status, err);
	if (last == NULL || !refuses_last(status) || o->last[0] != '\0')
		return rc;
	o->remote->refuses_last = rc != 0;
	rc = list_tags(o->remote, repository, NULL, add_tag, give_page, o, &status, err);
	if (o->last[0] != '\0')
		o->remote->refuses_last = true;
	return rc;
}

/* In two steps where the registry has an order of its own, which is found out once. */
static int remote_tags_after(struct ordered *o, const char *repository, struct error *err)
{
	int status;

	if (!o->remote->tags_unordered) {
		if (list_ordered(o, repository, err) == 0)
			return 0;
		if (!o->disorder || o->any)
			return -1;
	}
	buf_reset(&o->tags);
	if (list_tags(o->remote, repository, NULL, add_tag, NULL, o, &status, err) != 0)
		return -1;
	return give_sorted(o, err);
}

static int remote_tags(struct registry *registry, const char *repository, const char *after,
	each_fn *each, void *arg, struct error *err)
{
	struct ordered o = {
		.remote = (struct remote *)registry,
		.after = after,
		.each = each,
		.arg = arg,
		.tags = BUF_INIT(LIMIT_ORDERED_TAGS),
	};
	int status, rc;

	if (after == NULL)
		return list_tags(o.remote, repository, NULL, each, NULL, arg, &status, err);
	ASSERT(oci_tag_ok(slice_of(after)));
	rc = remote_tags_after(&o, repository, err);
	buf_done(&o.tags);
	return rc;
}

static int remote_repositories(
	struct registry *registry, each_fn *each, void *arg, struct error *err)
{
	struct remote *r = (struct remote *)registry;
	struct listing listing = {"listing repositories", "repositories",
		slice_of(r->location.prefix), each, NULL, arg, 0};
	CLEANUP(request_done) struct request req;

	request_init(&req, r);
	req.scope = strdup("registry:catalog:*");
	if (req.scope == NULL)
		return error_no_memory(err);
	if (request_url(&req, err, "%s/v2/_catalog", r->location.base) != 0)
		return -1;
	return read_pages(&listing, &req, err);
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
