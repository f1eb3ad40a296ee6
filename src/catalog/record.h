/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commit records: what is current, who changed it, and what came before (DESIGN section 2, "Commit
 * record"). A hash-chained history that lives in the registry; moving commits:latest to a record
 * is the commit point of the whole system.
 */
#ifndef CATALOG_RECORD_H
#define CATALOG_RECORD_H

#include "catalog/author.h"
#include "catalog/layout.h"
#include "catalog/resource.h"
#include "catalog/root.h"

#define RECORD_REPOSITORY "gitops-squared/commits"
#define RECORD_MEDIA "application/vnd.gitops-squared.commit.v1+json"
#define RECORD_ARTIFACT_TYPE "application/vnd.gitops-squared.commit.v1"
#define RECORD_FORMAT 1
#define RECORD_SEVERAL "several"
#define RECORD_TAG_SIZE 22 /* "c" and a 64-bit number */

/* A hold or a release names the accepted version, which stays what it is. */
enum record_op {
	RECORD_CREATE,
	RECORD_UPDATE,
	RECORD_DELETE,
	RECORD_HOLD,
	RECORD_RELEASE,
	RECORD_OPS_
};

/* A repartition that is under way (publish/publisher.h): the last step that was committed. None:
 * RECORD_SETTLED, and the record does not speak of it. */
enum record_repartition_step { RECORD_SETTLED, RECORD_FREEZE, RECORD_SWITCH };

struct record_repartition {
	enum record_repartition_step step;
	struct layout other; /* FREEZE: where it goes; SWITCH: where it came from */
};

/* Frozen: put, delete and repartition are refused (publish/publisher.h). */
struct record_freeze {
	struct author *by; /* a reference; its why is the reason. NULL: it is not frozen */
	uint64_t since;    /* version of the commit that froze it */
};

struct record_freeze record_freeze_copy(const struct record_freeze *f); /* with a reference */

/* Of a change set that came with an Idempotency-Key. */
struct record_key {
	bool is_set;
	struct digest key, request;
};

/* A commit that has one. */
struct record_keyed_commit {
	struct record_key key;
	uint64_t version;
	struct digest record; /* manifest of its record */
};
#define RECORD_KEYED_BEFORE 16

/* The last commit that has one. */
struct record_keyed {
	bool is_set;          /* false: there is none */
	struct digest record; /* manifest of its record */
};

/* Where a record is in its chain: its parent's version, and for each power of RECORD_STRIDE the
 * last ancestor whose height that power divides (publish/ancestry.h). */
#define RECORD_STRIDE 16
#define RECORD_LEVELS 5 /* 16, 256, 4096, 65536, 1048576 */
struct record_ancestor {
	uint64_t version; /* 0: none */
	struct digest digest;
};
struct record_ancestry {
	bool is_known;   /* false: the record is of a time before they were noted */
	uint64_t height; /* how many ancestors it has, as far as they are counted */
	uint64_t parent_version;
	struct record_ancestor at[RECORD_LEVELS];
};

struct record_change {
	enum record_op op;
	char namespace[LIMIT_NAME + 1];
	char name[LIMIT_NAME + 1];
	uint64_t version;
	struct digest digest;  /* of the artifact's manifest */
	struct author *author; /* a reference; NULL: nobody says. Written where the record's own is
				* another */
};

struct record_catalog {
	char repository[LIMIT_REPOSITORY + 1];
	struct digest digest; /* of the catalog's manifest */
};

struct record {
	uint64_t version;     /* the commit's: the highest ever issued, tag c<version> */
	bool has_parent;      /* false: the first of its chain */
	struct digest parent; /* manifest of the record before */
	struct record_ancestry ancestry;
	struct layout layout;
	struct root_options root; /* of a split layout; location "": the record does not say */
	struct record_repartition repartition;
	struct digest state;         /* over all catalogs' names and digests: state_digest() */
	struct record_freeze frozen; /* from this commit on */
	struct record_key key;
	struct record_keyed keyed; /* before this commit */
	size_t n_keyed_before; /* of one with a key: the last before it, newest first, so that */
	struct record_keyed_commit *keyed_before; /* many are found in few reads */
	/* Of the commit: of all its changes, or RECORD_SEVERAL where they have different ones. */
	char *who;
	char *from; /* NULL: not said, or not from outside */
	char *why;  /* as they said, or "init", "rebuild"; NULL: nothing */
	size_t n_changes;
	struct record_change *changes;
	size_t n_catalogs; /* those that changed */
	struct record_catalog *catalogs;
};

/* Frees what the record holds. */
void record_done(struct record *r);

const char *record_op_name(enum record_op op); /* "create" */

/* "c1764005082123456" */
void record_tag(uint64_t version, char ret[RECORD_TAG_SIZE]);
bool record_tag_parse(struct slice tag, uint64_t *ret_version);

/* Layer bytes (JSON) and the manifest around them. */
void record_write(const struct record *r, struct buf *ret);
void record_manifest(
	const struct digest *layer, uint64_t layer_size, uint64_t version, struct buf *ret);

/* A record of a newer format, or of a layout that this program does not know, is ERROR_UNAVAILABLE
 * and says so; a malformed one, or one that names catalogs which are none of its layout,
 * ERROR_INTERNAL. */
int record_parse(struct record *ret, struct slice json, struct error *err) MUST_CHECK;

#endif
