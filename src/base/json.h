/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing JSON (RFC 8259) into a buffer, compact, in the order of the calls.
 *
 * Manifests and records are content-addressed, so their bytes are part of our contract and must
 * not depend on a library's version. Reading JSON is jansson's job.
 */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include "base/buf.h"

/* A string with its quotes; bytes must be valid UTF-8. */
void json_add_string(struct buf *b, struct slice s);

/* Commas are placed by looking at the byte before: after "{", "[", ":" and "," there is none. */
void json_begin_object(struct buf *b);
void json_end_object(struct buf *b);
void json_begin_array(struct buf *b);
void json_end_array(struct buf *b);
void json_key(struct buf *b, const char *key);
void json_item(struct buf *b); /* before each array element that is not a json_begin_... */

/* "key":value members */
void json_member_string(struct buf *b, const char *key, struct slice value);
void json_member_cstr(struct buf *b, const char *key, const char *value);
void json_member_u64(struct buf *b, const char *key, uint64_t value);
void json_member_bool(struct buf *b, const char *key, bool value);

#endif
