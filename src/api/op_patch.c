// SPDX-License-Identifier: Apache-2.0
// Patches: the text is applied to a document of the version the client asked for, and the result
// is decoded as a request body would be. What field validation finds is said about the patch
// (facts/api-machinery.md section 6).
#include "api/registry_priv.h"

#include "codec/tree.h"

/* 422 without a kind: ` "" is invalid: patch: Invalid value: "...": detail` */
static int invalid_patch(struct op_run *x, struct cor_str detail) {
	struct cor_field_errors errs = COR_FIELD_ERRORS_INIT(x->op->arena);
	cor_fe_invalid(&errs, COR_ROOT("patch"), cor_fv_str(&errs, x->op->patch), "%.*s",
		COR_STR_ARG(detail));
	struct cor_str name = x->op->name;
	x->obj = NULL;
	x->op->name = COR_STR("");
	int status = cor_op_invalid(x, &errs, "", "");
	x->op->name = name;
	x->op->details_kind = "";
	return status;
}

static void note(struct op_run *x, struct cor_strlist *all, struct cor_str text) {
	struct cor_str *s = cor_arena_push(x->op->arena, all);
	if (s)
		*s = text;
}

static int report(struct op_run *x, const struct cor_strlist *found) {
	if (x->op->validation == COR_VALIDATION_IGNORE || found->n == 0)
		return 0;
	_cleanup_buf_ struct cor_buf all = COR_BUF_INIT;
	cor_buf_c(&all, "strict decoding error: ");
	for (size_t i = 0; i < found->n; i++) {
		if (x->op->validation == COR_VALIDATION_WARN)
			cor_op_warn(x, found->p[i]);
		cor_buf_printf(&all, "%s%.*s", i ? ", " : "", COR_STR_ARG(found->p[i]));
	}
	if (x->op->validation == COR_VALIDATION_WARN)
		return 0;
	return invalid_patch(x, cor_arena_str(x->op->arena, cor_buf_view(&all)));
}

static int decode(struct op_run *x, const struct cor_type *t, const struct cor_node *doc,
	struct cor_strlist *found, void **ret) {
	struct cor_arena *a = x->op->arena;
	struct cor_decode d = { .arena = a, .strict = x->op->validation != COR_VALIDATION_IGNORE };
	struct cor_str text = cor_node_to_str(a, doc, COR_PRINT_PLAIN);
	struct cor_err err;
	if (!text.p)
		return cor_fail(&x->op->err, COR_E_LIMIT, "the patched object is too large");
	if (cor_json_decode_new(t, text, ret, &d, &err) < 0) {
		if (err.code == COR_E_LIMIT) {
			x->op->err = err;
			return err.code;
		}
		return invalid_patch(x, cor_arena_str(a, cor_str_c(err.message)));
	}
	for (size_t i = 0; i < d.errors.n; i++)
		note(x, found, d.errors.p[i]);
	return 0;
}

int cor_op_patch(struct op_run *x, const struct cor_type *t, struct cor_str json, void **ret) {
	struct cor_op *op = x->op;
	struct cor_arena *a = op->arena;
	struct cor_strlist dups = { 0 }, unknown = { 0 }, found = { 0 };
	struct cor_err err;
	struct cor_node *current = cor_node_parse(a, json, NULL, &op->err);
	if (!current)
		return op->err.code;
	struct cor_node *patch = cor_node_parse(a, op->patch, &dups, &err), *doc;
	if (!patch)
		return err.code == COR_E_LIMIT
			? cor_fail(&op->err, COR_E_LIMIT, "the patch is too large")
			: cor_op_bad_request(x, "error decoding patch: %s", err.message);
	const char *what = op->patch_type == COR_PATCH_JSON ? "json patch " : "";
	for (size_t i = 0; i < dups.n; i++)
		note(x, &found, cor_arena_printf(a, "%sduplicate field \"%.*s\"", what,
			COR_STR_ARG(dups.p[i])));
	if (op->patch_type == COR_PATCH_JSON)
		cor_patch_unknown_members(patch, a, &unknown);
	for (size_t i = 0; i < unknown.n; i++)
		note(x, &found, unknown.p[i]);
	if (cor_patch_apply(op->patch_type, t, current, patch, a, &doc, &op->err) < 0) {
		op->details_kind = "";
		return op->err.code;
	}
	int status = decode(x, t, doc, &found, ret);
	return status < 0 ? status : report(x, &found);
}
