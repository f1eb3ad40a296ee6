/* SPDX-License-Identifier: Apache-2.0 */
#include "fake_registry.h"

#include <stdio.h>

static struct fake *fake_of(struct registry *r)
{
	return (struct fake *)r;
}

static struct fake_tag *find_tag(struct fake *f, const char *repository, const char *tag)
{
	for (size_t i = 0; i < f->n_tags; i++)
		if (strcmp(f->tags[i].repository, repository) == 0 &&
			strcmp(f->tags[i].tag, tag) == 0)
			return &f->tags[i];
	return NULL;
}

static struct fake_blob *find_blob(
	struct fake *f, const char *repository, const struct digest *digest)
{
	for (size_t i = 0; i < f->n_blobs; i++)
		if (digest_eq(&f->blobs[i].digest, digest) &&
			(repository == NULL || strcmp(f->blobs[i].repository, repository) == 0))
			return &f->blobs[i];
	return NULL;
}

static void store_blob(
	struct fake *f, const char *repository, const struct digest *digest, struct slice bytes)
{
	if (find_blob(f, repository, digest) != NULL)
		return;
	ASSERT(f->n_blobs < FAKE_MAX);
	f->blobs[f->n_blobs++] =
		(struct fake_blob){strdup(repository), *digest, {slice_dup(bytes), bytes.n}};
}

static void store_tag(
	struct fake *f, const char *repository, const char *tag, const struct digest *digest)
{
	struct fake_tag *t = find_tag(f, repository, tag);

	if (t == NULL) {
		ASSERT(f->n_tags < FAKE_MAX);
		t = &f->tags[f->n_tags++];
		t->repository = strdup(repository);
		t->tag = strdup(tag);
	}
	t->digest = *digest;
}

static enum fake_fault next_call(struct fake *f)
{
	size_t call = f->n_calls++;

	return call >= f->fault_at && call - f->fault_at < f->faults ? f->fault : FAKE_OK;
}

static int unavailable(struct error *err)
{
	return error_set(err, ERROR_UNAVAILABLE, "the fake registry is down");
}

static int fake_begin(struct registry *r, struct error *err UNUSED)
{
	struct fake *f = fake_of(r);

	AZ(pthread_mutex_lock(&f->lock));
	memcpy(f->tags_at_begin, f->tags, f->n_tags * sizeof(f->tags[0]));
	f->n_tags_at_begin = f->n_tags;
	return 0;
}

static void store_push(struct fake *f, struct push *p)
{
	struct fake_tag *old = p->tag == NULL ? NULL : find_tag(f, p->repository, p->tag);

	if (p->tag_is_new && old != NULL && !digest_eq(&old->digest, &p->digest)) {
		error_set(&p->err, ERROR_CONFLICT, "tag %s is there", p->tag);
		return;
	}
	for (size_t i = 0; i < p->n_blobs; i++)
		store_blob(f, p->repository, &p->blobs[i].digest, p->blobs[i].bytes);
	store_blob(f, p->repository, &p->digest, p->manifest);
	if (p->tag != NULL)
		store_tag(f, p->repository, p->tag, &p->digest);
	if (p->moves_latest) {
		ASSERT(f->registry.atomic);
		store_tag(f, p->repository, "latest", &p->digest);
	}
}

static void note_tag(struct fake *f, const char *repository, const char *tag)
{
	size_t len = strlen(f->last_pushes);

	snprintf(f->last_pushes + len, sizeof(f->last_pushes) - len, "%s:%s ", repository, tag);
}

static void note_push(struct fake *f, const struct push *p)
{
	f->n_pushes++;
	note_tag(f, p->repository, p->tag != NULL ? p->tag : "");
	if (p->moves_latest)
		note_tag(f, p->repository, "latest");
}

static void fake_push(struct registry *r, struct push *pushes, size_t n)
{
	struct fake *f = fake_of(r);

	for (size_t i = 0; i < n; i++) {
		enum fake_fault fault = next_call(f);

		pushes[i].err = (struct error)ERROR_INIT;
		note_push(f, &pushes[i]);
		if (fault == FAKE_OK || fault == FAKE_LOST_AFTER)
			store_push(f, &pushes[i]);
		if (fault == FAKE_UNAVAILABLE)
			unavailable(&pushes[i].err);
		else if (fault != FAKE_OK)
			error_set(&pushes[i].err, ERROR_UNKNOWN_OUTCOME, "the answer was lost");
	}
}

static void undo(struct fake *f)
{
	for (size_t i = f->n_tags_at_begin; i < f->n_tags; i++) {
		free(f->tags[i].repository);
		free(f->tags[i].tag);
	}
	memcpy(f->tags, f->tags_at_begin, f->n_tags_at_begin * sizeof(f->tags[0]));
	f->n_tags = f->n_tags_at_begin;
}

static int fake_commit(struct registry *r, struct error *err)
{
	struct fake *f = fake_of(r);
	int rc = 0;

	if (r->atomic && next_call(f) != FAKE_OK) {
		undo(f);
		rc = unavailable(err);
	}
	AZ(pthread_mutex_unlock(&f->lock));
	return rc;
}

static void fake_rollback(struct registry *r)
{
	struct fake *f = fake_of(r);

	if (r->atomic)
		undo(f);
	AZ(pthread_mutex_unlock(&f->lock));
}

static bool read_fails(struct fake *f, struct error *err)
{
	enum fake_fault fault = next_call(f);

	if (fault == FAKE_DENIED)
		error_set(err, ERROR_DENIED, "the fake registry denies it");
	else if (fault != FAKE_OK)
		unavailable(err);
	return fault != FAKE_OK;
}

static int look_one(struct fake *f, struct look *l, struct error *err)
{
	struct fake_tag *t = find_tag(f, l->repository, l->tag);

	if (read_fails(f, err))
		return -1;
	if (t == NULL)
		return error_set(err, ERROR_NOT_FOUND, "no tag %s", l->tag);
	l->digest = t->digest;
	return 0;
}

static void fake_look(struct registry *r, struct look *looks, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (look_one(fake_of(r), &looks[i], &looks[i].err) == 0)
			looks[i].err = (struct error)ERROR_INIT;
	}
}

static int read_bytes(struct fake *f, const char *repository, const struct digest *digest,
	struct buf *ret, struct error *err)
{
	struct fake_blob *b = find_blob(f, repository, digest);
	struct digest actual;

	if (read_fails(f, err))
		return -1;
	if (b == NULL)
		return error_set(err, ERROR_NOT_FOUND, "not there");
	actual = digest_of_as(digest->algorithm, b->bytes);
	if (!digest_eq(&actual, digest))
		return error_set(err, ERROR_INTERNAL, "the bytes do not match their digest");
	buf_add(ret, b->bytes);
	return buf_check(ret, err);
}

static int fake_manifest(struct registry *r, const char *repository, const char *reference,
	struct buf *ret, struct digest *ret_digest, struct error *err)
{
	struct fake *f = fake_of(r);
	struct digest digest;

	if (digest_parse(&digest, slice_of(reference), err) != 0) {
		struct fake_tag *t = find_tag(f, repository, reference);

		if (t == NULL)
			return error_set(err, ERROR_NOT_FOUND, "no tag %s", reference);
		digest = t->digest;
	}
	if (read_bytes(f, repository, &digest, ret, err) != 0)
		return -1;
	*ret_digest = digest;
	return 0;
}

static int fake_blob_get(struct registry *r, const char *repository, const struct digest *digest,
	struct buf *ret, struct error *err)
{
	return read_bytes(fake_of(r), repository, digest, ret, err);
}

/* The first that sorts after that tag, or NULL. */
static const char *next_tag(struct fake *f, const char *repository, const char *after)
{
	const char *next = NULL;

	for (size_t i = 0; i < f->n_tags; i++) {
		const struct fake_tag *t = &f->tags[i];

		if (strcmp(t->repository, repository) == 0 && strcmp(t->tag, after) > 0 &&
			(next == NULL || strcmp(t->tag, next) < 0))
			next = t->tag;
	}
	return next;
}

static int fake_tags(struct registry *r, const char *repository, const char *after,
	int (*each)(struct slice tag, void *arg, struct error *err), void *arg, struct error *err)
{
	struct fake *f = fake_of(r);

	if (after != NULL) {
		while ((after = next_tag(f, repository, after)) != NULL)
			if (each(slice_of(after), arg, err) != 0)
				return -1;
		return 0;
	}
	for (size_t i = 0; i < f->n_tags; i++)
		if (strcmp(f->tags[i].repository, repository) == 0 &&
			each(slice_of(f->tags[i].tag), arg, err) != 0)
			return -1;
	return 0;
}

static int fake_repositories(struct registry *r,
	int (*each)(struct slice repository, void *arg, struct error *err), void *arg,
	struct error *err)
{
	struct fake *f = fake_of(r);

	for (size_t i = 0; i < f->n_tags; i++) {
		bool seen = false;

		for (size_t j = 0; j < i && !seen; j++)
			seen = strcmp(f->tags[i].repository, f->tags[j].repository) == 0;
		for (unsigned times = seen ? 0 : f->lists_twice ? 2 : 1; times > 0; times--)
			if (each(slice_of(f->tags[i].repository), arg, err) != 0)
				return -1;
	}
	return 0;
}

static int untag_one(struct fake *f, const char *repository, const char *tag, struct error *err)
{
	if (next_call(f) != FAKE_OK)
		return unavailable(err);
	if (f->refuses_untag)
		return error_set(err, ERROR_NOT_IMPLEMENTED, "tags cannot be deleted here");
	if (find_tag(f, repository, tag) == NULL)
		return error_set(err, ERROR_NOT_FOUND, "no tag %s", tag);
	fake_drop_tag(f, repository, tag);
	return 0;
}

static void fake_untag(struct registry *r, const char *repository, struct untag *untags, size_t n)
{
	struct error failure = ERROR_INIT;

	for (size_t i = 0; i < n; i++) {
		struct untag *u = &untags[i];

		u->err = failure;
		if (failure.code == ERROR_NONE &&
			untag_one(fake_of(r), repository, u->tag, &u->err) != 0 &&
			u->err.code != ERROR_NOT_FOUND)
			failure = u->err;
	}
}

static void fake_op_free(struct registry *r UNUSED)
{
}

static const struct registry_ops ops = {
	.begin = fake_begin,
	.push = fake_push,
	.commit = fake_commit,
	.rollback = fake_rollback,
	.pull = registry_pull_in_turn,
	.look = fake_look,
	.manifest = fake_manifest,
	.blob = fake_blob_get,
	.tags = fake_tags,
	.repositories = fake_repositories,
	.untag = fake_untag,
	.free = fake_op_free,
};

struct fake *fake_new(bool atomic)
{
	struct fake *f = calloc(1, sizeof(*f));

	AN(f);
	f->registry = (struct registry){&ops, atomic};
	f->fault_at = SIZE_MAX;
	AZ(pthread_mutex_init(&f->lock, NULL));
	return f;
}

void fake_destroy(struct fake *f)
{
	for (size_t i = 0; i < f->n_blobs; i++) {
		free(f->blobs[i].repository);
		free((char *)f->blobs[i].bytes.p);
	}
	for (size_t i = 0; i < f->n_tags; i++) {
		free(f->tags[i].repository);
		free(f->tags[i].tag);
	}
	AZ(pthread_mutex_destroy(&f->lock));
	free(f);
}

void fake_forget(struct fake *f)
{
	f->n_pushes = 0;
	f->last_pushes[0] = '\0';
}

void fake_fail(struct fake *f, size_t n, size_t times, enum fake_fault fault)
{
	f->fault_at = f->n_calls + n;
	f->faults = times;
	f->fault = fault;
}

bool fake_resolve(struct fake *f, const char *repository, const char *tag, struct digest *ret)
{
	struct fake_tag *t = find_tag(f, repository, tag);

	if (t != NULL)
		*ret = t->digest;
	return t != NULL;
}

void fake_drop_tag(struct fake *f, const char *repository, const char *tag)
{
	struct fake_tag *t = find_tag(f, repository, tag);

	if (t == NULL)
		return;
	free(t->repository);
	free(t->tag);
	*t = f->tags[--f->n_tags];
}

void fake_copy(struct fake *f, const char *from, const char *to, const struct digest *digest)
{
	struct fake_blob *b = find_blob(f, from, digest);

	AN(b);
	store_blob(f, to, digest, b->bytes);
}

void fake_damage(struct fake *f, const struct digest *digest)
{
	struct fake_blob *b = find_blob(f, NULL, digest);

	AN(b);
	((char *)b->bytes.p)[b->bytes.n / 2] ^= 1;
}

void fake_set_tag(struct fake *f, const char *repository, const char *tag, const struct digest *d)
{
	store_tag(f, repository, tag, d);
}
