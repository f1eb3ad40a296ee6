/* SPDX-License-Identifier: Apache-2.0 */
#include "registry/cursor.h"

#include <sodium.h>

#define URLSAFE sodium_base64_VARIANT_URLSAFE_NO_PADDING

struct sealed {
	unsigned char nonce[crypto_secretbox_NONCEBYTES];
	unsigned char box[crypto_secretbox_MACBYTES + LIMIT_REPOSITORY];
};

#define TEXT_SIZE sodium_base64_ENCODED_LEN(sizeof(struct sealed), URLSAFE)

_Static_assert(CURSOR_KEY_SIZE == crypto_secretbox_KEYBYTES, "libsodium's key");

int cursor_key_init(struct cursor_key *key, struct error *err)
{
	if (sodium_init() < 0)
		return error_set(err, ERROR_INTERNAL,
			"libsodium cannot start: see that /dev/urandom is there");
	arc4random_buf(key->bytes, sizeof(key->bytes));
	return 0;
}

void cursor_add(struct buf *b, const struct cursor_key *key, struct slice place)
{
	unsigned char padded[LIMIT_REPOSITORY] = {0};
	struct sealed sealed;
	char text[TEXT_SIZE];

	ASSERT(place.n <= sizeof(padded));
	if (place.n > 0)
		memcpy(padded, place.p, place.n);
	arc4random_buf(sealed.nonce, sizeof(sealed.nonce));
	AZ(crypto_secretbox_easy(sealed.box, padded, sizeof(padded), sealed.nonce, key->bytes));
	sodium_bin2base64(
		text, sizeof(text), (const unsigned char *)&sealed, sizeof(sealed), URLSAFE);
	buf_puts(b, CURSOR_PREFIX);
	buf_puts(b, text);
}

static bool unseal(const struct cursor_key *key, struct slice text, char place[LIMIT_REPOSITORY])
{
	size_t prefix_n = strlen(CURSOR_PREFIX), n;
	struct sealed sealed;

	return slice_starts(text, SLICE(CURSOR_PREFIX)) &&
	       sodium_base642bin((unsigned char *)&sealed, sizeof(sealed), text.p + prefix_n,
		       text.n - prefix_n, NULL, &n, NULL, URLSAFE) == 0 &&
	       n == sizeof(sealed) &&
	       crypto_secretbox_open_easy((unsigned char *)place, sealed.box, sizeof(sealed.box),
		       sealed.nonce, key->bytes) == 0;
}

int cursor_read(char **ret, const struct cursor_key *key, struct slice text, struct error *err)
{
	char place[LIMIT_REPOSITORY], *copy;

	if (!unseal(key, text, place))
		return error_set(err, ERROR_INVALID,
			"last is from a list of an earlier process: begin the list again");
	copy = slice_dup((struct slice){place, strnlen(place, sizeof(place))});
	if (copy == NULL)
		return error_no_memory(err);
	*ret = copy;
	return 0;
}
