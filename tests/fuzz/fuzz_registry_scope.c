/* SPDX-License-Identifier: Apache-2.0 */
/* Scopes of any text are scopes when they are written again, and cover themselves; any name of a
 * repository has a namespace; and nothing that was not made here is a registry token. */
#include "intent/intent.h"
#include "oci/reference.h"
#include "registry/access.h"
#include "registry/token.h"

#include "fuzz.h"

static void check_scopes(struct slice text)
{
	CLEANUP(buf_done) struct buf once = BUF_INIT(MIB), twice = BUF_INIT(MIB);
	struct slice rest = text;
	struct scope scope;

	while (scope_next(&rest, &scope)) {
		ASSERT(scope.repository.p == NULL || scope.actions != 0);
		ASSERT(scopes_cover(text, &scope));
		scope_add(&once, &scope);
	}
	for (rest = buf_slice(&once); scope_next(&rest, &scope);)
		scope_add(&twice, &scope);
	ASSERT(slice_eq(buf_slice(&once), buf_slice(&twice)));
}

static void check_namespace(struct slice name)
{
	char namespace[ACCESS_NAMESPACE_SIZE];
	size_t block;

	if (!oci_repository_ok(name))
		return;
	block = access_namespace(name, namespace);
	ASSERT(strcmp(namespace, AUTH_EVERYWHERE) == 0 || intent_name_ok(slice_of(namespace)));
	ASSERT(block <= name.n && (block == 0 || name.p[block - 1] == '/'));
}

static void check_token(struct slice text)
{
	struct subject *subject = NULL;
	struct error err = ERROR_INIT;
	struct registry_tokens *t;
	char *scopes = NULL;

	ASSERT(registry_tokens_new(&t, &err) == 0);
	ASSERT(registry_token_check(t, text, 0, &subject, &scopes) == REGISTRY_TOKEN_BAD);
	ASSERT(subject == NULL && scopes == NULL);
	registry_tokens_free(t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO_FREE char *exact = malloc(size);
	struct slice text = {exact, size};

	ASSERT(exact != NULL || size == 0);
	if (size > 0)
		memcpy(exact, data, size);
	check_scopes(text);
	check_namespace(text);
	check_token(text);
	return 0;
}
