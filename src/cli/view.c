/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/view.h"

#include "base/json.h"
#include "base/nearest.h"
#include "http/uri.h"
#include "intent/document.h"

#include <stdio.h>
#include <unistd.h>

#define NAMES_COMPARED 10000 /* then a misspelt one is just not there */
#define SUGGESTIONS 3

const char *view_text(json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text == NULL ? "" : text;
}

int view_read(struct view *ret, const struct client *c, json_t *resource, struct error *err)
{
	struct view v = {.name = NULL};

	if (json_unpack(resource, "{s:s,s:s,s:s,s:s,s:s,s:o,s?o,s?o}", "namespace", &v.namespace,
		    "name", &v.name, "version", &v.version, "digest", &v.digest, "updatedAt",
		    &v.updated_at, "spec", &v.spec, "labels", &v.labels, "status",
		    &v.status) != 0 ||
		json_unpack(v.spec, "{s:s,s:s,s?s,s:I}", "type", &v.type, "size", &v.size, "region",
			&v.region, "replicas", &v.replicas) != 0)
		return client_not_understood(c, err);
	if (json_object_size(v.labels) == 0)
		v.labels = NULL;
	v.phase = view_text(v.status, "phase");
	v.reason = view_text(v.status, "reason");
	v.message = view_text(v.status, "message");
	*ret = v;
	return 0;
}

const char *view_name(const char *argument)
{
	static const char *const kinds[] = {VIEW_KIND "/", VIEW_KIND "s/"};

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (slice_starts(slice_of(argument), slice_of(kinds[i])))
			return argument + strlen(kinds[i]);
	return argument;
}

/* ---- one, or those called nearly the same ---- */

struct suggestions {
	const char *name;
	size_t compared, n, distance;
	char best[SUGGESTIONS][LIMIT_NAME + 1];
};

/* Only the nearest; of equals those that came first. */
static void suggest(struct suggestions *s, const char *name, size_t distance)
{
	if (s->n > 0 && distance > s->distance)
		return;
	if (s->n > 0 && distance < s->distance)
		s->n = 0;
	s->distance = distance;
	if (s->n < SUGGESTIONS)
		memcpy(s->best[s->n++], name, strlen(name) + 1);
}

static int compare(json_t *resource, void *arg, struct error *err)
{
	struct suggestions *s = arg;
	const char *name = view_text(resource, "name");
	size_t distance = nearest_distance(s->name, name);

	if (strlen(name) <= LIMIT_NAME && nearest_is_close(s->name, distance))
		suggest(s, name, distance);
	if (++s->compared < NAMES_COMPARED)
		return 0;
	return error_set(err, ERROR_TOO_LARGE, "there are too many names to compare");
}

int view_not_there(struct client *c, const char *namespace, const char *name, struct error *err)
{
	AUTO_FREE char *route = view_list_route(namespace, NULL);
	struct suggestions s = {.name = name};
	struct error ignored = ERROR_INIT;
	char text[SUGGESTIONS * (LIMIT_NAME + 16)] = "";
	size_t len = 0;

	if (route != NULL && client_list(c, route, "resources", compare, &s, &ignored) != 0 &&
		ignored.code != ERROR_TOO_LARGE)
		s.n = 0;
	for (size_t i = 0; i < s.n; i++) {
		const char *before = i == 0 ? "; did you mean " : i + 1 < s.n ? ", " : " or ";

		len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%s", before, s.best[i]);
	}
	return error_set(err, ERROR_NOT_FOUND, "there is no resource %s in the namespace %s%s%s",
		name, namespace, text, s.n > 0 ? "?" : "");
}

int view_get_part(json_t **ret, struct client *c, const char *namespace, const char *name,
	const char *part, struct error *err)
{
	AUTO_FREE char *route = client_route(namespace, "/%s%s", name, part);
	struct error why = ERROR_INIT;

	if (route == NULL)
		return error_no_memory(err);
	if (!intent_name_ok(slice_of(name)))
		return view_not_there(c, namespace, name, err);
	if (client_get(c, route, ret, &why) == 0)
		return 0;
	if (why.code == ERROR_NOT_FOUND)
		return view_not_there(c, namespace, name, err);
	*err = why;
	return -1;
}

int view_get(
	json_t **ret, struct client *c, const char *namespace, const char *name, struct error *err)
{
	return view_get_part(ret, c, namespace, name, "", err);
}

char *view_list_route(const char *namespace, const char *selector)
{
	CLEANUP(buf_done) struct buf b = BUF_INIT(LIMIT_HTTP_HEAD);
	AUTO_FREE char *route = client_route(namespace, "%s", "");

	if (route == NULL || selector == NULL)
		return TAKE_PTR(route);
	buf_puts(&b, route);
	buf_puts(&b, strchr(route, '?') == NULL ? "?" : "&");
	buf_puts(&b, "labelSelector=");
	http_encode(slice_of(selector), &b);
	return b.failed == ERROR_NONE ? buf_take(&b) : NULL;
}

void view_explain_guard(struct error *err)
{
	struct error why = *err;
	const char *theirs = strstr(why.text, "send it with ?confirm=prune");

	if (theirs == NULL)
		error_set(err, why.code, "%.400s; if it is meant, give --confirm prune", why.text);
	else
		error_set(err, why.code, "%.*sgive --confirm prune", (int)(theirs - why.text),
			why.text);
}

bool view_ask(const char *question)
{
	char answer[16];

	if (!isatty(STDIN_FILENO) || !isatty(STDERR_FILENO))
		return true;
	fprintf(stderr, "%s [y/N] ", question);
	fflush(stderr);
	if (fgets(answer, sizeof(answer), stdin) == NULL)
		return false;
	answer[strcspn(answer, "\n")] = '\0';
	return slice_eq_nocase(slice_of(answer), SLICE("y")) ||
	       slice_eq_nocase(slice_of(answer), SLICE("yes"));
}

int view_intent(struct intent **ret, const struct view *view, struct error *err)
{
	CLEANUP(json_decrefp)
	json_t *declared = json_pack("{s:s,s:s,s:O,s:O*}", "name", view->name, "namespace",
		view->namespace, "spec", view->spec, "labels", view->labels);

	if (declared == NULL)
		return error_no_memory(err);
	return intent_from_json(ret, declared, view->namespace, err);
}

/* ---- as Kubernetes has them ---- */

/* Members by their names, as kubectl shows them; takes the reference. */
static json_t *sorted(json_t *object)
{
	AUTO_FREE char *text = object == NULL ? NULL : json_dumps(object, JSON_SORT_KEYS);

	json_decref(object);
	return text == NULL ? NULL : json_loads(text, 0, NULL);
}

json_t *view_object(const struct view *v)
{
	json_t *metadata = json_pack("{s:s,s:s,s:{s:s,s:s,s:s},s:O*}", "name", v->name, "namespace",
		v->namespace, "annotations", "gitops-squared.io/digest", v->digest,
		"gitops-squared.io/pushed-at", v->updated_at, "gitops-squared.io/version",
		v->version, "labels", v->labels);

	return sorted(json_pack("{s:s,s:s,s:o,s:O,s:O*}", "apiVersion",
		"gitops-squared.io/v1alpha1", "kind", "PlatformResource", "metadata", metadata,
		"spec", v->spec, "status", v->status));
}

/* Is it a string to every reader of YAML when written as it is? */
static bool is_plain(const char *s)
{
	static const struct slice words[] = {SLICE("y"), SLICE("n"), SLICE("yes"), SLICE("no"),
		SLICE("on"), SLICE("off"), SLICE("true"), SLICE("false"), SLICE("null"),
		SLICE("nan"), SLICE("inf"), SLICE("infinity")};

	if ((*s < 'a' || *s > 'z') && (*s < 'A' || *s > 'Z'))
		return false;
	if (s[strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._/-")] !=
		'\0')
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (slice_eq_nocase(slice_of(s), words[i]))
			return false;
	return true;
}

static void add_string(struct buf *b, const char *s)
{
	if (is_plain(s))
		buf_puts(b, s);
	else
		json_add_string(b, slice_of(s)); /* double-quoted YAML reads it alike */
}

static void add_scalar(struct buf *b, json_t *value)
{
	char *text;

	if (json_is_string(value)) {
		add_string(b, json_string_value(value));
		return;
	}
	text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
	if (text != NULL)
		buf_puts(b, text); /* a number, true, false, null, {} or [] */
	free(text);
}

static bool is_block(json_t *value)
{
	return json_object_size(value) > 0 || json_array_size(value) > 0;
}

/* An object or an array that is being written. */
struct level {
	json_t *value;
	void *member; /* of an object, the next */
	size_t item;  /* of an array, the next */
	unsigned indent;
};

struct yaml {
	struct buf *b;
	struct level levels[LIMIT_JSON_DEPTH + 4];
	size_t depth;
	bool is_begun; /* the line has its indentation */
};

static void enter(struct yaml *y, json_t *value, unsigned indent)
{
	ASSERT(y->depth < ARRAY_SIZE(y->levels));
	y->levels[y->depth++] =
		(struct level){.value = value, .member = json_object_iter(value), .indent = indent};
}

static void begin_line(struct yaml *y, unsigned indent)
{
	if (!y->is_begun)
		buf_printf(y->b, "%*s", (int)indent, "");
	y->is_begun = false;
}

static void add_member(struct yaml *y, struct level *l)
{
	json_t *value = json_object_iter_value(l->member);

	begin_line(y, l->indent);
	add_string(y->b, json_object_iter_key(l->member));
	l->member = json_object_iter_next(l->value, l->member);
	if (is_block(value)) {
		buf_puts(y->b, ":\n");
		enter(y, value, json_is_object(value) ? l->indent + 2 : l->indent);
		return;
	}
	buf_puts(y->b, ": ");
	add_scalar(y->b, value);
	buf_putc(y->b, '\n');
}

static void add_item(struct yaml *y, struct level *l)
{
	json_t *value = json_array_get(l->value, l->item++);

	begin_line(y, l->indent);
	buf_puts(y->b, "- ");
	if (is_block(value)) {
		y->is_begun = true;
		enter(y, value, l->indent + 2);
		return;
	}
	add_scalar(y->b, value);
	buf_putc(y->b, '\n');
}

void view_add_yaml(struct buf *b, json_t *object, unsigned indent, bool is_item)
{
	struct yaml y = {.b = b, .is_begun = is_item};

	enter(&y, object, indent);
	while (y.depth > 0) {
		struct level *l = &y.levels[y.depth - 1];

		if (l->member != NULL)
			add_member(&y, l);
		else if (l->item < json_array_size(l->value))
			add_item(&y, l);
		else
			y.depth--;
	}
}
