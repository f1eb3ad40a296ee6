/* SPDX-License-Identifier: Apache-2.0 */
/* The input is a manifest and, after a NUL, its layer. */
#include "fuzz.h"

#include "sign/payload.h"
#include "sign/signature.h"

static const char public_key[] =
	"-----BEGIN PUBLIC KEY-----\n"
	"MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAENOvyMzxeJ0KjsxmGsvoNQcUdWuDH\n"
	"eg7RuGTTLOSRJPl2frv5StNAOcPm97s59JdFqGpf7dl9hv6/vQHy4Zo4OA==\n"
	"-----END PUBLIC KEY-----\n";
static const char subject_text[] =
	"sha256:9637aeffef7cd50aab2a382fe8b2069d796d71cfe2421b6171eb3e0d8f0af1a5";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct sign_keys *keys; /* kept for all inputs */
	struct slice layer = {(const char *)data, size}, manifest = slice_cut(&layer, '\0');
	struct error err = ERROR_INIT;
	struct digest subject;
	int rc;

	digest_setup();
	rc = digest_parse(&subject, SLICE(subject_text), &err);
	AZ(rc);
	if (keys == NULL) {
		rc = sign_keys_parse(&keys, SLICE(public_key), &err);
		AZ(rc);
	}
	rc = signature_check(keys, "gitops-squared/catalog", &subject, manifest, layer, &err);
	ASSERT(rc == 0 || err.code == ERROR_DENIED);
	/* It stops at a signature that is wrong; what comes after is tried by itself. */
	rc = payload_check(layer, "gitops-squared/catalog", &subject, &err);
	ASSERT(rc == 0 || err.code == ERROR_DENIED);
	return 0;
}
