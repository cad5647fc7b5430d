// SPDX-License-Identifier: Apache-2.0
// Names and UIDs out of the world's chance, so that a simulation with a seed repeats them.
// Nothing is kept between calls.
#include "base/world.h"

#include "base/mem.h"

static const char name_alphabet[] = "bcdfghjklmnpqrstvwxz2456789";

void cor_random_name(struct cor_world *w, char *out, size_t n) {
	enum { LETTERS = sizeof(name_alphabet) - 1, FAIR = 256 / LETTERS * LETTERS };
	unsigned char pool[16];
	size_t at = sizeof(pool);
	for (size_t i = 0; i < n;) {
		if (at == sizeof(pool)) {
			w->random(w, pool, sizeof(pool));
			at = 0;
		}
		unsigned char b = pool[at++];
		/* The rest of the range would favour the first letters. */
		if (b < FAIR)
			out[i++] = name_alphabet[b % LETTERS];
	}
	out[n] = '\0';
}

void cor_random_uid(struct cor_world *w, char out[37]) {
	static const char hex[] = "0123456789abcdef";
	unsigned char b[16];
	w->random(w, b, sizeof(b));
	b[6] = (unsigned char)((b[6] & 0x0f) | 0x40);
	b[8] = (unsigned char)((b[8] & 0x3f) | 0x80);
	char *p = out;
	for (size_t i = 0; i < sizeof(b); i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*p++ = '-';
		*p++ = hex[b[i] >> 4];
		*p++ = hex[b[i] & 15];
	}
	*p = '\0';
}
