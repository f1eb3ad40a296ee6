/* SPDX-License-Identifier: Apache-2.0 */
/* The HTTP API of DESIGN section 2: routes in one table, a handler each. */
#ifndef API_API_H
#define API_API_H

#include "auth/auth.h"
#include "cluster/cluster.h"
#include "http/server.h"
#include "publish/publisher.h"
#include "publish/readers.h"
#include "registry/embedded.h"

struct api;

struct api_options {
	struct publisher *publisher; /* borrowed */
	struct auth *auth;           /* borrowed: who may do what */
	struct cluster *cluster;     /* borrowed; with or without a cluster to watch */
	const char *namespaces;      /* comma-separated; those known to exist in the cluster */
	struct embedded *embedded;   /* borrowed, for its metrics; NULL with a remote registry */
	struct readers *readers;     /* borrowed; for history */
	const char *version;         /* of the program; a constant */
};

int api_new(struct api **ret, const struct api_options *options, struct error *err) MUST_CHECK;

/* Ends what could last: streams of events end, and requests that wait for the cluster are answered
 * with what is so by now. Before the servers are drained; requests may still come. Once. */
void api_stop(struct api *api);

/* Stopped, or never served. The servers that use it, and their loops, must be gone. */
void api_free(struct api *api);

struct http_service api_service(struct api *api);

#endif
