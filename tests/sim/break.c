// SPDX-License-Identifier: Apache-2.0
// Breakages: what the simulation must find. They are made from outside, in this program only: the
// linker puts the functions of this file between the callers and the real ones (--wrap), rows of
// controllers are changed before the engine gets them (oracle.c), and the disk is ours (server.c).
#include "sim/cluster.h"

static const struct {
	const char *name, *text;
} names[] = {
	[BREAK_NONE] = { "none", "" },
	[BREAK_UID] = { "uid", "preconditions on uids are ignored" },
	[BREAK_ORDER] = { "order", "OrderedReady sets are treated as Parallel" },
	[BREAK_PARTITION] = { "partition", "rollouts do not stop at the partition" },
	[BREAK_CLAIMS] = { "claims", "every retention policy is Delete" },
	[BREAK_SURGE] = { "surge", "two pods more than maxSurge allows" },
	[BREAK_UNAVAILABLE] = { "unavailable", "maxUnavailable is 100 %" },
	[BREAK_PARALLEL] = { "parallel", "Jobs run a pod more than they ask for" },
	[BREAK_GC] = { "gc", "there is no garbage collector" },
	[BREAK_FORCE] = { "force", "controllers delete pods without grace" },
	[BREAK_LOST_WRITE] = { "lost-write", "some write of a commit never reaches the disk" },
	[BREAK_REVISION] = { "revision", "the disk forgets which revisions were given" },
	[BREAK_WATCH] = { "watch", "some event never reaches its watch" },
	[BREAK_AGENT] = { "agent", "agents do not wait for the predecessor of a pod" },
};

enum breakage breakage_from_string(const char *name) {
	for (size_t i = 0; i < BREAK_MAX; i++)
		if (strcmp(names[i].name, name) == 0)
			return (enum breakage)i;
	return BREAK_MAX;
}

const char *breakage_to_string(enum breakage b) {
	return names[b].name;
}

const char *breakage_text(enum breakage b) {
	return names[b].text;
}

void break_op(struct cluster *c, struct cor_op *op) {
	if (c->breakage == BREAK_UID)
		op->expect_uid = op->expect_rv = (struct cor_str){ 0 };
}

void __real_cor_op_start(struct cor_registry *r, struct cor_op *op);
void __wrap_cor_op_start(struct cor_registry *r, struct cor_op *op);
void __wrap_cor_op_start(struct cor_registry *r, struct cor_op *op) {
	bool pod = op->verb == COR_VERB_DELETE && op->res->id == COR_RES_PODS;
	if (cluster_now)
		break_op(cluster_now, op);
	if (pod && cluster_now && cluster_now->breakage == BREAK_FORCE)
		op->grace_s = 0;
	__real_cor_op_start(r, op);
}

bool __real_cor_watch_next(struct cor_watch *w, struct cor_event *ev);
bool __wrap_cor_watch_next(struct cor_watch *w, struct cor_event *ev);
bool __wrap_cor_watch_next(struct cor_watch *w, struct cor_event *ev) {
	bool more = __real_cor_watch_next(w, ev);
	if (more && cluster_now && cluster_now->breakage == BREAK_WATCH &&
		ev->type <= COR_EVENT_DELETED && below(cluster_now, 1000) == 0)
		more = __real_cor_watch_next(w, ev);
	return more;
}
