/* SPDX-License-Identifier: Apache-2.0 */
/* Our PlatformResources, as the Kubernetes API has them. */
#ifndef CLUSTER_RESOURCES_H
#define CLUSTER_RESOURCES_H

#define RESOURCES_API "/apis/gitops-squared.io/v1alpha1"
#define RESOURCES_PATH RESOURCES_API "/platformresources"
/* Those that Flux has applied from our catalogs. */
#define RESOURCES_QUERY "labelSelector=app.kubernetes.io%2Fmanaged-by%3Dgitops-squared"
#define RESOURCES_VERSION "gitops-squared.io/version" /* an annotation: the version, as a tag */

#endif
