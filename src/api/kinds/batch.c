// SPDX-License-Identifier: Apache-2.0
// Jobs (facts/kinds.md 4.2, 9.6): defaults, the selector that is made for each, and validation.
#include "api/kinds/kinds.h"
#include "api/kinds/podspec.h"
#include "codec/selector.h"
#include "gen/batch_v1.h"

enum { INDEXED_PARALLELISM_MAX = 100000, RULES_MAX = 20, EXIT_CODES_MAX = 255 };

static bool is_true(const bool *b) {
	return b && *b;
}

static bool is_indexed(const struct batch_v1_JobSpec *s) {
	return cor_str_eq(s->completionMode, COR_STR("Indexed"));
}

/* ---- defaults ---- */

static void policy_defaults(struct batch_v1_PodFailurePolicy *p) {
	for (size_t i = 0; i < p->rules.n; i++)
		for (size_t k = 0; k < p->rules.p[i].onPodConditions.n; k++)
			cor_default_str(&p->rules.p[i].onPodConditions.p[k].status, "True");
}

static void job_defaults(struct cor_kind_ctx *ctx, void *obj) {
	struct batch_v1_Job *j = obj;
	struct batch_v1_JobSpec *s = &j->spec;
	struct cor_arena *a = ctx->arena;
	if (!s->completions && !s->parallelism)
		cor_default_i32(a, &s->completions, 1);
	cor_default_i32(a, &s->parallelism, 1);
	cor_default_i32(a, &s->backoffLimit, s->backoffLimitPerIndex ? INT32_MAX : 6);
	cor_default_str(&s->completionMode, "NonIndexed");
	cor_default_bool(a, &s->suspend, false);
	cor_default_bool(a, &s->manualSelector, false);
	cor_default_str(&s->podReplacementPolicy, s->podFailurePolicy ? "Failed" : "TerminatingOrFailed");
	if (s->podFailurePolicy)
		policy_defaults(s->podFailurePolicy);
	if (j->metadata.labels.n == 0)
		j->metadata.labels = s->template.metadata.labels;
	cor_podspec_defaults(a, &s->template.spec);
}

static void add_label(struct cor_arena *a, struct cor_strmap *labels, const char *key, struct cor_str value) {
	if (!cor_strmap_get(labels, cor_str_c(key)))
		cor_strmap_set(a, labels, cor_str_c(key), value);
}

/* The uid in the selector keeps the pods of two Jobs apart, whatever their labels are. */
static void job_prepare_create(struct cor_kind_ctx *ctx, void *obj) {
	struct batch_v1_Job *j = obj;
	struct cor_strmap *labels = &j->spec.template.metadata.labels;
	if (j->spec.backoffLimitPerIndex || j->spec.successPolicy)
		ctx->warn(ctx, "this version of Coracle keeps %s but does not act on it yet",
			j->spec.successPolicy ? "successPolicy" : "backoffLimitPerIndex");
	if (is_true(j->spec.manualSelector))
		return;
	add_label(ctx->arena, labels, "job-name", j->metadata.name);
	add_label(ctx->arena, labels, "batch.kubernetes.io/job-name", j->metadata.name);
	add_label(ctx->arena, labels, "controller-uid", j->metadata.uid);
	add_label(ctx->arena, labels, "batch.kubernetes.io/controller-uid", j->metadata.uid);
	if (!j->spec.selector)
		j->spec.selector = cor_arena_new_of(ctx->arena, meta_v1_LabelSelector);
	if (j->spec.selector)
		add_label(ctx->arena, &j->spec.selector->matchLabels, "batch.kubernetes.io/controller-uid",
			j->metadata.uid);
}

/* ---- validation ---- */

static void not_negative(struct cor_field_errors *e, const struct cor_fpath *path, const int32_t *v) {
	if (v)
		(void)cor_fe_not_negative(e, path, *v);
}

static void check_template(struct cor_field_errors *e, const struct cor_fpath *spec,
	const struct core_v1_PodTemplateSpec *t) {
	static const char *const policies[] = { "OnFailure", "Never", NULL };
	const struct cor_fpath *at = COR_FIELD(spec, "template"), *pod = COR_FIELD(at, "spec");
	const struct cor_fpath *meta = COR_FIELD(at, "metadata");
	cor_validate_labels(e, COR_FIELD(meta, "labels"), &t->metadata.labels);
	cor_validate_annotations(e, COR_FIELD(meta, "annotations"), &t->metadata.annotations);
	cor_podspec_validate(e, pod, &t->spec, false, NULL, 0);
	if (t->spec.restartPolicy.n == 0 || cor_str_eq(t->spec.restartPolicy, COR_STR("Always")))
		cor_fe_required(e, COR_FIELD(pod, "restartPolicy"), "%s", "valid values: \"OnFailure\", \"Never\"");
	else
		(void)cor_fe_one_of(e, COR_FIELD(pod, "restartPolicy"), t->spec.restartPolicy, policies);
}

static void check_selector(struct cor_field_errors *e, const struct batch_v1_Job *j) {
	const struct batch_v1_JobSpec *s = &j->spec;
	struct cor_selector sel;
	struct cor_err err;
	if (!s->selector) {
		cor_fe_required(e, COR_ROOT("spec.selector"), "%s", "");
		return;
	}
	size_t before = e->n;
	cor_validate_label_selector(e, COR_ROOT("spec.selector"), s->selector, false);
	const struct cor_str *uid = cor_strmap_get(&s->selector->matchLabels, COR_STR("batch.kubernetes.io/controller-uid"));
	if (!is_true(s->manualSelector) &&
		(s->selector->matchLabels.n != 1 || s->selector->matchExpressions.n > 0 || !uid ||
			!cor_str_eq(*uid, j->metadata.uid)))
		cor_fe_invalid(e, COR_ROOT("spec.selector"),
			cor_fv_obj(e, &cor_type_meta_v1_LabelSelector, s->selector), "`selector` not auto-generated");
	else if (e->n == before && cor_selector_from_labels(e->arena, s->selector, &sel, &err) >= 0 &&
		!cor_selector_matches(&sel, &s->template.metadata.labels))
		cor_fe_invalid(e, COR_ROOT("spec.template.metadata.labels"), cor_fv_map(e, &s->template.metadata.labels),
			"`selector` does not match template `labels`");
}

static void check_mode(struct cor_field_errors *e, const struct batch_v1_Job *j) {
	static const char *const modes[] = { "Indexed", "NonIndexed", NULL };
	const struct batch_v1_JobSpec *s = &j->spec;
	if (!cor_fe_one_of(e, COR_ROOT("spec.completionMode"), s->completionMode, modes))
		return;
	if (!is_indexed(s)) {
		if (s->backoffLimitPerIndex)
			cor_fe_invalid(e, COR_ROOT("spec.backoffLimitPerIndex"), cor_fv_int(e, *s->backoffLimitPerIndex),
				"requires indexed completion mode");
		if (s->maxFailedIndexes)
			cor_fe_invalid(e, COR_ROOT("spec.maxFailedIndexes"), cor_fv_int(e, *s->maxFailedIndexes),
				"requires indexed completion mode");
		return;
	}
	if (s->parallelism && *s->parallelism > INDEXED_PARALLELISM_MAX)
		cor_fe_invalid(e, COR_ROOT("spec.parallelism"), cor_fv_int(e, *s->parallelism),
			"must be less than or equal to %d when completion mode is Indexed", INDEXED_PARALLELISM_MAX);
	if (!s->completions) {
		cor_fe_required(e, COR_ROOT("spec.completions"), "%s", "when completion mode is Indexed");
		return;
	}
	if (*s->completions <= 0)
		return;
	struct cor_str host = cor_arena_printf(e->arena, "%.*s-%d", COR_STR_ARG(j->metadata.name), *s->completions - 1);
	if (cor_name_label(host, false).n > 0)
		cor_fe_invalid(e, COR_ROOT("metadata.name"), cor_fv_str(e, j->metadata.name),
			"will not able to create pod with invalid DNS label: %.*s", COR_STR_ARG(host));
}

static void check_exit_codes(struct cor_field_errors *e, const struct cor_fpath *at,
	const struct batch_v1_PodFailurePolicyOnExitCodesRequirement *r) {
	static const char *const operators[] = { "In", "NotIn", NULL };
	(void)cor_fe_one_of(e, COR_FIELD(at, "operator"), r->operator, operators);
	const struct cor_fpath *values = COR_FIELD(at, "values");
	if (r->values.n == 0)
		cor_fe_invalid(e, values, cor_fv_json(COR_STR("[]")), "at least one value is required");
	if (r->values.n > EXIT_CODES_MAX)
		cor_fe_too_many(e, values, r->values.n, EXIT_CODES_MAX);
	for (size_t i = 0; i < r->values.n && i < EXIT_CODES_MAX; i++) {
		int32_t v = r->values.p[i];
		if (v == 0 && cor_str_eq(r->operator, COR_STR("In")))
			cor_fe_invalid(e, COR_INDEX(values, i), cor_fv_int(e, v), "must not be 0 for the In operator");
		if (i > 0 && v == r->values.p[i - 1])
			cor_fe_duplicate(e, COR_INDEX(values, i), cor_fv_int(e, v));
		else if (i > 0 && v < r->values.p[i - 1]) {
			cor_fe_invalid(e, values, cor_fv_int(e, v), "must be ordered");
			return;
		}
	}
}

static void check_policy(struct cor_field_errors *e, const struct batch_v1_JobSpec *s) {
	static const char *const actions[] = { "Count", "FailIndex", "FailJob", "Ignore", NULL };
	const struct cor_fpath *rules = COR_ROOT("spec.podFailurePolicy.rules");
	if (!cor_str_eq(s->template.spec.restartPolicy, COR_STR("Never")))
		cor_fe_invalid(e, COR_ROOT("spec.template.spec.restartPolicy"),
			cor_fv_str(e, s->template.spec.restartPolicy),
			"only \"Never\" is supported when podFailurePolicy is specified");
	if (s->podFailurePolicy->rules.n > RULES_MAX)
		cor_fe_too_many(e, rules, s->podFailurePolicy->rules.n, RULES_MAX);
	for (size_t i = 0; i < s->podFailurePolicy->rules.n && i < RULES_MAX; i++) {
		const struct batch_v1_PodFailurePolicyRule *r = &s->podFailurePolicy->rules.p[i];
		const struct cor_fpath *at = COR_INDEX(rules, i);
		(void)cor_fe_one_of(e, COR_FIELD(at, "action"), r->action, actions);
		if (cor_str_eq(r->action, COR_STR("FailIndex")) && !s->backoffLimitPerIndex)
			cor_fe_invalid(e, COR_FIELD(at, "action"), cor_fv_str(e, r->action),
				"requires the backoffLimitPerIndex to be set");
		if (!r->onExitCodes && r->onPodConditions.n == 0)
			cor_fe_invalid(e, at, cor_fv_null(),
				"specifying one of OnExitCodes and OnPodConditions is required");
		else if (r->onExitCodes && r->onPodConditions.n > 0)
			cor_fe_invalid(e, at, cor_fv_null(),
				"specifying both OnExitCodes and OnPodConditions is not supported");
		else if (r->onExitCodes)
			check_exit_codes(e, COR_FIELD(at, "onExitCodes"), r->onExitCodes);
	}
}

static void check_job(const struct batch_v1_Job *j, struct cor_field_errors *e) {
	static const char *const failed_only[] = { "Failed", NULL }, *const both[] = { "Failed", "TerminatingOrFailed", NULL };
	const struct batch_v1_JobSpec *s = &j->spec;
	const struct cor_fpath *spec = COR_ROOT("spec");
	not_negative(e, COR_FIELD(spec, "parallelism"), s->parallelism);
	not_negative(e, COR_FIELD(spec, "completions"), s->completions);
	if (s->activeDeadlineSeconds)
		(void)cor_fe_not_negative(e, COR_FIELD(spec, "activeDeadlineSeconds"), *s->activeDeadlineSeconds);
	not_negative(e, COR_FIELD(spec, "backoffLimit"), s->backoffLimit);
	not_negative(e, COR_FIELD(spec, "ttlSecondsAfterFinished"), s->ttlSecondsAfterFinished);
	not_negative(e, COR_FIELD(spec, "backoffLimitPerIndex"), s->backoffLimitPerIndex);
	not_negative(e, COR_FIELD(spec, "maxFailedIndexes"), s->maxFailedIndexes);
	check_selector(e, j);
	check_template(e, spec, &s->template);
	check_mode(e, j);
	(void)cor_fe_one_of(e, COR_FIELD(spec, "podReplacementPolicy"), s->podReplacementPolicy,
		s->podFailurePolicy ? failed_only : both);
	if (s->podFailurePolicy)
		check_policy(e, s);
}

static void job_validate(struct cor_kind_ctx *ctx, const void *obj, struct cor_field_errors *e) {
	check_job(obj, e);
}

/* Before it runs, and while it is suspended, a queue may still say where. */
static bool is_held(const struct batch_v1_Job *j) {
	bool suspended = j->status.startTime == 0;
	for (size_t i = 0; i < j->status.conditions.n; i++)
		suspended |= cor_str_eq(j->status.conditions.p[i].type, COR_STR("Suspended")) &&
			cor_str_eq(j->status.conditions.p[i].status, COR_STR("True"));
	return is_true(j->spec.suspend) && suspended && j->status.active == 0;
}

static bool same_count(const int32_t *a, const int32_t *b) {
	return a && b ? *a == *b : a == b;
}

static void job_validate_update(struct cor_kind_ctx *ctx, const void *obj, const void *old,
	struct cor_field_errors *e) {
	const struct batch_v1_Job *j = obj, *was = old;
	check_job(j, e);
	(void)cor_fe_immutable_str(e, COR_ROOT("spec.completionMode"), j->spec.completionMode, was->spec.completionMode);
	(void)cor_fe_immutable_str(e, COR_ROOT("spec.managedBy"), j->spec.managedBy, was->spec.managedBy);
	if (j->spec.selector && was->spec.selector)
		(void)cor_fe_immutable(e, COR_ROOT("spec.selector"), &cor_type_meta_v1_LabelSelector, j->spec.selector,
			was->spec.selector);
	if (!same_count(j->spec.completions, was->spec.completions)) {
		if (!is_indexed(&j->spec))
			cor_fe_invalid(e, COR_ROOT("spec.completions"),
				j->spec.completions ? cor_fv_int(e, *j->spec.completions) : cor_fv_null(),
				"field is immutable");
		else if (!same_count(j->spec.completions, j->spec.parallelism))
			cor_fe_invalid(e, COR_ROOT("spec.completions"), cor_fv_int(e, *j->spec.completions),
				"can only be modified in tandem with spec.parallelism");
	}
	struct core_v1_PodTemplateSpec t = j->spec.template;
	if (is_held(was)) {
		const struct core_v1_PodTemplateSpec *o = &was->spec.template;
		t.metadata = o->metadata;
		t.spec.nodeSelector = o->spec.nodeSelector;
		t.spec.affinity = o->spec.affinity;
		t.spec.tolerations = o->spec.tolerations;
		t.spec.schedulingGates = o->spec.schedulingGates;
	}
	(void)cor_fe_immutable(e, COR_ROOT("spec.template"), &cor_type_core_v1_PodTemplateSpec, &t, &was->spec.template);
}

/* ---- fields ---- */

static const char *const job_labels[] = { "status.successful", NULL };

static void job_fields(struct cor_arena *a, const void *obj, struct cor_strmap *ret) {
	const struct batch_v1_Job *j = obj;
	const struct cor_kv values[] = {
		{ COR_STR("status.successful"), cor_arena_printf(a, "%d", j->status.succeeded) },
	};
	cor_kind_fields(a, ret, values, cor_countof(values));
}

const struct cor_kind_ops cor_kind_job = {
	.res = COR_RES_JOBS,
	.flags = COR_KIND_GENERATION | COR_KIND_ORPHAN_DEFAULT,
	.defaults = job_defaults,
	.prepare_create = job_prepare_create,
	.validate = job_validate,
	.validate_update = job_validate_update,
	.fields = job_fields,
	.field_labels = job_labels,
};
