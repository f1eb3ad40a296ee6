/* SPDX-License-Identifier: Apache-2.0 */
#include "base/duration.h"

#include "base/str.h"

static const struct {
	char name;
	uint64_t seconds;
} units[] = {{'s', 1}, {'m', 60}, {'h', 60 * 60}, {'d', 24 * 60 * 60}};

/* Seconds in the unit that the text ends with, or 0. */
static uint64_t unit_of(struct slice text)
{
	for (size_t i = 0; i < ARRAY_SIZE(units); i++)
		if (text.n > 0 && text.p[text.n - 1] == units[i].name)
			return units[i].seconds;
	return 0;
}

int duration_parse(const char *text, uint64_t *ret_s, struct error *err)
{
	struct slice number = slice_of(text);
	uint64_t unit = unit_of(number), count;

	if (unit != 0)
		number.n--;
	if (!slice_to_u64(number, &count) || (unit == 0 && count != 0))
		return error_set(err, ERROR_INVALID,
			"\"%.32s\" is not a duration: write 0 or a number with its unit, as in "
			"90s, "
			"15m, 1h or 7d",
			text);
	if (unit != 0 && count > LIMIT_DURATION_S / unit)
		return error_set(err, ERROR_INVALID, "%.32s is too long: use at most %llud", text,
			(unsigned long long)(LIMIT_DURATION_S / (24 * 60 * 60)));
	*ret_s = count * unit;
	return 0;
}
