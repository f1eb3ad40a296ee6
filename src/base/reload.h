/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files that are read again when they change: looked at every second by a thread of its own, since
 * a mounted Secret changes by its symbolic links and an editor by a rename.
 */
#ifndef BASE_RELOAD_H
#define BASE_RELOAD_H

#include "base/error.h"

struct reloader;

int reloader_new(struct reloader **ret, struct error *err) MUST_CHECK;
/* Calls changed() on the thread when one of the files (NULL ends; copied) is another than when this
 * was called, or came, or went. Before reloader_start(). */
int reloader_add(struct reloader *r, const char *const *files, void (*changed)(void *arg),
	void *arg, struct error *err) MUST_CHECK;
/* Calls every() so often, on the thread. Before reloader_start(); one at most. */
void reloader_every(struct reloader *r, unsigned interval_s, void (*every)(void *arg), void *arg);
int reloader_start(struct reloader *r, struct error *err) MUST_CHECK;
/* Calls all of them soon, whether anything has changed or not: SIGHUP. Any thread. */
void reloader_now(struct reloader *r);
void reloader_free(struct reloader *r); /* ends the thread */

#endif
