/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/input.h"

#include "base/file.h"

#include <errno.h>
#include <fts.h>
#include <stdio.h>
#include <sys/stat.h>

#define STDIN_NAME "standard input"

struct reading {
	struct input *input;
	const struct input_options *options;
	size_t room;  /* of input->items */
	size_t found; /* resources, those past LIMIT_CHANGES too */
	bool skipped_folders;
};

void input_done(struct input *input)
{
	for (size_t i = 0; i < input->n; i++)
		intent_unref(input->items[i].intent);
	for (size_t i = 0; i < input->n_files; i++)
		free(input->files[i]);
	free(input->items);
	free(input->files);
	*input = (struct input){0};
}

const char *input_place(const struct input *input, size_t i, char ret[INPUT_PLACE_SIZE])
{
	const struct input_item *item = &input->items[i];
	const char *file = input->files[item->file];

	if (item->place.line > 0)
		snprintf(ret, INPUT_PLACE_SIZE, "%s:%zu", file, item->place.line);
	else
		snprintf(ret, INPUT_PLACE_SIZE, "%s, resource %zu", file, item->place.index + 1);
	return ret;
}

/* ---- one text ---- */

static int add_item(
	struct intent *intent, const struct document_place *place, void *arg, struct error *err)
{
	struct reading *r = arg;
	struct input *input = r->input;

	/* They are counted to the end, to say how many there are. */
	if (++r->found > LIMIT_CHANGES)
		return 0;
	if (input->n == r->room) {
		size_t room = 2 * r->room + 16;
		struct input_item *items = realloc(input->items, room * sizeof(*items));

		if (items == NULL)
			return error_no_memory(err);
		input->items = items;
		r->room = room;
	}
	input->items[input->n++] = (struct input_item){
		.intent = intent_ref(intent), .file = input->n_files - 1, .place = *place};
	return 0;
}

static bool ends_with(const char *path, const char *end)
{
	return slice_ends(slice_of(path), slice_of(end));
}

static bool is_yaml(const char *path)
{
	return ends_with(path, ".yaml") || ends_with(path, ".yml");
}

static bool is_read_of_folders(const char *path)
{
	return is_yaml(path) || ends_with(path, ".json");
}

/* By the name, else by how it begins, as kubectl does. */
static enum document_format format_of(const char *path, struct slice text)
{
	if (is_yaml(path))
		return DOCUMENT_YAML;
	if (ends_with(path, ".json"))
		return DOCUMENT_JSON;
	while (text.n > 0 && strchr(" \t\r\n", *text.p) != NULL) {
		text.p++;
		text.n--;
	}
	return text.n > 0 && (*text.p == '{' || *text.p == '[') ? DOCUMENT_JSON : DOCUMENT_YAML;
}

static int add_file_name(struct input *input, const char *name, struct error *err)
{
	char **files = realloc(input->files, (input->n_files + 1) * sizeof(*files));
	char *copy = slice_dup(slice_of(name));

	if (files != NULL)
		input->files = files;
	if (files == NULL || copy == NULL) {
		free(copy);
		return error_no_memory(err);
	}
	files[input->n_files++] = copy;
	return 0;
}

static int read_text(struct reading *r, const char *name, struct slice text, struct error *err)
{
	struct document_options options = {
		.format = format_of(name, text),
		.namespace = r->options->namespace,
		.only = r->options->only,
		.max = SIZE_MAX,
		.file = name,
	};

	if (add_file_name(r->input, name, err) != 0)
		return -1;
	return document_read(text, &options, add_item, r, err);
}

static int read_file(struct reading *r, const char *path, struct error *err)
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(LIMIT_INPUT_FILE);

	if (file_read(path, &text, err) != 0)
		return -1;
	return read_text(r, path, buf_slice(&text), err);
}

static int read_stdin(struct reading *r, struct error *err)
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(LIMIT_INPUT_FILE);

	if (file_read_fd(STDIN_FILENO, STDIN_NAME, &text, err) != 0)
		return -1;
	return read_text(r, STDIN_NAME, buf_slice(&text), err);
}

/* ---- folders ---- */

/* In the order of their bytes, whatever the locale. */
static int by_name(const FTSENT **a, const FTSENT **b)
{
	return strcmp((*a)->fts_name, (*b)->fts_name);
}

/* Links to files are followed, those to folders are not: they may lead round. */
static bool is_file(const FTSENT *entry)
{
	struct stat st;

	if (!is_read_of_folders(entry->fts_name))
		return false;
	return entry->fts_info == FTS_F ||
	       (entry->fts_info == FTS_SL && stat(entry->fts_accpath, &st) == 0 &&
		       !S_ISDIR(st.st_mode));
}

static int read_entry(struct reading *r, FTS *walk, FTSENT *entry, struct error *err)
{
	switch (entry->fts_info) {
	case FTS_D:
		if (!r->options->recursive && entry->fts_level > 0) {
			r->skipped_folders = true;
			fts_set(walk, entry, FTS_SKIP);
		}
		return 0;
	case FTS_DNR:
	case FTS_ERR:
	case FTS_NS:
		return error_set_errno(err, entry->fts_errno, "cannot read %s", entry->fts_path);
	default:
		return is_file(entry) ? read_file(r, entry->fts_path, err) : 0;
	}
}

static int walk_folder(struct reading *r, FTS *walk, struct error *err)
{
	FTSENT *entry;

	while (errno = 0, (entry = fts_read(walk)) != NULL)
		if (read_entry(r, walk, entry, err) != 0)
			return -1;
	return errno == 0 ? 0 : error_set_errno(err, errno, "cannot read the folder");
}

static int read_folder(struct reading *r, const char *path, struct error *err)
{
	AUTO_FREE char *copy = slice_dup(slice_of(path));
	char *paths[] = {copy, NULL};
	FTS *walk;
	int rc;

	if (copy == NULL)
		return error_no_memory(err);
	walk = fts_open(paths, FTS_PHYSICAL | FTS_COMFOLLOW | FTS_NOCHDIR, by_name);
	if (walk == NULL)
		return error_set_errno(err, errno, "cannot read the folder %s", path);
	rc = walk_folder(r, walk, err);
	fts_close(walk);
	return rc;
}

static int read_path(struct reading *r, const char *path, struct error *err)
{
	size_t before = r->input->n_files;
	struct stat st;

	r->skipped_folders = false;
	if (strcmp(path, "-") == 0)
		return read_stdin(r, err);
	if (stat(path, &st) != 0)
		return error_set_errno(err, errno, "cannot read %s", path);
	if (!S_ISDIR(st.st_mode))
		return read_file(r, path, err);
	if (read_folder(r, path, err) != 0)
		return -1;
	if (r->input->n_files > before)
		return 0;
	return error_set(err, ERROR_NOT_FOUND,
		"%s: there is no file that ends in .json, .yaml or .yml in this folder%s", path,
		r->skipped_folders ? "; give -R to read its folders too" : "");
}

/* ---- all of them ---- */

static int by_resource(const void *a, const void *b)
{
	const struct input_item *const *x = a, *const *y = b;
	int order = strcmp((*x)->intent->namespace, (*y)->intent->namespace);

	if (order == 0)
		order = strcmp((*x)->intent->name, (*y)->intent->name);
	if (order == 0)
		order = *x < *y ? -1 : *x > *y; /* the first is told first */
	return order;
}

static int refuse_twice(const struct input *input, const struct input_item *a,
	const struct input_item *b, struct error *err)
{
	char first[INPUT_PLACE_SIZE], second[INPUT_PLACE_SIZE];

	return error_set(err, ERROR_INVALID,
		"%s/%s is there twice, at %s and %s: leave one of them away", a->intent->namespace,
		a->intent->name, input_place(input, (size_t)(a - input->items), first),
		input_place(input, (size_t)(b - input->items), second));
}

static int check_once(const struct input *input, struct error *err)
{
	AUTO_FREE const struct input_item **sorted = calloc(input->n + 1, sizeof(*sorted));

	if (sorted == NULL)
		return error_no_memory(err);
	for (size_t i = 0; i < input->n; i++)
		sorted[i] = &input->items[i];
	qsort(sorted, input->n, sizeof(*sorted), by_resource);
	for (size_t i = 1; i < input->n; i++) {
		const struct intent *a = sorted[i - 1]->intent, *b = sorted[i]->intent;

		if (strcmp(a->namespace, b->namespace) == 0 && strcmp(a->name, b->name) == 0)
			return refuse_twice(input, sorted[i - 1], sorted[i], err);
	}
	return 0;
}

static int read_all(struct reading *r, struct error *err)
{
	for (const char *const *path = r->options->paths; *path != NULL; path++)
		if (read_path(r, *path, err) != 0)
			return -1;
	if (r->found > LIMIT_CHANGES)
		return error_set(err, ERROR_TOO_LARGE,
			"there are %zu resources, and one change takes %u at most: split them up",
			r->found, LIMIT_CHANGES);
	return check_once(r->input, err);
}

int input_read(struct input *ret, const struct input_options *options, struct error *err)
{
	struct input input = {.n = 0};
	struct reading r = {.input = &input, .options = options};

	if (read_all(&r, err) != 0) {
		input_done(&input);
		return -1;
	}
	*ret = input;
	return 0;
}
