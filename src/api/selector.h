/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Label selectors as kubectl -l takes them: "app=web,tier!=db,env in (test, prod),!old,region".
 *
 * Equality (=, ==, !=), sets (in, notin) and presence (KEY, !KEY), all of which must hold; "" holds
 * of everything. As in Kubernetes != and notin hold too where there is no such label. Immutable,
 * any thread.
 */
#ifndef API_SELECTOR_H
#define API_SELECTOR_H

#include "base/error.h"
#include "base/str.h"
#include "intent/intent.h"

struct selector;

/* ERROR_INVALID says what is wrong, and where; field: the parameter or member that it is. */
int selector_parse(
	struct selector **ret, struct slice text, const char *field, struct error *err) MUST_CHECK;
void selector_free(struct selector *s);
DEFINE_CLEANUP(struct selector, selector_free);

/* By the labels that users gave. NULL: it holds of everything. */
bool selector_holds(const struct selector *s, const struct intent *intent);

#endif
