/* SPDX-License-Identifier: Apache-2.0 */
#include "registry/known_blobs.h"

/* 1 MiB, of which the kernel gives only the touched pages. */
#define ENTRIES ((size_t)1 << 16)

struct entry {
	uint64_t repository; /* 0: empty */
	uint64_t blob;
};

struct known_blobs {
	struct entry entries[ENTRIES];
};

/* FNV-1a; never 0. */
static uint64_t hash(const void *p, size_t n)
{
	const unsigned char *bytes = p;
	uint64_t h = 0xcbf29ce484222325u;

	for (size_t i = 0; i < n; i++)
		h = (h ^ bytes[i]) * 0x100000001b3u;
	return h | 1;
}

static struct entry entry_of(const char *repository, const struct digest *blob)
{
	return (struct entry){
		.repository = hash(repository, strlen(repository)),
		.blob = hash(blob->bytes, sizeof(blob->bytes)),
	};
}

/* Both hashes are odd, hence the shift. */
static size_t place_of(struct entry e)
{
	return ((e.repository ^ e.blob * 3) >> 1) % ENTRIES;
}

int known_blobs_new(struct known_blobs **ret, struct error *err)
{
	struct known_blobs *known = calloc(1, sizeof(*known));

	if (known == NULL)
		return error_no_memory(err);
	*ret = known;
	return 0;
}

void known_blobs_free(struct known_blobs *known)
{
	free(known);
}

void known_blobs_add(struct known_blobs *known, const char *repository, const struct digest *blob)
{
	struct entry e = entry_of(repository, blob);

	known->entries[place_of(e)] = e;
}

bool known_blobs_has(
	const struct known_blobs *known, const char *repository, const struct digest *blob)
{
	struct entry e = entry_of(repository, blob);
	const struct entry *found = &known->entries[place_of(e)];

	return found->repository == e.repository && found->blob == e.blob;
}

void known_blobs_forget(struct known_blobs *known, const char *repository)
{
	uint64_t h = hash(repository, strlen(repository));

	for (size_t i = 0; i < ENTRIES; i++) {
		if (known->entries[i].repository == h)
			known->entries[i] = (struct entry){0};
	}
}
