/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A copy of the whole store at one moment, while it is written to: one tar file with registry.db
 * and blobs/, as the data folder has them. To restore it, unpack it into an empty folder.
 */
#ifndef STORE_BACKUP_H
#define STORE_BACKUP_H

#include "store/store.h"

struct backup_report {
	uint64_t bytes;   /* of the file */
	uint64_t damaged; /* blobs that are not in it: missing in the store, or not what was pushed
			   */
	struct buf text;  /* a line for each of them, up to LIMIT_VERIFY_TEXT in all */
};
void backup_report_init(struct backup_report *r);
void backup_report_done(struct backup_report *r);

/*
 * Writes path whole and durable, or leaves what was there. Damaged blobs do not fail it: the file
 * holds everything else, and the report names them. Until it is whole, path.partial and
 * path.partial.db, a copy of the database, are beside it: nothing is written to the store's disk.
 * ERROR_INVALID: path is in the data folder or below it, or is no regular file. Not at the same
 * time as garbage collection.
 */
int store_backup(
	struct store *s, const char *path, struct backup_report *ret, struct error *err) MUST_CHECK;

#endif
