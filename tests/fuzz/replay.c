// SPDX-License-Identifier: Apache-2.0
// The main function of a fuzz target without a fuzzer: every file it is given, or finds in the
// directories it is given, is an input, tried once. So the seeds, and with them every input that a
// fuzzer has ever found, are tests of every build with every compiler.
//
//     replay_TARGET FILE|DIRECTORY...
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "fuzz.h"

static unsigned inputs;

static void fail(const char *path) {
	perror(path);
	exit(2);
}

static void one(const char *path, int fd, size_t size) {
	/* Exactly as large as the input: the byte behind it is nobody's. */
	_cleanup_free_ uint8_t *data = malloc(size ? size : 1);

	if (!data || read(fd, data, size) != (ssize_t)size)
		fail(path);
	/* The last line of a crash says which input it was. */
	(void)fprintf(stderr, "%s\n", path);
	(void)LLVMFuzzerTestOneInput(data, size);
	inputs++;
}

static void walk(const char *path) {
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	struct dirent **names;
	int n;

	if (fd < 0 || fstat(fd, &st) < 0)
		fail(path);
	if (!S_ISDIR(st.st_mode)) {
		one(path, fd, (size_t)st.st_size);
		return;
	}
	n = scandir(path, &names, NULL, alphasort);
	if (n < 0)
		fail(path);
	for (int i = 0; i < n; i++) {
		_cleanup_free_ char *child = cor_asprintf("%s/%s", path, names[i]->d_name);

		if (names[i]->d_name[0] != '.')
			walk(child);
		free(names[i]);
	}
	free(names);
}

int main(int argc, char **argv) {
	for (int i = 1; i < argc; i++)
		walk(argv[i]);
	(void)printf("%u inputs\n", inputs);
	return inputs ? 0 : 1;
}
