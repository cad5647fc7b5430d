// SPDX-License-Identifier: Apache-2.0
// Pods: defaults that templates do not get, what the API decides at creation, admission (service
// account, priority, tolerations), field selectors. Validation of the spec is in podspec_validate.c.
#include "api/kinds/kinds.h"
#include "api/kinds/podspec.h"
#include "api/registry.h"
#include "base/world.h"
#include "codec/quantity.h"
#include "gen/scheduling_v1.h"

/* ---- defaults ---- */

static void set_quantity(struct cor_arena *a, struct cor_strmap *m, const struct cor_kv *kv) {
	if (cor_strmap_get(m, kv->key))
		return;
	struct cor_kv *p = cor_arena_array(a, struct cor_kv, m->n + 1);
	size_t at = 0;
	if (!p)
		return;
	while (at < m->n && cor_str_cmp(m->p[at].key, kv->key) < 0)
		at++;
	for (size_t i = 0; i < m->n + 1; i++)
		p[i] = i == at ? *kv : m->p[i < at ? i : i - 1];
	m->p = p;
	m->n++;
}

static void limits_to_requests(struct cor_arena *a, struct core_v1_Container *c, size_t n) {
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < c[i].resources.limits.n; k++)
			set_quantity(a, &c[i].resources.requests, &c[i].resources.limits.p[k]);
}

static void host_ports(struct core_v1_Container *c, size_t n) {
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < c[i].ports.n; k++)
			if (c[i].ports.p[k].hostPort == 0)
				c[i].ports.p[k].hostPort = c[i].ports.p[k].containerPort;
}

static void defaults(struct cor_kind_ctx *ctx, void *obj) {
	struct core_v1_Pod *pod = obj;
	struct core_v1_PodSpec *s = &pod->spec;
	limits_to_requests(ctx->arena, s->initContainers.p, s->initContainers.n);
	limits_to_requests(ctx->arena, s->containers.p, s->containers.n);
	cor_default_bool(ctx->arena, &s->enableServiceLinks, true);
	cor_podspec_defaults(ctx->arena, s);
	if (s->hostNetwork) {
		host_ports(s->initContainers.p, s->initContainers.n);
		host_ports(s->containers.p, s->containers.n);
	}
	if (*s->terminationGracePeriodSeconds < 0)
		*s->terminationGracePeriodSeconds = 1;
	cor_default_str(&pod->status.phase, "Pending");
}

/* ---- creation ---- */

struct qos {
	bool any, all_limits;
};

static void qos_container(struct qos *q, const struct core_v1_ResourceRequirements *r) {
	static const struct cor_str names[] = { COR_STR_INIT("cpu"), COR_STR_INIT("memory") };
	for (size_t i = 0; i < cor_countof(names); i++) {
		const struct cor_str *limit = cor_strmap_get(&r->limits, names[i]);
		const struct cor_str *request = cor_strmap_get(&r->requests, names[i]);
		bool has_limit = limit && cor_quantity_of(*limit).nano > 0;
		bool has_request = request && cor_quantity_of(*request).nano > 0;
		q->any |= has_limit || has_request;
		if (!has_limit || (has_request && cor_quantity_cmp(cor_quantity_of(*limit), cor_quantity_of(*request)) != 0))
			q->all_limits = false;
	}
}

static struct cor_str qos_class(const struct core_v1_PodSpec *s) {
	struct qos q = { .all_limits = true };
	for (size_t i = 0; i < s->initContainers.n; i++)
		qos_container(&q, &s->initContainers.p[i].resources);
	for (size_t i = 0; i < s->containers.n; i++)
		qos_container(&q, &s->containers.p[i].resources);
	if (!q.any)
		return COR_STR("BestEffort");
	return q.all_limits ? COR_STR("Guaranteed") : COR_STR("Burstable");
}

static void prepare_create(struct cor_kind_ctx *ctx, void *obj) {
	struct core_v1_Pod *pod = obj;
	pod->status = (struct core_v1_PodStatus){
		.phase = COR_STR("Pending"), .qosClass = qos_class(&pod->spec),
	};
	if (pod->spec.schedulingGates.n == 0)
		return;
	struct core_v1_PodCondition *c = cor_arena_push(ctx->arena, &pod->status.conditions);
	if (c)
		*c = (struct core_v1_PodCondition){
			.type = COR_STR("PodScheduled"), .status = COR_STR("False"), .reason = COR_STR("SchedulingGated"),
			.message = COR_STR("Scheduling is blocked due to non-empty scheduling gates"),
			.lastTransitionTime = ctx->now,
		};
}

static void prepare_status(struct cor_kind_ctx *ctx, void *obj, const void *old) {
	struct core_v1_Pod *pod = obj;
	const struct core_v1_Pod *was = old;
	pod->metadata.ownerReferences.p = was->metadata.ownerReferences.p;
	pod->metadata.ownerReferences.n = was->metadata.ownerReferences.n;
	pod->metadata.deletionTimestamp = was->metadata.deletionTimestamp;
	if (pod->status.qosClass.n == 0)
		pod->status.qosClass = was->status.qosClass;
}

/* ---- admission: service account ---- */

static const struct cor_str TOKEN_DIR = COR_STR_INIT("/var/run/secrets/kubernetes.io/serviceaccount");

static bool mounts_token(const struct core_v1_Container *c) {
	for (size_t i = 0; i < c->volumeMounts.n; i++)
		if (cor_str_eq(c->volumeMounts.p[i].mountPath, TOKEN_DIR))
			return true;
	return false;
}

static size_t add_mounts(struct cor_arena *a, struct core_v1_Container *c, size_t n, struct cor_str volume) {
	size_t added = 0;
	for (size_t i = 0; i < n; i++) {
		if (mounts_token(&c[i]))
			continue;
		struct core_v1_VolumeMount *p = cor_arena_array(a, struct core_v1_VolumeMount, c[i].volumeMounts.n + 1);
		if (!p)
			return added;
		if (c[i].volumeMounts.n > 0)
			memcpy(p, c[i].volumeMounts.p, c[i].volumeMounts.n * sizeof(*p));
		p[c[i].volumeMounts.n] = (struct core_v1_VolumeMount){
			.name = volume, .readOnly = true, .mountPath = TOKEN_DIR,
		};
		c[i].volumeMounts.p = p;
		c[i].volumeMounts.n++;
		added++;
	}
	return added;
}

static void add_token_volume(struct cor_arena *a, struct core_v1_PodSpec *s, struct cor_str name) {
	static const char json[] =
		"{\"projected\":{\"sources\":[{\"serviceAccountToken\":{\"expirationSeconds\":3607,\"path\":\"token\"}},"
		"{\"configMap\":{\"name\":\"kube-root-ca.crt\",\"items\":[{\"key\":\"ca.crt\",\"path\":\"ca.crt\"}]}},"
		"{\"downwardAPI\":{\"items\":[{\"path\":\"namespace\",\"fieldRef\":{\"apiVersion\":\"v1\","
		"\"fieldPath\":\"metadata.namespace\"}}]}}],\"defaultMode\":420}}";
	struct cor_decode d = { .arena = a };
	struct cor_err err;
	struct core_v1_Volume *p = cor_arena_array(a, struct core_v1_Volume, s->volumes.n + 1);
	if (!p || cor_json_decode(&cor_type_core_v1_Volume, cor_str_c(json), &p[s->volumes.n], &d, &err) < 0)
		return;
	if (s->volumes.n > 0)
		memcpy(p, s->volumes.p, s->volumes.n * sizeof(*p));
	p[s->volumes.n].name = name;
	s->volumes.p = p;
	s->volumes.n++;
}

static struct cor_str token_volume(struct cor_kind_ctx *ctx, const struct core_v1_PodSpec *s, bool *ret_exists) {
	for (size_t i = 0; i < s->volumes.n; i++)
		if (cor_str_starts(s->volumes.p[i].name, COR_STR("kube-api-access-"))) {
			*ret_exists = true;
			return s->volumes.p[i].name;
		}
	char suffix[6];
	cor_random_name(ctx->world, suffix, 5);
	*ret_exists = false;
	return cor_arena_printf(ctx->arena, "kube-api-access-%s", suffix);
}

static int admit_account(struct cor_kind_ctx *ctx, struct core_v1_Pod *pod, struct cor_err *err) {
	struct core_v1_PodSpec *s = &pod->spec;
	if (cor_strmap_get(&pod->metadata.annotations, COR_STR("kubernetes.io/config.mirror")))
		return 0;
	cor_default_str(&s->serviceAccountName, "default");
	s->serviceAccount = s->serviceAccountName;
	struct cor_obj *o = cor_store_get(ctx->store, COR_RES_SERVICEACCOUNTS, ctx->ns, s->serviceAccountName);
	const struct core_v1_ServiceAccount *sa = o ? cor_registry_read(ctx->registry, o) : NULL;
	if (!sa)
		return cor_fail_status(err, COR_REASON_FORBIDDEN,
			"error looking up service account %.*s/%.*s: serviceaccount \"%.*s\" not found",
			COR_STR_ARG(ctx->ns), COR_STR_ARG(s->serviceAccountName), COR_STR_ARG(s->serviceAccountName));
	const bool *automount = s->automountServiceAccountToken ? s->automountServiceAccountToken
		: sa->automountServiceAccountToken;
	if (!automount || *automount) {
		bool exists;
		struct cor_str volume = token_volume(ctx, s, &exists);
		size_t added = add_mounts(ctx->arena, s->initContainers.p, s->initContainers.n, volume) +
			add_mounts(ctx->arena, s->containers.p, s->containers.n, volume);
		if (added > 0 && !exists)
			add_token_volume(ctx->arena, s, volume);
	}
	if (s->imagePullSecrets.n == 0 && sa->imagePullSecrets.n > 0) {
		const struct core_v1_ServiceAccount *own =
			cor_obj_dup(&cor_type_core_v1_ServiceAccount, sa, ctx->arena);
		s->imagePullSecrets.p = own ? own->imagePullSecrets.p : NULL;
		s->imagePullSecrets.n = own ? own->imagePullSecrets.n : 0;
	}
	return 0;
}

/* ---- admission: priority ---- */

struct default_class {
	struct cor_registry *r;
	const struct scheduling_v1_PriorityClass *best;
};

static bool find_default_class(void *arg, struct cor_obj *o) {
	struct default_class *d = arg;
	const struct scheduling_v1_PriorityClass *c = cor_registry_read(d->r, o);
	if (c && c->globalDefault && (!d->best || c->value < d->best->value))
		d->best = c;
	return true;
}

static int admit_priority(struct cor_kind_ctx *ctx, struct core_v1_Pod *pod, struct cor_err *err) {
	struct core_v1_PodSpec *s = &pod->spec;
	const struct scheduling_v1_PriorityClass *class = NULL;
	if (s->priorityClassName.n > 0) {
		class = cor_registry_get(ctx->registry, COR_RES_PRIORITYCLASSES, COR_STR(""), s->priorityClassName, ctx->arena);
		if (!class)
			return cor_fail_status(err, COR_REASON_FORBIDDEN, "no PriorityClass with name %.*s was found",
				COR_STR_ARG(s->priorityClassName));
	} else {
		struct default_class d = { .r = ctx->registry };
		cor_store_each(ctx->store, COR_RES_PRIORITYCLASSES, (struct cor_str){ 0 }, (struct cor_str){ 0 },
			(struct cor_str){ 0 }, find_default_class, &d);
		class = d.best;
		if (class)
			s->priorityClassName = cor_arena_str(ctx->arena, class->metadata.name);
	}
	int32_t value = class ? class->value : 0;
	struct cor_str policy = class && class->preemptionPolicy.n > 0 ? cor_arena_str(ctx->arena, class->preemptionPolicy)
		: COR_STR("PreemptLowerPriority");
	if (s->priority && *s->priority != value)
		return cor_fail_status(err, COR_REASON_FORBIDDEN,
			"the integer value of priority (%d) must not be provided in pod spec; priority admission "
			"controller computed %d from the given PriorityClass name", *s->priority, value);
	if (s->preemptionPolicy.n > 0 && !cor_str_eq(s->preemptionPolicy, policy))
		return cor_fail_status(err, COR_REASON_FORBIDDEN,
			"the string value of PreemptionPolicy (%.*s) must not be provided in pod spec; priority admission "
			"controller computed %.*s from the given PriorityClass name", COR_STR_ARG(s->preemptionPolicy),
			COR_STR_ARG(policy));
	cor_default_i32(ctx->arena, &s->priority, value);
	s->preemptionPolicy = policy;
	return 0;
}

/* ---- admission: tolerations ---- */

static bool tolerates(const struct core_v1_PodSpec *s, struct cor_str key) {
	for (size_t i = 0; i < s->tolerations.n; i++) {
		const struct core_v1_Toleration *t = &s->tolerations.p[i];
		if ((t->key.n == 0 || cor_str_eq(t->key, key)) &&
		    (t->effect.n == 0 || cor_str_eq(t->effect, COR_STR("NoExecute"))))
			return true;
	}
	return false;
}

static void tolerate(struct cor_arena *a, struct core_v1_PodSpec *s, const char *key) {
	if (tolerates(s, cor_str_c(key)))
		return;
	struct core_v1_Toleration *p = cor_arena_array(a, struct core_v1_Toleration, s->tolerations.n + 1);
	if (!p)
		return;
	if (s->tolerations.n > 0)
		memcpy(p, s->tolerations.p, s->tolerations.n * sizeof(*p));
	p[s->tolerations.n] = (struct core_v1_Toleration){
		.key = cor_str_c(key), .operator = COR_STR("Exists"), .effect = COR_STR("NoExecute"),
	};
	cor_default_i64(a, &p[s->tolerations.n].tolerationSeconds, 300);
	s->tolerations.p = p;
	s->tolerations.n++;
}

static int admit(struct cor_kind_ctx *ctx, void *obj, const void *old, struct cor_err *err) {
	struct core_v1_Pod *pod = obj;
	tolerate(ctx->arena, &pod->spec, "node.kubernetes.io/not-ready");
	tolerate(ctx->arena, &pod->spec, "node.kubernetes.io/unreachable");
	if (old) {
		const struct core_v1_Pod *was = old;
		if (!pod->spec.priority)
			pod->spec.priority = was->spec.priority;
		if (pod->spec.preemptionPolicy.n == 0)
			pod->spec.preemptionPolicy = was->spec.preemptionPolicy;
		return 0;
	}
	int r = admit_account(ctx, pod, err);
	return r < 0 ? r : admit_priority(ctx, pod, err);
}

/* ---- field selectors ---- */

static const char *const field_labels[] = {
	"spec.host", "spec.hostNetwork", "spec.nodeName", "spec.restartPolicy", "spec.schedulerName",
	"spec.serviceAccountName", "status.nominatedNodeName", "status.phase", "status.podIP", "status.podIPs", NULL,
};

static void fields(struct cor_arena *a, const void *obj, struct cor_strmap *ret) {
	const struct core_v1_Pod *pod = obj;
	const struct cor_kv values[] = {
		{ COR_STR("spec.host"), pod->spec.nodeName },
		{ COR_STR("spec.hostNetwork"), pod->spec.hostNetwork ? COR_STR("true") : COR_STR("false") },
		{ COR_STR("spec.nodeName"), pod->spec.nodeName },
		{ COR_STR("spec.restartPolicy"), pod->spec.restartPolicy },
		{ COR_STR("spec.schedulerName"), pod->spec.schedulerName },
		{ COR_STR("spec.serviceAccountName"), pod->spec.serviceAccountName },
		{ COR_STR("status.nominatedNodeName"), pod->status.nominatedNodeName },
		{ COR_STR("status.phase"), pod->status.phase },
		{ COR_STR("status.podIP"), pod->status.podIP },
	};
	cor_kind_fields(a, ret, values, cor_countof(values));
}

static void validate(struct cor_kind_ctx *ctx, const void *obj, struct cor_field_errors *e) {
	cor_podspec_validate(e, COR_ROOT("spec"), &((const struct core_v1_Pod *)obj)->spec, true, NULL, 0);
}

static void validate_update(struct cor_kind_ctx *ctx, const void *obj, const void *old,
	struct cor_field_errors *e) {
	cor_podspec_validate_update(ctx, e, &((const struct core_v1_Pod *)obj)->spec,
		&((const struct core_v1_Pod *)old)->spec);
}

const struct cor_kind_ops cor_kind_pod = {
	.res = COR_RES_PODS,
	.flags = COR_KIND_GRACEFUL | COR_KIND_DELETE_RETURNS_OBJECT | COR_KIND_GENERATION,
	.defaults = defaults,
	.admit = admit,
	.prepare_create = prepare_create,
	.validate = validate,
	.validate_update = validate_update,
	.prepare_status = prepare_status,
	.fields = fields,
	.field_labels = field_labels,
};
