/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signing what is published, and refusing what was not signed.
 *
 * Each catalog that a commit pushes, the root and the record, and with "resources" the artifacts
 * too, are pushed together with their signatures (sign/signature.h), in the same transaction or,
 * with a remote registry, before commits:latest moves: so whoever sees a tag move finds the
 * signature, and whatever fails, what is current is signed.
 *
 * Who signs verifies: else the server would put its name to whatever somebody else has made
 * current. What is read must be signed by our key or by one of those given; what only these have
 * signed is signed by ours, for that is how a key is changed. Artifacts of resources that were
 * there before are left as they are, for to look at each of them would make every start a long one.
 */
#ifndef PUBLISH_SIGNING_H
#define PUBLISH_SIGNING_H

#include "oci/registry.h"
#include "sign/signature.h"

struct signing {
	const struct sign_key *key;     /* borrowed; NULL: nothing is signed */
	bool resources;                 /* their artifacts too */
	const struct sign_keys *verify; /* borrowed: more keys that count; NULL: none */
	bool existing; /* an operator's word, for one restore: what nobody has signed is taken in,
			* and signed by our key, which there is then */
	const char *location; /* borrowed: of the registry, for the text of signatures: "HOST/", or
			       * NULL */
};

/* ---- private to publish ---- */

struct places;
struct record;
struct signatures;
struct state;

/*
 * Without key and verify they do nothing. ERROR_INTERNAL: it names what no key that counts has
 * signed, and why; ERROR_UNAVAILABLE: the registry does not say. What was read is known by its
 * digest, so it may be read first: but nothing that the record says is to be followed before the
 * record is checked. They note in ret (NULL: nowhere) what our key is to sign.
 */
int signing_check_record(struct signatures *ret, const struct signing *signing,
	const struct digest *record, struct registry *registry, struct error *err) MUST_CHECK;
/* All that Flux is told to fetch. */
int signing_check_catalogs(struct signatures *ret, const struct signing *signing,
	const struct record *record, const struct state *state, const struct places *leftovers,
	struct registry *registry, struct error *err) MUST_CHECK;
/* Signs what they have noted. */
int signing_sign(struct signatures *noted, const struct signing *signing, struct registry *registry,
	struct error *err) MUST_CHECK;

/* The same as signing_check_record(), of a record of before. */
static inline int signing_verify_record(const struct signing *signing, const struct digest *record,
	struct registry *registry, struct error *err)
{
	return signing_check_record(NULL, signing, record, registry, err);
}

#endif
