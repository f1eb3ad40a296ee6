/* SPDX-License-Identifier: Apache-2.0 */
/* An OpenID Connect issuer on loopback that answers as a test tells it to. */
#ifndef TESTS_UNIT_OIDC_STUB_H
#define TESTS_UNIT_OIDC_STUB_H

#include "base/str.h"

#include <pthread.h>

#define PATIENCE_MS 20000 /* what has not happened by then never will */

struct oidc_stub {
	char url[64]; /* the issuer */
	int fd;
	unsigned short port;
	pthread_t thread;
	pthread_mutex_t lock; /* guards what follows */
	pthread_cond_t changed;
	char *discovery, *keys; /* whole answers, with their heads */
	bool silent;            /* questions are counted and not answered yet */
	bool stopping;
	unsigned discoveries, fetches;
};

/* With an honest discovery document and no answer for its keys yet. */
void oidc_stub_init(struct oidc_stub *s);
void oidc_stub_done(struct oidc_stub *s);

/* The whole answer, or with a head of status 200 before it. */
void oidc_stub_answer_discovery(struct oidc_stub *s, const char *answer);
void oidc_stub_answer_keys(struct oidc_stub *s, const char *answer);
void oidc_stub_discovery(struct oidc_stub *s, const char *json);
void oidc_stub_keys(struct oidc_stub *s, const char *json);
void oidc_stub_be_honest(struct oidc_stub *s); /* the first discovery document again */

/* Connections are taken and nothing is said until it is over. */
void oidc_stub_set_silent(struct oidc_stub *s, bool silent);
/* Nobody listens; and then somebody does again, on the same port. */
void oidc_stub_down(struct oidc_stub *s);
void oidc_stub_up(struct oidc_stub *s);

unsigned oidc_stub_discoveries(struct oidc_stub *s);
unsigned oidc_stub_fetches(struct oidc_stub *s); /* of the keys */
void oidc_stub_wait_discoveries(struct oidc_stub *s, unsigned n);

#endif
