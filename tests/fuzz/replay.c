/* SPDX-License-Identifier: Apache-2.0 */
/* Runs a fuzz target over every file of a folder: the corpus as an ordinary test. */
#include "base/file.h"

#include <dirent.h>
#include <stdio.h>

#include "fuzz.h"

int main(int argc, char **argv)
{
	struct dirent *entry;
	size_t n = 0;
	DIR *dir;

	if (argc != 2 || (dir = opendir(argv[1])) == NULL) {
		fprintf(stderr, "usage: %s FOLDER\n", argv[0]);
		return 2;
	}
	while ((entry = readdir(dir)) != NULL) {
		CLEANUP(buf_done) struct buf bytes = BUF_INIT(16 * MIB);
		struct error err = ERROR_INIT;
		char path[4096];

		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", argv[1], entry->d_name);
		if (file_read(path, &bytes, &err) != 0) {
			fprintf(stderr, "%s\n", err.text);
			return 1;
		}
		LLVMFuzzerTestOneInput(
			(const uint8_t *)(bytes.len > 0 ? bytes.data : ""), bytes.len);
		n++;
	}
	closedir(dir);
	printf("%zu inputs\n", n);
	return n > 0 ? 0 : 1;
}
