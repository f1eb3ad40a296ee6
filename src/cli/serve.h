/* SPDX-License-Identifier: Apache-2.0 */
/* What gsq serve is asked for, out of its flags and the environment. */
#ifndef CLI_SERVE_H
#define CLI_SERVE_H

#include "base/log.h"
#include "cli/cli.h"
#include "cli/layout.h"
#include "cluster/cluster.h"
#include "http/access.h"
#include "publish/retention.h"
#include "registry/embedded.h"

/* The NULL flag ends. */
extern const struct cli_option serve_options[];

struct serve_options {
	const char *listen;
	const char *registry, *registry_ca; /* registry NULL: the embedded one */
	const char *registry_listen, *data_dir;
	const char *namespaces;
	bool init, hold;
	struct layout_options layout;
	struct upkeep_options upkeep;       /* of the embedded registry */
	struct retention_options retention; /* registry and publisher are unset */
	enum log_format log_format;
	enum http_access_log log_requests;

	bool has_cluster;
	struct kube_config kube; /* empty without, and when somebody has taken it over */
	bool quarantine, trust_registry;
};

/* ERROR_INVALID names the flag. Strings are borrowed from the values. */
int serve_options_read(
	struct serve_options *ret, const struct cli_values *v, struct error *err) MUST_CHECK;
void serve_options_done(struct serve_options *o);

#endif
