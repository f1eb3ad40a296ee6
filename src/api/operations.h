/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to api. What each route is, for those who call it: GET /openapi.json says it to programs,
 * GET /docs to people. Both go through api_routes and look up the row of each handler, so that
 * neither can know another route than there is, and one without a row ends the start of the server.
 *
 * Types are written as in "string", "integer", "boolean", "object"; with a capital letter those of
 * api/schemas.h; "[Resource]" is a list, "Diff|null" also null.
 */
#ifndef API_OPERATIONS_H
#define API_OPERATIONS_H

#include "api/routes.h"

enum parameter_place { IN_PATH, IN_QUERY, IN_HEADER };

struct parameter {
	const char *key; /* the name, or where it means several things name.where */
	enum parameter_place in;
	const char *type;
	const char *description;
	const char *example; /* of those in a path */
};

/* Headers of an answer. */
#define HAS_ETAG 1u
#define HAS_LOCATION 2u
#define HAS_REPLAYED 4u

struct operation_answer {
	int status;       /* 0 ends */
	const char *type; /* of its JSON, or NULL: text of the media type */
	const char *description;
	const char *media; /* NULL: application/json */
	unsigned headers;
};

#define OPERATION_PARAMETERS 12
#define OPERATION_ANSWERS 3
#define OPERATION_BODIES 2

struct operation_body {
	const char *type; /* NULL ends */
	const char *media;
};

struct operation {
	void (*handle)(struct http_exchange *x, struct call *call);
	const char *id; /* where the path names a namespace, with InNamespace at its end */
	const char *group;
	const char *summary;
	const char *description;                          /* more than that, or NULL */
	const char *parameters[OPERATION_PARAMETERS + 1]; /* keys; those of a path it says itself */
	struct operation_body bodies[OPERATION_BODIES + 1];
	struct operation_answer answers[OPERATION_ANSWERS + 1];
	uint64_t errors;     /* bits of enum error_code, beside those that follow from the route */
	const char *example; /* arguments of curl after the method and URL of its first route, NULL:
				none */
};

#define ERRORS_BIT(code) (UINT64_C(1) << ERROR_##code)

extern const struct operation api_operations[]; /* handle == NULL ends */
extern const struct parameter api_parameters[]; /* key == NULL ends */

/* Of a method of a route. */
const struct operation *operation_of(const struct route_method *method);

/* All that it may answer: what its row says, and what the gate, its query and its body bring. */
uint64_t operation_errors(const struct operation *operation, const struct route *route,
	const struct route_method *method);

const struct parameter *parameter_find(const char *key);
/* Does it make sense on that route? Where a path names a namespace, none is asked for beside it. */
bool parameter_is_of(const struct parameter *parameter, const struct route *route);
/* "limit" of the key "limit.history". */
struct slice parameter_name(const struct parameter *parameter);

/* Why a route would answer that; "": it is none of the errors of routes. */
const char *operation_error_meaning(enum error_code code);

/* The variables of a path, one after the other: "name" of "/api/v1/resources/{name}". false: there
 * is no other; *rest is what was not looked at yet. */
bool route_variable(struct slice *rest, struct slice *ret);

/* Every route has its row and every row a route, and what rows name is there. Asserts it. */
void operations_check(void);

#endif
