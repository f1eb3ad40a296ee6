/* SPDX-License-Identifier: Apache-2.0 */
/* A change that a verb sends, all or none of it, and what is told of its answer (api/change_set.h).
 */
#ifndef CLI_CHANGE_H
#define CLI_CHANGE_H

#include "cli/client.h"
#include "cli/input.h"
#include "intent/intent.h"

/* Rows of the table of options. */
#define CHANGE_OPTION_DRY_RUN \
	{ \
		.flag = "dry-run", \
		.help = "say what would be done, and why not; change nothing. gsq diff shows " \
			"the differences" \
	}
#define CHANGE_OPTION_REASON \
	{ \
		.flag = "reason", .argument = "TEXT", .help = "why: it is kept with the change" \
	}
#define CHANGE_OPTION_CONFIRM \
	{ \
		.flag = "confirm", .argument = "prune", .values = "prune", \
		.help = "so many removals that nobody named are meant" \
	}

#define CHANGE_OPTION_YES \
	{ \
		.flag = "yes", .letter = 'y', \
		.help = "do not ask, on a terminal, before what is named by nobody goes or comes " \
			"back" \
	}

/* Of these options, before anything is changed. */
int change_check(const struct cli_values *v, size_t opt_wait, size_t opt_timeout, size_t opt_reason,
	struct error *err) MUST_CHECK;

struct change_options {
	bool dry_run, confirmed;
	const char *reason;       /* NULL: none. One that change_check() takes */
	const char *precondition; /* a header, "If-Match: ..."; NULL: none */
	size_t n; /* resources that it names, for the bar of progress; 0: not known */
};

/* Sends it, and again where the answer is lost: it carries an Idempotency-Key, so it is made once.
 * route has no query. call: to be freed by client_call_done(), after an error too. Where the guard
 * refuses, the error says which option helps; where nobody knows whether it was made, that it may
 * be sent again. */
int change_send(struct client *c, const char *route, struct slice body,
	const struct change_options *options, struct client_call *call,
	struct error *err) MUST_CHECK;

/* On a terminal: tries it, as if the guard were confirmed, shows what would become of the resources
 * from that place of the answer on, and asks "WHAT 3 resources REST?". *ret_is_meant: it is; then
 * the guard is confirmed too, as somebody has seen what it counts. Nothing is asked where nobody is
 * there, or nothing would change. */
struct change_question {
	const char *what, *rest; /* "Take", "back to c12" */
	size_t from;
};
int change_ask(struct client *c, const char *route, struct slice body,
	const struct change_question *question, struct change_options *options, bool *ret_is_meant,
	struct error *err) MUST_CHECK;

/* The header X-Change-Reason; NULL without memory. */
char *change_reason_header(const char *reason);

/* {"name","namespace"?,"labels"?,"spec"}; is_told: its namespace, which a path may say already. */
void change_add_resource(struct buf *b, const struct intent *intent, bool is_told);
/* The member "changes" of a body: what files say. */
void change_add_input(struct buf *body, const struct input *input);
/* Files without a resource. */
int change_nothing_given(struct error *err);
/* 0 where the body fits. */
int change_check_body(const struct buf *body, struct error *err) MUST_CHECK;

/* Returns -1, with the place in the files ("shop.yaml:41: shop/web: ") before the error where the
 * server names one item. */
int change_explain_item(
	const struct input *input, const struct client_call *call, struct error *err);

/* The changes of an answer; NULL, with ERROR_INTERNAL: not understood. */
json_t *change_list(const struct client *c, const struct client_call *call, struct error *err);

/* A line for each change: "platformresource/web configured", in kubectl's words. named: how many
 * from the front were; what was removed after them was pruned. Then "nothing to change" where there
 * is none. ERROR_INTERNAL: not understood. */
int change_tell(const struct client *c, const struct client_call *call, size_t named, bool dry_run,
	struct error *err) MUST_CHECK;

/* Waits for all that was changed (cli/wait.h). Returns the exit status. */
int change_wait(const struct verb *verb, struct client *c, const struct cli_values *v,
	size_t opt_timeout, const struct client_call *call);

#endif
