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

static struct subject *subject(const char *name, const char *group, uint64_t expires_s)
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

/* A token for whom these make; the caller's. */
static char *make(struct registry_tokens *t, const char *name, const char *group,
	uint64_t expires_s, uint64_t now_s)
{
	CLEANUP(subject_unrefp) struct subject *s = subject(name, group, expires_s);
	struct buf token = BUF_INIT(LIMIT_HTTP_HEAD);
	struct error err = ERROR_INIT;

	assert_ok(registry_token_make(t, s, SLICE(SCOPES), now_s, &token, &err));
	return buf_take(&token);
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

/* ---- tests ---- */

static void a_token_counts_until_its_end(void **state)
{
	AUTO_FREE char *token = make(*state, "alice", "users", 0, NOW);
	uint64_t ignored;

	assert_int_equal(check(*state, token, NOW, &ignored), REGISTRY_TOKEN_OK);
	assert_int_equal(check(*state, token, NOW + LIMIT_REGISTRY_TOKEN_S - 1, &ignored),
		REGISTRY_TOKEN_OK);
	assert_int_equal(check(*state, token, NOW + LIMIT_REGISTRY_TOKEN_S, &ignored),
		REGISTRY_TOKEN_EXPIRED);
	assert_int_equal(check(*state, "gsqr.garbage", NOW, &ignored), REGISTRY_TOKEN_BAD);
}

/* Kubernetes says anew every half a minute who somebody is, and until when that counts. */
static void whoever_proves_it_anew_is_the_same(void **state)
{
	AUTO_FREE char *first = make(*state, "alice", "users", NOW + 600, NOW);
	AUTO_FREE char *second = make(*state, "alice", "users", NOW + 630, NOW + 30);
	uint64_t expires_s = 0;

	assert_int_equal(check(*state, first, NOW + 30, &expires_s), REGISTRY_TOKEN_OK);
	assert_int_equal(expires_s, NOW + 630);
	for (uint64_t i = 0; i < 3 * LIMIT_REGISTRY_SEATS; i++)
		free(make(*state, "alice", "users", NOW + 600 - i, NOW + 30));
	assert_int_equal(check(*state, first, NOW + 30, &expires_s), REGISTRY_TOKEN_OK);
	assert_int_equal(check(*state, second, NOW + 30, &expires_s), REGISTRY_TOKEN_OK);
	assert_int_equal(expires_s, NOW + 630);
}

static void a_proof_without_an_end_is_the_latest(void **state)
{
	AUTO_FREE char *token = make(*state, "alice", "users", NOW + 600, NOW);
	uint64_t expires_s = 1;

	free(make(*state, "alice", "users", 0, NOW));
	free(make(*state, "alice", "users", NOW + 900, NOW));
	assert_int_equal(check(*state, token, NOW, &expires_s), REGISTRY_TOKEN_OK);
	assert_int_equal(expires_s, 0);
}

static void a_name_pushes_out_its_own_tokens_and_nobody_elses(void **state)
{
	AUTO_FREE char *other = make(*state, "bob", "users", 0, NOW);
	char *tokens[2 * LIMIT_REGISTRY_SUBJECTS];
	uint64_t ignored;

	for (size_t i = 0; i < ARRAY_SIZE(tokens); i++) {
		AUTO_FREE char *group = str_printf("group-%zu", i);

		assert_non_null(group);
		tokens[i] = make(*state, "alice", group, 0, NOW + 1 + i / 100);
	}
	assert_int_equal(check(*state, other, NOW + 1, &ignored), REGISTRY_TOKEN_OK);
	for (size_t i = 0; i < ARRAY_SIZE(tokens); i++) {
		bool is_late = i >= ARRAY_SIZE(tokens) - LIMIT_REGISTRY_SEATS;

		assert_int_equal(check(*state, tokens[i], NOW + 1, &ignored),
			is_late ? REGISTRY_TOKEN_OK : REGISTRY_TOKEN_EXPIRED);
		free(tokens[i]);
	}
}

static void many_subjects_have_tokens_at_one_time(void **state)
{
	char *tokens[LIMIT_REGISTRY_SUBJECTS / 8];
	uint64_t ignored;

	for (size_t i = 0; i < ARRAY_SIZE(tokens); i++) {
		AUTO_FREE char *name = str_printf("user-%zu", i);

		assert_non_null(name);
		tokens[i] = make(*state, name, "users", 0, NOW);
	}
	for (size_t i = 0; i < ARRAY_SIZE(tokens); i++) {
		assert_int_equal(check(*state, tokens[i], NOW, &ignored), REGISTRY_TOKEN_OK);
		free(tokens[i]);
	}
}

static void without_memory_a_token_is_neither_made_nor_checked(void **state)
{
	CLEANUP(subject_unrefp) struct subject *s = subject("alice", "users", 0);
	CLEANUP(buf_done) struct buf made = BUF_INIT(LIMIT_HTTP_HEAD);
	AUTO_FREE char *token = make(*state, "alice", "users", 0, NOW);
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
		TEST(a_token_counts_until_its_end),
		TEST(whoever_proves_it_anew_is_the_same),
		TEST(a_proof_without_an_end_is_the_latest),
		TEST(a_name_pushes_out_its_own_tokens_and_nobody_elses),
		TEST(many_subjects_have_tokens_at_one_time),
		TEST(without_memory_a_token_is_neither_made_nor_checked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
