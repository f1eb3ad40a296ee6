/* SPDX-License-Identifier: Apache-2.0 */
/* How large the store's folder is. */
#include "base/clock.h"
#include "base/file.h"
#include "registry/embedded_private.h"
#include "registry/metrics.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#define EVERY_MS 10000
#define DEPTH_MAX 4 /* of the store's folders there are fewer */

static const struct {
	const char *label, *path;
} parts[] = {
	{"database", "registry.db"},
	{"wal", "registry.db-wal"},
	{"blobs", "blobs"},
	{"uploads", "uploads"},
};

/* Of a file, or of all files below a folder. What vanishes meanwhile is nothing. */
static uint64_t bytes_at(int parent, const char *name, int depth)
{
	uint64_t bytes = 0;
	struct stat st;
	DIR *dir;
	int fd;

	if (fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return 0;
	if (!S_ISDIR(st.st_mode))
		return (uint64_t)st.st_size;
	fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return 0;
	dir = fdopendir(fd);
	if (dir == NULL) {
		close(fd);
		return 0;
	}
	for (const struct dirent *e; depth > 0 && (e = readdir(dir)) != NULL;)
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			bytes += bytes_at(fd, e->d_name, depth - 1);
	closedir(dir);
	return bytes;
}

/* A process has one store. */
static atomic_bool measuring;
static _Atomic uint64_t next_ms;

static void measure(void *arg)
{
	struct embedded *e = arg;
	AUTO_CLOSE int dir = open(store_dir(e->store), O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	for (size_t i = 0; dir >= 0 && i < ARRAY_SIZE(parts); i++)
		metric_set(&registry_metric_store_bytes, METRIC_LABELS(parts[i].label),
			bytes_at(dir, parts[i].path, DEPTH_MAX));
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
