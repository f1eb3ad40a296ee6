/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/limits.h"
#include "registry/credential_helper.h"
#include "registry/credentials.h"
#include "registry/remote_auth.h"

DEFINE_CLEANUP(struct credential_store, credential_store_free);

/* A folder of its own for each test, first in PATH and gone in the end. */
struct folder {
	char path[64];
	char config[96];
	char *old_path;
};

static int set_up(void **state)
{
	struct folder *f = calloc(1, sizeof(*f));
	char path[4096];

	snprintf(f->path, sizeof(f->path), "/tmp/gsq-credentials-XXXXXX");
	assert_non_null(mkdtemp(f->path));
	snprintf(f->config, sizeof(f->config), "%s/config.json", f->path);
	f->old_path = strdup(getenv("PATH"));
	snprintf(path, sizeof(path), "%s:%s", f->path, f->old_path);
	setenv("PATH", path, 1);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct folder *f = *state;
	char command[128];

	setenv("PATH", f->old_path, 1);
	snprintf(command, sizeof(command), "rm -r %s", f->path);
	assert_int_equal(system(command), 0);
	free(f->old_path);
	free(f);
	return 0;
}

static void write_file(const char *path, const char *text, mode_t mode)
{
	AUTO_CLOSE int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
	struct error err = ERROR_INIT;

	assert_true(fd >= 0);
	assert_int_equal(file_write_all(fd, text, strlen(text), &err), 0);
}

static void write_helper(const struct folder *f, const char *name, const char *script)
{
	char path[128], text[512];

	snprintf(path, sizeof(path), "%s/docker-credential-%s", f->path, name);
	snprintf(text, sizeof(text), "#!/bin/sh\n%s\n", script);
	write_file(path, text, 0700);
}

static struct credential_store *new_store(const struct folder *f, const char *host)
{
	struct credential_store *store;
	struct error err = ERROR_INIT;

	assert_int_equal(credential_store_new(&store, f->config, host, &err), 0);
	return store;
}

static void assert_login(struct credential_store *store, const char *username, const char *password)
{
	const struct credentials *c;
	struct error err = ERROR_INIT;

	assert_int_equal(credential_store_get(store, &c, &err), 0);
	if (username == NULL) {
		assert_null(c->username);
		return;
	}
	assert_string_equal(c->username, username);
	assert_string_equal(c->password, password);
}

static void keys_match_hosts_in_every_form_that_docker_writes(void **state UNUSED)
{
	static const struct {
		const char *key, *host;
		bool matches;
	} cases[] = {
		{"ghcr.io", "ghcr.io", true},
		{"GHCR.io", "ghcr.io", true},
		{"https://ghcr.io", "ghcr.io", true},
		{"https://ghcr.io/v1/", "ghcr.io", true},
		{"http://127.0.0.1:5000/v2/", "127.0.0.1:5000", true},
		{"ghcr.io/acme", "ghcr.io", true},
		{"https://index.docker.io/v1/", "docker.io", true},
		{"https://index.docker.io/v1/", "registry-1.docker.io", true},
		{"https://index.docker.io/v1/", "ghcr.io", false},
		{"ghcr.io", "ghcr.io:443", false},
		{"ghcr.io.example.com", "ghcr.io", false},
		{"example.com/ghcr.io", "ghcr.io", false},
		{"", "ghcr.io", false},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(
			credentials_key_matches(cases[i].key, cases[i].host), cases[i].matches);
}

static void a_login_is_read_from_base64_or_from_two_fields(void **state)
{
	struct folder *f = *state;
	static const struct {
		const char *config, *username, *password;
	} cases[] = {
		{"{\"auths\":{\"r:5000\":{\"auth\":\"YW5uOnNlY3JldA==\"}}}", "ann", "secret"},
		{"{\"auths\":{\"r:5000\":{\"auth\":\"YW5uOnM6ZWM=\"}}}", "ann", "s:ec"},
		{"{\"auths\":{\"https://r:5000/v1/\":{\"username\":\"ann\",\"password\":\"p\"}}}",
			"ann", "p"},
		{"{\"auths\":{\"r:5000/x\":{\"auth\":\"eDp5\"},\"r:5000\":{\"auth\":\"YTpi\"}}}",
			"a", "b"},
		{"{\"auths\":{\"other\":{\"auth\":\"YTpi\"}}}", NULL, NULL},
		{"{\"auths\":{\"r:5000\":{}}}", NULL, NULL},
		{"{\"auths\":[]}", NULL, NULL},
		{"{}", NULL, NULL},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		CLEANUP(credential_store_freep) struct credential_store *store = NULL;

		write_file(f->config, cases[i].config, 0600);
		store = new_store(f, "r:5000");
		assert_login(store, cases[i].username, cases[i].password);
	}
}

static void an_identity_token_is_read(void **state)
{
	struct folder *f = *state;
	CLEANUP(credential_store_freep) struct credential_store *store = new_store(f, "r");
	const struct credentials *c;
	struct error err = ERROR_INIT;

	write_file(f->config, "{\"auths\":{\"r\":{\"auth\":\"\",\"identitytoken\":\"t\"}}}", 0600);
	assert_int_equal(credential_store_get(store, &c, &err), 0);
	assert_string_equal(c->identity_token, "t");
	assert_null(c->username);
}

static void what_cannot_be_read_is_unauthorized_and_never_absence(void **state)
{
	struct folder *f = *state;
	static const char *const configs[] = {
		"",
		"[]",
		"{\"auths\":",
		"{\"auths\":{\"r\":{\"auth\":\"no base64!\"}}}",
		"{\"auths\":{\"r\":{\"auth\":\"bm9jb2xvbg==\"}}}",
		"{\"credsStore\":\"missing\"}",
		"{\"credsStore\":\"../../bin/sh\"}",
	};
	CLEANUP(credential_store_freep) struct credential_store *store = new_store(f, "r");
	const struct credentials *c = NULL;
	struct error err = ERROR_INIT;

	assert_int_equal(credential_store_get(store, &c, &err), -1);
	assert_int_equal(err.code, ERROR_UNAUTHORIZED);
	for (size_t i = 0; i < ARRAY_SIZE(configs); i++) {
		write_file(f->config, configs[i], 0600);
		assert_int_equal(credential_store_get(store, &c, &err), -1);
		assert_int_equal(err.code, ERROR_UNAUTHORIZED);
	}
	assert_null(c);
}

static void a_file_is_read_again_when_it_changes_and_only_then(void **state)
{
	struct folder *f = *state;
	CLEANUP(credential_store_freep) struct credential_store *store = new_store(f, "r");
	const struct credentials *first, *second;
	struct error err = ERROR_INIT;
	char *username;

	write_file(f->config, "{\"auths\":{\"r\":{\"auth\":\"YTpi\"}}}", 0600);
	assert_int_equal(credential_store_get(store, &first, &err), 0);
	username = first->username;
	assert_int_equal(credential_store_get(store, &second, &err), 0);
	assert_ptr_equal(second->username, username);
	write_file(f->config, "{\"auths\":{\"r\":{\"auth\":\"YW5uOnNlY3JldA==\"}}}", 0600);
	assert_login(store, "ann", "secret");
}

static void a_default_file_need_not_exist(void **state)
{
	struct folder *f = *state;
	CLEANUP(credential_store_freep) struct credential_store *store = NULL;
	struct error err = ERROR_INIT;

	setenv("DOCKER_CONFIG", f->path, 1);
	assert_int_equal(credential_store_new(&store, NULL, "r", &err), 0);
	unsetenv("DOCKER_CONFIG");
	assert_login(store, NULL, NULL);
	write_file(f->config, "{\"auths\":{\"r\":{\"auth\":\"YTpi\"}}}", 0600);
	assert_login(store, "a", "b");
}

static void a_helper_goes_before_the_store_and_the_store_before_the_file(void **state)
{
	struct folder *f = *state;
	static const struct {
		const char *config, *username;
	} cases[] = {
		{"{\"credHelpers\":{\"r\":\"one\"},\"credsStore\":\"two\","
		 "\"auths\":{\"r\":{\"auth\":\"YTpi\"}}}",
			"one"},
		{"{\"credHelpers\":{\"x\":\"one\"},\"credsStore\":\"two\","
		 "\"auths\":{\"r\":{\"auth\":\"YTpi\"}}}",
			"two"},
		{"{\"credsStore\":\"none\",\"auths\":{\"r\":{\"auth\":\"YTpi\"}}}", "a"},
	};

	write_helper(f, "one", "echo '{\"Username\":\"one\",\"Secret\":\"b\"}'");
	write_helper(f, "two", "echo '{\"Username\":\"two\",\"Secret\":\"b\"}'");
	write_helper(f, "none", "echo credentials not found in native keychain; exit 1");
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		CLEANUP(credential_store_freep) struct credential_store *store = NULL;

		write_file(f->config, cases[i].config, 0600);
		store = new_store(f, "r");
		assert_login(store, cases[i].username, "b");
	}
}

static void a_helper_is_asked_again_only_after_a_refusal(void **state)
{
	struct folder *f = *state;
	CLEANUP(credential_store_freep) struct credential_store *store = new_store(f, "r");
	char script[256];

	snprintf(script, sizeof(script),
		"echo x >>%s/n\necho \"{\\\"Username\\\":\\\"u\\\",\\\"Secret\\\":\\\"$(wc -l "
		"<%s/n)\\\"}\"",
		f->path, f->path);
	write_helper(f, "counts", script);
	write_file(f->config, "{\"credsStore\":\"counts\"}", 0600);
	assert_login(store, "u", "1");
	assert_login(store, "u", "1");
	credential_store_forget(store);
	assert_login(store, "u", "2");
}

static void a_later_login_through_a_helper_is_seen(void **state)
{
	struct folder *f = *state;
	CLEANUP(credential_store_freep) struct credential_store *store = new_store(f, "r");

	write_helper(f, "late", "echo credentials not found; exit 1");
	write_file(f->config, "{\"credsStore\":\"late\"}", 0600);
	assert_login(store, NULL, NULL);
	write_helper(f, "late", "echo '{\"Username\":\"a\",\"Secret\":\"b\"}'");
	assert_login(store, "a", "b");
}

static void a_helper_may_give_an_identity_token(void **state)
{
	struct folder *f = *state;
	CLEANUP(credential_store_freep) struct credential_store *store = new_store(f, "docker.io");
	const struct credentials *c;
	struct error err = ERROR_INIT;

	write_helper(f, "hub",
		"read -r s; [ \"$s\" = https://index.docker.io/v1/ ] || exit 1\n"
		"echo '{\"Username\":\"<token>\",\"Secret\":\"t\"}'");
	write_file(f->config, "{\"credsStore\":\"hub\"}", 0600);
	assert_int_equal(credential_store_get(store, &c, &err), 0);
	assert_string_equal(c->identity_token, "t");
}

static void a_helper_that_fails_or_prints_too_much_is_unauthorized(void **state)
{
	struct folder *f = *state;
	static const char *const scripts[] = {"exit 3", "exec yes", "kill -9 $$"};

	for (size_t i = 0; i < ARRAY_SIZE(scripts); i++) {
		CLEANUP(buf_done) struct buf out = BUF_INIT(1000);
		struct error err = ERROR_INIT;

		write_helper(f, "bad", scripts[i]);
		assert_int_equal(credential_helper_get("bad", "r", &out, &err), -1);
		assert_int_equal(err.code, ERROR_UNAUTHORIZED);
		assert_int_equal(out.len, 0);
	}
}

static void basic_is_base64_of_name_and_password(void **state UNUSED)
{
	struct credentials c = {.username = (char *)"Aladdin", .password = (char *)"open sesame"};
	CLEANUP(buf_done) struct buf out = BUF_INIT(100);
	struct error err = ERROR_INIT;

	assert_int_equal(credentials_basic(&c, &out, &err), 0);
	assert_string_equal(out.data, "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="); /* RFC 7617 */
}

static void the_answer_of_a_token_server_is_read(void **state UNUSED)
{
	static const struct {
		const char *json, *token;
		unsigned expires_s;
	} cases[] = {
		{"{\"token\":\"abc.DEF-1_~+/=\",\"expires_in\":300}", "abc.DEF-1_~+/=", 300},
		{"{\"access_token\":\"b\"}", "b", 60},
		{"{\"token\":\"a\",\"access_token\":\"b\",\"expires_in\":0}", "a", 60},
		{"{\"token\":\"\",\"access_token\":\"b\",\"expires_in\":-5}", "b", 60},
		{"{\"token\":\"a\",\"expires_in\":99999999999}", "a", 86400},
		{"{\"token\":\"a\\r\\nHost: b\"}", NULL, 0},
		{"{\"token\":7}", NULL, 0},
		{"{\"token\":\"\"}", NULL, 0},
		{"[]", NULL, 0},
		{"", NULL, 0},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		AUTO_FREE char *token = NULL;
		unsigned expires_s = 0;
		struct error err = ERROR_INIT;
		int rc = remote_auth_parse_token(slice_of(cases[i].json), &token, &expires_s, &err);

		assert_int_equal(rc, cases[i].token == NULL ? -1 : 0);
		assert_int_equal(expires_s, cases[i].expires_s);
		if (cases[i].token != NULL)
			assert_string_equal(token, cases[i].token);
		else
			assert_int_equal(err.code, ERROR_UNAUTHORIZED);
	}
}

#define IN_FOLDER(test_) cmocka_unit_test_setup_teardown(test_, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_match_hosts_in_every_form_that_docker_writes),
		IN_FOLDER(a_login_is_read_from_base64_or_from_two_fields),
		IN_FOLDER(an_identity_token_is_read),
		IN_FOLDER(what_cannot_be_read_is_unauthorized_and_never_absence),
		IN_FOLDER(a_file_is_read_again_when_it_changes_and_only_then),
		IN_FOLDER(a_default_file_need_not_exist),
		IN_FOLDER(a_helper_goes_before_the_store_and_the_store_before_the_file),
		IN_FOLDER(a_helper_is_asked_again_only_after_a_refusal),
		IN_FOLDER(a_later_login_through_a_helper_is_seen),
		IN_FOLDER(a_helper_may_give_an_identity_token),
		IN_FOLDER(a_helper_that_fails_or_prints_too_much_is_unauthorized),
		cmocka_unit_test(basic_is_base64_of_name_and_password),
		cmocka_unit_test(the_answer_of_a_token_server_is_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
