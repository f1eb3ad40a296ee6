/* SPDX-License-Identifier: Apache-2.0 */
/* Unicode text in user values. */
#ifndef INTENT_TEXT_H
#define INTENT_TEXT_H

#include "base/str.h"

/* Does every YAML reader on the way to Kubernetes take this character inside double quotes as
 * itself? Not the controls, line separators, byte order mark and noncharacters. */
bool intent_char_ok(uint32_t c);

/* The start of s as it may stand in an error text: cut at the border of a character, with ? for
 * what is not intent_char_ok(). Returns ret. */
#define INTENT_EXCERPT_SIZE 56
const char *intent_excerpt(struct slice s, char ret[INTENT_EXCERPT_SIZE]);

#endif
