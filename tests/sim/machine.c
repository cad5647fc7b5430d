// SPDX-License-Identifier: Apache-2.0
// Machines: which containers run and which volumes hold data, whatever anybody believes. The first
// three invariants are checked here, where they would be broken: one pod of a name at a time, a
// volume in the hands of one pod on the machine that has it, no data removed under a pod.
#include <stdio.h>

#include "base/assert.h"
#include "sim/cluster.h"

static void wake_agent(struct run *r) {
	if (r->node->agent_up)
		agent_run_changed(r);
}

bool machine_is_ready(const struct run *r) {
	cor_time now = mono(r->node->c);
	return r->alive && !r->bad && now >= r->ready_at && now >= r->sick_until;
}

struct run *machine_run(struct node *n, struct cor_str uid) {
	for (struct run *r = n->runs; r; r = r->next)
		if (cor_str_eq_c(uid, r->uid))
			return r;
	return NULL;
}

struct run *machine_new_run(
	struct node *n, struct cor_str uid, struct cor_str ns, struct cor_str name) {
	struct run *r = cor_new(struct run);
	r->node = n;
	(void)snprintf(r->uid, sizeof(r->uid), "%.*s", COR_STR_ARG(uid));
	(void)snprintf(r->ns, sizeof(r->ns), "%.*s", COR_STR_ARG(ns));
	(void)snprintf(r->name, sizeof(r->name), "%.*s", COR_STR_ARG(name));
	r->next = n->runs;
	n->runs = r;
	return r;
}

static void clear_timers(struct run *r) {
	struct cor_world *w = r->node->c->world;
	w->timer_clear(w, &r->end);
	w->timer_clear(w, &r->probe);
}

void machine_forget(struct run *r) {
	cor_assert(!r->alive);
	clear_timers(r);
	struct run **at = &r->node->runs;
	while (*at != r)
		at = &(*at)->next;
	*at = r->next;
	free(r);
}

/* ---- what must never be ---- */

static bool holds(const struct run *r, const char *volume) {
	for (size_t i = 0; i < r->n_volumes; i++)
		if (strcmp(r->volumes[i], volume) == 0)
			return true;
	return false;
}

static bool forced(struct cluster *c, const struct run *r) {
	return cor_map_get(&c->forced, cor_str_c(r->uid)) != NULL;
}

/* A person who deletes by force says that the pod is dead; it may still end in its own time where
 * it is, and its container even start again as long as the agent there has not heard of it, but
 * never beside a successor on the same machine. */
static bool may_overlap(struct cluster *c, const struct run *a, const struct run *b) {
	return a->node != b->node && (forced(c, a) || forced(c, b));
}

static void check_start(struct cluster *c, struct run *r) {
	if (r->alive)
		violation(c, "pod %s/%s (%s) is started twice on %s", r->ns, r->name, r->uid,
			r->node->name);
	for (size_t i = 0; i < c->n_nodes; i++) {
		for (struct run *o = c->nodes[i].runs; o; o = o->next) {
			if (o == r || !o->alive)
				continue;
			if (strcmp(o->name, r->name) == 0 && strcmp(o->ns, r->ns) == 0 &&
				!may_overlap(c, o, r))
				violation(c, "two pods %s/%s run: %s on %s and %s on %s", r->ns,
					r->name, o->uid, o->node->name, r->uid, r->node->name);
			for (size_t k = 0; k < r->n_volumes; k++)
				if (holds(o, r->volumes[k]))
					violation(c, "volume %s is used by %s and %s",
						r->volumes[k], o->name, r->name);
		}
	}
}

static struct volume *find_volume(struct cluster *c, struct cor_str name) {
	for (struct volume *v = c->volumes; v; v = v->next)
		if (cor_str_eq_c(name, v->name))
			return v;
	return NULL;
}

static void mount_all(struct cluster *c, struct run *r) {
	for (size_t i = 0; i < r->n_volumes; i++) {
		struct volume *v = find_volume(c, cor_str_c(r->volumes[i]));
		if (!v) {
			v = cor_new(struct volume);
			(void)snprintf(v->name, sizeof(v->name), "%s", r->volumes[i]);
			v->node = r->node;
			v->next = c->volumes;
			c->volumes = v;
		}
		if (v->node != r->node)
			violation(c, "pod %s runs on %s, its volume %s is on %s", r->name,
				r->node->name, v->name, v->node->name);
		if (v->wiped)
			violation(c, "pod %s starts on volume %s, whose data was removed", r->name,
				v->name);
	}
}

bool machine_wipe(struct node *n, struct cor_str name) {
	for (struct run *r = n->runs; r; r = r->next)
		for (size_t i = 0; r->alive && i < r->n_volumes; i++)
			if (cor_str_eq_c(name, r->volumes[i]))
				return false;
	struct volume *v = find_volume(n->c, name);
	if (v && !v->wiped && v->node == n) {
		v->wiped = true;
		trace(n->c, "%s: data of %s is removed", n->name, v->name);
	}
	return true;
}

/* ---- containers ---- */

static void on_probe(struct cor_timer *t) {
	wake_agent(cor_container_of(t, struct run, probe));
}

static void ended(struct run *r, int exit_code) {
	clear_timers(r);
	r->alive = false;
	r->stopping = false;
	r->exit_code = exit_code;
	trace(r->node->c, "%s: pod %s (%.8s) ends with %d", r->node->name, r->name, r->uid,
		exit_code);
	wake_agent(r);
}

static void on_end(struct cor_timer *t) {
	ended(cor_container_of(t, struct run, end), 143);
}

static void on_own_end(struct cor_timer *t) {
	struct run *r = cor_container_of(t, struct run, end);
	ended(r, r->exits);
}

static void watch_probe(struct run *r) {
	struct cluster *c = r->node->c;
	cor_time at = r->ready_at > r->sick_until ? r->ready_at : r->sick_until, now = mono(c);
	r->probe.fire = on_probe;
	if (!r->bad && at > now)
		c->world->timer_set(c->world, &r->probe, at - now);
}

void machine_start(struct node *n, struct run *r, bool slow) {
	struct cluster *c = n->c;
	check_start(c, r);
	mount_all(c, r);
	r->alive = true;
	r->starts++;
	r->exit_code = 0;
	r->sick_until = 0;
	r->ready_at = mono(c) + (slow ? between(c, COR_SECOND, 40 * COR_SECOND)
				      : between(c, COR_MS, 2 * COR_SECOND));
	trace(c, "%s: pod %s (%.8s) runs", n->name, r->name, r->uid);
	if (r->exits >= 0) {
		r->end.fire = on_own_end;
		c->world->timer_set(c->world, &r->end, between(c, COR_SECOND, 20 * COR_SECOND));
	}
	watch_probe(r);
}

void machine_sick(struct run *r, cor_time d) {
	if (!r->alive)
		return;
	r->sick_until = mono(r->node->c) + d;
	trace(r->node->c, "%s: probes of %s fail for %lld s", r->node->name, r->name,
		(long long)(d / COR_SECOND));
	watch_probe(r);
	wake_agent(r);
}

void machine_stop(struct run *r, cor_time grace) {
	struct cluster *c = r->node->c;
	cor_time now = mono(c),
		 d = r->stopping ? r->end_at - now : between(c, COR_MS, 2 * COR_SECOND);
	if (!r->alive)
		return;
	/* One in five does not hear. */
	if (!r->stopping && chance(c, 20))
		d = grace;
	if (d > grace)
		d = grace;
	if (r->stopping && now + d >= r->end_at)
		return;
	r->stopping = true;
	r->end_at = now + d;
	r->end.fire = on_end;
	c->world->timer_set(c->world, &r->end, d);
}

void machine_kill(struct run *r, int exit_code) {
	if (r->alive)
		ended(r, exit_code);
}

size_t machine_alive(const struct node *n) {
	size_t alive = 0;
	for (const struct run *r = n->runs; r; r = r->next)
		alive += r->alive;
	return alive;
}

void machine_power_off(struct node *n) {
	trace(n->c, "%s: loses power", n->name);
	agent_crash(n);
	n->power = false;
	while (n->runs) {
		n->runs->alive = false;
		machine_forget(n->runs);
	}
}

void machines_free(struct cluster *c) {
	for (size_t i = 0; i < c->n_nodes; i++)
		machine_power_off(&c->nodes[i]);
	while (c->volumes) {
		struct volume *v = c->volumes;
		c->volumes = v->next;
		free(v);
	}
}
