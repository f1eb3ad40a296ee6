/* SPDX-License-Identifier: Apache-2.0 */
/* Has a running server take no changes, or take them again. */
#include "base/buf.h"
#include "base/json.h"
#include "cli/cli.h"
#include "cli/remote_server.h"

#include <signal.h>
#include <stdio.h>

#define ROUTE "/api/v1/freeze"

enum { OPT_SERVER, OPT_TOKEN, OPT_CA, OPT_INSECURE, OPT_REASON };

static const struct cli_option thaw_options[] = {
	[OPT_SERVER] = REMOTE_SERVER_OPTION_URL,
	[OPT_TOKEN] = REMOTE_SERVER_OPTION_TOKEN,
	[OPT_CA] = REMOTE_SERVER_OPTION_CA,
	[OPT_INSECURE] = REMOTE_SERVER_OPTION_INSECURE,
	{NULL},
};

static const struct cli_option freeze_options[] = {
	[OPT_SERVER] = REMOTE_SERVER_OPTION_URL,
	[OPT_TOKEN] = REMOTE_SERVER_OPTION_TOKEN,
	[OPT_CA] = REMOTE_SERVER_OPTION_CA,
	[OPT_INSECURE] = REMOTE_SERVER_OPTION_INSECURE,
	[OPT_REASON] = {"reason", NULL, "TEXT", NULL,
		"why, and perhaps until when: everybody who is refused reads it"},
	{NULL},
};

/* reason NULL: thaws. */
static int change(struct remote_server *server, const char *reason, struct error *err)
{
	CLEANUP(buf_done) struct buf body = BUF_INIT(LIMIT_API_BODY);
	CLEANUP(json_decrefp) json_t *answer = NULL;

	if (reason == NULL)
		return remote_server_call(server, "DELETE", ROUTE, SLICE_NONE, &answer, err);
	json_begin_object(&body);
	json_member_cstr(&body, "reason", reason);
	json_end_object(&body);
	if (buf_check(&body, err) != 0)
		return -1;
	return remote_server_call(server, "PUT", ROUTE, buf_slice(&body), &answer, err);
}

static int open_server(struct remote_server **ret, const struct cli_values *v, struct error *err)
{
	struct remote_server_options options = {
		v->at[OPT_SERVER], v->at[OPT_TOKEN], v->at[OPT_CA], v->at[OPT_INSECURE] != NULL};

	return remote_server_new(ret, &options, err);
}

static int run(const struct verb *verb, const struct cli_values *v)
{
	CLEANUP(remote_server_freep) struct remote_server *server = NULL;
	bool freezes = verb == &verb_freeze;
	struct error err = ERROR_INIT;
	const char *reason = NULL;

	if (freezes)
		reason = v->at[OPT_REASON];
	if (freezes && reason == NULL) {
		error_set(&err, ERROR_INVALID,
			"--reason is missing: everybody who is refused reads it");
		return cli_usage(verb, &err);
	}
	signal(SIGPIPE, SIG_IGN);
	if (open_server(&server, v, &err) != 0)
		return cli_usage(verb, &err);
	if (change(server, reason, &err) != 0)
		return cli_failed(verb, &err);
	puts(freezes ? "frozen: no changes are taken until gsq thaw" : "changes are taken");
	return EXIT_OK;
}

const struct verb verb_freeze = {
	.name = "freeze",
	.summary = "Have a running server take no changes, for a reason that every refusal shows. "
		   "It stays so over restarts, until gsq thaw; reading goes on, and so does Flux.",
	.options = freeze_options,
	.run = run,
};

const struct verb verb_thaw = {
	.name = "thaw",
	.summary = "Have a frozen server take changes again.",
	.options = thaw_options,
	.run = run,
};
