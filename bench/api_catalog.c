/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/api_intent.h"
#include "bench/api_load.h"
#include "catalog/catalog.h"

#define VERSION UINT64_C(1700000000000000) /* of the first resource: late in 2023 */
#define LAYER_MAX (256 * MIB)
#define CHANGES_MAX 10000

static int make_resource(struct resource **ret, size_t number, uint64_t version, struct error *err)
{
	CLEANUP(intent_unrefp) struct intent *intent = NULL;
	CLEANUP(artifact_done) struct artifact artifact = {0};
	char json[INTENT_JSON_SIZE];

	intent_json(number, version, json);
	if (intent_decode(&intent, slice_of(json), "default", err) != 0 ||
		artifact_of_resource(&artifact, intent, version, err) != 0)
		return -1;
	return resource_new(ret, intent, version, &artifact.digest, err);
}

static struct catalog_change change_to(struct resource *r)
{
	return (struct catalog_change){
		.namespace = r->intent->namespace, .name = r->intent->name, .resource = r};
}

static int fill(struct catalog **ret, size_t n, struct error *err)
{
	CLEANUP(catalog_unrefp) struct catalog *empty = NULL;
	CLEANUP(gzip_done) struct gzip z = {0};
	AUTO_FREE struct catalog_change *changes = calloc(n, sizeof(*changes));
	int rc = 0;

	if (changes == NULL)
		return error_no_memory(err);
	for (size_t i = 0; rc == 0 && i < n; i++) {
		struct resource *r;

		rc = make_resource(&r, i, VERSION + i, err);
		if (rc == 0)
			changes[i] = change_to(r);
	}
	if (rc == 0)
		rc = catalog_new(&empty, err);
	if (rc == 0)
		rc = catalog_apply(ret, empty, changes, n, &z, err);
	for (size_t i = 0; i < n; i++)
		resource_unref(changes[i].resource);
	return rc;
}

/* What a commit has to do about one change, once its artifact is made. */
static int rebuild(struct catalog **catalog, const struct catalog_change *change, struct gzip *z,
	struct buf *layer, struct error *err)
{
	struct catalog *next;
	struct digest digest;

	if (catalog_apply(&next, *catalog, change, 1, z, err) != 0)
		return -1;
	catalog_unref(*catalog);
	*catalog = next;
	buf_reset(layer);
	if (catalog_layer(next, z, layer, err) != 0)
		return -1;
	digest = digest_of(buf_slice(layer));
	ASSERT(digest.algorithm == DIGEST_SHA256);
	return 0;
}

/* Changes one resource after another, far from each other; their artifacts are not measured. */
static int rebuild_often(struct catalog **catalog, const struct api_options *o, struct result *r,
	uint64_t *latency_ns, struct error *err)
{
	CLEANUP(buf_done) struct buf layer = BUF_INIT(LAYER_MAX);
	CLEANUP(gzip_done) struct gzip z = {0};
	const struct order order = new_order(o->resources);
	uint64_t deadline_ns = now_ns() + (uint64_t)(o->seconds * 1e9);

	if (catalog_layer(*catalog, &z, &layer, err) != 0)
		return -1;
	while (r->count < CHANGES_MAX && now_ns() < deadline_ns) {
		CLEANUP(resource_unrefp) struct resource *resource = NULL;
		struct catalog_change change;
		uint64_t begin_ns;

		if (make_resource(&resource, number_of(&order, r->count),
			    VERSION + o->resources + r->count, err) != 0)
			return -1;
		change = change_to(resource);
		begin_ns = now_ns();
		if (rebuild(catalog, &change, &z, &layer, err) != 0)
			return -1;
		latency_ns[r->count] = now_ns() - begin_ns;
		r->seconds += (double)latency_ns[r->count++] / 1e9;
		r->bytes += layer.len;
	}
	return 0;
}

int catalog_build(const char *name, const struct api_options *o, struct error *err)
{
	CLEANUP(catalog_unrefp) struct catalog *catalog = NULL;
	AUTO_FREE uint64_t *latency_ns = calloc(CHANGES_MAX, sizeof(*latency_ns));
	struct result r = {.cores = 1};

	if (latency_ns == NULL)
		return error_no_memory(err);
	if (fill(&catalog, o->resources, err) != 0 ||
		rebuild_often(&catalog, o, &r, latency_ns, err) != 0)
		return -1;
	result_percentiles(&r, latency_ns);
	result_print(name, 1, &r);
	return 0;
}
