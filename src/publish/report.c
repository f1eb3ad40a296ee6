/* SPDX-License-Identifier: Apache-2.0 */
#include "publish/report.h"

#include "base/clock.h"
#include "base/log.h"
#include "publish/metrics.h"

void report_state(const struct state *state)
{
	uint64_t bytes = 0, largest = 0;

	for (size_t i = 0; i < state_n_partitions(state); i++) {
		const struct partition *p = state_partition(state, i);
		uint64_t count = catalog_count(p->catalog);

		bytes += p->layer_size;
		largest = count > largest ? count : largest;
	}
	metric_set(&publish_metric_ready, METRIC_NO_LABELS, 1);
	metric_set(&publish_metric_catalog_resources, METRIC_NO_LABELS, state_count(state));
	metric_set(&publish_metric_catalog_largest, METRIC_NO_LABELS, largest);
	metric_set(&publish_metric_catalog_bytes, METRIC_NO_LABELS, bytes);
}

/* Flux applies all of a catalog for every change, so a large one is slow. */
static bool is_large(const struct partition *p)
{
	return p != NULL && catalog_count(p->catalog) >= LIMIT_CATALOG_WARN;
}

static void warn_of_size(const struct partition *p)
{
	log_warn("the catalog grows large: each change takes Flux seconds",
		LOG_STR("catalog", p->repository), LOG_NUM("resources", catalog_count(p->catalog)),
		LOG_NUM("limit", LIMIT_CATALOG_RESOURCES));
}

void report_sizes(const struct state *state)
{
	for (size_t i = 0; i < state_n_partitions(state); i++)
		if (is_large(state_partition(state, i)))
			warn_of_size(state_partition(state, i));
}

void report_grown(const struct state *before, const struct revision *rev)
{
	for (size_t i = 0; i < rev->n_catalogs; i++) {
		const struct partition *p;
		struct place place;

		if (!layout_repository_parse(
			    state_layout(before), slice_of(rev->catalogs[i].repository), &place))
			continue; /* the root */
		p = state_partition_at(rev->state, &place);
		if (is_large(p) && !is_large(state_partition_at(before, &place)))
			warn_of_size(p);
	}
}

void report_root(const struct root_request *request, const struct head *head)
{
	struct root_options next;
	char url[ROOT_URL_SIZE];

	root_choose(&next, request, &head->root);
	if (state_layout(head->state)->kind != LAYOUT_SPLIT || root_options_eq(&next, &head->root))
		return;
	root_url(&next, url);
	log_info("the next commit tells Flux another way to the catalogs",
		LOG_STR("catalog_url", url), LOG_STR("catalog_secret", next.secret),
		LOG_STR("catalog_accounts", next.accounts ? "on" : "off"),
		LOG_STR("catalog_verify_secret", next.verify),
		LOG_STR("catalog_ca_secret", next.ca));
}

void report_outcome(enum commit_result result, size_t n_changes)
{
	static const char *const outcomes[] = {
		[COMMIT_DONE] = "done",
		[COMMIT_FAILED] = "failed",
		[COMMIT_NOT_HEAD] = "not_head",
		[COMMIT_IN_DOUBT] = "in_doubt",
		[COMMIT_UNFINISHED] = "unfinished",
	};

	metric_add(&publish_metric_commits, METRIC_LABELS(outcomes[result]), 1);
	metric_observe(&publish_metric_batch_size, METRIC_NO_LABELS, n_changes);
}

void report_commit(const struct batch *b, const struct head *head, uint64_t began_ms)
{
	if (b->has_revision)
		log_info("committed", LOG_NUM("version", head->version),
			LOG_NUM("changes", commit_changes(b)),
			LOG_NUM("catalogs", b->revision.n_catalogs),
			LOG_NUM("resources", state_count(head->state)),
			LOG_NUM("ms", clock_monotonic_ms() - began_ms));
}
