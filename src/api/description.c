/* SPDX-License-Identifier: Apache-2.0 */
#include "api/description.h"

#include "api/answer.h"
#include "api/operations.h"
#include "api/params.h"

struct description {
	struct buf openapi, docs;
	struct buf policy; /* of the page */
};

int description_new(struct description **ret, const char *version, struct error *err)
{
	CLEANUP(description_freep) struct description *d = calloc(1, sizeof(*d));

	if (d == NULL)
		return error_no_memory(err);
	operations_check();
	buf_init(&d->openapi, LIMIT_API_DESCRIPTION);
	buf_init(&d->docs, LIMIT_API_DESCRIPTION);
	buf_init(&d->policy, LIMIT_API_DESCRIPTION);
	openapi_write(version, &d->openapi);
	docs_write(version, &d->docs);
	docs_policy(&d->policy);
	if (buf_check(&d->openapi, err) != 0 || buf_check(&d->docs, err) != 0 ||
		buf_check(&d->policy, err) != 0)
		return -1;
	*ret = TAKE_PTR(d);
	return 0;
}

void description_free(struct description *d)
{
	if (d == NULL)
		return;
	buf_done(&d->openapi);
	buf_done(&d->docs);
	buf_done(&d->policy);
	free(d);
}

static void answer(
	struct http_exchange *x, const struct buf *text, const char *media, const char *policy)
{
	struct error err = ERROR_INIT;
	struct http_reply reply;

	if (params_none(http_exchange_query(x), &err) != 0) {
		answer_error(x, &err);
		return;
	}
	http_reply_init(&reply, 200);
	buf_init(&reply.body, LIMIT_API_DESCRIPTION);
	http_reply_header(&reply, "Content-Type", "%s", media);
	http_reply_header(&reply, "X-Content-Type-Options", "nosniff");
	if (policy != NULL)
		http_reply_header(&reply, "Content-Security-Policy", "%s", policy);
	buf_add(&reply.body, buf_slice(text));
	http_exchange_reply(x, &reply);
}

void openapi_get(struct http_exchange *x, struct call *call)
{
	answer(x, &call->api->description->openapi, "application/json", NULL);
}

/* The page has nothing but text and its own style. */
void docs_get(struct http_exchange *x, struct call *call)
{
	const struct description *d = call->api->description;

	answer(x, &d->docs, "text/html; charset=utf-8", d->policy.data);
}
