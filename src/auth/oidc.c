/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/oidc.h"

#include <ctype.h>
#include <pthread.h>
#include <sys/queue.h>

#include "auth/jwt.h"
#include "auth/metrics.h"
#include "base/clock.h"
#include "base/log.h"
#include "http/client.h"
#include "http/uri.h"
#include "oci/json_read.h"

#define DISCOVERY "/.well-known/openid-configuration"
#define TICK_MS 1000

METRIC_COUNTER(oidc_metric_fetches, 2, "gsq_oidc_key_fetches_total",
	"Fetches of the OpenID Connect issuer's keys, by result.", "result");
METRIC_COUNTER(oidc_metric_tokens, 4, "gsq_oidc_tokens_total",
	"Tokens of the OpenID Connect issuer that were looked at, by result.", "result");

/* What one fetch has brought; immutable but for the count. */
struct keyring {
	unsigned refs; /* atomic */
	uint64_t fetched_s;
	struct jwks *keys;
};

struct waiting {
	STAILQ_ENTRY(waiting) next;
	oidc_done *done;
	void *arg;
	size_t len;
	char token[];
};
STAILQ_HEAD(waiting_list, waiting);

enum fetch { FETCH_IDLE, FETCH_WANTED, FETCH_UNDER_WAY };

struct oidc {
	char *issuer, *audience, *username_claim, *groups_claim;
	uint64_t (*now_s)(void);
	bool plain; /* the issuer is http, on loopback: its keys may be, too */
	struct http_client *client;
	pthread_t thread;
	bool started;

	/* the thread's own */
	struct http_call discovery, jwks;
	char *discovery_url, *jwks_url;
	struct http_call *under_way; /* one of both, or NULL */
	struct error said;           /* what the log was told last; ERROR_NONE: all is well */
	bool has_succeeded;

	pthread_mutex_t lock;    /* guards what follows */
	struct keyring *keyring; /* NULL: none that counts */
	enum fetch fetch;
	uint64_t tried_s;     /* the end of the last fetch, */
	struct error failure; /* and what it ended with */
	struct waiting_list waiting;
	size_t n_waiting;
	bool stopping;
};

/* ---- clocks ---- */

static uint64_t wall_s(const struct oidc *o)
{
	return o->now_s != NULL ? o->now_s() : clock_realtime_us() / 1000000;
}

/* For ages, which must not change with the wall's clock. */
static uint64_t steady_s(const struct oidc *o)
{
	return o->now_s != NULL ? o->now_s() : clock_monotonic_ms() / 1000;
}

/* ---- keys ---- */

static void keyring_unref(struct keyring *k)
{
	if (k == NULL || __atomic_sub_fetch(&k->refs, 1, __ATOMIC_ACQ_REL) > 0)
		return;
	jwks_free(k->keys);
	free(k);
}
DEFINE_CLEANUP(struct keyring, keyring_unref);

/* Takes the keys over. */
static struct keyring *keyring_new(struct jwks *keys, uint64_t fetched_s)
{
	struct keyring *k = malloc(sizeof(*k));

	if (k == NULL) {
		jwks_free(keys);
		return NULL;
	}
	*k = (struct keyring){.refs = 1, .fetched_s = fetched_s, .keys = keys};
	return k;
}

/* A reference to those that count now, or NULL. */
static struct keyring *current_keys(struct oidc *o)
{
	uint64_t now_s = steady_s(o);
	struct keyring *stale = NULL, *k;

	AZ(pthread_mutex_lock(&o->lock));
	if (o->keyring != NULL && now_s - o->keyring->fetched_s >= LIMIT_JWKS_STALE_S)
		stale = TAKE_PTR(o->keyring);
	k = o->keyring;
	if (k != NULL)
		__atomic_add_fetch(&k->refs, 1, __ATOMIC_RELAXED);
	AZ(pthread_mutex_unlock(&o->lock));
	keyring_unref(stale);
	return k;
}

/* ---- from claims to a subject ---- */

/* Some issuers write what is true or false as a string. */
static bool is_verified(const json_t *email_verified)
{
	const char *text = json_string_value(email_verified);

	return email_verified == NULL || json_is_true(email_verified) ||
	       (text != NULL && strcmp(text, "true") == 0);
}

static int read_name(
	const struct oidc *o, const json_t *claims, struct slice *ret, struct error *err)
{
	const char *name = json_string_value(json_object_get(claims, o->username_claim));

	if (name == NULL)
		return error_set(err, ERROR_UNAUTHORIZED,
			"the token has no \"%s\" that is a string, which is the user's name here",
			o->username_claim);
	if (strcmp(o->username_claim, "email") == 0 &&
		!is_verified(json_object_get(claims, "email_verified")))
		return error_set(err, ERROR_UNAUTHORIZED,
			"the issuer has not verified the token's \"email\"");
	*ret = slice_of(name);
	return 0;
}

/* A string stands for a list of one; null is what some write for none. */
static int read_groups(const struct oidc *o, const json_t *claims, struct subject_draft *draft,
	struct slice groups[LIMIT_GROUPS], struct error *err)
{
	const json_t *claim = json_object_get(claims, o->groups_claim), *group;
	size_t i;

	draft->groups = groups;
	if (claim == NULL || json_is_null(claim))
		return 0;
	if (json_is_string(claim)) {
		groups[0] = slice_of(json_string_value(claim));
		draft->n_groups = 1;
		return 0;
	}
	if (!json_is_array(claim))
		return error_set(err, ERROR_UNAUTHORIZED,
			"the token's \"%s\" is neither a string nor a list of strings",
			o->groups_claim);
	if (json_array_size(claim) > LIMIT_GROUPS)
		return error_set(err, ERROR_UNAUTHORIZED,
			"the token has more than %d groups; let the issuer name only those that "
			"count here",
			LIMIT_GROUPS);
	json_array_foreach(claim, i, group)
	{
		if (!json_is_string(group))
			return error_set(err, ERROR_UNAUTHORIZED,
				"the token's \"%s\" is not a list of strings", o->groups_claim);
		groups[i] = slice_of(json_string_value(group));
	}
	draft->n_groups = json_array_size(claim);
	return 0;
}

static int make_subject(const struct oidc *o, const json_t *claims, uint64_t until_s,
	struct subject **ret, struct error *err)
{
	struct subject_draft draft = {.method = AUTH_OIDC, .expires_s = until_s};
	struct slice groups[LIMIT_GROUPS];

	if (read_name(o, claims, &draft.name, err) != 0 ||
		read_groups(o, claims, &draft, groups, err) != 0)
		return -1;
	if (subject_new(ret, &draft, err) == 0)
		return 0;
	if (err->code == ERROR_INVALID)
		err->code = ERROR_UNAUTHORIZED;
	return -1;
}

/* ---- one token ---- */

/* As jwt_verify(): 1 where other keys may be the ones. */
static int verify_token(const struct oidc *o, struct slice token, const struct keyring *keyring,
	struct subject **ret, struct error *err)
{
	CLEANUP(jwt_done) struct jwt t = {.header = NULL};
	uint64_t until_s = 0;
	int rc = 1;

	/* Its claims first: whoever has no right token makes us ask for no keys. */
	if (jwt_parse(&t, token, err) != 0 ||
		jwt_check_claims(&t, o->issuer, o->audience, wall_s(o), &until_s, err) != 0)
		return -1;
	if (keyring != NULL)
		rc = jwt_verify(&t, keyring->keys, err);
	if (rc != 0)
		return rc;
	return make_subject(o, t.claims, until_s, ret, err);
}

static void answer(struct subject *subject, const struct error *err, oidc_done *done, void *arg)
{
	const char *result = "refused";

	if (subject != NULL)
		result = "accepted";
	else if (err->code != ERROR_UNAUTHORIZED)
		result = "unavailable";
	metric_add(&oidc_metric_tokens, METRIC_LABELS(result), 1);
	done(subject, err, arg);
}

/* No key fits and no fetch can change that now. */
static int refuse(const struct error *failure, uint64_t age_s, struct error *err)
{
	if (failure->code == ERROR_NONE)
		return error_set(err, ERROR_UNAUTHORIZED,
			"the token is signed by none of the issuer's keys; ask the issuer for a "
			"new one");
	error_set(err, ERROR_UNAVAILABLE,
		"the OpenID Connect issuer cannot be asked for its keys now; the server's log says "
		"why");
	if (age_s < LIMIT_JWKS_AGAIN_S)
		err->retry_after_s = (unsigned)(LIMIT_JWKS_AGAIN_S - age_s);
	return -1;
}

/* ---- waiting for keys ---- */

static void waiting_free(struct waiting *w)
{
	if (w == NULL)
		return;
	explicit_bzero(w->token, w->len);
	free(w);
}
DEFINE_CLEANUP(struct waiting, waiting_free);

static struct waiting *waiting_new(struct slice token, oidc_done *done, void *arg)
{
	struct waiting *w = malloc(sizeof(*w) + token.n);

	if (w == NULL)
		return NULL;
	*w = (struct waiting){.done = done, .arg = arg, .len = token.n};
	memcpy(w->token, token.p, token.n);
	return w;
}

/* With the lock. */
static int may_wait(const struct oidc *o, struct error *err)
{
	uint64_t age_s = steady_s(o) - o->tried_s;

	if (o->stopping)
		return error_set(err, ERROR_UNAVAILABLE, "the server is stopping");
	if (o->fetch == FETCH_IDLE && age_s < LIMIT_JWKS_AGAIN_S)
		return refuse(&o->failure, age_s, err);
	if (o->n_waiting == LIMIT_JWKS_WAITING)
		return error_set(err, ERROR_UNAVAILABLE,
			"too many tokens wait for the keys of the OpenID Connect issuer; try "
			"again");
	return 0;
}

/* 0: it waits. 1: there are other keys by now. */
static int wait_for_keys(
	struct oidc *o, const struct keyring *seen, struct waiting **wp, struct error *err)
{
	int rc;

	AZ(pthread_mutex_lock(&o->lock));
	rc = o->keyring != seen ? 1 : may_wait(o, err);
	if (rc == 0) {
		STAILQ_INSERT_TAIL(&o->waiting, *wp, next);
		*wp = NULL;
		o->n_waiting++;
		if (o->fetch == FETCH_IDLE)
			o->fetch = FETCH_WANTED;
	}
	AZ(pthread_mutex_unlock(&o->lock));
	if (rc == 0)
		http_client_wake(o->client);
	return rc;
}

/* 0 with a subject, or without one: then it waits. */
static int verify_or_wait(struct oidc *o, struct slice token, oidc_done *done, void *arg,
	struct subject **ret, struct error *err)
{
	CLEANUP(waiting_freep) struct waiting *w = NULL;
	int rc;

	do {
		CLEANUP(keyring_unrefp) struct keyring *keyring = current_keys(o);

		rc = verify_token(o, token, keyring, ret, err);
		if (rc != 1)
			return rc;
		if (w == NULL)
			w = waiting_new(token, done, arg);
		if (w == NULL)
			return error_no_memory(err);
		rc = wait_for_keys(o, keyring, &w, err);
	} while (rc == 1);
	return rc;
}

void oidc_verify(struct oidc *o, struct slice token, oidc_done *done, void *arg)
{
	CLEANUP(subject_unrefp) struct subject *subject = NULL;
	struct error err = ERROR_INIT;

	if (verify_or_wait(o, token, done, arg, &subject, &err) != 0 || subject != NULL)
		answer(subject, &err, done, arg);
}

bool oidc_is_ours(const struct oidc *o, struct slice token)
{
	return jwt_is_of(token, o->issuer);
}

/* ---- the end of a fetch ---- */

static void answer_waiting(struct oidc *o, struct waiting_list *list, const struct error *failure)
{
	struct waiting *w;

	while ((w = STAILQ_FIRST(list)) != NULL) {
		CLEANUP(keyring_unrefp) struct keyring *keyring = current_keys(o);
		CLEANUP(subject_unrefp) struct subject *subject = NULL;
		struct error err = ERROR_INIT;

		STAILQ_REMOVE_HEAD(list, next);
		if (verify_token(o, (struct slice){w->token, w->len}, keyring, &subject, &err) == 1)
			refuse(failure, 0, &err);
		answer(subject, &err, w->done, w->arg);
		waiting_free(w);
	}
}

static void say(struct oidc *o, const struct error *failure, size_t n_keys)
{
	if (failure->code != ERROR_NONE) {
		if (!error_is_same(failure, &o->said))
			log_warn("cannot fetch the keys of the OpenID Connect issuer",
				LOG_STR("issuer", o->issuer), LOG_STR("error", failure->text));
	} else if (o->said.code != ERROR_NONE || !o->has_succeeded) {
		log_info("keys of the OpenID Connect issuer", LOG_STR("issuer", o->issuer),
			LOG_NUM("keys", n_keys));
	}
	o->has_succeeded |= failure->code == ERROR_NONE;
	o->said = *failure;
}

/* keys: taken over; NULL with a failure. */
static void end_fetch(struct oidc *o, struct jwks *keys, struct error *failure)
{
	struct waiting_list list = STAILQ_HEAD_INITIALIZER(list);
	struct keyring *fetched = NULL, *old = NULL;
	size_t n_keys = keys == NULL ? 0 : jwks_count(keys);
	bool stopping;

	if (keys != NULL && (fetched = keyring_new(keys, steady_s(o))) == NULL)
		error_no_memory(failure);
	o->under_way = NULL;
	AZ(pthread_mutex_lock(&o->lock));
	if (fetched != NULL) {
		old = o->keyring;
		o->keyring = fetched;
	}
	o->fetch = FETCH_IDLE;
	o->tried_s = steady_s(o);
	o->failure = *failure;
	STAILQ_CONCAT(&list, &o->waiting);
	o->n_waiting = 0;
	stopping = o->stopping;
	AZ(pthread_mutex_unlock(&o->lock));
	keyring_unref(old);
	if (!stopping) {
		metric_add(&oidc_metric_fetches,
			METRIC_LABELS(failure->code == ERROR_NONE ? "ok" : "failed"), 1);
		say(o, failure, n_keys);
	}
	answer_waiting(o, &list, failure);
}

/* ---- a fetch: discovery, then the keys ---- */

static int check_answer(const struct http_call *call, struct error *err)
{
	struct slice origin = http_url_origin(call->url);

	if (call->err.code != ERROR_NONE) {
		*err = call->err;
		return -1;
	}
	if (call->status >= 300 && call->status < 400)
		return error_set(err, ERROR_UNAVAILABLE,
			"%.*s redirects (status %d), which is not followed", SLICE_ARG(origin),
			call->status);
	if (call->status != 200)
		return error_set(err, ERROR_UNAVAILABLE, "%.*s answers with status %d",
			SLICE_ARG(origin), call->status);
	return 0;
}

/* In clear text anybody in between could name keys. A query is allowed: some issuers have one. */
static int check_jwks_url(const struct oidc *o, const char *url, struct error *err)
{
	AUTO_FREE char *path = slice_dup((struct slice){url, strcspn(url, "?#")});
	struct http_url parts;

	if (path == NULL)
		return error_no_memory(err);
	if (http_url_parse(&parts, path, err) != 0)
		return error_wrap(err, "\"jwks_uri\"");
	if (!parts.https && !(o->plain && http_host_is_loopback(parts.host)))
		return error_set(err, ERROR_INVALID, "\"jwks_uri\" is not an https URL");
	return 0;
}

static int read_discovery(struct oidc *o, char **ret, struct error *err)
{
	CLEANUP(json_decrefp) json_t *root = NULL;
	const char *issuer, *url;

	if (check_answer(&o->discovery, err) != 0)
		return -1;
	if (json_read_object(&root, buf_slice(&o->discovery.response_body), err) != 0)
		return -1;
	issuer = json_string_value(json_object_get(root, "issuer"));
	url = json_string_value(json_object_get(root, "jwks_uri"));
	if (issuer == NULL || strcmp(issuer, o->issuer) != 0)
		return error_set(err, ERROR_INVALID, "it is that of another issuer: %.200s",
			issuer == NULL ? "none" : issuer);
	if (url == NULL)
		return error_set(err, ERROR_INVALID, "it has no \"jwks_uri\"");
	if (check_jwks_url(o, url, err) != 0)
		return -1;
	*ret = strdup(url);
	return *ret == NULL ? error_no_memory(err) : 0;
}

static int read_jwks(struct oidc *o, struct jwks **ret, struct error *err)
{
	if (check_answer(&o->jwks, err) != 0)
		return -1;
	return jwks_parse(ret, buf_slice(&o->jwks.response_body), err);
}

static void on_jwks(struct http_call *call, void *arg)
{
	struct oidc *o = arg;
	struct error err = ERROR_INIT;
	struct jwks *keys = NULL;

	(void)call;
	if (read_jwks(o, &keys, &err) != 0)
		error_wrap(&err, "the keys at jwks_uri");
	http_call_done(&o->jwks);
	end_fetch(o, keys, &err);
}

static void begin_call(struct oidc *o, struct http_call *call, const char *url,
	void (*ended)(struct http_call *call, void *arg))
{
	http_call_init(call, "GET", url, LIMIT_JWKS);
	call->timeout_ms = LIMIT_JWKS_MS;
	call->ended = ended;
	call->arg = o;
	o->under_way = call;
	http_client_start(o->client, call, 0);
}

static void on_discovery(struct http_call *call, void *arg)
{
	struct oidc *o = arg;
	struct error err = ERROR_INIT;
	char *url = NULL;
	int rc = read_discovery(o, &url, &err);

	(void)call;
	http_call_done(&o->discovery);
	if (rc != 0) {
		error_wrap(&err, "the discovery document");
		end_fetch(o, NULL, &err);
		return;
	}
	free(o->jwks_url);
	o->jwks_url = url;
	begin_call(o, &o->jwks, url, on_jwks);
}

/* ---- the thread ---- */

/* With the lock. */
static bool is_due(const struct oidc *o)
{
	uint64_t age_s = steady_s(o) - o->tried_s;

	return age_s >= (o->failure.code == ERROR_NONE ? LIMIT_JWKS_FRESH_S : LIMIT_JWKS_AGAIN_S);
}

static void on_woken(void *arg)
{
	struct error err = ERROR_INIT;
	struct oidc *o = arg;
	bool stopping, begin;

	AZ(pthread_mutex_lock(&o->lock));
	stopping = o->stopping;
	begin = !stopping && (o->fetch == FETCH_WANTED || (o->fetch == FETCH_IDLE && is_due(o)));
	if (begin)
		o->fetch = FETCH_UNDER_WAY;
	AZ(pthread_mutex_unlock(&o->lock));
	if (begin)
		begin_call(o, &o->discovery, o->discovery_url, on_discovery);
	if (!stopping)
		return;
	error_set(&err, ERROR_UNAVAILABLE, "the server is stopping");
	if (o->under_way != NULL)
		http_client_cancel(o->client, o->under_way);
	end_fetch(o, NULL, &err);
	http_client_leave(o->client);
}

static void *run(void *arg)
{
	struct oidc *o = arg;

	http_client_serve(o->client);
	return NULL;
}

/* ---- its life ---- */

static int check_issuer(const char *issuer, bool *ret_plain, struct error *err)
{
	struct http_url url;

	if (http_url_parse(&url, issuer, err) != 0)
		return error_wrap(err, "the OpenID Connect issuer");
	if (!url.https && !http_host_is_loopback(url.host))
		return error_set(err, ERROR_INVALID,
			"the OpenID Connect issuer %s must be an https URL, as its keys would come "
			"in clear text; http is for this machine alone",
			issuer);
	*ret_plain = !url.https;
	return 0;
}

static int copy_options(struct oidc *o, const struct oidc_options *options, struct error *err)
{
	const char *username = options->username_claim, *groups = options->groups_claim;
	size_t n = strlen(options->issuer);

	if (options->audience == NULL || options->audience[0] == '\0')
		return error_set(err, ERROR_INVALID,
			"an audience is needed beside the OpenID Connect issuer, or tokens for "
			"others would count here");
	while (n > 0 && options->issuer[n - 1] == '/')
		n--;
	o->issuer = strdup(options->issuer);
	o->audience = strdup(options->audience);
	o->username_claim = strdup(username == NULL ? "sub" : username);
	o->groups_claim = strdup(groups == NULL ? "groups" : groups);
	o->discovery_url = str_printf("%.*s" DISCOVERY, (int)n, options->issuer);
	o->now_s = options->now_s;
	if (o->issuer == NULL || o->audience == NULL || o->username_claim == NULL ||
		o->groups_claim == NULL || o->discovery_url == NULL)
		return error_no_memory(err);
	return 0;
}

static int start(struct oidc *o, const char *ca_file, struct error *err)
{
	const struct http_client_options options = {
		.parallel = 1,
		.ca_file = ca_file,
		.woken = on_woken,
		.woken_arg = o,
		.tick_ms = TICK_MS,
	};
	int errnum;

	if (http_client_new(&o->client, &options, err) != 0)
		return -1;
	errnum = pthread_create(&o->thread, NULL, run, o);
	if (errnum != 0)
		return error_set_errno(err, errnum, "cannot start the thread of OpenID Connect");
	pthread_setname_np(o->thread, "oidc");
	o->started = true;
	return 0;
}

DEFINE_CLEANUP(struct oidc, oidc_free);

int oidc_new(struct oidc **ret, const struct oidc_options *options, struct error *err)
{
	CLEANUP(oidc_freep) struct oidc *o = calloc(1, sizeof(*o));

	if (o == NULL)
		return error_no_memory(err);
	AZ(pthread_mutex_init(&o->lock, NULL));
	STAILQ_INIT(&o->waiting);
	o->fetch = FETCH_WANTED;
	if (check_issuer(options->issuer, &o->plain, err) != 0 ||
		copy_options(o, options, err) != 0 || start(o, options->ca_file, err) != 0)
		return -1;
	*ret = TAKE_PTR(o);
	return 0;
}

void oidc_free(struct oidc *o)
{
	if (o == NULL)
		return;
	if (o->started) {
		AZ(pthread_mutex_lock(&o->lock));
		o->stopping = true;
		AZ(pthread_mutex_unlock(&o->lock));
		http_client_wake(o->client);
		AZ(pthread_join(o->thread, NULL));
	}
	http_client_free(o->client);
	keyring_unref(o->keyring);
	AZ(pthread_mutex_destroy(&o->lock));
	free(o->issuer);
	free(o->audience);
	free(o->username_claim);
	free(o->groups_claim);
	free(o->discovery_url);
	free(o->jwks_url);
	free(o);
}
