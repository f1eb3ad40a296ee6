/* SPDX-License-Identifier: Apache-2.0 */
#include "cluster/kube_internal.h"

#include "base/limits.h"

void kube_request_init(struct kube_request *req, const char *method, size_t max)
{
	*req = (struct kube_request){.url = NULL};
	http_call_init(&req->call, method, NULL, max);
}

static void forget_token(struct kube_request *req)
{
	if (req->authorization != NULL)
		explicit_bzero(req->authorization, strlen(req->authorization));
	free(TAKE_PTR(req->authorization));
}

void kube_request_done(struct kube_request *req)
{
	http_call_done(&req->call);
	free(req->url);
	forget_token(req);
}

static int set_token(struct kube_request *req, const struct kube_config *config, struct error *err)
{
	CLEANUP(buf_done) struct buf line = BUF_INIT(2 * LIMIT_TOKEN);
	size_t empty;

	buf_puts(&line, "Authorization: Bearer ");
	empty = line.len;
	if (kube_config_token(config, &line, err) != 0 || buf_check(&line, err) != 0)
		return -1;
	forget_token(req);
	if (line.len > empty)
		req->authorization = buf_take(&line);
	return 0;
}

int kube_request_start(struct kube_request *req, struct kube *kube, const char *target,
	const char *content_type, struct error *err)
{
	char *url = str_printf("%s%s", kube->config.server, target);
	size_t n = 0;

	if (url == NULL)
		return error_no_memory(err);
	free(req->url);
	req->url = url;
	if (set_token(req, &kube->config, err) != 0)
		return -1;
	req->headers[n++] = "Accept: application/json";
	if (content_type != NULL)
		req->headers[n++] = content_type;
	if (req->authorization != NULL)
		req->headers[n++] = req->authorization;
	req->headers[n] = NULL;
	req->call.url = req->url;
	req->call.headers = req->headers;
	http_client_start(kube->client, &req->call, 0);
	return 0;
}

/* ---- answers ---- */

int kube_json(json_t **ret, struct slice text, struct error *err)
{
	json_error_t why;
	json_t *object = json_loadb(text.n == 0 ? "" : text.p, text.n, JSON_ALLOW_NUL, &why);

	if (json_is_object(object)) {
		*ret = object;
		return 0;
	}
	json_decref(object);
	if (object == NULL && json_error_code(&why) == json_error_out_of_memory)
		return error_no_memory(err);
	return error_set(err, ERROR_UNAVAILABLE,
		"the Kubernetes API answered with something that is no JSON object; is the "
		"server's address right?");
}

static enum error_code code_of(int status)
{
	static const struct {
		int status;
		enum error_code code;
	} codes[] = {
		{400, ERROR_INVALID},
		{401, ERROR_UNAUTHORIZED},
		{403, ERROR_DENIED},
		{404, ERROR_NOT_FOUND},
		{409, ERROR_CONFLICT},
		{413, ERROR_TOO_LARGE},
		{415, ERROR_MEDIA_TYPE},
		{422, ERROR_UNPROCESSABLE},
	};

	for (size_t i = 0; i < ARRAY_SIZE(codes); i++)
		if (codes[i].status == status)
			return codes[i].code;
	return ERROR_UNAVAILABLE;
}

int kube_status_error(int status, const json_t *object, const char *otherwise, struct error *err)
{
	const char *message = kube_string(object, "message", NULL);

	error_set(err, code_of(status), "%s", message[0] == '\0' ? otherwise : message);
	if (err->code == ERROR_UNAUTHORIZED) /* the message is "Unauthorized", and no more */
		error_wrap(err, "the Kubernetes API does not take our token or client certificate");
	return -1;
}

int kube_request_answer(const struct kube_request *req, json_t **ret, struct error *err)
{
	const struct http_call *call = &req->call;
	CLEANUP(json_decrefp) json_t *status = NULL;
	struct error unreadable = ERROR_INIT;
	char otherwise[LIMIT_ERROR_TEXT];

	if (call->status == 0) {
		*err = call->err;
		return -1;
	}
	if (call->status < 300)
		return kube_json(ret, buf_slice(&call->response_body), err);
	snprintf(otherwise, sizeof(otherwise), "the Kubernetes API answers %s %.300s with %d",
		call->method, call->url, call->status);
	if (kube_json(&status, buf_slice(&call->response_body), &unreadable) != 0)
		status = NULL;
	return kube_status_error(call->status, status, otherwise, err);
}
