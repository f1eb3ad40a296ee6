/* SPDX-License-Identifier: Apache-2.0 */
#include "store/layout_batch.h"

void layout_change_done(struct layout_change *c)
{
	buf_done(&c->bytes);
}

static void clear(struct layout_batch *b)
{
	for (size_t i = 0; i < b->n; i++)
		layout_change_done(&b->changes[i]);
	b->n = b->bytes = 0;
}

void layout_batch_done(struct layout_batch *b)
{
	clear(b);
}

static int put_blob(const struct layout_change *c, struct store_conn *tx, struct error *err)
{
	return store_blob_put(tx, c->repository, &c->digest, c->size, buf_slice(&c->bytes), err);
}

static int mount_blob(const struct layout_change *c, struct store_conn *tx, struct error *err)
{
	return store_blob_mount(tx, c->repository, SLICE_NONE, &c->digest, err);
}

static int put_manifest(const struct layout_change *c, struct store_conn *tx, struct error *err)
{
	/* What is missing was missing in the layout, and allowed to be. */
	struct store_push push = {
		.repository = c->repository,
		.n_tags = c->tag.p != NULL,
		.tags = &c->tag,
		.n_new_tags = c->immutable,
		.sparse = true,
		.media_type = c->type,
		.bytes = buf_slice(&c->bytes),
		.digest = c->digest,
	};

	return store_manifest_put(tx, &push, err);
}

static int apply(const struct layout_batch *b, struct store_conn *tx, struct error *err)
{
	static int (*const appliers[])(
		const struct layout_change *, struct store_conn *, struct error *) = {
		[LAYOUT_PUT_BLOB] = put_blob,
		[LAYOUT_MOUNT_BLOB] = mount_blob,
		[LAYOUT_PUT_MANIFEST] = put_manifest,
	};

	for (size_t i = 0; i < b->n; i++)
		if (appliers[b->changes[i].kind](&b->changes[i], tx, err) != 0)
			return -1;
	return 0;
}

static int write_all(struct layout_batch *b, struct error *err)
{
	struct error failure = ERROR_INIT;
	struct store_conn *tx;

	if (store_begin(b->store, &tx, err) != 0)
		return -1;
	if (apply(b, tx, err) == 0)
		return store_commit(b->store, err);
	/* A refusal wrote nothing. After a failure of the database this rolls back. */
	if (store_commit(b->store, &failure) != 0)
		*err = failure;
	return -1;
}

int layout_batch_flush(struct layout_batch *b, struct error *err)
{
	int result = b->n == 0 ? 0 : write_all(b, err);

	clear(b);
	return result;
}

int layout_batch_add(struct layout_batch *b, struct layout_change *change, struct error *err)
{
	ASSERT(b->n < ARRAY_SIZE(b->changes));
	b->changes[b->n++] = *change;
	b->bytes += change->bytes.len;
	buf_init(&change->bytes, 0);
	if (b->n < ARRAY_SIZE(b->changes) && b->bytes < LIMIT_LAYOUT_BATCH)
		return 0;
	return layout_batch_flush(b, err);
}

static bool has(const struct layout_batch *b, bool manifest, struct slice repository,
	const struct digest *digest)
{
	for (size_t i = 0; i < b->n; i++) {
		const struct layout_change *c = &b->changes[i];

		if ((c->kind == LAYOUT_PUT_MANIFEST) == manifest && digest_eq(&c->digest, digest) &&
			(repository.p == NULL || slice_eq(repository, c->repository)))
			return true;
	}
	return false;
}

bool layout_batch_has_blob(
	const struct layout_batch *b, struct slice repository, const struct digest *digest)
{
	return has(b, false, repository, digest);
}

bool layout_batch_has_manifest(
	const struct layout_batch *b, struct slice repository, const struct digest *digest)
{
	return has(b, true, repository, digest);
}
