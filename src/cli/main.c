// SPDX-License-Identifier: Apache-2.0
// coracle COMMAND ...: one table of commands.
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "cli/cli.h"

static const struct cor_command commands[] = {
	{ "up", "[--name NAME] [--data-dir DIR] [--listen ADDR:PORT] [--kubeconfig FILE] [--resolv-conf FILE] "
		"[--foreground]",
		"start a cluster on this machine", cor_cmd_up },
	{ "down", "[--name NAME] [--data-dir DIR] [--purge]", "stop it and remove what it made", cor_cmd_down },
	{ "status", "[--name NAME] [--data-dir DIR] [-o json]", "say whether it runs", cor_cmd_status },
	{ "image", "[--name NAME] import FILE [--as REF] | list | remove REF", "the images of this node", cor_cmd_image },
	{ "kubeconfig", "[--name NAME] [--data-dir DIR]", "print the admin's kubeconfig", cor_cmd_kubeconfig },
	{ "server", "[--data-dir DIR] [--listen ADDR:PORT] [--advertise ADDR]", "run the API server", cor_cmd_server },
	{ "node", "--kubeconfig FILE [OPTION]...", "run the node agent", cor_cmd_node },
	{ "dns", "--kubeconfig FILE [--listen ADDR]", "run the cluster's DNS", cor_cmd_dns },
	{ "version", "", "print the version", cor_cmd_version },
};

static int usage(FILE *to, int code) {
	(void)fprintf(to, "usage: coracle COMMAND [OPTION]...\n\n");
	for (size_t i = 0; i < cor_countof(commands); i++)
		(void)fprintf(to, "  %-12s %s\n", commands[i].name, commands[i].summary);
	return code;
}

int cor_cmd_version(int argc, char **argv) {
	if (argc > 1) {
		(void)fprintf(stderr, "coracle version: unexpected argument\n");
		return 2;
	}
	(void)printf("coracle %s (Kubernetes v1.36)\n", COR_VERSION);
	return 0;
}

bool cor_has_command(const char *name) {
	for (size_t i = 0; i < cor_countof(commands); i++)
		if (strcmp(commands[i].name, name) == 0)
			return true;
	return false;
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
