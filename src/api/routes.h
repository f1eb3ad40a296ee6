/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to api. Every route, with the rule of who may take it: the action, and of which
 * namespace. One without a rule does not compile.
 */
#ifndef API_ROUTES_H
#define API_ROUTES_H

#include "api/call.h"

/* Which namespace is asked about. */
enum route_scope {
	SCOPE_OPEN = 1,   /* none: nobody is asked who they are */
	SCOPE_PATH,       /* the path's: "default" where it names none */
	SCOPE_LIST,       /* that of the list which the query asks for */
	SCOPE_WATCH,      /* that of the stream which the query asks for */
	SCOPE_EVERYWHERE, /* all of them */
};

struct route_method {
	const char *method; /* GET serves HEAD too; NULL ends */
	enum route_scope scope;
	enum auth_action action;
	void (*handle)(struct http_exchange *x, struct call *call);
};

#define ROUTE_METHODS 3 /* of one path, at most */

struct route {
	const char *path; /* {namespace} and {name} stand for one segment; NULL ends */
	bool probe;       /* asked over and over */
	struct route_method methods[ROUTE_METHODS + 1];
};

extern const struct route api_routes[];

/* "path" */
const char *route_scope_name(enum route_scope scope);

#endif
