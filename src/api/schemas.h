/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to api. The types of api/operations.h: what bodies and parameters look like, as JSON
 * Schema (2020-12). What a resource may be comes from intent/schema.h, which the decoder reads too.
 */
#ifndef API_SCHEMAS_H
#define API_SCHEMAS_H

#include "base/buf.h"

struct schema_member {
	const char *name;
	const char *type; /* as in api/operations.h */
	const char *description;
	bool optional;
};

struct schema {
	const char *name;
	const char *description;
	const char *type; /* "string", "integer"; NULL: an object with members, or write() */
	const struct schema_member *members; /* name == NULL ends */
	bool closed;                         /* no others: of what clients send */
	const char *pattern, *format, *example;
	const char *const *values; /* NULL ends */
	uint64_t minimum, maximum; /* of an integer, of the length of a string or list; 0: none */
	const char *const *any;    /* it is one of these types; NULL ends */
	const char *items;         /* it is a list of these, each once */
	void (*write)(struct buf *b); /* the whole schema */
};

extern const struct schema api_schemas[]; /* name == NULL ends */

/* NULL: it is no name of one. type may have brackets and |null around it. */
const struct schema *schema_of_type(const char *type);

/* The schema of a type, as a JSON value. */
void schema_add_type(struct buf *b, const char *type);

/* All of them, as one JSON object. */
void schemas_add(struct buf *b);

#endif
