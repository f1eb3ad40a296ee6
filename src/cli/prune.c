/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/prune.h"

int prune_options(struct prune_guard *ret, const char *max_percent, const char *confirm,
	const char *how, struct error *err)
{
	struct prune_guard guard = {
		.confirmed = confirm != NULL,
		.confirm = how,
	};

	if (!prune_guard_percent(slice_of(max_percent), &guard.max_percent))
		return error_set(err, ERROR_INVALID,
			"--max-prune: \"%s\" is not a number from 0 to 100", max_percent);
	if (confirm != NULL && strcmp(confirm, "prune") != 0)
		return error_set(err, ERROR_INVALID, "--confirm is prune, not %s", confirm);
	*ret = guard;
	return 0;
}
