// SPDX-License-Identifier: Apache-2.0
// What a container sees mounted: its volumeMounts, then the pod's own files, then the file for its
// termination message (facts/node-agent 8.9). Planned on the loop, bound on a worker.
#include "node/pod_priv.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

/* A subPath to bind before the container starts. */
struct bind_item {
	char *volume, *sub, *target;
	bool may_create;
};

static struct cor_mount *add(struct ctr *c, char *source, char *destination) {
	struct { struct cor_mount *p; size_t n; } list = { c->start->mounts, c->start->n_mounts };
	struct cor_mount *m = cor_arena_push(c->start->arena, &list);
	c->start->mounts = list.p;
	c->start->n_mounts = list.n;
	if (m)
		*m = (struct cor_mount){ .source = source, .destination = destination };
	return m;
}

static int check_sub(struct cor_str sub, struct cor_err *err) {
	struct cor_str rest = sub;
	if (sub.n > 0 && sub.p[0] == '/')
		return cor_fail(err, COR_E_INVALID, "error SubPath `%.*s` must not be an absolute path", COR_STR_ARG(sub));
	while (rest.p)
		if (cor_str_eq(cor_str_cut(&rest, '/'), COR_STR("..")))
			return cor_fail(err, COR_E_INVALID, "unable to provision SubPath `%.*s`: must not contain '..'",
				COR_STR_ARG(sub));
	return 0;
}

static int volume_mount(struct ctr *c, const core_v1_VolumeMount *vm, size_t index, struct cor_err *err) {
	const struct pod_volume *v = pod_volume_find(c->pod, vm->name);
	if (!v || !v->plan.path)
		return cor_fail(err, COR_E_NOT_FOUND, "cannot find volume \"%.*s\" to mount into container \"%s\"",
			COR_STR_ARG(vm->name), c->name);
	struct cor_str sub = vm->subPath, missing;
	if (vm->subPathExpr.n > 0) {
		sub = cor_env_expand(c->start->arena, vm->subPathExpr, &c->start->env, &missing);
		if (missing.p)
			return cor_fail(err, COR_E_INVALID, "missing value for %.*s", COR_STR_ARG(missing));
	}
	int r = check_sub(sub, err);
	if (r < 0)
		return r;
	char *source = cor_arena_cstr(c->start->arena, cor_str_c(v->plan.path));
	if (sub.n > 0) {
		struct { struct bind_item *p; size_t n; } list = { c->start->binds, c->start->n_binds };
		struct bind_item *b = cor_arena_push(c->start->arena, &list);
		c->start->binds = list.p;
		c->start->n_binds = list.n;
		if (!b)
			return cor_fail(err, COR_E_LIMIT, "too many mounts");
		*b = (struct bind_item){ source, cor_arena_cstr(c->start->arena, sub), cor_arena_cstr(c->start->arena,
			cor_arena_printf(c->start->arena, "%s/volume-subpaths/%s/%s/%s/%zu", c->pod->dir, v->name, c->name, c->start->id, index)),
			!v->plan.read_only && !vm->readOnly && v->plan.kind != COR_VOLUME_FILES };
		source = b->target;
	}
	struct cor_mount *m = add(c, source, cor_arena_cstr(c->start->arena, vm->mountPath.n > 0 && vm->mountPath.p[0] == '/' ?
		vm->mountPath : cor_arena_printf(c->start->arena, "/%.*s", COR_STR_ARG(vm->mountPath))));
	if (!m)
		return cor_fail(err, COR_E_LIMIT, "too many mounts");
	m->read_only = vm->readOnly || v->plan.read_only || v->plan.kind == COR_VOLUME_FILES;
	m->recursive_read_only = m->read_only && (cor_str_eq(vm->recursiveReadOnly, COR_STR("Enabled")) ||
		cor_str_eq(vm->recursiveReadOnly, COR_STR("IfPossible")));
	m->propagation = cor_str_eq(vm->mountPropagation, COR_STR("Bidirectional")) ? COR_PROPAGATION_BIDIRECTIONAL :
		cor_str_eq(vm->mountPropagation, COR_STR("HostToContainer")) ? COR_PROPAGATION_HOST_TO_CONTAINER :
		COR_PROPAGATION_NONE;
	return 0;
}

static bool mounted_at(const struct ctr *c, const char *path) {
	for (size_t i = 0; i < c->start->n_mounts; i++)
		if (strcmp(c->start->mounts[i].destination, path) == 0)
			return true;
	return false;
}

static void pod_file(struct ctr *c, const char *file, const char *path) {
	if (!mounted_at(c, path))
		(void)add(c, cor_arena_cstr(c->start->arena, cor_arena_printf(c->start->arena, "%s/%s", c->pod->dir, file)),
			cor_arena_cstr(c->start->arena, cor_str_c(path)));
}

int ctr_config_mounts(struct ctr *c, struct cor_err *err) {
	const core_v1_Container *spec = c->f->spec;
	c->start->mounts = NULL;
	c->start->binds = NULL;
	c->start->n_mounts = c->start->n_binds = 0;
	for (size_t i = 0; i < spec->volumeMounts.n; i++) {
		int r = volume_mount(c, &spec->volumeMounts.p[i], i, err);
		if (r < 0)
			return r;
	}
	pod_file(c, "etc-hosts", "/etc/hosts");
	pod_file(c, "resolv.conf", "/etc/resolv.conf");
	pod_file(c, "hostname", "/etc/hostname");
	if (!c->pod->object->spec.hostIPC && !mounted_at(c, "/dev/shm"))
		(void)add(c, cor_arena_cstr(c->start->arena, cor_arena_printf(c->start->arena, "%s/shm", c->pod->dir)), cor_arena_cstr(c->start->arena, COR_STR("/dev/shm")));
	struct cor_str path = spec->terminationMessagePath.n > 0 ? spec->terminationMessagePath :
		COR_STR("/dev/termination-log");
	free(c->termination);
	c->termination = cor_asprintf("%s/containers/%s/%.8s", c->pod->dir, c->name, c->start->id);
	(void)add(c, cor_arena_cstr(c->start->arena, cor_str_c(c->termination)), cor_arena_cstr(c->start->arena, path));
	if (cor_arena_failed(c->start->arena))
		return cor_fail(err, COR_E_LIMIT, "too many mounts");
	return 0;
}

int ctr_bind_all(struct ctr *c, struct cor_err *err) {
	_cleanup_free_ char *dir = cor_asprintf("%s/containers/%s", c->pod->dir, c->name);
	int r = cor_mkdir_all(dir, 0755, err);
	if (r < 0)
		return r;
	_cleanup_close_ int fd = open(c->termination, O_CREAT | O_WRONLY | O_CLOEXEC, 0666);
	if (fd < 0 || fchmod(fd, 0666) < 0)
		return cor_fail_errno(err, errno, "create %s", c->termination);
	for (size_t i = 0; r >= 0 && i < c->start->n_binds; i++) {
		const struct bind_item *b = &c->start->binds[i];
		r = cor_volume_subpath(b->volume, b->sub, b->may_create, b->target, err);
		if (r < 0)
			(void)cor_wrap(err, "failed to prepare subPath for volumeMount of container \"%s\"", c->name);
	}
	return r;
}
