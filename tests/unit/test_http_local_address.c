/* SPDX-License-Identifier: Apache-2.0 */
/* The server and the client over a Unix socket. */
#include "test.h"

#include "http/client.h"
#include "http/server.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* A folder of a test's own, whose path is longer than the address of a socket may be, or short. */
struct fixture {
	char root[64];
	char dir[512];
	char socket[600];
	char address[610];
	struct http_loops *loops;
};

static void handle(struct http_exchange *x, void *arg UNUSED)
{
	struct http_reply reply;

	http_reply_init(&reply, 200);
	buf_add(&reply.body, http_exchange_path(x));
	http_exchange_reply(x, &reply);
}

static void error_body(const struct error *err, struct buf *ret)
{
	buf_puts(ret, err->text);
}

static const struct http_service service = {.handle = handle, .error_body = error_body};

static void open_fixture(struct fixture *f, size_t n_more)
{
	struct error err = ERROR_INIT;

	strcpy(f->root, "/tmp/gsq-test-XXXXXX");
	assert_non_null(mkdtemp(f->root));
	snprintf(f->dir, sizeof(f->dir), "%s/%.*s", f->root, (int)n_more,
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
	assert_int_equal(mkdir(f->dir, 0700), 0);
	snprintf(f->socket, sizeof(f->socket), "%s/admin.sock", f->dir);
	snprintf(f->address, sizeof(f->address), "unix:%s", f->socket);
	assert_int_equal(http_loops_new(&f->loops, 1, &err), 0);
}

static void close_fixture(struct fixture *f)
{
	http_loops_free(f->loops);
	unlink(f->socket);
	assert_int_equal(rmdir(f->dir), 0);
	assert_int_equal(rmdir(f->root), 0);
}

static struct http_server *listen_at(struct fixture *f)
{
	const struct http_server_options options = {.address = f->address};
	struct error err = ERROR_INIT;
	struct http_server *server = NULL;

	if (http_server_new(&server, f->loops, &options, &service, &err) != 0)
		fail_msg("%s", err.text);
	return server;
}

/* The call's status, 0 without an answer. */
static int get(const struct fixture *f, bool *ret_sent)
{
	struct http_client_options options = {.parallel = 1, .unix_socket = f->socket};
	CLEANUP(http_client_freep) struct http_client *client = NULL;
	CLEANUP(http_call_done) struct http_call call;
	struct error err = ERROR_INIT;

	http_call_init(&call, "GET", "http://localhost/some/path", 100);
	assert_int_equal(http_client_new(&client, &options, &err), 0);
	http_client_run(client, &call, 1);
	if (call.status != 0)
		assert_slice(buf_slice(&call.response_body), "/some/path");
	*ret_sent = call.sent;
	return call.status;
}

static void serve_at(size_t n_more)
{
	struct http_server *server;
	struct fixture f;
	struct stat st;
	bool sent;

	open_fixture(&f, n_more);
	assert_int_equal(get(&f, &sent), 0);
	assert_false(sent);
	server = listen_at(&f);
	assert_int_equal(http_server_port(server), 0);
	assert_int_equal(lstat(f.socket, &st), 0);
	assert_int_equal(st.st_mode, S_IFSOCK | 0600);
	assert_int_equal(get(&f, &sent), 200);
	http_server_free(server);
	assert_int_equal(lstat(f.socket, &st), -1);
	assert_int_equal(get(&f, &sent), 0);
	assert_false(sent);
	close_fixture(&f);
}

static void a_socket_serves_its_owner_and_goes_with_its_server(void **state UNUSED)
{
	serve_at(8);
}

static void its_path_may_be_longer_than_a_socket_address(void **state UNUSED)
{
	for (size_t n = 60; n < 100; n++) /* around the border */
		serve_at(n);
	serve_at(150);
}

static void proxies_have_no_part_in_it(void **state UNUSED)
{
	struct http_server *server;
	struct fixture f;
	bool sent;

	open_fixture(&f, 8);
	server = listen_at(&f);
	setenv("http_proxy", "http://127.0.0.1:1", 1);
	setenv("ALL_PROXY", "http://127.0.0.1:1", 1);
	assert_int_equal(get(&f, &sent), 200);
	unsetenv("http_proxy");
	unsetenv("ALL_PROXY");
	http_server_free(server);
	close_fixture(&f);
}

static void a_socket_that_was_left_behind_is_replaced(void **state UNUSED)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct http_server *server;
	struct fixture f;
	bool sent;
	int fd;

	open_fixture(&f, 8);
	snprintf(address.sun_path, sizeof(address.sun_path), "%.100s", f.socket);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	close(fd);
	assert_int_equal(get(&f, &sent), 0);
	assert_false(sent);
	server = listen_at(&f);
	assert_int_equal(get(&f, &sent), 200);
	http_server_free(server);
	close_fixture(&f);
}

static void what_is_not_a_socket_is_not_replaced(void **state UNUSED)
{
	struct http_server_options options = {.address = NULL};
	struct error err = ERROR_INIT;
	struct http_server *server;
	struct fixture f;
	FILE *file;

	open_fixture(&f, 8);
	file = fopen(f.socket, "w");
	assert_non_null(file);
	fclose(file);
	options.address = f.address;
	assert_int_equal(http_server_new(&server, f.loops, &options, &service, &err), -1);
	assert_non_null(strstr(err.text, "admin.sock"));
	assert_int_equal(access(f.socket, F_OK), 0);
	close_fixture(&f);
}

static void a_path_that_cannot_be_is_refused(void **state UNUSED)
{
	char endless[600] = "unix:/tmp/";
	const char *const cases[] = {"unix:", "unix:/nowhere/at/all/admin.sock", endless};
	struct http_loops *loops;
	struct error err = ERROR_INIT;

	memset(endless + strlen(endless), 'a', 300);
	assert_int_equal(http_loops_new(&loops, 1, &err), 0);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct http_server_options options = {.address = cases[i]};
		struct http_server *server;

		err = (struct error)ERROR_INIT;
		assert_int_equal(http_server_new(&server, loops, &options, &service, &err), -1);
		assert_string_not_equal(err.text, "");
	}
	http_loops_free(loops);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_socket_serves_its_owner_and_goes_with_its_server),
		cmocka_unit_test(its_path_may_be_longer_than_a_socket_address),
		cmocka_unit_test(proxies_have_no_part_in_it),
		cmocka_unit_test(a_socket_that_was_left_behind_is_replaced),
		cmocka_unit_test(what_is_not_a_socket_is_not_replaced),
		cmocka_unit_test(a_path_that_cannot_be_is_refused),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
