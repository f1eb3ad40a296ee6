/* SPDX-License-Identifier: Apache-2.0 */
#include "catalog/author.h"

#include "base/limits.h"

static int check_reason(const char *why, size_t length, struct error *err)
{
	AUTO_FREE char *printable = strdup(why);

	if (printable == NULL)
		return error_no_memory(err);
	utf8_make_printable(printable, false);
	if (strlen(why) == length && strcmp(printable, why) == 0)
		return 0;
	return error_set(err, ERROR_INVALID,
		"the reason of a change has to be one line of printable UTF-8 text");
}

static int set_reason(struct author *a, struct slice why, struct error *err)
{
	if (why.n > LIMIT_REASON)
		return error_set(err, ERROR_INVALID,
			"the reason of a change has %zu bytes, and at most %d are kept with it",
			why.n, LIMIT_REASON);
	a->why = slice_dup(why);
	if (a->why == NULL)
		return error_no_memory(err);
	return check_reason(a->why, why.n, err);
}

int author_new(
	struct author **ret, const char *who, const char *from, struct slice why, struct error *err)
{
	CLEANUP(author_unrefp) struct author *a = calloc(1, sizeof(*a));

	if (a == NULL)
		return error_no_memory(err);
	a->refs = 1;
	a->who = strdup(who);
	a->from = from[0] == '\0' ? NULL : strdup(from);
	if (a->who == NULL || (from[0] != '\0' && a->from == NULL))
		return error_no_memory(err);
	if (why.n > 0 && set_reason(a, why, err) != 0)
		return -1;
	*ret = TAKE_PTR(a);
	return 0;
}

struct author *author_ref(struct author *a)
{
	unsigned before = __atomic_fetch_add(&a->refs, 1, __ATOMIC_RELAXED);

	ASSERT(before > 0);
	return a;
}

void author_unref(struct author *a)
{
	if (a == NULL || __atomic_fetch_sub(&a->refs, 1, __ATOMIC_ACQ_REL) != 1)
		return;
	free(a->who);
	free(a->from);
	free(a->why);
	free(a);
}
