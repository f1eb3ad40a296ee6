/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/token_file.h"

#include <stdio.h>

int token_file_path(
	char ret[TOKEN_FILE_SIZE], const char *given, const char *data_dir, struct error *err)
{
	int n = given != NULL ? snprintf(ret, TOKEN_FILE_SIZE, "%s", given)
			      : snprintf(ret, TOKEN_FILE_SIZE, "%s/tokens.json", data_dir);

	if (n < TOKEN_FILE_SIZE)
		return 0;
	return error_set(err, ERROR_INVALID, "--token-file: the path is too long");
}
