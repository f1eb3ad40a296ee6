/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "kube_stub.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"

/* ---- the server ---- */

struct connection {
	struct stub *stub;
	int fd;
};

static unsigned note(struct stub *s, const char *request)
{
	unsigned n;

	AZ(pthread_mutex_lock(&s->lock));
	n = s->n_requests++;
	if (n < STUB_REQUESTS) {
		s->requests[n] = strdup(request);
		s->came_ms[n] = clock_monotonic_ms();
	}
	AZ(pthread_mutex_unlock(&s->lock));
	return n;
}

/* One whole request, with its body. */
static bool read_request(int fd, char *request, size_t size)
{
	size_t len = 0;

	for (;;) {
		ssize_t n = read(fd, request + len, size - 1 - len);
		const char *end, *length;

		if (n <= 0)
			return false;
		len += (size_t)n;
		request[len] = '\0';
		end = strstr(request, "\r\n\r\n");
		length = strstr(request, "Content-Length: ");
		if (end != NULL &&
			(length == NULL ||
				strlen(end + 4) ==
					strtoul(length + strlen("Content-Length: "), NULL, 10)))
			return true;
	}
}

static void *serve(void *arg)
{
	AUTO_FREE struct connection *c = arg;
	char request[8192];

	while (read_request(c->fd, request, sizeof(request)) &&
		c->stub->answer(c->stub, c->fd, request, note(c->stub, request)))
		;
	close(c->fd);
	return NULL;
}

static void *accept_all(void *arg)
{
	struct stub *s = arg;
	int fd;

	while ((fd = accept(s->fd, NULL, NULL)) >= 0) {
		struct connection *c = malloc(sizeof(*c));
		pthread_t thread;

		*c = (struct connection){s, fd};
		AZ(pthread_create(&thread, NULL, serve, c));
		AZ(pthread_detach(thread));
	}
	return NULL;
}

static struct stub *stubs;

struct stub *stub_new(answer_request *answer)
{
	struct stub *s = calloc(1, sizeof(*s));
	struct sockaddr_in address = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(address);
	pthread_t thread;

	s->next = stubs;
	stubs = s;
	AZ(pthread_mutex_init(&s->lock, NULL));
	s->answer = answer;
	s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	AZ(bind(s->fd, (struct sockaddr *)&address, size));
	AZ(listen(s->fd, 64));
	AZ(getsockname(s->fd, (struct sockaddr *)&address, &size));
	snprintf(s->url, sizeof(s->url), "http://127.0.0.1:%u", ntohs(address.sin_port));
	AZ(pthread_create(&thread, NULL, accept_all, s));
	AZ(pthread_detach(thread));
	return s;
}

unsigned stub_requests(struct stub *s)
{
	unsigned n;

	AZ(pthread_mutex_lock(&s->lock));
	n = s->n_requests;
	AZ(pthread_mutex_unlock(&s->lock));
	return n;
}

void stub_wait(struct stub *s, unsigned n)
{
	uint64_t until_ms = clock_monotonic_ms() + PATIENCE_MS;

	while (stub_requests(s) < n) {
		if (clock_monotonic_ms() > until_ms)
			fail_msg("%u requests came, not %u", stub_requests(s), n);
		usleep(5000);
	}
}

void stub_assert_request(struct stub *s, unsigned n, const char *part)
{
	stub_wait(s, n + 1);
	if (strstr(s->requests[n], part) == NULL)
		fail_msg("request %u is\n%s\nwithout %s", n, s->requests[n], part);
}

bool stub_say(int fd, const char *text)
{
	struct error err;

	return file_write_all(fd, text, strlen(text), &err) == 0;
}

bool stub_reply(int fd, int status, const char *body)
{
	AUTO_FREE char *text = str_printf(
		"HTTP/1.1 %d Some\r\nContent-Length: %zu\r\n\r\n%s", status, strlen(body), body);

	return stub_say(fd, text);
}

bool stub_begin_watch(int fd)
{
	return stub_say(fd, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
}

bool stub_chunk(int fd, const char *text)
{
	AUTO_FREE char *framed = str_printf("%zx\r\n%s\r\n", strlen(text), text);

	return stub_say(fd, framed);
}

bool stub_end_watch(int fd)
{
	return stub_say(fd, "0\r\n\r\n");
}

bool stub_stay_silent(int fd)
{
	char byte;

	return read(fd, &byte, 1) > 0;
}

bool stub_is_watch(const char *request)
{
	return strstr(request, "?watch=1&") != NULL;
}

/* ---- what a watch has told ---- */

void told_add(struct told *t, const char *what, const char *name)
{
	char word[128];
	size_t n, len;

	AZ(pthread_mutex_lock(&t->lock));
	len = strlen(t->words);
	n = (size_t)snprintf(word, sizeof(word), "%s%s ", what, name);
	if (len < n || strcmp(t->words + len - n, word) != 0)
		snprintf(t->words + len, sizeof(t->words) - len, "%s", word);
	AZ(pthread_mutex_unlock(&t->lock));
}

static void on_relist(void *arg)
{
	told_add(arg, "relist", "");
}

static void on_object(json_t *object, void *arg)
{
	struct told *t = arg;

	told_add(t, "+", kube_string(object, "metadata", "name", NULL));
	if (t->object != NULL)
		t->object(t);
}

static void on_deleted(json_t *object, void *arg)
{
	told_add(arg, "-", kube_string(object, "metadata", "name", NULL));
}

static void on_synced(void *arg)
{
	told_add(arg, "synced", "");
}

static void on_lost(const struct error *why, void *arg)
{
	struct told *t = arg;

	AZ(pthread_mutex_lock(&t->lock));
	t->losses++;
	t->why = *why;
	AZ(pthread_mutex_unlock(&t->lock));
	told_add(t, "lost", "");
}

void told_assert(struct told *t, const char *words)
{
	uint64_t until_ms = clock_monotonic_ms() + PATIENCE_MS;
	bool same = false;

	while (!same) {
		AZ(pthread_mutex_lock(&t->lock));
		same = strcmp(t->words, words) == 0;
		AZ(pthread_mutex_unlock(&t->lock));
		if (!same && clock_monotonic_ms() > until_ms)
			fail_msg("told\n  %s\nnot\n  %s", t->words, words);
		usleep(2000);
	}
}

/* ---- a client ---- */

void fixture_init(struct fixture *f, answer_request *answer, const char *token_file)
{
	struct kube_config config = {.server = NULL};
	struct error err;

	memset(f, 0, sizeof(*f));
	AZ(pthread_mutex_init(&f->told.lock, NULL));
	f->stub = stub_new(answer);
	config.server = strdup(f->stub->url);
	if (token_file != NULL)
		config.token_file = strdup(token_file);
	else
		config.token = strdup("secret");
	assert_int_equal(kube_new(&f->kube, &config, &err), 0);
	assert_null(config.server);
}

void fixture_watch(struct fixture *f, const char *path)
{
	const struct kube_watch watch = {path, "labelSelector=a%3Db", on_relist, on_object,
		on_deleted, on_synced, on_lost, &f->told};
	struct error err;

	assert_int_equal(kube_add_watch(f->kube, &watch, &err), 0);
}

void fixture_start(struct fixture *f)
{
	struct error err;

	if (kube_start(f->kube, &err) != 0)
		fail_msg("%s", err.text);
}

void fixture_begin(struct fixture *f, answer_request *answer)
{
	fixture_init(f, answer, NULL);
	fixture_watch(f, THINGS);
	fixture_start(f);
}

void fixture_done(struct fixture *f)
{
	kube_stop(f->kube);
	kube_free(f->kube);
	AZ(pthread_mutex_destroy(&f->told.lock));
}
