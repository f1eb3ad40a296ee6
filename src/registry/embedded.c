/* SPDX-License-Identifier: Apache-2.0 */
#include "registry/embedded_private.h"

#define WORKERS 4
#define READERS (WORKERS + 4) /* and the checker, the publisher, retention, the jobs */

static int open_all(struct embedded *e, const char *data_dir, struct error *err)
{
	if (store_open(&e->store, data_dir, READERS, err) != 0 ||
		uploads_new(&e->uploads, e->store, err) != 0 ||
		committer_new(&e->committer, e->store, err) != 0 ||
		page_cache_new(&e->catalog_pages, err) != 0 ||
		cursor_key_init(&e->cursor_key, err) != 0 ||
		registry_tokens_new(&e->tokens, err) != 0)
		return -1;
	if (workers_new(&e->workers, "registry", WORKERS, err) != 0)
		return -1;
	return workers_new(&e->checker, "registry-check", 1, err);
}

int embedded_new(struct embedded **ret, const char *data_dir, struct error *err)
{
	struct embedded *e = calloc(1, sizeof(*e));

	if (e == NULL)
		return error_no_memory(err);
	AZ(pthread_mutex_init(&e->lock, NULL));
	AZ(pthread_cond_init(&e->no_calls, NULL));
	if (open_all(e, data_dir, err) != 0) {
		embedded_free(e);
		return -1;
	}
	*ret = e;
	return 0;
}

int embedded_start_upkeep(
	struct embedded *e, const struct upkeep_options *options, struct error *err)
{
	ASSERT(e->upkeep == NULL);
	if (upkeep_new(&e->upkeep, e, options, err) != 0)
		return -1;
	e->gc_grace_s = options->gc_grace_s;
	e->upkeep_runs = true;
	return 0;
}

void embedded_stop_upkeep(struct embedded *e)
{
	if (e->upkeep_runs)
		upkeep_stop(e->upkeep);
	e->upkeep_runs = false;
}

void embedded_free(struct embedded *e)
{
	if (e == NULL)
		return;
	embedded_stop_upkeep(e);
	AZ(pthread_mutex_lock(&e->lock));
	while (e->n_calls > 0)
		AZ(pthread_cond_wait(&e->no_calls, &e->lock));
	AZ(pthread_mutex_unlock(&e->lock));
	upkeep_free(e->upkeep);
	workers_free(e->checker);
	workers_free(e->workers);
	committer_free(e->committer);
	registry_tokens_free(e->tokens);
	page_cache_free(e->catalog_pages);
	uploads_free(e->uploads);
	store_close(e->store);
	AZ(pthread_cond_destroy(&e->no_calls));
	AZ(pthread_mutex_destroy(&e->lock));
	free(e);
}

void embedded_call_begins(struct embedded *e)
{
	AZ(pthread_mutex_lock(&e->lock));
	e->n_calls++;
	AZ(pthread_mutex_unlock(&e->lock));
}

void embedded_call_ends(struct embedded *e)
{
	AZ(pthread_mutex_lock(&e->lock));
	ASSERT(e->n_calls > 0);
	if (--e->n_calls == 0)
		AZ(pthread_cond_signal(&e->no_calls));
	AZ(pthread_mutex_unlock(&e->lock));
}
