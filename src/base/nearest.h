/* SPDX-License-Identifier: Apache-2.0 */
/* What a misspelt word may have meant. */
#ifndef BASE_NEAREST_H
#define BASE_NEAREST_H

#include "base/base.h"

#define NEAREST_WORD 32 /* longer words are near to none */

/* Levenshtein distance without regard to ASCII case, a swap of neighbours counting as one (optimal
 * string alignment). SIZE_MAX where one is longer than NEAREST_WORD. */
size_t nearest_distance(const char *a, const char *b);

/* Whether the word is near enough to be meant at that distance: a third of its length and one. */
bool nearest_is_close(const char *meant, size_t distance);

/* The nearest of words (NULL ends) that is close, the first of equals; NULL: none is. */
const char *nearest_word(const char *word, const char *const *words);

#endif
