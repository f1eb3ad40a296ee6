/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "oidc_stub.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"

static bool read_head(int fd, char *head, size_t size)
{
	size_t len = 0;
	ssize_t n;

	do {
		n = read(fd, head + len, size - 1 - len);
		if (n <= 0)
			return false;
		len += (size_t)n;
		head[len] = '\0';
	} while (strstr(head, "\r\n\r\n") == NULL);
	return true;
}

/* A copy, or NULL for none; waits while the stub is silent. */
static char *answer_to(struct oidc_stub *s, const char *head)
{
	bool is_discovery = strstr(head, "GET /.well-known/openid-configuration ") == head;
	char *answer = NULL;

	AZ(pthread_mutex_lock(&s->lock));
	if (is_discovery)
		s->discoveries++;
	else
		s->fetches++;
	AZ(pthread_cond_broadcast(&s->changed));
	while (s->silent && !s->stopping)
		AZ(pthread_cond_wait(&s->changed, &s->lock));
	if ((is_discovery ? s->discovery : s->keys) != NULL)
		answer = strdup(is_discovery ? s->discovery : s->keys);
	AZ(pthread_mutex_unlock(&s->lock));
	return answer;
}

static void *serve(void *arg)
{
	struct oidc_stub *s = arg;
	int fd;

	while ((fd = accept(s->fd, NULL, NULL)) >= 0) {
		AUTO_FREE char *answer = NULL;
		char head[8192];
		struct error ignored;

		if (read_head(fd, head, sizeof(head)))
			answer = answer_to(s, head);
		if (answer != NULL && file_write_all(fd, answer, strlen(answer), &ignored) != 0)
			answer[0] = '\0';
		close(fd);
	}
	return NULL;
}

void oidc_stub_up(struct oidc_stub *s)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
		.sin_port = htons(s->port)};
	socklen_t size = sizeof(address);
	int on = 1;

	s->stopping = false;
	s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	AZ(setsockopt(s->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)));
	AZ(bind(s->fd, (struct sockaddr *)&address, size));
	AZ(listen(s->fd, 64));
	AZ(getsockname(s->fd, (struct sockaddr *)&address, &size));
	s->port = ntohs(address.sin_port);
	AZ(pthread_create(&s->thread, NULL, serve, s));
}

void oidc_stub_down(struct oidc_stub *s)
{
	AZ(pthread_mutex_lock(&s->lock));
	s->stopping = true;
	AZ(pthread_cond_broadcast(&s->changed));
	AZ(pthread_mutex_unlock(&s->lock));
	shutdown(s->fd, SHUT_RDWR);
	AZ(pthread_join(s->thread, NULL));
	close(s->fd);
}

void oidc_stub_init(struct oidc_stub *s)
{
	*s = (struct oidc_stub){.fd = -1};
	AZ(pthread_mutex_init(&s->lock, NULL));
	AZ(pthread_cond_init(&s->changed, NULL));
	oidc_stub_up(s);
	snprintf(s->url, sizeof(s->url), "http://127.0.0.1:%u", s->port);
	oidc_stub_be_honest(s);
}

void oidc_stub_done(struct oidc_stub *s)
{
	oidc_stub_down(s);
	free(s->discovery);
	free(s->keys);
	AZ(pthread_cond_destroy(&s->changed));
	AZ(pthread_mutex_destroy(&s->lock));
}

/* ---- what it says ---- */

static void set(struct oidc_stub *s, char **at, char *answer)
{
	AZ(pthread_mutex_lock(&s->lock));
	free(*at);
	*at = answer;
	AZ(pthread_mutex_unlock(&s->lock));
}

static char *with_head(const char *body)
{
	return str_printf("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %zu\r\n\r\n%s",
		strlen(body), body);
}

void oidc_stub_answer_discovery(struct oidc_stub *s, const char *answer)
{
	set(s, &s->discovery, strdup(answer));
}

void oidc_stub_answer_keys(struct oidc_stub *s, const char *answer)
{
	set(s, &s->keys, strdup(answer));
}

void oidc_stub_discovery(struct oidc_stub *s, const char *json)
{
	set(s, &s->discovery, with_head(json));
}

void oidc_stub_keys(struct oidc_stub *s, const char *json)
{
	set(s, &s->keys, with_head(json));
}

void oidc_stub_be_honest(struct oidc_stub *s)
{
	AUTO_FREE char *json =
		str_printf("{\"issuer\":\"%s\",\"jwks_uri\":\"%s/keys?of=now\"}", s->url, s->url);

	oidc_stub_discovery(s, json);
}

void oidc_stub_set_silent(struct oidc_stub *s, bool silent)
{
	AZ(pthread_mutex_lock(&s->lock));
	s->silent = silent;
	AZ(pthread_cond_broadcast(&s->changed));
	AZ(pthread_mutex_unlock(&s->lock));
}

/* ---- what it was asked ---- */

static unsigned count(struct oidc_stub *s, const unsigned *at)
{
	unsigned n;

	AZ(pthread_mutex_lock(&s->lock));
	n = *at;
	AZ(pthread_mutex_unlock(&s->lock));
	return n;
}

unsigned oidc_stub_discoveries(struct oidc_stub *s)
{
	return count(s, &s->discoveries);
}

unsigned oidc_stub_fetches(struct oidc_stub *s)
{
	return count(s, &s->fetches);
}

void oidc_stub_wait_discoveries(struct oidc_stub *s, unsigned n)
{
	uint64_t until_ms = clock_monotonic_ms() + PATIENCE_MS;

	while (oidc_stub_discoveries(s) < n) {
		if (clock_monotonic_ms() > until_ms)
			fail_msg("%u discoveries came, not %u", oidc_stub_discoveries(s), n);
		usleep(2000);
	}
}
