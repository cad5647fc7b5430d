// SPDX-License-Identifier: Apache-2.0
// jansson in a file of its own: its names clash with those of json-c.
#include <stdbool.h>
#include <jansson.h>

bool bench_jansson(const char *p, size_t n);

bool bench_jansson(const char *p, size_t n) {
	json_t *j = json_loadb(p, n, 0, NULL);
	json_decref(j);
	return j != NULL;
}
