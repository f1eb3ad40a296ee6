/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to api. A change set on its way: its query, handed to the publisher, and answered.
 *
 * The answer is {"version":"c123"|null,"dryRun"?:true,"replayed"?:true,
 * "counts":{"created":N,"updated":N,"unchanged":N,"deleted":N},"changes":[{"operation":"created",
 * "namespace","name","version":"v123"|null,"digest"|null,"diff"?}]}, the items in the order of the
 * request. "diff" is there in a dry run. An error of one item has "index", "namespace" and "name"
 * beside "error", "code" and "field" ("changes[17].resource.spec.size").
 */
#ifndef API_SET_H
#define API_SET_H

#include "api/call.h"
#include "publish/change_set.h"

/* dryRun=true, confirm=prune, of all calls that may remove what nobody named. */
struct set_query {
	bool dry_run;
	bool confirmed;
};
int set_query_parse(struct set_query *ret, struct slice query, struct error *err) MUST_CHECK;

/* Takes over the set, gives it the author where it has none, and answers x when it is decided. On
 * the loop; x may be gone by the time of the answer. */
void set_submit(struct http_exchange *x, struct call *call, struct change_set *set);

/* The same set, where the version of something that it was made from has changed meanwhile: instead
 * of answering ERROR_PRECONDITION of if_revision, calls again() on the loop, up to
 * LIMIT_PATCH_TRIES times in all for one call (call->tries counts). x is not NULL there. */
void set_submit_or_again(struct http_exchange *x, struct call *call, struct change_set *set,
	void (*again)(struct http_exchange *x, struct call *call));

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
void set_error_init(
	struct http_reply *reply, const struct error *err, const struct set_place *place);
void set_error(struct http_exchange *x, const struct error *err, const struct set_place *place);

/* The member of an item that removed, made or changed something, as it stands in "operation". */
const char *set_operation_name(enum outcome_op op);

#endif
