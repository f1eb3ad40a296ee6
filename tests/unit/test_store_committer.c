/* SPDX-License-Identifier: Apache-2.0 */
#include "store_fixture.h"

#include "store/committer.h"

#include <pthread.h>

#define WRITES 400

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t all_done = PTHREAD_COND_INITIALIZER;

struct blob_write {
	struct write write;
	char bytes[16];
	bool refuse;
	enum error_code outcome;
	size_t *n_left;
};

static int apply(void *arg, struct store_conn *tx, struct error *err)
{
	struct blob_write *b = arg;
	struct slice bytes = slice_of(b->bytes);
	struct digest digest = digest_of(bytes);

	if (b->refuse)
		return error_set(err, ERROR_CONFLICT, "refused");
	return store_blob_put(tx, SLICE("r"), &digest, bytes.n, bytes, err);
}

static void done(void *arg, const struct error *err)
{
	struct blob_write *b = arg;

	AZ(pthread_mutex_lock(&lock));
	b->outcome = err->code;
	if (--*b->n_left == 0)
		AZ(pthread_cond_signal(&all_done));
	AZ(pthread_mutex_unlock(&lock));
}

static void every_write_is_answered_with_its_own_outcome(void **state UNUSED)
{
	static struct blob_write writes[WRITES];
	struct error err = ERROR_INIT;
	struct committer *committer;
	struct store *store;
	struct store_conn *reader;
	size_t n_left = WRITES;
	char dir[64];

	digest_setup();
	make_folder(dir);
	assert_ok(store_open(&store, dir, 1, &err));
	assert_ok(committer_new(&committer, store, &err));
	for (unsigned i = 0; i < WRITES; i++) {
		writes[i] = (struct blob_write){
			.write = {.apply = apply, .done = done, .arg = &writes[i]},
			.refuse = i % 7 == 3,
			.n_left = &n_left,
		};
		snprintf(writes[i].bytes, sizeof(writes[i].bytes), "%u", i);
		committer_submit(committer, &writes[i].write);
	}
	AZ(pthread_mutex_lock(&lock));
	while (n_left > 0)
		AZ(pthread_cond_wait(&all_done, &lock));
	AZ(pthread_mutex_unlock(&lock));

	reader = store_reader(store);
	for (unsigned i = 0; i < WRITES; i++) {
		struct digest digest = digest_of(slice_of(writes[i].bytes));
		CLEANUP(store_blob_done) struct store_blob b;

		store_blob_init(&b);
		if (writes[i].refuse) {
			assert_int_equal(writes[i].outcome, ERROR_CONFLICT);
			assert_refused(store_blob_get(reader, SLICE("r"), &digest, &b, &err),
				ERROR_NOT_FOUND);
		} else {
			assert_int_equal(writes[i].outcome, ERROR_NONE);
			assert_ok(store_blob_get(reader, SLICE("r"), &digest, &b, &err));
		}
	}
	store_reader_done(reader);
	committer_free(committer);
	store_close(store);
	remove_folder(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_write_is_answered_with_its_own_outcome),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
