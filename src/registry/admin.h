/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a command reaches the data of a running server: one process has the folder, so the command
 * asks it for the job, over the Unix socket <data folder>/admin.sock. Its mode is 0600: who may
 * administer the registry is who may use its folder.
 *
 *   POST /v1/jobs/<name>?dry-run=true&grace=SECONDS&path=...&repository=...
 *   200 {"report":"..."}, or an error status and {"report":"...","error":"..."}
 *
 * Without grace= it is the server's own. The answer comes when the job has ended. A job goes on
 * when the one who asked has gone.
 */
#ifndef REGISTRY_ADMIN_H
#define REGISTRY_ADMIN_H

#include "http/server.h"
#include "registry/jobs.h"

/* The server's side, in the folder of e, whose upkeep must have been started. Before e is freed,
 * stop the upkeep, then free the server: the last answers go out. */
int admin_listen(struct http_server **ret, struct http_loops *loops, struct embedded *e,
	struct error *err) MUST_CHECK;

/*
 * The command's side: asks for the job and waits until it has ended; *report holds what it said,
 * also where it failed. Paths are the server's: absolute, read and written by its user.
 * ERROR_NOT_FOUND: no server listens, and nothing has happened.
 */
int admin_call(const char *data_dir, const char *job, const struct job_args *args,
	struct buf *report, struct error *err) MUST_CHECK;

#endif
