/* SPDX-License-Identifier: Apache-2.0 */
/* How large the store's folder is. */
#include "base/clock.h"
#include "base/str.h"
#include "registry/embedded_private.h"
#include "registry/metrics.h"

#include <fts.h>
#include <sys/stat.h>

#define EVERY_MS 10000

static const struct {
	const char *label, *path;
} parts[] = {
	{"database", "registry.db"},
	{"wal", "registry.db-wal"},
	{"blobs", "blobs"},
	{"uploads", "uploads"},
};

/* Of a file, or of all files below a folder. What vanishes meanwhile is nothing. */
static uint64_t bytes_at(const char *dir, const char *name)
{
	AUTO_FREE char *path = str_printf("%s/%s", dir, name);
	char *const roots[] = {path, NULL};
	uint64_t bytes = 0;
	FTS *walk;

	if (path == NULL)
		return 0;
	walk = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
	if (walk == NULL)
		return 0;
	for (const FTSENT *e; (e = fts_read(walk)) != NULL;)
		if (e->fts_info == FTS_F)
			bytes += (uint64_t)e->fts_statp->st_size;
	fts_close(walk);
	return bytes;
}

/* A process has one store. */
static atomic_bool measuring;
static _Atomic uint64_t next_ms;

static void measure(void *arg)
{
	struct embedded *e = arg;

	for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
		metric_set(&registry_metric_store_bytes, METRIC_LABELS(parts[i].label),
			bytes_at(store_dir(e->store), parts[i].path));
	next_ms = clock_monotonic_ms() + EVERY_MS;
	measuring = false;
	embedded_call_ends(e);
}

void embedded_measure(struct embedded *e)
{
	struct error ignored = ERROR_INIT;

	if (clock_monotonic_ms() < next_ms || atomic_exchange(&measuring, true))
		return;
	embedded_call_begins(e);
	if (workers_submit(e->workers, measure, e, &ignored) != 0) {
		measuring = false; /* too busy; the next time then */
		embedded_call_ends(e);
	}
}
