/* SPDX-License-Identifier: Apache-2.0 */
#include "base/nearest.h"

#include <string.h>

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static size_t min(size_t a, size_t b)
{
	return a < b ? a : b;
}

static bool is_swap(const char *a, size_t i, const char *b, size_t j)
{
	return i > 0 && j > 0 && lower(a[i]) == lower(b[j - 1]) && lower(a[i - 1]) == lower(b[j]);
}

size_t nearest_distance(const char *a, const char *b)
{
	/* rows[i][j]: between the first i characters of a and the first j of b. */
	unsigned char rows[NEAREST_WORD + 1][NEAREST_WORD + 1];
	size_t n = strlen(a), m = strlen(b);

	if (n > NEAREST_WORD || m > NEAREST_WORD)
		return SIZE_MAX;
	for (size_t j = 0; j <= m; j++)
		rows[0][j] = (unsigned char)j;
	for (size_t i = 0; i < n; i++) {
		rows[i + 1][0] = (unsigned char)(i + 1);
		for (size_t j = 0; j < m; j++) {
			size_t best = (size_t)rows[i][j] + (lower(a[i]) != lower(b[j]));

			best = min(best, (size_t)rows[i][j + 1] + 1);
			best = min(best, (size_t)rows[i + 1][j] + 1);
			if (is_swap(a, i, b, j))
				best = min(best, (size_t)rows[i - 1][j - 1] + 1);
			rows[i + 1][j + 1] = (unsigned char)best;
		}
	}
	return rows[n][m];
}

bool nearest_is_close(const char *meant, size_t distance)
{
	return distance <= strlen(meant) / 3 + 1;
}

const char *nearest_word(const char *word, const char *const *words)
{
	const char *best = NULL;
	size_t best_distance = SIZE_MAX;

	for (; *words != NULL; words++) {
		size_t distance = nearest_distance(word, *words);

		if (distance < best_distance && nearest_is_close(*words, distance)) {
			best = *words;
			best_distance = distance;
		}
	}
	return best;
}
