/* SPDX-License-Identifier: Apache-2.0 */
/* Private to api. One call: the request with what the router read from its path. */
#ifndef API_CALL_H
#define API_CALL_H

#include "api/api.h"
#include "base/limits.h"

struct api {
	struct publisher *publisher;
	struct embedded *embedded; /* NULL with a remote registry */
	size_t n_namespaces;
	char (*namespaces)[LIMIT_NAME + 1];
};

/* Lives as the exchange's data. */
struct call {
	struct api *api;
	char namespace[LIMIT_NAME + 1]; /* "default" where the path names none */
	char name[LIMIT_NAME + 1];
};

/* Handlers; call is the exchange's data. */
void resources_list(struct http_exchange *x, struct call *call);
void resources_put(struct http_exchange *x, struct call *call);
void resource_get(struct http_exchange *x, struct call *call);
void resource_delete(struct http_exchange *x, struct call *call);
void get_metrics(struct http_exchange *x, struct call *call);

/* metrics.c: what is known once and for all. */
void metrics_setup(const char *version);

#endif
