// SPDX-License-Identifier: Apache-2.0
// Tables of jobs, of what scales and of what protects pods (facts/printing.md 2.2, 2.8).
#include "api/table_priv.h"
#include "gen/autoscaling_v2.h"
#include "gen/batch_v1.h"
#include "gen/policy_v1.h"

/* ---- Job ---- */

static bool job_is(const struct batch_v1_Job *j, const char *type) {
	for (size_t i = 0; i < j->status.conditions.n; i++)
		if (cor_str_eq_c(j->status.conditions.p[i].type, type))
			return cor_str_eq_c(j->status.conditions.p[i].status, "True");
	return false;
}

static const char *job_status(const struct batch_v1_Job *j) {
	static const char *const later[] = { "Suspended", "FailureTarget", "SuccessCriteriaMet" };
	if (job_is(j, "Complete"))
		return "Complete";
	if (job_is(j, "Failed"))
		return "Failed";
	if (j->metadata.deletionTimestamp)
		return "Terminating";
	for (size_t i = 0; i < cor_countof(later); i++)
		if (job_is(j, later[i]))
			return later[i];
	return "Running";
}

static void job_completions(struct row *r, const struct batch_v1_Job *j) {
	const int32_t *want = j->spec.completions, *at_once = j->spec.parallelism;
	if (want)
		cell_printf(r, "%d/%d", j->status.succeeded, *want);
	else if (at_once && *at_once > 1)
		cell_printf(r, "%d/1 of %d", j->status.succeeded, *at_once);
	else
		cell_printf(r, "%d/1", j->status.succeeded);
}

static void cell_duration(struct row *r, cor_time d) {
	char text[COR_TIME_TEXT_MAX];
	cell_str(r, (struct cor_str){ text, cor_duration_human(d, text) });
}

static const struct column job_columns[] = {
	S("Name"), S("Status"), S("Completions"), S("Duration"), S("Age"), W("Containers"), W("Images"), W("Selector"),
};

static void job_row(struct row *r, const void *obj) {
	const struct batch_v1_Job *j = obj;
	cell_str(r, j->metadata.name);
	cell_c(r, job_status(j));
	job_completions(r, j);
	if (j->status.startTime)
		cell_duration(r, (j->status.completionTime ? j->status.completionTime : r->now) - j->status.startTime);
	else
		cell_c(r, "");
	cell_age(r, j->metadata.creationTimestamp);
	cells_containers(r, &j->spec.template.spec);
	cell_selector(r, j->spec.selector, "<none>");
}

static const struct column cron_columns[] = {
	S("Name"), S("Schedule"), S("Timezone"), S("Suspend"), I("Active"), S("Last Schedule"), S("Age"),
	W("Containers"), W("Images"), W("Selector"),
};

static void cron_row(struct row *r, const void *obj) {
	const struct batch_v1_CronJob *c = obj;
	const struct batch_v1_JobSpec *job = &c->spec.jobTemplate.spec;
	cell_str(r, c->metadata.name);
	cell_str(r, c->spec.schedule);
	cell_or(r, c->spec.timeZone, "<none>");
	cell_c(r, !c->spec.suspend ? "<unset>" : *c->spec.suspend ? "True" : "False");
	cell_int(r, (int64_t)c->status.active.n);
	if (c->status.lastScheduleTime)
		cell_age(r, c->status.lastScheduleTime);
	else
		cell_c(r, "<none>");
	cell_age(r, c->metadata.creationTimestamp);
	cells_containers(r, &job->template.spec);
	cell_selector(r, job->selector, "<none>");
}

/* ---- HorizontalPodAutoscaler ---- */

/* "now/wanted", by average or by value; what is not known yet has no value in the status. */
static struct cor_str by_amount(struct row *r, const struct autoscaling_v2_MetricTarget *t,
	const struct autoscaling_v2_MetricValueStatus *now, bool say_average) {
	bool average = t->averageValue.n > 0;
	struct cor_str is = !now ? COR_STR("") : average ? now->averageValue : now->value;
	struct cor_str want = average ? t->averageValue : t->value;
	return cor_arena_printf(r->a, "%.*s/%.*s%s", COR_STR_ARG(is.n > 0 ? is : COR_STR("<unknown>")),
		COR_STR_ARG(want), average && say_average ? " (avg)" : "");
}

static struct cor_str by_resource(struct row *r, struct cor_str name, const struct autoscaling_v2_MetricTarget *t,
	const struct autoscaling_v2_MetricValueStatus *now) {
	struct cor_str is = COR_STR("<unknown>"), want = COR_STR("<auto>");
	if (t->averageValue.n > 0)
		return cor_arena_printf(r->a, "%.*s: %.*s", COR_STR_ARG(name), COR_STR_ARG(by_amount(r, t, now, false)));
	if (now && now->averageUtilization)
		is = cor_arena_printf(r->a, "%d%%", *now->averageUtilization);
	if (t->averageUtilization)
		want = cor_arena_printf(r->a, "%d%%", *t->averageUtilization);
	return cor_arena_printf(r->a, "%.*s: %.*s/%.*s", COR_STR_ARG(name), COR_STR_ARG(is), COR_STR_ARG(want));
}

static struct cor_str metric_text(struct row *r, const struct autoscaling_v2_MetricSpec *m,
	const struct autoscaling_v2_MetricStatus *s) {
	if (m->resource)
		return by_resource(r, m->resource->name, &m->resource->target, s && s->resource ? &s->resource->current : NULL);
	if (m->containerResource)
		return by_resource(r, m->containerResource->name, &m->containerResource->target,
			s && s->containerResource ? &s->containerResource->current : NULL);
	if (m->pods)
		return by_amount(r, &m->pods->target, s && s->pods ? &s->pods->current : NULL, false);
	if (m->object)
		return by_amount(r, &m->object->target, s && s->object ? &s->object->current : NULL, true);
	if (m->external)
		return by_amount(r, &m->external->target, s && s->external ? &s->external->current : NULL, true);
	return COR_STR("<unknown type>");
}

static const struct column hpa_columns[] = {
	S("Name"), S("Reference"), S("Targets"), S("MinPods"), S("MaxPods"), S("Replicas"), S("Age"),
};

static void hpa_row(struct row *r, const void *obj) {
	enum { METRICS_MAX = 2 };
	const struct autoscaling_v2_HorizontalPodAutoscaler *h = obj;
	_cleanup_buf_ struct cor_buf targets = COR_BUF_INIT;
	for (size_t i = 0; i < h->spec.metrics.n && i < METRICS_MAX; i++)
		add_part(&targets, ", ", metric_text(r, &h->spec.metrics.p[i],
			i < h->status.currentMetrics.n ? &h->status.currentMetrics.p[i] : NULL));
	cell_str(r, h->metadata.name);
	cell_printf(r, "%.*s/%.*s", COR_STR_ARG(h->spec.scaleTargetRef.kind), COR_STR_ARG(h->spec.scaleTargetRef.name));
	cell_some(r, &targets, h->spec.metrics.n, METRICS_MAX, "<none>");
	if (h->spec.minReplicas)
		cell_printf(r, "%d", *h->spec.minReplicas);
	else
		cell_c(r, "<unset>");
	cell_int(r, h->spec.maxReplicas);
	cell_int(r, h->status.currentReplicas);
	cell_age(r, h->metadata.creationTimestamp);
}

/* ---- PodDisruptionBudget ---- */

static void cell_intstr(struct row *r, const struct cor_intstr *v) {
	if (v->kind == COR_INTSTR_INT)
		cell_printf(r, "%d", v->i);
	else
		cell_or(r, v->kind == COR_INTSTR_STR ? v->s : COR_STR(""), "N/A");
}

static const struct column pdb_columns[] = {
	S("Name"), S("Min Available"), S("Max Unavailable"), I("Allowed Disruptions"), S("Age"),
};

static void pdb_row(struct row *r, const void *obj) {
	const struct policy_v1_PodDisruptionBudget *b = obj;
	cell_str(r, b->metadata.name);
	cell_intstr(r, &b->spec.minAvailable);
	cell_intstr(r, &b->spec.maxUnavailable);
	cell_int(r, b->status.disruptionsAllowed);
	cell_age(r, b->metadata.creationTimestamp);
}

const struct kind_tables cor_tables_batch = KIND_TABLES(
	KIND_TABLE(COR_RES_JOBS, job_columns, job_row),
	KIND_TABLE(COR_RES_CRONJOBS, cron_columns, cron_row),
	KIND_TABLE(COR_RES_HORIZONTALPODAUTOSCALERS, hpa_columns, hpa_row),
	KIND_TABLE(COR_RES_PODDISRUPTIONBUDGETS, pdb_columns, pdb_row));
