/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/token_file.h"
#include "base/clock.h"
#include "base/file.h"

#include <openssl/crypto.h>
#include <sodium.h>

#define US_PER_S 1000000
#define SECRET_BYTES 32

static void make_secret(char ret[TOKEN_SECRET_SIZE])
{
	unsigned char random[SECRET_BYTES];
	size_t n = sizeof(TOKEN_PREFIX) - 1;

	arc4random_buf(random, sizeof(random));
	memcpy(ret, TOKEN_PREFIX, n);
	sodium_bin2base64(ret + n, TOKEN_SECRET_SIZE - n, random, sizeof(random),
		sodium_base64_VARIANT_URLSAFE_NO_PADDING);
	OPENSSL_cleanse(random, sizeof(random));
}

static struct token_entry *find(const struct token_file *f, const char *name)
{
	for (size_t i = 0; i < f->n; i++)
		if (strcmp(f->entries[i].row.name, name) == 0)
			return &f->entries[i];
	return NULL;
}

static int check_draft(const struct token_draft *draft, uint64_t now_s, struct error *err)
{
	if (token_name_check(draft->name, err) != 0 ||
		token_namespaces_check(draft->n_namespaces, draft->namespaces, err) != 0)
		return -1;
	if (draft->expires_s != 0 && draft->expires_s <= now_s)
		return error_set(err, ERROR_INVALID,
			"the token would have expired already; give a time that is to come");
	return 0;
}

/* The entry borrows what the draft has. */
static int append(struct token_file *f, const struct token_entry *entry, struct error *err)
{
	struct token_entry *more;

	if (f->n >= LIMIT_TOKEN_ROWS)
		return error_set(err, ERROR_TOO_MANY,
			"there are %zu tokens, and no more can be; revoke some of them", f->n);
	more = reallocarray(f->entries, f->n + 1, sizeof(*more));
	if (more == NULL)
		return error_no_memory(err);
	f->entries = more;
	f->entries[f->n++] = *entry;
	return 0;
}

static int add(
	const char *file, const struct token_draft *draft, struct slice secret, struct error *err)
{
	uint64_t now_s = clock_realtime_us() / US_PER_S;
	struct token_entry entry = {
		.row = {.name = draft->name,
			.role = draft->role,
			.n_namespaces = draft->n_namespaces,
			.namespaces = draft->namespaces,
			.created_s = now_s,
			.expires_s = draft->expires_s},
		.hash = digest_of(secret),
	};
	CLEANUP(token_file_done) struct token_file f = {0};
	AUTO_CLOSE int lock = -1;

	if (check_draft(draft, now_s, err) != 0 || token_file_lock(file, &lock, err) != 0 ||
		token_file_read(&f, file, err) != 0)
		return -1;
	if (find(&f, draft->name) != NULL)
		return error_set(err, ERROR_CONFLICT,
			"there is a token %s already; choose another name, or revoke that one "
			"first",
			draft->name);
	if (append(&f, &entry, err) != 0)
		return -1;
	return token_file_write(&f, file, err);
}

int token_create(const char *file, const struct token_draft *draft,
	char ret_secret[TOKEN_SECRET_SIZE], struct error *err)
{
	char secret[TOKEN_SECRET_SIZE];
	int result;

	make_secret(secret);
	result = add(file, draft, (struct slice){secret, sizeof(secret) - 1}, err);
	if (result == 0)
		memcpy(ret_secret, secret, sizeof(secret));
	OPENSSL_cleanse(secret, sizeof(secret));
	return result;
}

int token_revoke(const char *file, const char *name, struct error *err)
{
	CLEANUP(token_file_done) struct token_file f = {0};
	AUTO_CLOSE int lock = -1;
	struct token_entry *e;

	if (token_name_check(name, err) != 0 || token_file_lock(file, &lock, err) != 0 ||
		token_file_read(&f, file, err) != 0)
		return -1;
	e = find(&f, name);
	if (e == NULL)
		return error_set(err, ERROR_NOT_FOUND,
			"there is no token %s in %s; look at those there are with gsq token list",
			name, file);
	free(e->namespaces);
	f.n--;
	memmove(e, e + 1, (size_t)(&f.entries[f.n] - e) * sizeof(*e));
	return token_file_write(&f, file, err);
}

int token_list(const char *file, int (*each)(const struct token_row *row, void *arg), void *arg,
	struct error *err)
{
	CLEANUP(token_file_done) struct token_file f = {0};
	CLEANUP(json_decrefp) json_t *uses = NULL;

	if (token_file_read(&f, file, err) != 0)
		return -1;
	uses = token_uses_read(file);
	for (size_t i = 0; i < f.n; i++) {
		struct token_entry *e = &f.entries[i];

		e->row.used_s = token_uses_get(uses, &e->hash);
		if (each(&e->row, arg) != 0)
			return -1;
	}
	return 0;
}
