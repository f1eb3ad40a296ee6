/* SPDX-License-Identifier: Apache-2.0 */
#include "oci/manifest.h"

#include "fuzz.h"

static void check_descriptor(const struct oci_descriptor *d)
{
	char text[DIGEST_TEXT_SIZE];

	ASSERT(strlen(d->media_type) > 0);
	ASSERT(strlen(digest_format(&d->digest, text)) == 7 + 2 * digest_size(d->digest.algorithm));
	for (size_t i = 0; i < d->n_annotations; i++)
		ASSERT(d->annotations[i].key != NULL && d->annotations[i].value != NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP(oci_manifest_freep) struct oci_manifest *m = NULL;
	struct error err = ERROR_INIT;

	if (oci_manifest_parse(&m, (struct slice){(const char *)data, size}, &err) != 0) {
		ASSERT(m == NULL);
		ASSERT(err.code == ERROR_INVALID || err.code == ERROR_TOO_LARGE);
		return 0;
	}
	if (m->kind == OCI_IMAGE)
		check_descriptor(&m->config);
	for (size_t i = 0; i < m->n_children; i++)
		check_descriptor(&m->children[i]);
	if (m->has_subject)
		check_descriptor(&m->subject);
	for (size_t i = 0; i < m->n_annotations; i++)
		ASSERT(oci_manifest_annotation(m, m->annotations[i].key) ==
			m->annotations[i].value);
	return 0;
}
