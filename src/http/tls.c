/* SPDX-License-Identifier: Apache-2.0 */
#include "base/file.h"
#include "http/connection.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <string.h>

/* Those of TLS 1.2 that keep old records secret when the key is lost; TLS 1.3 has no others. */
#define CIPHERS_OF_1_2 "ECDHE+AESGCM:ECDHE+CHACHA20"

struct http_tls {
	char *certificate_file, *key_file;
	pthread_mutex_t lock; /* guards ctx */
	SSL_CTX *ctx;
};

static inline void bio_freep(BIO **bio)
{
	BIO_free(*bio);
}

static inline void x509_freep(X509 **certificate)
{
	X509_free(*certificate);
}

static inline void pkey_freep(EVP_PKEY **key)
{
	EVP_PKEY_free(*key);
}

static inline void ctx_freep(SSL_CTX **ctx)
{
	SSL_CTX_free(*ctx);
}

static void secret_done(struct buf *b)
{
	if (b->data != NULL)
		OPENSSL_cleanse(b->data, b->cap);
	buf_done(b);
}

/* ---- the files ---- */

static int refused(struct error *err, const char *file)
{
	const char *reason = ERR_reason_error_string(ERR_peek_last_error());

	return error_set(err, ERROR_INVALID, "%s cannot be used for TLS: %s", file,
		reason != NULL ? reason : "OpenSSL does not take it");
}

/* PEM text of our own is read here, not by OpenSSL: its errors do not name the file. */
static int read_pem(struct buf *text, const char *file, BIO **ret, struct error *err)
{
	if (file_read(file, text, err) != 0)
		return -1;
	*ret = BIO_new_mem_buf(text->data, (int)text->len);
	return *ret != NULL ? 0 : error_no_memory(err);
}

static int use_chain(SSL_CTX *ctx, BIO *pem, const char *file, struct error *err)
{
	X509 *next;

	while ((next = PEM_read_bio_X509(pem, NULL, NULL, NULL)) != NULL)
		if (SSL_CTX_add0_chain_cert(ctx, next) != 1) {
			X509_free(next);
			return refused(err, file);
		}
	if (ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE)
		return refused(err, file);
	ERR_clear_error();
	return 0;
}

static int use_certificate(SSL_CTX *ctx, const char *file, struct error *err)
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(LIMIT_TLS_PEM);
	CLEANUP(x509_freep) X509 *certificate = NULL;
	CLEANUP(bio_freep) BIO *pem = NULL;

	if (read_pem(&text, file, &pem, err) != 0)
		return -1;
	certificate = PEM_read_bio_X509(pem, NULL, NULL, NULL);
	if (certificate == NULL)
		return error_set(err, ERROR_INVALID,
			"%s has no certificate that can be read; give a PEM file", file);
	if (X509_cmp_current_time(X509_get0_notAfter(certificate)) < 0)
		return error_set(
			err, ERROR_INVALID, "the certificate in %s has expired; renew it", file);
	if (SSL_CTX_use_certificate(ctx, certificate) != 1)
		return refused(err, file);
	return use_chain(ctx, pem, file, err);
}

/* Nobody is there to ask. */
static int no_password(char *ret UNUSED, int size UNUSED, int writing UNUSED, void *arg UNUSED)
{
	return -1;
}

static int use_key(SSL_CTX *ctx, const struct http_tls *tls, struct error *err)
{
	CLEANUP(secret_done) struct buf text = BUF_INIT(LIMIT_TLS_PEM);
	CLEANUP(pkey_freep) EVP_PKEY *key = NULL;
	CLEANUP(bio_freep) BIO *pem = NULL;

	if (read_pem(&text, tls->key_file, &pem, err) != 0)
		return -1;
	key = PEM_read_bio_PrivateKey(pem, NULL, no_password, NULL);
	if (key == NULL)
		return error_set(err, ERROR_INVALID,
			"%s has no private key that can be read; give a PEM file that is not "
			"encrypted",
			tls->key_file);
	if (X509_check_private_key(SSL_CTX_get0_certificate(ctx), key) != 1)
		return error_set(err, ERROR_INVALID,
			"the key in %s does not belong to the certificate in %s; give the two "
			"files of one pair",
			tls->key_file, tls->certificate_file);
	if (SSL_CTX_use_PrivateKey(ctx, key) != 1)
		return refused(err, tls->key_file);
	return 0;
}

/* ---- the context ---- */

/* A client that offers only what we do not speak is refused (RFC 7301 section 3.2). */
static int choose_protocol(SSL *ssl UNUSED, const unsigned char **ret, unsigned char *ret_size,
	const unsigned char *offered, unsigned size, void *arg UNUSED)
{
	static const unsigned char ours[] = "\x08http/1.1";

	if (SSL_select_next_proto((unsigned char **)ret, ret_size, ours, sizeof(ours) - 1, offered,
		    size) != OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	return SSL_TLSEXT_ERR_OK;
}

/* The end of a connection is seen by the framing of HTTP, so clients that close without saying so
 * are as good as others. Buffers are released since most connections are idle. */
static int configure(SSL_CTX *ctx)
{
	SSL_CTX_set_options(ctx,
		SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_IGNORE_UNEXPECTED_EOF);
	SSL_CTX_set_mode(ctx, SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_read_ahead(ctx, 1);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF); /* tickets need none */
	SSL_CTX_set_alpn_select_cb(ctx, choose_protocol, NULL);
	return SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) == 1 &&
			       SSL_CTX_set_cipher_list(ctx, CIPHERS_OF_1_2) == 1
		       ? 0
		       : -1;
}

static int make_context(const struct http_tls *tls, SSL_CTX **ret, struct error *err)
{
	CLEANUP(ctx_freep) SSL_CTX *ctx = NULL;

	ERR_clear_error();
	ctx = SSL_CTX_new(TLS_server_method());
	if (ctx == NULL || configure(ctx) != 0)
		return error_no_memory(err);
	if (use_certificate(ctx, tls->certificate_file, err) != 0 || use_key(ctx, tls, err) != 0) {
		ERR_clear_error();
		return -1;
	}
	*ret = TAKE_PTR(ctx);
	return 0;
}

/* ---- life ---- */

int http_tls_new(struct http_tls **ret, const char *certificate_file, const char *key_file,
	struct error *err)
{
	CLEANUP(http_tls_freep) struct http_tls *tls = calloc(1, sizeof(*tls));

	if (tls == NULL)
		return error_no_memory(err);
	AZ(pthread_mutex_init(&tls->lock, NULL));
	tls->certificate_file = strdup(certificate_file);
	tls->key_file = strdup(key_file);
	if (tls->certificate_file == NULL || tls->key_file == NULL)
		return error_no_memory(err);
	if (make_context(tls, &tls->ctx, err) != 0)
		return -1;
	*ret = TAKE_PTR(tls);
	return 0;
}

void http_tls_free(struct http_tls *tls)
{
	if (tls == NULL)
		return;
	SSL_CTX_free(tls->ctx);
	AZ(pthread_mutex_destroy(&tls->lock));
	free(tls->certificate_file);
	free(tls->key_file);
	free(tls);
}

int http_tls_reload(struct http_tls *tls, struct error *err)
{
	SSL_CTX *ctx, *old;

	if (make_context(tls, &ctx, err) != 0)
		return -1;
	AZ(pthread_mutex_lock(&tls->lock));
	old = tls->ctx;
	tls->ctx = ctx;
	AZ(pthread_mutex_unlock(&tls->lock));
	SSL_CTX_free(old); /* connections hold it for as long as they need it */
	return 0;
}

SSL *tls_session(struct http_tls *tls)
{
	SSL_CTX *ctx;
	SSL *ssl;

	AZ(pthread_mutex_lock(&tls->lock));
	ctx = tls->ctx;
	SSL_CTX_up_ref(ctx);
	AZ(pthread_mutex_unlock(&tls->lock));
	ssl = SSL_new(ctx);
	SSL_CTX_free(ctx);
	return ssl;
}
