/* SPDX-License-Identifier: Apache-2.0 */
#include "store/gc.h"
#include "store/db.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE 4096 /* rows or names looked at in one statement or at one go */

struct collection {
	struct store *store;
	const struct gc_options *options;
	int64_t cutoff; /* seconds since 1970: what is not younger may go */
	struct gc_report report;
};

/* Ends a write transaction of the collection. */
static int end(const struct collection *c, struct error *err)
{
	if (!c->options->dry_run)
		return store_commit(c->store, err);
	store_rollback(c->store);
	return 0;
}

static void count_file(struct collection *c, uint64_t size)
{
	c->report.files++;
	c->report.file_bytes += size;
}

/* ---- blobs of repositories ---- */

struct link {
	int64_t blob, repository;
};

struct page {
	struct link last; /* where the next page goes on */
	size_t n_rows;
	size_t n_dead;
	struct link dead[PAGE];
};

static int read_page(const struct collection *c, struct page *page, struct error *err)
{
	CLEANUP(store_reader_donep) struct store_conn *reader = store_reader(c->store);
	CLEANUP(query_done) struct query q = query(reader, SQL_GC_PAGE);
	int row;

	query_bind_int(&q, page->last.blob);
	query_bind_int(&q, page->last.repository);
	query_bind_int(&q, c->cutoff);
	query_bind_int(&q, PAGE);
	page->n_rows = page->n_dead = 0;
	while ((row = query_row(&q, err)) > 0) {
		page->last.blob = query_int(&q);
		page->last.repository = query_int(&q);
		page->n_rows++;
		if (query_int(&q) != 0)
			page->dead[page->n_dead++] = page->last;
	}
	return row;
}

/* Looks again, in the transaction: it may have been pushed or named since the page was read. */
static int unlink_blob(struct store_conn *tx, const struct link *link, int64_t cutoff, bool *ret,
	struct error *err)
{
	CLEANUP(query_done) struct query q = query(tx, SQL_REPOSITORY_BLOB_COLLECT);

	query_bind_int(&q, link->blob);
	query_bind_int(&q, link->repository);
	query_bind_int(&q, cutoff);
	if (query_run(&q, err) != 0)
		return -1;
	*ret = sqlite3_changes(tx->db) > 0;
	return 0;
}

/* For the manifest that comes too late (check_collected in push.c). */
static int remember(struct store_conn *tx, const struct link *link, struct error *err)
{
	CLEANUP(query_done) struct query q = query(tx, SQL_COLLECTED_ADD);

	query_bind_int(&q, link->blob);
	query_bind_int(&q, link->repository);
	query_bind_int(&q, store_now_s());
	return query_run(&q, err);
}

static int collect_link(
	struct collection *c, struct store_conn *tx, const struct link *link, struct error *err)
{
	uint64_t size;
	bool unlinked, deleted, is_file;

	if (unlink_blob(tx, link, c->cutoff, &unlinked, err) != 0)
		return -1;
	if (!unlinked)
		return 0;
	c->report.unlinked++;
	if (remember(tx, link, err) != 0)
		return -1;
	if (store_blob_delete_unused(tx, link->blob, &size, &deleted, &is_file, err) != 0)
		return -1;
	if (!deleted)
		return 0;
	c->report.blobs++;
	c->report.blob_bytes += size;
	if (is_file && c->options->dry_run) /* else it is counted when it goes */
		count_file(c, size);
	return 0;
}

/* A dry run undoes the transaction, so the links of one blob are kept together. */
static size_t group_end(const struct page *page, size_t first)
{
	size_t n = first;

	while (n < page->n_dead &&
		(n - first < LIMIT_GROUP || page->dead[n].blob == page->dead[n - 1].blob))
		n++;
	return n;
}

static int collect_page(struct collection *c, const struct page *page, struct error *err)
{
	for (size_t first = 0, last; first < page->n_dead; first = last) {
		struct store_conn *tx;

		last = group_end(page, first);
		if (store_begin(c->store, &tx, err) != 0)
			return -1;
		for (size_t i = first; i < last; i++) {
			if (collect_link(c, tx, &page->dead[i], err) != 0) {
				store_rollback(c->store);
				return -1;
			}
		}
		if (end(c, err) != 0)
			return -1;
	}
	return 0;
}

static int collect_links(struct collection *c, struct error *err)
{
	AUTO_FREE struct page *page = calloc(1, sizeof(*page));

	if (page == NULL)
		return error_no_memory(err);
	do {
		if (store_interrupted(c->store, err) != 0 || read_page(c, page, err) != 0 ||
			collect_page(c, page, err) != 0)
			return -1;
	} while (page->n_rows == PAGE);
	return 0;
}

static int forget(struct store_conn *tx, struct error *err)
{
	CLEANUP(query_done) struct query q = query(tx, SQL_COLLECTED_FORGET);

	query_bind_int(&q, store_now_s() - LIMIT_COLLECTED_S);
	return query_run(&q, err);
}

static int forget_old(struct collection *c, struct error *err)
{
	struct store_conn *tx;

	if (store_begin(c->store, &tx, err) != 0)
		return -1;
	if (forget(tx, err) == 0)
		return end(c, err);
	store_rollback(c->store);
	return -1;
}

/* ---- files without a row ---- */

struct folder {
	DIR *dir;
	enum digest_algorithm algorithm;
	size_t n_candidates;
	struct digest candidates[LIMIT_GROUP];
};

/* Not one of ours: left alone, and verify names it. */
static bool parse_name(const struct folder *f, const char *name, struct digest *ret)
{
	struct error ignored = ERROR_INIT;
	char text[DIGEST_TEXT_SIZE];
	int n = snprintf(text, sizeof(text), "%s:%s", digest_algorithm_name(f->algorithm), name);

	return n > 0 && (size_t)n < sizeof(text) &&
	       digest_parse(ret, slice_of(text), &ignored) == 0;
}

static bool is_old(const struct collection *c, const struct folder *f, const char *name)
{
	struct stat st;

	return fstatat(dirfd(f->dir), name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) &&
	       st.st_mtim.tv_sec <= c->cutoff;
}

static int has_row(
	struct store_conn *conn, const struct digest *digest, bool *ret, struct error *err)
{
	CLEANUP(query_done) struct query q = query(conn, SQL_BLOB_FILE_FIND);
	int64_t id;

	query_bind_digest(&q, digest);
	if (query_id(&q, &id, err) != 0)
		return -1;
	*ret = id != 0;
	return 0;
}

/* Fills the candidates with names that have no row now. False at the end of the folder. */
static int find_candidates(
	const struct collection *c, struct folder *f, bool *ret_more, struct error *err)
{
	CLEANUP(store_reader_donep) struct store_conn *reader = store_reader(c->store);
	const struct dirent *entry = NULL;
	bool named;

	f->n_candidates = 0;
	for (size_t n = 0; n < PAGE && f->n_candidates < LIMIT_GROUP; n++) {
		struct digest *digest = &f->candidates[f->n_candidates];

		entry = readdir(f->dir);
		if (entry == NULL)
			break;
		if (!parse_name(f, entry->d_name, digest) || !is_old(c, f, entry->d_name))
			continue;
		if (has_row(reader, digest, &named, err) != 0)
			return -1;
		f->n_candidates += !named;
	}
	*ret_more = entry != NULL;
	return 0;
}

/*
 * In a write transaction, without writing to the database: whoever is about to add the row has to
 * wait, and then finds the file missing (store_blob_check_file). It is moved away, which is quick,
 * and removed outside of the transaction, which may not be.
 */
static int move_away(struct collection *c, struct folder *f, struct store_conn *tx,
	const struct digest *digest, const char *to, struct error *err)
{
	char text[DIGEST_TEXT_SIZE];
	const char *name = strchr(digest_format(digest, text), ':') + 1;
	struct stat st;
	bool named;

	if (has_row(tx, digest, &named, err) != 0)
		return -1;
	if (named || !is_old(c, f, name) || fstatat(dirfd(f->dir), name, &st, 0) != 0)
		return 0;
	if (!c->options->dry_run && renameat(dirfd(f->dir), name, AT_FDCWD, to) != 0)
		return error_set_errno(err, errno, "cannot remove the file of blob %s", text);
	count_file(c, (uint64_t)st.st_size);
	return 0;
}

static int collect_file(
	struct collection *c, struct folder *f, const struct digest *digest, struct error *err)
{
	AUTO_FREE char *to = str_printf("%s/uploads/garbage", store_dir(c->store));
	struct store_conn *tx;
	int result;

	if (to == NULL)
		return error_no_memory(err);
	if (store_begin(c->store, &tx, err) != 0)
		return -1;
	result = move_away(c, f, tx, digest, to, err);
	store_rollback(c->store);
	if (result == 0 && !c->options->dry_run)
		unlink(to);
	return result;
}

static int collect_folder(struct collection *c, struct folder *f, struct error *err)
{
	bool more = true;

	while (more) {
		if (find_candidates(c, f, &more, err) != 0)
			return -1;
		for (size_t i = 0; i < f->n_candidates; i++)
			if (collect_file(c, f, &f->candidates[i], err) != 0)
				return -1;
	}
	return 0;
}

static int collect_files(struct collection *c, enum digest_algorithm algorithm, struct error *err)
{
	struct folder f = {.algorithm = algorithm};
	int result = 0;

	for (unsigned i = 0; i < 256 && result == 0; i++) {
		AUTO_FREE char *path = str_printf("%s/blobs/%s/%02x", store_dir(c->store),
			digest_algorithm_name(algorithm), i);

		if (path == NULL)
			return error_no_memory(err);
		f.dir = opendir(path);
		if (f.dir == NULL)
			return error_set_errno(err, errno, "cannot open the folder %s", path);
		if (store_interrupted(c->store, err) != 0)
			result = -1;
		else
			result = collect_folder(c, &f, err);
		closedir(f.dir);
	}
	return result;
}

int store_gc(
	struct store *s, const struct gc_options *options, struct gc_report *ret, struct error *err)
{
	struct collection c = {.store = s, .options = options};

	/* Times are whole seconds: an age of n of them may be a moment short of n. */
	c.cutoff = store_now_s() - (int64_t)options->grace_s - (options->grace_s > 0);
	if (forget_old(&c, err) != 0 || collect_links(&c, err) != 0 ||
		collect_files(&c, DIGEST_SHA256, err) != 0 ||
		collect_files(&c, DIGEST_SHA512, err) != 0)
		return -1;
	*ret = c.report;
	return 0;
}
