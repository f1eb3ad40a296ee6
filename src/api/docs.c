/* SPDX-License-Identifier: Apache-2.0 */
/* GET /docs: the same as /openapi.json, for people. One page of HTML without anything from
 * elsewhere, and without a program in it. */
#include "api/description.h"
#include "api/operations.h"
#include "api/schemas.h"
#include "intent/schema.h"
#include "oci/digest.h"
#include "sign/base64.h"

#include <stdio.h>

#define EXAMPLE_SERVER "localhost:8080"

static const char style[] =
	":root{color-scheme:light dark;--text:#1d2330;--dim:#5c6675;--back:#fff;--panel:#f5f7fa;"
	"--line:#dde2ea;--link:#0b5cad;--get:#0b7a4b;--put:#9a5b00;--delete:#b3261e}"
	"@media(prefers-color-scheme:dark){:root{--text:#e3e7ee;--dim:#9aa5b5;--back:#14171d;"
	"--panel:#1c212a;--line:#2f3744;--link:#7ab7ff;--get:#5fd39b;--put:#f0b35a;"
	"--delete:#ff8f86}}"
	"*{box-sizing:border-box}"
	"body{margin:0;background:var(--back);color:var(--text);font:16px/1.55 "
	"system-ui,sans-serif}"
	"main{max-width:60rem;margin:0 auto;padding:1rem 1.25rem 4rem}"
	"header{background:var(--panel);border-bottom:1px solid var(--line)}"
	"header div{max-width:60rem;margin:0 auto;padding:1.5rem 1.25rem}"
	"h1{margin:0;font-size:1.6rem}h2{margin:2.5rem 0 .5rem;font-size:1.3rem}"
	"h3{margin:0;font-size:1.05rem}p{margin:.4rem 0}"
	"a{color:var(--link);text-decoration:none}a:hover{text-decoration:underline}"
	"nav a{margin-right:1rem;white-space:nowrap}"
	"article{border:1px solid var(--line);border-radius:.5rem;margin:1rem 0;padding:1rem;"
	"overflow-x:auto}article:target{border-color:var(--link)}"
	"code,pre{font:.875em/1.5 ui-monospace,monospace}code{overflow-wrap:anywhere}"
	"pre{background:var(--panel);border-radius:.375rem;padding:.6rem .8rem;overflow-x:auto}"
	"b{display:inline-block;min-width:4rem;font:700 .8rem ui-monospace,monospace}"
	".get{color:var(--get)}.post,.put,.patch{color:var(--put)}.delete{color:var(--delete)}"
	"table{border-collapse:collapse;width:100%;margin:.5rem 0;font-size:.925rem}"
	"th{color:var(--dim);font-weight:500;text-align:left}"
	"td,th{border-top:1px solid var(--line);padding:.3rem .75rem .3rem 0;vertical-align:top}"
	"td:first-child{white-space:nowrap}.dim{color:var(--dim)}";

/* ---- text ---- */

static void add_text(struct buf *b, struct slice text)
{
	for (size_t i = 0; i < text.n; i++)
		switch (text.p[i]) {
		case '&':
			buf_puts(b, "&amp;");
			break;
		case '<':
			buf_puts(b, "&lt;");
			break;
		case '>':
			buf_puts(b, "&gt;");
			break;
		case '"':
			buf_puts(b, "&quot;");
			break;
		default:
			buf_putc(b, text.p[i]);
		}
}

static void add_code(struct buf *b, struct slice text)
{
	buf_puts(b, "<code>");
	add_text(b, text);
	buf_puts(b, "</code>");
}

/* What lies between two backquotes is code. */
static void add_prose(struct buf *b, const char *text)
{
	struct slice rest = slice_of(text);

	while (rest.p != NULL) {
		add_text(b, slice_cut(&rest, '`'));
		if (rest.p != NULL)
			add_code(b, slice_cut(&rest, '`'));
	}
}

/* A name of api/schemas.h links to what it says. */
static void add_type(struct buf *b, const char *type)
{
	const struct schema *schema = schema_of_type(type);

	if (schema != NULL)
		buf_printf(b, "<a href=\"#%s\">", schema->name);
	add_code(b, slice_of(type));
	if (schema != NULL)
		buf_puts(b, "</a>");
}

static void begin_table(struct buf *b, const char *first, const char *second, const char *third)
{
	buf_printf(b, "<table><tr><th>%s</th><th>%s</th><th>%s</th></tr>", first, second, third);
}

static void next_cell(struct buf *b)
{
	buf_puts(b, "</td><td>");
}

/* ---- an operation ---- */

static void add_parameter(struct buf *b, const struct parameter *p)
{
	static const char *const places[] = {
		[IN_PATH] = "path", [IN_QUERY] = "query", [IN_HEADER] = "header"};

	buf_puts(b, "<tr><td>");
	add_code(b, parameter_name(p));
	buf_printf(b, " <span class=\"dim\">%s</span>", places[p->in]);
	next_cell(b);
	add_type(b, p->type);
	next_cell(b);
	add_prose(b, p->description);
	buf_puts(b, "</td></tr>");
}

static void add_parameters(struct buf *b, const struct operation *operation)
{
	if (operation->parameters[0] == NULL)
		return;
	begin_table(b, "Parameter", "", "");
	for (size_t i = 0; operation->parameters[i] != NULL; i++)
		add_parameter(b, parameter_find(operation->parameters[i]));
	buf_puts(b, "</table>");
}

static void add_body(struct buf *b, const struct operation *operation)
{
	for (const struct operation_body *body = operation->bodies; body->type != NULL; body++) {
		buf_puts(b, body == operation->bodies ? "<p>Body: " : ", or ");
		add_type(b, body->type);
		buf_puts(b, " as ");
		add_code(b, slice_of(body->media));
	}
	if (operation->bodies[0].type != NULL)
		buf_puts(b, "</p>");
}

static void add_answers(struct buf *b, const struct operation *operation, const struct route *route,
	const struct route_method *method)
{
	uint64_t errors = operation_errors(operation, route, method);

	begin_table(b, "Answer", "", "");
	for (const struct operation_answer *a = operation->answers; a->status != 0; a++) {
		buf_printf(b, "<tr><td>%d</td><td>", a->status);
		if (a->type != NULL)
			add_type(b, a->type);
		else
			add_code(b, slice_of(a->media));
		next_cell(b);
		add_prose(b, a->description);
		buf_puts(b, "</td></tr>");
	}
	buf_puts(b, "</table><p class=\"dim\">Errors:");
	for (unsigned code = 0; code < ERROR_CODES_; code++)
		if ((errors & UINT64_C(1) << code) != 0)
			buf_printf(b, " <a href=\"#error-%s\">%d</a>",
				error_name((enum error_code)code),
				error_status((enum error_code)code));
	buf_puts(b, errors == 0 ? " none</p>" : "</p>");
}

/* With what its variables may be. */
static void add_example_path(struct buf *b, const char *path)
{
	struct slice rest = slice_of(path);

	slice_cut(&rest, '/');
	while (rest.p != NULL) {
		struct slice segment = slice_cut(&rest, '/'), one = segment, variable;
		char key[LIMIT_NAME + 1];

		buf_putc(b, '/');
		if (!route_variable(&one, &variable)) {
			add_text(b, segment);
			continue;
		}
		snprintf(key, sizeof(key), "%.*s", SLICE_ARG(variable));
		buf_puts(b, parameter_find(key)->example);
	}
}

static void add_example(struct buf *b, const struct operation *operation, const struct route *route,
	const struct route_method *method)
{
	const char *more = operation->example;
	bool is_query = more != NULL && more[0] == '?';

	buf_puts(b, "<pre>curl ");
	if (strcmp(method->method, "GET") != 0)
		buf_printf(b, "-X %s ", method->method);
	if (operation->bodies[0].type != NULL)
		buf_printf(b, "-H 'Content-Type: %s' ", operation->bodies[0].media);
	buf_puts(b, is_query ? "'" EXAMPLE_SERVER : EXAMPLE_SERVER);
	add_example_path(b, route->path);
	if (more != NULL && !is_query)
		buf_putc(b, ' ');
	add_text(b, more == NULL ? SLICE("") : slice_of(more));
	buf_puts(b, is_query ? "'</pre>" : "</pre>");
}

static void add_route(struct buf *b, const struct route *route, const struct route_method *method)
{
	char class[8];
	size_t n = 0;

	for (; method->method[n] != '\0'; n++)
		class[n] = (char)(method->method[n] | 0x20);
	class[n] = '\0';
	buf_printf(b, "<p><b class=\"%s\">%s</b> ", class, method->method);
	add_code(b, slice_of(route->path));
	buf_puts(b, "</p>");
}

/* The routes of one row are the same but for who says the namespace. */
static void add_operation(struct buf *b, const struct operation *operation)
{
	const struct route *first = NULL;
	const struct route_method *method = NULL;

	buf_printf(b, "<article id=\"%s\"><h3>", operation->id);
	add_prose(b, operation->summary);
	buf_puts(b, "</h3>");
	for (const struct route *r = api_routes; r->path != NULL; r++)
		for (const struct route_method *m = r->methods; m->method != NULL; m++) {
			if (m->handle != operation->handle)
				continue;
			add_route(b, r, m);
			if (first == NULL) {
				first = r;
				method = m;
			}
		}
	ASSERT(first != NULL);
	if (operation->description != NULL) {
		buf_puts(b, "<p>");
		add_prose(b, operation->description);
		buf_puts(b, "</p>");
	}
	add_parameters(b, operation);
	add_body(b, operation);
	add_answers(b, operation, first, method);
	add_example(b, operation, first, method);
	buf_puts(b, "</article>\n");
}

/* ---- types ---- */

static void add_members(struct buf *b, const struct schema_member *m)
{
	begin_table(b, "Member", "", "");
	for (; m->name != NULL; m++) {
		buf_puts(b, "<tr><td>");
		add_code(b, slice_of(m->name));
		if (m->optional)
			buf_puts(b, " <span class=\"dim\">optional</span>");
		next_cell(b);
		add_type(b, m->type);
		next_cell(b);
		add_prose(b, m->description);
		buf_puts(b, "</td></tr>");
	}
	buf_puts(b, "</table>");
}

static void add_scalar(struct buf *b, const struct schema *s)
{
	if (s->values != NULL)
		for (size_t i = 0; s->values[i] != NULL; i++) {
			buf_puts(b, i == 0 ? "<p>One of " : ", ");
			add_code(b, slice_of(s->values[i]));
		}
	else if (s->any != NULL)
		for (size_t i = 0; s->any[i] != NULL; i++) {
			buf_puts(b, i == 0 ? "<p>" : " or ");
			add_type(b, s->any[i]);
		}
	else if (s->items != NULL) {
		buf_puts(b, "<p>A list of ");
		add_type(b, s->items);
	} else if (s->example != NULL && s->example[0] != '\0') {
		buf_puts(b, "<p>As in ");
		add_code(b, slice_of(s->example));
	} else
		return;
	buf_puts(b, "</p>");
}

static void add_schema(struct buf *b, const struct schema *s)
{
	buf_printf(b, "<article id=\"%s\"><h3>%s</h3><p>", s->name, s->name);
	add_prose(b, s->description);
	buf_puts(b, "</p>");
	if (s->members != NULL)
		add_members(b, s->members);
	else
		add_scalar(b, s);
	buf_puts(b, "</article>\n");
}

/* What a resource may be, as the decoder checks it. */
static void add_field(struct buf *b, const struct schema_field *f)
{
	buf_puts(b, "<tr><td>");
	add_code(b, slice_of(f->path));
	if (!f->required)
		buf_puts(b, " <span class=\"dim\">optional</span>");
	next_cell(b);
	if (f->values != NULL)
		for (size_t i = 0; f->values[i] != NULL; i++) {
			buf_puts(b, i == 0 ? "" : ", ");
			add_code(b, slice_of(f->values[i]));
		}
	else if (f->type == SCHEMA_INTEGER)
		buf_printf(b, "%lld to %lld", (long long)f->minimum, (long long)f->maximum);
	else if (f->max_length > 0)
		buf_printf(b, "at most %zu bytes", f->max_length);
	next_cell(b);
	add_prose(b, f->description);
	if (f->initial != NULL) {
		buf_puts(b, "; default ");
		add_code(b, slice_of(f->initial));
	}
	buf_puts(b, "</td></tr>");
}

static void add_fields(struct buf *b)
{
	buf_puts(b, "<h2 id=\"resource\">What a resource may be</h2>");
	begin_table(b, "Field", "", "");
	for (const struct schema_field *f = schema_fields; f->path != NULL; f++)
		add_field(b, f);
	buf_puts(b, "</table>\n");
}

static void add_errors(struct buf *b)
{
	buf_puts(b, "<h2 id=\"errors\">Errors</h2><p>Each has an <a href=\"#Error\">Error</a> as "
		    "its body.</p>");
	begin_table(b, "Status", "Code", "");
	for (unsigned code = 0; code < ERROR_CODES_; code++) {
		const char *meaning = operation_error_meaning((enum error_code)code);

		if (meaning[0] == '\0')
			continue;
		buf_printf(b, "<tr id=\"error-%s\"><td>%d</td><td><code>%s</code></td><td>",
			error_name((enum error_code)code), error_status((enum error_code)code),
			error_name((enum error_code)code));
		add_prose(b, meaning);
		buf_puts(b, "</td></tr>");
	}
	buf_puts(b, "</table>\n");
}

/* ---- the page ---- */

static bool begins_group(const struct operation *o)
{
	return o == api_operations || strcmp(o[-1].group, o->group) != 0;
}

static void add_navigation(struct buf *b)
{
	buf_puts(b, "<nav><a href=\"#resource\">The resource</a> ");
	for (const struct operation *o = api_operations; o->handle != NULL; o++)
		if (begins_group(o))
			buf_printf(b, "<a href=\"#group-%s\">%s</a> ", o->group, o->group);
	buf_puts(b, "<a href=\"#errors\">Errors</a> <a href=\"#types\">Types</a> "
		    "<a href=\"/openapi.json\">openapi.json</a></nav>");
}

static void add_head(struct buf *b, const char *version)
{
	buf_puts(b, "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
		    "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">"
		    "<title>gitops-squared API</title><style>");
	buf_puts(b, style);
	buf_puts(b, "</style></head>\n<body><header><div><h1>gitops-squared API</h1>"
		    "<p class=\"dim\">Version ");
	add_text(b, slice_of(version));
	buf_puts(b, "</p>");
	add_navigation(b);
	buf_puts(b,
		"</div></header>\n<main><p>JSON over HTTP. Every call but those marked so needs "
		"a credential: <code>Authorization: Bearer TOKEN</code>, or the token as the "
		"password of any user name. The examples leave it out.</p>\n");
}

void docs_write(const char *version, struct buf *ret)
{
	add_head(ret, version);
	add_fields(ret);
	for (const struct operation *o = api_operations; o->handle != NULL; o++) {
		if (begins_group(o))
			buf_printf(ret, "<h2 id=\"group-%s\">%s</h2>\n", o->group, o->group);
		add_operation(ret, o);
	}
	add_errors(ret);
	buf_puts(ret, "<h2 id=\"types\">Types</h2>\n");
	for (const struct schema *s = api_schemas; s->name != NULL; s++)
		add_schema(ret, s);
	buf_puts(ret, "</main></body></html>\n");
}

void docs_policy(struct buf *ret)
{
	struct digest digest = digest_of((struct slice){style, sizeof(style) - 1});

	buf_puts(ret, "default-src 'none'; base-uri 'none'; form-action 'none'; "
		      "frame-ancestors 'none'; style-src 'sha256-");
	base64_add(ret, (struct slice){(const char *)digest.bytes, digest_size(digest.algorithm)});
	buf_puts(ret, "'");
}
