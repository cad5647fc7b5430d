// SPDX-License-Identifier: Apache-2.0
// The commands of the program (the table is in main.c), and the reader of their options.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct cor_command {
	const char *name, *usage, *summary;
	int (*run)(int argc, char **argv);      /* argv[0] is the command's name; the exit code */
};

int cor_cmd_server(int argc, char **argv);
int cor_cmd_node(int argc, char **argv);
int cor_cmd_dns(int argc, char **argv);
int cor_cmd_up(int argc, char **argv);
int cor_cmd_down(int argc, char **argv);
int cor_cmd_status(int argc, char **argv);
int cor_cmd_kubeconfig(int argc, char **argv);
int cor_cmd_image(int argc, char **argv);
int cor_cmd_version(int argc, char **argv);
/* Does this build have the command? */
bool cor_has_command(const char *name);

/* "v1.36.2+coracle.0.1.0" is what the API and the node report; this is the part behind the plus. */
#define COR_VERSION "0.1.0"

/* One option: --name VALUE or --name=VALUE, or a flag when value is NULL. */
struct cor_option {
	const char *name;               /* without the dashes */
	const char **value;
	bool *flag;
};
/* Reads argv[1..]; the words that are no options stay in order at argv[1..], *ret_words of them. */
int cor_options(int argc, char **argv, const struct cor_option *opts, size_t n, int *ret_words, struct cor_err *err);
/* The whole of text as a number from min to max; name is for the message. */
int cor_option_number(const char *name, const char *text, int64_t min, int64_t max, int64_t *ret,
	struct cor_err *err);
