/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pushes: each is a small state machine that sends one request at a time; the machines of a batch
 * run side by side over one http_client, each going on as soon as its own last answer is there.
 *
 *   LOOK -> (MOUNT | POST) -> PUT_BLOB -> ... for each blob -> PUT_MANIFEST -> done
 *                                                               ^      |  ^
 *                                                               LOOK_AGAIN |
 *   for a manifest with a subject, where the registry has no API for referrers:
 *                                       GET_REFERRERS -> PUT_REFERRERS ----+
 *
 * A tag that moves (commits:latest is the commit point of the whole system) is never moved twice
 * without looking in between: a second PUT that comes late could undo what another writer has
 * done since.
 */
#include <stdio.h>

#include "registry/referrers.h"
#include "registry/remote_internal.h"

enum step {
	LOOK,
	MOUNT,
	POST,
	PUT_BLOB,
	PUT_MANIFEST,
	LOOK_AGAIN,
	GET_REFERRERS,
	PUT_REFERRERS,
	STEPS,
};

struct upload {
	struct remote *remote;
	struct push *push;
	char *mount_from; /* where the empty blob can be had, as on the wire; or NULL */
	enum step step;
	size_t blob;  /* the one that is sent now */
	bool skipped; /* some blob was taken to be there */
	bool redone;  /* that was wrong once, and all have been sent */
	bool maybe_done;
	struct buf referrers; /* the index that is put */
	struct request request;
};

static void enter(struct upload *u, enum step step, unsigned delay_ms);

/* ---- seen tags ---- */

static struct seen_tag *find_seen(struct remote *r, const char *repository, const char *tag)
{
	size_t n = strlen(repository);

	for (size_t i = 0; i < REMOTE_SEEN_TAGS; i++) {
		const char *name = r->seen[i].name;

		if (name != NULL && strncmp(name, repository, n) == 0 && name[n] == ':' &&
			strcmp(name + n + 1, tag) == 0)
			return &r->seen[i];
	}
	return NULL;
}

/* The one looked at last comes first; the others move up by one. */
void remote_saw_tag(
	struct remote *r, const char *repository, const char *tag, const struct digest *digest)
{
	struct seen_tag *seen = find_seen(r, repository, tag);
	char *name;

	if (digest == NULL) {
		if (seen != NULL)
			free(TAKE_PTR(seen->name));
		return;
	}
	name = seen != NULL ? TAKE_PTR(seen->name) : str_printf("%s:%s", repository, tag);
	if (name == NULL)
		return;
	if (seen == NULL)
		seen = &r->seen[REMOTE_SEEN_TAGS - 1];
	free(seen->name);
	memmove(&r->seen[1], r->seen, (size_t)(seen - r->seen) * sizeof(*seen));
	r->seen[0] = (struct seen_tag){name, *digest};
}

/* ---- ends ---- */

static bool moves_tag(const struct upload *u)
{
	return u->push->tag != NULL && !u->push->tag_is_new;
}

static const struct push_blob *current_blob(const struct upload *u)
{
	return &u->push->blobs[u->blob];
}

/* The push ends with the error that is set. */
static void failed(struct upload *u)
{
	struct error *err = &u->push->err;

	if (u->maybe_done) {
		err->code = ERROR_UNKNOWN_OUTCOME;
		error_wrap(err, "the tag %s may have moved or not", u->push->tag);
	}
}

/* The push ends with what the last answer says. */
static void refused(struct upload *u, const char *what)
{
	struct error *err = &u->push->err;

	request_error(&u->request, what, err);
	/* To a writer, "not found" would mean that there is nothing, not that it may not write. */
	if (err->code == ERROR_NOT_FOUND)
		err->code = ERROR_DENIED;
	failed(u);
}

static void stored(struct upload *u)
{
	u->push->err = (struct error)ERROR_INIT;
	if (moves_tag(u) && find_seen(u->remote, u->request.repository, u->push->tag) != NULL)
		remote_saw_tag(u->remote, u->request.repository, u->push->tag, &u->push->digest);
}

static bool has_subject(const struct upload *u)
{
	return u->push->parsed != NULL && u->push->parsed->has_subject;
}

/* Another try of something that leads back to the given step, if there may be one. */
static bool again(struct upload *u, enum step step)
{
	unsigned delay_ms;

	if (!request_retry(&u->request, &delay_ms))
		return false;
	enter(u, step, delay_ms);
	return true;
}

/* ---- blobs ---- */

static bool can_mount(const struct upload *u)
{
	return u->mount_from != NULL && !u->remote->mount_refused &&
	       digest_eq(&current_blob(u)->digest, &u->remote->empty);
}

static bool is_known(const struct upload *u)
{
	return !u->redone &&
	       known_blobs_has(u->remote->known, u->request.repository, &current_blob(u)->digest);
}

static void next_blob(struct upload *u)
{
	u->request.retry.made = 0;
	while (u->blob < u->push->n_blobs && is_known(u)) {
		u->skipped = true;
		u->blob++;
	}
	if (u->blob == u->push->n_blobs)
		enter(u, PUT_MANIFEST, 0);
	else
		enter(u, can_mount(u) ? MOUNT : POST, 0);
}

static void blob_stored(struct upload *u)
{
	struct remote *r = u->remote;

	known_blobs_add(r->known, u->request.repository, &current_blob(u)->digest);
	if (r->empty_at == NULL && digest_eq(&current_blob(u)->digest, &r->empty))
		r->empty_at = strdup(u->request.repository);
	u->blob++;
	next_blob(u);
}

static void forget_repository(struct upload *u)
{
	struct remote *r = u->remote;

	known_blobs_forget(r->known, u->request.repository);
	if (r->empty_at != NULL && strcmp(r->empty_at, u->request.repository) == 0)
		free(TAKE_PTR(r->empty_at));
}

/* ---- steps: each begins by making a request and ends with its answer ---- */

static void use_method(struct upload *u, const char *method, bool send_body, struct slice body)
{
	struct request *req = &u->request;

	req->method = method;
	req->send_body = send_body;
	req->body = body;
	req->transfer = body.n;
	req->content_type = send_body ? "application/octet-stream" : NULL;
	req->accept = NULL;
	req->body_max = REQUEST_ERROR_BODY;
	req->once = false;
}

static int begin_look(struct upload *u, struct error *err)
{
	use_method(u, "HEAD", false, SLICE_NONE);
	u->request.accept = REMOTE_ACCEPT;
	return request_path(&u->request, err, "manifests/%s", u->push->tag);
}

/* What the tag names according to the last answer; false where it does not say. */
static bool looked_up(const struct upload *u, struct digest *ret)
{
	struct error ignored;

	return u->request.call.status == 200 &&
	       digest_parse(ret, http_call_header(&u->request.call, REMOTE_DIGEST_HEADER),
		       &ignored) == 0;
}

/* It is there already. Whether it is found by its subject only the answer to a PUT would say. */
static void found_stored(struct upload *u)
{
	if (has_subject(u))
		next_blob(u);
	else
		stored(u);
}

static void end_look(struct upload *u)
{
	struct digest found;
	int status = u->request.call.status;

	if (status == 404) {
		next_blob(u);
	} else if (status != 200) {
		refused(u, "looking for the tag");
	} else if (looked_up(u, &found) && digest_eq(&found, &u->push->digest)) {
		found_stored(u);
	} else {
		error_set(&u->push->err, ERROR_CONFLICT,
			"the tag %s names another manifest already", u->push->tag);
	}
}

static int begin_mount(struct upload *u, struct error *err)
{
	char digest[DIGEST_TEXT_SIZE];

	use_method(u, "POST", true, SLICE_NONE);
	return request_path(&u->request, err, "blobs/uploads/?mount=%s&from=%s",
		digest_format(&current_blob(u)->digest, digest), u->mount_from);
}

static void end_mount(struct upload *u)
{
	int status = u->request.call.status;

	if (status == 201) {
		blob_stored(u);
		return;
	}
	if (request_is_transient(&u->request) ||
		(u->request.err.code != ERROR_NONE && status != 401)) {
		refused(u, "mounting a blob");
		return;
	}
	/* It asks for an upload instead, does not know mounts, or lets us read only here. */
	u->remote->mount_refused = true;
	enter(u, status == 202 ? PUT_BLOB : POST, 0);
}

static int begin_post(struct upload *u, struct error *err)
{
	const struct push_blob *blob = current_blob(u);
	char digest[DIGEST_TEXT_SIZE];

	if (u->remote->post == POST_ONLY_STARTS) {
		use_method(u, "POST", true, SLICE_NONE);
		return request_path(&u->request, err, "blobs/uploads/");
	}
	use_method(u, "POST", true, blob->bytes);
	return request_path(
		&u->request, err, "blobs/uploads/?digest=%s", digest_format(&blob->digest, digest));
}

/* Could it be that the registry has not understood a POST with a body? */
static bool may_not_know_post(const struct upload *u)
{
	int status = u->request.call.status;

	return u->remote->post == POST_UNTRIED && status >= 400 && status < 500 && status != 401 &&
	       status != 403 && status != 429;
}

static void end_post(struct upload *u)
{
	struct remote *r = u->remote;
	int status = u->request.call.status;

	if (status == 201) {
		r->post = POST_STORES;
		blob_stored(u);
	} else if (status == 202) {
		r->post = POST_ONLY_STARTS;
		enter(u, PUT_BLOB, 0);
	} else if (may_not_know_post(u)) {
		r->post = POST_ONLY_STARTS;
		enter(u, POST, 0);
	} else {
		refused(u, "uploading a blob");
	}
}

/* Follows the Location that the answer to the POST has given. */
static int begin_put_blob(struct upload *u, struct error *err)
{
	const struct push_blob *blob = current_blob(u);
	AUTO_FREE char *location = NULL;
	char digest[DIGEST_TEXT_SIZE];

	if (request_location(&location, &u->request, err) != 0)
		return -1;
	use_method(u, "PUT", true, blob->bytes);
	u->request.once = true;
	return request_url(&u->request, err, "%s%cdigest=%s", location,
		strchr(location, '?') == NULL ? '?' : '&', digest_format(&blob->digest, digest));
}

/* An upload that broke begins anew; so does one whose session the registry has lost. */
static void end_put_blob(struct upload *u)
{
	int status = u->request.call.status;

	if (status == 201 || status == 204) {
		blob_stored(u);
		return;
	}
	if ((request_is_transient(&u->request) || status == 404 || status == 416) && again(u, POST))
		return;
	refused(u, "uploading a blob");
}

static int begin_put_manifest(struct upload *u, struct error *err)
{
	const struct push *push = u->push;
	char digest[DIGEST_TEXT_SIZE];

	use_method(u, "PUT", true, push->manifest);
	u->request.content_type = push->media_type;
	u->request.once = moves_tag(u);
	return request_path(&u->request, err, "manifests/%s",
		push->tag != NULL ? push->tag : digest_format(&push->digest, digest));
}

/* Digest of what the registry has stored, where it says so. */
static bool stored_something_else(const struct upload *u)
{
	struct slice said = http_call_header(&u->request.call, REMOTE_DIGEST_HEADER);
	char digest[DIGEST_TEXT_SIZE];

	return said.p != NULL && !slice_eq(said, slice_of(digest_format(&u->push->digest, digest)));
}

static bool misses_a_blob(const struct upload *u)
{
	const struct http_call *call = &u->request.call;

	/* Both MANIFEST_BLOB_UNKNOWN and BLOB_UNKNOWN. */
	return (call->status == 400 || call->status == 404) && call->response_body.data != NULL &&
	       strstr(call->response_body.data, "BLOB_UNKNOWN") != NULL;
}

/* An answer without this header is of a registry without the API (distribution-spec, "Pushing
 * Manifests with Subject"). */
static bool lists_no_referrers(const struct upload *u)
{
	return has_subject(u) && http_call_header(&u->request.call, "oci-subject").p == NULL;
}

/* The manifest is stored: all that may fail from now on is another matter. */
static void enter_referrers(struct upload *u)
{
	u->maybe_done = false;
	u->request.retry.made = 0;
	enter(u, GET_REFERRERS, 0);
}

static void end_put_manifest(struct upload *u)
{
	int status = u->request.call.status;

	u->maybe_done = u->maybe_done || (moves_tag(u) && u->request.maybe_done);
	if (status >= 200 && status < 300) {
		if (stored_something_else(u))
			error_set(&u->push->err, ERROR_INTERNAL,
				"the registry has stored a manifest under another digest than its "
				"own");
		else if (lists_no_referrers(u))
			enter_referrers(u);
		else
			stored(u);
	} else if (misses_a_blob(u) && u->skipped && !u->redone) {
		forget_repository(u);
		u->redone = true;
		u->blob = 0;
		next_blob(u);
	} else if (!moves_tag(u) || !request_is_transient(&u->request) || !again(u, LOOK_AGAIN)) {
		refused(u, "storing a manifest");
	}
}

/* The tag must still be where it was when somebody last looked; one that nobody looked at is
 * derived from others and may be moved at any time. */
static void end_look_again(struct upload *u)
{
	const struct seen_tag *seen = find_seen(u->remote, u->request.repository, u->push->tag);
	int status = u->request.call.status;
	struct digest found;
	bool found_any = looked_up(u, &found);

	if (found_any && digest_eq(&found, &u->push->digest)) {
		found_stored(u);
	} else if (seen == NULL ? status == 404 || status == 200
				: found_any && digest_eq(&found, &seen->digest)) {
		enter(u, PUT_MANIFEST, 0);
	} else if (status == 200 || status == 404) {
		error_set(&u->push->err, ERROR_UNKNOWN_OUTCOME,
			"the tag %s was moved by somebody else: read what it names now",
			u->push->tag);
	} else {
		refused(u, "looking for the tag");
	}
}

/* ---- referrers, where the client keeps the list ("Referrers Tag Schema") ----
 *
 * It is read, changed and written: of two who do so at the same time one may be lost, as the
 * specification grants.
 */

static int begin_get_referrers(struct upload *u, struct error *err)
{
	char tag[REFERRERS_TAG_SIZE];

	use_method(u, "GET", false, SLICE_NONE);
	u->request.accept = "Accept: " OCI_MEDIA_INDEX;
	u->request.body_max = LIMIT_MANIFEST;
	referrers_tag(&u->push->parsed->subject.digest, tag);
	return request_path(&u->request, err, "manifests/%s", tag);
}

static void end_get_referrers(struct upload *u)
{
	int status = u->request.call.status;
	struct slice old = SLICE_NONE;
	bool changed;

	if (status != 200 && status != 404) {
		refused(u, "reading the list of referrers");
		return;
	}
	if (status == 200)
		old = buf_slice(&u->request.call.response_body);
	buf_done(&u->referrers);
	buf_init(&u->referrers, LIMIT_MANIFEST);
	if (referrers_add(&u->referrers, &changed, old, u->push, &u->push->err) != 0)
		return;
	if (changed)
		enter(u, PUT_REFERRERS, 0);
	else
		stored(u);
}

static int begin_put_referrers(struct upload *u, struct error *err)
{
	char tag[REFERRERS_TAG_SIZE];

	use_method(u, "PUT", true, buf_slice(&u->referrers));
	u->request.content_type = OCI_MEDIA_INDEX;
	u->request.once = true;
	referrers_tag(&u->push->parsed->subject.digest, tag);
	return request_path(&u->request, err, "manifests/%s", tag);
}

static void end_put_referrers(struct upload *u)
{
	int status = u->request.call.status;

	if (status >= 200 && status < 300)
		stored(u);
	else if (!request_is_transient(&u->request) || !again(u, GET_REFERRERS))
		refused(u, "storing the list of referrers");
}

static const struct {
	int (*begin)(struct upload *u, struct error *err);
	void (*end)(struct upload *u);
} steps[STEPS] = {
	[LOOK] = {begin_look, end_look},
	[MOUNT] = {begin_mount, end_mount},
	[POST] = {begin_post, end_post},
	[PUT_BLOB] = {begin_put_blob, end_put_blob},
	[PUT_MANIFEST] = {begin_put_manifest, end_put_manifest},
	[LOOK_AGAIN] = {begin_look, end_look_again},
	[GET_REFERRERS] = {begin_get_referrers, end_get_referrers},
	[PUT_REFERRERS] = {begin_put_referrers, end_put_referrers},
};

static void enter(struct upload *u, enum step step, unsigned delay_ms)
{
	u->step = step;
	if (steps[step].begin(u, &u->push->err) == 0)
		request_start(&u->request, delay_ms);
	else
		failed(u);
}

static void on_request_ended(struct request *req UNUSED, void *arg)
{
	struct upload *u = arg;

	steps[u->step].end(u);
}

/* ---- a batch ---- */

static bool wants_mount(const struct upload *u)
{
	const struct remote *r = u->remote;

	if (r->empty_at == NULL || r->mount_refused ||
		strcmp(r->empty_at, u->request.repository) == 0 ||
		known_blobs_has(r->known, u->request.repository, &r->empty))
		return false;
	for (size_t i = 0; i < u->push->n_blobs; i++) {
		if (digest_eq(&u->push->blobs[i].digest, &r->empty))
			return true;
	}
	return false;
}

/* A mount needs the right to read where it mounts from; the same scope for the whole push makes it
 * one token. */
static int add_mount(struct upload *u, struct error *err)
{
	char *scope;

	u->mount_from = strdup(u->remote->empty_at);
	if (u->mount_from == NULL)
		return error_no_memory(err);
	scope = str_printf("%s repository:%s:pull", u->request.scope, u->mount_from);
	if (scope == NULL)
		return error_no_memory(err);
	free(u->request.scope);
	u->request.scope = scope;
	return 0;
}

static int upload_init(struct upload *u, struct remote *r, struct push *push)
{
	u->remote = r;
	u->push = push;
	buf_init(&u->referrers, LIMIT_MANIFEST);
	request_init(&u->request, r);
	u->request.ended = on_request_ended;
	u->request.arg = u;
	if (request_repository(&u->request, push->repository, "pull,push", &push->err) != 0)
		return -1;
	return wants_mount(u) ? add_mount(u, &push->err) : 0;
}

static void upload_done(struct upload *u)
{
	request_done(&u->request);
	buf_done(&u->referrers);
	free(u->mount_from);
}

static void upload_start(struct upload *u)
{
	if (u->push->tag_is_new && u->push->tag_may_exist)
		enter(u, LOOK, 0);
	else
		next_blob(u);
}

void remote_push(struct registry *registry, struct push *pushes, size_t n)
{
	struct remote *r = (struct remote *)registry;
	AUTO_FREE struct upload *uploads = calloc(n, sizeof(*uploads));

	for (size_t i = 0; i < n; i++) {
		pushes[i].err = (struct error)ERROR_INIT;
		if (uploads == NULL)
			error_no_memory(&pushes[i].err);
		else if (upload_init(&uploads[i], r, &pushes[i]) == 0)
			upload_start(&uploads[i]);
	}
	http_client_drain(r->client);
	for (size_t i = 0; uploads != NULL && i < n; i++)
		upload_done(&uploads[i]);
}
