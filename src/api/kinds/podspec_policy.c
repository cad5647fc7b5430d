// SPDX-License-Identifier: Apache-2.0
// Validation of where the pods of a spec may run and with which rights: affinity, spreading,
// security contexts, DNS, gates (facts/kinds.md 5.2, 5.5 to 5.7).
#include "api/kinds/podspec_priv.h"
#include "codec/codec.h"

enum {
	WEIGHT_MAX = 100,
	NAMESERVERS_MAX = 3,
	SEARCHES_MAX = 32,
	SEARCH_CHARS_MAX = 2048,
	SYSCTL_MAX = 253
};

/* ---- affinity ---- */

static void check_requirement(struct cor_field_errors *e, const struct cor_fpath *at,
	const core_v1_NodeSelectorRequirement *r, bool strict) {
	const struct cor_fpath *values = COR_FIELD(at, "values");
	struct cor_str op = r->operator;
	(void)cor_fe_broken(e, COR_FIELD(at, "key"), r->key, cor_check_qualified_name(r->key));
	if (cor_str_eq_c(op, "In") || cor_str_eq_c(op, "NotIn")) {
		if (r->values.n == 0)
			cor_fe_required(
				e, values, "must be specified when `operator` is 'In' or 'NotIn'");
	} else if (cor_str_eq_c(op, "Exists") || cor_str_eq_c(op, "DoesNotExist")) {
		if (r->values.n > 0)
			cor_fe_forbidden(e, values,
				"may not be specified when `operator` is 'Exists' or "
				"'DoesNotExist'");
	} else if (cor_str_eq_c(op, "Gt") || cor_str_eq_c(op, "Lt")) {
		if (r->values.n != 1)
			cor_fe_required(e, values,
				"must be specified single value when `operator` is 'Lt' or 'Gt'");
	} else {
		cor_fe_invalid(e, COR_FIELD(at, "operator"), cor_fv_str(e, op),
			"not a valid selector operator");
	}
	for (size_t i = 0; strict && i < r->values.n; i++)
		(void)cor_fe_broken(e, COR_INDEX(values, i), r->values.p[i],
			cor_check_label_value(r->values.p[i]));
}

static void check_node_field(struct cor_field_errors *e, const struct cor_fpath *at,
	const core_v1_NodeSelectorRequirement *r) {
	const struct cor_fpath *key = COR_FIELD(at, "key");
	if (!cor_str_eq_c(r->operator, "In") && !cor_str_eq_c(r->operator, "NotIn"))
		cor_fe_invalid(e, COR_FIELD(at, "operator"), cor_fv_str(e, r->operator),
			"not a valid selector operator");
	else if (r->values.n != 1)
		cor_fe_required(e, COR_FIELD(at, "values"),
			"must be only one value when `operator` is 'In' or 'NotIn' for node field "
			"selector");
	if (!cor_str_eq_c(r->key, "metadata.name"))
		cor_fe_invalid(e, key, cor_fv_str(e, r->key), "not a valid field selector key");
}

static void check_node_term(struct cor_field_errors *e, const struct cor_fpath *at,
	const core_v1_NodeSelectorTerm *t, bool strict) {
	const struct cor_fpath *labels = COR_FIELD(at, "matchExpressions"),
			       *fields = COR_FIELD(at, "matchFields");
	for (size_t i = 0; i < t->matchExpressions.n; i++)
		check_requirement(e, COR_INDEX(labels, i), &t->matchExpressions.p[i], strict);
	for (size_t i = 0; i < t->matchFields.n; i++)
		check_node_field(e, COR_INDEX(fields, i), &t->matchFields.p[i]);
}

void cor_node_selector_validate(
	struct cor_field_errors *e, const struct cor_fpath *at, const core_v1_NodeSelector *s) {
	const struct cor_fpath *terms = COR_FIELD(at, "nodeSelectorTerms");
	if (s->nodeSelectorTerms.n == 0)
		cor_fe_required(e, terms, "must have at least one node selector term");
	for (size_t i = 0; i < s->nodeSelectorTerms.n; i++)
		check_node_term(e, COR_INDEX(terms, i), &s->nodeSelectorTerms.p[i], true);
}

static void check_weight(struct cor_field_errors *e, const struct cor_fpath *at, int32_t weight) {
	if (weight < 1 || weight > WEIGHT_MAX)
		cor_fe_invalid(e, COR_FIELD(at, "weight"), cor_fv_int(e, weight),
			"must be in the range 1-100");
}

#define REQUIRED "requiredDuringSchedulingIgnoredDuringExecution"
#define PREFERRED "preferredDuringSchedulingIgnoredDuringExecution"

static void check_node_affinity(
	struct cor_field_errors *e, const struct cor_fpath *at, const core_v1_NodeAffinity *a) {
	const struct cor_fpath *list = COR_FIELD(at, PREFERRED);
	if (a->requiredDuringSchedulingIgnoredDuringExecution)
		cor_node_selector_validate(e, COR_FIELD(at, REQUIRED),
			a->requiredDuringSchedulingIgnoredDuringExecution);
	for (size_t i = 0; i < a->preferredDuringSchedulingIgnoredDuringExecution.n; i++) {
		const core_v1_PreferredSchedulingTerm *t =
			&a->preferredDuringSchedulingIgnoredDuringExecution.p[i];
		const struct cor_fpath *x = COR_INDEX(list, i);
		check_weight(e, x, t->weight);
		check_node_term(e, COR_FIELD(x, "preference"), &t->preference, false);
	}
}

static void check_topology_key(
	struct cor_field_errors *e, const struct cor_fpath *at, struct cor_str key) {
	if (key.n == 0)
		cor_fe_required(e, COR_FIELD(at, "topologyKey"), "can not be empty");
	else
		(void)cor_fe_broken(
			e, COR_FIELD(at, "topologyKey"), key, cor_check_qualified_name(key));
}

static void check_pod_term(
	struct cor_field_errors *e, const struct cor_fpath *at, const core_v1_PodAffinityTerm *t) {
	if (t->labelSelector)
		cor_validate_label_selector(
			e, COR_FIELD(at, "labelSelector"), t->labelSelector, false);
	else if (t->matchLabelKeys.n + t->mismatchLabelKeys.n > 0)
		cor_fe_forbidden(e,
			COR_FIELD(at, t->matchLabelKeys.n ? "matchLabelKeys" : "mismatchLabelKeys"),
			"must not be specified when labelSelector is not set");
	if (t->namespaceSelector)
		cor_validate_label_selector(
			e, COR_FIELD(at, "namespaceSelector"), t->namespaceSelector, false);
	for (size_t i = 0; i < t->namespaces.n; i++)
		(void)cor_fe_broken(e, COR_FIELD(at, "namespace"), t->namespaces.p[i],
			cor_check_dns_label(t->namespaces.p[i]));
	check_topology_key(e, at, t->topologyKey);
}

/* Anti-affinity is the same type of another name. */
static void check_pod_affinity(
	struct cor_field_errors *e, const struct cor_fpath *at, const core_v1_PodAffinity *a) {
	const struct cor_fpath *required = COR_FIELD(at, REQUIRED),
			       *preferred = COR_FIELD(at, PREFERRED);
	for (size_t i = 0; i < a->requiredDuringSchedulingIgnoredDuringExecution.n; i++)
		check_pod_term(e, COR_INDEX(required, i),
			&a->requiredDuringSchedulingIgnoredDuringExecution.p[i]);
	for (size_t i = 0; i < a->preferredDuringSchedulingIgnoredDuringExecution.n; i++) {
		const core_v1_WeightedPodAffinityTerm *t =
			&a->preferredDuringSchedulingIgnoredDuringExecution.p[i];
		const struct cor_fpath *x = COR_INDEX(preferred, i);
		check_weight(e, x, t->weight);
		check_pod_term(e, COR_FIELD(x, "podAffinityTerm"), &t->podAffinityTerm);
	}
}

static void check_affinity(
	struct cor_field_errors *e, const struct cor_fpath *at, const core_v1_Affinity *a) {
	_Static_assert(sizeof(core_v1_PodAntiAffinity) == sizeof(core_v1_PodAffinity), "one shape");
	if (a->nodeAffinity)
		check_node_affinity(e, COR_FIELD(at, "nodeAffinity"), a->nodeAffinity);
	if (a->podAffinity)
		check_pod_affinity(e, COR_FIELD(at, "podAffinity"), a->podAffinity);
	if (a->podAntiAffinity)
		check_pod_affinity(e, COR_FIELD(at, "podAntiAffinity"),
			(const core_v1_PodAffinity *)a->podAntiAffinity);
}

/* ---- spreading ---- */

static void check_spread(struct cor_field_errors *e, const struct cor_fpath *list,
	const core_v1_TopologySpreadConstraint *p, size_t i) {
	static const char *const actions[] = { "DoNotSchedule", "ScheduleAnyway", NULL };
	static const char *const policies[] = { "Honor", "Ignore", NULL };
	const core_v1_TopologySpreadConstraint *c = &p[i];
	const struct cor_fpath *at = COR_INDEX(list, i);
	(void)cor_fe_positive(e, COR_FIELD(at, "maxSkew"), c->maxSkew);
	check_topology_key(e, at, c->topologyKey);
	(void)cor_fe_one_of(e, COR_FIELD(at, "whenUnsatisfiable"), c->whenUnsatisfiable, actions);
	for (size_t k = 0; k < i; k++)
		if (cor_str_eq(p[k].topologyKey, c->topologyKey) &&
			cor_str_eq(p[k].whenUnsatisfiable, c->whenUnsatisfiable)) {
			cor_fe_duplicate(e, COR_FIELD(at, "{topologyKey, whenUnsatisfiable}"),
				cor_fv_str(e, cor_arena_printf(e->arena, "{%.*s, %.*s}",
						      COR_STR_ARG(c->topologyKey),
						      COR_STR_ARG(c->whenUnsatisfiable))));
			break;
		}
	if (c->minDomains) {
		(void)cor_fe_positive(e, COR_FIELD(at, "minDomains"), *c->minDomains);
		if (!cor_str_eq_c(c->whenUnsatisfiable, "DoNotSchedule"))
			cor_fe_invalid(e, COR_FIELD(at, "minDomains"),
				cor_fv_int(e, *c->minDomains),
				"can only use minDomains if whenUnsatisfiable=DoNotSchedule, not "
				"%.*s",
				COR_STR_ARG(c->whenUnsatisfiable));
	}
	if (c->nodeAffinityPolicy.p)
		(void)cor_fe_one_of(
			e, COR_FIELD(at, "nodeAffinityPolicy"), c->nodeAffinityPolicy, policies);
	if (c->nodeTaintsPolicy.p)
		(void)cor_fe_one_of(
			e, COR_FIELD(at, "nodeTaintsPolicy"), c->nodeTaintsPolicy, policies);
	if (c->labelSelector)
		cor_validate_label_selector(
			e, COR_FIELD(at, "labelSelector"), c->labelSelector, false);
}

/* ---- rights ---- */

static void check_uid(struct cor_field_errors *e, const struct cor_fpath *at, const char *field,
	const int64_t *id) {
	if (id)
		(void)cor_fe_broken_int(e, COR_FIELD(at, field), *id, cor_check_uid(*id));
}

static void check_seccomp(
	struct cor_field_errors *e, const struct cor_fpath *at, const core_v1_SeccompProfile *p) {
	static const char *const types[] = { "Localhost", "RuntimeDefault", "Unconfined", NULL };
	const struct cor_fpath *profile = COR_FIELD(at, "localhostProfile");
	if (!p)
		return;
	bool local = cor_str_eq_c(p->type, "Localhost");
	if (p->type.n == 0)
		cor_fe_required(
			e, COR_FIELD(at, "type"), "type is required when seccompProfile is set");
	else
		(void)cor_fe_one_of(e, COR_FIELD(at, "type"), p->type, types);
	if (local && p->localhostProfile.n == 0)
		cor_fe_required(e, profile, "must be set when seccomp type is Localhost");
	else if (local)
		(void)cor_fe_broken(e, profile, p->localhostProfile,
			cor_check_relative_path(p->localhostProfile));
	else if (p->localhostProfile.p)
		cor_fe_invalid(e, profile, cor_fv_str(e, p->localhostProfile),
			"can only be set when seccomp type is Localhost");
}

static bool adds(const core_v1_Capabilities *c, const char *name) {
	for (size_t i = 0; c && i < c->add.n; i++)
		if (cor_str_eq_c(c->add.p[i], name))
			return true;
	return false;
}

void cor_container_rights_validate(struct cor_field_errors *e, const struct cor_fpath *at,
	const core_v1_SecurityContext *s, const core_v1_PodSpec *spec) {
	static const char *const mounts[] = { "Default", "Unmasked", NULL };
	if (!s)
		return;
	check_uid(e, at, "runAsUser", s->runAsUser);
	check_uid(e, at, "runAsGroup", s->runAsGroup);
	if (s->procMount.n > 0) {
		(void)cor_fe_one_of(e, COR_FIELD(at, "procMount"), s->procMount, mounts);
		if (cor_str_eq_c(s->procMount, "Unmasked") &&
			!(spec->hostUsers && !*spec->hostUsers))
			cor_fe_invalid(e, COR_FIELD(at, "procMount"), cor_fv_str(e, s->procMount),
				"`hostUsers` must be false to use `Unmasked`");
	}
	if (s->allowPrivilegeEscalation && !*s->allowPrivilegeEscalation) {
		struct cor_fvalue all = cor_fv_obj(e, &cor_type_core_v1_SecurityContext, s);
		if (s->privileged && *s->privileged)
			cor_fe_invalid(e, at, all,
				"cannot set `allowPrivilegeEscalation` to false and `privileged` "
				"to true");
		if (adds(s->capabilities, "CAP_SYS_ADMIN"))
			cor_fe_invalid(e, at, all,
				"cannot set `allowPrivilegeEscalation` to false and "
				"`capabilities.Add` CAP_SYS_ADMIN");
	}
	check_seccomp(e, COR_FIELD(at, "seccompProfile"), s->seccompProfile);
}

/* Segments of letters, digits and inner "-_", divided by "." or "/". */
static bool is_sysctl(struct cor_str s) {
	bool edge = true; /* at the beginning of a segment, or behind a "-" or "_" */
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];
		bool word = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'),
		     inner = c == '-' || c == '_';
		bool first = i == 0 || s.p[i - 1] == '.' || s.p[i - 1] == '/';
		if (!word && (first || (inner ? false : edge || (c != '.' && c != '/'))))
			return false;
		edge = !word;
	}
	return s.n > 0 && s.n <= SYSCTL_MAX && !edge;
}

static void check_sysctls(
	struct cor_field_errors *e, const struct cor_fpath *list, const core_v1_PodSpec *spec) {
	static const char *const ipc[] = { "kernel.shm", "kernel.msg", "kernel.sem", "fs.mqueue." };
	const core_v1_PodSecurityContext *s = spec->securityContext;
	for (size_t i = 0; i < s->sysctls.n; i++) {
		struct cor_str name = s->sysctls.p[i].name;
		const struct cor_fpath *at = COR_INDEX(list, i), *field = COR_FIELD(at, "name");
		bool is_ipc = false;
		if (name.n == 0) {
			cor_fe_required(e, field, "%s", "");
			continue;
		}
		if (!is_sysctl(name))
			cor_fe_invalid(e, field, cor_fv_str(e, name),
				"must have at most %d characters and match regex "
				"^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./"
				"])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$",
				SYSCTL_MAX);
		for (size_t k = 0; k < i; k++)
			if (cor_str_eq(s->sysctls.p[k].name, name)) {
				cor_fe_duplicate(e, field, cor_fv_str(e, name));
				break;
			}
		for (size_t k = 0; k < cor_countof(ipc); k++)
			is_ipc |= cor_str_starts(name, cor_str_c(ipc[k]));
		if (spec->hostNetwork && cor_str_starts(name, COR_STR("net.")))
			cor_fe_invalid(e, field, cor_fv_str(e, name),
				"may not be specified when 'hostNetwork' is true");
		if (spec->hostIPC && is_ipc)
			cor_fe_invalid(e, field, cor_fv_str(e, name),
				"may not be specified when 'hostIPC' is true");
	}
}

static void check_pod_rights(
	struct cor_field_errors *e, const struct cor_fpath *at, const core_v1_PodSpec *spec) {
	static const char *const changes[] = { "Always", "OnRootMismatch", NULL };
	static const char *const groups[] = { "Merge", "Strict", NULL };
	const core_v1_PodSecurityContext *s = spec->securityContext;
	const struct cor_fpath *list = COR_FIELD(at, "supplementalGroups");
	check_uid(e, at, "fsGroup", s->fsGroup);
	check_uid(e, at, "runAsUser", s->runAsUser);
	check_uid(e, at, "runAsGroup", s->runAsGroup);
	for (size_t i = 0; i < s->supplementalGroups.n; i++)
		(void)cor_fe_broken_int(e, COR_INDEX(list, i), s->supplementalGroups.p[i],
			cor_check_uid(s->supplementalGroups.p[i]));
	if (s->fsGroupChangePolicy.p)
		(void)cor_fe_one_of(
			e, COR_FIELD(at, "fsGroupChangePolicy"), s->fsGroupChangePolicy, changes);
	if (s->supplementalGroupsPolicy.p)
		(void)cor_fe_one_of(e, COR_FIELD(at, "supplementalGroupsPolicy"),
			s->supplementalGroupsPolicy, groups);
	check_sysctls(e, COR_FIELD(at, "sysctls"), spec);
	check_seccomp(e, COR_FIELD(at, "seccompProfile"), s->seccompProfile);
}

/* ---- DNS, names ---- */

static void check_dns(
	struct cor_field_errors *e, const struct cor_fpath *path, const core_v1_PodSpec *spec) {
	const core_v1_PodDNSConfig *c = spec->dnsConfig;
	const struct cor_fpath *at = COR_FIELD(path, "dnsConfig"),
			       *servers = COR_FIELD(at, "nameservers"),
			       *searches = COR_FIELD(at, "searches"),
			       *options = COR_FIELD(at, "options");
	bool none = cor_str_eq_c(spec->dnsPolicy, "None");
	if (none && !c)
		cor_fe_required(e, at, "must provide `dnsConfig` when `dnsPolicy` is None");
	if (!c)
		return;
	if (none && c->nameservers.n == 0)
		cor_fe_required(e, servers,
			"must provide at least one DNS nameserver when `dnsPolicy` is None");
	if (c->nameservers.n > NAMESERVERS_MAX)
		cor_fe_invalid(e, servers, cor_fv_strings(e, c->nameservers.p, c->nameservers.n),
			"must not have more than %d nameservers", NAMESERVERS_MAX);
	for (size_t i = 0; i < c->nameservers.n; i++)
		(void)cor_fe_broken(e, COR_INDEX(servers, i), c->nameservers.p[i],
			cor_check_ip(c->nameservers.p[i]));
	size_t chars = c->searches.n ? c->searches.n - 1 : 0;
	for (size_t i = 0; i < c->searches.n; i++)
		chars += c->searches.p[i].n;
	if (c->searches.n > SEARCHES_MAX)
		cor_fe_invalid(e, searches, cor_fv_strings(e, c->searches.p, c->searches.n),
			"must not have more than %d search paths", SEARCHES_MAX);
	if (chars > SEARCH_CHARS_MAX)
		cor_fe_invalid(e, searches, cor_fv_strings(e, c->searches.p, c->searches.n),
			"must not have more than %d characters (including spaces) in the search "
			"list",
			SEARCH_CHARS_MAX);
	for (size_t i = 0; i < c->options.n; i++)
		if (c->options.p[i].name.n == 0)
			cor_fe_required(e, COR_INDEX(options, i), "must not be empty");
}

static void check_gates(
	struct cor_field_errors *e, const struct cor_fpath *path, const core_v1_PodSpec *spec) {
	const struct cor_fpath *gates = COR_FIELD(path, "schedulingGates"),
			       *ready = COR_FIELD(path, "readinessGates"),
			       *aliases = COR_FIELD(path, "hostAliases");
	for (size_t i = 0; i < spec->readinessGates.n; i++)
		(void)cor_fe_broken(e, COR_FIELD(COR_INDEX(ready, i), "conditionType"),
			spec->readinessGates.p[i].conditionType,
			cor_check_qualified_name(spec->readinessGates.p[i].conditionType));
	for (size_t i = 0; i < spec->schedulingGates.n; i++) {
		struct cor_str name = spec->schedulingGates.p[i].name;
		(void)cor_fe_broken(e, COR_FIELD(COR_INDEX(gates, i), "name"), name,
			cor_check_qualified_name(name));
		for (size_t k = 0; k < i; k++)
			if (cor_str_eq(spec->schedulingGates.p[k].name, name)) {
				cor_fe_duplicate(e, COR_INDEX(gates, i), cor_fv_str(e, name));
				break;
			}
	}
	for (size_t i = 0; i < spec->hostAliases.n; i++) {
		const core_v1_HostAlias *a = &spec->hostAliases.p[i];
		const struct cor_fpath *at = COR_INDEX(aliases, i);
		(void)cor_fe_broken(e, COR_FIELD(at, "ip"), a->ip, cor_check_ip(a->ip));
		for (size_t k = 0; k < a->hostnames.n; k++)
			(void)cor_fe_broken(e, COR_FIELD(at, "hostnames"), a->hostnames.p[k],
				cor_check_dns_subdomain(a->hostnames.p[k]));
	}
}

void cor_podspec_policy_validate(
	struct cor_field_errors *e, const struct cor_fpath *path, const core_v1_PodSpec *spec) {
	static const char *const preemption[] = { "Never", "PreemptLowerPriority", NULL };
	const struct cor_fpath *spread = COR_FIELD(path, "topologySpreadConstraints");
	if (spec->securityContext)
		check_pod_rights(e, COR_FIELD(path, "securityContext"), spec);
	if (spec->shareProcessNamespace && *spec->shareProcessNamespace && spec->hostPID)
		cor_fe_invalid(e, COR_FIELD(path, "shareProcessNamespace"), cor_fv_bool(true),
			"ShareProcessNamespace and HostPID cannot both be enabled");
	if (spec->affinity)
		check_affinity(e, COR_FIELD(path, "affinity"), spec->affinity);
	check_dns(e, path, spec);
	check_gates(e, path, spec);
	for (size_t i = 0; i < spec->topologySpreadConstraints.n; i++)
		check_spread(e, spread, spec->topologySpreadConstraints.p, i);
	if (spec->preemptionPolicy.p)
		(void)cor_fe_one_of(
			e, COR_FIELD(path, "preemptionPolicy"), spec->preemptionPolicy, preemption);
}
