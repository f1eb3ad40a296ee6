/* SPDX-License-Identifier: Apache-2.0 */
#include "base/error.h"

#include "base/str.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

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
	[ERROR_GONE] = {410, "gone"},
	[ERROR_PRECONDITION] = {412, "precondition_failed"},
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

/* Appends to the text, and cuts what is too much. */
static void add_text(struct error *err, const char *fmt, va_list ap)
{
	size_t len = strlen(err->text), room = sizeof(err->text) - len;
	int n = vsnprintf(err->text + len, room, fmt, ap);

	utf8_make_printable(err->text, n >= (int)room);
}

static void PRINTF_LIKE(2, 3) add(struct error *err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	add_text(err, fmt, ap);
	va_end(ap);
}

static void set(struct error *err, enum error_code code, const char *fmt, va_list ap)
{
	ASSERT(code > ERROR_NONE && code < ERROR_CODES_);
	err->code = code;
	err->retry_after_s = 0;
	err->is_private = false;
	err->field[0] = err->text[0] = '\0';
	add_text(err, fmt, ap);
}

int error_set(struct error *err, enum error_code code, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	set(err, code, fmt, ap);
	va_end(ap);
	return -1;
}

int error_for_operators(struct error *err)
{
	err->is_private = true;
	return -1;
}

int error_set_field(struct error *err, const char *field, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	set(err, ERROR_INVALID, fmt, ap);
	va_end(ap);
	n = snprintf(err->field, sizeof(err->field), "%s", field);
	utf8_make_printable(err->field, n >= (int)sizeof(err->field));
	return -1;
}

int error_set_errno(struct error *err, int errnum, const char *fmt, ...)
{
	enum error_code code = ERROR_INTERNAL;
	va_list ap;

	if (errnum == ENOSPC || errnum == EDQUOT)
		code = ERROR_NO_SPACE;
	else if (errnum == ENOMEM)
		code = ERROR_NO_MEMORY;
	else if (errnum == EMFILE || errnum == ENFILE)
		code = ERROR_UNAVAILABLE; /* until others have closed theirs */
	va_start(ap, fmt);
	set(err, code, fmt, ap);
	va_end(ap);
	add(err, ": %s", strerror(errnum));
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

	ASSERT(err->code != ERROR_NONE);
	memcpy(old, err->text, sizeof(old));
	err->text[0] = '\0';
	va_start(ap, fmt);
	add_text(err, fmt, ap);
	va_end(ap);
	add(err, ": %s", old);
	return -1;
}

int error_status(enum error_code code)
{
	ASSERT(code >= ERROR_NONE && code < ERROR_CODES_);
	return codes[code].status;
}

unsigned error_retry_after_s(const struct error *err)
{
	int status = error_status(err->code);

	if (err->retry_after_s > 0)
		return err->retry_after_s;
	return status == 429 || status == 503 ? 1 : 0;
}

const char *error_name(enum error_code code)
{
	ASSERT(code >= ERROR_NONE && code < ERROR_CODES_);
	return codes[code].name;
}

static size_t skip_milliseconds(const char *text)
{
	size_t digits = strspn(text, "0123456789");

	return strncmp(text + digits, " m", 2) == 0 ? digits : 0;
}

bool error_is_same(const struct error *a, const struct error *b)
{
	const char *p = a->text, *q = b->text;

	while (a->code == b->code) {
		p += skip_milliseconds(p);
		q += skip_milliseconds(q);
		if (*p != *q)
			return false;
		if (*p == '\0')
			return true;
		p++;
		q++;
	}
	return false;
}
