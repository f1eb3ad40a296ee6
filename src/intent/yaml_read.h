/* SPDX-License-Identifier: Apache-2.0 */
/*
 * YAML documents as JSON values (YAML 1.2.2, its core schema), one at a time.
 *
 * Strict where readers differ: a plain scalar that YAML 1.1, which kubectl reads, and YAML 1.2 take
 * for different things (yes, 010, 1_000) is refused and wants quotes, and so is a number that JSON
 * cannot write. No anchors, aliases, merge keys, tags or directives of tags (a line that begins
 * with %TAG; %YAML 1.1 and 1.2 are taken); keys are strings, each given once; at most
 * LIMIT_JSON_DEPTH levels; no NUL. ERROR_TOO_LARGE: more than LIMIT_DOCUMENT_VALUES values in one
 * document.
 */
#ifndef INTENT_YAML_READ_H
#define INTENT_YAML_READ_H

#include "base/error.h"
#include "base/str.h"

#include <jansson.h>

struct yaml_reader;

/* text is borrowed. ERROR_INVALID where it is not UTF-8. */
int yaml_reader_new(struct yaml_reader **ret, struct slice text, struct error *err) MUST_CHECK;
void yaml_reader_free(struct yaml_reader *r);
DEFINE_CLEANUP(struct yaml_reader, yaml_reader_free);

struct yaml_read {
	json_t *value; /* NULL: there are no more documents. The caller's */
	size_t number; /* of the document, from 1, empty ones among them */
	size_t line;   /* where the value begins, from 1 */
};

/* The next document that is not empty, nor null. Errors say line and column, from 1. */
int yaml_read_next(struct yaml_reader *r, struct yaml_read *ret, struct error *err) MUST_CHECK;

/* The line of a member of the last document's list, which is the document itself or its member
 * "items"; 0: there is none. */
size_t yaml_reader_item_line(const struct yaml_reader *r, size_t index);

#endif
