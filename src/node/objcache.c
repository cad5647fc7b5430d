// SPDX-License-Identifier: Apache-2.0
// Single objects, held by reference count. An object nobody holds any more is forgotten at once:
// what is secret does not stay in memory longer than a pod needs it.
#include "node/objcache.h"

#include "base/map.h"
#include "base/assert.h"

struct cor_objcache {
	struct cor_api *api;
	struct cor_map refs;            /* "plural/ns/name" -> cor_objref */
	void (*changed)(void *arg, const struct cor_objref *r);
	void *arg;
};

struct cor_objref {
	struct cor_objcache *cache;
	char *key, *plural, *ns, *name;
	size_t holders;
	struct cor_informer *informer;
	char *json;
	size_t json_n;
	bool known;
};

static void forget_json(struct cor_objref *r) {
	if (r->json)
		explicit_bzero(r->json, r->json_n);
	free(cor_take(r->json));
	r->json_n = 0;
}

static void tell(struct cor_objref *r) {
	r->known = true;
	r->cache->changed(r->cache->arg, r);
}

static void on_set(void *arg, struct cor_str key, struct cor_str json) {
	struct cor_objref *r = arg;
	forget_json(r);
	r->json = cor_str_dup_c(json);
	r->json_n = json.n;
	tell(r);
}

static void on_delete(void *arg, struct cor_str key) {
	struct cor_objref *r = arg;
	forget_json(r);
	tell(r);
}

static void on_synced(void *arg) {
	struct cor_objref *r = arg;
	if (!r->known)
		tell(r);
}

struct cor_objcache *cor_objcache_new(struct cor_api *api,
	void (*changed)(void *arg, const struct cor_objref *r), void *arg) {
	struct cor_objcache *c = cor_new(struct cor_objcache);
	*c = (struct cor_objcache){ .api = api, .changed = changed, .arg = arg };
	return c;
}

static void ref_free(struct cor_objref *r) {
	cor_informer_free(r->informer);
	forget_json(r);
	free(r->key);
	free(r->plural);
	free(r->ns);
	free(r->name);
	free(r);
}

void cor_objcache_free(struct cor_objcache *c) {
	if (!c)
		return;
	size_t it = 0;
	struct cor_str key;
	void *r;
	while (cor_map_next(&c->refs, &it, &key, &r))
		ref_free(r);
	cor_map_fini(&c->refs);
	free(c);
}

struct cor_objref *cor_objcache_hold(struct cor_objcache *c, const char *plural, struct cor_str ns,
	struct cor_str name) {
	_cleanup_free_ char *key = cor_asprintf("%s/%.*s/%.*s", plural, COR_STR_ARG(ns), COR_STR_ARG(name));
	struct cor_objref *r = cor_map_get(&c->refs, cor_str_c(key));
	if (r) {
		r->holders++;
		return r;
	}
	r = cor_new(struct cor_objref);
	*r = (struct cor_objref){ .cache = c, .key = cor_take(key), .plural = cor_strdup(plural),
		.ns = cor_str_dup_c(ns), .name = cor_str_dup_c(name), .holders = 1 };
	(void)cor_map_put(&c->refs, cor_str_c(r->key), r);
	_cleanup_free_ char *path = cor_asprintf("/api/v1/namespaces/%s/%s", r->ns, plural);
	_cleanup_free_ char *selector = cor_asprintf("metadata.name=%s", r->name);
	r->informer = cor_informer_new(&(struct cor_informer_config){
		.api = c->api, .path = path, .field_selector = selector,
		.ops = { .on_set = on_set, .on_delete = on_delete, .on_synced = on_synced }, .arg = r,
	});
	return r;
}

void cor_objref_release(struct cor_objref *r) {
	if (!r)
		return;
	cor_assert(r->holders > 0);
	if (--r->holders > 0)
		return;
	(void)cor_map_remove(&r->cache->refs, cor_str_c(r->key));
	ref_free(r);
}

bool cor_objref_known(const struct cor_objref *r) {
	return r->known;
}

struct cor_str cor_objref_json(const struct cor_objref *r) {
	return (struct cor_str){ r->json, r->json_n };
}

bool cor_objref_is(const struct cor_objref *r, const char *plural, struct cor_str ns, struct cor_str name) {
	return strcmp(r->plural, plural) == 0 && cor_str_eq_c(ns, r->ns) && cor_str_eq_c(name, r->name);
}
