/* SPDX-License-Identifier: Apache-2.0 */
#include "cluster/waker.h"

#include "base/clock.h"
#include "base/log.h"
#include "cluster/metrics.h"

#include <stdio.h>

static bool is_root(const struct flux_catalog *c)
{
	return strcmp(c->repository, CATALOG_REPOSITORY) == 0;
}

/* ---- sending ---- */

/* A patch on its way; the catalog stays as long as the table does. */
struct sent {
	struct waker *waker;
	struct flux_catalog *catalog;
	struct flux_wake *wake; /* one of the catalog's */
	char token[32];
};

static void count(const char *outcome)
{
	metric_add(&cluster_metric_wakes, METRIC_LABELS(outcome), 1);
}

/* The answer to a patch. A wake that failed is not repeated here: waker_tick() sees what is
 * missing.
 */
static void sent_done(int status UNUSED, json_t *object UNUSED, const struct error *err, void *arg)
{
	AUTO_FREE struct sent *sent = arg;
	struct flux_wake *wake = sent->wake;
	bool is_current = wake->outstanding && strcmp(wake->token, sent->token) == 0;

	if (err == NULL) {
		count("sent");
		return;
	}
	if (is_current)
		wake->outstanding = false;
	if (err->code == ERROR_NOT_FOUND && wake == &sent->catalog->wake) {
		sent->catalog->source.is_there = false;
		if (!is_root(sent->catalog))
			waker_wake(sent->waker, CATALOG_REPOSITORY);
		return;
	}
	count("failed");
	if (err->code != ERROR_UNAVAILABLE)
		log_warn("Flux was not woken", LOG_STR("catalog", sent->catalog->repository),
			LOG_STR("reason", err->text));
}

/* Never the same twice, or a wake that is handled would seem to be the next one too. */
static uint64_t next_token(struct waker *w)
{
	uint64_t now = clock_realtime_us();

	w->token = now > w->token ? now : w->token + 1;
	return w->token;
}

static void send_wake(struct waker *w, struct flux_catalog *c, struct flux_wake *wake)
{
	CLEANUP(buf_done) struct buf body = BUF_INIT(KIB);
	struct sent *sent = calloc(1, sizeof(*sent));
	char path[256];

	if (sent == NULL)
		return; /* the next tick tries again */
	wake->outstanding = true;
	wake->wanted = false;
	wake->sent_ms = clock_monotonic_ms();
	snprintf(wake->token, sizeof(wake->token), "%llu", (unsigned long long)next_token(w));
	*sent = (struct sent){.waker = w, .catalog = c, .wake = wake};
	memcpy(sent->token, wake->token, sizeof(sent->token));
	flux_add_request(&body, wake->token);
	if (wake == &c->retry)
		flux_kustomization_path(c->repository, path);
	else
		flux_source_path(c->repository, path);
	kube_patch(w->kube, path, buf_slice(&body), sent_done, sent);
}

static void wake_once(struct waker *w, struct flux_catalog *c, struct flux_wake *wake)
{
	if (wake->outstanding) {
		wake->wanted = true;
		count("coalesced");
		return;
	}
	send_wake(w, c, wake);
}

void waker_wake(struct waker *w, const char *repository)
{
	struct flux_catalog *c = flux_catalog(w->flux, repository);

	if (c != NULL && !c->source.is_there)
		c = flux_catalog(w->flux, CATALOG_REPOSITORY);
	if (c != NULL)
		wake_once(w, c, &c->wake);
}

void waker_retry(struct waker *w, const char *repository)
{
	struct flux_catalog *c = flux_catalog(w->flux, repository);

	waker_wake(w, repository);
	if (c != NULL && c->kustomization.failure.is_failing)
		wake_once(w, c, &c->retry);
}

/* ---- what comes back ---- */

static void end_wake(struct waker *w, struct flux_catalog *c, struct flux_wake *wake)
{
	wake->outstanding = false;
	if (wake->wanted)
		send_wake(w, c, wake);
}

uint64_t waker_time(const char *handled)
{
	uint64_t time;

	return slice_to_u64(slice_of(handled), &time) ? time : 0;
}

static void see_handled(
	struct waker *w, struct flux_catalog *c, struct flux_wake *wake, const char *handled)
{
	if (wake->outstanding && strcmp(handled, wake->token) == 0)
		end_wake(w, c, wake);
}

void waker_seen(struct waker *w, struct flux_catalog *c)
{
	see_handled(w, c, &c->wake, c->source.handled);
	see_handled(w, c, &c->retry, c->kustomization.handled);
}

static void give_up(struct waker *w, struct flux_catalog *c, struct flux_wake *wake)
{
	if (wake->outstanding && clock_monotonic_ms() - wake->sent_ms >= LIMIT_WAKE_MS)
		end_wake(w, c, wake);
}

/* Has Flux fetched something else than what is current? */
static void wake_if_behind(struct waker *w, const char *repository, const struct digest *current)
{
	struct flux_catalog *c = flux_catalog(w->flux, repository);

	if (c == NULL || c->wake.outstanding || digest_eq(&c->source.artifact, current))
		return;
	waker_wake(w, repository);
}

static bool has_children(const struct waker *w, const struct state *state)
{
	for (size_t i = 0; i < state_n_partitions(state); i++) {
		const struct flux_catalog *c =
			flux_catalog(w->flux, state_partition(state, i)->repository);

		if (c != NULL && (!c->source.is_there || !c->kustomization.is_there))
			return false;
	}
	return true;
}

/* What somebody took away comes back with the root, which is to be applied again though it has not
 * changed. */
static void restore_children(struct waker *w, const struct state *state)
{
	struct flux_catalog *root = flux_catalog(w->flux, CATALOG_REPOSITORY);

	if (root != NULL && state_root(state) != NULL && w->flux->sees_kustomizations &&
		!root->retry.outstanding &&
		digest_eq(&root->kustomization.applied, state_root(state)) &&
		!has_children(w, state))
		wake_once(w, root, &root->retry);
}

/* The account of a namespace that is back comes with the root, and what is released for it with the
 * namespace's catalog: which one Flux applies first is chance. An attempt that was under way says
 * so only later, hence the second look. */
#define ROOT_LOOKS 2

static void retry_forbidden(struct waker *w, const struct state *state)
{
	const struct flux_catalog *root = flux_catalog(w->flux, CATALOG_REPOSITORY);

	if (root != NULL && !digest_eq(&root->kustomization.applied, &w->root)) {
		w->root = root->kustomization.applied;
		w->root_looks = ROOT_LOOKS;
	}
	if (w->root_looks == 0)
		return;
	w->root_looks--;
	for (size_t i = 0; i < state_n_partitions(state); i++) {
		struct flux_catalog *c =
			flux_catalog(w->flux, state_partition(state, i)->repository);

		if (c != NULL && !c->retry.outstanding && c->kustomization.failure.is_failing &&
			strstr(c->kustomization.failure.message, "forbidden") != NULL)
			wake_once(w, c, &c->retry);
	}
}

void waker_tick(struct waker *w, const struct state *state)
{
	uint64_t now = clock_monotonic_ms();

	for (size_t i = 0; i < w->flux->n; i++) {
		give_up(w, w->flux->catalogs[i], &w->flux->catalogs[i]->wake);
		give_up(w, w->flux->catalogs[i], &w->flux->catalogs[i]->retry);
	}
	if (state == NULL || now - w->swept_ms < LIMIT_WAKE_MS)
		return;
	w->swept_ms = now;
	if (state_root(state) != NULL)
		wake_if_behind(w, CATALOG_REPOSITORY, state_root(state));
	for (size_t i = 0; i < state_n_partitions(state); i++) {
		const struct partition *p = state_partition(state, i);

		wake_if_behind(w, p->repository, &p->digest);
	}
	restore_children(w, state);
	if (state_root(state) != NULL)
		retry_forbidden(w, state);
}
