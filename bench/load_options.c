/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/load_options.h"

#include "base/str.h"

#include <getopt.h>

int load_number(size_t *ret, const char *name, size_t max, struct error *err)
{
	uint64_t value;

	if (!slice_to_u64(slice_of(optarg), &value) || value == 0 || value > max)
		return error_set(
			err, ERROR_INVALID, "--%s must be a number from 1 to %zu", name, max);
	*ret = (size_t)value;
	return 0;
}
