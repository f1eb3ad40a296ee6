/* SPDX-License-Identifier: Apache-2.0 */
/* Answers under construction. No connection is needed for any of this. */
#include "http/connection.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

void http_reply_init(struct http_reply *reply, int status)
{
	*reply = (struct http_reply){
		.status = status,
		.headers = BUF_INIT(LIMIT_HTTP_HEAD),
		.body = BUF_INIT(LIMIT_HTTP_REPLY),
		.fd = -1,
	};
}

void http_reply_done(struct http_reply *reply)
{
	buf_done(&reply->headers);
	buf_done(&reply->body);
	if (reply->fd >= 0)
		close(reply->fd);
	if (reply->source.free != NULL)
		reply->source.free(reply->source.arg);
	http_reply_init(reply, reply->status);
}

void http_reply_header(struct http_reply *reply, const char *name, const char *fmt, ...)
{
	struct buf *headers = &reply->headers;
	size_t value;
	va_list ap;

	buf_puts(headers, name);
	buf_puts(headers, ": ");
	value = headers->len;
	va_start(ap, fmt);
	buf_vprintf(headers, fmt, ap);
	va_end(ap);
	ASSERT(headers->failed != ERROR_NONE || strpbrk(headers->data + value, "\r\n") == NULL);
	buf_puts(headers, "\r\n");
}

void reply_from_error(
	struct http_reply *reply, const struct http_service *service, const struct error *err)
{
	unsigned retry_after_s = error_retry_after_s(err);

	http_reply_done(reply);
	http_reply_init(reply, error_status(err->code));
	if (retry_after_s > 0)
		http_reply_header(reply, "Retry-After", "%u", retry_after_s);
	http_reply_header(reply, "Content-Type", "application/json");
	service->error_body(err, &reply->body);
	if (reply->headers.failed == ERROR_NONE && reply->body.failed == ERROR_NONE)
		return;
	http_reply_done(reply); /* without memory the status alone must do */
	reply->close = true;
}
