/* SPDX-License-Identifier: Apache-2.0 */
/* In place of kube.c: calls are kept, and answered when the test says so. And a clock that stands
 * still: links with --wrap=clock_monotonic_ms. */
#ifndef TESTS_UNIT_FAKE_KUBE_H
#define TESTS_UNIT_FAKE_KUBE_H

#include "test.h"

#include "cluster/kube.h"

#define FAKE_PATCHES 64
#define FAKE_GETS 16

struct fake_patch {
	char path[256];
	char body[256];
	kube_done *done;
	void *arg;
};

struct fake_get {
	char path[256];
	kube_done *done;
	void *arg;
};

struct kube {
	size_t n; /* patches so far */
	struct fake_patch patches[FAKE_PATCHES];
	json_int_t generation; /* that the object has after a patch */
	size_t n_gets;
	struct fake_get gets[FAKE_GETS];
};

extern uint64_t fake_clock_ms;

/* Answers a patch; ERROR_NONE: it has been made. Those that are never answered leak. */
void fake_kube_answer(struct kube *kube, size_t i, enum error_code code);
/* Answers all that are not answered yet. */
void fake_kube_answer_all(struct kube *kube);
/* Answers a get; object: taken over, or NULL and why there is none. */
void fake_kube_answer_get(struct kube *kube, size_t i, json_t *object, enum error_code code);
/* The path of a patch ends with that name. */
void fake_kube_assert_patch(const struct kube *kube, size_t i, const char *collection,
	const char *name, const char *part_of_body);
/* The value of requestedAt in a patch. */
void fake_kube_token(const struct kube *kube, size_t i, char ret[32]);

/* JSON, with ' for ". */
json_t *fake_json(const char *fmt, ...) PRINTF_LIKE(1, 2);

#endif
