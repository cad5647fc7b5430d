// SPDX-License-Identifier: Apache-2.0
// Completion indexes of Indexed Jobs: the sets of them in the status, and what a pod knows of its own.
#include "controllers/job_priv.h"

static const struct cor_str INDEX = COR_STR_INIT("batch.kubernetes.io/job-completion-index");

/* ---- sets ---- */

struct job_indexes job_indexes_parse(struct cor_arena *a, struct cor_str text) {
	struct job_indexes x = { 0 };
	while (text.n > 0) {
		size_t comma = cor_str_chr(text, ',');
		struct cor_str part = cor_str_sub(text, 0, comma);
		size_t dash = cor_str_chr(part, '-');
		int64_t from, to;
		if (!cor_str_to_i64(cor_str_sub(part, 0, dash), &from))
			break;
		to = from;
		if (dash < part.n && !cor_str_to_i64(cor_str_sub(part, dash + 1, part.n), &to))
			break;
		bool good = from >= 0 && from <= to && to < INT32_MAX && (x.n == 0 || from > x.p[x.n - 1].to);
		/* Two neighbours are written as two. */
		bool next = good && x.n > 0 && from == x.p[x.n - 1].to + 1;
		struct job_span *s = !good ? NULL : next ? &x.p[x.n - 1] : cor_arena_push(a, &x);
		if (!s)
			break;
		*s = (struct job_span){ next ? s->from : (int32_t)from, (int32_t)to };
		text = cor_str_sub(text, comma < text.n ? comma + 1 : text.n, text.n);
	}
	return x;
}

bool job_indexes_have(const struct job_indexes *x, int32_t i) {
	size_t lo = 0, hi = x->n;
	while (lo < hi) {
		size_t mid = (lo + hi) / 2;
		if (x->p[mid].to < i)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < x->n && x->p[lo].from <= i;
}

void job_indexes_add(struct cor_arena *a, struct job_indexes *x, int32_t i) {
	if (job_indexes_have(x, i))
		return;
	size_t at = 0;
	while (at < x->n && x->p[at].to < i)
		at++;
	bool left = at > 0 && x->p[at - 1].to + 1 == i, right = at < x->n && x->p[at].from == i + 1;
	if (left && right) {
		x->p[at - 1].to = x->p[at].to;
		memmove(&x->p[at], &x->p[at + 1], (--x->n - at) * sizeof(*x->p));
	} else if (left) {
		x->p[at - 1].to = i;
	} else if (right) {
		x->p[at].from = i;
	} else if (cor_arena_push(a, x)) {
		memmove(&x->p[at + 1], &x->p[at], (x->n - 1 - at) * sizeof(*x->p));
		x->p[at] = (struct job_span){ i, i };
	}
}

int32_t job_indexes_count(const struct job_indexes *x, int32_t limit) {
	int32_t n = 0;
	for (size_t i = 0; i < x->n && x->p[i].from < limit; i++)
		n += (x->p[i].to < limit ? x->p[i].to + 1 : limit) - x->p[i].from;
	return n;
}

struct cor_str job_indexes_print(struct cor_arena *a, const struct job_indexes *x) {
	_cleanup_buf_ struct cor_buf b = COR_BUF_INIT;
	for (size_t i = 0; i < x->n; i++) {
		cor_buf_printf(&b, "%s%d", i > 0 ? "," : "", x->p[i].from);
		if (x->p[i].to > x->p[i].from)
			cor_buf_printf(&b, "%s%d", x->p[i].to > x->p[i].from + 1 ? "-" : ",", x->p[i].to);
	}
	return cor_arena_str(a, cor_buf_view(&b));
}

/* ---- pods ---- */

int32_t job_index_of(const struct core_v1_Pod *pod) {
	int64_t v;
	if (!cor_str_to_i64(cor_strmap_value(&pod->metadata.annotations, INDEX), &v) || v < 0 || v >= INT32_MAX)
		return -1;
	return (int32_t)v;
}

static void add_env(struct cor_arena *a, struct core_v1_Container *c) {
	for (size_t i = 0; i < c->env.n; i++)
		if (cor_str_eq(c->env.p[i].name, COR_STR("JOB_COMPLETION_INDEX")))
			return;
	struct core_v1_EnvVar *env = cor_arena_array(a, struct core_v1_EnvVar, c->env.n + 1);
	struct core_v1_EnvVarSource *from = cor_arena_new_of(a, struct core_v1_EnvVarSource);
	struct core_v1_ObjectFieldSelector *field = cor_arena_new_of(a, struct core_v1_ObjectFieldSelector);
	if (!env || !from || !field)
		return;
	for (size_t i = 0; i < c->env.n; i++)
		env[i] = c->env.p[i];
	field->fieldPath = COR_STR("metadata.labels['batch.kubernetes.io/job-completion-index']");
	from->fieldRef = field;
	env[c->env.n] = (struct core_v1_EnvVar){ .name = COR_STR("JOB_COMPLETION_INDEX"), .valueFrom = from };
	c->env.p = env;
	c->env.n++;
}

void job_index_set(struct cor_arena *a, struct core_v1_Pod *pod, struct cor_str job, int32_t index) {
	enum { PREFIX_MAX = 58 };
	struct cor_str text = cor_arena_printf(a, "%d", index);
	size_t room = PREFIX_MAX - text.n - 2;
	cor_strmap_set(a, &pod->metadata.annotations, INDEX, text);
	cor_strmap_set(a, &pod->metadata.labels, INDEX, text);
	pod->metadata.generateName = cor_arena_printf(a, "%.*s-%d-", COR_STR_ARG(cor_str_sub(job, 0, room < job.n ? room : job.n)),
		index);
	pod->spec.hostname = cor_arena_printf(a, "%.*s-%d", COR_STR_ARG(job), index);
	for (size_t i = 0; i < pod->spec.containers.n; i++)
		add_env(a, &pod->spec.containers.p[i]);
	for (size_t i = 0; i < pod->spec.initContainers.n; i++)
		add_env(a, &pod->spec.initContainers.p[i]);
}
