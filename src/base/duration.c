/* SPDX-License-Identifier: Apache-2.0 */
#include "base/duration.h"

#include "base/str.h"

#define SECOND_MS UINT64_C(1000)

struct unit {
	struct slice name;
	uint64_t ms;
};

/* "ms" is no unit of durations in whole seconds. */
static const struct unit units[] = {
	{{"ms", 2}, 1},
	{{"s", 1}, SECOND_MS},
	{{"m", 1}, 60 * SECOND_MS},
	{{"h", 1}, 60 * 60 * SECOND_MS},
	{{"d", 1}, 24 * 60 * 60 * SECOND_MS},
};

/* The unit that the text ends with, which is at least so long, or NULL. */
static const struct unit *unit_of(struct slice text, uint64_t smallest_ms)
{
	for (size_t i = 0; i < ARRAY_SIZE(units); i++)
		if (units[i].ms >= smallest_ms && slice_ends(text, units[i].name))
			return &units[i];
	return NULL;
}

static int parse(const char *text, uint64_t smallest_ms, const char *examples, uint64_t *ret_ms,
	struct error *err)
{
	struct slice number = slice_of(text);
	const struct unit *unit = unit_of(number, smallest_ms);
	uint64_t unit_ms = unit != NULL ? unit->ms : 0, count;

	if (unit != NULL)
		number.n -= unit->name.n;
	if (!slice_to_u64(number, &count) || (unit == NULL && count != 0))
		return error_set(err, ERROR_INVALID,
			"\"%.32s\" is not a duration: write 0 or a number with its unit, as in %s",
			text, examples);
	if (unit != NULL && count > LIMIT_DURATION_S * SECOND_MS / unit_ms)
		return error_set(err, ERROR_INVALID, "%.32s is too long: use at most %llud", text,
			(unsigned long long)(LIMIT_DURATION_S / (24 * 60 * 60)));
	*ret_ms = count * unit_ms;
	return 0;
}

int duration_parse(const char *text, uint64_t *ret_s, struct error *err)
{
	uint64_t ms;

	if (parse(text, SECOND_MS, "90s, 15m, 1h or 7d", &ms, err) != 0)
		return -1;
	*ret_s = ms / SECOND_MS;
	return 0;
}

int duration_parse_ms(const char *text, uint64_t *ret_ms, struct error *err)
{
	return parse(text, 1, "500ms, 30s, 2m or 1h", ret_ms, err);
}
