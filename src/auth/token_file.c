/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/token_file.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/timestamp.h"
#include "intent/intent.h"
#include "intent/text.h"
#include "oci/json_read.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>

#define US_PER_S 1000000

/* ---- one row ---- */

int token_name_check(const char *name, struct error *err)
{
	char excerpt[INTENT_EXCERPT_SIZE];

	if (intent_name_ok(slice_of(name)))
		return 0;
	return error_set(err, ERROR_INVALID,
		"the token's name \"%s\" must be at most %d lower-case letters, digits and dashes, "
		"with no dash at either end",
		intent_excerpt(slice_of(name), excerpt), LIMIT_NAME);
}

static int check_namespace(const char *name, bool alone, struct error *err)
{
	char excerpt[INTENT_EXCERPT_SIZE];

	if (strcmp(name, AUTH_EVERYWHERE) == 0) {
		if (alone)
			return 0;
		return error_set(err, ERROR_INVALID,
			"the namespace \"*\" is all of them; leave the others out");
	}
	if (intent_name_ok(slice_of(name)))
		return 0;
	return error_set(err, ERROR_INVALID, "\"%s\" cannot be the name of a namespace",
		intent_excerpt(slice_of(name), excerpt));
}

int token_namespaces_check(size_t n, const char *const *namespaces, struct error *err)
{
	if (n == 0 || n > LIMIT_NAMESPACES)
		return error_set(err, ERROR_INVALID,
			"a token is for 1 to %d namespaces, or for \"*\"; this one has %zu",
			LIMIT_NAMESPACES, n);
	for (size_t i = 0; i < n; i++)
		if (check_namespace(namespaces[i], n == 1, err) != 0)
			return -1;
	return 0;
}

/* NULL: it is no string. */
static const char *text_of(const json_t *value, const char *key, struct error *err)
{
	const char *text = json_string_value(value);

	if (text == NULL)
		error_set(err, ERROR_INVALID, "\"%s\" must be a string", key);
	return text;
}

static int read_name(struct token_entry *e, const json_t *value, const char *key, struct error *err)
{
	e->row.name = text_of(value, key, err);
	if (e->row.name == NULL)
		return -1;
	return token_name_check(e->row.name, err);
}

static int read_role(struct token_entry *e, const json_t *value, const char *key, struct error *err)
{
	char excerpt[INTENT_EXCERPT_SIZE];
	const char *text = text_of(value, key, err);

	if (text == NULL)
		return -1;
	if (role_parse(slice_of(text), &e->row.role))
		return 0;
	return error_set(err, ERROR_INVALID,
		"there is no role \"%s\"; write viewer, editor, admin or puller",
		intent_excerpt(slice_of(text), excerpt));
}

static int read_namespaces(
	struct token_entry *e, const json_t *value, const char *key, struct error *err)
{
	size_t n = json_array_size(value);

	if (!json_is_array(value))
		return error_set(err, ERROR_INVALID, "\"%s\" must be a list of names", key);
	e->namespaces = calloc(n + 1, sizeof(*e->namespaces));
	if (e->namespaces == NULL)
		return error_no_memory(err);
	for (size_t i = 0; i < n; i++) {
		e->namespaces[i] = text_of(json_array_get(value, i), key, err);
		if (e->namespaces[i] == NULL)
			return -1;
	}
	e->row.namespaces = e->namespaces;
	e->row.n_namespaces = n;
	return token_namespaces_check(n, e->namespaces, err);
}

static int read_time(uint64_t *ret_s, const json_t *value, const char *key, struct error *err)
{
	const char *text = text_of(value, key, err);
	uint64_t us;

	if (text == NULL)
		return -1;
	if (!timestamp_parse(slice_of(text), &us) || us < US_PER_S)
		return error_set(
			err, ERROR_INVALID, "\"%s\" must be a time like 2026-11-24T17:24:42Z", key);
	*ret_s = us / US_PER_S;
	return 0;
}

static int read_created(
	struct token_entry *e, const json_t *value, const char *key, struct error *err)
{
	return read_time(&e->row.created_s, value, key, err);
}

static int read_expires(
	struct token_entry *e, const json_t *value, const char *key, struct error *err)
{
	return read_time(&e->row.expires_s, value, key, err);
}

static int read_hash(struct token_entry *e, const json_t *value, const char *key, struct error *err)
{
	const char *text = text_of(value, key, err);

	if (text == NULL)
		return -1;
	if (digest_parse(&e->hash, slice_of(text), err) != 0)
		return error_wrap(err, "\"%s\"", key);
	if (e->hash.algorithm != DIGEST_SHA256)
		return error_set(err, ERROR_INVALID, "\"%s\" must begin with sha256:", key);
	return 0;
}

static const struct member {
	const char *key;
	bool optional;
	int (*read)(struct token_entry *e, const json_t *value, const char *key, struct error *err);
} members[] = {
	{"name", false, read_name},
	{"role", false, read_role},
	{"namespaces", false, read_namespaces},
	{"created", false, read_created},
	{"expires", true, read_expires},
	{"hash", false, read_hash},
};

static bool is_member(const char *key)
{
	for (size_t i = 0; i < ARRAY_SIZE(members); i++)
		if (strcmp(key, members[i].key) == 0)
			return true;
	return false;
}

static int check_keys(json_t *object, struct error *err)
{
	char excerpt[INTENT_EXCERPT_SIZE];
	const char *key;
	json_t *value;

	json_object_foreach(object, key, value)
	{
		if (!is_member(key))
			return error_set(err, ERROR_INVALID, "\"%s\" means nothing here; remove it",
				intent_excerpt(slice_of(key), excerpt));
	}
	return 0;
}

static int read_entry(struct token_entry *e, json_t *object, struct error *err)
{
	if (!json_is_object(object))
		return error_set(err, ERROR_INVALID, "it must be an object");
	for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
		const struct member *m = &members[i];
		const json_t *value = json_object_get(object, m->key);

		if (value == NULL && !m->optional)
			return error_set(err, ERROR_INVALID,
				"\"%s\" is missing; add it, or remove the row", m->key);
		if (value != NULL && m->read(e, value, m->key, err) != 0)
			return -1;
	}
	return check_keys(object, err);
}

/* ---- all rows ---- */

static int by_name(const void *a, const void *b)
{
	const struct token_entry *const *x = a, *const *y = b;

	return strcmp((*x)->row.name, (*y)->row.name);
}

static int by_hash(const void *a, const void *b)
{
	const struct token_entry *const *x = a, *const *y = b;

	return memcmp((*x)->hash.bytes, (*y)->hash.bytes, sizeof((*x)->hash.bytes));
}

static int check_unique(const struct token_file *f, const struct token_entry **sorted,
	int (*compare)(const void *a, const void *b), const char *what, struct error *err)
{
	qsort(sorted, f->n, sizeof(*sorted), compare);
	for (size_t i = 1; i < f->n; i++) {
		size_t one = (size_t)(sorted[i - 1] - f->entries) + 1;
		size_t two = (size_t)(sorted[i] - f->entries) + 1;

		if (compare(&sorted[i - 1], &sorted[i]) == 0)
			return error_set(err, ERROR_INVALID,
				"rows %zu and %zu have the same %s; remove one of them",
				one < two ? one : two, one < two ? two : one, what);
	}
	return 0;
}

static int check_all_unique(const struct token_file *f, struct error *err)
{
	AUTO_FREE const struct token_entry **sorted = calloc(f->n + 1, sizeof(*sorted));

	if (sorted == NULL)
		return error_no_memory(err);
	for (size_t i = 0; i < f->n; i++)
		sorted[i] = &f->entries[i];
	if (check_unique(f, sorted, by_name, "name", err) != 0)
		return -1;
	return check_unique(f, sorted, by_hash, "hash", err);
}

static int read_entries(struct token_file *f, struct error *err)
{
	json_t *rows = json_object_get(f->root, "tokens");
	size_t n = json_array_size(rows);

	if (!json_is_array(rows) || json_object_size(f->root) != 1)
		return error_set(
			err, ERROR_INVALID, "it must hold {\"tokens\":[...]} and nothing beside");
	if (n > LIMIT_TOKEN_ROWS)
		return error_set(err, ERROR_INVALID, "%zu rows are more than the %d allowed", n,
			LIMIT_TOKEN_ROWS);
	f->entries = calloc(n + 1, sizeof(*f->entries));
	if (f->entries == NULL)
		return error_no_memory(err);
	while (f->n < n) {
		size_t i = f->n++;

		if (read_entry(&f->entries[i], json_array_get(rows, i), err) != 0)
			return error_wrap(err, "row %zu", i + 1);
	}
	return check_all_unique(f, err);
}

static int read_root(json_t **ret, struct slice text, struct error *err)
{
	struct error why = ERROR_INIT;

	if (json_read_object(ret, text, &why) == 0)
		return 0;
	return error_set(err, why.code, "%s; correct it, or put a copy of the file back", why.text);
}

int token_file_read(struct token_file *ret, const char *file, struct error *err)
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(LIMIT_TOKEN_FILE);
	CLEANUP(token_file_done) struct token_file f = {0};
	struct error why = ERROR_INIT;

	if (file_read(file, &text, &why) != 0) {
		if (why.code == ERROR_NOT_FOUND) {
			*ret = f;
			return 0;
		}
		*err = why;
		return -1;
	}
	if (read_root(&f.root, buf_slice(&text), err) != 0 || read_entries(&f, err) != 0)
		return error_wrap(err, "%s", file);
	*ret = f;
	f = (struct token_file){0};
	return 0;
}

void token_file_done(struct token_file *f)
{
	for (size_t i = 0; i < f->n; i++)
		free(f->entries[i].namespaces);
	free(f->entries);
	json_decref(f->root);
	*f = (struct token_file){0};
}

/* ---- writing ---- */

static void add_time(struct buf *b, const char *key, uint64_t s)
{
	char text[TIMESTAMP_SIZE];

	json_member_cstr(b, key, timestamp_format(s, text));
}

static void add_entry(struct buf *b, const struct token_entry *e)
{
	char hash[DIGEST_TEXT_SIZE];

	json_begin_object(b);
	json_member_cstr(b, "name", e->row.name);
	json_member_cstr(b, "role", role_name(e->row.role));
	json_key(b, "namespaces");
	json_begin_array(b);
	for (size_t i = 0; i < e->row.n_namespaces; i++) {
		json_item(b);
		json_add_string(b, slice_of(e->row.namespaces[i]));
	}
	json_end_array(b);
	add_time(b, "created", e->row.created_s);
	if (e->row.expires_s != 0)
		add_time(b, "expires", e->row.expires_s);
	json_member_cstr(b, "hash", digest_format(&e->hash, hash));
	json_end_object(b);
}

/* What root makes beside a file belongs to its folder's owner, who has to read it: the server. */
static int give_away(int fd, const char *path, struct error *err)
{
	AUTO_FREE char *folder = file_folder(path);
	struct stat st;

	if (geteuid() != 0)
		return 0;
	if (folder == NULL)
		return error_no_memory(err);
	if (stat(folder, &st) != 0 || fchown(fd, st.st_uid, st.st_gid) != 0)
		return error_set_errno(err, errno, "cannot give a file to the owner of %s", folder);
	return 0;
}

/* The new file gets the owner and mode of the old one, whoever writes it: the server reads it. */
static int settle(int fd, const char *path, struct error *err)
{
	struct stat old, new;

	if (stat(path, &old) != 0) {
		if (errno == ENOENT)
			return give_away(fd, path, err);
		return error_set_errno(err, errno, "cannot look at %s", path);
	}
	if (fstat(fd, &new) != 0)
		return error_set_errno(err, errno, "cannot look at what replaces %s", path);
	if ((old.st_uid != new.st_uid || old.st_gid != new.st_gid) &&
		fchown(fd, old.st_uid, old.st_gid) != 0)
		return error_set(err, ERROR_DENIED,
			"%s belongs to another user or group; do this as its owner", path);
	if (fchmod(fd, old.st_mode & 0777) != 0)
		return error_set_errno(err, errno, "cannot set the mode of what replaces %s", path);
	return 0;
}

int token_file_write(const struct token_file *f, const char *file, struct error *err)
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(LIMIT_TOKEN_FILE);

	json_begin_object(&text);
	json_key(&text, "tokens");
	json_begin_array(&text);
	for (size_t i = 0; i < f->n; i++)
		add_entry(&text, &f->entries[i]);
	json_end_array(&text);
	json_end_object(&text);
	buf_putc(&text, '\n');
	if (buf_check(&text, err) != 0)
		return error_wrap(err, "%s", file);
	return file_replace(file, buf_slice(&text), settle, err);
}

/*
 * The lock is on a file beside it, as the file itself is another after each change. It is never
 * removed: who waits for it would get the lock of a file that the next one does not find.
 */
int token_file_lock(const char *file, int *ret_fd, struct error *err)
{
	AUTO_FREE char *folder = file_folder(file);
	AUTO_FREE char *path = str_printf("%s.lock", file);
	AUTO_CLOSE int fd = -1;
	int failed;

	if (folder == NULL || path == NULL)
		return error_no_memory(err);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 && errno == ENOENT)
		return error_set(err, ERROR_NOT_FOUND,
			"there is no folder %s for the token file; make it, or name another",
			folder);
	if (fd < 0)
		return error_set_errno(err, errno, "cannot open %s", path);
	if (give_away(fd, file, err) != 0)
		return -1;
	do
		failed = flock(fd, LOCK_EX);
	while (failed != 0 && errno == EINTR);
	if (failed != 0)
		return error_set_errno(err, errno, "cannot lock %s", path);
	*ret_fd = fd;
	fd = -1;
	return 0;
}

/* ---- FILE.used ---- */

static int read_uses(json_t **ret, const char *path, struct error *err)
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(LIMIT_TOKEN_FILE);

	if (file_read(path, &text, err) != 0)
		return -1;
	if (json_read_object(ret, buf_slice(&text), err) != 0)
		return error_wrap(err, "%s", path);
	return 0;
}

json_t *token_uses_read(const char *file)
{
	AUTO_FREE char *path = str_printf("%s.used", file);
	struct error err = ERROR_INIT;
	json_t *uses = NULL;

	if (path == NULL)
		error_no_memory(&err);
	else if (read_uses(&uses, path, &err) == 0)
		return uses;
	if (err.code != ERROR_NOT_FOUND)
		log_warn("not known when API tokens were last used", LOG_STR("reason", err.text));
	return NULL;
}

uint64_t token_uses_get(const json_t *uses, const struct digest *hash)
{
	char key[DIGEST_TEXT_SIZE];
	const json_t *value =
		json_object_get(json_object_get(uses, "used"), digest_format(hash, key));
	uint64_t us;

	if (!json_is_string(value) || !timestamp_parse(slice_of(json_string_value(value)), &us))
		return 0;
	return us / US_PER_S;
}

int token_uses_write(const char *file, struct slice text, struct error *err)
{
	AUTO_FREE char *path = str_printf("%s.used", file);

	if (path == NULL)
		return error_no_memory(err);
	return file_replace(path, text, settle, err);
}
