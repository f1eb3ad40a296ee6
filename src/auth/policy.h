/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The policy file: who has which role where, and what is fair. YAML, read as a whole:
 *
 *   rules:
 *   - role: admin                       # viewer, editor, admin or puller
 *     namespaces: ["*"]                 # all of them
 *     groups: [oidc:platform]
 *   - role: editor
 *     namespaces: [team-a, team-a-test]
 *     users: [oidc:alice@example.com, token:ci]
 *     groups: ["kubernetes:team-a"]
 *   quotas:                             # resources in a namespace
 *     "*": 1000                         # in each that is not named
 *     team-a: 50
 *   rates:                              # requests a second, of each subject
 *     "*": 200
 *     token:portal: 1000
 *
 * Unknown keys, keys given twice, roles and names that cannot be are errors with a line. Immutable,
 * shared by reference, any thread.
 */
#ifndef AUTH_POLICY_H
#define AUTH_POLICY_H

#include "auth/subject.h"

struct policy;

/* file NULL: no rules, no quotas, no rates. */
int policy_load(struct policy **ret, const char *file, struct error *err) MUST_CHECK;
int policy_parse(struct policy **ret, struct slice yaml, struct error *err) MUST_CHECK;
struct policy *policy_ref(struct policy *p);
void policy_unref(struct policy *p);
DEFINE_CLEANUP(struct policy, policy_unref);

/* By the subject's own grants or a rule. A question of AUTH_EVERYWHERE needs a grant there;
 * namespace NULL: one anywhere. */
bool policy_allows(const struct policy *p, const struct subject *s, enum auth_action action,
	const char *namespace);

#define POLICY_UNLIMITED UINT64_MAX
uint64_t policy_quota(const struct policy *p, const char *namespace);
/* Requests a second; 0: any number. */
unsigned policy_rate(const struct policy *p, const struct subject *s);

#endif
