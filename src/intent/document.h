/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Documents with intents, as people and kubectl write them: JSON or YAML, one or many, in the short
 * form ({"name","namespace"?,"labels"?,"spec"}) or as Kubernetes objects (apiVersion, kind,
 * metadata, spec), a List of them, or a JSON list. Every rule of intent_decode() holds; so does
 * strictness: an unknown field is an error, and so is a duplicate key.
 *
 * Of a Kubernetes object these are taken and dropped, as kubectl get -o yaml and gsq write them:
 * status; metadata.creationTimestamp, resourceVersion, uid, generation, managedFields, selfLink and
 * annotations of gitops-squared.io/, kustomize.toolkit.fluxcd.io/ and kubectl.kubernetes.io/;
 * labels of app.kubernetes.io/managed-by: gitops-squared and kustomize.toolkit.fluxcd.io/. Other
 * annotations are refused: nothing would keep them.
 */
#ifndef INTENT_DOCUMENT_H
#define INTENT_DOCUMENT_H

#include "intent/intent.h"

#include <jansson.h>

enum document_format { DOCUMENT_JSON, DOCUMENT_YAML };

struct document_place {
	size_t index; /* of the resource, from 0 */
	size_t line;  /* where it begins, from 1; 0: not known */
};

struct document_options {
	enum document_format format;
	const char *namespace; /* of those that name none; NULL: they must */
	/* The one namespace that they may be in; NULL: any. */
	const char *only;
	size_t max; /* resources: more is ERROR_TOO_LARGE, which says so */
	/* The file that has the text: every error begins with it, that of a resource with its line
	 * too ("shop.yaml:41: "), in place of the document's number. NULL: none. */
	const char *file;
};

/* Calls each() for one intent after the other, in their order, which may take a reference; its -1
 * ends it. Errors of a resource name it ("web", where it has a name), its place ("document 3, line
 * 41") and the field; err->field is the path in it ("spec.size"). YAML: aliases and merge keys are
 * refused, comments and empty documents passed over; memory is that of one document, and of a JSON
 * list that of one item. ERROR_TOO_LARGE: an object of more than LIMIT_JSON_VALUES values or
 * LIMIT_API_BODY bytes, or a YAML document of more than LIMIT_DOCUMENT_VALUES. */
int document_read(struct slice text, const struct document_options *options,
	int (*each)(struct intent *intent, const struct document_place *place, void *arg,
		struct error *err),
	void *arg, struct error *err) MUST_CHECK;

/* One resource that was read as JSON by others, in either form; namespace as above. json is
 * borrowed. err->field is the path in it. */
int intent_from_json(
	struct intent **ret, json_t *json, const char *namespace, struct error *err) MUST_CHECK;

/* A JSON merge patch (RFC 7396) of labels and spec: {"spec":{"replicas":3},"labels":{"old":null}}.
 * The name and the namespace may be there, and must be the same then. null for spec.region takes it
 * away, for spec.replicas means the default. In the Kubernetes form metadata.labels too. Errors as
 * intent_decode(). */
int intent_patch(struct intent **ret, const struct intent *old, struct slice json,
	struct error *err) MUST_CHECK;

/* The Kubernetes object without anything that the server puts there: what export writes, edit shows
 * and differences are made of. Keys in kubectl's order (apiVersion, kind, metadata, spec), strings
 * quoted as by intent_render(). Reading it gives an equal intent. */
void intent_write_yaml(const struct intent *intent, struct buf *ret);

/* The unified difference of what intent_write_yaml() gives; either may be NULL: nothing. "" where
 * they are equal. ret is appended to. from and to: the names in its first two lines. */
void intent_diff(const struct intent *old, const struct intent *new, const char *from,
	const char *to, struct buf *ret);

/* Such a name, for all differences that are shown: "default/web@v123" of what is stored,
 * "default/web" of what is wanted (version 0), "/dev/null" of nothing (intent NULL). Returns ret.
 */
#define INTENT_DIFF_NAME_SIZE (2 * LIMIT_NAME + 24)
const char *intent_diff_name(
	const struct intent *intent, uint64_t version, char ret[INTENT_DIFF_NAME_SIZE]);

#endif
