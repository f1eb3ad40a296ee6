/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/remote_server.h"

#include "base/file.h"
#include "http/client.h"
#include "http/uri.h"

#include <stdio.h>

struct remote_server {
	struct http_client *client;
	struct buf base; /* URL without slashes at its end */
	struct buf authorization;
};

/* ---- the token ---- */

static bool is_token(struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] <= ' ' || s.p[i] > '~')
			return false;
	return s.n > 0;
}

/* Of the file's one line. */
static int read_token(struct buf *ret, const char *file, struct error *err)
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
	buf_puts(ret, "Authorization: Bearer ");
	buf_add(ret, token);
	return buf_check(ret, err);
}

/* On its way through other hosts it can be read, and used by whoever does. */
static int check_kept_secret(
	const struct http_url *url, const struct remote_server_options *options, struct error *err)
{
	if (options->token_file == NULL || options->insecure || url->https ||
		http_host_is_loopback(url->host))
		return 0;
	return error_set(err, ERROR_INVALID,
		"--server: with http:// the token could be read on its way to %.*s: use https://, "
		"or --insecure",
		SLICE_ARG(url->host));
}

/* ---- life ---- */

static int set_base(struct buf *ret, const struct remote_server_options *options, struct error *err)
{
	struct slice base = slice_of(options->url);
	struct http_url parsed;

	if (http_url_parse(&parsed, options->url, err) != 0)
		return error_wrap(err, "--server");
	if (check_kept_secret(&parsed, options, err) != 0)
		return -1;
	while (slice_ends(base, SLICE("/")))
		base.n--;
	buf_add(ret, base);
	return buf_check(ret, err);
}

int remote_server_new(
	struct remote_server **ret, const struct remote_server_options *options, struct error *err)
{
	struct http_client_options client = {.ca_file = options->ca_file, .parallel = 1};
	CLEANUP(remote_server_freep) struct remote_server *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return error_no_memory(err);
	buf_init(&s->base, LIMIT_HTTP_HEAD);
	buf_init(&s->authorization, LIMIT_CREDENTIAL + 64);
	if (set_base(&s->base, options, err) != 0)
		return -1;
	if (options->token_file != NULL &&
		read_token(&s->authorization, options->token_file, err) != 0)
		return -1;
	if (http_client_new(&s->client, &client, err) != 0)
		return -1;
	*ret = TAKE_PTR(s);
	return 0;
}

void remote_server_free(struct remote_server *s)
{
	if (s == NULL)
		return;
	http_client_free(s->client);
	buf_wipe(&s->authorization);
	buf_done(&s->base);
	free(s);
}

/* ---- calls ---- */

static int not_understood(int status, struct error *err)
{
	return error_set(err, ERROR_INTERNAL,
		"the server gave an answer that this program does not understand (status %d): is "
		"--server the API of gsq, of the same version?",
		status);
}

int remote_server_not_understood(struct error *err)
{
	return not_understood(200, err);
}

static enum error_code code_of(int status)
{
	return status == 503 || status == 429 ? ERROR_UNAVAILABLE : ERROR_CONFLICT;
}

static int refused(const struct remote_server *s, const struct http_call *call, struct error *err)
{
	CLEANUP(json_decrefp) json_t *root = NULL;
	const char *text = NULL;

	if (json_read_object(&root, buf_slice(&call->response_body), err) != 0 ||
		json_unpack(root, "{s:s}", "error", &text) != 0)
		return not_understood(call->status, err);
	error_set(err, code_of(call->status), "%s", text);
	if (call->status == 401 && s->authorization.len == 0)
		return error_wrap(err, "--bearer-file is missing");
	return -1;
}

static int run(struct remote_server *s, struct http_call *call, json_t **ret, struct error *err)
{
	http_client_run(s->client, call, 1);
	if (call->status == 0) {
		*err = call->err;
		return -1;
	}
	if (call->status >= 300)
		return refused(s, call, err);
	return json_read_object(ret, buf_slice(&call->response_body), err) == 0
		       ? 0
		       : not_understood(call->status, err);
}

int remote_server_call(struct remote_server *s, const char *method, const char *route,
	struct slice body, json_t **ret, struct error *err)
{
	CLEANUP(http_call_done) struct http_call call;
	AUTO_FREE char *url = str_printf("%s%s", s->base.data, route);
	const char *headers[3] = {NULL};
	size_t n = 0;

	if (s->authorization.len > 0)
		headers[n++] = s->authorization.data;
	if (body.p != NULL)
		headers[n++] = "Content-Type: application/json";
	http_call_init(&call, method, url, LIMIT_API_ANSWER);
	call.headers = headers;
	call.body = body;
	call.send_body = body.p != NULL;
	return url == NULL ? error_no_memory(err) : run(s, &call, ret, err);
}
