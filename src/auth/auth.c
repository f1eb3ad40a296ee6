/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/auth.h"

#include "auth/cache.h"
#include "auth/credential.h"
#include "auth/limiter.h"
#include "auth/metrics.h"
#include "base/clock.h"
#include "base/log.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>

METRIC_COUNTER(auth_metric_failed, 16, "gsq_auth_failed_total",
	"Requests whose credential proved nothing, or which were denied.", "reason");

#define LIMITED 16384 /* subjects and addresses whose rates are known at one time */

struct auth {
	char *token_file, *policy_file; /* NULL: none */
	enum auth_anonymous anonymous;
	struct subject *nobody; /* who does not say who it is */
	struct oidc *oidc;      /* NULL: none */
	bool reviewer_identifies, reviewer_authorizes;
	struct reviewer reviewer;
	unsigned rate;
	struct limiter *rates, *logins; /* by subject; by address, of credentials that failed */
	struct cache *identities, *permissions; /* what others have said */
	struct flights *questions;              /* to them, under way */
	bool told_unsaved;                      /* of auth_save_uses() */

	atomic_uint generation; /* of the files */
	pthread_mutex_t lock;   /* guards what follows: they are replaced as a whole */
	struct tokens *tokens;
	struct policy *policy;
};

static struct tokens *current_tokens(struct auth *a)
{
	struct tokens *tokens;

	AZ(pthread_mutex_lock(&a->lock));
	tokens = tokens_ref(a->tokens);
	AZ(pthread_mutex_unlock(&a->lock));
	return tokens;
}

static struct policy *current_policy(struct auth *a)
{
	struct policy *policy;

	AZ(pthread_mutex_lock(&a->lock));
	policy = policy_ref(a->policy);
	AZ(pthread_mutex_unlock(&a->lock));
	return policy;
}

/* ---- the end of a question ---- */

/* Whoever asks leaves, and whoever answers, answers: the second of them knows that both have. */
enum { ASKED, LEFT, ANSWERED };

static bool leave(struct auth_question *q)
{
	return atomic_exchange(&q->state, LEFT) == ANSWERED;
}

static void answer(struct auth_question *q)
{
	if (atomic_exchange(&q->state, ANSWERED) == LEFT)
		q->done(q, q->arg);
}

static void begin(struct auth *a, struct auth_question *q, bool authorizes)
{
	q->auth = a;
	q->authorizes = authorizes;
	q->err = (struct error)ERROR_INIT;
	atomic_init(&q->state, ASKED);
	snprintf(q->own_peer, sizeof(q->own_peer), "%s", q->peer == NULL ? "" : q->peer);
	snprintf(q->own_namespace, sizeof(q->own_namespace), "%s",
		q->namespace == NULL ? "" : q->namespace);
	q->peer = q->own_peer;
	q->namespace = q->own_namespace;
}

static void count_failure(const char *reason)
{
	metric_add(&auth_metric_failed, METRIC_LABELS(reason), 1);
}

/* ---- may they? ---- */

static void deny(struct auth_question *q, const char *reason)
{
	bool everywhere = strcmp(q->namespace, AUTH_EVERYWHERE) == 0;

	if (!q->quiet) {
		count_failure("denied");
		log_warn("denied", LOG_STR("subject", q->subject->name),
			LOG_STR("action", action_name(q->action)),
			LOG_STR("namespace", q->namespace), LOG_STR("peer", q->peer),
			LOG_STR("reason", reason));
	}
	error_set(&q->err, ERROR_DENIED,
		"%s may not %s resources in %s%s: ask an operator for a role there%s%s",
		q->subject->name, action_name(q->action), everywhere ? "" : "namespace ",
		everywhere ? "all namespaces" : q->namespace, reason[0] == '\0' ? "" : "; ",
		reason);
}

/* Subject, groups, action and namespace: what else it would be may not count for it. */
static int permission_key(struct digest *ret, const struct auth_question *q, struct error *err)
{
	const struct subject *s = q->subject;
	struct hasher h;

	if (hasher_init(&h, DIGEST_SHA256, err) != 0)
		return -1;
	hasher_update(&h, (struct slice){(const char *)&q->action, sizeof(q->action)});
	hasher_update(&h, (struct slice){q->namespace, strlen(q->namespace) + 1});
	hasher_update(&h, (struct slice){s->name, strlen(s->name) + 1});
	for (size_t i = 0; i < s->n_groups; i++)
		hasher_update(&h, (struct slice){s->groups[i], strlen(s->groups[i]) + 1});
	*ret = hasher_finish(&h);
	hasher_done(&h);
	return 0;
}

static struct auth_question *question_of(struct passenger *p)
{
	return p == NULL ? NULL
			 : (struct auth_question *)((char *)p -
						    offsetof(struct auth_question, passenger));
}

static void end_review(struct auth_question *q, const struct error *err)
{
	if (err->code == ERROR_DENIED)
		deny(q, err->text);
	else
		q->err = *err;
	answer(q);
}

/* An answer for one is for all who have asked the same meanwhile. */
static void permission_reviewed(const struct error *err, void *arg)
{
	struct auth_question *q = arg, *next;
	struct auth *a = q->auth;
	struct digest key = q->passenger.key;
	uint64_t now = clock_monotonic_ms();
	unsigned for_s = err->code == ERROR_NONE ? LIMIT_REVIEW_S : LIMIT_REVIEW_NO_S;

	if (err->code == ERROR_NONE || err->code == ERROR_DENIED)
		cache_put(a->permissions, &key, now, now + for_s * 1000, NULL, err);
	for (q = question_of(flights_land(a->questions, &key)); q != NULL; q = next) {
		next = question_of(STAILQ_NEXT(&q->passenger, next));
		end_review(q, err);
	}
}

/* By somebody else's word, or what is remembered of it. */
static void review_permission(struct auth_question *q)
{
	struct auth *a = q->auth;
	struct subject *none;
	struct error known;

	if (permission_key(&q->passenger.key, q, &q->err) != 0)
		answer(q);
	else if (cache_get(a->permissions, &q->passenger.key, clock_monotonic_ms(), &none, &known))
		end_review(q, &known);
	else if (flights_board(a->questions, &q->passenger))
		a->reviewer.authorize(a->reviewer.arg, q->subject, q->action, q->namespace,
			permission_reviewed, q);
}

static bool is_reviewed(const struct auth *a, const struct subject *s)
{
	return a->reviewer_authorizes && (s->method == AUTH_OIDC || s->method == AUTH_KUBERNETES);
}

static void authorize(struct auth_question *q)
{
	CLEANUP(policy_unrefp) struct policy *policy = NULL;

	if (is_reviewed(q->auth, q->subject)) {
		review_permission(q);
		return;
	}
	policy = current_policy(q->auth);
	if (!policy_allows(policy, q->subject, q->action, q->namespace))
		deny(q, "");
	answer(q);
}

int auth_check_somewhere(struct auth *a, const struct subject *subject, enum auth_action action,
	const char *peer, struct error *err)
{
	CLEANUP(policy_unrefp) struct policy *policy = current_policy(a);

	if (is_reviewed(a, subject) || policy_allows(policy, subject, action, NULL))
		return 0;
	count_failure("denied");
	log_warn("denied", LOG_STR("subject", subject->name),
		LOG_STR("action", action_name(action)), LOG_STR("peer", peer));
	return error_set(err, ERROR_DENIED,
		"%s may not %s resources in any namespace: ask an operator for a role",
		subject->name, action_name(action));
}

/* ---- who is it? ---- */

static unsigned rate_of(struct auth *a, const struct subject *s)
{
	CLEANUP(policy_unrefp) struct policy *policy = current_policy(a);
	unsigned rate = policy_rate(policy, s);

	return rate != 0 ? rate : a->rate;
}

/* Who is nobody is at least somewhere. */
int auth_take_rate(
	struct auth *a, const struct subject *subject, const char *peer, struct error *err)
{
	const char *key = subject->method == AUTH_ANONYMOUS ? peer : subject->name;
	unsigned rate = rate_of(a, subject), wait_s;

	if (rate == 0)
		return 0;
	wait_s = limiter_take(a->rates, slice_of(key), rate, 1, rate);
	if (wait_s == 0)
		return 0;
	count_failure("rate");
	error_set(err, ERROR_TOO_MANY, "%s may send %u requests a second; send fewer",
		subject->name, rate);
	err->retry_after_s = wait_s;
	return -1;
}

/* It has a subject: the way goes on. */
static void identified(struct auth_question *q)
{
	if (auth_take_rate(q->auth, q->subject, q->peer, &q->err) == 0 && q->authorizes)
		authorize(q);
	else
		answer(q);
}

/* Of IPv6 the network: whoever has one address of it has them all. */
static void login_key(const char *peer, char ret[AUTH_PEER_SIZE])
{
	struct in6_addr v6;

	snprintf(ret, AUTH_PEER_SIZE, "%s", peer);
	if (inet_pton(AF_INET6, peer, &v6) != 1)
		return;
	memset(v6.s6_addr + 8, 0, 8);
	AN(inet_ntop(AF_INET6, &v6, ret, AUTH_PEER_SIZE));
}

/* Of what an address may get wrong; false, with the answer filled in: it has had it all. */
static bool pay(struct auth_question *q)
{
	char key[AUTH_PEER_SIZE];
	unsigned wait_s;

	login_key(q->peer, key);
	wait_s = limiter_take(
		q->auth->logins, slice_of(key), LIMIT_LOGIN_PER_MINUTE, 60, LIMIT_LOGIN_BURST);
	if (wait_s == 0)
		return true;
	count_failure("shut out");
	error_set(&q->err, ERROR_TOO_MANY,
		"too many credentials from this address were refused; wait before the next");
	q->err.retry_after_s = wait_s;
	return false;
}

static void pay_back(struct auth_question *q)
{
	char key[AUTH_PEER_SIZE];

	login_key(q->peer, key);
	limiter_give(q->auth->logins, slice_of(key), LIMIT_LOGIN_PER_MINUTE, 60);
}

/* It proves nothing, or nobody can say. paid: pay() was called for it. */
static void fail(struct auth_question *q, const struct error *err, bool paid)
{
	if (err->code != ERROR_UNAUTHORIZED) {
		q->err = *err;
	} else if (paid || pay(q)) {
		q->err = *err;
		count_failure("credential");
		log_warn("credential refused", LOG_STR("peer", q->peer),
			LOG_STR("reason", err->text));
	}
	answer(q);
}

static void unauthorized(struct auth_question *q, const char *why)
{
	struct error err = ERROR_INIT;

	error_set(&err, ERROR_UNAUTHORIZED, "%s", why);
	fail(q, &err, false);
}

static bool has_ended(const struct subject *s)
{
	return s->expires_s != 0 && s->expires_s <= clock_realtime_us() / 1000000;
}

static void take_subject(struct auth_question *q, struct subject *subject)
{
	if (has_ended(subject)) {
		unauthorized(q, "the credential has expired: get a new one");
		return;
	}
	q->subject = subject_ref(subject);
	identified(q);
}

static void end_identity(
	struct auth_question *q, struct subject *subject, const struct error *err, bool paid)
{
	if (subject != NULL)
		take_subject(q, subject);
	else
		fail(q, err, paid);
}

static void remember_identity(
	struct auth *a, const struct digest *key, struct subject *subject, const struct error *err)
{
	uint64_t now = clock_monotonic_ms();
	unsigned for_s = subject != NULL ? LIMIT_REVIEW_S : LIMIT_REVIEW_NO_S;

	if (subject != NULL || err->code == ERROR_UNAUTHORIZED)
		cache_put(a->identities, key, now, now + for_s * 1000, subject, err);
}

/* To all who have asked the same meanwhile; the first has paid. */
static void land_identity(
	struct auth *a, const struct digest *key, struct subject *subject, const struct error *err)
{
	struct auth_question *q, *next;

	for (q = question_of(flights_land(a->questions, key)); q != NULL; q = next) {
		next = question_of(STAILQ_NEXT(&q->passenger, next));
		end_identity(q, subject, err, true);
	}
}

static void identity_reviewed(struct subject *subject, const struct error *err, void *arg)
{
	struct auth_question *q = arg;
	struct auth *a = q->auth;
	struct digest key = q->passenger.key;

	if (err->code != ERROR_UNAUTHORIZED)
		pay_back(q);
	remember_identity(a, &key, subject, err);
	land_identity(a, &key, subject, err);
}

/* Each question is one more for somebody else to answer: an address has a few of them that come to
 * nothing. */
static void review_identity(struct auth_question *q, struct slice credential)
{
	struct auth *a = q->auth;
	struct digest key = q->passenger.key;
	struct error err;

	if (!flights_board(a->questions, &q->passenger))
		return;
	if (pay(q)) {
		a->reviewer.identify(a->reviewer.arg, credential, identity_reviewed, q);
	} else {
		err = q->err;
		land_identity(a, &key, NULL, &err);
	}
}

/* A signature is checked here: that costs nobody else anything. */
static void token_verified(struct subject *subject, const struct error *err, void *arg)
{
	struct auth_question *q = arg;

	remember_identity(q->auth, &q->passenger.key, subject, err);
	end_identity(q, subject, err, false);
}

/* Whose credential it is only others can say. */
static void identify_by_others(struct auth_question *q, struct slice credential)
{
	CLEANUP(subject_unrefp) struct subject *known = NULL;
	struct auth *a = q->auth;
	struct error err;

	q->passenger.key = digest_of(credential);
	if (cache_get(a->identities, &q->passenger.key, clock_monotonic_ms(), &known, &err))
		end_identity(q, known, &err, false);
	else if (a->oidc != NULL && oidc_is_ours(a->oidc, credential))
		oidc_verify(a->oidc, credential, token_verified, q);
	else if (a->reviewer_identifies)
		review_identity(q, credential);
	else
		unauthorized(q, "the credential is not known here: check it, or get a new one");
}

static void identify_token(struct auth_question *q, struct slice credential)
{
	CLEANUP(tokens_unrefp) struct tokens *tokens = current_tokens(q->auth);
	CLEANUP(subject_unrefp) struct subject *subject = tokens_find(tokens, credential);

	if (subject != NULL)
		take_subject(q, subject);
	else
		unauthorized(q, "there is no such token: it was revoked, or mistyped");
}

static void identify_nobody(struct auth_question *q)
{
	if (q->auth->nobody == NULL) {
		count_failure("none");
		error_set(&q->err, ERROR_UNAUTHORIZED,
			"say who you are: send the header Authorization: Bearer and a token (gsq "
			"token create makes one)");
		answer(q);
		return;
	}
	q->subject = subject_ref(q->auth->nobody);
	identified(q);
}

static void identify(struct auth_question *q)
{
	CLEANUP(buf_wipe) struct buf credential = BUF_INIT(LIMIT_CREDENTIAL);
	struct error err = ERROR_INIT;

	q->subject = NULL;
	if (q->authorization.p == NULL)
		identify_nobody(q);
	else if (credential_read(q->authorization, &credential, &err) != 0)
		fail(q, &err, false);
	else if (slice_starts(buf_slice(&credential), SLICE(TOKEN_PREFIX)))
		identify_token(q, buf_slice(&credential));
	else
		identify_by_others(q, buf_slice(&credential));
}

/* ---- asking ---- */

bool auth_ask(struct auth *a, struct auth_question *q)
{
	begin(a, q, true);
	identify(q);
	return leave(q);
}

bool auth_identify(struct auth *a, struct auth_question *q)
{
	begin(a, q, false);
	identify(q);
	return leave(q);
}

bool auth_authorize(struct auth *a, struct auth_question *q)
{
	begin(a, q, true);
	authorize(q);
	return leave(q);
}

bool auth_still(struct auth *a, const struct subject *subject, enum auth_action action,
	const char *namespace, unsigned *generation)
{
	CLEANUP(tokens_unrefp) struct tokens *tokens = NULL;
	CLEANUP(policy_unrefp) struct policy *policy = NULL;
	unsigned now = atomic_load(&a->generation);

	if (has_ended(subject))
		return false;
	if (*generation == now)
		return true;
	tokens = current_tokens(a);
	policy = current_policy(a);
	if (subject->method == AUTH_TOKEN && !tokens_has(tokens, subject))
		return false;
	if (!is_reviewed(a, subject) && !policy_allows(policy, subject, action, namespace))
		return false;
	*generation = now;
	return true;
}

uint64_t auth_stream_s(const struct auth *a, const struct subject *subject)
{
	return is_reviewed(a, subject) ? LIMIT_REVIEWED_S : 0;
}

uint64_t auth_quota(struct auth *a, const char *namespace)
{
	CLEANUP(policy_unrefp) struct policy *policy = current_policy(a);

	return policy_quota(policy, namespace);
}

/* ---- the files ---- */

static void log_kept(const char *file, const struct error *err)
{
	log_error("file not taken over: what was read before stays",
		LOG_STR("file", file == NULL ? "" : file), LOG_STR("reason", err->text));
}

static void reload_tokens(struct auth *a)
{
	CLEANUP(tokens_unrefp) struct tokens *old = NULL;
	struct error err = ERROR_INIT;
	struct tokens *fresh;

	if (tokens_load(&fresh, a->token_file, &err) != 0) {
		log_kept(a->token_file, &err);
		return;
	}
	AZ(pthread_mutex_lock(&a->lock));
	old = a->tokens;
	a->tokens = fresh;
	AZ(pthread_mutex_unlock(&a->lock));
	tokens_take_uses(fresh, old);
}

static void reload_policy(struct auth *a)
{
	CLEANUP(policy_unrefp) struct policy *old = NULL;
	struct error err = ERROR_INIT;
	struct policy *fresh;

	if (policy_load(&fresh, a->policy_file, &err) != 0) {
		log_kept(a->policy_file, &err);
		return;
	}
	AZ(pthread_mutex_lock(&a->lock));
	old = a->policy;
	a->policy = fresh;
	AZ(pthread_mutex_unlock(&a->lock));
}

void auth_reload(struct auth *a)
{
	reload_tokens(a);
	reload_policy(a);
	atomic_fetch_add(&a->generation, 1);
	log_info("tokens and policy read", LOG_NUM("tokens", tokens_count(a->tokens)));
}

void auth_save_uses(struct auth *a)
{
	CLEANUP(tokens_unrefp) struct tokens *tokens = current_tokens(a);
	struct error err = ERROR_INIT;

	if (a->token_file == NULL || tokens_save_uses(tokens, a->token_file, &err) == 0)
		return;
	if (!a->told_unsaved) /* a mounted Secret cannot be written to, now or later */
		log_warn("when tokens were last used is not written down",
			LOG_STR("reason", err.text));
	a->told_unsaved = true;
}

/* ---- life ---- */

static int make_nobody(struct auth *a, struct error *err)
{
	struct grant grant = {
		.role = a->anonymous == ANONYMOUS_WRITE ? ROLE_ADMIN : ROLE_VIEWER,
		.namespace = AUTH_EVERYWHERE,
	};
	struct subject_draft draft = {.method = AUTH_ANONYMOUS, .n_grants = 1, .grants = &grant};

	if (a->anonymous == ANONYMOUS_NONE)
		return 0;
	return subject_new(&a->nobody, &draft, err);
}

static int copy(char **ret, const char *text, struct error *err)
{
	if (text == NULL)
		return 0;
	*ret = strdup(text);
	return *ret == NULL ? error_no_memory(err) : 0;
}

static int start(struct auth *a, const struct auth_options *options, struct error *err)
{
	if (copy(&a->token_file, options->token_file, err) != 0 ||
		copy(&a->policy_file, options->policy_file, err) != 0 || make_nobody(a, err) != 0)
		return -1;
	if (limiter_new(&a->rates, LIMITED, err) != 0 || limiter_new(&a->logins, LIMITED, err) != 0)
		return -1;
	if (cache_new(&a->identities, LIMIT_REVIEWS, err) != 0 ||
		cache_new(&a->permissions, LIMIT_REVIEWS, err) != 0 ||
		flights_new(&a->questions, err) != 0)
		return -1;
	if (tokens_load(&a->tokens, a->token_file, err) != 0 ||
		policy_load(&a->policy, a->policy_file, err) != 0)
		return -1;
	return options->oidc == NULL ? 0 : oidc_new(&a->oidc, options->oidc, err);
}

int auth_new(struct auth **ret, const struct auth_options *options, struct error *err)
{
	struct auth *a = calloc(1, sizeof(*a));

	if (a == NULL)
		return error_no_memory(err);
	AZ(pthread_mutex_init(&a->lock, NULL));
	atomic_init(&a->generation, 1);
	a->anonymous = options->anonymous;
	a->rate = options->rate;
	a->reviewer_identifies = options->reviewer_identifies;
	a->reviewer_authorizes = options->reviewer_authorizes;
	ASSERT(options->reviewer != NULL || !(a->reviewer_identifies || a->reviewer_authorizes));
	if (options->reviewer != NULL)
		a->reviewer = *options->reviewer;
	if (start(a, options, err) != 0) {
		auth_free(a);
		return -1;
	}
	*ret = a;
	return 0;
}

void auth_stop(struct auth *a)
{
	oidc_free(TAKE_PTR(a->oidc));
}

void auth_free(struct auth *a)
{
	if (a == NULL)
		return;
	auth_stop(a);
	tokens_unref(a->tokens);
	policy_unref(a->policy);
	cache_free(a->identities);
	cache_free(a->permissions);
	flights_free(a->questions);
	limiter_free(a->rates);
	limiter_free(a->logins);
	subject_unref(a->nobody);
	AZ(pthread_mutex_destroy(&a->lock));
	free(a->token_file);
	free(a->policy_file);
	free(a);
}
