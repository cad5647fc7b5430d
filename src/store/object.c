// SPDX-License-Identifier: Apache-2.0
// Objects: one allocation for the header, the links of the indexes, all strings and the JSON, so
// that a version costs one malloc and is freed in one call. The JSON has room behind it for
// the longest resourceVersion, which is spliced in when the revision is known.
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "store/store_priv.h"

/* "resourceVersion":"18446744073709551615", */
enum { RV_MAX = 42 };

static char *put_str(char *at, struct cor_str from, struct cor_str *to) {
	/* Never absent: an empty namespace is "", and callers may print any of these. */
	if (from.n)
		memcpy(at, from.p, from.n);
	*to = (struct cor_str){ at, from.n };
	return at + from.n;
}

static char *put_map(char *at, const struct cor_strmap *from, struct cor_strmap *to,
	struct cor_kv *kv) {
	*to = (struct cor_strmap){ kv, from->n };
	for (size_t i = 0; i < from->n; i++) {
		at = put_str(at, from->p[i].key, &kv[i].key);
		at = put_str(at, from->p[i].value, &kv[i].value);
	}
	return at;
}

static size_t map_size(const struct cor_strmap *m) {
	size_t n = m->n * sizeof(struct cor_kv);
	for (size_t i = 0; i < m->n; i++)
		n += m->p[i].key.n + m->p[i].value.n;
	return n;
}

struct cor_obj *cor_obj_new(const struct cor_obj_init *init) {
	cor_assert(init->rv_at <= init->json.n && init->name.n > 0);
	size_t n_owners = init->owners.n;
	size_t size = sizeof(struct cor_obj) + sizeof(struct obj_priv) +
		n_owners * (sizeof(struct owner_link) + sizeof(struct cor_owner)) +
		map_size(&init->labels) + map_size(&init->fields) +
		init->ns.n + init->name.n + init->uid.n + init->json.n + RV_MAX;
	for (size_t i = 0; i < n_owners; i++) {
		const struct cor_owner *o = &init->owners.p[i];
		size += o->uid.n + o->kind.n + o->name.n;
	}
	struct cor_obj *o = cor_calloc(1, size);
	o->refs = 1;
	o->res = init->res;
	o->deleting = init->deleting;
	o->rv_at = init->rv_at;
	struct obj_priv *priv = obj_priv(o);
	priv->size = size;
	for (size_t i = 0; i < n_owners; i++)
		priv->links[i].obj = o;

	o->owners.p = (struct cor_owner *)(priv->links + n_owners);
	o->owners.n = n_owners;
	struct cor_kv *kv = (struct cor_kv *)(o->owners.p + n_owners);
	char *at = (char *)(kv + init->labels.n + init->fields.n);
	at = put_map(at, &init->labels, &o->labels, kv);
	at = put_map(at, &init->fields, &o->fields, kv + init->labels.n);
	at = put_str(at, init->ns, &o->ns);
	at = put_str(at, init->name, &o->name);
	at = put_str(at, init->uid, &o->uid);
	for (size_t i = 0; i < n_owners; i++) {
		const struct cor_owner *from = &init->owners.p[i];
		struct cor_owner *to = &o->owners.p[i];
		to->controller = from->controller;
		to->block = from->block;
		at = put_str(at, from->uid, &to->uid);
		at = put_str(at, from->kind, &to->kind);
		at = put_str(at, from->name, &to->name);
	}
	at = put_str(at, init->json, &o->json);
	cor_assert(at + RV_MAX == (char *)o + size);
	return o;
}

struct cor_obj *cor_obj_ref(struct cor_obj *o) {
	cor_assert(o->refs > 0);
	o->refs++;
	return o;
}

void cor_obj_unref(struct cor_obj *o) {
	if (!o)
		return;
	cor_assert(o->refs > 0);
	if (--o->refs == 0)
		free(o);
}

void cor_obj_set_rev(struct cor_obj *o, uint64_t rev) {
	struct obj_priv *priv = obj_priv(o);
	char rv[RV_MAX + 1];
	cor_assert(o->rev == 0 && rev > 0 && priv->rv_len == 0);
	int n = snprintf(rv, sizeof(rv), "\"resourceVersion\":\"%" PRIu64 "\",", rev);
	cor_assert(n > 0 && n <= RV_MAX);
	char *json = (char *)(uintptr_t)o->json.p;
	memmove(json + o->rv_at + n, json + o->rv_at, o->json.n - o->rv_at);
	memcpy(json + o->rv_at, rv, (size_t)n);
	o->json.n += (size_t)n;
	priv->rv_len = (uint32_t)n;
	o->rev = rev;
}

struct cor_obj *cor_obj_clone(const struct cor_obj *o) {
	_cleanup_buf_ struct cor_buf json = COR_BUF_INIT;
	size_t rest = o->rv_at + obj_priv(o)->rv_len;
	cor_buf_add(&json, o->json.p, o->rv_at);
	cor_buf_add(&json, o->json.p + rest, o->json.n - rest);
	struct cor_obj_init init = {
		.res = o->res,
		.deleting = o->deleting,
		.ns = o->ns, .name = o->name, .uid = o->uid,
		.labels = o->labels, .fields = o->fields,
		.owners = { o->owners.p, o->owners.n },
		.json = cor_buf_view(&json),
		.rv_at = o->rv_at,
	};
	struct cor_obj *copy = cor_obj_new(&init);
	copy->volatile_only = o->volatile_only;
	obj_priv(copy)->has_row = obj_priv(o)->has_row;
	return copy;
}
