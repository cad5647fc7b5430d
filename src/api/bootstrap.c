// SPDX-License-Identifier: Apache-2.0
// The table of bootstrap objects as JSON texts, and the operations that create what is missing.
// They start in the order of the table in one turn of the loop, so a later one may rely on an
// earlier one (an object on its namespace).
#include "api/bootstrap.h"

#include "api/registry.h"
#include "base/assert.h"
#include "base/log.h"
#include "base/mem.h"
#include "codec/codec.h"

static const struct {
	enum cor_res res;
	const char *json;
} objects[] = {
	{ COR_RES_NAMESPACES, "{\"metadata\":{\"name\":\"default\"}}" },
	{ COR_RES_NAMESPACES, "{\"metadata\":{\"name\":\"kube-system\"}}" },
	{ COR_RES_NAMESPACES, "{\"metadata\":{\"name\":\"kube-public\"}}" },
	{ COR_RES_NAMESPACES, "{\"metadata\":{\"name\":\"kube-node-lease\"}}" },
};

struct bootstrap {
	size_t left;
	int status;
	void (*done)(void *arg, int status);
	void *arg;
};

static void one_done(struct cor_op *op) {
	struct bootstrap *b = op->arg;
	if (op->status < 0 && op->status != COR_E_EXISTS) {
		cor_error("bootstrap of %s \"%.*s\": %s", op->res->plural, COR_STR_ARG(op->name),
			op->err.message);
		if (b->status == 0)
			b->status = op->status;
	}
	cor_arena_free(op->arena);
	if (--b->left == 0) {
		b->done(b->arg, b->status);
		free(b);
	}
}

void cor_bootstrap(struct cor_registry *r, void (*done)(void *arg, int status), void *arg) {
	struct bootstrap *b = cor_new(struct bootstrap);
	*b = (struct bootstrap){ .left = cor_countof(objects), .done = done, .arg = arg };
	for (size_t i = 0; i < cor_countof(objects); i++) {
		struct cor_arena *a = cor_arena_new(0);
		struct cor_op *op = cor_arena_new_of(a, struct cor_op);
		struct cor_decode d = { .arena = a };
		*op = (struct cor_op){
			.verb = COR_VERB_CREATE, .res = &cor_resources[objects[i].res], .arena = a,
			.done = one_done, .arg = b,
		};
		int status = cor_json_decode_new(op->res->type, cor_str_c(objects[i].json), &op->obj, &d,
			&op->err);
		cor_assert(status >= 0);        /* a text of ours */
		cor_op_start(r, op);
	}
}
