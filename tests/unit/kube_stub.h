/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An API server on loopback that answers as a test tells it to, and a client of it, for tests of
 * cluster/kube.
 */
#ifndef TESTS_UNIT_KUBE_STUB_H
#define TESTS_UNIT_KUBE_STUB_H

#include "cluster/kube.h"

#include <pthread.h>

#define PATIENCE_MS 20000 /* what has not happened by then never will */
#define STUB_REQUESTS 64

/* ---- the server ---- */

struct stub;
/* Answers request n (from 0) on an open connection; false: the connection is closed. On a thread of
 * the connection's own. */
typedef bool answer_request(struct stub *s, int fd, const char *request, unsigned n);

struct stub {
	struct stub *next;
	answer_request *answer;
	char url[64];
	int fd;
	void *arg;            /* the test's */
	pthread_mutex_t lock; /* guards what follows */
	unsigned n_requests;
	char *requests[STUB_REQUESTS];
	uint64_t came_ms[STUB_REQUESTS];
};

/* Lives as long as the process: its threads may still look at it. */
struct stub *stub_new(answer_request *answer);
unsigned stub_requests(struct stub *s);
void stub_wait(struct stub *s, unsigned n_requests);
/* Request n comes, and this is part of it. */
void stub_assert_request(struct stub *s, unsigned n, const char *part);

/* For answers. False when the client has gone. */
bool stub_say(int fd, const char *text);
bool stub_reply(int fd, int status, const char *body);
bool stub_begin_watch(int fd);
bool stub_chunk(int fd, const char *text);
bool stub_end_watch(int fd);
bool stub_stay_silent(int fd); /* until the client has gone */
bool stub_is_watch(const char *request);

#define OBJECT(name, version) \
	"{\"metadata\":{\"name\":\"" name "\",\"resourceVersion\":\"" version "\"}}"
#define EVENT(type, name, version) "{\"type\":\"" type "\",\"object\":" OBJECT(name, version) "}\n"
#define LIST(version, items) \
	"{\"metadata\":{\"resourceVersion\":\"" version "\"},\"items\":[" items "]}"
#define LIST_PAGE(version, next_page, items) \
	"{\"metadata\":{\"resourceVersion\":\"" version "\",\"continue\":\"" next_page \
	"\"},\"items\":[" items "]}"
#define STATUS(code, message) \
	"{\"kind\":\"Status\",\"status\":\"Failure\",\"message\":\"" message "\",\"code\":" code "}"
#define ERROR_EVENT(code, message) "{\"type\":\"ERROR\",\"object\":" STATUS(code, message) "}\n"

/* ---- what a watch has told, as words: "relist +a synced lost " ---- */

struct told {
	pthread_mutex_t lock;
	char words[8192];
	unsigned losses;
	struct error why;               /* of the last loss */
	void (*object)(struct told *t); /* NULL, or: called for each object */
	void *arg;
};

/* The same word many times over stands there once: how often a failure repeats depends on time. */
void told_add(struct told *t, const char *what, const char *name);
void told_assert(struct told *t, const char *words); /* waits for them */

/* ---- a client of a stub, with a watch ---- */

struct fixture {
	struct stub *stub;
	struct kube *kube;
	struct told told;
};

/* token_file: NULL for the token "secret". */
void fixture_init(struct fixture *f, answer_request *answer, const char *token_file);
#define THINGS "/apis/g/v1/things"
/* What is watched is told to f->told. The path is a constant. */
void fixture_watch(struct fixture *f, const char *path);
void fixture_start(struct fixture *f);
/* All three, of THINGS. */
void fixture_begin(struct fixture *f, answer_request *answer);
void fixture_done(struct fixture *f); /* stops it where that is not done */

#endif
