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
	SCOPE_BODY,       /* those that the body names, once it is read: api/permit.h */
};

struct route_method {
	const char *method; /* GET serves HEAD too; NULL ends */
	enum route_scope scope;
	enum auth_action action;
	void (*handle)(struct http_exchange *x, struct call *call);
};

#define ROUTE_METHODS 4 /* of one path, at most */

struct route {
	/* {namespace}, {name}, {revision} ("c123") and {range} ("c123..c456") stand for one
	 * segment; NULL ends */
	const char *path;
	bool probe; /* asked over and over */
	struct route_method methods[ROUTE_METHODS + 1];
};

extern const struct route api_routes[];

/* "path" */
const char *route_scope_name(enum route_scope scope);

#endif
