// SPDX-License-Identifier: Apache-2.0
// Volumes of a pod (facts/controllers.md 20.10): claims that are bound pin it to nodes, claims that wait
// for a consumer may be provisioned where it goes.
#include "controllers/volumes.h"
#include "gen/storage_v1.h"
#include "scheduler/filter.h"

static struct cor_str text(struct sched_try *t, const char *fmt, struct cor_str a, struct cor_str b) {
	return cor_arena_printf(t->arena, fmt, COR_STR_ARG(a), COR_STR_ARG(b));
}

static bool waits_for_consumer(struct sched_try *t, const struct core_v1_PersistentVolumeClaim *c) {
	if (c->spec.storageClassName.n == 0)
		return false;
	const struct storage_v1_StorageClass *class = cor_registry_get(t->registry, COR_RES_STORAGECLASSES, COR_STR(""),
		c->spec.storageClassName, t->arena);
	return class && cor_str_eq(class->volumeBindingMode, COR_STR("WaitForFirstConsumer"));
}

static struct cor_str look_at(struct sched_try *t, struct cor_str name, bool ephemeral) {
	const struct core_v1_PersistentVolumeClaim *c = cor_registry_get(t->registry, COR_RES_PERSISTENTVOLUMECLAIMS,
		t->pod->metadata.namespace, name, t->arena);
	if (!c && ephemeral)
		return text(t, "waiting for ephemeral volume controller to create the persistentvolumeclaim \"%.*s\"%.*s", name,
			COR_STR(""));
	if (!c)
		return text(t, "persistentvolumeclaim \"%.*s\" not found%.*s", name, COR_STR(""));
	if (c->metadata.deletionTimestamp)
		return text(t, "persistentvolumeclaim \"%.*s\" is being deleted%.*s", name, COR_STR(""));
	bool bound = c->spec.volumeName.n > 0 &&
		cor_strmap_get(&c->metadata.annotations, COR_STR(COR_ANN_BIND_COMPLETED));
	if (bound) {
		const struct core_v1_PersistentVolume *pv = cor_registry_get(t->registry, COR_RES_PERSISTENTVOLUMES,
			COR_STR(""), c->spec.volumeName, t->arena);
		if (!pv)
			return text(t, "persistentvolumeclaim \"%.*s\" bound to non-existent persistentvolume \"%.*s\"", name,
				c->spec.volumeName);
		const struct core_v1_PersistentVolume **slot = cor_arena_push(t->arena, &t->volumes);
		if (slot)
			*slot = pv;
		return (struct cor_str){ 0 };
	}
	if (!waits_for_consumer(t, c))
		return COR_STR("pod has unbound immediate PersistentVolumeClaims");
	const struct core_v1_PersistentVolumeClaim **slot = cor_arena_push(t->arena, &t->unbound);
	if (slot)
		*slot = c;
	return (struct cor_str){ 0 };
}

struct cor_str sched_volumes_prefilter(struct sched_try *t) {
	for (size_t i = 0; i < t->pod->spec.volumes.n; i++) {
		const struct core_v1_Volume *v = &t->pod->spec.volumes.p[i];
		struct cor_str claim = { 0 };
		if (v->persistentVolumeClaim)
			claim = v->persistentVolumeClaim->claimName;
		else if (v->ephemeral)
			claim = text(t, "%.*s-%.*s", t->pod->metadata.name, v->name);
		struct cor_str why = claim.n > 0 ? look_at(t, claim, v->ephemeral != NULL) : (struct cor_str){ 0 };
		if (why.p)
			return why;
	}
	return (struct cor_str){ 0 };
}

static bool reachable(const struct core_v1_PersistentVolume *pv, const struct core_v1_Node *node) {
	const struct core_v1_NodeSelector *sel = pv->spec.nodeAffinity ? pv->spec.nodeAffinity->required : NULL;
	for (size_t i = 0; sel && i < sel->nodeSelectorTerms.n; i++)
		if (sched_node_matches(&sel->nodeSelectorTerms.p[i], node))
			return true;
	return !sel;
}

const char *sched_volumes_filter(struct sched_try *t, const struct core_v1_Node *node) {
	for (size_t i = 0; i < t->volumes.n; i++)
		if (!reachable(t->volumes.p[i], node))
			return "node(s) didn't match PersistentVolume's node affinity";
	/* A choice made before stands: the volume may be under way there. */
	for (size_t i = 0; i < t->unbound.n; i++) {
		const struct cor_str *chosen =
			cor_strmap_get(&t->unbound.p[i]->metadata.annotations, COR_STR(COR_ANN_SELECTED_NODE));
		if (chosen && !cor_str_eq(*chosen, node->metadata.name) && cor_map_get(&t->cache->nodes, *chosen) &&
		    ((struct sched_node *)cor_map_get(&t->cache->nodes, *chosen))->node)
			return "node(s) didn't find available persistent volumes to bind";
	}
	return NULL;
}
