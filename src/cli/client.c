/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/client_internal.h"

#include "base/file.h"
#include "cli/config.h"
#include "cli/verbs.h"
#include "http/uri.h"
#include "intent/intent.h"

#include <stdio.h>
#include <time.h>

#define DEFAULT_SERVER "http://127.0.0.1:8080"

/* ---- the token ---- */

static bool is_token(struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] <= ' ' || s.p[i] > '~')
			return false;
	return s.n > 0;
}

static int set_authorization(struct client *c, struct slice token, struct error *err)
{
	if (!is_token(token))
		return error_set(err, ERROR_INVALID, "it is not one line with a token");
	if (buf_room(&c->authorization, token.n + 64) == NULL)
		return buf_check(&c->authorization, err);
	buf_puts(&c->authorization, "Authorization: Bearer ");
	buf_add(&c->authorization, token);
	return buf_check(&c->authorization, err);
}

/* The file's one line. */
static int read_token_file(struct client *c, const char *file, struct error *err)
{
	CLEANUP(buf_wipe) struct buf text = BUF_INIT(LIMIT_CREDENTIAL);
	struct slice rest, token;

	if (file_read(file, &text, err) != 0)
		return error_wrap(err, "--bearer-file");
	rest = buf_slice(&text);
	token = slice_trim(slice_cut(&rest, '\n'));
	if (rest.n > 0 || !is_token(token))
		return error_set(err, ERROR_INVALID,
			"--bearer-file: %s does not have one line with a token", file);
	return set_authorization(c, token, err);
}

/* On its way through other hosts it can be read, and used by whoever does. */
static int check_kept_secret(
	const struct client *c, const struct http_url *url, bool insecure, struct error *err)
{
	if (c->authorization.len == 0 || insecure || url->https || http_host_is_loopback(url->host))
		return 0;
	return error_set(err, ERROR_INVALID,
		"with http:// the token could be read on its way to %.*s: use https://, "
		"or --insecure",
		SLICE_ARG(url->host));
}

/* ---- which server ---- */

/* Of the flag or the variable, else the current one; NULL: none. */
static int choose_context(const struct config *config, const struct cli_values *v,
	const struct context **ret, struct error *err)
{
	const char *name = v->at[CLIENT_OPT_CONTEXT];
	bool is_asked_for = name != NULL;
	struct context *found;

	if (!is_asked_for)
		name = config->current;
	if (name == NULL)
		return 0;
	if (config_need(config, name, &found, err) == 0)
		*ret = found;
	else if (is_asked_for)
		return error_wrap(err, "--context");
	else if (v->at[CLIENT_OPT_SERVER] == NULL)
		return error_wrap(err, "the current context is gone; choose with gsq context use");
	return 0;
}

static char *without_slashes(const char *url)
{
	struct slice s = slice_of(url);

	while (slice_ends(s, SLICE("/")))
		s.n--;
	return slice_dup(s);
}

/* A context's token is for its own server: another that is named beside it gets it only where both
 * are named, as with a tunnel. */
static bool is_of_server(
	const struct context *context, const char *server, const struct cli_values *v)
{
	AUTO_FREE char *own = without_slashes(context->server);

	return v->given[CLIENT_OPT_CONTEXT] || (own != NULL && strcmp(own, server) == 0);
}

static int copy(char **ret, const char *text, struct error *err)
{
	if (text == NULL)
		return 0;
	*ret = slice_dup(slice_of(text));
	return *ret != NULL ? 0 : error_no_memory(err);
}

static int set_server(struct client *c, const struct cli_values *v, const struct context *context,
	struct error *err)
{
	const char *url = v->at[CLIENT_OPT_SERVER];

	if (url == NULL && context != NULL)
		url = context->server;
	c->is_default = url == NULL;
	c->server = without_slashes(url != NULL ? url : DEFAULT_SERVER);
	return c->server != NULL ? 0 : error_no_memory(err);
}

static int set_identity(struct client *c, const struct cli_values *v, const struct context *context,
	struct error *err)
{
	const char *file = v->at[CLIENT_OPT_BEARER_FILE], *ca = v->at[CLIENT_OPT_CA];
	struct http_url url;
	bool insecure = v->at[CLIENT_OPT_INSECURE] != NULL;

	if (http_url_parse(&url, c->server, err) != 0)
		return error_wrap(err, "--server");
	if (context != NULL && !is_of_server(context, c->server, v))
		context = NULL;
	if (context != NULL) {
		ca = ca != NULL ? ca : context->ca;
		insecure = insecure || context->insecure;
	}
	if (file != NULL) {
		if (read_token_file(c, file, err) != 0)
			return -1;
	} else if (context != NULL && context->token != NULL) {
		if (set_authorization(c, slice_of(context->token), err) != 0)
			return error_wrap(err, "the token of the context %s", context->name);
	}
	if (copy(&c->ca, ca, err) != 0)
		return -1;
	return check_kept_secret(c, &url, insecure, err);
}

/* It is a part of paths. from: the option that has it, or which context does. */
static int check_namespace(const char *namespace, const char *from, struct error *err)
{
	if (intent_name_ok(slice_of(namespace)))
		return 0;
	if (*namespace == '\0')
		return error_set(err, ERROR_INVALID, "%s is empty", from);
	return error_set(err, ERROR_INVALID,
		"%s: \"%.80s\" is no namespace: a name is at most %d lower-case letters, digits "
		"and dashes%s",
		from, namespace, LIMIT_NAME,
		client_is_all(namespace) ? "; -A means all namespaces" : "");
}

static int set_namespace(struct client *c, const struct cli_values *v,
	const struct context *context, struct error *err)
{
	const char *namespace = v->at[CLIENT_OPT_NAMESPACE];
	char from[128] = "--namespace";

	if (namespace == NULL && context != NULL) {
		namespace = context->namespace;
		if (!c->is_login)
			snprintf(from, sizeof(from), "the namespace of the context %s",
				context->name);
	} else if (!v->given[CLIENT_OPT_NAMESPACE]) {
		snprintf(from, sizeof(from), "GSQ_NAMESPACE");
	}
	namespace = namespace != NULL ? namespace : "default";
	if (check_namespace(namespace, from, err) != 0)
		return -1;
	return copy(&c->namespace, namespace, err);
}

static int open_with(struct client *c, const struct cli_values *v, const struct config *config,
	struct error *err)
{
	const struct context *context = NULL;

	if (choose_context(config, v, &context, err) != 0 || set_server(c, v, context, err) != 0 ||
		set_identity(c, v, context, err) != 0)
		return -1;
	return set_namespace(c, v, context, err);
}

int client_open(struct client **ret, const struct cli_values *v, struct error *err)
{
	CLEANUP(client_freep) struct client *c = calloc(1, sizeof(*c));
	CLEANUP(config_done) struct config config = {.lock = -1};

	if (c == NULL)
		return error_no_memory(err);
	buf_init(&c->authorization, LIMIT_CREDENTIAL + 64);
	if (config_load(&config, err) != 0 || open_with(c, v, &config, err) != 0)
		return -1;
	*ret = TAKE_PTR(c);
	return 0;
}

int client_open_context(struct client **ret, const struct context *context, struct error *err)
{
	CLEANUP(client_freep) struct client *c = calloc(1, sizeof(*c));
	const struct cli_values v = {0};

	if (c == NULL)
		return error_no_memory(err);
	c->is_login = true;
	buf_init(&c->authorization, LIMIT_CREDENTIAL + 64);
	if (set_server(c, &v, context, err) != 0 || set_identity(c, &v, context, err) != 0 ||
		set_namespace(c, &v, context, err) != 0)
		return -1;
	*ret = TAKE_PTR(c);
	return 0;
}

void client_free(struct client *c)
{
	struct pipe_signal pipe;

	if (c == NULL)
		return;
	pipe_signal_ignore(&pipe);
	http_client_free(c->http);
	pipe_signal_restore(&pipe);
	buf_wipe(&c->authorization);
	free(c->ca);
	free(c->server);
	free(c->namespace);
	free(c);
}

const char *client_namespace(const struct client *c)
{
	return c->namespace;
}

const char *client_server(const struct client *c)
{
	return c->server;
}

/* ---- answers ---- */

void pipe_signal_ignore(struct pipe_signal *p)
{
	const struct sigaction ignore = {.sa_handler = SIG_IGN};

	AZ(sigaction(SIGPIPE, &ignore, &p->before));
}

void pipe_signal_restore(const struct pipe_signal *p)
{
	AZ(sigaction(SIGPIPE, &p->before, NULL));
}

static int not_understood(const struct client *c, int status, struct error *err)
{
	return error_set(err, ERROR_INTERNAL,
		"%s gave an answer that this program does not understand (status %d): is %s the "
		"API of gsq, of the same version?",
		c->server, status, c->is_login ? "this" : "--server");
}

int client_not_understood(const struct client *c, struct error *err)
{
	return not_understood(c, 200, err);
}

static bool code_of_word(const char *word, enum error_code *ret)
{
	for (enum error_code code = ERROR_NONE + 1; code < ERROR_CODES_; code++)
		if (strcmp(word, error_name(code)) == 0) {
			*ret = code;
			return true;
		}
	return false;
}

static enum error_code code_of_status(int status)
{
	for (enum error_code code = ERROR_NONE + 1; code < ERROR_CODES_; code++)
		if (error_status(code) == status)
			return code;
	return status >= 500 ? ERROR_UNAVAILABLE : ERROR_CONFLICT;
}

static unsigned retry_after_s(const struct http_call *call)
{
	uint64_t s;

	return slice_to_u64(http_call_header(call, "retry-after"), &s) && s <= LIMIT_WAIT_S
		       ? (unsigned)s
		       : 0;
}

static int explain_nobody(const struct client *c, struct error *err)
{
	if (c->is_login)
		return error_wrap(err,
			"it wants a token: give --bearer-file FILE, or - for standard input; on a "
			"terminal it is asked for");
	return error_wrap(
		err, "log in with %s login %s, or give --bearer-file", cli_program(), c->server);
}

static int refused(
	const struct client *c, const struct http_call *call, json_t *root, struct error *err)
{
	const char *text = NULL, *word = "", *field = "";
	enum error_code code;

	if (root == NULL || json_unpack(root, "{s:s, s?s, s?s}", "error", &text, "code", &word,
				    "field", &field) != 0)
		return not_understood(c, call->status, err);
	if (!code_of_word(word, &code))
		code = code_of_status(call->status);
	error_set(err, code, "%s", text);
	snprintf(err->field, sizeof(err->field), "%s", field);
	err->retry_after_s = retry_after_s(call);
	if (call->status == 401 && c->authorization.len == 0)
		return explain_nobody(c, err);
	return -1;
}

static int unreachable(const struct client *c, const struct http_call *call, struct error *err)
{
	const char *what = c->is_login     ? "is it running, and the URL right?"
			   : c->is_default ? "start a server with gsq serve --init, or say where "
					     "one is with gsq login URL or --server"
					   : "is it running, and --server or the context right?";
	char why[LIMIT_ERROR_TEXT];

	*err = call->err;
	if (err->code != ERROR_UNAVAILABLE)
		return -1;
	memcpy(why, err->text, sizeof(why));
	return error_set(err, ERROR_UNAVAILABLE, "%.300s; %s", why, what);
}

int client_judge(
	const struct client *c, const struct http_call *call, json_t **ret, struct error *err)
{
	struct slice body = buf_slice(&call->response_body);
	struct error why = ERROR_INIT;
	bool is_empty = call->status == 204 || call->status == 304;

	*ret = NULL;
	if (call->status == 0)
		return unreachable(c, call, err);
	if (!is_empty && json_read_object(ret, body, &why) != 0 && call->status < 300)
		return not_understood(c, call->status, err);
	return call->status < 300 ? 0 : refused(c, call, *ret, err);
}

/* ---- calls ---- */

void client_call_done(struct client_call *call)
{
	json_decref(call->json);
	call->json = NULL;
	call->status = 0;
	call->sent = false;
	call->etag[0] = call->expires[0] = '\0';
	call->at_us = 0;
}

/* What the verb does before its first call need not wait for libcurl to start. */
static int start_http(struct client *c, struct error *err)
{
	const struct http_client_options options = {
		.ca_file = c->ca, .parallel = 1, .certificates = true};

	return c->http != NULL ? 0 : http_client_new(&c->http, &options, err);
}

static void take_etag(struct client_call *call, const struct http_call *http)
{
	struct slice tag = http_call_header(http, "etag");

	if (slice_starts(tag, SLICE("W/")))
		tag = (struct slice){tag.p + 2, tag.n - 2};
	if (tag.n >= 2 && tag.p[0] == '"' && tag.p[tag.n - 1] == '"' &&
		tag.n - 2 < sizeof(call->etag))
		snprintf(call->etag, sizeof(call->etag), "%.*s", (int)(tag.n - 2), tag.p + 1);
}

static void take_clock(struct client_call *call, const struct http_call *http)
{
	AUTO_FREE char *date = slice_dup(http_call_header(http, "date"));
	struct tm tm = {0};
	const char *end = date == NULL ? NULL : strptime(date, "%a, %d %b %Y %H:%M:%S GMT", &tm);

	if (end != NULL && *end == '\0')
		call->at_us = (uint64_t)timegm(&tm) * 1000000;
}

static int run(
	struct client *c, struct client_call *call, struct http_call *http, struct error *err)
{
	struct pipe_signal pipe;
	int result;

	pipe_signal_ignore(&pipe);
	http_client_run(c->http, http, 1);
	pipe_signal_restore(&pipe);
	if (call->text != NULL && http->status >= 200 && http->status < 300) {
		buf_add(call->text, buf_slice(&http->response_body));
		result = buf_check(call->text, err);
	} else {
		result = client_judge(c, http, &call->json, err);
	}
	call->status = http->status;
	call->sent = http->sent;
	take_etag(call, http);
	take_clock(call, http);
	memcpy(call->expires, http->expires, sizeof(call->expires));
	return result;
}

int client_run(struct client *c, struct client_call *call, struct error *err)
{
	CLEANUP(http_call_done) struct http_call http;
	AUTO_FREE char *url = str_printf("%s%s", c->server, call->route);
	AUTO_FREE char *type = str_printf("Content-Type: %s",
		call->content_type != NULL ? call->content_type : "application/json");
	const char *headers[ARRAY_SIZE(call->headers) + 3] = {NULL};
	size_t n = 0;

	client_call_done(call);
	http_call_init(&http, call->method, url, LIMIT_CLIENT_ANSWER);
	if (url == NULL || type == NULL)
		return error_no_memory(err);
	for (size_t i = 0; i < ARRAY_SIZE(call->headers) && call->headers[i] != NULL; i++)
		headers[n++] = call->headers[i];
	if (c->authorization.len > 0)
		headers[n++] = c->authorization.data;
	if (call->body.p != NULL)
		headers[n++] = type;
	http.headers = headers;
	http.body = call->body;
	http.send_body = call->body.p != NULL;
	http.timeout_ms = call->timeout_ms;
	if (start_http(c, err) != 0)
		return -1;
	return run(c, call, &http, err);
}

int client_get(struct client *c, const char *route, json_t **ret, struct error *err)
{
	CLEANUP(client_call_done) struct client_call call = {.method = "GET", .route = route};

	if (client_run(c, &call, err) != 0)
		return -1;
	*ret = TAKE_PTR(call.json);
	return 0;
}

/* ---- lists ---- */

static int list_page(struct client *c, json_t *page, const char *list,
	int (*each)(json_t *element, void *arg, struct error *err), void *arg, struct error *err)
{
	json_t *elements = json_object_get(page, list), *one;
	size_t i;

	if (!json_is_array(elements))
		return client_not_understood(c, err);
	json_array_foreach(elements, i, one) if (each(one, arg, err) != 0) return -1;
	return 0;
}

/* from: where the page begins, or NULL. */
static char *page_route(const char *route, unsigned page, const char *from)
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(LIMIT_HTTP_HEAD);

	buf_printf(&text, "%s%climit=%u", route, strchr(route, '?') == NULL ? '?' : '&', page);
	if (from != NULL) {
		buf_puts(&text, "&continue=");
		http_encode(slice_of(from), &text);
	}
	return text.failed == ERROR_NONE ? buf_take(&text) : NULL;
}

int client_list_by(struct client *c, const char *route, const char *list, unsigned page_size,
	int (*each)(json_t *element, void *arg, struct error *err), void *arg, struct error *err)
{
	CLEANUP(json_decrefp) json_t *page = NULL;
	const char *from = NULL;

	do {
		AUTO_FREE char *url = page_route(route, page_size, from);
		json_t *next = NULL;

		if (url == NULL)
			return error_no_memory(err);
		if (client_get(c, url, &next, err) != 0)
			return -1;
		json_decref(page);
		page = next;
		if (list_page(c, page, list, each, arg, err) != 0)
			return -1;
		from = json_string_value(json_object_get(page, "continue"));
	} while (from != NULL && *from != '\0');
	return 0;
}

int client_list(struct client *c, const char *route, const char *list,
	int (*each)(json_t *element, void *arg, struct error *err), void *arg, struct error *err)
{
	return client_list_by(c, route, list, LIMIT_CLIENT_PAGE, each, arg, err);
}

/* ---- routes ---- */

static void add_route(struct buf *b, const char *namespace, const char *suffix)
{
	if (client_is_all(namespace)) {
		buf_puts(b, "/api/v1/resources?namespace=" CLIENT_ALL);
		if (*suffix == '?')
			buf_putc(b, '&');
		buf_puts(b, *suffix == '?' ? suffix + 1 : suffix);
		return;
	}
	buf_puts(b, "/api/v1/namespaces/");
	http_encode(slice_of(namespace), b);
	buf_puts(b, "/resources");
	buf_puts(b, suffix);
}

bool client_is_all(const char *namespace)
{
	return strcmp(namespace, CLIENT_ALL) == 0;
}

char *client_route(const char *namespace, const char *format, ...)
{
	CLEANUP(buf_done) struct buf suffix = BUF_INIT(LIMIT_HTTP_HEAD);
	CLEANUP(buf_done) struct buf route = BUF_INIT(LIMIT_HTTP_HEAD);
	va_list ap;

	va_start(ap, format);
	buf_vprintf(&suffix, format, ap);
	va_end(ap);
	add_route(&route, namespace, suffix.data != NULL ? suffix.data : "");
	if (suffix.failed != ERROR_NONE || route.failed != ERROR_NONE)
		return NULL;
	return buf_take(&route);
}
