// SPDX-License-Identifier: Apache-2.0
// Validation of PodSpec, for pods and templates (facts/kinds.md 5.2 to 5.4): the rules that people run
// into, in the order in which Kubernetes reports them. What is not checked here is accepted.
#include "api/kinds/podspec_priv.h"

#include "codec/codec.h"
#include "codec/quantity.h"

static const char *const pull_policies[] = { "Always", "IfNotPresent", "Never", NULL };
static const char *const protocols[] = { "SCTP", "TCP", "UDP", NULL };

/* What the checks of a container have to know of its pod. */
struct scope {
	struct cor_field_errors *e;
	const struct core_v1_PodSpec *spec;
	const struct cor_str *claims;           /* names of claim templates, which are volumes too */
	size_t n_claims;
	bool pod;                               /* a pod, not a template */
};

static bool known_volume(const struct scope *s, struct cor_str name) {
	for (size_t i = 0; i < s->spec->volumes.n; i++)
		if (cor_str_eq(s->spec->volumes.p[i].name, name))
			return true;
	for (size_t i = 0; i < s->n_claims; i++)
		if (cor_str_eq(s->claims[i], name))
			return true;
	return false;
}

/* ---- parts of a container ---- */

static void check_port(struct scope *s, const struct cor_fpath *at, const core_v1_ContainerPort *p) {
	if (p->name.n)
		(void)cor_fe_broken(s->e, COR_FIELD(at, "name"), p->name, cor_check_port_name(p->name));
	if (p->containerPort == 0)
		cor_fe_required(s->e, COR_FIELD(at, "containerPort"), "%s", "");
	else
		(void)cor_fe_broken_int(s->e, COR_FIELD(at, "containerPort"), p->containerPort,
			cor_check_port_number(p->containerPort));
	if (p->hostPort)
		(void)cor_fe_broken_int(s->e, COR_FIELD(at, "hostPort"), p->hostPort,
			cor_check_port_number(p->hostPort));
	if (p->protocol.n == 0)
		cor_fe_required(s->e, COR_FIELD(at, "protocol"), "%s", "");
	else
		(void)cor_fe_one_of(s->e, COR_FIELD(at, "protocol"), p->protocol, protocols);
}

static void check_ports(struct scope *s, const struct cor_fpath *path, const core_v1_Container *c) {
	const struct cor_fpath *list = COR_FIELD(path, "ports");
	for (size_t i = 0; i < c->ports.n; i++) {
		const struct cor_fpath *at = COR_INDEX(list, i);
		check_port(s, at, &c->ports.p[i]);
		for (size_t j = 0; c->ports.p[i].name.n && j < i; j++)
			if (cor_str_eq(c->ports.p[j].name, c->ports.p[i].name)) {
				cor_fe_duplicate(s->e, COR_FIELD(at, "name"), cor_fv_str(s->e, c->ports.p[i].name));
				break;
			}
	}
}

static void check_env(struct scope *s, const struct cor_fpath *path, const core_v1_Container *c) {
	const struct cor_fpath *list = COR_FIELD(path, "env");
	for (size_t i = 0; i < c->env.n; i++) {
		const core_v1_EnvVar *v = &c->env.p[i];
		const struct cor_fpath *at = COR_INDEX(list, i), *from = COR_FIELD(at, "valueFrom");
		(void)cor_fe_need(s->e, COR_FIELD(at, "name"), v->name, cor_check_env_name(v->name));
		if (!v->valueFrom)
			continue;
		const core_v1_EnvVarSource *f = v->valueFrom;
		int n = !!f->fieldRef + !!f->resourceFieldRef + !!f->configMapKeyRef + !!f->secretKeyRef +
			!!f->fileKeyRef;
		if (v->value.n)
			cor_fe_invalid(s->e, from, cor_fv_c(s->e, ""), "may not be specified when `value` is not empty");
		if (n == 0)
			cor_fe_invalid(s->e, from, cor_fv_c(s->e, ""), "must specify one of: `fieldRef`, "
				"`resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`");
		else if (n > 1)
			cor_fe_invalid(s->e, from, cor_fv_c(s->e, ""),
				"may not have more than one field specified at a time");
		if (f->configMapKeyRef && f->configMapKeyRef->key.n == 0)
			cor_fe_required(s->e, COR_FIELD(from, "configMapKeyRef.key"), "%s", "");
		if (f->secretKeyRef && f->secretKeyRef->key.n == 0)
			cor_fe_required(s->e, COR_FIELD(from, "secretKeyRef.key"), "%s", "");
	}
}

static void check_mounts(struct scope *s, const struct cor_fpath *path, const core_v1_Container *c) {
	const struct cor_fpath *list = COR_FIELD(path, "volumeMounts");
	for (size_t i = 0; i < c->volumeMounts.n; i++) {
		const core_v1_VolumeMount *m = &c->volumeMounts.p[i];
		const struct cor_fpath *at = COR_INDEX(list, i);
		if (m->name.n == 0)
			cor_fe_required(s->e, COR_FIELD(at, "name"), "%s", "");
		else if (!known_volume(s, m->name))
			cor_fe_not_found(s->e, COR_FIELD(at, "name"), cor_fv_str(s->e, m->name));
		if (m->mountPath.n == 0)
			cor_fe_required(s->e, COR_FIELD(at, "mountPath"), "%s", "");
		for (size_t j = 0; m->mountPath.n && j < i; j++)
			if (cor_str_eq(c->volumeMounts.p[j].mountPath, m->mountPath)) {
				cor_fe_invalid(s->e, COR_FIELD(at, "mountPath"), cor_fv_str(s->e, m->mountPath),
					"must be unique");
				break;
			}
		if (m->subPath.n)
			(void)cor_fe_broken(s->e, COR_FIELD(path, "volumeMounts.subPath"), m->subPath,
				cor_check_relative_path(m->subPath));
	}
}

static void check_amounts(struct scope *s, const struct cor_fpath *at, const struct cor_strmap *m) {
	for (size_t i = 0; i < m->n; i++)
		if (cor_quantity_of(m->p[i].value).nano < 0)
			cor_fe_invalid(s->e, COR_KEY(at, m->p[i].key), cor_fv_str(s->e, m->p[i].value), "%s",
				COR_MSG_NOT_NEGATIVE);
}

static void check_resources(struct scope *s, const struct cor_fpath *at,
	const core_v1_ResourceRequirements *r) {
	check_amounts(s, COR_FIELD(at, "limits"), &r->limits);
	check_amounts(s, COR_FIELD(at, "requests"), &r->requests);
	for (size_t i = 0; i < r->requests.n; i++) {
		const struct cor_str *limit = cor_strmap_get(&r->limits, r->requests.p[i].key);
		if (limit && cor_quantity_cmp(cor_quantity_of(r->requests.p[i].value), cor_quantity_of(*limit)) > 0)
			cor_fe_invalid(s->e, COR_FIELD(at, "requests"), cor_fv_str(s->e, r->requests.p[i].value),
				"must be less than or equal to %.*s limit of %.*s", COR_STR_ARG(r->requests.p[i].key),
				COR_STR_ARG(*limit));
	}
}

static void check_target(struct scope *s, const struct cor_fpath *at, struct cor_intstr port) {
	if (port.kind == COR_INTSTR_STR)
		(void)cor_fe_broken(s->e, at, port.s, cor_check_port_name(port.s));
	else
		(void)cor_fe_broken_int(s->e, at, port.i, cor_check_port_number(port.i));
}

static void check_handler(struct scope *s, const struct cor_fpath *at, const core_v1_ExecAction *exec,
	const core_v1_HTTPGetAction *http, const core_v1_TCPSocketAction *tcp, bool other) {
	int n = !!exec + !!http + !!tcp + other;
	if (n == 0)
		cor_fe_required(s->e, at, "must specify a handler type");
	if (exec && exec->command.n == 0)
		cor_fe_required(s->e, COR_FIELD(at, "exec.command"), "%s", "");
	if (http) {
		if (n > 1 && exec)
			cor_fe_forbidden(s->e, COR_FIELD(at, "httpGet"), "may not specify more than 1 handler type");
		if (http->path.n == 0)
			cor_fe_required(s->e, COR_FIELD(at, "httpGet.path"), "%s", "");
		check_target(s, COR_FIELD(at, "httpGet.port"), http->port);
	}
	if (tcp) {
		if (exec || http)
			cor_fe_forbidden(s->e, COR_FIELD(at, "tcpSocket"), "may not specify more than 1 handler type");
		check_target(s, COR_FIELD(at, "tcpSocket.port"), tcp->port);
	}
}

static void check_probe(struct scope *s, const struct cor_fpath *at, const core_v1_Probe *p, bool once) {
	if (!p)
		return;
	check_handler(s, at, p->exec, p->httpGet, p->tcpSocket, p->grpc != NULL);
	(void)cor_fe_not_negative(s->e, COR_FIELD(at, "initialDelaySeconds"), p->initialDelaySeconds);
	(void)cor_fe_not_negative(s->e, COR_FIELD(at, "timeoutSeconds"), p->timeoutSeconds);
	(void)cor_fe_not_negative(s->e, COR_FIELD(at, "periodSeconds"), p->periodSeconds);
	(void)cor_fe_not_negative(s->e, COR_FIELD(at, "successThreshold"), p->successThreshold);
	(void)cor_fe_not_negative(s->e, COR_FIELD(at, "failureThreshold"), p->failureThreshold);
	if (p->terminationGracePeriodSeconds && !once)
		cor_fe_invalid(s->e, COR_FIELD(at, "terminationGracePeriodSeconds"),
			cor_fv_int(s->e, *p->terminationGracePeriodSeconds), "must not be set for readinessProbes");
	if (once && p->successThreshold != 1)
		cor_fe_invalid(s->e, COR_FIELD(at, "successThreshold"), cor_fv_int(s->e, p->successThreshold),
			"must be 1");
}

static void check_hooks(struct scope *s, const struct cor_fpath *path, const core_v1_Lifecycle *l) {
	if (!l)
		return;
	const struct cor_fpath *at = COR_FIELD(path, "lifecycle");
	if (l->postStart)
		check_handler(s, COR_FIELD(at, "postStart"), l->postStart->exec, l->postStart->httpGet,
			l->postStart->tcpSocket, l->postStart->sleep != NULL);
	if (l->preStop)
		check_handler(s, COR_FIELD(at, "preStop"), l->preStop->exec, l->preStop->httpGet,
			l->preStop->tcpSocket, l->preStop->sleep != NULL);
}

/* ---- containers ---- */

static bool blank_around(struct cor_str s) {
	return cor_str_trim(s).n != s.n;
}

static void check_container(struct scope *s, const struct cor_fpath *at, const core_v1_Container *c) {
	(void)cor_fe_need(s->e, COR_FIELD(at, "name"), c->name, cor_check_dns_label(c->name));
	if (c->image.n == 0)
		cor_fe_required(s->e, COR_FIELD(at, "image"), "%s", "");
	else if (s->pod && blank_around(c->image))
		cor_fe_invalid(s->e, COR_FIELD(at, "image"), cor_fv_str(s->e, c->image),
			"must not have leading or trailing whitespace");
	(void)cor_fe_one_of(s->e, COR_FIELD(at, "imagePullPolicy"), c->imagePullPolicy, pull_policies);
	check_ports(s, at, c);
	check_env(s, at, c);
	check_mounts(s, at, c);
	check_resources(s, COR_FIELD(at, "resources"), &c->resources);
	cor_container_rights_validate(s->e, COR_FIELD(at, "securityContext"), c->securityContext, s->spec);
	check_hooks(s, at, c->lifecycle);
	check_probe(s, COR_FIELD(at, "livenessProbe"), c->livenessProbe, true);
	check_probe(s, COR_FIELD(at, "readinessProbe"), c->readinessProbe, false);
	check_probe(s, COR_FIELD(at, "startupProbe"), c->startupProbe, true);
}

static void check_unique(struct scope *s, const struct cor_fpath *list, const core_v1_Container *p,
	size_t n, const core_v1_Container *others, size_t n_others) {
	for (size_t i = 0; i < n; i++) {
		bool again = false;
		for (size_t j = 0; j < n_others; j++)
			again = again || cor_str_eq(others[j].name, p[i].name);
		for (size_t j = 0; j < i; j++)
			again = again || cor_str_eq(p[j].name, p[i].name);
		if (again && p[i].name.n) {
			const struct cor_fpath *at = COR_INDEX(list, i);
			cor_fe_duplicate(s->e, COR_FIELD(at, "name"), cor_fv_str(s->e, p[i].name));
		}
	}
}

static void check_containers(struct scope *s, const struct cor_fpath *path) {
	const struct core_v1_PodSpec *spec = s->spec;
	const struct cor_fpath *list = COR_FIELD(path, "containers"), *init = COR_FIELD(path, "initContainers");
	if (spec->containers.n == 0)
		cor_fe_required(s->e, list, "%s", "");
	for (size_t i = 0; i < spec->containers.n; i++)
		check_container(s, COR_INDEX(list, i), &spec->containers.p[i]);
	check_unique(s, list, spec->containers.p, spec->containers.n, NULL, 0);
	for (size_t i = 0; i < spec->initContainers.n; i++) {
		const core_v1_Container *c = &spec->initContainers.p[i];
		const struct cor_fpath *at = COR_INDEX(init, i);
		check_container(s, at, c);
		static const char text[] = "may not be set for init containers without restartPolicy=Always";
		if (cor_str_eq_c(c->restartPolicy, "Always"))
			continue;
		if (c->lifecycle)
			cor_fe_forbidden(s->e, COR_FIELD(at, "lifecycle"), text);
		if (c->livenessProbe)
			cor_fe_forbidden(s->e, COR_FIELD(at, "livenessProbe"), text);
		if (c->readinessProbe)
			cor_fe_forbidden(s->e, COR_FIELD(at, "readinessProbe"), text);
		if (c->startupProbe)
			cor_fe_forbidden(s->e, COR_FIELD(at, "startupProbe"), text);
	}
	check_unique(s, init, spec->initContainers.p, spec->initContainers.n, spec->containers.p,
		spec->containers.n);
}

static void check_tolerations(struct scope *s, const struct cor_fpath *path) {
	static const char *const effects[] = { "NoSchedule", "PreferNoSchedule", "NoExecute", NULL };
	static const char *const operators[] = { "Equal", "Exists", NULL };
	const struct cor_fpath *list = COR_FIELD(path, "tolerations");
	for (size_t i = 0; i < s->spec->tolerations.n; i++) {
		const core_v1_Toleration *t = &s->spec->tolerations.p[i];
		const struct cor_fpath *at = COR_INDEX(list, i);
		bool exists = cor_str_eq_c(t->operator, "Exists");
		if (t->key.n)
			(void)cor_fe_broken(s->e, COR_FIELD(at, "key"), t->key, cor_check_qualified_name(t->key));
		else if (!exists)
			cor_fe_invalid(s->e, COR_FIELD(at, "operator"), cor_fv_str(s->e, t->operator), "operator must "
				"be Exists when `key` is empty, which means \"match all values and all keys\"");
		if (t->tolerationSeconds && !cor_str_eq_c(t->effect, "NoExecute"))
			cor_fe_invalid(s->e, COR_FIELD(at, "effect"), cor_fv_str(s->e, t->effect),
				"effect must be 'NoExecute' when `tolerationSeconds` is set");
		if (exists && t->value.n)
			cor_fe_invalid(s->e, COR_FIELD(at, "operator"), cor_fv_str(s->e, t->value),
				"value must be empty when `operator` is 'Exists'");
		if (t->operator.n)
			(void)cor_fe_one_of(s->e, COR_FIELD(at, "operator"), t->operator, operators);
		if (t->effect.n)
			(void)cor_fe_one_of(s->e, COR_FIELD(at, "effect"), t->effect, effects);
	}
}

static void check_subdomain(struct scope *s, const struct cor_fpath *at, struct cor_str v) {
	if (v.n)
		(void)cor_fe_broken(s->e, at, v, cor_check_dns_subdomain(v));
}

void cor_podspec_validate(struct cor_field_errors *e, const struct cor_fpath *path,
	const struct core_v1_PodSpec *spec, bool pod, const struct cor_str *claims, size_t n_claims) {
	static const char *const restarts[] = { "Always", "OnFailure", "Never", NULL };
	static const char *const dns[] = { "ClusterFirstWithHostNet", "ClusterFirst", "Default", "None", NULL };
	struct scope s = { .e = e, .spec = spec, .claims = claims, .n_claims = n_claims, .pod = pod };
	cor_podspec_volumes_validate(e, path, spec);
	check_containers(&s, path);
	(void)cor_fe_one_of(e, COR_FIELD(path, "restartPolicy"), spec->restartPolicy, restarts);
	(void)cor_fe_one_of(e, COR_FIELD(path, "dnsPolicy"), spec->dnsPolicy, dns);
	cor_validate_labels(e, COR_FIELD(path, "nodeSelector"), &spec->nodeSelector);
	check_subdomain(&s, COR_FIELD(path, "serviceAccountName"), spec->serviceAccountName);
	check_subdomain(&s, COR_FIELD(path, "nodeName"), spec->nodeName);
	if (spec->activeDeadlineSeconds)
		(void)cor_fe_range(e, COR_FIELD(path, "activeDeadlineSeconds"), *spec->activeDeadlineSeconds, 1,
			INT32_MAX);
	if (spec->hostname.n)
		(void)cor_fe_broken(e, COR_FIELD(path, "hostname"), spec->hostname,
			cor_check_dns_label(spec->hostname));
	if (spec->subdomain.n)
		(void)cor_fe_broken(e, COR_FIELD(path, "subdomain"), spec->subdomain,
			cor_check_dns_label(spec->subdomain));
	check_tolerations(&s, path);
	cor_podspec_policy_validate(e, path, spec);
	check_subdomain(&s, COR_FIELD(path, "priorityClassName"), spec->priorityClassName);
	check_subdomain(&s, COR_FIELD(path, "runtimeClassName"), spec->runtimeClassName);
	if (spec->ephemeralContainers.n && !pod)
		cor_fe_forbidden(e, COR_FIELD(path, "ephemeralContainers"),
			"ephemeral containers not allowed in pod template");
}

/* ---- updates of a pod ---- */

#define POD_UPDATE "pod updates may not change fields other than `spec.containers[*].image`," \
	"`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to " \
	"existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was " \
	"previously negative)\n"

static void restore_images(core_v1_Container *to, const core_v1_Container *from, size_t n) {
	for (size_t i = 0; i < n; i++)
		to[i].image = from[i].image;
}

static bool same_but_seconds(const core_v1_Toleration *a, const core_v1_Toleration *b) {
	return cor_str_eq(a->key, b->key) && cor_str_eq(a->operator, b->operator) && cor_str_eq(a->value, b->value) &&
		cor_str_eq(a->effect, b->effect);
}

/* They may become more, and last for another time. */
static void check_toleration_update(struct cor_field_errors *e, const struct core_v1_PodSpec *now,
	const struct core_v1_PodSpec *old) {
	for (size_t i = 0; i < old->tolerations.n; i++) {
		bool kept = false;
		for (size_t k = 0; k < now->tolerations.n && !kept; k++)
			kept = same_but_seconds(&now->tolerations.p[k], &old->tolerations.p[i]);
		if (!kept) {
			cor_fe_forbidden(e, COR_ROOT("spec.tolerations"),
				"existing toleration can not be modified except its tolerationSeconds");
			return;
		}
	}
}

static void check_deadline_update(struct cor_field_errors *e, const int64_t *now, const int64_t *old) {
	const struct cor_fpath *at = COR_ROOT("spec.activeDeadlineSeconds");
	if (old && !now)
		cor_fe_invalid(e, at, cor_fv_null(), "must not update from a positive integer to nil value");
	else if (old && *now > *old)
		cor_fe_invalid(e, at, cor_fv_int(e, *now), "must be less than or equal to previous value");
}

void cor_podspec_validate_update(struct cor_kind_ctx *ctx, struct cor_field_errors *e,
	const struct core_v1_PodSpec *now, const struct core_v1_PodSpec *old) {
	const struct cor_fpath *spec = COR_ROOT("spec");
	bool same = now->containers.n == old->containers.n, init = now->initContainers.n == old->initContainers.n;
	if (!same || !init) {
		cor_fe_forbidden(e, COR_FIELD(spec, same ? "initContainers" : "containers"),
			"pod updates may not add or remove containers");
		return;
	}
	core_v1_PodSpec *c = cor_obj_dup(&cor_type_core_v1_PodSpec, now, ctx->arena);
	if (!c)
		return;
	check_toleration_update(e, now, old);
	check_deadline_update(e, now->activeDeadlineSeconds, old->activeDeadlineSeconds);
	restore_images(c->containers.p, old->containers.p, c->containers.n);
	restore_images(c->initContainers.p, old->initContainers.p, c->initContainers.n);
	c->activeDeadlineSeconds = old->activeDeadlineSeconds;
	if (old->terminationGracePeriodSeconds && *old->terminationGracePeriodSeconds < 0)
		c->terminationGracePeriodSeconds = old->terminationGracePeriodSeconds;
	c->tolerations.p = old->tolerations.p;
	c->tolerations.n = old->tolerations.n;
	if (c->schedulingGates.n <= old->schedulingGates.n) {
		c->schedulingGates.p = old->schedulingGates.p;
		c->schedulingGates.n = old->schedulingGates.n;
	}
	if (!cor_obj_equal(&cor_type_core_v1_PodSpec, c, old))
		cor_fe_forbidden(e, spec, "%s", POD_UPDATE);
}
