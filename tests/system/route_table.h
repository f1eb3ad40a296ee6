/* SPDX-License-Identifier: Apache-2.0 */
/* The rules of all routes as they are in the program, for docs/AUTHORIZATION.md and its test. */
#ifndef ROUTE_TABLE_H
#define ROUTE_TABLE_H

#include "auth/action.h"

/* A row: who may, by roles. of: which namespace is asked about, in words. */
void print_rule(const char *method, const char *path, enum auth_action action, const char *of);
/* A row of a route that asks for no role. */
void print_open(const char *method, const char *path, const char *who);

void print_registry_routes(void);

#endif
