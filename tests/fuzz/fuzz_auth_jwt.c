/* SPDX-License-Identifier: Apache-2.0 */
/* The first line is a token, what follows a set of keys: any text is one or is refused. */
#include "auth/jwt.h"

#include "base/limits.h"
#include "fuzz.h"

#define ISSUER "joe"

static void verify(const struct jwt *t, const struct jwks *keys)
{
	struct error err = ERROR_INIT;
	int rc = jwt_verify(t, keys, &err);

	ASSERT(rc >= 0 || err.code == ERROR_UNAUTHORIZED);
	if (rc == 0)
		ASSERT(t->signature_len >= 64 && json_object_get(t->header, "alg") != NULL);
}

static void check_claims(const struct jwt *t)
{
	struct error err = ERROR_INIT;
	uint64_t until_s = 0;

	if (jwt_check_claims(t, ISSUER, "gsq", 1300819380, &until_s, &err) == 0)
		ASSERT(until_s > 1300819380);
	else
		ASSERT(err.code == ERROR_UNAUTHORIZED && until_s == 0);
}

static char *copy(struct slice s)
{
	char *exact = malloc(s.n);

	ASSERT(exact != NULL || s.n == 0);
	if (s.n > 0)
		memcpy(exact, s.p, s.n);
	return exact;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP(jwt_done) struct jwt t = {.header = NULL};
	CLEANUP(jwks_freep) struct jwks *keys = NULL;
	struct slice rest = {(const char *)data, size}, line = slice_cut(&rest, '\n');
	AUTO_FREE char *token = copy(line), *json = copy(rest);
	struct error err = ERROR_INIT;

	if (jwks_parse(&keys, (struct slice){json, rest.n}, &err) == 0)
		ASSERT(jwks_count(keys) > 0 && jwks_count(keys) <= LIMIT_JWKS_KEYS);
	else
		ASSERT(keys == NULL && err.code == ERROR_INVALID);
	(void)jwt_is_of((struct slice){token, line.n}, ISSUER);
	if (jwt_parse(&t, (struct slice){token, line.n}, &err) != 0) {
		ASSERT(t.header == NULL && t.signature == NULL && err.code == ERROR_UNAUTHORIZED);
		return 0;
	}
	check_claims(&t);
	if (keys != NULL)
		verify(&t, keys);
	return 0;
}
