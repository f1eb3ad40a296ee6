/* SPDX-License-Identifier: Apache-2.0 */
#include "cluster/quarantine.h"

#include "base/clock.h"
#include "base/log.h"

#include <stdio.h>

#define KIND "PlatformResource/"
#define LOOK_MS 1000

/* ---- what a message says ---- */

static bool read_name(const char **at, char end, char ret[LIMIT_NAME + 1])
{
	size_t n = strspn(*at, "abcdefghijklmnopqrstuvwxyz0123456789-");

	if (n == 0 || n > LIMIT_NAME || (end != '\0' && (*at)[n] != end))
		return false;
	snprintf(ret, LIMIT_NAME + 1, "%.*s", (int)n, *at);
	*at += n;
	return true;
}

bool quarantine_next_name(
	const char **at, char namespace[LIMIT_NAME + 1], char name[LIMIT_NAME + 1])
{
	const char *found;

	while ((found = strstr(*at, KIND)) != NULL) {
		*at = found + strlen(KIND);
		if (!read_name(at, '/', namespace))
			continue;
		(*at)++;
		if (read_name(at, '\0', name))
			return true;
	}
	return false;
}

/* Refused for what is around the object: Flux's account may not write any (RBAC), or the namespace
 * goes away (namespaces.h). */
static bool is_of_all(const char *message)
{
	return (strstr(message, "is forbidden: User ") != NULL &&
		       strstr(message, " cannot ") != NULL) ||
	       strstr(message, "because it is being terminated") != NULL;
}

static bool starts_with(const char *text, const char *start)
{
	return strncmp(text, start, strlen(start)) == 0;
}

/* The words in parentheses are the reasons of a Kubernetes Status, as Flux gives them:
 * "PlatformResource/a/b dry-run failed (Forbidden): ...". A webhook need not give one; then the API
 * server's own words tell: 'dry-run failed: admission webhook "w" denied the request: ...'. */
bool quarantine_is_refusal(const char *message)
{
	static const char *const reasons[] = {
		" dry-run failed (Invalid):",
		" dry-run failed (Forbidden):",
		" dry-run failed (BadRequest):",
	};
	bool is_refusal = (starts_with(message, " dry-run failed") ||
				  starts_with(message, " apply failed")) &&
			  (strstr(message, " denied the request") != NULL ||
				  strstr(message, " denied request: ") != NULL);

	for (size_t i = 0; i < ARRAY_SIZE(reasons); i++)
		is_refusal = is_refusal || starts_with(message, reasons[i]);
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

static void hold(struct request *request, uint64_t instead);

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
	__atomic_store_n(&request->catalog->holding, false, __ATOMIC_RELEASE);
	free(request);
}

static void hold(struct request *request, uint64_t instead)
{
	publisher_hold(request->quarantine->publisher, request->namespace, request->name,
		request->version, HOLD_REFUSED, instead, request->message, answered, request);
}

static bool has_namespace(struct quarantine *q, const char *namespace)
{
	struct error ignored = ERROR_INIT;

	return namespaces_check(q->namespaces, namespace, &ignored) != 0;
}

/* The tracker knows whether the failure is about the version that is current. */
static void look_at(struct quarantine *q, struct flux_catalog *c, struct state *state,
	const char *namespace, const char *name)
{
	const struct resource *r = state_find(state, namespace, name);
	struct tracker_status status = {.phase = PHASE_UNKNOWN};
	struct request *request;

	if (r == NULL || r->hold != NULL || !has_namespace(q, namespace) ||
		!tracker_status(q->tracker, namespace, name, r, false, &status) ||
		status.phase != PHASE_FAILED)
		return;
	request = calloc(1, sizeof(*request));
	if (request == NULL)
		return; /* Flux will say it again */
	request->quarantine = q;
	request->catalog = c;
	request->version = r->version;
	snprintf(request->namespace, sizeof(request->namespace), "%s", namespace);
	snprintf(request->name, sizeof(request->name), "%s", name);
	snprintf(request->message, sizeof(request->message), "%.*s", LIMIT_HOLD_MESSAGE,
		c->kustomization.failure.message);
	__atomic_store_n(&c->holding, true, __ATOMIC_RELEASE);
	hold(request, status.version < r->version ? status.version : 0);
}

void quarantine_look(struct quarantine *q, struct flux_catalog *c)
{
	const struct flux_failure *failure = &c->kustomization.failure;
	const char *at = failure->message;
	char namespace[LIMIT_NAME + 1], name[LIMIT_NAME + 1];
	CLEANUP(state_unrefp) struct state *state = NULL;

	if (!failure->is_failing || failure->message[0] == '\0')
		return;
	state = publisher_state(q->publisher);
	while (state != NULL && !__atomic_load_n(&c->holding, __ATOMIC_ACQUIRE) &&
		quarantine_next_name(&at, namespace, name))
		if (quarantine_is_refusal(at))
			look_at(q, c, state, namespace, name);
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
