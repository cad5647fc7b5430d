// SPDX-License-Identifier: Apache-2.0
// Shared by the workload controllers: see pods.h.
#include "controllers/pods.h"

#include <stdio.h>

#include "api/meta.h"
#include "base/log.h"
#include "codec/codec.h"

const struct core_v1_PodCondition *cor_pod_condition(const struct core_v1_Pod *pod, struct cor_str type) {
	for (size_t i = 0; i < pod->status.conditions.n; i++)
		if (cor_str_eq(pod->status.conditions.p[i].type, type))
			return &pod->status.conditions.p[i];
	return NULL;
}

static const struct core_v1_PodCondition *ready_condition(const struct core_v1_Pod *pod) {
	const struct core_v1_PodCondition *c = cor_pod_condition(pod, COR_STR("Ready"));
	return c && cor_str_eq(c->status, COR_STR("True")) ? c : NULL;
}

bool cor_pod_ready(const struct core_v1_Pod *pod) {
	return ready_condition(pod) != NULL;
}

bool cor_pod_available(const struct core_v1_Pod *pod, int32_t min_ready_s, cor_time now, cor_time *ret_when) {
	const struct core_v1_PodCondition *c = ready_condition(pod);
	if (!c)
		return false;
	if (min_ready_s <= 0)
		return true;
	cor_time when = c->lastTransitionTime + min_ready_s * COR_SECOND;
	if (when <= now)
		return true;
	if (ret_when && (*ret_when == 0 || when < *ret_when))
		*ret_when = when;
	return false;
}

bool cor_pod_finished(const struct core_v1_Pod *pod) {
	return cor_str_eq(pod->status.phase, COR_STR("Failed")) ||
		cor_str_eq(pod->status.phase, COR_STR("Succeeded"));
}

bool cor_deleting(const struct meta_v1_ObjectMeta *m) {
	return m->deletionTimestamp != 0;
}

const struct core_v1_Toleration *cor_toleration(const struct core_v1_Pod *pod, const struct core_v1_Taint *taint) {
	for (size_t i = 0; i < pod->spec.tolerations.n; i++) {
		const struct core_v1_Toleration *t = &pod->spec.tolerations.p[i];
		bool exists = cor_str_eq(t->operator, COR_STR("Exists"));
		if (t->effect.n > 0 && !cor_str_eq(t->effect, taint->effect))
			continue;
		if (t->key.n > 0 ? !cor_str_eq(t->key, taint->key) : !exists)
			continue;
		if (exists || cor_str_eq(t->value, taint->value))
			return t;
	}
	return NULL;
}

void cor_pod_set_condition(struct cor_arena *a, struct core_v1_Pod *pod, const struct core_v1_PodCondition *c,
	cor_time now) {
	struct core_v1_PodCondition *slot = (struct core_v1_PodCondition *)(uintptr_t)cor_pod_condition(pod, c->type);
	cor_time since = slot && cor_str_eq(slot->status, c->status) ? slot->lastTransitionTime : now;
	if (!slot) {
		struct core_v1_PodCondition *p = cor_arena_array(a, struct core_v1_PodCondition, pod->status.conditions.n + 1);
		if (!p)
			return;
		for (size_t i = 0; i < pod->status.conditions.n; i++)
			p[i] = pod->status.conditions.p[i];
		slot = &p[pod->status.conditions.n++];
		pod->status.conditions.p = p;
	}
	*slot = *c;
	slot->lastTransitionTime = since;
}

int32_t cor_intstr_of(struct cor_intstr v, int32_t total, int32_t absent, bool up) {
	int64_t percent;
	if (v.kind == COR_INTSTR_INT)
		return v.i;
	if (v.kind == COR_INTSTR_NONE || v.s.n < 2 ||
	    !cor_str_to_i64(cor_str_sub(v.s, 0, v.s.n - 1), &percent))
		return absent;
	return (int32_t)((percent * total + (up ? 99 : 0)) / 100);
}

bool cor_pod_active(const struct core_v1_Pod *pod) {
	return !cor_pod_finished(pod) && !cor_deleting(&pod->metadata);
}

struct cor_str cor_strmap_value(const struct cor_strmap *m, struct cor_str key) {
	const struct cor_str *v = cor_strmap_get(m, key);
	return v ? *v : (struct cor_str){ 0 };
}

/* ---- owners ---- */

const struct meta_v1_OwnerReference *cor_controller_ref(const struct meta_v1_ObjectMeta *m) {
	for (size_t i = 0; i < m->ownerReferences.n; i++) {
		const struct meta_v1_OwnerReference *r = &m->ownerReferences.p[i];
		if (r->controller && *r->controller)
			return r;
	}
	return NULL;
}

bool cor_controlled_by(const struct meta_v1_ObjectMeta *m, const struct meta_v1_ObjectMeta *owner) {
	const struct meta_v1_OwnerReference *r = cor_controller_ref(m);
	return r && cor_str_eq(r->uid, owner->uid);
}

static bool *arena_true(struct cor_arena *a) {
	bool *b = cor_arena_new_of(a, bool);
	if (b)
		*b = true;
	return b;
}

void cor_add_controller_ref(struct cor_arena *a, struct meta_v1_ObjectMeta *m, enum cor_res owner_res,
	const struct meta_v1_ObjectMeta *owner) {
	const struct cor_resource *res = &cor_resources[owner_res];
	char version[128];
	size_t version_n = cor_type_api_version(res->type, version, sizeof(version));
	size_t n = m->ownerReferences.n;
	struct meta_v1_OwnerReference *p = cor_arena_array(a, struct meta_v1_OwnerReference, n + 1);
	if (!p)
		return;
	for (size_t i = 0; i < n; i++)
		p[i] = m->ownerReferences.p[i];
	p[n] = (struct meta_v1_OwnerReference){
		.apiVersion = cor_arena_str(a, (struct cor_str){ version, version_n }),
		.kind = cor_str_c(res->kind),
		.name = owner->name,
		.uid = owner->uid,
		.controller = arena_true(a),
		.blockOwnerDeletion = arena_true(a),
	};
	m->ownerReferences.p = p;
	m->ownerReferences.n = n + 1;
}

struct core_v1_Pod *cor_pod_from_template(struct cor_plan *p, const struct core_v1_PodTemplateSpec *t,
	enum cor_res owner_res, const struct meta_v1_ObjectMeta *owner) {
	struct cor_arena *a = cor_plan_arena(p);
	struct core_v1_Pod *pod = cor_arena_new_of(a, struct core_v1_Pod);
	struct core_v1_PodTemplateSpec *copy = cor_obj_dup(&cor_type_core_v1_PodTemplateSpec, t, a);
	if (!pod || !copy)
		return NULL;
	pod->metadata.namespace = owner->namespace;
	pod->metadata.generateName = cor_arena_printf(a, "%.*s-", COR_STR_ARG(owner->name));
	pod->metadata.labels = copy->metadata.labels;
	pod->metadata.annotations = copy->metadata.annotations;
	pod->metadata.finalizers.p = copy->metadata.finalizers.p;
	pod->metadata.finalizers.n = copy->metadata.finalizers.n;
	pod->spec = copy->spec;
	cor_add_controller_ref(a, &pod->metadata, owner_res, owner);
	return pod;
}

bool cor_has_finalizer(const struct meta_v1_ObjectMeta *m, struct cor_str finalizer) {
	for (size_t i = 0; i < m->finalizers.n; i++)
		if (cor_str_eq(m->finalizers.p[i], finalizer))
			return true;
	return false;
}

void cor_drop_finalizer(struct cor_plan *p, int stage, enum cor_res res, const struct meta_v1_ObjectMeta *m,
	struct cor_str finalizer) {
	_cleanup_buf_ struct cor_buf b = COR_BUF_INIT;
	bool first = true;
	cor_buf_c(&b, "{\"metadata\":{\"finalizers\":[");
	for (size_t i = 0; i < m->finalizers.n; i++) {
		if (cor_str_eq(m->finalizers.p[i], finalizer))
			continue;
		cor_buf_c(&b, first ? "" : ",");
		cor_json_write_str(&b, m->finalizers.p[i]);
		first = false;
	}
	cor_buf_c(&b, "]}}");
	struct cor_action *a = cor_plan_patch(p, stage, res, (struct cor_str){ 0 }, m->namespace, m->name,
		cor_arena_str(cor_plan_arena(p), cor_buf_view(&b)));
	a->expect_uid = m->uid;
	a->expect_rv = m->resourceVersion;
}

/* ---- events ---- */

struct note {
	const char *component;
	enum cor_res owner_res;
	const struct meta_v1_ObjectMeta *owner;
	struct cor_str pod;
};

static void note_done(struct cor_plan *p, struct cor_action *action, const struct cor_op *op) {
	const struct note *n = action->arg;
	struct cor_obj *owner = cor_store_get(cor_plan_store(p), (uint16_t)n->owner_res, n->owner->namespace,
		n->owner->name);
	bool ok = op->status >= 0, create = action->verb == COR_VERB_CREATE;
	if (!owner || op->status == COR_E_CONFLICT || op->status == COR_E_NOT_FOUND)
		return;
	struct cor_str pod = ok && create && op->result ? op->result->name : n->pod;
	struct cor_str text = ok
		? cor_arena_printf(cor_plan_arena(p), "%s pod: %.*s", create ? "Created" : "Deleted", COR_STR_ARG(pod))
		: cor_arena_printf(cor_plan_arena(p), "Error %s: %s", create ? "creating" : "deleting", op->err.message);
	const char *reason = create ? (ok ? "SuccessfulCreate" : "FailedCreate")
		: (ok ? "SuccessfulDelete" : "FailedDelete");
	if (text.p)
		cor_event_record(cor_plan_registry(p), n->component, n->owner_res, owner, ok ? "Normal" : "Warning",
			reason, text.p);
}

void cor_pod_note(struct cor_plan *p, struct cor_action *action, const char *component, enum cor_res owner_res,
	const struct meta_v1_ObjectMeta *owner, struct cor_str pod_name) {
	struct note *n = cor_arena_new_of(cor_plan_arena(p), struct note);
	if (!n)
		return;
	*n = (struct note){ component, owner_res, owner, pod_name };
	action->done = note_done;
	action->arg = n;
}

/* ---- claiming ---- */

static void write_owner_ref(struct cor_buf *b, const struct meta_v1_OwnerReference *r) {
	(void)cor_json_encode(&cor_type_meta_v1_OwnerReference, r, b);
}

/* A merge patch replaces lists as a whole, so it carries the list and the version it was made of. */
static void patch_refs(struct cor_plan *p, const struct cor_claim *c, const struct meta_v1_ObjectMeta *m,
	const struct meta_v1_OwnerReference *refs, size_t n) {
	_cleanup_buf_ struct cor_buf b = COR_BUF_INIT;
	cor_buf_c(&b, "{\"metadata\":{\"ownerReferences\":[");
	for (size_t i = 0; i < n; i++) {
		if (i > 0)
			cor_buf_byte(&b, ',');
		write_owner_ref(&b, &refs[i]);
	}
	cor_buf_c(&b, "]}}");
	struct cor_action *a = cor_plan_patch(p, 0, c->res, (struct cor_str){ 0 }, m->namespace, m->name,
		cor_arena_str(cor_plan_arena(p), cor_buf_view(&b)));
	a->expect_uid = m->uid;
	a->expect_rv = m->resourceVersion;
}

static void adopt(struct cor_plan *p, const struct cor_claim *c, const struct meta_v1_ObjectMeta *m) {
	struct meta_v1_ObjectMeta with = *m;
	cor_add_controller_ref(cor_plan_arena(p), &with, c->owner_res, c->owner);
	patch_refs(p, c, m, with.ownerReferences.p, with.ownerReferences.n);
}

static void release(struct cor_plan *p, const struct cor_claim *c, const struct meta_v1_ObjectMeta *m) {
	struct { struct meta_v1_OwnerReference *p; size_t n; } rest = { 0 };
	for (size_t i = 0; i < m->ownerReferences.n; i++) {
		if (cor_str_eq(m->ownerReferences.p[i].uid, c->owner->uid))
			continue;
		struct meta_v1_OwnerReference *r = cor_arena_push(cor_plan_arena(p), &rest);
		if (r)
			*r = m->ownerReferences.p[i];
	}
	patch_refs(p, c, m, rest.p, rest.n);
}

/* What to do with one object (facts/controllers.md 1.9); true = it is ours now. */
static bool claim_one(struct cor_plan *p, const struct cor_claim *c, const struct meta_v1_ObjectMeta *m) {
	const struct meta_v1_OwnerReference *ref = cor_controller_ref(m);
	bool matches = cor_selector_matches(c->selector, &m->labels) &&
		(!c->adoptable || c->adoptable(m, c->owner));
	if (ref) {
		if (!cor_str_eq(ref->uid, c->owner->uid))
			return false;
		if (!matches && !cor_deleting(c->owner)) {
			release(p, c, m);
			return false;
		}
		return matches;
	}
	if (!matches || cor_deleting(m) || cor_deleting(c->owner))
		return false;
	adopt(p, c, m);
	return true;
}

struct cor_objects cor_claim_dependents(struct cor_plan *p, const struct cor_claim *c) {
	struct cor_objects owned = cor_plan_list_owned(p, c->res, c->owner->namespace, c->owner->uid);
	struct cor_objects matching = cor_plan_list_selected(p, c->res, c->owner->namespace, c->selector);
	const struct cor_type *type = cor_resources[c->res].type;
	struct { const void **p; size_t n; } typed = { 0 };
	struct { struct cor_obj **p; size_t n; } blobs = { 0 };
	for (size_t pass = 0; pass < 2; pass++) {
		const struct cor_objects *from = pass == 0 ? &owned : &matching;
		for (size_t i = 0; i < from->n; i++) {
			const struct meta_v1_ObjectMeta *m = cor_meta_const(type, from->p[i]);
			/* First those that are ours; then orphans. The others belong elsewhere. */
			if (pass == 0 ? !cor_controlled_by(m, c->owner) : cor_controller_ref(m) != NULL)
				continue;
			if (!claim_one(p, c, m))
				continue;
			const void **slot = cor_arena_push(cor_plan_arena(p), &typed);
			struct cor_obj **blob = cor_arena_push(cor_plan_arena(p), &blobs);
			if (!slot || !blob)
				break;
			*slot = from->p[i];
			*blob = from->blob[i];
		}
	}
	return (struct cor_objects){ .p = typed.p, .blob = blobs.p, .n = typed.n };
}

struct orphan_search {
	struct cor_enqueue *q;
	struct cor_arena *arena;
	const struct cor_obj *orphan;
	const struct meta_v1_LabelSelector *(*selector_of)(const void *owner);
};

static bool wake_if_matching(void *arg, struct cor_obj *o) {
	struct orphan_search *s = arg;
	struct cor_err err;
	const void *owner = cor_enqueue_read(s->q, o);
	const struct meta_v1_LabelSelector *ls = owner ? s->selector_of(owner) : NULL;
	struct cor_selector sel;
	if (ls && cor_selector_from_labels(s->arena, ls, &sel, &err) >= 0 &&
	    cor_selector_matches(&sel, &s->orphan->labels))
		cor_enqueue(s->q, o->ns, o->name);
	return true;
}

static bool has_controller(const struct cor_obj *o) {
	for (size_t i = 0; i < o->owners.n; i++)
		if (o->owners.p[i].controller)
			return true;
	return false;
}

void cor_map_orphan(struct cor_enqueue *q, struct cor_store *store, const struct cor_event *ev,
	enum cor_res owner_res, const struct meta_v1_LabelSelector *(*selector_of)(const void *owner)) {
	if (ev->type == COR_EVENT_DELETED || has_controller(ev->obj))
		return;
	_cleanup_(cor_arena_freep) struct cor_arena *a = cor_arena_new(0);
	struct orphan_search s = { q, a, ev->obj, selector_of };
	cor_store_each(store, (uint16_t)owner_res, ev->obj->ns, (struct cor_str){ 0 }, (struct cor_str){ 0 },
		wake_if_matching, &s);
}

/* ---- names ---- */

void cor_safe_name(uint32_t value, char out[11]) {
	static const char alphabet[] = "bcdfghjklmnpqrstvwxz2456789";
	char decimal[11];
	int n = snprintf(decimal, sizeof(decimal), "%u", value);
	for (int i = 0; i < n; i++)
		out[i] = alphabet[(unsigned char)decimal[i] % (sizeof(alphabet) - 1)];
	out[n] = '\0';
}

uint32_t cor_fnv1a(uint32_t h, const void *p, size_t n) {
	const unsigned char *b = p;
	for (size_t i = 0; i < n; i++)
		h = (h ^ b[i]) * 16777619u;
	return h;
}
