/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/wait.h"

#include "cli/terminal.h"

#include <limits.h>
#include <stdio.h>

#define ASKED_SINGLY 64 /* more items than these are looked up in lists */
#define TOLD_SINGLY 20  /* of those that are not done */

struct waiting {
	struct client *client;
	struct wait_item *items; /* sorted */
	size_t n, n_pending;
	struct progress progress;
	bool has_no_cluster, has_asked_others;
	struct error err; /* of a question */
};

/* ---- what is heard ---- */

static int by_resource(const void *a, const void *b)
{
	const struct wait_item *x = a, *y = b;
	int order = strcmp(x->namespace, y->namespace);

	return order != 0 ? order : strcmp(x->name, y->name);
}

static struct wait_item *find(const struct waiting *w, const char *namespace, const char *name)
{
	struct wait_item key = {.namespace = namespace, .name = name};

	return bsearch(&key, w->items, w->n, sizeof(key), by_resource);
}

static void copy(char *to, size_t size, const char *text)
{
	snprintf(to, size, "%s", text == NULL ? "" : text);
	utf8_make_printable(to, true);
}

static void enter(struct waiting *w, struct wait_item *item, enum wait_state state)
{
	if (item->state == WAIT_DONE)
		return;
	w->n_pending += state == WAIT_PENDING;
	w->n_pending -= item->state == WAIT_PENDING;
	item->state = state;
	w->progress.done += state == WAIT_DONE;
}

static const char *text_of(json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text == NULL ? "" : text;
}

/* The status of one that is there, its reason and message where they are known. */
static void hear(struct waiting *w, struct wait_item *item, json_t *status)
{
	const char *phase = text_of(status, "phase");

	if (item->state == WAIT_DONE)
		return;
	copy(item->phase, sizeof(item->phase), phase);
	copy(item->reason, sizeof(item->reason), text_of(status, "reason"));
	copy(item->message, sizeof(item->message), text_of(status, "message"));
	w->has_no_cluster = w->has_no_cluster || strcmp(item->reason, "NoCluster") == 0;
	if ((strcmp(phase, "deleting") == 0) != item->deleted)
		enter(w, item, WAIT_REPLACED);
	else if (strcmp(phase, "applied") == 0)
		enter(w, item, WAIT_DONE);
	else
		enter(w, item, strcmp(phase, "failed") == 0 ? WAIT_FAILED : WAIT_PENDING);
}

static void hear_nothing_there(struct waiting *w, struct wait_item *item)
{
	enter(w, item, item->deleted ? WAIT_DONE : WAIT_REPLACED);
}

/* ---- questions ---- */

/* Without a cluster nothing has a status once it is deleted; others say that there is none. */
static int check_cluster(struct waiting *w, const char *namespace, struct error *err)
{
	AUTO_FREE char *list = client_route(namespace, "?phase=unknown&limit=1");
	CLEANUP(json_decrefp) json_t *page = NULL, *status = NULL;
	AUTO_FREE char *route = NULL;
	json_t *other;

	w->has_asked_others = true;
	if (list == NULL)
		return error_no_memory(err);
	if (client_get(w->client, list, &page, err) != 0)
		return -1;
	other = json_array_get(json_object_get(page, "resources"), 0);
	if (other == NULL)
		return 0;
	route = client_route(namespace, "/%s/status", text_of(other, "name"));
	if (route == NULL)
		return error_no_memory(err);
	/* It may be gone too by now. */
	if (client_get(w->client, route, &status, &(struct error)ERROR_INIT) == 0)
		w->has_no_cluster = strcmp(text_of(status, "reason"), "NoCluster") == 0;
	return 0;
}

static int ask(struct waiting *w, struct wait_item *item, struct error *err)
{
	AUTO_FREE char *route = client_route(item->namespace, "/%s/status", item->name);
	CLEANUP(json_decrefp) json_t *status = NULL;
	struct error why = ERROR_INIT;

	if (route == NULL)
		return error_no_memory(err);
	if (client_get(w->client, route, &status, &why) == 0) {
		hear(w, item, status);
		return 0;
	}
	if (why.code != ERROR_NOT_FOUND) {
		*err = why;
		return -1;
	}
	hear_nothing_there(w, item);
	return item->deleted && !w->has_asked_others ? check_cluster(w, item->namespace, err) : 0;
}

/* What a list says: the phase alone. */
static int each_listed(json_t *resource, void *arg, struct error *err)
{
	struct waiting *w = arg;
	struct wait_item *item = find(w, text_of(resource, "namespace"), text_of(resource, "name"));
	json_t *status = json_object_get(resource, "status");
	const char *phase = text_of(status, "phase");

	if (item == NULL)
		return 0;
	/* Why, the resource itself says; of what is unknown that is the same for all. */
	if (strcmp(phase, "failed") == 0 || (strcmp(phase, "unknown") == 0 && item == &w->items[0]))
		return ask(w, item, err);
	hear(w, item, status);
	return 0;
}

/* Those of one namespace, from items[first] on; *ret is the first of the next. */
static int ask_namespace(struct waiting *w, size_t first, size_t *ret, struct error *err)
{
	const char *namespace = w->items[first].namespace;
	AUTO_FREE char *route = client_route(namespace, "%s", "");
	size_t end = first;

	if (route == NULL)
		return error_no_memory(err);
	for (; end < w->n && strcmp(w->items[end].namespace, namespace) == 0; end++)
		w->items[end].phase[0] = '\0';
	if (client_list(w->client, route, "resources", each_listed, w, err) != 0)
		return -1;
	for (size_t i = first; i < end; i++) {
		struct wait_item *item = &w->items[i];

		/* It is in no list: deleted, and perhaps in the cluster still. */
		if (item->phase[0] == '\0' && item->state != WAIT_DONE && ask(w, item, err) != 0)
			return -1;
	}
	*ret = end;
	return 0;
}

static int ask_all(struct waiting *w, struct error *err)
{
	if (w->n > ASKED_SINGLY) {
		for (size_t i = 0; i < w->n;)
			if (ask_namespace(w, i, &i, err) != 0)
				return -1;
		return 0;
	}
	for (size_t i = 0; i < w->n; i++)
		if (w->items[i].state != WAIT_DONE && ask(w, &w->items[i], err) != 0)
			return -1;
	return 0;
}

/* ---- events ---- */

static uint64_t number_of(const char *version)
{
	uint64_t number;

	return version[0] == 'v' && slice_to_u64(slice_of(version + 1), &number) ? number : 0;
}

/* A version before the one that is waited for was still on its way. */
static bool is_older(const struct wait_item *item, json_t *data)
{
	return item->version != NULL &&
	       number_of(text_of(data, "version")) < number_of(item->version);
}

/* Why one has failed, a change does not tell. */
static int hear_change(struct waiting *w, struct wait_item *item, json_t *data, struct error *err)
{
	bool is_deletion = strcmp(text_of(data, "op"), "deleted") == 0;

	if (is_deletion && !item->deleted)
		enter(w, item, WAIT_REPLACED);
	else if (!is_deletion && strcmp(text_of(data, "phase"), "failed") == 0)
		return ask(w, item, err);
	else if (!is_deletion)
		hear(w, item, data);
	return 0;
}

static int hear_event(struct waiting *w, const char *event, json_t *data, struct error *err)
{
	struct wait_item *item = find(w, text_of(data, "namespace"), text_of(data, "name"));

	if (item == NULL || is_older(item, data))
		return 0;
	if (strcmp(event, "change") == 0)
		return hear_change(w, item, data, err);
	if (strcmp(event, "gone") == 0)
		hear_nothing_there(w, item);
	else if (strcmp(event, "phase") == 0)
		hear(w, item, json_object_get(data, "status"));
	return 0;
}

static bool each_event(const char *event, json_t *data, void *arg)
{
	struct waiting *w = arg;
	bool is_first = strcmp(event, "hello") == 0 || strcmp(event, "reset") == 0;

	if ((is_first ? ask_all(w, &w->err) : hear_event(w, event, data, &w->err)) != 0)
		return false;
	progress_show(&w->progress);
	return w->n_pending > 0 && !w->has_no_cluster;
}

/* ---- what came of it ---- */

static void tell_name(FILE *out, const struct waiting *w, const struct wait_item *item)
{
	if (strcmp(item->namespace, client_namespace(w->client)) != 0)
		fprintf(out, "%s/", item->namespace);
	fputs(item->name, out);
}

static void tell_item(const struct waiting *w, const struct wait_item *item)
{
	tell_name(stderr, w, item);
	if (item->state == WAIT_REPLACED && item->deleted)
		fputs(": was made again meanwhile", stderr);
	else if (item->state == WAIT_REPLACED)
		fputs(": was deleted meanwhile", stderr);
	else
		fprintf(stderr, ": %s", item->phase[0] == '\0' ? "not heard of yet" : item->phase);
	if (item->state != WAIT_REPLACED && item->reason[0] != '\0')
		fprintf(stderr, ", %s", item->reason);
	if (item->state != WAIT_REPLACED && item->message[0] != '\0')
		fprintf(stderr, ": %s", item->message);
	fputc('\n', stderr);
}

static void tell_not_done(const struct waiting *w)
{
	size_t told = 0, others = 0;

	for (size_t i = 0; i < w->n; i++) {
		if (w->items[i].state == WAIT_DONE)
			continue;
		if (told == TOLD_SINGLY) {
			others++;
			continue;
		}
		tell_item(w, &w->items[i]);
		told++;
	}
	if (others > 0)
		fprintf(stderr, "and %zu more\n", others);
}

static void tell_done(const struct waiting *w)
{
	size_t gone = 0;

	for (size_t i = 0; i < w->n; i++)
		gone += w->items[i].deleted;
	if (w->n == 1) {
		tell_name(stdout, w, &w->items[0]);
		puts(gone == 1 ? " is gone" : " is applied");
	} else if (gone == 0) {
		printf("all %zu are applied\n", w->n);
	} else if (gone == w->n) {
		printf("all %zu are gone\n", w->n);
	} else {
		printf("%zu applied, %zu gone\n", w->n - gone, gone);
	}
}

static int tell(const struct verb *verb, const struct waiting *w, struct error *err)
{
	const char *is = w->progress.done == 1 ? "is" : "are";
	char text[LIMIT_ERROR_TEXT];

	if (w->has_no_cluster) {
		error_set(err, ERROR_UNAVAILABLE,
			"the server watches no cluster, so nobody can tell when it has this: do "
			"not wait, or start gsq serve with --kubeconfig or --in-cluster");
		return cli_failed(verb, err);
	}
	if (err->code == ERROR_NONE && w->progress.done == w->n) {
		tell_done(w);
		return EXIT_OK;
	}
	if (err->code != ERROR_NONE && err->code != ERROR_TIMEOUT)
		return cli_failed(verb, err);
	if (err->code == ERROR_TIMEOUT || w->n_pending == 0)
		tell_not_done(w);
	if (err->code == ERROR_TIMEOUT)
		error_set(err, ERROR_TIMEOUT,
			"the time is over: %zu of %zu %s done. What is changed stays changed, and "
			"gsq status tells how it goes on",
			w->progress.done, w->n, is);
	else if (w->n_pending == 0)
		error_set(err, ERROR_CONFLICT, "%zu of %zu %s done", w->progress.done, w->n, is);
	if (err->code != ERROR_NONE)
		return cli_failed(verb, err);
	snprintf(text, sizeof(text),
		"%zu of %zu %s done. What is changed stays changed, and gsq status tells how it "
		"goes on",
		w->progress.done, w->n, is);
	return cli_interrupted(verb, text);
}

/* ---- all of it ---- */

static const char *watched(const struct wait_item *items, size_t n)
{
	return strcmp(items[0].namespace, items[n - 1].namespace) == 0 ? items[0].namespace : "*";
}

static int watch(struct waiting *w, uint64_t timeout_s, struct error *err)
{
	uint64_t ms = timeout_s * 1000 < UINT_MAX ? timeout_s * 1000 : UINT_MAX;
	AUTO_FREE char *route = str_printf("/api/v1/watch?namespace=%s", watched(w->items, w->n));

	if (route == NULL)
		return error_no_memory(err);
	if (client_watch(w->client, route, (unsigned)ms, each_event, w, err) != 0)
		return -1;
	if (w->err.code == ERROR_NONE)
		return 0;
	*err = w->err;
	return -1;
}

int wait_check(const struct cli_values *v, size_t opt_wait, size_t opt_timeout, struct error *err)
{
	uint64_t ignored;

	if (cli_duration("timeout", v->at[opt_timeout], &ignored, err) != 0)
		return -1;
	if (v->given[opt_timeout] && v->at[opt_wait] == NULL)
		return error_set(err, ERROR_INVALID, "--timeout goes with --wait");
	return 0;
}

int wait_run(const struct verb *verb, struct client *c, const struct cli_values *v,
	size_t opt_timeout, struct wait_item *items, size_t n)
{
	struct waiting w = {.client = c, .items = items, .n = n, .n_pending = n};
	struct error err = ERROR_INIT;
	uint64_t timeout_s;

	if (cli_duration("timeout", v->at[opt_timeout], &timeout_s, &err) != 0)
		return cli_usage(verb, &err);
	if (n == 0)
		return EXIT_OK;
	qsort(items, n, sizeof(*items), by_resource);
	for (size_t i = 0; i < n; i++)
		items[i].state = WAIT_PENDING;
	w.progress = (struct progress){.what = items[0].deleted ? "gone" : "applied", .all = n};
	if (watch(&w, timeout_s, &err) != 0)
		ASSERT(err.code != ERROR_NONE);
	progress_end(&w.progress);
	return tell(verb, &w, &err);
}
