/* SPDX-License-Identifier: Apache-2.0 */
/* Asks a running server to change the layout of its store, and follows how it goes on. */
#include "base/clock.h"
#include "cli/client.h"
#include "cli/interrupt.h"
#include "cli/layout.h"

#include <stdio.h>
#include <unistd.h>

#define ROUTE "/api/v1/layout"

enum { OPT_LAYOUT = CLIENT_OPTIONS_, OPT_CATALOGS, OPT_NO_WAIT, OPT_TIMEOUT };

static const struct cli_option options[] = {
	CLIENT_OPTION_ROWS,
	[OPT_LAYOUT] = {"layout", NULL, "single|split", NULL, "the layout to go to",
		.values = "single|split"},
	[OPT_CATALOGS] = LAYOUT_OPTION_CATALOGS,
	[OPT_NO_WAIT] = {"no-wait", NULL, NULL, NULL, "begin, and let the server go on by itself"},
	[OPT_TIMEOUT] = {"timeout", NULL, "DURATION", "1h",
		"how long to wait; after that it goes on all the same"},
	{NULL},
};

struct asking {
	const struct verb *verb;
	struct client *client;
	struct layout to;
	uint64_t timeout_s;
	bool waits;
	char said[32];                    /* the step that was printed last */
	char complaint[LIMIT_ERROR_TEXT]; /* likewise, of a server that does not answer */
	bool interrupted;
};

/* What the server says. */
struct progress {
	struct layout layout; /* that is current */
	char step[32];
	char waits_for[LIMIT_ERROR_TEXT];
};

/* What a step does, for who reads along. */
static const struct {
	const char *step, *text;
} steps[] = {
	{"freeze", "Flux is told to delete nothing while resources move"},
	{"switch", "the new layout is current, and Flux applies it"},
	{"thaw", "Flux may delete again, and the old catalogs go"},
};

/* ---- the server's answer ---- */

static int read_progress(
	const struct asking *a, struct progress *ret, json_t *root, struct error *err)
{
	const char *layout, *step = "none", *waits_for = "";
	struct progress p = {.layout = {.catalogs = 1}};
	int catalogs = 1;

	if (json_unpack(root, "{s:s, s?i, s?{s?s, s?s}}", "layout", &layout, "catalogs", &catalogs,
		    "repartition", "step", &step, "waitsFor", &waits_for) != 0 ||
		!layout_kind_parse(slice_of(layout), &p.layout.kind) || catalogs < 1) {
		client_not_understood(a->client, err);
		return -1;
	}
	p.layout.catalogs = (unsigned)catalogs;
	snprintf(p.step, sizeof(p.step), "%s", step);
	snprintf(p.waits_for, sizeof(p.waits_for), "%s", waits_for);
	*ret = p;
	return 0;
}

static int ask(struct asking *a, const char *method, struct slice body, struct progress *ret,
	struct error *err)
{
	CLEANUP(client_call_done)
	struct client_call call = {.method = method, .route = ROUTE, .body = body};

	if (client_run(a->client, &call, err) != 0)
		return -1;
	return read_progress(a, ret, call.json, err);
}

static int ask_to_begin(struct asking *a, struct progress *ret, struct error *err)
{
	char body[128];
	int n = snprintf(body, sizeof(body), "{\"layout\":\"%s\",\"catalogs\":%u}",
		layout_kind_name(a->to.kind), a->to.catalogs);

	return ask(a, "PUT", (struct slice){body, (size_t)n}, ret, err);
}

static int ask_how_far(struct asking *a, struct progress *ret, struct error *err)
{
	return ask(a, "GET", SLICE_NONE, ret, err);
}

/* ---- following it ---- */

/* Once. */
static void say_step(struct asking *a, const struct progress *p)
{
	if (strcmp(p->step, a->said) == 0)
		return;
	snprintf(a->said, sizeof(a->said), "%s", p->step);
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++)
		if (strcmp(p->step, steps[i].step) == 0)
			printf("%s: %s\n", p->step, steps[i].text);
	fflush(stdout);
}

/* Once, until it answers again. */
static void say_complaint(struct asking *a, const struct error *err)
{
	if (strcmp(a->complaint, err->text) == 0)
		return;
	snprintf(a->complaint, sizeof(a->complaint), "%s", err->text);
	fprintf(stderr, "gsq %s: %s; asking again\n", a->verb->name, err->text);
}

/* 1: done, 0: not yet. A server that was started after the end says "none". */
static int judge(const struct asking *a, const struct progress *p, struct error *err)
{
	bool arrived = layout_eq(&p->layout, &a->to);
	bool ended = strcmp(p->step, "done") == 0 || strcmp(p->step, "none") == 0;

	if (!ended)
		return 0;
	if (arrived)
		return 1;
	return error_set(err, ERROR_CONFLICT,
		"the server has ended it with the layout %s and %u catalogs: look at its log, and "
		"begin again",
		layout_kind_name(p->layout.kind), p->layout.catalogs);
}

static int too_long(const struct asking *a, const struct progress *p, struct error *err)
{
	const char *why = a->complaint[0] != '\0' ? a->complaint : p->waits_for;

	return error_set(err, ERROR_TIMEOUT,
		"it is not done after %llu s, and goes on by itself (GET " ROUTE ")%s%s",
		(unsigned long long)a->timeout_s, *why != '\0' ? "; it waits: " : "", why);
}

/* It is started again, or has too much to do. */
static bool may_pass(const struct error *err)
{
	return error_status(err->code) == 503 || error_status(err->code) == 429;
}

/* Until it is done, or Ctrl-C. */
static int follow(struct asking *a, struct progress *p, struct error *err)
{
	uint64_t deadline = clock_monotonic_ms() + a->timeout_s * 1000;

	for (;;) {
		int rc = 0;

		if (a->complaint[0] == '\0') {
			say_step(a, p);
			rc = judge(a, p, err);
		}
		if (rc != 0)
			return rc < 0 ? -1 : 0;
		if (clock_monotonic_ms() >= deadline)
			return too_long(a, p, err);
		usleep(LIMIT_LAYOUT_POLL_MS * 1000);
		a->interrupted = interrupt_came();
		if (a->interrupted)
			return 0;
		if (ask_how_far(a, p, err) == 0)
			a->complaint[0] = '\0';
		else if (may_pass(err))
			say_complaint(a, err);
		else
			return -1;
	}
}

static int repartition(struct asking *a, struct error *err)
{
	struct interrupt interrupt;
	struct progress p;
	int result;

	if (ask_to_begin(a, &p, err) != 0)
		return -1;
	if (!a->waits) {
		say_step(a, &p);
		return 0;
	}
	interrupt_begin(&interrupt);
	result = follow(a, &p, err);
	interrupt_end(&interrupt);
	if (result != 0 || a->interrupted)
		return result;
	printf("done: the layout is %s with %u catalogs for a namespace\n",
		layout_kind_name(a->to.kind), a->to.catalogs);
	return 0;
}

/* ---- the command line ---- */

static int read_options(struct asking *a, const struct cli_values *v, struct error *err)
{
	struct layout_values values = {
		.layout = v->at[OPT_LAYOUT], .catalogs = v->at[OPT_CATALOGS]};
	struct layout_options layout;

	if (values.layout == NULL)
		return error_set(err, ERROR_INVALID,
			"--layout is missing: say where to go, single or split");
	/* as the API says it */
	if (strcmp(values.layout, "single") == 0 && values.catalogs != NULL &&
		strcmp(values.catalogs, "1") == 0)
		values.catalogs = NULL;
	if (layout_options(&layout, &values, err) != 0 ||
		cli_duration("timeout", v->at[OPT_TIMEOUT], &a->timeout_s, err) != 0)
		return -1;
	a->to = layout.layout;
	a->waits = v->at[OPT_NO_WAIT] == NULL;
	return client_open(&a->client, v, err);
}

static int run(const struct verb *verb, const struct cli_values *v)
{
	struct asking a = {.verb = verb};
	struct error err = ERROR_INIT;
	int status = EXIT_OK;

	if (read_options(&a, v, &err) != 0)
		status = cli_usage(verb, &err);
	else if (repartition(&a, &err) != 0)
		status = cli_failed(verb, &err);
	else if (a.interrupted)
		status = cli_interrupted(verb,
			"the server goes on by itself, also after a restart: GET " ROUTE
			" says how far it is");
	client_free(a.client);
	return status;
}

const struct verb verb_repartition = {
	.name = "repartition",
	.summary = "Move a running server's resources to another layout, without deleting anything "
		   "in the cluster. The server does it, and goes on after a restart.",
	.options = options,
	.run = run,
};
