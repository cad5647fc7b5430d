// SPDX-License-Identifier: Apache-2.0
// One hot path per run, for callgrind, which counts the instructions inside of bench_hot() and
// nothing else: what is set up before is free. Everything runs on virtual time with a seed and from
// memory, so that the same program counts the same. HTTP is plain and over real sockets; the
// admin's certificate is taken as seen. tests/bench/counts runs it.
//   bench_count decode|encode|get|create|watch|statefulset|schedule
#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>

#include "api/http_api.h"
#include "api/registry.h"
#include "base/assert.h"
#include "base/buf.h"
#include "codec/codec.h"
#include "controllers/engine_priv.h"
#include "gen/core_v1.h"
#include "net/http.h"
#include "scheduler/scheduler.h"
#include "sim/world_sim.h"

enum { WAIT_MS = 10000, WATCHERS = 1000, NODES = 100, PODS_PER_NODE = 10, REPLICAS = 10 };

void bench_hot(void (*fn)(void *arg), void *arg);

__attribute__((noinline, noclone)) void bench_hot(void (*fn)(void *arg), void *arg) {
	fn(arg);
	/* Not a tail call: the function must be seen to be left. */
	__asm__ volatile("" ::: "memory");
}

struct rig {
	struct cor_sim *sim;
	struct cor_registry *registry;
	struct cor_engine *engine;
	uv_loop_t loop;
	struct cor_http_server *http;
	int port;
};

/* ---- objects ---- */

struct call {
	struct cor_op op;
	struct cor_sim *sim;
	bool done;
};

static void on_done(struct cor_op *op) {
	struct call *c = op->arg;
	if (op->status < 0)
		(void)fprintf(stderr, "bench_count: %s\n", op->err.message);
	cor_assert(op->status >= 0);
	c->done = true;
}

static bool is_done(void *arg) {
	return ((struct call *)arg)->done;
}

static struct cor_op op_of(enum cor_verb verb, enum cor_res res, const char *name) {
	return (struct cor_op){
		.verb = verb,
		.res = &cor_resources[res],
		.ns = COR_STR("default"),
		.name = cor_str_c(name),
		.grace_s = -1,
		.validation = COR_VALIDATION_IGNORE,
		.patch_type = COR_PATCH_MERGE,
		.done = on_done,
	};
}

static void run_op(struct rig *r, struct call *c) {
	c->op.arg = c;
	c->op.arena = cor_arena_new(0);
	cor_op_start(r->registry, &c->op);
	cor_assert(cor_sim_run_until(r->sim, is_done, c, COR_MINUTE));
}

static void create(struct rig *r, enum cor_res res, const char *json) {
	struct call c = { .op = op_of(COR_VERB_CREATE, res, "") };
	struct cor_arena *a = cor_arena_new(0);
	struct cor_decode d = { .arena = a };
	struct cor_err err;
	if (!cor_resources[res].namespaced)
		c.op.ns = COR_STR("");
	cor_assert(cor_json_decode_new(c.op.res->type, cor_str_c(json), &c.op.obj, &d, &err) == 0);
	run_op(r, &c);
	cor_arena_free(c.op.arena);
	cor_arena_free(a);
}

static void patch(
	struct rig *r, enum cor_res res, const char *name, const char *sub, const char *json) {
	struct call c = { .op = op_of(COR_VERB_PATCH, res, name) };
	if (sub)
		c.op.subresource = cor_str_c(sub);
	c.op.patch = cor_str_c(json);
	run_op(r, &c);
	cor_arena_free(c.op.arena);
}

/* ---- rig ---- */

static bool is_ready(void *arg) {
	return cor_registry_ready(arg);
}

/* A server without HTTP, in which the controllers have made what every namespace has. */
static void rig_init(struct rig *r) {
	struct cor_err err;
	r->sim = cor_sim_new(11);
	struct cor_registry_config c = { .world = cor_sim_world(r->sim),
		.backend = cor_backend_memory_new() };
	cor_assert(cor_registry_open(&c, &r->registry, &err) == 0);
	cor_assert(cor_sim_run_until(r->sim, is_ready, r->registry, COR_MINUTE));
	r->engine = cor_engine_new(r->registry, cor_controllers);
	cor_sim_run_for(r->sim, COR_SECOND);
	cor_assert(cor_engine_idle(r->engine));
}

static void as_admin(void *arg, struct cor_http_req *req) {
	static const struct cor_str masters = COR_STR_INIT("system:masters");
	req->peer.cn = COR_STR("admin");
	req->peer.orgs = &masters;
	req->peer.n_orgs = 1;
	cor_http_api_handle(arg, req);
}

/* ---- HTTP ---- */

static int connect_to(const struct rig *r) {
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)r->port) };
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (const struct sockaddr *)&to, sizeof(to)) < 0) {
		perror("bench_count: connect");
		exit(1);
	}
	return fd;
}

static void turn(void *arg) {
	struct rig *r = arg;
	(void)uv_run(&r->loop, UV_RUN_NOWAIT);
	cor_sim_run_for(r->sim, 10 * COR_MS);
}

static void rig_serve(struct rig *r) {
	struct cor_err err;
	cor_engine_stop(r->engine);
	cor_assert(uv_loop_init(&r->loop) == 0);
	struct cor_http_api_config ac = { .registry = r->registry, .loop = &r->loop };
	struct cor_http_api *api = cor_http_api_new(&ac);
	struct cor_http_config hc = {
		.loop = &r->loop, .handle = as_admin, .closed = cor_http_api_closed, .arg = api
	};
	r->http = cor_http_server_new(&hc);
	cor_assert(cor_http_listen(r->http, "127.0.0.1", 0, &r->port, &err) >= 0);
	turn(r); /* from now on the kernel is asked for connections */
}

static void cold(void (*fn)(void *arg), void *arg) {
	fn(arg);
}

static bool readable(int fd, int timeout) {
	struct pollfd p = { .fd = fd, .events = POLLIN };
	return poll(&p, 1, timeout) > 0;
}

/* The answer to what the clients have asked, in a fixed number of turns of the loop, so that the
 * same is counted however long the kernel takes to carry it there and back. */
static void serve(
	struct rig *r, const int *fds, size_t n, void (*how)(void (*fn)(void *arg), void *arg)) {
	enum { TURNS = 6 };
	for (int i = 0; i < TURNS; i++)
		how(turn, r);
	for (size_t i = 0; i < n; i++)
		if (!readable(fds[i], WAIT_MS)) {
			(void)fprintf(stderr, "bench_count: no answer after %d turns\n", TURNS);
			exit(1);
		}
}

static void expect(int fd, const char *head) {
	static char text[1 << 16];
	ssize_t n = recv(fd, text, sizeof(text) - 1, 0);
	text[n > 0 ? n : 0] = '\0';
	if (strncmp(text, head, strlen(head)) != 0) {
		(void)fprintf(stderr, "bench_count: wanted %s, got %.300s\n", head, text);
		exit(1);
	}
}

/* The server makes the text of its Date header once a second: always for the request that is
 * counted, instead of now and then. */
static void next_second(void) {
	struct timespec from, now;
	(void)clock_gettime(CLOCK_REALTIME_COARSE, &from);
	do
		(void)poll(NULL, 0, 5);
	while (clock_gettime(CLOCK_REALTIME_COARSE, &now) == 0 && now.tv_sec == from.tv_sec);
}

/* The request has arrived when this returns. */
static void ask(struct rig *r, int fd, const char *method, const char *path, struct cor_str body) {
	_cleanup_buf_ struct cor_buf b = COR_BUF_INIT;
	cor_buf_printf(&b,
		"%s %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: "
		"application/json\r\nContent-Length: %zu\r\n"
		"\r\n%.*s",
		method, path, body.n, COR_STR_ARG(body));
	cor_assert(write(fd, b.p, b.n) == (ssize_t)b.n);
	cor_assert(readable(uv_backend_fd(&r->loop), WAIT_MS));
}

/* ---- the pod ---- */

static char pod_text[1 << 16];

static struct cor_str pod_json(void) {
	int fd = open(BENCH_POD, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, pod_text, sizeof(pod_text) - 1);
	if (n <= 0) {
		perror(BENCH_POD);
		exit(1);
	}
	(void)close(fd);
	return (struct cor_str){ pod_text, (size_t)n };
}

#define POD(name, more)                                                                            \
	"{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"" name "\",\"labels\":{" \
	"\"app\":\"web\"}},\"spec\":{" more                                                        \
	"\"containers\":[{\"name\":\"c\",\"image\":\"i:1\",\"resources\":{\"requests\":{"          \
	"\"cpu\":\"100m\",\"memory\":\"64Mi\"}},\"ports\":[{\"containerPort\":80}]}]}}"

#define NODE                                                                                       \
	"{\"metadata\":{\"name\":\"n%d\",\"labels\":{\"kubernetes.io/"                             \
	"hostname\":\"n%d\"}},\"status\":{\"capacity\":{"                                          \
	"\"cpu\":\"4\",\"memory\":\"8Gi\",\"pods\":\"110\"},\"conditions\":[{\"type\":\"Ready\","  \
	"\"status\":\"True\"}]}}"

struct codec {
	struct cor_arena *arena;
	struct cor_str json;
	void *obj;
	struct cor_buf out;
};

static void decode(void *arg) {
	struct codec *c = arg;
	struct cor_decode d = { .arena = c->arena, .strict = true };
	cor_assert(cor_json_decode_new(&cor_type_core_v1_Pod, c->json, &c->obj, &d, NULL) == 0);
}

static void encode(void *arg) {
	struct codec *c = arg;
	cor_assert(cor_json_encode(&cor_type_core_v1_Pod, c->obj, &c->out) == 0);
}

static void count_decode(void) {
	struct codec c = { .arena = cor_arena_new(0), .json = pod_json() };
	decode(&c); /* the second time: memory is there */
	cor_arena_reset(c.arena);
	bench_hot(decode, &c);
}

static void count_encode(void) {
	struct codec c = { .arena = cor_arena_new(0), .json = pod_json() };
	decode(&c);
	encode(&c);
	cor_buf_clear(&c.out);
	bench_hot(encode, &c);
	cor_assert(c.out.n == c.json.n);
}

/* ---- requests ---- */

static void count_get(void) {
	struct rig r = { 0 };
	static const char path[] = "/api/v1/namespaces/default/pods/web";
	rig_init(&r);
	create(&r, COR_RES_PODS, POD("web", ""));
	rig_serve(&r);
	int fd = connect_to(&r);
	for (int i = 0; i < 2; i++) {
		next_second();
		ask(&r, fd, "GET", path, COR_STR(""));
		serve(&r, &fd, 1, i == 0 ? cold : bench_hot);
		expect(fd, "HTTP/1.1 200 ");
	}
}

static void count_create(void) {
	struct rig r = { 0 };
	static const char path[] = "/api/v1/namespaces/default/pods";
	rig_init(&r);
	rig_serve(&r);
	int fd = connect_to(&r);
	for (int i = 0; i < 2; i++) {
		next_second();
		ask(&r, fd, "POST", path,
			i == 0 ? COR_STR(POD("first", "")) : COR_STR(POD("second", "")));
		serve(&r, &fd, 1, i == 0 ? cold : bench_hot);
		expect(fd, "HTTP/1.1 201 ");
	}
}

static void label(void *arg) {
	patch(arg, COR_RES_PODS, "web", NULL, "{\"metadata\":{\"labels\":{\"a\":\"b\"}}}");
}

/* The patch is part of it: a thousandth of the whole. */
static void count_watch(void) {
	struct rig r = { 0 };
	struct rlimit files;
	static int fds[WATCHERS];
	cor_assert(getrlimit(RLIMIT_NOFILE, &files) == 0);
	files.rlim_cur = files.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &files);
	rig_init(&r);
	create(&r, COR_RES_PODS, POD("web", ""));
	rig_serve(&r);
	for (size_t i = 0; i < WATCHERS; i++) {
		fds[i] = connect_to(&r);
		ask(&r, fds[i], "GET", "/api/v1/namespaces/default/pods?watch=1", COR_STR(""));
		serve(&r, &fds[i], 1, cold);
	}
	for (size_t i = 0; i < WATCHERS; i++) {
		expect(fds[i], "HTTP/1.1 200 ");
		cor_assert(!readable(fds[i], 0));
	}
	bench_hot(label, &r);
	serve(&r, fds, WATCHERS, bench_hot);
}

/* ---- a plan ---- */

static bool start_pod(void *arg, struct cor_obj *o) {
	const struct cor_str *phase = cor_strmap_get(&o->fields, COR_STR("status.phase"));
	struct cor_buf *name = arg;
	if (phase && cor_str_eq(*phase, COR_STR("Running")))
		return true;
	cor_buf_printf(name, "%.*s", COR_STR_ARG(o->name));
	return false;
}

/* A kubelet of a few lines: what is not Running yet becomes Running and Ready. False when there was
 * nothing. */
static bool start_pods(struct rig *r) {
	_cleanup_buf_ struct cor_buf name = COR_BUF_INIT;
	cor_store_each(cor_registry_store(r->registry), COR_RES_PODS, COR_STR("default"),
		COR_STR(""), COR_STR(""), start_pod, &name);
	if (name.n == 0)
		return false;
	cor_buf_add(&name, "", 1);
	patch(r, COR_RES_PODS, name.p, "status",
		"{\"status\":{\"phase\":\"Running\",\"conditions\":[{\"type\":\"Ready\","
		"\"status\":\"True\",\"lastTransitionTime\":\"2026-01-01T00:00:00Z\"}]}}");
	return true;
}

struct planning {
	struct cor_plan *plan;
	const struct cor_controller *row;
};

static void plan(void *arg) {
	struct planning *p = arg;
	struct cor_err err;
	cor_assert(p->row->plan(p->plan, COR_STR("default"), COR_STR("web"), &err) >= 0);
}

/* A set of ten pods that is to have one more: its status, a claim, a pod. */
static void count_statefulset(void) {
	struct rig r = { 0 };
	struct planning p = { 0 };
	struct cor_key key = { .id = (char[]){ "default/web" }, .ns_n = 7 };
	rig_init(&r);
	create(&r, COR_RES_STATEFULSETS,
		"{\"metadata\":{\"name\":\"web\"},\"spec\":{\"serviceName\":\"web\",\"replicas\":"
		"10,"
		"\"selector\":{\"matchLabels\":{\"app\":\"web\"}},\"template\":{\"metadata\":{"
		"\"labels\":{\"app\":\"web\"}},"
		"\"spec\":{\"containers\":[{\"name\":\"c\",\"image\":\"i:1\"}]}},"
		"\"volumeClaimTemplates\":[{\"metadata\":{\"name\":"
		"\"data\"},\"spec\":{\"accessModes\":[\"ReadWriteOnce\"],\"resources\":{"
		"\"requests\":{\"storage\":\"1Gi\"}}}}]}}");
	do
		cor_sim_run_for(r.sim, COR_SECOND);
	while (start_pods(&r));
	cor_assert(cor_store_count(cor_registry_store(r.registry), COR_RES_PODS,
			   COR_STR("default")) == REPLICAS);
	cor_engine_stop(r.engine);
	patch(&r, COR_RES_STATEFULSETS, "web", NULL, "{\"spec\":{\"replicas\":11}}");
	for (size_t i = 0; i < r.engine->n; i++)
		if (strcmp(r.engine->ctls[i].row->name, "statefulset") == 0)
			key.ctl = &r.engine->ctls[i];
	cor_assert(key.ctl);
	p.row = key.ctl->row;
	p.plan = cor_plan_new(r.engine, &key);
	bench_hot(plan, &p);
	size_t pods = 0;
	for (const struct planned *x = p.plan->actions; x; x = x->next)
		pods += x->a.verb == COR_VERB_CREATE && x->a.res == COR_RES_PODS;
	cor_assert(pods == 1);
}

/* ---- a place for a pod ---- */

static bool is_bound(void *arg) {
	struct rig *r = arg;
	const struct cor_obj *o = cor_store_get(
		cor_registry_store(r->registry), COR_RES_PODS, COR_STR("default"), COR_STR("new"));
	return cor_strmap_get(&o->fields, COR_STR("spec.nodeName")) != NULL;
}

static void until_bound(void *arg) {
	struct rig *r = arg;
	bool bound = cor_sim_run_until(r->sim, is_bound, r, COR_MINUTE);
	cor_assert(bound);
}

static void count_schedule(void) {
	struct rig r = { 0 };
	char text[1000];
	rig_init(&r);
	for (int i = 0; i < NODES; i++) {
		(void)snprintf(text, sizeof(text), NODE, i, i);
		create(&r, COR_RES_NODES, text);
	}
	/* The node controller sees that they are ready and takes their taints away. */
	cor_sim_run_for(r.sim, COR_SECOND);
	cor_engine_stop(r.engine);
	for (int i = 0; i < NODES * PODS_PER_NODE; i++) {
		(void)snprintf(
			text, sizeof(text), POD("p%d", "\"nodeName\":\"n%d\","), i, i % NODES);
		create(&r, COR_RES_PODS, text);
	}
	create(&r, COR_RES_PODS, POD("new", ""));
	/* It knows the cluster when it has been made; what it does about the pod comes with the
	 * next events. */
	(void)cor_scheduler_new(r.registry);
	cor_assert(!is_bound(&r));
	bench_hot(until_bound, &r);
}

int main(int argc, char **argv) {
	static const struct {
		const char *name;
		void (*fn)(void);
	} paths[] = {
		{ "decode", count_decode },
		{ "encode", count_encode },
		{ "get", count_get },
		{ "create", count_create },
		{ "watch", count_watch },
		{ "statefulset", count_statefulset },
		{ "schedule", count_schedule },
	};
	for (size_t i = 0; argc == 2 && i < cor_countof(paths); i++)
		if (strcmp(argv[1], paths[i].name) == 0) {
			paths[i].fn();
			/* Nothing is taken down: it would not be counted. */
			return 0;
		}
	(void)fprintf(
		stderr, "usage: bench_count decode|encode|get|create|watch|statefulset|schedule\n");
	return 2;
}
