/* SPDX-License-Identifier: Apache-2.0 */
/* Private to publish. What one step of a repartition comes to (publisher.h). */
#ifndef PUBLISH_LAYOUT_STEP_H
#define PUBLISH_LAYOUT_STEP_H

#include "publish/publisher.h"
#include "publish/revision.h"

struct layout_step {
	enum record_repartition_step step;
	struct layout to;
};

/* Is it the step that is due on top of this head, and can it be made? False with an error where it
 * cannot, and without one where it was made already. */
bool layout_step_decide(const struct layout_step *r, const struct head *head,
	const struct root_options *root, struct error *err) MUST_CHECK;

/* What a step changes. */
struct layout_step_parts {
	struct state *empty; /* of the layout after it; NULL: nothing changes places */
	size_t n;
	struct partition **partitions; /* all of that layout, in order */
	struct places leftovers;       /* of the layout before */
};
void layout_step_parts_done(struct layout_step_parts *parts);

/* As step_draft(). */
int layout_step_draft(struct revision_draft *draft, struct layout_step_parts *parts,
	const struct layout_step *r, const struct head *head, struct error *err) MUST_CHECK;

#endif
