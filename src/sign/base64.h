/* SPDX-License-Identifier: Apache-2.0 */
/* Standard base64 with padding, appended to a buffer. */
#ifndef SIGN_BASE64_H
#define SIGN_BASE64_H

#include "base/buf.h"

#include <sodium.h>

static inline void base64_add(struct buf *b, struct slice bytes)
{
	size_t size = sodium_base64_ENCODED_LEN(bytes.n, sodium_base64_VARIANT_ORIGINAL);
	char *room = buf_room(b, size);

	if (room == NULL)
		return;
	sodium_bin2base64(room, size, (const unsigned char *)bytes.p, bytes.n,
		sodium_base64_VARIANT_ORIGINAL);
	buf_claim(b, size - 1); /* its NUL is not part of it */
}

#endif
