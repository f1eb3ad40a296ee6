/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "catalog/layout.h"
#include "catalog/page.h"
#include "catalog/root.h"
#include "oci/digest.h"

#include <stdio.h>

#define LONG "a234567890123456789012345678901234567890123456789012345678901-z"
#define PLACES 40

static struct error err;
static struct gzip gzip;
static const struct root_options options = {.location = "registry.example/acme/"};
static const struct layout layout = {LAYOUT_SPLIT, 16};

/* In the order of their repositories. */
static size_t make_places(struct place places[PLACES])
{
	static const char *const namespaces[] = {"a-b", "a", "a0", LONG, "team-a"};
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(namespaces); i++) {
		for (unsigned number = (unsigned)i; number < 16; number += 2) {
			snprintf(places[n].namespace, sizeof(places[n].namespace), "%s",
				namespaces[i]);
			places[n++].number = number;
		}
	}
	return n;
}

static void make_layer(const struct root_options *o, const struct layout *l,
	const struct place *places, size_t n, struct buf *ret)
{
	struct root_catalogs catalogs = {.layout = l, .n = n, .places = places};

	assert_int_equal(root_layer(o, &catalogs, &gzip, ret, &err), 0);
}

static void add_layer(
	const struct root_options *o, const struct root_catalogs *catalogs, struct buf *ret)
{
	assert_int_equal(root_layer(o, catalogs, &gzip, ret, &err), 0);
}

/* The files of a layer, one after the other: "== path ==\n" and what is in it. */
static void unpack(struct slice layer, struct buf *ret)
{
	CLEANUP(gzip_content_done)
	struct gzip_content content = {.bytes = BUF_INIT(LIMIT_CATALOG_TAR)};
	struct tar_file file;
	size_t at = 0;
	int rc;

	assert_int_equal(gzip_read(&content, layer, &err), 0);
	while ((rc = tar_next(buf_slice(&content.bytes), &at, &file, &err)) == 1) {
		buf_printf(ret, "== %s ==\n", file.path);
		buf_add(ret, file.content);
	}
	assert_int_equal(rc, 0);
	assert_int_equal(buf_check(ret, &err), 0);
}

static void a_catalog_has_a_source_and_a_kustomization(void **state UNUSED)
{
	static const struct place place = {"team-a", 7};
	CLEANUP(buf_done) struct buf layer = BUF_INIT(1 * MIB);
	CLEANUP(buf_done) struct buf text = BUF_INIT(1 * MIB);

	make_layer(&options, &layout, &place, 1, &layer);
	unpack(buf_slice(&layer), &text);
	assert_string_equal(text.data,
		"== manifests/team-a/07.yaml ==\n"
		"apiVersion: source.toolkit.fluxcd.io/v1\n"
		"kind: OCIRepository\n"
		"metadata:\n"
		"  name: gitops-squared-team-a-07\n"
		"  namespace: flux-system\n"
		"spec:\n"
		"  insecure: false\n"
		"  interval: 60s\n"
		"  ref:\n"
		"    tag: latest\n"
		"  url: \"oci://registry.example/acme/gitops-squared/catalogs/team-a/07\"\n"
		"---\n"
		"apiVersion: kustomize.toolkit.fluxcd.io/v1\n"
		"kind: Kustomization\n"
		"metadata:\n"
		"  name: gitops-squared-team-a-07\n"
		"  namespace: flux-system\n"
		"spec:\n"
		"  deletionPolicy: Orphan\n"
		"  interval: 60s\n"
		"  path: ./manifests\n"
		"  prune: true\n"
		"  sourceRef:\n"
		"    kind: OCIRepository\n"
		"    name: gitops-squared-team-a-07\n"
		"  wait: false\n"
		"== manifests/kustomization.yaml ==\n"
		"apiVersion: kustomize.config.k8s.io/v1beta1\n"
		"kind: Kustomization\n"
		"resources:\n"
		"- team-a/07.yaml\n");
}

static void plain_http_is_said_to_flux(void **state UNUSED)
{
	static const struct root_options insecure = {
		.location = "127.0.0.1:5000/", .insecure = true};
	static const struct place place = {"team-a", 7};
	CLEANUP(buf_done) struct buf layer = BUF_INIT(1 * MIB);
	CLEANUP(buf_done) struct buf text = BUF_INIT(1 * MIB);

	make_layer(&insecure, &layout, &place, 1, &layer);
	unpack(buf_slice(&layer), &text);
	assert_non_null(strstr(text.data, "  insecure: true\n"));
	assert_non_null(
		strstr(text.data, "\"oci://127.0.0.1:5000/gitops-squared/catalogs/team-a/07\"\n"));
}

static void the_secret_with_the_credentials_is_said_to_flux(void **state UNUSED)
{
	struct root_options with_secret = options;
	static const struct place place = {"team-a", 7};
	CLEANUP(buf_done) struct buf layer = BUF_INIT(1 * MIB);
	CLEANUP(buf_done) struct buf text = BUF_INIT(1 * MIB);

	assert_int_equal(root_secret_parse(with_secret.secret, "123", &err), 0);
	make_layer(&with_secret, &layout, &place, 1, &layer);
	unpack(buf_slice(&layer), &text);
	assert_non_null(strstr(
		text.data, "    tag: latest\n  secretRef:\n    name: \"123\"\n  url: \"oci://"));
}

/* Beside the credentials: with what is signed is verified, and who vouches for the registry. */
static void the_keys_and_the_authority_are_said_to_flux(void **state UNUSED)
{
	static const struct place place = {"team-a", 7};
	CLEANUP(buf_done) struct buf layer = BUF_INIT(1 * MIB);
	CLEANUP(buf_done) struct buf text = BUF_INIT(1 * MIB);
	struct root_options o = options;

	assert_int_equal(root_secret_parse(o.secret, "pull", &err), 0);
	assert_int_equal(root_secret_parse(o.verify, "keys", &err), 0);
	assert_int_equal(root_secret_parse(o.ca, "authority", &err), 0);
	make_layer(&o, &layout, &place, 1, &layer);
	unpack(buf_slice(&layer), &text);
	assert_non_null(strstr(text.data, "spec:\n"
					  "  certSecretRef:\n"
					  "    name: \"authority\"\n"
					  "  insecure: false\n"
					  "  interval: 60s\n"
					  "  ref:\n"
					  "    tag: latest\n"
					  "  secretRef:\n"
					  "    name: \"pull\"\n"
					  "  url: \"oci://registry.example/acme/gitops-squared/"
					  "catalogs/team-a/07\"\n"
					  "  verify:\n"
					  "    provider: cosign\n"
					  "    secretRef:\n"
					  "      name: \"keys\"\n"
					  "---\n"));
}

static size_t count(const char *text, const char *what)
{
	size_t n = 0;

	for (; (text = strstr(text, what)) != NULL; text++)
		n++;
	return n;
}

/* Both objects of each catalog. */
static void flux_looks_seldom_where_it_is_woken(void **state UNUSED)
{
	static const struct place places[] = {{"team-a", 7}, {"team-b", 7}};
	struct root_options o = options;

	for (unsigned woken = 0; woken < 2; woken++) {
		CLEANUP(buf_done) struct buf layer = BUF_INIT(1 * MIB);
		CLEANUP(buf_done) struct buf text = BUF_INIT(1 * MIB);

		o.woken = woken == 1;
		assert_int_equal(root_options_eq(&o, &options), !o.woken);
		make_layer(&o, &layout, places, ARRAY_SIZE(places), &layer);
		unpack(buf_slice(&layer), &text);
		assert_int_equal(count(text.data, "  interval: 10m\n"), o.woken ? 4 : 0);
		assert_int_equal(count(text.data, "  interval: 60s\n"), o.woken ? 0 : 4);
	}
}

/* ---- accounts ---- */

static const struct root_options with_accounts = {
	.location = "registry.example/acme/", .accounts = true};

/* What Flux cannot change, since somebody else was there first, it makes anew. */
#define FORCE \
	"  annotations:\n" \
	"    kustomize.toolkit.fluxcd.io/force: enabled\n"

/* The account comes behind its namespace's catalogs, and the role that all of them have is the last
 * file of its kind. */
static void each_namespace_has_an_account_that_its_catalogs_are_applied_by(void **state UNUSED)
{
	static const struct place places[] = {{"123", 0}, {"123", 1}, {"team-a", 7}};
	CLEANUP(buf_done) struct buf layer = BUF_INIT(1 * MIB);
	CLEANUP(buf_done) struct buf text = BUF_INIT(1 * MIB);

	make_layer(&with_accounts, &layout, places, ARRAY_SIZE(places), &layer);
	unpack(buf_slice(&layer), &text);
	assert_int_equal(count(text.data, "  serviceAccountName: gitops-squared-123\n"), 2);
	assert_int_equal(count(text.data, "  serviceAccountName: gitops-squared-team-a\n"), 1);
	assert_non_null(strstr(text.data, "== manifests/123/account.yaml ==\n"
					  "apiVersion: v1\n"
					  "automountServiceAccountToken: false\n"
					  "kind: ServiceAccount\n"
					  "metadata:\n" FORCE "  name: gitops-squared-123\n"
					  "  namespace: flux-system\n"
					  "---\n"
					  "apiVersion: rbac.authorization.k8s.io/v1\n"
					  "kind: RoleBinding\n"
					  "metadata:\n" FORCE "  name: gitops-squared\n"
					  "  namespace: \"123\"\n"
					  "roleRef:\n"
					  "  apiGroup: rbac.authorization.k8s.io\n"
					  "  kind: ClusterRole\n"
					  "  name: gitops-squared-tenant\n"
					  "subjects:\n"
					  "- kind: ServiceAccount\n"
					  "  name: gitops-squared-123\n"
					  "  namespace: flux-system\n"
					  "== manifests/team-a/07.yaml ==\n"));
	assert_non_null(strstr(text.data, "== manifests/tenant-role.yaml ==\n"
					  "apiVersion: rbac.authorization.k8s.io/v1\n"
					  "kind: ClusterRole\n"
					  "metadata:\n" FORCE "  name: gitops-squared-tenant\n"
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
					  "  - delete\n"
					  "== manifests/kustomization.yaml ==\n"));
	assert_non_null(strstr(text.data, "resources:\n- 123/00.yaml\n- 123/01.yaml\n"
					  "- 123/account.yaml\n- team-a/07.yaml\n"
					  "- team-a/account.yaml\n- tenant-role.yaml\n"));
}

static void without_accounts_nothing_is_said_of_them(void **state UNUSED)
{
	static const struct place place = {"team-a", 7};
	CLEANUP(buf_done) struct buf layer = BUF_INIT(1 * MIB);
	CLEANUP(buf_done) struct buf text = BUF_INIT(1 * MIB);

	make_layer(&options, &layout, &place, 1, &layer);
	unpack(buf_slice(&layer), &text);
	assert_null(strstr(text.data, "ccount"));
	assert_null(strstr(text.data, "Role"));
}

static bool lacks_b(const char *namespace, void *arg)
{
	assert_ptr_equal(arg, &err);
	return strcmp(namespace, "b") == 0;
}

/* One object in such a namespace would stop Flux from applying the others. */
static void nothing_is_put_into_a_namespace_that_the_cluster_lacks(void **state UNUSED)
{
	static const struct place places[] = {{"a", 0}, {"b", 0}, {"b", 1}, {"c", 0}};
	struct root_catalogs catalogs = {.layout = &layout,
		.n = ARRAY_SIZE(places),
		.places = places,
		.lacks = {lacks_b, &err}};
	CLEANUP(buf_done) struct buf layer = BUF_INIT(1 * MIB);
	CLEANUP(buf_done) struct buf text = BUF_INIT(1 * MIB);
	AUTO_FREE struct place *read = NULL;
	size_t n;

	add_layer(&with_accounts, &catalogs, &layer);
	unpack(buf_slice(&layer), &text);
	assert_int_equal(count(text.data, "kind: RoleBinding\n"), 2);
	assert_null(strstr(text.data, "  namespace: \"b\"\n"));
	assert_int_equal(count(text.data, "  serviceAccountName: gitops-squared-b\n"), 2);
	assert_non_null(strstr(text.data, "- a/account.yaml\n- b/00.yaml\n- b/01.yaml\n"
					  "- c/00.yaml\n- c/account.yaml\n"));
	assert_int_equal(root_read(&read, &n, &layout, NULL, buf_slice(&layer), &err), 0);
	assert_int_equal(n, ARRAY_SIZE(places));
}

static void the_objects_of_a_root_are_counted(void **state UNUSED)
{
	struct place places[PLACES] = {0};
	size_t n = make_places(places), n_namespaces = 1;

	for (size_t i = 1; i < n; i++)
		n_namespaces += strcmp(places[i].namespace, places[i - 1].namespace) != 0;
	for (unsigned i = 0; i < 2; i++) {
		const struct root_options *o = i == 0 ? &options : &with_accounts;
		CLEANUP(buf_done) struct buf layer = BUF_INIT(1 * MIB);
		CLEANUP(buf_done) struct buf text = BUF_INIT(1 * MIB);

		make_layer(o, &layout, places, n, &layer);
		unpack(buf_slice(&layer), &text);
		assert_int_equal(
			root_count_objects(o, n, n_namespaces), count(text.data, "\nmetadata:\n"));
	}
}

/* Catalogs of one digit more and of one less, on both sides of each place. */
static void leftovers_are_rendered_among_the_places_in_the_order_of_their_files(void **state UNUSED)
{
	static const struct layout before = {LAYOUT_SPLIT, 101};
	static const struct place places[] = {{"a", 1}, {"b", 0}};
	static const char *const leftovers[] = {"gitops-squared/catalogs/a-b/000",
		"gitops-squared/catalogs/a/000", "gitops-squared/catalogs/a/020",
		"gitops-squared/catalogs/c/099"};
	struct root_catalogs catalogs = {.layout = &layout,
		.n = ARRAY_SIZE(places),
		.places = places,
		.n_leftovers = ARRAY_SIZE(leftovers),
		.leftovers = leftovers};
	CLEANUP(buf_done) struct buf layer = BUF_INIT(1 * MIB);
	CLEANUP(buf_done) struct buf text = BUF_INIT(1 * MIB);
	AUTO_FREE struct place *read = NULL;
	AUTO_FREE struct place *none = NULL;
	size_t n;

	add_layer(&options, &catalogs, &layer);
	unpack(buf_slice(&layer), &text);
	assert_non_null(strstr(text.data, "resources:\n- a-b/000.yaml\n- a/000.yaml\n- a/01.yaml\n"
					  "- a/020.yaml\n- b/00.yaml\n- c/099.yaml\n"));
	assert_int_equal(count(text.data, "  prune: true\n"), 6);
	assert_int_equal(count(text.data, "  name: gitops-squared-c-099\n"), 3);
	assert_int_equal(root_read(&none, &n, &layout, NULL, buf_slice(&layer), &err), -1);
	assert_non_null(strstr(err.text, "manifests/a-b/000.yaml"));
	assert_int_equal(root_read(&read, &n, &layout, &before, buf_slice(&layer), &err), 0);
	assert_int_equal(n, ARRAY_SIZE(places));
	for (size_t i = 0; i < n; i++)
		assert_int_equal(place_cmp(&read[i], &places[i]), 0);
}

/* What is left over may be the only catalog of its namespace. */
static void leftovers_are_applied_by_accounts_too(void **state UNUSED)
{
	static const struct layout before = {LAYOUT_SPLIT, 101};
	static const struct place place = {"b", 0};
	static const char *const leftovers[] = {
		"gitops-squared/catalogs/a/000", "gitops-squared/catalogs/b/099"};
	struct root_catalogs catalogs = {.layout = &layout,
		.n = 1,
		.places = &place,
		.n_leftovers = ARRAY_SIZE(leftovers),
		.leftovers = leftovers};
	CLEANUP(buf_done) struct buf layer = BUF_INIT(1 * MIB);
	CLEANUP(buf_done) struct buf text = BUF_INIT(1 * MIB);
	AUTO_FREE struct place *read = NULL;
	size_t n;

	add_layer(&with_accounts, &catalogs, &layer);
	unpack(buf_slice(&layer), &text);
	assert_non_null(strstr(text.data, "resources:\n- a/000.yaml\n- a/account.yaml\n"
					  "- b/00.yaml\n- b/099.yaml\n- b/account.yaml\n"
					  "- tenant-role.yaml\n"));
	assert_int_equal(root_read(&read, &n, &layout, &before, buf_slice(&layer), &err), 0);
	assert_int_equal(n, 1);
}

static void leftovers_alone_are_a_root_too(void **state UNUSED)
{
	static const char *const leftover = "gitops-squared/catalogs/a/09";
	static const struct layout before = {LAYOUT_SPLIT, 16}, after = {LAYOUT_SPLIT, 4};
	struct root_catalogs catalogs = {
		.layout = &after, .n_leftovers = 1, .leftovers = &leftover};
	CLEANUP(buf_done) struct buf layer = BUF_INIT(1 * MIB);
	CLEANUP(buf_done) struct buf text = BUF_INIT(1 * MIB);
	AUTO_FREE struct place *read = NULL;
	size_t n = 1;

	add_layer(&options, &catalogs, &layer);
	unpack(buf_slice(&layer), &text);
	assert_non_null(strstr(text.data, "resources:\n- a/09.yaml\n"));
	assert_int_equal(root_read(&read, &n, &after, &before, buf_slice(&layer), &err), 0);
	assert_int_equal(n, 0);
}

static void nothing_prunes_in_a_root_that_holds_it(void **state UNUSED)
{
	static const struct place place = {"a", 1};
	static const char *const leftover = "gitops-squared/catalogs/a/000";
	struct root_catalogs catalogs = {.layout = &layout,
		.n = 1,
		.places = &place,
		.n_leftovers = 1,
		.leftovers = &leftover,
		.holds_prune = true};
	CLEANUP(buf_done) struct buf layer = BUF_INIT(1 * MIB);
	CLEANUP(buf_done) struct buf text = BUF_INIT(1 * MIB);

	add_layer(&options, &catalogs, &layer);
	unpack(buf_slice(&layer), &text);
	assert_int_equal(count(text.data, "  prune: false\n"), 2);
	assert_int_equal(count(text.data, "  deletionPolicy: Orphan\n"), 2);
	assert_null(strstr(text.data, "prune: true"));
}

static void a_secret_is_named_as_kubernetes_does(void **state UNUSED)
{
	static const char *const good[] = {"", "ghcr", "a.b-c.1", LONG "." LONG};
	static const char *const bad[] = {"-a", "a-", "A", "a_b", "a..b", ".", "a b", "a\n",
		LONG "a", LONG "." LONG "." LONG "." LONG};
	struct root_options o = {.secret = "before"};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(root_secret_parse(o.secret, bad[i], &err), -1);
		assert_int_equal(err.code, ERROR_INVALID);
		assert_string_equal(o.secret, "before");
	}
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		assert_int_equal(root_secret_parse(o.secret, good[i], &err), 0);
		assert_string_equal(o.secret, good[i]);
	}
}

static void an_address_is_read_and_written_back(void **state UNUSED)
{
	static const struct {
		const char *text, *url;
	} cases[] = {
		{"registry.example:5000", "http://registry.example:5000"},
		{"http://registry.example/", "http://registry.example"},
		{"https://registry.example/acme/eu/", "https://registry.example/acme/eu"},
		{"https://[::1]:5000", "https://[::1]:5000"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct root_options o = {.location = ""}, again = {.location = ""};
		char url[ROOT_URL_SIZE];

		assert_int_equal(root_url_parse(&o, cases[i].text, &err), 0);
		root_url(&o, url);
		assert_string_equal(url, cases[i].url);
		assert_int_equal(root_url_parse(&again, url, &err), 0);
		assert_true(root_options_eq(&o, &again));
	}
}

/* Each option by itself: asking for one leaves the others as they are. */
static void what_is_not_asked_for_stays_as_recorded(void **state UNUSED)
{
	static const struct root_options recorded = {
		"has/", false, "has", .verify = "has", .ca = "has"};
	static const struct root_options none = {.location = ""};
	struct root_request request = {.options = {"asked/", true, "asked", .accounts = true,
					       .verify = "asked", .ca = "asked"}};
	struct root_options got;

	for (unsigned i = 0; i < 64; i++) {
		request.options.woken = i & 32;
		request.url_given = i & 1;
		request.secret_given = i & 2;
		request.accounts_given = i & 4;
		request.verify_given = i & 8;
		request.ca_given = i & 16;
		root_choose(&got, &request, &recorded);
		assert_string_equal(got.location, i & 1 ? "asked/" : "has/");
		assert_int_equal(got.insecure, i & 1);
		assert_string_equal(got.secret, i & 2 ? "asked" : "has");
		assert_int_equal(got.accounts, (i & 4) != 0);
		assert_string_equal(got.verify, i & 8 ? "asked" : "has");
		assert_string_equal(got.ca, i & 16 ? "asked" : "has");
		assert_int_equal(got.woken, request.options.woken);
		root_choose(&got, &request, &none);
		assert_true(root_options_eq(&got, &request.options));
	}
}

static void options_differ_by_each_of_their_members(void **state UNUSED)
{
	struct root_options o[8];

	for (size_t i = 0; i < ARRAY_SIZE(o); i++)
		o[i] = options;
	snprintf(o[1].location, sizeof(o[1].location), "other/");
	o[2].insecure = true;
	snprintf(o[3].secret, sizeof(o[3].secret), "s");
	o[4].woken = true;
	o[5].accounts = true;
	snprintf(o[6].verify, sizeof(o[6].verify), "s");
	snprintf(o[7].ca, sizeof(o[7].ca), "s");
	for (size_t i = 0; i < ARRAY_SIZE(o); i++)
		for (size_t j = 0; j < ARRAY_SIZE(o); j++)
			assert_int_equal(root_options_eq(&o[i], &o[j]), i == j);
}

static void an_empty_root_lists_nothing_so_that_flux_prunes(void **state UNUSED)
{
	CLEANUP(buf_done) struct buf layer = BUF_INIT(1 * MIB);
	CLEANUP(buf_done) struct buf text = BUF_INIT(1 * MIB);
	AUTO_FREE struct place *places = NULL;
	size_t n = 1;

	make_layer(&options, &layout, NULL, 0, &layer);
	unpack(buf_slice(&layer), &text);
	assert_string_equal(text.data, "== manifests/kustomization.yaml ==\n"
				       "apiVersion: kustomize.config.k8s.io/v1beta1\n"
				       "kind: Kustomization\nresources: []\n");
	assert_int_equal(root_read(&places, &n, &layout, NULL, buf_slice(&layer), &err), 0);
	assert_int_equal(n, 0);
}

/* A RoleBinding that comes later finds it there. */
static void an_empty_root_with_accounts_has_the_role_already(void **state UNUSED)
{
	CLEANUP(buf_done) struct buf layer = BUF_INIT(1 * MIB);
	CLEANUP(buf_done) struct buf text = BUF_INIT(1 * MIB);
	AUTO_FREE struct place *places = NULL;
	size_t n = 1;

	make_layer(&with_accounts, &layout, NULL, 0, &layer);
	unpack(buf_slice(&layer), &text);
	assert_non_null(strstr(text.data, "resources:\n- tenant-role.yaml\n"));
	assert_int_equal(root_read(&places, &n, &layout, NULL, buf_slice(&layer), &err), 0);
	assert_int_equal(n, 0);
}

/* With other options and again, so that neither they nor history count. */
static void a_root_is_read_back_to_its_places_in_order(void **state UNUSED)
{
	static const struct root_options others = {
		.location = "other.example/", .insecure = true, .accounts = true};
	struct place places[PLACES] = {0};
	size_t n = make_places(places);

	for (size_t part = 0; part <= n; part++) {
		CLEANUP(buf_done) struct buf layer = BUF_INIT(1 * MIB);
		CLEANUP(buf_done) struct buf again = BUF_INIT(1 * MIB);
		AUTO_FREE struct place *read = NULL;
		size_t n_read = 0;

		make_layer(part % 2 ? &options : &others, &layout, places, part, &layer);
		make_layer(part % 2 ? &options : &others, &layout, places, part, &again);
		assert_true(slice_eq(buf_slice(&layer), buf_slice(&again)));
		assert_int_equal(
			root_read(&read, &n_read, &layout, NULL, buf_slice(&layer), &err), 0);
		assert_int_equal(n_read, part);
		for (size_t i = 0; i < part; i++)
			assert_int_equal(place_cmp(&read[i], &places[i]), 0);
	}
}

static void more_places_than_are_read_at_once_are_all_read(void **state UNUSED)
{
	static const struct layout most = {LAYOUT_SPLIT, LIMIT_LAYOUT_CATALOGS};
	static struct place places[LIMIT_LAYOUT_CATALOGS];
	CLEANUP(buf_done) struct buf layer = BUF_INIT(LIMIT_CATALOG_LAYER);
	AUTO_FREE struct place *read = NULL;
	size_t n = 0;

	for (unsigned i = 0; i < LIMIT_LAYOUT_CATALOGS; i++)
		places[i] = (struct place){LONG, i};
	make_layer(&options, &most, places, LIMIT_LAYOUT_CATALOGS, &layer);
	assert_int_equal(root_read(&read, &n, &most, NULL, buf_slice(&layer), &err), 0);
	assert_int_equal(n, LIMIT_LAYOUT_CATALOGS);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(place_cmp(&read[i], &places[i]), 0);
}

/* The name of the first object in a root of one catalog. */
static void name_of(const char *namespace, char ret[256])
{
	static const struct layout most = {LAYOUT_SPLIT, LIMIT_LAYOUT_CATALOGS};
	CLEANUP(buf_done) struct buf layer = BUF_INIT(1 * MIB);
	CLEANUP(buf_done) struct buf text = BUF_INIT(1 * MIB);
	struct place place = {.number = LIMIT_LAYOUT_CATALOGS - 1};
	char repository[CATALOG_REPOSITORY_SIZE], named[ROOT_OBJECT_SIZE];

	snprintf(place.namespace, sizeof(place.namespace), "%s", namespace);
	layout_repository(&most, &place, repository);
	root_object_name(repository, named);
	make_layer(&options, &most, &place, 1, &layer);
	unpack(buf_slice(&layer), &text);
	assert_int_equal(sscanf(strstr(text.data, "  name: "), "  name: %255s", ret), 1);
	assert_string_equal(ret, named);
}

static void names_are_at_most_63_characters_and_differ(void **state UNUSED)
{
	char names[2 * LIMIT_NAME][256];
	char namespace[LIMIT_NAME + 1];
	size_t n = 0;

	for (size_t length = 1; length <= LIMIT_NAME; length++) {
		memset(namespace, 'x', length);
		namespace[length] = '\0';
		name_of(namespace, names[n++]);
		namespace[length - 1] = 'y';
		name_of(namespace, names[n++]);
	}
	for (size_t i = 0; i < n; i++) {
		assert_true(strlen(names[i]) <= 63);
		assert_true(strlen(names[i]) > strlen("gitops-squared--2499"));
		for (size_t j = 0; j < i; j++)
			assert_string_not_equal(names[i], names[j]);
	}
	assert_string_equal(names[0], "gitops-squared-x-2499");
}

/* No namespace has a dot in it; and in a name of Kubernetes none may stand beside a dash. */
static void a_shortened_name_is_none_that_another_namespace_could_have(void **state UNUSED)
{
	static const char *const long_ones[] = {LONG,
		"a234567890123456789-234567890123456789012345678901234567890123z",
		"a-----------------------------------------------------------z"};

	for (size_t i = 0; i < ARRAY_SIZE(long_ones); i++) {
		char name[256];
		const char *dot;

		name_of(long_ones[i], name);
		dot = strchr(name, '.');
		assert_non_null(dot);
		assert_true(dot[-1] != '-' && dot[1] != '-');
	}
}

/* A layer with one file of this path in it. */
static int read_file(const struct layout *l, const char *const *paths, size_t n)
{
	CLEANUP(buf_done) struct buf tar = BUF_INIT(1 * MIB);
	CLEANUP(buf_done) struct buf layer = BUF_INIT(1 * MIB);
	AUTO_FREE struct place *places = NULL;
	size_t n_places;

	for (size_t i = 0; i < n; i++)
		tar_add_header(&tar, slice_of(paths[i]), 0);
	tar_add_end(&tar);
	gzip_add(&gzip, buf_slice(&tar), &layer);
	return root_read(&places, &n_places, l, NULL, buf_slice(&layer), &err);
}

static void a_file_that_is_no_catalog_is_refused_by_name(void **state UNUSED)
{
	static const char *const good = "manifests/team-a/07.yaml";
	static const char *const bad[] = {
		"manifests/team-a/7.yaml",
		"manifests/team-a/007.yaml",
		"manifests/team-a/16.yaml",
		"manifests/team-a.yaml",
		"manifests/Team/07.yaml",
		"manifests/team-a/07.yml",
		"manifests/default-web.yaml",
		"other/team-a/07.yaml",
		"team-a/07.yaml",
		"manifests/team-a/account.yaml",
		"manifests/account.yaml",
		"manifests/tenant-role.yml",
	};

	assert_int_equal(read_file(&layout, &good, 1), 0);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(read_file(&layout, &bad[i], 1), -1);
		assert_int_equal(err.code, ERROR_INTERNAL);
		assert_non_null(strstr(err.text, bad[i]));
	}
}

static void catalogs_out_of_order_or_twice_are_refused(void **state UNUSED)
{
	static const char *const in_order[] = {
		"manifests/a-b/00.yaml", "manifests/a/00.yaml", "manifests/a/01.yaml"};
	static const char *const out_of_order[] = {"manifests/a/00.yaml", "manifests/a-b/00.yaml"};
	static const char *const twice[] = {"manifests/a/00.yaml", "manifests/a/00.yaml"};

	assert_int_equal(read_file(&layout, in_order, ARRAY_SIZE(in_order)), 0);
	assert_int_equal(read_file(&layout, out_of_order, ARRAY_SIZE(out_of_order)), -1);
	assert_int_equal(err.code, ERROR_INTERNAL);
	assert_int_equal(read_file(&layout, twice, ARRAY_SIZE(twice)), -1);
	assert_int_equal(err.code, ERROR_INTERNAL);
}

/* Of a namespace whose catalogs it stands behind, once. */
static void an_account_elsewhere_is_refused(void **state UNUSED)
{
	static const char *const good[] = {"manifests/a/00.yaml", "manifests/a/01.yaml",
		"manifests/a/account.yaml", "manifests/b/00.yaml", "manifests/b/account.yaml",
		"manifests/tenant-role.yaml", "manifests/kustomization.yaml"};
	static const char *const before[] = {"manifests/a/account.yaml", "manifests/a/00.yaml"};
	static const char *const between[] = {
		"manifests/a/00.yaml", "manifests/a/account.yaml", "manifests/a/01.yaml"};
	static const char *const another[] = {"manifests/a/00.yaml", "manifests/b/account.yaml"};
	static const char *const longer[] = {"manifests/a/00.yaml", "manifests/a-b/account.yaml"};
	static const char *const twice[] = {
		"manifests/a/00.yaml", "manifests/a/account.yaml", "manifests/a/account.yaml"};
	static const struct {
		const char *const *paths;
		size_t n;
	} bad[] = {{before, 2}, {between, 3}, {another, 2}, {longer, 2}, {twice, 3}};

	assert_int_equal(read_file(&layout, good, ARRAY_SIZE(good)), 0);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(read_file(&layout, bad[i].paths, bad[i].n), -1);
		assert_int_equal(err.code, ERROR_INTERNAL);
	}
}

static void what_is_no_layer_is_refused(void **state UNUSED)
{
	CLEANUP(buf_done) struct buf layer = BUF_INIT(1 * MIB);
	struct place *places = NULL;
	size_t n = 0;

	assert_int_equal(root_read(&places, &n, &layout, NULL, SLICE("no gzip"), &err), -1);
	gzip_add(&gzip, SLICE("no tar"), &layer);
	assert_int_equal(root_read(&places, &n, &layout, NULL, buf_slice(&layer), &err), -1);
	assert_null(places);
}

static int setup(void **state UNUSED)
{
	digest_setup();
	return 0;
}

static int teardown(void **state UNUSED)
{
	gzip_done(&gzip);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_catalog_has_a_source_and_a_kustomization),
		cmocka_unit_test(plain_http_is_said_to_flux),
		cmocka_unit_test(the_secret_with_the_credentials_is_said_to_flux),
		cmocka_unit_test(the_keys_and_the_authority_are_said_to_flux),
		cmocka_unit_test(flux_looks_seldom_where_it_is_woken),
		cmocka_unit_test(each_namespace_has_an_account_that_its_catalogs_are_applied_by),
		cmocka_unit_test(without_accounts_nothing_is_said_of_them),
		cmocka_unit_test(nothing_is_put_into_a_namespace_that_the_cluster_lacks),
		cmocka_unit_test(the_objects_of_a_root_are_counted),
		cmocka_unit_test(
			leftovers_are_rendered_among_the_places_in_the_order_of_their_files),
		cmocka_unit_test(leftovers_alone_are_a_root_too),
		cmocka_unit_test(leftovers_are_applied_by_accounts_too),
		cmocka_unit_test(nothing_prunes_in_a_root_that_holds_it),
		cmocka_unit_test(a_secret_is_named_as_kubernetes_does),
		cmocka_unit_test(an_address_is_read_and_written_back),
		cmocka_unit_test(what_is_not_asked_for_stays_as_recorded),
		cmocka_unit_test(options_differ_by_each_of_their_members),
		cmocka_unit_test(an_empty_root_lists_nothing_so_that_flux_prunes),
		cmocka_unit_test(an_empty_root_with_accounts_has_the_role_already),
		cmocka_unit_test(a_root_is_read_back_to_its_places_in_order),
		cmocka_unit_test(more_places_than_are_read_at_once_are_all_read),
		cmocka_unit_test(names_are_at_most_63_characters_and_differ),
		cmocka_unit_test(a_shortened_name_is_none_that_another_namespace_could_have),
		cmocka_unit_test(a_file_that_is_no_catalog_is_refused_by_name),
		cmocka_unit_test(catalogs_out_of_order_or_twice_are_refused),
		cmocka_unit_test(an_account_elsewhere_is_refused),
		cmocka_unit_test(what_is_no_layer_is_refused),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
