/* SPDX-License-Identifier: Apache-2.0 */
/* Any text is a policy or is refused with a line; one that is read can be asked anything. */
#include "auth/policy.h"

#include "fuzz.h"

static void ask(const struct policy *p)
{
	char *groups[] = {"oidc:platform", "kubernetes:team-a"};
	const struct subject s = {.method = AUTH_OIDC,
		.name = "oidc:alice",
		.n_groups = ARRAY_SIZE(groups),
		.groups = groups};

	for (unsigned i = 0; i < ACTIONS_; i++)
		if (policy_allows(p, &s, i, AUTH_EVERYWHERE))
			ASSERT(policy_allows(p, &s, i, "team-a"));
	ASSERT(policy_rate(p, &s) <= LIMIT_RATE);
	(void)policy_quota(p, "team-a");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP(policy_unrefp) struct policy *p = NULL;
	AUTO_FREE char *exact = malloc(size);
	struct error err = ERROR_INIT;

	ASSERT(exact != NULL || size == 0);
	if (size > 0)
		memcpy(exact, data, size);
	if (policy_parse(&p, (struct slice){exact, size}, &err) != 0) {
		ASSERT(p == NULL && err.code == ERROR_INVALID);
		ASSERT(slice_starts(slice_of(err.text), SLICE("line ")));
		return 0;
	}
	ask(p);
	return 0;
}
