/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/config.h"

#include "base/file.h"
#include "base/json.h"
#include "base/nearest.h"
#include "oci/json_read.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

/* ---- where it is ---- */

static int find_path(char **ret, struct error *err)
{
	const char *file = getenv("GSQ_CONFIG"), *folder = getenv("XDG_CONFIG_HOME"),
		   *home = getenv("HOME");
	char *path;

	if (file != NULL && *file != '\0')
		path = str_printf("%s", file);
	else if (folder != NULL && *folder == '/') /* others count for nothing, says the standard */
		path = str_printf("%s/gsq/config.json", folder);
	else if (home != NULL && *home != '\0')
		path = str_printf("%s/.config/gsq/config.json", home);
	else
		path = slice_dup(SLICE(""));
	if (path == NULL)
		return error_no_memory(err);
	*ret = path;
	return 0;
}

/* ---- contexts ---- */

static void context_done(struct context *c)
{
	if (c->token != NULL)
		explicit_bzero(c->token, strlen(c->token));
	free(c->name);
	free(c->server);
	free(c->namespace);
	free(c->token);
	free(c->ca);
}

void config_done(struct config *c)
{
	for (size_t i = 0; i < c->n; i++)
		context_done(&c->contexts[i]);
	free(c->contexts);
	free(c->current);
	free(c->path);
	if (c->lock >= 0)
		close(c->lock);
}

static struct context *find_context(const struct config *c, const char *name)
{
	for (size_t i = 0; i < c->n; i++)
		if (strcmp(c->contexts[i].name, name) == 0)
			return &c->contexts[i];
	return NULL;
}

static const char *nearest(const struct config *c, const char *name)
{
	AUTO_FREE const char **names = calloc(c->n + 1, sizeof(*names));

	for (size_t i = 0; names != NULL && i < c->n; i++)
		names[i] = c->contexts[i].name;
	return names != NULL ? nearest_word(name, names) : NULL;
}

int config_need(const struct config *c, const char *name, struct context **ret, struct error *err)
{
	struct context *found = find_context(c, name);
	const char *meant;

	if (found != NULL) {
		*ret = found;
		return 0;
	}
	meant = nearest(c, name);
	if (meant != NULL)
		return error_set(err, ERROR_NOT_FOUND,
			"there is no context \"%s\" in %s; did you mean \"%s\"?", name, c->path,
			meant);
	return error_set(err, ERROR_NOT_FOUND,
		"there is no context \"%s\" in %s; gsq context lists them, gsq login makes one",
		name, c->path);
}

int context_name_check(const char *name, struct error *err)
{
	size_t n = strlen(name);
	bool fits = n > 0 && n <= LIMIT_CONTEXT_NAME && *name != '-';

	for (size_t i = 0; i < n; i++)
		fits = fits && name[i] > ' ' && name[i] <= '~';
	if (fits)
		return 0;
	return error_set(err, ERROR_INVALID,
		"the name of a context is 1 to %d characters without spaces, and does not begin "
		"with -: \"%s\"",
		LIMIT_CONTEXT_NAME, name);
}

static int copy(char **ret, const char *text, struct error *err)
{
	if (text == NULL)
		return 0;
	*ret = slice_dup(slice_of(text));
	return *ret != NULL ? 0 : error_no_memory(err);
}

static int copy_context(struct context *ret, const struct context *from, struct error *err)
{
	struct context c = {.insecure = from->insecure};

	if (copy(&c.name, from->name, err) != 0 || copy(&c.server, from->server, err) != 0 ||
		copy(&c.namespace, from->namespace, err) != 0 ||
		copy(&c.token, from->token, err) != 0 || copy(&c.ca, from->ca, err) != 0) {
		context_done(&c);
		return -1;
	}
	*ret = c;
	return 0;
}

static int add(struct config *c, const struct context *context, struct error *err)
{
	struct context *more;

	if (c->n >= LIMIT_CONTEXTS)
		return error_set(err, ERROR_TOO_LARGE, "%s has more than %d contexts", c->path,
			LIMIT_CONTEXTS);
	more = reallocarray(c->contexts, c->n + 1, sizeof(*more));
	if (more == NULL)
		return error_no_memory(err);
	c->contexts = more;
	if (copy_context(&more[c->n], context, err) != 0)
		return -1;
	c->n++;
	return 0;
}

int config_use(struct config *c, const char *name, struct error *err)
{
	char *copied = NULL;

	if (copy(&copied, name, err) != 0)
		return -1;
	free(c->current);
	c->current = copied;
	return 0;
}

int config_put(struct config *c, const struct context *context, struct error *err)
{
	struct context *old = find_context(c, context->name), new;

	if (old == NULL) {
		if (add(c, context, err) != 0)
			return -1;
	} else {
		if (copy_context(&new, context, err) != 0)
			return -1;
		context_done(old);
		*old = new;
	}
	return config_use(c, context->name, err);
}

void config_remove(struct config *c, struct context *context)
{
	size_t at = (size_t)(context - c->contexts);

	ASSERT(at < c->n);
	if (c->current != NULL && strcmp(c->current, context->name) == 0) {
		free(c->current);
		c->current = NULL;
	}
	context_done(context);
	c->n--;
	memmove(context, context + 1, (c->n - at) * sizeof(*context));
}

/* ---- reading ---- */

static int damaged(const struct config *c, const char *what, struct error *err)
{
	return error_set(err, ERROR_INVALID,
		"%s is damaged (%s): mend it, or remove it and log in again", c->path, what);
}

static int read_context(struct config *c, const json_t *from, struct error *err)
{
	const char *name, *server, *namespace = NULL, *token = NULL, *ca = NULL;
	struct error why = ERROR_INIT;
	int insecure = 0;

	if (json_unpack((json_t *)from, "{s:s, s:s, s?s, s?s, s?s, s?b}", "name", &name, "server",
		    &server, "namespace", &namespace, "token", &token, "ca", &ca, "insecure",
		    &insecure) != 0)
		return damaged(c,
			"a context has a name and a server, and all but insecure are "
			"strings",
			err);
	if (context_name_check(name, &why) != 0)
		return damaged(c, why.text, err);
	if (find_context(c, name) != NULL)
		return damaged(c, "two contexts have the same name", err);
	return add(c,
		&(struct context){(char *)name, (char *)server, (char *)namespace, (char *)token,
			(char *)ca, insecure != 0},
		err);
}

static int read_text(struct config *c, struct slice text, struct error *err)
{
	CLEANUP(json_decrefp) json_t *root = NULL;
	json_t *contexts = NULL, *one;
	struct error why = ERROR_INIT;
	const char *current = NULL;
	size_t i;

	if (json_read_object(&root, text, &why) != 0)
		return damaged(c, why.text, err);
	if (json_unpack(root, "{s?s, s?o}", "current", &current, "contexts", &contexts) != 0 ||
		(contexts != NULL && !json_is_array(contexts)))
		return damaged(c, "current is a string and contexts a list", err);
	json_array_foreach(contexts, i, one) if (read_context(c, one, err) != 0) return -1;
	return current != NULL ? config_use(c, current, err) : 0;
}

/* Whoever else can read it has the tokens, and whoever else can write it gets the next ones. */
static int check_mode(int fd, const char *path, struct error *err)
{
	struct stat st;

	if (fstat(fd, &st) != 0)
		return error_set_errno(err, errno, "cannot look at %s", path);
	if (!S_ISREG(st.st_mode))
		return error_set(err, ERROR_INVALID, "%s is not a file", path);
	if ((st.st_mode & 077) == 0)
		return 0;
	return error_set(err, ERROR_DENIED,
		"%s has tokens, and others may read or change it (mode %03o): chmod 600 it", path,
		st.st_mode & 0777);
}

/* /dev/null is what people name for no file at all. */
static bool is_null(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3);
}

static int read_file(struct config *c, struct error *err)
{
	CLEANUP(buf_wipe) struct buf text = BUF_INIT(LIMIT_CONFIG_FILE);
	AUTO_CLOSE int fd = -1;

	if (*c->path == '\0')
		return 0;
	fd = open(c->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
		return 0;
	if (fd < 0)
		return error_set_errno(err, errno, "cannot open %s", c->path);
	if (is_null(fd))
		return 0;
	if (check_mode(fd, c->path, err) != 0 || file_read_fd(fd, c->path, &text, err) != 0)
		return -1;
	return read_text(c, buf_slice(&text), err);
}

static int load(struct config *ret, bool for_change, struct error *err);

int config_load(struct config *ret, struct error *err)
{
	return load(ret, false, err);
}

int config_lock(struct config *ret, struct error *err)
{
	return load(ret, true, err);
}

/* ---- writing ---- */

/* On a file beside it, as the file itself is another after each change. */
static int take_lock(struct config *c, struct error *err)
{
	AUTO_FREE char *folder = file_folder(c->path);
	AUTO_FREE char *path = str_printf("%s.lock", c->path);
	int failed;

	if (*c->path == '\0')
		return error_set(err, ERROR_INVALID,
			"HOME is not set: name the file for contexts in GSQ_CONFIG");
	if (folder == NULL || path == NULL)
		return error_no_memory(err);
	if (file_make_dirs(folder, err) != 0)
		return -1;
	c->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (c->lock < 0)
		return error_set_errno(err, errno, "cannot open %s", path);
	do
		failed = flock(c->lock, LOCK_EX);
	while (failed != 0 && errno == EINTR);
	return failed == 0 ? 0 : error_set_errno(err, errno, "cannot lock %s", path);
}

static int load(struct config *ret, bool for_change, struct error *err)
{
	struct config c = {.lock = -1};

	if (find_path(&c.path, err) != 0)
		return -1;
	AN(c.path);
	if ((for_change && take_lock(&c, err) != 0) || read_file(&c, err) != 0) {
		config_done(&c);
		return -1;
	}
	*ret = c;
	return 0;
}

static void add_optional(struct buf *b, const char *key, const char *value)
{
	if (value != NULL)
		json_member_cstr(b, key, value);
}

static void write_context(struct buf *b, const struct context *c)
{
	json_begin_object(b);
	json_member_cstr(b, "name", c->name);
	json_member_cstr(b, "server", c->server);
	add_optional(b, "namespace", c->namespace);
	add_optional(b, "token", c->token);
	add_optional(b, "ca", c->ca);
	if (c->insecure)
		json_member_bool(b, "insecure", true);
	json_end_object(b);
}

/* Where it is a link, as with files that a folder elsewhere keeps together, what it names. */
static int replace_target(const char *path, struct slice bytes, struct error *err)
{
	AUTO_FREE char *target = realpath(path, NULL);

	return file_replace(target != NULL ? target : path, bytes, NULL, err);
}

int config_save(const struct config *c, struct error *err)
{
	CLEANUP(buf_wipe) struct buf text = BUF_INIT(LIMIT_CONFIG_FILE);

	ASSERT(c->lock >= 0);
	if (buf_room(&text, 64 * 1024) == NULL) /* growth would leave copies of tokens */
		return buf_check(&text, err);
	json_begin_object(&text);
	add_optional(&text, "current", c->current);
	json_key(&text, "contexts");
	json_begin_array(&text);
	for (size_t i = 0; i < c->n; i++)
		write_context(&text, &c->contexts[i]);
	json_end_array(&text);
	json_end_object(&text);
	buf_putc(&text, '\n');
	if (buf_check(&text, err) != 0)
		return error_wrap(err, "%s", c->path);
	return replace_target(c->path, buf_slice(&text), err);
}
