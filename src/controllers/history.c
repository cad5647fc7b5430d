// SPDX-License-Identifier: Apache-2.0
// ControllerRevisions: see history.h. A revision is found by comparing templates as the API means
// them, not their bytes, so that an upgrade of Coracle that prints a field differently never
// rolls anybody's set.
#include "controllers/history.h"

#include <stdio.h>

#include "api/meta.h"
#include "codec/codec.h"

enum { NAME_PREFIX_MAX = 223 };

static const struct cor_str HASH_LABEL = COR_STR_INIT("controller.kubernetes.io/hash");

/* {"spec":{"template":{"$patch":"replace",...}}}, keys in order. */
static struct cor_str template_data(struct cor_arena *a, const struct core_v1_PodTemplateSpec *t) {
	_cleanup_buf_ struct cor_buf json = COR_BUF_INIT;
	(void)cor_json_encode(&cor_type_core_v1_PodTemplateSpec, t, &json);
	struct cor_str body = cor_str_sub(cor_buf_view(&json), 1, json.n - 1);
	return cor_arena_printf(a, "{\"spec\":{\"template\":{\"$patch\":\"replace\"%s%.*s}}",
		body.n > 1 ? "," : "", COR_STR_ARG(body));
}

const struct core_v1_PodTemplateSpec *cor_history_template(struct cor_plan *p,
	const struct apps_v1_ControllerRevision *rev) {
	struct cor_decode d = { .arena = cor_plan_arena(p) };
	void *set = NULL;
	struct cor_err err;
	/* A DaemonSet's data has the same shape. */
	if (cor_json_decode_new(&cor_type_apps_v1_StatefulSet, rev->data, &set, &d, &err) < 0)
		return NULL;
	return &((struct apps_v1_StatefulSet *)set)->spec.template;
}

static int by_revision(const void *a, const void *b) {
	const struct apps_v1_ControllerRevision *x = *(const struct apps_v1_ControllerRevision *const *)a;
	const struct apps_v1_ControllerRevision *y = *(const struct apps_v1_ControllerRevision *const *)b;
	if (x->revision != y->revision)
		return x->revision < y->revision ? -1 : 1;
	if (x->metadata.creationTimestamp != y->metadata.creationTimestamp)
		return x->metadata.creationTimestamp < y->metadata.creationTimestamp ? -1 : 1;
	return cor_str_cmp(x->metadata.name, y->metadata.name);
}

static struct cor_str revision_name(struct cor_arena *a, struct cor_str owner, uint32_t hash, char out[11]) {
	cor_safe_name(hash, out);
	return cor_arena_printf(a, "%.*s-%s", (int)(owner.n < NAME_PREFIX_MAX ? owner.n : NAME_PREFIX_MAX),
		owner.p, out);
}

static const struct apps_v1_ControllerRevision *plan_new(struct cor_plan *p, const struct cor_history_owner *o,
	struct cor_str data, int64_t number, int32_t *collisions) {
	struct cor_arena *a = cor_plan_arena(p);
	struct apps_v1_ControllerRevision *r = cor_arena_new_of(a, struct apps_v1_ControllerRevision);
	if (!r)
		return NULL;
	char hash[11];
	for (;; (*collisions)++) {
		uint32_t h = cor_fnv1a(COR_FNV_INIT, data.p, data.n);
		struct cor_str salt = cor_arena_printf(a, "%d", *collisions);
		h = cor_fnv1a(h, salt.p, salt.n);
		r->metadata.name = revision_name(a, o->meta->name, h, hash);
		/* A foreign object of that name, or another template with the same hash. */
		if (cor_arena_failed(a) ||
		    !cor_plan_get(p, COR_RES_CONTROLLERREVISIONS, o->meta->namespace, r->metadata.name))
			break;
	}
	r->metadata.namespace = o->meta->namespace;
	r->metadata.labels = o->template->metadata.labels;
	cor_strmap_set(a, &r->metadata.labels, HASH_LABEL, cor_arena_str(a, cor_str_c(hash)));
	r->metadata.annotations = o->meta->annotations;
	cor_add_controller_ref(a, &r->metadata, o->res, o->meta);
	r->data = data;
	r->revision = number;
	(void)cor_plan_create(p, 0, COR_RES_CONTROLLERREVISIONS, r);
	return r;
}

/* A rollback: the older revision is used again, under the highest number. */
static const struct apps_v1_ControllerRevision *plan_bump(struct cor_plan *p,
	const struct apps_v1_ControllerRevision *old, int64_t number) {
	struct apps_v1_ControllerRevision *r =
		cor_obj_dup(&cor_type_apps_v1_ControllerRevision, old, cor_plan_arena(p));
	if (!r)
		return NULL;
	r->revision = number;
	(void)cor_plan_update(p, 0, COR_RES_CONTROLLERREVISIONS, r);
	return r;
}

static const struct apps_v1_ControllerRevision *find_equal(struct cor_plan *p, const struct cor_history *h,
	const struct core_v1_PodTemplateSpec *want) {
	for (size_t i = h->n; i-- > 0;) {
		const struct core_v1_PodTemplateSpec *t = cor_history_template(p, h->p[i]);
		if (t && cor_obj_equal(&cor_type_core_v1_PodTemplateSpec, t, want))
			return h->p[i];
	}
	return NULL;
}

int cor_history_sync(struct cor_plan *p, const struct cor_history_owner *o, struct cor_history *ret,
	struct cor_err *err) {
	struct cor_claim claim = {
		.res = COR_RES_CONTROLLERREVISIONS, .owner_res = o->res, .owner = o->meta, .selector = o->selector,
	};
	struct cor_objects revs = cor_claim_dependents(p, &claim);
	*ret = (struct cor_history){
		.p = (const struct apps_v1_ControllerRevision **)revs.p, .n = revs.n, .collisions = o->collisions,
	};
	if (ret->n > 1)
		qsort(ret->p, ret->n, sizeof(*ret->p), by_revision);
	int64_t next = ret->n > 0 ? ret->p[ret->n - 1]->revision + 1 : 1;
	const struct apps_v1_ControllerRevision *equal = find_equal(p, ret, o->template);
	bool going = cor_deleting(o->meta);
	/* One that is deleted with its dependents left behind loses its revisions one by one; each new
	 * one would be taken away too, and that for ever. */
	if (!equal && going)
		return 0;
	if (!equal)
		ret->update = plan_new(p, o, template_data(cor_plan_arena(p), o->template), next, &ret->collisions);
	else if (going || equal == ret->p[ret->n - 1])
		ret->update = equal;
	else
		ret->update = plan_bump(p, equal, next);
	if (!ret->update)
		return cor_fail(err, COR_E_LIMIT, "out of memory for revisions");
	ret->current = ret->update;
	for (size_t i = 0; i < ret->n; i++)
		if (cor_str_eq(ret->p[i]->metadata.name, o->current) &&
		    !cor_str_eq(o->current, ret->update->metadata.name))
			ret->current = ret->p[i];
	return 0;
}

void cor_history_truncate(struct cor_plan *p, const struct cor_history *h, int32_t limit,
	bool (*in_use)(void *arg, struct cor_str revision_name), void *arg) {
	if (limit < 0)
		return;
	size_t spare = 0;
	for (size_t i = 0; i < h->n; i++)
		if (!in_use(arg, h->p[i]->metadata.name))
			spare++;
	for (size_t i = 0; i < h->n && spare > (size_t)limit; i++) {
		const struct meta_v1_ObjectMeta *m = &h->p[i]->metadata;
		if (in_use(arg, m->name) || cor_deleting(m))
			continue;
		(void)cor_plan_delete(p, 0, COR_RES_CONTROLLERREVISIONS, m->namespace, m->name, m->uid);
		spare--;
	}
}
