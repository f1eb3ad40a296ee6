/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/load_machine.h"

#include "base/file.h"
#include "bench/load_run.h"
#include "oci/digest.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/sendfile.h>
#include <sys/socket.h>

#define OPERATIONS_MAX ((size_t)1 << 20)
#define COPY_SIZE (64 * MIB) /* larger than the caches */
#define SYNCED_BLOCK 4096

static int measure(const char *name, const struct run *run, struct error *err)
{
	struct result result;

	if (run_all(run, &result, err) != 0)
		return -1;
	result_print(name, run->clients, &result);
	if (result.errors == 0)
		return 0;
	*err = result.err;
	return -1;
}

/* ---- processor and memory ---- */

static int hash_once(struct conn *c UNUSED, size_t i UNUSED, void *arg, uint64_t *bytes,
	struct error *err UNUSED)
{
	struct digest d = digest_of((struct slice){arg, MIB});

	ASSERT(d.algorithm == DIGEST_SHA256);
	*bytes += MIB;
	return 0;
}

static int copy_once(struct conn *c UNUSED, size_t i UNUSED, void *arg, uint64_t *bytes,
	struct error *err UNUSED)
{
	char *memory = arg;

	memcpy(memory, memory + COPY_SIZE, COPY_SIZE);
	/* The copy is of use to somebody, as far as the compiler knows. */
	__asm__ volatile("" ::"r"(memory) : "memory");
	*bytes += COPY_SIZE;
	return 0;
}

static int measure_memory(double seconds, struct error *err)
{
	AUTO_FREE char *memory = malloc(2 * COPY_SIZE);
	struct run run = {.clients = 1, .seconds = seconds, .count = OPERATIONS_MAX, .arg = memory};

	if (memory == NULL)
		return error_no_memory(err);
	memset(memory, 1, 2 * COPY_SIZE);
	run.operation = hash_once;
	if (measure("sha256-1MiB", &run, err) != 0)
		return -1;
	run.operation = copy_once;
	return measure("memory-copy", &run, err);
}

/* ---- loopback ---- */

struct loopback {
	int in, out;
	int file;     /* what is sent out of the page cache; -1: memory is */
	char *memory; /* MIB to send, MIB to receive into */
};

static ssize_t send_once(const struct loopback *l)
{
	off_t offset = 0;

	if (l->file < 0)
		return send(l->out, l->memory, MIB, MSG_NOSIGNAL);
	return sendfile(l->out, l->file, &offset, MIB);
}

static void *send_main(void *arg)
{
	while (send_once(arg) > 0)
		continue;
	return NULL;
}

static int receive_once(
	struct conn *c UNUSED, size_t i UNUSED, void *arg, uint64_t *bytes, struct error *err)
{
	struct loopback *l = arg;

	if (recv(l->in, l->memory + MIB, MIB, MSG_WAITALL) != (ssize_t)MIB)
		return error_set_errno(err, errno, "cannot receive");
	*bytes += MIB;
	return 0;
}

static int connect_loopback(struct loopback *l, struct error *err)
{
	AUTO_CLOSE int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in address = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct sockaddr *a = (struct sockaddr *)&address;
	socklen_t n = sizeof(address);

	l->out = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (listener < 0 || l->out < 0 || bind(listener, a, n) != 0 || listen(listener, 1) != 0 ||
		getsockname(listener, a, &n) != 0 || connect(l->out, a, n) != 0)
		return error_set_errno(err, errno, "cannot connect to the loopback");
	l->in = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	return l->in >= 0 ? 0 : error_set_errno(err, errno, "cannot accept");
}

static int measure_stream(struct loopback *l, const char *name, double seconds, struct error *err)
{
	const struct run run = {.clients = 1,
		.seconds = seconds,
		.count = OPERATIONS_MAX,
		.operation = receive_once,
		.arg = l};
	pthread_t sender;
	int result = -1;

	if (connect_loopback(l, err) == 0) {
		AZ(pthread_create(&sender, NULL, send_main, l));
		result = measure(name, &run, err);
		shutdown(l->out, SHUT_RDWR);
		closep(&l->in);
		AZ(pthread_join(sender, NULL));
	}
	closep(&l->out);
	return result;
}

static int measure_loopback(double seconds, struct error *err)
{
	AUTO_FREE char *memory = calloc(2, MIB);
	AUTO_CLOSE int file = memfd_create("loopback", MFD_CLOEXEC);
	struct loopback l = {.in = -1, .out = -1, .file = -1, .memory = memory};

	if (memory == NULL)
		return error_no_memory(err);
	if (file < 0)
		return error_set_errno(err, errno, "cannot make a file in memory");
	if (file_write_all(file, memory, MIB, err) != 0 ||
		measure_stream(&l, "loopback-send", seconds, err) != 0)
		return -1;
	l.file = file;
	return measure_stream(&l, "loopback-sendfile", seconds, err);
}

/* ---- disk ---- */

struct disk {
	const char *dir;
	size_t size;  /* of each file */
	bool named;   /* its name is synced too: it is there after a crash */
	char *memory; /* that much */
	int fd;       /* of the one file, where there is one */
};

static int append_once(
	struct conn *c UNUSED, size_t i UNUSED, void *arg, uint64_t *bytes, struct error *err)
{
	const struct disk *disk = arg;

	if (file_write_all(disk->fd, disk->memory, SYNCED_BLOCK, err) != 0 ||
		file_sync(disk->fd, err) != 0)
		return -1;
	*bytes += SYNCED_BLOCK;
	return 0;
}

static int file_name(const struct disk *disk, size_t i, char **ret, struct error *err)
{
	if (asprintf(ret, "%s/limit-%zu-%zu", disk->dir, disk->size, i) >= 0)
		return 0;
	*ret = NULL;
	return error_no_memory(err);
}

static int write_file_once(
	struct conn *c UNUSED, size_t i, void *arg, uint64_t *bytes, struct error *err)
{
	const struct disk *disk = arg;
	AUTO_FREE char *path = NULL;
	AUTO_CLOSE int fd = -1;

	if (file_name(disk, i, &path, err) != 0)
		return -1;
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return error_set_errno(err, errno, "cannot make %s", path);
	if (file_write_all(fd, disk->memory, disk->size, err) != 0 || file_sync(fd, err) != 0)
		return -1;
	if (disk->named)
		file_sync_dir(disk->dir);
	*bytes += disk->size;
	return 0;
}

static int measure_files(const struct run *run, const char *name, struct error *err)
{
	const struct disk *disk = run->arg;
	int result = measure(name, run, err);
	bool found = true;

	for (size_t i = 0; found; i++) {
		AUTO_FREE char *path = NULL;

		found = file_name(disk, i, &path, err) == 0 && unlink(path) == 0;
	}
	return result;
}

static int measure_append(const struct disk *whole, double seconds, struct error *err)
{
	AUTO_FREE char *path = NULL;
	AUTO_CLOSE int fd = -1;
	struct disk disk = *whole;
	const struct run run = {.clients = 1,
		.seconds = seconds,
		.count = OPERATIONS_MAX,
		.operation = append_once,
		.arg = &disk};

	if (asprintf(&path, "%s/limit", disk.dir) < 0) {
		path = NULL;
		return error_no_memory(err);
	}
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return error_set_errno(err, errno, "cannot make %s", path);
	unlink(path);
	disk.fd = fd;
	return measure("append-fsync-4KiB", &run, err);
}

static int measure_disk(const char *dir, double seconds, struct error *err)
{
	static const struct {
		const char *name;
		size_t size;
		bool named;
	} files[] = {
		{"write-fsync-1MiB", 1 * MIB, false},
		{"write-fsync-10MiB", 10 * MIB, false},
		{"durable-file-1MiB", 1 * MIB, true},
		{"durable-file-10MiB", 10 * MIB, true},
	};
	AUTO_FREE char *memory = calloc(10, MIB);
	struct disk disk = {.dir = dir, .memory = memory, .fd = -1};
	const struct run run = {.clients = 4,
		.seconds = seconds,
		.count = OPERATIONS_MAX,
		.operation = write_file_once,
		.arg = &disk};

	if (memory == NULL)
		return error_no_memory(err);
	/* No disk can make less of them. */
	for (size_t at = 0; at < 10 * MIB; at += MIB)
		ASSERT(getrandom(memory + at, MIB, 0) == (ssize_t)MIB);
	if (measure_append(&disk, seconds, err) != 0)
		return -1;
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		disk.size = files[i].size;
		disk.named = files[i].named;
		if (measure_files(&run, files[i].name, err) != 0)
			return -1;
	}
	return 0;
}

int machine_limits(const char *dir, double seconds, struct error *err)
{
	signal(SIGPIPE, SIG_IGN); /* sendfile() knows no MSG_NOSIGNAL */
	if (measure_memory(seconds, err) != 0 || measure_loopback(seconds, err) != 0)
		return -1;
	return measure_disk(dir, seconds, err);
}
