// SPDX-License-Identifier: Apache-2.0
// From a container of a pod's spec to the description the runtime takes: command and environment,
// users and rights, limits (facts/node-agent 8.3, 8.5, 13).
#include "node/pod_priv.h"

#include <stdio.h>

#include "codec/quantity.h"

static bool is(const bool *b) {
	return b && *b;
}

static const char **texts(struct cor_arena *a, const struct cor_str *p, size_t n) {
	const char **out = cor_arena_array(a, const char *, n + 1);
	for (size_t i = 0; out && i < n; i++)
		out[i] = cor_arena_cstr(a, p[i]);
	return out;
}

/* ENTRYPOINT and CMD of the image, by what the spec says instead. */
static const char *const *command(struct ctr *c, struct cor_err *err) {
	const core_v1_Container *s = c->f->spec;
	struct cor_strlist out = { 0 };
	const struct { const struct cor_str *p; size_t n; bool expand; } parts[] = {
		{ s->command.n > 0 ? s->command.p : c->start->image->entrypoint.p,
			s->command.n > 0 ? s->command.n : c->start->image->entrypoint.n, s->command.n > 0 },
		{ s->args.n > 0 ? s->args.p : c->start->image->cmd.p,
			s->args.n > 0 ? s->args.n : s->command.n > 0 ? 0 : c->start->image->cmd.n, s->args.n > 0 },
	};
	for (size_t i = 0; i < cor_countof(parts); i++)
		for (size_t k = 0; k < parts[i].n; k++) {
			struct cor_str *slot = cor_arena_push(c->start->arena, &out);
			if (slot)
				*slot = parts[i].expand ? cor_env_expand(c->start->arena, parts[i].p[k], &c->start->env, NULL) : parts[i].p[k];
		}
	if (out.n == 0) {
		(void)cor_fail(err, COR_E_INVALID, "no command specified");
		return NULL;
	}
	return texts(c->start->arena, out.p, out.n);
}

/* The image's variables first, the container's over them. */
static void environment(struct ctr *c, struct cor_container_spec *out) {
	struct cor_env all = { 0 };
	for (size_t i = 0; i < c->start->image->env.n; i++) {
		struct cor_str value = c->start->image->env.p[i];
		struct cor_str name = cor_str_cut(&value, '=');
		cor_env_set(c->start->arena, &all, name, value.p ? value : COR_STR(""));
	}
	for (size_t i = 0; i < c->start->env.n; i++)
		cor_env_set(c->start->arena, &all, c->start->env.p[i].key, c->start->env.p[i].value);
	if (!cor_env_get(&all, COR_STR("HOME")) && c->start->user.home[0])
		cor_env_set(c->start->arena, &all, COR_STR("HOME"), cor_arena_str(c->start->arena, cor_str_c(c->start->user.home)));
	out->env = all.p;
	out->n_env = all.n;
}

/* ---- users ---- */

static const int64_t *run_as(const struct ctr *c, bool group) {
	const core_v1_SecurityContext *s = c->f->spec->securityContext;
	const core_v1_PodSecurityContext *p = c->pod->object->spec.securityContext;
	const int64_t *v = s ? group ? s->runAsGroup : s->runAsUser : NULL;
	return v ? v : p ? group ? p->runAsGroup : p->runAsUser : NULL;
}

static int check_non_root(struct ctr *c, struct cor_err *err) {
	const core_v1_SecurityContext *s = c->f->spec->securityContext;
	const core_v1_PodSecurityContext *p = c->pod->object->spec.securityContext;
	const bool *want = s && s->runAsNonRoot ? s->runAsNonRoot : p ? p->runAsNonRoot : NULL;
	if (!is(want))
		return 0;
	const int64_t *uid = run_as(c, false);
	uid_t image;
	if (uid && *uid == 0)
		return cor_fail(err, COR_E_INVALID, "container's runAsUser breaks non-root policy (pod: \"%s_%s(%s)\", "
			"container: %s)", c->pod->name, c->pod->ns, c->pod->uid, c->name);
	if (!uid && !cor_image_user_numeric(c->start->image->user, &image))
		return cor_fail(err, COR_E_INVALID, "container has runAsNonRoot and image has non-numeric user (%.*s), cannot "
			"verify user is non-root (pod: \"%s_%s(%s)\", container: %s)", COR_STR_ARG(c->start->image->user), c->pod->name,
			c->pod->ns, c->pod->uid, c->name);
	if (!uid && image == 0)
		return cor_fail(err, COR_E_INVALID, "container has runAsNonRoot and image will run as root (pod: \"%s_%s(%s)\", "
			"container: %s)", c->pod->name, c->pod->ns, c->pod->uid, c->name);
	return 0;
}

static void groups(struct ctr *c, struct cor_container_spec *out) {
	const core_v1_PodSecurityContext *p = c->pod->object->spec.securityContext;
	struct { uint32_t *p; size_t n; } list = { 0 };
	uint32_t *g;
	if (p && p->fsGroup && (g = cor_arena_push(c->start->arena, &list)))
		*g = (uint32_t)*p->fsGroup;
	for (size_t i = 0; p && i < p->supplementalGroups.n; i++)
		if ((g = cor_arena_push(c->start->arena, &list)))
			*g = (uint32_t)p->supplementalGroups.p[i];
	bool strict = p && cor_str_eq(p->supplementalGroupsPolicy, COR_STR("Strict"));
	for (size_t i = 0; !strict && i < c->start->user.n_groups; i++)
		if ((g = cor_arena_push(c->start->arena, &list)))
			*g = c->start->user.groups[i];
	out->groups = list.p;
	out->n_groups = list.n;
}

/* The agent reads it as root, and what is wrong with it goes into an event. */
static bool clean_profile(struct cor_str path) {
	bool clean = path.n > 0 && path.p[0] != '/';
	while (path.p)
		clean &= !cor_str_eq(cor_str_cut(&path, '/'), COR_STR(".."));
	return clean;
}

static int rights(struct ctr *c, struct cor_container_spec *out, struct cor_err *err) {
	const core_v1_SecurityContext *s = c->f->spec->securityContext;
	const core_v1_PodSecurityContext *p = c->pod->object->spec.securityContext;
	int r = check_non_root(c, err);
	if (r < 0)
		return r;
	const int64_t *gid = run_as(c, true);
	out->uid = c->start->user.uid;
	out->gid = gid ? (uint32_t)*gid : c->start->user.gid;
	groups(c, out);
	const core_v1_SeccompProfile *sp = s && s->seccompProfile ? s->seccompProfile : p ? p->seccompProfile : NULL;
	if (sp && cor_str_eq(sp->type, COR_STR("RuntimeDefault")))
		out->seccomp = COR_SECCOMP_RUNTIME_DEFAULT;
	if (sp && cor_str_eq(sp->type, COR_STR("Localhost"))) {
		if (!clean_profile(sp->localhostProfile))
			return cor_fail(err, COR_E_INVALID, "seccomp profile \"%.*s\" must be a relative path without ..",
				COR_STR_ARG(sp->localhostProfile));
		out->seccomp = COR_SECCOMP_LOCALHOST;
		out->seccomp_path = cor_arena_cstr(c->start->arena, cor_arena_printf(c->start->arena, "%s/seccomp/%.*s",
			c->pod->all->c.data_dir, COR_STR_ARG(sp->localhostProfile)));
	}
	if (!s)
		return 0;
	out->privileged = is(s->privileged);
	out->read_only_root = is(s->readOnlyRootFilesystem);
	out->no_new_privileges = s->allowPrivilegeEscalation && !*s->allowPrivilegeEscalation;
	out->proc_unmasked = cor_str_eq(s->procMount, COR_STR("Unmasked"));
	if (s->capabilities) {
		out->cap_add = texts(c->start->arena, s->capabilities->add.p, s->capabilities->add.n);
		out->cap_drop = texts(c->start->arena, s->capabilities->drop.p, s->capabilities->drop.n);
	}
	return 0;
}

/* ---- limits ---- */

static int64_t amount(const struct cor_strmap *m, const char *key, bool milli) {
	const struct cor_str *v = cor_strmap_get(m, cor_str_c(key));
	struct cor_quantity q = cor_quantity_of(v ? *v : (struct cor_str){ 0 });
	return milli ? cor_quantity_milli(q) : cor_quantity_value(q);
}

static void limits(struct ctr *c, struct cor_container_spec *out) {
	const core_v1_ResourceRequirements *r = &c->f->spec->resources;
	struct cor_str qos = cor_pod_qos(&c->pod->object->spec);
	out->resources = (struct cor_resources){ .cpu_request_milli = amount(&r->requests, "cpu", true),
		.cpu_limit_milli = amount(&r->limits, "cpu", true), .memory_limit = amount(&r->limits, "memory", false) };
	out->qos = cor_str_eq(qos, COR_STR("Guaranteed")) ? COR_QOS_GUARANTEED :
		cor_str_eq(qos, COR_STR("Burstable")) ? COR_QOS_BURSTABLE : COR_QOS_BEST_EFFORT;
	int64_t memory = amount(&r->requests, "memory", false);
	if (memory == 0)
		memory = out->resources.memory_limit;
	if (out->qos == COR_QOS_GUARANTEED ||
	    cor_str_eq(c->pod->object->spec.priorityClassName, COR_STR("system-node-critical"))) {
		out->oom_score_adj = -997;
	} else if (out->qos == COR_QOS_BEST_EFFORT) {
		out->oom_score_adj = 1000;
	} else {
		int64_t total = c->pod->all->c.memory_bytes;
		int64_t adj = 1000 - (total > 0 ? 1000 * memory / total : 0);
		out->oom_score_adj = (int)(adj < 3 ? 3 : adj > 999 ? 999 : adj);
	}
}

static void namespaces(struct ctr *c, struct cor_container_spec *out) {
	struct pod *p = c->pod;
	out->net_ns = p->ns_paths.net[0] ? p->ns_paths.net : NULL;
	out->ipc_ns = p->ns_paths.ipc[0] ? p->ns_paths.ipc : NULL;
	out->uts_ns = p->ns_paths.uts[0] ? p->ns_paths.uts : NULL;
	out->pid_host = p->object->spec.hostPID;
	if (is(p->object->spec.shareProcessNamespace) || c->f->kind == COR_CTR_EPHEMERAL)
		for (size_t i = 0; i < p->n && !out->pid_ns; i++) {
			const struct ctr *o = p->ctrs[i];
			bool target = is(p->object->spec.shareProcessNamespace) ||
				cor_str_eq_c(((const core_v1_EphemeralContainer *)(const void *)c->f->spec)->targetContainerName, o->name);
			if (o != c && target && o->run && o->run->phase == COR_CONTAINER_RUNNING && o->run->pid > 0)
				out->pid_ns = cor_arena_cstr(c->start->arena, cor_arena_printf(c->start->arena, "/proc/%d/ns/pid", o->run->pid));
		}
}

struct cor_container_spec *ctr_spec(struct ctr *c, struct cor_err *err) {
	struct cor_container_spec *s = cor_arena_new_of(c->start->arena, struct cor_container_spec);
	struct cor_kv *labels = cor_arena_array(c->start->arena, struct cor_kv, 3);
	char *log = cor_arena_bytes(c->start->arena, POD_PATH_MAX);
	if (!s || !labels || !log) {
		(void)cor_fail(err, COR_E_LIMIT, "the container's description is too large");
		return NULL;
	}
	labels[0] = (struct cor_kv){ COR_STR("image"), cor_str_c(c->f->image) };
	labels[1] = (struct cor_kv){ COR_STR("imageID"), cor_str_c(c->f->image_id) };
	labels[2] = (struct cor_kv){ COR_STR("termination"), cor_str_c(c->termination) };
	ctr_log_path(c, c->start->attempt, log);
	*s = (struct cor_container_spec){
		.id = c->start->id, .pod_uid = c->pod->uid, .pod_namespace = c->pod->ns, .pod_name = c->pod->name, .name = c->name,
		.attempt = c->start->attempt, .labels = labels, .n_labels = 3,
		.rootfs = cor_arena_cstr(c->start->arena, cor_arena_printf(c->start->arena, "%s/rootfs", c->start->dir)),
		.argv = command(c, err), .tty = c->f->spec->tty, .stdin_open = c->f->spec->stdin,
		.stdin_once = c->f->spec->stdinOnce, .mounts = c->start->mounts, .n_mounts = c->start->n_mounts, .log_path = log,
	};
	if (!s->argv)
		return NULL;
	struct cor_str cwd = c->f->spec->workingDir.n > 0 ? c->f->spec->workingDir : c->start->image->working_dir;
	s->cwd = cwd.n > 0 ? cor_arena_cstr(c->start->arena, cwd) : NULL;
	if (!c->pod->object->spec.hostNetwork) {
		struct cor_str host = c->pod->object->spec.hostname.n > 0 ? c->pod->object->spec.hostname :
			cor_str_c(c->pod->name);
		s->hostname = cor_arena_cstr(c->start->arena, cor_str_sub(host, 0, 63));
	}
	environment(c, s);
	limits(c, s);
	namespaces(c, s);
	if (rights(c, s, err) < 0)
		return NULL;
	return s;
}
