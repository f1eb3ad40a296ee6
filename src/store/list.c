/* SPDX-License-Identifier: Apache-2.0 */
#include "store/db.h"

void store_names_init(struct store_names *names)
{
	*names = (struct store_names){
		.text = BUF_INIT(LIMIT_LIST_PAGE * ((size_t)LIMIT_REPOSITORY + 1))};
}

void store_names_done(struct store_names *names)
{
	buf_done(&names->text);
	store_names_init(names);
}

bool store_names_next(const struct store_names *names, size_t *at, struct slice *ret)
{
	if (*at == names->text.len)
		return false;
	*ret = slice_of(names->text.data + *at);
	*at += ret->n + 1;
	return true;
}

/* Takes n rows; asks for one more to know whether there are more. */
static int collect(struct query *q, size_t n, struct store_names *ret, struct error *err)
{
	int row;

	ASSERT(n <= LIMIT_LIST_PAGE);
	query_bind_int(q, (int64_t)n + 1);
	while ((row = query_row(q, err)) == 1) {
		if (ret->n == n) {
			ret->more = true;
			break;
		}
		buf_add(&ret->text, query_slice(q));
		buf_putc(&ret->text, '\0');
		ret->n++;
	}
	return row < 0 ? -1 : buf_check(&ret->text, err);
}

int store_tags(struct store_conn *c, struct slice repository, struct slice last, size_t n,
	struct store_names *ret, struct error *err)
{
	CLEANUP(query_done) struct query q = query(c, SQL_TAGS);
	int64_t id;

	if (store_repository_find(c, repository, &id, err) != 0)
		return -1;
	if (id == 0)
		return error_set(
			err, ERROR_NOT_FOUND, "there is no repository %.*s", SLICE_ARG(repository));
	query_bind_int(&q, id);
	query_bind_text(&q, last.p == NULL ? SLICE("") : last);
	return collect(&q, n, ret, err);
}

int store_repositories(struct store_conn *c, struct slice last, size_t n, struct store_names *ret,
	struct error *err)
{
	CLEANUP(query_done) struct query q = query(c, SQL_REPOSITORIES);

	query_bind_text(&q, last.p == NULL ? SLICE("") : last);
	return collect(&q, n, ret, err);
}

static int read_referrer(struct query *q, struct store_referrer *ret, struct error *err)
{
	ret->position = query_int(q);
	if (query_digest(q, &ret->digest, err) != 0)
		return -1;
	ret->media_type = query_slice(q);
	ret->artifact_type = query_slice(q);
	ret->bytes = query_slice(q);
	return store_check_digest(&ret->digest, ret->bytes, err);
}

int store_referrers(struct store_conn *c, struct slice repository, const struct digest *subject,
	struct slice artifact_type, int64_t after,
	int (*each)(const struct store_referrer *referrer, void *arg, struct error *err), void *arg,
	struct error *err)
{
	CLEANUP(query_done) struct query q = query(c, SQL_REFERRERS);
	struct store_referrer referrer;
	int row, result = 0;

	query_bind_text(&q, repository);
	query_bind_digest(&q, subject);
	query_bind_int(&q, after);
	query_bind_text(&q, artifact_type);
	while (result == 0 && (row = query_row(&q, err)) != 0) {
		if (row < 0 || read_referrer(&q, &referrer, err) != 0)
			return -1;
		result = each(&referrer, arg, err);
	}
	return result < 0 ? -1 : 0;
}
