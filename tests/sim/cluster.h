// SPDX-License-Identifier: Apache-2.0
// A whole cluster in one process on virtual time: the real store, API pipeline, controllers and
// scheduler (the server), machines with a stand-in for the node agent, and people, who all speak
// to the server through links that lose, delay and repeat messages. See docs/internals/sim.md.
//
//   machine.c  what really runs and is mounted       agent.c    the stand-in of the node agent
//   link.c     requests and watches over a link      server.c   starts, crashes; its disk
//   trace.c    what happened                         model.c    what was published, and must stay
//   oracle*.c  may this plan do that?                goal.c     is everything as the specs say?
#pragma once

#include "api/registry.h"
#include "base/buf.h"
#include "base/map.h"
#include "codec/codec.h"
#include "controllers/engine.h"
#include "gen/apps_v1.h"
#include "gen/core_v1.h"
#include "scheduler/scheduler.h"
#include "sim/world_sim.h"

enum { NODES_MAX = 4, CLAIMS_MAX = 2, NAME_MAX_ = 128, TRACE_LINES = 40, TRACE_WIDTH = 230 };

/* What a test build may break on purpose (break.c). */
enum breakage {
	BREAK_NONE,
	BREAK_UID,         /* preconditions on uids are ignored */
	BREAK_ORDER,       /* OrderedReady sets are treated as Parallel */
	BREAK_PARTITION,   /* rollouts do not stop at the partition */
	BREAK_CLAIMS,      /* every retention policy is Delete */
	BREAK_SURGE,       /* two pods more than maxSurge allows */
	BREAK_UNAVAILABLE, /* maxUnavailable is 100 % */
	BREAK_PARALLEL,    /* a pod more than a Job asks for */
	BREAK_GC,          /* there is no garbage collector */
	BREAK_FORCE,       /* pods are deleted without grace */
	BREAK_LOST_WRITE,  /* some write of a commit never reaches the disk */
	BREAK_REVISION,    /* the disk forgets which revisions were given */
	BREAK_WATCH,       /* some event never reaches its watch */
	BREAK_AGENT,       /* agents do not wait for the predecessor of a pod */
	BREAK_MAX,
};
enum breakage breakage_from_string(const char *name); /* BREAK_MAX when there is none */
const char *breakage_to_string(enum breakage b);
const char *breakage_text(enum breakage b);

struct cluster;
/* Changes an operation as the breakage says. */
void break_op(struct cluster *c, struct cor_op *op);

/* ---- trace.c ---- */

struct trace {
	char lines[TRACE_LINES][TRACE_WIDTH];
	size_t n;      /* lines ever */
	uint64_t hash; /* of all lines */
	bool print;
};

/* One line: "  12.345678 text"; virtual seconds since the start. */
void trace(struct cluster *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The first one ends the run. */
void violation(struct cluster *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The last lines, oldest first, to a descriptor; safe in a signal handler. */
void trace_dump(const struct cluster *c, int fd);

/* ---- link.c ---- */

struct link {
	struct cluster *c;
	const char *name;
	bool cut;
	unsigned lose, twice; /* of 100 messages */
	cor_time slow;        /* at most, on top of a few milliseconds */
};

/* A message to the server and back. The sender fills op's inputs in arena a; verb GET reads. */
struct request {
	struct cor_op op;
	struct cor_arena *a;
	struct link *link;
	/* On the sender's side, once: status 0 and result (NULL after a removal), or a code;
	 * COR_E_TIMEOUT and COR_E_CLOSED mean that nobody knows whether it was done. */
	void (*done)(struct request *r);
	void *arg;
	int status;
	struct cor_err err;
	struct cor_obj *result; /* referenced */
	/* private */
	struct request *next, **prev;
	struct cor_timer move, patience;
	enum { REQUEST_GOING, REQUEST_SERVED, REQUEST_RETURNING, REQUEST_OVER } at;
};

struct request *request_new(struct link *l, enum cor_verb verb, enum cor_res res, struct cor_str ns,
	struct cor_str name);
/* done may be NULL. Frees r after done. */
void request_send(struct request *r, void (*done)(struct request *r), void *arg);
/* The sender is not interested any more; what is under way takes its course. */
void request_forget(struct request *r);

/* A list and the watch behind it, reopened until it is closed. */
struct stream {
	struct link *link;
	enum cor_res res;
	bool (*wants)(void *arg, const struct cor_obj *o);
	void (*on_list)(void *arg, struct cor_obj *const *objs, size_t n);
	void (*on_event)(void *arg, enum cor_event_type type, struct cor_obj *o);
	void *arg;
	uint64_t rev; /* of the last event seen; 0: list first */
	bool stalled; /* does not read what comes */
	/* private */
	struct stream *next, **prev;
	bool open;
	struct cor_watch *watch; /* at the server */
	struct parcel *head, **tail;
	size_t n_parcels;
	cor_time last; /* when the newest parcel arrives */
	struct cor_timer timer;
};

void stream_start(struct stream *s);
void stream_close(struct stream *s);
/* All that was published has arrived. */
bool stream_is_current(const struct stream *s);
void link_set_cut(struct link *l, bool cut);
void links_server_died(struct cluster *c);
void links_free(struct cluster *c);

/* ---- server.c ---- */

enum disk_fault { DISK_OK, DISK_FAILS, DISK_DOUBT };

struct server {
	bool up, dying;
	unsigned life; /* how often it was started */
	struct cor_registry *registry;
	struct cor_engine *engine;
	struct cor_scheduler *scheduler;
	struct cor_backend *platters; /* the durable contents; each life opens them again */
	bool power_off;               /* no commit of this life succeeds any more */
	enum disk_fault fault;        /* of the next commits */
	unsigned faults;
};

void server_start(struct cluster *c);
/* Memory is lost; what is durable stays. Not from within a callback of the store. */
void server_crash(struct cluster *c);
struct cor_store *server_store(struct cluster *c);

/* ---- machine.c ---- */

struct node;

/* The containers of a pod as they really are. Outlives the agent; not the machine's power. */
struct run {
	struct run *next;
	struct node *node;
	char uid[40], ns[64], name[NAME_MAX_];
	char volumes[CLAIMS_MAX][64];
	size_t n_volumes;
	bool alive, stopping;
	bool bad;                      /* never becomes ready */
	cor_time ready_at, sick_until; /* monotonic */
	int exits;                     /* with this code after a while; -1: never by itself */
	int exit_code;
	unsigned starts;
	struct cor_timer end, probe;
	cor_time end_at;
};

/* The data of a persistent volume. */
struct volume {
	struct volume *next;
	char name[64];
	struct node *node;
	bool wiped;
};

void machine_start(struct node *n, struct run *r, bool slow);
struct run *machine_run(struct node *n, struct cor_str uid); /* NULL when there is none */
struct run *machine_new_run(
	struct node *n, struct cor_str uid, struct cor_str ns, struct cor_str name);
void machine_forget(struct run *r);
/* SIGTERM, and SIGKILL after grace. Only ever sooner. */
void machine_stop(struct run *r, cor_time grace);
void machine_kill(struct run *r, int exit_code);
bool machine_is_ready(const struct run *r);
void machine_sick(struct run *r, cor_time d);
/* False while somebody has it mounted. */
bool machine_wipe(struct node *n, struct cor_str volume);
void machine_power_off(struct node *n);
size_t machine_alive(const struct node *n);
void machines_free(struct cluster *c);

/* ---- agent.c ---- */

struct node {
	struct cluster *c;
	char name[16];
	struct link link;
	bool power, agent_up;
	struct run *runs;
	/* of the agent */
	struct stream pods, volumes;
	struct apod *apods;
	bool synced, unheard;
	char uid[40]; /* of the Node object */
	struct request *register_call, *status_call, *lease_call;
	struct cor_timer register_timer, status_timer, lease_timer, volume_timer;
	struct doomed *doomed; /* volumes that are being deleted */
	struct request *volume_calls[8];
	unsigned addresses;
};

void agent_start(struct node *n);
/* Its memory is lost. */
void agent_crash(struct node *n);
void agent_run_changed(struct run *r);
/* What the agent knows is what the server says; NULL, or what differs. */
const char *agent_difference(struct node *n);

/* ---- the cluster ---- */

struct cluster {
	struct cor_sim *sim;
	struct cor_world *world;
	struct server server;
	struct node nodes[NODES_MAX];
	size_t n_nodes;
	struct link people;
	struct request *requests;
	struct stream *streams;
	struct volume *volumes;
	struct cor_map forced; /* uids that a person deleted by force: they may overlap */
	struct trace trace;
	char failure[400]; /* the first violation; "" = none */
	cor_time started;
	enum breakage breakage;
	const char *never_ready; /* name of a pod, or "*" */
	struct model *model;     /* NULL: nothing is checked */
	struct script *script;
};

/* The one that runs: what links and plans call has no other way to it. */
extern struct cluster *cluster_now;

/* A running server and n machines that have joined. checked: with model and oracles. */
struct cluster *cluster_new(uint64_t seed, size_t nodes, bool checked, enum breakage b);
void cluster_free(struct cluster *c);
/* One event of the world, and the checks behind it; false when the run is over. */
bool cluster_step(struct cluster *c);
void cluster_run_for(struct cluster *c, cor_time d);
static inline uint64_t below(struct cluster *c, uint64_t n) {
	return cor_sim_below(c->sim, n);
}
static inline bool chance(struct cluster *c, unsigned percent) {
	return below(c, 100) < percent;
}
static inline cor_time between(struct cluster *c, cor_time min, cor_time max) {
	return min + (cor_time)below(c, (uint64_t)(max - min) + 1);
}
static inline cor_time mono(struct cluster *c) {
	return c->world->monotonic(c->world);
}

/* ---- model.c ---- */

void model_new(struct cluster *c);
void model_free(struct cluster *c);
/* A store was opened: compares it with what was published before, and follows it. */
void model_attach(struct cluster *c);
void model_detach(struct cluster *c);
void model_step(struct cluster *c);
/* A commit has reached the disk; whether anybody was told is another matter. */
void model_stored(struct cluster *c, const struct cor_record *r, size_t n);
/* The server says that this was done. */
void model_acknowledged(struct cluster *c, const struct cor_op *op);
/* Somebody wants this object to go. by: a controller's key, or NULL for ever. */
void model_intent(struct cluster *c, struct cor_str uid, const char *by);
void model_intents_over(struct cluster *c, const char *by);
/* Changes of workloads, claims and volumes since the start. */
size_t model_changes(const struct cluster *c);

/* ---- oracle.c: between the engine and the planners ---- */

const struct cor_controller *const *oracle_rows(struct cluster *c);
struct planned;
struct look {
	struct cluster *c;
	struct cor_store *store;
	struct cor_arena *a;
	struct cor_plan *p;
	cor_time now;
	struct cor_str ns, name;
};
void *look_get(struct look *l, enum cor_res res, struct cor_str ns, struct cor_str name);
struct look_list {
	void **p;
	size_t n;
};
struct look_list look_owned(struct look *l, enum cor_res res, struct cor_str uid);
bool look_available(const struct core_v1_Pod *pod, int32_t min_ready, cor_time now);
bool look_finished(const struct core_v1_Pod *pod);
struct cor_str look_image(const struct core_v1_PodSpec *s);
bool look_same(const struct core_v1_PodSpec *a, const struct core_v1_PodSpec *b);
/* 25%, 1; absent gives 0. */
int32_t look_scaled(struct cor_intstr v, int32_t total, bool up);
void oracle_set(struct look *l);
void oracle_replicaset(struct look *l);
void oracle_deployment(struct look *l);
void oracle_job(struct look *l);

/* ---- goal.c ---- */

/* NULL when everything is as the specs say; else what is not, in a buffer of its own. */
const char *goal_missing(struct cluster *c);

/* ---- script.c: people and faults ---- */

void script_new(struct cluster *c, unsigned steps);
void script_free(struct cluster *c);
/* Plays it to its end and waits until the cluster has reached its goal. */
void script_play(struct cluster *c);
