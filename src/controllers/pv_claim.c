// SPDX-License-Identifier: Apache-2.0
// The claims' side of binding (facts/controllers.md 17.2 to 17.5), with the built-in provisioner. Every
// step is a write of its own and the plan starts from whatever was reached, so a crash between two of
// them is no special case. Steps that touch the same object are merge patches in later stages.
#include "codec/codec.h"
#include "controllers/pv_priv.h"
#include "controllers/rows.h"

struct claim {
	struct cor_plan *p;
	struct cor_arena *a;
	const struct core_v1_PersistentVolumeClaim *c;
	const struct storage_v1_StorageClass *class;    /* NULL: none of that name */
	struct cor_str selected_node;
};

#define CLAIM_EVENT(x, type, reason, ...) \
	cor_plan_event((x)->p, 0, COR_RES_PERSISTENTVOLUMECLAIMS, (x)->c, type, reason, __VA_ARGS__)

static bool waits_for_consumer(const struct claim *x) {
	return x->class && cor_str_eq(x->class->volumeBindingMode, COR_STR("WaitForFirstConsumer"));
}

static void patch_claim(struct claim *x, int stage, const char *sub, struct cor_str patch) {
	struct cor_action *a = cor_plan_patch(x->p, stage, COR_RES_PERSISTENTVOLUMECLAIMS,
		sub ? cor_str_c(sub) : (struct cor_str){ 0 }, x->c->metadata.namespace, x->c->metadata.name, patch);
	a->expect_uid = x->c->metadata.uid;
}

static void set_phase(struct claim *x, const char *phase) {
	if (!cor_str_eq_c(x->c->status.phase, phase))
		patch_claim(x, 0, "status", cor_arena_printf(x->a, "{\"status\":{\"phase\":\"%s\"}}", phase));
}

/* ---- binding to a volume ---- */

static void write_modes(struct cor_buf *b, const struct core_v1_PersistentVolume *pv) {
	for (size_t i = 0; i < pv->spec.accessModes.n; i++) {
		if (i > 0)
			cor_buf_byte(b, ',');
		cor_json_write_str(b, pv->spec.accessModes.p[i]);
	}
}

static struct cor_str bound_status(struct claim *x, const struct core_v1_PersistentVolume *pv) {
	_cleanup_buf_ struct cor_buf b = COR_BUF_INIT;
	cor_buf_c(&b, "{\"status\":{\"phase\":\"Bound\",\"accessModes\":[");
	write_modes(&b, pv);
	cor_buf_c(&b, "],\"capacity\":{\"storage\":");
	cor_json_write_str(&b, cor_strmap_value(&pv->spec.capacity, COR_STR("storage")));
	cor_buf_c(&b, "}}}");
	return cor_arena_str(x->a, cor_buf_view(&b));
}

/* The claim's own two steps, behind those of the volume. */
static void bind_claim(struct claim *x, const struct core_v1_PersistentVolume *pv, int stage) {
	bool complete = cor_strmap_get(&x->c->metadata.annotations, COR_STR(COR_ANN_BIND_COMPLETED)) != NULL;
	if (!complete || x->c->spec.volumeName.n == 0)
		patch_claim(x, stage, NULL, cor_arena_printf(x->a,
			"{\"metadata\":{\"annotations\":{\"%s\":\"yes\"%s}},\"spec\":{\"volumeName\":\"%.*s\"}}",
			COR_ANN_BIND_COMPLETED,
			x->c->spec.volumeName.n == 0 ? ",\"" COR_ANN_BOUND_BY "\":\"yes\"" : "",
			COR_STR_ARG(pv->metadata.name)));
	if (!cor_str_eq(x->c->status.phase, COR_STR("Bound")))
		patch_claim(x, stage + 1, "status", bound_status(x, pv));
}

static void bind(struct claim *x, const struct core_v1_PersistentVolume *pv) {
	const struct core_v1_ObjectReference *r = pv->spec.claimRef;
	struct cor_action *a = NULL;
	if (!r || r->uid.n == 0) {
		a = cor_plan_patch(x->p, 0, COR_RES_PERSISTENTVOLUMES, (struct cor_str){ 0 }, (struct cor_str){ 0 },
			pv->metadata.name, cor_arena_printf(x->a,
				"{\"metadata\":{\"annotations\":{%s}},\"spec\":{\"claimRef\":{\"kind\":"
				"\"PersistentVolumeClaim\",\"apiVersion\":\"v1\",\"namespace\":\"%.*s\",\"name\":\"%.*s\","
				"\"uid\":\"%.*s\"}}}", r ? "" : "\"" COR_ANN_BOUND_BY "\":\"yes\"",
				COR_STR_ARG(x->c->metadata.namespace), COR_STR_ARG(x->c->metadata.name),
				COR_STR_ARG(x->c->metadata.uid)));
		a->expect_rv = pv->metadata.resourceVersion;
	}
	if (!cor_str_eq(pv->status.phase, COR_STR("Bound")))
		(void)cor_plan_patch(x->p, 1, COR_RES_PERSISTENTVOLUMES, COR_STR("status"), (struct cor_str){ 0 },
			pv->metadata.name, COR_STR("{\"status\":{\"phase\":\"Bound\"}}"));
	bind_claim(x, pv, 2);
}

/* ---- the built-in provisioner ---- */

static struct core_v1_VolumeNodeAffinity *pinned(struct claim *x) {
	struct core_v1_VolumeNodeAffinity *v = cor_arena_new_of(x->a, struct core_v1_VolumeNodeAffinity);
	struct core_v1_NodeSelector *sel = cor_arena_new_of(x->a, struct core_v1_NodeSelector);
	if (!v || !sel)
		return NULL;
	v->required = sel;
	struct core_v1_NodeSelectorTerm *term = cor_arena_push(x->a, &sel->nodeSelectorTerms);
	struct core_v1_NodeSelectorRequirement *req = term ? cor_arena_push(x->a, &term->matchExpressions) : NULL;
	struct cor_str *value = req ? cor_arena_push(x->a, &req->values) : NULL;
	if (!value)
		return NULL;
	req->key = COR_STR("kubernetes.io/hostname");
	req->operator = COR_STR("In");
	*value = x->selected_node;
	const struct core_v1_Node *node = cor_plan_get(x->p, COR_RES_NODES, COR_STR(""), x->selected_node);
	struct cor_str host = node ? cor_strmap_value(&node->metadata.labels, COR_STR("kubernetes.io/hostname"))
		: (struct cor_str){ 0 };
	if (host.n > 0)
		*value = host;
	return v;
}

static void add_finalizer(struct claim *x, struct core_v1_PersistentVolume *pv, struct cor_str name) {
	struct cor_str *f = cor_arena_push(x->a, &pv->metadata.finalizers);
	if (f)
		*f = name;
}

static struct core_v1_PersistentVolume *new_volume(struct claim *x) {
	struct core_v1_PersistentVolume *pv = cor_arena_new_of(x->a, struct core_v1_PersistentVolume);
	struct core_v1_CSIPersistentVolumeSource *csi = cor_arena_new_of(x->a, struct core_v1_CSIPersistentVolumeSource);
	struct core_v1_ObjectReference *ref = cor_arena_new_of(x->a, struct core_v1_ObjectReference);
	if (!pv || !csi || !ref)
		return NULL;
	pv->metadata.name = cor_arena_printf(x->a, "pvc-%.*s", COR_STR_ARG(x->c->metadata.uid));
	cor_strmap_set(x->a, &pv->metadata.annotations, COR_STR(COR_ANN_PROVISIONED_BY), COR_STR(COR_LOCAL_DRIVER));
	add_finalizer(x, pv, COR_STR(COR_LOCAL_FINALIZER));
	add_finalizer(x, pv, COR_STR("kubernetes.io/pv-protection"));
	*csi = (struct core_v1_CSIPersistentVolumeSource){
		.driver = COR_STR(COR_LOCAL_DRIVER), .volumeHandle = pv->metadata.name, .fsType = COR_STR("ext4"),
	};
	*ref = (struct core_v1_ObjectReference){
		.kind = COR_STR("PersistentVolumeClaim"), .apiVersion = COR_STR("v1"),
		.namespace = x->c->metadata.namespace, .name = x->c->metadata.name, .uid = x->c->metadata.uid,
		.resourceVersion = x->c->metadata.resourceVersion,
	};
	struct cor_quantity size = pv_request(x->c);
	cor_strmap_set(x->a, &pv->spec.capacity, COR_STR("storage"), cor_quantity_to_str(x->a, size));
	pv->spec.accessModes.p = x->c->spec.accessModes.p;
	pv->spec.accessModes.n = x->c->spec.accessModes.n;
	pv->spec.claimRef = ref;
	pv->spec.csi = csi;
	pv->spec.storageClassName = x->class->metadata.name;
	pv->spec.mountOptions.p = x->class->mountOptions.p;
	pv->spec.mountOptions.n = x->class->mountOptions.n;
	pv->spec.volumeMode = x->c->spec.volumeMode;
	pv->spec.persistentVolumeReclaimPolicy =
		x->class->reclaimPolicy.n > 0 ? x->class->reclaimPolicy : COR_STR("Delete");
	pv->spec.nodeAffinity = pinned(x);
	return pv;
}

/* Volumes live on a node: one that nobody has chosen yet is chosen here for an Immediate class. */
static bool choose_node(struct claim *x) {
	if (x->selected_node.n > 0)
		return cor_plan_get(x->p, COR_RES_NODES, COR_STR(""), x->selected_node) != NULL;
	struct cor_objects nodes = cor_plan_list(x->p, COR_RES_NODES, (struct cor_str){ 0 });
	if (nodes.n > 0)
		x->selected_node = ((const struct core_v1_Node *)nodes.p[0])->metadata.name;
	return nodes.n > 0;
}

static void provision(struct claim *x) {
	if (!choose_node(x)) {
		CLAIM_EVENT(x, "Warning", "ProvisioningFailed",
			"Failed to provision volume with StorageClass \"%.*s\": no node for it",
			COR_STR_ARG(x->class->metadata.name));
		if (x->selected_node.n > 0)     /* the scheduler may choose another one */
			patch_claim(x, 1, NULL, COR_STR("{\"metadata\":{\"annotations\":{\"" COR_ANN_SELECTED_NODE "\":null}}}"));
		cor_plan_again_at(x->p, cor_plan_now(x->p) + 15 * COR_SECOND);
		return;
	}
	struct core_v1_PersistentVolume *pv = new_volume(x);
	if (!pv)
		return;
	cor_plan_create(x->p, 0, COR_RES_PERSISTENTVOLUMES, pv)->exists_ok = true;
	(void)cor_plan_patch(x->p, 1, COR_RES_PERSISTENTVOLUMES, COR_STR("status"), (struct cor_str){ 0 },
		pv->metadata.name, COR_STR("{\"status\":{\"phase\":\"Bound\"}}"));
	cor_plan_event(x->p, 1, COR_RES_PERSISTENTVOLUMECLAIMS, x->c, "Normal", "ProvisioningSucceeded",
		"Successfully provisioned volume %.*s using %s", COR_STR_ARG(pv->metadata.name), COR_LOCAL_DRIVER);
	bind_claim(x, pv, 2);
}

static void external(struct claim *x) {
	struct cor_str who = x->class->provisioner;
	set_phase(x, "Pending");
	if (cor_str_eq(who, COR_STR("kubernetes.io/no-provisioner")))
		return;
	if (!cor_str_eq(cor_strmap_value(&x->c->metadata.annotations, COR_STR(COR_ANN_PROVISIONER)), who))
		patch_claim(x, 1, NULL, cor_arena_printf(x->a,
			"{\"metadata\":{\"annotations\":{\"%s\":\"%.*s\",\"%s\":\"%.*s\"}}}", COR_ANN_PROVISIONER,
			COR_STR_ARG(who), COR_ANN_PROVISIONER_BETA, COR_STR_ARG(who)));
	CLAIM_EVENT(x, "Normal", "ExternalProvisioning",
		"Waiting for a volume to be created either by the external provisioner '%.*s' or manually by the "
		"system administrator. If volume creation is delayed, please verify that the provisioner is running "
		"and correctly registered.", COR_STR_ARG(who));
}

/* ---- a claim that is not bound ---- */

static bool uses(const struct core_v1_Pod *pod, struct cor_str claim) {
	for (size_t i = 0; i < pod->spec.volumes.n; i++)
		if (pod->spec.volumes.p[i].persistentVolumeClaim &&
		    cor_str_eq(pod->spec.volumes.p[i].persistentVolumeClaim->claimName, claim))
			return true;
	return false;
}

static void wait_for_consumer(struct claim *x) {
	struct cor_objects pods = cor_plan_list(x->p, COR_RES_PODS, x->c->metadata.namespace);
	_cleanup_buf_ struct cor_buf names = COR_BUF_INIT;
	size_t n = 0;
	for (size_t i = 0; i < pods.n; i++) {
		const struct core_v1_Pod *pod = pods.p[i];
		if (!cor_pod_finished(pod) && uses(pod, x->c->metadata.name))
			cor_buf_printf(&names, "%s%.*s", n++ > 0 ? "," : "", COR_STR_ARG(pod->metadata.name));
	}
	set_phase(x, "Pending");
	/* A pod that is about to be scheduled is no news; only a claim without one tells of its wait. */
	if (n == 0)
		CLAIM_EVENT(x, "Normal", "WaitForFirstConsumer", "waiting for first consumer to be created before binding");
	cor_plan_waits(x->p, "waiting for %s%.*s", n > 0 ? "pods to be scheduled: " : "first consumer",
		COR_STR_ARG(cor_buf_view(&names)));
}

static void find_or_make(struct claim *x) {
	bool wait = waits_for_consumer(x) && x->selected_node.n == 0;
	const struct core_v1_PersistentVolume *pv = pv_find(x->p, x->c, wait);
	if (pv) {
		bind(x, pv);
	} else if (wait) {
		wait_for_consumer(x);
	} else if (x->c->spec.storageClassName.n == 0) {
		set_phase(x, "Pending");
		CLAIM_EVENT(x, "Normal", "FailedBinding",
			"no persistent volumes available for this claim and no storage class is set");
	} else if (!x->class) {
		set_phase(x, "Pending");
		CLAIM_EVENT(x, "Warning", "ProvisioningFailed", "storageclass.storage.k8s.io \"%.*s\" not found",
			COR_STR_ARG(x->c->spec.storageClassName));
	} else if (cor_str_eq(x->class->provisioner, COR_STR(COR_LOCAL_DRIVER))) {
		provision(x);
	} else {
		external(x);
	}
}

static void bind_to_named(struct claim *x) {
	const struct core_v1_PersistentVolume *pv =
		cor_plan_get(x->p, COR_RES_PERSISTENTVOLUMES, COR_STR(""), x->c->spec.volumeName);
	if (!pv) {
		set_phase(x, "Pending");
		return;
	}
	const char *why = pv->spec.claimRef ? NULL : pv_mismatch(pv, x->c);
	if (why) {
		CLAIM_EVENT(x, "Warning", "VolumeMismatch", "Cannot bind to requested volume \"%.*s\": %s",
			COR_STR_ARG(pv->metadata.name), why);
		set_phase(x, "Pending");
	} else if (!pv->spec.claimRef || pv_claimed_by(pv, x->c)) {
		bind(x, pv);
	} else {
		CLAIM_EVENT(x, "Warning", "FailedBinding", "volume \"%.*s\" already bound to a different claim.",
			COR_STR_ARG(pv->metadata.name));
		set_phase(x, "Pending");
	}
}

/* ---- a claim that was bound ---- */

static void lose(struct claim *x, const char *reason, const char *text) {
	if (!cor_str_eq(x->c->status.phase, COR_STR("Lost")))
		CLAIM_EVENT(x, "Warning", reason, "%s", text);
	set_phase(x, "Lost");
}

/* A larger request makes a larger volume; the node agent grows the file system and then writes the
 * claim's capacity. */
static void expand(struct claim *x, const struct core_v1_PersistentVolume *pv) {
	bool local = pv->spec.csi && cor_str_eq(pv->spec.csi->driver, COR_STR(COR_LOCAL_DRIVER));
	if (!local || cor_quantity_cmp(pv_request(x->c), pv_capacity(pv)) <= 0)
		return;
	struct cor_action *a = cor_plan_patch(x->p, 0, COR_RES_PERSISTENTVOLUMES, (struct cor_str){ 0 },
		(struct cor_str){ 0 }, pv->metadata.name, cor_arena_printf(x->a,
			"{\"spec\":{\"capacity\":{\"storage\":\"%.*s\"}}}",
			COR_STR_ARG(cor_quantity_to_str(x->a, pv_request(x->c)))));
	a->expect_rv = pv->metadata.resourceVersion;
}

static void keep_bound(struct claim *x) {
	const struct core_v1_PersistentVolume *pv = x->c->spec.volumeName.n == 0 ? NULL
		: cor_plan_get(x->p, COR_RES_PERSISTENTVOLUMES, COR_STR(""), x->c->spec.volumeName);
	if (x->c->spec.volumeName.n == 0)
		lose(x, "ClaimLost", "Bound claim has lost reference to PersistentVolume. Data on the volume is lost!");
	else if (!pv)
		lose(x, "ClaimLost", "Bound claim has lost its PersistentVolume. Data on the volume is lost!");
	else if (pv->spec.claimRef && !pv_claimed_by(pv, x->c))
		lose(x, "ClaimMisbound", "Two claims are bound to the same volume, this one is bound incorrectly");
	else {
		bind(x, pv);
		expand(x, pv);
	}
}

static int plan(struct cor_plan *p, struct cor_str ns, struct cor_str name, struct cor_err *err) {
	const struct core_v1_PersistentVolumeClaim *c = cor_plan_get(p, COR_RES_PERSISTENTVOLUMECLAIMS, ns, name);
	if (!c || cor_deleting(&c->metadata))
		return 0;
	struct claim x = {
		.p = p, .a = cor_plan_arena(p), .c = c,
		.selected_node = cor_strmap_value(&c->metadata.annotations, COR_STR(COR_ANN_SELECTED_NODE)),
	};
	if (c->spec.storageClassName.n > 0)
		x.class = cor_plan_get(p, COR_RES_STORAGECLASSES, COR_STR(""), c->spec.storageClassName);
	if (cor_strmap_get(&c->metadata.annotations, COR_STR(COR_ANN_BIND_COMPLETED)))
		keep_bound(&x);
	else if (c->spec.volumeName.n > 0)
		bind_to_named(&x);
	else
		find_or_make(&x);
	return 0;
}

/* ---- what wakes a claim ---- */

static bool wake(void *arg, struct cor_obj *o) {
	cor_enqueue(arg, o->ns, o->name);
	return true;
}

/* A volume or class that came may be what some claim waits for. */
static void map_all(struct cor_enqueue *q, struct cor_store *store, const struct cor_event *ev) {
	cor_store_each(store, COR_RES_PERSISTENTVOLUMECLAIMS, (struct cor_str){ 0 }, (struct cor_str){ 0 },
		(struct cor_str){ 0 }, wake, q);
}

/* A volume wakes the claim it names; a free one, or one that went, wakes them all. */
static void map_volume(struct cor_enqueue *q, struct cor_store *store, const struct cor_event *ev) {
	_cleanup_(cor_arena_freep) struct cor_arena *a = cor_arena_new(0);
	struct cor_err err;
	const struct core_v1_PersistentVolume *pv = cor_obj_decode(ev->obj, a, &err);
	if (pv && pv->spec.claimRef)
		cor_enqueue(q, pv->spec.claimRef->namespace, pv->spec.claimRef->name);
	else if (pv)
		map_all(q, store, ev);
}

const struct cor_controller cor_controller_pv_claim = {
	.name = "persistentvolume-claim",
	.component = "persistentvolume-controller",
	.res = COR_RES_PERSISTENTVOLUMECLAIMS,
	.watches = {
		{ COR_RES_PERSISTENTVOLUMECLAIMS, NULL }, { COR_RES_PERSISTENTVOLUMES, map_volume },
		{ COR_RES_STORAGECLASSES, map_all },
	},
	.n_watches = 3,
	.plan = plan,
};
