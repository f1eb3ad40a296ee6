/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Errors: the caller owns a struct error, the callee fills it and returns -1.
 *
 * The text is one sentence that tells a person what to change; it is fixed-size, so it works when
 * memory is gone. The code says what kind of failure it is and maps to an HTTP status. Set an
 * error where it is found; wrap it (add where it happened) only at the border of a room.
 */
#ifndef BASE_ERROR_H
#define BASE_ERROR_H

#include "base/base.h"
#include "base/limits.h"

enum error_code {
	ERROR_NONE = 0,
	ERROR_INVALID,           /* 400: the request is malformed or a value is not allowed */
	ERROR_UNAUTHORIZED,      /* 401 */
	ERROR_DENIED,            /* 403 */
	ERROR_NOT_FOUND,         /* 404 */
	ERROR_METHOD,            /* 405 */
	ERROR_TIMEOUT,           /* 408: the client was too slow */
	ERROR_CONFLICT,          /* 409: something different is there already */
	ERROR_GONE,              /* 410: it was there, and is not kept any more */
	ERROR_PRECONDITION,      /* 412: it is not as the caller says they found it */
	ERROR_TOO_LARGE,         /* 413 */
	ERROR_URI_TOO_LONG,      /* 414 */
	ERROR_MEDIA_TYPE,        /* 415 */
	ERROR_RANGE,             /* 416 */
	ERROR_EXPECTATION,       /* 417 */
	ERROR_UNPROCESSABLE,     /* 422: well-formed, but the world does not allow it */
	ERROR_TOO_MANY,          /* 429: a queue is full */
	ERROR_HEADERS_TOO_LARGE, /* 431 */
	ERROR_INTERNAL,          /* 500: a bug or a damaged store */
	ERROR_NOT_IMPLEMENTED,   /* 501 */
	ERROR_UNAVAILABLE,       /* 503: try again later */
	ERROR_NO_MEMORY,         /* 503 */
	ERROR_UNKNOWN_OUTCOME,   /* 503: the answer was lost; it may have happened */
	ERROR_HTTP_VERSION,      /* 505 */
	ERROR_NO_SPACE,          /* 507 */
	ERROR_CODES_
};

struct error {
	enum error_code code;
	unsigned retry_after_s; /* 0: not said */
	bool is_private; /* the text names what not everybody may know of: it is for operators */
	char field[64];  /* the JSON path that is wrong ("spec.replicas"), or "" */
	char text[LIMIT_ERROR_TEXT];
};

#define ERROR_INIT \
	{ \
		.code = ERROR_NONE \
	}

/* All return -1, so that "return error_set(...)" reads well. Texts may quote what came from
 * outside: what is not a printable UTF-8 character becomes "?". Texts too long are cut. */
int error_set(struct error *err, enum error_code code, const char *fmt, ...) PRINTF_LIKE(3, 4);
int error_set_field(struct error *err, const char *field, const char *fmt, ...)
	PRINTF_LIKE(3, 4); /* ERROR_INVALID */
int error_set_errno(struct error *err, int errnum, const char *fmt, ...)
	PRINTF_LIKE(3, 4); /* ": No such file..." is added; ENOSPC becomes ERROR_NO_SPACE */
int error_no_memory(struct error *err);

/* Makes it private. */
int error_for_operators(struct error *err);

/* Puts "context: " before the text and keeps the rest. */
int error_wrap(struct error *err, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* For logs that say a reason once: texts that differ in libcurl's "after 3 ms" alone are one. */
bool error_is_same(const struct error *a, const struct error *b);

/* HTTP status of a code, 200 for ERROR_NONE (RFC 9110 section 15). */
int error_status(enum error_code code);

/* How long to wait before trying again: what the error says, else a second where the status means
 * "not now" (429, 503), else 0. A full disk (507) does not pass in a second. */
unsigned error_retry_after_s(const struct error *err);

/* Short stable word for programs: "invalid", "not_found", ... */
const char *error_name(enum error_code code);

#endif
