/* SPDX-License-Identifier: Apache-2.0 */
/* WWW-Authenticate (RFC 9110 section 11.6.1), with the Bearer parameters of OCI registries. */
#include "http/chars.h"
#include "http/params.h"
#include "http/uri.h"

static int malformed(struct error *err)
{
	return error_set(
		err, ERROR_INVALID, "the registry sent a malformed WWW-Authenticate header");
}

static int keep_bearer_param(
	struct http_challenge *c, const struct http_param *param, struct error *err)
{
	const struct {
		struct slice name;
		char *at;
		size_t size;
	} wanted[] = {
		{SLICE("realm"), c->realm, sizeof(c->realm)},
		{SLICE("service"), c->service, sizeof(c->service)},
		{SLICE("scope"), c->scope, sizeof(c->scope)},
	};

	for (size_t i = 0; i < ARRAY_SIZE(wanted); i++) {
		if (!slice_eq_nocase(param->name, wanted[i].name))
			continue;
		if (!http_chars_are(param->value, CHAR_VALUE) ||
			!http_param_copy(param, wanted[i].at, wanted[i].size))
			return error_set(err, ERROR_INVALID,
				"the registry's WWW-Authenticate header has a %.*s that is not "
				"text or too long",
				SLICE_ARG(wanted[i].name));
	}
	return 0;
}

/* Credentials in one piece, as of Negotiate: letters, digits and -._~+/, then "=" signs. */
static void skip_token68(struct slice *s)
{
	struct slice rest = *s;

	while (rest.n > 0 &&
		(http_char_is(rest.p[0], CHAR_UNRESERVED) || rest.p[0] == '+' || rest.p[0] == '/'))
		rest = (struct slice){rest.p + 1, rest.n - 1};
	while (http_skip_char(&rest, '='))
		;
	http_skip_space(&rest);
	if (rest.n == 0 || rest.p[0] == ',')
		*s = rest;
}

/* Parameters up to the next scheme. Those of the first Bearer challenge are kept. */
static int challenge_params(struct http_challenge *c, struct slice *s, bool keep, struct error *err)
{
	for (;;) {
		struct slice before = *s;
		struct http_param param;

		http_skip_space(s);
		if (!http_take_param(s, &param)) {
			*s = before;
			return 0;
		}
		if (keep && keep_bearer_param(c, &param, err) != 0)
			return -1;
		http_skip_space(s);
		if (s->n > 0 && !http_skip_char(s, ','))
			return malformed(err);
	}
}

static int one_challenge(struct http_challenge *c, struct slice *s, struct error *err)
{
	struct slice scheme;
	bool first_bearer;

	if (!http_take_token(s, &scheme))
		return malformed(err);
	if (s->n > 0 && s->p[0] != ' ' && s->p[0] != ',')
		return malformed(err);
	first_bearer = !c->bearer && slice_eq_nocase(scheme, SLICE("bearer"));
	c->bearer = c->bearer || first_bearer;
	c->basic = c->basic || slice_eq_nocase(scheme, SLICE("basic"));
	http_skip_space(s);
	if (!slice_eq_nocase(scheme, SLICE("bearer")))
		skip_token68(s);
	return challenge_params(c, s, first_bearer, err);
}

int http_challenge_parse(struct http_challenge *ret, struct slice value, struct error *err)
{
	struct http_challenge c = {.basic = false};

	for (;;) {
		do
			http_skip_space(&value);
		while (http_skip_char(&value, ','));
		if (value.n == 0)
			break;
		if (one_challenge(&c, &value, err) != 0)
			return -1;
	}
	*ret = c;
	return 0;
}
