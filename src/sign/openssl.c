/* SPDX-License-Identifier: Apache-2.0 */
#include "sign/openssl.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <stdarg.h>
#include <stdio.h>

int secret_init(struct secret *s, size_t n, struct error *err)
{
	unsigned char *p = OPENSSL_malloc(n);

	if (p == NULL)
		return openssl_failed(err, ERROR_NO_MEMORY, "out of memory");
	*s = (struct secret){p, n};
	return 0;
}

void secret_done(struct secret *s)
{
	OPENSSL_clear_free(TAKE_PTR(s->p), s->n);
	s->n = 0;
}

int openssl_failed(struct error *err, enum error_code code, const char *fmt, ...)
{
	bool no_memory =
		code == ERROR_NO_MEMORY || ERR_GET_REASON(ERR_peek_error()) == ERR_R_MALLOC_FAILURE;
	char text[LIMIT_ERROR_TEXT];
	va_list ap;

	ERR_clear_error();
	if (no_memory)
		return error_no_memory(err);
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return error_set(err, code, "%s", text);
}
