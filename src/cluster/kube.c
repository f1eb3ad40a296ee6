/* SPDX-License-Identifier: Apache-2.0 */
#include "cluster/kube_internal.h"

#include "base/clock.h"
#include "base/limits.h"

#define FIELD_MANAGER "fieldManager=gitops-squared"
#define MERGE_PATCH "Content-Type: application/merge-patch+json"
#define JSON "Content-Type: application/json"

struct kube_call {
	struct kube *kube;
	struct kube_request request;
	char *target;
	struct buf body;
	const char *content_type;
	kube_done *done;
	void *arg;
	TAILQ_ENTRY(kube_call) next;
};

/* ---- calls ---- */

static void call_free(struct kube_call *c)
{
	if (c == NULL)
		return;
	kube_request_done(&c->request);
	if (c->body.data != NULL)
		explicit_bzero(c->body.data, c->body.cap);
	buf_done(&c->body);
	free(c->target);
	free(c);
}
DEFINE_CLEANUP(struct kube_call, call_free);

static void on_call_ended(struct http_call *http_call, void *arg)
{
	CLEANUP(call_freep) struct kube_call *c = arg;
	CLEANUP(json_decrefp) json_t *object = NULL;
	struct error err = ERROR_INIT;
	int status = http_call->status;

	TAILQ_REMOVE(&c->kube->under_way, c, next);
	if (kube_request_answer(&c->request, &object, &err) != 0)
		c->done(status < 300 ? 0 : status, NULL, &err, c->arg);
	else
		c->done(status, object, NULL, c->arg);
}

static struct kube_call *call_new(struct kube *kube, const char *method, char *target)
{
	struct kube_call *c = calloc(1, sizeof(*c));

	if (c == NULL || target == NULL) {
		free(target);
		free(c);
		return NULL;
	}
	kube_request_init(&c->request, method, LIMIT_KUBE_ANSWER);
	c->request.call.ended = on_call_ended;
	c->request.call.arg = c;
	c->kube = kube;
	c->target = target;
	return c;
}

/* Calls are begun by data() callbacks too, where the client must not be called: so all of them wait
 * until it wakes us. */
static void call_add(struct kube_call *c, kube_done *done, void *arg)
{
	struct kube *kube = c->kube;

	c->done = done;
	c->arg = arg;
	TAILQ_INSERT_TAIL(&kube->ready, c, next);
	http_client_wake(kube->client);
}

static void no_memory(kube_done *done, void *arg)
{
	struct error err = ERROR_INIT;

	error_no_memory(&err);
	done(0, NULL, &err, arg);
}

void kube_get(struct kube *kube, const char *path, kube_done *done, void *arg)
{
	struct kube_call *c = call_new(kube, "GET", strdup(path));

	if (c == NULL)
		no_memory(done, arg);
	else
		call_add(c, done, arg);
}

/* One with a body, that is not begun yet; target is taken over. NULL without memory. */
static struct kube_call *call_with_body(
	struct kube *kube, const char *method, char *target, struct slice body)
{
	CLEANUP(call_freep) struct kube_call *c = call_new(kube, method, target);

	if (c == NULL)
		return NULL;
	buf_init(&c->body, body.n);
	buf_add(&c->body, body);
	if (c->body.failed != ERROR_NONE)
		return NULL;
	c->request.call.body = buf_slice(&c->body);
	c->request.call.send_body = true;
	return TAKE_PTR(c);
}

void kube_patch(struct kube *kube, const char *path, struct slice body, kube_done *done, void *arg)
{
	char *target = str_printf("%s%c" FIELD_MANAGER, path, strchr(path, '?') ? '&' : '?');
	struct kube_call *c = call_with_body(kube, "PATCH", target, body);

	if (c == NULL) {
		no_memory(done, arg);
		return;
	}
	c->content_type = MERGE_PATCH;
	call_add(c, done, arg);
}

void kube_create(struct kube *kube, const char *path, struct slice body, unsigned timeout_ms,
	kube_done *done, void *arg)
{
	struct kube_call *c = call_with_body(kube, "POST", strdup(path), body);

	if (c == NULL) {
		no_memory(done, arg);
		return;
	}
	c->content_type = JSON;
	c->request.call.timeout_ms = timeout_ms;
	call_add(c, done, arg);
}

static int call_send(struct kube_call *c, struct error *err)
{
	if (c->kube->ending)
		return error_set(err, ERROR_UNAVAILABLE, "the server is stopping");
	return kube_request_start(&c->request, c->kube, c->target, c->content_type, err);
}

static void send_ready(struct kube *kube)
{
	struct kube_call *c;

	while ((c = TAILQ_FIRST(&kube->ready)) != NULL) {
		struct error err = ERROR_INIT;

		TAILQ_REMOVE(&kube->ready, c, next);
		if (call_send(c, &err) == 0) {
			TAILQ_INSERT_TAIL(&kube->under_way, c, next);
			continue;
		}
		c->done(0, NULL, &err, c->arg);
		call_free(c);
	}
}

/* ---- posts ---- */

int kube_post(struct kube *kube, void (*fn)(void *arg), void *arg, struct error *err)
{
	struct kube_post *post = malloc(sizeof(*post));
	bool over, first;

	if (post == NULL)
		return error_no_memory(err);
	*post = (struct kube_post){.fn = fn, .arg = arg};
	AZ(pthread_mutex_lock(&kube->lock));
	over = kube->over;
	first = STAILQ_EMPTY(&kube->posts);
	if (!over)
		STAILQ_INSERT_TAIL(&kube->posts, post, next);
	AZ(pthread_mutex_unlock(&kube->lock));
	if (over) {
		free(post);
		return error_set(err, ERROR_UNAVAILABLE, "the server is stopping");
	}
	if (first)
		http_client_wake(kube->client);
	return 0;
}

static void run_posts(struct kube *kube)
{
	struct kube_posts posts = STAILQ_HEAD_INITIALIZER(posts);
	struct kube_post *post;

	AZ(pthread_mutex_lock(&kube->lock));
	STAILQ_CONCAT(&posts, &kube->posts);
	AZ(pthread_mutex_unlock(&kube->lock));
	while ((post = STAILQ_FIRST(&posts)) != NULL) {
		STAILQ_REMOVE_HEAD(&posts, next);
		post->fn(post->arg);
		free(post);
	}
}

/* ---- the thread ---- */

static void tick(struct kube *kube)
{
	uint64_t now_ms = clock_monotonic_ms();

	/* Wakes come in between, and the client's ticks not to the millisecond. */
	if (now_ms - kube->ticked_ms < LIMIT_KUBE_TICK_MS / 2)
		return;
	kube->ticked_ms = now_ms;
	kube_watchers_tick(kube);
	if (kube->tick != NULL)
		kube->tick(kube->tick_arg);
}

static bool is_stopping(struct kube *kube)
{
	bool stopping;

	AZ(pthread_mutex_lock(&kube->lock));
	stopping = kube->stopping;
	AZ(pthread_mutex_unlock(&kube->lock));
	return stopping;
}

/* From then on nothing can be posted; false where something has been, just now. */
static bool close_posts(struct kube *kube)
{
	AZ(pthread_mutex_lock(&kube->lock));
	kube->over = STAILQ_EMPTY(&kube->posts);
	AZ(pthread_mutex_unlock(&kube->lock));
	return kube->over;
}

/* What ends may post and call again, which fails then. */
static void end_all(struct kube *kube)
{
	struct kube_call *c;

	kube->ending = true;
	kube_watchers_cancel(kube);
	do {
		run_posts(kube);
		while ((c = TAILQ_FIRST(&kube->under_way)) != NULL)
			http_client_cancel(kube->client, &c->request.call);
		send_ready(kube);
	} while (!close_posts(kube));
}

static void on_woken(void *arg)
{
	struct kube *kube = arg;

	if (is_stopping(kube)) {
		end_all(kube);
		http_client_leave(kube->client);
		return;
	}
	run_posts(kube);
	tick(kube);
	send_ready(kube);
}

static void *run(void *arg)
{
	struct kube *kube = arg;

	http_client_serve(kube->client);
	return NULL;
}

/* ---- its life ---- */

static int make_client(struct kube *kube, const struct kube_config *config, struct error *err)
{
	const struct http_client_options options = {
		.parallel = LIMIT_KUBE_PARALLEL,
		.ca = config->ca == NULL ? SLICE_NONE : slice_of(config->ca),
		.certificate =
			config->certificate == NULL ? SLICE_NONE : slice_of(config->certificate),
		.key = config->key == NULL ? SLICE_NONE : slice_of(config->key),
		.insecure = config->insecure,
		.woken = on_woken,
		.woken_arg = kube,
		.tick_ms = LIMIT_KUBE_TICK_MS,
	};

	return http_client_new(&kube->client, &options, err);
}

int kube_new(struct kube **ret, struct kube_config *config, struct error *err)
{
	CLEANUP(kube_freep) struct kube *kube = calloc(1, sizeof(*kube));

	if (kube == NULL)
		return error_no_memory(err);
	STAILQ_INIT(&kube->watchers);
	STAILQ_INIT(&kube->posts);
	TAILQ_INIT(&kube->ready);
	TAILQ_INIT(&kube->under_way);
	AZ(pthread_mutex_init(&kube->lock, NULL));
	if (make_client(kube, config, err) != 0)
		return -1;
	kube->config = *config;
	*config = (struct kube_config){.server = NULL};
	*ret = TAKE_PTR(kube);
	return 0;
}

int kube_start(struct kube *kube, struct error *err)
{
	int errnum = pthread_create(&kube->thread, NULL, run, kube);

	if (errnum != 0)
		return error_set_errno(err, errnum, "cannot start the thread of the cluster");
	pthread_setname_np(kube->thread, "kube");
	kube->started = true;
	return 0;
}

void kube_stop(struct kube *kube)
{
	AZ(pthread_mutex_lock(&kube->lock));
	kube->stopping = true;
	AZ(pthread_mutex_unlock(&kube->lock));
	if (kube->started) {
		http_client_wake(kube->client);
		AZ(pthread_join(kube->thread, NULL));
		kube->started = false;
	} else {
		end_all(kube);
	}
}

void kube_free(struct kube *kube)
{
	if (kube == NULL)
		return;
	ASSERT(!kube->started);
	if (kube->client != NULL)
		kube_stop(kube);
	kube_watchers_free(kube);
	http_client_free(kube->client);
	AZ(pthread_mutex_destroy(&kube->lock));
	kube_config_done(&kube->config);
	free(kube);
}

void kube_on_tick(struct kube *kube, void (*fn)(void *arg), void *arg)
{
	kube->tick = fn;
	kube->tick_arg = arg;
}
