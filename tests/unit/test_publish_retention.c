/* SPDX-License-Identifier: Apache-2.0 */
/* Which tags are taken away, by the rule alone and from a registry in memory, with transactions (as
 * the embedded one) and without (as any remote one). */
#include "test.h"

#include "base/limits.h"
#include "fake_registry.h"
#include "publish/expire.h"
#include "publish/signatures.h"

#include <stdio.h>
#include <stdlib.h>

#define SECOND UINT64_C(1000000)
#define MINUTE (60 * SECOND)
#define DAY (24 * 60 * MINUTE)
#define NOW UINT64_C(1764000000000000)
#define CATALOG "gitops-squared/catalog"
#define WEB "gitops-squared/resources/default/web"

static const struct expiry_rule catalogs = {10, 15 * MINUTE};

/* ---- the rule ---- */

/* n versions, one second apart, the newest of them so long ago. */
static void fill(uint64_t *versions, size_t n, uint64_t newest_age)
{
	for (size_t i = 0; i < n; i++)
		versions[i] = NOW - newest_age - (n - 1 - i) * SECOND;
}

static size_t count(uint64_t *versions, size_t n, struct expiry_rule rule)
{
	return expiry_count(versions, &n, &rule, NOW);
}

static void the_newest_ten_stay_whatever_their_age(void **state UNUSED)
{
	uint64_t versions[11];

	for (size_t n = 0; n <= 10; n++) {
		fill(versions, n, 100 * DAY);
		assert_int_equal(count(versions, n, catalogs), 0);
	}
	fill(versions, 11, 100 * DAY);
	assert_int_equal(count(versions, 11, catalogs), 1);
}

static void what_was_superseded_within_fifteen_minutes_stays(void **state UNUSED)
{
	uint64_t versions[30];

	fill(versions, 30, 0);
	/* It was made long ago, but the next one was not. */
	versions[0] = NOW - 100 * DAY;
	versions[1] = NOW - 15 * MINUTE;
	assert_int_equal(count(versions, 30, catalogs), 0);
	versions[1]--;
	assert_int_equal(count(versions, 30, catalogs), 1);
}

static void the_order_and_doubles_of_a_listing_do_not_matter(void **state UNUSED)
{
	uint64_t versions[24];
	size_t n = 24;

	fill(versions, 12, DAY);
	for (size_t i = 0; i < 12; i++)
		versions[23 - i] = versions[i];
	assert_int_equal(expiry_count(versions, &n, &catalogs, NOW), 2);
	assert_int_equal(n, 12);
	for (size_t i = 1; i < n; i++)
		assert_true(versions[i - 1] < versions[i]);
}

static void a_clock_that_stepped_back_keeps_more(void **state UNUSED)
{
	uint64_t versions[30];

	fill(versions, 30, DAY);
	for (uint64_t back = 0; back < 2 * DAY; back += 60 * MINUTE) {
		size_t n = 30, at_now = count(versions, 30, catalogs);

		assert_true(expiry_count(versions, &n, &catalogs, NOW - back) <= at_now);
	}
	/* All of them in the future. */
	fill(versions, 30, 0);
	for (size_t i = 0; i < 30; i++)
		versions[i] += DAY;
	assert_int_equal(count(versions, 30, catalogs), 0);
}

static void versions_go_by_number_by_age_or_by_both(void **state UNUSED)
{
	uint64_t versions[5] = {
		NOW - 40 * DAY, NOW - 30 * DAY, NOW - 20 * DAY, NOW - 10 * DAY, NOW - 5 * DAY};

	assert_int_equal(count(versions, 5, (struct expiry_rule){3, 0}), 2);
	assert_int_equal(count(versions, 5, (struct expiry_rule){1, 0}), 4);
	assert_int_equal(count(versions, 5, (struct expiry_rule){0, 15 * DAY}), 2);
	assert_int_equal(count(versions, 5, (struct expiry_rule){4, 15 * DAY}), 1);
	assert_int_equal(count(versions, 5, (struct expiry_rule){3, 25 * DAY}), 1);
	/* The newest has not been superseded at all. */
	assert_int_equal(count(versions, 5, (struct expiry_rule){0, DAY}), 4);
}

static uint64_t random_age(void)
{
	static const uint64_t spans[] = {SECOND, MINUTE, 30 * MINUTE, DAY, 100 * DAY};

	return (uint64_t)rand() % spans[rand() % 5];
}

static void of_any_versions_the_newest_ten_and_the_young_stay(void **state UNUSED)
{
	uint64_t all[64], some[64];

	srand(1);
	for (unsigned round = 0; round < 20000; round++) {
		size_t n = (size_t)rand() % 64, n_all = n, n_some = 0, gone;
		uint64_t now = NOW - random_age() + random_age();

		for (size_t i = 0; i < n; i++) {
			all[i] = NOW - random_age() + (rand() % 4 == 0 ? random_age() : 0);
			if (rand() % 2 == 0)
				some[n_some++] = all[i];
		}
		gone = expiry_count(all, &n_all, &catalogs, now);
		assert_true(gone == 0 || gone + 10 <= n_all);
		for (size_t i = 0; i < gone; i++)
			assert_true(all[i + 1] + 15 * MINUTE < now);
		if (gone + 10 < n_all)
			assert_true(all[gone + 1] + 15 * MINUTE >= now);
		/* Who has read only some of them takes away no other. */
		assert_true(expiry_count(some, &n_some, &catalogs, now) <= gone);
	}
}

static void what_is_due_next_is_known(void **state UNUSED)
{
	uint64_t versions[12];
	size_t n = 12, again = 12;
	uint64_t due;

	fill(versions, 12, MINUTE);
	assert_int_equal(expiry_due_us(versions, 10, &catalogs), UINT64_MAX);
	due = expiry_due_us(versions, 12, &catalogs);
	assert_int_equal(expiry_count(versions, &n, &catalogs, due - 1), 0);
	assert_int_equal(expiry_count(versions, &again, &catalogs, due), 1);
}

/* ---- in a registry ---- */

struct fixture {
	struct fake *fake;
	struct expirer expirer;
	bool stop;
	size_t steps;
};

static bool go_on(void *arg)
{
	struct fixture *f = arg;

	f->steps++;
	return !f->stop;
}

static struct fixture *make(bool atomic)
{
	struct fixture *f = calloc(1, sizeof(*f));

	AN(f);
	digest_setup();
	f->fake = fake_new(atomic);
	f->expirer = (struct expirer){
		.registry = &f->fake->registry,
		.go_on = go_on,
		.arg = f,
		.catalogs = catalogs,
		.resources = {3, 0},
		.now_us = NOW,
	};
	return f;
}

static int setup_atomic(void **state)
{
	*state = make(true);
	return 0;
}

static int setup_remote(void **state)
{
	*state = make(false);
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	fake_destroy(f->fake);
	free(f);
	return 0;
}

static struct digest tag(struct fixture *f, const char *repository, const char *name)
{
	struct digest digest = digest_of(slice_of(name));

	fake_set_tag(f->fake, repository, name, &digest);
	return digest;
}

static struct digest tag_version(
	struct fixture *f, const char *repository, char letter, uint64_t version)
{
	char name[32];

	snprintf(name, sizeof(name), "%c%llu", letter, (unsigned long long)version);
	return tag(f, repository, name);
}

static bool has(struct fixture *f, const char *repository, char letter, uint64_t version)
{
	struct digest ignored;
	char name[32];

	snprintf(name, sizeof(name), "%c%llu", letter, (unsigned long long)version);
	return fake_resolve(f->fake, repository, name, &ignored);
}

/* Catalogs a second apart, the newest of them the current one. */
static struct digest tag_catalogs(struct fixture *f, size_t n, uint64_t newest_age)
{
	struct digest current;

	for (size_t i = n; i-- > 0;)
		current = tag_version(f, CATALOG, 'c', NOW - newest_age - i * SECOND);
	fake_set_tag(f->fake, CATALOG, "latest", &current);
	return current;
}

static void superseded_catalogs_go_and_the_last_ten_stay(void **state)
{
	struct fixture *f = *state;
	struct digest current = tag_catalogs(f, 30, DAY), latest;
	struct error err = ERROR_INIT;
	uint64_t due;

	tag(f, CATALOG, "c");
	tag(f, CATALOG, "c01");
	tag(f, CATALOG, "cx");
	assert_int_equal(expire_catalog(&f->expirer, CATALOG, &current, &due, &err), 0);
	assert_int_equal(f->expirer.n_tags, 20);
	assert_int_equal(f->fake->n_tags, 10 + 4);
	assert_int_equal(due, UINT64_MAX);
	for (size_t i = 0; i < 10; i++)
		assert_true(has(f, CATALOG, 'c', NOW - DAY - i * SECOND));
	assert_true(fake_resolve(f->fake, CATALOG, "latest", &latest));
	assert_int_equal(expire_catalog(&f->expirer, CATALOG, &current, &due, &err), 0);
	assert_int_equal(f->expirer.n_tags, 20);
}

static void more_catalogs_than_fit_in_memory_go_all_the_same(void **state)
{
	enum { N = 2 * LIMIT_EXPIRY_VERSIONS + LIMIT_EXPIRY_VERSIONS / 2 };
	struct fixture *f = *state;
	struct digest current = tag_catalogs(f, N, DAY);
	struct error err = ERROR_INIT;
	uint64_t due;

	/* The fake one looks a tag up by reading all of them: less than all will do. */
	f->expirer.now_us = NOW - DAY - (N - 50) * SECOND + 15 * MINUTE;
	assert_int_equal(expire_catalog(&f->expirer, CATALOG, &current, &due, &err), 0);
	assert_int_equal(f->expirer.n_tags, 48);
	assert_int_equal(due, f->expirer.now_us + 1);
}

static void a_tag_that_names_what_another_tag_names_stays_where_deleting_may_take_both(void **state)
{
	struct fixture *f = *state;
	struct digest current = tag_catalogs(f, 30, DAY), pinned, moved_back;
	struct error err = ERROR_INIT;
	uint64_t due;

	fake_resolve(f->fake, CATALOG, "c1763913571000000", &pinned);
	fake_set_tag(f->fake, CATALOG, "production", &pinned);
	fake_resolve(f->fake, CATALOG, "c1763913572000000", &moved_back);
	fake_set_tag(f->fake, CATALOG, "latest", &moved_back);
	fake_resolve(f->fake, CATALOG, "c1763913573000000", &current);
	assert_int_equal(expire_catalog(&f->expirer, CATALOG, &current, &due, &err), 0);
	assert_int_equal(f->expirer.n_tags, 17);
	for (unsigned i = 571; i <= 573; i++)
		assert_true(has(f, CATALOG, 'c', UINT64_C(1763913000000000) + i * SECOND));
}

static void too_many_other_tags_are_left_alone_and_said(void **state)
{
	struct fixture *f = *state;
	struct digest current = tag_catalogs(f, 30, DAY);
	struct error err = ERROR_INIT;
	uint64_t due;

	for (unsigned i = 0; i < 2000; i++) {
		char name[64];

		snprintf(name, sizeof(name), "sha256-%052u.sig", i);
		tag(f, CATALOG, name);
	}
	assert_int_equal(expire_catalog(&f->expirer, CATALOG, &current, &due, &err), 0);
	assert_int_equal(f->expirer.n_tags, 20);
	for (unsigned i = 0; i < 2000; i++) {
		char name[64];

		snprintf(name, sizeof(name), "release-%052u", i);
		tag(f, CATALOG, name);
	}
	assert_int_equal(expire_catalog(&f->expirer, CATALOG, &current, &due, &err), -1);
	assert_non_null(strstr(err.text, CATALOG));
	assert_non_null(strstr(err.text, "beside its versions"));
}

/* All three, as on a registry without an API for referrers. */
static void tag_signatures(struct fixture *f, const char *repository, const char *of)
{
	char tags[SIGNATURES_TAGS][SIGNATURES_TAG_SIZE];
	struct digest subject;

	assert_true(fake_resolve(f->fake, repository, of, &subject));
	assert_int_equal(signatures_tags(&subject, tags), SIGNATURES_TAGS);
	for (size_t i = 0; i < SIGNATURES_TAGS; i++)
		tag(f, repository, tags[i]);
}

static size_t count_signatures(const struct fixture *f)
{
	size_t n = 0;

	for (size_t i = 0; i < f->fake->n_tags; i++)
		n += signatures_is_tag(slice_of(f->fake->tags[i].tag));
	return n;
}

static void signatures_go_with_what_they_sign(void **state)
{
	struct fixture *f = *state;
	struct digest current = tag_catalogs(f, 30, DAY);
	struct error err = ERROR_INIT;
	uint64_t due;

	for (size_t i = 0, n = f->fake->n_tags; i < n; i++)
		if (f->fake->tags[i].tag[0] == 'c')
			tag_signatures(f, CATALOG, f->fake->tags[i].tag);
	assert_int_equal(count_signatures(f), 30 * SIGNATURES_TAGS);
	assert_int_equal(expire_catalog(&f->expirer, CATALOG, &current, &due, &err), 0);
	assert_int_equal(count_signatures(f), 10 * SIGNATURES_TAGS);
	assert_int_equal(f->expirer.n_tags, 20 * (SIGNATURES_TAGS + 1));
}

/* Which some registries name what they have by; such a thing is never signed. */
static void a_version_that_sha512_names_goes_like_the_others(void **state)
{
	struct fixture *f = *state;
	struct digest current = tag_catalogs(f, 30, DAY), named;
	struct error err = ERROR_INIT;
	uint64_t due;

	named = digest_of_as(DIGEST_SHA512, SLICE("a catalog"));
	for (size_t i = 0; i < f->fake->n_tags; i++)
		if (!digest_eq(&f->fake->tags[i].digest, &current))
			f->fake->tags[i].digest = named;
	assert_int_equal(expire_catalog(&f->expirer, CATALOG, &current, &due, &err), 0);
	assert_int_equal(f->expirer.n_tags, 20);
}

/* Or nothing would lead to them any more. */
static void no_signature_is_left_without_what_it_signs(void **state)
{
	struct fixture *f = *state;
	struct digest current = tag_catalogs(f, 11, DAY);
	uint64_t oldest = NOW - DAY - 10 * SECOND, due;
	struct error err = ERROR_INIT;
	char name[32];

	snprintf(name, sizeof(name), "c%llu", (unsigned long long)oldest);
	tag_signatures(f, CATALOG, name);
	for (size_t call = 0;; call++) {
		fake_fail(f->fake, call, 1, FAKE_UNAVAILABLE);
		if (expire_catalog(&f->expirer, CATALOG, &current, &due, &err) == 0)
			break;
		assert_true(count_signatures(f) == 0 || has(f, CATALOG, 'c', oldest));
	}
	assert_int_equal(count_signatures(f), 0);
	assert_false(has(f, CATALOG, 'c', oldest));
}

static void a_registry_that_refuses_is_told_from_one_that_is_down(void **state)
{
	struct fixture *f = *state;
	struct digest current = tag_catalogs(f, 11, DAY);
	struct error err = ERROR_INIT;
	uint64_t due = 7;

	f->fake->refuses_untag = true;
	assert_int_equal(expire_catalog(&f->expirer, CATALOG, &current, &due, &err), -1);
	assert_int_equal(err.code, ERROR_NOT_IMPLEMENTED);
	f->fake->refuses_untag = false;
	for (size_t call = 0;; call++) {
		fake_fail(f->fake, call, 1, FAKE_UNAVAILABLE);
		if (expire_catalog(&f->expirer, CATALOG, &current, &due, &err) == 0)
			break;
		assert_int_equal(err.code, ERROR_UNAVAILABLE);
		assert_int_equal(f->expirer.n_tags, 0);
		assert_int_equal(due, 7);
		fake_fail(f->fake, SIZE_MAX / 2, 1, FAKE_OK);
		if (f->fake->registry.atomic)
			break; /* the fake one cannot undo a deletion */
	}
}

static void nothing_goes_once_it_is_told_to_stop(void **state)
{
	struct fixture *f = *state;
	struct digest current = tag_catalogs(f, 30, DAY);
	struct error err = ERROR_INIT;
	uint64_t due;

	f->stop = true;
	assert_int_equal(expire_catalog(&f->expirer, CATALOG, &current, &due, &err), -1);
	assert_int_equal(f->expirer.n_tags, 0);
	assert_int_equal(f->fake->n_tags, 31);
}

/* ---- resources ---- */

static void expire(struct fixture *f, uint64_t current, uint64_t needed)
{
	struct error err = ERROR_INIT;

	if (expire_resource(&f->expirer, "default", "web", current, needed, &err) != 0)
		fail_msg("%s", err.text);
}

/* Versions on the days before, the last of them as the tag latest. */
static void tag_versions(struct fixture *f, unsigned n, unsigned newest_day)
{
	struct digest last;

	for (unsigned i = n; i-- > 0;)
		last = tag_version(f, WEB, 'v', NOW - (newest_day + i) * DAY);
	fake_set_tag(f->fake, WEB, "latest", &last);
}

static void tag_tombstone(struct fixture *f, unsigned day)
{
	struct error err = ERROR_INIT;
	struct artifact tombstone;
	char name[32];

	assert_int_equal(
		artifact_of_tombstone(&tombstone, "default", "web", NOW - day * DAY, &err), 0);
	snprintf(name, sizeof(name), "v%llu", (unsigned long long)(NOW - day * DAY));
	fake_set_tag(f->fake, WEB, name, &tombstone.digest);
	fake_set_tag(f->fake, WEB, "latest", &tombstone.digest);
	artifact_done(&tombstone);
}

static void the_current_version_and_those_before_it_are_kept_by_number(void **state)
{
	struct fixture *f = *state;

	tag_versions(f, 9, 1);
	/* Two are newer than what is current: under way, or never finished. */
	expire(f, NOW - 3 * DAY, 0);
	assert_int_equal(f->expirer.n_tags, 4);
	for (unsigned day = 1; day <= 9; day++)
		assert_int_equal(has(f, WEB, 'v', NOW - day * DAY), day <= 5);
}

static void versions_superseded_for_longer_than_the_days_go(void **state)
{
	struct fixture *f = *state;

	f->expirer.resources = (struct expiry_rule){0, 5 * DAY};
	tag_versions(f, 9, 1);
	expire(f, NOW - DAY, 0);
	/* The one of the sixth day was superseded five days ago, and not a moment more. */
	for (unsigned day = 1; day <= 9; day++)
		assert_int_equal(has(f, WEB, 'v', NOW - day * DAY), day <= 6);
	expire(f, NOW + DAY, 0);
	assert_int_equal(f->expirer.n_tags, 3);
}

static void a_current_version_whose_tag_is_missing_still_counts(void **state)
{
	struct fixture *f = *state;

	tag_versions(f, 5, 2);
	expire(f, NOW - DAY, 0);
	assert_int_equal(f->expirer.n_tags, 3);
	assert_false(has(f, WEB, 'v', NOW - DAY));
}

/* A resource of version v, whose tag is WEB's. */
static struct resource *make_resource(uint64_t version)
{
	static const char json[] =
		"{\"name\":\"web\",\"spec\":{\"type\":\"vm\",\"size\":\"small\"}}";
	CLEANUP(intent_unrefp) struct intent *intent = NULL;
	struct digest digest = digest_of(SLICE("artifact"));
	struct error err = ERROR_INIT;
	struct resource *r;

	assert_int_equal(intent_decode(&intent, SLICE(json), "default", &err), 0);
	assert_int_equal(resource_new(&r, intent, version, &digest, &err), 0);
	return r;
}

static void what_flux_gets_of_a_held_resource_stays(void **state)
{
	CLEANUP(resource_unrefp) struct resource *instead = make_resource(NOW - 7 * DAY);
	CLEANUP(resource_unrefp) struct resource *accepted = make_resource(NOW - DAY);
	CLEANUP(resource_unrefp) struct resource *held = NULL;
	struct fixture *f = *state;
	struct error err = ERROR_INIT;

	assert_int_equal(resource_new_held(&held, accepted, HOLD_REFUSED, instead, "no", &err), 0);
	f->expirer.resources = (struct expiry_rule){0, 2 * DAY};
	tag_versions(f, 9, 1);
	expire(f, expiry_first_needed(held), 0);
	for (unsigned day = 1; day <= 9; day++)
		assert_int_equal(has(f, WEB, 'v', NOW - day * DAY), day <= 7);
	expire(f, expiry_first_needed(accepted), 0);
	for (unsigned day = 1; day <= 9; day++)
		assert_int_equal(has(f, WEB, 'v', NOW - day * DAY), day <= 3);
}

static void a_tombstone_stays_without_days(void **state)
{
	struct fixture *f = *state;

	tag_versions(f, 6, 101);
	tag_tombstone(f, 100);
	expire(f, 0, 0);
	assert_int_equal(f->expirer.n_tags, 4);
	assert_true(has(f, WEB, 'v', NOW - 100 * DAY));
	assert_true(has(f, WEB, 'v', NOW - 102 * DAY));
	assert_int_equal(f->fake->n_tags, 4);
}

static void a_deleted_resource_goes_after_the_days_where_that_is_safe(void **state)
{
	struct fixture *f = *state;

	f->expirer.resources = (struct expiry_rule){3, 30 * DAY};
	f->expirer.tombstones = true;
	tag_versions(f, 2, 31);
	tag_tombstone(f, 30);
	expire(f, 0, 0);
	assert_int_equal(f->expirer.n_tags, 0); /* thirty days, not more */
	f->expirer.now_us++;
	expire(f, 0, NOW - 30 * DAY);
	assert_true(has(f, WEB, 'v', NOW - 30 * DAY)); /* the last record needs it */
	expire(f, 0, 0);
	/* On others latest and what it names stay: a create may move it at any moment. */
	assert_int_equal(f->fake->n_tags, f->fake->registry.atomic ? 0 : 3 + 1);
}

static void a_tombstone_is_buried_with_its_signatures(void **state)
{
	struct fixture *f = *state;

	f->expirer.resources = (struct expiry_rule){3, 30 * DAY};
	f->expirer.tombstones = true;
	tag_versions(f, 1, 101);
	tag_signatures(f, WEB, "latest");
	tag_tombstone(f, 100);
	tag_signatures(f, WEB, "latest");
	expire(f, 0, 0);
	assert_int_equal(f->fake->n_tags, 0);
}

static void what_is_no_tombstone_is_not_buried(void **state)
{
	struct fixture *f = *state;

	f->expirer.resources = (struct expiry_rule){1, DAY};
	f->expirer.tombstones = true;
	tag_versions(f, 5, 100); /* no record of it, and it was not deleted */
	expire(f, 0, 0);
	fake_drop_tag(f->fake, WEB, "latest");
	expire(f, 0, 0);
	assert_int_equal(f->expirer.n_tags, 0);
}

static void a_tombstone_below_newer_versions_stays(void **state)
{
	struct fixture *f = *state;

	f->expirer.resources = (struct expiry_rule){0, DAY};
	f->expirer.tombstones = true;
	tag_tombstone(f, 100);
	tag_version(f, WEB, 'v', NOW - 50 * DAY);
	expire(f, 0, 0);
	assert_int_equal(f->expirer.n_tags, 0);
}

/* ---- a create at the same moment, on an atomic registry ---- */

static struct fixture *racing;

/* Creates the resource anew when retention is about to take the tombstone away. */
static bool create_meanwhile(void *arg UNUSED)
{
	tag_version(racing, WEB, 'v', NOW);
	fake_set_tag(racing->fake, WEB, "latest", &(struct digest){.algorithm = DIGEST_SHA256});
	return true;
}

static void a_resource_that_is_created_again_meanwhile_is_not_buried(void **state)
{
	struct fixture *f = *state;

	racing = f;
	f->expirer.resources = (struct expiry_rule){0, DAY};
	f->expirer.tombstones = true;
	f->expirer.go_on = create_meanwhile;
	tag_tombstone(f, 100);
	expire(f, 0, 0);
	assert_int_equal(f->expirer.n_tags, 0);
	assert_true(has(f, WEB, 'v', NOW));
	assert_true(has(f, WEB, 'v', NOW - 100 * DAY));
}

#define BOTH(test) \
	{#test " (atomic)", test, setup_atomic, teardown, NULL}, \
	{ \
#test " (remote)", test, setup_remote, teardown, NULL \
	}
#define ATOMIC(test) cmocka_unit_test_setup_teardown(test, setup_atomic, teardown)
#define REMOTE(test) cmocka_unit_test_setup_teardown(test, setup_remote, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_newest_ten_stay_whatever_their_age),
		cmocka_unit_test(what_was_superseded_within_fifteen_minutes_stays),
		cmocka_unit_test(the_order_and_doubles_of_a_listing_do_not_matter),
		cmocka_unit_test(a_clock_that_stepped_back_keeps_more),
		cmocka_unit_test(versions_go_by_number_by_age_or_by_both),
		cmocka_unit_test(of_any_versions_the_newest_ten_and_the_young_stay),
		cmocka_unit_test(what_is_due_next_is_known),
		BOTH(superseded_catalogs_go_and_the_last_ten_stay),
		BOTH(more_catalogs_than_fit_in_memory_go_all_the_same),
		REMOTE(a_tag_that_names_what_another_tag_names_stays_where_deleting_may_take_both),
		REMOTE(too_many_other_tags_are_left_alone_and_said),
		BOTH(signatures_go_with_what_they_sign),
		BOTH(a_version_that_sha512_names_goes_like_the_others),
		REMOTE(no_signature_is_left_without_what_it_signs),
		BOTH(a_registry_that_refuses_is_told_from_one_that_is_down),
		BOTH(nothing_goes_once_it_is_told_to_stop),
		BOTH(the_current_version_and_those_before_it_are_kept_by_number),
		BOTH(versions_superseded_for_longer_than_the_days_go),
		BOTH(a_current_version_whose_tag_is_missing_still_counts),
		BOTH(what_flux_gets_of_a_held_resource_stays),
		BOTH(a_tombstone_stays_without_days),
		BOTH(a_deleted_resource_goes_after_the_days_where_that_is_safe),
		ATOMIC(a_tombstone_is_buried_with_its_signatures),
		BOTH(what_is_no_tombstone_is_not_buried),
		BOTH(a_tombstone_below_newer_versions_stays),
		ATOMIC(a_resource_that_is_created_again_meanwhile_is_not_buried),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
