/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/api_intent.h"
#include "bench/api_load.h"
#include "bench/load_oci.h"
#include "bench/load_run.h"
#include "catalog/resource.h"

#include <stdio.h>

#define VERSION UINT64_C(1700000000000000) /* of the first resource: late in 2023 */
#define ARTIFACTS_MAX 200000
#define REPOSITORY_SIZE (RESOURCE_REPOSITORY_SIZE + 64)

typedef int blob_pusher(struct conn *c, const char *repository, const char *digest,
	const struct slice content[2], struct error *err);

struct pushing {
	struct order order;
	blob_pusher *push_blob;
	char empty_digest[DIGEST_TEXT_SIZE];
};

/* Makes it on the way: some microseconds, against the registry's milliseconds. */
static int make_artifact(struct artifact *ret, uint64_t version, size_t number, struct error *err)
{
	CLEANUP(intent_unrefp) struct intent *intent = NULL;
	char json[INTENT_JSON_SIZE];

	intent_json(number, version, json);
	if (intent_decode(&intent, slice_of(json), "default", err) != 0)
		return -1;
	return artifact_of_resource(ret, intent, version, err);
}

/* The same bytes under the same names as the server's, but for the prefix; a repository each. */
static int push_one(struct conn *c, size_t i, void *arg, uint64_t *bytes, struct error *err)
{
	const struct pushing *p = arg;
	const struct slice config[2] = {OCI_EMPTY, SLICE_NONE};
	CLEANUP(artifact_done) struct artifact a = {0};
	char repository[REPOSITORY_SIZE], tag[RESOURCE_TAG_SIZE], layer_digest[DIGEST_TEXT_SIZE];
	struct slice layer[2] = {SLICE_NONE, SLICE_NONE};

	if (make_artifact(&a, VERSION + i, i % INTENT_NUMBERS, err) != 0)
		return -1;
	layer[0] = buf_slice(&a.layer);
	digest_format(&a.layer_digest, layer_digest);
	resource_tag(VERSION + i, tag);
	snprintf(repository, sizeof(repository),
		"bench%llx/" RESOURCE_REPOSITORY_PREFIX "default/r%06zu",
		(unsigned long long)p->order.change >> 32, i);
	if (p->push_blob(c, repository, p->empty_digest, config, err) != 0 ||
		p->push_blob(c, repository, layer_digest, layer, err) != 0 ||
		put_manifest(c, repository, tag, buf_slice(&a.manifest), err) != 0 ||
		put_manifest(c, repository, "latest", buf_slice(&a.manifest), err) != 0)
		return -1;
	*bytes += a.layer.len + a.manifest.len + config[0].n;
	return 0;
}

/* The specification leaves it to the registry whether it takes a blob in one request. */
static int probe(const struct api_options *o, const struct pushing *p, struct error *err)
{
	CLEANUP(conn_freep) struct conn *c = NULL;
	const struct slice config[2] = {OCI_EMPTY, SLICE_NONE};

	if (conn_new(&c, &o->target, err) != 0)
		return -1;
	if (p->push_blob(c, "bench/probe", p->empty_digest, config, err) == 0)
		return 0;
	if (p->push_blob == post_blob && err->code == ERROR_UNPROCESSABLE)
		error_set(err, ERROR_NOT_IMPLEMENTED,
			"the registry does not take a blob in one POST");
	return -1;
}

static blob_pusher *find_pusher(const char *how)
{
	if (strcmp(how, "post-put") == 0)
		return put_blob;
	return strcmp(how, "post") == 0 ? post_blob : NULL;
}

int artifact_push(const char *name, const struct api_options *o, struct error *err)
{
	const struct digest empty = digest_of(OCI_EMPTY);
	struct pushing p = {.order = new_order(1), .push_blob = find_pusher(o->how)};
	struct run run = {.target = &o->target,
		.clients = o->clients,
		.seconds = o->seconds,
		.count = ARTIFACTS_MAX,
		.operation = push_one,
		.arg = &p};
	struct result r;

	if (p.push_blob == NULL)
		return error_set(err, ERROR_INVALID, "--how must be post-put or post");
	digest_format(&empty, p.empty_digest);
	if (probe(o, &p, err) != 0 || run_all(&run, &r, err) != 0)
		return -1;
	result_print(name, o->clients, &r);
	if (r.errors == 0)
		return 0;
	*err = r.err;
	return -1;
}
