/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to api. A change set on its way: its query, its key, handed to the publisher, answered.
 *
 * The answer is {"revision":"c123"|null,"dryRun"?:true,"replayed"?:true,
 * "counts":{"created":N,"updated":N,"unchanged":N,"deleted":N},"changes":[{"result":"created",
 * "namespace","name","version":"v123"|null,"digest"|null,"diff"?}]}, the items in the order of the
 * request, then what is pruned. "diff" is there in a dry run. One that is replayed is made of the
 * record of its commit, which says nothing of what was unchanged then: that has null for its
 * version and digest, and of a rollback it is left out.
 *
 * An error of one item has "index", "namespace" and "name" beside "error", "code" and "field"
 * ("changes[17].resource.spec.size"); one that goes away by ?confirm=prune has "confirm":"prune".
 */
#ifndef API_CHANGE_SET_H
#define API_CHANGE_SET_H

#include "api/call.h"
#include "publish/change_set.h"

/* dryRun=true, confirm=prune, of all calls that may remove what nobody named. */
struct set_query {
	bool dry_run;
	bool confirmed;
};
int set_query_parse(struct set_query *ret, struct slice query, struct error *err) MUST_CHECK;

/* Refuses an Idempotency-Key that is none. */
int set_check_key(const struct http_exchange *x, struct error *err) MUST_CHECK;
/* Refuses If-None-Match: of what is about more than one resource. */
int set_refuse_none_match(const struct http_exchange *x, struct error *err) MUST_CHECK;

/* The Idempotency-Key to the set, where there is one, and the digest of the whole request. Not to a
 * dry run, which is not remembered: the change that it tries comes with the same key. */
int set_give_key(struct change_set *set, const struct http_exchange *x, struct slice body,
	struct error *err) MUST_CHECK;

typedef void set_then(struct http_exchange *x, struct call *call);

/* Where the request is one that was made before, with its key: answers what that changed. Else
 * then(), on the loop, where the set is to be made of what is current: it might be another now, or
 * not be possible any more. x is not NULL there. */
void set_recall(struct http_exchange *x, struct call *call, struct slice body, set_then *then);

/* Takes over the set, gives it the author where it has none, and answers x when it is decided. On
 * the loop; x may be gone by the time of the answer. */
void set_submit(struct http_exchange *x, struct call *call, struct change_set *set);

/* The same set, where the version of something that it was made from has changed meanwhile: instead
 * of answering ERROR_PRECONDITION of if_revision, or of what is pruned, calls again() on the loop,
 * to be made LIMIT_CHANGE_TRIES times in all for one call (call->tries counts); then it is
 * ERROR_CONFLICT. x is not NULL there. again NULL: as set_submit(). */
void set_submit_or_again(
	struct http_exchange *x, struct call *call, struct change_set *set, set_then *again);

/* Of each namespace that something is put into, or else removed from, the first item, in the order
 * of the namespaces. *ret is the caller's to free; what it points to is the set's. */
int set_namespaces(const struct change_set *set, bool puts, const struct set_item ***ret,
	size_t *ret_n, struct error *err) MUST_CHECK;

/* One item that an error is about; SIZE_MAX: none. namespace and name: "" where they are not known.
 */
struct set_place {
	size_t index;
	char namespace[LIMIT_NAME + 1], name[LIMIT_NAME + 1];
};
#define SET_PLACE_NONE ((struct set_place){.index = SIZE_MAX})
/* "changes[17] (default/web): " before the text, "changes[17]." before the field. */
void set_error_wrap(struct error *err, const struct set_place *place);
void set_error(struct http_exchange *x, const struct error *err, const struct set_place *place);

#endif
