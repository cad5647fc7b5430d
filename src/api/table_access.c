// SPDX-License-Identifier: Apache-2.0
// Tables of who may do what, and of what extends or guards the API (facts/printing.md 2.5). Roles have
// the default columns.
#include "api/table_priv.h"
#include "codec/selector.h"
#include "gen/admissionregistration_v1.h"
#include "gen/apiregistration_v1.h"
#include "gen/certificates_v1.h"
#include "gen/flowcontrol_v1.h"
#include "gen/rbac_v1.h"

/* ---- bindings ---- */

static const struct column binding_columns[] = {
	S("Name"), S("Role"), S("Age"), W("Users"), W("Groups"), W("ServiceAccounts"),
};

static void cell_subjects(struct row *r, const struct rbac_v1_Subject *p, size_t n, const char *kind) {
	_cleanup_buf_ struct cor_buf b = COR_BUF_INIT;
	for (size_t i = 0; i < n; i++) {
		if (!cor_str_eq_c(p[i].kind, kind))
			continue;
		add_part(&b, ", ", p[i].namespace);
		if (p[i].namespace.n > 0)
			cor_buf_byte(&b, '/');
		cor_buf_str(&b, p[i].name);
	}
	cell_str(r, cor_buf_view(&b));
}

static void role_binding_row(struct row *r, const void *obj) {
	/* A ClusterRoleBinding has the same fields at the same places. */
	_Static_assert(offsetof(struct rbac_v1_RoleBinding, roleRef) == offsetof(struct rbac_v1_ClusterRoleBinding, roleRef) &&
		offsetof(struct rbac_v1_RoleBinding, subjects) == offsetof(struct rbac_v1_ClusterRoleBinding, subjects), "");
	static const char *const kinds[] = { "User", "Group", "ServiceAccount" };
	const struct rbac_v1_RoleBinding *b = obj;
	cell_str(r, b->metadata.name);
	cell_printf(r, "%.*s/%.*s", COR_STR_ARG(b->roleRef.kind), COR_STR_ARG(b->roleRef.name));
	cell_age(r, b->metadata.creationTimestamp);
	for (size_t i = 0; i < cor_countof(kinds); i++)
		cell_subjects(r, b->subjects.p, b->subjects.n, kinds[i]);
}

/* ---- CertificateSigningRequest ---- */

static const struct column csr_columns[] = {
	S("Name"), S("Age"), S("SignerName"), S("Requestor"), S("RequestedDuration"), S("Condition"),
};

static bool csr_is(const struct certificates_v1_CertificateSigningRequest *c, const char *type) {
	for (size_t i = 0; i < c->status.conditions.n; i++)
		if (cor_str_eq_c(c->status.conditions.p[i].type, type))
			return true;
	return false;
}

static void csr_row(struct row *r, const void *obj) {
	const struct certificates_v1_CertificateSigningRequest *c = obj;
	char text[COR_TIME_TEXT_MAX];
	cell_str(r, c->metadata.name);
	cell_age(r, c->metadata.creationTimestamp);
	cell_or(r, c->spec.signerName, "<none>");
	cell_str(r, c->spec.username);
	if (c->spec.expirationSeconds)
		cell_str(r, (struct cor_str){ text, cor_duration_human(*c->spec.expirationSeconds * COR_SECOND, text) });
	else
		cell_c(r, "<none>");
	cell_printf(r, "%s%s%s", csr_is(c, "Denied") ? "Denied" : csr_is(c, "Approved") ? "Approved" : "Pending",
		csr_is(c, "Failed") ? ",Failed" : "", c->status.certificate.n > 0 ? ",Issued" : "");
}

/* ---- admission ---- */

static const struct column webhook_columns[] = { S("Name"), I("Webhooks"), S("Age") };

static void mutating_webhook_row(struct row *r, const void *obj) {
	const struct admissionregistration_v1_MutatingWebhookConfiguration *c = obj;
	cell_str(r, c->metadata.name);
	cell_int(r, (int64_t)c->webhooks.n);
	cell_age(r, c->metadata.creationTimestamp);
}

static void validating_webhook_row(struct row *r, const void *obj) {
	const struct admissionregistration_v1_ValidatingWebhookConfiguration *c = obj;
	cell_str(r, c->metadata.name);
	cell_int(r, (int64_t)c->webhooks.n);
	cell_age(r, c->metadata.creationTimestamp);
}

static const struct column validating_policy_columns[] = { S("Name"), I("Validations"), S("ParamKind"), S("Age") };
static const struct column mutating_policy_columns[] = { S("Name"), I("Mutations"), S("ParamKind"), S("Age") };

static void cells_policy(struct row *r, const struct meta_v1_ObjectMeta *m, size_t n,
	const struct admissionregistration_v1_ParamKind *param) {
	cell_str(r, m->name);
	cell_int(r, (int64_t)n);
	if (param)
		cell_printf(r, "%.*s/%.*s", COR_STR_ARG(param->apiVersion), COR_STR_ARG(param->kind));
	else
		cell_c(r, "<unset>");
	cell_age(r, m->creationTimestamp);
}

static void validating_policy_row(struct row *r, const void *obj) {
	const struct admissionregistration_v1_ValidatingAdmissionPolicy *p = obj;
	cells_policy(r, &p->metadata, p->spec.validations.n, p->spec.paramKind);
}

static void mutating_policy_row(struct row *r, const void *obj) {
	const struct admissionregistration_v1_MutatingAdmissionPolicy *p = obj;
	cells_policy(r, &p->metadata, p->spec.mutations.n, p->spec.paramKind);
}

static const struct column policy_binding_columns[] = { S("Name"), S("PolicyName"), S("ParamRef"), S("Age") };

static void cells_policy_binding(struct row *r, const struct meta_v1_ObjectMeta *m, struct cor_str policy,
	const struct admissionregistration_v1_ParamRef *p) {
	cell_str(r, m->name);
	cell_str(r, policy);
	if (!p)
		cell_c(r, "<unset>");
	else if (p->selector)
		cell_selector(r, p->selector, "");
	else
		cell_printf(r, "%.*s/%.*s", COR_STR_ARG(p->namespace.n > 0 ? p->namespace : COR_STR("*")), COR_STR_ARG(p->name));
	cell_age(r, m->creationTimestamp);
}

static void validating_binding_row(struct row *r, const void *obj) {
	const struct admissionregistration_v1_ValidatingAdmissionPolicyBinding *b = obj;
	cells_policy_binding(r, &b->metadata, b->spec.policyName, b->spec.paramRef);
}

static void mutating_binding_row(struct row *r, const void *obj) {
	const struct admissionregistration_v1_MutatingAdmissionPolicyBinding *b = obj;
	cells_policy_binding(r, &b->metadata, b->spec.policyName, b->spec.paramRef);
}

/* ---- APIService ---- */

static const struct column api_columns[] = { S("Name"), S("Service"), S("Available"), S("Age") };

static void api_row(struct row *r, const void *obj) {
	const struct apiregistration_v1_APIService *s = obj;
	const struct apiregistration_v1_APIServiceCondition *c = NULL;
	for (size_t i = 0; i < s->status.conditions.n; i++)
		if (cor_str_eq_c(s->status.conditions.p[i].type, "Available"))
			c = &s->status.conditions.p[i];
	cell_str(r, s->metadata.name);
	if (s->spec.service)
		cell_printf(r, "%.*s/%.*s", COR_STR_ARG(s->spec.service->namespace), COR_STR_ARG(s->spec.service->name));
	else
		cell_c(r, "Local");
	if (c && c->reason.n > 0 && !cor_str_eq_c(c->status, "True"))
		cell_printf(r, "%.*s (%.*s)", COR_STR_ARG(c->status), COR_STR_ARG(c->reason));
	else
		cell_str(r, c ? c->status : COR_STR("Unknown"));
	cell_age(r, s->metadata.creationTimestamp);
}

/* ---- flow control ---- */

static const struct column flow_columns[] = {
	S("Name"), S("PriorityLevel"), S("MatchingPrecedence"), S("DistinguisherMethod"), S("Age"), S("MissingPL"),
};

static void flow_row(struct row *r, const void *obj) {
	const struct flowcontrol_v1_FlowSchema *f = obj;
	struct cor_str dangling = COR_STR("?");
	for (size_t i = 0; i < f->status.conditions.n; i++)
		if (cor_str_eq_c(f->status.conditions.p[i].type, "Dangling"))
			dangling = f->status.conditions.p[i].status;
	cell_str(r, f->metadata.name);
	cell_str(r, f->spec.priorityLevelConfiguration.name);
	cell_int(r, f->spec.matchingPrecedence);
	cell_str(r, f->spec.distinguisherMethod ? f->spec.distinguisherMethod->type : COR_STR("<none>"));
	cell_age(r, f->metadata.creationTimestamp);
	cell_str(r, dangling);
}

static const struct column level_columns[] = {
	S("Name"), S("Type"), S("NominalConcurrencyShares"), S("Queues"), S("HandSize"), S("QueueLengthLimit"), S("Age"),
};

static void cell_number(struct row *r, const int32_t *v) {
	if (v)
		cell_int(r, *v);
	else
		cell_c(r, "<none>");
}

static void level_row(struct row *r, const void *obj) {
	const struct flowcontrol_v1_PriorityLevelConfiguration *p = obj;
	const struct flowcontrol_v1_LimitedPriorityLevelConfiguration *l = p->spec.limited;
	const struct flowcontrol_v1_QueuingConfiguration *q = l ? l->limitResponse.queuing : NULL;
	cell_str(r, p->metadata.name);
	cell_str(r, p->spec.type);
	cell_number(r, l ? l->nominalConcurrencyShares : NULL);
	cell_number(r, q ? &q->queues : NULL);
	cell_number(r, q ? &q->handSize : NULL);
	cell_number(r, q ? &q->queueLengthLimit : NULL);
	cell_age(r, p->metadata.creationTimestamp);
}

const struct kind_tables cor_tables_access = KIND_TABLES(
	KIND_TABLE(COR_RES_ROLEBINDINGS, binding_columns, role_binding_row),
	KIND_TABLE(COR_RES_CLUSTERROLEBINDINGS, binding_columns, role_binding_row),
	KIND_TABLE(COR_RES_CERTIFICATESIGNINGREQUESTS, csr_columns, csr_row),
	KIND_TABLE(COR_RES_MUTATINGWEBHOOKCONFIGURATIONS, webhook_columns, mutating_webhook_row),
	KIND_TABLE(COR_RES_VALIDATINGWEBHOOKCONFIGURATIONS, webhook_columns, validating_webhook_row),
	KIND_TABLE(COR_RES_VALIDATINGADMISSIONPOLICIES, validating_policy_columns, validating_policy_row),
	KIND_TABLE(COR_RES_MUTATINGADMISSIONPOLICIES, mutating_policy_columns, mutating_policy_row),
	KIND_TABLE(COR_RES_VALIDATINGADMISSIONPOLICYBINDINGS, policy_binding_columns, validating_binding_row),
	KIND_TABLE(COR_RES_MUTATINGADMISSIONPOLICYBINDINGS, policy_binding_columns, mutating_binding_row),
	KIND_TABLE(COR_RES_APISERVICES, api_columns, api_row),
	KIND_TABLE(COR_RES_FLOWSCHEMAS, flow_columns, flow_row),
	KIND_TABLE(COR_RES_PRIORITYLEVELCONFIGURATIONS, level_columns, level_row));
