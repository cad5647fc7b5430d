// SPDX-License-Identifier: Apache-2.0
// What goes wrong: crashes, cut and bad links, failing commits, containers that crash or are sick.
#include <stdio.h>

#include "sim/script_priv.h"

static void later(struct cluster *c, struct cor_timer *t, cor_time d) {
	c->world->timer_set(c->world, t, d);
}

/* ---- the server ---- */

static void on_server_back(struct cor_timer *t) {
	struct script *s = cor_container_of(t, struct script, server_back);
	if (!s->c->server.up)
		server_start(s->c);
}

/* Crashes come at some await point of what is under way just now, not only in a quiet moment. */
static bool at_some_point(struct cluster *c) {
	for (uint64_t i = below(c, 60); i > 0; i--)
		if (!cluster_step(c))
			return false;
	return true;
}

static void crash_server(struct cluster *c) {
	if (!at_some_point(c))
		return;
	server_crash(c);
	later(c, &c->script->server_back,
		chance(c, 80) ? between(c, 10 * COR_MS, 5 * COR_SECOND)
			      : between(c, COR_SECOND, 2 * COR_MINUTE));
}

static void break_disk(struct cluster *c) {
	c->server.fault = chance(c, 50) ? DISK_DOUBT : DISK_FAILS;
	c->server.faults = 1 + (unsigned)(chance(c, 70) ? below(c, 3) : below(c, 200));
}

/* ---- machines ---- */

static void on_agent_back(struct cor_timer *t) {
	agent_start(cor_container_of(t, struct machine_fault, agent_back)->node);
}

static void on_power_back(struct cor_timer *t) {
	struct node *n = cor_container_of(t, struct machine_fault, power_back)->node;
	if (n->power)
		return;
	trace(n->c, "%s: has power again", n->name);
	n->power = true;
	agent_start(n);
}

static void on_link_back(struct cor_timer *t) {
	struct node *n = cor_container_of(t, struct machine_fault, link_back)->node;
	trace(n->c, "%s: link is whole again", n->name);
	link_set_cut(&n->link, false);
}

static void make_good(struct link *l) {
	l->lose = l->twice = 0;
	l->slow = 0;
}

static void make_bad(struct link *l) {
	struct cluster *c = l->c;
	l->lose = (unsigned)below(c, 40);
	l->twice = (unsigned)below(c, 30);
	l->slow = between(c, 0, chance(c, 30) ? 15 * COR_SECOND : COR_SECOND);
	trace(c, "%s: link loses %u %%, repeats %u %%, is up to %lld ms slow", l->name, l->lose,
		l->twice, (long long)(l->slow / COR_MS));
}

static void on_quiet(struct cor_timer *t) {
	make_good(&cor_container_of(t, struct machine_fault, quiet)->node->link);
}

static void on_reads_again(struct cor_timer *t) {
	cor_container_of(t, struct machine_fault, reads_again)->node->pods.stalled = false;
}

static void on_people_quiet(struct cor_timer *t) {
	make_good(&cor_container_of(t, struct script, people_quiet)->c->people);
}

static cor_time a_while(struct cluster *c) {
	return chance(c, 60) ? between(c, COR_SECOND, 20 * COR_SECOND)
			     : between(c, 20 * COR_SECOND, 4 * COR_MINUTE);
}

/* ---- containers ---- */

static struct run *any_run(struct node *n) {
	struct run *chosen = NULL;
	uint64_t k = 0;
	for (struct run *r = n->runs; r; r = r->next)
		if (r->alive && below(n->c, ++k) == 0)
			chosen = r;
	return chosen;
}

static void hurt(struct cluster *c, struct run *r, bool kill) {
	if (r && kill)
		machine_kill(r, 1);
	else if (r)
		machine_sick(r, a_while(c));
}

/* ---- one fault ---- */

void faults_act(struct cluster *c) {
	struct machine_fault *m = &c->script->machines[below(c, c->n_nodes)];
	struct node *n = m->node;
	unsigned k = (unsigned)below(c, 100);
	if (k < 20) {
		crash_server(c);
	} else if (k < 30) {
		break_disk(c);
	} else if (k < 42 && !n->link.cut) {
		trace(c, "%s: link is cut", n->name);
		link_set_cut(&n->link, true);
		later(c, &m->link_back, a_while(c));
	} else if (k < 54) {
		if (!at_some_point(c))
			return;
		agent_crash(n);
		later(c, &m->agent_back, a_while(c));
	} else if (k < 60 && n->power) {
		if (!at_some_point(c))
			return;
		machine_power_off(n);
		later(c, &m->power_back, a_while(c));
	} else if (k < 72) {
		make_bad(&n->link);
		later(c, &m->quiet, a_while(c));
	} else if (k < 76) {
		make_bad(&c->people);
		later(c, &c->script->people_quiet, a_while(c));
	} else if (k < 79) {
		trace(c, "%s: the agent does not read", n->name);
		n->pods.stalled = true;
		later(c, &m->reads_again, between(c, COR_MINUTE, 10 * COR_MINUTE));
	} else {
		hurt(c, any_run(n), k < 90);
	}
}

/* ---- all of them ---- */

void faults_new(struct cluster *c) {
	struct script *s = c->script;
	s->server_back.fire = on_server_back;
	s->people_quiet.fire = on_people_quiet;
	for (size_t i = 0; i < c->n_nodes; i++) {
		struct machine_fault *m = &s->machines[i];
		m->node = &c->nodes[i];
		m->agent_back.fire = on_agent_back;
		m->power_back.fire = on_power_back;
		m->link_back.fire = on_link_back;
		m->quiet.fire = on_quiet;
		m->reads_again.fire = on_reads_again;
	}
}

void faults_free(struct cluster *c) {
	struct script *s = c->script;
	struct cor_world *w = c->world;
	w->timer_clear(w, &s->server_back);
	w->timer_clear(w, &s->people_quiet);
	for (size_t i = 0; i < c->n_nodes; i++) {
		struct machine_fault *m = &s->machines[i];
		struct cor_timer *timers[] = { &m->agent_back, &m->power_back, &m->link_back,
			&m->quiet, &m->reads_again };
		for (size_t k = 0; k < cor_countof(timers); k++)
			w->timer_clear(w, timers[k]);
	}
}

void faults_mend(struct cluster *c) {
	trace(c, "everything is mended");
	faults_free(c);
	c->server.fault = DISK_OK;
	make_good(&c->people);
	for (size_t i = 0; i < c->n_nodes; i++) {
		struct node *n = &c->nodes[i];
		n->power = true;
		n->pods.stalled = false;
		make_good(&n->link);
		link_set_cut(&n->link, false);
		agent_start(n);
	}
	if (!c->server.up)
		server_start(c);
}
