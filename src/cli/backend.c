/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/backend.h"

#include "registry/remote.h"

#include <errno.h>
#include <unistd.h>

int backend_open(struct backend *ret, const char *location, const char *data_dir,
	const char *ca_file, struct error *err)
{
	struct backend s = {.location = location, .ca_file = ca_file};

	if (location != NULL) {
		struct remote_options options = {
			.location = location,
			.ca_file = ca_file,
			.retries = (unsigned)-1,
		};

		if (remote_new(&s.registry, &options, err) != 0)
			return -1;
	} else if (embedded_new(&s.embedded, data_dir, err) != 0 ||
		   embedded_registry(&s.registry, s.embedded, err) != 0) {
		backend_close(&s);
		return -1;
	}
	*ret = s;
	return 0;
}

int backend_open_existing(struct backend *ret, const char *location, const char *data_dir,
	const char *ca_file, const char *verb, struct error *err)
{
	AUTO_FREE char *database = str_printf("%s/registry.db", data_dir);

	if (database == NULL)
		return error_no_memory(err);
	if (location == NULL && access(database, F_OK) != 0)
		return error_set_errno(
			err, errno, "there is no registry in the data folder %s", data_dir);
	if (backend_open(ret, location, data_dir, ca_file, err) == 0)
		return 0;
	if (err->code == ERROR_CONFLICT)
		error_set(err, ERROR_CONFLICT,
			"another process has the data folder %s: stop it, or look through the "
			"server that it is: gsq %s --registry http://HOST:5000",
			data_dir, verb);
	return -1;
}

int backend_another_registry(struct registry **ret, const struct backend *s, struct error *err)
{
	struct remote_options options = {
		.location = s->location,
		.ca_file = s->ca_file,
		.timeout_ms = LIMIT_RETENTION_REQUEST_MS,
	};

	if (s->embedded != NULL)
		return embedded_registry(ret, s->embedded, err);
	return remote_new(ret, &options, err);
}

void backend_close(struct backend *s)
{
	registry_free(s->registry);
	embedded_free(s->embedded);
	*s = (struct backend){0};
}
