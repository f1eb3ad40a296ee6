/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Addresses of Unix sockets. Private to http.
 *
 * sun_path holds 107 characters. A longer path is reached through a descriptor of its folder, which
 * stays open as long as the address.
 */
#ifndef HTTP_LOCAL_ADDRESS_H
#define HTTP_LOCAL_ADDRESS_H

#include "base/error.h"

#include <sys/socket.h>
#include <sys/un.h>

struct local_address {
	struct sockaddr_un sun; /* all zero: none */
	int dir_fd;             /* -1: not needed */
};
#define LOCAL_ADDRESS_NONE \
	{ \
		.dir_fd = -1 \
	}

int local_address_init(struct local_address *ret, const char *path, struct error *err) MUST_CHECK;
void local_address_done(struct local_address *a);

static inline bool local_address_is_set(const struct local_address *a)
{
	return a->sun.sun_family == AF_UNIX;
}

/* A listening socket of mode 0600 from its first moment, in place of one that a process left behind
 * when it was killed. */
int local_address_listen(
	const struct local_address *a, int backlog, int *ret_fd, struct error *err) MUST_CHECK;

#endif
