// SPDX-License-Identifier: Apache-2.0
// The reader of command-line options: see cli.h.
#include <string.h>

#include "base/str.h"
#include "cli/cli.h"

static const struct cor_option *find(const struct cor_option *opts, size_t n, const char *word, size_t len) {
	for (size_t i = 0; i < n; i++)
		if (strlen(opts[i].name) == len && strncmp(opts[i].name, word, len) == 0)
			return &opts[i];
	return NULL;
}

int cor_options(int argc, char **argv, const struct cor_option *opts, size_t n, int *ret_words, struct cor_err *err) {
	int words = 0;
	bool only_words = false;
	for (int i = 1; i < argc; i++) {
		const char *w = argv[i];
		if (only_words || w[0] != '-' || w[1] == '\0') {
			argv[++words] = argv[i];
			continue;
		}
		if (strcmp(w, "--") == 0) {
			only_words = true;
			continue;
		}
		w += w[1] == '-' ? 2 : 1;
		const char *eq = strchr(w, '=');
		const struct cor_option *o = find(opts, n, w, eq ? (size_t)(eq - w) : strlen(w));
		if (!o)
			return cor_fail(err, COR_E_INVALID, "unknown option %s", argv[i]);
		if (o->flag && eq)
			return cor_fail(err, COR_E_INVALID, "--%s takes no value", o->name);
		if (o->flag) {
			*o->flag = true;
		} else if (eq) {
			*o->value = eq + 1;
		} else if (i + 1 < argc) {
			*o->value = argv[++i];
		} else {
			return cor_fail(err, COR_E_INVALID, "--%s needs a value", o->name);
		}
	}
	*ret_words = words;
	return 0;
}

int cor_option_number(const char *name, const char *text, int64_t min, int64_t max, int64_t *ret,
	struct cor_err *err) {
	int64_t v;
	if (!cor_str_to_i64(cor_str_c(text), &v) || v < min || v > max)
		return cor_fail(err, COR_E_INVALID, "%s %s: want a number from %lld to %lld", name, text,
			(long long)min, (long long)max);
	*ret = v;
	return 0;
}
