/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "oci/manifest.h"

#include <stdio.h>

#define EMPTY_DIGEST "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
#define DESCRIPTOR(type) "{\"mediaType\":\"" type "\",\"digest\":\"" EMPTY_DIGEST "\",\"size\":2}"
#define CONFIG "\"config\":" DESCRIPTOR("a/b")
#define LAYERS "\"layers\":[" DESCRIPTOR("c/d") "]"

static int setup(void **state UNUSED)
{
	digest_setup();
	return 0;
}

static void the_bytes_of_a_manifest_are_fixed(void **state UNUSED)
{
	static const struct oci_annotation on_layer[] = {{"title", "x.yaml"}, {"n", "\"1\""}};
	static const struct oci_annotation on_manifest[] = {{"created", "now"}};
	const struct oci_manifest_draft draft = {
		.artifact_type = "application/vnd.test",
		.config = {.media_type = OCI_MEDIA_EMPTY,
			.digest = digest_of(OCI_EMPTY),
			.size = 2},
		.layer = {.media_type = "text/yaml",
			.digest = digest_of(OCI_EMPTY),
			.size = UINT64_C(5000000000),
			.n_annotations = 2,
			.annotations = on_layer},
		.n_annotations = 1,
		.annotations = on_manifest,
	};
	CLEANUP(buf_done) struct buf b = BUF_INIT(LIMIT_MANIFEST);

	oci_manifest_write(&draft, &b);
	assert_string_equal(b.data,
		"{\"schemaVersion\":2,\"mediaType\":\"" OCI_MEDIA_MANIFEST "\","
		"\"artifactType\":\"application/vnd.test\","
		"\"config\":" DESCRIPTOR(
			"application/vnd.oci.empty.v1+json") ","
							     "\"layers\":[{\"mediaType\":\"text/"
							     "yaml\",\"digest\":\"" EMPTY_DIGEST
							     "\","
							     "\"size\":5000000000,\"annotations\":{"
							     "\"title\":\"x.yaml\",\"n\":"
							     "\"\\\"1\\\"\"}}],"
							     "\"annotations\":{\"created\":\"now\"}"
							     "}");
}

static void the_empty_digest_is_that_of_the_empty_descriptor(void **state UNUSED)
{
	struct digest computed = digest_of(OCI_EMPTY);

	assert_true(digest_eq(&oci_empty_digest, &computed));
}

static void what_was_written_is_read(void **state UNUSED)
{
	static const struct oci_annotation on_layer[] = {{"title", "x.yaml"}};
	static const struct oci_annotation on_manifest[] = {{"a", "1"}, {"b", ""}};
	const struct oci_manifest_draft draft = {
		.config = {.media_type = "a/b", .digest = digest_of(OCI_EMPTY), .size = 2},
		.layer = {.media_type = "c/d",
			.digest = digest_of(SLICE("x")),
			.size = 1,
			.n_annotations = 1,
			.annotations = on_layer},
		.n_annotations = 2,
		.annotations = on_manifest,
	};
	CLEANUP(oci_manifest_freep) struct oci_manifest *m = NULL;
	CLEANUP(buf_done) struct buf b = BUF_INIT(LIMIT_MANIFEST);
	struct error err = ERROR_INIT;

	oci_manifest_write(&draft, &b);
	assert_int_equal(oci_manifest_parse(&m, buf_slice(&b), &err), 0);
	assert_int_equal(m->kind, OCI_IMAGE);
	assert_string_equal(m->media_type, OCI_MEDIA_MANIFEST);
	assert_string_equal(m->artifact_type, "a/b");
	assert_string_equal(m->config.media_type, "a/b");
	assert_int_equal(m->n_children, 1);
	assert_string_equal(m->children[0].media_type, "c/d");
	assert_true(digest_eq(&m->children[0].digest, &draft.layer.digest));
	assert_int_equal(m->children[0].size, 1);
	assert_int_equal(m->children[0].n_annotations, 1);
	assert_string_equal(m->children[0].annotations[0].value, "x.yaml");
	assert_string_equal(oci_manifest_annotation(m, "a"), "1");
	assert_string_equal(oci_manifest_annotation(m, "b"), "");
	assert_null(oci_manifest_annotation(m, "title"));
	assert_false(m->has_subject);
}

static void an_index_with_a_subject_is_read(void **state UNUSED)
{
	CLEANUP(oci_manifest_freep) struct oci_manifest *m = NULL;
	struct error err = ERROR_INIT;

	assert_int_equal(
		oci_manifest_parse(&m,
			SLICE("{\"schemaVersion\":2,\"mediaType\":\"" OCI_MEDIA_INDEX "\","
			      "\"manifests\":[" DESCRIPTOR("a/b") "," DESCRIPTOR(
				      "c/d") "],"
					     "\"artifactType\":\"x/y\",\"subject\":" DESCRIPTOR(
						     "s/t") "}"),
			&err),
		0);
	assert_int_equal(m->kind, OCI_INDEX);
	assert_string_equal(m->artifact_type, "x/y");
	assert_int_equal(m->n_children, 2);
	assert_true(m->has_subject);
	assert_string_equal(m->subject.media_type, "s/t");
}

static void what_other_programs_write_is_read(void **state UNUSED)
{
	static const char *const texts[] = {
		"{\"schemaVersion\":2," CONFIG "," LAYERS "}",
		"{\"schemaVersion\":2," CONFIG ",\"layers\":[]}",
		"{\"schemaVersion\":2," CONFIG ",\"layers\":null,\"annotations\":null,"
		"\"subject\":null}",
		"{\"schemaVersion\":2,\"manifests\":null}",
		"{\"schemaVersion\":2,\"mediaType\":\"" DOCKER_MEDIA_MANIFEST "\"," CONFIG
		"," LAYERS "}",
		"{\"schemaVersion\":2,\"mediaType\":\"" DOCKER_MEDIA_LIST "\",\"manifests\":[]}",
		"{\"schemaVersion\":2," CONFIG "," LAYERS ",\"unknown\":[{\"x\":1.5}]}",
	};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		CLEANUP(oci_manifest_freep) struct oci_manifest *m = NULL;
		struct error err = ERROR_INIT;

		if (oci_manifest_parse(&m, slice_of(texts[i]), &err) != 0)
			fail_msg("%zu: %s", i, err.text);
	}
}

#define DIGEST_AND_SIZE(digest, size) "\"digest\":\"" digest "\",\"size\":" size
static void what_is_not_a_manifest_is_refused(void **state UNUSED)
{
	static const struct {
		const char *text, *says;
	} cases[] = {
		{"", "line 1, column 1"},
		{"[]", "line 1, column 1"},
		{"{}", "schemaVersion must be 2"},
		{"{\"schemaVersion\":1}", "schemaVersion must be 2"},
		{"{\"schemaVersion\":2.0," CONFIG "," LAYERS "}", "schemaVersion must be 2"},
		{"{\"schemaVersion\":2}", "either config and layers, or manifests"},
		{"{\"schemaVersion\":2," CONFIG "," LAYERS ",\"manifests\":[]}",
			"either config and layers, or manifests"},
		{"{\"schemaVersion\":2," LAYERS "}", "config must be a descriptor"},
		{"{\"schemaVersion\":2," CONFIG "}", "layers must be a list"},
		{"{\"schemaVersion\":2," CONFIG ",\"layers\":{}}", "layers must be a list"},
		{"{\"schemaVersion\":2," CONFIG ",\"layers\":[1]}",
			"layers[0] must be a descriptor"},
		{"{\"schemaVersion\":2," CONFIG ",\"layers\":[{}]}", "layers[0].digest is missing"},
		{"{\"schemaVersion\":2," CONFIG
		 ",\"layers\":[{" DIGEST_AND_SIZE(EMPTY_DIGEST, "2") "}]}",
			"layers[0].mediaType is missing"},
		{"{\"schemaVersion\":2," CONFIG
		 ",\"layers\":[{\"mediaType\":\"a\"," DIGEST_AND_SIZE(EMPTY_DIGEST, "-1") "}]}",
			"layers[0].size"},
		{"{\"schemaVersion\":2," CONFIG
		 ",\"layers\":[{\"mediaType\":\"a\"," DIGEST_AND_SIZE(EMPTY_DIGEST, "2.5") "}]}",
			"layers[0].size"},
		{"{\"schemaVersion\":2," CONFIG
		 ",\"layers\":[{\"mediaType\":\"a\"," DIGEST_AND_SIZE(
			 EMPTY_DIGEST, "99999999999999999999") "}]}",
			"a number that is too large at line 1, column"},
		{"{\"schemaVersion\":2," CONFIG
		 ",\"layers\":[{\"mediaType\":\"a\"," DIGEST_AND_SIZE("md5:00", "2") "}]}",
			"layers[0].digest: "},
		{"{\"schemaVersion\":2,\"mediaType\":\"" OCI_MEDIA_INDEX "\"," CONFIG "," LAYERS
		 "}",
			"mediaType must be " OCI_MEDIA_MANIFEST},
		{"{\"schemaVersion\":2,\"mediaType\":\"text/plain\",\"manifests\":[]}",
			"mediaType must be " OCI_MEDIA_INDEX},
		{"{\"schemaVersion\":2,\"mediaType\":7,\"manifests\":[]}",
			"mediaType must be a string"},
		{"{\"schemaVersion\":2,\"manifests\":[],\"annotations\":{\"a\":1}}",
			"annotations must be strings"},
		{"{\"schemaVersion\":2,\"manifests\":[],\"annotations\":[]}",
			"annotations must be an object"},
		{"{\"schemaVersion\":2,\"manifests\":[],\"subject\":\"x\"}",
			"subject must be a descriptor"},
		{"{\"schemaVersion\":2,\"schemaVersion\":2,\"manifests\":[]}", "given already"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct error err = ERROR_INIT;
		struct oci_manifest *m = NULL;

		assert_int_equal(oci_manifest_parse(&m, slice_of(cases[i].text), &err), -1);
		assert_null(m);
		assert_int_equal(err.code, ERROR_INVALID);
		if (strstr(err.text, cases[i].says) == NULL)
			fail_msg("%zu: %s", i, err.text);
	}
}

static int parse_with_layers(size_t n, struct error *err)
{
	CLEANUP(oci_manifest_freep) struct oci_manifest *m = NULL;
	CLEANUP(buf_done) struct buf b = BUF_INIT(LIMIT_MANIFEST);

	buf_puts(&b, "{\"schemaVersion\":2," CONFIG ",\"layers\":[" DESCRIPTOR("c/d"));
	for (size_t i = 1; i < n; i++)
		buf_puts(&b, "," DESCRIPTOR("c/d"));
	buf_puts(&b, "]}");
	assert_int_equal(buf_check(&b, err), 0);
	return oci_manifest_parse(&m, buf_slice(&b), err);
}

static void limits_are_exact(void **state UNUSED)
{
	CLEANUP(buf_done) struct buf b = BUF_INIT(LIMIT_MANIFEST + 1);
	struct error err = ERROR_INIT;
	struct oci_manifest *m = NULL;

	assert_int_equal(parse_with_layers(LIMIT_DESCRIPTORS, &err), 0);
	assert_int_equal(parse_with_layers(LIMIT_DESCRIPTORS + 1, &err), -1);
	assert_int_equal(err.code, ERROR_INVALID);
	buf_puts(&b, "{\"schemaVersion\":2,\"manifests\":[]}");
	while (b.len < LIMIT_MANIFEST)
		buf_putc(&b, ' ');
	assert_int_equal(oci_manifest_parse(&m, buf_slice(&b), &err), 0);
	oci_manifest_free(TAKE_PTR(m));
	buf_putc(&b, ' ');
	assert_int_equal(oci_manifest_parse(&m, buf_slice(&b), &err), -1);
	assert_int_equal(err.code, ERROR_TOO_LARGE);
}

static void media_types_of_manifests_have_a_kind(void **state UNUSED)
{
	static const struct {
		const char *type;
		bool known;
		enum oci_manifest_kind kind;
	} cases[] = {
		{OCI_MEDIA_MANIFEST, true, OCI_IMAGE},
		{DOCKER_MEDIA_MANIFEST, true, OCI_IMAGE},
		{OCI_MEDIA_INDEX, true, OCI_INDEX},
		{DOCKER_MEDIA_LIST, true, OCI_INDEX},
		{OCI_MEDIA_EMPTY, false, OCI_IMAGE},
		{OCI_MEDIA_INDEX "x", false, OCI_IMAGE},
		{"", false, OCI_IMAGE},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		enum oci_manifest_kind kind = OCI_IMAGE;
		const char *name = oci_manifest_media_type(slice_of(cases[i].type), &kind);

		assert_int_equal(name != NULL, cases[i].known);
		assert_int_equal(kind, cases[i].kind);
		if (name != NULL)
			assert_string_equal(name, cases[i].type);
	}
}

static void layers_that_are_not_pushed_are_known_by_their_media_type(void **state UNUSED)
{
	static const struct {
		const char *type;
		bool elsewhere;
	} cases[] = {
		{"application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", true},
		{"application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", true},
		{"application/vnd.oci.image.layer.v1.tar+gzip", false},
		{NULL, false},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct oci_descriptor d = {.media_type = cases[i].type};

		assert_int_equal(oci_descriptor_is_elsewhere(&d), cases[i].elsewhere);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_bytes_of_a_manifest_are_fixed),
		cmocka_unit_test(the_empty_digest_is_that_of_the_empty_descriptor),
		cmocka_unit_test(what_was_written_is_read),
		cmocka_unit_test(an_index_with_a_subject_is_read),
		cmocka_unit_test(what_other_programs_write_is_read),
		cmocka_unit_test(what_is_not_a_manifest_is_refused),
		cmocka_unit_test(limits_are_exact),
		cmocka_unit_test(media_types_of_manifests_have_a_kind),
		cmocka_unit_test(layers_that_are_not_pushed_are_known_by_their_media_type),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
