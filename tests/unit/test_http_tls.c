/* SPDX-License-Identifier: Apache-2.0 */
/* The files of http/tls.h. What clients see of it: tests/wire/test_tls.py. */
#include "test.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <unistd.h>

#include "http/connection.h"

#define DAY_S 86400

static char folder[] = "/tmp/gsq-tls-XXXXXX";
static EVP_PKEY *key, *other_key;

static const char *path_of(const char *name)
{
	static char paths[4][100];
	static unsigned turn;
	char *path = paths[turn++ % ARRAY_SIZE(paths)];

	snprintf(path, sizeof(paths[0]), "%s/%s", folder, name);
	return path;
}

static X509 *make_certificate(EVP_PKEY *of, long begins_s, long ends_s)
{
	X509 *x = X509_new();
	X509_NAME *name;

	AN(x);
	name = X509_get_subject_name(x);
	AN(X509_NAME_add_entry_by_txt(
		name, "CN", MBSTRING_ASC, (const unsigned char *)"test", -1, -1, 0));
	AN(X509_set_issuer_name(x, name));
	AN(ASN1_INTEGER_set(X509_get_serialNumber(x), 1));
	AN(X509_gmtime_adj(X509_getm_notBefore(x), begins_s));
	AN(X509_gmtime_adj(X509_getm_notAfter(x), ends_s));
	AN(X509_set_pubkey(x, of));
	AN(X509_sign(x, of, EVP_sha256()));
	return x;
}

/* So many of them, one after the other. */
static void write_certificates(const char *name, EVP_PKEY *of, long ends_s, unsigned n)
{
	FILE *file = fopen(path_of(name), "w");

	AN(file);
	for (unsigned i = 0; i < n; i++) {
		X509 *x = make_certificate(of, -2 * DAY_S, ends_s);

		AN(PEM_write_X509(file, x));
		X509_free(x);
	}
	AZ(fclose(file));
}

static void write_key(const char *name, EVP_PKEY *k, const char *password)
{
	FILE *file = fopen(path_of(name), "w");

	AN(file);
	AN(PEM_write_PKCS8PrivateKey(file, k, password != NULL ? EVP_aes_256_cbc() : NULL, password,
		password != NULL ? (int)strlen(password) : 0, NULL, NULL));
	AZ(fclose(file));
}

static void write_text(const char *name, const char *text)
{
	FILE *file = fopen(path_of(name), "w");

	AN(file);
	fputs(text, file);
	AZ(fclose(file));
}

/* The certificate that a connection from now on would show. */
static X509 *shown(struct http_tls *tls, size_t *ret_between)
{
	SSL *ssl = tls_session(tls);
	STACK_OF(X509) *between = NULL;
	X509 *x;

	AN(ssl);
	x = SSL_get_certificate(ssl);
	SSL_get0_chain_certs(ssl, &between);
	*ret_between = between != NULL ? (size_t)sk_X509_num(between) : 0;
	X509_up_ref(x);
	SSL_free(ssl);
	return x;
}

static bool is_of(X509 *x, EVP_PKEY *k)
{
	return EVP_PKEY_eq(X509_get0_pubkey(x), k) == 1;
}

/* ---- tests ---- */

static void those_in_between_are_shown_too(void **state UNUSED)
{
	CLEANUP(http_tls_freep) struct http_tls *tls = NULL;
	struct error err;
	size_t between;
	X509 *x;

	write_certificates("crt", key, DAY_S, 3);
	write_key("key", key, NULL);
	assert_int_equal(http_tls_new(&tls, path_of("crt"), path_of("key"), &err), 0);
	x = shown(tls, &between);
	assert_true(is_of(x, key));
	assert_int_equal(between, 2);
	X509_free(x);
}

static void what_is_wrong_with_the_files_is_said(void **state UNUSED)
{
	static const struct {
		const char *certificate, *key, *file, *problem;
	} cases[] = {
		{"none", "key", "/none", "does not exist"},
		{"crt", "none", "/none", "does not exist"},
		{"nonsense", "key", "/nonsense", "no certificate"},
		{"key", "key", "/key", "no certificate"},
		{"crt", "crt", "/crt", "no private key"},
		{"crt", "locked", "/locked", "not encrypted"},
		{"crt", "other", "/other", "does not belong"},
		{"crt", "other", "/crt", "does not belong"},
		{"expired", "key", "/expired", "has expired"},
		{"cut", "key", "/cut", "cannot be used"},
	};
	FILE *file;

	write_certificates("crt", key, DAY_S, 1);
	write_certificates("expired", key, -DAY_S, 1);
	write_certificates("cut", key, DAY_S, 1);
	file = fopen(path_of("cut"), "a");
	AN(file);
	fputs("-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n", file);
	AZ(fclose(file));
	write_text("nonsense", "nonsense\n");
	write_key("key", key, NULL);
	write_key("other", other_key, NULL);
	write_key("locked", key, "password");
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct http_tls *tls = NULL;
		struct error err = ERROR_INIT;

		assert_int_equal(http_tls_new(&tls, path_of(cases[i].certificate),
					 path_of(cases[i].key), &err),
			-1);
		assert_null(tls);
		assert_non_null(strstr(err.text, cases[i].file));
		assert_non_null(strstr(err.text, cases[i].problem));
	}
}

static void a_reload_takes_both_files_or_none(void **state UNUSED)
{
	CLEANUP(http_tls_freep) struct http_tls *tls = NULL;
	struct error err;
	size_t between;
	SSL *open;
	X509 *x;

	write_certificates("crt", key, DAY_S, 1);
	write_key("key", key, NULL);
	assert_int_equal(http_tls_new(&tls, path_of("crt"), path_of("key"), &err), 0);
	open = tls_session(tls);
	write_certificates("crt", other_key, DAY_S, 1);
	assert_int_equal(http_tls_reload(tls, &err), -1);
	x = shown(tls, &between);
	assert_true(is_of(x, key));
	X509_free(x);
	write_key("key", other_key, NULL);
	assert_int_equal(http_tls_reload(tls, &err), 0);
	x = shown(tls, &between);
	assert_true(is_of(x, other_key));
	X509_free(x);
	assert_true(is_of(SSL_get_certificate(open), key));
	SSL_free(open);
}

static int set_up(void **state UNUSED)
{
	AN(mkdtemp(folder));
	key = EVP_EC_gen("P-256");
	other_key = EVP_EC_gen("P-256");
	AN(key);
	AN(other_key);
	return 0;
}

static int tear_down(void **state UNUSED)
{
	static const char *const names[] = {
		"crt", "expired", "cut", "nonsense", "key", "other", "locked"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		AZ(unlink(path_of(names[i])));
	AZ(rmdir(folder));
	EVP_PKEY_free(key);
	EVP_PKEY_free(other_key);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(those_in_between_are_shown_too),
		cmocka_unit_test(what_is_wrong_with_the_files_is_said),
		cmocka_unit_test(a_reload_takes_both_files_or_none),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
