/* SPDX-License-Identifier: Apache-2.0 */
#include "route_table.h"

#include "registry/service.h"

void print_registry_routes(void)
{
	for (const struct route *r = registry_routes; r->method != NULL; r++) {
		switch (r->need) {
		case NEED_PROOF:
			print_open(r->method, r->path, "whoever has proven who they are");
			break;
		case NEED_CATALOG:
			print_open(r->method, r->path,
				"whoever has proven who they are; lists what they may pull");
			break;
		case NEED_PULL:
			print_rule(r->method, r->path, ACTION_PULL, "the repository's");
			break;
		case NEED_PUSH:
			print_rule(r->method, r->path, ACTION_PUSH, "the repository's");
			break;
		case NEED_TOKEN:
			print_open(
				r->method, r->path, "anybody; grants what the credential may do");
			break;
		}
	}
}
