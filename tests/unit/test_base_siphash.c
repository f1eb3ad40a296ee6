/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "base/siphash.h"

static const struct siphash_key key = {
	{UINT64_C(0x0706050403020100), UINT64_C(0x0f0e0d0c0b0a0908)}};

/* Of the paper and the reference implementation: the key's bytes count up, and so do the input's.
 */
static void the_published_vectors_come_out(void **state UNUSED)
{
	static const struct {
		size_t n;
		uint64_t hash;
	} cases[] = {
		{0, UINT64_C(0x726fdb47dd0e0e31)},
		{1, UINT64_C(0x74f839c593dc67fd)},
		{7, UINT64_C(0xab0200f58b01d137)},
		{8, UINT64_C(0x93f5f5799a932462)},
		{15, UINT64_C(0xa129ca6149be45e5)},
	};
	char bytes[16];

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (char)i;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_true(siphash(&key, (struct slice){bytes, cases[i].n}) == cases[i].hash);
}

static void another_key_gives_another_hash(void **state UNUSED)
{
	struct siphash_key other = key;

	other.k[1] ^= 1;
	assert_true(siphash(&key, SLICE("web")) != siphash(&other, SLICE("web")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_published_vectors_come_out),
		cmocka_unit_test(another_key_gives_another_hash),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
