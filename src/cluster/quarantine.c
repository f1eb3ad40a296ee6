/* SPDX-License-Identifier: Apache-2.0 */
#include "cluster/quarantine.h"

#include "base/clock.h"
#include "base/log.h"
#include "cluster/resources.h"

#include <stdio.h>

#define LOOK_MS 1000
#define RETRY_MS 30000 /* after a hold that failed */
#define RESOURCE "platformresources.gitops-squared.io"

/* ---- what a message says ---- */

static bool starts_with(const char *text, const char *start)
{
	return strncmp(text, start, strlen(start)) == 0;
}

/* Refused for what is around the object: Flux's account may not write any (RBAC), or the namespace
 * goes away (namespaces.h). The API server's sentence begins with resource and name, and where a
 * webhook speaks, in its own words, it does not. */
static bool is_of_all(const char *message)
{
	static const char start[] = ": " RESOURCE " \"", before[] = "\" is forbidden: ";
	const char *why = strchr(message, ':');

	if (why == NULL || !starts_with(why, start))
		return false;
	why = strchr(why + strlen(start), '"'); /* where the name ends */
	if (why == NULL || !starts_with(why, before))
		return false;
	why += strlen(before);
	return starts_with(why, "User \"") ||
	       starts_with(why, "unable to create new content in namespace ");
}

/* The words in parentheses are the reasons of a Kubernetes Status, as Flux gives them:
 * "PlatformResource/a/b dry-run failed (Forbidden): ...". A webhook need not give one; then the API
 * server's own words tell: 'dry-run failed: admission webhook "w" denied the request: ...'. */
bool quarantine_is_refusal(const char *message)
{
	static const char *const starts[] = {
		" dry-run failed (Invalid):",
		" dry-run failed (Forbidden):",
		" dry-run failed (BadRequest):",
	};
	bool is_refusal = (starts_with(message, " dry-run failed") ||
				  starts_with(message, " apply failed")) &&
			  (strstr(message, " denied the request") != NULL ||
				  strstr(message, " denied request: ") != NULL);

	for (size_t i = 0; i < ARRAY_SIZE(starts); i++)
		is_refusal = is_refusal || starts_with(message, starts[i]);
	return is_refusal && !is_of_all(message);
}

/* ---- holding ---- */

struct request {
	struct quarantine *quarantine;
	struct flux_catalog *catalog; /* its own until it is answered */
	uint64_t version;
	char namespace[LIMIT_NAME + 1], name[LIMIT_NAME + 1];
	char message[LIMIT_HOLD_MESSAGE + 1];
};

/* After a failure it is left alone for a while. */
static void request_end(struct request *request, bool failed)
{
	if (!failed)
		request->catalog->hold_ms = 0;
	__atomic_store_n(&request->catalog->holding, false, __ATOMIC_RELEASE);
	free(request);
}

/* On the publisher's thread. A hold that fails is not tried without the version that was to stand
 * in: then Flux would delete the object. */
static void answered(const struct outcome *outcome, void *arg)
{
	struct request *request = arg;

	if (outcome->err.code != ERROR_NONE)
		log_warn("a refused resource cannot be held",
			LOG_STR("namespace", request->namespace), LOG_STR("name", request->name),
			LOG_STR("reason", outcome->err.text));
	else if (outcome->op == OUTCOME_UPDATED)
		log_warn("Flux refuses a resource: it is held, and the others go on",
			LOG_STR("namespace", request->namespace), LOG_STR("name", request->name),
			LOG_STR("reason", request->message));
	request_end(request, outcome->err.code != ERROR_NONE);
}

static void hold(struct request *request, uint64_t instead)
{
	publisher_hold(request->quarantine->publisher, request->namespace, request->name,
		request->version, HOLD_REFUSED, instead, request->message, answered, request);
}

/* Nothing seems to be in the cluster that could stay: that must be so, for what is held without
 * another version in its place is deleted by Flux. */
static void looked(int status, json_t *object, const struct error *err, void *arg)
{
	struct request *request = arg;
	uint64_t version = 0;

	if (status == 404) {
		hold(request, 0);
		return;
	}
	if (object != NULL &&
		resource_tag_parse(
			slice_of(kube_annotation(object, RESOURCES_VERSION)), &version) &&
		version < request->version) {
		hold(request, version);
		return;
	}
	log_warn("a refused resource is not held: it is not known what would stay of it",
		LOG_STR("namespace", request->namespace), LOG_STR("name", request->name),
		LOG_STR("reason",
			err != NULL ? err->text : "the object carries no earlier version"));
	request_end(request, true);
}

static void look_first(struct request *request)
{
	char path[256];

	snprintf(path, sizeof(path), RESOURCES_API "/namespaces/%s/platformresources/%s",
		request->namespace, request->name);
	kube_get(request->quarantine->kube, path, looked, request);
}

static bool has_namespace(struct quarantine *q, const char *namespace)
{
	struct error ignored = ERROR_INIT;

	return namespaces_check(q->namespaces, namespace, &ignored) != 0;
}

/* The tracker knows whether the failure is about the version that is current. */
static void look_at(struct quarantine *q, struct flux_catalog *c, const struct resource *r)
{
	const struct intent *intent = r->intent;
	struct tracker_status status = {.phase = PHASE_UNKNOWN};
	const char *message = c->kustomization.failure.message;
	size_t n = flux_message_own(message);
	struct request *request;

	if (r->hold != NULL || !has_namespace(q, intent->namespace) ||
		!tracker_status(q->tracker, intent->namespace, intent->name, r, false, &status) ||
		status.phase != PHASE_FAILED)
		return;
	request = calloc(1, sizeof(*request));
	if (request == NULL)
		return; /* the next look tries again */
	request->quarantine = q;
	request->catalog = c;
	request->version = r->version;
	snprintf(request->namespace, sizeof(request->namespace), "%s", intent->namespace);
	snprintf(request->name, sizeof(request->name), "%s", intent->name);
	snprintf(request->message, sizeof(request->message), "%.*s",
		(int)(n < LIMIT_HOLD_MESSAGE ? n : LIMIT_HOLD_MESSAGE), message);
	c->hold_ms = clock_monotonic_ms() + RETRY_MS;
	__atomic_store_n(&c->holding, true, __ATOMIC_RELEASE);
	if (status.version != 0 && status.version < r->version)
		hold(request, status.version);
	else
		look_first(request);
}

void quarantine_look(struct quarantine *q, struct flux_catalog *c)
{
	const struct flux_failure *failure = &c->kustomization.failure;
	CLEANUP(state_unrefp) struct state *state = NULL;
	char namespace[LIMIT_NAME + 1], name[LIMIT_NAME + 1];
	const struct resource *r;
	const char *rest;

	if (!failure->is_failing || q->is_blind || __atomic_load_n(&c->holding, __ATOMIC_ACQUIRE) ||
		clock_monotonic_ms() < c->hold_ms ||
		!flux_message_object(failure->message, namespace, name, &rest) ||
		!quarantine_is_refusal(rest))
		return;
	state = publisher_state(q->publisher, NULL);
	r = state == NULL ? NULL : state_find(state, namespace, name);
	if (r != NULL)
		look_at(q, c, r);
}

void quarantine_tick(struct quarantine *q, struct flux *flux)
{
	uint64_t now_ms = clock_monotonic_ms();

	if (now_ms - q->looked_ms < LOOK_MS)
		return;
	q->looked_ms = now_ms;
	for (size_t i = 0; i < flux->n; i++)
		quarantine_look(q, flux->catalogs[i]);
}
