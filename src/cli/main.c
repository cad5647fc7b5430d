// SPDX-License-Identifier: Apache-2.0
// coracle COMMAND ...: one table of commands.
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "cli/cli.h"

static const struct cor_command commands[] = {
	{ "server", "[--data-dir DIR] [--listen ADDR:PORT] [--advertise ADDR]", "run the API server", cor_cmd_server },
	{ "version", "", "print the version", cor_cmd_version },
};

static int usage(FILE *to, int code) {
	(void)fprintf(to, "usage: coracle COMMAND [OPTION]...\n\n");
	for (size_t i = 0; i < cor_countof(commands); i++)
		(void)fprintf(to, "  %-12s %s\n", commands[i].name, commands[i].summary);
	return code;
}

int cor_cmd_version(int argc, char **argv) {
	(void)printf("coracle %s (Kubernetes v1.36)\n", COR_VERSION);
	return 0;
}

int main(int argc, char **argv) {
	if (argc < 2)
		return usage(stderr, 2);
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0)
		return usage(stdout, 0);
	for (size_t i = 0; i < cor_countof(commands); i++)
		if (strcmp(argv[1], commands[i].name) == 0)
			return commands[i].run(argc - 1, argv + 1);
	(void)fprintf(stderr, "coracle: unknown command %s\n", argv[1]);
	return usage(stderr, 2);
}
