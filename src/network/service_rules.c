// SPDX-License-Identifier: Apache-2.0
// The sync: who changed, what of it, one transaction at a time. An owner is a Service or a pod with
// host ports; it remembers what it has in the table, so a change costs what the owner costs.
// Flow: change -> dirty -> timer (a few ms) -> plan -> job (nft, conntrack) -> done -> again if dirty.
// After an error, or when somebody else deleted the table, everything is written anew.
#include "network/service_rules.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/log.h"
#include "network/rules_priv.h"

#define COALESCE (3 * COR_MS)
#define SWEEP_AFTER COR_SECOND
#define RETRY_MIN (COR_SECOND / 2)
#define RETRY_MAX (30 * COR_SECOND)
enum { SWEEP_TRIES = 5 };

struct owner {
	char *key;              /* "ns/name" of a Service, ":uid" of a pod */
	struct items items;     /* in the kernel, or on the way there */
	struct items wanted;    /* of a pod; a Service's are planned when it is its turn */
	struct owner *next_dirty;
	bool dirty;
	bool lost;              /* another owner has one of its elements */
};

struct dead {
	enum item_kind kind;
	char *name;
	bool swept;             /* by the job that is under way */
};

struct sync_job {
	struct cor_job job;
	struct cor_buf text;    /* the transaction */
	struct cor_buf sweep;   /* afterwards: what nothing refers to any more */
	struct stales stale;
	struct cor_err err;
	int rc, sweep_rc;
};

struct cor_svc_rules {
	struct cor_world *world;
	struct rules_env env;
	struct net_model model;
	struct cor_map owners;  /* key -> struct owner *, owned */
	struct cor_map taken;   /* "kind/key" of an element -> struct owner *, weak */
	struct owner *dirty;
	struct dead *dead;      /* chains and sets that are empty and unused */
	size_t dead_n;
	bool synced;            /* the feed is complete */
	bool full;              /* everything has to be written */
	bool running;           /* a job is under way */
	bool soon;              /* the timer is set for a change, not only for a sweep */
	unsigned sweep_failed;
	unsigned lost;          /* owners that want what others have */
	cor_time retry;
	struct cor_timer timer;
	struct sync_job sync;
	void (*on_sync)(int code, void *arg);
	void *on_sync_arg;
};

/* ---- nft ---- */

/* All that fits; until the other side is closed or no more does. */
static struct cor_str read_said(int fd, char *p, size_t room) {
	size_t n = 0;
	for (ssize_t r; n < room && ((r = read(fd, p + n, room - n)) > 0 || (r < 0 && errno == EINTR));)
		n += r > 0 ? (size_t)r : 0;
	return cor_str_trim((struct cor_str){ p, n });
}

/* Each error of nft comes with the text that it is about; the first is the cause. */
static int nft_failed(struct cor_str said, struct cor_err *err) {
	struct cor_str why = cor_str_cut(&said, '\n');
	struct cor_str where = said.p ? cor_str_cut(&said, '\n') : (struct cor_str){ 0 };
	return cor_fail(err, COR_E_INTERNAL, "nftables: %.*s: %.*s", COR_STR_ARG(why), COR_STR_ARG(where));
}

/* In the child: only what is allowed behind a fork of a process with threads. */
_Noreturn static void be_nft(const char *program, pid_t agent, int text, int said) {
	char *const argv[] = { (char[]){ "nft" }, (char[]){ "-f" }, (char[]){ "-" }, NULL };
	char *const env[] = { NULL };
	/* Nothing is written once `down` has the agent's word. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && getppid() == agent && dup2(text, STDIN_FILENO) >= 0 &&
	    dup2(said, STDOUT_FILENO) >= 0 && dup2(said, STDERR_FILENO) >= 0)
		(void)execve(program, argv, env);
	_exit(127);
}

static int run_nft(const char *program, int text, struct cor_err *err) {
	int fds[2], status = -1;
	char text_said[2000];
	sigset_t all, before;
	if (pipe2(fds, O_CLOEXEC) < 0)
		return cor_fail_errno(err, errno, "nftables: pipe");
	/* Until it is another program it has the agent's handlers, and must not handle for the agent. */
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	pid_t agent = getpid(), pid = fork();
	if (pid == 0)
		be_nft(program, agent, text, fds[1]);
	int failed = errno;
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	(void)close(fds[1]);
	struct cor_str said = pid < 0 ? (struct cor_str){ 0 } : read_said(fds[0], text_said, sizeof(text_said));
	(void)close(fds[0]);
	if (pid < 0)
		return cor_fail_errno(err, failed, "nftables: fork");
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : nft_failed(said, err);
}

/* By the program, whose life is that of the transaction: its library, with those that it needs itself, and what it
 * keeps of each transaction (it reads the whole table), are megabytes that would stay for a change now and then. */
int rules_run(const char *text, struct cor_err *err) {
	static const char *const places[] = { "/usr/sbin/nft", "/sbin/nft", "/usr/local/sbin/nft" };
	const char *program = NULL;
	for (size_t i = 0; i < cor_countof(places) && !program; i++)
		program = access(places[i], X_OK) == 0 ? places[i] : NULL;
	if (!program)
		return cor_fail(err, COR_E_NOT_FOUND, "nft is not installed (package nftables)");
	_cleanup_close_ int fd = memfd_create("rules", MFD_CLOEXEC);
	size_t n = strlen(text);
	for (size_t done = 0; fd >= 0 && done < n;) {
		ssize_t r = write(fd, text + done, n - done);
		if (r < 0)
			return cor_fail_errno(err, errno, "nftables: the rules");
		done += (size_t)r;
	}
	if (fd < 0 || lseek(fd, 0, SEEK_SET) < 0)
		return cor_fail_errno(err, errno, "nftables: the rules");
	return run_nft(program, fd, err);
}

static void work(struct cor_job *job) {
	struct sync_job *s = cor_container_of(job, struct sync_job, job);
	s->rc = s->text.n ? rules_run(s->text.p, &s->err) : 0;
	if (s->rc < 0)
		return;
	/* Older kernels hold on to a chain for a moment after the last rule that led to it. */
	s->sweep_rc = s->sweep.n ? rules_run(s->sweep.p, NULL) : 0;
	(void)conntrack_clean(s->stale.p, s->stale.n, NULL);
}

/* ---- owners ---- */

static struct owner *owner_of(struct cor_svc_rules *r, struct cor_str key) {
	struct owner *o = cor_map_get(&r->owners, key);
	if (!o) {
		o = cor_new(struct owner);
		o->key = cor_str_dup_c(key);
		cor_map_put(&r->owners, key, o);
	}
	return o;
}

/* The first change sets the timer, further ones join it. */
static void schedule(struct cor_svc_rules *r, cor_time delay) {
	if (r->synced && !r->running && !r->soon)
		r->world->timer_set(r->world, &r->timer, delay);
	r->soon |= r->synced && !r->running;
}

static void mark_dirty(struct cor_svc_rules *r, struct owner *o) {
	if (!o->dirty) {
		o->dirty = true;
		o->next_dirty = r->dirty;
		r->dirty = o;
	}
	/* After a failure the time for the next try stands. */
	if (r->retry == 0)
		schedule(r, COALESCE);
}

static void service_changed(struct net_service *svc, void *arg) {
	struct cor_svc_rules *r = arg;
	mark_dirty(r, owner_of(r, cor_str_c(svc->key)));
}

static bool is_element(const struct item *it) {
	return it->kind != IT_CHAIN && it->kind != IT_AFFINITY;
}

static char *taken_key(const struct item *it) {
	return cor_asprintf("%d/%s", it->kind, it->key);
}

/* Two owners may want the same address and port (balancer addresses, host ports): the first has
 * it, the other gets it when it becomes free. */
static void settle_conflicts(struct cor_svc_rules *r, struct owner *o, struct items *now) {
	bool lost = false;
	for (size_t i = 0; i < now->n;) {
		struct owner *other = NULL;
		if (is_element(&now->p[i])) {
			_cleanup_free_ char *key = taken_key(&now->p[i]);
			other = cor_map_get(&r->taken, cor_str_c(key));
			if (!other)
				cor_map_put(&r->taken, cor_str_c(key), o);
		}
		if (other && other != o) {
			if (!o->lost)
				cor_warn("%s: %s is already used by %s", o->key, now->p[i].key, other->key);
			lost = true;
			items_remove(now, i);
		} else {
			i++;
		}
	}
	r->lost = r->lost - o->lost + lost;
	o->lost = lost;
}

/* What the owner had and does not want any more is free for others. */
static void release(struct cor_svc_rules *r, struct owner *o, const struct items *now) {
	bool freed = false;
	for (size_t i = 0; i < o->items.n; i++) {
		const struct item *it = &o->items.p[i];
		bool kept = !is_element(it);
		for (size_t k = 0; k < now->n && !kept; k++)
			kept = now->p[k].kind == it->kind && strcmp(now->p[k].key, it->key) == 0;
		if (kept)
			continue;
		_cleanup_free_ char *key = taken_key(it);
		if (cor_map_get(&r->taken, cor_str_c(key)) == o)
			cor_map_remove(&r->taken, cor_str_c(key));
		freed = true;
	}
	size_t it = 0;
	void *value;
	while (freed && r->lost > 0 && cor_map_next(&r->owners, &it, NULL, &value)) {
		if (((struct owner *)value)->lost)
			mark_dirty(r, value);
	}
}

static void free_owner(struct owner *o) {
	items_fini(&o->items);
	items_fini(&o->wanted);
	free(o->key);
	free(o);
}

static void plan_owner(struct cor_svc_rules *r, struct owner *o, struct items *ret,
	struct stales *stale) {
	struct cor_str rest = cor_str_c(o->key);
	struct cor_str ns = cor_str_cut(&rest, '/');
	struct net_service *svc = rest.p ? net_model_find(&r->model, ns, rest) : NULL;
	if (svc)
		rules_plan_service(&r->env, svc, ret, stale);
	for (size_t i = 0; i < o->wanted.n; i++)
		items_add(ret, o->wanted.p[i].kind, cor_strdup(o->wanted.p[i].key),
			cor_strdup(o->wanted.p[i].value));
}

/* ---- what is dead ---- */

static void add_dead(enum item_kind kind, const char *name, void *arg) {
	struct cor_svc_rules *r = arg;
	r->dead = cor_realloc(r->dead, (r->dead_n + 1) * sizeof(*r->dead));
	r->dead[r->dead_n++] = (struct dead){ kind, cor_strdup(name), false };
}

static void drop_dead(struct cor_svc_rules *r, bool only_swept) {
	for (size_t i = 0; i < r->dead_n; i++) {
		if (only_swept && !r->dead[i].swept)
			continue;
		free(r->dead[i].name);
		r->dead[i--] = r->dead[--r->dead_n];
	}
	if (r->dead_n > 0)
		return;
	free(r->dead);
	r->dead = NULL;
}

/* A name that is used again must not be swept. */
static void revive(struct cor_svc_rules *r, const struct items *now) {
	for (size_t i = 0; i < now->n && r->dead_n > 0; i++) {
		for (size_t k = 0; k < r->dead_n; k++) {
			if (r->dead[k].kind != now->p[i].kind || strcmp(r->dead[k].name, now->p[i].key) != 0)
				continue;
			free(r->dead[k].name);
			r->dead[k--] = r->dead[--r->dead_n];
		}
	}
}

/* What died in an earlier transaction. Chains before the sets that their rules name. */
static void write_sweep(const struct cor_svc_rules *r, struct cor_buf *out) {
	for (int kind = IT_CHAIN; kind >= IT_AFFINITY; kind--) {
		for (size_t i = 0; i < r->dead_n; i++) {
			if ((int)r->dead[i].kind == kind && r->dead[i].swept)
				cor_buf_printf(out, "delete %s ip %s %s\n", kind == IT_CHAIN ? "chain" : "set",
					r->env.table, r->dead[i].name);
		}
	}
}

/* ---- a transaction ---- */

struct change {
	struct owner *owner;
	struct items now;
};

static struct owner *take_dirty(struct cor_svc_rules *r) {
	struct owner *o = r->dirty;
	if (o) {
		r->dirty = o->next_dirty;
		o->dirty = false;
	}
	return o;
}

/* Plans those that are dirty. What one sets free may make others dirty: they come along. */
static struct change *plan_all(struct cor_svc_rules *r, struct stales *stale, size_t *ret_n) {
	struct change *changes = NULL;
	size_t n = 0;
	for (struct owner *o; (o = take_dirty(r));) {
		struct change c = { .owner = o };
		plan_owner(r, o, &c.now, stale);
		settle_conflicts(r, o, &c.now);
		release(r, o, &c.now);
		size_t i = 0;
		while (i < n && changes[i].owner != o)
			i++;
		if (i < n) {
			items_fini(&changes[i].now);
			changes[i] = c;
			continue;
		}
		if (n % 16 == 0)
			changes = cor_realloc(changes, (n + 16) * sizeof(*changes));
		changes[n++] = c;
	}
	*ret_n = n;
	return changes;
}

static void write_changes(struct cor_svc_rules *r, const struct change *changes, size_t n,
	struct cor_buf *out) {
	static const struct items none;
	for (int part = 0; part < RULES_PART_MAX; part++) {
		for (size_t i = 0; i < n; i++)
			rules_text_part(&r->env, (enum rules_part)part, r->full ? &none : &changes[i].owner->items,
				&changes[i].now, out);
	}
}

static void finish_changes(struct cor_svc_rules *r, struct change *changes, size_t n) {
	for (size_t i = 0; i < n; i++) {
		struct owner *o = changes[i].owner;
		if (!r->full)
			rules_text_dead(&r->env, &o->items, &changes[i].now, add_dead, r);
		revive(r, &changes[i].now);
		items_fini(&o->items);
		o->items = changes[i].now;
		if (o->items.n == 0 && o->wanted.n == 0 && !o->lost && !o->dirty) {
			cor_map_remove(&r->owners, cor_str_c(o->key));
			free_owner(o);
		}
	}
	free(changes);
}

static void all_dirty(struct cor_svc_rules *r) {
	size_t it = 0;
	void *value;
	while (cor_map_next(&r->owners, &it, NULL, &value))
		mark_dirty(r, value);
}

static void done(struct cor_job *job);

static void start(struct cor_timer *t) {
	struct cor_svc_rules *r = cor_container_of(t, struct cor_svc_rules, timer);
	struct sync_job *s = &r->sync;
	size_t n;
	cor_assert(!r->running);
	r->running = true;      /* from here on changes wait for the job's end */
	r->soon = false;
	if (r->full) {
		all_dirty(r);
		drop_dead(r, false);
		rules_text_base(&r->env, &s->text);
	}
	for (size_t i = 0; i < r->dead_n; i++)
		r->dead[i].swept = true;
	struct change *changes = plan_all(r, &s->stale, &n);
	write_changes(r, changes, n, &s->text);
	finish_changes(r, changes, n);
	write_sweep(r, &s->sweep);
	r->full = false;
	cor_buf_byte(&s->text, '\0');
	cor_buf_byte(&s->sweep, '\0');
	s->text.n--;
	s->sweep.n--;
	s->err = (struct cor_err){ 0 };
	s->rc = s->sweep_rc = 0;
	s->job.work = work;
	s->job.done = done;
	r->world->submit(r->world, COR_LANE_ANY, &s->job);
}

static void done(struct cor_job *job) {
	struct sync_job *s = cor_container_of(job, struct sync_job, job);
	struct cor_svc_rules *r = cor_container_of(s, struct cor_svc_rules, sync);
	r->running = false;
	int rc = s->rc;
	if (rc < 0) {
		r->retry = r->retry == 0 ? RETRY_MIN : r->retry * 2 > RETRY_MAX ? RETRY_MAX : r->retry * 2;
		cor_error("service rules: %s; writing all of them again in %d ms", s->err.message,
			(int)(r->retry / COR_MS));
		r->full = true;
		schedule(r, r->retry);
	} else {
		r->retry = 0;
		r->sweep_failed = s->sweep_rc < 0 ? r->sweep_failed + 1 : 0;
		if (s->sweep_rc >= 0)
			drop_dead(r, true);
		/* Somebody changed our table: then nothing we know of it is sure. */
		r->full |= r->sweep_failed >= SWEEP_TRIES;
		if (r->dirty || r->full)
			schedule(r, COALESCE);
		else if (r->dead_n > 0)
			r->world->timer_set(r->world, &r->timer, SWEEP_AFTER);
	}
	cor_buf_fini(&s->text);
	cor_buf_fini(&s->sweep);
	stales_fini(&s->stale);
	if (r->on_sync)
		r->on_sync(rc, r->on_sync_arg);
}

/* ---- interface ---- */

int cor_svc_rules_new(const struct cor_svc_rules_config *config, struct cor_svc_rules **ret,
	struct cor_err *err) {
	if (!config->cluster || !*config->cluster || strlen(config->cluster) > 63)
		return cor_fail(err, COR_E_INVALID, "cluster name must have 1 to 63 characters");
	if (config->node_cidr.bits < 16 || config->node_cidr.bits > 29)
		return cor_fail(err, COR_E_INVALID, "the node's pod network must be between /16 and /29");
	struct cor_svc_rules *r = cor_new(struct cor_svc_rules);
	r->world = config->world;
	snprintf(r->env.table, sizeof(r->env.table), "coracle-%s", config->cluster);
	cor_pod_net_link_prefix(config->cluster, r->env.prefix);
	r->env.cluster_cidr = config->cluster_cidr;
	r->env.node_cidr = config->node_cidr;
	r->env.service_cidr = config->service_cidr;
	r->env.dns_ip = config->dns_ip;
	r->env.zone = config->zone && *config->zone ? cor_asprintf(",%s,", config->zone)
		: cor_strdup("");
	net_model_init(&r->model, config->node);
	r->model.after = service_changed;
	r->model.arg = r;
	r->timer.fire = start;
	r->full = true;
	*ret = r;
	return 0;
}

void cor_svc_rules_free(struct cor_svc_rules *r) {
	if (!r)
		return;
	cor_assert(!r->running);
	r->world->timer_clear(r->world, &r->timer);
	size_t it = 0;
	void *value;
	while (cor_map_next(&r->owners, &it, NULL, &value))
		free_owner(value);
	cor_map_fini(&r->owners);
	cor_map_fini(&r->taken);
	net_model_fini(&r->model);
	drop_dead(r, false);
	free(r->env.zone);
	free(r);
}

void cor_svc_rules_set_service(struct cor_svc_rules *r, const struct core_v1_Service *service) {
	net_model_set_service(&r->model, service);
}

void cor_svc_rules_del_service(struct cor_svc_rules *r, struct cor_str ns, struct cor_str name) {
	net_model_del_service(&r->model, ns, name);
}

void cor_svc_rules_set_slice(struct cor_svc_rules *r,
	const struct discovery_v1_EndpointSlice *slice) {
	net_model_set_slice(&r->model, slice);
}

void cor_svc_rules_del_slice(struct cor_svc_rules *r, struct cor_str ns, struct cor_str name) {
	net_model_del_slice(&r->model, ns, name);
}

void cor_svc_rules_set_host_ports(struct cor_svc_rules *r, struct cor_str pod_uid, const char *ip,
	const struct cor_host_port *ports, size_t n) {
	_cleanup_free_ char *key = cor_asprintf(":%.*s", COR_STR_ARG(pod_uid));
	if (n == 0 && !cor_map_get(&r->owners, cor_str_c(key)))
		return;
	struct owner *o = owner_of(r, cor_str_c(key));
	items_fini(&o->wanted);
	rules_plan_host_ports(ip, ports, n, &o->wanted);
	mark_dirty(r, o);
}

void cor_svc_rules_set_synced(struct cor_svc_rules *r) {
	if (r->synced)
		return;
	r->synced = true;
	schedule(r, 0);
}

bool cor_svc_rules_busy(const struct cor_svc_rules *r) {
	return r->running || r->dirty || r->full;
}

void cor_svc_rules_on_sync(struct cor_svc_rules *r, void (*fn)(int code, void *arg), void *arg) {
	r->on_sync = fn;
	r->on_sync_arg = arg;
}

int cor_svc_rules_remove_all(const char *cluster, struct cor_err *err) {
	char text[300];
	snprintf(text, sizeof(text), "add table ip coracle-%s\ndelete table ip coracle-%s\n", cluster,
		cluster);
	return rules_run(text, err);
}
