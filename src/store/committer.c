/* SPDX-License-Identifier: Apache-2.0 */
#include "store/committer.h"

#include <pthread.h>

struct committer {
	struct store *store;
	pthread_mutex_t lock; /* guards the queue */
	pthread_cond_t wake;
	struct write *head;
	struct write **tail;
	bool stopping;
	pthread_t thread;
};

/* Up to LIMIT_GROUP writes, in order of arrival; NULL when it is time to end. */
static struct write *next_group(struct committer *c)
{
	struct write *group, **end;

	AZ(pthread_mutex_lock(&c->lock));
	while (c->head == NULL && !c->stopping)
		AZ(pthread_cond_wait(&c->wake, &c->lock));
	group = c->head;
	end = &c->head;
	for (size_t n = 0; *end != NULL && n < LIMIT_GROUP; n++)
		end = &(*end)->next;
	c->head = *end;
	*end = NULL;
	if (c->head == NULL)
		c->tail = &c->head;
	AZ(pthread_mutex_unlock(&c->lock));
	return group;
}

static void run_group(struct committer *c, struct write *group)
{
	struct error err = ERROR_INIT;
	struct store_conn *tx;

	if (store_begin(c->store, &tx, &err) == 0) {
		for (struct write *w = group; w != NULL; w = w->next)
			if (w->apply(w->arg, tx, &w->err) == 0)
				w->err.code = ERROR_NONE;
		if (store_commit(c->store, &err) == 0)
			err.code = ERROR_NONE;
	}
	for (struct write *w = group, *next; w != NULL; w = next) {
		next = w->next; /* done() may free it */
		w->done(w->arg, w->err.code == ERROR_NONE ? &err : &w->err);
	}
}

static void *work(void *arg)
{
	struct committer *c = arg;
	struct write *group;

	while ((group = next_group(c)) != NULL)
		run_group(c, group);
	return NULL;
}

int committer_new(struct committer **ret, struct store *store, struct error *err)
{
	struct committer *c = calloc(1, sizeof(*c));
	int errnum;

	if (c == NULL)
		return error_no_memory(err);
	c->store = store;
	c->tail = &c->head;
	AZ(pthread_mutex_init(&c->lock, NULL));
	AZ(pthread_cond_init(&c->wake, NULL));
	errnum = pthread_create(&c->thread, NULL, work, c);
	if (errnum != 0) {
		free(c);
		return error_set_errno(err, errnum, "cannot start the registry's writer thread");
	}
	pthread_setname_np(c->thread, "registry-write");
	*ret = c;
	return 0;
}

void committer_free(struct committer *c)
{
	if (c == NULL)
		return;
	AZ(pthread_mutex_lock(&c->lock));
	c->stopping = true;
	AZ(pthread_cond_signal(&c->wake));
	AZ(pthread_mutex_unlock(&c->lock));
	AZ(pthread_join(c->thread, NULL));
	AZ(pthread_cond_destroy(&c->wake));
	AZ(pthread_mutex_destroy(&c->lock));
	free(c);
}

void committer_submit(struct committer *c, struct write *w)
{
	w->err = (struct error)ERROR_INIT;
	w->next = NULL;
	AZ(pthread_mutex_lock(&c->lock));
	ASSERT(!c->stopping);
	*c->tail = w;
	c->tail = &w->next;
	AZ(pthread_cond_signal(&c->wake));
	AZ(pthread_mutex_unlock(&c->lock));
}
