// SPDX-License-Identifier: Apache-2.0
// The scale subresource: an autoscaling/v1 Scale is a view of the object's replicas, and writing it
// is an update of the object with that one number changed.
#include "api/registry_priv.h"
#include "codec/selector.h"
#include "gen/apps_v1.h"
#include "gen/autoscaling_v1.h"
#include "gen/core_v1.h"

struct scale_parts {
	int32_t **replicas;
	int32_t current;
	const meta_v1_LabelSelector *selector;
	const struct cor_strmap *map;           /* instead of selector */
};

#define APPS_PARTS(type_) \
	type_ *o = obj; \
	return (struct scale_parts){ &o->spec.replicas, o->status.replicas, o->spec.selector, NULL }

static struct scale_parts deployment(void *obj) {
	APPS_PARTS(apps_v1_Deployment);
}

static struct scale_parts replicaset(void *obj) {
	APPS_PARTS(apps_v1_ReplicaSet);
}

static struct scale_parts statefulset(void *obj) {
	APPS_PARTS(apps_v1_StatefulSet);
}

static struct scale_parts controller(void *obj) {
	core_v1_ReplicationController *o = obj;
	return (struct scale_parts){ &o->spec.replicas, o->status.replicas, NULL, &o->spec.selector };
}

static const struct {
	enum cor_res res;
	struct scale_parts (*parts)(void *obj);
} scalable[] = {
	{ COR_RES_DEPLOYMENTS, deployment },
	{ COR_RES_REPLICASETS, replicaset },
	{ COR_RES_STATEFULSETS, statefulset },
	{ COR_RES_REPLICATIONCONTROLLERS, controller },
};

static bool find_parts(const struct cor_resource *res, void *obj, struct scale_parts *ret) {
	for (size_t i = 0; i < cor_countof(scalable); i++) {
		if ((int)scalable[i].res == res->id) {
			*ret = scalable[i].parts(obj);
			return true;
		}
	}
	return false;
}

static bool make_scale(const struct cor_resource *res, const void *obj, struct cor_arena *a,
	autoscaling_v1_Scale *ret) {
	struct scale_parts p;
	if (!find_parts(res, (void *)(uintptr_t)obj, &p))
		return false;
	const meta_v1_ObjectMeta *m = cor_meta_const(res->type, obj);
	*ret = (autoscaling_v1_Scale){
		.metadata = {
			.name = m->name, .namespace = m->namespace, .uid = m->uid,
			.resourceVersion = m->resourceVersion, .creationTimestamp = m->creationTimestamp,
		},
		.spec.replicas = *p.replicas ? **p.replicas : 0,
		.status.replicas = p.current,
	};
	struct cor_selector sel = { 0 };
	struct cor_err err;
	int r = p.map ? cor_selector_from_map(a, p.map, &sel, &err)
	              : cor_selector_from_labels(a, p.selector, &sel, &err);
	if (r >= 0 && !sel.nothing)
		ret->status.selector = cor_selector_print(a, &sel);
	cor_obj_set_typemeta(&cor_type_autoscaling_v1_Scale, ret, a);
	return true;
}

struct cor_str cor_scale_json(struct cor_registry *r, const struct cor_resource *res, const void *obj,
	struct cor_arena *a, struct cor_err *err) {
	autoscaling_v1_Scale scale;
	cor_buf_clear(&r->encode);
	if (!make_scale(res, obj, a, &scale) ||
		cor_json_encode(&cor_type_autoscaling_v1_Scale, &scale, &r->encode) < 0) {
		(void)cor_fail(err, COR_E_INTERNAL, "%s have no scale", res->plural);
		return (struct cor_str){ 0 };
	}
	return cor_arena_str(a, cor_buf_view(&r->encode));
}

static int step_load(struct op_run *x) {
	struct cor_op *op = x->op;
	int status;
	if (!cor_op_load(x, &status)) {
		char res[COR_RES_TEXT_MAX];
		return cor_fail_status(&op->err, COR_REASON_NOT_FOUND, "%s/scale \"%.*s\" not found",
			cor_resource_text(x->res, res), COR_STR_ARG(op->name));
	}
	if (status < 0 || op->verb != COR_VERB_PATCH)
		return status;
	struct cor_str json = cor_scale_json(x->r, x->storage, x->old, op->arena, &op->err);
	if (!json.p)
		return op->err.code;
	return cor_op_patch(x, &cor_type_autoscaling_v1_Scale, json, &op->obj);
}

static int step_take(struct op_run *x) {
	struct cor_op *op = x->op;
	const autoscaling_v1_Scale *s = op->obj;
	struct scale_parts p;
	if (!s)
		return cor_op_bad_request(x, "a Scale is required");
	if (!cor_str_eq(s->metadata.name, op->name))
		return cor_op_bad_request(x, "the name of the object (%.*s) does not match the name on the "
			"URL (%.*s)", COR_STR_ARG(s->metadata.name), COR_STR_ARG(op->name));
	struct cor_field_errors errs = COR_FIELD_ERRORS_INIT(op->arena);
	(void)cor_fe_not_negative(&errs, COR_ROOT("spec.replicas"), s->spec.replicas);
	int status = cor_op_invalid(x, &errs, "Scale", "autoscaling");
	if (status < 0)
		return status;
	x->obj = cor_obj_dup(x->type, x->old, op->arena);
	if (!x->obj || !find_parts(x->storage, x->obj, &p))
		return cor_fail(&op->err, COR_E_INTERNAL, "%s have no scale", x->storage->plural);
	*p.replicas = cor_arena_new_of(op->arena, int32_t);
	if (*p.replicas)
		**p.replicas = s->spec.replicas;
	cor_op_meta(x)->resourceVersion = s->metadata.resourceVersion;
	if (s->metadata.uid.n)
		cor_op_meta(x)->uid = s->metadata.uid;
	return OP_NEXT;
}

static int step_answer(struct op_run *x) {
	struct cor_op *op = x->op;
	void *obj = x->obj;
	if (op->result) {
		obj = cor_obj_decode(op->result, op->arena, &op->err);
		if (!obj)
			return op->err.code;
	}
	op->result_json = cor_scale_json(x->r, x->storage, obj, op->arena, &op->err);
	return op->result_json.p ? OP_NEXT : op->err.code;
}

const op_step cor_op_scale_steps[] = {
	step_load, step_take, cor_step_defaults, cor_step_admit, cor_step_preconditions,
	cor_step_keep_system, cor_step_prepare_update, cor_step_validate_update, cor_step_allocate,
	cor_step_store_update, step_answer, NULL,
};
