// SPDX-License-Identifier: Apache-2.0
// What the files of the pod manager share: pod.c (the set of pods), pod_sync.c (what a pod does
// next), pod_ctr.c (starting a container), pod_stop.c (ending containers and pods), pod_volumes.c,
// pod_sandbox.c, pod_write.c (status to the API). All state belongs to the loop; workers touch
// only what their job holds.
#pragma once

#include "base/map.h"
#include "node/env.h"
#include "node/objcache.h"
#include "node/pod.h"
#include "node/pod_status.h"
#include "node/probe.h"
#include "node/volume.h"

enum { POD_PATH_MAX = 4096 };

struct pod;

/* A start of a container under way.
 *
 *   IDLE -> PULLING -> PREPARING -> WAITING -> BINDING -> STARTING -> HOOK -> IDLE
 *     ^________|___________|___________|__________|__________|__________|
 */
enum ctr_step {
	CTR_IDLE,
	CTR_PULLING,            /* the image comes */
	CTR_PREPARING,          /* worker: root file system, user */
	CTR_WAITING,            /* for network, volumes, objects, its turn */
	CTR_BINDING,            /* worker: files and subPaths to mount */
	CTR_STARTING,           /* the runtime */
	CTR_HOOK,               /* postStart */
	CTR_STEP_MAX,
};

/* A container being stopped. */
enum ctr_stop { STOP_NONE, STOP_HOOK, STOP_HELD, STOP_SIGNALLED };

/* What a start under way needs, and what is running does not. */
struct ctr_start {
	struct ctr *c;
	int attempt;
	struct cor_arena *arena;
	struct cor_image *image;
	char *user_text;                /* "user" or "user:group", to be looked up in the image */
	struct cor_image_user user;
	struct cor_image_pull pull;
	char id[COR_CONTAINER_ID_MAX];
	char *dir;                      /* <data-dir>/rootfs/<id> */
	struct cor_job job;
	struct cor_err err;
	int result;
	struct cor_mount *mounts;
	size_t n_mounts;
	struct cor_env env;
	struct bind_item *binds;
	size_t n_binds;
	bool abandon;                   /* it is not wanted any more */
};

struct ctr {
	struct pod *pod;
	size_t index;                   /* in pod->ctrs and pod->facts */
	char *name;
	struct cor_ctr_facts *f;
	struct cor_container *run;      /* newest in the runtime; NULL */
	enum ctr_step step;
	struct ctr_start *start;        /* NULL: IDLE */
	char *wanted_image;             /* of the spec, when it was started */
	char *termination;              /* file of the newest run */
	struct cor_backoff crash, pulls;
	char *pull_error;
	cor_time pull_failed_at;
	cor_time ended_at;              /* monotonic, of the run that backs off; 0: not looked at yet */
	cor_time retry_at;              /* after an error, monotonic; 0 */
	bool rerun;                     /* decided: it runs again (definition changed, probe) */
	/* stopping */
	enum ctr_stop stop;
	cor_time stop_by;               /* monotonic: when the grace is over */
	struct cor_timer stop_timer;
	bool stop_after_start;
	struct cor_hook *hook;
	struct cor_prober *probers[COR_PROBE_KIND_MAX];
};

enum pod_stage { STAGE_NONE, STAGE_BUSY, STAGE_DONE, STAGE_GONE };

struct pod_volume {
	const char *name;               /* of its own */
	struct cor_volume_plan plan;
	bool made;
	struct cor_pv *pv;              /* held */
	struct cor_image *image;        /* of an image volume */
	struct volume_pull *pull;       /* of an image volume; NULL: never needed */
	bool pulling;
	struct pod *pod;
};

/* Something of a pod that a worker does; gone when it is done. */
struct pod_work {
	struct pod *pod;
	struct cor_job job;
	struct cor_err err;
	int result;
};

/* A token of the pod's service account. */
struct pod_token {
	struct pod *pod;
	char *audience;
	int64_t seconds;
	char *token;                    /* NULL: not there yet */
	cor_time expires_at, renew_at;
	struct cor_api_call *call;
	struct cor_err err;             /* code 0: none */
};

struct pod {
	struct cor_pods *all;
	char *uid, *ns, *name, *key;
	char *dir;                      /* <data-dir>/pods/<uid> */
	struct cor_arena *arena;        /* of object */
	const core_v1_Pod *object;      /* without managedFields; nothing in it points elsewhere */
	struct ctr **ctrs;              /* jobs and timers point at them */
	struct cor_ctr_facts *facts;
	size_t n;
	struct cor_arena *status_arena;
	core_v1_PodStatus *status;      /* computed last, or the API's at first; NULL */

	bool admitted, gone;            /* gone: the API has no such object any more */
	bool held;                      /* the pod before of this name is not gone from the node yet */
	bool ending, stopped;
	char *reason, *message;         /* of an early end */
	cor_time end_by;                /* monotonic deadline of the whole stop */
	int64_t grace;                  /* seconds, of the stop under way */
	cor_time deadline_at;           /* activeDeadlineSeconds, wall; 0 */

	enum pod_stage net;             /* sandbox */
	struct cor_pod_ns ns_paths;
	struct cor_timer net_retry;
	cor_time net_delay;

	enum pod_stage vols;
	struct cor_arena *vol_arena;
	struct pod_volume *volumes;     /* those that containers mount; fixed */
	size_t n_volumes;
	uint64_t vol_hash;              /* of the files that were written */
	bool vol_again, vol_failed;     /* something changed while the worker was busy */
	struct cor_timer vol_retry;
	cor_time vol_delay;
	struct pod_token **tokens;
	size_t n_tokens;
	struct cor_timer token_timer;

	struct cor_objref **refs;
	size_t n_refs;
	struct cor_arena *lookup;       /* where pod_object() decodes to, set by its caller */

	struct cor_job end_job;
	enum pod_stage end;             /* tearing down */
	size_t removing;                /* runtime removals under way */

	bool queued;
	struct cor_timer timer;         /* the next time something is due */
	cor_time due;                   /* wall, gathered during a sync; 0: nothing */

	struct cor_api_call *write;
	bool write_again, deleting_sent;
	uint64_t written;               /* hash of the last patch that was acknowledged; 0: none */
	bool seen;                      /* and the object has shown it */
	cor_time first_at;              /* wall: when the pod came here */
	uint64_t writing;
	struct cor_timer write_retry;
};

struct cor_pods {
	struct cor_pods_config c;
	struct cor_map by_key;          /* "ns/name" -> newest pod of that name */
	struct cor_map by_uid;
	struct cor_objcache *objects;
	struct cor_tls *probe_tls;
	struct cor_arena *scratch;      /* of one call from the loop */
	struct cor_timer tick;          /* drains the queue in the loop's next turn */
	struct pod **queue;
	size_t n_queue, cap_queue;
	bool synced;
	size_t busy;
};

/* pod.c */
void pod_wake(struct pod *p);
void pod_due(struct pod *p, cor_time at);               /* wall time: sync again then */
void pod_free(struct pod *p);
void pod_event(struct pod *p, const struct ctr *c, bool warning, const char *reason, const char *fmt, ...)
	__attribute__((format(printf, 5, 6)));
static inline cor_time pod_now(const struct pod *p) { return cor_now(p->all->c.world); }
static inline cor_time pod_mono(const struct pod *p) {
	return p->all->c.world->monotonic(p->all->c.world);
}
struct pod_work *pod_work_new(struct pod *p);
void pod_submit(struct pod *p, struct cor_job *job, void (*work)(struct cor_job *),
	void (*done)(struct cor_job *));
struct cor_pod_facts pod_facts(struct pod *p);
struct cor_pod_facts_env pod_env_facts(struct pod *p);
void replace_text(char **p, const char *s);     /* s may be NULL */

/* pod_sync.c */
void pod_sync(struct pod *p);

/* pod_ctr.c */
void ctr_begin(struct ctr *c);                          /* from IDLE */
void ctr_continue(struct ctr *c);                       /* from WAITING, when what it waits for is there */
void ctr_abandon(struct ctr *c);                        /* the start is not wanted any more */
void ctr_start_free(struct ctr_start *s);
void ctr_wait(struct ctr *c, const char *reason, const char *message);
void ctr_running(struct ctr *c);                        /* probes of a container that runs */
void ctr_spec_changed(struct ctr *c);                   /* c->f->spec points into a newer object */
void ctr_exited(struct ctr *c);                         /* from the runtime's record */
void ctr_release_rootfs(struct pod *p, const char *id); /* worker, nobody waits for it */
void ctr_log_path(const struct ctr *c, int attempt, char out[POD_PATH_MAX]);
const char *ctr_field(const struct ctr *c, char out[300]);
int ctr_config_mounts(struct ctr *c, struct cor_err *err);      /* pod_mounts.c */
int ctr_bind_all(struct ctr *c, struct cor_err *err);           /* on a worker */
struct cor_container_spec *ctr_spec(struct ctr *c, struct cor_err *err);        /* pod_spec.c */

/* pod_stop.c */
void ctr_stop(struct ctr *c, int64_t grace_s, const char *message);
void ctr_stop_step(struct ctr *c);
void pod_stop(struct pod *p);
bool pod_is_stopped(const struct pod *p);
void pod_tear_down(struct pod *p);

/* pod_sandbox.c, pod_volumes.c */
bool pod_net_ready(struct pod *p);                      /* begins when it has to */
int pod_write_hosts(struct pod *p, struct cor_err *err);
bool pod_volumes_ready(struct pod *p);
void pod_volumes_changed(struct pod *p);
bool pod_waits_for_pv(const struct pod *p, const char *pv);
const struct pod_volume *pod_volume_find(const struct pod *p, struct cor_str name);
void pod_volumes_release(struct pod *p);
void pod_refs_hold(struct pod *p);
void pod_refs_release(struct pod *p);
/* Environment only: binary data is left out. Decodes into p->lookup. */
int pod_object(void *pod, enum cor_env_object kind, struct cor_str name, struct cor_strmap *ret);
/* The type of a Secret as well, for pull secrets; COR_E_NOT_FOUND. */
int pod_secret(struct pod *p, struct cor_arena *a, struct cor_str name, const core_v1_Secret **ret);
/* NULL when there is none. */
void *pod_ref_decode(struct pod *p, struct cor_arena *a, const struct cor_type *t, const char *plural,
	struct cor_str name);
bool pod_refs_known(const struct pod *p);
bool pod_refs_has(const struct pod *p, const struct cor_objref *r);

/* pod_orphans.c */
void pods_sweep(struct cor_pods *ps);

/* pod_write.c */
void pod_write(struct pod *p);
