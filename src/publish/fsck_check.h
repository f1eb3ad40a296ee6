/* SPDX-License-Identifier: Apache-2.0 */
/* Private to publish: the checks of fsck, each of which adds what it finds to a list. */
#ifndef PUBLISH_FSCK_CHECK_H
#define PUBLISH_FSCK_CHECK_H

#include "catalog/state.h"
#include "oci/registry.h"

/* A difference, as one look has found it. */
struct finding {
	char repository[LIMIT_REPOSITORY + 1];
	char *text;
	bool derived; /* it is the repository's latest, which belongs to a manifest that we know: */
	struct digest expected;
};

struct findings {
	size_t n, cap;
	struct finding *list;
};
void findings_done(struct findings *f);
int findings_add(struct findings *f, const char *repository, const struct digest *derived,
	struct error *err, const char *fmt, ...) PRINTF_LIKE(5, 6) MUST_CHECK;

/* The moment that is checked, and what was found to differ from it. */
struct check {
	struct registry *registry;
	struct record record; /* version 0: it cannot be read */
	struct digest record_digest;
	struct state *state; /* NULL: it cannot be read */
	struct findings found;
	struct findings notes; /* what could not be checked, as text */
	size_t unfinished;
};
void check_done(struct check *c);

/* Damage as opposed to a registry that cannot be asked just now. */
bool check_is_damage(const struct error *err);

/* Reads the record and what it speaks of anew, and checks what is not a resource's: the record's
 * tag and parent, the tags of the catalogs, and that record and catalogs agree. */
int check_head(struct check *c, struct error *err) MUST_CHECK;

/* Every resource there is or, without a state, those that the record names; and every repository of
 * a resource that is no more. */
int check_resources(struct check *c, struct error *err) MUST_CHECK;

/* Only those of these findings, which are sorted by their texts. */
int check_resources_again(
	struct check *c, const struct findings *before, struct error *err) MUST_CHECK;

#endif
