// SPDX-License-Identifier: Apache-2.0
// The rest of the agent's stand-in: it registers the Node, renews the lease every ten seconds and
// writes the node's status at the start, every five minutes and when the server hears it again, as
// the real one does; and it removes the data of volumes that are being deleted.
#include <stdio.h>

#include "base/assert.h"
#include "controllers/volumes.h"
#include "sim/agent_priv.h"

#define LEASE_NS COR_STR("kube-node-lease")

static void later(
	struct node *n, struct cor_timer *t, cor_time delay, void (*fire)(struct cor_timer *)) {
	t->fire = fire;
	n->c->world->timer_set(n->c->world, t, delay);
}

static void decode_object(struct request *r, struct cor_str json) {
	struct cor_decode d = { .arena = r->a };
	struct cor_err err;
	int e = cor_json_decode_new(
		r->op.res->type, cor_arena_str(r->a, json), &r->op.obj, &d, &err);
	cor_assert(e >= 0);
}

/* ---- status ---- */

static void on_status(struct cor_timer *t);

static void on_status_written(struct request *r) {
	struct node *n = r->arg;
	n->status_call = NULL;
	if (r->status < 0)
		later(n, &n->status_timer, COR_SECOND, on_status);
}

static void print_node(struct node *n, struct cor_buf *b) {
	char now[COR_TIME_TEXT_MAX];
	size_t len = cor_time_format(cor_now(n->c->world), false, now);
	cor_buf_printf(b,
		"\"status\":{\"capacity\":{\"cpu\":\"8\",\"memory\":\"16Gi\",\"pods\":\"110\"},"
		"\"allocatable\":"
		"{\"cpu\":\"8\",\"memory\":\"16Gi\",\"pods\":\"110\"},\"conditions\":[{\"type\":"
		"\"Ready\",\"status\":\"True\","
		"\"reason\":\"KubeletReady\",\"lastHeartbeatTime\":\"%.*s\"}]}}",
		(int)len, now);
}

static void on_status(struct cor_timer *t) {
	struct node *n = cor_container_of(t, struct node, status_timer);
	later(n, t, n->status_call ? COR_SECOND : 5 * COR_MINUTE, on_status);
	if (n->status_call || !n->uid[0])
		return;
	_cleanup_buf_ struct cor_buf b = COR_BUF_INIT;
	cor_buf_byte(&b, '{');
	print_node(n, &b);
	n->status_call = request_new(
		&n->link, COR_VERB_PATCH, COR_RES_NODES, COR_STR(""), cor_str_c(n->name));
	n->status_call->op.subresource = COR_STR("status");
	n->status_call->op.patch_type = COR_PATCH_STRATEGIC;
	n->status_call->op.patch = cor_arena_str(n->status_call->a, cor_buf_view(&b));
	request_send(n->status_call, on_status_written, n);
}

/* ---- lease ---- */

static void on_lease_done(struct request *r) {
	struct node *n = r->arg;
	n->lease_call = NULL;
	if (r->status >= 0 && n->unheard)
		later(n, &n->status_timer, 0, on_status);
	n->unheard = r->status < 0;
}

static void send_lease(struct node *n, enum cor_verb verb, void (*done)(struct request *)) {
	char now[COR_TIME_TEXT_MAX];
	size_t len = cor_time_format(cor_now(n->c->world), true, now);
	struct request *r = request_new(&n->link, verb, COR_RES_LEASES, LEASE_NS,
		verb == COR_VERB_CREATE ? COR_STR("") : cor_str_c(n->name));
	struct cor_str spec = cor_arena_printf(r->a,
		"\"spec\":{\"holderIdentity\":\"%s\",\"leaseDurationSeconds\":40,"
		"\"renewTime\":\"%.*s\"}}",
		n->name, (int)len, now);
	if (verb == COR_VERB_CREATE) {
		decode_object(r,
			cor_arena_printf(r->a,
				"{\"metadata\":{\"name\":\"%s\",\"namespace\":\"kube-node-lease\","
				"\"ownerReferences\":[{\"apiVersion\":\"v1\",\"kind\":\"Node\","
				"\"name\":\"%s\",\"uid\":\"%s\"}]},%.*s",
				n->name, n->name, n->uid, COR_STR_ARG(spec)));
	} else {
		r->op.patch_type = COR_PATCH_MERGE;
		r->op.patch = cor_arena_printf(r->a, "{%.*s", COR_STR_ARG(spec));
	}
	n->lease_call = r;
	request_send(r, done, n);
}

static void on_lease_patched(struct request *r) {
	struct node *n = r->arg;
	if (r->status == COR_E_NOT_FOUND)
		send_lease(n, COR_VERB_CREATE, on_lease_done);
	else
		on_lease_done(r);
}

static void on_lease(struct cor_timer *t) {
	struct node *n = cor_container_of(t, struct node, lease_timer);
	later(n, t, 10 * COR_SECOND, on_lease);
	if (!n->lease_call && n->uid[0])
		send_lease(n, COR_VERB_PATCH, on_lease_patched);
}

/* ---- registration ---- */

static void on_register(struct cor_timer *t);

static void on_node_read(struct request *r) {
	struct node *n = r->arg;
	n->register_call = NULL;
	if (r->result) {
		(void)snprintf(n->uid, sizeof(n->uid), "%.*s", COR_STR_ARG(r->result->uid));
		later(n, &n->status_timer, 0, on_status);
	} else {
		later(n, &n->register_timer, COR_SECOND, on_register);
	}
}

static void on_node_created(struct request *r) {
	struct node *n = r->arg;
	n->register_call =
		request_new(&n->link, COR_VERB_GET, COR_RES_NODES, COR_STR(""), cor_str_c(n->name));
	request_send(n->register_call, on_node_read, n);
}

static void on_register(struct cor_timer *t) {
	struct node *n = cor_container_of(t, struct node, register_timer);
	_cleanup_buf_ struct cor_buf b = COR_BUF_INIT;
	cor_buf_printf(&b,
		"{\"metadata\":{\"name\":\"%s\",\"labels\":{\"kubernetes.io/hostname\":\"%s\"}},",
		n->name, n->name);
	print_node(n, &b);
	n->register_call =
		request_new(&n->link, COR_VERB_CREATE, COR_RES_NODES, COR_STR(""), COR_STR(""));
	decode_object(n->register_call, cor_buf_view(&b));
	request_send(n->register_call, on_node_created, n);
}

/* ---- volumes ---- */

struct doomed {
	struct doomed *next;
	struct cor_obj *obj;
};

static bool is_doomed(void *arg, const struct cor_obj *o) {
	return o->deleting;
}

static void on_released(struct request *r) {
	struct node *n = r->arg;
	for (size_t i = 0; i < cor_countof(n->volume_calls); i++)
		if (n->volume_calls[i] == r)
			n->volume_calls[i] = NULL;
	if (r->status < 0)
		later(n, &n->volume_timer, COR_SECOND, agent_volume_timer);
}

static bool is_here(const struct node *n, const struct core_v1_PersistentVolume *pv) {
	const struct core_v1_NodeSelector *s =
		pv->spec.nodeAffinity ? pv->spec.nodeAffinity->required : NULL;
	return s && s->nodeSelectorTerms.n == 1 &&
	       s->nodeSelectorTerms.p[0].matchExpressions.n == 1 &&
	       s->nodeSelectorTerms.p[0].matchExpressions.p[0].values.n == 1 &&
	       cor_str_eq_c(s->nodeSelectorTerms.p[0].matchExpressions.p[0].values.p[0], n->name);
}

/* The finalizers without ours; absent when it is not among them. */
static struct cor_str other_finalizers(
	struct cor_arena *a, const struct core_v1_PersistentVolume *pv) {
	_cleanup_buf_ struct cor_buf b = COR_BUF_INIT;
	bool found = false;
	for (size_t i = 0; i < pv->metadata.finalizers.n; i++) {
		if (cor_str_eq(pv->metadata.finalizers.p[i], COR_STR(COR_LOCAL_FINALIZER))) {
			found = true;
			continue;
		}
		cor_buf_printf(&b, "%s\"%.*s\"", b.n > 0 ? "," : "",
			COR_STR_ARG(pv->metadata.finalizers.p[i]));
	}
	return found ? cor_arena_printf(a, "%.*s", COR_STR_ARG(cor_buf_view(&b)))
		     : (struct cor_str){ 0 };
}

static void look_at_volume(struct node *n, struct cor_obj *o) {
	struct request **slot = NULL;
	for (size_t i = 0; i < cor_countof(n->volume_calls) && !slot; i++)
		slot = n->volume_calls[i] ? NULL : &n->volume_calls[i];
	if (!slot) {
		later(n, &n->volume_timer, COR_SECOND, agent_volume_timer);
		return;
	}
	_cleanup_(cor_arena_freep) struct cor_arena *a = cor_arena_new(0);
	struct cor_err err;
	const struct core_v1_PersistentVolume *pv = cor_obj_decode(o, a, &err);
	struct cor_str rest =
		pv && is_here(n, pv) ? other_finalizers(a, pv) : (struct cor_str){ 0 };
	if (!rest.p || !n->synced || !machine_wipe(n, o->name))
		return;
	struct request *r = request_new(
		&n->link, COR_VERB_PATCH, COR_RES_PERSISTENTVOLUMES, COR_STR(""), o->name);
	r->op.patch_type = COR_PATCH_MERGE;
	r->op.patch = cor_arena_printf(r->a,
		"{\"metadata\":{\"resourceVersion\":\"%llu\",\"finalizers\":[%.*s]}}",
		(unsigned long long)o->rev, COR_STR_ARG(rest));
	*slot = r;
	request_send(r, on_released, n);
}

void agent_look_at_volumes(struct node *n) {
	for (struct doomed *d = n->doomed; d; d = d->next)
		look_at_volume(n, d->obj);
}

void agent_volume_timer(struct cor_timer *t) {
	agent_look_at_volumes(cor_container_of(t, struct node, volume_timer));
}

static void drop_doomed(struct doomed **at) {
	struct doomed *d = *at;
	*at = d->next;
	cor_obj_unref(d->obj);
	free(d);
}

static void on_volume(void *arg, enum cor_event_type type, struct cor_obj *o) {
	struct node *n = arg;
	for (struct doomed **at = &n->doomed; *at;) {
		if (cor_str_eq((*at)->obj->name, o->name))
			drop_doomed(at);
		else
			at = &(*at)->next;
	}
	if (type == COR_EVENT_DELETED)
		return;
	struct doomed *d = cor_new(struct doomed);
	d->obj = cor_obj_ref(o);
	d->next = n->doomed;
	n->doomed = d;
	look_at_volume(n, o);
}

static void on_volumes(void *arg, struct cor_obj *const *objs, size_t n_objs) {
	struct node *n = arg;
	while (n->doomed)
		drop_doomed(&n->doomed);
	for (size_t i = 0; i < n_objs; i++)
		on_volume(n, COR_EVENT_ADDED, objs[i]);
}

/* ---- life ---- */

void agent_node_start(struct node *n) {
	n->uid[0] = '\0';
	n->volumes = (struct stream){ .link = &n->link,
		.res = COR_RES_PERSISTENTVOLUMES,
		.wants = is_doomed,
		.on_list = on_volumes,
		.on_event = on_volume,
		.arg = n };
	stream_start(&n->volumes);
	later(n, &n->register_timer, 0, on_register);
	later(n, &n->lease_timer, COR_SECOND, on_lease);
}

void agent_node_stop(struct node *n) {
	struct cor_world *w = n->c->world;
	stream_close(&n->volumes);
	while (n->doomed)
		drop_doomed(&n->doomed);
	struct request **calls[] = { &n->register_call, &n->status_call, &n->lease_call };
	for (size_t i = 0; i < cor_countof(calls); i++)
		if (*calls[i])
			request_forget(cor_take(*calls[i]));
	for (size_t i = 0; i < cor_countof(n->volume_calls); i++)
		if (n->volume_calls[i])
			request_forget(cor_take(n->volume_calls[i]));
	struct cor_timer *timers[] = { &n->register_timer, &n->status_timer, &n->lease_timer,
		&n->volume_timer };
	for (size_t i = 0; i < cor_countof(timers); i++)
		w->timer_clear(w, timers[i]);
}
