/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Open blob uploads (distribution-spec, "Pushing blobs"): sessions with an id, an offset and a
 * running hash, in memory. What has more than LIMIT_BLOB_IN_ROW bytes is in a file under uploads/.
 * The idle ones together hold little: past LIMIT_UPLOADS_HEADS and LIMIT_UPLOADS_FILES what is
 * longer than LIMIT_UPLOAD_HEAD leaves the memory, and files are closed. A restart ends them all.
 *
 * A session is claimed by one request at a time, which alone may write to it.
 */
#ifndef STORE_UPLOADS_H
#define STORE_UPLOADS_H

#include "store/store.h"

#define UPLOAD_ID_SIZE 33 /* 128 random bits in hex */

struct uploads;
struct upload;

int uploads_new(struct uploads **ret, struct store *store, struct error *err) MUST_CHECK;
void uploads_free(struct uploads *u); /* none may be claimed */

/* A new session, claimed. owner: who starts it, whatever the name; SLICE_NONE: it has no bound of
 * its own. At its bound, and at that of all, one that has been idle for long makes room, else
 * ERROR_TOO_MANY. */
int uploads_start(struct uploads *u, struct slice repository, struct slice owner,
	enum digest_algorithm algorithm, struct upload **ret, struct error *err) MUST_CHECK;
/* ERROR_NOT_FOUND; ERROR_CONFLICT while another request has it. */
int uploads_claim(struct uploads *u, struct slice repository, struct slice id, struct upload **ret,
	struct error *err) MUST_CHECK;
/* How far it is, claimed or not. */
int uploads_offset(struct uploads *u, struct slice repository, struct slice id, uint64_t *ret,
	struct error *err) MUST_CHECK;

/* Drops the sessions that nobody has written to for so long, or only counts them. Returns how many
 * they are, and in *ret_bytes what had come of them. Blocks. */
size_t uploads_sweep(struct uploads *u, uint64_t idle_ms, bool dry_run, uint64_t *ret_bytes);

/* Ends the claim; the session stays. Fails only after writes, when they have to move to the disk
 * and cannot: then the session is gone with its bytes. Blocks likewise: only after writes, and
 * above LIMIT_UPLOAD_HEAD. */
int upload_release(struct upload *up, struct error *err);
/* Ends the claim and the session. Blocks. */
void upload_drop(struct upload *up);

/* ---- of a claimed session ---- */

const char *upload_id(const struct upload *up);
uint64_t upload_offset(const struct upload *up);

/* Appends; on failure nothing of it was. Blocks. */
int upload_write(struct upload *up, struct slice bytes, struct error *err) MUST_CHECK;

/* Is it this content? Then it is made ready for store_blob_put(): *ret_bytes is what goes into the
 * row, borrowed until the upload is dropped. ERROR_INVALID when the digest is another. Blocks. */
int upload_finish(struct upload *up, const struct digest *digest, struct slice *ret_bytes,
	struct error *err) MUST_CHECK;

#endif
