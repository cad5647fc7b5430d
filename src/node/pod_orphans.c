// SPDX-License-Identifier: Apache-2.0
// What pods have left behind that do not exist any more: deleted by force while the agent was away,
// or started by an agent that was killed before the runtime knew of the container. Looked for once,
// when all pods are known. Names are unique for ever, so what is nobody's now can be nobody's later.
#include "node/pod_priv.h"

#include <dirent.h>
#include <stdio.h>

#include "base/log.h"

struct names {
	char **p;
	size_t n;
};

struct sweep {
	struct cor_job job;
	struct cor_pods *all;
	size_t waiting;                 /* removals of containers under way, and one more */
	bool stayed;                    /* one could not be removed */
	struct names roots, pods, logs;
};

static void note(struct names *l, const char *name) {
	for (size_t i = 0; i < l->n; i++)
		if (strcmp(l->p[i], name) == 0)
			return;
	l->p = cor_realloc(l->p, (l->n + 1) * sizeof(*l->p));
	l->p[l->n++] = cor_strdup(name);
}

static void names_fini(struct names *l) {
	for (size_t i = 0; i < l->n; i++)
		free(l->p[i]);
	free(l->p);
}

/* ---- finding them, on the loop: a few directories of names ---- */

static bool known_pod(const struct cor_pods *ps, const char *uid) {
	return cor_map_get(&ps->by_uid, cor_str_c(uid)) != NULL;
}

static bool known_root(const struct cor_pods *ps, const char *id) {
	struct cor_container *run = ps->c.rt->ops->find(ps->c.rt, id);
	if (run && known_pod(ps, run->pod_uid))
		return true;
	size_t it = 0;
	struct cor_str uid;
	void *v;
	while (cor_map_next(&ps->by_uid, &it, &uid, &v)) {
		const struct pod *p = v;
		for (size_t i = 0; i < p->n; i++)
			if (p->ctrs[i]->step >= CTR_PREPARING && strcmp(p->ctrs[i]->start->id, id) == 0)
				return true;
	}
	return false;
}

/* Logs are named after namespace, name and uid. */
static bool known_log(const struct cor_pods *ps, const char *name) {
	const char *uid = strrchr(name, '_');
	return uid && known_pod(ps, uid + 1);
}

static void list(const struct cor_pods *ps, const char *folder, bool (*known)(const struct cor_pods *, const char *),
	struct names *ret) {
	_cleanup_free_ char *path = cor_asprintf("%s/%s", ps->c.data_dir, folder);
	DIR *d = opendir(path);
	struct dirent *e;
	while (d && (e = readdir(d)))
		if (e->d_name[0] != '.' && !known(ps, e->d_name))
			note(ret, e->d_name);
	if (d)
		(void)closedir(d);
}

static void on_pin(struct cor_str uid, const char *ip, void *arg) {
	struct sweep *s = arg;
	_cleanup_free_ char *name = cor_str_dup_c(uid);
	if (!known_pod(s->all, name))
		note(&s->pods, name);
}

static void on_group(void *arg, const char *uid) {
	struct sweep *s = arg;
	if (!known_pod(s->all, uid))
		note(&s->pods, uid);
}

/* ---- removing them, on a worker ---- */

static void on_worker(struct cor_job *job) {
	struct sweep *s = cor_container_of(job, struct sweep, job);
	struct cor_err err;
	for (size_t i = 0; i < s->roots.n; i++) {
		_cleanup_free_ char *dir = cor_asprintf("%s/rootfs/%s", s->all->c.data_dir, s->roots.p[i]);
		if (cor_image_rootfs_unmount(s->all->c.images, s->roots.p[i], dir, &err) < 0)
			cor_warn("root file system of %s: %s", s->roots.p[i], err.message);
		(void)rmdir(dir);
	}
	for (size_t i = 0; i < s->pods.n; i++) {
		_cleanup_free_ char *dir = cor_asprintf("%s/pods/%s", s->all->c.data_dir, s->pods.p[i]);
		if (cor_volume_remove_tree(dir, &err) < 0 ||
		    cor_pod_ns_destroy(s->all->c.net, cor_str_c(s->pods.p[i]), &err) < 0)
			cor_warn("what pod %s has left: %s", s->pods.p[i], err.message);
	}
	for (size_t i = 0; i < s->logs.n; i++) {
		_cleanup_free_ char *dir = cor_asprintf("%s/logs/%s", s->all->c.data_dir, s->logs.p[i]);
		if (cor_volume_remove_tree(dir, &err) < 0)
			cor_warn("%s: %s", dir, err.message);
	}
}

static void on_done(struct cor_job *job) {
	struct sweep *s = cor_container_of(job, struct sweep, job);
	struct cor_runtime *rt = s->all->c.rt;
	for (size_t i = 0; i < s->pods.n; i++)
		for (int q = 0; q < COR_QOS_MAX; q++)
			rt->ops->pod_remove(rt, s->pods.p[i], (enum cor_qos)q);
	s->all->busy--;
	/* Some may have waited for the name of one of them. */
	cor_pods_wake_all(s->all);
	if (!s->stayed)
		cor_pvs_settled(s->all->c.pvs);
	names_fini(&s->roots);
	names_fini(&s->pods);
	names_fini(&s->logs);
	free(s);
}

static void on_removed(void *arg, const struct cor_err *err) {
	struct sweep *s = arg;
	if (err) {
		cor_warn("a container without a pod: %s", err->message);
		s->stayed = true;
	}
	if (--s->waiting > 0)
		return;
	s->job = (struct cor_job){ .work = on_worker, .done = on_done };
	s->all->c.world->submit(s->all->c.world, COR_LANE_ANY, &s->job);
}

void pods_sweep(struct cor_pods *ps) {
	struct sweep *s = cor_new(struct sweep);
	struct cor_runtime *rt = ps->c.rt;
	struct cor_container *run;
	struct cor_err err;
	size_t it = 0;
	*s = (struct sweep){ .all = ps, .waiting = 1 };
	ps->busy++;
	list(ps, "rootfs", known_root, &s->roots);
	list(ps, "pods", known_pod, &s->pods);
	list(ps, "logs", known_log, &s->logs);
	if (cor_pod_ns_list(ps->c.net, on_pin, s, &err) < 0)
		cor_warn("pods without an object: %s", err.message);
	rt->ops->pods(rt, on_group, s);
	struct cor_container **orphans = NULL;
	size_t n = 0;
	while ((run = rt->ops->next(rt, &it)))
		if (!known_pod(ps, run->pod_uid)) {
			orphans = cor_realloc(orphans, (n + 1) * sizeof(*orphans));
			orphans[n++] = run;
		}
	s->waiting += n;
	for (size_t i = 0; i < n; i++) {
		cor_info("container %s of %s/%s has no pod any more", orphans[i]->name, orphans[i]->pod_namespace,
			orphans[i]->pod_name);
		note(&s->pods, orphans[i]->pod_uid);
		rt->ops->remove(rt, orphans[i], on_removed, s);
	}
	free(orphans);
	on_removed(s, NULL);
}
