/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is given with -f: files, folders and standard input, with the resources in them, as
 * intent/document.h reads them. Files of a folder are taken in the order of their names, those that
 * end in .json, .yaml and .yml; its folders are read where that is asked for.
 */
#ifndef CLI_INPUT_H
#define CLI_INPUT_H

#include "cli/cli.h"
#include "intent/document.h"

/* Rows of the table of options. The values of the first are cli_values.all of it. */
#define INPUT_OPTION_FILE \
	{ \
		.flag = "filename", .letter = 'f', .argument = "FILE|DIR|-", .repeats = true, \
		.is_file = true, .help = "YAML or JSON with resources; - is standard input" \
	}
#define INPUT_OPTION_RECURSIVE \
	{ \
		.flag = "recursive", .letter = 'R', \
		.help = "with -f DIR: its folders too, and theirs" \
	}

struct input_options {
	const char *const *paths; /* NULL ends: files, folders, "-" */
	bool recursive;
	const char *namespace; /* of resources that name none */
	const char *only;      /* the one that they may be in, as -n says; NULL: any */
};

struct input_item {
	struct intent *intent; /* a reference */
	size_t file;           /* its place in input.files */
	struct document_place place;
};

struct input {
	size_t n;
	struct input_item *items; /* in the order of the files, each resource once */
	size_t n_files;
	char **files; /* their paths; "standard input" */
};

/* ERROR_NOT_FOUND: no such file, ERROR_TOO_LARGE: more than LIMIT_CHANGES resources, with how many
 * they are; ERROR_INVALID names the file, and where in it. A folder without any such file is an
 * error, files without a resource are not. */
int input_read(
	struct input *ret, const struct input_options *options, struct error *err) MUST_CHECK;
void input_done(struct input *input);

/* The place of the i-th for messages: "shop.yaml:41". */
#define INPUT_PLACE_SIZE 512
const char *input_place(const struct input *input, size_t i, char ret[INPUT_PLACE_SIZE]);

#endif
