/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/action.h"

#define BIT(action) (1u << (action))
#define MAY_VIEW (BIT(ACTION_GET) | BIT(ACTION_LIST) | BIT(ACTION_WATCH) | BIT(ACTION_PULL))
#define MAY_EDIT (MAY_VIEW | BIT(ACTION_UPDATE) | BIT(ACTION_DELETE) | BIT(ACTION_PUSH))

static const struct {
	const char *name;
	unsigned may;
} roles[ROLES_] = {
	[ROLE_VIEWER] = {"viewer", MAY_VIEW},
	[ROLE_EDITOR] = {"editor", MAY_EDIT},
	[ROLE_ADMIN] = {"admin", MAY_EDIT | BIT(ACTION_ADMINISTER)},
	[ROLE_PULLER] = {"puller", BIT(ACTION_PULL)},
};

static const struct {
	const char *name, *verb;
} actions[ACTIONS_] = {
	[ACTION_GET] = {"get", "get"},
	[ACTION_LIST] = {"list", "list"},
	[ACTION_WATCH] = {"watch", "watch"},
	[ACTION_UPDATE] = {"update", "update"},
	[ACTION_DELETE] = {"delete", "delete"},
	[ACTION_ADMINISTER] = {"administer", "*"},
	[ACTION_PULL] = {"pull", "get"},
	[ACTION_PUSH] = {"push", "*"},
};

bool role_may(enum auth_role role, enum auth_action action)
{
	ASSERT((unsigned)role < ROLES_ && (unsigned)action < ACTIONS_);
	return (roles[role].may & BIT(action)) != 0;
}

const char *role_name(enum auth_role role)
{
	ASSERT((unsigned)role < ROLES_);
	return roles[role].name;
}

bool role_parse(struct slice name, enum auth_role *ret)
{
	for (unsigned role = 0; role < ROLES_; role++) {
		if (slice_eq(name, slice_of(roles[role].name))) {
			*ret = (enum auth_role)role;
			return true;
		}
	}
	return false;
}

const char *action_name(enum auth_action action)
{
	ASSERT((unsigned)action < ACTIONS_);
	return actions[action].name;
}

const char *action_verb(enum auth_action action)
{
	ASSERT((unsigned)action < ACTIONS_);
	return actions[action].verb;
}
