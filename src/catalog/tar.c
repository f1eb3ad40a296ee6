/* SPDX-License-Identifier: Apache-2.0 */
#include "catalog/tar.h"

#include "base/limits.h"

#define SIZE_OCTAL_END (UINT64_C(1) << 33) /* eleven octal digits */

enum { TYPE_FILE = '0', TYPE_FOLDER = '5', TYPE_LONG_NAME = 'L' };

/* POSIX.1-1988 ustar header; numbers are octal text. */
struct header {
	char name[100];
	char mode[8];
	char uid[8];
	char gid[8];
	char size[12];
	char mtime[12];
	char checksum[8];
	char type;
	char linkname[100];
	char magic[6];
	char version[2];
	char uname[32];
	char gname[32];
	char devmajor[8];
	char devminor[8];
	char prefix[155];
	char pad[12];
};
_Static_assert(sizeof(struct header) == TAR_BLOCK, "a tar header is one block");

/* So many octal digits; the field is zeroed behind them. */
static void set_octal(char *field, size_t digits, uint64_t value)
{
	for (size_t i = digits; i-- > 0; value >>= 3)
		field[i] = (char)('0' + (value & 7));
}

/* The checksum is the sum of all bytes, its own field read as spaces. */
static unsigned checksum(const struct header *h)
{
	const unsigned char *bytes = (const unsigned char *)h;
	unsigned sum = 0;

	for (size_t i = 0; i < sizeof(*h); i++)
		sum += bytes[i];
	return sum;
}

/* False where the path fits neither in name nor, split at its last slash, in prefix and name. */
static bool set_path(struct header *h, struct slice path)
{
	const char *slash = memrchr(path.p, '/', path.n);
	size_t prefix;

	if (path.n <= sizeof(h->name)) {
		memcpy(h->name, path.p, path.n);
		return true;
	}
	if (slash == NULL)
		return false;
	prefix = (size_t)(slash - path.p);
	if (prefix > sizeof(h->prefix) || path.n - prefix - 1 > sizeof(h->name))
		return false;
	memcpy(h->prefix, path.p, prefix);
	memcpy(h->name, slash + 1, path.n - prefix - 1);
	return true;
}

/* Octal digits, or where they do not fit, GNU's form: the top bit set, then big-endian. */
static void set_size(struct header *h, uint64_t size)
{
	if (size < SIZE_OCTAL_END) {
		set_octal(h->size, sizeof(h->size) - 1, size);
		return;
	}
	for (size_t i = sizeof(h->size); i-- > 0; size >>= 8)
		h->size[i] = (char)(size & 0xff);
	h->size[0] = (char)0x80;
}

/* All but the name. */
static void init_header(struct header *ret, const struct tar_entry *entry)
{
	*ret = (struct header){
		.uid = "0000000",
		.gid = "0000000",
		.type = slice_ends(entry->path, SLICE("/")) ? TYPE_FOLDER : TYPE_FILE,
		.magic = "ustar",
		.version = {'0', '0'},
		.devmajor = "0000000",
		.devminor = "0000000",
	};
	set_octal(ret->mode, sizeof(ret->mode) - 1, entry->mode & 0777);
	set_octal(ret->mtime, sizeof(ret->mtime) - 1, entry->mtime_s);
	set_size(ret, entry->size);
}

static void set_checksum(struct header *h)
{
	char sum[6];

	memset(h->checksum, ' ', sizeof(h->checksum));
	set_octal(sum, sizeof(sum), checksum(h));
	memcpy(h->checksum, sum, sizeof(sum));
	h->checksum[sizeof(sum)] = '\0';
}

static bool make_header(struct header *ret, const struct tar_entry *entry)
{
	init_header(ret, entry);
	if (!set_path(ret, entry->path))
		return false;
	set_checksum(ret);
	return true;
}

static struct tar_entry catalog_entry(struct slice path, size_t size)
{
	return (struct tar_entry){.path = path, .size = size, .mode = 0644};
}

void tar_set_header(void *ret, struct slice path, size_t size)
{
	struct tar_entry entry = catalog_entry(path, size);
	struct header h;
	bool fits = make_header(&h, &entry);

	ASSERT(fits && size <= LIMIT_CATALOG_TAR);
	memcpy(ret, &h, sizeof(h));
}

void tar_add_header(struct buf *ret, struct slice path, size_t size)
{
	void *room = buf_room(ret, TAR_BLOCK);

	if (room == NULL)
		return;
	tar_set_header(room, path, size);
	buf_claim(ret, TAR_BLOCK);
}

static void add_zeros(struct buf *ret, size_t n)
{
	static const char zeros[2 * TAR_BLOCK];

	buf_append(ret, zeros, n);
}

static size_t padding(size_t size)
{
	return (TAR_BLOCK - size % TAR_BLOCK) % TAR_BLOCK;
}

void tar_add_padding(struct buf *ret, size_t size)
{
	add_zeros(ret, padding(size));
}

/* GNU's long name: an entry of its own, whose content is the path with its NUL. */
static void add_long_name(struct buf *ret, struct slice path)
{
	struct tar_entry entry = {.path = SLICE("././@LongLink"), .size = path.n + 1};
	struct header h;

	init_header(&h, &entry);
	set_path(&h, entry.path);
	h.type = TYPE_LONG_NAME;
	set_checksum(&h);
	buf_append(ret, &h, sizeof(h));
	buf_add(ret, path);
	buf_putc(ret, '\0');
	tar_add_padding(ret, path.n + 1);
}

void tar_add_entry(struct buf *ret, const struct tar_entry *entry)
{
	struct header h;

	if (!make_header(&h, entry)) {
		add_long_name(ret, entry->path);
		memcpy(h.name, entry->path.p, sizeof(h.name));
		set_checksum(&h);
	}
	buf_append(ret, &h, sizeof(h));
}

void tar_add_end(struct buf *ret)
{
	add_zeros(ret, 2 * TAR_BLOCK);
}

static bool all_zero(struct slice s)
{
	/* It begins with a zero, and each byte is as the one before. */
	return s.n == 0 || (s.p[0] == '\0' && memcmp(s.p, s.p + 1, s.n - 1) == 0);
}

static int malformed(size_t at, struct error *err)
{
	return error_set(err, ERROR_INTERNAL, "the tar is damaged at byte %zu", at);
}

/* The size field, or -1: eleven octal digits. */
static int64_t header_size(const struct header *h)
{
	int64_t size = 0;

	for (size_t i = 0; i < sizeof(h->size) - 1; i++) {
		if (h->size[i] < '0' || h->size[i] > '7')
			return -1;
		size = size * 8 + (h->size[i] - '0');
	}
	return size;
}

static void copy_path(const struct header *h, char ret[TAR_PATH_MAX + 1])
{
	size_t prefix = strnlen(h->prefix, sizeof(h->prefix));
	size_t name = strnlen(h->name, sizeof(h->name));

	_Static_assert(sizeof(h->prefix) + sizeof(h->name) <= TAR_PATH_MAX, "with a slash between");
	memcpy(ret, h->prefix, prefix);
	if (prefix > 0)
		ret[prefix++] = '/';
	memcpy(ret + prefix, h->name, name);
	ret[prefix + name] = '\0';
}

int tar_next(struct slice tar, size_t *at, struct tar_file *ret, struct error *err)
{
	size_t left = tar.n - *at, size;
	struct header h, expected;
	struct tar_entry entry;
	struct tar_file file;
	int64_t parsed;

	if (left < sizeof(h))
		return malformed(*at, err);
	memcpy(&h, tar.p + *at, sizeof(h));
	if (h.name[0] == '\0') {
		if (left != 2 * TAR_BLOCK || !all_zero((struct slice){tar.p + *at, left}))
			return malformed(*at, err);
		return 0;
	}
	parsed = header_size(&h);
	if (parsed < 0 || (size_t)parsed > left - sizeof(h))
		return malformed(*at, err);
	size = (size_t)parsed;
	if (size + padding(size) > left - sizeof(h))
		return malformed(*at, err);
	copy_path(&h, file.path);
	/* Written again it must be the same: no other mode, owner, type or split goes through. */
	entry = catalog_entry(slice_of(file.path), size);
	if (!make_header(&expected, &entry) || memcmp(&h, &expected, sizeof(h)) != 0)
		return malformed(*at, err);
	file.content = (struct slice){tar.p + *at + sizeof(h), size};
	if (!all_zero((struct slice){file.content.p + size, padding(size)}))
		return malformed(*at + sizeof(h) + size, err);
	*at += sizeof(h) + size + padding(size);
	*ret = file;
	return 1;
}
