/* SPDX-License-Identifier: Apache-2.0 */
/* TLS of the load generators' connections. The authority that they trust is that of the system, or
 * of the file that the variable SSL_CERT_FILE names. */
#ifndef BENCH_LOAD_TLS_H
#define BENCH_LOAD_TLS_H

#include "base/error.h"

#include <openssl/ssl.h>
#include <sys/types.h>

int tls_context_new(SSL_CTX **ret, struct error *err) MUST_CHECK;

/* On a connection that is made and blocks: the handshake, with the certificate checked for an
 * address. */
int tls_connect(
	SSL **ret, SSL_CTX *context, int fd, const char *address, struct error *err) MUST_CHECK;

/* As recv() and send(): -1 with EAGAIN where it would block, 0 at the end. All or nothing is
 * sent. */
ssize_t tls_receive(SSL *ssl, char *p, size_t n);
ssize_t tls_send(SSL *ssl, const char *p, size_t n);

#endif
