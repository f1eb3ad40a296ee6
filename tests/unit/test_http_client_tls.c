/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates of both sides, against "openssl s_server". */
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "http/client.h"

#define ARGS_MAX 32

extern char **environ;

static char folder[] = "/tmp/gsq-tls-XXXXXX";
static struct buf server_pem, client_pem, client_key, stranger_pem, stranger_key;

/* ---- openssl ---- */

/* out_fd: its standard output; -1: nobody's. */
static pid_t spawn(const char *const *argv, int out_fd)
{
	posix_spawn_file_actions_t actions;
	pid_t pid;

	AZ(posix_spawn_file_actions_init(&actions));
	AZ(posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0));
	if (out_fd >= 0)
		AZ(posix_spawn_file_actions_adddup2(&actions, out_fd, 1));
	else
		AZ(posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0));
	AZ(posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0));
	AZ(posix_spawnp(&pid, argv[0], &actions, NULL, (char *const *)argv, environ));
	AZ(posix_spawn_file_actions_destroy(&actions));
	return pid;
}

static int wait_for(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		ASSERT(errno == EINTR);
	return status;
}

static const char *path_of(char *ret, size_t size, const char *name, const char *end)
{
	snprintf(ret, size, "%s/%s.%s", folder, name, end);
	return ret;
}

/* A certificate that is its own CA. */
static void make_certificate(const char *name, struct buf *pem, struct buf *key)
{
	char crt_path[100], key_path[100];
	const char *const argv[] = {"openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
		"ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=test",
		"-addext", "subjectAltName=IP:127.0.0.1", "-out",
		path_of(crt_path, sizeof(crt_path), name, "crt"), "-keyout",
		path_of(key_path, sizeof(key_path), name, "key"), NULL};
	struct error err;

	AZ(wait_for(spawn(argv, -1)));
	buf_init(pem, 64 * KIB);
	AZ(file_read(crt_path, pem, &err));
	if (key == NULL)
		return;
	buf_init(key, 64 * KIB);
	AZ(file_read(key_path, key, &err));
}

/* ---- the server ---- */

struct server {
	pid_t pid;
	char url[100];
};

static unsigned read_port(int fd)
{
	FILE *out = fdopen(fd, "r");
	char line[200];
	unsigned port = 0;

	AN(out);
	while (port == 0 && fgets(line, sizeof(line), out) != NULL)
		sscanf(line, "ACCEPT 127.0.0.1:%u", &port);
	fclose(out);
	return port;
}

/* wants: what to ask of clients; it trusts the one certificate. */
static struct server start(const char *wants, const char *version)
{
	char crt[100], key[100], ca[100];
	const char *argv[ARGS_MAX] = {"openssl", "s_server", "-accept", "127.0.0.1:0", "-www",
		"-cert", path_of(crt, sizeof(crt), "server", "crt"), "-key",
		path_of(key, sizeof(key), "server", "key"), "-CAfile",
		path_of(ca, sizeof(ca), "client", "crt"), "-verify_return_error", version};
	size_t n = 13;
	struct server server;
	int fds[2];

	if (wants != NULL) {
		argv[n++] = wants;
		argv[n++] = "1";
	}
	AZ(pipe2(fds, O_CLOEXEC));
	server.pid = spawn(argv, fds[1]);
	close(fds[1]);
	snprintf(server.url, sizeof(server.url), "https://127.0.0.1:%u/", read_port(fds[0]));
	return server;
}

static void stop(struct server *server)
{
	AZ(kill(server->pid, SIGKILL));
	wait_for(server->pid);
}

static void get(struct http_call *call, const char *url, const struct http_client_options *options)
{
	CLEANUP(http_client_freep) struct http_client *client = NULL;
	struct error err;

	AZ(http_client_new(&client, options, &err));
	http_call_init(call, "GET", url, MIB);
	http_client_run(client, call, 1);
}

/* ---- tests ---- */

static void a_server_is_trusted_by_the_ca_that_is_given_as_text(void **state UNUSED)
{
	struct http_client_options options = {.parallel = 1, .ca = buf_slice(&server_pem)};
	struct server server = start(NULL, "-tls1_3");
	CLEANUP(http_call_done) struct http_call good, bad;

	get(&good, server.url, &options);
	assert_int_equal(good.err.code, ERROR_NONE);
	assert_int_equal(good.status, 200);
	options.ca = buf_slice(&stranger_pem);
	get(&bad, server.url, &options);
	assert_int_equal(bad.status, 0);
	assert_int_equal(bad.err.code, ERROR_DENIED);
	assert_non_null(strstr(bad.err.text, "is not trusted; give the CA file"));
	http_call_done(&bad);
	stop(&server);
}

static void without_a_ca_a_stranger_is_taken_only_when_told_so(void **state UNUSED)
{
	struct http_client_options options = {.parallel = 1};
	struct server server = start(NULL, "-tls1_3");
	CLEANUP(http_call_done) struct http_call good, bad;

	get(&bad, server.url, &options);
	assert_int_equal(bad.err.code, ERROR_DENIED);
	http_call_done(&bad);
	options.insecure = true;
	get(&good, server.url, &options);
	assert_int_equal(good.status, 200);
	stop(&server);
}

static void text_that_is_no_certificate_is_said_to_be_none(void **state UNUSED)
{
	struct http_client_options options = {.parallel = 1, .ca = SLICE("nonsense")};
	struct server server = start(NULL, "-tls1_3");
	CLEANUP(http_call_done) struct http_call call;

	get(&call, server.url, &options);
	assert_int_equal(call.err.code, ERROR_DENIED);
	http_call_done(&call);
	options.ca = buf_slice(&server_pem);
	options.certificate = options.key = SLICE("nonsense");
	get(&call, server.url, &options);
	assert_int_equal(call.err.code, ERROR_INVALID);
	assert_non_null(strstr(call.err.text, "the client certificate for https://127.0.0.1:"));
	stop(&server);
}

static void a_key_that_does_not_belong_to_its_certificate_is_refused(void **state UNUSED)
{
	struct http_client_options options = {.parallel = 1,
		.ca = buf_slice(&server_pem),
		.certificate = buf_slice(&client_pem),
		.key = buf_slice(&stranger_key)};
	struct server server = start("-Verify", "-tls1_3");
	CLEANUP(http_call_done) struct http_call call;

	get(&call, server.url, &options);
	assert_int_equal(call.err.code, ERROR_INVALID);
	assert_non_null(strstr(call.err.text, "the key that belongs to it"));
	stop(&server);
}

static const char *const versions[] = {"-tls1_2", "-tls1_3"};

static void a_client_with_a_certificate_is_let_in(void **state UNUSED)
{
	const struct http_client_options options = {.parallel = 1,
		.ca = buf_slice(&server_pem),
		.certificate = buf_slice(&client_pem),
		.key = buf_slice(&client_key)};

	for (size_t i = 0; i < ARRAY_SIZE(versions); i++) {
		struct server server = start("-Verify", versions[i]);
		CLEANUP(http_call_done) struct http_call call;

		get(&call, server.url, &options);
		assert_string_equal(call.err.text, "");
		assert_int_equal(call.status, 200);
		stop(&server);
	}
}

/* In TLS 1.2 the alert for none at all is the one for any failure, so that says nothing. */
static void a_client_whose_certificate_is_not_taken_is_told_so(void **state UNUSED)
{
	const struct http_client_options none = {.parallel = 1, .ca = buf_slice(&server_pem)},
					 strange = {.parallel = 1,
						 .ca = buf_slice(&server_pem),
						 .certificate = buf_slice(&stranger_pem),
						 .key = buf_slice(&stranger_key)};
	const struct {
		const char *version;
		const struct http_client_options *options;
	} cases[] = {{"-tls1_2", &strange}, {"-tls1_3", &strange}, {"-tls1_3", &none}};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct server server = start("-Verify", cases[i].version);
		CLEANUP(http_call_done) struct http_call call;

		get(&call, server.url, cases[i].options);
		assert_int_equal(call.err.code, ERROR_DENIED);
		assert_non_null(strstr(call.err.text, "does not take the client certificate"));
		stop(&server);
	}
}

/* ---- all of them ---- */

static int set_up(void **state UNUSED)
{
	AN(mkdtemp(folder));
	make_certificate("server", &server_pem, NULL);
	make_certificate("client", &client_pem, &client_key);
	make_certificate("stranger", &stranger_pem, &stranger_key);
	return 0;
}

static int tear_down(void **state UNUSED)
{
	static const char *const names[] = {"server", "client", "stranger"};
	struct buf *const bufs[] = {
		&server_pem, &client_pem, &client_key, &stranger_pem, &stranger_key};
	char path[100];

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		AZ(unlink(path_of(path, sizeof(path), names[i], "crt")));
		AZ(unlink(path_of(path, sizeof(path), names[i], "key")));
	}
	AZ(rmdir(folder));
	for (size_t i = 0; i < ARRAY_SIZE(bufs); i++)
		buf_done(bufs[i]);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_server_is_trusted_by_the_ca_that_is_given_as_text),
		cmocka_unit_test(without_a_ca_a_stranger_is_taken_only_when_told_so),
		cmocka_unit_test(text_that_is_no_certificate_is_said_to_be_none),
		cmocka_unit_test(a_key_that_does_not_belong_to_its_certificate_is_refused),
		cmocka_unit_test(a_client_with_a_certificate_is_let_in),
		cmocka_unit_test(a_client_whose_certificate_is_not_taken_is_told_so),
	};

	signal(SIGPIPE, SIG_IGN);
	setenv("no_proxy", "127.0.0.1", 1);
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
