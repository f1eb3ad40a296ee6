/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PlatformResource manifests: intent and version to canonical YAML, and back.
 *
 * One intent at one version has exactly one text: keys sorted, strings double-quoted where plain
 * YAML 1.1 or 1.2 could read them as something else. So bytes can be compared and digested.
 */
#ifndef INTENT_MANIFEST_H
#define INTENT_MANIFEST_H

#include "intent/intent.h"

/* version: microseconds since 1970; pushed-at is the same instant. */
void intent_render(const struct intent *intent, uint64_t version, struct buf *ret);

/* Reads what intent_render wrote. Anything else is ERROR_INVALID, down to the last byte: what was
 * read is validated like a POST, rendered again and compared. */
int intent_parse(struct intent **ret, uint64_t *ret_version, struct slice yaml,
	struct error *err) MUST_CHECK;

#endif
