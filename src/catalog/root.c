/* SPDX-License-Identifier: Apache-2.0 */
#include "catalog/root.h"

#include "catalog/key.h"
#include "catalog/page.h"
#include "oci/reference.h"

#include <inttypes.h>
#include <stdio.h>

#define REPOSITORIES "gitops-squared/catalogs/"

/* Flux puts a Kustomization's name into a label of all that it applies: at most 63 characters. */
#define OBJECT_NAME_MAX 63
#define OBJECT_NAME_SIZE (OBJECT_NAME_MAX + 1)
#define OBJECT_PREFIX "gitops-squared-"

/* ---- options ---- */

bool root_options_eq(const struct root_options *a, const struct root_options *b)
{
	return strcmp(a->location, b->location) == 0 && a->insecure == b->insecure &&
	       strcmp(a->secret, b->secret) == 0;
}

int root_url_parse(struct root_options *ret, const char *text, struct error *err)
{
	struct registry_location location;

	if (registry_location_parse(&location, text, err) != 0)
		return -1;
	snprintf(ret->location, sizeof(ret->location), "%s/%s", location.host, location.prefix);
	ret->insecure = strncmp(location.base, "http://", strlen("http://")) == 0;
	return 0;
}

void root_url(const struct root_options *options, char ret[ROOT_URL_SIZE])
{
	size_t n = strlen(options->location);

	ASSERT(n > 0);
	snprintf(ret, ROOT_URL_SIZE, "%s%.*s", options->insecure ? "http://" : "https://",
		(int)(n - 1), options->location);
}

/* [a-z0-9-.], as Kubernetes names Secrets: a DNS subdomain. */
static bool secret_name_ok(struct slice s)
{
	if (s.n > LIMIT_SECRET_NAME)
		return false;
	do {
		if (!intent_name_ok(slice_cut(&s, '.')))
			return false;
	} while (s.p != NULL);
	return true;
}

int root_secret_parse(struct root_options *ret, const char *text, struct error *err)
{
	if (*text != '\0' && !secret_name_ok(slice_of(text)))
		return error_set(err, ERROR_INVALID,
			"the name of a Secret is lower-case letters, digits, - and . between them");
	snprintf(ret->secret, sizeof(ret->secret), "%s", text);
	return 0;
}

void root_choose(struct root_options *ret, const struct root_request *request,
	const struct root_options *recorded)
{
	const struct root_options *asked = &request->options;
	bool is_new = recorded->location[0] == '\0';
	const struct root_options *url = is_new || request->url_given ? asked : recorded;
	const struct root_options *secret = is_new || request->secret_given ? asked : recorded;
	struct root_options chosen = *url;

	memcpy(chosen.secret, secret->secret, sizeof(chosen.secret));
	*ret = chosen;
}

/* ---- writing ---- */

static const char *after_prefix(const char *repository)
{
	ASSERT(strncmp(repository, REPOSITORIES, strlen(REPOSITORIES)) == 0);
	return repository + strlen(REPOSITORIES);
}

/* The number as it stands in the repository's name. */
static const char *number_of(const char *repository)
{
	return strrchr(repository, '/') + 1;
}

/* gitops-squared-team-a-07; of a long namespace, its beginning and a hash, with a dot, which no
 * namespace has: so this is never the name of another one. The dot stands behind the hash since
 * what is before it may not end with a dash. */
static void object_name(
	const char *repository, const struct place *place, char ret[OBJECT_NAME_SIZE])
{
	const char *number = number_of(repository);
	int n = snprintf(ret, OBJECT_NAME_SIZE, OBJECT_PREFIX "%s-%s", place->namespace, number);

	if (n > OBJECT_NAME_MAX)
		snprintf(ret, OBJECT_NAME_SIZE, OBJECT_PREFIX "%.20s-%016" PRIx64 ".%s",
			place->namespace, key_hash(place->namespace, ""), number);
}

static void add_objects(struct buf *b, const struct root_options *options, const char *repository,
	const struct place *place)
{
	char name[OBJECT_NAME_SIZE];

	object_name(repository, place, name);
	buf_printf(b,
		"apiVersion: source.toolkit.fluxcd.io/v1\n"
		"kind: OCIRepository\n"
		"metadata:\n"
		"  name: %s\n"
		"  namespace: flux-system\n"
		"spec:\n"
		"  insecure: %s\n"
		"  interval: 60s\n"
		"  ref:\n"
		"    tag: latest\n",
		name, options->insecure ? "true" : "false");
	if (options->secret[0] != '\0') /* quoted: it may look like a number */
		buf_printf(b, "  secretRef:\n    name: \"%s\"\n", options->secret);
	buf_printf(b,
		"  url: \"oci://%s%s\"\n"
		"---\n",
		options->location, repository);
	buf_printf(b,
		"apiVersion: kustomize.toolkit.fluxcd.io/v1\n"
		"kind: Kustomization\n"
		"metadata:\n"
		"  name: %s\n"
		"  namespace: flux-system\n"
		"spec:\n"
		"  deletionPolicy: Orphan\n"
		"  interval: 60s\n"
		"  path: ./manifests\n"
		"  prune: true\n"
		"  sourceRef:\n"
		"    kind: OCIRepository\n"
		"    name: %s\n"
		"  wait: false\n",
		name, name);
}

static void add_file(struct buf *tar, struct slice path, const struct buf *content)
{
	tar_add_header(tar, path, content->len);
	buf_add(tar, buf_slice(content));
	tar_add_padding(tar, content->len);
}

static int add_catalogs(struct buf *tar, struct buf *kustomization,
	const struct root_options *options, const struct layout *layout, const struct place *places,
	size_t n, struct error *err)
{
	CLEANUP(buf_done) struct buf objects = BUF_INIT(LIMIT_ROOT_FILE);

	for (size_t i = 0; i < n; i++) {
		char repository[CATALOG_REPOSITORY_SIZE], path[TAR_PATH_MAX + 1];

		layout_repository(layout, &places[i], repository);
		snprintf(path, sizeof(path), CATALOG_FOLDER "%s.yaml", after_prefix(repository));
		buf_reset(&objects);
		add_objects(&objects, options, repository, &places[i]);
		if (buf_check(&objects, err) != 0)
			return -1;
		add_file(tar, slice_of(path), &objects);
		buf_printf(kustomization, "- %s\n", path + strlen(CATALOG_FOLDER));
	}
	return 0;
}

int root_layer(const struct root_options *options, const struct layout *layout,
	const struct place *places, size_t n, struct gzip *z, struct buf *ret, struct error *err)
{
	CLEANUP(buf_done) struct buf tar = BUF_INIT(LIMIT_CATALOG_TAR);
	CLEANUP(buf_done) struct buf kustomization = BUF_INIT(LIMIT_CATALOG_TAR);

	buf_puts(&kustomization, n == 0 ? KUSTOMIZATION_HEAD " []\n" : KUSTOMIZATION_HEAD "\n");
	if (add_catalogs(&tar, &kustomization, options, layout, places, n, err) != 0 ||
		buf_check(&kustomization, err) != 0)
		return -1;
	add_file(&tar, SLICE(KUSTOMIZATION_PATH), &kustomization);
	tar_add_end(&tar);
	if (buf_check(&tar, err) != 0)
		return -1;
	gzip_add(z, buf_slice(&tar), ret);
	return buf_check(ret, err);
}

/* ---- reading ---- */

/* "manifests/team-a/07.yaml" to its place. */
static bool parse_path(const struct layout *layout, const char *path, struct place *ret)
{
	char repository[sizeof(REPOSITORIES) + TAR_PATH_MAX];
	struct slice rest = slice_of(path);

	if (!slice_starts(rest, SLICE(CATALOG_FOLDER)) || !slice_ends(rest, SLICE(".yaml")))
		return false;
	rest.p += strlen(CATALOG_FOLDER);
	rest.n -= strlen(CATALOG_FOLDER) + strlen(".yaml");
	snprintf(repository, sizeof(repository), REPOSITORIES "%.*s", SLICE_ARG(rest));
	return layout_repository_parse(layout, slice_of(repository), ret);
}

static int add_place(struct place **places, size_t *n, const struct place *place, struct error *err)
{
	struct place *grown;

	if (*n > 0 && place_cmp(&(*places)[*n - 1], place) >= 0)
		return error_set(err, ERROR_INTERNAL, "the root catalog is out of order");
	if (*n % 64 == 0) {
		grown = realloc(*places, (*n + 64) * sizeof(**places));
		if (grown == NULL)
			return error_no_memory(err);
		*places = grown;
	}
	(*places)[(*n)++] = *place;
	return 0;
}

static int read_places(struct place **places, size_t *n, const struct layout *layout,
	struct slice tar, struct error *err)
{
	struct tar_file file;
	struct place place;
	size_t at = 0;
	int rc;

	while ((rc = tar_next(tar, &at, &file, err)) == 1) {
		if (strcmp(file.path, KUSTOMIZATION_PATH) == 0)
			continue;
		if (!parse_path(layout, file.path, &place))
			return error_set(err, ERROR_INTERNAL,
				"the root catalog holds %s, which is no catalog of this layout",
				file.path);
		if (add_place(places, n, &place, err) != 0)
			return -1;
	}
	return rc;
}

int root_read(struct place **ret, size_t *ret_n, const struct layout *layout, struct slice layer,
	struct error *err)
{
	CLEANUP(gzip_content_done)
	struct gzip_content content = {.bytes = BUF_INIT(LIMIT_CATALOG_TAR)};
	AUTO_FREE struct place *places = NULL;
	size_t n = 0;

	if (gzip_read(&content, layer, err) != 0 ||
		read_places(&places, &n, layout, buf_slice(&content.bytes), err) != 0)
		return -1;
	*ret = TAKE_PTR(places);
	*ret_n = n;
	return 0;
}
