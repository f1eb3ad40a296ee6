/* SPDX-License-Identifier: Apache-2.0 */
/* The PlatformResources in a cluster that are ours, as gsq adopt wants them. */
#ifndef CLI_CLUSTER_OBJECTS_H
#define CLI_CLUSTER_OBJECTS_H

#include "cluster/kube_config.h"
#include "publish/adopt.h"

struct cluster_objects {
	size_t n, cap;
	struct adopt_object *list; /* each owns its intent */
	size_t n_deleting;         /* on their way out, and left out */
};

/* Takes over the config. Lists all namespaces, once. ERROR_UNPROCESSABLE names objects that cannot
 * be taken over, and says what to do. Blocks. */
int cluster_objects_read(
	struct cluster_objects *ret, struct kube_config *config, struct error *err) MUST_CHECK;
void cluster_objects_done(struct cluster_objects *o);

#endif
