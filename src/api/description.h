/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to api. What the API says of itself, made once, when it starts: GET /openapi.json
 * (OpenAPI 3.1) and GET /docs, a page that needs nothing from anywhere else.
 */
#ifndef API_DESCRIPTION_H
#define API_DESCRIPTION_H

#include "api/routes.h"

struct description;

int description_new(struct description **ret, const char *version, struct error *err) MUST_CHECK;
void description_free(struct description *d);
DEFINE_CLEANUP(struct description, description_free);

/* openapi.c */
void openapi_write(const char *version, struct buf *ret);
/* docs.c */
void docs_write(const char *version, struct buf *ret);
/* Its Content-Security-Policy: nothing but its own style, by its digest. */
void docs_policy(struct buf *ret);

#endif
