/* SPDX-License-Identifier: Apache-2.0 */
/* Only the parser: what it accepts would be decrypted with much memory and time. */
#include "fuzz.h"

#include "sign/cosign_key.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct error err = ERROR_INIT;
	struct cosign_key key;

	if (cosign_key_parse(&key, (struct slice){(const char *)data, size}, &err) != 0)
		return 0;
	ASSERT(key.n_ciphertext > crypto_secretbox_MACBYTES);
	ASSERT(key.n_ciphertext <= sizeof(key.ciphertext));
	ASSERT(key.cost <= UINT64_C(1) << 17);
	return 0;
}
