/* SPDX-License-Identifier: Apache-2.0 */
/* Private to publish. One step of a repartition (publisher.h), as a commit of its own. */
#ifndef PUBLISH_LAYOUT_STEP_H
#define PUBLISH_LAYOUT_STEP_H

#include "publish/publisher.h"
#include "publish/revision.h"

/* A step that somebody waits for. */
struct layout_step {
	enum record_repartition_step step;
	struct layout to;
	publisher_done *done;
	void *arg;
	struct layout_step *next; /* in the publisher's list */

	bool in_commit; /* false: answered without one, by err or as done before */
	struct error err;
};

/* Is it the step that is due on top of this head, and can it be made? A step that was made already
 * is neither an error nor in a commit, so that it can be asked for again when an answer was lost.
 * root: how Flux would get what the root names. */
void layout_step_decide(
	struct layout_step *r, const struct head *head, const struct root_options *root);

/* What a step changes. */
struct layout_step_parts {
	struct state *empty; /* of the layout after it; NULL: nothing changes places */
	size_t n;
	struct partition **partitions; /* all of that layout, in order */
	struct places leftovers;       /* of the layout before */
};
void layout_step_parts_done(struct layout_step_parts *parts);

/* Fills in what the draft has of a step that is in a commit; it borrows from parts and head. */
int layout_step_draft(struct revision_draft *draft, struct layout_step_parts *parts,
	const struct layout_step *r, const struct head *head, struct error *err) MUST_CHECK;

#endif
