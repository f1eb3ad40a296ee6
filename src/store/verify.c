/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What one statement sees is of one moment, and so is what is looked up while it is open: rows that
 * do not fit each other never did. Files are looked at afterwards, so a finding about one counts
 * only if its row is still there.
 */
#include "store/verify.h"

#include "store/db.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>

#define PAGE 1000                    /* short rows in one statement */
#define WINDOW ((int64_t)1 << 20)    /* manifests whose references are summed in one pass: 8 MiB */
#define KEY_MAX (64 * KIB)           /* a tag or a digest, also a damaged one */
#define LINE_MAX_SIZE ((size_t)1024) /* of a problem: three digests and a repository fit */

struct verify {
	struct store *store;
	struct verify_report *report;
	int64_t window, window_end; /* ids of manifests, both included */
	uint64_t *sums;             /* of the rows in reference, for each id in the window */
};

/* The last row that was read: pages follow the order of a primary key. */
struct cursor {
	int64_t first, second;
	struct buf key;  /* text or digest */
	struct buf next; /* its next value: the key is bound while rows are read */
};

static void cursor_done(struct cursor *at)
{
	buf_done(&at->key);
	buf_done(&at->next);
}

static struct slice cursor_key(const struct cursor *at)
{
	return at->key.len == 0 ? SLICE("") : buf_slice(&at->key);
}

static void cursor_read_key(struct cursor *at, struct query *q)
{
	buf_reset(&at->next);
	buf_add(&at->next, query_slice(q));
}

static int cursor_turn(struct cursor *at, struct error *err)
{
	struct buf old = at->key;

	at->key = at->next;
	at->next = old;
	return buf_check(&at->key, err);
}

/* Rows that it has read, 0 at the end of the table, or -1. */
typedef int page_fn(struct verify *v, struct store_conn *c, struct cursor *at, struct error *err);

static int one_page(struct verify *v, page_fn *page, struct cursor *at, struct error *err)
{
	CLEANUP(store_reader_donep) struct store_conn *reader = store_reader(v->store);
	int n = page(v, reader, at, err);

	return n < 0 || cursor_turn(at, err) != 0 ? -1 : n;
}

static int all_pages(struct verify *v, page_fn *page, struct error *err)
{
	CLEANUP(cursor_done)
	struct cursor at = {.key = BUF_INIT(KEY_MAX), .next = BUF_INIT(KEY_MAX)};
	int n;

	do {
		if (store_interrupted(v->store, err) != 0)
			return -1;
		n = one_page(v, page, &at, err);
	} while (n > 0);
	return n;
}

void verify_report_init(struct verify_report *r)
{
	*r = (struct verify_report){.text = BUF_INIT(LIMIT_VERIFY_TEXT)};
}

void verify_report_done(struct verify_report *r)
{
	buf_done(&r->text);
	verify_report_init(r);
}

/* ---- problems ---- */

/* What is quoted may be damaged: a line stays a line, and a text. room: of all lines. */
static void PRINTF_LIKE(3, 0) add_line(struct verify *v, size_t room, const char *fmt, va_list ap)
{
	struct buf *text = &v->report->text;
	char line[LINE_MAX_SIZE];
	size_t n;
	int full = vsnprintf(line, sizeof(line), fmt, ap);

	utf8_make_printable(line, full >= (int)sizeof(line));
	n = strlen(line);
	if (text->len + n + 1 > room)
		return;
	buf_append(text, line, n);
	buf_putc(text, '\n');
}

static void PRINTF_LIKE(2, 3) problem(struct verify *v, const char *fmt, ...)
{
	va_list ap;

	v->report->problems++;
	va_start(ap, fmt);
	add_line(v, LIMIT_VERIFY_TEXT, fmt, ap);
	va_end(ap);
}

/* Leaves room for problems. */
static void PRINTF_LIKE(2, 3) note(struct verify *v, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	add_line(v, LIMIT_VERIFY_TEXT / 2, fmt, ap);
	va_end(ap);
}

/* The repository's name, or its id where it has none. */
static const char *name_of(struct store_conn *c, int64_t repository, char ret[LIMIT_REPOSITORY + 1])
{
	CLEANUP(query_done) struct query q = query(c, SQL_REPOSITORY_NAME);
	struct error ignored = ERROR_INIT;
	struct slice name;

	query_bind_int(&q, repository);
	snprintf(ret, LIMIT_REPOSITORY + 1, "(repository %lld)", (long long)repository);
	if (query_row(&q, &ignored) != 1)
		return ret;
	name = query_slice(&q);
	snprintf(ret, LIMIT_REPOSITORY + 1, "%.*s", SLICE_ARG(name));
	return ret;
}

/* ---- SQLite's own check ---- */

static void report_lines(struct verify *v, struct slice lines)
{
	while (lines.n > 0) {
		struct slice line = slice_cut(&lines, '\n');

		if (!slice_starts(line, SLICE("*** in database")))
			problem(v, "the database: %.*s", SLICE_ARG(line));
	}
}

static int read_integrity(struct verify *v, struct store_conn *c, struct error *err)
{
	CLEANUP(query_done) struct query q = query(c, SQL_INTEGRITY_CHECK);
	int row;

	while ((row = query_row(&q, err)) == 1) {
		struct slice lines = query_slice(&q);

		if (!slice_eq(lines, SLICE("ok")))
			report_lines(v, lines);
	}
	return row;
}

static int check_database(struct verify *v, struct error *err)
{
	CLEANUP(store_conn_closep) struct store_conn *c = NULL;

	if (store_conn_open(&c, v->store, NULL, err) != 0)
		return -1;
	return read_integrity(v, c, err);
}

/* ---- references: what the manifests name must be what garbage collection believes ---- */

/*
 * No index leads from a manifest to its rows in reference, as pushes would pay for it. So the rows
 * of many manifests are summed up in one pass over the table, and only where a sum is not that of
 * the digests that the manifest names are its rows looked for. The sum is of numbers that are as
 * good as random; a difference that it hides is as likely as one in 2^64.
 */
static uint64_t mark(const struct digest *digest)
{
	uint64_t m;

	memcpy(&m, digest->bytes, sizeof(m));
	return m ^ UINT64_C(0x9e3779b97f4a7c15); /* zeros count too */
}

static void report_dangling(struct verify *v, struct store_conn *c, int64_t repository,
	int64_t manifest, const struct digest *digest)
{
	char name[LIMIT_REPOSITORY + 1], text[DIGEST_TEXT_SIZE];

	problem(v, "a reference to %s in %s is of the manifest with id %lld, which is not there",
		digest_format(digest, text), name_of(c, repository, name), (long long)manifest);
}

static void report_reference(
	struct verify *v, struct store_conn *c, const struct cursor *at, struct query *q)
{
	struct error damage = ERROR_INIT;
	struct digest digest;
	bool dangling = query_int(q) != 0;

	if (query_digest(q, &digest, &damage) != 0)
		problem(v, "a reference of the manifest with id %lld: %s", (long long)at->second,
			damage.text);
	else if (dangling)
		report_dangling(v, c, at->first, at->second, &digest);
}

static void sum_reference(struct verify *v, const struct cursor *at, struct query *q)
{
	struct error reported = ERROR_INIT;
	struct digest digest;
	bool dangling = query_int(q) != 0;

	if (dangling || at->second < v->window || at->second > v->window_end)
		return;
	if (query_digest(q, &digest, &reported) == 0)
		v->sums[at->second - v->window] += mark(&digest);
}

/* Adds up where there are sums, else reports. */
static int reference_page(
	struct verify *v, struct store_conn *c, struct cursor *at, struct error *err)
{
	CLEANUP(query_done) struct query q = query(c, SQL_VERIFY_REFERENCES);
	int row, n = 0;

	query_bind_int(&q, at->first);
	query_bind_blob(&q, cursor_key(at));
	query_bind_int(&q, at->second);
	query_bind_int(&q, PAGE);
	for (; (row = query_row(&q, err)) == 1; n++) {
		at->first = query_int(&q);
		cursor_read_key(at, &q);
		at->second = query_int(&q);
		if (v->sums != NULL)
			sum_reference(v, at, &q);
		else
			report_reference(v, c, at, &q);
	}
	return row < 0 ? -1 : n;
}

static int check_references(struct verify *v, struct error *err)
{
	return all_pages(v, reference_page, err);
}

/* ---- manifests ---- */

struct checked {
	struct store_conn *conn;
	int64_t id, repository;
	struct digest digest;
	struct slice subject; /* a key; p == NULL: none */
	struct slice bytes;
	char where[LIMIT_REPOSITORY + DIGEST_TEXT_SIZE + 32]; /* "manifest D in R" */
	struct oci_manifest *parsed;
	size_t n_names; /* what it names, by digest, each once */
	const struct oci_descriptor **names;
};

static void checked_done(struct checked *m)
{
	oci_manifest_free(m->parsed);
	free(m->names);
}

static int compare_names(const void *a, const void *b)
{
	const struct oci_descriptor *const *x = a, *const *y = b;

	return memcmp(&(*x)->digest, &(*y)->digest, sizeof(struct digest));
}

static int collect_names(struct checked *m, struct error *err)
{
	const struct oci_manifest *parsed = m->parsed;
	size_t n = 0, unique = 0;

	m->names = calloc(parsed->n_children + 1, sizeof(m->names[0]));
	if (m->names == NULL)
		return error_no_memory(err);
	if (parsed->kind == OCI_IMAGE)
		m->names[n++] = &parsed->config;
	for (size_t i = 0; i < parsed->n_children; i++)
		m->names[n++] = &parsed->children[i];
	qsort(m->names, n, sizeof(m->names[0]), compare_names);
	for (size_t i = 0; i < n; i++)
		if (i == 0 || compare_names(&m->names[i - 1], &m->names[i]) != 0)
			m->names[unique++] = m->names[i];
	m->n_names = unique;
	return 0;
}

/* An index may be sparse. So may an image be, which clients may push; but pulling it fails. */
static int check_blobs_of(struct verify *v, const struct checked *m, struct error *err)
{
	char text[DIGEST_TEXT_SIZE];
	bool complete = true;
	int64_t blob;

	for (size_t i = 0; m->parsed->kind == OCI_IMAGE && i < m->n_names; i++) {
		if (oci_descriptor_is_elsewhere(m->names[i]))
			continue;
		if (store_blob_find(m->conn, m->repository, &m->names[i]->digest, &blob, err) != 0)
			return -1;
		if (blob != 0)
			continue;
		complete = false;
		note(v, "incomplete: %s names the blob %s, which is not there", m->where,
			digest_format(&m->names[i]->digest, text));
	}
	v->report->incomplete += !complete;
	return 0;
}

static void take_row(
	struct verify *v, const struct checked *m, const struct digest *digest, bool *found)
{
	const struct oci_descriptor wanted = {.digest = *digest}, *key = &wanted,
				    **name = bsearch(&key, m->names, m->n_names,
					    sizeof(m->names[0]), compare_names);
	char text[DIGEST_TEXT_SIZE];

	if (name != NULL)
		found[name - m->names] = true;
	else
		problem(v, "%s has a reference to %s, which it does not name", m->where,
			digest_format(digest, text));
}

/* Looks through all references of its repository. */
static int find_rows(struct verify *v, const struct checked *m, bool *found, struct error *err)
{
	CLEANUP(query_done) struct query q = query(m->conn, SQL_VERIFY_REFERENCES_OF);
	struct error reported = ERROR_INIT;
	struct digest digest;
	int row;

	query_bind_int(&q, m->repository);
	query_bind_int(&q, m->id);
	while ((row = query_row(&q, err)) == 1)
		if (query_digest(&q, &digest, &reported) == 0)
			take_row(v, m, &digest, found);
	return row;
}

static int name_wrong_references(struct verify *v, const struct checked *m, struct error *err)
{
	AUTO_FREE bool *found = calloc(m->n_names + 1, sizeof(*found));
	char text[DIGEST_TEXT_SIZE];

	if (found == NULL)
		return error_no_memory(err);
	if (find_rows(v, m, found, err) != 0)
		return -1;
	for (size_t i = 0; i < m->n_names; i++)
		if (!found[i])
			problem(v, "%s lacks its reference to %s", m->where,
				digest_format(&m->names[i]->digest, text));
	return 0;
}

static int check_references_of(struct verify *v, const struct checked *m, struct error *err)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < m->n_names; i++)
		sum += mark(&m->names[i]->digest);
	return sum == v->sums[m->id - v->window] ? 0 : name_wrong_references(v, m, err);
}

static void check_subject(struct verify *v, const struct checked *m)
{
	unsigned char key[STORE_KEY_SIZE];
	struct slice subject = SLICE_NONE;

	if (m->parsed->has_subject)
		subject = (struct slice){
			(const char *)key, store_key(&m->parsed->subject.digest, key)};
	if (!slice_eq(subject, m->subject))
		problem(v, "%s: its row has another subject", m->where);
}

static int check_content(struct verify *v, struct checked *m, struct error *err)
{
	struct digest got = digest_of_as(m->digest.algorithm, m->bytes);
	struct error damage = ERROR_INIT;

	v->report->bytes += m->bytes.n;
	if (!digest_eq(&got, &m->digest)) {
		problem(v, "%s: its bytes do not match the digest", m->where);
		return 0;
	}
	if (oci_manifest_parse(&m->parsed, m->bytes, &damage) != 0) {
		if (damage.code == ERROR_NO_MEMORY)
			return error_no_memory(err);
		problem(v, "%s: %s", m->where, damage.text);
		return 0;
	}
	check_subject(v, m);
	if (collect_names(m, err) != 0 || check_references_of(v, m, err) != 0)
		return -1;
	return check_blobs_of(v, m, err);
}

static int check_manifest(
	struct verify *v, struct store_conn *c, struct query *q, struct error *err)
{
	CLEANUP(checked_done) struct checked m = {.conn = c};
	struct error damage = ERROR_INIT;
	char name[LIMIT_REPOSITORY + 1], text[DIGEST_TEXT_SIZE];

	m.id = query_int(q);
	m.repository = query_int(q);
	v->report->manifests++;
	if (query_digest(q, &m.digest, &damage) != 0) {
		problem(v, "the manifest with id %lld in %s: %s", (long long)m.id,
			name_of(c, m.repository, name), damage.text);
		return 0;
	}
	m.subject = query_slice(q);
	m.bytes = query_slice(q);
	snprintf(m.where, sizeof(m.where), "manifest %s in %s", digest_format(&m.digest, text),
		name_of(c, m.repository, name));
	if (query_int(q) != 0)
		problem(v, "%s: there is no such repository", m.where);
	return check_content(v, &m, err);
}

/* One manifest a page: they are large. */
static int manifest_page(
	struct verify *v, struct store_conn *c, struct cursor *at, struct error *err)
{
	CLEANUP(query_done) struct query q = query(c, SQL_VERIFY_MANIFEST);
	int row;

	query_bind_int(&q, at->first < v->window ? v->window - 1 : at->first);
	query_bind_int(&q, v->window_end);
	row = query_row(&q, err);
	if (row != 1)
		return row;
	at->first = query_int(&q);
	q.column = 0;
	return check_manifest(v, c, &q, err) != 0 ? -1 : 1;
}

/* The window from the first manifest after "after"; false when there is none up to last. */
static int open_window(struct verify *v, int64_t after, int64_t last, bool *ret, struct error *err)
{
	CLEANUP(store_reader_donep) struct store_conn *reader = store_reader(v->store);
	CLEANUP(query_done) struct query q = query(reader, SQL_VERIFY_NEXT_MANIFEST);

	query_bind_int(&q, after);
	if (query_id(&q, &v->window, err) != 0)
		return -1;
	v->window_end = last - v->window < WINDOW ? last : v->window + WINDOW - 1;
	*ret = v->window != 0 && v->window <= last;
	return 0;
}

static int last_manifest(struct verify *v, int64_t *ret, struct error *err)
{
	CLEANUP(store_reader_donep) struct store_conn *reader = store_reader(v->store);
	CLEANUP(query_done) struct query q = query(reader, SQL_MANIFEST_LAST);

	return query_id(&q, ret, err);
}

static int check_window(struct verify *v, struct error *err)
{
	AUTO_FREE uint64_t *sums = calloc((size_t)(v->window_end - v->window) + 1, sizeof(*sums));
	int result;

	if (sums == NULL)
		return error_no_memory(err);
	v->sums = sums;
	result = all_pages(v, reference_page, err);
	if (result == 0)
		result = all_pages(v, manifest_page, err);
	v->sums = NULL;
	return result;
}

/* Those of now: for later ones the sums would not be theirs. */
static int check_manifests(struct verify *v, struct error *err)
{
	int64_t last;
	bool more;

	if (last_manifest(v, &last, err) != 0 || open_window(v, 0, last, &more, err) != 0)
		return -1;
	while (more)
		if (check_window(v, err) != 0 ||
			open_window(v, v->window_end, last, &more, err) != 0)
			return -1;
	return 0;
}

/* ---- tags, and the blobs of repositories ---- */

static int tag_page(struct verify *v, struct store_conn *c, struct cursor *at, struct error *err)
{
	CLEANUP(query_done) struct query q = query(c, SQL_VERIFY_TAGS);
	char name[LIMIT_REPOSITORY + 1];
	int row, n = 0;

	query_bind_int(&q, at->first);
	query_bind_text(&q, cursor_key(at));
	query_bind_int(&q, PAGE);
	for (; (row = query_row(&q, err)) == 1; n++) {
		at->first = query_int(&q);
		cursor_read_key(at, &q);
		v->report->tags++;
		if (query_int(&q) != 0)
			problem(v, "tag %.*s of %s names no manifest of its repository",
				(int)at->next.len, at->next.data, name_of(c, at->first, name));
	}
	return row < 0 ? -1 : n;
}

static int check_tags(struct verify *v, struct error *err)
{
	return all_pages(v, tag_page, err);
}

static int link_page(struct verify *v, struct store_conn *c, struct cursor *at, struct error *err)
{
	CLEANUP(query_done) struct query q = query(c, SQL_VERIFY_REPOSITORY_BLOBS);
	char name[LIMIT_REPOSITORY + 1];
	int row, n = 0;

	query_bind_int(&q, at->first);
	query_bind_int(&q, at->second);
	query_bind_int(&q, PAGE);
	for (; (row = query_row(&q, err)) == 1; n++) {
		at->first = query_int(&q);
		at->second = query_int(&q);
		if (query_int(&q) != 0)
			problem(v, "%s has the blob with id %lld, and one of them is not there",
				name_of(c, at->second, name), (long long)at->first);
	}
	return row < 0 ? -1 : n;
}

static int check_repository_blobs(struct verify *v, struct error *err)
{
	return all_pages(v, link_page, err);
}

/* ---- blobs ---- */

struct blob {
	int64_t id;
	struct digest digest;
	uint64_t size;
	bool is_file;
};

static void check_row(struct verify *v, const struct blob *b, struct slice data)
{
	char text[DIGEST_TEXT_SIZE];
	struct digest got = digest_of_as(b->digest.algorithm, data);

	v->report->bytes += data.n;
	if (!digest_eq(&got, &b->digest))
		problem(v, "blob %s: its bytes do not match the digest",
			digest_format(&b->digest, text));
	else if (data.n != b->size)
		problem(v, "blob %s: its row says %llu bytes, but it has %zu",
			digest_format(&b->digest, text), (unsigned long long)b->size, data.n);
}

/* The one after b->id, checked where it is a row. 1, or 0 when there is none. */
static int next_blob(struct verify *v, struct blob *b, struct error *err)
{
	CLEANUP(store_reader_donep) struct store_conn *reader = store_reader(v->store);
	CLEANUP(query_done) struct query q = query(reader, SQL_VERIFY_BLOB);
	struct error damage = ERROR_INIT;
	struct slice data;
	int row;

	query_bind_int(&q, b->id);
	row = query_row(&q, err);
	if (row != 1)
		return row;
	v->report->blobs++;
	*b = (struct blob){.id = query_int(&q)};
	b->size = (uint64_t)query_int(&q);
	data = query_slice(&q);
	if (query_digest(&q, &b->digest, &damage) != 0) {
		problem(v, "the blob with id %lld: %s", (long long)b->id, damage.text);
		return 1;
	}
	b->is_file = data.p == NULL;
	if (!b->is_file)
		check_row(v, b, data);
	return 1;
}

static int has_file_row(struct verify *v, const struct digest *digest, bool *ret, struct error *err)
{
	CLEANUP(store_reader_donep) struct store_conn *reader = store_reader(v->store);
	CLEANUP(query_done) struct query q = query(reader, SQL_BLOB_FILE_FIND);
	int64_t id;

	query_bind_digest(&q, digest);
	if (query_id(&q, &id, err) != 0)
		return -1;
	*ret = id != 0;
	return 0;
}

static int check_file(struct verify *v, const struct blob *b, struct error *err)
{
	struct error damage = ERROR_INIT;
	char text[DIGEST_TEXT_SIZE];
	bool named;

	if (store_blob_copy_file(v->store, &b->digest, b->size, -1, &damage) == 0) {
		v->report->bytes += b->size;
		return 0;
	}
	if (damage.code == ERROR_NO_MEMORY)
		return error_no_memory(err);
	if (store_interrupted(v->store, err) != 0 || has_file_row(v, &b->digest, &named, err) != 0)
		return -1;
	if (named)
		problem(v, "blob %s: %s", digest_format(&b->digest, text), damage.text);
	return 0;
}

static int check_blobs(struct verify *v, struct error *err)
{
	struct blob b = {0};
	int row;

	while ((row = next_blob(v, &b, err)) == 1)
		if (store_interrupted(v->store, err) != 0 ||
			(b.is_file && check_file(v, &b, err) != 0))
			return -1;
	return row;
}

/* ---- files that no row names ---- */

/* Below blobs/: a digest's algorithm, the folder of its first two digits, and all of them. */
struct place {
	const char *algorithm, *folder;
};

static int look_at_file(
	struct verify *v, const struct place *in, const char *name, struct error *err)
{
	char text[NAME_MAX + sizeof("sha512:")];
	struct error ignored = ERROR_INIT;
	struct digest digest;
	bool named;

	snprintf(text, sizeof(text), "%s:%s", in->algorithm, name);
	if (digest_parse(&digest, slice_of(text), &ignored) != 0 ||
		strncmp(name, in->folder, 2) != 0) {
		problem(v, "the file blobs/%s/%s/%s is not named as a blob of this folder",
			in->algorithm, in->folder, name);
		return 0;
	}
	if (has_file_row(v, &digest, &named, err) != 0)
		return -1;
	v->report->unused_files += !named;
	return 0;
}

typedef int entry_fn(struct verify *v, const struct place *in, const char *name, struct error *err);

static DIR *open_folder(struct verify *v, const struct place *in)
{
	AUTO_FREE char *path =
		str_printf("%s/blobs/%s/%s", store_dir(v->store), in->algorithm, in->folder);

	return path == NULL ? NULL : opendir(path);
}

static int each_entry(struct verify *v, const struct place *in, entry_fn *each, struct error *err)
{
	DIR *dir = open_folder(v, in);
	const struct dirent *entry;
	int result = 0;

	if (dir == NULL && errno == ENOMEM)
		return error_no_memory(err);
	if (dir == NULL) {
		problem(v, "cannot read the folder blobs/%s/%s: %s", in->algorithm, in->folder,
			strerror(errno));
		return 0;
	}
	while (result == 0 && (entry = readdir(dir)) != NULL) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		result = store_interrupted(v->store, err);
		if (result == 0)
			result = each(v, in, entry->d_name, err);
	}
	closedir(dir);
	return result;
}

static int look_at_folder(
	struct verify *v, const struct place *in, const char *name, struct error *err)
{
	const struct place below = {in->algorithm, name};

	if (strlen(name) == 2 && strspn(name, "0123456789abcdef") == 2)
		return each_entry(v, &below, look_at_file, err);
	problem(v, "blobs/%s/%s is no folder of blobs", in->algorithm, name);
	return 0;
}

static int look_at_algorithm(
	struct verify *v, const struct place *in UNUSED, const char *name, struct error *err)
{
	const struct place below = {name, ""};

	if (strcmp(name, "sha256") == 0 || strcmp(name, "sha512") == 0)
		return each_entry(v, &below, look_at_folder, err);
	problem(v, "blobs/%s is no folder of blobs", name);
	return 0;
}

static int check_files(struct verify *v, struct error *err)
{
	const struct place top = {"", ""};

	return each_entry(v, &top, look_at_algorithm, err);
}

/* ---- all of it ---- */

/* What a damaged database does not let it read is a problem like others, and the rest goes on. */
int store_verify_all(struct store *s, struct verify_report *ret, struct error *err)
{
	static int (*const checks[])(struct verify *, struct error *) = {
		check_database,
		check_references,
		check_manifests,
		check_tags,
		check_repository_blobs,
		check_blobs,
		check_files,
	};
	struct verify v = {.store = s, .report = ret};

	for (size_t i = 0; i < ARRAY_SIZE(checks); i++) {
		if (checks[i](&v, err) == 0)
			continue;
		if (err->code != ERROR_INTERNAL || store_interrupted(s, err) != 0)
			return -1;
		problem(&v, "%s", err->text);
		*err = (struct error)ERROR_INIT;
	}
	return buf_check(&ret->text, err);
}
