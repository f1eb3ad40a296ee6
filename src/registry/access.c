/* SPDX-License-Identifier: Apache-2.0 */
#include "registry/access.h"

#include "catalog/layout.h"
#include "catalog/resource.h"
#include "intent/intent.h"
#include "oci/reference.h"
#include "store/store.h"

size_t access_namespace(struct slice repository, char ret[ACCESS_NAMESPACE_SIZE])
{
	static const struct slice prefixes[] = {
		SLICE(RESOURCE_REPOSITORY_PREFIX), SLICE(CATALOG_REPOSITORY_PREFIX)};
	struct slice rest = repository, namespace;

	if (slice_starts(repository, SLICE(STORE_OWN_REPOSITORIES)))
		rest = SLICE_NONE;
	for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++)
		if (slice_starts(repository, prefixes[i]))
			rest = (struct slice){
				repository.p + prefixes[i].n, repository.n - prefixes[i].n};
	namespace = slice_cut(&rest, '/');
	if (!intent_name_ok(namespace)) {
		memcpy(ret, AUTH_EVERYWHERE, sizeof(AUTH_EVERYWHERE));
		return 0;
	}
	memcpy(ret, namespace.p, namespace.n);
	ret[namespace.n] = '\0';
	return rest.p == NULL ? 0 : (size_t)(rest.p - repository.p);
}

/* ---- scopes ---- */

static unsigned parse_actions(struct slice text)
{
	static const struct {
		struct slice name;
		unsigned actions;
	} known[] = {
		{SLICE("pull"), SCOPE_PULL},
		{SLICE("push"), SCOPE_PUSH},
		{SLICE("delete"), SCOPE_PUSH},
		{SLICE("*"), SCOPE_PULL | SCOPE_PUSH},
	};
	unsigned actions = 0;

	while (text.p != NULL) {
		struct slice name = slice_cut(&text, ',');

		for (size_t i = 0; i < ARRAY_SIZE(known); i++)
			if (slice_eq(name, known[i].name))
				actions |= known[i].actions;
	}
	return actions;
}

static bool parse(struct slice text, struct scope *ret)
{
	struct slice actions = text, type = slice_cut(&actions, ':');
	struct slice name = slice_cut(&actions, ':');

	*ret = (struct scope){.actions = 0};
	if (slice_eq(type, SLICE("registry")))
		return slice_eq(name, SLICE("catalog")) && slice_eq(actions, SLICE("*"));
	ret->repository = name;
	ret->actions = parse_actions(actions);
	return slice_eq(type, SLICE("repository")) && oci_repository_ok(name) && ret->actions != 0;
}

bool scope_next(struct slice *text, struct scope *ret)
{
	while (text->p != NULL)
		if (parse(slice_cut(text, ' '), ret))
			return true;
	return false;
}

void scope_add(struct buf *b, const struct scope *scope)
{
	bool pull = (scope->actions & SCOPE_PULL) != 0, push = (scope->actions & SCOPE_PUSH) != 0;

	if (b->len > 0)
		buf_putc(b, ' ');
	if (scope->repository.p == NULL) {
		buf_puts(b, "registry:catalog:*");
		return;
	}
	buf_printf(b, "repository:%.*s:%s%s%s", SLICE_ARG(scope->repository), pull ? "pull" : "",
		pull && push ? "," : "", push ? "push" : "");
}

/* Of one repository, or both of the catalog. */
static bool is_of_the_same(const struct scope *a, const struct scope *b)
{
	if (a->repository.p == NULL || b->repository.p == NULL)
		return a->repository.p == b->repository.p;
	return slice_eq(a->repository, b->repository);
}

bool scopes_cover(struct slice text, const struct scope *scope)
{
	struct scope has;

	while (scope_next(&text, &has))
		if (is_of_the_same(&has, scope) && (scope->actions & ~has.actions) == 0)
			return true;
	return false;
}
