/* SPDX-License-Identifier: Apache-2.0 */
#include "route_table.h"

#include "api/routes.h"

#include <stdio.h>

static void print_roles(enum auth_action action)
{
	const char *separator = "";

	for (unsigned role = 0; role < ROLES_; role++)
		if (role_may((enum auth_role)role, action)) {
			printf("%s%s", separator, role_name((enum auth_role)role));
			separator = ", ";
		}
}

void print_rule(const char *method, const char *path, enum auth_action action, const char *of)
{
	printf("| %s | `%s` | %s | %s | ", method, path, action_name(action), of);
	print_roles(action);
	printf(" | %s |\n", action_verb(action));
}

void print_open(const char *method, const char *path, const char *who)
{
	printf("| %s | `%s` | | | %s | |\n", method, path, who);
}

static void print_head(const char *title)
{
	printf("\n## %s\n\n| method | path | action | of namespace | roles | Kubernetes' verb "
	       "|\n|---|---|---|---|---|---|\n",
		title);
}

static void print_api_routes(void)
{
	static const char *const scopes[] = {
		[SCOPE_PATH] = "the path's, else `default`",
		[SCOPE_LIST] = "`?namespace=`, else `default`",
		[SCOPE_WATCH] = "`?namespace=`, else all",
		[SCOPE_EVERYWHERE] = "all",
		[SCOPE_BODY] = "each item's; of a delete and a prune the action is delete; who may "
			       "change nothing is refused before the body",
	};

	for (const struct route *r = api_routes; r->path != NULL; r++)
		for (const struct route_method *m = r->methods; m->method != NULL; m++) {
			if (m->scope == SCOPE_OPEN)
				print_open(m->method, r->path, "anybody");
			else
				print_rule(m->method, r->path, m->action, scopes[m->scope]);
		}
}

int main(void)
{
	printf("# Who may do what\n\nMade by `scripts/authorization` from the tables of routes and "
	       "roles in the program; a test holds this page to them. GET serves HEAD too. A role "
	       "counts in the namespaces that it was given for; what asks of all namespaces needs "
	       "one that was given for `*`.\n");
	print_head("The API");
	print_api_routes();
	print_head("The embedded registry");
	print_registry_routes();
	return 0;
}
