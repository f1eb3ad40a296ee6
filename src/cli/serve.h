/* SPDX-License-Identifier: Apache-2.0 */
/* What gsq serve is asked for, out of its flags and the environment. */
#ifndef CLI_SERVE_H
#define CLI_SERVE_H

#include "auth/auth.h"
#include "base/log.h"
#include "cli/cli.h"
#include "cli/layout.h"
#include "cli/signing_options.h"
#include "cli/token_file.h"
#include "cluster/cluster.h"
#include "http/access.h"
#include "publish/prune_guard.h"
#include "publish/retention.h"
#include "registry/embedded.h"

/* The NULL flag ends. */
extern const struct cli_option serve_options[];

#define SERVE_ADDRESS_SIZE 300

struct serve_options {
	char listen[SERVE_ADDRESS_SIZE], registry_listen[SERVE_ADDRESS_SIZE];
	const char *registry, *registry_ca; /* registry NULL: the embedded one */
	const char *registry_url;           /* as clients reach the embedded one; NULL: not said */
	const char *data_dir;
	const char *namespaces;
	bool init, hold;
	struct signing_options signing;
	struct layout_options layout;
	struct upkeep_options upkeep;       /* of the embedded registry */
	struct retention_options retention; /* registry and publisher are unset */
	struct prune_guard guard;
	enum log_format log_format;
	enum http_access_log log_requests;

	const char *tls_certificate, *tls_key; /* NULL: plain HTTP */
	bool insecure;
	struct auth_options auth; /* token_file, oidc and reviewer are unset */
	struct oidc_options oidc; /* issuer NULL: none */
	char token_file[TOKEN_FILE_SIZE];
	bool auth_kubernetes;               /* identities by TokenReview, */
	const char *kubernetes_audience[2]; /* of such a token; NULL-terminated */

	bool has_cluster;
	struct kube_config kube; /* empty without, and when somebody has taken it over */
	bool quarantine, trust_registry;
};

/* ERROR_INVALID names the flag. Strings are borrowed from the values. */
int serve_options_read(
	struct serve_options *ret, const struct cli_values *v, struct error *err) MUST_CHECK;
void serve_options_done(struct serve_options *o);

/* ---- serve_trust.c: TLS and identities, and the files that they are read from ---- */

struct trust {
	struct http_tls *tls; /* NULL: plain HTTP */
	struct auth *auth;
	struct reloader *reloader;
};

/* Makes the first token where nobody could be anybody without, and shows it on a terminal, or
 * leaves it in DATA_DIR/admin-token. reviewer: of the
 * cluster; NULL: none. */
int trust_start(struct trust *ret, const struct serve_options *options,
	const struct reviewer *reviewer, struct error *err) MUST_CHECK;
/* Reads all files again: SIGHUP. Any thread. */
void trust_reload(struct trust *t);
/* After the servers, before their loops: who still waits to be known gets an answer there. */
void trust_stop(struct trust *t);
/* After what the servers have left behind. */
void trust_done(struct trust *t);

#endif
