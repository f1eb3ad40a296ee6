/* SPDX-License-Identifier: Apache-2.0 */
#include "api/params.h"

#include "base/nearest.h"
#include "http/uri.h"
#include "intent/draft.h"
#include "intent/text.h"

#include <stdio.h>

int params_refuse(const char *parameter, const char *allowed, struct slice value, struct error *err)
{
	char excerpt[INTENT_EXCERPT_SIZE];

	return error_set_field(err, parameter, "%s must be %s, not \"%s\"", parameter, allowed,
		intent_excerpt(value, excerpt));
}

int params_dry_run(bool *ret, struct slice value, struct error *err)
{
	char excerpt[INTENT_EXCERPT_SIZE];
	bool yes = slice_eq(value, SLICE("true"));

	if (!yes && !slice_eq(value, SLICE("false")))
		return error_set_field(err, "dryRun",
			"dryRun must be true or false, not \"%s\": dryRun=true answers as the "
			"change "
			"would, and makes none",
			intent_excerpt(value, excerpt));
	*ret = yes;
	return 0;
}

struct reading {
	const struct param *params;
	size_t n;
	const char *takes;
	void *arg;
	unsigned seen; /* a bit for each of the parameters */
};

/* The one that is nearest to the word, or NULL. */
static const char *meant(const struct reading *reading, const char *word)
{
	const char *words[8 * sizeof(reading->seen) + 1] = {NULL};

	for (size_t i = 0; i < reading->n; i++)
		words[i] = reading->params[i].name;
	return nearest_word(word, words);
}

static int refuse_unknown(const struct reading *reading, struct slice name, struct error *err)
{
	char excerpt[INTENT_EXCERPT_SIZE];
	const char *near = meant(reading, intent_excerpt(name, excerpt));

	if (near == NULL)
		return error_set_field(err, excerpt, "%s, not \"%s\"", reading->takes, excerpt);
	return error_set_field(
		err, excerpt, "%s, not \"%s\": did you mean %s?", reading->takes, excerpt, near);
}

static int read_one(
	struct reading *reading, struct slice name, struct slice value, struct error *err)
{
	for (size_t i = 0; i < reading->n; i++) {
		const struct param *param = &reading->params[i];

		if (!slice_eq(name, slice_of(param->name)))
			continue;
		if ((reading->seen & 1u << i) != 0)
			return error_set_field(
				err, param->name, "%s is given twice; give it once", param->name);
		reading->seen |= 1u << i;
		return param->read(reading->arg, value, err);
	}
	return refuse_unknown(reading, name, err);
}

int params_read(struct slice query, const struct param *params, size_t n, const char *takes,
	void *arg, struct error *err)
{
	CLEANUP(buf_done) struct buf name = BUF_INIT(LIMIT_HTTP_HEAD);
	CLEANUP(buf_done) struct buf value = BUF_INIT(LIMIT_HTTP_HEAD);
	struct reading reading = {params, n, takes, arg, 0};

	ASSERT(n <= 8 * sizeof(reading.seen));
	while (query.n > 0) {
		struct slice text = slice_cut(&query, '&'), key = slice_cut(&text, '=');

		if (key.n == 0 && text.n == 0)
			continue;
		buf_reset(&name);
		buf_reset(&value);
		if (http_decode(key, &name, err) != 0 || http_decode(text, &value, err) != 0 ||
			read_one(&reading, buf_slice(&name), buf_slice(&value), err) != 0)
			return -1;
	}
	return 0;
}

int params_none(struct slice query, struct error *err)
{
	return params_read(query, NULL, 0, "this path takes no parameters", NULL, err);
}

int params_namespace(char ret[LIMIT_NAME + 1], struct slice value, const char *path,
	const char *whole, struct error *err)
{
	bool all = slice_eq(value, SLICE("*"));
	char allowed[200];

	if (!all && !intent_name_ok(value)) {
		snprintf(allowed, sizeof(allowed), "* for all of them, or a name of %s",
			intent_field_allowed(FIELD_NAMESPACE));
		return params_refuse("namespace", allowed, value, err);
	}
	if (path != NULL && !slice_eq(value, slice_of(path)))
		return error_set_field(err, "namespace",
			"namespace contradicts the path, which is that of %s: leave it out, or ask "
			"%s",
			path, whole);
	snprintf(ret, LIMIT_NAME + 1, "%.*s", all ? 0 : (int)value.n, value.p);
	return 0;
}
