/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/api_intent.h"

#include <stdio.h>
#include <sys/random.h>

#define NUMBER "r000000"
#define CHANGE "c0000000000000000"
#define OWN_NAME NUMBER "-" CHANGE
#define RESOURCES "/api/v1/resources"
#define JSON(name, change) \
	"{\"name\":\"" name "\",\"labels\":{\"change\":\"" change "\",\"team\":\"bench\"}," \
	"\"spec\":{\"type\":\"vm\",\"size\":\"medium\",\"region\":\"us-east-1\",\"replicas\":3}}"

static size_t gcd(size_t a, size_t b)
{
	while (b != 0) {
		size_t rest = a % b;

		a = b;
		b = rest;
	}
	return a;
}

struct order new_order(size_t n)
{
	struct order order = {.n = n, .stride = (size_t)((double)n * 0.618) | 1};
	uint32_t run;

	while (gcd(order.stride, n) != 1)
		order.stride += 2;
	ASSERT(getrandom(&run, sizeof(run), 0) == (ssize_t)sizeof(run));
	order.change = (uint64_t)run << 32;
	return order;
}

size_t number_of(const struct order *order, size_t i)
{
	return i % order->n * order->stride % order->n;
}

void intent_change(uint64_t change, char ret[INTENT_CHANGE_SIZE])
{
	snprintf(ret, INTENT_CHANGE_SIZE, "c%016llx", (unsigned long long)change);
}

void intent_json(size_t number, uint64_t change, char ret[INTENT_JSON_SIZE])
{
	ASSERT(number < INTENT_NUMBERS);
	snprintf(ret, INTENT_JSON_SIZE, JSON("r%06zu", "c%016llx"), number,
		(unsigned long long)change);
}

/* Where the numbers are to be put. */
static void find_places(struct template *t)
{
	const char *text = t->request.bytes;
	const char *at = strstr(text, NUMBER);

	t->request.n = strlen(text);
	AN(at);
	t->number_at = (size_t)(at - text) + 1;
	for (at = strstr(text, CHANGE); at != NULL; at = strstr(at + 1, CHANGE)) {
		ASSERT(t->n_changes < ARRAY_SIZE(t->changes_at));
		t->changes_at[t->n_changes++] = (size_t)(at - text) + 1;
	}
}

void template_post(struct template *ret, const struct target *target, bool own_name)
{
	const char *body = own_name ? JSON(OWN_NAME, CHANGE) : JSON(NUMBER, CHANGE);

	*ret = (struct template){.request.status = own_name ? 201 : 200};
	snprintf(ret->request.bytes, sizeof(ret->request.bytes),
		"POST " RESOURCES " HTTP/1.1\r\nHost: %s\r\n%sContent-Type: application/json\r\n"
		"Content-Length: %zu\r\n\r\n%s",
		target->host, target->authorization, strlen(body), body);
	find_places(ret);
}

void template_one(
	struct template *ret, const struct target *target, const char *method, bool own_name)
{
	*ret = (struct template){.request.status = 200};
	snprintf(ret->request.bytes, sizeof(ret->request.bytes),
		"%s " RESOURCES "/%s HTTP/1.1\r\nHost: %s\r\n%s\r\n", method,
		own_name ? OWN_NAME : NUMBER, target->host, target->authorization);
	find_places(ret);
}

static void put_digits(char *end, unsigned n, unsigned base, uint64_t value)
{
	while (n-- > 0) {
		*--end = "0123456789abcdef"[value % base];
		value /= base;
	}
}

void template_fill(
	const struct template *t, size_t number, uint64_t change, struct loop_request *ret)
{
	const struct loop_request *r = &t->request;
	const unsigned digits = 6, hex_digits = 16;

	memcpy(ret->bytes, r->bytes, r->n);
	ret->n = r->n;
	ret->kind = r->kind;
	ret->status = r->status;
	ret->or_status = r->or_status;
	ret->body_length = r->body_length;
	put_digits(ret->bytes + t->number_at + digits, digits, 10, number);
	for (size_t k = 0; k < t->n_changes; k++)
		put_digits(ret->bytes + t->changes_at[k] + hex_digits, hex_digits, 16, change);
}
