// SPDX-License-Identifier: Apache-2.0
// Steps and helpers that creating and updating share: defaults, admission, allocation, and access
// to fields that every kind has under the same name (spec, status).
#include "api/registry_priv.h"

#include "codec/access.h"

static size_t field_size(const struct cor_field *f) {
	if (f->shape != COR_FS_ONE)
		return sizeof(struct cor_any_list);
	return f->flags & COR_FF_POINTER && cor_kind_boxed(f->kind) ? sizeof(void *) : cor_kind_size(f);
}

void cor_field_restore(const struct cor_type *t, const char *json, void *obj, const void *from) {
	const struct cor_field *f = cor_type_field(t, cor_str_c(json));
	if (!f)
		return;
	if (from)
		memcpy(cor_field_at(f, obj), cor_field_at(f, from), field_size(f));
	else
		memset(cor_field_at(f, obj), 0, field_size(f));
}

bool cor_field_equal(const struct cor_type *t, const char *json, const void *a, const void *b) {
	const struct cor_field *f = cor_type_field(t, cor_str_c(json));
	if (!f || f->kind != COR_FK_MESSAGE || f->shape != COR_FS_ONE)
		return true;
	void *pa = cor_field_at(f, a), *pb = cor_field_at(f, b);
	if (f->flags & COR_FF_POINTER) {
		pa = *(cor_any_ptr *)pa;
		pb = *(cor_any_ptr *)pb;
		if (!pa || !pb)
			return pa == pb;
	}
	return cor_obj_equal(cor_field_sub(f), pa, pb);
}

int cor_step_defaults(struct op_run *x) {
	if (cor_obj_default(x->type, x->obj, x->op->arena) < 0)
		return cor_fail(&x->op->err, COR_E_LIMIT, "the object is too large");
	if (x->kind->defaults)
		x->kind->defaults(&x->ctx, x->obj);
	return OP_NEXT;
}

int cor_step_admit(struct op_run *x) {
	if (!x->kind->admit)
		return OP_NEXT;
	if (x->kind->admit(&x->ctx, x->obj, x->old, &x->op->err) < 0)
		return x->op->err.code;
	/* What admission added may have defaults of its own. */
	return cor_step_defaults(x);
}

int cor_step_allocate(struct op_run *x) {
	if (!x->kind->allocate)
		return OP_NEXT;
	if (x->kind->allocate(&x->ctx, x->obj, x->old, &x->op->err) < 0)
		return x->op->err.code;
	x->allocated = true;
	return OP_NEXT;
}

void cor_step_release(struct op_run *x) {
	if (!x->allocated)
		return;
	x->allocated = false;
	if (x->kind->release)
		x->kind->release(&x->ctx, x->obj, x->old);
}

static bool same_owner(const meta_v1_OwnerReference *a, const meta_v1_OwnerReference *b) {
	return cor_obj_equal(&cor_type_meta_v1_OwnerReference, a, b);
}

static bool repeated(const meta_v1_ObjectMeta *m, size_t kept, const meta_v1_OwnerReference *o) {
	for (size_t i = 0; i < kept; i++)
		if (same_owner(&m->ownerReferences.p[i], o))
			return true;
	return false;
}

void cor_dedup_owners(struct op_run *x) {
	meta_v1_ObjectMeta *m = cor_op_meta(x);
	size_t kept = 0;
	_cleanup_buf_ struct cor_buf uids = { .limit = 1024 };
	for (size_t i = 0; i < m->ownerReferences.n; i++) {
		const meta_v1_OwnerReference *o = &m->ownerReferences.p[i];
		if (repeated(m, kept, o)) {
			cor_buf_printf(&uids, "%s%.*s", uids.n ? ", " : "", COR_STR_ARG(o->uid));
			continue;
		}
		m->ownerReferences.p[kept++] = *o;
	}
	m->ownerReferences.n = kept;
	if (uids.n)
		x->ctx.warn(&x->ctx, ".metadata.ownerReferences contains duplicate entries; API server "
			"dedups owner references in 1.20+, and may reject such requests as early as 1.24; "
			"please fix your requests; duplicate UID(s) observed: %.*s", (int)uids.n, uids.p);
}
