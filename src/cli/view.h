/* SPDX-License-Identifier: Apache-2.0 */
/* Resources as the API answers them, and as people are shown them. */
#ifndef CLI_VIEW_H
#define CLI_VIEW_H

#include "cli/client.h"
#include "intent/intent.h"

#define VIEW_KIND "platformresource"
#define VIEW_KINDS "platformresources"

#define VIEW_OPTION_ALL_NAMESPACES \
	{ \
		.flag = "all-namespaces", .letter = 'A', .help = "of all namespaces" \
	}
#define VIEW_OPTION_SELECTOR \
	{ \
		.flag = "selector", .letter = 'l', .argument = "SELECTOR", \
		.help = "only those with such labels: team=shop,tier!=test,owner" \
	}

/* Borrowed from the JSON. */
struct view {
	const char *namespace, *name, *version, *digest, *updated_at;
	const char *type, *size, *region; /* region NULL: not given */
	json_int_t replicas;
	json_t *labels; /* NULL: none */
	json_t *spec;
	json_t *status;    /* NULL: not told */
	const char *phase; /* "": not told; so are the two */
	const char *reason, *message;
};

/* Of an element of a list, or of the answer of one. */
int view_read(
	struct view *ret, const struct client *c, json_t *resource, struct error *err) MUST_CHECK;

/* What is wanted, as it stands in "status": "" where there is none. */
const char *view_text(json_t *object, const char *key);

/* What it is called: "web" of "platformresource/web" and of "web". */
const char *view_name(const char *argument);

/* ---- reading ---- */

/* One of them. Where there is none, the error names those that are called nearly the same. */
int view_get(json_t **ret, struct client *c, const char *namespace, const char *name,
	struct error *err) MUST_CHECK;
/* What is below it: "/status". */
int view_get_part(json_t **ret, struct client *c, const char *namespace, const char *name,
	const char *part, struct error *err) MUST_CHECK;

/* That error, for calls that have heard already that it is not there. */
int view_not_there(struct client *c, const char *namespace, const char *name, struct error *err);

/* The route of a list; namespace: or CLIENT_ALL. selector NULL: any. The caller's to free; NULL
 * without memory. */
char *view_list_route(const char *namespace, const char *selector);
/* That it has nothing, on standard error, in kubectl's words. */
void view_tell_none(const char *namespace);

/* Asks on the terminal; yes where nobody is there to be asked. */
bool view_ask(const char *question);

/* What was declared. */
int view_intent(struct intent **ret, const struct view *view, struct error *err) MUST_CHECK;

/* A list for programs: "json" or "yaml". */
int view_print(json_t *list, const char *output, struct error *err) MUST_CHECK;

/* ---- as Kubernetes has them ---- */

/* The object, with the version, the digest and the status; NULL without memory. */
json_t *view_object(const struct view *view);

#endif
