/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "auth/tokens.h"
#include "base/clock.h"
#include "base/file.h"
#include "oci/digest.h"

#define FILE_NAME "tokens.json"
#define US_PER_S 1000000
#define HASH_1 "sha256:1111111111111111111111111111111111111111111111111111111111111111"
#define HASH_2 "sha256:2222222222222222222222222222222222222222222222222222222222222222"

/* Each test runs in a folder of its own, which is gone in the end. */
static int enter_folder(void **state)
{
	char *path = strdup("/tmp/gsq-tokens-XXXXXX");

	digest_setup();
	assert_non_null(path);
	assert_non_null(mkdtemp(path));
	assert_int_equal(chdir(path), 0);
	*state = path;
	return 0;
}

static int remove_one(
	const char *path, const struct stat *st UNUSED, int type UNUSED, struct FTW *ftw UNUSED)
{
	return remove(path);
}

static int leave_folder(void **state)
{
	AUTO_FREE char *path = *state;

	assert_int_equal(chdir("/"), 0);
	return nftw(path, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static uint64_t now_s(void)
{
	return clock_realtime_us() / US_PER_S;
}

static void write_file(const char *path, const char *text)
{
	AUTO_CLOSE int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	struct error err = ERROR_INIT;

	assert_true(fd >= 0);
	assert_int_equal(file_write_all(fd, text, strlen(text), &err), 0);
}

static char *file_text(const char *path)
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(LIMIT_TOKEN_FILE);
	struct error err = ERROR_INIT;

	assert_int_equal(file_read(path, &text, &err), 0);
	return buf_take(&text);
}

static struct tokens *load(void)
{
	struct error err = ERROR_INIT;
	struct tokens *t;

	if (tokens_load(&t, FILE_NAME, &err) != 0)
		fail_msg("%s", err.text);
	return t;
}

static struct token_draft draft_of(const char *name)
{
	static const char *const team_a[] = {"team-a"};

	return (struct token_draft){
		.name = name, .role = ROLE_EDITOR, .n_namespaces = 1, .namespaces = team_a};
}

static void create_as(const struct token_draft *draft, char secret[TOKEN_SECRET_SIZE])
{
	struct error err = ERROR_INIT;

	if (token_create(FILE_NAME, draft, secret, &err) != 0)
		fail_msg("%s", err.text);
}

static void create(const char *name, char secret[TOKEN_SECRET_SIZE])
{
	struct token_draft draft = draft_of(name);

	create_as(&draft, secret);
}

static void revoke_token(const char *name)
{
	struct error err = ERROR_INIT;

	assert_int_equal(token_revoke(FILE_NAME, name, &err), 0);
}

static bool is_known(struct tokens *t, const char *secret)
{
	CLEANUP(subject_unrefp) struct subject *s = tokens_find(t, slice_of(secret));

	return s != NULL;
}

/* ---- the round trip ---- */

static void a_secret_finds_its_subject(void **state UNUSED)
{
	static const char *const two[] = {"team-a", "team-b"};
	CLEANUP(subject_unrefp) struct subject *s = NULL;
	CLEANUP(tokens_unrefp) struct tokens *t = NULL;
	struct token_draft draft = draft_of("ci");
	char secret[TOKEN_SECRET_SIZE], other[TOKEN_SECRET_SIZE];

	draft.namespaces = two;
	draft.n_namespaces = 2;
	draft.expires_s = now_s() + 3600;
	create_as(&draft, secret);
	create("other", other);
	t = load();
	assert_int_equal(tokens_count(t), 2);
	s = tokens_find(t, slice_of(secret));
	assert_non_null(s);
	assert_string_equal(s->name, "token:ci");
	assert_int_equal(s->method, AUTH_TOKEN);
	assert_int_equal(s->expires_s, draft.expires_s);
	assert_int_equal(s->n_groups, 0);
	assert_true(subject_may(s, ACTION_UPDATE, "team-a"));
	assert_true(subject_may(s, ACTION_UPDATE, "team-b"));
	assert_false(subject_may(s, ACTION_UPDATE, "team-c"));
	assert_false(subject_may(s, ACTION_ADMINISTER, AUTH_EVERYWHERE));
}

static void a_token_may_be_for_all_namespaces(void **state UNUSED)
{
	static const char *const all[] = {AUTH_EVERYWHERE};
	CLEANUP(subject_unrefp) struct subject *s = NULL;
	CLEANUP(tokens_unrefp) struct tokens *t = NULL;
	struct token_draft draft = {
		.name = "root", .role = ROLE_ADMIN, .n_namespaces = 1, .namespaces = all};
	char secret[TOKEN_SECRET_SIZE];

	create_as(&draft, secret);
	t = load();
	s = tokens_find(t, slice_of(secret));
	assert_non_null(s);
	assert_int_equal(s->expires_s, 0);
	assert_true(subject_may(s, ACTION_ADMINISTER, AUTH_EVERYWHERE));
}

static void a_secret_is_a_prefix_and_256_random_bits(void **state UNUSED)
{
	static const char base64url[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
					"0123456789-_";
	char one[TOKEN_SECRET_SIZE], two[TOKEN_SECRET_SIZE];

	create("one", one);
	create("two", two);
	assert_int_equal(strlen(one), TOKEN_SECRET_SIZE - 1);
	assert_int_equal(strncmp(one, TOKEN_PREFIX, strlen(TOKEN_PREFIX)), 0);
	assert_int_equal(strspn(one + strlen(TOKEN_PREFIX), base64url), 43);
	assert_string_not_equal(one, two);
}

static void the_file_holds_no_secret_and_is_private(void **state UNUSED)
{
	AUTO_FREE char *text = NULL;
	char secret[TOKEN_SECRET_SIZE];
	struct stat st;

	create("ci", secret);
	text = file_text(FILE_NAME);
	assert_null(strstr(text, secret));
	assert_null(strstr(text, secret + strlen(TOKEN_PREFIX)));
	assert_null(strstr(text, TOKEN_PREFIX));
	assert_int_equal(stat(FILE_NAME, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
}

static void what_is_no_secret_finds_nothing(void **state UNUSED)
{
	CLEANUP(tokens_unrefp) struct tokens *t = NULL;
	char secret[TOKEN_SECRET_SIZE], wrong[TOKEN_SECRET_SIZE + 1];

	create("ci", secret);
	t = load();
	assert_true(is_known(t, secret));
	assert_false(is_known(t, ""));
	assert_false(is_known(t, TOKEN_PREFIX));
	assert_false(is_known(t, secret + 1));
	for (size_t i = 0; i < TOKEN_SECRET_SIZE - 1; i++) {
		memcpy(wrong, secret, TOKEN_SECRET_SIZE);
		wrong[i] = wrong[i] == 'A' ? 'B' : 'A';
		assert_false(is_known(t, wrong));
	}
	snprintf(wrong, sizeof(wrong), "%sA", secret);
	assert_false(is_known(t, wrong));
}

/* ---- changing ---- */

static void a_revoked_token_is_unknown_and_the_others_stay(void **state UNUSED)
{
	static const char *const names[] = {"one", "two", "three"};
	char secrets[3][TOKEN_SECRET_SIZE];

	for (size_t i = 0; i < 3; i++)
		create(names[i], secrets[i]);
	for (size_t gone = 0; gone < 3; gone++) {
		CLEANUP(tokens_unrefp) struct tokens *t = NULL;

		revoke_token(names[gone]);
		t = load();
		for (size_t i = 0; i < 3; i++)
			assert_int_equal(is_known(t, secrets[i]), i > gone);
	}
}

static void a_name_is_taken_until_it_is_revoked(void **state UNUSED)
{
	struct token_draft draft = draft_of("ci");
	char secret[TOKEN_SECRET_SIZE] = "untouched", again[TOKEN_SECRET_SIZE];
	struct error err = ERROR_INIT;

	create("ci", again);
	assert_int_equal(token_create(FILE_NAME, &draft, secret, &err), -1);
	assert_int_equal(err.code, ERROR_CONFLICT);
	assert_non_null(strstr(err.text, "ci"));
	assert_string_equal(secret, "untouched");
	revoke_token("ci");
	create("ci", again);
}

static void a_token_that_is_not_there_cannot_be_revoked(void **state UNUSED)
{
	struct error err = ERROR_INIT;
	char secret[TOKEN_SECRET_SIZE];

	assert_int_equal(token_revoke(FILE_NAME, "ci", &err), -1);
	assert_int_equal(err.code, ERROR_NOT_FOUND);
	create("other", secret);
	assert_int_equal(token_revoke(FILE_NAME, "ci", &err), -1);
	assert_int_equal(err.code, ERROR_NOT_FOUND);
}

static void a_draft_that_cannot_be_is_refused_and_makes_no_file(void **state UNUSED)
{
	static const char *const bad_namespace[] = {"team-a", "Team_B"};
	static const char *const all_and_more[] = {"team-a", AUTH_EVERYWHERE};
	static const char *const fine[] = {"team-a"};
	const struct {
		struct token_draft draft;
		const char *said;
	} bad[] = {
		{{.name = "", .n_namespaces = 1, .namespaces = fine}, "name"},
		{{.name = "CI", .n_namespaces = 1, .namespaces = fine}, "\"CI\""},
		{{.name = "a\nb", .n_namespaces = 1, .namespaces = fine}, "name"},
		{{.name = "ci", .n_namespaces = 0}, "namespaces"},
		{{.name = "ci", .n_namespaces = 2, .namespaces = bad_namespace}, "Team_B"},
		{{.name = "ci", .n_namespaces = 2, .namespaces = all_and_more}, "\"*\""},
		{{.name = "ci", .n_namespaces = 1, .namespaces = fine, .expires_s = 1}, "expired"},
	};
	char secret[TOKEN_SECRET_SIZE];

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct error err = ERROR_INIT;

		assert_int_equal(token_create(FILE_NAME, &bad[i].draft, secret, &err), -1);
		assert_int_equal(err.code, ERROR_INVALID);
		assert_non_null(strstr(err.text, bad[i].said));
		assert_int_equal(access(FILE_NAME, F_OK), -1);
	}
}

static void a_folder_that_is_missing_is_named(void **state UNUSED)
{
	struct token_draft draft = draft_of("ci");
	struct error err = ERROR_INIT;
	char secret[TOKEN_SECRET_SIZE];

	assert_int_equal(token_create("missing/tokens.json", &draft, secret, &err), -1);
	assert_int_equal(err.code, ERROR_NOT_FOUND);
	assert_non_null(strstr(err.text, "folder missing"));
}

static void the_file_keeps_its_mode(void **state UNUSED)
{
	char secret[TOKEN_SECRET_SIZE];
	struct stat st;

	create("ci", secret);
	assert_int_equal(chmod(FILE_NAME, 0640), 0);
	create("other", secret);
	assert_int_equal(stat(FILE_NAME, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0640);
}

/* What a process that was killed between its write and its rename leaves behind. */
static void what_a_crash_left_changes_nothing_and_is_overwritten(void **state UNUSED)
{
	CLEANUP(tokens_unrefp) struct tokens *before = NULL;
	CLEANUP(tokens_unrefp) struct tokens *after = NULL;
	char one[TOKEN_SECRET_SIZE], two[TOKEN_SECRET_SIZE];

	create("one", one);
	write_file(FILE_NAME ".new", "{\"tokens\":[{\"name\":\"tw");
	before = load();
	assert_int_equal(tokens_count(before), 1);
	create("two", two);
	after = load();
	assert_true(is_known(after, one));
	assert_true(is_known(after, two));
	assert_int_equal(access(FILE_NAME ".new", F_OK), -1);
}

#define PROCESSES 4
#define EACH 10

static void create_many(unsigned process)
{
	char secret[TOKEN_SECRET_SIZE], name[32];
	struct token_draft draft = draft_of(name);
	struct error err = ERROR_INIT;

	for (unsigned i = 0; i < EACH; i++) {
		snprintf(name, sizeof(name), "t-%u-%u", process, i);
		if (token_create(FILE_NAME, &draft, secret, &err) != 0)
			_exit(1);
	}
	_exit(0);
}

static void processes_that_create_at_once_lose_nothing(void **state UNUSED)
{
	CLEANUP(tokens_unrefp) struct tokens *t = NULL;
	int status;

	for (unsigned i = 0; i < PROCESSES; i++) {
		pid_t pid = fork();

		assert_true(pid >= 0);
		if (pid == 0)
			create_many(i);
	}
	for (unsigned i = 0; i < PROCESSES; i++) {
		assert_true(wait(&status) > 0);
		assert_int_equal(status, 0);
	}
	t = load();
	assert_int_equal(tokens_count(t), PROCESSES * EACH);
}

/* ---- reading ---- */

static void without_a_file_there_are_no_tokens(void **state UNUSED)
{
	CLEANUP(tokens_unrefp) struct tokens *t = load();

	assert_int_equal(tokens_count(t), 0);
	assert_false(is_known(t, "gsq_0123456789012345678901234567890123456789abc"));
}

#define ROW(name, hash) \
	"{\"name\":\"" name "\",\"role\":\"viewer\",\"namespaces\":[\"team-a\"]," \
	"\"created\":\"2026-11-24T17:24:42Z\",\"hash\":\"" hash "\"}"
#define ROW_1 ROW("one", HASH_1)
#define ROW_OF(members) "{\"tokens\":[" ROW_1 ",{" members "}]}"
#define NAME "\"name\":\"two\","
#define ROLE "\"role\":\"viewer\","
#define NAMESPACES "\"namespaces\":[\"team-a\"],"
#define CREATED "\"created\":\"2026-11-24T17:24:42Z\","
#define HASH "\"hash\":\"" HASH_2 "\""

static void a_file_that_people_wrote_is_read(void **state UNUSED)
{
	CLEANUP(tokens_unrefp) struct tokens *t = NULL;

	write_file(FILE_NAME,
		"{\n  \"tokens\": [\n    " ROW_1 ",\n    {" HASH ", " CREATED ROLE NAMESPACES
		"\"expires\": \"2027-01-01T00:00:00+01:00\", \"name\": \"two\"}\n  ]\n}\n");
	t = load();
	assert_int_equal(tokens_count(t), 2);
}

static void a_damaged_file_is_refused_with_the_row_and_what_to_change(void **state UNUSED)
{
	static const struct {
		const char *text, *said;
	} bad[] = {
		{"", "empty"},
		{"[]", "not a JSON object"},
		{"{\"tokens\":[" ROW_1, "ends too early at line 1"},
		{"{\"tokens\":[\n" ROW_1 ",\n{\"na", "line 3"},
		{"{}", "{\"tokens\":[...]}"},
		{"{\"tokens\":{}}", "{\"tokens\":[...]}"},
		{"{\"tokens\":[],\"more\":1}", "nothing beside"},
		{"{\"tokens\":[" ROW_1 ",7]}", "row 2: it must be an object"},
		{ROW_OF(ROLE NAMESPACES CREATED HASH), "row 2: \"name\" is missing"},
		{ROW_OF(NAME NAMESPACES CREATED HASH), "row 2: \"role\" is missing"},
		{ROW_OF(NAME ROLE CREATED HASH), "row 2: \"namespaces\" is missing"},
		{ROW_OF(NAME ROLE NAMESPACES HASH), "row 2: \"created\" is missing"},
		{ROW_OF(NAME ROLE NAMESPACES CREATED "\"hash\":7"),
			"row 2: \"hash\" must be a string"},
		{ROW_OF(NAME ROLE NAMESPACES CREATED "\"hash\":\"sha256:12\""),
			"row 2: \"hash\": "},
		{ROW_OF("\"name\":\"Two\"," ROLE NAMESPACES CREATED HASH), "row 2: the token's"},
		{ROW_OF(NAME "\"role\":\"edtor\"," NAMESPACES CREATED HASH),
			"row 2: there is no role \"edtor\"; write viewer"},
		{ROW_OF(NAME ROLE "\"namespaces\":\"team-a\"," CREATED HASH), "a list of names"},
		{ROW_OF(NAME ROLE "\"namespaces\":[]," CREATED HASH), "row 2: a token is for 1"},
		{ROW_OF(NAME ROLE "\"namespaces\":[7]," CREATED HASH), "must be a string"},
		{ROW_OF(NAME ROLE "\"namespaces\":[\"a\",\"*\"]," CREATED HASH), "\"*\""},
		{ROW_OF(NAME ROLE NAMESPACES "\"created\":\"yesterday\"," HASH),
			"row 2: \"created\" must be a time"},
		{ROW_OF(NAME ROLE NAMESPACES CREATED "\"expires\":\"1970-01-01T00:00:00Z\"," HASH),
			"row 2: \"expires\" must be a time"},
		{ROW_OF(NAME ROLE NAMESPACES CREATED "\"expries\":\"\"," HASH),
			"row 2: \"expries\" means nothing here; remove it"},
		{ROW_OF(NAME NAME ROLE NAMESPACES CREATED HASH), "given already"},
		{"{\"tokens\":[" ROW("a", HASH_1) "," ROW("b", HASH_2) "," ROW("a",
			 "sha256:"
			 "3333333333333333333333333333333333333333333333333333333333333333") "]}",
			"rows 1 and 3 have the same name; remove one"},
		{"{\"tokens\":[" ROW_1 "," ROW("two", HASH_1) "]}",
			"rows 1 and 2 have the same hash; remove one"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct tokens *t = NULL;
		struct error err = ERROR_INIT;

		write_file(FILE_NAME, bad[i].text);
		assert_int_equal(tokens_load(&t, FILE_NAME, &err), -1);
		if (strstr(err.text, bad[i].said) == NULL)
			fail_msg("\"%s\" does not say %s", err.text, bad[i].said);
		assert_int_equal(err.code, ERROR_INVALID);
		assert_int_equal(strncmp(err.text, FILE_NAME ": ", strlen(FILE_NAME ": ")), 0);
		assert_null(t);
	}
}

static void a_damaged_file_is_not_changed(void **state UNUSED)
{
	struct token_draft draft = draft_of("ci");
	char secret[TOKEN_SECRET_SIZE];
	struct error err = ERROR_INIT;
	AUTO_FREE char *text = NULL;

	write_file(FILE_NAME, "{\"tokens\":[{");
	assert_int_equal(token_create(FILE_NAME, &draft, secret, &err), -1);
	assert_int_equal(token_revoke(FILE_NAME, "ci", &err), -1);
	text = file_text(FILE_NAME);
	assert_string_equal(text, "{\"tokens\":[{");
}

static void a_file_that_is_too_large_is_refused(void **state UNUSED)
{
	struct error err = ERROR_INIT;
	struct tokens *t;

	write_file(FILE_NAME, "{}");
	assert_int_equal(truncate(FILE_NAME, LIMIT_TOKEN_FILE + 1), 0);
	assert_int_equal(tokens_load(&t, FILE_NAME, &err), -1);
	assert_int_equal(err.code, ERROR_TOO_LARGE);
}

/* ---- streams ---- */

static void a_stream_ends_when_its_token_was_revoked(void **state UNUSED)
{
	CLEANUP(subject_unrefp) struct subject *s = NULL;
	CLEANUP(tokens_unrefp) struct tokens *before = NULL;
	CLEANUP(tokens_unrefp) struct tokens *same = NULL;
	CLEANUP(tokens_unrefp) struct tokens *after = NULL;
	char secret[TOKEN_SECRET_SIZE], other[TOKEN_SECRET_SIZE];

	create("ci", secret);
	before = load();
	s = tokens_find(before, slice_of(secret));
	create("other", other);
	same = load();
	assert_true(tokens_has(same, s));
	revoke_token("ci");
	after = load();
	assert_false(tokens_has(after, s));
}

/* Revoked because it leaked, and made anew: whoever has the old one is out. */
static void a_token_made_anew_under_its_name_is_another(void **state UNUSED)
{
	CLEANUP(subject_unrefp) struct subject *s = NULL;
	CLEANUP(tokens_unrefp) struct tokens *before = NULL;
	CLEANUP(tokens_unrefp) struct tokens *after = NULL;
	char secret[TOKEN_SECRET_SIZE], again[TOKEN_SECRET_SIZE];

	create("ci", secret);
	before = load();
	s = tokens_find(before, slice_of(secret));
	revoke_token("ci");
	create("ci", again);
	after = load();
	assert_false(tokens_has(after, s));
}

static void a_token_whose_row_was_changed_is_another(void **state UNUSED)
{
	static const char *const changed[] = {
		"{\"tokens\":[{" NAME "\"role\":\"puller\"," NAMESPACES CREATED HASH "}]}",
		"{\"tokens\":[{" NAME ROLE "\"namespaces\":[\"team-b\"]," CREATED HASH "}]}",
		"{\"tokens\":[{" NAME ROLE "\"namespaces\":[\"team-a\",\"b\"]," CREATED HASH "}]}",
		"{\"tokens\":[{" NAME ROLE NAMESPACES CREATED
		"\"expires\":\"2027-01-01T00:00:00Z\"," HASH "}]}",
		"{\"tokens\":[{\"name\":\"ci\"," ROLE NAMESPACES CREATED HASH "}]}",
	};
	struct digest hash;
	struct grant grant = {.role = ROLE_VIEWER, .namespace = "team-a"};
	CLEANUP(subject_unrefp) struct subject *s = NULL;
	CLEANUP(tokens_unrefp) struct tokens *same = NULL;
	struct error err = ERROR_INIT;

	assert_int_equal(digest_parse(&hash, SLICE(HASH_2), &err), 0);
	assert_int_equal(subject_new(&s,
				 &(struct subject_draft){.method = AUTH_TOKEN,
					 .name = SLICE("two"),
					 .n_grants = 1,
					 .grants = &grant,
					 .token_hash = hash.bytes},
				 &err),
		0);
	write_file(FILE_NAME, "{\"tokens\":[{" NAME ROLE NAMESPACES CREATED HASH "}]}");
	same = load();
	assert_true(tokens_has(same, s));
	for (size_t i = 0; i < ARRAY_SIZE(changed); i++) {
		CLEANUP(tokens_unrefp) struct tokens *t = NULL;

		write_file(FILE_NAME, changed[i]);
		t = load();
		assert_false(tokens_has(t, s));
	}
}

static void a_subject_of_another_kind_is_no_token(void **state UNUSED)
{
	CLEANUP(subject_unrefp) struct subject *s = NULL;
	CLEANUP(tokens_unrefp) struct tokens *t = NULL;
	struct error err = ERROR_INIT;
	char secret[TOKEN_SECRET_SIZE];

	create("ci", secret);
	t = load();
	assert_int_equal(
		subject_new(&s, &(struct subject_draft){.method = AUTH_OIDC, .name = SLICE("ci")},
			&err),
		0);
	assert_false(tokens_has(t, s));
}

/* ---- last uses ---- */

struct uses {
	char text[1000]; /* "name=used " of each row */
};

static int add_use(const struct token_row *row, void *arg)
{
	struct uses *u = arg;
	size_t len = strlen(u->text);

	snprintf(u->text + len, sizeof(u->text) - len, "%s=%s ", row->name,
		row->used_s == 0              ? "never"
		: row->used_s + 60 >= now_s() ? "now"
					      : "before");
	return 0;
}

static void assert_uses(const char *expected)
{
	struct error err = ERROR_INIT;
	struct uses u = {0};

	assert_int_equal(token_list(FILE_NAME, add_use, &u, &err), 0);
	assert_string_equal(u.text, expected);
}

static void save(struct tokens *t)
{
	struct error err = ERROR_INIT;

	if (tokens_save_uses(t, FILE_NAME, &err) != 0)
		fail_msg("%s", err.text);
}

static void uses_are_saved_and_shown(void **state UNUSED)
{
	CLEANUP(tokens_unrefp) struct tokens *t = NULL;
	char one[TOKEN_SECRET_SIZE], two[TOKEN_SECRET_SIZE];

	create("one", one);
	create("two", two);
	assert_uses("one=never two=never ");
	t = load();
	assert_true(is_known(t, two));
	assert_uses("one=never two=never ");
	save(t);
	assert_uses("one=never two=now ");
}

static void without_a_use_nothing_is_written(void **state UNUSED)
{
	CLEANUP(tokens_unrefp) struct tokens *t = NULL;
	char one[TOKEN_SECRET_SIZE];

	create("one", one);
	t = load();
	save(t);
	assert_int_equal(access(FILE_NAME ".used", F_OK), -1);
	assert_true(is_known(t, one));
	save(t);
	assert_int_equal(unlink(FILE_NAME ".used"), 0);
	save(t);
	assert_int_equal(access(FILE_NAME ".used", F_OK), -1);
}

static void uses_that_could_not_be_saved_are_saved_later(void **state UNUSED)
{
	CLEANUP(tokens_unrefp) struct tokens *t = NULL;
	struct error err = ERROR_INIT;
	char one[TOKEN_SECRET_SIZE];

	create("one", one);
	t = load();
	assert_true(is_known(t, one));
	assert_int_equal(tokens_save_uses(t, "missing/" FILE_NAME, &err), -1);
	save(t);
	assert_uses("one=now ");
}

/* The server reads the file again when it has changed, or starts again. */
static void uses_are_carried_over(void **state UNUSED)
{
	CLEANUP(tokens_unrefp) struct tokens *before = NULL;
	CLEANUP(tokens_unrefp) struct tokens *after = NULL;
	CLEANUP(tokens_unrefp) struct tokens *restarted = NULL;
	char one[TOKEN_SECRET_SIZE], two[TOKEN_SECRET_SIZE];

	create("one", one);
	before = load();
	assert_true(is_known(before, one));
	create("two", two);
	after = load();
	tokens_take_uses(after, before);
	save(after);
	assert_uses("one=now two=never ");
	restarted = load();
	assert_true(is_known(restarted, two));
	save(restarted);
	assert_uses("one=now two=now ");
}

static void a_token_made_anew_was_never_used(void **state UNUSED)
{
	CLEANUP(tokens_unrefp) struct tokens *before = NULL;
	CLEANUP(tokens_unrefp) struct tokens *after = NULL;
	char secret[TOKEN_SECRET_SIZE];

	create("ci", secret);
	before = load();
	assert_true(is_known(before, secret));
	save(before);
	revoke_token("ci");
	create("ci", secret);
	after = load();
	tokens_take_uses(after, before);
	save(after);
	assert_uses("ci=never ");
}

static void damaged_uses_are_only_forgotten(void **state UNUSED)
{
	static const char *const damaged[] = {"", "{\"used\":", "{\"used\":7}",
		"{\"used\":{\"" HASH_1 "\":\"yesterday\"}}", "{\"used\":{\"" HASH_1 "\":7}}"};

	write_file(FILE_NAME, "{\"tokens\":[" ROW_1 "]}");
	for (size_t i = 0; i < ARRAY_SIZE(damaged); i++) {
		CLEANUP(tokens_unrefp) struct tokens *t = NULL;

		write_file(FILE_NAME ".used", damaged[i]);
		t = load();
		assert_int_equal(tokens_count(t), 1);
		assert_uses("one=never ");
	}
	write_file(FILE_NAME ".used", "{\"used\":{\"" HASH_1 "\":\"2026-01-01T00:00:00Z\"}}");
	assert_uses("one=before ");
}

/* Its holder is told why, and the list shows when it was of use last. */
static void an_expired_token_is_found_but_not_used(void **state UNUSED)
{
	static const char before[] = "{\"tokens\":[{\"name\":\"old\"," ROLE NAMESPACES CREATED
				     "\"expires\":\"2020-01-01T00:00:00Z\",\"hash\":\"";
	const char *secret = TOKEN_PREFIX "0123456789012345678901234567890123456789abc";
	struct digest hash = digest_of(slice_of(secret));
	CLEANUP(subject_unrefp) struct subject *s = NULL;
	CLEANUP(tokens_unrefp) struct tokens *t = NULL;
	char digest[DIGEST_TEXT_SIZE];
	AUTO_FREE char *text = str_printf("%s%s\"}]}", before, digest_format(&hash, digest));

	write_file(FILE_NAME, text);
	t = load();
	s = tokens_find(t, slice_of(secret));
	assert_non_null(s);
	assert_int_equal(s->expires_s, 1577836800);
	save(t);
	assert_uses("old=never ");
}

/* ---- the list ---- */

static int show(const struct token_row *row, void *arg)
{
	struct buf *b = arg;

	buf_printf(b, "%s %s %zu %s %d; ", row->name, role_name(row->role), row->n_namespaces,
		row->namespaces[0], row->expires_s != 0);
	assert_in_range(row->created_s, now_s() - 60, now_s());
	return 0;
}

static int stop(const struct token_row *row UNUSED, void *arg)
{
	++*(int *)arg;
	return -1;
}

static void the_list_is_in_the_order_of_creation(void **state UNUSED)
{
	static const char *const two[] = {"team-b", "team-a"};
	CLEANUP(buf_done) struct buf b = BUF_INIT(1000);
	struct token_draft draft = {.name = "b",
		.role = ROLE_VIEWER,
		.n_namespaces = 2,
		.namespaces = two,
		.expires_s = now_s() + 60};
	struct error err = ERROR_INIT;
	char secret[TOKEN_SECRET_SIZE];
	int calls = 0;

	create_as(&draft, secret);
	create("a", secret);
	assert_int_equal(token_list(FILE_NAME, show, &b, &err), 0);
	assert_string_equal(b.data, "b viewer 2 team-b 1; a editor 1 team-a 0; ");
	assert_int_equal(token_list(FILE_NAME, stop, &calls, &err), -1);
	assert_int_equal(calls, 1);
}

int main(void)
{
#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, enter_folder, leave_folder)
	const struct CMUnitTest tests[] = {
		IN_FOLDER(a_secret_finds_its_subject),
		IN_FOLDER(a_token_may_be_for_all_namespaces),
		IN_FOLDER(a_secret_is_a_prefix_and_256_random_bits),
		IN_FOLDER(the_file_holds_no_secret_and_is_private),
		IN_FOLDER(what_is_no_secret_finds_nothing),
		IN_FOLDER(a_revoked_token_is_unknown_and_the_others_stay),
		IN_FOLDER(a_name_is_taken_until_it_is_revoked),
		IN_FOLDER(a_token_that_is_not_there_cannot_be_revoked),
		IN_FOLDER(a_draft_that_cannot_be_is_refused_and_makes_no_file),
		IN_FOLDER(a_folder_that_is_missing_is_named),
		IN_FOLDER(the_file_keeps_its_mode),
		IN_FOLDER(what_a_crash_left_changes_nothing_and_is_overwritten),
		IN_FOLDER(processes_that_create_at_once_lose_nothing),
		IN_FOLDER(without_a_file_there_are_no_tokens),
		IN_FOLDER(a_file_that_people_wrote_is_read),
		IN_FOLDER(a_damaged_file_is_refused_with_the_row_and_what_to_change),
		IN_FOLDER(a_damaged_file_is_not_changed),
		IN_FOLDER(a_file_that_is_too_large_is_refused),
		IN_FOLDER(a_stream_ends_when_its_token_was_revoked),
		IN_FOLDER(a_token_made_anew_under_its_name_is_another),
		IN_FOLDER(a_token_whose_row_was_changed_is_another),
		IN_FOLDER(a_subject_of_another_kind_is_no_token),
		IN_FOLDER(uses_are_saved_and_shown),
		IN_FOLDER(without_a_use_nothing_is_written),
		IN_FOLDER(uses_that_could_not_be_saved_are_saved_later),
		IN_FOLDER(uses_are_carried_over),
		IN_FOLDER(a_token_made_anew_was_never_used),
		IN_FOLDER(damaged_uses_are_only_forgotten),
		IN_FOLDER(an_expired_token_is_found_but_not_used),
		IN_FOLDER(the_list_is_in_the_order_of_creation),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
