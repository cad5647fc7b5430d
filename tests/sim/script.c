// SPDX-License-Identifier: Apache-2.0
// What happens to the cluster: people who change their minds, and faults (faults.c). After the last
// step everything is mended, people take back what cannot work, and the cluster has to reach its
// goal and stay there.
#include <stdio.h>

#include "base/assert.h"
#include "gen/batch_v1.h"
#include "sim/script_priv.h"

enum { GOAL_MINUTES = 40 };

/* ---- requests of people ---- */

static void on_answer(struct request *r) {
	struct cluster *c = r->link->c;
	if (r->status < 0)
		trace(c, "people: %s %s %.*s: %s", cor_verb_to_string(r->op.verb),
			r->op.res->plural, COR_STR_ARG(r->op.name),
			r->err.code ? r->err.message : "no answer");
}

static struct request *ask(
	struct cluster *c, enum cor_verb verb, enum cor_res res, const char *name) {
	return request_new(&c->people, verb, res,
		cor_resources[res].namespaced ? COR_STR("default") : COR_STR(""), cor_str_c(name));
}

static void create(struct cluster *c, enum cor_res res, struct cor_str json) {
	struct request *r = ask(c, COR_VERB_CREATE, res, "");
	struct cor_decode d = { .arena = r->a };
	struct cor_err err;
	int e = cor_json_decode_new(
		r->op.res->type, cor_arena_str(r->a, json), &r->op.obj, &d, &err);
	cor_assert(e >= 0);
	trace(c, "people: create %s %.*s", r->op.res->plural, COR_STR_ARG(json));
	request_send(r, on_answer, NULL);
}

void script_patch(struct cluster *c, enum cor_res res, const char *name, const char *json) {
	struct request *r = ask(c, COR_VERB_PATCH, res, name);
	r->op.patch_type = COR_PATCH_STRATEGIC;
	r->op.patch = cor_arena_str(r->a, cor_str_c(json));
	trace(c, "people: patch %s %s %s", r->op.res->plural, name, json);
	request_send(r, on_answer, NULL);
}

void script_delete(struct cluster *c, enum cor_res res, const char *name, int64_t grace,
	enum cor_propagation propagation) {
	static const char *const how[] = { "", " background", " foreground", " orphan" };
	struct request *r = ask(c, COR_VERB_DELETE, res, name);
	r->op.grace_s = grace;
	r->op.propagation = propagation;
	trace(c, "people: delete %s %s%s%s", r->op.res->plural, name, how[propagation],
		grace == 0 ? " by force" : "");
	request_send(r, on_answer, NULL);
}

static struct cor_obj *any(struct cluster *c, enum cor_res res);

/* ---- sets ---- */

#define TEMPLATE                                                                                   \
	"\"selector\":{\"matchLabels\":{\"app\":\"%s\"}},\"template\":{\"metadata\":{\"labels\":{" \
	"\"app\":\"%s\"}},"                                                                        \
	"\"spec\":{\"terminationGracePeriodSeconds\":%d,\"containers\":[{\"name\":\"c\","          \
	"\"image\":\"%s\"}]}}"

static const char *const policies[] = { "Retain", "Delete" };

static const char *any_image(struct cluster *c, bool may_be_bad, char out[32]) {
	unsigned k = (unsigned)below(c, 20);
	(void)snprintf(out, 32, "%s:%u",
		k == 0 && may_be_bad ? "bad"
		: k < 4              ? "slow"
				     : "i",
		(unsigned)below(c, 6));
	return out;
}

static int any_grace(struct cluster *c) {
	static const int all[] = { 1, 5, 30 };
	return all[below(c, cor_countof(all))];
}

static void strategy(struct cluster *c, struct cor_buf *b) {
	switch (below(c, 4)) {
	case 0:
		cor_buf_c(b, "\"updateStrategy\":{\"type\":\"OnDelete\",\"rollingUpdate\":null}");
		break;
	case 1:
		cor_buf_printf(b,
			"\"updateStrategy\":{\"type\":\"RollingUpdate\",\"rollingUpdate\":{"
			"\"partition\":%d}}",
			(int)below(c, 4));
		break;
	case 2:
		cor_buf_c(b, "\"updateStrategy\":{\"type\":\"RollingUpdate\"}");
		break;
	default:
		cor_buf_c(b, "\"updateStrategy\":{\"type\":\"RollingUpdate\",\"rollingUpdate\":{"
			     "\"partition\":0}}");
		break;
	}
}

static void retention(struct cluster *c, struct cor_buf *b) {
	cor_buf_printf(b,
		"\"persistentVolumeClaimRetentionPolicy\":{\"whenDeleted\":\"%s\",\"whenScaled\":"
		"\"%s\"}",
		policies[below(c, 2)], policies[below(c, 2)]);
}

static const char *const set_names[] = { "red", "blue", "green" };
static const char *const deployment_names[] = { "cat", "dog" };

static void create_set(struct cluster *c, const char *name) {
	_cleanup_buf_ struct cor_buf b = COR_BUF_INIT;
	char image[32];
	cor_buf_printf(&b,
		"{\"metadata\":{\"name\":\"%s\"},\"spec\":{\"serviceName\":\"%s\",\"replicas\":%d,"
		"\"podManagementPolicy\":\"%s\",\"revisionHistoryLimit\":2,\"minReadySeconds\":%d,",
		name, name, (int)below(c, 5), chance(c, 65) ? "OrderedReady" : "Parallel",
		chance(c, 20) ? 5 : 0);
	if (chance(c, 20))
		cor_buf_printf(&b, "\"ordinals\":{\"start\":%d},", (int)below(c, 3));
	strategy(c, &b);
	cor_buf_byte(&b, ',');
	retention(c, &b);
	if (chance(c, 60))
		cor_buf_c(&b, ",\"volumeClaimTemplates\":[{\"metadata\":{\"name\":\"data\"},"
			      "\"spec\":{\"accessModes\":"
			      "[\"ReadWriteOnce\"],\"resources\":{\"requests\":{\"storage\":"
			      "\"1Gi\"}}}}]");
	cor_buf_printf(&b, "," TEMPLATE "}}", name, name, any_grace(c), any_image(c, false, image));
	create(c, COR_RES_STATEFULSETS, cor_buf_view(&b));
}

static const char *const rollouts[] = {
	"\"strategy\":{\"type\":\"Recreate\",\"rollingUpdate\":null}",
	"\"strategy\":{\"type\":\"RollingUpdate\",\"rollingUpdate\":{\"maxSurge\":1,"
	"\"maxUnavailable\":0}}",
	"\"strategy\":{\"type\":\"RollingUpdate\",\"rollingUpdate\":{\"maxSurge\":0,"
	"\"maxUnavailable\":1}}",
	"\"strategy\":{\"type\":\"RollingUpdate\",\"rollingUpdate\":{\"maxSurge\":\"50%\","
	"\"maxUnavailable\":\"25%\"}}",
	"\"strategy\":{\"type\":\"RollingUpdate\",\"rollingUpdate\":{\"maxSurge\":2,"
	"\"maxUnavailable\":2}}",
};

static void create_deployment(struct cluster *c, const char *name) {
	_cleanup_buf_ struct cor_buf b = COR_BUF_INIT;
	char image[32];
	cor_buf_printf(&b,
		"{\"metadata\":{\"name\":\"%s\"},\"spec\":{\"replicas\":%d,"
		"\"revisionHistoryLimit\":2,"
		"\"minReadySeconds\":%d,%s," TEMPLATE "}}",
		name, 1 + (int)below(c, 5), chance(c, 20) ? 5 : 0,
		rollouts[below(c, cor_countof(rollouts))], name, name, any_grace(c),
		any_image(c, false, image));
	create(c, COR_RES_DEPLOYMENTS, cor_buf_view(&b));
}

void script_set_image(struct cluster *c, enum cor_res res, const char *name, const char *image) {
	char json[200];
	(void)snprintf(json, sizeof(json),
		"{\"spec\":{\"template\":{\"spec\":{\"containers\":[{\"name\":\"c\",\"image\":\"%"
		"s\"}]}}}}",
		image);
	script_patch(c, res, name, json);
}

static void change_spec(struct cluster *c, enum cor_res res, const char *name,
	void (*write)(struct cluster *c, struct cor_buf *b)) {
	_cleanup_buf_ struct cor_buf b = COR_BUF_INIT;
	cor_buf_c(&b, "{\"spec\":{");
	write(c, &b);
	cor_buf_add(&b, "}}", 3);
	script_patch(c, res, name, b.p);
}

static void replicas(struct cluster *c, struct cor_buf *b) {
	cor_buf_printf(b, "\"replicas\":%d", (int)below(c, 6));
}

/* ---- jobs ---- */

static const char *const job_names[] = { "tick", "tock" };

static void create_job(struct cluster *c, const char *name) {
	_cleanup_buf_ struct cor_buf b = COR_BUF_INIT;
	bool indexed = chance(c, 40);
	cor_buf_printf(&b,
		"{\"metadata\":{\"name\":\"%s\"},\"spec\":{\"parallelism\":%d,\"completions\":%d,"
		"\"completionMode\":\"%s\",\"backoffLimit\":%d,\"podReplacementPolicy\":\"%s\",",
		name, 1 + (int)below(c, 4), 1 + (int)below(c, 6),
		indexed ? "Indexed" : "NonIndexed", (int)below(c, 5),
		chance(c, 30) ? "Failed" : "TerminatingOrFailed");
	if (chance(c, 20))
		cor_buf_printf(&b, "\"activeDeadlineSeconds\":%d,", 5 + (int)below(c, 60));
	if (chance(c, 20))
		cor_buf_printf(&b, "\"ttlSecondsAfterFinished\":%d,", (int)below(c, 60));
	cor_buf_printf(&b,
		"\"template\":{\"spec\":{\"restartPolicy\":\"%s\",\"terminationGracePeriodSeconds\":"
		"%d,\"containers\":[{\"name\":\"c\",\"image\":\"%s:1\"}]}}}}",
		chance(c, 60) ? "Never" : "OnFailure", any_grace(c),
		chance(c, 25) ? "fail" : chance(c, 20) ? "slow-done" : "done");
	create(c, COR_RES_JOBS, cor_buf_view(&b));
}

static void parallelism(struct cluster *c, struct cor_buf *b) {
	cor_buf_printf(b, "\"parallelism\":%d", (int)below(c, 5));
}

static void suspend(struct cluster *c, struct cor_buf *b) {
	cor_buf_printf(b, "\"suspend\":%s", chance(c, 50) ? "true" : "false");
}

static void ordinals(struct cluster *c, struct cor_buf *b) {
	cor_buf_printf(b, "\"ordinals\":{\"start\":%d},\"minReadySeconds\":%d", (int)below(c, 3),
		chance(c, 30) ? 5 : 0);
}

static void rollout(struct cluster *c, struct cor_buf *b) {
	cor_buf_c(b, rollouts[below(c, cor_countof(rollouts))]);
}

static void pause_it(struct cluster *c, struct cor_buf *b) {
	cor_buf_printf(b, "\"paused\":%s", chance(c, 50) ? "true" : "false");
}

/* ---- what people do ---- */

static enum cor_propagation any_propagation(struct cluster *c) {
	return (enum cor_propagation)below(c, 4);
}

static void act_on_set(struct cluster *c) {
	const char *name = set_names[below(c, cor_countof(set_names))];
	char image[32];
	if (!cor_store_get(
		    server_store(c), COR_RES_STATEFULSETS, COR_STR("default"), cor_str_c(name))) {
		create_set(c, name);
		return;
	}
	unsigned k = (unsigned)below(c, 100);
	if (k < 30)
		change_spec(c, COR_RES_STATEFULSETS, name, replicas);
	else if (k < 65)
		script_set_image(c, COR_RES_STATEFULSETS, name, any_image(c, true, image));
	else if (k < 78)
		change_spec(c, COR_RES_STATEFULSETS, name, strategy);
	else if (k < 86)
		change_spec(c, COR_RES_STATEFULSETS, name, retention);
	else if (k < 89)
		change_spec(c, COR_RES_STATEFULSETS, name, ordinals);
	else
		script_delete(c, COR_RES_STATEFULSETS, name, -1, any_propagation(c));
}

static void act_on_deployment(struct cluster *c) {
	const char *name = deployment_names[below(c, cor_countof(deployment_names))];
	char image[32];
	if (!cor_store_get(
		    server_store(c), COR_RES_DEPLOYMENTS, COR_STR("default"), cor_str_c(name))) {
		create_deployment(c, name);
		return;
	}
	unsigned k = (unsigned)below(c, 100);
	if (k < 35)
		change_spec(c, COR_RES_DEPLOYMENTS, name, replicas);
	else if (k < 75)
		script_set_image(c, COR_RES_DEPLOYMENTS, name, any_image(c, true, image));
	else if (k < 80)
		change_spec(c, COR_RES_DEPLOYMENTS, name, rollout);
	else if (k < 86)
		change_spec(c, COR_RES_DEPLOYMENTS, name, pause_it);
	else
		script_delete(c, COR_RES_DEPLOYMENTS, name, -1, any_propagation(c));
}

static void act_on_job(struct cluster *c) {
	const char *name = job_names[below(c, cor_countof(job_names))];
	unsigned k = (unsigned)below(c, 100);
	if (!cor_store_get(server_store(c), COR_RES_JOBS, COR_STR("default"), cor_str_c(name)))
		create_job(c, name);
	else if (k < 30)
		change_spec(c, COR_RES_JOBS, name, parallelism);
	else if (k < 60)
		change_spec(c, COR_RES_JOBS, name, suspend);
	else
		script_delete(c, COR_RES_JOBS, name, -1, any_propagation(c));
}

struct pick {
	struct cluster *c;
	struct cor_obj *chosen;
	uint64_t n;
};

static bool pick_one(void *arg, struct cor_obj *o) {
	struct pick *p = arg;
	if (below(p->c, ++p->n) == 0)
		p->chosen = o;
	return true;
}

static struct cor_obj *any(struct cluster *c, enum cor_res res) {
	struct pick p = { .c = c };
	cor_store_each(server_store(c), (uint16_t)res, COR_STR("default"), (struct cor_str){ 0 },
		(struct cor_str){ 0 }, pick_one, &p);
	return p.chosen;
}

static void delete_any(struct cluster *c, enum cor_res res, int64_t grace) {
	struct cor_obj *o = any(c, res);
	if (!o)
		return;
	char name[NAME_MAX_];
	(void)snprintf(name, sizeof(name), "%.*s", COR_STR_ARG(o->name));
	script_delete(c, res, name, grace, COR_PROPAGATION_DEFAULT);
}

/* A pod that loses its label is let go, and another one takes its place where it can. */
static void relabel_any(struct cluster *c) {
	struct cor_obj *o = any(c, COR_RES_PODS);
	char name[NAME_MAX_];
	if (!o)
		return;
	(void)snprintf(name, sizeof(name), "%.*s", COR_STR_ARG(o->name));
	script_patch(c, COR_RES_PODS, name, "{\"metadata\":{\"labels\":{\"app\":\"lost\"}}}");
}

static void cordon_any(struct cluster *c) {
	const struct node *n = &c->nodes[below(c, c->n_nodes)];
	script_patch(c, COR_RES_NODES, n->name,
		chance(c, 50) ? "{\"spec\":{\"unschedulable\":true}}"
			      : "{\"spec\":{\"unschedulable\":null}}");
}

static void people_act(struct cluster *c) {
	unsigned k = (unsigned)below(c, 100);
	if (k < 47)
		act_on_set(c);
	else if (k < 68)
		act_on_deployment(c);
	else if (k < 77)
		act_on_job(c);
	else if (k < 78)
		relabel_any(c);
	else if (k < 80)
		cordon_any(c);
	else if (k < 90)
		delete_any(c, COR_RES_PODS, -1);
	else if (k < 94)
		delete_any(c, COR_RES_PODS, 0);
	else if (k < 97)
		delete_any(c, COR_RES_PERSISTENTVOLUMECLAIMS, -1);
	else
		delete_any(c, COR_RES_REPLICASETS, -1);
}

/* ---- the play ---- */

void script_new(struct cluster *c, unsigned steps) {
	c->script = cor_new(struct script);
	c->script->c = c;
	c->script->steps = steps;
	faults_new(c);
}

void script_free(struct cluster *c) {
	if (!c->script)
		return;
	faults_free(c);
	free(cor_take(c->script));
}

static bool is_bad(const struct core_v1_PodTemplateSpec *t) {
	return cor_str_starts(look_image(&t->spec), COR_STR("bad"));
}

struct mending {
	struct cluster *c;
	struct cor_arena *a;
};

static bool mend_set(void *arg, struct cor_obj *o) {
	struct mending *m = arg;
	struct cor_err err;
	const struct apps_v1_StatefulSet *s = cor_obj_decode(o, m->a, &err);
	if (!o->deleting && is_bad(&s->spec.template))
		script_set_image(m->c, COR_RES_STATEFULSETS, cor_arena_cstr(m->a, o->name), "i:9");
	return true;
}

static bool mend_deployment(void *arg, struct cor_obj *o) {
	struct mending *m = arg;
	struct cor_err err;
	const struct apps_v1_Deployment *d = cor_obj_decode(o, m->a, &err);
	if (!o->deleting && is_bad(&d->spec.template))
		script_set_image(m->c, COR_RES_DEPLOYMENTS, cor_arena_cstr(m->a, o->name), "i:9");
	if (!o->deleting && d->spec.paused)
		script_patch(m->c, COR_RES_DEPLOYMENTS, cor_arena_cstr(m->a, o->name),
			"{\"spec\":{\"paused\":false}}");
	return true;
}

static bool mend_job(void *arg, struct cor_obj *o) {
	struct mending *m = arg;
	struct cor_err err;
	const struct batch_v1_Job *j = cor_obj_decode(o, m->a, &err);
	bool held = (j->spec.suspend && *j->spec.suspend) || *j->spec.parallelism == 0;
	if (!o->deleting && held)
		script_patch(m->c, COR_RES_JOBS, cor_arena_cstr(m->a, o->name),
			"{\"spec\":{\"suspend\":false,\"parallelism\":2}}");
	return true;
}

static bool mend_replicaset(void *arg, struct cor_obj *o) {
	struct mending *m = arg;
	struct cor_err err;
	const struct apps_v1_ReplicaSet *rs = cor_obj_decode(o, m->a, &err);
	if (!o->deleting && is_bad(&rs->spec.template) && rs->metadata.ownerReferences.n == 0)
		script_delete(m->c, COR_RES_REPLICASETS, cor_arena_cstr(m->a, o->name), -1,
			COR_PROPAGATION_BACKGROUND);
	return true;
}

/* A pod below the partition comes back at the revision that it had: the rollout has to go on. */
static void finish_rollout(struct mending *m, const struct core_v1_Pod *pod) {
	for (size_t i = 0; i < pod->metadata.ownerReferences.n; i++) {
		const struct meta_v1_OwnerReference *r = &pod->metadata.ownerReferences.p[i];
		if (cor_str_eq(r->kind, COR_STR("StatefulSet")))
			script_patch(m->c, COR_RES_STATEFULSETS, cor_arena_cstr(m->a, r->name),
				"{\"spec\":{\"updateStrategy\":{\"type\":\"RollingUpdate\","
				"\"rollingUpdate\":{\"partition\":0}}}}");
	}
}

static bool is_of_job(const struct core_v1_Pod *pod) {
	return cor_strmap_get(&pod->metadata.labels, COR_STR("job-name")) != NULL;
}

/* In order, a pod that cannot become ready is waited for even when the template is good again (as
 * upstream does): a person deletes it. So does one with the pods that nobody looks after. */
static bool mend_pod(void *arg, struct cor_obj *o) {
	struct mending *m = arg;
	struct cor_err err;
	const struct core_v1_Pod *pod = cor_obj_decode(o, m->a, &err);
	const struct cor_str *app = cor_strmap_get(&pod->metadata.labels, COR_STR("app"));
	bool lost = app && cor_str_eq(*app, COR_STR("lost")),
	     alone = pod->metadata.ownerReferences.n == 0 && (lost || look_finished(pod) || is_of_job(pod) ||
					       pod->spec.nodeName.n == 0 /* perhaps its claim went */),
	     bad = cor_str_starts(look_image(&pod->spec), COR_STR("bad"));
	if (!o->deleting && bad)
		finish_rollout(m, pod);
	if (!o->deleting && (alone || bad))
		script_delete(m->c, COR_RES_PODS, cor_arena_cstr(m->a, o->name), -1,
			COR_PROPAGATION_DEFAULT);
	return true;
}

/* Whoever deletes a claim that is in use has to restart its pod. */
static bool mend_claim(void *arg, struct cor_obj *o) {
	struct mending *m = arg;
	if (o->deleting && cor_str_starts(o->name, COR_STR("data-")))
		script_delete(m->c, COR_RES_PODS,
			cor_arena_cstr(m->a, cor_str_sub(o->name, 5, o->name.n)), -1,
			COR_PROPAGATION_DEFAULT);
	return true;
}

static bool is_cordoned(struct cluster *c, struct cor_arena *a, const struct node *n) {
	struct cor_err err;
	struct cor_obj *o = cor_store_get(
		server_store(c), COR_RES_NODES, COR_STR(""), cor_str_c(n->name));
	const struct core_v1_Node *node = o ? cor_obj_decode(o, a, &err) : NULL;
	return node && node->spec.unschedulable;
}

/* People look again and again until what they do has an effect. */
static void mend(struct cluster *c) {
	static const struct {
		enum cor_res res;
		bool (*fn)(void *arg, struct cor_obj *o);
	} all[] = {
		{ COR_RES_STATEFULSETS, mend_set },
		{ COR_RES_DEPLOYMENTS, mend_deployment },
		{ COR_RES_REPLICASETS, mend_replicaset },
		{ COR_RES_JOBS, mend_job },
		{ COR_RES_PODS, mend_pod },
		{ COR_RES_PERSISTENTVOLUMECLAIMS, mend_claim },
	};
	_cleanup_(cor_arena_freep) struct cor_arena *a = cor_arena_new(0);
	struct mending m = { c, a };
	for (size_t i = 0; i < c->n_nodes; i++)
		if (c->server.up && is_cordoned(c, a, &c->nodes[i]))
			script_patch(c, COR_RES_NODES, c->nodes[i].name,
				"{\"spec\":{\"unschedulable\":null}}");
	for (size_t i = 0; c->server.up && i < cor_countof(all); i++)
		cor_store_each(server_store(c), (uint16_t)all[i].res, COR_STR("default"),
			(struct cor_str){ 0 }, (struct cor_str){ 0 }, all[i].fn, &m);
}

static void reach_goal(struct cluster *c) {
	cor_time until = mono(c) + GOAL_MINUTES * COR_MINUTE;
	const char *why = "";
	while (why && mono(c) < until && !c->failure[0]) {
		mend(c);
		cluster_run_for(c, 20 * COR_SECOND);
		why = c->failure[0] ? NULL : goal_missing(c);
	}
	if (why)
		violation(c, "the goal is not reached in %d minutes: %s", GOAL_MINUTES, why);
	size_t before = model_changes(c);
	cluster_run_for(c, 6 * COR_MINUTE);
	if (!c->failure[0] && model_changes(c) != before)
		violation(c, "the goal was reached, but things go on changing");
}

void script_play(struct cluster *c) {
	for (unsigned i = 0; i < c->script->steps && !c->failure[0]; i++) {
		cluster_run_for(c, chance(c, 60) ? between(c, 0, 3 * COR_SECOND)
						 : between(c, 0, 40 * COR_SECOND));
		if (c->failure[0])
			break;
		if (c->server.up && chance(c, 65))
			people_act(c);
		else
			faults_act(c);
	}
	if (!c->failure[0]) {
		faults_mend(c);
		reach_goal(c);
	}
}
