/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What can be asked for, and which role may do it.
 *
 * The actions are Kubernetes' verbs on platformresources.gitops-squared.io where there is one, so
 * that its SubjectAccessReview can be asked the same question.
 */
#ifndef AUTH_ACTION_H
#define AUTH_ACTION_H

#include "base/str.h"

enum auth_action {
	ACTION_GET,
	ACTION_LIST,
	ACTION_WATCH,
	ACTION_UPDATE, /* POST and PUT: create too, for both may meet a resource that is there */
	ACTION_DELETE,
	ACTION_ADMINISTER, /* layout, freeze: asked of all namespaces; Kubernetes' verb is "*" */
	ACTION_PULL,       /* the registry; Kubernetes' verb is "get" */
	ACTION_PUSH,       /* and delete there; Kubernetes' verb is "*" */
	ACTIONS_
};

enum auth_role {
	ROLE_VIEWER, /* get, list, watch, pull */
	ROLE_EDITOR, /* what a viewer may, and update, delete and push */
	ROLE_ADMIN,  /* everything */
	ROLE_PULLER, /* pull: for Flux */
	ROLES_
};

/* The namespace of a question or a grant that is about all of them. */
#define AUTH_EVERYWHERE "*"

bool role_may(enum auth_role role, enum auth_action action);
const char *role_name(enum auth_role role); /* "viewer" */
bool role_parse(struct slice name, enum auth_role *ret);

const char *action_name(enum auth_action action); /* "update", for people */
const char *action_verb(enum auth_action action); /* of Kubernetes */

#endif
