/* SPDX-License-Identifier: Apache-2.0 */
#include "http/local_address.h"

#include "base/file.h"
#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

/* Writes "/proc/self/fd/<folder>/<name>". */
static int go_by_folder(struct local_address *a, const char *path, struct error *err)
{
	const char *slash = strrchr(path, '/');
	const char *name = slash == NULL ? path : slash + 1;
	AUTO_FREE char *dir = slice_dup((struct slice){path, (size_t)(name - path)});
	int n;

	if (dir == NULL)
		return error_no_memory(err);
	a->dir_fd = open(dir[0] == '\0' ? "." : dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (a->dir_fd < 0)
		return error_set_errno(err, errno, "cannot open the folder %s", dir);
	n = snprintf(
		a->sun.sun_path, sizeof(a->sun.sun_path), "/proc/self/fd/%d/%s", a->dir_fd, name);
	if (n < 0 || (size_t)n >= sizeof(a->sun.sun_path))
		return error_set(err, ERROR_INVALID,
			"the name of the socket, %s, is too long; use a shorter one", name);
	return 0;
}

int local_address_init(struct local_address *ret, const char *path, struct error *err)
{
	struct local_address a = LOCAL_ADDRESS_NONE;
	size_t n = strlen(path);

	a.sun.sun_family = AF_UNIX;
	if (n == 0)
		return error_set(err, ERROR_INVALID, "the path of the socket is empty; name one");
	if (n < sizeof(a.sun.sun_path)) {
		memcpy(a.sun.sun_path, path, n);
	} else if (go_by_folder(&a, path, err) != 0) {
		local_address_done(&a);
		return -1;
	}
	*ret = a;
	return 0;
}

void local_address_done(struct local_address *a)
{
	closep(&a->dir_fd);
	*a = (struct local_address)LOCAL_ADDRESS_NONE;
}

static void remove_stale(const char *path)
{
	struct stat st;

	if (lstat(path, &st) == 0 && S_ISSOCK(st.st_mode))
		unlink(path);
}

int local_address_listen(const struct local_address *a, int backlog, int *ret_fd, struct error *err)
{
	const char *path = a->sun.sun_path;
	AUTO_CLOSE int fd = -1;

	remove_stale(path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	/* The file that bind() makes takes the socket's own mode. */
	if (fd < 0 || fchmod(fd, 0600) != 0 ||
		bind(fd, (const struct sockaddr *)&a->sun, sizeof(a->sun)) != 0 ||
		listen(fd, backlog) != 0)
		return error_set_errno(err, errno, "cannot listen on the socket %s", path);
	*ret_fd = fd;
	fd = -1;
	return 0;
}
