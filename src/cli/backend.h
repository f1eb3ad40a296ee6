/* SPDX-License-Identifier: Apache-2.0 */
/* The backend: what a verb keeps everything in: the embedded registry in a folder, or a remote one.
 */
#ifndef CLI_BACKEND_H
#define CLI_BACKEND_H

#include "registry/embedded.h"

struct backend {
	struct embedded *embedded; /* NULL: remote */
	struct registry *registry;
	const char *location, *ca_file; /* as they were given, of a remote one */
};

/* location NULL: embedded in data_dir. */
int backend_open(struct backend *ret, const char *location, const char *data_dir,
	const char *ca_file, struct error *err) MUST_CHECK;
/* What there is: a verb that only looks makes no registry. verb: for the error where another
 * process has the folder. */
int backend_open_existing(struct backend *ret, const char *location, const char *data_dir,
	const char *ca_file, const char *verb, struct error *err) MUST_CHECK;
void backend_close(struct backend *s);

/* Another registry on the same backend, for another thread and for work in the background: what
 * fails on a remote one fails soon. The caller's, who frees it before the backend is closed. */
int backend_another_registry(
	struct registry **ret, const struct backend *s, struct error *err) MUST_CHECK;

/* Rows for a verb's table of options. */
#define BACKEND_OPTION_REGISTRY \
	{ \
		"registry", "REGISTRY_HOST", "HOST:PORT|URL", NULL, \
			"OCI registry to keep everything in, with a path prefix if wanted; " \
			"not set: the embedded one" \
	}
#define BACKEND_OPTION_CA \
	{ \
		"registry-ca", "REGISTRY_CA", "FILE", NULL, \
			"PEM file of the authority that signed the registry's certificate" \
	}
#define BACKEND_OPTION_DATA_DIR \
	{ \
		"data-dir", "DATA_DIR", "FOLDER", "data", "folder of the embedded registry" \
	}
#define BACKEND_OPTION_GC_GRACE(flag_, more_) \
	{ \
		flag_, "GC_GRACE", "DURATION", "1h", \
			"how long nothing must have referred to a blob, or nobody written to an " \
			"upload, before it is removed" more_ \
	}

#endif
