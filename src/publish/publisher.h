/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one writer: takes the changes that wait, pushes their artifacts, the catalog and a commit
 * record, moves commits:latest, and answers (DESIGN invariants 1, 2, 6-10; section 4 "Group
 * commit").
 *
 * The publisher has a thread of its own; all functions here may be called from any thread and
 * never wait for the registry.
 */
#ifndef PUBLISH_PUBLISHER_H
#define PUBLISH_PUBLISHER_H

#include "catalog/author.h"
#include "catalog/record.h"
#include "catalog/root.h"
#include "catalog/state.h"
#include "oci/registry.h"
#include "publish/prune_guard.h"
#include "publish/signing.h"

struct publisher;

/* ---- what others are told of commits ---- */

/* A resource that a commit has changed. */
struct publisher_change {
	enum record_op op;
	const char *namespace, *name;
	uint64_t version; /* a tombstone's after a deletion */
	struct digest digest;
	const struct resource *resource; /* NULL after a deletion */
};

/* A commit has become current. All of it is borrowed, for the time of the call. */
struct publisher_event {
	struct state *state;
	uint64_t version;
	size_t n_changes; /* those that were unchanged are not among them */
	const struct publisher_change *changes;
	size_t n_catalogs; /* that the commit has changed, the root among them: to be fetched by
			      Flux */
	const char *const *catalogs; /* their repositories */
};

/* On the publisher's thread, after readers see the state (but for the first restored(), which is
 * before anybody can read) and before the changes are answered: must not block. Each may be NULL.
 */
struct publisher_listener {
	/* After a restore: anything may have changed. repartition: what the record says of one that
	 * is under way. Of a new store that GATE_CLUSTER keeps from being made the state is empty
	 * and the version 0: the registry may have lost everything. */
	void (*restored)(struct state *state, uint64_t version,
		const struct record_repartition *repartition, void *arg);
	void (*committed)(const struct publisher_event *event, void *arg);
	/* Equal intent, which changes nothing: Flux is woken all the same (DESIGN invariant 9). */
	void (*repeated)(const char *repository, void *arg);
	void *arg;
};

/* Who may write. Reads are served in any case, once restored. */
enum publisher_gate {
	GATE_OPEN,
	GATE_CLUSTER, /* nobody, until publisher_admit(): the cluster may know better */
	GATE_HOLD,    /* nobody: an operator's word. Nothing at all is pushed */
};

struct publisher_options {
	struct registry *registry;   /* borrowed; used by the publisher's thread only */
	bool init;                   /* an empty store may be given its first record */
	const struct layout *layout; /* of a new store, and of any other that it must be so; NULL:
				      * single for a new one, and whatever another has */
	struct root_request root;    /* for the split layout */
	uint64_t (*now_us)(void);    /* NULL: clock_realtime_us */
	enum publisher_gate gate;
	struct publisher_listener listener;
	struct signing signing;
	struct prune_guard guard; /* of change sets; not confirmed */
	/* NULL, or: the most resources that a namespace may have, UINT64_MAX for any number. On the
	 * publisher's thread; must not block. */
	uint64_t (*quota)(const char *namespace, void *arg);
	void *quota_arg;
	/* Asked for each namespace when a root is rendered; on the publisher's thread, and must not
	 * block. When its answers change, publisher_render_root() is to be called. */
	struct root_lacks lacks;
};

int publisher_new(struct publisher **ret, const struct publisher_options *options,
	struct error *err) MUST_CHECK;

/* Refuses new changes, finishes the batch at hand, answers the rest with 503, ends the thread. */
void publisher_free(struct publisher *p);

/* ---- reading: from memory ---- */

/* 0 when restored; -1 with the reason (ERROR_UNAVAILABLE) until then or when writing stopped. */
int publisher_ready(struct publisher *p, struct error *err);

/* 0 when commits are made; -1 with the reason (ERROR_UNAVAILABLE) where it is not ready, and where
 * the gate is closed. */
int publisher_open(struct publisher *p, struct error *err);

/* 0 when changes are taken: it is open, and not frozen. */
int publisher_writable(struct publisher *p, struct error *err);

/* What is current, with a reference for the caller; NULL before the first restore. ret_version: of
 * the commit that made it so; may be NULL. */
struct state *publisher_state(struct publisher *p, uint64_t *ret_version);

/* ---- writing ---- */

enum outcome_op { OUTCOME_CREATED, OUTCOME_UPDATED, OUTCOME_UNCHANGED, OUTCOME_DELETED };

/* The answer to a change; valid during the call of done(). */
struct outcome {
	enum outcome_op op;
	const struct resource *resource; /* NULL after a deletion */
	const struct resource *old;      /* what it takes the place of; NULL: nothing */
	uint64_t version;
	struct digest digest; /* of the artifact, a tombstone's after a deletion */
	struct error err;     /* ERROR_NONE: it is durable; else the rest is unset */
};

/* What a change finds, or it is not made: ERROR_PRECONDITION. */
enum precondition_kind {
	IF_ANYTHING,
	IF_THERE,     /* a resource of that name, whatever its version (If-Match: *) */
	IF_NOT_THERE, /* none (If-None-Match: *) */
	IF_VERSION,   /* this very version (If-Match: "v123") */
};
struct precondition {
	enum precondition_kind kind;
	uint64_t version; /* of IF_VERSION; 0: one that nothing has */
};
#define ALWAYS ((struct precondition){.kind = IF_ANYTHING})

/* Called once per change, on the publisher's thread (or the caller's, when refused at once):
 * must not block. */
typedef void publisher_done(const struct outcome *outcome, void *arg);

/* Wants the intent to be current. Takes references to it and to the author. ERROR_DENIED: it would
 * be one more than the namespace's quota. */
void publisher_put(struct publisher *p, struct intent *intent, struct precondition when,
	struct author *author, publisher_done *done, void *arg);

/* Wants the resource gone; ERROR_NOT_FOUND where there is none. */
void publisher_delete(struct publisher *p, const char *namespace, const char *name,
	struct precondition when, struct author *author, publisher_done *done, void *arg);

/* ---- several changes, all or none: publish/change_set.h ---- */

struct change_set;
struct set_outcome;

/* Called once, as publisher_done. */
typedef void publisher_set_done(const struct set_outcome *outcome, void *arg);

/* Makes all changes of the set in one commit, or none of them. Takes over the set. */
void publisher_apply(
	struct publisher *p, struct change_set *set, publisher_set_done *done, void *arg);

/* ---- freezing ---- */

/* Commits that the store takes no changes from now on, and why (at most LIMIT_REASON bytes,
 * copied): until it is thawed, by reason NULL, and over restarts, put, delete and repartition are
 * refused with ERROR_UNAVAILABLE and that reason. What the cluster holds and releases goes on.
 * done() gets OUTCOME_UPDATED, or OUTCOME_UNCHANGED where it was so already. */
void publisher_freeze(struct publisher *p, const char *reason, struct author *author,
	publisher_done *done, void *arg);
/* Who froze it and why, with a reference for the caller; by NULL: it is not frozen. */
struct record_freeze publisher_frozen(struct publisher *p);

/* ---- the gate ---- */

/* The cluster shows nothing that the record does not know (or cannot be asked): opens GATE_CLUSTER.
 * above: versions are issued above this one. */
void publisher_admit(struct publisher *p, uint64_t above);
/* The record is older than what the cluster shows: no more changes are taken, and reason says so,
 * until the server is started again. */
void publisher_close(struct publisher *p, const char *reason);

/* ---- holds: the cluster's part ---- */

/* Leaves the accepted version off what Flux applies. version: that one; nothing is done, as
 * OUTCOME_UNCHANGED, where another is current by now, or none (then the outcome has no resource),
 * and where it is held so already. instead: an earlier version to apply in its place;
 * ERROR_NOT_FOUND where there is no such version, and then nothing is held. 0: none, which makes
 * Flux delete the object where it has one, so never in place of a version that was not found.
 * message is copied. */
void publisher_hold(struct publisher *p, const char *namespace, const char *name, uint64_t version,
	enum hold_reason reason, uint64_t instead, const char *message, publisher_done *done,
	void *arg);
/* Publishes the accepted version again, if it is held for that reason; else OUTCOME_UNCHANGED. */
void publisher_release(struct publisher *p, const char *namespace, const char *name,
	enum hold_reason reason, publisher_done *done, void *arg);

/* As the next root of a split layout is rendered. Any thread. */
void publisher_root(struct publisher *p, struct root_options *ret);
/* Commits the root again, by itself: options' lacks answers otherwise than before. done() gets
 * OUTCOME_UPDATED, or OUTCOME_UNCHANGED where no root depends on that. */
void publisher_render_root(struct publisher *p, publisher_done *done, void *arg);

/* ---- repartition: the cluster's part (cluster/repartition.h has the whole way) ---- */

/* From now on deletes are refused with ERROR_UNAVAILABLE and that reason, those that wait in line
 * too, whatever the record says; NULL: they are taken again. Any thread; reason is copied. In
 * memory only: a restart takes deletes, but where the record says that a repartition is under way.
 * For Flux forgets what it should have pruned when it applies a catalog that may not prune: so no
 * delete may be on its way to the cluster when catalogs are told so, nor be taken before they were
 * seen to prune again. */
void publisher_refuse_deletes(struct publisher *p, const char *reason);
/* Whether there may yet be a delete that listeners have not heard of: because they are taken, or
 * one that was decided before they were refused is being committed. */
bool publisher_may_delete(struct publisher *p);

/* Commits one step, by itself, between batches. While one is under way deletions are refused with
 * ERROR_UNAVAILABLE: catalogs that may not prune would leave the object behind. done() gets
 * OUTCOME_UPDATED, or OUTCOME_UNCHANGED for a step that was made before: so one whose answer was
 * lost can be asked for again. ERROR_CONFLICT: another step is due, or the store has that layout.
 * What does not fit (state_fits()) is refused before the first step.
 * FREEZE  the record says where the way goes; catalogs stay, and may not prune any more
 * SWITCH  the layout is the new one: its catalogs hold all resources, the old ones that are not
 *         among them are emptied and stay in the root; still none may prune
 * THAW    (RECORD_SETTLED) catalogs may prune again; the old ones have left the root. Given the
 *         layout that the store had, it gives up what was only frozen */
void publisher_repartition(struct publisher *p, enum record_repartition_step step,
	const struct layout *to, struct author *author, publisher_done *done, void *arg);

#endif
