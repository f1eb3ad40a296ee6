/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A registry in memory that fails on demand, for tests of publish. Like the real ones it is used by
 * one thread at a time; two publishers on one store take turns by the lock inside.
 */
#ifndef TESTS_UNIT_FAKE_REGISTRY_H
#define TESTS_UNIT_FAKE_REGISTRY_H

#include "oci/registry.h"

#include <pthread.h>

#define FAKE_MAX 20000

struct fake_blob {
	char *repository;
	struct digest digest;
	struct slice bytes; /* a manifest or a blob */
};

struct fake_tag {
	char *repository, *tag;
	struct digest digest;
};

enum fake_fault {
	FAKE_OK,
	FAKE_UNAVAILABLE, /* not done, and said so */
	FAKE_LOST_BEFORE, /* not done, but the answer was lost: unknown */
	FAKE_LOST_AFTER,  /* done, but the answer was lost: unknown */
	FAKE_DENIED,      /* a read: the registry's own "denied" */
};

struct fake {
	struct registry registry;
	pthread_mutex_t lock;
	size_t n_blobs, n_tags, n_tags_at_begin;
	struct fake_blob blobs[FAKE_MAX];
	struct fake_tag tags[FAKE_MAX];
	struct fake_tag tags_at_begin[FAKE_MAX];

	size_t n_calls;  /* calls so far: a push each, a read each */
	size_t n_pushes; /* pushes among them */
	size_t fault_at; /* the call that fails; SIZE_MAX: none */
	size_t faults;   /* how many calls fail from there on */
	enum fake_fault fault;
	bool refuses_untag;
	bool lists_twice;       /* repositories, as where pages shift while they are read */
	char last_pushes[8192]; /* "repository:tag " of every push since fake_forget() */
};

struct fake *fake_new(bool atomic);
void fake_destroy(struct fake *f);
void fake_forget(struct fake *f);
/* The n-th call from now (0 is the next) and `times - 1` after it fail. */
void fake_fail(struct fake *f, size_t n, size_t times, enum fake_fault fault);
bool fake_resolve(struct fake *f, const char *repository, const char *tag, struct digest *ret);
void fake_drop_tag(struct fake *f, const char *repository, const char *tag);
/* Gives one repository what another has. */
void fake_copy(struct fake *f, const char *from, const char *to, const struct digest *digest);
/* Changes one byte of what the digest names. */
void fake_damage(struct fake *f, const struct digest *digest);
void fake_set_tag(struct fake *f, const char *repository, const char *tag, const struct digest *d);

#endif
