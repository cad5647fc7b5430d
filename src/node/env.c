// SPDX-License-Identifier: Apache-2.0
// The environment of a container, built in the order in which upstream builds it: envFrom, env
// (each may use what came before it and the service variables), then the service variables that
// nobody has set.
#include "node/env.h"

#include <ctype.h>

#include "codec/quantity.h"

void cor_env_set(struct cor_arena *a, struct cor_env *e, struct cor_str name, struct cor_str value) {
	for (size_t i = 0; i < e->n; i++)
		if (cor_str_eq(e->p[i].key, name)) {
			e->p[i].value = value;
			return;
		}
	struct cor_kv *kv = cor_arena_push(a, e);
	if (kv)
		*kv = (struct cor_kv){ name, value };
}

const struct cor_str *cor_env_get(const struct cor_env *e, struct cor_str name) {
	for (size_t i = 0; i < e->n; i++)
		if (cor_str_eq(e->p[i].key, name))
			return &e->p[i].value;
	return NULL;
}

struct cor_str cor_env_expand(struct cor_arena *a, struct cor_str text, const struct cor_env *e,
	struct cor_str *missing) {
	if (missing)
		*missing = (struct cor_str){ 0 };
	if (cor_str_chr(text, '$') == text.n)
		return text;
	_cleanup_buf_ struct cor_buf b = COR_BUF_INIT;
	for (size_t i = 0; i < text.n; i++) {
		if (text.p[i] != '$' || i + 1 == text.n) {
			cor_buf_byte(&b, text.p[i]);
			continue;
		}
		if (text.p[i + 1] == '$') {
			cor_buf_byte(&b, '$');
			i++;
			continue;
		}
		struct cor_str rest = cor_str_sub(text, i + 1, text.n);
		size_t end = cor_str_chr(rest, ')');
		if (rest.p[0] != '(' || end == rest.n) {
			cor_buf_byte(&b, '$');
			continue;
		}
		struct cor_str name = cor_str_sub(rest, 1, end - 1);
		const struct cor_str *value = cor_env_get(e, name);
		if (value)
			cor_buf_str(&b, *value);
		else
			cor_buf_str(&b, cor_str_sub(text, i, end + 2));
		if (missing && !missing->p && (!value || value->n == 0))
			*missing = name;
		i += end + 1;
	}
	struct cor_str out = cor_arena_str(a, cor_buf_view(&b));
	return out.p ? out : COR_STR("");
}

/* ---- services ---- */

static struct cor_str env_name(struct cor_arena *a, struct cor_str s) {
	char *p = cor_arena_cstr(a, s);
	for (char *c = p; c && *c; c++)
		*c = *c == '-' || *c == '.' ? '_' : (char)toupper((unsigned char)*c);
	return (struct cor_str){ p, p ? s.n : 0 };
}

static void set_new(struct cor_arena *a, struct cor_env *e, struct cor_str name, struct cor_str value) {
	if (!cor_env_get(e, name))
		cor_env_set(a, e, name, value);
}

static void service_port(struct cor_arena *a, struct cor_env *e, struct cor_str svc, struct cor_str host,
	struct cor_str url_host, const struct core_v1_ServicePort *port) {
	struct cor_str proto = port->protocol.n > 0 ? port->protocol : COR_STR("TCP");
	char *low = cor_arena_cstr(a, proto);
	for (char *c = low; c && *c; c++)
		*c = (char)tolower((unsigned char)*c);
	struct cor_str base = cor_arena_printf(a, "%.*s_PORT_%d_%.*s", COR_STR_ARG(svc), port->port,
		COR_STR_ARG(proto));
	set_new(a, e, base, cor_arena_printf(a, "%s://%.*s:%d", low ? low : "", COR_STR_ARG(url_host),
		port->port));
	set_new(a, e, cor_arena_printf(a, "%.*s_PROTO", COR_STR_ARG(base)), cor_str_c(low));
	set_new(a, e, cor_arena_printf(a, "%.*s_PORT", COR_STR_ARG(base)), cor_arena_printf(a, "%d", port->port));
	set_new(a, e, cor_arena_printf(a, "%.*s_ADDR", COR_STR_ARG(base)), host);
}

void cor_env_service(struct cor_arena *a, struct cor_env *e, const struct core_v1_Service *s) {
	struct cor_str ip = s->spec.clusterIP;
	if (ip.n == 0 || cor_str_eq(ip, COR_STR("None")) || s->spec.ports.n == 0 ||
	    cor_str_eq(s->spec.type, COR_STR("ExternalName")))
		return;
	bool v6 = cor_str_chr(ip, ':') < ip.n;
	struct cor_str url_host = v6 ? cor_arena_printf(a, "[%.*s]", COR_STR_ARG(ip)) : ip;
	struct cor_str svc = env_name(a, s->metadata.name);
	const struct core_v1_ServicePort *first = &s->spec.ports.p[0];
	set_new(a, e, cor_arena_printf(a, "%.*s_SERVICE_HOST", COR_STR_ARG(svc)), ip);
	set_new(a, e, cor_arena_printf(a, "%.*s_SERVICE_PORT", COR_STR_ARG(svc)),
		cor_arena_printf(a, "%d", first->port));
	for (size_t i = 0; i < s->spec.ports.n; i++) {
		const struct core_v1_ServicePort *p = &s->spec.ports.p[i];
		if (p->name.n > 0)
			set_new(a, e, cor_arena_printf(a, "%.*s_SERVICE_PORT_%.*s", COR_STR_ARG(svc),
				COR_STR_ARG(env_name(a, p->name))), cor_arena_printf(a, "%d", p->port));
	}
	bool udp = cor_str_eq(first->protocol, COR_STR("UDP"));
	bool sctp = cor_str_eq(first->protocol, COR_STR("SCTP"));
	set_new(a, e, cor_arena_printf(a, "%.*s_PORT", COR_STR_ARG(svc)), cor_arena_printf(a, "%s://%.*s:%d",
		udp ? "udp" : sctp ? "sctp" : "tcp", COR_STR_ARG(url_host), first->port));
	for (size_t i = 0; i < s->spec.ports.n; i++)
		service_port(a, e, svc, ip, url_host, &s->spec.ports.p[i]);
}

/* ---- the container's own ---- */

struct building {
	struct cor_arena *a;
	const struct cor_pod_facts_env *f;
	const struct core_v1_Container *c;
	struct cor_env env;             /* the result so far, without services */
	struct cor_env services;
};

static void add_service(void *arg, const struct core_v1_Service *s) {
	struct building *b = arg;
	const struct core_v1_Pod *pod = b->f->pod;
	bool links = !pod->spec.enableServiceLinks || *pod->spec.enableServiceLinks;
	bool master = cor_str_eq(s->metadata.namespace, COR_STR("default")) &&
		cor_str_eq(s->metadata.name, COR_STR("kubernetes"));
	if (master || (links && cor_str_eq(s->metadata.namespace, pod->metadata.namespace)))
		cor_env_service(b->a, &b->services, s);
}

static int lookup(struct building *b, enum cor_env_object kind, struct cor_str name, bool optional,
	struct cor_strmap *ret, struct cor_err *err) {
	*ret = (struct cor_strmap){ 0 };
	int r = b->f->object ? b->f->object(b->f->arg, kind, name, ret) : COR_E_NOT_FOUND;
	if (r >= 0)
		return 1;
	if (optional)
		return 0;
	return cor_fail(err, COR_E_NOT_FOUND, "%s \"%.*s\" not found",
		kind == COR_ENV_SECRET ? "secret" : "configmap", COR_STR_ARG(name));
}

static int add_from(struct building *b, const struct core_v1_EnvFromSource *from, struct cor_err *err) {
	struct cor_strmap data;
	int r = 0;
	if (from->configMapRef)
		r = lookup(b, COR_ENV_CONFIG_MAP, from->configMapRef->name,
			from->configMapRef->optional && *from->configMapRef->optional, &data, err);
	else if (from->secretRef)
		r = lookup(b, COR_ENV_SECRET, from->secretRef->name,
			from->secretRef->optional && *from->secretRef->optional, &data, err);
	for (size_t i = 0; r > 0 && i < data.n; i++)
		cor_env_set(b->a, &b->env, cor_arena_printf(b->a, "%.*s%.*s", COR_STR_ARG(from->prefix),
			COR_STR_ARG(data.p[i].key)), data.p[i].value);
	return r < 0 ? r : 0;
}

/* 1: *ret is the value; 0: the variable does not exist (optional). */
static int from_key(struct building *b, enum cor_env_object kind, struct cor_str name, struct cor_str key,
	const bool *optional, struct cor_str *ret, struct cor_err *err) {
	struct cor_strmap data;
	bool opt = optional && *optional;
	int r = lookup(b, kind, name, opt, &data, err);
	if (r <= 0)
		return r;
	const struct cor_str *v = cor_strmap_get(&data, key);
	if (v) {
		*ret = *v;
		return 1;
	}
	if (opt)
		return 0;
	return cor_fail(err, COR_E_NOT_FOUND, "couldn't find key %.*s in %s %.*s/%.*s", COR_STR_ARG(key),
		kind == COR_ENV_SECRET ? "Secret" : "ConfigMap",
		COR_STR_ARG(b->f->pod->metadata.namespace), COR_STR_ARG(name));
}

static int value_from(struct building *b, const struct core_v1_EnvVarSource *s, struct cor_str *ret,
	struct cor_err *err) {
	int r = COR_E_UNSUPPORTED;
	if (s->fieldRef)
		r = cor_downward_field(b->a, b->f, s->fieldRef->fieldPath, ret, err);
	else if (s->resourceFieldRef)
		r = cor_downward_resource(b->a, b->f, b->c, s->resourceFieldRef, ret, err);
	else if (s->configMapKeyRef)
		return from_key(b, COR_ENV_CONFIG_MAP, s->configMapKeyRef->name, s->configMapKeyRef->key,
			s->configMapKeyRef->optional, ret, err);
	else if (s->secretKeyRef)
		return from_key(b, COR_ENV_SECRET, s->secretKeyRef->name, s->secretKeyRef->key,
			s->secretKeyRef->optional, ret, err);
	else
		return cor_fail(err, r, "this source of an environment variable is not supported");
	return r < 0 ? r : 1;
}

static int add_var(struct building *b, const struct core_v1_EnvVar *v, struct cor_err *err) {
	struct cor_str value = v->value.p ? v->value : COR_STR("");
	if (v->valueFrom) {
		int r = value_from(b, v->valueFrom, &value, err);
		if (r <= 0)
			return r;
	} else if (cor_str_chr(value, '$') < value.n) {
		/* Own variables hide those of services. */
		struct cor_env known = { 0 };
		for (size_t i = 0; i < b->env.n; i++)
			cor_env_set(b->a, &known, b->env.p[i].key, b->env.p[i].value);
		for (size_t i = 0; i < b->services.n; i++)
			set_new(b->a, &known, b->services.p[i].key, b->services.p[i].value);
		value = cor_env_expand(b->a, value, &known, NULL);
	}
	cor_env_set(b->a, &b->env, v->name, value);
	return 0;
}

int cor_env_build(struct cor_arena *a, const struct cor_pod_facts_env *f, const struct core_v1_Container *c,
	struct cor_env *ret, struct cor_err *err) {
	struct building b = { .a = a, .f = f, .c = c };
	if (f->services)
		f->services(f->arg, add_service, &b);
	int r = 0;
	for (size_t i = 0; r >= 0 && i < c->envFrom.n; i++)
		r = add_from(&b, &c->envFrom.p[i], err);
	for (size_t i = 0; r >= 0 && i < c->env.n; i++)
		r = add_var(&b, &c->env.p[i], err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < b.services.n; i++)
		set_new(a, &b.env, b.services.p[i].key, b.services.p[i].value);
	if (cor_arena_failed(a))
		return cor_fail(err, COR_E_LIMIT, "the environment is too large");
	*ret = b.env;
	return 0;
}

/* ---- downward API ---- */

const struct core_v1_Container *cor_pod_spec_container(const struct core_v1_PodSpec *spec,
	struct cor_str name) {
	for (size_t i = 0; i < spec->containers.n; i++)
		if (cor_str_eq(spec->containers.p[i].name, name))
			return &spec->containers.p[i];
	for (size_t i = 0; i < spec->initContainers.n; i++)
		if (cor_str_eq(spec->initContainers.p[i].name, name))
			return &spec->initContainers.p[i];
	return NULL;
}

/* A map as lines of key="value", for files. */
static struct cor_str map_lines(struct cor_arena *a, const struct cor_strmap *m) {
	_cleanup_buf_ struct cor_buf b = COR_BUF_INIT;
	for (size_t i = 0; i < m->n; i++) {
		cor_buf_printf(&b, "%s%.*s=\"", i > 0 ? "\n" : "", COR_STR_ARG(m->p[i].key));
		for (size_t j = 0; j < m->p[i].value.n; j++) {
			unsigned char c = (unsigned char)m->p[i].value.p[j];
			if (c == '"' || c == '\\')
				cor_buf_printf(&b, "\\%c", c);
			else if (c == '\n' || c == '\t' || c == '\r')
				cor_buf_c(&b, c == '\n' ? "\\n" : c == '\t' ? "\\t" : "\\r");
			else if (c < 0x20 || c == 0x7f)
				cor_buf_printf(&b, "\\x%02x", c);
			else
				cor_buf_byte(&b, (char)c);
		}
		cor_buf_byte(&b, '"');
	}
	struct cor_str out = cor_arena_str(a, cor_buf_view(&b));
	return out.p ? out : COR_STR("");
}

/* metadata.labels['key'] */
static bool subscript(struct cor_str path, const char *map, struct cor_str *ret) {
	struct cor_str m = cor_str_c(map);
	if (!cor_str_starts(path, m) || path.n < m.n + 4 || path.p[m.n] != '[' || path.p[path.n - 1] != ']')
		return false;
	*ret = cor_str_sub(path, m.n + 2, path.n - m.n - 4);
	return true;
}

int cor_downward_field(struct cor_arena *a, const struct cor_pod_facts_env *f, struct cor_str path,
	struct cor_str *ret, struct cor_err *err) {
	const struct core_v1_Pod *pod = f->pod;
	const struct { const char *path; struct cor_str value; } simple[] = {
		{ "metadata.name", pod->metadata.name },
		{ "metadata.namespace", pod->metadata.namespace },
		{ "metadata.uid", pod->metadata.uid },
		{ "spec.nodeName", pod->spec.nodeName },
		{ "spec.serviceAccountName", pod->spec.serviceAccountName },
		{ "status.hostIP", cor_str_c(f->host_ip) },
		{ "status.hostIPs", cor_str_c(f->host_ip) },
		{ "status.podIP", cor_str_c(f->pod_ip) },
		{ "status.podIPs", cor_str_c(f->pod_ip) },
	};
	struct cor_str key;
	*ret = COR_STR("");
	for (size_t i = 0; i < cor_countof(simple); i++)
		if (cor_str_eq_c(path, simple[i].path)) {
			if (simple[i].value.p)
				*ret = simple[i].value;
			return 0;
		}
	const struct cor_str *v = NULL;
	if (cor_str_eq(path, COR_STR("metadata.labels")))
		*ret = map_lines(a, &pod->metadata.labels);
	else if (cor_str_eq(path, COR_STR("metadata.annotations")))
		*ret = map_lines(a, &pod->metadata.annotations);
	else if (subscript(path, "metadata.labels", &key))
		v = cor_strmap_get(&pod->metadata.labels, key);
	else if (subscript(path, "metadata.annotations", &key))
		v = cor_strmap_get(&pod->metadata.annotations, key);
	else
		return cor_fail(err, COR_E_INVALID, "unsupported fieldPath: %.*s", COR_STR_ARG(path));
	if (v)
		*ret = *v;
	return 0;
}

int cor_downward_resource(struct cor_arena *a, const struct cor_pod_facts_env *f,
	const struct core_v1_Container *c, const struct core_v1_ResourceFieldSelector *sel,
	struct cor_str *ret, struct cor_err *err) {
	if (sel->containerName.n > 0)
		c = cor_pod_spec_container(&f->pod->spec, sel->containerName);
	struct cor_str name = sel->resource;
	struct cor_str which = cor_str_cut(&name, '.');
	bool limit = cor_str_eq(which, COR_STR("limits"));
	if (!c || !name.p || (!limit && !cor_str_eq(which, COR_STR("requests"))))
		return cor_fail(err, COR_E_INVALID, "unsupported container resource : %.*s",
			COR_STR_ARG(sel->resource));
	const struct cor_str *v = cor_strmap_get(limit ? &c->resources.limits : &c->resources.requests, name);
	if (!v && limit && f->pod->spec.resources)
		v = cor_strmap_get(&f->pod->spec.resources->limits, name);
	if (!v && limit && f->allocatable)
		v = cor_strmap_get(f->allocatable, name);
	struct cor_quantity q = cor_quantity_of(v ? *v : COR_STR("0"));
	struct cor_quantity d = cor_quantity_of(sel->divisor);
	if (d.nano <= 0)
		d = cor_quantity_from(1, COR_QUANTITY_DECIMAL);
	__int128 n = (q.nano + d.nano - 1) / d.nano;
	*ret = cor_arena_printf(a, "%lld", (long long)n);
	return 0;
}
