/* SPDX-License-Identifier: Apache-2.0 */
#include "publish/fsck_check.h"

#include "publish/head.h"
#include "publish/restore.h"
#include "publish/trace.h"

#include <stdarg.h>
#include <stdio.h>

/* ---- findings ---- */

void findings_done(struct findings *f)
{
	for (size_t i = 0; i < f->n; i++)
		free(f->list[i].text);
	free(f->list);
	*f = (struct findings){0};
}

int findings_add(struct findings *f, const char *repository, const struct digest *derived,
	struct error *err, const char *fmt, ...)
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(LIMIT_FINDING);
	struct finding *last;
	va_list ap;

	if (f->n == f->cap) {
		size_t cap = f->cap == 0 ? 16 : 2 * f->cap;
		struct finding *grown = realloc(f->list, cap * sizeof(*grown));

		if (grown == NULL)
			return error_no_memory(err);
		f->list = grown;
		f->cap = cap;
	}
	va_start(ap, fmt);
	buf_vprintf(&text, fmt, ap);
	va_end(ap);
	if (buf_check(&text, err) != 0)
		return -1;
	last = &f->list[f->n++];
	*last = (struct finding){.text = buf_take(&text), .derived = derived != NULL};
	if (derived != NULL)
		last->expected = *derived;
	snprintf(last->repository, sizeof(last->repository), "%s", repository);
	return 0;
}

void check_done(struct check *c)
{
	record_done(&c->record);
	state_unref(c->state);
	findings_done(&c->found);
	findings_done(&c->notes);
}

bool check_is_damage(const struct error *err)
{
	return err->code == ERROR_NOT_FOUND || err->code == ERROR_INTERNAL ||
	       err->code == ERROR_INVALID || err->code == ERROR_TOO_LARGE;
}

/* An error that is a difference becomes one; any other stays. */
static int add_damage(struct check *c, const char *repository, const struct error *damage,
	const char *remedy, struct error *err)
{
	if (!check_is_damage(damage)) {
		*err = *damage;
		return -1;
	}
	return findings_add(&c->found, repository, NULL, err, "%s; %s", damage->text, remedy);
}

/* ---- tags that must name what we know ---- */

struct expected_tag {
	char repository[LIMIT_REPOSITORY + 1];
	char tag[RECORD_TAG_SIZE > RESOURCE_TAG_SIZE ? RECORD_TAG_SIZE : RESOURCE_TAG_SIZE];
	struct digest digest;
	const char *remedy; /* NULL: the tag is derived */
};

static void expect(struct expected_tag *e, const char *repository, const char *tag,
	const struct digest *digest, const char *remedy)
{
	snprintf(e->repository, sizeof(e->repository), "%s", repository);
	snprintf(e->tag, sizeof(e->tag), "%s", tag);
	e->digest = *digest;
	e->remedy = remedy;
}

/* failure: why the tag could not be followed, or ERROR_NONE and what it names. */
static int judge_tag(struct check *c, const struct expected_tag *e, const struct error *failure,
	const struct digest *named, struct error *err)
{
	char text[DIGEST_TEXT_SIZE], expected[DIGEST_TEXT_SIZE];
	const struct digest *derived = e->remedy == NULL ? &e->digest : NULL;
	const char *semicolon = e->remedy == NULL ? "" : "; ";
	const char *remedy = e->remedy == NULL ? "" : e->remedy;

	digest_format(&e->digest, expected);
	if (failure->code == ERROR_NONE && digest_eq(named, &e->digest))
		return 0;
	if (failure->code == ERROR_NONE)
		return findings_add(&c->found, e->repository, derived, err,
			"%s:%s names %s, the record says %s%s%s", e->repository, e->tag,
			digest_format(named, text), expected, semicolon, remedy);
	if (failure->code == ERROR_NOT_FOUND)
		return findings_add(&c->found, e->repository, derived, err,
			"%s:%s is missing, the record says %s%s%s", e->repository, e->tag, expected,
			semicolon, remedy);
	if (check_is_damage(failure))
		return findings_add(&c->found, e->repository, derived, err, "%s:%s: %s%s%s",
			e->repository, e->tag, failure->text, semicolon, remedy);
	*err = *failure;
	return error_wrap(err, "%s:%s", e->repository, e->tag);
}

static int check_tags(
	struct check *c, const struct expected_tag *expected, size_t n, struct error *err)
{
	AUTO_FREE struct look *looks = calloc(n + 1, sizeof(*looks));

	if (looks == NULL)
		return error_no_memory(err);
	for (size_t i = 0; i < n; i++)
		looks[i] =
			(struct look){.repository = expected[i].repository, .tag = expected[i].tag};
	registry_look(c->registry, looks, n);
	for (size_t i = 0; i < n; i++)
		if (judge_tag(c, &expected[i], &looks[i].err, &looks[i].digest, err) != 0)
			return -1;
	return 0;
}

/* ---- record and catalogs ---- */

#define RESTORE_BACKUP "restore a backup"
#define RESTORE_OR_REBUILD "restore a backup or run gsq rebuild"

static int read_state(struct check *c, struct error *err)
{
	struct error failure = ERROR_INIT;

	if (restore_state(&c->state, NULL, &c->record, c->registry, &failure) == 0)
		return 0;
	if (c->record.layout.kind == LAYOUT_SPLIT && check_is_damage(&failure) &&
		trace_state(&c->state, &c->record, &c->record_digest, c->registry, &failure) == 0)
		return 0;
	return add_damage(c, CATALOG_REPOSITORY, &failure, RESTORE_OR_REBUILD, err);
}

static int read_head(struct check *c, struct error *err)
{
	struct error failure = ERROR_INIT;

	record_done(&c->record);
	c->record = (struct record){0};
	state_unref(TAKE_PTR(c->state));
	if (head_read_record(&c->record, &c->record_digest, c->registry, &failure) != 0)
		return add_damage(c, RECORD_REPOSITORY, &failure,
			failure.code == ERROR_NOT_FOUND ? "start once with --init where the store "
							  "is new, else " RESTORE_OR_REBUILD
							: RESTORE_OR_REBUILD,
			err);
	return read_state(c, err);
}

static int check_parent(struct check *c, struct error *err)
{
	CLEANUP(record_done) struct record parent = {0};
	struct error failure = ERROR_INIT;

	if (!c->record.has_parent)
		return 0;
	if (trace_record(&parent, &c->record.parent, c->registry, &failure) != 0)
		return add_damage(c, RECORD_REPOSITORY, &failure, RESTORE_BACKUP, err);
	if (parent.version < c->record.version)
		return 0;
	return findings_add(&c->found, RECORD_REPOSITORY, NULL, err,
		"%s: the record c%llu follows c%llu, which has no lower version", RECORD_REPOSITORY,
		(unsigned long long)c->record.version, (unsigned long long)parent.version);
}

/* Catalogs of the layout before are not, which a repartition leaves without any resource. */
static bool is_current(const struct record *record, const char *repository)
{
	struct place ignored;

	return strcmp(repository, CATALOG_REPOSITORY) == 0 ||
	       layout_repository_parse(&record->layout, slice_of(repository), &ignored);
}

/* The versioned tags of what the record made, and latest of every catalog. */
static int check_head_tags(struct check *c, struct error *err)
{
	const struct record *r = &c->record;
	size_t n_partitions = c->state == NULL ? 0 : state_n_partitions(c->state);
	AUTO_FREE struct expected_tag *tags =
		calloc(2 * r->n_catalogs + n_partitions + 2, sizeof(*tags));
	size_t n = 0;
	char version[RECORD_TAG_SIZE];

	if (tags == NULL)
		return error_no_memory(err);
	record_tag(r->version, version);
	expect(&tags[n++], RECORD_REPOSITORY, version, &c->record_digest, RESTORE_BACKUP);
	for (size_t i = 0; i < r->n_catalogs; i++)
		expect(&tags[n++], r->catalogs[i].repository, version, &r->catalogs[i].digest,
			RESTORE_BACKUP);
	for (size_t i = 0; i < r->n_catalogs; i++)
		if (c->state == NULL || !is_current(r, r->catalogs[i].repository))
			expect(&tags[n++], r->catalogs[i].repository, "latest",
				&r->catalogs[i].digest, NULL);
	for (size_t i = 0; i < n_partitions; i++) {
		const struct partition *p = state_partition(c->state, i);

		expect(&tags[n++], p->repository, "latest", &p->digest, NULL);
	}
	if (c->state != NULL && state_root(c->state) != NULL)
		expect(&tags[n++], CATALOG_REPOSITORY, "latest", state_root(c->state), NULL);
	return check_tags(c, tags, n, err);
}

/* A server does not start where they disagree. */
static int check_changes(struct check *c, struct error *err)
{
	for (size_t i = 0; c->state != NULL && i < c->record.n_changes; i++) {
		const struct record_change *change = &c->record.changes[i];

		if (restore_agrees(change, state_find(c->state, change->namespace, change->name)))
			continue;
		if (findings_add(&c->found, RECORD_REPOSITORY, NULL, err,
			    "%s: the catalog does not hold %s/%s as the record c%llu says; run gsq "
			    "rebuild",
			    RECORD_REPOSITORY, change->namespace, change->name,
			    (unsigned long long)c->record.version) != 0)
			return -1;
	}
	return 0;
}

int check_head(struct check *c, struct error *err)
{
	if (read_head(c, err) != 0)
		return -1;
	if (c->record.version == 0)
		return 0;
	if (check_parent(c, err) != 0 || check_head_tags(c, err) != 0)
		return -1;
	return check_changes(c, err);
}

/* ---- resources: those that are, and those that are no more ---- */

/* One repository of a resource, and what belongs there. */
struct subject {
	char repository[LIMIT_REPOSITORY + 1];
	char namespace[LIMIT_NAME + 1], name[LIMIT_NAME + 1]; /* "": it can be no resource's */
	bool live;
	bool known; /* these are: */
	uint64_t version;
	char tag[RESOURCE_TAG_SIZE];
	struct digest digest;
	/* What Flux gets while it is held, or "". */
	char instead[RESOURCE_TAG_SIZE];
	struct digest instead_digest;
};

static void set_version(struct subject *s, uint64_t version, const struct digest *digest)
{
	s->known = true;
	s->version = version;
	resource_tag(version, s->tag);
	s->digest = *digest;
}

static void subject_of_resource(struct subject *ret, const struct resource *r)
{
	*ret = (struct subject){.live = true};
	snprintf(ret->namespace, sizeof(ret->namespace), "%s", r->intent->namespace);
	snprintf(ret->name, sizeof(ret->name), "%s", r->intent->name);
	resource_repository(ret->namespace, ret->name, ret->repository);
	set_version(ret, r->version, &r->digest);
	if (r->hold == NULL || r->hold->instead == NULL)
		return;
	resource_tag(r->hold->instead->version, ret->instead);
	ret->instead_digest = r->hold->instead->digest;
}

/* The last record knows the tombstones of its own deletions. */
static void subject_of_change(struct subject *s, const struct record *record)
{
	for (size_t i = 0; i < record->n_changes; i++) {
		const struct record_change *change = &record->changes[i];

		if (strcmp(change->namespace, s->namespace) != 0 ||
			strcmp(change->name, s->name) != 0)
			continue;
		s->live = change->op != RECORD_DELETE;
		set_version(s, change->version, &change->digest);
	}
}

static void subject_of_repository(
	struct subject *ret, const char *repository, const struct check *c)
{
	struct resource *r;

	*ret = (struct subject){.live = false};
	snprintf(ret->repository, sizeof(ret->repository), "%s", repository);
	if (!resource_repository_parse(slice_of(repository), ret->namespace, ret->name))
		return;
	r = c->state == NULL ? NULL : state_find(c->state, ret->namespace, ret->name);
	if (r != NULL)
		subject_of_resource(ret, r);
	else
		subject_of_change(ret, &c->record);
}

/* ---- live ones ---- */

#define STORE_ANEW "change the resource, which stores it anew, or restore a backup"

/* Its artifact, to the last byte, and its tags. The manifest's digest is a function of the YAML in
 * the catalog and covers the layer's, so this compares the layer too. */
static int judge_live(struct check *c, const struct subject *s, const struct look *looks,
	const struct pull *artifact, struct error *err)
{
	const struct look *latest = &looks[0], *instead = &looks[1];
	struct expected_tag tag;

	if (s->instead[0] != '\0') {
		expect(&tag, s->repository, s->instead, &s->instead_digest, STORE_ANEW);
		if (judge_tag(c, &tag, &instead->err, &instead->digest, err) != 0)
			return -1;
	}
	expect(&tag, s->repository, "latest", &s->digest, NULL);
	if (judge_tag(c, &tag, &latest->err, &latest->digest, err) != 0)
		return -1;
	expect(&tag, s->repository, s->tag, &s->digest, STORE_ANEW);
	return judge_tag(c, &tag, &artifact->err, &artifact->digest, err);
}

/* ---- deleted ones ---- */

static int is_tombstone(
	bool *ret, const struct subject *s, const struct pull *pull, struct error *err)
{
	CLEANUP(oci_manifest_freep) struct oci_manifest *m = NULL;
	struct error malformed = ERROR_INIT;
	uint64_t version;

	*ret = false;
	if (oci_manifest_parse(&m, buf_slice(&pull->manifest), &malformed) != 0)
		return 0;
	version = artifact_version(m);
	return version == 0 ? 0
			    : artifact_is_tombstone(
				      ret, &pull->digest, s->namespace, s->name, version, err);
}

/* The newest of a repository's versions, in falling order. */
struct newest {
	uint64_t highest; /* what is above it no record has named yet */
	size_t n;
	uint64_t versions[LIMIT_FSCK_VERSIONS];
};

static int note_version(struct slice tag, void *arg, struct error *err UNUSED)
{
	struct newest *newest = arg;
	uint64_t version;
	size_t at;

	if (!resource_tag_parse(tag, &version) || version > newest->highest)
		return 0;
	for (at = newest->n; at > 0 && newest->versions[at - 1] < version; at--)
		if (at < LIMIT_FSCK_VERSIONS)
			newest->versions[at] = newest->versions[at - 1];
	if (at < LIMIT_FSCK_VERSIONS)
		newest->versions[at] = version;
	newest->n += newest->n < LIMIT_FSCK_VERSIONS;
	return 0;
}

/* Where latest belongs once the resource is deleted: the newest tombstone there is. */
static int find_tombstone(struct subject *s, struct check *c, struct error *err)
{
	struct newest newest = {.highest = c->record.version};
	struct look looks[LIMIT_FSCK_VERSIONS];
	char tags[LIMIT_FSCK_VERSIONS][RESOURCE_TAG_SIZE];
	bool found = false;

	if (registry_tags(c->registry, s->repository, NULL, note_version, &newest, err) != 0)
		return error_wrap(err, "%s", s->repository);
	for (size_t i = 0; i < newest.n; i++) {
		resource_tag(newest.versions[i], tags[i]);
		looks[i] = (struct look){.repository = s->repository, .tag = tags[i]};
	}
	registry_look(c->registry, looks, newest.n);
	for (size_t i = 0; i < newest.n && !found; i++) {
		if (looks[i].err.code == ERROR_NONE &&
			artifact_is_tombstone(&found, &looks[i].digest, s->namespace, s->name,
				newest.versions[i], err) != 0)
			return -1;
		if (found)
			set_version(s, newest.versions[i], &looks[i].digest);
	}
	return 0;
}

static int judge_latest(
	struct check *c, const struct subject *s, const struct pull *latest, struct error *err)
{
	struct expected_tag tag;

	expect(&tag, s->repository, "latest", &s->digest, NULL);
	return judge_tag(c, &tag, &latest->err, &latest->digest, err);
}

static int add_stray(
	struct check *c, const struct subject *s, const struct pull *latest, struct error *err)
{
	bool damaged = latest->err.code != ERROR_NONE;
	char text[DIGEST_TEXT_SIZE];

	return findings_add(&c->found, s->repository, NULL, err,
		"%s:latest names %s, which is no resource of any catalog: %stake the tag away",
		s->repository, damaged ? latest->err.text : digest_format(&latest->digest, text),
		s->name[0] == '\0' ? "" : "declare the resource and delete it again, or ");
}

/* A resource that is in no catalog; gsq rebuild would bring back one whose latest is no tombstone.
 */
static int judge_gone(
	struct check *c, struct subject *s, const struct pull *latest, struct error *err)
{
	bool tombstone = false;

	if (s->known || (latest->err.code != ERROR_NONE && !check_is_damage(&latest->err)))
		return judge_latest(c, s, latest, err);
	if (latest->err.code == ERROR_NOT_FOUND) {
		c->unfinished++;
		return 0;
	}
	if (s->name[0] == '\0')
		return add_stray(c, s, latest, err);
	if (latest->err.code == ERROR_NONE && is_tombstone(&tombstone, s, latest, err) != 0)
		return -1;
	if (tombstone)
		return 0;
	if (find_tombstone(s, c, err) != 0)
		return -1;
	return s->known ? judge_latest(c, s, latest, err) : add_stray(c, s, latest, err);
}

/* ---- many at once ---- */

struct readings {
	struct pull pulls[LIMIT_PULLS];     /* of a live one its version, else latest */
	struct look looks[2 * LIMIT_PULLS]; /* of the live ones latest, and perhaps one more: */
	size_t look_of[LIMIT_PULLS];        /* the first of each */
};

static void read_subjects(
	struct readings *r, const struct subject *subjects, size_t n, struct registry *registry)
{
	size_t n_looks = 0;

	for (size_t i = 0; i < n; i++) {
		const struct subject *s = &subjects[i];

		r->pulls[i] = (struct pull){
			.repository = s->repository,
			.reference = s->live ? s->tag : "latest",
			.manifest = BUF_INIT(LIMIT_MANIFEST),
			.layer = BUF_INIT(LIMIT_INTENT_YAML),
		};
		if (!s->live)
			continue;
		r->look_of[i] = n_looks;
		r->looks[n_looks++] = (struct look){.repository = s->repository, .tag = "latest"};
		if (s->instead[0] != '\0')
			r->looks[n_looks++] =
				(struct look){.repository = s->repository, .tag = s->instead};
	}
	registry_look(registry, r->looks, n_looks);
	registry_pull(registry, r->pulls, n);
}

/* At most LIMIT_PULLS of them. */
static int check_subjects(struct check *c, struct subject *subjects, size_t n, struct error *err)
{
	AUTO_FREE struct readings *r = calloc(1, sizeof(*r));
	int rc = 0;

	if (r == NULL)
		return error_no_memory(err);
	read_subjects(r, subjects, n, c->registry);
	for (size_t i = 0; i < n; i++) {
		if (rc == 0 && subjects[i].live)
			rc = judge_live(
				c, &subjects[i], &r->looks[r->look_of[i]], &r->pulls[i], err);
		else if (rc == 0)
			rc = judge_gone(c, &subjects[i], &r->pulls[i], err);
		buf_done(&r->pulls[i].manifest);
		buf_done(&r->pulls[i].layer);
	}
	return rc;
}

/* Subjects that come one by one, checked by the batch. */
struct queue {
	struct check *check;
	size_t n;
	struct subject list[LIMIT_PULLS];
};

static int queue_flush(struct queue *q, struct error *err)
{
	size_t n = q->n;

	q->n = 0;
	return n == 0 ? 0 : check_subjects(q->check, q->list, n, err);
}

/* Where the next one goes; it counts once queue_added() is called. */
static struct subject *queue_next(struct queue *q)
{
	ASSERT(q->n < LIMIT_PULLS);
	return &q->list[q->n];
}

static int queue_added(struct queue *q, struct error *err)
{
	q->n++;
	return q->n == LIMIT_PULLS ? queue_flush(q, err) : 0;
}

static int queue_new(struct queue **ret, struct check *c, struct error *err)
{
	*ret = calloc(1, sizeof(**ret));
	if (*ret == NULL)
		return error_no_memory(err);
	(*ret)->check = c;
	return 0;
}

/* ---- which ones ---- */

static int check_state(struct check *c, struct queue *q, struct error *err)
{
	CLEANUP(state_cursor_freep) struct state_cursor *cursor = NULL;
	const struct resource *r;

	if (state_cursor_new_all(&cursor, c->state, "", "", err) != 0)
		return -1;
	while ((r = state_cursor_at(cursor)) != NULL) {
		subject_of_resource(queue_next(q), r);
		if (queue_added(q, err) != 0)
			return -1;
		state_cursor_advance(cursor);
	}
	return queue_flush(q, err);
}

static int check_record_changes(
	struct check *c, struct queue *q, bool deletions_only, struct error *err)
{
	for (size_t i = 0; i < c->record.n_changes; i++) {
		const struct record_change *change = &c->record.changes[i];
		char repository[RESOURCE_REPOSITORY_SIZE];

		if (deletions_only && change->op != RECORD_DELETE)
			continue;
		resource_repository(change->namespace, change->name, repository);
		subject_of_repository(queue_next(q), repository, c);
		if (queue_added(q, err) != 0)
			return -1;
	}
	return queue_flush(q, err);
}

/* Names of repositories, while they are listed: no other call may be made then. */
struct strays {
	const struct check *check;
	struct findings names;
};

static int collect_stray(struct slice repository, void *arg, struct error *err)
{
	struct strays *strays = arg;
	char text[LIMIT_REPOSITORY + 1];
	struct subject s;

	if (!slice_starts(repository, SLICE(RESOURCE_REPOSITORY_PREFIX)) ||
		repository.n > LIMIT_REPOSITORY)
		return 0;
	snprintf(text, sizeof(text), "%.*s", SLICE_ARG(repository));
	subject_of_repository(&s, text, strays->check);
	if (s.live)
		return 0;
	return findings_add(&strays->names, text, NULL, err, "%s", "");
}

static bool is_refusal(const struct error *err)
{
	return err->code == ERROR_NOT_IMPLEMENTED || err->code == ERROR_DENIED ||
	       err->code == ERROR_UNAUTHORIZED || err->code == ERROR_NOT_FOUND;
}

static int check_listed(struct check *c, struct queue *q, struct error *err)
{
	struct strays strays = {.check = c};
	int rc = registry_repositories(c->registry, collect_stray, &strays, err);

	if (rc != 0 && is_refusal(err)) {
		struct error refusal = *err;

		findings_done(&strays.names);
		if (findings_add(&c->notes, "", NULL, err,
			    "not checked: repositories of resources that were deleted before the "
			    "last record, since the registry does not list them (%s)",
			    refusal.text) != 0)
			return -1;
		return check_record_changes(c, q, true, err);
	}
	for (size_t i = 0; rc == 0 && i < strays.names.n; i++) {
		subject_of_repository(queue_next(q), strays.names.list[i].repository, c);
		rc = queue_added(q, err);
	}
	findings_done(&strays.names);
	return rc == 0 ? queue_flush(q, err) : -1;
}

int check_resources(struct check *c, struct error *err)
{
	AUTO_FREE struct queue *q = NULL;

	if (queue_new(&q, c, err) != 0)
		return -1;
	if (c->state != NULL)
		return check_state(c, q, err) != 0 ? -1 : check_listed(c, q, err);
	if (findings_add(&c->notes, "", NULL, err, "not checked: %s",
		    c->record.version == 0
			    ? "anything else, since there is no record to compare it with"
			    : "resources that the last record does not name, since the catalogs "
			      "cannot be read") != 0)
		return -1;
	return check_record_changes(c, q, false, err);
}

int check_resources_again(struct check *c, const struct findings *before, struct error *err)
{
	AUTO_FREE struct queue *q = NULL;

	if (queue_new(&q, c, err) != 0)
		return -1;
	for (size_t i = 0; i < before->n; i++) {
		const char *repository = before->list[i].repository;

		if (!slice_starts(slice_of(repository), SLICE(RESOURCE_REPOSITORY_PREFIX)) ||
			(i > 0 && strcmp(repository, before->list[i - 1].repository) == 0))
			continue;
		subject_of_repository(queue_next(q), repository, c);
		if (queue_added(q, err) != 0)
			return -1;
	}
	return queue_flush(q, err);
}
