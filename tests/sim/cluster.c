// SPDX-License-Identifier: Apache-2.0
// Putting the parts together and taking them apart.
#include <stdio.h>

#include "base/assert.h"
#include "sim/cluster.h"

struct cluster *cluster_now;

static bool has_joined(void *arg) {
	struct cluster *c = arg;
	size_t ready = 0;
	for (size_t i = 0; i < c->n_nodes; i++)
		ready += c->nodes[i].uid[0] != '\0' && stream_is_current(&c->nodes[i].pods);
	return cor_registry_ready(c->server.registry) && ready == c->n_nodes;
}

struct cluster *cluster_new(uint64_t seed, size_t nodes, bool checked, enum breakage b) {
	cor_assert(!cluster_now && nodes <= NODES_MAX);
	struct cluster *c = cor_new(struct cluster);
	cluster_now = c;
	c->sim = cor_sim_new(seed);
	c->world = cor_sim_world(c->sim);
	c->started = mono(c);
	c->breakage = b;
	c->people = (struct link){ .c = c, .name = "people" };
	if (checked)
		model_new(c);
	server_start(c);
	c->n_nodes = nodes;
	for (size_t i = 0; i < nodes; i++) {
		struct node *n = &c->nodes[i];
		n->c = c;
		(void)snprintf(n->name, sizeof(n->name), "n%zu", i + 1);
		n->link = (struct link){ .c = c, .name = n->name };
		n->power = true;
		agent_start(n);
	}
	for (cor_time until = mono(c) + COR_MINUTE; !has_joined(c) && mono(c) < until;)
		if (!cluster_step(c))
			break;
	return c;
}

bool cluster_step(struct cluster *c) {
	if (c->failure[0] || !cor_sim_step(c->sim))
		return false;
	model_step(c);
	return !c->failure[0];
}

void cluster_run_for(struct cluster *c, cor_time d) {
	/* Heartbeats never end, so there is always a next event. */
	for (cor_time until = mono(c) + d; mono(c) < until;)
		if (!cluster_step(c))
			return;
}

void cluster_free(struct cluster *c) {
	if (!c)
		return;
	script_free(c);
	machines_free(c);
	server_crash(c);
	links_free(c);
	cor_sim_settle(c->sim);
	model_free(c);
	if (c->server.platters)
		c->server.platters->free(c->server.platters);
	cor_map_fini(&c->forced);
	cor_sim_free(c->sim);
	cluster_now = NULL;
	free(c);
}
