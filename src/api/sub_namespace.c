// SPDX-License-Identifier: Apache-2.0
// namespaces/finalize: the only way to change spec.finalizers of a namespace. Taking the last one
// off a namespace that is being deleted removes it.
#include "api/subresources.h"
#include "gen/core_v1.h"

static int step_take(struct op_run *x) {
	int status;
	if (!cor_op_load(x, &status))
		return cor_op_not_found(x);
	if (status < 0)
		return status;
	const core_v1_Namespace *given = x->op->obj;
	if (!given || !cor_str_eq(given->metadata.name, x->op->name))
		return cor_op_bad_request(x, "the name of the object does not match the name on the URL");
	core_v1_Namespace *ns = cor_obj_dup(x->type, x->old, x->op->arena);
	if (!ns)
		return cor_fail(&x->op->err, COR_E_LIMIT, "the object is too large");
	ns->spec.finalizers.p = given->spec.finalizers.p;
	ns->spec.finalizers.n = given->spec.finalizers.n;
	ns->metadata.resourceVersion = given->metadata.resourceVersion;
	ns->metadata.uid = given->metadata.uid;
	x->obj = ns;
	return OP_NEXT;
}

const op_step cor_sub_finalize_steps[] = {
	step_take, cor_step_preconditions, cor_step_keep_system, cor_step_store_update, NULL,
};
