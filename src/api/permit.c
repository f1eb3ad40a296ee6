/* SPDX-License-Identifier: Apache-2.0 */
#include "api/permit.h"

#include "api/change_set.h"
#include "auth/gate.h"

#include <stdio.h>

struct question {
	enum auth_action action;
	char namespace[LIMIT_NAME + 1];
};

/* Lives until then() was called, on the loop alone. */
struct permit {
	struct call *call; /* gone with the exchange */
	size_t n, next;
	struct question *questions;
	permit_then *then;
	void *arg;
	/* Answers that come at once are gone through in a loop: there may be thousands. */
	bool is_asking, has_answer;
	struct error answer;
};

static void permit_free(struct permit *p)
{
	if (p == NULL)
		return;
	free(p->questions);
	free(p);
}
DEFINE_CLEANUP(struct permit, permit_free);

static void add(struct permit *p, enum auth_action action, const char *namespace)
{
	struct question *q = &p->questions[p->n++];

	q->action = action;
	snprintf(q->namespace, sizeof(q->namespace), "%s", namespace);
}

static bool is_asked(const struct permit *p, enum auth_action action, const char *namespace)
{
	for (size_t i = 0; i < p->n; i++)
		if (p->questions[i].action == action &&
			strcmp(p->questions[i].namespace, namespace) == 0)
			return true;
	return false;
}

/* ---- asking ---- */

static void finish(struct http_exchange *x, struct permit *p, const struct error *err)
{
	permit_then *then = p->then;
	void *arg = p->arg;
	struct error answer = *err;

	permit_free(p);
	then(x, &answer, arg);
}

static void ask_all(struct http_exchange *x, struct permit *p);

static void answered(
	struct http_exchange *x, struct subject *subject UNUSED, const struct error *err, void *arg)
{
	struct permit *p = arg;

	p->answer = *err;
	p->has_answer = true;
	if (x == NULL)
		finish(NULL, p, err);
	else if (!p->is_asking)
		ask_all(x, p);
}

/* Goes on from an answer, or begins. */
static void ask_all(struct http_exchange *x, struct permit *p)
{
	while (p->has_answer) {
		const struct question *q = &p->questions[p->next];

		if (p->answer.code != ERROR_NONE || p->next == p->n) {
			finish(x, p, &p->answer);
			return;
		}
		p->next++;
		p->has_answer = false;
		p->is_asking = true;
		gate_authorize(x, p->call->api->auth, p->call->subject, q->action, q->namespace,
			false, answered, p);
		p->is_asking = false;
	}
}

/* ---- what is to be asked ---- */

static int add_of_set(struct permit *p, const struct change_set *set, bool puts, struct error *err)
{
	AUTO_FREE const struct set_item **items = NULL;
	size_t n;

	if (set_namespaces(set, puts, &items, &n, err) != 0)
		return -1;
	for (size_t i = 0; i < n; i++)
		add(p, puts ? ACTION_UPDATE : ACTION_DELETE, items[i]->namespace);
	return 0;
}

static int permit_new(struct permit **ret, const struct change_set *set,
	const struct permit_prune *prune, struct error *err)
{
	CLEANUP(permit_freep) struct permit *p = calloc(1, sizeof(*p));
	size_t n_max = set->n + prune->n;

	if (p == NULL)
		return error_no_memory(err);
	p->questions = calloc(n_max > 0 ? n_max : 1, sizeof(*p->questions));
	if (p->questions == NULL)
		return error_no_memory(err);
	if (add_of_set(p, set, true, err) != 0 || add_of_set(p, set, false, err) != 0)
		return -1;
	for (size_t i = 0; i < prune->n; i++)
		if (!is_asked(p, ACTION_DELETE, prune->namespaces[i]))
			add(p, ACTION_DELETE, prune->namespaces[i]);
	if (p->n > LIMIT_PERMITS)
		return error_set(err, ERROR_TOO_LARGE,
			"one change may be about at most %d namespaces: send several",
			LIMIT_PERMITS);
	*ret = TAKE_PTR(p);
	return 0;
}

void permit_ask_pruning(struct http_exchange *x, struct call *call, const struct change_set *set,
	const struct permit_prune *prune, permit_then *then, void *arg)
{
	struct error err = ERROR_INIT;
	struct permit *p = NULL;

	if (permit_new(&p, set, prune, &err) != 0) {
		then(x, &err, arg);
		return;
	}
	p->call = call;
	p->then = then;
	p->arg = arg;
	p->has_answer = true;
	ask_all(x, p);
}

void permit_ask(struct http_exchange *x, struct call *call, const struct change_set *set,
	permit_then *then, void *arg)
{
	permit_ask_pruning(x, call, set, &(struct permit_prune){.n = 0}, then, arg);
}

/* ---- either of them ---- */

struct either {
	struct call *call; /* gone with the exchange */
	unsigned step;
	permit_then *then;
	void *arg;
};

/* A no is one only when it is the last. */
static const struct {
	enum auth_action action;
	bool quiet;
} steps[] = {{ACTION_UPDATE, true}, {ACTION_DELETE, true}, {ACTION_UPDATE, false}};

static void ask_step(struct http_exchange *x, struct either *e);

static void step_answered(
	struct http_exchange *x, struct subject *subject UNUSED, const struct error *err, void *arg)
{
	struct either *e = arg;
	struct error answer = *err;

	if (x != NULL && err->code == ERROR_DENIED && ++e->step < ARRAY_SIZE(steps)) {
		ask_step(x, e);
		return;
	}
	e->then(x, &answer, e->arg);
	free(e);
}

static void ask_step(struct http_exchange *x, struct either *e)
{
	struct call *call = e->call;

	gate_authorize(x, call->api->auth, call->subject, steps[e->step].action, call->namespace,
		steps[e->step].quiet, step_answered, e);
}

void permit_ask_any(struct http_exchange *x, struct call *call, permit_then *then, void *arg)
{
	struct either *e = malloc(sizeof(*e));
	struct error err = ERROR_INIT;

	if (e == NULL) {
		error_no_memory(&err);
		then(x, &err, arg);
		return;
	}
	*e = (struct either){call, 0, then, arg};
	ask_step(x, e);
}
