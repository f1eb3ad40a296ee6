/* SPDX-License-Identifier: Apache-2.0 */
/* Prints every route of the API with its rule, a line each: METHOD PATH SCOPE ACTION, and of each
 * action the roles that may do it: role ROLE ACTION. */
#include "api/routes.h"

#include <stdio.h>

int main(void)
{
	for (const struct route *r = api_routes; r->path != NULL; r++)
		for (const struct route_method *m = r->methods; m->method != NULL; m++)
			printf("api %s %s %s %s\n", m->method, r->path, route_scope_name(m->scope),
				action_name(m->action));
	for (unsigned role = 0; role < ROLES_; role++)
		for (unsigned action = 0; action < ACTIONS_; action++)
			if (role_may(role, action))
				printf("role %s %s\n", role_name(role), action_name(action));
	return 0;
}
