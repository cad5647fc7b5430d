// SPDX-License-Identifier: Apache-2.0
// Claims of a StatefulSet (facts/statefulset.md 1.1, 1.5): made before their pod and repaired while it
// is Pending; an existing claim of the right name is used whatever it looks like (the way a backup
// is restored); who owns it follows from the retention policy.
#include "controllers/statefulset_priv.h"

#include "codec/codec.h"

struct cor_str sts_claim_name(const struct sts *s, const struct core_v1_PersistentVolumeClaim *t, int32_t ordinal) {
	return cor_arena_printf(s->a, "%.*s-%.*s-%d", COR_STR_ARG(t->metadata.name),
		COR_STR_ARG(s->set->metadata.name), ordinal);
}

static const struct core_v1_PersistentVolumeClaim *get_claim(struct sts *s, struct cor_str name) {
	return cor_plan_get(s->p, COR_RES_PERSISTENTVOLUMECLAIMS, s->set->metadata.namespace, name);
}

struct claim_note {
	const struct apps_v1_StatefulSet *set;
	struct cor_str claim, pod;
};

static void note_claim(struct cor_plan *p, struct cor_action *a, const struct cor_op *op) {
	const struct claim_note *n = a->arg;
	struct cor_obj *set = cor_store_get(cor_plan_store(p), COR_RES_STATEFULSETS, n->set->metadata.namespace,
		n->set->metadata.name);
	if (!set || op->status == COR_E_EXISTS)
		return;
	struct cor_str text = op->status >= 0
		? cor_arena_printf(cor_plan_arena(p), "Create Claim %.*s Pod %.*s in StatefulSet %.*s success",
			COR_STR_ARG(n->claim), COR_STR_ARG(n->pod), COR_STR_ARG(n->set->metadata.name))
		: cor_arena_printf(cor_plan_arena(p),
			"Create Claim %.*s for Pod %.*s in StatefulSet %.*s failed error: %s", COR_STR_ARG(n->claim),
			COR_STR_ARG(n->pod), COR_STR_ARG(n->set->metadata.name), op->err.message);
	if (text.p)
		cor_event_record(cor_plan_registry(p), "statefulset-controller", COR_RES_STATEFULSETS, set,
			op->status >= 0 ? "Normal" : "Warning",
			op->status >= 0 ? "SuccessfulCreate" : "FailedCreate", text.p);
}

static void plan_claim(struct sts *s, const struct core_v1_PersistentVolumeClaim *t, struct cor_str name,
	int32_t ordinal) {
	struct core_v1_PersistentVolumeClaim *c = cor_obj_dup(&cor_type_core_v1_PersistentVolumeClaim, t, s->a);
	struct claim_note *note = cor_arena_new_of(s->a, struct claim_note);
	if (!c || !note)
		return;
	c->metadata.name = name;
	c->metadata.namespace = s->set->metadata.namespace;
	const struct cor_strmap *match = &s->set->spec.selector->matchLabels;
	for (size_t i = 0; i < match->n; i++)
		cor_strmap_set(s->a, &c->metadata.labels, match->p[i].key, match->p[i].value);
	*note = (struct claim_note){ s->set, name, sts_pod_name(s, ordinal) };
	struct cor_action *a = cor_plan_create(s->p, STS_STAGE_CLAIMS, COR_RES_PERSISTENTVOLUMECLAIMS, c);
	a->exists_ok = true;
	a->done = note_claim;
	a->arg = note;
}

/* A claim that the retention policy has given to an earlier pod of this name: the garbage collector
 * is about to remove it. */
static bool is_stale(const struct core_v1_PersistentVolumeClaim *c, struct cor_str pod_name) {
	for (size_t i = 0; i < c->metadata.ownerReferences.n; i++) {
		const struct meta_v1_OwnerReference *r = &c->metadata.ownerReferences.p[i];
		if (cor_str_eq(r->kind, COR_STR("Pod")) && cor_str_eq(r->name, pod_name))
			return true;
	}
	return false;
}

bool sts_ensure_claims(struct sts *s, int32_t ordinal) {
	bool ready = true;
	for (size_t i = 0; i < s->set->spec.volumeClaimTemplates.n; i++) {
		const struct core_v1_PersistentVolumeClaim *t = &s->set->spec.volumeClaimTemplates.p[i];
		struct cor_str name = sts_claim_name(s, t, ordinal);
		const struct core_v1_PersistentVolumeClaim *c = get_claim(s, name);
		if (!c) {
			plan_claim(s, t, name, ordinal);
		} else if (cor_deleting(&c->metadata)) {
			cor_plan_waits(s->p, "claim %.*s is being deleted", COR_STR_ARG(name));
			ready = false;
		}
	}
	return ready;
}

/* ---- owners ---- */

struct wanted {
	bool set, pod;
};

static struct wanted wanted_owners(const struct sts *s, bool in_range) {
	const apps_v1_StatefulSetPersistentVolumeClaimRetentionPolicy *r =
		s->set->spec.persistentVolumeClaimRetentionPolicy;
	bool scaled = r && cor_str_eq(r->whenScaled, COR_STR("Delete"));
	bool deleted = r && cor_str_eq(r->whenDeleted, COR_STR("Delete"));
	return (struct wanted){ .set = deleted && (!scaled || in_range), .pod = scaled && !in_range };
}

static bool is_true(const bool *b) {
	return b && *b;
}

struct refs {
	meta_v1_OwnerReference *p;
	size_t n;
};

/* Adds a reference the way the policy wants it. */
static void add_ref(struct sts *s, struct refs *out, enum cor_res res, const struct meta_v1_ObjectMeta *owner) {
	struct meta_v1_ObjectMeta m = { .ownerReferences = { .p = out->p, .n = out->n } };
	cor_add_controller_ref(s->a, &m, res, owner);
	out->p = m.ownerReferences.p;
	out->n = m.ownerReferences.n;
}

/* The references as they should be; true when that is a change. Foreign ones keep their place. */
static bool compute_refs(struct sts *s, const struct core_v1_PersistentVolumeClaim *c,
	const struct core_v1_Pod *pod, struct wanted want, struct refs *out) {
	struct wanted have = { 0 };
	bool changed = false;
	for (size_t i = 0; i < c->metadata.ownerReferences.n; i++) {
		const struct meta_v1_OwnerReference *r = &c->metadata.ownerReferences.p[i];
		bool of_set = cor_str_eq(r->uid, s->set->metadata.uid);
		bool of_pod = pod && cor_str_eq(r->uid, pod->metadata.uid);
		if (of_set || of_pod) {
			bool keep = of_set ? want.set : want.pod;
			if (!keep || !is_true(r->controller) || !is_true(r->blockOwnerDeletion)) {
				changed = true;
				continue;
			}
			have.set |= of_set;
			have.pod |= of_pod;
		}
		struct meta_v1_OwnerReference *slot = cor_arena_array(s->a, struct meta_v1_OwnerReference, out->n + 1);
		if (!slot)
			return false;
		if (out->n > 0)
			memcpy(slot, out->p, out->n * sizeof(*slot));
		slot[out->n] = *r;
		out->p = slot;
		out->n++;
	}
	if (want.set && !have.set) {
		add_ref(s, out, COR_RES_STATEFULSETS, &s->set->metadata);
		changed = true;
	}
	if (want.pod && !have.pod && pod) {
		add_ref(s, out, COR_RES_PODS, &pod->metadata);
		changed = true;
	}
	return changed;
}

static bool foreign_controller(const struct sts *s, const struct core_v1_PersistentVolumeClaim *c,
	const struct core_v1_Pod *pod) {
	const struct meta_v1_OwnerReference *r = cor_controller_ref(&c->metadata);
	return r && !cor_str_eq(r->uid, s->set->metadata.uid) &&
		!(pod && cor_str_eq(r->uid, pod->metadata.uid));
}

static void fix_owner(struct sts *s, const struct core_v1_PersistentVolumeClaim *c, const struct core_v1_Pod *pod,
	int32_t ordinal, bool in_range) {
	struct wanted want = wanted_owners(s, in_range);
	if (is_stale(c, sts_pod_name(s, ordinal)) && !(pod && cor_controlled_by(&c->metadata, &pod->metadata)))
		return;
	if (foreign_controller(s, c, pod)) {
		if (want.set || want.pod)
			cor_plan_event(s->p, STS_STAGE_CLAIMS, COR_RES_STATEFULSETS, s->set, "Warning",
				"ConflictingController",
				"PersistentVolumeClaim %.*s has a conflicting OwnerReference that acts as a manging "
				"controller, the retention policy is ignored for this claim",
				COR_STR_ARG(c->metadata.name));
		want = (struct wanted){ 0 };
	}
	struct refs refs = { 0 };
	if (!compute_refs(s, c, pod, want, &refs))
		return;
	struct core_v1_PersistentVolumeClaim *copy = cor_obj_dup(&cor_type_core_v1_PersistentVolumeClaim, c, s->a);
	if (!copy)
		return;
	copy->metadata.ownerReferences.p = refs.p;
	copy->metadata.ownerReferences.n = refs.n;
	(void)cor_plan_update(s->p, STS_STAGE_CLAIMS, COR_RES_PERSISTENTVOLUMECLAIMS, copy);
}

void sts_claim_owners(struct sts *s, const struct core_v1_Pod *pod, int32_t ordinal, bool in_range) {
	for (size_t i = 0; i < s->set->spec.volumeClaimTemplates.n; i++) {
		struct cor_str name = sts_claim_name(s, &s->set->spec.volumeClaimTemplates.p[i], ordinal);
		const struct core_v1_PersistentVolumeClaim *c = get_claim(s, name);
		if (c && !cor_deleting(&c->metadata))
			fix_owner(s, c, pod, ordinal, in_range);
	}
}

/* ---- volumes ---- */

static bool is_claim_template(const struct sts *s, struct cor_str volume) {
	for (size_t i = 0; i < s->set->spec.volumeClaimTemplates.n; i++)
		if (cor_str_eq(s->set->spec.volumeClaimTemplates.p[i].metadata.name, volume))
			return true;
	return false;
}

void sts_pod_volumes(struct sts *s, struct core_v1_Pod *pod, int32_t ordinal) {
	size_t claims = s->set->spec.volumeClaimTemplates.n, n = 0;
	struct core_v1_Volume *v = cor_arena_array(s->a, struct core_v1_Volume, claims + pod->spec.volumes.n);
	if (!v || claims == 0)
		return;
	for (size_t i = 0; i < claims; i++) {
		const struct core_v1_PersistentVolumeClaim *t = &s->set->spec.volumeClaimTemplates.p[i];
		struct core_v1_PersistentVolumeClaimVolumeSource *src =
			cor_arena_new_of(s->a, struct core_v1_PersistentVolumeClaimVolumeSource);
		if (!src)
			return;
		src->claimName = sts_claim_name(s, t, ordinal);
		v[n].name = t->metadata.name;
		v[n++].persistentVolumeClaim = src;
	}
	for (size_t i = 0; i < pod->spec.volumes.n; i++)
		if (!is_claim_template(s, pod->spec.volumes.p[i].name))
			v[n++] = pod->spec.volumes.p[i];
	pod->spec.volumes.p = v;
	pod->spec.volumes.n = n;
}
