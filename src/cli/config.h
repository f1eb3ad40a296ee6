/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The servers that gsq login knows, each a context: a JSON file of the user's own, mode 0600, as it
 * has their tokens.
 *
 *     {"current":"NAME","contexts":[{"name","server","namespace"?,"token"?,"ca"?,"insecure"?}]}
 */
#ifndef CLI_CONFIG_H
#define CLI_CONFIG_H

#include "base/error.h"

struct context {
	char *name;
	char *server;
	char *namespace; /* NULL: default */
	char *token;     /* NULL: none */
	char *ca;        /* path of a PEM file; NULL: the system's */
	bool insecure;   /* the token may go over http:// to another machine */
};

struct config {
	char *path;
	char *current; /* NULL: none; it may name one that is not there */
	size_t n;
	struct context *contexts;
	int lock; /* -1: none */
};

/* $GSQ_CONFIG, else gsq/config.json in $XDG_CONFIG_HOME or in ~/.config. A file that is not there
 * has no contexts, and neither has /dev/null. One that others may read, or that is damaged, is an
 * error that names it. */
int config_load(struct config *ret, struct error *err) MUST_CHECK;
/* The same for a change: until config_done() nobody else changes it. */
int config_lock(struct config *ret, struct error *err) MUST_CHECK;
/* In one step: whoever reads has the old file or the new one. */
int config_save(const struct config *c, struct error *err) MUST_CHECK;
void config_done(struct config *c);

/* ERROR_NOT_FOUND suggests the nearest. */
int config_need(const struct config *c, const char *name, struct context **ret,
	struct error *err) MUST_CHECK;
/* A copy, in place of one of that name; and makes it current. */
int config_put(struct config *c, const struct context *context, struct error *err) MUST_CHECK;
int config_use(struct config *c, const char *name, struct error *err) MUST_CHECK;
/* There is none current then, if it was. */
void config_remove(struct config *c, struct context *context);

/* ERROR_INVALID: it is none that fits in one line and in a flag. */
int context_name_check(const char *name, struct error *err) MUST_CHECK;

#endif
