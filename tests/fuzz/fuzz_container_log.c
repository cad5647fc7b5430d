// SPDX-License-Identifier: Apache-2.0
// Lines of container logs: what is found lies within the line and makes it up again.
#include "fuzz.h"
#include "node/container_log.h"

static void inside(struct cor_str part, struct cor_str whole) {
	if (part.n && (part.p < whole.p || part.p + part.n > whole.p + whole.n))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	struct cor_str rest = { (const char *)data, size };
	while (rest.p) {
		struct cor_str line = cor_str_cut(&rest, '\n');
		struct cor_log_line l;
		if (!cor_log_line_parse(line, &l))
			continue;
		inside(l.time, line);
		inside(l.text, line);
		if (l.time.n < 20 || l.time.n + 8 + 1 + l.text.n > line.n + 1)
			abort();
	}
	return 0;
}
