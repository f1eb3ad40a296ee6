/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "base/limits.h"
#include "catalog/gzip.h"

#include <stdio.h>

#define SIZE_MAX_TESTED (200 * KIB)

static struct error err;
static struct gzip gzip;

/* Text that is much alike, as a catalog's is, and ends differently each time. */
static struct slice text_of(size_t size)
{
	static char text[SIZE_MAX_TESTED + 64];
	size_t n = 0;

	while (n < size)
		n += (size_t)snprintf(text + n, 64, "name: r%06zu\nspec: medium\n", n * 7919);
	return (struct slice){text, size};
}

static int read_stream(struct gzip_content *ret, struct slice stream, size_t max)
{
	*ret = (struct gzip_content){.bytes = BUF_INIT(max)};
	return gzip_read(ret, stream, &err);
}

static void what_was_written_is_read_back_at_every_size(void **state UNUSED)
{
	static const size_t sizes[] = {0, 1, 2, 511, 512, 65535, 65536, 65537, SIZE_MAX_TESTED};

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		CLEANUP(gzip_content_done) struct gzip_content content;
		CLEANUP(buf_done) struct buf packed = BUF_INIT(1 * MIB);
		struct slice text = text_of(sizes[i]);

		gzip_add(&gzip, text, &packed);
		assert_int_equal(buf_check(&packed, &err), 0);
		assert_int_equal(read_stream(&content, buf_slice(&packed), 1 * MIB), 0);
		assert_true(slice_eq(buf_slice(&content.bytes), text) || text.n == 0);
		assert_int_equal(content.bytes.len, text.n);
	}
}

static void bytes_that_do_not_compress_are_read_back_too(void **state UNUSED)
{
	CLEANUP(gzip_content_done) struct gzip_content content;
	CLEANUP(buf_done) struct buf packed = BUF_INIT(1 * MIB);
	static unsigned char noise[SIZE_MAX_TESTED];
	struct slice bytes = {(char *)noise, sizeof(noise)};
	unsigned seed = 1;

	for (size_t i = 0; i < sizeof(noise); i++) {
		seed = seed * 1664525 + 1013904223;
		noise[i] = (unsigned char)(seed >> 24);
	}
	gzip_add(&gzip, bytes, &packed);
	assert_int_equal(read_stream(&content, buf_slice(&packed), 1 * MIB), 0);
	assert_true(slice_eq(buf_slice(&content.bytes), bytes));
}

static void the_same_bytes_give_the_same_member(void **state UNUSED)
{
	CLEANUP(buf_done) struct buf a = BUF_INIT(1 * MIB);
	CLEANUP(buf_done) struct buf b = BUF_INIT(1 * MIB);
	CLEANUP(buf_done) struct buf other = BUF_INIT(1 * MIB);
	CLEANUP(gzip_done) struct gzip fresh = {0};

	gzip_add(&gzip, text_of(30000), &a);
	gzip_add(&gzip, text_of(777), &other);
	gzip_add(&gzip, text_of(30000), &b);
	assert_true(slice_eq(buf_slice(&a), buf_slice(&b)));
	buf_reset(&b);
	gzip_add(&fresh, text_of(30000), &b);
	assert_true(slice_eq(buf_slice(&a), buf_slice(&b)));
}

static void a_stream_says_where_each_member_begins(void **state UNUSED)
{
	static const size_t sizes[] = {1000, 0, 70000, 3, 512};
	CLEANUP(gzip_content_done) struct gzip_content content;
	CLEANUP(buf_done) struct buf packed = BUF_INIT(1 * MIB);
	size_t starts[ARRAY_SIZE(sizes) + 1], unpacked = 0;

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		starts[i] = packed.len;
		gzip_add(&gzip, text_of(sizes[i]), &packed);
	}
	starts[ARRAY_SIZE(sizes)] = packed.len;
	assert_int_equal(read_stream(&content, buf_slice(&packed), 1 * MIB), 0);
	assert_int_equal(content.n_members, ARRAY_SIZE(sizes));
	for (size_t i = 0; i <= ARRAY_SIZE(sizes); i++) {
		assert_int_equal(content.members[i].packed, starts[i]);
		assert_int_equal(content.members[i].unpacked, unpacked);
		unpacked += i < ARRAY_SIZE(sizes) ? sizes[i] : 0;
	}
}

static void a_stream_cut_off_anywhere_is_refused(void **state UNUSED)
{
	CLEANUP(buf_done) struct buf packed = BUF_INIT(1 * MIB);
	size_t first;

	gzip_add(&gzip, text_of(3000), &packed);
	first = packed.len;
	gzip_add(&gzip, text_of(3000), &packed);
	for (size_t n = 0; n < packed.len; n++) {
		CLEANUP(gzip_content_done) struct gzip_content content;
		/* On the heap and of just that size: reading past it shows. */
		AUTO_FREE char *copy = slice_dup((struct slice){packed.data, n});

		AN(copy);
		assert_int_equal(read_stream(&content, (struct slice){copy, n}, 1 * MIB),
			n == first ? 0 : -1);
		if (n != first)
			assert_int_equal(err.code, ERROR_INTERNAL);
	}
}

static void a_changed_byte_is_refused_or_changes_nothing(void **state UNUSED)
{
	CLEANUP(buf_done) struct buf packed = BUF_INIT(1 * MIB);
	struct slice text = text_of(3000);

	gzip_add(&gzip, text, &packed);
	for (size_t i = 0; i < packed.len; i++) {
		CLEANUP(gzip_content_done) struct gzip_content content;

		packed.data[i] ^= 0x10;
		if (read_stream(&content, buf_slice(&packed), 1 * MIB) == 0)
			assert_true(slice_eq(buf_slice(&content.bytes), text));
		packed.data[i] ^= 0x10;
	}
}

static void what_unpacks_to_more_than_the_maximum_is_refused(void **state UNUSED)
{
	CLEANUP(buf_done) struct buf packed = BUF_INIT(1 * MIB);
	struct slice text = text_of(100000);

	gzip_add(&gzip, text, &packed);
	for (size_t max = text.n - 1; max <= text.n; max++) {
		CLEANUP(gzip_content_done) struct gzip_content content;

		assert_int_equal(
			read_stream(&content, buf_slice(&packed), max), max == text.n ? 0 : -1);
	}
	assert_non_null(strstr(err.text, "more than"));
}

static int teardown(void **state UNUSED)
{
	gzip_done(&gzip);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_written_is_read_back_at_every_size),
		cmocka_unit_test(bytes_that_do_not_compress_are_read_back_too),
		cmocka_unit_test(the_same_bytes_give_the_same_member),
		cmocka_unit_test(a_stream_says_where_each_member_begins),
		cmocka_unit_test(a_stream_cut_off_anywhere_is_refused),
		cmocka_unit_test(a_changed_byte_is_refused_or_changes_nothing),
		cmocka_unit_test(what_unpacks_to_more_than_the_maximum_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, teardown);
}
