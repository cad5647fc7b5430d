// SPDX-License-Identifier: Apache-2.0
// The volumes' side of binding (facts/controllers.md 17.6), and protection of claims and volumes that are
// in use (17.7). A local volume is deleted in two steps: this controller deletes the object, the node
// agent of the volume's node removes the data and takes its finalizer away.
#include "codec/codec.h"
#include "controllers/pv_priv.h"
#include "controllers/rows.h"

static const struct cor_str PV_PROTECTION = COR_STR_INIT("kubernetes.io/pv-protection");
static const struct cor_str PVC_PROTECTION = COR_STR_INIT("kubernetes.io/pvc-protection");

static void set_phase(struct cor_plan *p, const struct core_v1_PersistentVolume *pv, const char *phase) {
	if (cor_str_eq_c(pv->status.phase, phase))
		return;
	struct cor_action *a = cor_plan_patch(p, 0, COR_RES_PERSISTENTVOLUMES, COR_STR("status"), (struct cor_str){ 0 },
		pv->metadata.name, cor_arena_printf(cor_plan_arena(p), "{\"status\":{\"phase\":\"%s\"}}", phase));
	a->expect_uid = pv->metadata.uid;
}

/* ---- reclaim ---- */

static bool is_local(const struct core_v1_PersistentVolume *pv) {
	return pv->spec.csi && cor_str_eq(pv->spec.csi->driver, COR_STR(COR_LOCAL_DRIVER));
}

static void reclaim(struct cor_plan *p, const struct core_v1_PersistentVolume *pv) {
	set_phase(p, pv, "Released");
	/* Other drivers' volumes are deleted by those who provisioned them. */
	if (cor_str_eq(pv->spec.persistentVolumeReclaimPolicy, COR_STR("Delete")) && is_local(pv) &&
	    !cor_deleting(&pv->metadata))
		(void)cor_plan_delete(p, 1, COR_RES_PERSISTENTVOLUMES, COR_STR(""), pv->metadata.name, pv->metadata.uid);
	else if (cor_str_eq(pv->spec.persistentVolumeReclaimPolicy, COR_STR("Recycle")))
		cor_plan_event(p, 0, COR_RES_PERSISTENTVOLUMES, pv, "Warning", "VolumeFailedRecycle",
			"No recycler plugin found for the volume!");
}

static struct cor_str pinned_node(const struct core_v1_PersistentVolume *pv) {
	const struct core_v1_NodeSelector *sel = pv->spec.nodeAffinity ? pv->spec.nodeAffinity->required : NULL;
	if (!sel || sel->nodeSelectorTerms.n != 1 || sel->nodeSelectorTerms.p[0].matchExpressions.n != 1 ||
	    sel->nodeSelectorTerms.p[0].matchExpressions.p[0].values.n != 1)
		return (struct cor_str){ 0 };
	return sel->nodeSelectorTerms.p[0].matchExpressions.p[0].values.p[0];
}

static bool node_exists(struct cor_plan *p, struct cor_str hostname) {
	struct cor_objects nodes = cor_plan_list(p, COR_RES_NODES, (struct cor_str){ 0 });
	for (size_t i = 0; i < nodes.n; i++) {
		const struct core_v1_Node *n = nodes.p[i];
		if (cor_str_eq(cor_strmap_value(&n->metadata.labels, COR_STR("kubernetes.io/hostname")), hostname) ||
		    cor_str_eq(n->metadata.name, hostname))
			return true;
	}
	return false;
}

/* The claim that the volume names, if it is still the same one. */
static const struct core_v1_PersistentVolumeClaim *claim_of(struct cor_plan *p, const struct core_v1_PersistentVolume *pv) {
	const struct core_v1_ObjectReference *r = pv->spec.claimRef;
	const struct core_v1_PersistentVolumeClaim *c =
		cor_plan_get(p, COR_RES_PERSISTENTVOLUMECLAIMS, r->namespace, r->name);
	return c && (r->uid.n == 0 || cor_str_eq(r->uid, c->metadata.uid)) ? c : NULL;
}

static void plan_deleting(struct cor_plan *p, const struct core_v1_PersistentVolume *pv) {
	bool in_use = pv->spec.claimRef && claim_of(p, pv);
	if (!in_use && cor_has_finalizer(&pv->metadata, PV_PROTECTION))
		cor_drop_finalizer(p, 0, COR_RES_PERSISTENTVOLUMES, &pv->metadata, PV_PROTECTION);
	else if (!in_use && is_local(pv) && cor_has_finalizer(&pv->metadata, COR_STR(COR_LOCAL_FINALIZER)) &&
		 !node_exists(p, pinned_node(pv)))
		/* The node went, and the data with it. */
		cor_drop_finalizer(p, 0, COR_RES_PERSISTENTVOLUMES, &pv->metadata, COR_STR(COR_LOCAL_FINALIZER));
}

static int plan_volume(struct cor_plan *p, struct cor_str none, struct cor_str name, struct cor_err *err) {
	const struct core_v1_PersistentVolume *pv = cor_plan_get(p, COR_RES_PERSISTENTVOLUMES, none, name);
	if (!pv)
		return 0;
	if (cor_deleting(&pv->metadata)) {
		plan_deleting(p, pv);
		return 0;
	}
	const struct core_v1_ObjectReference *r = pv->spec.claimRef;
	const struct core_v1_PersistentVolumeClaim *c = r ? claim_of(p, pv) : NULL;
	if (!r || (!c && r->uid.n == 0))
		set_phase(p, pv, "Available");
	else if (!c)
		reclaim(p, pv);
	else if (cor_str_eq(c->spec.volumeName, name))
		set_phase(p, pv, "Bound");
	return 0;
}

static void map_claim_volume(struct cor_enqueue *q, struct cor_store *store, const struct cor_event *ev) {
	_cleanup_(cor_arena_freep) struct cor_arena *a = cor_arena_new(0);
	struct cor_err err;
	const struct core_v1_PersistentVolumeClaim *c = cor_obj_decode(ev->obj, a, &err);
	if (c && c->spec.volumeName.n > 0)
		cor_enqueue(q, COR_STR(""), c->spec.volumeName);
}

/* ---- protection of claims ---- */

static bool uses(const struct core_v1_Pod *pod, struct cor_str claim) {
	for (size_t i = 0; i < pod->spec.volumes.n; i++) {
		const struct core_v1_Volume *v = &pod->spec.volumes.p[i];
		if (v->persistentVolumeClaim && cor_str_eq(v->persistentVolumeClaim->claimName, claim))
			return true;
	}
	return false;
}

/* The agent is done with it (it deletes with no grace left), or a person said so; what remains of the
 * pod is an object that waits for a finalizer. */
static bool is_shut_down(const struct core_v1_Pod *pod) {
	const int64_t *grace = pod->metadata.deletionGracePeriodSeconds;
	return cor_deleting(&pod->metadata) && grace && *grace == 0;
}

static bool is_owned_by(const struct core_v1_PersistentVolumeClaim *c, const struct core_v1_Pod *pod) {
	for (size_t i = 0; i < c->metadata.ownerReferences.n; i++)
		if (cor_str_eq(c->metadata.ownerReferences.p[i].uid, pod->metadata.uid))
			return true;
	return false;
}

/* A pod that is deleted in the foreground waits for the claims it owns: they must not wait for it. */
static bool keeps(const struct core_v1_Pod *pod, const struct core_v1_PersistentVolumeClaim *c) {
	return pod->spec.nodeName.n > 0 && uses(pod, c->metadata.name) &&
		!(is_shut_down(pod) && is_owned_by(c, pod));
}

static int plan_protection(struct cor_plan *p, struct cor_str ns, struct cor_str name, struct cor_err *err) {
	const struct core_v1_PersistentVolumeClaim *c = cor_plan_get(p, COR_RES_PERSISTENTVOLUMECLAIMS, ns, name);
	if (!c || !cor_deleting(&c->metadata) || !cor_has_finalizer(&c->metadata, PVC_PROTECTION))
		return 0;
	struct cor_objects pods = cor_plan_list(p, COR_RES_PODS, ns);
	for (size_t i = 0; i < pods.n; i++) {
		const struct core_v1_Pod *pod = pods.p[i];
		if (keeps(pod, c)) {
			cor_plan_waits(p, "pod %.*s uses it", COR_STR_ARG(pod->metadata.name));
			return 0;
		}
	}
	cor_drop_finalizer(p, 0, COR_RES_PERSISTENTVOLUMECLAIMS, &c->metadata, PVC_PROTECTION);
	return 0;
}

static void map_pod_claims(struct cor_enqueue *q, struct cor_store *store, const struct cor_event *ev) {
	if (ev->type != COR_EVENT_DELETED && !ev->obj->deleting)
		return;
	_cleanup_(cor_arena_freep) struct cor_arena *a = cor_arena_new(0);
	struct cor_err err;
	const struct core_v1_Pod *pod = cor_obj_decode(ev->obj, a, &err);
	for (size_t i = 0; pod && i < pod->spec.volumes.n; i++)
		if (pod->spec.volumes.p[i].persistentVolumeClaim)
			cor_enqueue(q, ev->obj->ns, pod->spec.volumes.p[i].persistentVolumeClaim->claimName);
}

const struct cor_controller cor_controller_pv_volume = {
	.name = "persistentvolume",
	.res = COR_RES_PERSISTENTVOLUMES,
	.watches = { { COR_RES_PERSISTENTVOLUMES, NULL }, { COR_RES_PERSISTENTVOLUMECLAIMS, map_claim_volume } },
	.n_watches = 2,
	.plan = plan_volume,
};

const struct cor_controller cor_controller_pvc_protection = {
	.name = "pvc-protection",
	.res = COR_RES_PERSISTENTVOLUMECLAIMS,
	.watches = { { COR_RES_PERSISTENTVOLUMECLAIMS, NULL }, { COR_RES_PODS, map_pod_claims } },
	.n_watches = 2,
	.plan = plan_protection,
};
