/* SPDX-License-Identifier: Apache-2.0 */
#include "registry/credential_helper.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"

#define TIMEOUT_MS 10000
/* What docker-credential-helpers print when they have nothing for a server. */
#define NOT_FOUND_TEXT SLICE("credentials not found")

extern char **environ;

/* The name comes from a file and becomes part of a program's name. */
static bool name_ok(const char *name)
{
	return name[0] != '\0' && strlen(name) < 64 &&
	       name[strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789.-_"
				 "ABCDEFGHIJKLMNOPQRSTUVWXYZ")] == '\0';
}

static int server_as_file(const char *server, int *ret_fd, struct error *err)
{
	AUTO_CLOSE int fd = memfd_create("server", MFD_CLOEXEC);

	if (fd < 0 || file_write_all(fd, server, strlen(server), err) != 0 ||
		lseek(fd, 0, SEEK_SET) != 0)
		return error_set_errno(err, errno, "cannot pass a name to a credential helper");
	*ret_fd = fd;
	fd = -1;
	return 0;
}

/* Its complaints go to our standard error; SIGPIPE, which we ignore, is its own again. */
static int spawn(const char *program, int in, int out, pid_t *ret_pid)
{
	char *argv[] = {(char *)program, (char *)"get", NULL};
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	sigset_t defaults;
	int rc;

	sigemptyset(&defaults);
	sigaddset(&defaults, SIGPIPE);
	rc = posix_spawn_file_actions_init(&actions);
	if (rc != 0)
		return rc;
	rc = posix_spawnattr_init(&attributes);
	if (rc != 0) {
		posix_spawn_file_actions_destroy(&actions);
		return rc;
	}
	AZ(posix_spawnattr_setsigdefault(&attributes, &defaults));
	AZ(posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF));
	rc = posix_spawn_file_actions_adddup2(&actions, in, STDIN_FILENO);
	if (rc == 0)
		rc = posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
	if (rc == 0)
		rc = posix_spawnp(ret_pid, program, &actions, &attributes, argv, environ);
	posix_spawnattr_destroy(&attributes);
	posix_spawn_file_actions_destroy(&actions);
	return rc;
}

/* Reads to the end; false when time or room has run out. */
static bool read_all(int fd, struct buf *ret)
{
	uint64_t end_ms = clock_monotonic_ms() + TIMEOUT_MS;

	for (;;) {
		uint64_t now_ms = clock_monotonic_ms();
		struct pollfd p = {.fd = fd, .events = POLLIN};
		char chunk[4096];
		ssize_t n;

		if (now_ms >= end_ms || ret->failed != ERROR_NONE)
			return false;
		if (poll(&p, 1, (int)(end_ms - now_ms)) <= 0)
			continue;
		n = read(fd, chunk, sizeof(chunk));
		if (n == 0)
			return true;
		if (n > 0)
			buf_append(ret, chunk, (size_t)n);
	}
}

static int run(
	const char *program, const char *server, struct buf *ret, bool *ret_ok, struct error *err)
{
	AUTO_CLOSE int in = -1;
	int pipe_fds[2], status = -1, rc;
	bool whole;
	pid_t pid;

	if (server_as_file(server, &in, err) != 0)
		return -1;
	if (pipe2(pipe_fds, O_CLOEXEC) != 0)
		return error_set_errno(err, errno, "cannot run %s", program);
	rc = spawn(program, in, pipe_fds[1], &pid);
	close(pipe_fds[1]);
	if (rc != 0) {
		close(pipe_fds[0]);
		return error_set(err, ERROR_UNAUTHORIZED, "cannot run the credential helper %s: %s",
			program, strerror(rc));
	}
	whole = read_all(pipe_fds[0], ret);
	close(pipe_fds[0]);
	if (!whole)
		kill(pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	*ret_ok = whole && WIFEXITED(status) && WEXITSTATUS(status) == 0;
	return 0;
}

int credential_helper_get(const char *name, const char *server, struct buf *ret, struct error *err)
{
	CLEANUP(buf_done) struct buf out = BUF_INIT(ret->max);
	char program[96];
	bool ok = false;

	if (!name_ok(name))
		return error_set(err, ERROR_UNAUTHORIZED,
			"\"%.64s\" is no name for a credential helper", name);
	snprintf(program, sizeof(program), "docker-credential-%s", name);
	if (run(program, server, &out, &ok, err) != 0)
		return -1;
	if (!ok && slice_starts(buf_slice(&out), NOT_FOUND_TEXT))
		return error_set(
			err, ERROR_NOT_FOUND, "%s has no credentials for %s", program, server);
	if (!ok)
		return error_set(err, ERROR_UNAUTHORIZED,
			"%s gave no credentials for %s; try it by hand", program, server);
	buf_add(ret, buf_slice(&out));
	return buf_check(ret, err);
}
