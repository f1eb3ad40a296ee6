/* SPDX-License-Identifier: Apache-2.0 */
/* GET /openapi.json: OpenAPI 3.1.1, from the tables of routes, operations and schemas. */
#include "api/description.h"
#include "api/operations.h"
#include "api/schemas.h"
#include "base/json.h"

#include <stdio.h>

#define SAYS \
	"Declares resources, which Flux brings into the cluster. GET serves HEAD too. Every " \
	"answer " \
	"has X-Request-Id. What is no request of HTTP/1.1, or too slow or too large for one, is " \
	"answered with the other codes of Error before any of this counts."

static void add_reference(struct buf *b, const char *part, struct slice name)
{
	json_begin_object(b);
	buf_puts(b, "\"$ref\":\"#/components/");
	buf_puts(b, part);
	buf_putc(b, '/');
	buf_add(b, name);
	buf_putc(b, '"');
	json_end_object(b);
}

/* ---- parameters ---- */

static void add_parameter_references(
	struct buf *b, const struct operation *operation, const struct route *route)
{
	struct slice rest = slice_of(route->path), variable;

	json_key(b, "parameters");
	json_begin_array(b);
	while (route_variable(&rest, &variable)) {
		json_item(b);
		add_reference(b, "parameters", variable);
	}
	for (size_t i = 0; operation->parameters[i] != NULL; i++)
		if (parameter_is_of(parameter_find(operation->parameters[i]), route)) {
			json_item(b);
			add_reference(b, "parameters", slice_of(operation->parameters[i]));
		}
	json_end_array(b);
}

static void add_parameter(struct buf *b, const struct parameter *p)
{
	static const char *const places[] = {
		[IN_PATH] = "path", [IN_QUERY] = "query", [IN_HEADER] = "header"};

	json_key(b, p->key);
	json_begin_object(b);
	json_member_string(b, "name", parameter_name(p));
	json_member_cstr(b, "in", places[p->in]);
	json_member_cstr(b, "description", p->description);
	if (p->in == IN_PATH)
		json_member_bool(b, "required", true);
	json_key(b, "schema");
	schema_add_type(b, p->type);
	if (p->example != NULL)
		json_member_cstr(b, "example", p->example);
	json_end_object(b);
}

static void add_parameters(struct buf *b)
{
	json_key(b, "parameters");
	json_begin_object(b);
	for (const struct parameter *p = api_parameters; p->key != NULL; p++)
		add_parameter(b, p);
	json_end_object(b);
}

/* ---- answers ---- */

static void add_content(struct buf *b, const char *media, const char *type)
{
	json_key(b, media);
	json_begin_object(b);
	json_key(b, "schema");
	schema_add_type(b, type != NULL ? type : "string");
	json_end_object(b);
}

static void add_header(struct buf *b, const char *name, const char *description, bool always)
{
	json_key(b, name);
	json_begin_object(b);
	json_member_cstr(b, "description", description);
	json_member_bool(b, "required", always);
	json_key(b, "schema");
	schema_add_type(b, "string");
	json_end_object(b);
}

static void add_headers(struct buf *b, unsigned headers)
{
	json_key(b, "headers");
	json_begin_object(b);
	add_header(
		b, "X-Request-Id", "The request's own, or a fresh one: the log has it too", true);
	if ((headers & HAS_ETAG) != 0)
		add_header(b, "ETag", "The version, for If-Match", false);
	if ((headers & HAS_LOCATION) != 0)
		add_header(b, "Location", "Of what was made", true);
	if ((headers & HAS_REPLAYED) != 0)
		add_header(b, "Idempotency-Replayed", "true: it was made before, with that key",
			false);
	json_end_object(b);
}

static void add_answer(struct buf *b, const struct operation_answer *answer)
{
	char status[12];

	snprintf(status, sizeof(status), "%d", answer->status);
	json_key(b, status);
	json_begin_object(b);
	json_member_cstr(b, "description", answer->description);
	add_headers(b, answer->headers);
	json_key(b, "content");
	json_begin_object(b);
	add_content(b, answer->media != NULL ? answer->media : "application/json", answer->type);
	json_end_object(b);
	json_end_object(b);
}

static void add_answers(struct buf *b, const struct operation *operation, const struct route *route,
	const struct route_method *method)
{
	uint64_t errors = operation_errors(operation, route, method);

	json_key(b, "responses");
	json_begin_object(b);
	for (const struct operation_answer *a = operation->answers; a->status != 0; a++)
		add_answer(b, a);
	for (unsigned code = 0; code < ERROR_CODES_; code++) {
		char status[12];

		if ((errors & UINT64_C(1) << code) == 0)
			continue;
		snprintf(status, sizeof(status), "%d", error_status((enum error_code)code));
		json_key(b, status);
		add_reference(b, "responses", slice_of(error_name((enum error_code)code)));
	}
	json_end_object(b);
}

static void add_error(struct buf *b, enum error_code code)
{
	json_key(b, error_name(code));
	json_begin_object(b);
	json_member_cstr(b, "description", operation_error_meaning(code));
	json_key(b, "headers");
	json_begin_object(b);
	add_header(
		b, "X-Request-Id", "The request's own, or a fresh one: the log has it too", true);
	if (code == ERROR_UNAUTHORIZED)
		add_header(b, "WWW-Authenticate", "How to say who asks", true);
	if (code == ERROR_TOO_MANY || code == ERROR_UNAVAILABLE)
		add_header(b, "Retry-After", "Seconds to wait, where that helps", false);
	if (code == ERROR_PRECONDITION)
		add_header(b, "ETag", "The version of the resource as it is", false);
	json_end_object(b);
	json_key(b, "content");
	json_begin_object(b);
	add_content(b, "application/json", "Error");
	json_end_object(b);
	json_end_object(b);
}

static void add_errors(struct buf *b)
{
	json_key(b, "responses");
	json_begin_object(b);
	for (unsigned code = 0; code < ERROR_CODES_; code++)
		if (operation_error_meaning((enum error_code)code)[0] != '\0')
			add_error(b, (enum error_code)code);
	json_end_object(b);
}

/* ---- operations ---- */

/* Unique: two routes of one handler differ in whether their path names the namespace. */
static void add_id(struct buf *b, const struct operation *operation, const struct route *route)
{
	bool placed = strstr(route->path, "{namespace}") != NULL;

	json_key(b, "operationId");
	buf_printf(b, "\"%s%s\"", operation->id, placed ? "InNamespace" : "");
}

static void add_body(struct buf *b, const struct operation *operation)
{
	json_key(b, "requestBody");
	json_begin_object(b);
	json_member_bool(b, "required", true);
	json_key(b, "content");
	json_begin_object(b);
	for (const struct operation_body *body = operation->bodies; body->type != NULL; body++)
		add_content(b, body->media, body->type);
	json_end_object(b);
	json_end_object(b);
}

static void add_operation(
	struct buf *b, const struct route *route, const struct route_method *method)
{
	static const char *const keys[][2] = {{"GET", "get"}, {"POST", "post"}, {"PUT", "put"},
		{"PATCH", "patch"}, {"DELETE", "delete"}};
	const struct operation *operation = operation_of(method);
	size_t i = 0;

	while (strcmp(keys[i][0], method->method) != 0)
		i++;
	json_key(b, keys[i][1]);
	json_begin_object(b);
	add_id(b, operation, route);
	json_key(b, "tags");
	json_begin_array(b);
	json_item(b);
	json_add_string(b, slice_of(operation->group));
	json_end_array(b);
	json_member_cstr(b, "summary", operation->summary);
	if (operation->description != NULL)
		json_member_cstr(b, "description", operation->description);
	if (method->scope == SCOPE_OPEN) {
		json_key(b, "security");
		buf_puts(b, "[]");
	}
	add_parameter_references(b, operation, route);
	if (operation->bodies[0].type != NULL)
		add_body(b, operation);
	add_answers(b, operation, route, method);
	json_end_object(b);
}

static void add_paths(struct buf *b)
{
	json_key(b, "paths");
	json_begin_object(b);
	for (const struct route *r = api_routes; r->path != NULL; r++) {
		json_key(b, r->path);
		json_begin_object(b);
		for (const struct route_method *m = r->methods; m->method != NULL; m++)
			add_operation(b, r, m);
		json_end_object(b);
	}
	json_end_object(b);
}

/* ---- the whole ---- */

static void add_security_scheme(struct buf *b, const char *scheme, const char *description)
{
	json_key(b, scheme);
	json_begin_object(b);
	json_member_cstr(b, "type", "http");
	json_member_cstr(b, "scheme", scheme);
	json_member_cstr(b, "description", description);
	json_end_object(b);
}

static void add_components(struct buf *b)
{
	json_key(b, "components");
	json_begin_object(b);
	json_key(b, "securitySchemes");
	json_begin_object(b);
	add_security_scheme(
		b, "bearer", "An API token, a JWT of the issuer, or a token of Kubernetes");
	add_security_scheme(b, "basic", "The same as the password of any user name");
	json_end_object(b);
	add_parameters(b);
	add_errors(b);
	json_key(b, "schemas");
	schemas_add(b);
	json_end_object(b);
}

static void add_info(struct buf *b, const char *version)
{
	json_key(b, "info");
	json_begin_object(b);
	json_member_cstr(b, "title", "gitops-squared");
	json_member_cstr(b, "version", version);
	json_member_cstr(b, "description", SAYS);
	json_key(b, "license");
	buf_puts(b, "{\"name\":\"Apache-2.0\",\"identifier\":\"Apache-2.0\"}");
	json_end_object(b);
}

void openapi_write(const char *version, struct buf *ret)
{
	json_begin_object(ret);
	json_member_cstr(ret, "openapi", "3.1.1");
	add_info(ret, version);
	json_key(ret, "servers");
	buf_puts(ret, "[{\"url\":\"/\"}]");
	json_key(ret, "security");
	buf_puts(ret, "[{\"bearer\":[]},{\"basic\":[]}]");
	add_paths(ret);
	add_components(ret);
	json_end_object(ret);
}
