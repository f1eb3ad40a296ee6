/* SPDX-License-Identifier: Apache-2.0 */
/* Any text is a kubeconfig or is refused; what is read can be used. */
#include "cluster/kube_config.h"

#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP(kube_config_done) struct kube_config config = {.server = NULL};
	AUTO_FREE char *exact = malloc(size);
	struct error err = ERROR_INIT;

	ASSERT(exact != NULL || size == 0);
	if (size > 0)
		memcpy(exact, data, size);
	if (kube_config_parse(
		    &config, (struct slice){exact, size}, "/nonexistent/config", NULL, &err) != 0) {
		ASSERT(config.server == NULL && err.code != ERROR_NONE);
		return 0;
	}
	ASSERT(config.server != NULL);
	ASSERT((config.certificate == NULL) == (config.key == NULL));
	ASSERT(config.token == NULL || config.token_file == NULL);
	return 0;
}
