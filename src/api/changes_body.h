/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to api. The body of a change, decoded. As JSON it is
 *   {"changes":[{"operation"?,"resource","ifMatch"?} or {"operation":"delete","namespace"?,"name",
 *   "ifMatch"?},...],"prune"?}
 * with the operations apply (where none is said), create, update and delete, or it is what
 * intent/document.h reads, as JSON or YAML: each resource is applied then.
 */
#ifndef API_CHANGES_BODY_H
#define API_CHANGES_BODY_H

#include "api/change_set.h"
#include "api/changes_prune.h"
#include "intent/document.h"

struct changes_body {
	struct change_set *set;
	struct changes_prune prune;
};
void changes_body_done(struct changes_body *b);

struct changes_options {
	enum document_format format;
	const char *namespace; /* of what names none */
	const char *only;      /* the one that all must be in, the path's; NULL: any */
};

/* ret_place: of the item that an error is about, where there is one. An empty change is an error.
 */
int changes_body_read(struct changes_body *ret, struct slice text,
	const struct changes_options *options, struct set_place *ret_place,
	struct error *err) MUST_CHECK;

#endif
