/* SPDX-License-Identifier: Apache-2.0 */
#include "api/preconditions.h"

#include "api/answer.h"
#include "base/clock.h"
#include "base/json.h"
#include "intent/text.h"

#include <inttypes.h>

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
		"%s must be * or ETags in their quotes, as in \"v1795893153160483\", not %s",
		tags->header, value.n == 0 ? "empty" : intent_excerpt(value, excerpt));
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

	if ((weak && !tags->weak_match) || !resource_tag_parse(tag, &version))
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
	struct etags match = {.header = "If-Match", .current = version};
	struct etags none_match = {
		.header = "If-None-Match", .weak_match = true, .current = version};
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

bool preconditions_hold(const struct precondition *when, const struct resource *current)
{
	switch (when->kind) {
	case IF_THERE:
		return current != NULL;
	case IF_NOT_THERE:
		return current == NULL;
	case IF_VERSION:
		return current != NULL && current->version == when->version;
	default:
		return true;
	}
}

/* ---- answering ---- */

/* What is asked for is about something that is not there. */
static void say_missing(const struct precondition *when, const char *name, struct error *ret)
{
	if (when->kind == IF_VERSION && when->version != NEVER)
		error_set(ret, ERROR_PRECONDITION,
			"%s is not there any more, and the request is about v%" PRIu64
			": to make it anew, send If-None-Match: * in place of If-Match",
			name, when->version);
	else if (when->kind == IF_NOT_THERE)
		error_set(ret, ERROR_PRECONDITION,
			"%s was there a moment ago, and is deleted now: send it again", name);
	else
		error_set(ret, ERROR_PRECONDITION,
			"%s is not there, and If-Match changes only what is: to make it, send "
			"If-None-Match: * in its place",
			name);
}

static void say_different(
	const struct precondition *when, const char *name, uint64_t version, struct error *ret)
{
	char since[CLOCK_RFC3339_SIZE];

	clock_rfc3339(version, since);
	if (when->kind == IF_NOT_THERE)
		error_set(ret, ERROR_PRECONDITION,
			"%s is there already, at v%" PRIu64
			" (%s): to change that, read it, and send If-Match: \"v%" PRIu64
			"\" in place of If-None-Match",
			name, version, since, version);
	else if (when->kind == IF_VERSION && when->version != NEVER)
		error_set(ret, ERROR_PRECONDITION,
			"%s was changed since: it is at v%" PRIu64
			" now (%s), and the request is about v%" PRIu64
			": read it again, and send the change again with If-Match: \"v%" PRIu64
			"\"",
			name, version, since, when->version, version);
	else
		error_set(ret, ERROR_PRECONDITION,
			"%s is at v%" PRIu64
			" (%s), which is none of what the request is about: read it again, and "
			"send the change again with If-Match: \"v%" PRIu64
			"\" alone (a weak ETag, W/..., never matches)",
			name, version, since, version);
}

void preconditions_failed_init(struct http_reply *reply, const struct precondition *when,
	const char *name, const struct resource *current)
{
	struct error err = ERROR_INIT;
	char version[RESOURCE_TAG_SIZE];

	if (current == NULL)
		say_missing(when, name, &err);
	else
		say_different(when, name, current->version, &err);
	answer_json_init(reply, error_status(err.code));
	json_begin_object(&reply->body);
	json_member_cstr(&reply->body, "error", err.text);
	json_member_cstr(&reply->body, "code", error_name(err.code));
	if (current != NULL) {
		preconditions_add_etag(reply, current->version);
		resource_tag(current->version, version);
		json_member_cstr(&reply->body, "version", version);
	}
	json_end_object(&reply->body);
}
