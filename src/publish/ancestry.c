/* SPDX-License-Identifier: Apache-2.0 */
#include "publish/ancestry.h"

#include "publish/head.h"
#include "publish/trace.h"

void ancestor_done(struct ancestor *a)
{
	record_done(&a->record);
	a->record = (struct record){.version = 0};
}

int ancestry_head(struct ancestor *ret, struct registry *registry, struct error *err)
{
	struct ancestor head;

	if (head_read_record(&head.record, &head.digest, registry, err) != 0)
		return -1;
	*ret = head;
	return 0;
}

/* The farthest step back that does not pass the version. */
static struct record_ancestor step(const struct record *r, uint64_t version)
{
	const struct record_ancestry *a = &r->ancestry;

	for (size_t i = RECORD_LEVELS; i > 0; i--)
		if (a->at[i - 1].version != 0 && a->at[i - 1].version >= version)
			return a->at[i - 1];
	return (struct record_ancestor){a->parent_version, r->parent};
}

static int read_ancestor(struct ancestor *ret, const struct record_ancestor *a,
	struct registry *registry, struct error *err)
{
	struct ancestor read = {.digest = a->digest};

	if (trace_record(&read.record, &a->digest, registry, err) != 0)
		return -1;
	if (a->version == 0 || read.record.version == a->version) {
		*ret = read;
		return 0;
	}
	record_done(&read.record);
	return error_set(err, ERROR_INTERNAL,
		"the commit records contradict each other: one says that c%llu comes before it, "
		"and another record is there",
		(unsigned long long)a->version);
}

/* One step towards the version; *ret_there where no ancestor is nearer to it. */
static int approach(struct ancestor *at, bool *ret_there, struct registry *registry,
	uint64_t version, struct error *err)
{
	struct record_ancestor next = step(&at->record, version);
	struct ancestor read;

	*ret_there = next.version != 0 && next.version < version;
	if (*ret_there)
		return 0;
	if (read_ancestor(&read, &next, registry, err) != 0)
		return -1;
	*ret_there = read.record.version < version;
	if (*ret_there) {
		ancestor_done(&read);
		return 0;
	}
	ancestor_done(at);
	*at = read;
	return 0;
}

int ancestry_seek(
	struct ancestor *at, struct registry *registry, uint64_t version, struct error *err)
{
	bool there = false;

	while (!there && at->record.version > version && at->record.has_parent)
		if (approach(at, &there, registry, version, err) != 0)
			return -1;
	return 0;
}

void ancestry_of_child(struct record_ancestry *ret, const struct record_ancestry *parent,
	uint64_t parent_version, const struct digest *parent_digest)
{
	uint64_t height = parent->is_known ? parent->height : 0, stride = 1;

	*ret = (struct record_ancestry){
		.is_known = true, .height = height + 1, .parent_version = parent_version};
	for (size_t i = 0; i < RECORD_LEVELS; i++) {
		stride *= RECORD_STRIDE;
		ret->at[i] = height % stride == 0
				     ? (struct record_ancestor){parent_version, *parent_digest}
				     : parent->at[i];
	}
}
