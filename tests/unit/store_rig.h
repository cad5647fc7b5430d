// SPDX-License-Identifier: Apache-2.0
// What the tests of the store share: objects of a toy kind, a rebuild function for them, writes
// that are waited for, and what a watch delivers as one line of text.
#pragma once

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "sim/world_sim.h"
#include "store/store.h"
#include "store/store_test.h"

enum { PODS, LEASES, NODES, N_RES };
static const char *const rig_names[N_RES] = { "pods", "leases.coordination.k8s.io", "nodes" };

#define S(text) cor_str_c(text)
#define ABSENT ((struct cor_str){ 0 })

/* {"metadata":{"name":"a","uid":"u-a"},"owner":"","v":"1"} */
static inline struct cor_obj *rig_obj(uint16_t res, const char *ns, const char *name,
	const char *uid, const char *owner, const char *v) {
	_cleanup_buf_ struct cor_buf json = COR_BUF_INIT;
	cor_buf_printf(&json, "{\"metadata\":{\"name\":\"%s\",\"uid\":\"%s\"},\"owner\":\"%s\","
		"\"v\":\"%s\"}", name, uid, owner, v);
	struct cor_owner o = { .uid = S(owner), .kind = S("Set"), .name = S("set") };
	struct cor_obj_init init = {
		.res = res, .ns = S(ns), .name = S(name), .uid = S(uid),
		.json = cor_buf_view(&json), .rv_at = (uint32_t)strlen("{\"metadata\":{"),
	};
	if (*owner) {
		init.owners.p = &o;
		init.owners.n = 1;
	}
	return cor_obj_new(&init);
}

/* The text of a string member, in a static buffer that the next calls reuse in turn. */
static inline const char *rig_member(struct cor_str json, const char *key) {
	static char out[4][200];
	static int turn;
	char *to = out[turn++ % 4], pattern[60];
	(void)snprintf(pattern, sizeof(pattern), "\"%s\":\"", key);
	const char *at = memmem(json.p, json.n, pattern, strlen(pattern));
	to[0] = '\0';
	if (!at)
		return to;
	at += strlen(pattern);
	size_t n = 0;
	while (at + n < json.p + json.n && at[n] != '"' && n < sizeof(out[0]) - 1)
		n++;
	memcpy(to, at, n);
	to[n] = '\0';
	return to;
}

static inline struct cor_obj *rig_rebuild(void *arg, uint16_t res, struct cor_str ns,
	struct cor_str name, struct cor_str json, struct cor_err *err) {
	char ns_c[100], name_c[100];
	(void)snprintf(ns_c, sizeof(ns_c), "%.*s", COR_STR_ARG(ns));
	(void)snprintf(name_c, sizeof(name_c), "%.*s", COR_STR_ARG(name));
	const char *v = rig_member(json, "v");
	if (strcmp(v, "broken") == 0) {
		(void)cor_fail(err, COR_E_PARSE, "does not decode");
		return NULL;
	}
	return rig_obj(res, ns_c, name_c, rig_member(json, "uid"), rig_member(json, "owner"), v);
}

struct rig_write {
	struct cor_write w;
	bool done;
	uint64_t rev;
};

static inline void rig_done(struct cor_write *w) {
	struct rig_write *x = cor_container_of(w, struct rig_write, w);
	assert_false(x->done);
	x->done = true;
	x->rev = w->result ? w->result->rev : 0;
}

static inline bool rig_is_done(void *arg) {
	return ((struct rig_write *)arg)->done;
}

/* Starts a write; v NULL: a delete without an object. */
static inline void rig_start(struct cor_store *s, struct rig_write *x, enum cor_write_op op,
	uint16_t res, const char *ns, const char *name, const char *v, uint64_t expect) {
	char uid[120];
	(void)snprintf(uid, sizeof(uid), "u-%s-%s", ns, name);
	bool in_memory = x->w.in_memory;
	_cleanup_(cor_obj_unrefp) struct cor_obj *o = v ? rig_obj(res, ns, name, uid, "", v) : NULL;
	*x = (struct rig_write){ .w = {
		.op = op, .obj = o, .res = res, .ns = S(ns), .name = S(name),
		.expect_rev = expect, .in_memory = in_memory, .done = rig_done,
	} };
	cor_store_write(s, &x->w);
	assert_false(x->done);
}
