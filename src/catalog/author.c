/* SPDX-License-Identifier: Apache-2.0 */
#include "catalog/author.h"

#include "base/limits.h"

#include <arpa/inet.h>

/* what: for the error. */
static int check_text(const char *what, struct slice text, size_t max, struct error *err)
{
	AUTO_FREE char *printable = NULL;

	if (text.n > max)
		return error_set(err, ERROR_INVALID,
			"%s has %zu bytes, and at most %zu are kept with it", what, text.n, max);
	printable = slice_dup(text);
	if (printable == NULL)
		return error_no_memory(err);
	utf8_make_printable(printable, false);
	if (slice_eq(slice_of(printable), text))
		return 0;
	return error_set(err, ERROR_INVALID, "%s has to be one line of printable UTF-8 text", what);
}

static int check_address(struct slice from, struct error *err)
{
	AUTO_FREE char *text = slice_dup(from);
	struct in6_addr ignored;

	if (text == NULL)
		return error_no_memory(err);
	if (strlen(text) == from.n && (inet_pton(AF_INET, text, &ignored) == 1 ||
					      inet_pton(AF_INET6, text, &ignored) == 1))
		return 0;
	return error_set(
		err, ERROR_INVALID, "where a change comes from has to be an address of IP");
}

int author_check(struct slice who, struct slice from, struct slice why, struct error *err)
{
	if (check_text("who makes a change", who, LIMIT_SUBJECT, err) != 0)
		return -1;
	if (from.n > 0 && check_address(from, err) != 0)
		return -1;
	return check_text("the reason of a change", why, LIMIT_REASON, err);
}

int author_new(
	struct author **ret, const char *who, const char *from, struct slice why, struct error *err)
{
	CLEANUP(author_unrefp) struct author *a = NULL;

	if (author_check(slice_of(who), slice_of(from), why, err) != 0)
		return -1;
	a = calloc(1, sizeof(*a));
	if (a == NULL)
		return error_no_memory(err);
	a->refs = 1;
	a->who = strdup(who);
	a->from = from[0] == '\0' ? NULL : strdup(from);
	a->why = why.n == 0 ? NULL : slice_dup(why);
	if (a->who == NULL || (from[0] != '\0' && a->from == NULL) || (why.n > 0 && a->why == NULL))
		return error_no_memory(err);
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
