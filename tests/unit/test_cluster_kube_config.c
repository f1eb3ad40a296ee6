/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/file.h"
#include "cluster/kube_config.h"

#define PEM "-----BEGIN X-----\n"
#define PEM_BASE64 "LS0tLS1CRUdJTiBYLS0tLS0K"

/* A kubeconfig with these lines in its cluster and in its user. */
#define KUBECONFIG(cluster, user) \
	"current-context: here\n" \
	"contexts:\n" \
	"- {name: other, context: {cluster: other, user: other}}\n" \
	"- {name: here, context: {cluster: c, user: u, namespace: n}}\n" \
	"clusters:\n" \
	"- {name: other, cluster: {server: 'https://other'}}\n" \
	"- {name: c, cluster: {" cluster "}}\n" \
	"users:\n" \
	"- {name: other, user: {token: other}}\n" \
	"- {name: u, user: {" user "}}\n"
#define SERVER "server: 'https://h:6443'"

static void read_config(struct kube_config *ret, const char *yaml)
{
	struct error err;

	if (kube_config_parse(ret, slice_of(yaml), "/f/config", NULL, &err) != 0)
		fail_msg("%s", err.text);
}

/* It is refused, and the sentence names this. */
static void assert_refused(const char *yaml, const char *name)
{
	struct kube_config c = {.server = NULL};
	struct error err;

	if (kube_config_parse(&c, slice_of(yaml), "/f/config", NULL, &err) == 0)
		fail_msg("accepted: %s", yaml);
	assert_int_equal(err.code, ERROR_INVALID);
	assert_null(c.server);
	if (strstr(err.text, name) == NULL || strstr(err.text, "/f/config") == NULL)
		fail_msg("\"%s\" does not name %s and the file", err.text, name);
}

/* ---- folders ---- */

struct folder {
	char path[64];
};

static int set_up(void **state)
{
	struct folder *f = calloc(1, sizeof(*f));

	snprintf(f->path, sizeof(f->path), "/tmp/gsq-kube-config-XXXXXX");
	assert_non_null(mkdtemp(f->path));
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct folder *f = *state;
	char command[128];

	snprintf(command, sizeof(command), "rm -r %s", f->path);
	assert_int_equal(system(command), 0);
	free(f);
	unsetenv("KUBERNETES_SERVICE_HOST");
	unsetenv("KUBERNETES_SERVICE_PORT");
	return 0;
}

static void write_file(const struct folder *f, const char *name, const char *text)
{
	AUTO_FREE char *path = str_printf("%s/%s", f->path, name);
	AUTO_CLOSE int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	struct error err = ERROR_INIT;

	assert_true(fd >= 0);
	assert_int_equal(file_write_all(fd, text, strlen(text), &err), 0);
}

static void assert_token(const struct kube_config *c, const char *token)
{
	CLEANUP(buf_done) struct buf got = BUF_INIT(1000);
	struct error err;

	if (kube_config_token(c, &got, &err) != 0)
		fail_msg("%s", err.text);
	assert_string_equal(got.data == NULL ? "" : got.data, token);
}

/* ---- what is read ---- */

static void the_current_context_names_cluster_and_user(void **state UNUSED)
{
	CLEANUP(kube_config_done) struct kube_config c;

	read_config(&c, KUBECONFIG("server: 'https://h:6443/k8s//'", "token: abc"));
	assert_string_equal(c.server, "https://h:6443/k8s");
	assert_string_equal(c.token, "abc");
	assert_false(c.insecure);
	assert_null(c.ca);
	assert_null(c.certificate);
	assert_null(c.key);
	assert_null(c.token_file);
	assert_token(&c, "abc");
}

static void a_context_can_be_named(void **state UNUSED)
{
	CLEANUP(kube_config_done) struct kube_config c = {.server = NULL};
	struct slice yaml = SLICE(KUBECONFIG(SERVER, "token: abc"));
	struct error err;

	assert_int_equal(kube_config_parse(&c, yaml, "f", "other", &err), 0);
	assert_string_equal(c.server, "https://other");
	kube_config_done(&c);
	assert_int_equal(kube_config_parse(&c, yaml, "f", "none", &err), -1);
	assert_non_null(strstr(err.text, "no context \"none\""));
}

static void certificates_may_stand_in_the_file_in_base64(void **state UNUSED)
{
	CLEANUP(kube_config_done) struct kube_config c;

	read_config(&c, KUBECONFIG(SERVER ", certificate-authority-data: " PEM_BASE64,
				"client-certificate-data: " PEM_BASE64
				", client-key-data: \"LS0tLS1CRUdJTiBY\\r\\nLS0tLS0K\", "
				"client-key: /nonexistent"));
	assert_string_equal(c.ca, PEM);
	assert_string_equal(c.certificate, PEM);
	assert_string_equal(c.key, PEM);
	assert_token(&c, "");
}

static void what_is_no_base64_of_a_pem_text_is_refused(void **state UNUSED)
{
	static const char *const texts[] = {"LS0tLS1CRUdJTiBYLS0tLS0", "LS0tLS1CRUdJTiBYLS0tLS0-",
		"LS0tLS1CRUdJTiBYLS0=LS0K", "LS0tLS1CRUdJTiBYLS0t====", "AAAA", "YWJj",
		"LS0tLS1CRUdJTiBYLS0tLS0KAAAA"};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		AUTO_FREE char *yaml = str_printf(
			KUBECONFIG(SERVER ", certificate-authority-data: '%s'", ""), texts[i]);

		assert_refused(yaml, "certificate-authority-data");
	}
}

static void json_is_yaml_and_null_is_as_good_as_missing(void **state UNUSED)
{
	CLEANUP(kube_config_done) struct kube_config c;

	read_config(&c,
		"{\"current-context\":\"a\",\"preferences\":{},"
		"\"contexts\":[{\"name\":\"a\",\"context\":{\"cluster\":\"c\",\"user\":\"u\"}}],"
		"\"clusters\":[{\"name\":\"c\",\"cluster\":{\"server\":\"http://h\","
		"\"insecure-skip-tls-verify\":true,\"proxy-url\":\"\"}}],"
		"\"users\":[{\"name\":\"u\",\"user\":{\"exec\":null,\"token\":\"null\"}}]}");
	assert_string_equal(c.server, "http://h");
	assert_true(c.insecure);
	assert_string_equal(c.token, "null");
}

static void a_context_without_a_user_is_anonymous(void **state UNUSED)
{
	CLEANUP(kube_config_done) struct kube_config c;

	read_config(&c, "current-context: a\n"
			"contexts: [{name: a, context: {cluster: c}}]\n"
			"clusters: [{name: c, cluster: {server: 'https://h'}}]\n");
	assert_token(&c, "");
}

static void files_are_found_beside_the_kubeconfig(void **state)
{
	const struct folder *f = *state;
	AUTO_FREE char *path = str_printf("%s/config", f->path);
	AUTO_FREE char *absolute = str_printf("%s/key", f->path);
	AUTO_FREE char *yaml = str_printf(
		KUBECONFIG(SERVER ", certificate-authority: ca",
			"client-certificate: cert, client-key: %s, token: old, tokenFile: token"),
		absolute);
	CLEANUP(kube_config_done) struct kube_config c = {.server = NULL};
	struct error err;

	write_file(f, "config", yaml);
	write_file(f, "ca", PEM "ca");
	write_file(f, "cert", PEM "cert");
	write_file(f, "key", PEM "key");
	write_file(f, "token", "from-file\n");
	if (kube_config_load(&c, path, NULL, &err) != 0)
		fail_msg("%s", err.text);
	assert_string_equal(c.ca, PEM "ca");
	assert_string_equal(c.certificate, PEM "cert");
	assert_string_equal(c.key, PEM "key");
	assert_null(c.token);
	assert_token(&c, "from-file");
}

static void a_token_file_is_read_each_time(void **state)
{
	const struct folder *f = *state;
	AUTO_FREE char *path = str_printf("%s/token", f->path);
	struct kube_config c = {.token_file = path};
	static const char *const bad[] = {"", " \n", "two words", "a\r\nX-Header: b", "\x01"};

	write_file(f, "token", "\tfirst \r\n");
	assert_token(&c, "first");
	write_file(f, "token", "second");
	assert_token(&c, "second");
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		CLEANUP(buf_done) struct buf got = BUF_INIT(100);
		struct error err;

		write_file(f, "token", bad[i]);
		assert_int_equal(kube_config_token(&c, &got, &err), -1);
		assert_int_equal(err.code, ERROR_UNAUTHORIZED);
		assert_non_null(strstr(err.text, path));
		assert_int_equal(got.len, 0);
	}
}

/* ---- what is refused ---- */

static void what_is_not_done_is_refused_by_its_name(void **state UNUSED)
{
	static const char *const of_user[] = {"exec: {command: aws}", "auth-provider: {name: gcp}",
		"username: u", "password: p", "as: somebody", "as-groups: [g]", "<<: {token: a}"};
	static const char *const of_cluster[] = {"proxy-url: 'http://p'", "tls-server-name: x"};

	for (size_t i = 0; i < ARRAY_SIZE(of_user); i++) {
		AUTO_FREE char *yaml = str_printf(KUBECONFIG(SERVER, "token: abc, %s"), of_user[i]);
		AUTO_FREE char *name =
			str_printf("\"%.*s\"", (int)strcspn(of_user[i], ":"), of_user[i]);

		assert_refused(yaml, name);
	}
	for (size_t i = 0; i < ARRAY_SIZE(of_cluster); i++) {
		AUTO_FREE char *yaml = str_printf(KUBECONFIG(SERVER ", %s", ""), of_cluster[i]);
		AUTO_FREE char *name =
			str_printf("\"%.*s\"", (int)strcspn(of_cluster[i], ":"), of_cluster[i]);

		assert_refused(yaml, name);
	}
}

static void halves_and_contradictions_are_refused(void **state UNUSED)
{
	assert_refused(KUBECONFIG(SERVER, "client-key-data: " PEM_BASE64), "client-certificate");
	assert_refused(KUBECONFIG(SERVER, "client-certificate-data: " PEM_BASE64), "client-key");
	assert_refused(KUBECONFIG(SERVER ", insecure-skip-tls-verify: true, "
					 "certificate-authority-data: " PEM_BASE64,
			       ""),
		"insecure-skip-tls-verify");
	assert_refused(
		KUBECONFIG(SERVER ", insecure-skip-tls-verify: 1", ""), "insecure-skip-tls-verify");
	assert_refused(KUBECONFIG(SERVER, "token: a, token: b"), "token");
	assert_refused(KUBECONFIG(SERVER, "token: [a]"), "token");
	assert_refused(KUBECONFIG("", ""), "server");
	assert_refused(KUBECONFIG("server: 'h:6443'", ""), "server");
	assert_refused(KUBECONFIG("server: 'https://u:p@h'", ""), "server");
	assert_refused(KUBECONFIG(SERVER, "client-certificate: nowhere"), "client-certificate");
}

static void what_is_no_kubeconfig_is_refused(void **state UNUSED)
{
	static const char *const texts[] = {"", "a", "[]", "{}", "a: [", "contexts: 3",
		"current-context: a", "{current-context: a, contexts: [1, {name: a}]}",
		"{current-context: a, contexts: [{name: a, context: {}}]}",
		"{current-context: a, contexts: [{name: a, context: {cluster: c}}], clusters: {}}",
		"current-context: \"a\\0b\"", "\xff\xfe\x01", "&a [*a]", "a: *nobody"};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		assert_refused(texts[i], "kubeconfig");
}

static void a_kubeconfig_that_is_not_there_is_named(void **state UNUSED)
{
	struct kube_config c;
	struct error err;

	assert_int_equal(kube_config_load(&c, "/nonexistent/config", NULL, &err), -1);
	assert_int_equal(err.code, ERROR_INVALID);
	assert_non_null(strstr(err.text, "/nonexistent/config"));
}

/* ---- pods ---- */

static void a_pod_is_given_an_address_a_ca_and_a_token(void **state)
{
	const struct folder *f = *state;
	CLEANUP(kube_config_done) struct kube_config c = {.server = NULL};
	struct error err;

	write_file(f, "ca.crt", PEM);
	write_file(f, "token", "abc");
	setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1", 1);
	setenv("KUBERNETES_SERVICE_PORT", "443", 1);
	if (kube_config_in_cluster(&c, f->path, &err) != 0)
		fail_msg("%s", err.text);
	assert_string_equal(c.server, "https://10.0.0.1:443");
	assert_string_equal(c.ca, PEM);
	assert_token(&c, "abc");
	kube_config_done(&c);
	setenv("KUBERNETES_SERVICE_HOST", "fd00::1", 1);
	assert_int_equal(kube_config_in_cluster(&c, f->path, &err), 0);
	assert_string_equal(c.server, "https://[fd00::1]:443");
}

static void outside_of_a_pod_it_says_so(void **state)
{
	const struct folder *f = *state;
	struct kube_config c;
	struct error err;

	assert_int_equal(kube_config_in_cluster(&c, f->path, &err), -1);
	assert_int_equal(err.code, ERROR_INVALID);
	assert_non_null(strstr(err.text, "KUBERNETES_SERVICE_HOST"));
	setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1", 1);
	setenv("KUBERNETES_SERVICE_PORT", "443", 1);
	assert_int_equal(kube_config_in_cluster(&c, f->path, &err), -1);
	assert_int_equal(err.code, ERROR_INVALID);
	assert_non_null(strstr(err.text, "ca.crt"));
	write_file(f, "ca.crt", PEM);
	assert_int_equal(kube_config_in_cluster(&c, f->path, &err), -1);
	assert_int_equal(err.code, ERROR_INVALID);
	assert_non_null(strstr(err.text, "token"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_current_context_names_cluster_and_user),
		cmocka_unit_test(a_context_can_be_named),
		cmocka_unit_test(certificates_may_stand_in_the_file_in_base64),
		cmocka_unit_test(what_is_no_base64_of_a_pem_text_is_refused),
		cmocka_unit_test(json_is_yaml_and_null_is_as_good_as_missing),
		cmocka_unit_test(a_context_without_a_user_is_anonymous),
		cmocka_unit_test_setup_teardown(
			files_are_found_beside_the_kubeconfig, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_token_file_is_read_each_time, set_up, tear_down),
		cmocka_unit_test(what_is_not_done_is_refused_by_its_name),
		cmocka_unit_test(halves_and_contradictions_are_refused),
		cmocka_unit_test(what_is_no_kubeconfig_is_refused),
		cmocka_unit_test(a_kubeconfig_that_is_not_there_is_named),
		cmocka_unit_test_setup_teardown(
			a_pod_is_given_an_address_a_ca_and_a_token, set_up, tear_down),
		cmocka_unit_test_setup_teardown(outside_of_a_pod_it_says_so, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
