/* SPDX-License-Identifier: Apache-2.0 */
/* Names of the distribution-spec ("Pulling manifests"): repositories, tags, registries. */
#ifndef OCI_REFERENCE_H
#define OCI_REFERENCE_H

#include "base/error.h"
#include "base/limits.h"
#include "base/str.h"

/* [a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(\/...)*, at most LIMIT_REPOSITORY characters */
bool oci_repository_ok(struct slice s);
/* [a-zA-Z0-9_][a-zA-Z0-9._-]{0,127} */
bool oci_tag_ok(struct slice s);

/*
 * Where a registry is, as a user writes it: "host:port" (plain HTTP, as the original took it),
 * "http://..." or "https://...", with a path prefix under which all repositories live
 * ("https://ghcr.io/acme").
 */
struct registry_location {
	char base[512]; /* "https://host:port", no trailing slash */
	char host[256]; /* "host" or "host:port": the key into docker's config.json */
	char prefix[LIMIT_PREFIX + 1]; /* "acme/" or "" */
};
int registry_location_parse(
	struct registry_location *ret, const char *text, struct error *err) MUST_CHECK;

#endif
