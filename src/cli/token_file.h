/* SPDX-License-Identifier: Apache-2.0 */
/* Where the API tokens are, for the server and for gsq token. */
#ifndef CLI_TOKEN_FILE_H
#define CLI_TOKEN_FILE_H

#include "base/error.h"

#define TOKEN_FILE_SIZE 4096 /* PATH_MAX */

/* A row for a verb's table of options. */
#define TOKEN_OPTION_FILE \
	{ \
		"token-file", "TOKEN_FILE", "FILE", NULL, \
			"file of the API tokens' hashes; default tokens.json in --data-dir" \
	}

/* given: that option's value, or NULL. */
int token_file_path(char ret[TOKEN_FILE_SIZE], const char *given, const char *data_dir,
	struct error *err) MUST_CHECK;

#endif
