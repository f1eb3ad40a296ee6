/* SPDX-License-Identifier: Apache-2.0 */
/* Changes on their way into the line, and out of it where they are refused. */
#include "publish/publisher_internal.h"

#include "publish/metrics.h"

#include <stdio.h>

/* ---- refusing ---- */

static void refuse(struct change *change, const struct error *err)
{
	struct outcome outcome = {.err = *err};

	change->done(&outcome, change->arg);
	change_free(change);
}

static void refuse_step(struct step *step, const struct error *err)
{
	struct outcome outcome = {.err = *err};

	step->done(&outcome, step->arg);
	step_free(step);
}

static void refuse_without_memory(publisher_done *done, void *arg)
{
	struct outcome outcome = {.err = ERROR_INIT};

	error_no_memory(&outcome.err);
	done(&outcome, arg);
}

/* Why nothing can be taken now; ERROR_NONE when it can. waiting: those before it, most: how many
 * there may be. Under the lock. */
static struct error refusal(
	const struct publisher *p, size_t waiting, size_t most, const char *what)
{
	struct error err = ERROR_INIT;

	if (p->stopping)
		error_set(&err, ERROR_UNAVAILABLE, "the server is stopping; try again");
	else if (p->phase != READY)
		err = p->reason;
	else if (p->closed || p->gate != GATE_OPEN)
		err = publisher_why_closed(p);
	else if (waiting >= most)
		error_set(
			&err, ERROR_TOO_MANY, "%zu %s are waiting already; try again", most, what);
	if (err.retry_after_s == 0)
		err.retry_after_s = PUBLISHER_RETRY_S;
	return err;
}

void publisher_tell_depth(const struct publisher *p)
{
	metric_set(&publish_metric_queue_depth, METRIC_NO_LABELS, p->queue.n);
}

/* ---- lining up ---- */

static void submit(struct publisher *p, struct change *change)
{
	struct error err;

	AZ(pthread_mutex_lock(&p->lock));
	err = refusal(p, p->queue.n, LIMIT_QUEUE, "changes");
	if (err.code == ERROR_NONE && (change->kind == CHANGE_PUT || change->kind == CHANGE_DELETE))
		err = head_why_frozen(&p->frozen);
	if (err.code == ERROR_NONE && change->kind == CHANGE_DELETE)
		err = p->no_deletes;
	if (err.code == ERROR_NONE) {
		queue_add(&p->queue, change);
		publisher_tell_depth(p);
		if (p->queue.in_line == p->wake_at)
			AZ(pthread_cond_signal(&p->wake));
	}
	AZ(pthread_mutex_unlock(&p->lock));
	if (err.code != ERROR_NONE)
		refuse(change, &err);
}

static struct author *author_or_self(struct publisher *p, struct author *author)
{
	return author_ref(author != NULL ? author : p->self);
}

/* Submits a copy, with references to intent and author. */
static void submit_new(struct publisher *p, const struct change *template, const char *namespace,
	const char *name, const char *message)
{
	struct change *change = calloc(1, sizeof(*change));

	if (change != NULL) {
		*change = *template;
		change->author = author_or_self(p, template->author);
		if (change->intent != NULL)
			intent_ref(change->intent);
		change->message = message == NULL ? NULL : strdup(message);
	}
	if (change == NULL || (message != NULL && change->message == NULL)) {
		if (change != NULL)
			change_free(change);
		refuse_without_memory(template->done, template->arg);
		return;
	}
	snprintf(change->namespace, sizeof(change->namespace), "%s", namespace);
	snprintf(change->name, sizeof(change->name), "%s", name);
	submit(p, change);
}

void publisher_put(struct publisher *p, struct intent *intent, struct precondition when,
	struct author *author, publisher_done *done, void *arg)
{
	struct change change = {
		.kind = CHANGE_PUT,
		.author = author,
		.intent = intent,
		.when = when,
		.done = done,
		.arg = arg,
	};

	submit_new(p, &change, intent->namespace, intent->name, NULL);
}

void publisher_delete(struct publisher *p, const char *namespace, const char *name,
	struct precondition when, struct author *author, publisher_done *done, void *arg)
{
	struct change change = {
		.kind = CHANGE_DELETE,
		.author = author,
		.when = when,
		.done = done,
		.arg = arg,
	};

	submit_new(p, &change, namespace, name, NULL);
}

void publisher_hold(struct publisher *p, const char *namespace, const char *name, uint64_t version,
	enum hold_reason reason, uint64_t instead, const char *message, publisher_done *done,
	void *arg)
{
	struct change change = {
		.kind = CHANGE_HOLD,
		.reason = reason,
		.version = version,
		.instead = instead,
		.done = done,
		.arg = arg,
	};

	submit_new(p, &change, namespace, name, message);
}

void publisher_release(struct publisher *p, const char *namespace, const char *name,
	enum hold_reason reason, publisher_done *done, void *arg)
{
	struct change change = {.kind = CHANGE_RELEASE, .reason = reason, .done = done, .arg = arg};

	submit_new(p, &change, namespace, name, NULL);
}

static void submit_step(struct publisher *p, struct step *step)
{
	struct error err;

	AZ(pthread_mutex_lock(&p->lock));
	err = refusal(p, p->n_steps, LIMIT_STEPS, "freezes and steps of a repartition");
	if (err.code == ERROR_NONE && step->kind == STEP_LAYOUT)
		err = head_why_frozen(&p->frozen);
	if (err.code == ERROR_NONE) {
		*p->last_step = step;
		p->last_step = &step->next;
		p->n_steps++;
		AZ(pthread_cond_signal(&p->wake));
	}
	AZ(pthread_mutex_unlock(&p->lock));
	if (err.code != ERROR_NONE)
		refuse_step(step, &err);
}

/* Submits a copy; takes over the reference to the author. */
static void submit_new_step(struct publisher *p, const struct step *template)
{
	struct step *step = calloc(1, sizeof(*step));

	if (step == NULL) {
		author_unref(template->author);
		refuse_without_memory(template->done, template->arg);
		return;
	}
	*step = *template;
	submit_step(p, step);
}

static bool has_deletes(const struct change_set *set)
{
	for (size_t i = 0; i < set->n; i++)
		if (set->items[i].intent == NULL)
			return true;
	return false;
}

static void submit_set(struct publisher *p, struct set_request *set)
{
	struct error err;

	AZ(pthread_mutex_lock(&p->lock));
	err = refusal(p, p->n_sets, LIMIT_SETS, "change sets");
	if (err.code == ERROR_NONE)
		err = head_why_frozen(&p->frozen);
	if (err.code == ERROR_NONE && has_deletes(set->set))
		err = p->no_deletes;
	if (err.code == ERROR_NONE) {
		*p->last_set = set;
		p->last_set = &set->next;
		p->n_sets++;
		AZ(pthread_cond_signal(&p->wake));
	}
	AZ(pthread_mutex_unlock(&p->lock));
	if (err.code != ERROR_NONE)
		set_request_refuse(set, &err);
}

void publisher_apply(
	struct publisher *p, struct change_set *set, publisher_set_done *done, void *arg)
{
	struct set_outcome outcome = {.failed = SIZE_MAX, .set = set};
	struct set_request *request;

	if (set_request_new(&request, set, done, arg, &outcome.err) == 0) {
		submit_set(p, request);
		return;
	}
	done(&outcome, arg);
	change_set_free(set);
}

void publisher_repartition(struct publisher *p, enum record_repartition_step step,
	const struct layout *to, struct author *author, publisher_done *done, void *arg)
{
	struct step s = {
		.kind = STEP_LAYOUT,
		.layout = {step, *to},
		.author = author_or_self(p, author),
		.done = done,
		.arg = arg,
	};

	submit_new_step(p, &s);
}

void publisher_render_root(struct publisher *p, publisher_done *done, void *arg)
{
	struct step s = {
		.kind = STEP_ROOT, .author = author_or_self(p, NULL), .done = done, .arg = arg};

	submit_new_step(p, &s);
}

static int author_of_freeze(
	struct author **ret, const struct author *by, const char *reason, struct error *err)
{
	if (reason[0] == '\0')
		return error_set(err, ERROR_INVALID,
			"the reason is missing: every refusal shows it, so say why, and how long");
	return author_new(ret, by->who, by->from != NULL ? by->from : "", slice_of(reason), err);
}

void publisher_freeze(struct publisher *p, const char *reason, struct author *author,
	publisher_done *done, void *arg)
{
	const struct author *by = author != NULL ? author : p->self;
	struct step s = {.kind = STEP_FREEZE, .done = done, .arg = arg};
	struct outcome refused = {.err = ERROR_INIT};

	if (reason == NULL) {
		s.kind = STEP_THAW;
		s.author = author_or_self(p, author);
	} else if (author_of_freeze(&s.author, by, reason, &refused.err) != 0) {
		done(&refused, arg);
		return;
	}
	submit_new_step(p, &s);
}

/* ---- what waits ---- */

struct step *publisher_take_step(struct publisher *p)
{
	struct step *step = p->steps;

	if (step == NULL)
		return NULL;
	p->n_steps--;
	p->steps = step->next;
	if (p->steps == NULL)
		p->last_step = &p->steps;
	return step;
}

struct set_request *publisher_take_set(struct publisher *p)
{
	struct set_request *set = p->sets;

	if (set == NULL)
		return NULL;
	p->n_sets--;
	p->sets = set->next;
	if (p->sets == NULL)
		p->last_set = &p->sets;
	return set;
}

void publisher_refuse_waiting(struct publisher *p, const struct error *err)
{
	struct set_request *set;
	struct step *step;
	struct change *change;
	size_t n;

	do {
		AZ(pthread_mutex_lock(&p->lock));
		n = queue_take(&p->queue, &change, 1);
		step = publisher_take_step(p);
		set = publisher_take_set(p);
		publisher_tell_depth(p);
		AZ(pthread_mutex_unlock(&p->lock));
		if (n > 0)
			refuse(change, err);
		if (step != NULL)
			refuse_step(step, err);
		if (set != NULL)
			set_request_refuse(set, err);
	} while (n > 0 || step != NULL || set != NULL);
}
