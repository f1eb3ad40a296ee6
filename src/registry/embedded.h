/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The embedded registry: an OCI Distribution server (distribution-spec v1.1) on SQLite and blob
 * files in one folder, and a struct registry on the same store for the publisher.
 *
 * What it answers is durable. One process per folder: the folder is locked.
 */
#ifndef REGISTRY_EMBEDDED_H
#define REGISTRY_EMBEDDED_H

#include "auth/auth.h"
#include "http/server.h"
#include "oci/registry.h"

struct embedded; /* the store and its workers */

/* Opens or makes the folder. ERROR_CONFLICT when another process has it; ERROR_INTERNAL when its
 * data is newer than this program. */
int embedded_new(struct embedded **ret, const char *data_dir, struct error *err) MUST_CHECK;

struct upkeep_options {
	uint64_t gc_interval_s; /* garbage is collected so often; 0: only when asked for */
	uint64_t gc_grace_s;    /* what is younger stays */
};                              /* up to LIMIT_DURATION_S */

/* Starts a server's upkeep (registry/upkeep.h). A command that has the folder to itself runs its
 * job (registry/jobs.h) and does without. Once. */
int embedded_start_upkeep(
	struct embedded *e, const struct upkeep_options *options, struct error *err) MUST_CHECK;

/* Cuts off and refuses jobs; who waits for one gets an answer. Nothing if there is no upkeep. */
void embedded_stop_upkeep(struct embedded *e);

/* The servers and the registry made from it must be gone, their loops must still run: waits for the
 * requests that these have left behind. */
void embedded_free(struct embedded *e);

/* Has gsq_store_bytes (registry/metrics.h) measured, by a worker: this does not wait, and does
 * nothing where that is going on or was done a moment ago. */
void embedded_measure(struct embedded *e);

/* The publisher's way in. */
int embedded_registry(struct registry **ret, struct embedded *e, struct error *err) MUST_CHECK;

/*
 * The outside's way in: the service behind --registry-listen. Routes under /v2/, and /token where
 * there is auth. Pushes into "gitops-squared/" are refused, whoever asks: the API is the only
 * author of intent.
 *
 * auth: who may do what, by registry/access.h; must outlive e. NULL: everybody may do everything.
 * public_url: how clients reach the service, "https://registry.example.com", where that is not by
 * the name in their Host header; must outlive the servers. Or NULL. Once.
 */
struct http_service embedded_service(struct embedded *e, struct auth *auth, const char *public_url);

#endif
