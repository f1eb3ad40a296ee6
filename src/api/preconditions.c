/* SPDX-License-Identifier: Apache-2.0 */
#include "api/preconditions.h"

#include "api/answer.h"
#include "base/json.h"
#include "intent/text.h"
#include "publish/precondition.h"

#include <inttypes.h>
#include <stdio.h>

void preconditions_add_etag(struct http_reply *reply, uint64_t version)
{
	http_reply_header(reply, "ETag", "\"v%" PRIu64 "\"", version);
}

/* ---- reading ---- */

/* A version that no resource has. */
#define NEVER 0

/* One of the two headers; several lines of it are one list. */
struct etags {
	const char *header;
	bool (*parse)(struct slice tag, uint64_t *ret_version);
	const char *example;
	bool weak_match; /* W/"v1" is as good as "v1" (section 8.8.3.2) */
	uint64_t current;
	bool given;
	bool any;       /* it is "*" */
	bool matches;   /* current is among them */
	uint64_t first; /* the first version among them, or NEVER */
};

static int refuse(const struct etags *tags, struct slice value, struct error *err)
{
	char excerpt[INTENT_EXCERPT_SIZE];

	return error_set_field(err, tags->header,
		"%s must be * or ETags in their quotes, as in \"%s\", not %s", tags->header,
		tags->example, value.n == 0 ? "empty" : intent_excerpt(value, excerpt));
}

static bool is_etagc(char c)
{
	return (unsigned char)c > ' ' && c != '"' && c != 0x7f;
}

/* Takes one off the front of rest; what is between its quotes. */
static bool take_etag(struct slice *rest, struct slice *ret, bool *ret_weak)
{
	size_t n = 0;

	*ret_weak = slice_starts(*rest, SLICE("W/"));
	if (*ret_weak)
		*rest = (struct slice){rest->p + 2, rest->n - 2};
	if (rest->n == 0 || rest->p[0] != '"')
		return false;
	*ret = (struct slice){rest->p + 1, rest->n - 1};
	while (n < ret->n && is_etagc(ret->p[n]))
		n++;
	if (n == ret->n || ret->p[n] != '"')
		return false;
	*rest = slice_trim((struct slice){ret->p + n + 1, ret->n - n - 1});
	ret->n = n;
	return rest->n == 0 || rest->p[0] == ',';
}

static void add_etag(struct etags *tags, struct slice tag, bool weak)
{
	uint64_t version;

	if ((weak && !tags->weak_match) || !tags->parse(tag, &version))
		return;
	if (tags->first == NEVER)
		tags->first = version;
	if (version == tags->current)
		tags->matches = true;
}

static int read_line(struct etags *tags, struct slice value, struct error *err)
{
	struct slice rest = value, tag;
	bool weak, found = false;

	while (rest.n > 0) {
		if (rest.p[0] == ',') { /* an empty element is nothing (section 5.6.1.2) */
			rest = slice_trim((struct slice){rest.p + 1, rest.n - 1});
			continue;
		}
		if (!take_etag(&rest, &tag, &weak))
			return refuse(tags, value, err);
		add_etag(tags, tag, weak);
		found = true;
	}
	return found ? 0 : refuse(tags, value, err);
}

static int read_header(struct etags *tags, const struct http_head *head, struct error *err)
{
	for (size_t i = 0; i < head->n_headers; i++) {
		const struct http_header *h = &head->headers[i];
		bool any = slice_eq(h->value, SLICE("*"));

		if (!slice_eq_nocase(h->name, slice_of(tags->header)))
			continue;
		if (tags->any || (any && tags->given))
			return error_set_field(err, tags->header,
				"%s is given twice, and once as *, which goes alone", tags->header);
		tags->given = true;
		tags->any = any;
		if (!any && read_line(tags, h->value, err) != 0)
			return -1;
	}
	return 0;
}

#define RESOURCE_ETAGS(name) \
	.header = (name), .parse = resource_tag_parse, .example = "v1795893153160483"

static struct precondition precondition_of_match(const struct etags *tags)
{
	struct precondition when = {.kind = IF_VERSION};

	if (!tags->given)
		return ALWAYS;
	if (tags->any)
		when.kind = IF_THERE;
	else
		when.version = tags->matches ? tags->current : tags->first;
	return when;
}

int preconditions_read(struct precondition *ret, const struct http_head *head,
	const struct resource *current, struct error *err)
{
	uint64_t version = current == NULL ? NEVER : current->version;
	struct etags match = {RESOURCE_ETAGS("If-Match"), .current = version};
	struct etags none_match = {
		RESOURCE_ETAGS("If-None-Match"), .weak_match = true, .current = version};
	struct precondition when;

	if (read_header(&match, head, err) != 0 || read_header(&none_match, head, err) != 0)
		return -1;
	when = precondition_of_match(&match);
	if (none_match.any || none_match.matches) {
		bool alone = when.kind == IF_ANYTHING;

		when.kind = alone ? IF_NOT_THERE : IF_VERSION;
		when.version = NEVER;
	}
	*ret = when;
	return 0;
}

int preconditions_read_catalog(
	uint64_t *ret, const struct http_head *head, uint64_t current, struct error *err)
{
	struct etags match = {
		.header = "If-Match",
		.parse = record_tag_parse,
		.example = "c1795893153160483",
		.current = current,
	};

	if (read_header(&match, head, err) != 0)
		return -1;
	if (match.given && !match.any && match.first == NEVER) {
		error_set(err, ERROR_PRECONDITION,
			"If-Match has no ETag of the catalog: it is like \"%s\", as a list of "
			"resources or a change answers it",
			match.example);
		snprintf(err->field, sizeof(err->field), "%s", match.header);
		return -1;
	}
	*ret = match.matches ? current : match.first;
	return 0;
}

bool preconditions_given(const struct http_head *head)
{
	return http_head_get(head, "if-match").p != NULL ||
	       http_head_get(head, "if-none-match").p != NULL;
}

/* ---- answering ---- */

/* How to send it, so that it is made. */
static void advise(struct buf *b, const struct precondition *when, const struct resource *current)
{
	bool is_of_version = when->kind == IF_VERSION && when->version != NEVER;

	if (current == NULL && when->kind != IF_NOT_THERE)
		buf_printf(b, ": to make it%s, send If-None-Match: * in place of If-Match",
			is_of_version ? " anew" : "");
	if (current == NULL)
		return;
	buf_printf(
		b, ", and send the change again with If-Match: \"v%" PRIu64 "\"", current->version);
	if (when->kind == IF_NOT_THERE)
		buf_puts(b, " in place of If-None-Match");
	else if (!is_of_version)
		buf_puts(b, " alone (a weak ETag, W/..., never matches)");
}

void preconditions_failed_init(struct http_reply *reply, const struct precondition *when,
	const char *name, const struct resource *current)
{
	CLEANUP(buf_done) struct buf advice = BUF_INIT(LIMIT_ERROR_TEXT);
	struct error why = ERROR_INIT, err = ERROR_INIT;
	char version[RESOURCE_TAG_SIZE];

	precondition_refuse(when, name, current, &why);
	advise(&advice, when, current);
	error_set(&err, why.code, "%s%s", why.text, advice.len == 0 ? "" : advice.data);
	answer_error_begin(reply, &err);
	if (current != NULL) {
		preconditions_add_etag(reply, current->version);
		resource_tag(current->version, version);
		json_member_cstr(&reply->body, "version", version);
	}
	json_end_object(&reply->body);
}
