/* SPDX-License-Identifier: Apache-2.0 */
#include "store_fixture.h"

#include "registry/token.h"

#include <openssl/hmac.h>

#define NOW UINT64_C(1800000000)
#define SCOPES "repository:team-a/app:pull"

/* ---- OpenSSL, which takes memory for each ---- */

static bool lacks_memory;

unsigned char *__real_HMAC(const EVP_MD *md, const void *key, int key_n, const unsigned char *bytes,
	size_t n, unsigned char *ret, unsigned int *ret_n);
unsigned char *__wrap_HMAC(const EVP_MD *md, const void *key, int key_n, const unsigned char *bytes,
	size_t n, unsigned char *ret, unsigned int *ret_n);
unsigned char *__wrap_HMAC(const EVP_MD *md, const void *key, int key_n, const unsigned char *bytes,
	size_t n, unsigned char *ret, unsigned int *ret_n)
{
	return lacks_memory ? NULL : __real_HMAC(md, key, key_n, bytes, n, ret, ret_n);
}

/* ---- tokens ---- */

static int setup(void **state)
{
	struct registry_tokens *t;
	struct error err = ERROR_INIT;

	assert_ok(registry_tokens_new(&t, &err));
	*state = t;
	lacks_memory = false;
	return 0;
}

static int teardown(void **state)
{
	registry_tokens_free(*state);
	return 0;
}

static struct subject *subject(const char *name, const char *namespace)
{
	struct grant grant = {.role = ROLE_PULLER};
	struct subject_draft draft = {
		.method = AUTH_TOKEN, .name = slice_of(name), .n_grants = 1, .grants = &grant};
	struct error err = ERROR_INIT;
	struct subject *s;

	snprintf(grant.namespace, sizeof(grant.namespace), "%s", namespace);
	assert_int_equal(subject_new(&s, &draft, &err), 0);
	return s;
}

/* The text is the caller's. */
static char *make_at(
	struct registry_tokens *tokens, struct subject *s, const char *scopes, uint64_t now_s)
{
	struct buf b = BUF_INIT(LIMIT_HTTP_HEAD);
	struct error err = ERROR_INIT;

	assert_int_equal(registry_token_make(tokens, s, slice_of(scopes), now_s, &b, &err), 0);
	return buf_take(&b);
}

static char *make(struct registry_tokens *tokens, const char *name, const char *scopes)
{
	CLEANUP(subject_unrefp) struct subject *s = subject(name, "team-a");

	return make_at(tokens, s, scopes, NOW);
}

/* Somebody by the word of Kubernetes. */
static struct subject *reviewed(const char *name, const char *group, uint64_t expires_s)
{
	struct slice groups[] = {slice_of(group)};
	struct subject_draft draft = {.method = AUTH_KUBERNETES,
		.name = slice_of(name),
		.n_groups = 1,
		.groups = groups,
		.expires_s = expires_s};
	struct error err = ERROR_INIT;
	struct subject *s = NULL;

	assert_ok(subject_new(&s, &draft, &err));
	return s;
}

static char *prove(struct registry_tokens *t, const char *name, const char *group,
	uint64_t expires_s, uint64_t now_s)
{
	CLEANUP(subject_unrefp) struct subject *s = reviewed(name, group, expires_s);

	return make_at(t, s, SCOPES, now_s);
}

/* *ret_expires_s: of whom it is for. */
static enum registry_token check(
	struct registry_tokens *t, const char *token, uint64_t now_s, uint64_t *ret_expires_s)
{
	CLEANUP(subject_unrefp) struct subject *s = NULL;
	AUTO_FREE char *scopes = NULL;
	enum registry_token result = registry_token_check(t, slice_of(token), now_s, &s, &scopes);

	if (result == REGISTRY_TOKEN_OK) {
		assert_string_equal(scopes, SCOPES);
		*ret_expires_s = s->expires_s;
	}
	return result;
}

static enum registry_token check_at(
	struct registry_tokens *tokens, const char *token, uint64_t now_s)
{
	CLEANUP(subject_unrefp) struct subject *s = NULL;
	AUTO_FREE char *scopes = NULL;
	enum registry_token result =
		registry_token_check(tokens, slice_of(token), now_s, &s, &scopes);

	assert_int_equal(s != NULL, result == REGISTRY_TOKEN_OK);
	assert_int_equal(scopes != NULL, result == REGISTRY_TOKEN_OK);
	return result;
}

static void assert_is_of(struct registry_tokens *tokens, const char *token, const char *name)
{
	CLEANUP(subject_unrefp) struct subject *s = NULL;
	AUTO_FREE char *scopes = NULL;

	assert_int_equal(
		registry_token_check(tokens, slice_of(token), NOW, &s, &scopes), REGISTRY_TOKEN_OK);
	assert_string_equal(s->name, name);
}

/* ---- tests ---- */

static void a_token_brings_back_its_subject_and_its_scopes(void **state)
{
	static const char *const scopes[] = {
		"", "repository:team-a/app:pull", "repository:a:pull,push registry:catalog:*"};

	for (size_t i = 0; i < ARRAY_SIZE(scopes); i++) {
		AUTO_FREE char *token = make(*state, "ci", scopes[i]);
		CLEANUP(subject_unrefp) struct subject *s = NULL;
		AUTO_FREE char *got = NULL;

		assert_int_equal(registry_token_check(*state, slice_of(token), NOW, &s, &got),
			REGISTRY_TOKEN_OK);
		assert_string_equal(s->name, "token:ci");
		assert_string_equal(s->grants[0].namespace, "team-a");
		assert_string_equal(got, scopes[i]);
	}
}

/* What an Authorization header may have (RFC 6750, section 2.1). */
static void a_token_is_a_word_that_fits_into_a_header(void **state)
{
	AUTO_FREE char *token = make(*state, "ci", "repository:team-a/app:pull,push");

	assert_int_equal(strncmp(token, REGISTRY_TOKEN_PREFIX, strlen(REGISTRY_TOKEN_PREFIX)), 0);
	assert_int_equal(strspn(token, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				       "0123456789-._~+/="),
		strlen(token));
}

static void a_token_ends_when_it_says(void **state)
{
	AUTO_FREE char *token = make(*state, "ci", "");
	/* The same subject's next does not make it last longer. */
	CLEANUP(subject_unrefp) struct subject *s = subject("ci", "team-a");
	AUTO_FREE char *next = make_at(*state, s, "", NOW + 100);

	assert_int_equal(check_at(*state, token, NOW), REGISTRY_TOKEN_OK);
	assert_int_equal(
		check_at(*state, token, NOW + LIMIT_REGISTRY_TOKEN_S - 1), REGISTRY_TOKEN_OK);
	assert_int_equal(
		check_at(*state, token, NOW + LIMIT_REGISTRY_TOKEN_S), REGISTRY_TOKEN_EXPIRED);
	assert_int_equal(check_at(*state, next, NOW + LIMIT_REGISTRY_TOKEN_S), REGISTRY_TOKEN_OK);
}

static void a_token_with_any_other_byte_is_refused(void **state)
{
	AUTO_FREE char *token = make(*state, "ci", "repository:team-a/app:pull");

	for (size_t i = 0; token[i] != '\0'; i++) {
		char right = token[i];

		token[i] = right == 'A' ? 'B' : 'A';
		assert_int_equal(check_at(*state, token, NOW), REGISTRY_TOKEN_BAD);
		token[i] = right;
	}
	assert_int_equal(check_at(*state, token, NOW), REGISTRY_TOKEN_OK);
}

static void a_token_of_any_other_length_is_refused(void **state)
{
	AUTO_FREE char *token = make(*state, "ci", "repository:team-a/app:pull");
	AUTO_FREE char *longer = str_printf("%sA", token);
	AUTO_FREE char *doubled = str_printf("%s%s", token, token);

	assert_int_equal(check_at(*state, longer, NOW), REGISTRY_TOKEN_BAD);
	assert_int_equal(check_at(*state, doubled, NOW), REGISTRY_TOKEN_BAD);
	for (size_t n = strlen(token); n-- > 0;) {
		token[n] = '\0';
		assert_int_equal(check_at(*state, token, NOW), REGISTRY_TOKEN_BAD);
	}
}

static void a_token_of_another_process_is_refused(void **state)
{
	AUTO_FREE char *token = make(*state, "ci", "");
	struct registry_tokens *other;
	struct error err = ERROR_INIT;

	assert_int_equal(registry_tokens_new(&other, &err), 0);
	assert_int_equal(check_at(other, token, NOW), REGISTRY_TOKEN_BAD);
	registry_tokens_free(other);
}

static void subjects_that_differ_in_anything_are_kept_apart(void **state)
{
	CLEANUP(subject_unrefp) struct subject *before = subject("ci", "team-a");
	CLEANUP(subject_unrefp) struct subject *after = subject("ci", "team-b");
	AUTO_FREE char *token = make_at(*state, before, "", NOW);
	AUTO_FREE char *next = make_at(*state, after, "", NOW);
	CLEANUP(subject_unrefp) struct subject *s = NULL;
	AUTO_FREE char *scopes = NULL;

	assert_int_equal(
		registry_token_check(*state, slice_of(token), NOW, &s, &scopes), REGISTRY_TOKEN_OK);
	assert_ptr_equal(s, before);
	assert_is_of(*state, next, "token:ci");
}

/* Kubernetes says anew every half a minute who somebody is, and until when that counts. */
static void whoever_proves_it_anew_is_the_same(void **state)
{
	AUTO_FREE char *first = prove(*state, "alice", "users", NOW + 600, NOW);
	AUTO_FREE char *second = prove(*state, "alice", "users", NOW + 630, NOW + 30);
	uint64_t expires_s = 0;

	assert_int_equal(check(*state, first, NOW + 30, &expires_s), REGISTRY_TOKEN_OK);
	assert_int_equal(expires_s, NOW + 630);
	for (uint64_t i = 0; i < 3 * LIMIT_REGISTRY_SEATS; i++)
		free(prove(*state, "alice", "users", NOW + 600 - i, NOW + 30));
	assert_int_equal(check(*state, first, NOW + 30, &expires_s), REGISTRY_TOKEN_OK);
	assert_int_equal(check(*state, second, NOW + 30, &expires_s), REGISTRY_TOKEN_OK);
	assert_int_equal(expires_s, NOW + 630);
}

static void a_proof_without_an_end_is_the_latest(void **state)
{
	AUTO_FREE char *token = prove(*state, "alice", "users", NOW + 600, NOW);
	uint64_t expires_s = 1;

	free(prove(*state, "alice", "users", 0, NOW));
	free(prove(*state, "alice", "users", NOW + 900, NOW));
	assert_int_equal(check(*state, token, NOW, &expires_s), REGISTRY_TOKEN_OK);
	assert_int_equal(expires_s, 0);
}

static void a_name_pushes_out_its_own_tokens_and_nobody_elses(void **state)
{
	AUTO_FREE char *other = prove(*state, "bob", "users", 0, NOW);
	char *tokens[2 * LIMIT_REGISTRY_SUBJECTS];
	uint64_t ignored;

	for (size_t i = 0; i < ARRAY_SIZE(tokens); i++) {
		AUTO_FREE char *group = str_printf("group-%zu", i);

		assert_non_null(group);
		tokens[i] = prove(*state, "alice", group, 0, NOW + 1 + i);
	}
	assert_int_equal(check(*state, other, NOW + 1, &ignored), REGISTRY_TOKEN_OK);
	for (size_t i = 0; i < ARRAY_SIZE(tokens); i++) {
		bool is_late = i >= ARRAY_SIZE(tokens) - LIMIT_REGISTRY_SEATS;

		assert_int_equal(check(*state, tokens[i], NOW + 1, &ignored),
			is_late ? REGISTRY_TOKEN_OK : REGISTRY_TOKEN_EXPIRED);
		free(tokens[i]);
	}
}

static void a_crowd_of_subjects_ends_the_oldest_tokens(void **state)
{
	CLEANUP(subject_unrefp) struct subject *first = subject("first", "team-a");
	AUTO_FREE char *oldest = make_at(*state, first, "", NOW - 1);
	AUTO_FREE char *latest = NULL;

	for (int i = 0; i < 8 * LIMIT_REGISTRY_SUBJECTS; i++) {
		char name[16];

		snprintf(name, sizeof(name), "t%d", i);
		free(latest);
		latest = make(*state, name, "");
	}
	assert_int_equal(check_at(*state, oldest, NOW), REGISTRY_TOKEN_EXPIRED);
	assert_int_equal(check_at(*state, latest, NOW), REGISTRY_TOKEN_OK);
}

static void many_subjects_have_tokens_at_one_time(void **state)
{
	char *tokens[LIMIT_REGISTRY_SUBJECTS / 8];
	uint64_t ignored;

	for (size_t i = 0; i < ARRAY_SIZE(tokens); i++) {
		AUTO_FREE char *name = str_printf("user-%zu", i);

		assert_non_null(name);
		tokens[i] = prove(*state, name, "users", 0, NOW);
	}
	for (size_t i = 0; i < ARRAY_SIZE(tokens); i++) {
		assert_int_equal(check(*state, tokens[i], NOW, &ignored), REGISTRY_TOKEN_OK);
		free(tokens[i]);
	}
}

static void without_memory_a_token_is_neither_made_nor_checked(void **state)
{
	CLEANUP(subject_unrefp) struct subject *s = reviewed("alice", "users", 0);
	CLEANUP(buf_done) struct buf made = BUF_INIT(LIMIT_HTTP_HEAD);
	AUTO_FREE char *token = prove(*state, "alice", "users", 0, NOW);
	struct error err = ERROR_INIT;
	uint64_t ignored;

	lacks_memory = true;
	assert_refused(
		registry_token_make(*state, s, SLICE(SCOPES), NOW, &made, &err), ERROR_NO_MEMORY);
	assert_int_equal(made.len, 0);
	assert_int_equal(check(*state, token, NOW, &ignored), REGISTRY_TOKEN_NO_MEMORY);
	lacks_memory = false;
	assert_int_equal(check(*state, token, NOW, &ignored), REGISTRY_TOKEN_OK);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_token_brings_back_its_subject_and_its_scopes),
		TEST(a_token_is_a_word_that_fits_into_a_header),
		TEST(a_token_ends_when_it_says),
		TEST(a_token_with_any_other_byte_is_refused),
		TEST(a_token_of_any_other_length_is_refused),
		TEST(a_token_of_another_process_is_refused),
		TEST(subjects_that_differ_in_anything_are_kept_apart),
		TEST(whoever_proves_it_anew_is_the_same),
		TEST(a_proof_without_an_end_is_the_latest),
		TEST(a_name_pushes_out_its_own_tokens_and_nobody_elses),
		TEST(a_crowd_of_subjects_ends_the_oldest_tokens),
		TEST(many_subjects_have_tokens_at_one_time),
		TEST(without_memory_a_token_is_neither_made_nor_checked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
