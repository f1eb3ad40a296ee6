/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON taken apart without being read: the members of an object, or the items of a list, each as
 * the text that it is. A body of megabytes is so read one item after the other, and never stands in
 * memory as a tree, which would be many times its size.
 *
 * What a piece is is found by its brackets and quotes alone: whoever reads it as JSON
 * (json_walk_read()) finds what is wrong in it.
 */
#ifndef INTENT_JSON_WALK_H
#define INTENT_JSON_WALK_H

#include "base/error.h"
#include "base/str.h"

#include <jansson.h>

struct json_walk {
	struct slice whole; /* for the places in errors */
	const char *at, *end;
	bool begun;
};

/* Of a piece of the whole, which may be all of it: it must be open ('{' or '[') to its bracket and
 * nothing but white space. */
int json_walk_begin(struct json_walk *w, struct slice whole, struct slice piece, char open,
	struct error *err) MUST_CHECK;

/* The next one: 1; 0: there is no more; -1. A member's key is the text between its quotes, with its
 * escapes. */
int json_walk_item(struct json_walk *w, struct slice *ret, struct error *err) MUST_CHECK;
int json_walk_member(struct json_walk *w, struct slice *ret_key, struct slice *ret,
	struct error *err) MUST_CHECK;

/* Reads a piece that must be an object, strictly (oci/json_read.h). Errors say where in the whole.
 * ERROR_TOO_LARGE: it is more than LIMIT_API_BODY. */
int json_walk_read(
	json_t **ret, const struct json_walk *w, struct slice piece, struct error *err) MUST_CHECK;

#endif
