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
	MAY("PATCH", UPDATE, PATH, resource_patch), \
	MAY("DELETE", DELETE, PATH, resource_delete)
#define STATUS MAY("GET", GET, PATH, resource_get_status)
#define HISTORY MAY("GET", GET, PATH, history_get)
#define REVERT MAY("POST", UPDATE, PATH, rollback_resource)
#define CHANGES MAY("POST", UPDATE, BODY, changes_post)
#define NAMESPACE "/api/v1/namespaces/{namespace}/"

const struct route api_routes[] = {
	{"/healthz", true, {OPEN("GET", get_health)}},
	{"/readyz", true, {OPEN("GET", get_ready)}},
	{"/openapi.json", false, {OPEN("GET", openapi_get)}},
	{"/docs", false, {OPEN("GET", docs_get)}},
	{"/metrics", true, {MAY("GET", GET, EVERYWHERE, get_metrics)}},
	{"/api/v1/resources", false, {COLLECTION(LIST)}},
	{"/api/v1/resources/{name}", false, {RESOURCE}},
	{"/api/v1/resources/{name}/status", false, {STATUS}},
	{"/api/v1/resources/{name}/history", false, {HISTORY}},
	{"/api/v1/resources/{name}/rollback", false, {REVERT}},
	{NAMESPACE "resources", false, {COLLECTION(PATH)}},
	{NAMESPACE "resources/{name}", false, {RESOURCE}},
	{NAMESPACE "resources/{name}/status", false, {STATUS}},
	{NAMESPACE "resources/{name}/history", false, {HISTORY}},
	{NAMESPACE "resources/{name}/rollback", false, {REVERT}},
	{"/api/v1/changes", false, {CHANGES}},
	{NAMESPACE "changes", false, {CHANGES}},
	{"/api/v1/rollback", false, {MAY("POST", UPDATE, EVERYWHERE, rollback_all)}},
	{NAMESPACE "rollback", false, {MAY("POST", UPDATE, PATH, rollback_all)}},
	{"/api/v1/revisions", false, {MAY("GET", LIST, EVERYWHERE, revisions_list)}},
	{"/api/v1/revisions/{revision}", false, {MAY("GET", LIST, EVERYWHERE, revision_get)}},
	{"/api/v1/revisions/{revision}/resources", false,
		{MAY("GET", LIST, EVERYWHERE, revision_resources)}},
	{"/api/v1/diff/{range}", false, {MAY("GET", LIST, EVERYWHERE, diff_get)}},
	{NAMESPACE "revisions", false, {MAY("GET", LIST, PATH, revisions_list)}},
	{NAMESPACE "revisions/{revision}", false, {MAY("GET", LIST, PATH, revision_get)}},
	{NAMESPACE "revisions/{revision}/resources", false,
		{MAY("GET", LIST, PATH, revision_resources)}},
	{NAMESPACE "diff/{range}", false, {MAY("GET", LIST, PATH, diff_get)}},
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
		[SCOPE_BODY] = "body",
	};

	return names[scope];
}
