// SPDX-License-Identifier: Apache-2.0
// Tables of the kinds that make pods (facts/printing.md 2.2).
#include "api/table_priv.h"
#include "gen/apps_v1.h"
#include "gen/batch_v1.h"

static int32_t count_of(const int32_t *v) {
	return v ? *v : 0;
}

static const struct column sts_columns[] = {
	S("Name"), S("Ready"), S("Age"), W("Containers"),
	W("Images"),
};

static void sts_row(struct row *r, const void *obj) {
	const struct apps_v1_StatefulSet *s = obj;
	cell_str(r, s->metadata.name);
	cell_printf(r, "%d/%d", s->status.readyReplicas, count_of(s->spec.replicas));
	cell_age(r, s->metadata.creationTimestamp);
	cells_containers(r, &s->spec.template.spec);
}

static const struct column deployment_columns[] = {
	S("Name"), S("Ready"), S("Up-to-date"), S("Available"),
	S("Age"), W("Containers"), W("Images"), W("Selector"),
};

static void deployment_row(struct row *r, const void *obj) {
	const struct apps_v1_Deployment *d = obj;
	cell_str(r, d->metadata.name);
	cell_printf(r, "%d/%d", d->status.readyReplicas, count_of(d->spec.replicas));
	cell_int(r, d->status.updatedReplicas);
	cell_int(r, d->status.availableReplicas);
	cell_age(r, d->metadata.creationTimestamp);
	cells_containers(r, &d->spec.template.spec);
	cell_selector(r, d->spec.selector, "");
}

static const struct column rs_columns[] = {
	S("Name"), I("Desired"), I("Current"), I("Ready"),
	S("Age"), W("Containers"), W("Images"), W("Selector"),
};

static void rs_row(struct row *r, const void *obj) {
	const struct apps_v1_ReplicaSet *s = obj;
	cell_str(r, s->metadata.name);
	cell_int(r, count_of(s->spec.replicas));
	cell_int(r, s->status.replicas);
	cell_int(r, s->status.readyReplicas);
	cell_age(r, s->metadata.creationTimestamp);
	cells_containers(r, &s->spec.template.spec);
	cell_selector(r, s->spec.selector, "<none>");
}

static void rc_row(struct row *r, const void *obj) {
	static const struct core_v1_PodSpec none;
	const struct core_v1_ReplicationController *c = obj;
	cell_str(r, c->metadata.name);
	cell_int(r, count_of(c->spec.replicas));
	cell_int(r, c->status.replicas);
	cell_int(r, c->status.readyReplicas);
	cell_age(r, c->metadata.creationTimestamp);
	cells_containers(r, c->spec.template ? &c->spec.template->spec : &none);
	cell_labels(r, &c->spec.selector);
}

static const struct column ds_columns[] = {
	S("Name"), I("Desired"), I("Current"), I("Ready"),
	I("Up-to-date"), I("Available"), S("Node Selector"), S("Age"),
	W("Containers"), W("Images"), W("Selector"),
};

static void ds_row(struct row *r, const void *obj) {
	const struct apps_v1_DaemonSet *d = obj;
	cell_str(r, d->metadata.name);
	cell_int(r, d->status.desiredNumberScheduled);
	cell_int(r, d->status.currentNumberScheduled);
	cell_int(r, d->status.numberReady);
	cell_int(r, d->status.updatedNumberScheduled);
	cell_int(r, d->status.numberAvailable);
	cell_labels(r, &d->spec.template.spec.nodeSelector);
	cell_age(r, d->metadata.creationTimestamp);
	cells_containers(r, &d->spec.template.spec);
	cell_selector(r, d->spec.selector, "<none>");
}

static const struct column revision_columns[] = {
	S("Name"), S("Controller"), S("Revision"), S("Age"),
};

static void revision_row(struct row *r, const void *obj) {
	const struct apps_v1_ControllerRevision *c = obj;
	cell_str(r, c->metadata.name);
	struct cor_str owner = COR_STR("<none>");
	for (size_t i = 0; i < c->metadata.ownerReferences.n; i++) {
		const struct meta_v1_OwnerReference *o = &c->metadata.ownerReferences.p[i];
		if (!o->controller || !*o->controller)
			continue;
		size_t slash = cor_str_chr(o->apiVersion, '/');
		struct cor_str kind = lower(r->a, o->kind);
		owner = cor_arena_printf(r->a, "%.*s%s%.*s/%.*s", COR_STR_ARG(kind), slash < o->apiVersion.n ? "." : "",
			slash < o->apiVersion.n ? (int)slash : 0, o->apiVersion.p, COR_STR_ARG(o->name));
	}
	cell_str(r, owner);
	cell_int(r, c->revision);
	cell_age(r, c->metadata.creationTimestamp);
}

static const struct column template_columns[] = { S("Name"), S("Containers"), S("Images"), S("Pod Labels") };

static void template_row(struct row *r, const void *obj) {
	const struct core_v1_PodTemplate *t = obj;
	cell_str(r, t->metadata.name);
	cells_containers(r, &t->template.spec);
	cell_labels(r, &t->template.metadata.labels);
}

const struct kind_tables cor_tables_workloads = KIND_TABLES(
	KIND_TABLE(COR_RES_STATEFULSETS, sts_columns, sts_row),
	KIND_TABLE(COR_RES_DEPLOYMENTS, deployment_columns, deployment_row),
	KIND_TABLE(COR_RES_REPLICASETS, rs_columns, rs_row),
	KIND_TABLE(COR_RES_REPLICATIONCONTROLLERS, rs_columns, rc_row),
	KIND_TABLE(COR_RES_DAEMONSETS, ds_columns, ds_row),
	KIND_TABLE(COR_RES_CONTROLLERREVISIONS, revision_columns, revision_row),
	KIND_TABLE(COR_RES_PODTEMPLATES, template_columns, template_row));
