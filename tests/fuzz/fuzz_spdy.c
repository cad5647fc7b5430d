// SPDX-License-Identifier: Apache-2.0
// A SPDY session fed with anything, in pieces; streams are replied to, paused, reset and freed.
#include "fuzz.h"
#include "net/spdy.h"

static unsigned turn;

static void on_write(void *arg, struct cor_str bytes) {
	(void)arg;
	(void)bytes;
}
static void on_pause(void *arg, bool paused) {
	(void)arg;
	(void)paused;
}
static void on_stream(void *arg, struct cor_spdy_stream *s) {
	(void)arg;
	switch (turn++ % 4) {
	case 0:
		cor_spdy_reset(s, COR_SPDY_REFUSED);
		break;
	case 1:
		cor_spdy_pause(s, true);
		cor_spdy_reply(s);
		break;
	default:
		cor_spdy_reply(s);
	}
}
static void on_data(void *arg, struct cor_spdy_stream *s, struct cor_str data) {
	(void)arg;
	if (turn++ % 8 == 0)
		cor_spdy_reset(s, COR_SPDY_CANCEL);
	else
		cor_spdy_send(s, data, false);
}
static void on_eof(void *arg, struct cor_spdy_stream *s) {
	(void)arg;
	cor_spdy_send(s, COR_STR("bye"), true);
}
static void on_gone(void *arg, struct cor_spdy_stream *s, int status) {
	(void)arg;
	(void)s;
	(void)status;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
	static const struct cor_spdy_ops ops = { .write = on_write,
		.pause = on_pause,
		.on_stream = on_stream,
		.on_data = on_data,
		.on_eof = on_eof,
		.on_gone = on_gone };
	struct cor_spdy *s = cor_spdy_new(n & 1, &ops, NULL);
	size_t step = n ? data[0] % 32 + 1u : 1;

	turn = 0;
	for (size_t at = 0; at < n; at += step) {
		struct cor_str in = { (const char *)data + at, step < n - at ? step : n - at };

		if (cor_spdy_input(s, in, NULL) < 0)
			break;
	}
	cor_spdy_goaway(s);
	cor_spdy_free(s);
	return 0;
}
