/* SPDX-License-Identifier: Apache-2.0 */
#include "cluster/kube_config.h"

#include <openssl/evp.h>
#include <yaml.h>

#include "base/file.h"
#include "base/limits.h"
#include "http/uri.h"

#define POD_FOLDER "/var/run/secrets/kubernetes.io/serviceaccount"

struct reader {
	yaml_document_t *document;
	const char *path; /* of the kubeconfig */
	struct error *err;
};

/* One entry of clusters, users or contexts. */
struct entry {
	const char *kind; /* "cluster" */
	const char *list; /* "clusters" */
	const char *name; /* which of them */
};

/* ---- YAML ---- */

/* The text of a scalar; NULL for any other node, and for a text with a NUL in it. */
static const char *text_of(const yaml_node_t *node)
{
	const char *text;

	if (node == NULL || node->type != YAML_SCALAR_NODE)
		return NULL;
	text = (const char *)node->data.scalar.value;
	return strlen(text) == node->data.scalar.length ? text : NULL;
}

/* What is null or empty is as good as missing: tools write both. */
static bool is_nothing(const yaml_node_t *node)
{
	const char *text = text_of(node);

	if (text == NULL)
		return false;
	if (node->data.scalar.style != YAML_PLAIN_SCALAR_STYLE)
		return text[0] == '\0';
	return text[0] == '\0' || strcmp(text, "~") == 0 || strcasecmp(text, "null") == 0;
}

/* The value of a key in a mapping, or NULL. */
static yaml_node_t *find(const struct reader *r, const yaml_node_t *mapping, const char *key)
{
	if (mapping == NULL || mapping->type != YAML_MAPPING_NODE)
		return NULL;
	for (const yaml_node_pair_t *pair = mapping->data.mapping.pairs.start;
		pair < mapping->data.mapping.pairs.top; pair++) {
		const char *name = text_of(yaml_document_get_node(r->document, pair->key));

		if (name != NULL && strcmp(name, key) == 0)
			return yaml_document_get_node(r->document, pair->value);
	}
	return NULL;
}

/* clusters: [{name: ..., cluster: {...}}] and the like: the inner mapping of that name. */
static int find_entry(const struct reader *r, const struct entry *e, yaml_node_t **ret)
{
	yaml_node_t *list = find(r, yaml_document_get_root_node(r->document), e->list);

	if (list == NULL || list->type != YAML_SEQUENCE_NODE)
		return error_set(r->err, ERROR_INVALID, "there is no list \"%s\" in it", e->list);
	for (const yaml_node_item_t *item = list->data.sequence.items.start;
		item < list->data.sequence.items.top; item++) {
		yaml_node_t *node = yaml_document_get_node(r->document, *item);
		const char *name = text_of(find(r, node, "name"));
		yaml_node_t *inner;

		if (name == NULL || strcmp(name, e->name) != 0)
			continue;
		inner = find(r, node, e->kind);
		if (inner == NULL || inner->type != YAML_MAPPING_NODE)
			return error_set(r->err, ERROR_INVALID,
				"the %s \"%.100s\" has no mapping \"%s\"", e->kind, e->name,
				e->kind);
		*ret = inner;
		return 0;
	}
	return error_set(r->err, ERROR_INVALID, "there is no %s \"%.100s\" in its %s", e->kind,
		e->name, e->list);
}

/* A key that may stand in an entry, and where its text goes; NULL: it means nothing to us. */
struct key {
	const char *name;
	const char **ret;
};

static int read_pair(const struct reader *r, const struct entry *e, const struct key *keys,
	const char *name, const yaml_node_t *value)
{
	while (keys->name != NULL && strcmp(keys->name, name) != 0)
		keys++;
	if (keys->name == NULL)
		return error_set(r->err, ERROR_INVALID,
			"the %s \"%.100s\" has \"%.60s\", which gsq does not do; take it out, or "
			"give gsq a kubeconfig of its own, with a token, tokenFile or client "
			"certificate",
			e->kind, e->name, name);
	if (keys->ret == NULL)
		return 0;
	if (*keys->ret != NULL)
		return error_set(r->err, ERROR_INVALID,
			"the %s \"%.100s\" has \"%s\" more than once", e->kind, e->name, name);
	*keys->ret = text_of(value);
	if (*keys->ret == NULL)
		return error_set(r->err, ERROR_INVALID,
			"\"%s\" of the %s \"%.100s\" must be a string", name, e->kind, e->name);
	return 0;
}

/* Takes an entry apart; keys end with one that has no name. Texts are the document's. */
static int read_entry(const struct reader *r, const struct entry *e, const struct key *keys)
{
	yaml_node_t *mapping = NULL;

	if (find_entry(r, e, &mapping) != 0)
		return -1;
	for (const yaml_node_pair_t *pair = mapping->data.mapping.pairs.start;
		pair < mapping->data.mapping.pairs.top; pair++) {
		const char *name = text_of(yaml_document_get_node(r->document, pair->key));
		const yaml_node_t *value = yaml_document_get_node(r->document, pair->value);

		if (is_nothing(value))
			continue;
		if (read_pair(r, e, keys, name == NULL ? "?" : name, value) != 0)
			return -1;
	}
	return 0;
}

/* ---- values ---- */

static int set_text(char **ret, char *text, struct error *err)
{
	if (text == NULL)
		return error_no_memory(err);
	*ret = text;
	return 0;
}

static char *path_of(const struct reader *r, const char *path)
{
	const char *slash = strrchr(r->path, '/');

	if (path[0] == '/' || slash == NULL)
		return strdup(path);
	return str_printf("%.*s/%s", (int)(slash - r->path), r->path, path);
}

static bool is_base64(char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
	       c == '+' || c == '/';
}

/* Base64 (RFC 4648 section 4), line breaks allowed; NULL for anything else, also what has a NUL in
 * it. EVP_DecodeBlock() alone lets "=" stand anywhere, and decodes it. */
static char *decode_base64(const char *text)
{
	size_t len = strlen(text), n = 0, padding = 0;
	AUTO_FREE unsigned char *digits = malloc(len + 1);
	AUTO_FREE char *plain = malloc(len + 1);

	if (digits == NULL || plain == NULL)
		return NULL;
	for (const char *p = text; *p != '\0'; p++) {
		if (*p == '\r' || *p == '\n')
			continue;
		if (*p == '=')
			padding++;
		else if (padding > 0 || !is_base64(*p))
			return NULL;
		digits[n++] = (unsigned char)*p;
	}
	if (n == 0 || n % 4 != 0 || padding > 2 ||
		EVP_DecodeBlock((unsigned char *)plain, digits, (int)n) < 0)
		return NULL;
	n = n / 4 * 3 - padding;
	plain[n] = '\0';
	return strlen(plain) == n ? TAKE_PTR(plain) : NULL;
}

static int read_pem(const char *path, char **ret, struct error *err)
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(LIMIT_CONFIG_FILE);

	if (file_read(path, &text, err) != 0) {
		if (err->code == ERROR_NOT_FOUND)
			err->code = ERROR_INVALID;
		return -1;
	}
	if (text.len == 0 || strlen(text.data) != text.len ||
		strstr(text.data, "-----BEGIN ") == NULL)
		return error_set(err, ERROR_INVALID, "%.300s holds no PEM text", path);
	*ret = buf_take(&text);
	return 0;
}

/* What a key says: the text itself in base64 (KEY-data), which counts more, or a file's name. */
static int take_pem(
	const struct reader *r, const char *key, const char *data, const char *file, char **ret)
{
	AUTO_FREE char *path = NULL;

	if (data != NULL) {
		*ret = decode_base64(data);
		if (*ret == NULL || strstr(*ret, "-----BEGIN ") == NULL)
			return error_set(r->err, ERROR_INVALID,
				"\"%s-data\" is not the base64 of a PEM text", key);
		return 0;
	}
	if (file == NULL)
		return 0;
	path = path_of(r, file);
	if (path == NULL)
		return error_no_memory(r->err);
	return read_pem(path, ret, r->err) == 0 ? 0 : error_wrap(r->err, "\"%s\"", key);
}

static int take_bool(const struct reader *r, const char *key, const char *text, bool *ret)
{
	*ret = text != NULL && strcasecmp(text, "true") == 0;
	if (text != NULL && !*ret && strcasecmp(text, "false") != 0)
		return error_set(r->err, ERROR_INVALID, "\"%s\" must be true or false", key);
	return 0;
}

static int take_server(struct kube_config *c, const char *server, struct error *err)
{
	struct slice text = slice_of(server);
	struct http_url url;

	if (http_url_parse(&url, server, err) != 0)
		return -1;
	while (text.n > 0 && text.p[text.n - 1] == '/')
		text.n--;
	return set_text(&c->server, slice_dup(text), err);
}

/* ---- a kubeconfig ---- */

static int read_cluster(const struct reader *r, const char *name, struct kube_config *c)
{
	const char *server = NULL, *ca = NULL, *ca_data = NULL, *insecure = NULL;
	const struct entry e = {"cluster", "clusters", name};
	const struct key keys[] = {
		{"server", &server},
		{"certificate-authority", &ca},
		{"certificate-authority-data", &ca_data},
		{"insecure-skip-tls-verify", &insecure},
		{"disable-compression", NULL},
		{"extensions", NULL},
		{NULL, NULL},
	};

	if (read_entry(r, &e, keys) != 0)
		return -1;
	if (server == NULL)
		return error_set(
			r->err, ERROR_INVALID, "the cluster \"%.100s\" has no \"server\"", name);
	if (take_server(c, server, r->err) != 0)
		return error_wrap(r->err, "the \"server\" of the cluster \"%.100s\"", name);
	if (take_bool(r, "insecure-skip-tls-verify", insecure, &c->insecure) != 0)
		return -1;
	if (c->insecure && (ca != NULL || ca_data != NULL))
		return error_set(r->err, ERROR_INVALID,
			"the cluster \"%.100s\" has a certificate-authority, which "
			"insecure-skip-tls-verify makes meaningless; take out one of them",
			name);
	return take_pem(r, "certificate-authority", ca_data, ca, &c->ca);
}

static int read_user(const struct reader *r, const char *name, struct kube_config *c)
{
	const char *certificate = NULL, *certificate_data = NULL, *key = NULL, *key_data = NULL;
	const char *token = NULL, *token_file = NULL;
	const struct entry e = {"user", "users", name};
	const struct key keys[] = {
		{"client-certificate", &certificate},
		{"client-certificate-data", &certificate_data},
		{"client-key", &key},
		{"client-key-data", &key_data},
		{"token", &token},
		{"tokenFile", &token_file},
		{"extensions", NULL},
		{NULL, NULL},
	};

	if (read_entry(r, &e, keys) != 0 ||
		take_pem(r, "client-certificate", certificate_data, certificate, &c->certificate) !=
			0 ||
		take_pem(r, "client-key", key_data, key, &c->key) != 0)
		return -1;
	if ((c->certificate == NULL) != (c->key == NULL))
		return error_set(r->err, ERROR_INVALID,
			"the user \"%.100s\" has a client-%s without a client-%s; give both", name,
			c->key == NULL ? "certificate" : "key",
			c->key == NULL ? "key" : "certificate");
	if (token_file != NULL) /* it counts more than a token */
		return set_text(&c->token_file, path_of(r, token_file), r->err);
	return token == NULL ? 0 : set_text(&c->token, strdup(token), r->err);
}

static int read_context(const struct reader *r, const char *name, struct kube_config *c)
{
	const char *cluster = NULL, *user = NULL;
	const struct entry e = {"context", "contexts", name};
	const struct key keys[] = {
		{"cluster", &cluster},
		{"user", &user},
		{"namespace", NULL},
		{"extensions", NULL},
		{NULL, NULL},
	};

	if (read_entry(r, &e, keys) != 0)
		return -1;
	if (cluster == NULL)
		return error_set(
			r->err, ERROR_INVALID, "the context \"%.100s\" names no \"cluster\"", name);
	if (read_cluster(r, cluster, c) != 0)
		return -1;
	return user == NULL ? 0 : read_user(r, user, c);
}

static int read_document(const struct reader *r, const char *context, struct kube_config *c)
{
	yaml_node_t *root = yaml_document_get_root_node(r->document), *current;

	if (root == NULL || root->type != YAML_MAPPING_NODE)
		return error_set(r->err, ERROR_INVALID, "it is not a YAML mapping");
	current = find(r, root, "current-context");
	if (context == NULL && current != NULL && !is_nothing(current))
		context = text_of(current);
	if (context == NULL)
		return error_set(r->err, ERROR_INVALID,
			"it has no \"current-context\"; set it, or name a context");
	return read_context(r, context, c);
}

static int load_document(yaml_parser_t *parser, yaml_document_t *ret, struct error *err)
{
	if (yaml_parser_load(parser, ret) != 0)
		return 0;
	if (parser->error == YAML_MEMORY_ERROR)
		return error_no_memory(err);
	return error_set(err, ERROR_INVALID, "it is not YAML: %s at line %zu",
		parser->problem == NULL ? "unreadable" : parser->problem,
		parser->problem_mark.line + 1);
}

static void done_parser(yaml_parser_t *parser)
{
	yaml_parser_delete(parser);
}

static void done_document(yaml_document_t *document)
{
	yaml_document_delete(document);
}

int kube_config_parse(struct kube_config *ret, struct slice yaml, const char *path,
	const char *context, struct error *err)
{
	CLEANUP(kube_config_done) struct kube_config c = {.server = NULL};
	CLEANUP(done_parser) yaml_parser_t parser = {0};
	CLEANUP(done_document) yaml_document_t document = {0};
	struct reader r = {&document, path, err};

	if (yaml_parser_initialize(&parser) == 0)
		return error_no_memory(err);
	yaml_parser_set_input_string(
		&parser, (const unsigned char *)(yaml.n == 0 ? "" : yaml.p), yaml.n);
	if (load_document(&parser, &document, err) != 0 || read_document(&r, context, &c) != 0)
		return error_wrap(err, "kubeconfig %.200s", path);
	*ret = c;
	c = (struct kube_config){.server = NULL};
	return 0;
}

int kube_config_load(
	struct kube_config *ret, const char *path, const char *context, struct error *err)
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(LIMIT_CONFIG_FILE);

	if (file_read(path, &text, err) != 0) {
		err->code = err->code == ERROR_NOT_FOUND ? ERROR_INVALID : err->code;
		return error_wrap(err, "kubeconfig");
	}
	return kube_config_parse(ret, buf_slice(&text), path, context, err);
}

/* ---- in a pod ---- */

int kube_config_in_cluster(struct kube_config *ret, const char *folder, struct error *err)
{
	CLEANUP(kube_config_done) struct kube_config c = {.server = NULL};
	CLEANUP(buf_done) struct buf token = BUF_INIT(LIMIT_TOKEN);
	AUTO_FREE char *ca = NULL, *server = NULL;
	const char *host = getenv("KUBERNETES_SERVICE_HOST");
	const char *port = getenv("KUBERNETES_SERVICE_PORT");
	bool is_v6;

	if (host == NULL || port == NULL || host[0] == '\0' || port[0] == '\0')
		return error_set(err, ERROR_INVALID,
			"KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set, so this "
			"is not a pod; give a kubeconfig");
	if (folder == NULL)
		folder = POD_FOLDER;
	is_v6 = strchr(host, ':') != NULL;
	server = str_printf(is_v6 ? "https://[%s]:%s" : "https://%s:%s", host, port);
	ca = str_printf("%s/ca.crt", folder);
	if (server == NULL || ca == NULL || (c.token_file = str_printf("%s/token", folder)) == NULL)
		return error_no_memory(err);
	if (take_server(&c, server, err) != 0 || read_pem(ca, &c.ca, err) != 0 ||
		kube_config_token(&c, &token, err) != 0) {
		err->code = err->code == ERROR_NO_MEMORY ? err->code : ERROR_INVALID;
		return error_wrap(err, "the pod's service account");
	}
	*ret = c;
	c = (struct kube_config){.server = NULL};
	return 0;
}

static void wipe(char *secret)
{
	if (secret != NULL)
		explicit_bzero(secret, strlen(secret));
	free(secret);
}

void kube_config_done(struct kube_config *c)
{
	free(c->server);
	free(c->ca);
	free(c->certificate);
	wipe(c->key);
	wipe(c->token);
	free(c->token_file);
	*c = (struct kube_config){.server = NULL};
}

/* ---- tokens ---- */

static struct slice trim(struct slice s)
{
	while (s.n > 0 && strchr(" \t\r\n", s.p[s.n - 1]) != NULL && s.p[s.n - 1] != '\0')
		s.n--;
	while (s.n > 0 && strchr(" \t\r\n", s.p[0]) != NULL && s.p[0] != '\0')
		s = (struct slice){s.p + 1, s.n - 1};
	return s;
}

/* It must stay within its header line. */
static bool is_token(struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] <= ' ' || s.p[i] > '~')
			return false;
	return s.n > 0;
}

int kube_config_token(const struct kube_config *c, struct buf *ret, struct error *err)
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(LIMIT_TOKEN);
	struct slice token;

	if (c->token_file == NULL && c->token == NULL)
		return 0;
	if (c->token_file != NULL && file_read(c->token_file, &text, err) != 0) {
		if (err->code != ERROR_NO_MEMORY)
			err->code = ERROR_UNAUTHORIZED;
		return error_wrap(err, "the token of the Kubernetes API");
	}
	token = trim(c->token_file != NULL ? buf_slice(&text) : slice_of(c->token));
	if (!is_token(token))
		return error_set(err, ERROR_UNAUTHORIZED,
			"the token of the Kubernetes API%s%.200s must be one word of ASCII",
			c->token_file == NULL ? "" : " in ",
			c->token_file == NULL ? "" : c->token_file);
	buf_add(ret, token);
	return buf_check(ret, err);
}
