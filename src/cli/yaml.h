/* SPDX-License-Identifier: Apache-2.0 */
/* JSON values as YAML, for people and for whatever reads YAML 1.1 or 1.2. */
#ifndef CLI_YAML_H
#define CLI_YAML_H

#include "base/buf.h"

#include <jansson.h>

/* Block style, indented by so many columns, strings of several lines as literal blocks; the first
 * line is indented too where the value stands alone, and is not where is_item: it follows "- ". */
void yaml_write(struct buf *b, json_t *object, unsigned indent, bool is_item);

#endif
