/* SPDX-License-Identifier: Apache-2.0 */
/* Private to publish. What history_cache_ of publish/history.h keeps. */
#ifndef PUBLISH_HISTORY_CACHE_H
#define PUBLISH_HISTORY_CACHE_H

#include "publish/history.h"

/* Changes that nobody changes any more; shared. */
struct change_list {
	size_t refs; /* atomic */
	size_t n;
	struct history_change list[];
};

/* Takes over what is copied: the list stays the caller's. NULL without memory. */
struct change_list *change_list_new(const struct history_change *list, size_t n) MUST_CHECK;
void change_list_unref(struct change_list *l);
DEFINE_CLEANUP(struct change_list, change_list_unref);

/* What they are the changes of. */
struct history_span {
	const char *namespace;  /* NULL: all */
	struct digest from, to; /* the records, */
	uint64_t to_version;    /* and the version of the later one */
	uint64_t made_ms;       /* when versions were looked up; 0: now */
};

/* The changes from span->from to the newest record that is not newer than span->to_version, if
 * there are any: which it is, and when, comes back in span. The reference is the caller's; NULL:
 * there are none. Whether the record is an ancestor of the one in span is for the caller to find
 * out. */
struct change_list *history_cache_get(
	struct history_cache *cache, struct history_span *span) MUST_CHECK;

/* Takes a reference of its own, unless it is too long; what was not asked for lately goes. */
void history_cache_put(
	struct history_cache *cache, const struct history_span *span, struct change_list *list);

#endif
