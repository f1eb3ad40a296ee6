/* SPDX-License-Identifier: Apache-2.0 */
#include "store/db.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "store/wal_vfs.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define WAL_PAGES 4000       /* checkpoint from here, 16 MiB, */
#define WAL_PAGES_MORE 1000  /* and again each time it has grown so much */
#define PROGRESS_STEPS 10000 /* of a long statement, between looks at whether to go on */
#define BUSY_MS 5000         /* somebody looks into the file with another program */

struct store {
	char *dir;
	int lock_fd;
	_Atomic bool interrupted;
	struct blob_files *blob_files;

	/* Who writes: tickets are drawn in order of arrival. */
	pthread_mutex_t write_lock;
	pthread_cond_t write_turn;
	uint64_t next_ticket, serving;
	struct store_conn *writer; /* of the ticket being served */
	int wal_pages;             /* at its last commit */
	int wal_tried;             /* at the last checkpoint, in this WAL */
	_Atomic uint64_t repositories_generation;

	pthread_mutex_t readers_lock;
	pthread_cond_t reader_free;
	struct store_conn *free_readers;
	size_t n_readers;
	struct store_conn readers[];
};

/* ---- connections ---- */

static void conn_close(struct store_conn *c)
{
	for (size_t i = 0; i < SQL_ALL_; i++)
		sqlite3_finalize(c->statements[i]);
	AZ(sqlite3_close(c->db));
	*c = (struct store_conn){0};
}

static int prepare(struct store_conn *c, struct error *err)
{
	size_t n = c->writes ? SQL_ALL_ : SQL_READS_;

	for (size_t i = 0; i < n; i++)
		if (sqlite3_prepare_v3(c->db, store_sql[i], -1, SQLITE_PREPARE_PERSISTENT,
			    &c->statements[i], NULL) != SQLITE_OK)
			return store_db_error(c->db, err);
	return 0;
}

/* On failure the caller closes it. */
static int conn_open(
	struct store_conn *c, struct store *s, const char *path, bool writes, struct error *err)
{
	/* The writer checkpoints on its own terms, the readers never. */
	const char *setup = writes ? "PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0;"
				     "PRAGMA journal_size_limit = 67108864;"
				     "PRAGMA temp_store = MEMORY; PRAGMA cache_size = -8192"
				   : "PRAGMA wal_autocheckpoint = 0; PRAGMA cache_size = -4096";
	int flags = writes ? SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE : SQLITE_OPEN_READONLY;

	*c = (struct store_conn){.store = s, .writes = writes};
	if (sqlite3_open_v2(path, &c->db, flags | SQLITE_OPEN_NOMUTEX,
		    writes ? WAL_VFS_NAME : NULL) != SQLITE_OK)
		return c->db == NULL ? error_no_memory(err) : store_db_error(c->db, err);
	AZ(sqlite3_extended_result_codes(c->db, 1));
	AZ(sqlite3_busy_timeout(c->db, BUSY_MS));
	if (writes && store_schema_apply(c->db, path, err) != 0)
		return -1;
	if (!writes)
		AZ(sqlite3_db_config(c->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL));
	if (sqlite3_exec(c->db, setup, NULL, NULL, NULL) != SQLITE_OK)
		return store_db_error(c->db, err);
	return prepare(c, err);
}

static int main_conn_open(struct store_conn *c, struct store *s, bool writes, struct error *err)
{
	AUTO_FREE char *path = str_printf("%s/registry.db", s->dir);

	if (path == NULL)
		return error_no_memory(err);
	return conn_open(c, s, path, writes, err);
}

static int wal_grew(void *arg, sqlite3 *db UNUSED, const char *name UNUSED, int pages)
{
	struct store *s = arg;

	if (pages < s->wal_pages) /* started anew */
		s->wal_tried = 0;
	s->wal_pages = pages;
	return SQLITE_OK;
}

/* ---- the folder ---- */

static int make_dir(const char *path, struct error *err)
{
	if (mkdir(path, 0700) == 0 || errno == EEXIST)
		return 0;
	return error_set_errno(err, errno, "cannot make the folder %s", path);
}

/* All folders of blob files at once, so that adding a blob syncs one folder. */
static int make_blob_dirs(const char *dir, const char *algorithm, struct error *err)
{
	AUTO_FREE char *path = NULL;
	size_t size = strlen(dir) + 32;
	int n;

	path = malloc(size);
	if (path == NULL)
		return error_no_memory(err);
	n = snprintf(path, size, "%s/blobs/%s", dir, algorithm);
	if (file_make_dirs(path, err) != 0)
		return -1;
	for (unsigned i = 0; i < 256; i++) {
		snprintf(path + n, size - (size_t)n, "/%02x", i);
		if (make_dir(path, err) != 0)
			return -1;
	}
	path[n] = '\0';
	file_sync_dir(path);
	return 0;
}

static int empty_dir(const char *path, struct error *err)
{
	DIR *d = opendir(path);
	struct dirent *entry;

	if (d == NULL)
		return error_set_errno(err, errno, "cannot open the folder %s", path);
	while ((entry = readdir(d)) != NULL)
		if (entry->d_name[0] != '.' && unlinkat(dirfd(d), entry->d_name, 0) != 0)
			log_warn("cannot remove an old upload", LOG_STR("file", entry->d_name),
				LOG_STR("error", strerror(errno)));
	closedir(d);
	return 0;
}

static int make_folders(const char *dir, struct error *err)
{
	AUTO_FREE char *path = NULL;

	if (make_blob_dirs(dir, "sha256", err) != 0 || make_blob_dirs(dir, "sha512", err) != 0)
		return -1;
	path = str_printf("%s/uploads", dir);
	if (path == NULL)
		return error_no_memory(err);
	if (make_dir(path, err) != 0 || empty_dir(path, err) != 0)
		return -1;
	path[strlen(path) - strlen("uploads")] = '\0';
	strcat(path, "blobs");
	file_sync_dir(path);
	file_sync_dir(dir);
	return 0;
}

static int lock_folder(struct store *s, struct error *err)
{
	AUTO_FREE char *path = NULL;

	if (file_make_dirs(s->dir, err) != 0)
		return -1;
	path = str_printf("%s/lock", s->dir);
	if (path == NULL)
		return error_no_memory(err);
	return file_lock(path, &s->lock_fd, err);
}

/* ---- open and close ---- */

static void configure_sqlite(void)
{
	/* Its statistics put one global lock around every allocation. */
	(void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
	wal_vfs_register();
}

static int open_all(struct store *s, size_t n_readers, struct error *err)
{
	/* The lock comes first: nothing of another process's folder is touched. Then the database:
	 * nothing is removed of a folder that is no registry's, or a newer program's. */
	if (lock_folder(s, err) != 0)
		return -1;
	s->writer = calloc(1, sizeof(*s->writer));
	if (s->writer == NULL)
		return error_no_memory(err);
	if (main_conn_open(s->writer, s, true, err) != 0 || make_folders(s->dir, err) != 0)
		return -1;
	sqlite3_wal_hook(s->writer->db, wal_grew, s);
	/* The database's own name must be durable before anything in it is acknowledged. */
	file_sync_dir(s->dir);
	while (s->n_readers < n_readers) {
		struct store_conn *c = &s->readers[s->n_readers++];

		if (main_conn_open(c, s, false, err) != 0)
			return -1;
		c->next_free = s->free_readers;
		s->free_readers = c;
	}
	return 0;
}

int store_open(struct store **ret, const char *dir, size_t n_readers, struct error *err)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	CLEANUP(store_closep) struct store *s = NULL;

	ASSERT(n_readers > 0);
	AZ(pthread_once(&once, configure_sqlite));
	s = calloc(1, sizeof(*s) + n_readers * sizeof(s->readers[0]));
	if (s == NULL)
		return error_no_memory(err);
	s->lock_fd = -1;
	AZ(pthread_mutex_init(&s->write_lock, NULL));
	AZ(pthread_cond_init(&s->write_turn, NULL));
	AZ(pthread_mutex_init(&s->readers_lock, NULL));
	AZ(pthread_cond_init(&s->reader_free, NULL));
	s->dir = slice_dup(slice_of(dir));
	if (s->dir == NULL)
		return error_no_memory(err);
	if (blob_files_new(&s->blob_files, err) != 0)
		return -1;
	if (open_all(s, n_readers, err) != 0)
		return -1;
	*ret = TAKE_PTR(s);
	return 0;
}

void store_close(struct store *s)
{
	if (s == NULL)
		return;
	ASSERT(s->next_ticket == s->serving);
	/* The writer last: whoever closes last checkpoints. */
	for (size_t i = 0; i < s->n_readers; i++)
		conn_close(&s->readers[i]);
	if (s->writer != NULL)
		conn_close(s->writer);
	free(s->writer);
	if (s->lock_fd >= 0)
		close(s->lock_fd);
	AZ(pthread_cond_destroy(&s->reader_free));
	AZ(pthread_mutex_destroy(&s->readers_lock));
	AZ(pthread_cond_destroy(&s->write_turn));
	AZ(pthread_mutex_destroy(&s->write_lock));
	blob_files_free(s->blob_files);
	free(s->dir);
	free(s);
}

const char *store_dir(const struct store *s)
{
	return s->dir;
}

void store_interrupt(struct store *s)
{
	s->interrupted = true;
}

int store_interrupted(const struct store *s, struct error *err)
{
	if (!s->interrupted)
		return 0;
	return error_set(
		err, ERROR_UNAVAILABLE, "the server is stopping; try again when it is back");
}

struct blob_files *store_blob_files(struct store *s)
{
	return s->blob_files;
}

int64_t store_now_s(void)
{
	return (int64_t)(clock_realtime_us() / 1000000);
}

/* ---- readers ---- */

struct store_conn *store_reader(struct store *s)
{
	struct store_conn *c;

	AZ(pthread_mutex_lock(&s->readers_lock));
	while (s->free_readers == NULL)
		AZ(pthread_cond_wait(&s->reader_free, &s->readers_lock));
	c = s->free_readers;
	s->free_readers = c->next_free;
	AZ(pthread_mutex_unlock(&s->readers_lock));
	return c;
}

void store_reader_done(struct store_conn *c)
{
	struct store *s;

	if (c == NULL)
		return;
	s = c->store;
	/* Every statement is reset, so no snapshot is kept from the checkpoints. */
	ASSERT(sqlite3_get_autocommit(c->db) && sqlite3_txn_state(c->db, NULL) == SQLITE_TXN_NONE);
	AZ(pthread_mutex_lock(&s->readers_lock));
	c->next_free = s->free_readers;
	s->free_readers = c;
	AZ(pthread_cond_signal(&s->reader_free));
	AZ(pthread_mutex_unlock(&s->readers_lock));
}

/* The process is ending: the statement fails. */
static int progress(void *arg)
{
	struct error ignored = ERROR_INIT;

	return store_interrupted(arg, &ignored) != 0;
}

int store_conn_open(struct store_conn **ret, struct store *s, const char *path, struct error *err)
{
	struct store_conn *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return error_no_memory(err);
	if ((path == NULL ? main_conn_open(c, s, false, err) : conn_open(c, s, path, false, err)) !=
		0) {
		store_conn_close(c);
		return -1;
	}
	sqlite3_progress_handler(c->db, PROGRESS_STEPS, progress, s);
	*ret = c;
	return 0;
}

void store_conn_close(struct store_conn *c)
{
	if (c == NULL)
		return;
	conn_close(c);
	free(c);
}

/* ---- the writer ---- */

static void write_lock(struct store *s)
{
	uint64_t ticket;

	AZ(pthread_mutex_lock(&s->write_lock));
	ticket = s->next_ticket++;
	while (ticket != s->serving)
		AZ(pthread_cond_wait(&s->write_turn, &s->write_lock));
	AZ(pthread_mutex_unlock(&s->write_lock));
}

static void write_unlock(struct store *s)
{
	AZ(pthread_mutex_lock(&s->write_lock));
	s->serving++;
	AZ(pthread_cond_broadcast(&s->write_turn));
	AZ(pthread_mutex_unlock(&s->write_lock));
}

static int run(struct store_conn *c, enum store_sql sql, struct error *err)
{
	CLEANUP(query_done) struct query q = query(c, sql);

	return query_run(&q, err);
}

/*
 * Between transactions: it delays no answer, only the next writer. Its failure loses nothing: what
 * is committed is in the WAL, and the next one tries again. While readers keep the WAL from being
 * started anew, each try must be worth its syncs.
 */
static void checkpoint(struct store *s)
{
	struct error err = ERROR_INIT;

	if (s->wal_pages < WAL_PAGES || s->wal_pages - s->wal_tried < WAL_PAGES_MORE)
		return;
	s->wal_tried = s->wal_pages;
	if (sqlite3_wal_checkpoint_v2(s->writer->db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL) ==
		SQLITE_OK)
		return;
	store_db_error(s->writer->db, &err);
	log_warn("cannot checkpoint", LOG_STR("error", err.text));
}

/* SQLite has rolled back on its own after some failures. */
static void undo(struct store_conn *c)
{
	struct error err = ERROR_INIT;

	c->broken = (struct error)ERROR_INIT;
	if (sqlite3_get_autocommit(c->db))
		return;
	if (run(c, SQL_ROLLBACK, &err) != 0)
		log_error("cannot roll back", LOG_STR("error", err.text));
	c->broken = (struct error)ERROR_INIT;
}

int store_begin(struct store *s, struct store_conn **ret, struct error *err)
{
	write_lock(s);
	checkpoint(s);
	if (run(s->writer, SQL_BEGIN, err) != 0) {
		undo(s->writer);
		write_unlock(s);
		return -1;
	}
	s->writer->repositories_changed = false;
	*ret = s->writer;
	return 0;
}

int store_commit(struct store *s, struct error *err)
{
	int result = run(s->writer, SQL_COMMIT, err);

	if (result != 0)
		undo(s->writer);
	else if (s->writer->repositories_changed)
		s->repositories_generation++;
	write_unlock(s);
	return result;
}

void store_rollback(struct store *s)
{
	undo(s->writer);
	write_unlock(s);
}

uint64_t store_repositories_generation(const struct store *s)
{
	return s->repositories_generation;
}
