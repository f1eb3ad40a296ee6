/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A copy of the whole store at one moment, while it is written to: one tar file with registry.db
 * and blobs/, as the data folder has them. To restore it, unpack it into an empty folder.
 */
#ifndef STORE_BACKUP_H
#define STORE_BACKUP_H

#include "store/store.h"

/* Writes path whole and durable, or leaves what was there. Not at the same time as garbage
 * collection. */
int store_backup(
	struct store *s, const char *path, uint64_t *ret_bytes, struct error *err) MUST_CHECK;

#endif
