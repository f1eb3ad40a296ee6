/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to store. A layer between SQLite and the file system that writes the WAL in large pieces:
 * SQLite writes each frame of a transaction with two calls of its own, hundreds in a commit, one
 * after the other in the file.
 *
 * What SQLite has written is in memory until it syncs, reads the file or asks for its size. That
 * changes nothing for others: readers look only at frames that the shared index names, and with
 * synchronous=FULL the writer syncs before it adds them there (sqlite.org/walformat.html, section
 * 2). A write that fails is told at the sync, and undoes the transaction as one would.
 */
#ifndef STORE_WAL_VFS_H
#define STORE_WAL_VFS_H

/* For sqlite3_open_v2(), by the one connection that writes. */
#define WAL_VFS_NAME "gsq-wal"

/* Once per process, before the name is used. */
void wal_vfs_register(void);

#endif
