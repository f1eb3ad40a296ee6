/* SPDX-License-Identifier: Apache-2.0 */
/* Looks at one thing after the other that has to be well, from here to the cluster, and says of
 * each whether it is, and what to do. Changes nothing. */
#include "base/clock.h"
#include "cli/client_internal.h"
#include "cli/config.h"
#include "cli/terminal.h"
#include "cli/view.h"
#include "http/uri.h"

#include <stdio.h>
#include <time.h>

#define CLOCK_OFF_S 5      /* no answer takes so long on its way */
#define EXPIRY_DAYS 14     /* of a certificate */
#define PENDING_S 300      /* Flux looks by itself every minute */
#define NEARLY_FULL 0.9    /* of what a catalog takes */
#define LOST_SHARE 0.01    /* of the requests to a registry */
#define PROBE "gsq-doctor" /* the resource of a dry run */

enum { OPT_OUTPUT = CLIENT_OPTIONS_ };

static const struct cli_option options[] = {
	CLIENT_OPTION_ROWS,
	[OPT_OUTPUT] = {.flag = "output",
		.letter = 'o',
		.argument = "FORMAT",
		.initial = "text",
		.values = "text|json",
		.help = "json is for programs"},
	{NULL},
};

enum result { GOOD, WARNING, FAILED, UNKNOWN, RESULTS_ };

static const struct {
	const char *name;
	enum colour colour;
} results[] = {
	[GOOD] = {"ok", COLOUR_GOOD},
	[WARNING] = {"warning", COLOUR_WAITING},
	[FAILED] = {"failed", COLOUR_BAD},
	[UNKNOWN] = {"unknown", COLOUR_FAINT},
};

struct doctor {
	const struct verb *verb;
	const struct cli_values *v;
	struct client *client;
	json_t *checks;     /* to be printed as JSON; NULL: shown as they come */
	bool is_incomplete; /* memory has run out */
	size_t counts[RESULTS_], n;
	bool reads;         /* we may list the namespace */
	struct buf metrics; /* empty: we may not read them, or nobody has */
	struct error no_metrics;
};

/* ---- the report ---- */

static void show(enum result result, const char *check, const char *text, const char *advice)
{
	colour_print(stdout, results[result].colour, "%-8s", results[result].name);
	printf(" %-13s %s\n", check, text);
	if (advice != NULL)
		printf("%-22s %s\n", "", advice);
	fflush(stdout); /* the next may take a while */
}

/* advice: what to do, or NULL. */
static void report(struct doctor *d, enum result result, const char *check, const char *advice,
	const char *fmt, ...) PRINTF_LIKE(5, 6);

static void report(struct doctor *d, enum result result, const char *check, const char *advice,
	const char *fmt, ...)
{
	char text[2 * LIMIT_ERROR_TEXT];
	json_t *one;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	utf8_make_printable(text, true);
	d->counts[result]++;
	d->n++;
	if (d->checks == NULL) {
		show(result, check, text, advice);
		return;
	}
	one = json_pack("{s:s,s:s,s:s,s:s*}", "check", check, "result", results[result].name,
		"message", text, "advice", advice);
	if (one == NULL || json_array_append_new(d->checks, one) != 0)
		d->is_incomplete = true;
}

static const char *plural(size_t n)
{
	return n == 1 ? "" : "s";
}

static int conclude(struct doctor *d)
{
	size_t failed = d->counts[FAILED], warnings = d->counts[WARNING];
	int status = failed > 0 ? EXIT_FAILED : EXIT_OK;
	struct error err = ERROR_INIT;
	char *json;

	if (d->checks == NULL) {
		putchar('\n');
		if (failed > 0)
			printf("%zu of %zu checks failed", failed, d->n);
		else
			printf("nothing failed");
		printf(", %zu warning%s\n", warnings, plural(warnings));
		return status;
	}
	json = d->is_incomplete ? NULL : json_dumps(d->checks, JSON_INDENT(2));
	if (json == NULL) {
		error_no_memory(&err);
		return cli_failed(d->verb, &err);
	}
	printf("{\"failed\": %zu, \"warnings\": %zu, \"checks\": %s}\n", failed, warnings, json);
	free(json);
	return status;
}

/* ---- how we find it ---- */

static void check_configuration(struct doctor *d, const struct config *config)
{
	const char *context = d->v->at[CLIENT_OPT_CONTEXT];
	const char *from = d->v->given[CLIENT_OPT_SERVER] ? "--server" : "GSQ_SERVER";

	if (context == NULL)
		context = config->current;
	if (d->v->at[CLIENT_OPT_SERVER] != NULL)
		report(d, GOOD, "configuration", NULL, "server %s of %s, namespace %s",
			client_server(d->client), from, client_namespace(d->client));
	else if (context != NULL)
		report(d, GOOD, "configuration", NULL, "server %s of the context %s, namespace %s",
			client_server(d->client), context, client_namespace(d->client));
	else
		report(d, GOOD, "configuration", NULL, "server %s, as none is named, namespace %s",
			client_server(d->client), client_namespace(d->client));
}

static void check_certificate(struct doctor *d, const struct client_call *call)
{
	struct tm tm = {0};
	int64_t days;
	struct http_url url;
	struct error ignored = ERROR_INIT;

	if (http_url_parse(&url, client_server(d->client), &ignored) != 0)
		return;
	if (!url.https && http_host_is_loopback(url.host)) {
		report(d, GOOD, "encryption", NULL, "none, and none is needed on one machine");
		return;
	}
	if (!url.https) {
		report(d, WARNING, "encryption",
			"give gsq serve --tls-cert and --tls-key, or put it behind a proxy that "
			"has "
			"them",
			"none: tokens and what they are used for can be read on the way");
		return;
	}
	if (strptime(call->expires, "%b %d %H:%M:%S %Y GMT", &tm) == NULL) {
		report(d, UNKNOWN, "encryption", NULL,
			"TLS, and it cannot be told when the certificate expires");
		return;
	}
	days = ((int64_t)timegm(&tm) - (int64_t)(clock_realtime_us() / 1000000)) / 86400;
	report(d, days < EXPIRY_DAYS ? WARNING : GOOD, "encryption",
		days < EXPIRY_DAYS ? "renew it: gsq serve takes the new files without a restart"
				   : NULL,
		"TLS, and the certificate expires in %lld days (%s)", (long long)days,
		call->expires);
}

static void check_clock(struct doctor *d, const struct client_call *call)
{
	int64_t off = (int64_t)(call->at_us / 1000000) - (int64_t)(clock_realtime_us() / 1000000);

	if (call->at_us == 0)
		report(d, UNKNOWN, "clock", NULL, "the server, or a proxy, does not tell the time");
	else if (llabs(off) <= CLOCK_OFF_S)
		report(d, GOOD, "clock", NULL, "the server's and ours agree");
	else
		report(d, WARNING, "clock",
			"let NTP set both: versions are times, and tokens and certificates expire "
			"by "
			"them",
			"the server's is %lld s %s ours", llabs(off),
			off < 0 ? "behind" : "ahead of");
}

/* false: there is nobody to ask more. */
static bool check_server(struct doctor *d)
{
	CLEANUP(client_call_done)
	struct client_call call = {.method = "GET", .route = "/healthz"};
	uint64_t began_ms = clock_monotonic_ms();
	struct error err = ERROR_INIT;

	if (client_run(d->client, &call, &err) != 0) {
		report(d, FAILED, "server", NULL, "%s", err.text);
		return false;
	}
	report(d, GOOD, "server", NULL, "answers, in %llu ms",
		(unsigned long long)(clock_monotonic_ms() - began_ms));
	check_certificate(d, &call);
	check_clock(d, &call);
	return true;
}

/* The description of the API says whose it is, to everybody. */
static int read_version(struct doctor *d, json_t **ret, struct error *err)
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(LIMIT_API_DESCRIPTION);
	CLEANUP(client_call_done)
	struct client_call call = {.method = "GET", .route = "/openapi.json", .text = &text};

	if (client_run(d->client, &call, err) != 0)
		return -1;
	*ret = json_loadb(text.data, text.len, JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, NULL);
	return *ret != NULL ? 0 : client_not_understood(d->client, err);
}

static void check_version(struct doctor *d)
{
	CLEANUP(json_decrefp) json_t *description = NULL;
	struct error err = ERROR_INIT;
	const char *version;

	if (read_version(d, &description, &err) != 0) {
		report(d, WARNING, "version", "is it older than this program?", "%s", err.text);
		return;
	}
	version = view_text(json_object_get(description, "info"), "version");
	if (strcmp(version, GSQ_VERSION) == 0)
		report(d, GOOD, "version", NULL, "both are %s", version);
	else
		report(d, WARNING, "version", "use the same, or what one of them lacks fails",
			"the server's is %s, this program's %s", version, GSQ_VERSION);
}

/* ---- whether it works ---- */

static const char *advice_of_readonly(const char *why)
{
	if (strstr(why, "frozen") != NULL)
		return "gsq thaw ends it, once whoever did it agrees";
	if (strstr(why, "--hold") != NULL)
		return "start gsq serve without --hold";
	return "what each reason means: Read-only, in docs/OPERATIONS.md";
}

/* Whether it takes changes, as far as it knows itself. */
static bool check_ready(struct doctor *d)
{
	CLEANUP(json_decrefp) json_t *answer = NULL;
	struct error err = ERROR_INIT;
	const char *why;

	if (client_get(d->client, "/readyz", &answer, &err) != 0) {
		report(d, FAILED, "ready",
			"it tries again by itself; what each reason means: Is it ready?, in "
			"docs/OPERATIONS.md",
			"%s", err.text);
		return false;
	}
	report(d, GOOD, "ready", NULL, "everything is read from the registry and verified");
	why = view_text(answer, "writes");
	if (why[0] != '\0')
		report(d, FAILED, "writes", advice_of_readonly(why), "none is taken: %s", why);
	else
		report(d, GOOD, "writes", NULL, "are taken");
	return why[0] == '\0';
}

static void check_reading(struct doctor *d)
{
	const char *namespace = client_namespace(d->client);
	AUTO_FREE char *route = client_route(namespace, "?limit=1");
	const char *who = d->client->authorization.len > 0 ? "with your token" : "without a token";
	CLEANUP(json_decrefp) json_t *page = NULL;
	struct error err = ERROR_INIT;

	d->reads = route != NULL && client_get(d->client, route, &page, &err) == 0;
	if (d->reads)
		report(d, GOOD, "reading", NULL, "%s you may list the namespace %s", who,
			namespace);
	else if (err.code == ERROR_UNAUTHORIZED)
		report(d, FAILED, "reading", "gsq login URL keeps a token that counts", "%s",
			err.text);
	else if (err.code == ERROR_DENIED)
		report(d, FAILED, "reading",
			"ask who runs the server for the role viewer or more in that namespace, or "
			"give -n of another",
			"%s: %s", who, err.text);
	else
		report(d, FAILED, "reading", NULL, "%s", err.text);
}

/* A dry run answers what the change itself would be answered. */
static void check_changing(struct doctor *d)
{
	static const struct slice body =
		SLICE("{\"name\":\"" PROBE "\",\"spec\":{\"type\":\"bucket\",\"size\":\"small\"}}");
	const char *namespace = client_namespace(d->client);
	AUTO_FREE char *route = client_route(namespace, "?dryRun=true");
	CLEANUP(client_call_done)
	struct client_call call = {.method = "POST", .route = route, .body = body};
	struct error err = ERROR_INIT;

	if (route != NULL && client_run(d->client, &call, &err) == 0)
		report(d, GOOD, "changing", NULL, "you may change resources in the namespace %s",
			namespace);
	else if (err.code == ERROR_DENIED)
		report(d, WARNING, "changing",
			"if you are to change something, ask for the role editor there", "%s",
			err.text);
	else if (err.code == ERROR_UNAVAILABLE)
		report(d, UNKNOWN, "changing", NULL, "%s", err.text);
	else
		report(d, err.code == ERROR_UNAUTHORIZED ? FAILED : WARNING, "changing", NULL, "%s",
			err.text);
}

/* ---- what the server counts ---- */

static int read_metrics(struct doctor *d)
{
	CLEANUP(client_call_done)
	struct client_call call = {.method = "GET", .route = "/metrics", .text = &d->metrics};

	return client_run(d->client, &call, &d->no_metrics);
}

static bool has_label(struct slice labels, const char *label)
{
	return label == NULL ||
	       (labels.p != NULL && memmem(labels.p, labels.n, label, strlen(label)) != NULL);
}

/* The sum of the samples of that name, with the label ("phase=\"failed\"") where one is given.
 * *ret_n: how many there are, or NULL. */
static double metric(const struct doctor *d, const char *name, const char *label, size_t *ret_n)
{
	struct slice rest = buf_slice(&d->metrics);
	double sum = 0;
	size_t n = 0;

	while (rest.p != NULL) {
		struct slice line = slice_cut(&rest, '\n');
		const char *space = line.n > 0 ? memrchr(line.p, ' ', line.n) : NULL;
		size_t n_head = space != NULL ? (size_t)(space - line.p) : 0;
		struct slice labels = {line.p, n_head}, found = slice_cut(&labels, '{');
		char value[32];

		if (space == NULL || !slice_eq(found, slice_of(name)) || !has_label(labels, label))
			continue;
		snprintf(value, sizeof(value), "%.*s", (int)(line.n - n_head - 1), space + 1);
		sum += strtod(value, NULL);
		n++;
	}
	if (ret_n != NULL)
		*ret_n = n;
	return sum;
}

static size_t count_of(const struct doctor *d, const char *name, const char *label)
{
	return (size_t)metric(d, name, label, NULL);
}

static void check_registry(struct doctor *d)
{
	const char *requests = "gsq_registry_requests_total";
	size_t stores, lost = count_of(d, requests, "outcome=\"lost\"") +
			      count_of(d, requests, "outcome=\"transient\"");
	size_t refused = count_of(d, requests, "outcome=\"refused\"");
	size_t all = count_of(d, requests, NULL);
	double bytes = metric(d, "gsq_store_bytes", NULL, &stores);
	bool is_bad = refused > 0 || (double)lost > LOST_SHARE * (double)all;

	if (all == 0 && stores > 0)
		report(d, GOOD, "registry", NULL, "embedded, of %.1f MiB", bytes / (double)MIB);
	else
		report(d, is_bad ? WARNING : GOOD, "registry",
			is_bad ? "the server's log says which, and why" : NULL,
			"of %zu requests since the server was started %zu were lost and %zu "
			"refused",
			all, lost, refused);
}

static void check_commits(struct doctor *d)
{
	const char *commits = "gsq_commits_total";
	size_t done = count_of(d, commits, "outcome=\"done\"");
	size_t all = count_of(d, commits, NULL), waiting = count_of(d, "gsq_queue_depth", NULL);

	report(d, all > done ? WARNING : GOOD, "commits",
		all > done ? "the server's log says why; nothing is half done" : NULL,
		"of %zu since the server was started %zu failed, and %zu change%s wait%s", all,
		all - done, waiting, plural(waiting), waiting == 1 ? "s" : "");
}

static void check_catalogs(struct doctor *d)
{
	size_t largest = count_of(d, "gsq_largest_catalog_resources", NULL);
	bool full = (double)largest >= NEARLY_FULL * LIMIT_CATALOG_RESOURCES;
	bool slow = largest >= LIMIT_CATALOG_WARN;

	report(d, full || slow ? WARNING : GOOD, "catalogs",
		full   ? "share them out among more catalogs: gsq repartition. A full one takes no "
			 "more"
		: slow ? "each change takes Flux seconds: gsq repartition shares them out among "
			 "more catalogs"
		       : NULL,
		"the largest has %zu of at most %d resources", largest, LIMIT_CATALOG_RESOURCES);
}

/* ---- the cluster ---- */

/* Of a resource of which nothing is known: it is the same for all of them. */
static bool why_unknown(struct doctor *d, const char *namespace, char *ret, size_t size)
{
	AUTO_FREE char *list = client_route(namespace, "?phase=unknown&limit=1");
	CLEANUP(json_decrefp) json_t *page = NULL, *status = NULL;
	struct error ignored = ERROR_INIT;
	json_t *one;

	if (list == NULL || client_get(d->client, list, &page, &ignored) != 0)
		return false;
	one = json_array_get(json_object_get(page, "resources"), 0);
	if (one == NULL || view_get_part(&status, d->client, view_text(one, "namespace"),
				   view_text(one, "name"), "/status", &ignored) != 0)
		return false;
	snprintf(ret, size, "%s", view_text(status, "message"));
	return true;
}

static void check_cluster(struct doctor *d)
{
	static const char advice[] =
		"give gsq serve --kubeconfig or --in-cluster, and look whether "
		"it may reach the API server: The cluster, in docs/OPERATIONS.md";
	char why[LIMIT_ERROR_TEXT] = "it is not seen, or none is watched";
	bool is_up = d->metrics.len > 0 && metric(d, "gsq_cluster_watch_up", NULL, NULL) > 0;
	const char *namespace = d->metrics.len > 0 ? CLIENT_ALL : client_namespace(d->client);

	if (is_up)
		report(d, GOOD, "cluster", NULL, "is watched");
	else if (d->reads && why_unknown(d, namespace, why, sizeof(why)))
		report(d, WARNING, "cluster", advice, "%s", why);
	else if (d->metrics.len > 0)
		report(d, WARNING, "cluster", advice, "%s", why);
	else
		report(d, UNKNOWN, "cluster", NULL, "nothing in the namespace %s says",
			client_namespace(d->client));
}

static void check_flux(struct doctor *d)
{
	size_t failed = count_of(d, "gsq_resources", "phase=\"failed\"");
	size_t pending = count_of(d, "gsq_resources", "phase=\"pending\"");
	size_t wakes = count_of(d, "gsq_flux_wakes_total", "outcome=\"failed\"");
	double oldest = metric(d, "gsq_applied_lag_seconds", NULL, NULL);
	bool is_late = oldest > PENDING_S;

	report(d, failed > 0 || is_late || wakes > 0 ? WARNING : GOOD, "flux",
		failed > 0 || is_late ? "gsq status -A says which and why"
		: wakes > 0 ? "it looks by itself now and then, so this only costs time; the "
			      "server's log says why"
			    : NULL,
		"%zu failed, %zu pending, the oldest for %.0f s; %zu wake%s of Flux failed", failed,
		pending, oldest, wakes, plural(wakes));
}

/* Whoever may not read the metrics has the lists. */
static void check_flux_of_namespace(struct doctor *d)
{
	AUTO_FREE char *failed = client_route(client_namespace(d->client), "?phase=failed&limit=1");
	CLEANUP(json_decrefp) json_t *page = NULL;
	struct error err = ERROR_INIT;

	if (!d->reads || failed == NULL || client_get(d->client, failed, &page, &err) != 0)
		report(d, UNKNOWN, "flux", NULL, "you may not list the namespace");
	else if (json_array_size(json_object_get(page, "resources")) > 0)
		report(d, WARNING, "flux", "gsq status says which and why",
			"there are resources that failed in the namespace %s",
			client_namespace(d->client));
	else
		report(d, GOOD, "flux", NULL, "nothing failed in the namespace %s",
			client_namespace(d->client));
}

static void check_inside(struct doctor *d)
{
	static const char *const of_metrics[] = {"registry", "commits", "catalogs"};
	bool is_denied;

	if (read_metrics(d) == 0 && d->metrics.len > 0) {
		check_registry(d);
		check_commits(d);
		check_catalogs(d);
		check_cluster(d);
		check_flux(d);
		return;
	}
	is_denied = d->no_metrics.code == ERROR_DENIED || d->no_metrics.code == ERROR_UNAUTHORIZED;
	for (size_t i = 0; i < ARRAY_SIZE(of_metrics); i++)
		report(d, UNKNOWN, of_metrics[i], NULL, "%s",
			is_denied ? "needs the role viewer for all namespaces"
				  : d->no_metrics.text);
	check_cluster(d);
	check_flux_of_namespace(d);
}

/* ---- the verb ---- */

static int examine(struct doctor *d, const struct config *config)
{
	check_configuration(d, config);
	if (!check_server(d))
		return conclude(d);
	check_version(d);
	check_ready(d);
	check_reading(d);
	check_changing(d);
	check_inside(d);
	return conclude(d);
}

static int run(const struct verb *verb, const struct cli_values *v)
{
	CLEANUP(client_freep) struct client *client = NULL;
	CLEANUP(config_done) struct config config = {.lock = -1};
	CLEANUP(json_decrefp)
	json_t *checks = strcmp(v->at[OPT_OUTPUT], "json") == 0 ? json_array() : NULL;
	struct doctor d = {.verb = verb,
		.v = v,
		.checks = checks,
		.metrics = BUF_INIT(LIMIT_METRICS),
		.no_metrics = ERROR_INIT};
	struct error err = ERROR_INIT;
	int status;

	if (config_load(&config, &err) != 0 || client_open(&client, v, &err) != 0) {
		report(&d, FAILED, "configuration", "gsq context shows the servers that are known",
			"%s", err.text);
		return conclude(&d);
	}
	d.client = client;
	status = examine(&d, &config);
	buf_done(&d.metrics);
	return status;
}

const struct verb verb_doctor = {
	.name = "doctor",
	.summary =
		"Look at everything that has to be well, from here to the cluster, and say of each "
		"whether it is, and what to do. It changes nothing. What you may not see is "
		"unknown. The status is 1 where something failed.",
	.options = options,
	.run = run,
	.example = "gsq doctor\n"
		   "gsq doctor -n shop -o json",
};
