/* SPDX-License-Identifier: Apache-2.0 */
/* Requests about resources, all of one form and length: only numbers differ, put in as they are
 * sent. */
#ifndef BENCH_API_INTENT_H
#define BENCH_API_INTENT_H

#include "bench/load_loop.h"

#define INTENT_NUMBERS 1000000 /* r000000 to r999999 */
#define INTENT_CHANGE_SIZE sizeof("c0000000000000000")
#define INTENT_JSON_SIZE 256

/* In which order a run takes the resources: any n operations one after another are about n of
 * them, far from each other. */
struct order {
	size_t n, stride;
	uint64_t change; /* the first; no other run has it or those after it */
};
struct order new_order(size_t n);
size_t number_of(const struct order *order, size_t i);

/* The body of a POST. */
void intent_json(size_t number, uint64_t change, char ret[INTENT_JSON_SIZE]);
void intent_change(uint64_t change, char ret[INTENT_CHANGE_SIZE]);

struct template
{
	struct loop_request request;
	size_t number_at;
	size_t changes_at[2], n_changes;
};

/* own_name: of r000123-c0123456789abcdef, which only that change has, not of r000123. */
void template_post(struct template *ret, const struct target *target, bool own_name);
/* GET or DELETE. */
void template_one(
	struct template *ret, const struct target *target, const char *method, bool own_name);
void template_fill(
	const struct template *t, size_t number, uint64_t change, struct loop_request *ret);

#endif
