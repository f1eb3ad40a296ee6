/* SPDX-License-Identifier: Apache-2.0 */
#include "api/api.h"
#include "base/log.h"
#include "cli/backend.h"
#include "cli/cli.h"
#include "cli/layout.h"
#include "http/access.h"
#include "oci/digest.h"
#include "publish/retention.h"
#include "registry/admin.h"

#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

enum {
	OPT_LISTEN,
	OPT_REGISTRY,
	OPT_CA,
	OPT_REGISTRY_LISTEN,
	OPT_DATA_DIR,
	OPT_INIT,
	OPT_LAYOUT,
	OPT_CATALOGS,
	OPT_CATALOG_URL,
	OPT_CATALOG_SECRET,
	OPT_NAMESPACES,
	OPT_CATALOG_GRACE,
	OPT_KEEP_VERSIONS,
	OPT_KEEP_DAYS,
	OPT_GC_INTERVAL,
	OPT_GC_GRACE,
	OPT_LOG_FORMAT,
	OPT_LOG_REQUESTS,
};

static const struct cli_option options[] = {
	[OPT_LISTEN] = {"listen", "LISTEN_ADDR", "ADDRESS", ":8080",
		"where the API listens, HOST:PORT or :PORT"},
	[OPT_REGISTRY] = BACKEND_OPTION_REGISTRY,
	[OPT_CA] = BACKEND_OPTION_CA,
	[OPT_REGISTRY_LISTEN] = {"registry-listen", "REGISTRY_LISTEN", "ADDRESS", ":5000",
		"where the embedded registry listens"},
	[OPT_DATA_DIR] = BACKEND_OPTION_DATA_DIR,
	[OPT_INIT] = {"init", "GSQ_INIT", NULL, NULL,
		"make the first commit record of a new, empty store; without it an empty store is "
		"taken for a lost one"},
	[OPT_LAYOUT] = LAYOUT_OPTION_LAYOUT,
	[OPT_CATALOGS] = LAYOUT_OPTION_CATALOGS,
	[OPT_CATALOG_URL] = LAYOUT_OPTION_CATALOG_URL,
	[OPT_CATALOG_SECRET] = LAYOUT_OPTION_CATALOG_SECRET,
	[OPT_NAMESPACES] = {"namespaces", "NAMESPACES", "NAME[,NAME]...", "default",
		"namespaces that exist in the cluster; no others are written to"},
	[OPT_CATALOG_GRACE] = {"catalog-grace", "CATALOG_GRACE", "DURATION", "15m",
		"how long a superseded catalog is kept at least; the last 10 are kept anyway"},
	[OPT_KEEP_VERSIONS] = {"keep-versions", "KEEP_VERSIONS", "NUMBER", "0",
		"how many versions of a resource are kept; 0: any number"},
	[OPT_KEEP_DAYS] = {"keep-days", "KEEP_DAYS", "NUMBER", "0",
		"how many days a superseded version, or what was deleted, is kept; 0: for ever"},
	[OPT_GC_INTERVAL] = {"gc-interval", "GC_INTERVAL", "DURATION", "1h",
		"how often the embedded registry removes what nothing refers to; 0: never"},
	[OPT_GC_GRACE] = BACKEND_OPTION_GC_GRACE("gc-grace", ""),
	[OPT_LOG_FORMAT] = {"log-format", "LOG_FORMAT", "logfmt|json", "logfmt",
		"how a line of the log is written"},
	[OPT_LOG_REQUESTS] = {"log-requests", "LOG_REQUESTS", "on|errors|off", "on",
		"which requests have a line in the log; errors: those answered 400 and above"},
	{NULL},
};

/* All that runs, in the order of its start. */
struct serving {
	struct backend backend;
	struct publisher *publisher;
	struct registry *retention_registry;
	struct retention *retention;
	struct api *api;
	struct http_loops *loops;
	struct http_server *registry_server; /* NULL with a remote registry, */
	struct http_server *admin_server;    /* as this */
	struct http_server *api_server;
};

static int start_registry(struct serving *s, const struct cli_values *v, struct error *err)
{
	struct embedded *embedded = s->backend.embedded;
	struct http_service service = embedded_service(embedded);
	struct upkeep_options upkeep;

	if (cli_duration("gc-interval", v->at[OPT_GC_INTERVAL], &upkeep.gc_interval_s, err) != 0 ||
		cli_duration("gc-grace", v->at[OPT_GC_GRACE], &upkeep.gc_grace_s, err) != 0)
		return -1;
	/* First: requests read the grace that it sets. */
	if (embedded_start_upkeep(embedded, &upkeep, err) != 0)
		return -1;
	if (http_server_new(&s->registry_server, s->loops, v->at[OPT_REGISTRY_LISTEN], &service,
		    NULL, err) != 0 ||
		admin_listen(&s->admin_server, s->loops, embedded, err) != 0)
		return -1;
	log_info("registry listens", LOG_STR("address", v->at[OPT_REGISTRY_LISTEN]),
		LOG_NUM("port", http_server_port(s->registry_server)),
		LOG_STR("data_dir", v->at[OPT_DATA_DIR]));
	return 0;
}

/* The place of the option's value in the list. */
static int choose(const struct cli_values *v, size_t option, const char *const *values, size_t n,
	unsigned *ret, struct error *err)
{
	for (unsigned i = 0; i < n; i++)
		if (strcmp(v->at[option], values[i]) == 0) {
			*ret = i;
			return 0;
		}
	return error_set(err, ERROR_INVALID, "--%s: \"%s\" is not one of %s", options[option].flag,
		v->at[option], options[option].argument);
}

static int set_log(const struct cli_values *v, struct error *err)
{
	static const char *const formats[] = {[LOG_LOGFMT] = "logfmt", [LOG_JSON] = "json"};
	static const char *const requests[] = {
		[HTTP_LOG_ALL] = "on", [HTTP_LOG_ERRORS] = "errors", [HTTP_LOG_NONE] = "off"};
	unsigned format = 0, which = 0;

	if (choose(v, OPT_LOG_FORMAT, formats, ARRAY_SIZE(formats), &format, err) != 0 ||
		choose(v, OPT_LOG_REQUESTS, requests, ARRAY_SIZE(requests), &which, err) != 0)
		return -1;
	log_set_format((enum log_format)format);
	http_access_set_log((enum http_access_log)which);
	return 0;
}

static int number(
	const struct cli_values *v, size_t option, uint64_t max, uint64_t *ret, struct error *err)
{
	if (slice_to_u64(slice_of(v->at[option]), ret) && *ret <= max)
		return 0;
	return error_set(err, ERROR_INVALID, "--%s: \"%s\" is not a number from 0 to %llu",
		options[option].flag, v->at[option], (unsigned long long)max);
}

static int retention_options(
	struct retention_options *ret, const struct cli_values *v, struct error *err)
{
	uint64_t keep_versions = 0;

	if (cli_duration("catalog-grace", v->at[OPT_CATALOG_GRACE], &ret->catalog_grace_s, err) !=
			0 ||
		number(v, OPT_KEEP_VERSIONS, LIMIT_KEEP_VERSIONS, &keep_versions, err) != 0 ||
		number(v, OPT_KEEP_DAYS, LIMIT_KEEP_DAYS, &ret->keep_days, err) != 0)
		return -1;
	ret->keep_versions = keep_versions;
	if (ret->catalog_grace_s > 0)
		return 0;
	return error_set(err, ERROR_INVALID,
		"--catalog-grace: Flux needs a catalog for a while after the next one has come; "
		"give at least 1s");
}

static int start_retention(
	struct serving *s, struct retention_options *retention, struct error *err)
{
	if (backend_another_registry(&s->retention_registry, &s->backend, err) != 0)
		return -1;
	retention->registry = s->retention_registry;
	retention->publisher = s->publisher;
	return retention_new(&s->retention, retention, err);
}

static int start(struct serving *s, const struct cli_values *v, struct error *err)
{
	struct publisher_options publisher = {.init = v->at[OPT_INIT] != NULL};
	struct api_options api = {
		.namespaces = v->at[OPT_NAMESPACES],
		.version = GSQ_VERSION,
	};
	struct retention_options retention = {.registry = NULL};
	struct layout_values values = {v->at[OPT_LAYOUT], v->at[OPT_CATALOGS],
		v->at[OPT_CATALOG_URL], v->at[OPT_CATALOG_SECRET], v->at[OPT_REGISTRY]};
	struct layout_options layout;
	long cores = sysconf(_SC_NPROCESSORS_ONLN);
	struct http_service service;

	if (layout_options(&layout, &values, err) != 0 ||
		retention_options(&retention, v, err) != 0)
		return -1;
	publisher.layout = layout.given ? &layout.layout : NULL;
	publisher.root = layout.root;
	if (backend_open(
		    &s->backend, v->at[OPT_REGISTRY], v->at[OPT_DATA_DIR], v->at[OPT_CA], err) != 0)
		return -1;
	if (http_loops_new(&s->loops, cores < 1 ? 1 : (size_t)cores, err) != 0)
		return -1;
	if (s->backend.embedded != NULL && start_registry(s, v, err) != 0)
		return -1;
	publisher.registry = s->backend.registry;
	if (publisher_new(&s->publisher, &publisher, err) != 0)
		return -1;
	if (start_retention(s, &retention, err) != 0)
		return -1;
	api.publisher = s->publisher;
	api.embedded = s->backend.embedded;
	if (api_new(&s->api, &api, err) != 0)
		return -1;
	service = api_service(s->api);
	if (http_server_new(&s->api_server, s->loops, v->at[OPT_LISTEN], &service, NULL, err) != 0)
		return -1;
	log_info("api listens", LOG_STR("address", v->at[OPT_LISTEN]),
		LOG_NUM("port", http_server_port(s->api_server)), LOG_STR("version", GSQ_VERSION));
	return 0;
}

/* Requests that are open get their answers, first from the publisher, last from the registry. */
static void stop(struct serving *s)
{
	if (s->retention != NULL)
		retention_stop(s->retention);
	if (s->api_server != NULL)
		http_server_drain(s->api_server, LIMIT_DRAIN_MS);
	retention_free(s->retention);
	registry_free(s->retention_registry);
	publisher_free(s->publisher);
	http_server_free(s->api_server);
	if (s->registry_server != NULL)
		http_server_drain(s->registry_server, LIMIT_DRAIN_MS);
	http_server_free(s->registry_server);
	if (s->admin_server != NULL) {
		embedded_stop_upkeep(s->backend.embedded);
		http_server_drain(s->admin_server, LIMIT_DRAIN_MS);
	}
	http_server_free(s->admin_server);
	backend_close(&s->backend);
	http_loops_free(s->loops); /* last of those that post to it */
	api_free(s->api);
}

/* As many connections as the system allows us. */
static void raise_file_limit(void)
{
	struct rlimit limit;

	AZ(getrlimit(RLIMIT_NOFILE, &limit));
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

/* Before any thread starts, so that all inherit the mask and only sigwait sees them. */
static void block_signals(sigset_t *ret_ends)
{
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(ret_ends);
	sigaddset(ret_ends, SIGTERM);
	sigaddset(ret_ends, SIGINT);
	AZ(pthread_sigmask(SIG_BLOCK, ret_ends, NULL));
}

static int run(const struct verb *verb, int argc, char **argv)
{
	struct error err = ERROR_INIT;
	struct serving serving = {0};
	struct cli_values v;
	sigset_t ends;
	int number, rc;

	if (cli_parse(&v, verb, argc, argv, &err) != 0)
		return cli_usage(verb, &err);
	if (v.help) {
		cli_help(verb);
		return EXIT_OK;
	}
	if (set_log(&v, &err) != 0)
		return cli_usage(verb, &err);
	block_signals(&ends);
	raise_file_limit();
	digest_setup();
	rc = start(&serving, &v, &err);
	if (rc == 0) {
		AZ(sigwait(&ends, &number));
		log_info("stopping", LOG_STR("signal", strsignal(number)));
	}
	stop(&serving);
	return rc == 0 ? EXIT_OK : cli_failed(verb, &err);
}

const struct verb verb_serve = {
	.name = "serve",
	.summary = "Run the API and, unless --registry names another, the embedded registry.",
	.options = options,
	.run = run,
};
