/* SPDX-License-Identifier: Apache-2.0 */
/* Private to publish. What the publisher logs and counts of its work. */
#ifndef PUBLISH_REPORT_H
#define PUBLISH_REPORT_H

#include "publish/commit.h"

/* The state is the one that is served. */
void report_state(const struct state *state);

/* Warns of catalogs that are large: of all, and of those that the revision has made so. */
void report_sizes(const struct state *state);
void report_grown(const struct state *before, const struct revision *rev);

/* A root is rendered with the next commit, not for its own sake: tells that it will be another. */
void report_root(const struct root_request *request, const struct head *head);

void report_outcome(enum commit_result result, size_t n_changes);
void report_commit(const struct batch *b, const struct head *head, uint64_t began_ms);

#endif
