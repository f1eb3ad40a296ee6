/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to publish. Which version numbers stand for something that was current once: what the
 * commit records say of them, found by the records' tags.
 *
 * A record is built on the one that is current, which it has as its parent, and names versions that
 * were issued since. So a record was current if it is the head or has one built on it; and a
 * version was, if the first such record at or above its number names it. All else is debris of
 * commits that failed.
 */
#ifndef PUBLISH_HISTORY_RECORDS_H
#define PUBLISH_HISTORY_RECORDS_H

#include "catalog/record.h"
#include "oci/registry.h"

/* ---- version tags ---- */

struct versions {
	size_t n, cap;
	uint64_t *list; /* ascending, each once */
};
void versions_done(struct versions *v);

enum versions_end { VERSIONS_OLDEST, VERSIONS_NEWEST };

/* Of the tags <letter><number> of the repository those from `from` to `to`, both included: at most
 * max, from that end. */
int versions_list(struct versions *ret, struct registry *registry, const char *repository,
	char letter, uint64_t from, uint64_t to, size_t max, enum versions_end end,
	struct error *err) MUST_CHECK;

/* ---- records ---- */

#define RECORDS_KEPT 8

struct kept_record {
	struct record record;
	struct digest digest; /* of its manifest */
	/* It is known to be the first that was current at or above this version; UINT64_MAX: it is
	 * not known whether it was current. */
	uint64_t since;
	uint64_t used; /* when */
};

/* As of the moment when it was made: what is committed later is not seen. */
struct records {
	struct registry *registry;
	uint64_t newest;    /* version of the head, */
	struct digest head; /* and digest of its manifest */
	uint64_t clock;
	size_t n;
	struct kept_record kept[RECORDS_KEPT];
};

int records_init(struct records *ret, struct registry *registry, struct error *err) MUST_CHECK;
void records_done(struct records *r);

/* The first record at or above that version which was current. NULL: there is none. Valid until the
 * next call; its record may be taken out. */
int records_first(struct kept_record **ret, struct records *r, uint64_t version,
	struct error *err) MUST_CHECK;

/* It was made of what an operator found (rebuild, adopt, import): it names no changes, though what
 * is current may be something else than before. */
bool record_is_whole(const struct record *r);

/* ---- versions of a resource ---- */

struct fate {
	enum {
		FATE_DEBRIS, /* or nobody's */
		FATE_NAMED,  /* by a record */
		/* A record that is whole may have taken it: it was the last of its repository, as
		 * far as can be told. Whether there is such a tag has not been looked at. */
		FATE_TAKEN,
	} kind;
	/* Of one that is named: */
	enum record_op op; /* create, update or delete */
	struct digest digest;
	struct author *author; /* a reference, or NULL */
	uint64_t revision;     /* version of the record */
};
void fate_done(struct fate *f);

int records_judge(struct fate *ret, struct records *r, const char *namespace, const char *name,
	uint64_t version, struct error *err) MUST_CHECK;

/* What is damaged: its text is for operators. -1. */
int history_failed(struct error *err);

#endif
