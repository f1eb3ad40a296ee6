/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the Kubernetes API is and who we are there: a kubeconfig file
 * (https://kubernetes.io/docs/reference/config-api/kubeconfig.v1/), or what a pod is given.
 *
 * Read once, at start; only a token file is read again, since such tokens expire
 * (kube_config_token()). What we do not do is refused by its name, never ignored: exec and
 * auth-provider plugins, user name and password, impersonation, proxy-url, tls-server-name.
 */
#ifndef CLUSTER_KUBE_CONFIG_H
#define CLUSTER_KUBE_CONFIG_H

#include "base/buf.h"

struct kube_config {
	char *server;      /* "https://HOST[:PORT][/PATH]" or http, without a slash at its end */
	char *ca;          /* PEM; NULL: the system's */
	bool insecure;     /* any certificate of the server will do */
	char *certificate; /* PEM of ours, and its key: both or neither */
	char *key;
	char *token;      /* NULL: none, or in a file */
	char *token_file; /* NULL: none */
};

/* path: of a kubeconfig; paths in it are relative to its folder. context: NULL for its
 * current-context. ERROR_INVALID, naming file and key, for what cannot be used. */
int kube_config_load(struct kube_config *ret, const char *path, const char *context,
	struct error *err) MUST_CHECK;
/* The same of its text; path says where it is from. */
int kube_config_parse(struct kube_config *ret, struct slice yaml, const char *path,
	const char *context, struct error *err) MUST_CHECK;

/* From KUBERNETES_SERVICE_HOST and _PORT, and the files token and ca.crt in a folder; NULL: the
 * folder that every pod has, /var/run/secrets/kubernetes.io/serviceaccount. */
int kube_config_in_cluster(
	struct kube_config *ret, const char *folder, struct error *err) MUST_CHECK;

void kube_config_done(struct kube_config *c); /* wipes key and token */

/* The token to send now, trimmed; appends nothing where there is none. A file is read each time.
 * ERROR_UNAUTHORIZED: it holds no token. */
int kube_config_token(const struct kube_config *c, struct buf *ret, struct error *err) MUST_CHECK;

#endif
