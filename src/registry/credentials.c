/* SPDX-License-Identifier: Apache-2.0 */
#include "registry/credentials.h"

#include <errno.h>
#include <jansson.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/limits.h"
#include "registry/credential_helper.h"

#define DOCKER_HUB_KEY "https://index.docker.io/v1/"

/* Tells one state of a file from another; all zero: there is none. */
struct stamp {
	dev_t device;
	ino_t inode;
	off_t size;
	struct timespec changed;
};

struct credential_store {
	char *path;
	char *host;
	bool required; /* the user named the file */
	bool loaded;
	struct stamp stamp;
	struct credentials credentials;
};

static void credentials_done(struct credentials *c)
{
	free(c->username);
	free(c->password);
	free(c->identity_token);
	*c = (struct credentials){0};
}

/* ---- the store ---- */

static char *default_path(void)
{
	const char *folder = getenv("DOCKER_CONFIG"), *home = getenv("HOME");

	if (folder != NULL && folder[0] != '\0')
		return str_printf("%s/config.json", folder);
	return str_printf("%s/.docker/config.json", home == NULL ? "" : home);
}

DEFINE_CLEANUP(struct credential_store, credential_store_free);

int credential_store_new(
	struct credential_store **ret, const char *config, const char *host, struct error *err)
{
	CLEANUP(credential_store_freep) struct credential_store *store = calloc(1, sizeof(*store));

	if (store == NULL)
		return error_no_memory(err);
	store->required = config != NULL;
	store->path = config != NULL ? strdup(config) : default_path();
	store->host = strdup(host);
	if (store->path == NULL || store->host == NULL)
		return error_no_memory(err);
	*ret = TAKE_PTR(store);
	return 0;
}

void credential_store_free(struct credential_store *store)
{
	if (store == NULL)
		return;
	credentials_done(&store->credentials);
	free(store->path);
	free(store->host);
	free(store);
}

void credential_store_forget(struct credential_store *store)
{
	store->loaded = false;
}

/* ---- one entry ---- */

static int copy_string(char **ret, const char *text, struct error *err)
{
	char *copy = strdup(text);

	if (copy == NULL)
		return error_no_memory(err);
	free(*ret);
	*ret = copy;
	return 0;
}

/* "auth" is the base64 of username:password. */
static int decode_auth(struct credentials *ret, const char *auth, struct error *err)
{
	size_t n = strlen(auth);
	AUTO_FREE unsigned char *plain = malloc(n + 1);
	char *colon;
	int len;

	if (plain == NULL)
		return error_no_memory(err);
	len = n > LIMIT_TOKEN ? -1 : EVP_DecodeBlock(plain, (const unsigned char *)auth, (int)n);
	if (len >= 0) {
		plain[len] = '\0';
		colon = strchr((char *)plain, ':');
		if (colon != NULL) {
			*colon = '\0';
			if (copy_string(&ret->username, (char *)plain, err) != 0)
				return -1;
			return copy_string(&ret->password, colon + 1, err);
		}
	}
	return error_set(err, ERROR_INVALID,
		"an \"auth\" in docker's config.json is not the base64 of username:password; run "
		"docker login again");
}

static int read_entry(struct credentials *ret, const json_t *entry, struct error *err)
{
	const char *auth = json_string_value(json_object_get(entry, "auth"));
	const char *username = json_string_value(json_object_get(entry, "username"));
	const char *password = json_string_value(json_object_get(entry, "password"));
	const char *token = json_string_value(json_object_get(entry, "identitytoken"));

	if (token != NULL && token[0] != '\0' && copy_string(&ret->identity_token, token, err) != 0)
		return -1;
	if (username != NULL && password != NULL) {
		if (copy_string(&ret->username, username, err) != 0)
			return -1;
		return copy_string(&ret->password, password, err);
	}
	return auth == NULL || auth[0] == '\0' ? 0 : decode_auth(ret, auth, err);
}

/* ---- keys ---- */

static bool is_docker_hub(const char *host)
{
	static const char *const names[] = {
		"docker.io", "index.docker.io", "registry-1.docker.io", "registry.hub.docker.com"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (strcasecmp(host, names[i]) == 0)
			return true;
	}
	return false;
}

bool credentials_key_matches(const char *key, const char *host)
{
	struct slice rest = slice_of(key);
	const char *scheme = strstr(key, "://");

	if (strcmp(key, DOCKER_HUB_KEY) == 0)
		return is_docker_hub(host);
	if (scheme != NULL)
		rest = slice_of(scheme + 3);
	return slice_eq_nocase(slice_cut(&rest, '/'), slice_of(host));
}

static json_t *find_key(json_t *object, const char *host)
{
	json_t *exact = json_object_get(object, host), *value;
	const char *key;

	if (exact != NULL)
		return exact;
	json_object_foreach(object, key, value)
	{
		if (credentials_key_matches(key, host))
			return value;
	}
	return NULL;
}

/* ---- helpers ---- */

static int read_helper_answer(struct credentials *ret, struct slice answer, struct error *err)
{
	CLEANUP(json_decrefp) json_t *root = json_loadb(answer.p, answer.n, 0, NULL);
	const char *username = json_string_value(json_object_get(root, "Username"));
	const char *secret = json_string_value(json_object_get(root, "Secret"));

	if (username == NULL || secret == NULL)
		return error_set(err, ERROR_UNAUTHORIZED,
			"a docker credential helper printed no Username and Secret; try it by "
			"hand");
	if (strcmp(username, "<token>") == 0)
		return copy_string(&ret->identity_token, secret, err);
	if (copy_string(&ret->username, username, err) != 0)
		return -1;
	return copy_string(&ret->password, secret, err);
}

/* ERROR_NOT_FOUND where the helper has nothing. */
static int ask_helper(
	struct credentials *ret, const char *helper, const char *host, struct error *err)
{
	CLEANUP(buf_done) struct buf answer = BUF_INIT(LIMIT_TOKEN);

	if (credential_helper_get(
		    helper, is_docker_hub(host) ? DOCKER_HUB_KEY : host, &answer, err) != 0)
		return -1;
	return read_helper_answer(ret, buf_slice(&answer), err);
}

/* ---- the file ---- */

static int find_credentials(
	struct credentials *ret, const json_t *root, const char *host, struct error *err)
{
	json_t *entry = find_key(json_object_get(root, "auths"), host);
	const char *helper =
		json_string_value(find_key(json_object_get(root, "credHelpers"), host));

	if (helper == NULL)
		helper = json_string_value(json_object_get(root, "credsStore"));
	if (helper != NULL && helper[0] != '\0') {
		if (ask_helper(ret, helper, host, err) == 0)
			return 0;
		if (err->code != ERROR_NOT_FOUND)
			return -1;
	}
	return entry == NULL ? 0 : read_entry(ret, entry, err);
}

static int load(struct credentials *ret, const struct credential_store *store, struct error *err)
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(LIMIT_CONFIG_FILE);
	CLEANUP(json_decrefp) json_t *root = NULL;
	json_error_t why;

	if (file_read(store->path, &text, err) != 0)
		return error_wrap(err, "docker's config.json");
	root = json_loadb(text.data == NULL ? "" : text.data, text.len, 0, &why);
	if (!json_is_object(root))
		return error_set(err, ERROR_INVALID,
			"%.200s is not a JSON object (line %d): run docker login again",
			store->path, why.line);
	return find_credentials(ret, root, store->host, err);
}

static struct stamp stamp_of(const char *path)
{
	struct stat st;

	if (stat(path, &st) != 0)
		return (struct stamp){0};
	return (struct stamp){st.st_dev, st.st_ino, st.st_size, st.st_mtim};
}

static bool stamp_eq(const struct stamp *a, const struct stamp *b)
{
	return a->device == b->device && a->inode == b->inode && a->size == b->size &&
	       a->changed.tv_sec == b->changed.tv_sec && a->changed.tv_nsec == b->changed.tv_nsec;
}

int credential_store_get(
	struct credential_store *store, const struct credentials **ret, struct error *err)
{
	struct credentials fresh = {0};
	struct stamp stamp = stamp_of(store->path);

	if (!store->loaded || !stamp_eq(&stamp, &store->stamp)) {
		bool missing = stamp.inode == 0 && !store->required;

		if (!missing && load(&fresh, store, err) != 0) {
			credentials_done(&fresh);
			if (err->code != ERROR_NO_MEMORY)
				err->code = ERROR_UNAUTHORIZED;
			return -1;
		}
		credentials_done(&store->credentials);
		store->credentials = fresh;
		store->stamp = stamp;
		/* Nothing is not kept: a login through a helper changes no file. */
		store->loaded = fresh.username != NULL || fresh.identity_token != NULL;
	}
	*ret = &store->credentials;
	return 0;
}

int credentials_basic(const struct credentials *c, struct buf *ret, struct error *err)
{
	CLEANUP(buf_done) struct buf plain = BUF_INIT(2 * LIMIT_TOKEN);
	unsigned char *room;
	int n;

	buf_printf(&plain, "%s:%s", c->username, c->password);
	if (buf_check(&plain, err) != 0)
		return -1;
	buf_puts(ret, "Basic ");
	room = buf_room(ret, (plain.len + 2) / 3 * 4);
	if (room != NULL) {
		n = EVP_EncodeBlock(room, (const unsigned char *)plain.data, (int)plain.len);
		buf_claim(ret, (size_t)n);
	}
	return buf_check(ret, err);
}
