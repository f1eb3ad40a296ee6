/* SPDX-License-Identifier: Apache-2.0 */
#include "oci/reference.h"

#include <stdio.h>

static bool is_lower_or_digit(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool is_alphanumeric(char c)
{
	return is_lower_or_digit(c) || (c >= 'A' && c <= 'Z');
}

/* ---- repositories and tags ---- */

/* The separator at the start of s: one dot, one or two underscores, any number of dashes. */
static size_t separator(struct slice s)
{
	size_t n = 0;

	while (n < s.n && s.p[n] == s.p[0])
		n++;
	switch (s.p[0]) {
	case '.':
		return n == 1 ? n : 0;
	case '_':
		return n <= 2 ? n : 0;
	case '-':
		return n;
	default:
		return 0;
	}
}

/* [a-z0-9]+((\.|_|__|-+)[a-z0-9]+)* */
static bool component_ok(struct slice s)
{
	bool after_word = false;

	for (size_t i = 0; i < s.n;) {
		size_t n = 1;

		if (is_lower_or_digit(s.p[i])) {
			after_word = true;
		} else {
			n = after_word ? separator((struct slice){s.p + i, s.n - i}) : 0;
			if (n == 0)
				return false;
			after_word = false;
		}
		i += n;
	}
	return after_word;
}

bool oci_repository_ok(struct slice s)
{
	if (s.n > LIMIT_REPOSITORY)
		return false;
	do {
		if (!component_ok(slice_cut(&s, '/')))
			return false;
	} while (s.p != NULL);
	return true;
}

bool oci_tag_ok(struct slice s)
{
	if (s.n == 0 || s.n > LIMIT_TAG || s.p[0] == '.' || s.p[0] == '-')
		return false;
	for (size_t i = 0; i < s.n; i++) {
		if (!is_alphanumeric(s.p[i]) && s.p[i] != '.' && s.p[i] != '_' && s.p[i] != '-')
			return false;
	}
	return true;
}

/* ---- where a registry is ---- */

static bool host_name_ok(struct slice s)
{
	if (s.n == 0 || !is_alphanumeric(s.p[0]) || !is_alphanumeric(s.p[s.n - 1]))
		return false;
	for (size_t i = 0; i < s.n; i++) {
		if (!is_alphanumeric(s.p[i]) && s.p[i] != '.' && s.p[i] != '-' && s.p[i] != '_')
			return false;
	}
	return true;
}

/* The inside of the brackets of an IPv6 address; resolving it finds the finer mistakes. */
static bool ipv6_ok(struct slice s)
{
	static const char allowed[] = "0123456789abcdefABCDEF:.";

	for (size_t i = 0; i < s.n; i++) {
		if (memchr(allowed, s.p[i], strlen(allowed)) == NULL)
			return false;
	}
	return s.n >= 2 && memchr(s.p, ':', s.n) != NULL;
}

static bool port_ok(struct slice s)
{
	uint64_t port;

	return slice_to_u64(s, &port) && port >= 1 && port <= 65535;
}

/* "host", "host:port", "[::1]" or "[::1]:port" */
static bool authority_ok(struct slice s, bool *ret_has_port)
{
	struct slice host, port = s;

	if (s.n > 0 && s.p[0] == '[') {
		host = slice_cut(&port, ']');
		if (port.p == NULL || !ipv6_ok((struct slice){host.p + 1, host.n - 1}))
			return false;
		*ret_has_port = port.n > 0;
		return port.n == 0 ||
		       (port.p[0] == ':' && port_ok((struct slice){port.p + 1, port.n - 1}));
	}
	host = slice_cut(&port, ':');
	*ret_has_port = port.p != NULL;
	return host_name_ok(host) && (port.p == NULL || port_ok(port));
}

/* Takes the scheme off the front. */
static bool cut_scheme(struct slice *rest, const char **ret)
{
	static const char *const schemes[] = {"http://", "https://"};

	for (size_t i = 0; i < ARRAY_SIZE(schemes); i++) {
		struct slice scheme = slice_of(schemes[i]);

		if (rest->n < scheme.n ||
			!slice_eq_nocase((struct slice){rest->p, scheme.n}, scheme))
			continue;
		rest->p += scheme.n;
		rest->n -= scheme.n;
		*ret = schemes[i];
		return true;
	}
	return false;
}

int registry_location_parse(struct registry_location *ret, const char *text, struct error *err)
{
	struct registry_location location;
	struct slice path = slice_of(text), authority;
	const char *scheme = "http://";
	bool has_scheme = cut_scheme(&path, &scheme), has_port;

	authority = slice_cut(&path, '/');
	if (authority.n > 0 && memchr(authority.p, '@', authority.n) != NULL)
		return error_set(err, ERROR_INVALID,
			"take user and password out of the registry's address; they are read "
			"from docker's config.json");
	if (authority.n >= sizeof(location.host) || !authority_ok(authority, &has_port))
		return error_set(err, ERROR_INVALID,
			"the registry's address must be host:port, http://host or https://host, "
			"with a path if wanted");
	if (!has_scheme && (path.p != NULL || !has_port))
		return error_set(err, ERROR_INVALID,
			"write https:// or http:// in front of the registry's address; only "
			"host:port may go without");
	if (path.n > 0 && path.p[path.n - 1] == '/')
		path.n--;
	if (path.n >= LIMIT_PREFIX)
		return error_set(err, ERROR_INVALID,
			"the path of the registry's address must have fewer than %d characters, so "
			"that repositories fit behind it",
			LIMIT_PREFIX);
	if (path.n > 0 && !oci_repository_ok(path))
		return error_set(err, ERROR_INVALID,
			"the path of the registry's address must be lower-case letters, digits "
			"and single . _ - between them, with / between the parts");
	snprintf(location.base, sizeof(location.base), "%s%.*s", scheme, SLICE_ARG(authority));
	snprintf(location.host, sizeof(location.host), "%.*s", SLICE_ARG(authority));
	location.prefix[0] = '\0';
	if (path.n > 0)
		snprintf(location.prefix, sizeof(location.prefix), "%.*s/", SLICE_ARG(path));
	*ret = location;
	return 0;
}
