/* SPDX-License-Identifier: Apache-2.0 */
/* Has a running server take no changes, or take them again. */
#include "base/json.h"
#include "cli/client.h"

#include <stdio.h>

#define ROUTE "/api/v1/freeze"

enum { OPT_REASON = CLIENT_OPTIONS_ };

static const struct cli_option thaw_options[] = {CLIENT_OPTION_ROWS, {NULL}};

static const struct cli_option freeze_options[] = {
	CLIENT_OPTION_ROWS,
	[OPT_REASON] = {"reason", NULL, "TEXT", NULL,
		"why, and perhaps until when: everybody who is refused reads it"},
	{NULL},
};

/* reason NULL: thaws. */
static int change(struct client *client, const char *reason, struct error *err)
{
	CLEANUP(buf_done) struct buf body = BUF_INIT(LIMIT_API_BODY);
	CLEANUP(client_call_done) struct client_call call = {.method = "DELETE", .route = ROUTE};

	if (reason != NULL) {
		json_begin_object(&body);
		json_member_cstr(&body, "reason", reason);
		json_end_object(&body);
		if (buf_check(&body, err) != 0)
			return -1;
		call.method = "PUT";
		call.body = buf_slice(&body);
	}
	return client_run(client, &call, err);
}

static int run(const struct verb *verb, const struct cli_values *v)
{
	CLEANUP(client_freep) struct client *client = NULL;
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
	if (client_open(&client, v, &err) != 0)
		return cli_usage(verb, &err);
	if (change(client, reason, &err) != 0)
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
	.example = "gsq freeze --reason \"the registry moves, until 18:00\"",
};

const struct verb verb_thaw = {
	.name = "thaw",
	.summary = "Have a frozen server take changes again.",
	.options = thaw_options,
	.run = run,
};
