/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/credential.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>

static int refuse(struct error *err)
{
	return error_set(err, ERROR_UNAUTHORIZED,
		"the Authorization header cannot be read: send \"Bearer\" and a token, or "
		"\"Basic\" with a token as the password");
}

/* The bytes that base64 stands for, in place of it. */
static int decode(struct slice text, struct buf *ret, struct error *err)
{
	unsigned char *bytes = malloc(text.n + 1);
	int n = -1;

	if (bytes == NULL)
		return error_no_memory(err);
	if (text.n > 0 && text.n % 4 == 0)
		n = EVP_DecodeBlock(bytes, (const unsigned char *)text.p, (int)text.n);
	if (n > 0) { /* padding counts as zeros */
		n -= text.p[text.n - 1] == '=';
		n -= text.p[text.n - 2] == '=';
		buf_add(ret, (struct slice){(char *)bytes, (size_t)n});
	}
	OPENSSL_cleanse(bytes, text.n + 1);
	free(bytes);
	return n > 0 ? 0 : refuse(err);
}

/* The user's name tells us nothing: the token knows whose it is. */
static int read_basic(struct slice text, struct buf *ret, struct error *err)
{
	CLEANUP(buf_wipe) struct buf pair = BUF_INIT(LIMIT_CREDENTIAL);
	struct slice password;

	if (decode(text, &pair, err) != 0)
		return -1;
	password = buf_slice(&pair);
	slice_cut(&password, ':');
	if (password.p == NULL || password.n == 0)
		return refuse(err);
	buf_add(ret, password);
	return 0;
}

int credential_read(struct slice authorization, struct buf *ret, struct error *err)
{
	struct slice rest = slice_trim(authorization), scheme = slice_cut(&rest, ' ');
	int rc = 0;

	if (rest.p == NULL || rest.n > LIMIT_CREDENTIAL)
		return refuse(err);
	rest = slice_trim(rest);
	if (slice_eq_nocase(scheme, SLICE("basic")))
		rc = read_basic(rest, ret, err);
	else if (slice_eq_nocase(scheme, SLICE("bearer")) && rest.n > 0)
		buf_add(ret, rest);
	else
		rc = refuse(err);
	return rc == 0 ? buf_check(ret, err) : -1;
}
