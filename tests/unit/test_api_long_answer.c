/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "api/long_answer.h"
#include "base/limits.h"

static struct error err;

/* A body of some bytes, in memory of that size. */
static void make(struct http_reply *reply, size_t size, size_t len)
{
	http_reply_init(reply, 200);
	reply->body.max = LIMIT_CHANGES_ANSWER;
	assert_true(buf_room(&reply->body, size) != NULL);
	for (size_t i = 0; i < len; i++)
		buf_putc(&reply->body, (char)('a' + i % 26));
}

static void send_all(struct http_reply *reply, size_t len)
{
	struct buf piece = BUF_INIT(LIMIT_HTTP_WINDOW);
	size_t sent = 0;
	int more = 1;

	while (more == 1) {
		buf_reset(&piece);
		more = reply->source.next(reply->source.arg, &piece);
		assert_true(piece.len > 0 && piece.failed == ERROR_NONE);
		for (size_t i = 0; i < piece.len; i++)
			assert_int_equal(piece.data[i], 'a' + (sent + i) % 26);
		sent += piece.len;
	}
	assert_int_equal(more, 0);
	assert_int_equal(sent, len);
	buf_done(&piece);
}

static void a_short_answer_stays_what_it_is(void **state UNUSED)
{
	struct http_reply reply;

	make(&reply, 100, 10);
	assert_int_equal(long_answer_make(&reply, &err), 0);
	assert_null(reply.source.next);
	assert_int_equal(reply.body.len, 10);
	http_reply_done(&reply);
}

static void a_long_answer_is_sent_piece_by_piece(void **state UNUSED)
{
	const size_t len = 5 * LIMIT_HTTP_WINDOW + 7;
	struct http_reply reply;

	make(&reply, len, len);
	assert_int_equal(long_answer_make(&reply, &err), 0);
	assert_int_equal(reply.body.len, 0);
	send_all(&reply, len);
	http_reply_done(&reply);
}

#define LARGE (30 * MIB)
#define MOST (LIMIT_CHANGES_ANSWERS / LARGE)

static void more_than_there_is_room_for_are_refused_until_one_is_sent(void **state UNUSED)
{
	struct http_reply replies[MOST + 1], made[MOST];
	size_t n = 0, n_made = 0;

	for (;; n++) {
		assert_true(n <= MOST);
		make(&replies[n], LARGE, 10);
		if (long_answer_make(&replies[n], &err) != 0)
			break;
		assert_non_null(replies[n].source.next);
	}
	assert_true(n > MOST / 4);
	assert_int_equal(err.code, ERROR_UNAVAILABLE);
	assert_null(replies[n].source.next);
	assert_int_equal(replies[n].body.len, 10);

	for (; long_answer_check(&err) == 0; n_made++) { /* these cannot be refused any more */
		assert_true(n_made < MOST);
		make(&made[n_made], LARGE, 10);
		long_answer_make_anyway(&made[n_made]);
		assert_non_null(made[n_made].source.next);
	}
	assert_true(n_made > 0);
	assert_int_equal(err.code, ERROR_UNAVAILABLE);

	for (size_t i = 0; i < n_made; i++)
		http_reply_done(&made[i]);
	assert_int_equal(long_answer_check(&err), 0);
	http_reply_done(&replies[0]);
	assert_int_equal(long_answer_make(&replies[n], &err), 0);
	for (size_t i = 1; i <= n; i++)
		http_reply_done(&replies[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_short_answer_stays_what_it_is),
		cmocka_unit_test(a_long_answer_is_sent_piece_by_piece),
		cmocka_unit_test(more_than_there_is_room_for_are_refused_until_one_is_sent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
