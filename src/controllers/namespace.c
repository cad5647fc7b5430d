// SPDX-License-Identifier: Apache-2.0
// Deletion of a namespace (facts/controllers.md section 11): first its pods, then everything else,
// then the finalizer. Conditions say what remains. Each round deletes what is there and is woken by
// what goes.
#include <stdio.h>

#include "codec/codec.h"
#include "controllers/pods.h"
#include "controllers/rows.h"

static const struct cor_str FINALIZER = COR_STR_INIT("kubernetes");

struct content {
	struct cor_plan *p;
	struct cor_str ns;
	enum cor_res res;
	size_t here, total;             /* of this resource, of all */
	struct cor_buf remaining;       /* "pods. has 2 resource instances, ..." */
};

static bool is_listed(const struct cor_resource *r) {
	return r->namespaced && r->stored && r->storage_id == r->id && (r->verbs & COR_VERB_DELETE);
}

static bool delete_one(void *arg, struct cor_obj *o) {
	struct content *c = arg;
	c->here++;
	if (!o->deleting) {
		struct cor_arena *a = cor_plan_arena(c->p);
		(void)cor_plan_delete(c->p, 1, c->res, cor_arena_str(a, o->ns), cor_arena_str(a, o->name),
			cor_arena_str(a, o->uid));
	}
	return true;
}

static void delete_all(struct content *c, enum cor_res res) {
	c->res = res;
	c->here = 0;
	cor_store_each(cor_plan_store(c->p), (uint16_t)res, c->ns, (struct cor_str){ 0 }, (struct cor_str){ 0 },
		delete_one, c);
	if (c->here == 0)
		return;
	c->total += c->here;
	cor_buf_printf(&c->remaining, "%s%s.%s has %zu resource instances", c->remaining.n > 0 ? ", " : "",
		cor_resources[res].plural, cor_resources[res].group, c->here);
}

/* ---- conditions ---- */

struct condition_text {
	const char *type, *ok_reason, *ok_message;
};

enum { COND_CONTENT_REMAINING = 3, COND_MAX = 5 };

static const struct condition_text conditions[COND_MAX] = {
	{ "NamespaceDeletionDiscoveryFailure", "ResourcesDiscovered", "All resources successfully discovered" },
	{ "NamespaceDeletionGroupVersionParsingFailure", "ParsedGroupVersions", "All legacy kube types successfully parsed" },
	{ "NamespaceDeletionContentFailure", "ContentDeleted",
		"All content successfully deleted, may be waiting on finalization" },
	{ "NamespaceContentRemaining", "ContentRemoved", "All content successfully removed" },
	{ "NamespaceFinalizersRemaining", "ContentHasNoFinalizers", "All content-preserving finalizers finished" },
};

static void fill(struct core_v1_NamespaceCondition *c, const struct condition_text *t, cor_time now) {
	*c = (struct core_v1_NamespaceCondition){
		.type = cor_str_c(t->type), .status = COR_STR("False"), .lastTransitionTime = now,
		.reason = cor_str_c(t->ok_reason), .message = cor_str_c(t->ok_message),
	};
}

static void keep_times(struct core_v1_NamespaceCondition *c, const struct core_v1_Namespace *ns) {
	for (size_t i = 0; i < ns->status.conditions.n; i++) {
		const struct core_v1_NamespaceCondition *old = &ns->status.conditions.p[i];
		if (cor_str_eq(old->type, c->type) && cor_str_eq(old->status, c->status))
			c->lastTransitionTime = old->lastTransitionTime;
	}
}

static void plan_status(struct cor_plan *p, const struct core_v1_Namespace *ns, const struct content *left) {
	struct cor_arena *a = cor_plan_arena(p);
	struct core_v1_Namespace *copy = cor_obj_dup(&cor_type_core_v1_Namespace, ns, a);
	struct core_v1_NamespaceCondition *c = cor_arena_array(a, struct core_v1_NamespaceCondition, COND_MAX);
	if (!copy || !c)
		return;
	for (size_t i = 0; i < COND_MAX; i++) {
		fill(&c[i], &conditions[i], cor_plan_now(p));
		if (i == COND_CONTENT_REMAINING && left->total > 0) {
			c[i].status = COR_STR("True");
			c[i].reason = COR_STR("SomeResourcesRemain");
			c[i].message = cor_arena_printf(a, "Some resources are remaining: %.*s",
				COR_STR_ARG(cor_buf_view(&left->remaining)));
		}
		keep_times(&c[i], ns);
	}
	copy->status.phase = COR_STR("Terminating");
	copy->status.conditions.p = c;
	copy->status.conditions.n = COND_MAX;
	if (!cor_obj_equal(&cor_type_core_v1_NamespaceStatus, &copy->status, &ns->status))
		(void)cor_plan_update_status(p, 0, COR_RES_NAMESPACES, copy);
}

/* ---- the plan ---- */

static bool has_finalizer(const struct core_v1_Namespace *ns) {
	for (size_t i = 0; i < ns->spec.finalizers.n; i++)
		if (cor_str_eq(ns->spec.finalizers.p[i], FINALIZER))
			return true;
	return false;
}

static void finalize(struct cor_plan *p, const struct core_v1_Namespace *ns) {
	struct core_v1_Namespace *copy = cor_obj_dup(&cor_type_core_v1_Namespace, ns, cor_plan_arena(p));
	if (!copy)
		return;
	size_t n = 0;
	for (size_t i = 0; i < copy->spec.finalizers.n; i++)
		if (!cor_str_eq(copy->spec.finalizers.p[i], FINALIZER))
			copy->spec.finalizers.p[n++] = copy->spec.finalizers.p[i];
	copy->spec.finalizers.n = n;
	struct cor_action *a = cor_plan_update(p, 1, COR_RES_NAMESPACES, copy);
	a->subresource = COR_STR("finalize");
	/* The status write of stage 0 made a new version. */
	a->expect_rv = (struct cor_str){ 0 };
	copy->metadata.resourceVersion = (struct cor_str){ 0 };
}

static int plan(struct cor_plan *p, struct cor_str none, struct cor_str name, struct cor_err *err) {
	const struct core_v1_Namespace *ns = cor_plan_get(p, COR_RES_NAMESPACES, none, name);
	if (!ns || !cor_deleting(&ns->metadata) || !has_finalizer(ns))
		return 0;
	struct content c = { .p = p, .ns = name };
	delete_all(&c, COR_RES_PODS);
	bool pods_gone = c.total == 0;
	for (size_t i = 0; pods_gone && i < cor_resources_n; i++)
		if (is_listed(&cor_resources[i]))
			delete_all(&c, (enum cor_res)i);
	plan_status(p, ns, &c);
	if (c.total == 0)
		finalize(p, ns);
	else
		cor_plan_waits(p, "%.*s", COR_STR_ARG(cor_buf_view(&c.remaining)));
	cor_buf_fini(&c.remaining);
	return 0;
}

/* Anything that goes may have been the last thing. */
static void map_content(struct cor_enqueue *q, struct cor_store *store, const struct cor_event *ev) {
	if (ev->type != COR_EVENT_DELETED)
		return;
	struct cor_obj *ns = cor_store_get(store, COR_RES_NAMESPACES, COR_STR(""), ev->obj->ns);
	if (ns && ns->deleting)
		cor_enqueue(q, COR_STR(""), ns->name);
}

const struct cor_controller cor_controller_namespace = {
	.name = "namespace",
	.res = COR_RES_NAMESPACES,
	.watches = { { COR_RES_NAMESPACES, NULL }, { COR_ANY_RES, map_content } },
	.n_watches = 2,
	.plan = plan,
};
