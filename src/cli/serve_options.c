/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/serve.h"

#include "cli/backend.h"
#include "cli/prune.h"
#include "http/uri.h"

#include <stdio.h>

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
	OPT_CATALOG_ACCOUNTS,
	OPT_CATALOG_VERIFY,
	OPT_CATALOG_CA,
	OPT_NAMESPACES,
	OPT_CATALOG_GRACE,
	OPT_MAX_PRUNE,
	OPT_KEEP_VERSIONS,
	OPT_KEEP_DAYS,
	OPT_GC_INTERVAL,
	OPT_GC_GRACE,
	OPT_LOG_FORMAT,
	OPT_LOG_REQUESTS,
	OPT_KUBECONFIG,
	OPT_KUBE_CONTEXT,
	OPT_IN_CLUSTER,
	OPT_QUARANTINE,
	OPT_HOLD,
	OPT_TRUST_REGISTRY,
	OPT_TLS_CERT,
	OPT_TLS_KEY,
	OPT_INSECURE,
	OPT_TOKEN_FILE,
	OPT_POLICY,
	OPT_ANONYMOUS,
	OPT_OIDC_ISSUER,
	OPT_OIDC_AUDIENCE,
	OPT_OIDC_USERNAME,
	OPT_OIDC_GROUPS,
	OPT_OIDC_CA,
	OPT_AUTH_KUBERNETES,
	OPT_KUBERNETES_AUDIENCE,
	OPT_AUTHZ,
	OPT_RATE_LIMIT,
	OPT_REGISTRY_URL,
	OPT_SIGN_KEY,
	OPT_SIGN_PASSWORD,
	OPT_SIGN_RESOURCES,
	OPT_SIGN_EXISTING,
	OPT_VERIFY,
};

const struct cli_option serve_options[] = {
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
	[OPT_CATALOG_ACCOUNTS] = LAYOUT_OPTION_CATALOG_ACCOUNTS,
	[OPT_CATALOG_VERIFY] = LAYOUT_OPTION_CATALOG_VERIFY,
	[OPT_CATALOG_CA] = LAYOUT_OPTION_CATALOG_CA,
	[OPT_NAMESPACES] = {"namespaces", "NAMESPACES", "NAME[,NAME]...", "default",
		"namespaces that exist in the cluster; no others are written to. Where a cluster "
		"is "
		"watched, it says itself which there are"},
	[OPT_CATALOG_GRACE] = {"catalog-grace", "CATALOG_GRACE", "DURATION", "15m",
		"how long a superseded catalog is kept at least; the last 10 are kept anyway"},
	[OPT_MAX_PRUNE] = PRUNE_OPTION_MAX,
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
	[OPT_KUBECONFIG] = {"kubeconfig", "KUBECONFIG", "FILE", NULL,
		"kubeconfig of the cluster behind Flux: Flux is woken after each change, and each "
		"resource has the status that the cluster shows; not set: neither"},
	[OPT_KUBE_CONTEXT] = {"kube-context", "KUBE_CONTEXT", "NAME", NULL,
		"context of that kubeconfig; default its current one"},
	[OPT_IN_CLUSTER] = {"in-cluster", "IN_CLUSTER", NULL, NULL,
		"in place of a kubeconfig: the cluster is the one that this runs in, with its "
		"pod's service account"},
	[OPT_QUARANTINE] = {"quarantine", "QUARANTINE", NULL, NULL,
		"what the cluster refuses is held back, so that all else is applied; without it "
		"one refused resource stops the others of its catalog"},
	[OPT_HOLD] = {"hold", "GSQ_HOLD", NULL, NULL,
		"take no changes and push nothing; reads are served"},
	[OPT_TRUST_REGISTRY] = {"trust-registry", "TRUST_REGISTRY", NULL, NULL,
		"take changes although the cluster shows newer versions than the registry, which "
		"is what a restored backup looks like; the registry's are then the ones that "
		"count"},
	[OPT_TLS_CERT] = {"tls-cert", "TLS_CERT", "FILE", NULL,
		"PEM file with the certificate of both listeners, and those between it and its "
		"authority; read again when it changes. Without TLS they listen on loopback only"},
	[OPT_TLS_KEY] = {"tls-key", "TLS_KEY", "FILE", NULL, "PEM file with its key"},
	[OPT_INSECURE] = {"insecure", "GSQ_INSECURE", NULL, NULL,
		"listen on other addresses than loopback without TLS: whoever is on the way reads "
		"the tokens"},
	[OPT_TOKEN_FILE] = TOKEN_OPTION_FILE,
	[OPT_POLICY] = {"policy", "POLICY_FILE", "FILE", NULL,
		"YAML file of roles, quotas and rates; read again when it changes"},
	[OPT_ANONYMOUS] = {"anonymous", "GSQ_ANONYMOUS", "read|write", NULL,
		"for demos: who does not say who it is may read, or do, everything"},
	[OPT_OIDC_ISSUER] = {"oidc-issuer", "OIDC_ISSUER", "URL", NULL,
		"OpenID Connect issuer whose JSON Web Tokens say who somebody is"},
	[OPT_OIDC_AUDIENCE] = {"oidc-audience", "OIDC_AUDIENCE", "NAME", NULL,
		"audience that they must be meant for"},
	[OPT_OIDC_USERNAME] = {"oidc-username-claim", "OIDC_USERNAME_CLAIM", "CLAIM", "sub",
		"their claim with the user's name, as in oidc:NAME"},
	[OPT_OIDC_GROUPS] = {"oidc-groups-claim", "OIDC_GROUPS_CLAIM", "CLAIM", "groups",
		"their claim with the user's groups"},
	[OPT_OIDC_CA] = {"oidc-ca", "OIDC_CA", "FILE", NULL,
		"PEM file of the authority that signed the issuer's certificate"},
	[OPT_AUTH_KUBERNETES] = {"auth-kubernetes", "AUTH_KUBERNETES", NULL, NULL,
		"the cluster says whose a token is (TokenReview): users, service accounts"},
	[OPT_KUBERNETES_AUDIENCE] = {"kubernetes-audience", "KUBERNETES_AUDIENCE", "NAME", NULL,
		"audience that such a token must be meant for, as of kubectl create token "
		"--audience NAME; not set: the API server itself, so that a token sent here is "
		"good there too"},
	[OPT_AUTHZ] = {"authz", "AUTHZ", "policy|kubernetes", "policy",
		"who says what users may do: the policy file, or the cluster's RBAC on "
		"platformresources (SubjectAccessReview); API tokens have roles of their own"},
	[OPT_RATE_LIMIT] = {"rate-limit", "RATE_LIMIT", "NUMBER", "0",
		"requests a second of each user that the policy has no rate for; 0: any number"},
	[OPT_REGISTRY_URL] = {"registry-url", "REGISTRY_URL", "URL", NULL,
		"how clients reach the embedded registry, where a proxy is before it"},
	[OPT_SIGN_KEY] = SIGNING_OPTION_KEY,
	[OPT_SIGN_PASSWORD] = SIGNING_OPTION_PASSWORD,
	[OPT_SIGN_RESOURCES] = SIGNING_OPTION_RESOURCES,
	[OPT_SIGN_EXISTING] = SIGNING_OPTION_EXISTING,
	[OPT_VERIFY] = SIGNING_OPTION_VERIFY,
	{NULL},
};

/* The place of the option's value in the list. */
static int choose(const struct cli_values *v, size_t option, const char *const *values, size_t n,
	unsigned *ret, struct error *err)
{
	for (unsigned i = 0; i < n; i++)
		if (strcmp(v->at[option], values[i]) == 0) {
			*ret = i;
			return 0;
		}
	return error_set(err, ERROR_INVALID, "--%s: \"%s\" is not one of %s",
		serve_options[option].flag, v->at[option], serve_options[option].argument);
}

static int read_log(struct serve_options *ret, const struct cli_values *v, struct error *err)
{
	static const char *const formats[] = {[LOG_LOGFMT] = "logfmt", [LOG_JSON] = "json"};
	static const char *const requests[] = {
		[HTTP_LOG_ALL] = "on", [HTTP_LOG_ERRORS] = "errors", [HTTP_LOG_NONE] = "off"};
	unsigned format = 0, which = 0;

	if (choose(v, OPT_LOG_FORMAT, formats, ARRAY_SIZE(formats), &format, err) != 0 ||
		choose(v, OPT_LOG_REQUESTS, requests, ARRAY_SIZE(requests), &which, err) != 0)
		return -1;
	ret->log_format = (enum log_format)format;
	ret->log_requests = (enum http_access_log)which;
	return 0;
}

static int number(
	const struct cli_values *v, size_t option, uint64_t max, uint64_t *ret, struct error *err)
{
	if (slice_to_u64(slice_of(v->at[option]), ret) && *ret <= max)
		return 0;
	return error_set(err, ERROR_INVALID, "--%s: \"%s\" is not a number from 0 to %llu",
		serve_options[option].flag, v->at[option], (unsigned long long)max);
}

static int read_retention(
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

static int read_upkeep(struct upkeep_options *ret, const struct cli_values *v, struct error *err)
{
	if (cli_duration("gc-interval", v->at[OPT_GC_INTERVAL], &ret->gc_interval_s, err) != 0)
		return -1;
	return cli_duration("gc-grace", v->at[OPT_GC_GRACE], &ret->gc_grace_s, err);
}

/* ---- the cluster ---- */

/* A KUBECONFIG that is there for other programs gives way to --in-cluster, and KUBE_CONTEXT means
 * nothing without one. */
static int read_cluster(struct serve_options *ret, const struct cli_values *v, struct error *err)
{
	const char *path = v->at[OPT_KUBECONFIG], *context = v->at[OPT_KUBE_CONTEXT];
	bool in_cluster = v->at[OPT_IN_CLUSTER] != NULL;
	int rc;

	if (in_cluster && v->given[OPT_KUBECONFIG])
		return error_set(err, ERROR_INVALID,
			"--kubeconfig and --in-cluster name two clusters; give one of them");
	if (v->given[OPT_KUBE_CONTEXT] && (in_cluster || path == NULL))
		return error_set(err, ERROR_INVALID, "--kube-context goes with --kubeconfig");
	if (!in_cluster && path == NULL)
		return 0;
	rc = in_cluster ? kube_config_in_cluster(&ret->kube, NULL, err)
			: kube_config_load(&ret->kube, path, context, err);
	if (rc != 0)
		return error_wrap(err, in_cluster ? "--in-cluster" : "--kubeconfig");
	ret->has_cluster = true;
	return 0;
}

/* ---- listening ---- */

/* Tokens must not travel in the clear: without TLS ":8080" is an address of this machine alone. */
static int read_address(char ret[SERVE_ADDRESS_SIZE], const struct cli_values *v, size_t option,
	bool exposed, struct error *err)
{
	const char *flag = serve_options[option].flag, *address = v->at[option];
	char host[SERVE_ADDRESS_SIZE];
	uint16_t port;

	if (http_address_parse(address, host, sizeof(host), &port, err) != 0)
		return error_wrap(err, "--%s", flag);
	if (!exposed && host[0] != '\0' && !http_host_is_loopback(slice_of(host)))
		return error_set(err, ERROR_INVALID,
			"--%s: without TLS the server listens on loopback only, and %s is not: "
			"give "
			"--tls-cert and --tls-key, or --insecure",
			flag, address);
	snprintf(ret, SERVE_ADDRESS_SIZE, "%s%.*s", exposed || host[0] != '\0' ? "" : "127.0.0.1",
		SERVE_ADDRESS_SIZE - 20, address);
	return 0;
}

static int read_listeners(struct serve_options *ret, const struct cli_values *v, struct error *err)
{
	bool has_tls = v->at[OPT_TLS_CERT] != NULL;
	bool exposed = has_tls || v->at[OPT_INSECURE] != NULL;
	struct http_url ignored;

	if (has_tls != (v->at[OPT_TLS_KEY] != NULL))
		return error_set(err, ERROR_INVALID, "--%s is missing: TLS needs both files",
			has_tls ? "tls-key" : "tls-cert");
	ret->insecure = v->at[OPT_INSECURE] != NULL;
	ret->tls_certificate = v->at[OPT_TLS_CERT];
	ret->tls_key = v->at[OPT_TLS_KEY];
	ret->registry_url = v->at[OPT_REGISTRY_URL];
	if (ret->registry_url != NULL && http_url_parse(&ignored, ret->registry_url, err) != 0)
		return error_wrap(err, "--registry-url");
	if (read_address(ret->listen, v, OPT_LISTEN, exposed, err) != 0)
		return -1;
	return read_address(ret->registry_listen, v, OPT_REGISTRY_LISTEN, exposed, err);
}

/* ---- identities ---- */

static int read_oidc(struct serve_options *ret, const struct cli_values *v, struct error *err)
{
	ret->oidc = (struct oidc_options){
		.issuer = v->at[OPT_OIDC_ISSUER],
		.audience = v->at[OPT_OIDC_AUDIENCE],
		.username_claim = v->at[OPT_OIDC_USERNAME],
		.groups_claim = v->at[OPT_OIDC_GROUPS],
		.ca_file = v->at[OPT_OIDC_CA],
	};
	if (ret->oidc.issuer == NULL && ret->oidc.audience == NULL)
		return 0;
	if (ret->oidc.issuer == NULL || ret->oidc.audience == NULL)
		return error_set(err, ERROR_INVALID,
			"--oidc-issuer and --oidc-audience go together: a token for somebody else "
			"must not count here");
	return 0;
}

static int read_auth(struct serve_options *ret, const struct cli_values *v, struct error *err)
{
	static const char *const anonymous[] = {"read", "write"};
	static const char *const authz[] = {"policy", "kubernetes"};
	unsigned who = 0, how = 0;
	uint64_t rate;

	if (v->at[OPT_ANONYMOUS] != NULL &&
		choose(v, OPT_ANONYMOUS, anonymous, ARRAY_SIZE(anonymous), &who, err) != 0)
		return -1;
	if (choose(v, OPT_AUTHZ, authz, ARRAY_SIZE(authz), &how, err) != 0 ||
		number(v, OPT_RATE_LIMIT, LIMIT_RATE, &rate, err) != 0 ||
		read_oidc(ret, v, err) != 0)
		return -1;
	if (token_file_path(ret->token_file, v->at[OPT_TOKEN_FILE], ret->data_dir, err) != 0)
		return -1;
	ret->auth_kubernetes = v->at[OPT_AUTH_KUBERNETES] != NULL;
	ret->kubernetes_audience[0] = v->at[OPT_KUBERNETES_AUDIENCE];
	if (v->given[OPT_KUBERNETES_AUDIENCE] && !ret->auth_kubernetes)
		return error_set(
			err, ERROR_INVALID, "--kubernetes-audience goes with --auth-kubernetes");
	if (v->at[OPT_ANONYMOUS] != NULL)
		ret->auth.anonymous = who == 0 ? ANONYMOUS_READ : ANONYMOUS_WRITE;
	ret->auth.policy_file = v->at[OPT_POLICY];
	ret->auth.reviewer_authorizes = how == 1;
	ret->auth.rate = (unsigned)rate;
	if ((ret->auth_kubernetes || how == 1) && !ret->has_cluster)
		return error_set(err, ERROR_INVALID, "--%s goes with --kubeconfig or --in-cluster",
			ret->auth_kubernetes ? "auth-kubernetes" : "authz kubernetes");
	return 0;
}

/* Without a cluster they would do nothing, and somebody would count on them. */
static int check_cluster(
	const struct serve_options *o, const struct cli_values *v, struct error *err)
{
	if (o->has_cluster || (!v->given[OPT_QUARANTINE] && !v->given[OPT_TRUST_REGISTRY]))
		return 0;
	return error_set(err, ERROR_INVALID, "--%s goes with --kubeconfig or --in-cluster",
		serve_options[v->given[OPT_QUARANTINE] ? OPT_QUARANTINE : OPT_TRUST_REGISTRY].flag);
}

/* ---- all of it ---- */

int serve_options_read(struct serve_options *ret, const struct cli_values *v, struct error *err)
{
	struct serve_options o = {
		.registry = v->at[OPT_REGISTRY],
		.registry_ca = v->at[OPT_CA],
		.data_dir = v->at[OPT_DATA_DIR],
		.namespaces = v->at[OPT_NAMESPACES],
		.init = v->at[OPT_INIT] != NULL,
		.hold = v->at[OPT_HOLD] != NULL,
		.signing = {v->at[OPT_SIGN_KEY], v->at[OPT_SIGN_PASSWORD],
			v->at[OPT_SIGN_RESOURCES] != NULL, v->at[OPT_VERIFY],
			v->at[OPT_SIGN_EXISTING] != NULL},
		.quarantine = v->at[OPT_QUARANTINE] != NULL,
		.trust_registry = v->at[OPT_TRUST_REGISTRY] != NULL,
	};

	if (read_log(&o, v, err) != 0 || read_listeners(&o, v, err) != 0 ||
		layout_options_read(&o.layout, serve_options, v, err) != 0 ||
		read_upkeep(&o.upkeep, v, err) != 0 || read_retention(&o.retention, v, err) != 0 ||
		prune_options(&o.guard, v->at[OPT_MAX_PRUNE], NULL, "send it with ?confirm=prune",
			err) != 0 ||
		read_cluster(&o, v, err) != 0)
		return -1;
	if (check_cluster(&o, v, err) != 0 || read_auth(&o, v, err) != 0 ||
		signing_options_check(&o.signing, !o.hold, err) != 0) {
		serve_options_done(&o);
		return -1;
	}
	o.layout.root.options.woken = o.has_cluster;
	*ret = o;
	return 0;
}

void serve_options_done(struct serve_options *o)
{
	kube_config_done(&o->kube);
}
