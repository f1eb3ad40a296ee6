/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signing what is published, and refusing what was not signed.
 *
 * Each catalog that a commit pushes, the root and the record, and with "resources" the artifacts
 * too, are pushed together with their signatures (sign/signature.h), in the same transaction or,
 * with a remote registry, before commits:latest moves: so whoever sees a tag move finds the
 * signature. At the start the record and the catalogs that are current are signed where they are
 * not, or not by our key; artifacts of resources that were there before are left as they are, for
 * to look at each of them would make every start a long one.
 */
#ifndef PUBLISH_SIGNING_H
#define PUBLISH_SIGNING_H

#include "oci/registry.h"
#include "sign/signature.h"

struct signing {
	const struct sign_key *key;     /* borrowed; NULL: nothing is signed */
	bool resources;                 /* their artifacts too */
	const struct sign_keys *verify; /* borrowed; NULL: unsigned catalogs are restored */
	const char *location; /* borrowed: of the registry, for the text of signatures: "HOST/", or
			       * NULL */
};

/* ---- private to publish ---- */

struct head;

/* Refuse what none of the keys has signed: ERROR_INTERNAL names it and says why. They do nothing
 * where nothing is to be verified. What was read is known by its digest, so it may be read first:
 * but nothing that the record says is to be followed before the record is verified. */
int signing_verify_record(const struct signing *signing, const struct digest *record,
	struct registry *registry, struct error *err) MUST_CHECK;
int signing_verify_catalogs(const struct signing *signing, const struct head *head,
	struct registry *registry, struct error *err) MUST_CHECK;

/* Signs the record and the catalogs that lack a signature by our key. */
int signing_catch_up(const struct signing *signing, const struct head *head,
	struct registry *registry, struct error *err) MUST_CHECK;

#endif
