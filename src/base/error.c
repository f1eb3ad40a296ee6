/* SPDX-License-Identifier: Apache-2.0 */
#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct {
	int status;
	const char *name;
} codes[ERROR_CODES_] = {
	[ERROR_NONE] = {200, "ok"},
	[ERROR_INVALID] = {400, "invalid"},
	[ERROR_UNAUTHORIZED] = {401, "unauthorized"},
	[ERROR_DENIED] = {403, "denied"},
	[ERROR_NOT_FOUND] = {404, "not_found"},
	[ERROR_METHOD] = {405, "method_not_allowed"},
	[ERROR_TIMEOUT] = {408, "request_timeout"},
	[ERROR_CONFLICT] = {409, "conflict"},
	[ERROR_TOO_LARGE] = {413, "too_large"},
	[ERROR_URI_TOO_LONG] = {414, "uri_too_long"},
	[ERROR_MEDIA_TYPE] = {415, "unsupported_media_type"},
	[ERROR_RANGE] = {416, "range_not_satisfiable"},
	[ERROR_EXPECTATION] = {417, "expectation_failed"},
	[ERROR_UNPROCESSABLE] = {422, "unprocessable"},
	[ERROR_TOO_MANY] = {429, "too_many_requests"},
	[ERROR_HEADERS_TOO_LARGE] = {431, "headers_too_large"},
	[ERROR_INTERNAL] = {500, "internal"},
	[ERROR_NOT_IMPLEMENTED] = {501, "not_implemented"},
	[ERROR_UNAVAILABLE] = {503, "unavailable"},
	[ERROR_NO_MEMORY] = {503, "no_memory"},
	[ERROR_UNKNOWN_OUTCOME] = {503, "unknown_outcome"},
	[ERROR_HTTP_VERSION] = {505, "http_version_not_supported"},
	[ERROR_NO_SPACE] = {507, "insufficient_storage"},
};

/* Texts go out as JSON: a cut must not leave half a UTF-8 character at the end. */
static void cut_at_character(char *text)
{
	size_t len = strlen(text), start = len;

	while (start > 0 && ((unsigned char)text[start - 1] & 0xc0) == 0x80)
		start--;
	if (start > 0 && (unsigned char)text[start - 1] >= 0xc0)
		text[start - 1] = '\0';
}

static void set(struct error *err, enum error_code code, const char *fmt, va_list ap)
{
	ASSERT(code > ERROR_NONE && code < ERROR_CODES_);
	err->code = code;
	err->retry_after_s = 0;
	err->field[0] = '\0';
	if (vsnprintf(err->text, sizeof(err->text), fmt, ap) >= (int)sizeof(err->text))
		cut_at_character(err->text);
}

int error_set(struct error *err, enum error_code code, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	set(err, code, fmt, ap);
	va_end(ap);
	return -1;
}

int error_set_field(struct error *err, const char *field, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	set(err, ERROR_INVALID, fmt, ap);
	va_end(ap);
	snprintf(err->field, sizeof(err->field), "%s", field);
	return -1;
}

int error_set_errno(struct error *err, int errnum, const char *fmt, ...)
{
	enum error_code code = ERROR_INTERNAL;
	va_list ap;
	size_t len;

	if (errnum == ENOSPC || errnum == EDQUOT)
		code = ERROR_NO_SPACE;
	else if (errnum == ENOMEM)
		code = ERROR_NO_MEMORY;
	va_start(ap, fmt);
	set(err, code, fmt, ap);
	va_end(ap);
	len = strlen(err->text);
	snprintf(err->text + len, sizeof(err->text) - len, ": %s", strerror(errnum));
	return -1;
}

int error_no_memory(struct error *err)
{
	return error_set(err, ERROR_NO_MEMORY, "out of memory; try again later");
}

int error_wrap(struct error *err, const char *fmt, ...)
{
	char old[LIMIT_ERROR_TEXT];
	va_list ap;
	size_t len;

	ASSERT(err->code != ERROR_NONE);
	memcpy(old, err->text, sizeof(old));
	va_start(ap, fmt);
	vsnprintf(err->text, sizeof(err->text), fmt, ap);
	va_end(ap);
	len = strlen(err->text);
	if (snprintf(err->text + len, sizeof(err->text) - len, ": %s", old) >=
		(int)(sizeof(err->text) - len))
		cut_at_character(err->text);
	return -1;
}

int error_status(enum error_code code)
{
	ASSERT(code >= ERROR_NONE && code < ERROR_CODES_);
	return codes[code].status;
}

const char *error_name(enum error_code code)
{
	ASSERT(code >= ERROR_NONE && code < ERROR_CODES_);
	return codes[code].name;
}
