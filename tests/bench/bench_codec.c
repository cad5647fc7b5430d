// SPDX-License-Identifier: Apache-2.0
// How long one pod takes: JSON and protobuf, both ways, beside the C libraries that Debian packages
// (their parse alone, into whatever they parse into). Prints best, median and worst of many rounds,
// since the machine may be shared, and the ratio of the best to ours.
//   bench_codec [pod.json]
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#ifdef HAVE_YAJL
#include <yajl/yajl_parse.h>
#endif
#ifdef HAVE_JSON_C
#include <json-c/json.h>
#endif
#ifdef HAVE_CJSON
#include <cjson/cJSON.h>
#endif

#include "codec/codec.h"
#include "codec/tree.h"
#include "gen/core_v1.h"

#ifdef HAVE_JANSSON
bool bench_jansson(const char *p, size_t n);
#endif

struct bench {
	struct cor_str json, proto;
	struct cor_arena *arena;
	void *obj;
	struct cor_buf out;
};

static const struct cor_type *const TYPE = &cor_type_core_v1_Pod;

static void check(bool ok, const char *what) {
	if (!ok) {
		fprintf(stderr, "bench_codec: %s failed\n", what);
		exit(1);
	}
}

static void json_decode(struct bench *b) {
	struct cor_decode d = { .arena = b->arena, .strict = true };
	void *obj;
	check(cor_json_decode_new(TYPE, b->json, &obj, &d, NULL) == 0, "decode");
	cor_arena_reset(b->arena);
}

static void json_encode(struct bench *b) {
	cor_buf_clear(&b->out);
	check(cor_json_encode(TYPE, b->obj, &b->out) == 0, "encode");
}

static void proto_decode(struct bench *b) {
	struct cor_decode d = { .arena = b->arena };
	void *obj = cor_arena_alloc(b->arena, TYPE->size);
	check(cor_proto_decode(TYPE, b->proto, obj, &d, NULL) == 0, "protobuf decode");
	cor_arena_reset(b->arena);
}

static void proto_encode(struct bench *b) {
	cor_buf_clear(&b->out);
	check(cor_proto_encode(TYPE, b->obj, &b->out) == 0, "protobuf encode");
}

static void copy(struct bench *b) {
	check(cor_obj_dup(TYPE, b->obj, b->arena) != NULL, "copy");
	cor_arena_reset(b->arena);
}

static void equal(struct bench *b) {
	/* with another object of the same content: the same pointer would be found equal at once */
	static void *other;
	if (!other)
		other = cor_obj_dup(TYPE, b->obj, cor_arena_new(0));
	check(cor_obj_equal(TYPE, b->obj, other), "equal");
}

static void tree_parse(struct bench *b) {
	check(cor_node_parse(b->arena, b->json, NULL, NULL) != NULL, "tree");
	cor_arena_reset(b->arena);
}

#ifdef HAVE_YAJL
static void yajl(struct bench *b) {
	static const yajl_callbacks none = { 0 };
	yajl_handle h = yajl_alloc(&none, NULL, NULL);
	check(yajl_parse(h, (const unsigned char *)b->json.p, b->json.n) == yajl_status_ok &&
			yajl_complete_parse(h) == yajl_status_ok,
		"yajl");
	yajl_free(h);
}
#endif
#ifdef HAVE_JANSSON
static void jansson(struct bench *b) {
	check(bench_jansson(b->json.p, b->json.n), "jansson");
}
#endif
#ifdef HAVE_JSON_C
static void json_c(struct bench *b) {
	json_tokener *t = json_tokener_new();
	json_object *j = json_tokener_parse_ex(t, b->json.p, (int)b->json.n);
	check(j != NULL, "json-c");
	json_object_put(j);
	json_tokener_free(t);
}
#endif
#ifdef HAVE_CJSON
static void cjson(struct bench *b) {
	cJSON *j = cJSON_ParseWithLength(b->json.p, b->json.n);
	check(j != NULL, "cJSON");
	cJSON_Delete(j);
}
#endif

static double now_us(void) {
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

/* Microseconds a call. */
static double measure(void (*fn)(struct bench *), struct bench *b) {
	enum { CALLS = 100 };
	double from = now_us();
	for (int i = 0; i < CALLS; i++)
		fn(b);
	return (now_us() - from) / CALLS;
}

static int by_size(const void *a, const void *b) {
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

int main(int argc, char **argv) {
	const char *path = argc > 1 ? argv[1] : BENCH_POD;
	static const struct {
		const char *name;
		void (*fn)(struct bench *);
	} runs[] = {
		{ "coracle: JSON to typed struct", json_decode },
		{ "coracle: typed struct to JSON", json_encode },
		{ "coracle: protobuf to typed struct", proto_decode },
		{ "coracle: typed struct to protobuf", proto_encode },
		{ "coracle: deep copy", copy },
		{ "coracle: semantic equality", equal },
		{ "coracle: JSON to generic tree", tree_parse },
#ifdef HAVE_YAJL
		{ "yajl: events, no callbacks", yajl },
#endif
#ifdef HAVE_CJSON
		{ "cJSON: parse", cjson },
#endif
#ifdef HAVE_JSON_C
		{ "json-c: parse", json_c },
#endif
#ifdef HAVE_JANSSON
		{ "jansson: parse", jansson },
#endif
	};
	struct bench b = { .arena = cor_arena_new(0) };
	static char text[1 << 20];
	int fd = open(path, O_RDONLY);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text));
	check(n > 0, path);
	struct cor_decode d = { .arena = cor_arena_new(0) };
	struct cor_err err;
	b.json = (struct cor_str){ text, (size_t)n };
	check(cor_json_decode_new(TYPE, b.json, &b.obj, &d, &err) == 0, "decode");
	struct cor_buf proto = COR_BUF_INIT;
	check(cor_proto_encode(TYPE, b.obj, &proto) == 0, "protobuf encode");
	b.proto = cor_buf_view(&proto);
	json_encode(&b);
	printf("%s: %zd bytes of JSON, %zu of protobuf; encodes to %s\n", path, n, proto.n,
		b.out.n == b.json.n && memcmp(b.out.p, text, b.out.n) == 0 ? "the same bytes"
									   : "other bytes");
	/* Rounds outside, so that what else the machine does meets all of them alike. */
	enum { ROUNDS = 60 };
	static double us[cor_countof(runs)][ROUNDS];
	for (int round = 0; round < ROUNDS; round++)
		for (size_t i = 0; i < cor_countof(runs); i++)
			us[i][round] = measure(runs[i].fn, &b);
	for (size_t i = 0; i < cor_countof(runs); i++)
		qsort(us[i], ROUNDS, sizeof(us[i][0]), by_size);
	printf("%-36s %8s %8s %8s us\n", "", "best", "median", "worst");
	for (size_t i = 0; i < cor_countof(runs); i++)
		printf("%-36s %8.2f %8.2f %8.2f us  %6.2f\n", runs[i].name, us[i][0],
			us[i][ROUNDS / 2], us[i][ROUNDS - 1], us[i][0] / us[0][0]);
	return 0;
}
