/* SPDX-License-Identifier: Apache-2.0 */
/* What every program says of its process; on Linux, by /proc. */
#include "base/metrics.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define US_PER_S 1000000

static METRIC_COUNTER_US(cpu, 1, "process_cpu_seconds_total", "CPU time, user and system.");
static METRIC_GAUGE(resident, 1, "process_resident_memory_bytes", "Memory in RAM.");
static METRIC_GAUGE(virtual, 1, "process_virtual_memory_bytes", "Address space.");
static METRIC_GAUGE(open_fds, 1, "process_open_fds", "Open file descriptors.");
static METRIC_GAUGE(max_fds, 1, "process_max_fds", "The most that there may be.");
static METRIC_GAUGE_US(start, 1, "process_start_time_seconds", "Start, since 1970.");

static void write_one(struct metric *m, uint64_t value, struct buf *ret)
{
	metric_set(m, METRIC_NO_LABELS, value);
	metric_write(m, ret);
}

static uint64_t in_us(const struct timeval *tv)
{
	return (uint64_t)tv->tv_sec * US_PER_S + (uint64_t)tv->tv_usec;
}

static void write_memory(struct buf *ret)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), size = 0, in_ram = 0;
	FILE *f = fopen("/proc/self/statm", "re");

	if (f == NULL)
		return;
	if (fscanf(f, "%" SCNu64 " %" SCNu64, &size, &in_ram) == 2) {
		write_one(&resident, in_ram * page, ret);
		write_one(&virtual, size * page, ret);
	}
	fclose(f);
}

static void write_fds(struct buf *ret)
{
	DIR *dir = opendir("/proc/self/fd");
	struct rlimit limit;
	uint64_t n = 0;

	if (dir == NULL)
		return;
	for (const struct dirent *e; (e = readdir(dir)) != NULL;)
		n += e->d_name[0] != '.';
	closedir(dir);
	AZ(getrlimit(RLIMIT_NOFILE, &limit));
	write_one(&open_fds, n - 1, ret); /* without that of the folder */
	write_one(&max_fds, limit.rlim_cur, ret);
}

/* The 22nd field, in ticks since the machine's start; the second, the name, may hold anything. */
static bool read_start_ticks(uint64_t *ret)
{
	FILE *f = fopen("/proc/self/stat", "re");
	char text[1024] = "";
	const char *at;

	if (f == NULL)
		return false;
	if (fgets(text, sizeof(text), f) == NULL)
		text[0] = '\0';
	fclose(f);
	at = strrchr(text, ')');
	for (int field = 2; at != NULL && field < 22; field++)
		at = strchr(at + 1, ' ');
	return at != NULL && sscanf(at, " %" SCNu64, ret) == 1;
}

/* Computed once, as the two clocks drift apart. */
static void write_start(struct buf *ret)
{
	static _Atomic uint64_t started_us;
	struct timespec up;
	uint64_t ticks, up_us;

	if (started_us == 0) {
		if (!read_start_ticks(&ticks))
			return;
		AZ(clock_gettime(CLOCK_BOOTTIME, &up));
		up_us = (uint64_t)up.tv_sec * US_PER_S + (uint64_t)up.tv_nsec / 1000;
		up_us -= ticks * US_PER_S / (uint64_t)sysconf(_SC_CLK_TCK);
		started_us = clock_realtime_us() - up_us;
	}
	write_one(&start, started_us, ret);
}

void metrics_write_process(struct buf *ret)
{
	struct rusage usage;

	AZ(getrusage(RUSAGE_SELF, &usage));
	write_one(&cpu, in_us(&usage.ru_utime) + in_us(&usage.ru_stime), ret);
	write_memory(ret);
	write_fds(ret);
	write_start(ret);
}
