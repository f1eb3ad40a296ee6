/* SPDX-License-Identifier: Apache-2.0 */
#include "catalog/root.h"

#include "catalog/key.h"
#include "catalog/page.h"
#include "oci/reference.h"

#include <inttypes.h>
#include <stdio.h>

/* Flux puts a Kustomization's name into a label of all that it applies: at most 63 characters. */
#define OBJECT_NAME_MAX 63
#define OBJECT_PREFIX "gitops-squared-"

/* Of accounts: the role that each has in its namespace, and files beside those of catalogs. */
#define ROLE "gitops-squared-tenant"
#define ROLE_PATH CATALOG_FOLDER "tenant-role.yaml"
#define ACCOUNT_FILE "account"

/* ---- options ---- */

bool root_options_eq(const struct root_options *a, const struct root_options *b)
{
	return strcmp(a->location, b->location) == 0 && a->insecure == b->insecure &&
	       strcmp(a->secret, b->secret) == 0 && a->woken == b->woken &&
	       a->accounts == b->accounts && strcmp(a->verify, b->verify) == 0 &&
	       strcmp(a->ca, b->ca) == 0;
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

int root_secret_parse(char ret[LIMIT_SECRET_NAME + 1], const char *text, struct error *err)
{
	if (*text != '\0' && !secret_name_ok(slice_of(text)))
		return error_set(err, ERROR_INVALID,
			"the name of a Secret is lower-case letters, digits, - and . between them");
	snprintf(ret, LIMIT_SECRET_NAME + 1, "%s", text);
	return 0;
}

static void copy_secret(char ret[LIMIT_SECRET_NAME + 1], const char *secret)
{
	memcpy(ret, secret, LIMIT_SECRET_NAME + 1);
}

void root_choose(struct root_options *ret, const struct root_request *request,
	const struct root_options *recorded)
{
	const struct root_options *asked = &request->options;
	struct root_options chosen = *recorded;

	if (recorded->location[0] == '\0') {
		*ret = *asked;
		return;
	}
	if (request->url_given) {
		memcpy(chosen.location, asked->location, sizeof(chosen.location));
		chosen.insecure = asked->insecure;
	}
	if (request->secret_given)
		copy_secret(chosen.secret, asked->secret);
	if (request->accounts_given)
		chosen.accounts = asked->accounts;
	if (request->verify_given)
		copy_secret(chosen.verify, asked->verify);
	if (request->ca_given)
		copy_secret(chosen.ca, asked->ca);
	chosen.woken = asked->woken;
	*ret = chosen;
}

/* ---- writing ---- */

static const char *after_prefix(const char *repository)
{
	ASSERT(slice_starts(slice_of(repository), SLICE(CATALOG_REPOSITORY_PREFIX)));
	return repository + strlen(CATALOG_REPOSITORY_PREFIX);
}

/* gitops-squared-team-a-07; of a long namespace, its beginning and a hash, with a dot, which no
 * namespace has: so this is never the name of another one. The dot stands behind the hash since
 * what is before it may not end with a dash. */
void root_object_name(const char *repository, char ret[ROOT_OBJECT_SIZE])
{
	struct slice number = slice_of(after_prefix(repository)), part = slice_cut(&number, '/');
	char namespace[LIMIT_NAME + 1];
	int n;

	ASSERT(part.n <= LIMIT_NAME && number.n > 0);
	snprintf(namespace, sizeof(namespace), "%.*s", SLICE_ARG(part));
	n = snprintf(ret, ROOT_OBJECT_SIZE, OBJECT_PREFIX "%s-%s", namespace, number.p);
	if (n > OBJECT_NAME_MAX)
		snprintf(ret, ROOT_OBJECT_SIZE, OBJECT_PREFIX "%.20s-%016" PRIx64 ".%s", namespace,
			key_hash(namespace, ""), number.p);
}

static const char *interval(const struct root_options *options)
{
	return options->woken ? "10m" : "60s";
}

/* What a catalog's two objects are made of. */
struct entry {
	const char *repository;
	char name[ROOT_OBJECT_SIZE];
	char namespace[LIMIT_NAME + 1];
};

static void entry_init(struct entry *e, const char *repository)
{
	struct slice rest = slice_of(after_prefix(repository)), namespace = slice_cut(&rest, '/');

	e->repository = repository;
	root_object_name(repository, e->name);
	snprintf(e->namespace, sizeof(e->namespace), "%.*s", SLICE_ARG(namespace));
}

/* A member with the name of a Secret, which is quoted since it may look like a number. */
static void add_secret(struct buf *b, const char *member, const char *indent, const char *secret)
{
	if (secret[0] != '\0')
		buf_printf(b, "%s%s:\n%s  name: \"%s\"\n", indent, member, indent, secret);
}

static void add_source(struct buf *b, const struct root_options *options, const struct entry *e)
{
	buf_printf(b,
		"apiVersion: source.toolkit.fluxcd.io/v1\n"
		"kind: OCIRepository\n"
		"metadata:\n"
		"  name: %s\n"
		"  namespace: flux-system\n"
		"spec:\n",
		e->name);
	add_secret(b, "certSecretRef", "  ", options->ca);
	buf_printf(b,
		"  insecure: %s\n"
		"  interval: %s\n"
		"  ref:\n"
		"    tag: latest\n",
		options->insecure ? "true" : "false", interval(options));
	add_secret(b, "secretRef", "  ", options->secret);
	buf_printf(b, "  url: \"oci://%s%s\"\n", options->location, e->repository);
	if (options->verify[0] != '\0')
		buf_puts(b, "  verify:\n    provider: cosign\n");
	add_secret(b, "secretRef", "    ", options->verify);
}

static void add_kustomization(
	struct buf *b, const struct root_options *options, bool holds_prune, const struct entry *e)
{
	buf_printf(b,
		"apiVersion: kustomize.toolkit.fluxcd.io/v1\n"
		"kind: Kustomization\n"
		"metadata:\n"
		"  name: %s\n"
		"  namespace: flux-system\n"
		"spec:\n"
		"  deletionPolicy: Orphan\n"
		"  interval: %s\n"
		"  path: ./manifests\n"
		"  prune: %s\n"
		"%s",
		e->name, interval(options), holds_prune ? "false" : "true",
		options->woken ? "  retryInterval: 30s\n" : "");
	if (options->accounts)
		buf_printf(b, "  serviceAccountName: " OBJECT_PREFIX "%s\n", e->namespace);
	buf_printf(b,
		"  sourceRef:\n"
		"    kind: OCIRepository\n"
		"    name: %s\n"
		"  wait: false\n",
		e->name);
}

/* Whoever may write RoleBindings of a namespace can make this one first, with another roleRef,
 * which can never be changed: Flux then has to make it anew, or could apply nothing of the root. */
#define FORCE \
	"  annotations:\n" \
	"    kustomize.toolkit.fluxcd.io/force: enabled\n"

/* The namespace is quoted: it may look like a number, or like true. */
static void add_account_objects(struct buf *b, const char *namespace)
{
	buf_printf(b,
		"apiVersion: v1\n"
		"automountServiceAccountToken: false\n"
		"kind: ServiceAccount\n"
		"metadata:\n" FORCE "  name: " OBJECT_PREFIX "%s\n"
		"  namespace: flux-system\n"
		"---\n"
		"apiVersion: rbac.authorization.k8s.io/v1\n"
		"kind: RoleBinding\n"
		"metadata:\n" FORCE "  name: gitops-squared\n"
		"  namespace: \"%s\"\n"
		"roleRef:\n"
		"  apiGroup: rbac.authorization.k8s.io\n"
		"  kind: ClusterRole\n"
		"  name: " ROLE "\n"
		"subjects:\n"
		"- kind: ServiceAccount\n"
		"  name: " OBJECT_PREFIX "%s\n"
		"  namespace: flux-system\n",
		namespace, namespace, namespace);
}

static void add_role_object(struct buf *b)
{
	buf_puts(b, "apiVersion: rbac.authorization.k8s.io/v1\n"
		    "kind: ClusterRole\n"
		    "metadata:\n" FORCE "  name: " ROLE "\n"
		    "rules:\n"
		    "- apiGroups:\n"
		    "  - gitops-squared.io\n"
		    "  resources:\n"
		    "  - platformresources\n"
		    "  verbs:\n"
		    "  - get\n"
		    "  - list\n"
		    "  - watch\n"
		    "  - create\n"
		    "  - update\n"
		    "  - patch\n"
		    "  - delete\n");
}

static void add_file(struct buf *tar, struct slice path, const struct buf *content)
{
	tar_add_header(tar, path, content->len);
	buf_add(tar, buf_slice(content));
	tar_add_padding(tar, content->len);
}

/* What is written of a root: its files, and the last of them, which lists the others. */
struct writer {
	const struct root_options *options;
	const struct root_catalogs *catalogs;
	struct buf tar;
	struct buf kustomization;
	struct buf objects;             /* of one file */
	char namespace[LIMIT_NAME + 1]; /* of the catalog before; "": none */
};

static void writer_done(struct writer *w)
{
	buf_done(&w->tar);
	buf_done(&w->kustomization);
	buf_done(&w->objects);
}

/* The objects that were put down are a file of this path. */
static int end_file(struct writer *w, const char *path, struct error *err)
{
	if (buf_check(&w->objects, err) != 0)
		return -1;
	add_file(&w->tar, slice_of(path), &w->objects);
	buf_printf(&w->kustomization, "- %s\n", path + strlen(CATALOG_FOLDER));
	buf_reset(&w->objects);
	return 0;
}

/* Behind the catalogs of that namespace. */
static int add_account(struct writer *w, struct error *err)
{
	const struct root_catalogs *c = w->catalogs;
	char path[TAR_PATH_MAX + 1];

	if (!w->options->accounts || w->namespace[0] == '\0' ||
		(c->lacks.ask != NULL && c->lacks.ask(w->namespace, c->lacks.arg)))
		return 0;
	snprintf(path, sizeof(path), CATALOG_FOLDER "%s/" ACCOUNT_FILE ".yaml", w->namespace);
	add_account_objects(&w->objects, w->namespace);
	return end_file(w, path, err);
}

static int add_catalog(struct writer *w, const char *repository, struct error *err)
{
	char path[TAR_PATH_MAX + 1];
	struct entry e;

	entry_init(&e, repository);
	if (strcmp(w->namespace, e.namespace) != 0 && add_account(w, err) != 0)
		return -1;
	memcpy(w->namespace, e.namespace, sizeof(w->namespace));
	snprintf(path, sizeof(path), CATALOG_FOLDER "%s.yaml", after_prefix(repository));
	add_source(&w->objects, w->options, &e);
	buf_puts(&w->objects, "---\n");
	add_kustomization(&w->objects, w->options, w->catalogs->holds_prune, &e);
	return end_file(w, path, err);
}

static int add_role(struct writer *w, struct error *err)
{
	if (!w->options->accounts)
		return 0;
	add_role_object(&w->objects);
	return end_file(w, ROLE_PATH, err);
}

/* Places and leftovers are merged by their repositories, whose order is that of their files. */
static int add_catalogs(struct writer *w, struct error *err)
{
	const struct root_catalogs *catalogs = w->catalogs;
	size_t i = 0, j = 0;

	while (i < catalogs->n || j < catalogs->n_leftovers) {
		const char *leftover = j < catalogs->n_leftovers ? catalogs->leftovers[j] : NULL;
		char repository[CATALOG_REPOSITORY_SIZE];
		int cmp = -1;

		if (i < catalogs->n) {
			layout_repository(catalogs->layout, &catalogs->places[i], repository);
			if (leftover != NULL)
				cmp = strcmp(repository, leftover);
			ASSERT(cmp != 0);
		}
		if (i < catalogs->n && cmp < 0)
			i++;
		else
			snprintf(repository, sizeof(repository), "%s", catalogs->leftovers[j++]);
		if (add_catalog(w, repository, err) != 0)
			return -1;
	}
	return add_account(w, err);
}

size_t root_count_objects(
	const struct root_options *options, size_t n_catalogs, size_t n_namespaces)
{
	size_t n = 2 * n_catalogs;

	return options->accounts ? n + 2 * n_namespaces + 1 : n;
}

int root_check_size(const struct root_options *options, size_t n_catalogs, size_t n_namespaces,
	struct error *err)
{
	size_t n = root_count_objects(options, n_catalogs, n_namespaces);

	if (n <= LIMIT_ROOT_OBJECTS)
		return 0;
	return error_set(err, ERROR_UNPROCESSABLE,
		"there would be %zu catalogs of %zu namespaces at one time, which are %zu objects "
		"in the root, and Flux can apply %d: take fewer catalogs for a namespace, or the "
		"layout single",
		n_catalogs, n_namespaces, n, LIMIT_ROOT_OBJECTS);
}

int root_layer(const struct root_options *options, const struct root_catalogs *catalogs,
	struct gzip *z, struct buf *ret, struct error *err)
{
	CLEANUP(writer_done)
	struct writer w = {
		.options = options,
		.catalogs = catalogs,
		.tar = BUF_INIT(LIMIT_CATALOG_TAR),
		.kustomization = BUF_INIT(LIMIT_CATALOG_TAR),
		.objects = BUF_INIT(LIMIT_ROOT_FILE),
	};
	bool empty = catalogs->n + catalogs->n_leftovers == 0 && !options->accounts;

	buf_puts(&w.kustomization, empty ? KUSTOMIZATION_HEAD " []\n" : KUSTOMIZATION_HEAD "\n");
	if (add_catalogs(&w, err) != 0 || add_role(&w, err) != 0 ||
		buf_check(&w.kustomization, err) != 0)
		return -1;
	add_file(&w.tar, SLICE(KUSTOMIZATION_PATH), &w.kustomization);
	tar_add_end(&w.tar);
	if (buf_check(&w.tar, err) != 0)
		return -1;
	gzip_add(z, buf_slice(&w.tar), ret);
	return buf_check(ret, err);
}

/* ---- reading ---- */

/* "manifests/team-a/07.yaml" to its repository; false where it is of no catalog at all. */
static bool parse_path(const char *path, char ret[CATALOG_REPOSITORY_SIZE])
{
	struct slice rest = slice_of(path);
	int n;

	if (!slice_starts(rest, SLICE(CATALOG_FOLDER)) || !slice_ends(rest, SLICE(".yaml")))
		return false;
	rest.p += strlen(CATALOG_FOLDER);
	rest.n -= strlen(CATALOG_FOLDER) + strlen(".yaml");
	n = snprintf(
		ret, CATALOG_REPOSITORY_SIZE, CATALOG_REPOSITORY_PREFIX "%.*s", SLICE_ARG(rest));
	return n < (int)CATALOG_REPOSITORY_SIZE;
}

static int add_place(struct place **places, size_t *n, const struct place *place, struct error *err)
{
	struct place *grown;

	if (*n % 64 == 0) {
		grown = realloc(*places, (*n + 64) * sizeof(**places));
		if (grown == NULL)
			return error_no_memory(err);
		*places = grown;
	}
	(*places)[(*n)++] = *place;
	return 0;
}

/* "gitops-squared/catalogs/team-a/account", right behind a catalog of that namespace. */
static bool is_account(const char *repository, const char *last)
{
	const char *file = strrchr(repository, '/') + 1;

	return strcmp(file, ACCOUNT_FILE) == 0 &&
	       strncmp(last, repository, (size_t)(file - repository)) == 0;
}

static bool is_leftover(const struct layout *leftovers, const char *repository)
{
	struct place place;

	return leftovers != NULL &&
	       layout_repository_parse(leftovers, slice_of(repository), &place);
}

/* What both layouts could have named is a place of the first. */
static int read_places(struct place **places, size_t *n, const struct layout *layout,
	const struct layout *leftovers, struct slice tar, struct error *err)
{
	char last[CATALOG_REPOSITORY_SIZE] = "", repository[CATALOG_REPOSITORY_SIZE];
	struct tar_file file;
	struct place place;
	size_t at = 0;
	int rc;

	while ((rc = tar_next(tar, &at, &file, err)) == 1) {
		bool is_path = parse_path(file.path, repository);

		if (strcmp(file.path, KUSTOMIZATION_PATH) == 0 || strcmp(file.path, ROLE_PATH) == 0)
			continue;
		if (is_path && layout_repository_parse(layout, slice_of(repository), &place)) {
			if (add_place(places, n, &place, err) != 0)
				return -1;
		} else if (!is_path ||
			   (!is_account(repository, last) && !is_leftover(leftovers, repository))) {
			return error_set(err, ERROR_INTERNAL,
				"the root catalog holds %s, which is no catalog of this layout",
				file.path);
		}
		if (strcmp(last, repository) >= 0)
			return error_set(err, ERROR_INTERNAL, "the root catalog is out of order");
		memcpy(last, repository, sizeof(last));
	}
	return rc;
}

int root_read(struct place **ret, size_t *ret_n, const struct layout *layout,
	const struct layout *leftovers, struct slice layer, struct error *err)
{
	CLEANUP(gzip_content_done)
	struct gzip_content content = {.bytes = BUF_INIT(LIMIT_CATALOG_TAR)};
	AUTO_FREE struct place *places = NULL;
	size_t n = 0;

	if (gzip_read(&content, layer, err) != 0 ||
		read_places(&places, &n, layout, leftovers, buf_slice(&content.bytes), err) != 0)
		return -1;
	*ret = TAKE_PTR(places);
	*ret_n = n;
	return 0;
}
