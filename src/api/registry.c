// SPDX-License-Identifier: Apache-2.0
// The registry: the store with what it takes to know kinds - how a typed object becomes a blob
// with its header, and how a blob becomes an object again. Operations are in op*.c.
#include "api/registry_priv.h"

#include <stdio.h>

#include "api/bootstrap.h"

enum {
	OBJECT_MAX = 8 << 20,           /* of JSON; requests are smaller, patches may add */
	LOAD_ARENA = 64 << 20,
};

struct cor_store *cor_registry_store(struct cor_registry *r) {
	return r->store;
}

struct cor_world *cor_registry_world(struct cor_registry *r) {
	return r->world;
}

struct cor_recent_events *cor_registry_recent_events(struct cor_registry *r) {
	return &r->recent_events;
}

void cor_recent_events_fini(struct cor_recent_events *e) {
	size_t it = 0;
	struct cor_str key;
	void *name;
	while (cor_map_next(&e->names, &it, &key, &name))
		free(name);
	cor_map_fini(&e->names);
	e->names = (struct cor_map){ 0 };
}

const struct cor_registry_config *cor_registry_config(const struct cor_registry *r) {
	return &r->config;
}

const char *cor_resource_text(const struct cor_resource *res, char *out) {
	(void)snprintf(out, COR_RES_TEXT_MAX, "%s%s%s", res->plural, *res->group ? "." : "", res->group);
	return out;
}

void cor_obj_set_typemeta(const struct cor_type *t, void *obj, struct cor_arena *a) {
	const struct cor_field *kind = cor_type_field(t, COR_STR("kind"));
	const struct cor_field *version = cor_type_field(t, COR_STR("apiVersion"));
	cor_assert(kind && version && (kind->flags & COR_FF_TYPEMETA));
	*(struct cor_str *)((char *)obj + kind->offset) = cor_str_c(cor_text(t->kind));
	char text[COR_RES_TEXT_MAX];
	size_t n = cor_type_api_version(t, text, sizeof(text));
	*(struct cor_str *)((char *)obj + version->offset) = n == 2 && *text == 'v' && text[1] == '1'
		? COR_STR("v1") : cor_arena_str(a, (struct cor_str){ text, n });
}

static void header_owners(const meta_v1_ObjectMeta *m, struct cor_arena *a, struct cor_obj_init *init) {
	init->owners.p = cor_arena_array(a, struct cor_owner, m->ownerReferences.n);
	if (!init->owners.p)
		return;
	init->owners.n = m->ownerReferences.n;
	for (size_t i = 0; i < m->ownerReferences.n; i++) {
		const meta_v1_OwnerReference *o = &m->ownerReferences.p[i];
		init->owners.p[i] = (struct cor_owner){
			.uid = o->uid, .kind = o->kind, .name = o->name,
			.controller = o->controller && *o->controller,
			.block = o->blockOwnerDeletion && *o->blockOwnerDeletion,
		};
	}
}

struct cor_obj *cor_registry_blob(struct cor_registry *r, const struct cor_resource *res, void *obj,
	struct cor_arena *a, struct cor_err *err) {
	meta_v1_ObjectMeta *m = cor_meta(res->type, obj);
	struct cor_obj_init init = {
		.res = (uint16_t)res->id, .deleting = m->deletionTimestamp != 0,
		.ns = m->namespace, .name = m->name, .uid = m->uid, .labels = m->labels,
	};
	header_owners(m, a, &init);
	const struct cor_kind_ops *kind = cor_kind_ops((enum cor_res)res->id);
	if (kind && kind->fields)
		kind->fields(a, obj, &init.fields);
	cor_obj_set_typemeta(res->type, obj, a);
	if (cor_arena_failed(a)) {
		(void)cor_fail(err, COR_E_LIMIT, "the object is too large");
		return NULL;
	}
	struct cor_buf *b = &r->encode;
	cor_buf_clear(b);
	b->limit = OBJECT_MAX;
	size_t rv_at = 0;
	if (cor_json_encode_unversioned(res->type, obj, b, &rv_at) < 0) {
		(void)cor_fail(err, COR_E_LIMIT, "the object is larger than %d bytes", OBJECT_MAX);
		return NULL;
	}
	init.json = cor_buf_view(b);
	init.rv_at = (uint32_t)rv_at;
	return cor_obj_new(&init);
}

static struct cor_obj *rebuild(void *arg, uint16_t res, struct cor_str ns, struct cor_str name,
	struct cor_str json, struct cor_err *err) {
	struct cor_registry *r = arg;
	(void)ns, (void)name;
	struct cor_arena *a = cor_arena_new(LOAD_ARENA);
	struct cor_decode d = { .arena = a };
	void *obj;
	struct cor_obj *ret = NULL;
	if (cor_json_decode_new(cor_resources[res].type, json, &obj, &d, err) >= 0)
		ret = cor_registry_blob(r, &cor_resources[res], obj, a, err);
	cor_arena_free(a);
	return ret;
}

void *cor_obj_decode(struct cor_obj *o, struct cor_arena *a, struct cor_err *err) {
	struct cor_decode d = { .arena = a };
	void *obj;
	if (cor_json_decode_new(cor_resources[o->res].type, o->json, &obj, &d, err) < 0)
		return NULL;
	return obj;
}

static void unref(void *o) {
	cor_obj_unref(o);
}

void *cor_registry_get(struct cor_registry *r, enum cor_res res, struct cor_str ns,
	struct cor_str name, struct cor_arena *a) {
	struct cor_obj *o = cor_store_get(r->store, (uint16_t)res, ns, name);
	struct cor_err err;
	void *obj = o ? cor_obj_decode(o, a, &err) : NULL;
	if (obj)
		cor_arena_on_dispose(a, unref, cor_obj_ref(o));
	return obj;
}

/* ---- life ---- */

static void call_back(struct cor_timer *t) {
	struct cor_registry *r = cor_container_of(t, struct cor_registry, turn);
	struct op_run *x = r->finished;
	r->finished = NULL;
	r->finished_tail = &r->finished;
	while (x) {
		struct op_run *next = x->next;
		struct cor_op *op = x->op;
		struct cor_obj *result = op->result;
		r->running--;
		op->done(op);           /* frees op */
		cor_obj_unref(result);
		free(x);
		x = next;
	}
}

static void bootstrapped(void *arg, int status) {
	struct cor_registry *r = arg;
	r->running--;
	r->ready = status >= 0;
}

bool cor_registry_ready(const struct cor_registry *r) {
	return r->ready;
}

int cor_registry_open(const struct cor_registry_config *c, struct cor_registry **ret,
	struct cor_err *err) {
	struct cor_registry *r = cor_new(struct cor_registry);
	r->world = c->world;
	r->config = *c;
	r->config.service_cidr = cor_strdup(c->service_cidr ? c->service_cidr : "10.96.0.0/12");
	r->config.cluster_domain = cor_strdup(c->cluster_domain ? c->cluster_domain : "cluster.local");
	if (!c->node_port_max) {
		r->config.node_port_min = 30000;
		r->config.node_port_max = 32767;
	}
	r->turn.fire = call_back;
	r->finished_tail = &r->finished;
	struct cor_store_config sc = {
		.world = c->world, .backend = c->backend, .rebuild = rebuild, .rebuild_arg = r,
		.n_resources = COR_RES_MAX,
	};
	int status = cor_store_open(&sc, &r->store, err);
	if (status < 0) {
		cor_registry_free(r);
		return status;
	}
	*ret = r;
	r->running++;   /* a close waits for the bootstrap as for an op */
	cor_bootstrap(r, bootstrapped, r);
	return 0;
}

void cor_registry_free(struct cor_registry *r) {
	if (!r)
		return;
	r->closing = true;
	if (r->store)
		cor_store_close(r->store);
	/* What the closing store failed or finished is called back, and may still read. */
	while (r->finished)
		call_back(&r->turn);
	cor_assert(r->running == 0);
	cor_store_free(r->store);
	r->world->timer_clear(r->world, &r->turn);
	cor_buf_fini(&r->encode);
	cor_service_alloc_free(r->services);
	cor_shared_reads_free(r->reads);
	cor_recent_events_fini(&r->recent_events);
	free((char *)(uintptr_t)r->config.service_cidr);
	free((char *)(uintptr_t)r->config.cluster_domain);
	free(r);
}
