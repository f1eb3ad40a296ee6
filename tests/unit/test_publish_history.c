/* SPDX-License-Identifier: Apache-2.0 */
/* What the registry says of what was: versions of a resource, commit records, and what changed. */
#include "publisher_fixture.h"

#include "publish/history.h"
#include "publish/rebuild.h"

#include <stdio.h>

#define WEB_REPOSITORY "gitops-squared/resources/default/web"

/* ---- what the tests read ---- */

static struct history_page history_below(
	struct fake *f, const char *name, uint64_t below, size_t limit)
{
	struct history_page page;

	if (history_of_resource(&page, &f->registry, "default", name, below, limit, &err) != 0)
		fail_msg("history of %s: %s", name, err.text);
	return page;
}

static struct history_page history(struct fake *f, const char *name)
{
	return history_below(f, name, 0, LIMIT_HISTORY_PAGE);
}

/* A number of replicas other than the one before. */
static unsigned some(unsigned i)
{
	return 1 + i % 10;
}

static unsigned replicas(const struct intent *intent)
{
	return intent == NULL ? 0 : intent->replicas;
}

/* An entry, by what it was made from. */
static void expect_entry(const struct history_entry *e, enum record_op op,
	const struct outcome *outcome, unsigned now, unsigned before)
{
	assert_int_equal(e->version, outcome->version);
	assert_int_equal(e->op, op);
	assert_int_equal(replicas(e->intent), now);
	assert_int_equal(replicas(e->before), before);
	assert_false(e->is_expired);
}

static int expect_no_history(struct fake *f, const char *name)
{
	struct history_page page;
	int rc = history_of_resource(&page, &f->registry, "default", name, 0, 10, &err);

	assert_int_equal(rc, -1);
	return (int)err.code;
}

static uint64_t commit_version(struct fake *f)
{
	CLEANUP(record_done) struct record record = {0};

	last_record(f, &record);
	return record.version;
}

/* What is current of it; 0: nothing is. */
static uint64_t current_version(struct publisher *p, const char *name)
{
	CLEANUP(state_unrefp) struct state *s = publisher_state(p, NULL);
	struct resource *r = state_find(s, "default", name);

	return r == NULL ? 0 : r->version;
}

/* A manifest goes with its last tag, as in the embedded registry. */
static void expire(struct fake *f, const char *repository, uint64_t version)
{
	struct digest digest;
	char tag[RESOURCE_TAG_SIZE];

	resource_tag(version, tag);
	assert_true(fake_resolve(f, repository, tag, &digest));
	fake_drop_tag(f, repository, tag);
	for (size_t i = 0; i < f->n_blobs; i++)
		if (digest_eq(&f->blobs[i].digest, &digest) &&
			strcmp(f->blobs[i].repository, repository) == 0)
			f->blobs[i].repository[0] = '-';
}

/* ---- one resource ---- */

static void history_tells_of_creation_changes_deletion_and_making_again(void **state)
{
	struct fake *f = fake_new(*(bool *)*state);
	struct publisher *p = start(f);
	struct outcome made = put(p, "web", 1), changed = put(p, "web", 2),
		       deleted = delete (p, "web"), again = put(p, "web", 3);
	struct history_page page;

	put(p, "web", 3); /* no change */
	put(p, "db", 7);
	page = history(f, "web");
	assert_int_equal(page.n, 4);
	assert_int_equal(page.next, 0);
	expect_entry(&page.entries[0], RECORD_CREATE, &again, 3, 0);
	assert_int_equal(page.entries[1].op, RECORD_DELETE);
	assert_null(page.entries[1].intent);
	assert_int_equal(replicas(page.entries[1].before), 2);
	assert_true(page.entries[1].version > changed.version);
	assert_int_equal(deleted.op, OUTCOME_DELETED);
	expect_entry(&page.entries[2], RECORD_UPDATE, &changed, 2, 1);
	expect_entry(&page.entries[3], RECORD_CREATE, &made, 1, 0);
	history_page_done(&page);
	publisher_free(p);
	fake_destroy(f);
}

static void an_entry_says_who_why_and_in_which_commit(void **state)
{
	CLEANUP(author_unrefp) struct author *author = NULL;
	CLEANUP(intent_unrefp) struct intent *intent = make_intent("web", 1);
	struct fake *f = fake_new(*(bool *)*state);
	struct publisher *p = start(f);
	struct history_page page;
	struct digest stored;
	struct waiter w;
	char tag[RESOURCE_TAG_SIZE];

	assert_int_equal(author_new(&author, "token:ci", "192.0.2.7", SLICE("release 4"), &err), 0);
	waiter_init(&w, 1);
	publisher_put(p, intent, ALWAYS, author, waiter_done, &w);
	waiter_wait(&w);
	page = history(f, "web");
	assert_int_equal(page.n, 1);
	assert_string_equal(page.entries[0].author->who, "token:ci");
	assert_string_equal(page.entries[0].author->from, "192.0.2.7");
	assert_string_equal(page.entries[0].author->why, "release 4");
	assert_int_equal(page.entries[0].revision, commit_version(f));
	resource_tag(page.entries[0].version, tag);
	assert_true(fake_resolve(f, WEB_REPOSITORY, tag, &stored));
	assert_true(digest_eq(&page.entries[0].digest, &stored));
	history_page_done(&page);
	publisher_free(p);
	fake_destroy(f);
}

static void history_comes_in_pages_that_leave_nothing_out(void **state)
{
	enum { N = 7 };
	struct fake *f = fake_new(*(bool *)*state);
	struct publisher *p = start(f);
	uint64_t versions[N], below = 0;
	size_t got = 0;

	for (unsigned i = 0; i < N; i++)
		versions[i] = put(p, "web", i + 1).version;
	do {
		struct history_page page = history_below(f, "web", below, 3);

		for (size_t i = 0; i < page.n; i++, got++) {
			assert_int_equal(page.entries[i].version, versions[N - 1 - got]);
			assert_int_equal(replicas(page.entries[i].before), N - 1 - got);
		}
		below = page.next;
		history_page_done(&page);
	} while (below != 0);
	assert_int_equal(got, N);
	publisher_free(p);
	fake_destroy(f);
}

static void below_the_first_version_there_is_an_empty_page(void **state)
{
	struct fake *f = fake_new(*(bool *)*state);
	struct publisher *p = start(f);
	uint64_t first = put(p, "web", 1).version;
	struct history_page page = history_below(f, "web", first, 3);

	assert_int_equal(page.n, 0);
	assert_int_equal(page.next, 0);
	history_page_done(&page);
	publisher_free(p);
	fake_destroy(f);
}

static void a_resource_that_never_was_has_no_history(void **state)
{
	struct fake *f = fake_new(*(bool *)*state);
	struct publisher *p = start(f);

	put(p, "db", 1);
	assert_int_equal(expect_no_history(f, "web"), ERROR_NOT_FOUND);
	publisher_free(p);
	fake_destroy(f);
}

/* Whatever call a commit fails at, history is what was seen to be current, and nothing else. */
static void what_failed_commits_left_behind_is_never_shown(void **state)
{
	static const enum fake_fault faults[] = {
		FAKE_UNAVAILABLE, FAKE_LOST_BEFORE, FAKE_LOST_AFTER};
	struct fake *f = fake_new(*(bool *)*state);
	struct publisher *p = start(f);
	uint64_t versions[64];
	size_t n = 0, failed = 0;
	struct history_page page;

	versions[n++] = put(p, "web", 1).version;
	for (unsigned i = 0; i < 24; i++) {
		uint64_t now;

		fake_fail(f, i / 3, 1, faults[i % 3]);
		failed += put(p, "web", some(i + 1)).err.code != ERROR_NONE;
		wait_ready(p); /* and at rest */
		fake_fail(f, 0, 0, FAKE_OK);
		now = current_version(p, "web");
		if (now != versions[n - 1])
			versions[n++] = now;
		page = history(f, "web");
		assert_int_equal(page.n, n);
		for (size_t j = 0; j < n; j++)
			assert_int_equal(page.entries[j].version, versions[n - 1 - j]);
		history_page_done(&page);
	}
	assert_true(failed > 0);
	publisher_free(p);
	fake_destroy(f);
}

static void versions_are_in_the_order_of_their_numbers(void **state)
{
	struct fake *f = fake_new(*(bool *)*state);
	struct publisher *p;
	uint64_t versions[20], now = fixture_now;

	fixture_now = 93; /* 93, 94, ... 99, 100: as tags, v100 comes before v99 */
	p = start_with(f, true, fixture_clock);
	wait_ready(p);
	for (unsigned i = 0; i < ARRAY_SIZE(versions); i++)
		versions[i] = put(p, "web", some(i)).version;
	assert_true(versions[0] < 100 && versions[ARRAY_SIZE(versions) - 1] > 100);
	for (size_t limit = 1; limit <= ARRAY_SIZE(versions); limit++) {
		uint64_t below = versions[ARRAY_SIZE(versions) - limit] + 1;
		struct history_page page = history_below(f, "web", below, 2);

		assert_int_equal(page.entries[0].version, below - 1);
		assert_int_equal(page.n, limit == ARRAY_SIZE(versions) ? 1 : 2);
		history_page_done(&page);
	}
	publisher_free(p);
	fixture_now = now;
	fake_destroy(f);
}

static void versions_that_have_expired_are_not_in_the_history_or_are_said_to_be(void **state)
{
	struct fake *f = fake_new(*(bool *)*state);
	struct publisher *p = start(f);
	uint64_t first = put(p, "web", 1).version, second = put(p, "web", 2).version;
	struct intent *intent = NULL;
	struct history_page page;
	struct digest digest;
	char tag[RESOURCE_TAG_SIZE];

	resource_tag(second, tag);
	put(p, "web", 3);
	expire(f, WEB_REPOSITORY, first);
	page = history(f, "web");
	assert_int_equal(page.n, 2);
	assert_int_equal(page.entries[1].version, second);
	assert_null(page.entries[1].before);
	history_page_done(&page);
	assert_int_equal(history_intent(&intent, &f->registry, "default", "web", first, &err), -1);
	assert_int_equal(err.code, ERROR_GONE);

	/* Between the listing and the reading. */
	assert_true(fake_resolve(f, WEB_REPOSITORY, tag, &digest));
	expire(f, WEB_REPOSITORY, second);
	fake_set_tag(f, WEB_REPOSITORY, tag, &digest);
	page = history(f, "web");
	assert_int_equal(page.n, 2);
	assert_true(page.entries[1].is_expired);
	assert_null(page.entries[1].intent);
	assert_null(page.entries[0].before);
	history_page_done(&page);
	publisher_free(p);
	fake_destroy(f);
}

static void a_held_version_is_in_the_history_once(void **state)
{
	struct fake *f = fake_new(*(bool *)*state);
	struct publisher *p = start(f);
	struct outcome first = put(p, "web", 1), second = put(p, "web", 2);
	struct history_page page;

	assert_int_equal(
		hold(p, "web", second.version, HOLD_REFUSED, first.version).err.code, ERROR_NONE);
	assert_int_equal(release(p, "web", HOLD_REFUSED).err.code, ERROR_NONE);
	page = history(f, "web");
	assert_int_equal(page.n, 2);
	expect_entry(&page.entries[0], RECORD_UPDATE, &second, 2, 1);
	history_page_done(&page);
	publisher_free(p);
	fake_destroy(f);
}

/* ---- one version ---- */

static enum error_code read_version(struct fake *f, uint64_t version, unsigned *ret)
{
	struct history_wanted wanted = {"default", "web", version, NULL};
	struct intent *intent = NULL;

	if (history_intent(&intent, &f->registry, "default", "web", version, &err) != 0)
		return err.code;
	assert_int_equal(history_resources(&f->registry, &wanted, 1, &err), 0);
	assert_int_equal(wanted.resource->version, version);
	assert_true(intent_eq(wanted.resource->intent, intent));
	*ret = intent->replicas;
	resource_unref(wanted.resource);
	intent_unref(intent);
	return ERROR_NONE;
}

static void any_version_can_be_read_but_a_deletion(void **state)
{
	struct fake *f = fake_new(*(bool *)*state);
	struct publisher *p = start(f);
	uint64_t first = put(p, "web", 1).version, second = put(p, "web", 2).version, deletion;
	struct history_page page;
	unsigned n;

	delete (p, "web");
	page = history(f, "web");
	deletion = page.entries[0].version;
	history_page_done(&page);
	assert_int_equal(read_version(f, first, &n), ERROR_NONE);
	assert_int_equal(n, 1);
	assert_int_equal(read_version(f, second, &n), ERROR_NONE);
	assert_int_equal(n, 2);
	assert_int_equal(read_version(f, deletion, &n), ERROR_NOT_FOUND);
	assert_non_null(strstr(err.text, "was deleted"));
	assert_int_equal(read_version(f, first + 1, &n), ERROR_NOT_FOUND);
	assert_non_null(strstr(err.text, "there is no version"));
	assert_int_equal(read_version(f, LIMIT_VERSION, &n), ERROR_NOT_FOUND);
	publisher_free(p);
	fake_destroy(f);
}

/* The version of a tag above that one; 0: there is none. */
static uint64_t tag_above(
	struct fake *f, const char *repository, char letter, uint64_t version, struct digest *ret)
{
	for (size_t i = 0; i < f->n_tags; i++) {
		struct slice tag = slice_of(f->tags[i].tag);
		uint64_t v;

		if (strcmp(f->tags[i].repository, repository) == 0 && tag.p[0] == letter &&
			(resource_tag_parse(tag, &v) || record_tag_parse(tag, &v)) && v > version) {
			*ret = f->tags[i].digest;
			return v;
		}
	}
	return 0;
}

/* One that leaves what it pushed, the record too. */
static void fail_a_commit(struct fake *f, struct publisher *p)
{
	uint64_t head = commit_version(f);
	struct digest ignored;

	for (size_t n = 0; tag_above(f, RECORD_REPOSITORY, 'c', head, &ignored) == 0; n++) {
		fake_fail(f, n, 1, FAKE_UNAVAILABLE);
		assert_int_not_equal(put(p, "web", 9).err.code, ERROR_NONE);
		wait_ready(p); /* and at rest */
		fake_fail(f, 0, 0, FAKE_OK);
	}
	assert_int_equal(commit_version(f), head);
}

static void debris_cannot_be_read_as_a_version(void **state UNUSED)
{
	struct fake *f = fake_new(false);
	struct publisher *p = start(f);
	uint64_t debris;
	struct digest ignored;
	unsigned n;

	put(p, "web", 1);
	fail_a_commit(f, p);
	debris = tag_above(f, WEB_REPOSITORY, 'v', current_version(p, "web"), &ignored);
	assert_true(debris != 0);
	assert_int_equal(read_version(f, debris, &n), ERROR_NOT_FOUND);
	put(p, "web", 3); /* and when there is a later record */
	assert_int_equal(read_version(f, debris, &n), ERROR_NOT_FOUND);
	publisher_free(p);
	fake_destroy(f);
}

/* ---- commits ---- */

static struct revisions_page revisions(
	struct fake *f, const char *namespace, const struct digest *from, size_t limit)
{
	struct revisions_query query = {.namespace = namespace, .from = from, .limit = limit};
	struct revisions_page page;

	if (history_revisions(&page, &f->registry, &query, &err) != 0)
		fail_msg("revisions: %s", err.text);
	return page;
}

static void revisions_come_newest_first_and_in_pages(void **state)
{
	struct fake *f = fake_new(*(bool *)*state);
	struct publisher *p = start(f);
	uint64_t commits[6];
	struct digest from;
	bool more = true;
	size_t got = 0;

	commits[0] = commit_version(f); /* init */
	for (unsigned i = 1; i < ARRAY_SIZE(commits); i++) {
		put(p, "web", i);
		commits[i] = commit_version(f);
	}
	while (more) {
		struct revisions_page page = revisions(f, NULL, got == 0 ? NULL : &from, 4);

		for (size_t i = 0; i < page.n; i++, got++)
			assert_int_equal(page.entries[i].record.version,
				commits[ARRAY_SIZE(commits) - 1 - got]);
		more = page.has_next;
		from = page.next;
		revisions_page_done(&page);
	}
	assert_int_equal(got, ARRAY_SIZE(commits));
	publisher_free(p);
	fake_destroy(f);
}

static void revisions_of_a_namespace_say_nothing_of_others(void **state)
{
	struct fake *f = fake_new(*(bool *)*state);
	struct publisher *p = start_layout(f, LAYOUT_SPLIT, 2);
	struct revisions_page page;

	put_in(p, "team-a", "web", 1);
	put_in(p, "team-b", "web", 1);
	put_in(p, "team-a", "web", 2);
	page = revisions(f, "team-a", NULL, 10);
	assert_int_equal(page.n, 2);
	assert_false(page.has_next);
	for (size_t i = 0; i < page.n; i++) {
		const struct record *r = &page.entries[i].record;

		assert_int_equal(r->n_changes, 1);
		assert_string_equal(r->changes[0].namespace, "team-a");
		assert_int_equal(r->n_catalogs, 1);
		assert_non_null(strstr(r->catalogs[0].repository, "/team-a/"));
	}
	revisions_page_done(&page);
	publisher_free(p);
	fake_destroy(f);
}

static void a_revision_is_found_by_its_version(void **state)
{
	struct fake *f = fake_new(*(bool *)*state);
	struct publisher *p = start(f);
	struct record record;
	struct digest digest, named;
	uint64_t version;
	char tag[RECORD_TAG_SIZE];

	put(p, "web", 1);
	version = commit_version(f);
	put(p, "web", 2);
	assert_int_equal(history_revision(&record, &digest, &f->registry, version, &err), 0);
	assert_int_equal(record.version, version);
	assert_int_equal(record.n_changes, 1);
	record_tag(version, tag);
	assert_true(fake_resolve(f, RECORD_REPOSITORY, tag, &named));
	assert_true(digest_eq(&digest, &named));
	record_done(&record);
	assert_int_equal(history_revision(&record, &digest, &f->registry, version + 1, &err), -1);
	assert_int_equal(err.code, ERROR_NOT_FOUND);
	publisher_free(p);
	fake_destroy(f);
}

/* Its record is there, under its tag, and commits:latest never named it. */
static void a_commit_that_failed_is_no_revision(void **state UNUSED)
{
	struct fake *f = fake_new(false);
	struct publisher *p = start(f);
	struct revisions_query query = {.limit = 1};
	struct revisions_page page;
	struct record record;
	struct digest digest, debris;
	uint64_t version;

	put(p, "web", 1);
	fail_a_commit(f, p);
	version = tag_above(f, RECORD_REPOSITORY, 'c', commit_version(f), &debris);
	assert_true(version != 0);
	query.from = &debris;
	for (unsigned later = 0; later < 2; later++) {
		assert_int_equal(
			history_revision(&record, &digest, &f->registry, version, &err), -1);
		assert_int_equal(err.code, ERROR_NOT_FOUND);
		assert_int_equal(history_revisions(&page, &f->registry, &query, &err), -1);
		assert_int_equal(err.code, ERROR_NOT_FOUND);
		put(p, "web", 3);
	}
	publisher_free(p);
	fake_destroy(f);
}

static void a_page_begins_at_no_digest_but_that_of_a_record(void **state UNUSED)
{
	struct digest digest = digest_of(SLICE("nothing"));
	struct revisions_query query = {.from = &digest, .limit = 1};
	struct revisions_page page;
	struct fake *f = fake_new(true);
	struct publisher *p = start(f);

	put(p, "web", 1);
	assert_int_equal(history_revisions(&page, &f->registry, &query, &err), -1);
	assert_int_equal(err.code, ERROR_NOT_FOUND);
	assert_true(fake_resolve(f, WEB_REPOSITORY, "latest", &digest));
	fake_copy(f, WEB_REPOSITORY, RECORD_REPOSITORY, &digest);
	assert_int_equal(history_revisions(&page, &f->registry, &query, &err), -1);
	assert_int_equal(err.code, ERROR_NOT_FOUND);
	publisher_free(p);
	fake_destroy(f);
}

/* ---- what changed ---- */

struct changes {
	size_t n;
	struct history_change *list;
};

static struct changes changes(struct fake *f, const char *namespace, uint64_t from, uint64_t to)
{
	struct changes c;

	if (history_changes(&c.list, &c.n, &f->registry, NULL, namespace, from, to, &err) != 0)
		fail_msg("changes: %s", err.text);
	return c;
}

static void expect_change(const struct history_change *c, const char *namespace, const char *name,
	uint64_t before, uint64_t after)
{
	assert_string_equal(c->namespace, namespace);
	assert_string_equal(c->name, name);
	assert_int_equal(c->before, before);
	assert_int_equal(c->after, after);
}

static enum error_code no_changes(struct fake *f, uint64_t from, uint64_t to)
{
	struct changes c;

	assert_int_equal(
		history_changes(&c.list, &c.n, &f->registry, NULL, NULL, from, to, &err), -1);
	return err.code;
}

static void two_commits_differ_in_what_their_records_between_them_say(void **state)
{
	struct fake *f = fake_new(*(bool *)*state);
	struct publisher *p = start(f);
	uint64_t old_gone, old_kept, old_again, new_kept, new_again, new_made, in_a;
	uint64_t from, to;
	struct changes c;

	put(p, "kept", 1);
	old_kept = put(p, "kept", 2).version;
	old_gone = put(p, "gone", 1).version;
	old_again = put(p, "again", 1).version;
	put(p, "same", 1);
	put(p, "before", 1);
	delete (p, "before");
	from = commit_version(f);
	hold(p, "same", current_version(p, "same"), HOLD_NAMESPACE, 0);
	assert_int_equal(held(p, "same"), HOLD_NAMESPACE);
	put(p, "kept", 3);
	new_kept = put(p, "kept", 4).version;
	delete (p, "gone");
	delete (p, "again");
	new_again = put(p, "again", 2).version;
	new_made = put(p, "before", 9).version;
	put(p, "between", 1);
	delete (p, "between");
	in_a = put_in(p, "a", "zzz", 1).version;
	to = commit_version(f);
	put(p, "same", 2);
	put(p, "kept", 5);

	c = changes(f, NULL, from, to);
	assert_int_equal(c.n, 5);
	expect_change(&c.list[0], "a", "zzz", 0, in_a);
	expect_change(&c.list[1], "default", "again", old_again, new_again);
	expect_change(&c.list[2], "default", "before", 0, new_made);
	expect_change(&c.list[3], "default", "gone", old_gone, 0);
	expect_change(&c.list[4], "default", "kept", old_kept, new_kept);
	free(c.list);
	c = changes(f, "a", from, to);
	assert_int_equal(c.n, 1);
	expect_change(&c.list[0], "a", "zzz", 0, in_a);
	free(c.list);
	c = changes(f, NULL, from, from);
	assert_int_equal(c.n, 0);
	free(c.list);
	publisher_free(p);
	fake_destroy(f);
}

static void changes_are_found_past_what_failed_commits_left(void **state)
{
	struct fake *f = fake_new(*(bool *)*state);
	struct publisher *p = start(f);
	uint64_t before = put(p, "web", 1).version, from = commit_version(f);
	struct changes c;

	for (unsigned i = 0; i < 16; i++) {
		fake_fail(f, i / 2, 1, i % 2 == 0 ? FAKE_UNAVAILABLE : FAKE_LOST_AFTER);
		put(p, "web", some(i + 1));
		wait_ready(p); /* and at rest */
		fake_fail(f, 0, 0, FAKE_OK);
		c = changes(f, NULL, from, commit_version(f));
		assert_int_equal(c.n, current_version(p, "web") == before ? 0 : 1);
		if (c.n == 1)
			expect_change(
				&c.list[0], "default", "web", before, current_version(p, "web"));
		free(c.list);
	}
	assert_true(current_version(p, "web") != before);
	publisher_free(p);
	fake_destroy(f);
}

static void changes_of_many_records_are_found_across_the_order_of_tags(void **state)
{
	enum { N = 60 };
	struct fake *f = fake_new(*(bool *)*state);
	uint64_t now = fixture_now, version[N], commit[N];
	struct publisher *p;
	struct changes c;

	fixture_now = 70;
	p = start_with(f, true, fixture_clock);
	wait_ready(p);
	for (unsigned i = 0; i < N; i++) {
		version[i] = put(p, "web", some(i)).version;
		commit[i] = commit_version(f);
	}
	for (unsigned i = 0; i < N; i += 7) {
		c = changes(f, NULL, commit[i], commit[N - 1]);
		assert_int_equal(c.n, 1);
		expect_change(&c.list[0], "default", "web", version[i], version[N - 1]);
		free(c.list);
	}
	publisher_free(p);
	fixture_now = now;
	fake_destroy(f);
}

static void commits_that_are_none_or_the_wrong_way_round_are_refused(void **state)
{
	struct fake *f = fake_new(*(bool *)*state);
	struct publisher *p = start(f);
	uint64_t from, to;

	put(p, "web", 1);
	from = commit_version(f);
	put(p, "web", 2);
	to = commit_version(f);
	assert_int_equal(no_changes(f, to, from), ERROR_INVALID);
	assert_int_equal(no_changes(f, from, to + 1), ERROR_NOT_FOUND);
	assert_int_equal(no_changes(f, 1, to), ERROR_NOT_FOUND);
	publisher_free(p);
	fake_destroy(f);
}

static void a_version_that_is_not_kept_cannot_be_told(void **state)
{
	struct fake *f = fake_new(*(bool *)*state);
	struct publisher *p = start(f);
	uint64_t first = put(p, "web", 1).version, from = commit_version(f);

	put(p, "web", 2);
	expire(f, WEB_REPOSITORY, first);
	assert_int_equal(no_changes(f, from, commit_version(f)), ERROR_GONE);
	assert_non_null(strstr(err.text, "web"));
	publisher_free(p);
	fake_destroy(f);
}

/* ---- rebuilt stores ---- */

static void drop_records(struct fake *f)
{
	for (size_t i = f->n_tags; i > 0; i--)
		if (strcmp(f->tags[i - 1].repository, RECORD_REPOSITORY) == 0)
			fake_drop_tag(f, RECORD_REPOSITORY, f->tags[i - 1].tag);
}

static void rebuild(struct fake *f)
{
	const struct rebuild_options options = {.layout = NULL};
	size_t n;

	if (rebuild_run(&f->registry, &options, &n, &err) != 0)
		fail_msg("rebuild: %s", err.text);
}

static void a_version_that_only_a_rebuild_took_has_no_author_and_no_revision(void **state)
{
	struct fake *f = fake_new(*(bool *)*state);
	struct publisher *p = start(f);
	struct outcome taken, updated = {.version = 0};
	struct history_page page;
	uint64_t rebuilt;
	struct changes c;
	unsigned n;

	put(p, "web", 1);
	taken = put(p, "web", 2);
	publisher_free(p);
	drop_records(f);
	rebuild(f);
	rebuilt = commit_version(f);
	for (unsigned later = 0; later < 2; later++) {
		page = history(f, "web");
		assert_int_equal(page.n, 1 + later);
		expect_entry(&page.entries[later], RECORD_CREATE, &taken, 2, 0);
		assert_null(page.entries[later].author);
		assert_int_equal(page.entries[later].revision, 0);
		assert_int_equal(read_version(f, taken.version, &n), ERROR_NONE);
		if (later == 1)
			expect_entry(&page.entries[0], RECORD_UPDATE, &updated, 3, 2);
		history_page_done(&page);
		if (later == 0) {
			p = start(f);
			updated = put(p, "web", 3);
		}
	}
	c = changes(f, NULL, rebuilt, commit_version(f));
	assert_int_equal(c.n, 1);
	expect_change(&c.list[0], "default", "web", taken.version, updated.version);
	free(c.list);
	publisher_free(p);
	fake_destroy(f);
}

static void what_a_rebuild_took_is_no_debris(void **state UNUSED)
{
	struct fake *f = fake_new(false);
	struct publisher *p = start(f);
	struct outcome taken = put(p, "web", 1);
	struct history_page page;

	fail_a_commit(f, p);
	publisher_free(p);
	drop_records(f);
	rebuild(f);
	page = history(f, "web");
	assert_int_equal(page.n, 1);
	expect_entry(&page.entries[0], RECORD_CREATE, &taken, 1, 0);
	history_page_done(&page);
	fake_destroy(f);
}

static void what_a_rebuild_changed_cannot_be_told(void **state)
{
	struct fake *f = fake_new(*(bool *)*state);
	struct publisher *p = start(f);
	uint64_t before, rebuilt, after;
	struct changes c;
	char expected[64];

	put(p, "web", 1);
	before = commit_version(f);
	put(p, "web", 2);
	publisher_free(p);
	rebuild(f);
	rebuilt = commit_version(f);
	p = start(f);
	put(p, "web", 3);
	after = commit_version(f);
	snprintf(expected, sizeof(expected), "c%llu", (unsigned long long)rebuilt);
	assert_int_equal(no_changes(f, before, after), ERROR_UNPROCESSABLE);
	assert_non_null(strstr(err.text, expected));
	assert_int_equal(no_changes(f, before, rebuilt), ERROR_UNPROCESSABLE);
	c = changes(f, NULL, rebuilt, after);
	assert_int_equal(c.n, 1);
	free(c.list);
	publisher_free(p);
	fake_destroy(f);
}

/* The version tag that nobody finished: a newer one than is current. */
static uint64_t debris_of_web(struct fake *f, struct publisher *p)
{
	struct digest ignored;
	uint64_t debris = tag_above(f, WEB_REPOSITORY, 'v', current_version(p, "web"), &ignored);

	assert_true(debris != 0);
	return debris;
}

static void expect_taken_and_later(
	struct fake *f, const struct outcome *first, const struct outcome *taken, size_t n_later)
{
	struct history_page page = history(f, "web");

	assert_int_equal(page.n, 2 + n_later);
	expect_entry(&page.entries[n_later], RECORD_UPDATE, taken, 2, 1);
	assert_true(page.entries[n_later].revision != 0);
	expect_entry(&page.entries[n_later + 1], RECORD_CREATE, first, 1, 0);
	history_page_done(&page);
}

static void what_a_rebuild_beside_debris_took_does_not_change_with_what_comes_later(
	void **state UNUSED)
{
	struct fake *f = fake_new(false);
	struct publisher *p = start(f);
	struct outcome first = put(p, "web", 1), taken = put(p, "web", 2), later;
	uint64_t debris, rebuilt;
	struct changes c;
	unsigned n;

	fail_a_commit(f, p);
	debris = debris_of_web(f, p);
	publisher_free(p);
	rebuild(f);
	rebuilt = commit_version(f);
	expect_taken_and_later(f, &first, &taken, 0);
	p = start(f);
	later = put(p, "web", 3);
	expect_taken_and_later(f, &first, &taken, 1);
	c = changes(f, NULL, rebuilt, commit_version(f));
	assert_int_equal(c.n, 1);
	expect_change(&c.list[0], "default", "web", taken.version, later.version);
	free(c.list);
	assert_int_equal(read_version(f, debris, &n), ERROR_NOT_FOUND);
	publisher_free(p);
	fake_destroy(f);
}

static void what_was_deleted_before_a_rebuild_stays_deleted(void **state)
{
	struct fake *f = fake_new(*(bool *)*state);
	struct publisher *p = start(f);
	struct history_page page;

	put(p, "db", 1);
	put(p, "web", 1);
	delete (p, "web");
	publisher_free(p);
	rebuild(f);
	for (unsigned later = 0; later < 2; later++) {
		page = history(f, "web");
		assert_int_equal(page.n, 2 + later);
		assert_int_equal(page.entries[later].op, RECORD_DELETE);
		if (later == 1)
			assert_int_equal(page.entries[0].op, RECORD_CREATE);
		history_page_done(&page);
		if (later == 0) {
			p = start(f);
			put(p, "web", 2);
		}
	}
	publisher_free(p);
	fake_destroy(f);
}

/* ---- commits that were taken back ---- */

/* As an operator does, with the server stopped. */
static struct publisher *set_back(struct fake *f, struct publisher *p, uint64_t version)
{
	struct digest digest;
	char tag[RECORD_TAG_SIZE];

	publisher_free(p);
	record_tag(version, tag);
	assert_true(fake_resolve(f, RECORD_REPOSITORY, tag, &digest));
	fake_set_tag(f, RECORD_REPOSITORY, "latest", &digest);
	return start(f);
}

static void expect_no_revision(struct fake *f, uint64_t version)
{
	struct revisions_query query = {.limit = 1};
	struct revisions_page page;
	struct record record;
	struct digest digest, ignored;
	char tag[RECORD_TAG_SIZE];

	record_tag(version, tag);
	assert_true(fake_resolve(f, RECORD_REPOSITORY, tag, &digest));
	assert_int_equal(history_revision(&record, &ignored, &f->registry, version, &err), -1);
	assert_int_equal(err.code, ERROR_NOT_FOUND);
	query.from = &digest;
	assert_int_equal(history_revisions(&page, &f->registry, &query, &err), -1);
	assert_int_equal(err.code, ERROR_NOT_FOUND);
}

static void commits_that_were_taken_back_are_no_history(void **state)
{
	struct fake *f = fake_new(*(bool *)*state);
	struct publisher *p = start(f);
	struct outcome kept, back, made;
	uint64_t kept_at, back_at, last_back_at, made_at, now;
	struct history_page page;
	struct changes c;
	unsigned n;

	kept = put(p, "web", 4);
	kept_at = commit_version(f);
	back = put(p, "web", 5);
	back_at = commit_version(f);
	put(p, "web", 6);
	put(p, "web", 7);
	last_back_at = commit_version(f);
	p = set_back(f, p, kept_at);
	assert_int_equal(seen(p, "web"), 4);
	page = history(f, "web");
	assert_int_equal(page.n, 1);
	expect_entry(&page.entries[0], RECORD_CREATE, &kept, 4, 0);
	history_page_done(&page);
	expect_no_revision(f, last_back_at);

	put(p, "db", 1);
	made_at = commit_version(f);
	made = put(p, "web", 9);
	now = commit_version(f);
	page = history(f, "web");
	assert_int_equal(page.n, 2);
	expect_entry(&page.entries[0], RECORD_UPDATE, &made, 9, 4);
	expect_entry(&page.entries[1], RECORD_CREATE, &kept, 4, 0);
	history_page_done(&page);
	expect_no_revision(f, back_at);
	expect_no_revision(f, last_back_at);
	assert_int_equal(read_version(f, back.version, &n), ERROR_NOT_FOUND);
	assert_int_equal(no_changes(f, back_at, now), ERROR_NOT_FOUND);
	assert_int_equal(no_changes(f, kept_at, back_at), ERROR_NOT_FOUND);
	c = changes(f, NULL, made_at, now);
	assert_int_equal(c.n, 1);
	expect_change(&c.list[0], "default", "web", kept.version, made.version);
	free(c.list);
	c = changes(f, NULL, kept_at, now);
	assert_int_equal(c.n, 2);
	expect_change(&c.list[1], "default", "web", kept.version, made.version);
	free(c.list);
	publisher_free(p);
	fake_destroy(f);
}

/* ---- how much is read ---- */

static size_t calls_since(const struct fake *f, size_t before)
{
	return f->n_calls - before;
}

static void what_is_far_back_is_found_in_few_reads(void **state)
{
	enum { N = 1200, FEW = 200 }; /* of two calls for each record */
	struct fake *f = fake_new(*(bool *)*state);
	struct publisher *p = start(f);
	struct revisions_page last;
	struct history_page page;
	struct record record;
	struct digest digest;
	struct changes c;
	uint64_t old = put(p, "old", 1).version, first = commit_version(f), before;
	size_t calls;

	for (unsigned i = 0; i < N; i++)
		put(p, "web", some(i));
	before = commit_version(f);
	put(p, "old", 2);

	calls = f->n_calls;
	assert_int_equal(history_revision(&record, &digest, &f->registry, first, &err), 0);
	record_done(&record);
	assert_true(calls_since(f, calls) < FEW);
	calls = f->n_calls;
	last = revisions(f, NULL, &digest, 10);
	assert_int_equal(last.n, 2);
	assert_false(last.has_next);
	revisions_page_done(&last);
	assert_true(calls_since(f, calls) < FEW);
	calls = f->n_calls;
	page = history(f, "old");
	assert_int_equal(page.n, 2);
	history_page_done(&page);
	assert_true(calls_since(f, calls) < FEW);
	calls = f->n_calls;
	c = changes(f, NULL, before, commit_version(f));
	assert_int_equal(c.n, 1);
	assert_int_equal(c.list[0].before, old);
	free(c.list);
	assert_true(calls_since(f, calls) < FEW);
	publisher_free(p);
	fake_destroy(f);
}

/* With the cache, as without it; returns how many calls it took. */
static size_t expect_same_changes(struct fake *f, struct history_cache *cache, uint64_t from)
{
	uint64_t to = commit_version(f);
	struct changes plain = changes(f, NULL, from, to), cached;
	size_t calls = f->n_calls;

	if (history_changes(&cached.list, &cached.n, &f->registry, cache, NULL, from, to, &err) !=
		0)
		fail_msg("changes: %s", err.text);
	calls = calls_since(f, calls);
	assert_int_equal(cached.n, plain.n);
	for (size_t i = 0; i < plain.n; i++)
		expect_change(&cached.list[i], plain.list[i].namespace, plain.list[i].name,
			plain.list[i].before, plain.list[i].after);
	free(plain.list);
	free(cached.list);
	return calls;
}

static struct history_cache *new_cache(void)
{
	struct history_cache *cache;

	assert_int_equal(history_cache_new(&cache, &err), 0);
	return cache;
}

static void what_has_changed_is_not_read_again_for_the_next_page(void **state)
{
	enum { N = 100 };
	struct fake *f = fake_new(*(bool *)*state);
	struct publisher *p = start(f);
	struct history_cache *cache = new_cache();
	uint64_t from;
	size_t first, next;

	put(p, "kept", 1);
	put(p, "gone", 1);
	put(p, "web", 1);
	from = commit_version(f);
	put(p, "new", 1);
	put(p, "brief", 1);
	delete (p, "brief");
	delete (p, "gone");
	for (unsigned i = 0; i < N; i++)
		put(p, "web", some(i + 1));
	first = expect_same_changes(f, cache, from);
	next = expect_same_changes(f, cache, from);
	assert_true(first > 2 * N);
	assert_true(next < first / 2);

	put(p, "brief", 2); /* and what comes on top of it is all that is read besides */
	put(p, "gone", 2);
	delete (p, "new");
	put(p, "kept", 2);
	put(p, "web", 10);
	assert_true(expect_same_changes(f, cache, from) < first / 2);
	expect_same_changes(f, cache, from);
	history_cache_free(cache);
	publisher_free(p);
	fake_destroy(f);
}

static void what_was_kept_of_commits_that_were_taken_back_is_not_used(void **state)
{
	struct fake *f = fake_new(*(bool *)*state);
	struct publisher *p = start(f);
	struct history_cache *cache = new_cache();
	uint64_t from, back_to;

	put(p, "web", 1);
	from = commit_version(f);
	put(p, "web", 2);
	back_to = commit_version(f);
	put(p, "db", 3);
	expect_same_changes(f, cache, from);
	p = set_back(f, p, back_to);
	expect_same_changes(f, cache, from);
	put(p, "web", 4);
	expect_same_changes(f, cache, from);
	history_cache_free(cache);
	publisher_free(p);
	fake_destroy(f);
}

static void as_many_lists_of_changes_are_kept_as_there_may_be(void **state UNUSED)
{
	enum { N = LIMIT_HISTORY_CACHED + 5 };
	struct fake *f = fake_new(true);
	struct publisher *p = start(f);
	struct history_cache *cache = new_cache();
	uint64_t from[N];

	for (unsigned i = 0; i < N; i++) {
		put(p, "web", some(i));
		from[i] = commit_version(f);
	}
	put(p, "web", 10);
	for (unsigned i = 0; i < 3 * N; i++)
		expect_same_changes(f, cache, from[i % N]);
	history_cache_free(cache);
	history_cache_free(NULL);
	publisher_free(p);
	fake_destroy(f);
}

/* ---- what fails ---- */

static void every_read_that_fails_is_said_to_have_failed(void **state)
{
	struct fake *f = fake_new(*(bool *)*state);
	struct publisher *p = start(f);
	uint64_t from, to;
	size_t n_failed[3] = {0};

	put(p, "web", 1);
	from = commit_version(f);
	put(p, "web", 2);
	delete (p, "web");
	put(p, "db", 1);
	to = commit_version(f);
	for (unsigned what = 0; what < 3; what++) {
		int rc = -1;

		for (size_t n = 0; rc != 0; n++) {
			struct history_page page;
			struct revisions_page all;
			struct changes c;
			struct revisions_query query = {.limit = 10};

			err = (struct error)ERROR_INIT;
			fake_fail(f, n, 1, FAKE_UNAVAILABLE);
			if (what == 0)
				rc = history_of_resource(
					&page, &f->registry, "default", "web", 0, 10, &err);
			else if (what == 1)
				rc = history_revisions(&all, &f->registry, &query, &err);
			else
				rc = history_changes(
					&c.list, &c.n, &f->registry, NULL, NULL, from, to, &err);
			fake_fail(f, 0, 0, FAKE_OK);
			if (rc != 0)
				assert_int_equal(err.code, ERROR_UNAVAILABLE);
			else if (what == 0)
				history_page_done(&page);
			else if (what == 1)
				revisions_page_done(&all);
			else
				free(c.list);
			n_failed[what] += rc != 0;
		}
		assert_true(n_failed[what] > 3);
	}
	publisher_free(p);
	fake_destroy(f);
}

static void damage_is_told_to_operators(void **state)
{
	struct fake *f = fake_new(*(bool *)*state);
	struct publisher *p = start(f);
	struct history_page page;
	struct changes c;
	struct digest digest;
	uint64_t from, version;
	char tag[RESOURCE_TAG_SIZE];

	version = put(p, "web", 1).version;
	from = commit_version(f);
	put(p, "web", 2);
	put(p, "web", 3);
	resource_tag(version, tag);
	assert_true(fake_resolve(f, WEB_REPOSITORY, tag, &digest));
	fake_damage(f, &digest);
	assert_int_equal(expect_no_history(f, "web"), ERROR_INTERNAL);
	assert_true(err.is_private);
	assert_non_null(strstr(err.text, WEB_REPOSITORY));
	fake_damage(f, &digest);
	page = history(f, "web");
	assert_int_equal(page.n, 3);
	history_page_done(&page);

	record_tag(from, tag);
	assert_true(fake_resolve(f, RECORD_REPOSITORY, tag, &digest));
	fake_damage(f, &digest);
	assert_int_equal(expect_no_history(f, "web"), ERROR_INTERNAL);
	assert_true(err.is_private);
	assert_int_equal(history_changes(&c.list, &c.n, &f->registry, NULL, NULL, from,
				 commit_version(f), &err),
		-1);
	assert_int_equal(err.code, ERROR_INTERNAL);
	assert_true(err.is_private);
	publisher_free(p);
	fake_destroy(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_BOTH(history_tells_of_creation_changes_deletion_and_making_again),
		ON_BOTH(an_entry_says_who_why_and_in_which_commit),
		ON_BOTH(history_comes_in_pages_that_leave_nothing_out),
		ON_BOTH(below_the_first_version_there_is_an_empty_page),
		ON_BOTH(a_resource_that_never_was_has_no_history),
		ON_BOTH(what_failed_commits_left_behind_is_never_shown),
		ON_BOTH(versions_are_in_the_order_of_their_numbers),
		ON_BOTH(versions_that_have_expired_are_not_in_the_history_or_are_said_to_be),
		ON_BOTH(a_held_version_is_in_the_history_once),
		ON_BOTH(any_version_can_be_read_but_a_deletion),
		cmocka_unit_test(debris_cannot_be_read_as_a_version),
		ON_BOTH(revisions_come_newest_first_and_in_pages),
		ON_BOTH(revisions_of_a_namespace_say_nothing_of_others),
		ON_BOTH(a_revision_is_found_by_its_version),
		cmocka_unit_test(a_commit_that_failed_is_no_revision),
		cmocka_unit_test(a_page_begins_at_no_digest_but_that_of_a_record),
		ON_BOTH(two_commits_differ_in_what_their_records_between_them_say),
		ON_BOTH(changes_are_found_past_what_failed_commits_left),
		ON_BOTH(changes_of_many_records_are_found_across_the_order_of_tags),
		ON_BOTH(commits_that_are_none_or_the_wrong_way_round_are_refused),
		ON_BOTH(a_version_that_is_not_kept_cannot_be_told),
		ON_BOTH(a_version_that_only_a_rebuild_took_has_no_author_and_no_revision),
		cmocka_unit_test(what_a_rebuild_took_is_no_debris),
		ON_BOTH(what_a_rebuild_changed_cannot_be_told),
		cmocka_unit_test(
			what_a_rebuild_beside_debris_took_does_not_change_with_what_comes_later),
		ON_BOTH(what_was_deleted_before_a_rebuild_stays_deleted),
		ON_BOTH(commits_that_were_taken_back_are_no_history),
		ON_BOTH(what_is_far_back_is_found_in_few_reads),
		ON_BOTH(what_has_changed_is_not_read_again_for_the_next_page),
		ON_BOTH(what_was_kept_of_commits_that_were_taken_back_is_not_used),
		cmocka_unit_test(as_many_lists_of_changes_are_kept_as_there_may_be),
		ON_BOTH(every_read_that_fails_is_said_to_have_failed),
		ON_BOTH(damage_is_told_to_operators),
	};

	return cmocka_run_group_tests(tests, fixture_setup, NULL);
}
