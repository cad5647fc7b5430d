// SPDX-License-Identifier: Apache-2.0
// What every namespace has (facts/controllers.md 15.1): the ServiceAccount default and the ConfigMap
// kube-root-ca.crt, put back when somebody deletes or edits them. The CA comes from where the API
// server publishes it, the ConfigMap kube-system/extension-apiserver-authentication.
#include "codec/codec.h"
#include "controllers/pods.h"
#include "controllers/rows.h"

static const struct cor_str ROOT_CA = COR_STR_INIT("kube-root-ca.crt");
static const struct cor_str AUTH_MAP = COR_STR_INIT("extension-apiserver-authentication");

static bool active(const struct core_v1_Namespace *ns) {
	return ns && !cor_deleting(&ns->metadata) && !cor_str_eq(ns->status.phase, COR_STR("Terminating"));
}

static int plan_account(struct cor_plan *p, struct cor_str none, struct cor_str ns, struct cor_err *err) {
	if (!active(cor_plan_get(p, COR_RES_NAMESPACES, none, ns)) ||
	    cor_plan_get(p, COR_RES_SERVICEACCOUNTS, ns, COR_STR("default")))
		return 0;
	struct core_v1_ServiceAccount *sa = cor_arena_new_of(cor_plan_arena(p), struct core_v1_ServiceAccount);
	if (!sa)
		return 0;
	sa->metadata.name = COR_STR("default");
	sa->metadata.namespace = ns;
	cor_plan_create(p, 0, COR_RES_SERVICEACCOUNTS, sa)->exists_ok = true;
	return 0;
}

static int plan_root_ca(struct cor_plan *p, struct cor_str none, struct cor_str ns, struct cor_err *err) {
	const struct core_v1_ConfigMap *auth = cor_plan_get(p, COR_RES_CONFIGMAPS, COR_STR("kube-system"), AUTH_MAP);
	struct cor_str ca = auth ? cor_strmap_value(&auth->data, COR_STR("client-ca-file")) : (struct cor_str){ 0 };
	if (ca.n == 0 || !active(cor_plan_get(p, COR_RES_NAMESPACES, none, ns)))
		return 0;
	struct cor_arena *a = cor_plan_arena(p);
	const struct core_v1_ConfigMap *old = cor_plan_get(p, COR_RES_CONFIGMAPS, ns, ROOT_CA);
	if (old && old->data.n == 1 && old->binaryData.n == 0 &&
	    cor_str_eq(cor_strmap_value(&old->data, COR_STR("ca.crt")), ca))
		return 0;
	struct core_v1_ConfigMap *cm = old ? cor_obj_dup(&cor_type_core_v1_ConfigMap, old, a)
		: cor_arena_new_of(a, struct core_v1_ConfigMap);
	if (!cm)
		return 0;
	cm->metadata.name = ROOT_CA;
	cm->metadata.namespace = ns;
	cor_strmap_set(a, &cm->metadata.annotations, COR_STR("kubernetes.io/description"),
		COR_STR("Contains a CA bundle that can be used to verify the kube-apiserver when using internal "
			"endpoints such as the internal service IP or kubernetes.default.svc. No other usage is "
			"guaranteed across distributions of Kubernetes clusters."));
	cm->data.n = 0;
	cm->binaryData.n = 0;
	cor_strmap_set(a, &cm->data, COR_STR("ca.crt"), ca);
	if (old)
		(void)cor_plan_update(p, 0, COR_RES_CONFIGMAPS, cm);
	else
		cor_plan_create(p, 0, COR_RES_CONFIGMAPS, cm)->exists_ok = true;
	return 0;
}

static void map_account(struct cor_enqueue *q, struct cor_store *store, const struct cor_event *ev) {
	if (cor_str_eq(ev->obj->name, COR_STR("default")))
		cor_enqueue(q, COR_STR(""), ev->obj->ns);
}

static bool wake_namespace(void *arg, struct cor_obj *o) {
	cor_enqueue(arg, o->ns, o->name);
	return true;
}

static void map_config(struct cor_enqueue *q, struct cor_store *store, const struct cor_event *ev) {
	if (cor_str_eq(ev->obj->name, ROOT_CA))
		cor_enqueue(q, COR_STR(""), ev->obj->ns);
	else if (cor_str_eq(ev->obj->name, AUTH_MAP) && cor_str_eq(ev->obj->ns, COR_STR("kube-system")))
		cor_store_each(store, COR_RES_NAMESPACES, (struct cor_str){ 0 }, (struct cor_str){ 0 },
			(struct cor_str){ 0 }, wake_namespace, q);
}

const struct cor_controller cor_controller_serviceaccount = {
	.name = "serviceaccount",
	.res = COR_RES_NAMESPACES,
	.watches = { { COR_RES_NAMESPACES, NULL }, { COR_RES_SERVICEACCOUNTS, map_account } },
	.n_watches = 2,
	.plan = plan_account,
};

const struct cor_controller cor_controller_root_ca = {
	.name = "root-ca",
	.res = COR_RES_NAMESPACES,
	.watches = { { COR_RES_NAMESPACES, NULL }, { COR_RES_CONFIGMAPS, map_config } },
	.n_watches = 2,
	.plan = plan_root_ca,
};
