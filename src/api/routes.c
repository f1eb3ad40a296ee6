/* SPDX-License-Identifier: Apache-2.0 */
#include "api/routes.h"

#define OPEN(method, handle) \
	{ \
		method, SCOPE_OPEN, ACTION_GET, handle \
	}
#define MAY(method, action, scope, handle) \
	{ \
		method, SCOPE_##scope, ACTION_##action, handle \
	}

/* clang-format off */
#define COLLECTION(scope) \
	MAY("GET", LIST, scope, resources_list), \
	MAY("POST", UPDATE, PATH, resources_post)
#define RESOURCE \
	MAY("GET", GET, PATH, resource_get), \
	MAY("PUT", UPDATE, PATH, resource_put), \
	MAY("DELETE", DELETE, PATH, resource_delete)
#define STATUS MAY("GET", GET, PATH, resource_get_status)
#define NAMESPACE "/api/v1/namespaces/{namespace}/"

const struct route api_routes[] = {
	{"/healthz", true, {OPEN("GET", get_health)}},
	{"/readyz", true, {OPEN("GET", get_ready)}},
	{"/metrics", true, {MAY("GET", GET, EVERYWHERE, get_metrics)}},
	{"/api/v1/resources", false, {COLLECTION(LIST)}},
	{"/api/v1/resources/{name}", false, {RESOURCE}},
	{"/api/v1/resources/{name}/status", false, {STATUS}},
	{NAMESPACE "resources", false, {COLLECTION(PATH)}},
	{NAMESPACE "resources/{name}", false, {RESOURCE}},
	{NAMESPACE "resources/{name}/status", false, {STATUS}},
	{"/api/v1/watch", false, {MAY("GET", WATCH, WATCH, watch_get)}},
	{NAMESPACE "watch", false, {MAY("GET", WATCH, PATH, watch_get)}},
	{"/api/v1/layout", false,
		{MAY("GET", LIST, EVERYWHERE, layout_get),
		 MAY("PUT", ADMINISTER, EVERYWHERE, layout_put)}},
	{"/api/v1/freeze", false,
		{MAY("GET", LIST, EVERYWHERE, freeze_get),
		 MAY("PUT", ADMINISTER, EVERYWHERE, freeze_put),
		 MAY("DELETE", ADMINISTER, EVERYWHERE, freeze_delete)}},
	{NULL},
};
/* clang-format on */

const char *route_scope_name(enum route_scope scope)
{
	static const char *const names[] = {
		[SCOPE_OPEN] = "open",
		[SCOPE_PATH] = "path",
		[SCOPE_LIST] = "list",
		[SCOPE_WATCH] = "watch",
		[SCOPE_EVERYWHERE] = "everywhere",
	};

	return names[scope];
}
