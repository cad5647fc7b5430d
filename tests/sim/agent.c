// SPDX-License-Identifier: Apache-2.0
// A stand-in for the node agent, with the same rules as the real one (docs/internals/node.md): a
// look at a pod computes from facts what is next; a started agent finds running containers again; a
// terminal phase is told before the object is deleted, with its uid; data of a volume goes only
// when nobody has it mounted. The Node object and its lease are in agent_node.c.
#include <stdio.h>

#include "base/assert.h"
#include "controllers/volumes.h"
#include "sim/agent_priv.h"

static void look(struct apod *p);

static void on_tick(struct cor_timer *t) {
	look(cor_container_of(t, struct apod, tick));
}

static void wake(struct apod *p, cor_time delay) {
	struct cor_world *w = p->node->c->world;
	p->tick.fire = on_tick;
	w->timer_set(w, &p->tick, delay);
}

static struct apod *find(struct node *n, struct cor_str uid) {
	for (struct apod *p = n->apods; p; p = p->next)
		if (cor_str_eq_c(uid, p->uid))
			return p;
	return NULL;
}

static void apod_free(struct apod *p) {
	struct cor_world *w = p->node->c->world;
	struct apod **at = &p->node->apods;
	while (*at != p)
		at = &(*at)->next;
	*at = p->next;
	w->timer_clear(w, &p->tick);
	if (p->get)
		request_forget(p->get);
	if (p->write)
		request_forget(p->write);
	cor_obj_unref(p->obj);
	cor_buf_fini(&p->written);
	cor_buf_fini(&p->writing);
	free(p);
}

/* ---- the object ---- */

static void read_claims(struct apod *p, const struct core_v1_Pod *pod) {
	p->n_claims = 0;
	for (size_t i = 0; i < pod->spec.volumes.n && p->n_claims < CLAIMS_MAX; i++) {
		const struct core_v1_Volume *v = &pod->spec.volumes.p[i];
		if (v->persistentVolumeClaim)
			(void)snprintf(p->claims[p->n_claims++], NAME_MAX_, "%.*s",
				COR_STR_ARG(v->persistentVolumeClaim->claimName));
	}
}

static void read_object(struct apod *p, struct cor_obj *o) {
	_cleanup_(cor_arena_freep) struct cor_arena *a = cor_arena_new(0);
	struct cor_err err;
	const struct core_v1_Pod *pod = cor_obj_decode(o, a, &err);
	cor_assert(pod);
	cor_obj_unref(p->obj);
	p->obj = cor_obj_ref(o);
	p->deleting = pod->metadata.deletionTimestamp != 0;
	int64_t grace = pod->spec.terminationGracePeriodSeconds
				? *pod->spec.terminationGracePeriodSeconds
				: 30;
	if (p->deleting && pod->metadata.deletionGracePeriodSeconds)
		grace = *pod->metadata.deletionGracePeriodSeconds;
	p->grace = (grace < 1 ? 1 : grace) * COR_SECOND;
	p->api_phase = cor_str_eq(pod->status.phase, COR_STR("Running"))     ? PHASE_RUNNING
		       : cor_str_eq(pod->status.phase, COR_STR("Failed"))    ? PHASE_FAILED
		       : cor_str_eq(pod->status.phase, COR_STR("Succeeded")) ? PHASE_SUCCEEDED
									     : PHASE_PENDING;
	p->api_ready = look_available(pod, 0, 0);
	p->restart_good = cor_str_eq(pod->spec.restartPolicy, COR_STR("Always"));
	p->restart_bad = !cor_str_eq(pod->spec.restartPolicy, COR_STR("Never"));
	(void)snprintf(p->image, sizeof(p->image), "%.*s", COR_STR_ARG(look_image(&pod->spec)));
	if (p->n_claims == 0)
		read_claims(p, pod);
	if (!p->recalled)
		for (size_t i = 0; i < pod->status.containerStatuses.n; i++)
			p->restarts = pod->status.containerStatuses.p[i].restartCount;
	p->recalled = true;
}

/* ---- status ---- */

static void time_text(cor_time t, char out[COR_TIME_TEXT_MAX]) {
	size_t n = cor_time_format(t, false, out);
	out[n] = '\0';
}

static void compute(struct apod *p) {
	bool alive = p->run && p->run->alive;
	p->ready = alive && !p->ending && machine_is_ready(p->run);
	if (p->over && !p->run && p->api_phase >= PHASE_SUCCEEDED)
		p->phase = p->api_phase;
	else if (p->over)
		p->phase = p->rejected || (p->run && p->run->exit_code != 0) || !p->run
				   ? PHASE_FAILED
				   : PHASE_SUCCEEDED;
	else
		p->phase = p->run && p->run->starts > 0 ? PHASE_RUNNING : PHASE_PENDING;
	if (p->ready != p->was_ready || !p->flipped[0]) {
		p->was_ready = p->ready;
		time_text(cor_now(p->node->c->world), p->flipped);
	}
}

static void print_status(struct apod *p, struct cor_buf *b) {
	static const char *const phases[] = { "Pending", "Running", "Succeeded", "Failed" };
	cor_buf_printf(b,
		"{\"metadata\":{\"uid\":\"%s\"},\"status\":{\"phase\":\"%s\",\"conditions\":[{"
		"\"type\":\"Ready\","
		"\"status\":\"%s\",\"lastTransitionTime\":\"%s\"}],\"containerStatuses\":[{"
		"\"name\":\"c\",\"image\":\"%s\","
		"\"imageID\":\"%s\",\"ready\":%s,\"restartCount\":%d",
		p->uid, phases[p->phase], p->ready ? "True" : "False", p->flipped, p->image,
		p->image, p->ready ? "true" : "false", p->restarts);
	if (p->over && p->run)
		cor_buf_printf(b, ",\"state\":{\"terminated\":{\"exitCode\":%d,\"finishedAt\":\"%s\"}}",
			p->run->exit_code, p->flipped);
	cor_buf_c(b, "}]");
	if (p->rejected)
		cor_buf_c(b, ",\"reason\":\"OutOfcpu\"");
	if (p->run && p->ip)
		cor_buf_printf(b,
			",\"podIP\":\"10.244.%u.%u\",\"podIPs\":[{\"ip\":\"10.244.%u.%u\"}]",
			p->ip / 250, p->ip % 250 + 1, p->ip / 250, p->ip % 250 + 1);
	cor_buf_c(b, "}}");
}

static void on_written(struct request *r) {
	struct apod *p = r->arg;
	p->write = NULL;
	if (r->status < 0) {
		p->retry_at = mono(p->node->c) + COR_SECOND;
		wake(p, COR_SECOND);
		return;
	}
	cor_buf_fini(&p->written);
	p->written = p->writing;
	p->writing = COR_BUF_INIT;
	p->told_rev = r->result ? r->result->rev : 0;
	p->told_phase = p->writing_phase;
	wake(p, 0);
}

static void on_removed(struct request *r) {
	struct apod *p = r->arg;
	p->write = NULL;
	if (r->status >= 0 || r->status == COR_E_NOT_FOUND || r->status == COR_E_CONFLICT)
		return; /* the watch tells the rest */
	p->removing = false;
	p->retry_at = mono(p->node->c) + COR_SECOND;
	wake(p, COR_SECOND);
}

/* The API shows something else than what was written: another write came behind it. */
static bool overwritten(const struct apod *p) {
	return p->told_rev > 0 && p->obj->rev > p->told_rev &&
	       (p->api_phase != p->phase || p->api_ready != p->ready);
}

static void write_back(struct apod *p) {
	if (p->gone || p->write || p->removing)
		return;
	if (mono(p->node->c) < p->retry_at) {
		wake(p, p->retry_at - mono(p->node->c));
		return;
	}
	struct cor_buf b = COR_BUF_INIT;
	print_status(p, &b);
	if (!cor_str_eq(cor_buf_view(&b), cor_buf_view(&p->written)) || overwritten(p)) {
		struct request *r = request_new(
			&p->node->link, COR_VERB_PATCH, COR_RES_PODS, p->obj->ns, p->obj->name);
		r->op.subresource = COR_STR("status");
		r->op.patch_type = COR_PATCH_STRATEGIC;
		r->op.patch = cor_arena_str(r->a, cor_buf_view(&b));
		cor_buf_fini(&p->writing);
		p->writing = b;
		p->writing_phase = p->phase;
		p->write = r;
		request_send(r, on_written, p);
		return;
	}
	cor_buf_fini(&b);
	if (!p->deleting || !p->over || p->told_phase != p->phase)
		return;
	struct request *r = request_new(
		&p->node->link, COR_VERB_DELETE, COR_RES_PODS, p->obj->ns, p->obj->name);
	r->op.grace_s = 0;
	r->op.expect_uid = cor_arena_str(r->a, cor_str_c(p->uid));
	p->removing = true;
	p->write = r;
	request_send(r, on_removed, p);
}

/* ---- running it ---- */

static void on_claim(struct request *r) {
	struct apod *p = r->arg;
	p->get = NULL;
	struct cor_err err;
	const struct core_v1_PersistentVolumeClaim *c =
		r->result ? cor_obj_decode(r->result, r->a, &err) : NULL;
	if (c && cor_str_eq(c->status.phase, COR_STR("Bound")))
		(void)snprintf(p->volumes[p->n_volumes++], sizeof(p->volumes[0]), "%.*s",
			COR_STR_ARG(c->spec.volumeName));
	wake(p, c ? 0 : COR_SECOND);
}

/* The volumes of all claims are known. */
static bool resolve(struct apod *p) {
	if (p->n_volumes == p->n_claims)
		return true;
	if (p->get)
		return false;
	p->get = request_new(&p->node->link, COR_VERB_GET, COR_RES_PERSISTENTVOLUMECLAIMS,
		p->obj->ns, cor_str_c(p->claims[p->n_volumes]));
	request_send(p->get, on_claim, p);
	return false;
}

/* A pod of the same name that still runs here must end first, whatever the API says of it. */
static bool predecessor_runs(const struct apod *p) {
	if (p->node->c->breakage == BREAK_AGENT)
		return false;
	for (const struct run *r = p->node->runs; r; r = r->next)
		if (r != p->run && r->alive && cor_str_eq_c(p->obj->name, r->name) &&
			cor_str_eq_c(p->obj->ns, r->ns))
			return true;
	return false;
}

static cor_time back_off(const struct apod *p) {
	cor_time d = COR_SECOND;
	for (int i = 1; i < p->restarts && d < 30 * COR_SECOND; i++)
		d *= 2;
	return d;
}

static void start(struct apod *p) {
	struct cluster *c = p->node->c;
	if (!p->run) {
		p->run = machine_new_run(p->node, cor_str_c(p->uid), p->obj->ns, p->obj->name);
		p->run->n_volumes = p->n_volumes;
		memcpy(p->run->volumes, p->volumes, sizeof(p->volumes));
		if (p->api_phase == PHASE_RUNNING) /* before the machine lost power */
			p->restarts++;
	} else if (p->run->starts > 0) {
		p->restarts++;
	}
	if (!p->ip)
		p->ip = (unsigned)(p->node - c->nodes) * 25000 + ++p->node->addresses;
	p->run->bad = strstr(p->image, "bad") ||
		      (c->never_ready && (strcmp(c->never_ready, "*") == 0 ||
							cor_str_eq_c(p->obj->name, c->never_ready)));
	p->run->exits = strstr(p->image, "done") ? 0 : strstr(p->image, "fail") ? 1 : -1;
	machine_start(p->node, p->run, strstr(p->image, "slow") != NULL);
}

/* It has run, and its policy wants no more of it. */
static bool has_had_its_run(const struct apod *p) {
	if (!p->run) /* and the machine lost power since */
		return p->api_phase == PHASE_RUNNING && !p->restart_bad;
	return p->run->starts > 0 && !(p->run->exit_code ? p->restart_bad : p->restart_good);
}

static void run_it(struct apod *p) {
	struct cluster *c = p->node->c;
	if (p->run && p->run->alive)
		return;
	if (has_had_its_run(p)) {
		p->over = true;
		return;
	}
	if (!p->admitted && c->script && chance(c, 2)) {
		p->rejected = p->over = true;
		trace(c, "%s: pod %s (%.8s) is refused", p->node->name, p->run ? p->run->name : "",
			p->uid);
		return;
	}
	p->admitted = true;
	if (!resolve(p) || predecessor_runs(p))
		return;
	cor_time now = mono(c);
	if (p->start_at == 0) {
		p->start_at =
			now + (p->run || p->restarts > 0 ? back_off(p)
							 : between(c, COR_MS, 2 * COR_SECOND));
		wake(p, p->start_at - now);
	} else if (now < p->start_at) {
		wake(p, p->start_at - now);
	} else {
		p->start_at = 0;
		start(p);
	}
}

static void wake_namesakes(struct node *n, const struct run *r) {
	for (struct apod *p = n->apods; p; p = p->next)
		if (p->obj && cor_str_eq_c(p->obj->name, r->name))
			wake(p, 0);
}

static void look(struct apod *p) {
	if (p->gone || p->deleting || p->api_phase == PHASE_FAILED ||
		p->api_phase == PHASE_SUCCEEDED)
		p->ending = true;
	if (p->ending && p->run && p->run->alive)
		machine_stop(p->run, p->grace);
	bool alive = p->run && p->run->alive;
	if (p->gone && !alive) {
		struct node *n = p->node;
		struct run *r = cor_take(p->run);
		apod_free(p);
		if (r) {
			wake_namesakes(n, r);
			machine_forget(r);
		}
		agent_look_at_volumes(n);
		return;
	}
	if (p->ending && !alive)
		p->over = true;
	if (!p->over && !p->ending)
		run_it(p);
	compute(p);
	write_back(p);
}

/* ---- what the watch says ---- */

static bool is_mine(void *arg, const struct cor_obj *o) {
	const struct node *n = arg;
	const struct cor_str *node = cor_strmap_get(&o->fields, COR_STR("spec.nodeName"));
	return node && cor_str_eq_c(*node, n->name);
}

static void set_pod(struct node *n, struct cor_obj *o) {
	struct apod *p = find(n, o->uid);
	if (!p) {
		p = cor_new(struct apod);
		p->node = n;
		(void)snprintf(p->uid, sizeof(p->uid), "%.*s", COR_STR_ARG(o->uid));
		p->run = machine_run(n, o->uid);
		p->next = n->apods;
		n->apods = p;
	}
	read_object(p, o);
	wake(p, 0);
}

static void object_gone(struct apod *p) {
	p->gone = true;
	wake(p, 0);
}

static void on_event(void *arg, enum cor_event_type type, struct cor_obj *o) {
	struct apod *p = find(arg, o->uid);
	if (type != COR_EVENT_DELETED)
		set_pod(arg, o);
	else if (p)
		object_gone(p);
}

static void on_list(void *arg, struct cor_obj *const *objs, size_t n_objs) {
	struct node *n = arg;
	for (struct apod *p = n->apods; p; p = p->next)
		p->listed = false;
	for (size_t i = 0; i < n_objs; i++) {
		set_pod(n, objs[i]);
		find(n, objs[i]->uid)->listed = true;
	}
	for (struct apod *p = n->apods; p; p = p->next)
		if (!p->listed)
			object_gone(p);
	n->synced = true;
	agent_look_at_volumes(n);
	/* Now all pods are known: what belongs to none of them is ended. */
	for (struct run *r = n->runs, *next; r; r = next) {
		next = r->next;
		if (find(n, cor_str_c(r->uid)))
			continue;
		if (r->alive)
			machine_stop(r, 30 * COR_SECOND);
		else
			machine_forget(r);
	}
}

void agent_run_changed(struct run *r) {
	struct node *n = r->node;
	struct apod *p = find(n, cor_str_c(r->uid));
	if (p)
		wake(p, 0);
	if (r->alive)
		return;
	wake_namesakes(n, r);
	agent_look_at_volumes(n);
	if (!p && n->synced)
		machine_forget(r);
}

/* ---- life ---- */

void agent_start(struct node *n) {
	struct cluster *c = n->c;
	if (n->agent_up || !n->power)
		return;
	trace(c, "%s: agent starts", n->name);
	n->agent_up = true;
	n->synced = false;
	n->pods = (struct stream){ .link = &n->link,
		.res = COR_RES_PODS,
		.wants = is_mine,
		.on_list = on_list,
		.on_event = on_event,
		.arg = n };
	stream_start(&n->pods);
	agent_node_start(n);
}

void agent_crash(struct node *n) {
	if (!n->agent_up)
		return;
	trace(n->c, "%s: agent dies", n->name);
	n->agent_up = false;
	stream_close(&n->pods);
	while (n->apods)
		apod_free(n->apods);
	agent_node_stop(n);
}

struct compare {
	struct node *n;
	size_t objects;
	const char *what;
};

static bool compare_one(void *arg, struct cor_obj *o) {
	struct compare *x = arg;
	if (!is_mine(x->n, o))
		return true;
	x->objects++;
	const struct apod *p = find(x->n, o->uid);
	if (!p || p->gone)
		x->what = "it does not know a pod";
	else if (p->obj->rev != o->rev)
		x->what = "it has an older version of a pod";
	return !x->what;
}

const char *agent_difference(struct node *n) {
	struct compare x = { .n = n };
	cor_store_each(server_store(n->c), COR_RES_PODS, (struct cor_str){ 0 },
		(struct cor_str){ 0 }, (struct cor_str){ 0 }, compare_one, &x);
	size_t known = 0;
	for (const struct apod *p = n->apods; p; p = p->next)
		known += !p->gone;
	return x.what ? x.what : known != x.objects ? "it knows a pod that is gone" : NULL;
}
