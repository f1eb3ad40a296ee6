/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/serve.h"

#include "api/api.h"
#include "cli/backend.h"
#include "oci/digest.h"
#include "publish/readers.h"
#include "registry/admin.h"

#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

/* All that runs, in the order of its start. */
struct serving {
	struct backend backend;
	struct trust trust;
	struct signing_files signing;
	struct cluster *cluster;
	struct publisher *publisher;
	struct registry *retention_registry;
	struct retention *retention;
	struct readers *readers;
	struct api *api;
	struct http_loops *loops;
	struct http_server *registry_server; /* NULL with a remote registry, */
	struct http_server *admin_server;    /* as this */
	struct http_server *api_server;
};

static int start_registry(struct serving *s, const struct serve_options *options, struct error *err)
{
	struct embedded *embedded = s->backend.embedded;
	struct http_service service =
		embedded_service(embedded, s->trust.auth, options->registry_url);
	const struct http_server_options server = {
		.address = options->registry_listen, .tls = s->trust.tls};

	/* First: requests read the grace that it sets. */
	if (embedded_start_upkeep(embedded, &options->upkeep, err) != 0)
		return -1;
	if (http_server_new(&s->registry_server, s->loops, &server, &service, err) != 0 ||
		admin_listen(&s->admin_server, s->loops, embedded, err) != 0)
		return -1;
	log_info("registry listens", LOG_STR("address", options->registry_listen),
		LOG_NUM("port", http_server_port(s->registry_server)),
		LOG_STR("data_dir", options->data_dir));
	return 0;
}

static enum publisher_gate gate(const struct serve_options *options)
{
	if (options->hold)
		return GATE_HOLD;
	return options->has_cluster ? GATE_CLUSTER : GATE_OPEN;
}

/* It may be asked who somebody is before it watches anything. */
static int start_trust(struct serving *s, struct serve_options *options, struct error *err)
{
	struct cluster_options cluster = {
		.config = options->has_cluster ? &options->kube : NULL,
		.quarantine = options->quarantine,
		.audiences = options->kubernetes_audience[0] == NULL ? NULL
								     : options->kubernetes_audience,
		.trust_registry = options->trust_registry,
	};
	struct reviewer reviewer;

	if (cluster_new(&s->cluster, &cluster, err) != 0)
		return -1;
	reviewer = cluster_reviewer(s->cluster);
	return trust_start(&s->trust, options,
		options->auth_kubernetes || options->auth.reviewer_authorizes ? &reviewer : NULL,
		err);
}

static uint64_t quota(const char *namespace, void *arg)
{
	return auth_quota(arg, namespace);
}

static bool lacks_namespace(const char *namespace, void *arg)
{
	return cluster_lacks_namespace(arg, namespace);
}

/* The cluster hears of every commit from the first on, and may change what it has heard of. */
static int start_publisher(
	struct serving *s, const struct serve_options *options, struct error *err)
{
	struct publisher_options publisher = {
		.registry = s->backend.registry,
		.init = options->init,
		.layout = options->layout.given ? &options->layout.layout : NULL,
		.root = options->layout.root,
		.gate = gate(options),
		.listener = cluster_listener(s->cluster),
		.quota = quota,
		.quota_arg = s->trust.auth,
		.lacks = {lacks_namespace, s->cluster},
		.signing = s->signing.signing,
		.guard = options->guard,
	};

	if (publisher_new(&s->publisher, &publisher, err) != 0)
		return -1;
	return cluster_start(s->cluster, s->publisher, err);
}

static int start_retention(
	struct serving *s, const struct serve_options *options, struct error *err)
{
	struct retention_options retention = options->retention;

	if (backend_another_registry(&s->retention_registry, &s->backend, err) != 0)
		return -1;
	retention.registry = s->retention_registry;
	retention.publisher = s->publisher;
	return retention_new(&s->retention, &retention, err);
}

/* Of the readers of history. */
static int connect_reader(struct registry **ret, void *arg, struct error *err)
{
	return backend_another_registry(ret, arg, err);
}

static int start_api(struct serving *s, const struct serve_options *options, struct error *err)
{
	struct api_options api = {
		.publisher = s->publisher,
		.auth = s->trust.auth,
		.cluster = s->cluster,
		.namespaces = options->namespaces,
		.embedded = s->backend.embedded,
		.version = GSQ_VERSION,
	};
	const struct http_server_options server = {.address = options->listen, .tls = s->trust.tls};
	struct http_service service;

	if (readers_new(&s->readers, connect_reader, &s->backend, err) != 0)
		return -1;
	api.readers = s->readers;
	if (api_new(&s->api, &api, err) != 0)
		return -1;
	service = api_service(s->api);
	if (http_server_new(&s->api_server, s->loops, &server, &service, err) != 0)
		return -1;
	log_info("api listens", LOG_STR("address", options->listen),
		LOG_NUM("port", http_server_port(s->api_server)), LOG_STR("version", GSQ_VERSION));
	return 0;
}

static int start(struct serving *s, struct serve_options *options, struct error *err)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN);

	if (backend_open(&s->backend, options->registry, options->data_dir, options->registry_ca,
		    err) != 0)
		return -1;
	if (http_loops_new(&s->loops, cores < 1 ? 1 : (size_t)cores, err) != 0 ||
		start_trust(s, options, err) != 0 ||
		signing_files_load(&s->signing, &options->signing, options->registry, err) != 0)
		return -1;
	if (s->backend.embedded != NULL && start_registry(s, options, err) != 0)
		return -1;
	if (start_publisher(s, options, err) != 0 || start_retention(s, options, err) != 0)
		return -1;
	return start_api(s, options, err);
}

/* What could last ends first; then requests that are open get their answers, first from the
 * publisher, last from the registry. */
static void stop(struct serving *s)
{
	if (s->retention != NULL)
		retention_stop(s->retention);
	if (s->api != NULL)
		api_stop(s->api);
	if (s->readers != NULL)
		readers_stop(s->readers);
	if (s->api_server != NULL)
		http_server_drain(s->api_server, LIMIT_DRAIN_MS);
	retention_free(s->retention);
	registry_free(s->retention_registry);
	if (s->cluster != NULL)
		cluster_stop(s->cluster);
	readers_free(s->readers); /* what they read may lead to a change */
	publisher_free(s->publisher);
	signing_files_done(&s->signing);
	http_server_free(s->api_server);
	if (s->registry_server != NULL)
		http_server_drain(s->registry_server, LIMIT_DRAIN_MS);
	http_server_free(s->registry_server);
	if (s->admin_server != NULL) {
		embedded_stop_upkeep(s->backend.embedded);
		http_server_drain(s->admin_server, LIMIT_DRAIN_MS);
	}
	http_server_free(s->admin_server);
	trust_stop(&s->trust);
	backend_close(&s->backend); /* some of its work may ask who may see what */
	http_loops_free(s->loops);  /* last of those that post to it */
	api_free(s->api);
	trust_done(&s->trust);
	cluster_free(s->cluster);
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
static void block_signals(sigset_t *ret)
{
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(ret);
	sigaddset(ret, SIGTERM);
	sigaddset(ret, SIGINT);
	sigaddset(ret, SIGHUP);
	AZ(pthread_sigmask(SIG_BLOCK, ret, NULL));
}

static int run(const struct verb *verb, const struct cli_values *v)
{
	struct error err = ERROR_INIT;
	struct serve_options options;
	struct serving serving = {0};
	sigset_t signals;
	int number, rc;

	if (serve_options_read(&options, v, &err) != 0)
		return cli_usage(verb, &err);
	log_set_format(options.log_format);
	http_access_set_log(options.log_requests);
	block_signals(&signals);
	raise_file_limit();
	digest_setup();
	rc = start(&serving, &options, &err);
	if (rc == 0) {
		AZ(sigwait(&signals, &number));
		while (number == SIGHUP) {
			trust_reload(&serving.trust);
			AZ(sigwait(&signals, &number));
		}
		log_info("stopping", LOG_STR("signal", strsignal(number)));
	}
	stop(&serving);
	serve_options_done(&options);
	return rc == 0 ? EXIT_OK : cli_failed(verb, &err);
}

const struct verb verb_serve = {
	.name = "serve",
	.summary = "Run the API and, unless --registry names another, the embedded registry.",
	.options = serve_options,
	.run = run,
};
