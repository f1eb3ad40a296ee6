/* SPDX-License-Identifier: Apache-2.0 */
/* Options of the prune guard. */
#ifndef CLI_PRUNE_H
#define CLI_PRUNE_H

#include "publish/prune_guard.h"

/* Of the values of the options below; confirm NULL: not given. how: what to do where it is meant.
 * ERROR_INVALID names the flag. */
int prune_options(struct prune_guard *ret, const char *max_percent, const char *confirm,
	const char *how, struct error *err) MUST_CHECK;

/* Rows for a verb's table of options. */
#define PRUNE_OPTION_MAX \
	{ \
		"max-prune", "MAX_PRUNE", "PERCENT", "20", \
			"how much of a namespace may be removed without a confirmation, where " \
			"that is more than 5 resources" \
	}
#define PRUNE_OPTION_CONFIRM \
	{ \
		"confirm", NULL, "prune", NULL, \
			"--confirm prune: remove as much as it comes to; look at the numbers " \
			"first" \
	}

#endif
