/* SPDX-License-Identifier: Apache-2.0 */
#include "publish/precondition.h"

#include "base/clock.h"

#include <inttypes.h>

bool precondition_holds(const struct precondition *when, const struct resource *current)
{
	switch (when->kind) {
	case IF_ANYTHING:
		break;
	case IF_THERE:
		return current != NULL;
	case IF_NOT_THERE:
		return current == NULL;
	case IF_VERSION:
		return current != NULL && current->version == when->version;
	}
	return true;
}

/* What is asked for is about something that is not there. */
static int refuse_missing(const struct precondition *when, const char *name, struct error *err)
{
	if (when->kind == IF_VERSION && when->version != 0)
		return error_set(err, ERROR_PRECONDITION,
			"%s is not there any more, and the request is about v%" PRIu64, name,
			when->version);
	if (when->kind == IF_NOT_THERE)
		return error_set(err, ERROR_PRECONDITION,
			"%s was there a moment ago, and is deleted now: send it again", name);
	return error_set(err, ERROR_PRECONDITION,
		"%s is not there, and the request changes only what is", name);
}

static int refuse_different(
	const struct precondition *when, const char *name, uint64_t version, struct error *err)
{
	char since[CLOCK_RFC3339_SIZE];

	clock_rfc3339(version, since);
	if (when->kind == IF_NOT_THERE)
		return error_set(err, ERROR_PRECONDITION,
			"%s is there already, at v%" PRIu64 " (%s): read it again", name, version,
			since);
	if (when->kind == IF_VERSION && when->version != 0)
		return error_set(err, ERROR_PRECONDITION,
			"%s was changed since: it is at v%" PRIu64
			" now (%s), and the request is about v%" PRIu64 ": read it again",
			name, version, since, when->version);
	return error_set(err, ERROR_PRECONDITION,
		"%s is at v%" PRIu64
		" (%s), which is none of what the request is about: read it again",
		name, version, since);
}

int precondition_refuse(const struct precondition *when, const char *name,
	const struct resource *current, struct error *err)
{
	if (current == NULL)
		return refuse_missing(when, name, err);
	return refuse_different(when, name, current->version, err);
}

int precondition_refuse_revision(uint64_t wanted, uint64_t current, struct error *err)
{
	return error_set(err, ERROR_PRECONDITION,
		"the catalog was changed since: it is at c%" PRIu64
		" now, and the request is about c%" PRIu64 ": read it again first",
		current, wanted);
}
