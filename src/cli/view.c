/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/view.h"

#include "base/nearest.h"
#include "cli/yaml.h"
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

/* What kubectl wants before a name. */
static bool is_kind(const char *word)
{
	static const char *const kinds[] = {
		VIEW_KIND, VIEW_KINDS, "pr", "vm", "database", "bucket"};

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (strcmp(word, kinds[i]) == 0)
			return true;
	return false;
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
	if (s.n == 0 && is_kind(name))
		return error_set(err, ERROR_NOT_FOUND,
			"there is no resource %s in the namespace %s; resources are called by "
			"their "
			"names alone, without a kind",
			name, namespace);
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

void view_tell_none(const char *namespace)
{
	if (client_is_all(namespace))
		fputs("No resources found\n", stderr);
	else
		fprintf(stderr, "No resources found in %s namespace.\n", namespace);
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

int view_print(json_t *list, const char *output, struct error *err)
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(LIMIT_HTTP_REPLY);
	AUTO_FREE char *json = NULL;

	if (strcmp(output, "yaml") != 0) {
		json = json_dumps(list, JSON_INDENT(2));
		if (json == NULL)
			return error_no_memory(err);
		puts(json);
		return 0;
	}
	if (json_array_size(list) == 0)
		buf_puts(&text, "[]\n");
	yaml_write(&text, list, 0, false);
	if (buf_check(&text, err) != 0)
		return -1;
	fwrite(text.data, 1, text.len, stdout);
	return 0;
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
