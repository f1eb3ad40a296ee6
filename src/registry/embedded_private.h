/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of the embedded registry share. */
#ifndef REGISTRY_EMBEDDED_PRIVATE_H
#define REGISTRY_EMBEDDED_PRIVATE_H

#include "base/workers.h"
#include "registry/cursor.h"
#include "registry/embedded.h"
#include "registry/page_cache.h"
#include "registry/token.h"
#include "registry/upkeep.h"
#include "store/committer.h"
#include "store/store.h"
#include "store/uploads.h"

#include <pthread.h>

struct embedded {
	struct store *store;
	struct committer *committer;
	struct uploads *uploads;
	struct page_cache *catalog_pages;
	struct cursor_key cursor_key;
	struct workers *workers; /* whatever blocks: the event loops must not */
	struct workers *checker; /* one thread, for what takes long: hashing big files */
	struct upkeep *upkeep;   /* NULL: not a server */
	bool upkeep_runs;
	uint64_t gc_grace_s;

	struct auth *auth;      /* borrowed; NULL: everybody may do everything */
	const char *public_url; /* borrowed; NULL: the Host header says it */
	struct registry_tokens *tokens;

	pthread_mutex_t lock; /* guards n_calls */
	pthread_cond_t no_calls;
	size_t n_calls; /* requests in work: they use all of the above */
};

/* Around the life of a request. */
void embedded_call_begins(struct embedded *e);
void embedded_call_ends(struct embedded *e);

#endif
