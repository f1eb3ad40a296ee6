/* SPDX-License-Identifier: Apache-2.0 */
/* Private to publish. A step: a commit of its own, without changes of resources. */
#ifndef PUBLISH_STEP_H
#define PUBLISH_STEP_H

#include "publish/layout_step.h"

enum step_kind {
	STEP_LAYOUT, /* of a repartition */
	STEP_FREEZE, /* the author's why is the reason */
	STEP_THAW,
	STEP_ROOT, /* the root is rendered again */
};

/* One that somebody waits for. */
struct step {
	enum step_kind kind;
	struct layout_step layout; /* of STEP_LAYOUT */
	struct author *author;     /* a reference */
	publisher_done *done;
	void *arg;
	struct step *next; /* in the publisher's list */

	bool in_commit; /* false: answered without one, by err or as done before */
	struct error err;
};
void step_free(struct step *s); /* NULL is none */

/* Can it be made on top of this head? One that was made already is neither an error nor in a
 * commit, so that it can be asked for again when an answer was lost. root: how Flux would get what
 * the root names. */
void step_decide(struct step *s, const struct head *head, const struct root_options *root);

/* Fills in what the draft has of a step that is in a commit; it borrows from parts, head and the
 * step. */
int step_draft(struct revision_draft *draft, struct layout_step_parts *parts, const struct step *s,
	const struct head *head, struct error *err) MUST_CHECK;

/* With the revision of that draft made: whether a root is not the one that there is can be told
 * only now. in_commit is false then, as in step_decide(). */
int step_compare(struct step *s, const struct revision *rev, const struct head *head,
	struct registry *registry, struct error *err) MUST_CHECK;

#endif
