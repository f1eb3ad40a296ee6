/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to publish. Which versions stand for something that was current once: what the head and
 * its ancestors say of them (publish/ancestry.h). All other tags are debris of commits that failed,
 * or were left behind when commits:latest was set back.
 *
 * A record names versions that were issued since its parent. So the oldest ancestor at or above a
 * version is the only one that can name it.
 */
#ifndef PUBLISH_HISTORY_RECORDS_H
#define PUBLISH_HISTORY_RECORDS_H

#include "publish/ancestry.h"

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

/* As of the moment when it was made: what is committed later is not seen. */
struct records {
	struct registry *registry;
	uint64_t newest;    /* version of the head, */
	struct digest head; /* and digest of its manifest */
	struct ancestor at; /* where the walk is; version 0: nowhere, so it begins at the head */
};

int records_init(struct records *ret, struct registry *registry, struct error *err) MUST_CHECK;
void records_done(struct records *r);

/* The oldest ancestor at or above that version, the head being one. NULL: there is none. Valid
 * until the next call; its record may be taken out. Versions that fall are found in one walk down,
 * one that rises begins another. */
int records_seek(
	struct ancestor **ret, struct records *r, uint64_t version, struct error *err) MUST_CHECK;

/* It was made of what an operator found (rebuild, adopt, import): it names no changes, though what
 * is current may be something else than before. */
bool record_is_whole(const struct record *r);

/* ---- versions of a resource ---- */

struct fate {
	enum {
		FATE_DEBRIS, /* or nobody's */
		FATE_NAMED,  /* by a record */
		/* By a record that is whole, as far as can be told. Whether there is such a tag has
		 * not been looked at. */
		FATE_TAKEN,
	} kind;
	/* Of one that is named: */
	enum record_op op; /* create, update or delete */
	struct digest digest;
	struct author *author; /* a reference, or NULL */
	uint64_t revision;     /* version of the record */

	uint64_t next; /* of any: the next lower version that may be no debris; 0: there is none */
};
void fate_done(struct fate *f);

int records_judge(struct fate *ret, struct records *r, const char *namespace, const char *name,
	uint64_t version, struct error *err) MUST_CHECK;

/* What is damaged: its text is for operators. -1. */
int history_failed(struct error *err);
/* ERROR_NOT_FOUND */
int history_no_revision(uint64_t version, struct error *err);

#endif
