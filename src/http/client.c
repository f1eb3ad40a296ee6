/* SPDX-License-Identifier: Apache-2.0 */
#include "http/client.h"

#include <ctype.h>
#include <curl/curl.h>
#include <pthread.h>
#include <stdatomic.h>

#include "base/clock.h"
#include "base/limits.h"
#include "http/local_address.h"

/* One transfer at a time; the easy handle is kept, so its memory is too. */
struct transfer {
	struct transfer *next_free;
	CURL *easy;
	struct http_call *call;
	struct curl_slist *headers;
	bool refused; /* data() has ended it, with the call's err */
	char error[CURL_ERROR_SIZE];
};

struct http_client {
	CURLM *multi;
	char *ca_file;
	struct curl_blob ca, certificate, key; /* data NULL: none */
	bool insecure, certificates;
	struct local_address local;
	size_t n_transfers, n_active;
	struct transfer *transfers;
	struct transfer *free;
	struct http_call *queue; /* by due_ms, then in the order of their start */
	bool draining;           /* or serving */
	bool leaving;
	void (*woken)(void *arg);
	void *woken_arg;
	unsigned tick_ms;
	uint64_t tick_due_ms;
	atomic_bool wake; /* and not woken yet */
};

/* ---- client ---- */

static CURLcode global_status;

static void init_curl(void)
{
	global_status = curl_global_init(CURL_GLOBAL_DEFAULT);
}

static int make_handles(struct http_client *client, struct error *err)
{
	client->multi = curl_multi_init();
	if (client->multi == NULL)
		return error_no_memory(err);
	if (curl_multi_setopt(client->multi, CURLMOPT_MAXCONNECTS, (long)client->n_transfers) !=
		CURLM_OK)
		return error_no_memory(err);
	for (size_t i = 0; i < client->n_transfers; i++) {
		struct transfer *t = &client->transfers[i];

		t->easy = curl_easy_init();
		if (t->easy == NULL)
			return error_no_memory(err);
		t->next_free = client->free;
		client->free = t;
	}
	return 0;
}

static int copy_pem(struct curl_blob *ret, struct slice pem, struct error *err)
{
	if (pem.n == 0)
		return 0;
	ret->data = malloc(pem.n);
	if (ret->data == NULL)
		return error_no_memory(err);
	memcpy(ret->data, pem.p, pem.n);
	ret->len = pem.n;
	ret->flags = CURL_BLOB_NOCOPY; /* it lives as long as the client */
	return 0;
}

static int copy_trust(
	struct http_client *client, const struct http_client_options *options, struct error *err)
{
	client->insecure = options->insecure;
	client->certificates = options->certificates;
	if (options->ca_file != NULL) {
		client->ca_file = strdup(options->ca_file);
		if (client->ca_file == NULL)
			return error_no_memory(err);
	}
	if (copy_pem(&client->ca, options->ca, err) != 0 ||
		copy_pem(&client->certificate, options->certificate, err) != 0 ||
		copy_pem(&client->key, options->key, err) != 0)
		return -1;
	return 0;
}

int http_client_new(
	struct http_client **ret, const struct http_client_options *options, struct error *err)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	CLEANUP(http_client_freep) struct http_client *client = NULL;

	ASSERT(options->parallel > 0);
	AZ(pthread_once(&once, init_curl));
	if (global_status != CURLE_OK)
		return error_set(err, ERROR_INTERNAL, "libcurl cannot start: %s",
			curl_easy_strerror(global_status));
	client = calloc(1, sizeof(*client));
	if (client == NULL)
		return error_no_memory(err);
	client->local = (struct local_address)LOCAL_ADDRESS_NONE;
	client->transfers = calloc(options->parallel, sizeof(*client->transfers));
	if (client->transfers == NULL)
		return error_no_memory(err);
	client->n_transfers = options->parallel;
	client->woken = options->woken;
	client->woken_arg = options->woken_arg;
	client->tick_ms = options->tick_ms;
	if (copy_trust(client, options, err) != 0)
		return -1;
	if (options->unix_socket != NULL &&
		local_address_init(&client->local, options->unix_socket, err) != 0)
		return -1;
	if (make_handles(client, err) != 0)
		return -1;
	*ret = TAKE_PTR(client);
	return 0;
}

void http_client_free(struct http_client *client)
{
	if (client == NULL)
		return;
	ASSERT(client->queue == NULL && client->n_active == 0);
	for (size_t i = 0; i < client->n_transfers; i++)
		curl_easy_cleanup(client->transfers[i].easy);
	if (client->multi != NULL)
		curl_multi_cleanup(client->multi);
	free(client->transfers);
	local_address_done(&client->local);
	free(client->ca_file);
	free(client->ca.data);
	free(client->certificate.data);
	if (client->key.data != NULL)
		explicit_bzero(client->key.data, client->key.len);
	free(client->key.data);
	free(client);
}

/* ---- calls ---- */

void http_call_init(struct http_call *call, const char *method, const char *url, size_t body_max)
{
	*call = (struct http_call){
		.method = method,
		.url = url,
		.response_headers = BUF_INIT(LIMIT_HTTP_HEAD),
		.response_body = BUF_INIT(body_max),
	};
}

void http_call_done(struct http_call *call)
{
	buf_done(&call->response_headers);
	buf_done(&call->response_body);
}

static void forget_answer(struct http_call *call)
{
	call->status = 0;
	buf_reset(&call->response_headers);
	buf_reset(&call->response_body);
	call->sent = false;
	call->expires[0] = '\0';
	call->started_ms = 0;
	call->err = (struct error)ERROR_INIT;
}

struct slice http_header_next(struct slice *rest, const char *name)
{
	while (rest->n > 0) {
		struct slice line = slice_cut(rest, '\n');

		if (slice_eq(slice_cut(&line, ':'), slice_of(name)))
			return slice_trim(line);
	}
	return SLICE_NONE;
}

struct slice http_call_header(const struct http_call *call, const char *name)
{
	struct slice rest = buf_slice(&call->response_headers);

	return http_header_next(&rest, name);
}

/* ---- what libcurl calls ---- */

/* Another head follows one that was interim (100, 103) or a proxy's; the last one counts. */
static size_t on_header(char *p, size_t size, size_t n, void *arg)
{
	struct http_call *call = arg;
	struct buf *headers = &call->response_headers;
	struct slice value = {p, size * n}, name;

	while (value.n > 0 && (value.p[value.n - 1] == '\r' || value.p[value.n - 1] == '\n'))
		value.n--;
	if (slice_starts(value, SLICE("HTTP/"))) {
		buf_reset(headers);
		return size * n;
	}
	name = slice_cut(&value, ':');
	if (value.p == NULL)
		return size * n;
	for (size_t i = 0; i < name.n; i++)
		buf_putc(headers, (char)tolower((unsigned char)name.p[i]));
	buf_puts(headers, ": ");
	buf_add(headers, slice_trim(value));
	buf_putc(headers, '\n');
	return headers->failed == ERROR_NONE ? size * n : 0;
}

static size_t on_body(char *p, size_t size, size_t n, void *arg)
{
	struct transfer *t = arg;
	struct buf *body = &t->call->response_body;
	size_t len = size * n;
	long status = 0;

	curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
	if (t->call->data != NULL && status >= 200 && status < 300) {
		t->refused =
			t->call->data((struct slice){p, len}, t->call->arg, &t->call->err) != 0;
		return t->refused ? 0 : len;
	}
	if (status >= 400 && len > body->max - body->len)
		len = body->max - body->len;
	buf_append(body, p, len);
	return body->failed == ERROR_NONE ? size * n : 0;
}

/* ---- starting a transfer ---- */

#define SET(easy, rc, option, value) \
	do { \
		if ((rc) == CURLE_OK) \
			(rc) = curl_easy_setopt(easy, option, value); \
	} while (0)

static CURLcode set_trust(CURL *easy, const struct http_client *client)
{
	CURLcode rc = CURLE_OK;

	if (client->ca.data != NULL) {
		SET(easy, rc, CURLOPT_CAINFO_BLOB, &client->ca);
		SET(easy, rc, CURLOPT_CAPATH, NULL);
	} else if (client->ca_file != NULL) {
		SET(easy, rc, CURLOPT_CAINFO, client->ca_file);
		SET(easy, rc, CURLOPT_CAPATH, NULL);
	}
	if (client->certificate.data != NULL)
		SET(easy, rc, CURLOPT_SSLCERT_BLOB, &client->certificate);
	if (client->key.data != NULL)
		SET(easy, rc, CURLOPT_SSLKEY_BLOB, &client->key);
	if (client->insecure) {
		SET(easy, rc, CURLOPT_SSL_VERIFYPEER, 0L);
		SET(easy, rc, CURLOPT_SSL_VERIFYHOST, 0L);
	}
	if (client->certificates)
		SET(easy, rc, CURLOPT_CERTINFO, 1L);
	return rc;
}

static CURLcode set_common(struct transfer *t, const struct http_client *client)
{
	CURLcode rc = CURLE_OK;

	curl_easy_reset(t->easy);
	SET(t->easy, rc, CURLOPT_PRIVATE, t);
	SET(t->easy, rc, CURLOPT_ERRORBUFFER, t->error);
	SET(t->easy, rc, CURLOPT_NOSIGNAL, 1L);
	SET(t->easy, rc, CURLOPT_PROTOCOLS_STR, "http,https");
	SET(t->easy, rc, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	SET(t->easy, rc, CURLOPT_USERAGENT, "gsq");
	SET(t->easy, rc, CURLOPT_PATH_AS_IS, 1L);
	SET(t->easy, rc, CURLOPT_DISALLOW_USERNAME_IN_URL, 1L);
	SET(t->easy, rc, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
	/* On every connection: a call that streams may come to one that another call has opened. */
	SET(t->easy, rc, CURLOPT_TCP_KEEPALIVE, 1L);
	SET(t->easy, rc, CURLOPT_TCP_KEEPIDLE, (long)LIMIT_KEEPALIVE_IDLE_S);
	SET(t->easy, rc, CURLOPT_TCP_KEEPINTVL, (long)LIMIT_KEEPALIVE_INTERVAL_S);
	SET(t->easy, rc, CURLOPT_CONNECTTIMEOUT_MS, (long)LIMIT_CONNECT_MS);
	if (rc == CURLE_OK)
		rc = set_trust(t->easy, client);
	if (local_address_is_set(&client->local)) {
		SET(t->easy, rc, CURLOPT_UNIX_SOCKET_PATH, client->local.sun.sun_path);
		SET(t->easy, rc, CURLOPT_PROXY, "");
	}
	return rc;
}

static CURLcode set_body(CURL *easy, const struct http_call *call)
{
	CURLcode rc = CURLE_OK;

	if (call->send_body) {
		SET(easy, rc, CURLOPT_POST, 1L);
		SET(easy, rc, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->body.n);
		SET(easy, rc, CURLOPT_POSTFIELDS, call->body.n == 0 ? "" : call->body.p);
	} else if (strcmp(call->method, "HEAD") == 0) {
		SET(easy, rc, CURLOPT_NOBODY, 1L);
	}
	SET(easy, rc, CURLOPT_CUSTOMREQUEST, call->method);
	return rc;
}

/* A line break in it would begin another header, which nobody meant. */
static CURLcode add_header(struct transfer *t, const char *line)
{
	struct curl_slist *longer;

	if (line[strcspn(line, "\r\n")] != '\0')
		return CURLE_BAD_FUNCTION_ARGUMENT;
	longer = curl_slist_append(t->headers, line);
	if (longer == NULL)
		return CURLE_OUT_OF_MEMORY;
	t->headers = longer;
	return CURLE_OK;
}

/* An empty value takes away what libcurl would send of its own accord. */
static CURLcode set_headers(struct transfer *t)
{
	CURLcode rc = add_header(t, "Expect:");
	bool has_type = false;

	for (const char *const *h = t->call->headers; h != NULL && *h != NULL && rc == CURLE_OK;
		h++) {
		if (strncasecmp(*h, "content-type:", strlen("content-type:")) == 0)
			has_type = true;
		rc = add_header(t, *h);
	}
	if (!has_type && rc == CURLE_OK)
		rc = add_header(t, "Content-Type:");
	if (rc == CURLE_OK)
		rc = curl_easy_setopt(t->easy, CURLOPT_HTTPHEADER, t->headers);
	return rc;
}

static CURLcode set_request(struct transfer *t, const struct http_client *client)
{
	struct http_call *call = t->call;
	unsigned timeout_ms = call->timeout_ms == 0 ? LIMIT_REQUEST_MS : call->timeout_ms;
	CURLcode rc = set_common(t, client);

	SET(t->easy, rc, CURLOPT_URL, call->url);
	SET(t->easy, rc, CURLOPT_TIMEOUT_MS, (long)timeout_ms);
	if (call->idle_ms > 0) {
		SET(t->easy, rc, CURLOPT_LOW_SPEED_LIMIT, 1L);
		SET(t->easy, rc, CURLOPT_LOW_SPEED_TIME, (long)(call->idle_ms + 999) / 1000);
	}
	SET(t->easy, rc, CURLOPT_HEADERFUNCTION, on_header);
	SET(t->easy, rc, CURLOPT_HEADERDATA, call);
	SET(t->easy, rc, CURLOPT_WRITEFUNCTION, on_body);
	SET(t->easy, rc, CURLOPT_WRITEDATA, t);
	if (rc == CURLE_OK)
		rc = set_body(t->easy, call);
	if (rc == CURLE_OK)
		rc = set_headers(t);
	return rc;
}

/* ---- ending a transfer ---- */

/* TLS has no code for what the server thinks of our certificate, only alerts (RFC 8446 section
 * 6.2), and TLS 1.3 brings them where the answer is read. OpenSSL says "alert" of those alone. */
static bool is_certificate_alert(const char *why)
{
	const char *alert = strstr(why, "alert");

	return alert != NULL &&
	       (strstr(alert, "certificate") != NULL || strstr(alert, "unknown ca") != NULL);
}

static void set_connection_error(struct http_call *call, const char *why)
{
	struct slice origin = http_url_origin(call->url);

	if (is_certificate_alert(why))
		error_set(&call->err, ERROR_DENIED,
			"%.*s does not take the client certificate, or wants one; give one that is "
			"signed by a CA it trusts, and its key: %s",
			SLICE_ARG(origin), why);
	else
		error_set(&call->err, ERROR_UNAVAILABLE, "no answer from %.*s: %s",
			SLICE_ARG(origin), why);
}

static void set_given_up(struct http_call *call)
{
	struct slice origin = http_url_origin(call->url);

	error_set(
		&call->err, ERROR_UNAVAILABLE, "the call to %.*s was given up", SLICE_ARG(origin));
}

static void set_error(struct transfer *t, CURLcode code)
{
	struct http_call *call = t->call;
	struct slice origin = http_url_origin(call->url);
	const char *why = t->error[0] != '\0' ? t->error : curl_easy_strerror(code);

	switch (code) {
	case CURLE_OUT_OF_MEMORY:
		error_no_memory(&call->err);
		return;
	case CURLE_ABORTED_BY_CALLBACK:
		set_given_up(call);
		return;
	case CURLE_WRITE_ERROR:
		if (t->refused)
			return;
		if (buf_check(&call->response_headers, &call->err) != 0 ||
			buf_check(&call->response_body, &call->err) != 0)
			error_wrap(&call->err, "the answer of %.*s", SLICE_ARG(origin));
		else
			error_set(&call->err, ERROR_UNAVAILABLE, "no whole answer from %.*s: %s",
				SLICE_ARG(origin), why);
		return;
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_SSL_ISSUER_ERROR:
		error_set(&call->err, ERROR_DENIED,
			"the certificate of %.*s is not trusted; give the CA file that it is "
			"signed with: %s",
			SLICE_ARG(origin), why);
		return;
	case CURLE_SSL_CERTPROBLEM:
		error_set(&call->err, ERROR_INVALID,
			"the client certificate for %.*s cannot be used; give a certificate and "
			"the key that belongs to it, both as PEM: %s",
			SLICE_ARG(origin), why);
		return;
	case CURLE_BAD_FUNCTION_ARGUMENT:
		error_set(&call->err, ERROR_INVALID,
			"a header of a call to %.*s has a line break in it: it is one line",
			SLICE_ARG(origin));
		return;
	case CURLE_URL_MALFORMAT:
	case CURLE_UNSUPPORTED_PROTOCOL:
	case CURLE_LOGIN_DENIED:
		error_set(&call->err, ERROR_INVALID,
			"not an http or https URL without a user name: %s", why);
		return;
	default:
		set_connection_error(call, why);
	}
}

static void read_expiry(struct transfer *t)
{
	static const struct slice head = SLICE("Expire date:");
	const struct curl_certinfo *info = NULL;

	if (curl_easy_getinfo(t->easy, CURLINFO_CERTINFO, &info) != CURLE_OK || info == NULL ||
		info->num_of_certs == 0)
		return;
	for (const struct curl_slist *line = info->certinfo[0]; line != NULL; line = line->next)
		if (slice_starts(slice_of(line->data), head))
			snprintf(t->call->expires, sizeof(t->call->expires), "%s",
				line->data + head.n);
}

static void read_outcome(struct transfer *t, CURLcode code)
{
	struct http_call *call = t->call;
	long status = 0, request_size = 0;

	curl_easy_getinfo(t->easy, CURLINFO_REQUEST_SIZE, &request_size);
	call->sent = request_size > 0;
	if (code != CURLE_OK) {
		set_error(t, code);
		return;
	}
	curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
	call->status = (int)status;
	read_expiry(t);
}

/* The callback comes last: it may start the same call again. */
static void end_transfer(struct http_client *client, struct transfer *t, CURLcode code)
{
	struct http_call *call = t->call;

	read_outcome(t, code);
	curl_multi_remove_handle(client->multi, t->easy);
	curl_slist_free_all(TAKE_PTR(t->headers));
	t->call = NULL;
	t->next_free = client->free;
	client->free = t;
	client->n_active--;
	if (call->ended != NULL)
		call->ended(call, call->arg);
}

static void begin_transfer(struct http_client *client, struct http_call *call)
{
	struct transfer *t = client->free;
	CURLcode rc;

	client->free = t->next_free;
	client->n_active++;
	t->call = call;
	t->refused = false;
	t->error[0] = '\0';
	call->started_ms = clock_monotonic_ms();
	rc = set_request(t, client);
	if (rc == CURLE_OK && curl_multi_add_handle(client->multi, t->easy) != CURLM_OK)
		rc = CURLE_OUT_OF_MEMORY;
	if (rc != CURLE_OK)
		end_transfer(client, t, rc);
}

/* ---- the loop ---- */

void http_client_start(struct http_client *client, struct http_call *call, unsigned delay_ms)
{
	struct http_call **at = &client->queue;

	forget_answer(call);
	call->due_ms = clock_monotonic_ms() + delay_ms;
	while (*at != NULL && (*at)->due_ms <= call->due_ms)
		at = &(*at)->next;
	call->next = *at;
	*at = call;
}

static void begin_due(struct http_client *client)
{
	uint64_t now_ms = clock_monotonic_ms();

	while (client->queue != NULL && client->free != NULL && client->queue->due_ms <= now_ms) {
		struct http_call *call = client->queue;

		client->queue = TAKE_PTR(call->next);
		begin_transfer(client, call);
	}
}

/* Returns whether any has ended. */
static bool end_finished(struct http_client *client)
{
	bool any = false;
	CURLMsg *msg;
	int left;

	while ((msg = curl_multi_info_read(client->multi, &left)) != NULL) {
		struct transfer *t;

		curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, (char **)&t);
		end_transfer(client, t, msg->data.result);
		any = true;
	}
	return any;
}

/* libcurl as a whole has failed, which is for want of memory. */
static void end_all(struct http_client *client)
{
	for (size_t i = 0; i < client->n_transfers; i++) {
		if (client->transfers[i].call != NULL)
			end_transfer(client, &client->transfers[i], CURLE_OUT_OF_MEMORY);
	}
}

static void wait_until(uint64_t *wait_ms, uint64_t due_ms, uint64_t now_ms)
{
	uint64_t left_ms = due_ms > now_ms ? due_ms - now_ms : 0;

	if (left_ms < *wait_ms)
		*wait_ms = left_ms;
}

/* Until something happens on a connection, another thread wakes us, or something is due that can
 * begin. */
static void wait_for_more(struct http_client *client)
{
	uint64_t now_ms = clock_monotonic_ms(), wait_ms = 1000;

	if (client->queue != NULL && client->free != NULL)
		wait_until(&wait_ms, client->queue->due_ms, now_ms);
	if (client->woken != NULL && client->tick_ms > 0)
		wait_until(&wait_ms, client->tick_due_ms, now_ms);
	curl_multi_poll(client->multi, NULL, 0, (int)wait_ms, NULL);
}

static void run_woken(struct http_client *client)
{
	uint64_t now_ms = clock_monotonic_ms();
	bool due = client->tick_ms > 0 && now_ms >= client->tick_due_ms;

	if (!atomic_exchange(&client->wake, false) && !due)
		return;
	client->tick_due_ms = now_ms + client->tick_ms;
	if (client->woken != NULL)
		client->woken(client->woken_arg);
}

static bool is_idle(const struct http_client *client)
{
	return client->queue == NULL && client->n_active == 0;
}

static bool is_leaving(const struct http_client *client)
{
	return client->leaving;
}

static void run_until(struct http_client *client, bool (*over)(const struct http_client *client))
{
	ASSERT(!client->draining);
	client->draining = true;
	while (!over(client)) {
		int running;

		run_woken(client);
		begin_due(client);
		if (curl_multi_perform(client->multi, &running) != CURLM_OK)
			end_all(client);
		if (!end_finished(client) && !over(client))
			wait_for_more(client);
	}
	client->draining = false;
}

void http_client_drain(struct http_client *client)
{
	run_until(client, is_idle);
}

void http_client_serve(struct http_client *client)
{
	run_until(client, is_leaving);
	client->leaving = false;
}

void http_client_leave(struct http_client *client)
{
	client->leaving = true;
}

/* The flag comes first: who takes the wake-up off the poll finds it. */
void http_client_wake(struct http_client *client)
{
	if (!atomic_exchange(&client->wake, true))
		curl_multi_wakeup(client->multi);
}

static struct transfer *transfer_of(struct http_client *client, const struct http_call *call)
{
	for (size_t i = 0; i < client->n_transfers; i++)
		if (client->transfers[i].call == call)
			return &client->transfers[i];
	return NULL;
}

void http_client_cancel(struct http_client *client, struct http_call *call)
{
	struct transfer *t = transfer_of(client, call);
	struct http_call **at = &client->queue;

	if (t != NULL) {
		end_transfer(client, t, CURLE_ABORTED_BY_CALLBACK);
		return;
	}
	while (*at != NULL && *at != call)
		at = &(*at)->next;
	ASSERT(*at == call);
	*at = TAKE_PTR(call->next);
	set_given_up(call);
	if (call->ended != NULL)
		call->ended(call, call->arg);
}

void http_client_run(struct http_client *client, struct http_call *calls, size_t n)
{
	for (size_t i = 0; i < n; i++)
		http_client_start(client, &calls[i], 0);
	http_client_drain(client);
}

/* ---- URLs ---- */

struct slice http_url_origin(const char *url)
{
	const char *host = strstr(url, "://");
	size_t n = host == NULL ? 0 : (size_t)(host + 3 - url);

	return (struct slice){url, n + strcspn(url + n, "/?#")};
}

int http_url_join(char **ret, const char *base, const char *reference, struct error *err)
{
	CURLU *url = curl_url();
	char *joined = NULL, *copy;
	CURLUcode rc;

	if (url == NULL)
		return error_no_memory(err);
	rc = curl_url_set(url, CURLUPART_URL, base, 0);
	if (rc == CURLUE_OK)
		rc = curl_url_set(url, CURLUPART_URL, reference, 0);
	if (rc == CURLUE_OK)
		rc = curl_url_get(url, CURLUPART_URL, &joined, 0);
	curl_url_cleanup(url);
	if (rc == CURLUE_OUT_OF_MEMORY)
		return error_no_memory(err);
	if (rc != CURLUE_OK)
		return error_set(err, ERROR_INVALID, "a Location or Link is no URL to follow: %s",
			curl_url_strerror(rc));
	copy = strdup(joined);
	curl_free(joined);
	if (copy == NULL)
		return error_no_memory(err);
	*ret = copy;
	return 0;
}
