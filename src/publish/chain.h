/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The chain of commit records, from commits:latest back to the first one, each found by the digest
 * that the next one names as its parent. It may be read beside a server.
 *
 * What it proves: every record from the head to the first is there, its bytes are those of its
 * digest, it has its tag, and no record that others were committed on top of has been left out.
 * What it cannot prove, unless the records are signed: that somebody who can write to the registry
 * has not made all of it again; and never, that the last commit has not been taken away: its record
 * looks like that of a commit that failed, which may be signed too. So the head's digest is to be
 * kept elsewhere now and then.
 */
#ifndef PUBLISH_CHAIN_H
#define PUBLISH_CHAIN_H

#include "catalog/record.h"
#include "oci/registry.h"
#include "sign/key.h"

struct chain_options {
	const struct sign_keys *keys; /* borrowed; NULL: signatures are not looked at */
	uint64_t signed_since; /* records of older versions need none; the head does. 0: all do */
	/* Each record, newest first, and the one before it (NULL: it is the first). False: that is
	 * enough. NULL: nobody is told. */
	bool (*each)(const struct record *record, const struct record *parent, void *arg);
	void *arg;
};

struct chain_result {
	size_t records;
	uint64_t newest, oldest; /* versions */
	struct digest head;      /* of the newest one's manifest */
	uint64_t signed_back_to; /* the oldest that had to be signed, and is; 0: none */
	size_t unfinished;       /* records of commits that failed: nothing was built on them */
	/* Newer than the head, and nothing was built on them: their commits failed, are being made,
	 * or were taken back by moving commits:latest. */
	size_t above;
	uint64_t newest_above; /* of them */
	size_t forgotten;      /* older ones, of before a rebuild that found none to go on from */
};

/* ERROR_INTERNAL: the first break, counted from the head: which record, and what is wrong;
 * ERROR_NOT_FOUND: there is no record at all. Blocks. */
int chain_walk(struct registry *registry, const struct chain_options *options,
	struct chain_result *ret, struct error *err) MUST_CHECK;

#endif
