/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading a JSON object strictly (RFC 8259) with jansson: valid UTF-8, no NUL, no duplicate key, at
 * most LIMIT_JSON_DEPTH levels, nothing but white space after it.
 *
 * What is written with a fraction or an exponent is a real, so json_is_integer() holds only for
 * whole numbers written as such.
 */
#ifndef OCI_JSON_READ_H
#define OCI_JSON_READ_H

#include "base/error.h"
#include "base/str.h"

#include <jansson.h>

/* ERROR_INVALID says what is wrong at which line and column (from 1, in characters).
 * CLEANUP(json_decrefp) json_t *root frees the result. */
int json_read_object(json_t **ret, struct slice text, struct error *err) MUST_CHECK;

/* The same, but where a whole number does not fit 64 bits, all numbers of the document are reals:
 * whoever looks for an integer there can refuse it by the name of its field. For what comes from
 * clients: more than LIMIT_JSON_VALUES values are ERROR_TOO_LARGE. */
int json_read_object_wide(json_t **ret, struct slice text, struct error *err) MUST_CHECK;

/* Several objects and lists, one after the other, with or without white space between. */
struct json_reader {
	struct slice rest;
	size_t line, column; /* of what is behind: where rest begins */
	size_t begins;       /* the line of the last value */
};
#define JSON_READER_INIT(text) \
	{ \
		.rest = (text), .line = 1 \
	}

/* The text of the next one, not read yet: its brackets match, and it is not too deep and has no
 * NUL; p == NULL: there are no more. Errors say the line in the whole text. */
int json_skip_next(struct slice *ret, struct json_reader *reader, struct error *err) MUST_CHECK;

#endif
