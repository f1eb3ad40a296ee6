/* SPDX-License-Identifier: Apache-2.0 */
#include "cluster/review.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"

#include <stdio.h>
#include <sys/queue.h>

#define METHOD "kubernetes:" /* of a subject's name and groups, which Kubernetes does not know */
#define OTHERS "gsq:"        /* before the names of all others */
#define QUESTION_MAX (4 * LIMIT_CREDENTIAL + LIMIT_GROUPS * (2 * LIMIT_SUBJECT + 16))

struct question {
	struct review *review;
	struct buf body; /* with the token that it is about */
	char *refusal;   /* of SubjectAccessReview: what is not allowed */
	const char *path;
	const char *reviews; /* "tokenreviews": what has to be created */
	/* One of them. */
	reviewer_identified *identified;
	reviewer_authorized *authorized;
	void *done_arg;
	STAILQ_ENTRY(question) next;
};
STAILQ_HEAD(questions, question);

struct review {
	struct kube *kube;
	const char *const *audiences;
	unsigned n; /* questions there are; atomic */

	/* kube's thread's own */
	unsigned n_sent;
	struct questions waiting;
	struct error
		said; /* what the log was told last: why it cannot be asked, ERROR_NONE: it can */
	struct error refused; /* likewise: why a token was not taken */
};

/* ---- questions ---- */

static void wipe_body(struct question *q)
{
	if (q->body.data != NULL)
		explicit_bzero(q->body.data, q->body.cap);
	buf_done(&q->body);
}

static void question_free(struct question *q)
{
	if (q == NULL)
		return;
	__atomic_sub_fetch(&q->review->n, 1, __ATOMIC_RELAXED);
	wipe_body(q);
	free(q->refusal);
	free(q);
}
DEFINE_CLEANUP(struct question, question_free);

static int question_new(struct question **ret, struct review *r, struct error *err)
{
	struct question *q;

	if (__atomic_add_fetch(&r->n, 1, __ATOMIC_RELAXED) > LIMIT_REVIEWS_WAITING) {
		__atomic_sub_fetch(&r->n, 1, __ATOMIC_RELAXED);
		return error_set(err, ERROR_UNAVAILABLE,
			"too many requests wait for the Kubernetes API to say who they are and "
			"what they may; try again");
	}
	q = calloc(1, sizeof(*q));
	if (q == NULL) {
		__atomic_sub_fetch(&r->n, 1, __ATOMIC_RELAXED);
		return error_no_memory(err);
	}
	q->review = r;
	buf_init(&q->body, QUESTION_MAX);
	*ret = q;
	return 0;
}

static void say(struct review *r, const struct error *why)
{
	if (why->code != ERROR_NONE && !error_is_same(why, &r->said))
		log_warn("the Kubernetes API cannot be asked who somebody is and what they may",
			LOG_STR("reason", why->text));
	else if (why->code == ERROR_NONE && r->said.code != ERROR_NONE)
		log_info("the Kubernetes API can be asked again who somebody is");
	r->said = *why;
}

/* Whoever asks can be anybody, and can do nothing about it: so the reason is for the log alone. */
static void fail(struct question *q, const struct error *why)
{
	struct error err = *why;

	if (err.code == ERROR_DENIED)
		error_set(&err, ERROR_UNAVAILABLE,
			"the Kubernetes API does not let gsq create %s: bind the ClusterRole "
			"system:auth-delegator to the account of gsq",
			q->reviews);
	say(q->review, &err);
	error_set(&err, ERROR_UNAVAILABLE,
		"the Kubernetes API cannot be asked now; the server's log says why");
	if (q->identified != NULL)
		q->identified(NULL, &err, q->done_arg);
	else
		q->authorized(&err, q->done_arg);
	question_free(q);
}

/* ---- answers: on kube's thread ---- */

/* With its NULs, where it has any: "alice" is not who "alice\0x" is. */
static struct slice text_of(const json_t *value)
{
	if (!json_is_string(value))
		return SLICE("");
	return (struct slice){json_string_value(value), json_string_length(value)};
}

static bool is_ours(const struct review *r, const json_t *audiences)
{
	if (r->audiences == NULL)
		return true;
	for (const char *const *ours = r->audiences; *ours != NULL; ours++)
		for (size_t i = 0; i < json_array_size(audiences); i++)
			if (slice_eq(text_of(json_array_get(audiences, i)), slice_of(*ours)))
				return true;
	return false;
}

static int make_subject(struct subject **ret, const json_t *status, struct error *err)
{
	const json_t *user = json_object_get(status, "user");
	const json_t *list = json_object_get(user, "groups");
	struct slice groups[LIMIT_GROUPS];
	size_t n = json_array_size(list);
	struct subject_draft draft = {
		.method = AUTH_KUBERNETES,
		.name = text_of(json_object_get(user, "username")),
		.n_groups = n > LIMIT_GROUPS ? LIMIT_GROUPS : n,
		.groups = groups,
		.expires_s = clock_realtime_us() / 1000000 + LIMIT_REVIEWED_S,
	};

	if (n > LIMIT_GROUPS)
		log_warn("groups are ignored: this user has too many",
			LOG_SLICE("user", draft.name), LOG_NUM("groups", n),
			LOG_NUM("limit", LIMIT_GROUPS));
	for (size_t i = 0; i < draft.n_groups; i++)
		groups[i] = text_of(json_array_get(list, i));
	return subject_new(ret, &draft, err);
}

/* Its words may tell of what is behind an authenticator. */
static int not_taken(struct review *r, const char *why, struct error *err)
{
	struct error said = ERROR_INIT;

	error_set(&said, ERROR_UNAUTHORIZED, "%s", why);
	if (why[0] != '\0' && !error_is_same(&said, &r->refused))
		log_info("Kubernetes does not take a token", LOG_STR("reason", said.text));
	r->refused = said;
	return error_set(err, ERROR_UNAUTHORIZED, "Kubernetes does not take the token");
}

static int read_identity(
	struct subject **ret, struct review *r, const json_t *object, struct error *err)
{
	const json_t *status = json_object_get(object, "status");

	if (!json_is_true(json_object_get(status, "authenticated")))
		return not_taken(r, kube_string(status, "error", NULL), err);
	if (!is_ours(r, json_object_get(status, "audiences")))
		return error_set(
			err, ERROR_UNAUTHORIZED, "the token is for another audience, not for gsq");
	if (make_subject(ret, status, err) == 0)
		return 0;
	if (err->code == ERROR_INVALID) /* a name that we cannot show proves nothing to us */
		err->code = ERROR_UNAUTHORIZED;
	return error_wrap(err, "Kubernetes knows the token");
}

static void answer_identity(struct question *q, const json_t *object)
{
	CLEANUP(subject_unrefp) struct subject *subject = NULL;
	struct error err = ERROR_INIT;

	if (read_identity(&subject, q->review, object, &err) != 0 &&
		err.code != ERROR_UNAUTHORIZED) {
		fail(q, &err);
		return;
	}
	q->identified(subject, &err, q->done_arg);
	question_free(q);
}

static void answer_permission(struct question *q, const json_t *object)
{
	const json_t *status = json_object_get(object, "status");
	const char *why = kube_string(status, "reason", NULL);
	struct error err = ERROR_INIT;

	if (!json_is_true(json_object_get(status, "allowed")))
		error_set(
			&err, ERROR_DENIED, "%s%s%s", q->refusal, why[0] == '\0' ? "" : ": ", why);
	q->authorized(&err, q->done_arg);
	question_free(q);
}

static void send_waiting(struct review *r);

/* What waits behind a question that got no answer would wait as long for none. */
static void fail_waiting(struct review *r, const struct error *why)
{
	struct question *q;

	while ((q = STAILQ_FIRST(&r->waiting)) != NULL) {
		STAILQ_REMOVE_HEAD(&r->waiting, next);
		fail(q, why);
	}
}

static void on_answer(int status, json_t *object, const struct error *err, void *arg)
{
	struct question *q = arg;
	struct review *r = q->review;

	r->n_sent--;
	if (object != NULL)
		say(r, &(struct error)ERROR_INIT);
	if (object == NULL)
		fail(q, err);
	else if (q->identified != NULL)
		answer_identity(q, object);
	else
		answer_permission(q, object);
	if (status == 0)
		fail_waiting(r, err);
	send_waiting(r);
}

/* ---- asking ---- */

static void send_waiting(struct review *r)
{
	struct question *q;

	while (r->n_sent < LIMIT_REVIEWS_PARALLEL && (q = STAILQ_FIRST(&r->waiting)) != NULL) {
		STAILQ_REMOVE_HEAD(&r->waiting, next);
		r->n_sent++;
		kube_create(r->kube, q->path, buf_slice(&q->body), LIMIT_REVIEW_MS, on_answer, q);
	}
}

static void enqueue(void *arg)
{
	struct question *q = arg;

	STAILQ_INSERT_TAIL(&q->review->waiting, q, next);
	send_waiting(q->review);
}

static void begin_body(struct buf *b, const char *api_version, const char *kind)
{
	json_begin_object(b);
	json_member_cstr(b, "apiVersion", api_version);
	json_member_cstr(b, "kind", kind);
	json_key(b, "spec");
	json_begin_object(b);
}

static void end_body(struct buf *b)
{
	json_end_object(b);
	json_end_object(b);
}

/* Every token that Kubernetes knows can stand in a header line (RFC 6750 section 2.1). */
static bool is_token(struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] <= ' ' || s.p[i] > '~')
			return false;
	return s.n > 0 && s.n <= LIMIT_CREDENTIAL;
}

static void token_review(struct buf *b, const char *const *audiences, struct slice token)
{
	begin_body(b, "authentication.k8s.io/v1", "TokenReview");
	if (audiences != NULL) {
		json_key(b, "audiences");
		json_begin_array(b);
		for (; *audiences != NULL; audiences++) {
			json_item(b);
			json_add_string(b, slice_of(*audiences));
		}
		json_end_array(b);
	}
	/* From here on the buffer stays where it is: a copy that is left behind is not wiped. */
	(void)buf_room(b, 2 * token.n + 64);
	json_member_string(b, "token", token);
	end_body(b);
}

/* Once it is posted it is kube's thread's. */
static int post(struct question **q, struct error *err)
{
	if (buf_check(&(*q)->body, err) != 0 ||
		kube_post((*q)->review->kube, enqueue, *q, err) != 0)
		return -1;
	*q = NULL;
	return 0;
}

static int begin_identify(struct review *r, struct slice token, reviewer_identified *done,
	void *done_arg, struct error *err)
{
	CLEANUP(question_freep) struct question *q = NULL;

	if (!is_token(token))
		return error_set(err, ERROR_UNAUTHORIZED,
			"the credential is no token: ASCII, at most %zu bytes", LIMIT_CREDENTIAL);
	if (question_new(&q, r, err) != 0)
		return -1;
	q->path = "/apis/authentication.k8s.io/v1/tokenreviews";
	q->reviews = "tokenreviews.authentication.k8s.io";
	q->identified = done;
	q->done_arg = done_arg;
	token_review(&q->body, r->audiences, token);
	return post(&q, err);
}

static void identify(void *arg, struct slice token, reviewer_identified *done, void *done_arg)
{
	struct error err = ERROR_INIT;

	if (begin_identify(arg, token, done, done_arg, &err) == 0)
		return;
	if (err.code != ERROR_UNAUTHORIZED)
		err.code = ERROR_UNAVAILABLE;
	done(NULL, &err, done_arg);
}

/* A name or group as Kubernetes knows it. Those of others are nobody's there: the prefix that they
 * have here is not enough, for the API server may know an issuer of its own by "oidc:". */
static void add_known_as(struct buf *b, const struct subject *subject, const char *name)
{
	char others[sizeof(OTHERS) + LIMIT_SUBJECT];

	if (subject->method != AUTH_KUBERNETES) {
		snprintf(others, sizeof(others), OTHERS "%s", name);
		json_add_string(b, slice_of(others));
		return;
	}
	ASSERT(slice_starts(slice_of(name), SLICE(METHOD)));
	json_add_string(b, slice_of(name + strlen(METHOD)));
}

static void subject_access_review(struct buf *b, const struct subject *subject,
	enum auth_action action, const char *namespace)
{
	bool is_everywhere = strcmp(namespace, AUTH_EVERYWHERE) == 0;

	begin_body(b, "authorization.k8s.io/v1", "SubjectAccessReview");
	json_key(b, "user");
	add_known_as(b, subject, subject->name);
	json_key(b, "groups");
	json_begin_array(b);
	for (size_t i = 0; i < subject->n_groups; i++) {
		json_item(b);
		add_known_as(b, subject, subject->groups[i]);
	}
	json_end_array(b);
	json_key(b, "resourceAttributes");
	json_begin_object(b);
	json_member_cstr(b, "group", "gitops-squared.io");
	json_member_cstr(b, "resource", "platformresources");
	json_member_cstr(b, "verb", action_verb(action));
	json_member_cstr(b, "namespace", is_everywhere ? "" : namespace);
	json_end_object(b);
	end_body(b);
}

static char *refusal(const struct subject *subject, enum auth_action action, const char *namespace)
{
	if (strcmp(namespace, AUTH_EVERYWHERE) == 0)
		return str_printf("Kubernetes does not let %s \"%s\" platformresources in all "
				  "namespaces",
			subject->name, action_verb(action));
	return str_printf("Kubernetes does not let %s \"%s\" platformresources in the namespace "
			  "\"%s\"",
		subject->name, action_verb(action), namespace);
}

static void authorize(void *arg, const struct subject *subject, enum auth_action action,
	const char *namespace, reviewer_authorized *done, void *done_arg)
{
	CLEANUP(question_freep) struct question *q = NULL;
	struct error err = ERROR_INIT;

	if (question_new(&q, arg, &err) == 0) {
		q->path = "/apis/authorization.k8s.io/v1/subjectaccessreviews";
		q->reviews = "subjectaccessreviews.authorization.k8s.io";
		q->authorized = done;
		q->done_arg = done_arg;
		q->refusal = refusal(subject, action, namespace);
		subject_access_review(&q->body, subject, action, namespace);
		if (q->refusal == NULL)
			error_no_memory(&err);
		else if (post(&q, &err) == 0)
			return;
	}
	err.code = ERROR_UNAVAILABLE;
	done(&err, done_arg);
}

/* ---- its life ---- */

int review_new(
	struct review **ret, struct kube *kube, const char *const *audiences, struct error *err)
{
	struct review *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return error_no_memory(err);
	r->kube = kube;
	r->audiences = audiences;
	STAILQ_INIT(&r->waiting);
	*ret = r;
	return 0;
}

struct reviewer review_reviewer(struct review *r)
{
	return (struct reviewer){.identify = identify, .authorize = authorize, .arg = r};
}

void review_free(struct review *r)
{
	if (r == NULL)
		return;
	ASSERT(r->n == 0);
	free(r);
}
