/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS for servers: a certificate with its key, shared by all loops and servers, replaced while they
 * run (OpenSSL). TLS 1.2 and 1.3, no renegotiation, no compression; sessions are resumed by
 * tickets. HTTP/1.1 is the only protocol of ALPN.
 */
#ifndef HTTP_TLS_H
#define HTTP_TLS_H

#include "base/error.h"

struct http_tls;

/* PEM files: the certificate, followed by those in between, and its key, which is not encrypted.
 * Errors name the file, and say where both do not fit or the certificate has expired. */
int http_tls_new(struct http_tls **ret, const char *certificate_file, const char *key_file,
	struct error *err) MUST_CHECK;
void http_tls_free(struct http_tls *tls); /* the servers that use it are gone */
DEFINE_CLEANUP(struct http_tls, http_tls_free);

/* Reads both files again, for connections from now on; those that are open keep what they have. On
 * failure all stays as it was. Any thread. */
int http_tls_reload(struct http_tls *tls, struct error *err) MUST_CHECK;

#endif
