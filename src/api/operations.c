/* SPDX-License-Identifier: Apache-2.0 */
#include "api/operations.h"

#include "api/schemas.h"

#include <stdio.h>

#define E ERRORS_BIT
#define JSON "application/json"

#define RESOURCES "Resources"
#define CHANGES "Changes"
#define HISTORY "History"
#define EVENTS "Events"
#define OPERATING "Operating"

/* clang-format off */
const struct parameter api_parameters[] = {
	{"name", IN_PATH, "Name", "Of the resource", "web"},
	{"namespace", IN_PATH, "Name", "Of the resource, or of what is asked about", "default"},
	{"revision", IN_PATH, "Revision", "A commit", "c1795893153160483"},
	{"range", IN_PATH, "Range", "Two commits: from the one, to the other",
		"c1795893153160483..c1795893160000000"},

	{"limit", IN_QUERY, "Count", "At most so many; 0, or none: all. An answer of any length "
		"is streamed"},
	{"continue", IN_QUERY, "Continue", "The `continue` of the answer before; empty: from the "
		"start"},
	{"namespace.list", IN_QUERY, "NamespaceOrAll", "Another namespace than `default`, or `*` "
		"for all of them"},
	{"type", IN_QUERY, "Type", "Only those"},
	{"size", IN_QUERY, "Size", "Only those"},
	{"phase", IN_QUERY, "ListedPhase", "Only those in that phase"},
	{"region", IN_QUERY, "string", "Only that one, exactly; empty: those whose region is "
		"`\"\"`"},
	{"labelSelector", IN_QUERY, "LabelSelector", "Only those whose labels match, as "
		"kubectl's `-l`"},

	{"wait", IN_QUERY, "Wait", "Answer when the cluster has it: 202 says that it does not "
		"show it yet"},
	{"timeout", IN_QUERY, "Duration", "With `wait`: for so long at most. Default `30s`"},
	{"dryRun", IN_QUERY, "YesOrNo", "Answer as the real call would, with the difference, and "
		"change nothing"},
	{"confirm", IN_QUERY, "Confirm", "It is meant, however much of a namespace goes that "
		"nobody named"},

	{"limit.history", IN_QUERY, "PageSize", "At most so many. Default 50"},
	{"continue.history", IN_QUERY, "Continue", "The `continue` of the page before"},

	{"namespace.watch", IN_QUERY, "NamespaceOrAll", "Only of that one"},
	{"lastEventId", IN_QUERY, "string", "The id of the last event, to go on from there; as "
		"the header `Last-Event-ID`"},

	{"Last-Event-ID", IN_HEADER, "string", "The id of the last event, to go on from there"},
	{"If-Match", IN_HEADER, "EntityTags", "Only if the resource is still what the caller has "
		"read: its ETag, or `*` for any; else 412"},
	{"If-None-Match", IN_HEADER, "Star", "`*`: only if there is none; else 412"},
	{"X-Change-Reason", IN_HEADER, "Reason", "Why, for the audit"},
	{"If-Match.catalog", IN_HEADER, "EntityTags", "Only if nothing was changed since: the ETag "
		"of a list or of a change; else 412"},
	{"Idempotency-Key", IN_HEADER, "Key", "The same changes with the same key are made once, "
		"however often they are sent, for a day"},
	{NULL},
};

#define LISTING "limit", "continue", "namespace.list", "type", "size", "phase", \
	"region", "labelSelector"
#define WAITING "wait", "timeout"
#define PRECONDITIONS "If-Match", "If-None-Match"
#define CHANGING "dryRun", "X-Change-Reason"

/* What the writer may say to any change: frozen, full, waiting, or that it is not known whether it
 * is made. */
#define WRITES (E(TOO_MANY) | E(UNAVAILABLE) | E(NO_SPACE))
#define PUTS (WRITES | E(CONFLICT) | E(PRECONDITION) | E(UNPROCESSABLE))
/* What the registry may say to who reads history. */
#define READS_REGISTRY (E(NOT_FOUND) | E(TOO_MANY) | E(INTERNAL) | E(UNAVAILABLE))
/* And to who puts back what it reads there. */
#define REVERTS (PUTS | E(NOT_FOUND) | E(INTERNAL) | E(GONE))

#define CHANGED(text) {200, "Resource", text, .headers = HAS_ETAG}
#define CREATED {201, "Resource", "It is new", .headers = HAS_ETAG | HAS_LOCATION}
#define ACCEPTED \
	{202, "Resource", "It is made, and the cluster does not show it: `status` says why", \
		.headers = HAS_ETAG}

const struct operation api_operations[] = {
	{resources_list, "listResources", RESOURCES, "List resources",
		"In the order of their names. An answer without `continue` is the last page.",
		.parameters = {LISTING},
		.answers = {{200, "ResourceList", "The resources that match, each with its "
			"phase", .headers = HAS_ETAG}},
		.errors = E(UNAVAILABLE),
		.example = "?limit=500&type=vm"},
	{resources_post, "postResource", RESOURCES, "Create a resource, or replace it",
		"Equal intent changes nothing, so a request may be sent again when its answer "
			"was lost.",
		.parameters = {WAITING, CHANGING, PRECONDITIONS}, .bodies = {{"PostBody", JSON}},
		.answers = {CHANGED("It was there, changed or not, or this is a dry run"),
			CREATED, ACCEPTED},
		.errors = PUTS,
		.example = "-d '{\"name\":\"web\",\"spec\":{\"type\":\"vm\",\"size\":\"small\"}}'"},
	{resource_get, "getResource", RESOURCES, "Read a resource, with its status", NULL,
		.answers = {{200, "Resource", "The resource", .headers = HAS_ETAG}},
		.errors = E(NOT_FOUND) | E(UNAVAILABLE)},
	{resource_put, "putResource", RESOURCES, "Create a resource, or replace it", NULL,
		.parameters = {WAITING, CHANGING, PRECONDITIONS}, .bodies = {{"PutBody", JSON}},
		.answers = {CHANGED("It was there, changed or not, or this is a dry run"),
			CREATED, ACCEPTED},
		.errors = PUTS,
		.example = "-d '{\"spec\":{\"type\":\"vm\",\"size\":\"small\"}}'"},
	{resource_patch, "patchResource", RESOURCES, "Change some fields of a resource",
		"A JSON merge patch (RFC 7396): what it names is replaced, null takes away.",
		.parameters = {WAITING, CHANGING, PRECONDITIONS},
		.bodies = {{"PatchBody", "application/merge-patch+json"}},
		.answers = {CHANGED("The resource as it is now, or would be"), ACCEPTED},
		.errors = PUTS | E(NOT_FOUND),
		.example = "-d '{\"spec\":{\"replicas\":3}}'"},
	{resource_delete, "deleteResource", RESOURCES, "Delete a resource", NULL,
		.parameters = {WAITING, CHANGING, PRECONDITIONS},
		.answers = {{200, "Deletion", "It is gone"},
			{202, "Deletion", "It is deleted, and the cluster still has it: `status` "
				"says why"}},
		.errors = WRITES | E(NOT_FOUND) | E(CONFLICT) | E(PRECONDITION)},
	{resource_get_status, "getResourceStatus", RESOURCES, "What became of a resource in the "
		"cluster",
		"Also of one that is deleted and still in the cluster.",
		.answers = {{200, "Status", "Its status"}},
		.errors = E(NOT_FOUND) | E(UNAVAILABLE)},

	{changes_post, "postChanges", CHANGES, "Make many changes, or none of them",
		"One commit record for all. Where one is refused nothing is changed, and the "
			"error names it. Resources may also come by themselves, as YAML "
			"documents or a List, as kubectl takes them: then all of them are put.",
		.parameters = {"dryRun", "confirm", "X-Change-Reason", "Idempotency-Key",
			"If-Match.catalog"},
		.bodies = {{"Changes", JSON}, {"ResourceOrObject", "application/yaml"}},
		.answers = {{200, "ChangesResult", "All of them are made, or would be",
			.headers = HAS_ETAG | HAS_REPLAYED}},
		.errors = PUTS | E(NOT_FOUND),
		.example = "-d '{\"changes\":["
			"{\"resource\":{\"name\":\"web\",\"spec\":{\"type\":\"vm\",\"size\":\"large\"}}},"
			"{\"operation\":\"delete\",\"name\":\"db\"}]}'"},

	{history_get, "getHistory", HISTORY, "The versions of a resource, newest first",
		"Creations, changes and deletions, each with the difference to what was before.",
		.parameters = {"limit.history", "continue.history"},
		.answers = {{200, "History", "Its versions"}},
		.errors = READS_REGISTRY,
		.example = "?limit=10"},
	{rollback_resource, "rollbackResource", HISTORY, "Bring a resource back to what it was",
		"At a version, as a new change through the same guards.",
		.parameters = {"dryRun", "confirm", "X-Change-Reason", "Idempotency-Key",
			PRECONDITIONS},
		.bodies = {{"RollbackResource", JSON}},
		.answers = {{200, "ChangesResult", "It is made, or would be",
			.headers = HAS_ETAG | HAS_REPLAYED}},
		.errors = REVERTS,
		.example = "-d '{\"to\":\"v1795893153160483\"}'"},
	{rollback_all, "rollback", HISTORY, "Bring everything, or a namespace, back to a commit",
		"As one new change through the same guards.",
		.parameters = {"dryRun", "confirm", "X-Change-Reason", "Idempotency-Key",
			"If-Match.catalog"},
		.bodies = {{"Rollback", JSON}},
		.answers = {{200, "ChangesResult", "All of it is made, or would be",
			.headers = HAS_ETAG | HAS_REPLAYED}},
		.errors = REVERTS,
		.example = "-d '{\"to\":\"c1795893153160483\"}'"},
	{revisions_list, "listRevisions", HISTORY, "The commits, newest first",
		"Where a path names a namespace: those that changed something in it, and only "
			"that of them.",
		.parameters = {"limit.history", "continue.history"},
		.answers = {{200, "RevisionList", "The commits"}},
		.errors = READS_REGISTRY},
	{revision_get, "getRevision", HISTORY, "A commit", NULL,
		.answers = {{200, "CommitRecord", "The commit"}},
		.errors = READS_REGISTRY},
	{revision_resources, "listRevisionResources", HISTORY, "The resources as a commit left "
		"them",
		"Rebuilt from their versions, in the order of namespace and name.",
		.parameters = {"limit.history", "continue.history"},
		.answers = {{200, "ResourcesThen", "The resources then"}},
		.errors = READS_REGISTRY | E(GONE)},
	{diff_get, "getDiff", HISTORY, "What two commits differ in", NULL,
		.parameters = {"limit.history", "continue.history"},
		.answers = {{200, "DiffList", "The resources that differ, with their differences"}},
		.errors = READS_REGISTRY | E(GONE)},

	{watch_get, "watch", EVENTS, "A stream of what changes",
		"Server-Sent Events that never end: `hello` first, then `change`, `phase`, "
			"`gone`, `reset` and `end`.",
		.parameters = {"namespace.watch", "lastEventId", "Last-Event-ID"},
		.answers = {{200, NULL, "The events", .media = "text/event-stream"}},
		.errors = E(TOO_MANY) | E(UNAVAILABLE),
		.example = "-N"},

	{layout_get, "getLayout", OPERATING, "How resources are shared out among catalogs", NULL,
		.answers = {{200, "Layout", "The layout, and how far a change of it is"}},
		.errors = E(UNAVAILABLE)},
	{layout_put, "putLayout", OPERATING, "Begin the way to another layout",
		"It goes on by itself, also after a restart. No object is deleted or made anew "
			"by it.",
		.parameters = {"X-Change-Reason"}, .bodies = {{"LayoutBody", JSON}},
		.answers = {{202, "Layout", "It has begun"}},
		.errors = E(CONFLICT) | E(UNPROCESSABLE) | E(UNAVAILABLE),
		.example = "-d '{\"layout\":\"split\",\"catalogs\":16}'"},
	{freeze_get, "getFreeze", OPERATING, "Whether changes are taken, and why not", NULL,
		.answers = {{200, "Freeze", "Frozen or not"}},
		.errors = E(UNAVAILABLE)},
	{freeze_put, "putFreeze", OPERATING, "Take no changes from now on", NULL,
		.parameters = {"X-Change-Reason"}, .bodies = {{"NewFreeze", JSON}},
		.answers = {{200, "Freeze", "It is frozen"}},
		.errors = WRITES,
		.example = "-d '{\"reason\":\"we move, until 18:00\"}'"},
	{freeze_delete, "deleteFreeze", OPERATING, "Take changes again", NULL,
		.parameters = {"X-Change-Reason"},
		.answers = {{200, "Freeze", "It is not frozen"}},
		.errors = WRITES},
	{get_health, "getHealth", OPERATING, "Whether the process answers", NULL,
		.answers = {{200, "Health", "It does"}}},
	{get_ready, "getReady", OPERATING, "Whether everything is read and verified", NULL,
		.answers = {{200, "Health", "It is; `writes` says why no changes are taken"}},
		.errors = E(UNAVAILABLE) | E(INTERNAL)},
	{get_metrics, "getMetrics", OPERATING, "Prometheus' metrics", NULL,
		.answers = {{200, NULL, "Text format 0.0.4", .media = "text/plain"}}},
	{openapi_get, "getOpenAPI", OPERATING, "This description", NULL,
		.answers = {{200, "object", "OpenAPI 3.1"}}},
	{docs_get, "getDocs", OPERATING, "This description as a page", NULL,
		.answers = {{200, NULL, "It needs nothing from elsewhere", .media = "text/html"}}},
	{NULL},
};

static const struct {
	enum error_code code;
	const char *meaning;
} errors[] = {
	{ERROR_INVALID, "Malformed JSON, a value or a parameter: `field` names it"},
	{ERROR_UNAUTHORIZED, "No credential, or one that proves nothing"},
	{ERROR_DENIED, "No role of the caller allows it in that namespace, or the quota is used "
		"up"},
	{ERROR_NOT_FOUND, "There is no such thing"},
	{ERROR_CONFLICT, "The resource is protected, too much of a namespace would go (then "
		"`confirm` is there), others were faster each time, or another change of "
		"the layout is under way"},
	{ERROR_GONE, "It was there, and is not kept any more"},
	{ERROR_PRECONDITION, "It is not as the caller has read it: read it again"},
	{ERROR_TOO_LARGE, "The body is too large"},
	{ERROR_MEDIA_TYPE, "The body is of another Content-Type"},
	{ERROR_UNPROCESSABLE, "The namespace is not known to exist, the catalog is full, or the "
		"layout cannot be"},
	{ERROR_TOO_MANY, "Too many requests, or too many refused credentials: wait for "
		"`Retry-After`"},
	{ERROR_INTERNAL, "What is stored is damaged: an operator must look"},
	{ERROR_UNAVAILABLE, "Not ready, no changes are taken, the registry failed, or nobody "
		"knows whether the change is made: read, or send it again"},
	{ERROR_NO_SPACE, "The disk or the registry is full"},
};
/* clang-format on */

const struct operation *operation_of(const struct route_method *method)
{
	const struct operation *operation = api_operations;

	while (operation->handle != NULL && operation->handle != method->handle)
		operation++;
	ASSERT(operation->handle != NULL);
	return operation;
}

/* Whoever asks for a credential may refuse it, or the caller; who has parameters refuses others. */
uint64_t operation_errors(const struct operation *operation, const struct route *route,
	const struct route_method *method)
{
	uint64_t all = operation->errors;
	struct slice rest = slice_of(route->path), variable;

	if (!route->probe)
		all |= E(INVALID);
	if (method->scope != SCOPE_OPEN)
		all |= E(UNAUTHORIZED) | E(DENIED) | E(TOO_MANY) | E(UNAVAILABLE);
	if (route_variable(&rest, &variable))
		all |= E(NOT_FOUND);
	if (operation->bodies[0].type != NULL)
		all |= E(TOO_LARGE) | E(MEDIA_TYPE);
	return all;
}

const char *operation_error_meaning(enum error_code code)
{
	for (size_t i = 0; i < ARRAY_SIZE(errors); i++)
		if (errors[i].code == code)
			return errors[i].meaning;
	return "";
}

const struct parameter *parameter_find(const char *key)
{
	const struct parameter *p = api_parameters;

	while (p->key != NULL && strcmp(p->key, key) != 0)
		p++;
	ASSERT(p->key != NULL);
	return p;
}

bool parameter_is_of(const struct parameter *parameter, const struct route *route)
{
	return !slice_starts(slice_of(parameter->key), SLICE("namespace.")) ||
	       strstr(route->path, "{namespace}") == NULL;
}

struct slice parameter_name(const struct parameter *parameter)
{
	struct slice key = slice_of(parameter->key);

	return slice_cut(&key, '.');
}

bool route_variable(struct slice *rest, struct slice *ret)
{
	while (rest->p != NULL) {
		struct slice segment = slice_cut(rest, '/');

		if (segment.n < 3 || segment.p[0] != '{')
			continue;
		*ret = (struct slice){segment.p + 1, segment.n - 2};
		return true;
	}
	return false;
}

/* ---- that nothing is missing ---- */

static bool is_routed(const struct operation *operation)
{
	for (const struct route *r = api_routes; r->path != NULL; r++)
		for (const struct route_method *m = r->methods; m->method != NULL; m++)
			if (m->handle == operation->handle)
				return true;
	return false;
}

static void check_type(const char *type)
{
	static const char *const plain[] = {"string", "integer", "boolean", "object"};
	struct slice rest = type == NULL ? slice_of(plain[0]) : slice_of(type);
	struct slice name = slice_cut(&rest, '|');

	for (size_t i = 0; i < ARRAY_SIZE(plain); i++)
		if (slice_eq(name, slice_of(plain[i])))
			return;
	ASSERT(schema_of_type(type) != NULL);
}

static void check_operation(const struct operation *operation)
{
	ASSERT(is_routed(operation));
	for (size_t i = 0; operation->parameters[i] != NULL; i++)
		check_type(parameter_find(operation->parameters[i])->type);
	for (const struct operation_body *b = operation->bodies; b->type != NULL; b++)
		check_type(b->type);
	for (const struct operation_answer *a = operation->answers; a->status != 0; a++)
		check_type(a->type);
	for (unsigned code = 0; code < ERROR_CODES_; code++)
		ASSERT((operation->errors & UINT64_C(1) << code) == 0 ||
			operation_error_meaning((enum error_code)code)[0] != '\0');
}

static void check_route(const struct route *route)
{
	struct slice rest = slice_of(route->path), variable;
	char key[LIMIT_NAME + 1];

	for (const struct route_method *m = route->methods; m->method != NULL; m++)
		(void)operation_of(m);
	while (route_variable(&rest, &variable)) {
		snprintf(key, sizeof(key), "%.*s", SLICE_ARG(variable));
		ASSERT(parameter_find(key)->in == IN_PATH);
	}
}

void operations_check(void)
{
	for (const struct operation *o = api_operations; o->handle != NULL; o++)
		check_operation(o);
	for (const struct route *r = api_routes; r->path != NULL; r++)
		check_route(r);
	for (const struct schema *s = api_schemas; s->name != NULL; s++)
		for (const struct schema_member *m = s->members; m != NULL && m->name != NULL; m++)
			check_type(m->type);
}
