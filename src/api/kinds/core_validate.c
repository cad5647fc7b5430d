// SPDX-License-Identifier: Apache-2.0
// Validation of ConfigMap, Secret, Node, Namespace, Endpoints and Event (facts/kinds.md 8).
#include "api/kinds/core.h"

#include "api/kinds/service.h"
#include "codec/quantity.h"
#include "codec/tree.h"

enum { DATA_MAX = 1 << 20, EVENT_FIELD_MAX = 128, EVENT_MESSAGE_MAX = 1024 };

#define WHEN_SET "field is immutable when `immutable` is set"

/* ---- ConfigMap, Secret ---- */

static size_t check_data(
	struct cor_field_errors *e, const char *field, const struct cor_strmap *m) {
	size_t bytes = 0;
	for (size_t i = 0; i < m->n; i++) {
		(void)cor_fe_broken(e, COR_KEY(COR_ROOT(field), m->p[i].key), m->p[i].key,
			cor_check_config_key(m->p[i].key));
		bytes += m->p[i].value.n;
	}
	return bytes;
}

static bool is_set(const bool *b) {
	return b && *b;
}

void cor_configmap_validate(struct cor_kind_ctx *ctx, const void *obj, struct cor_field_errors *e) {
	const core_v1_ConfigMap *c = obj;
	size_t bytes =
		check_data(e, "data", &c->data) + check_data(e, "binaryData", &c->binaryData);
	for (size_t i = 0; i < c->data.n; i++)
		if (cor_strmap_get(&c->binaryData, c->data.p[i].key))
			cor_fe_invalid(e, COR_KEY(COR_ROOT("data"), c->data.p[i].key),
				cor_fv_str(e, c->data.p[i].key),
				"duplicate of key present in binaryData");
	if (bytes > DATA_MAX)
		cor_fe_too_long(e, COR_ROOT("[]"), DATA_MAX);
}

void cor_configmap_validate_update(
	struct cor_kind_ctx *ctx, const void *obj, const void *old, struct cor_field_errors *e) {
	const core_v1_ConfigMap *c = obj, *was = old;
	if (is_set(was->immutable)) {
		if (!is_set(c->immutable))
			cor_fe_forbidden(e, COR_ROOT("immutable"), "%s", WHEN_SET);
		if (!cor_strmap_eq(&c->data, &was->data))
			cor_fe_forbidden(e, COR_ROOT("data"), "%s", WHEN_SET);
		if (!cor_strmap_eq(&c->binaryData, &was->binaryData))
			cor_fe_forbidden(e, COR_ROOT("binaryData"), "%s", WHEN_SET);
	}
	cor_configmap_validate(ctx, obj, e);
}

/* What a Secret of a type must hold. Either of two keys is enough where one is marked so. */
static const struct rule {
	const char *type, *keys[2];
	bool either, json;
} rules[] = {
	{ "kubernetes.io/dockercfg", { ".dockercfg" }, .json = true },
	{ "kubernetes.io/dockerconfigjson", { ".dockerconfigjson" }, .json = true },
	{ "kubernetes.io/basic-auth", { "username", "password" }, .either = true },
	{ "kubernetes.io/ssh-auth", { "ssh-privatekey" } },
	{ "kubernetes.io/tls", { "tls.crt", "tls.key" } },
};

static void check_keys(struct cor_field_errors *e, const struct rule *r, const core_v1_Secret *s) {
	const struct cor_fpath *data = COR_ROOT("data");
	const struct cor_str *found[2] = { NULL, NULL };
	for (size_t i = 0; i < cor_countof(r->keys) && r->keys[i]; i++)
		found[i] = cor_strmap_get(&s->data, cor_str_c(r->keys[i]));
	if (r->either && (found[0] || found[1]))
		return;
	for (size_t i = 0; i < cor_countof(r->keys) && r->keys[i]; i++) {
		struct cor_err err;
		if (!found[i])
			cor_fe_required(e, COR_KEY(data, cor_str_c(r->keys[i])), "%s", "");
		else if (r->json && !cor_node_parse(e->arena, *found[i], NULL, &err))
			cor_fe_invalid(e, COR_KEY(data, cor_str_c(r->keys[i])),
				cor_fv_c(e, "<secret contents redacted>"), "%s", err.message);
	}
}

void cor_secret_validate(struct cor_kind_ctx *ctx, const void *obj, struct cor_field_errors *e) {
	static const char account[] = "kubernetes.io/service-account.name";
	const core_v1_Secret *s = obj;
	if (check_data(e, "data", &s->data) > DATA_MAX)
		cor_fe_too_long(e, COR_ROOT("data"), DATA_MAX);
	if (cor_str_eq_c(s->type, "kubernetes.io/service-account-token")) {
		const struct cor_str *name =
			cor_strmap_get(&s->metadata.annotations, cor_str_c(account));
		if (!name || name->n == 0)
			cor_fe_required(e,
				COR_KEY(COR_ROOT("metadata.annotations"), cor_str_c(account)), "%s",
				"");
	}
	for (size_t i = 0; i < cor_countof(rules); i++)
		if (cor_str_eq_c(s->type, rules[i].type))
			check_keys(e, &rules[i], s);
}

void cor_secret_validate_update(
	struct cor_kind_ctx *ctx, const void *obj, const void *old, struct cor_field_errors *e) {
	const core_v1_Secret *s = obj, *was = old;
	(void)cor_fe_immutable_str(e, COR_ROOT("type"), s->type, was->type);
	if (is_set(was->immutable)) {
		if (!is_set(s->immutable))
			cor_fe_forbidden(e, COR_ROOT("immutable"), "%s", WHEN_SET);
		if (!cor_strmap_eq(&s->data, &was->data))
			cor_fe_forbidden(e, COR_ROOT("data"), "%s", WHEN_SET);
	}
	cor_secret_validate(ctx, obj, e);
}

/* ---- Node ---- */

/* The path of a taint really begins with metadata. */
static void check_taints(struct cor_field_errors *e, const core_v1_NodeSpec *s) {
	static const char *const effects[] = { "NoExecute", "NoSchedule", "PreferNoSchedule",
		NULL };
	const struct cor_fpath *list = COR_ROOT("metadata.taints");
	for (size_t i = 0; i < s->taints.n; i++) {
		const core_v1_Taint *t = &s->taints.p[i];
		const struct cor_fpath *at = COR_INDEX(list, i);
		(void)cor_fe_broken(
			e, COR_FIELD(at, "key"), t->key, cor_check_qualified_name(t->key));
		(void)cor_fe_broken(
			e, COR_FIELD(at, "value"), t->value, cor_check_label_value(t->value));
		if (t->effect.n == 0)
			cor_fe_required(e, COR_FIELD(at, "effect"), "%s", "");
		else
			(void)cor_fe_one_of(e, COR_FIELD(at, "effect"), t->effect, effects);
		for (size_t k = 0; k < i; k++)
			if (cor_str_eq(s->taints.p[k].key, t->key) &&
				cor_str_eq(s->taints.p[k].effect, t->effect)) {
				cor_fe_duplicate(e, at,
					cor_fv_c(
						e, "taints must be unique by key and effect pair"));
				break;
			}
	}
}

static void check_capacity(struct cor_field_errors *e, const struct cor_strmap *m) {
	const struct cor_fpath *capacity = COR_ROOT("status.capacity");
	for (size_t i = 0; i < m->n; i++)
		if (cor_quantity_of(m->p[i].value).nano < 0)
			cor_fe_invalid(e, COR_KEY(capacity, m->p[i].key),
				cor_fv_str(e, m->p[i].value), "%s", COR_MSG_NOT_NEGATIVE);
}

void cor_node_validate(struct cor_kind_ctx *ctx, const void *obj, struct cor_field_errors *e) {
	const core_v1_Node *n = obj;
	const struct cor_fpath *list = COR_ROOT("spec.podCIDRs");
	check_taints(e, &n->spec);
	for (size_t i = 0; i < n->spec.podCIDRs.n; i++)
		(void)cor_fe_broken(e, COR_INDEX(list, i), n->spec.podCIDRs.p[i],
			cor_check_cidr(n->spec.podCIDRs.p[i]));
	check_capacity(e, &n->status.capacity);
}

void cor_node_validate_update(
	struct cor_kind_ctx *ctx, const void *obj, const void *old, struct cor_field_errors *e) {
	const core_v1_Node *n = obj, *was = old;
	check_taints(e, &n->spec);
	if (was->spec.podCIDR.n > 0 && !cor_str_eq(n->spec.podCIDR, was->spec.podCIDR))
		cor_fe_forbidden(e, COR_ROOT("spec.podCIDRs"),
			"node updates may not change podCIDR except from \"\" to valid");
	if (was->spec.providerID.n > 0 && !cor_str_eq(n->spec.providerID, was->spec.providerID))
		cor_fe_forbidden(e, COR_ROOT("spec.providerID"),
			"node updates may not change providerID except from \"\" to valid");
}

void cor_node_validate_status(
	struct cor_kind_ctx *ctx, const void *obj, const void *old, struct cor_field_errors *e) {
	const core_v1_Node *n = obj;
	const struct cor_fpath *list = COR_ROOT("status.addresses");
	check_capacity(e, &n->status.capacity);
	for (size_t i = 0; i < n->status.addresses.n; i++)
		for (size_t k = 0; k < i; k++)
			if (cor_obj_equal(&cor_type_core_v1_NodeAddress, &n->status.addresses.p[i],
				    &n->status.addresses.p[k])) {
				cor_fe_duplicate(e, COR_INDEX(list, i),
					cor_fv_obj(e, &cor_type_core_v1_NodeAddress,
						&n->status.addresses.p[i]));
				break;
			}
}

/* ---- Namespace ---- */

void cor_namespace_validate_status(
	struct cor_kind_ctx *ctx, const void *obj, const void *old, struct cor_field_errors *e) {
	const core_v1_Namespace *ns = obj;
	bool going = ns->metadata.deletionTimestamp != 0;
	const struct cor_fpath *at = COR_ROOT("status.Phase");
	if (going && !cor_str_eq_c(ns->status.phase, "Terminating"))
		cor_fe_invalid(e, at, cor_fv_str(e, ns->status.phase),
			"may only be 'Terminating' if `deletionTimestamp` "
			"is not empty");
	if (!going && !cor_str_eq_c(ns->status.phase, "Active"))
		cor_fe_invalid(e, at, cor_fv_str(e, ns->status.phase),
			"may only be 'Active' if `deletionTimestamp` is empty");
}

/* ---- Endpoints ---- */

static void check_addresses(struct cor_field_errors *e, const struct cor_fpath *list,
	const core_v1_EndpointAddress *p, size_t n) {
	for (size_t i = 0; i < n; i++) {
		const struct cor_fpath *at = COR_INDEX(list, i);
		cor_validate_endpoint_ip(e, COR_FIELD(at, "ip"), p[i].ip);
		if (p[i].hostname.n > 0)
			(void)cor_fe_broken(e, COR_FIELD(at, "hostname"), p[i].hostname,
				cor_check_dns_label(p[i].hostname));
		if (p[i].nodeName.n > 0)
			(void)cor_fe_broken(e, COR_FIELD(at, "nodeName"), p[i].nodeName,
				cor_check_dns_subdomain(p[i].nodeName));
	}
}

void cor_validate_endpoint_port(struct cor_field_errors *e, const struct cor_fpath *at,
	struct cor_str name, bool named, struct cor_str protocol, struct cor_str app) {
	static const char *const protocols[] = { "SCTP", "TCP", "UDP", NULL };
	if (named || name.n > 0)
		(void)cor_fe_need(e, COR_FIELD(at, "name"), name, cor_check_dns_label(name));
	if (protocol.n == 0)
		cor_fe_required(e, COR_FIELD(at, "protocol"), "%s", "");
	else
		(void)cor_fe_one_of(e, COR_FIELD(at, "protocol"), protocol, protocols);
	if (app.n > 0)
		(void)cor_fe_broken(
			e, COR_FIELD(at, "appProtocol"), app, cor_check_qualified_name(app));
}

void cor_endpoints_validate(struct cor_kind_ctx *ctx, const void *obj, struct cor_field_errors *e) {
	const core_v1_Endpoints *ep = obj;
	const struct cor_fpath *list = COR_ROOT("subsets");
	for (size_t i = 0; i < ep->subsets.n; i++) {
		const core_v1_EndpointSubset *s = &ep->subsets.p[i];
		const struct cor_fpath *at = COR_INDEX(list, i), *ports = COR_FIELD(at, "ports");
		if (s->addresses.n + s->notReadyAddresses.n == 0)
			cor_fe_required(e, at, "must specify `addresses` or `notReadyAddresses`");
		check_addresses(e, COR_FIELD(at, "addresses"), s->addresses.p, s->addresses.n);
		check_addresses(e, COR_FIELD(at, "notReadyAddresses"), s->notReadyAddresses.p,
			s->notReadyAddresses.n);
		for (size_t k = 0; k < s->ports.n; k++) {
			const core_v1_EndpointPort *p = &s->ports.p[k];
			cor_validate_endpoint_port(e, COR_INDEX(ports, k), p->name, s->ports.n > 1,
				p->protocol, p->appProtocol);
			(void)cor_fe_broken_int(e, COR_FIELD(COR_INDEX(ports, k), "port"), p->port,
				cor_check_port_number(p->port));
		}
	}
}

void cor_endpoints_validate_update(
	struct cor_kind_ctx *ctx, const void *obj, const void *old, struct cor_field_errors *e) {
	cor_endpoints_validate(ctx, obj, e);
}

/* ---- Event ---- */

static void check_short(struct cor_field_errors *e, const char *field, struct cor_str v) {
	if (v.n == 0)
		cor_fe_required(e, COR_ROOT(field), "%s", "");
	else if (v.n > EVENT_FIELD_MAX)
		cor_fe_invalid(e, COR_ROOT(field), cor_fv_c(e, ""),
			"can have at most %d characters", EVENT_FIELD_MAX);
}

void cor_event_validate(struct cor_kind_ctx *ctx, const void *obj, struct cor_field_errors *e) {
	const core_v1_Event *ev = obj;
	struct cor_str ns = ev->involvedObject.namespace;
	if (ns.n > 0 ? !cor_str_eq(ns, ev->metadata.namespace)
		     : !cor_str_eq_c(ev->metadata.namespace, "default"))
		cor_fe_invalid(e, COR_ROOT("involvedObject.namespace"), cor_fv_str(e, ns),
			"does not match event.namespace");
	if (!ev->eventTime)
		return;
	(void)cor_fe_need(e, COR_ROOT("reportingController"), ev->reportingComponent,
		cor_check_qualified_name(ev->reportingComponent));
	check_short(e, "reportingInstance", ev->reportingInstance);
	check_short(e, "action", ev->action);
	check_short(e, "reason", ev->reason);
	if (ev->message.n > EVENT_MESSAGE_MAX)
		cor_fe_invalid(e, COR_ROOT("message"), cor_fv_c(e, ""),
			"can have at most %d characters", EVENT_MESSAGE_MAX);
}
