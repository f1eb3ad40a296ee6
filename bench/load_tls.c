/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/load_tls.h"

#include <errno.h>
#include <openssl/err.h>
#include <signal.h>

/* OpenSSL's reason, and an empty queue. */
static int failed(struct error *err, const char *what)
{
	const char *reason = ERR_reason_error_string(ERR_peek_error());

	ERR_clear_error();
	return error_set(err, ERROR_UNAVAILABLE, "%s: %s", what,
		reason != NULL ? reason : "the server has closed the connection");
}

int tls_context_new(SSL_CTX **ret, struct error *err)
{
	SSL_CTX *context = SSL_CTX_new(TLS_client_method());

	signal(SIGPIPE, SIG_IGN); /* SSL_write() knows no MSG_NOSIGNAL */
	if (context == NULL || SSL_CTX_set_default_verify_paths(context) != 1) {
		SSL_CTX_free(context);
		return failed(err, "cannot set up TLS");
	}
	SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
	/* One call of the system for a record in place of two, as servers do. */
	SSL_CTX_set_read_ahead(context, 1);
	*ret = context;
	return 0;
}

int tls_connect(SSL **ret, SSL_CTX *context, int fd, const char *address, struct error *err)
{
	SSL *ssl = SSL_new(context);

	if (ssl != NULL && SSL_set_fd(ssl, fd) == 1 &&
		X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), address) == 1 &&
		SSL_connect(ssl) == 1) {
		*ret = ssl;
		return 0;
	}
	SSL_free(ssl);
	return failed(err, "the TLS handshake has failed");
}

/* What SSL_read() or SSL_write() has returned, as the system's calls have it. */
static ssize_t result_of(SSL *ssl, int n)
{
	if (n > 0)
		return n;
	switch (SSL_get_error(ssl, n)) {
	case SSL_ERROR_WANT_READ:
	case SSL_ERROR_WANT_WRITE:
		errno = EAGAIN;
		return -1;
	case SSL_ERROR_ZERO_RETURN:
		return 0;
	default:
		ERR_clear_error();
		errno = EPROTO;
		return -1;
	}
}

ssize_t tls_receive(SSL *ssl, char *p, size_t n)
{
	return result_of(ssl, SSL_read(ssl, p, n < INT_MAX ? (int)n : INT_MAX));
}

ssize_t tls_send(SSL *ssl, const char *p, size_t n)
{
	ASSERT(n > 0 && n <= INT_MAX);
	return result_of(ssl, SSL_write(ssl, p, (int)n));
}
