/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/gate.h"

/* Who comes second, the answer or the loop's handle, sends the request back to its loop. */
enum { OUT, WAITING, BACK, ABANDONED };

struct asking {
	struct auth_question q;
	atomic_int state;
	struct http_handle *handle;
	gate_then *then;
	void *arg;
};

static void asking_free(struct asking *asking)
{
	subject_unref(asking->q.subject);
	free(asking);
}

static void resume(struct http_exchange *x, void *arg)
{
	struct asking *asking = arg;

	asking->then(x, asking->q.subject, &asking->q.err, asking->arg);
	asking_free(asking);
}

static void answered(struct auth_question *q UNUSED, void *arg)
{
	struct asking *asking = arg;

	switch (atomic_exchange(&asking->state, BACK)) {
	case WAITING:
		http_handle_post(asking->handle, resume, asking);
		break;
	case ABANDONED:
		asking_free(asking);
		break;
	}
}

static void without_memory(struct http_exchange *x, gate_then *then, void *arg)
{
	struct error err = ERROR_INIT;

	error_no_memory(&err);
	then(x, NULL, &err, arg);
}

static void wait_for_answer(struct http_exchange *x, struct asking *asking)
{
	gate_then *then = asking->then;
	void *arg = asking->arg;

	asking->handle = http_exchange_handle(x);
	if (asking->handle == NULL) {
		if (atomic_exchange(&asking->state, ABANDONED) == BACK)
			asking_free(asking);
		without_memory(x, then, arg);
	} else if (atomic_exchange(&asking->state, WAITING) == BACK) {
		http_handle_post(asking->handle, resume, asking);
	}
}

static struct slice header(struct http_exchange *x)
{
	return http_head_get(http_exchange_head(x), "Authorization");
}

static void ask(struct http_exchange *x, struct auth *auth,
	bool (*how)(struct auth *auth, struct auth_question *q),
	const struct auth_question *question, gate_then *then, void *arg)
{
	struct asking *asking = malloc(sizeof(*asking));

	if (asking == NULL) {
		without_memory(x, then, arg);
		return;
	}
	asking->q = *question;
	asking->q.peer = http_exchange_peer(x);
	if (question->subject != NULL)
		subject_ref(question->subject);
	asking->q.done = answered;
	asking->q.arg = asking;
	asking->then = then;
	asking->arg = arg;
	atomic_init(&asking->state, OUT);
	if (how(auth, &asking->q))
		resume(x, asking);
	else
		wait_for_answer(x, asking);
}

void gate_ask(struct http_exchange *x, struct auth *auth, enum auth_action action,
	const char *namespace, gate_then *then, void *arg)
{
	struct auth_question q = {
		.authorization = header(x), .action = action, .namespace = namespace};

	ask(x, auth, auth_ask, &q, then, arg);
}

void gate_identify(struct http_exchange *x, struct auth *auth, struct slice authorization,
	gate_then *then, void *arg)
{
	struct auth_question q = {.authorization = authorization};

	ask(x, auth, auth_identify, &q, then, arg);
}

void gate_authorize(struct http_exchange *x, struct auth *auth, struct subject *subject,
	enum auth_action action, const char *namespace, bool quiet, gate_then *then, void *arg)
{
	struct auth_question q = {
		.subject = subject, .action = action, .namespace = namespace, .quiet = quiet};

	ask(x, auth, auth_authorize, &q, then, arg);
}
