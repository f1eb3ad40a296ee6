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
	va_list ap;
	char *room;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	ASSERT(n >= 0);
	buf_puts(headers, name);
	buf_puts(headers, ": ");
	room = buf_room(headers, (size_t)n);
	if (room == NULL)
		return;
	va_start(ap, fmt);
	vsnprintf(room, (size_t)n + 1, fmt, ap);
	va_end(ap);
	ASSERT(strpbrk(room, "\r\n") == NULL);
	buf_claim(headers, (size_t)n);
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
