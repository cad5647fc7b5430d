// SPDX-License-Identifier: Apache-2.0
// The kubelet's HTTP API before real containers: logs with their options and errors, exec and attach
// over WebSocket, port-forward into the pod's namespace, statistics. Clients are child
// processes with blocking sockets; the loop runs here.
#include <arpa/inet.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "base/mem.h"
#include "codec/tree.h"
#include "net/client.h"
#include "net/pki.h"
#include "net/tls.h"
#include "node/kubelet_http.h"
#include "rtlab.h"

#define ARGV(...) ((const char *const[]){ __VA_ARGS__, NULL })
#define SH(text) ARGV("/bin/sh", "-c", text)

static struct rtlab lab;
static struct cor_kubelet *kubelet;
static struct cor_container *container;         /* of pod ns/pod, named "c" */
static char net_ns[128];

/* ---- the pod manager's part ---- */

static int find(void *arg, struct cor_str ns, struct cor_str pod, struct cor_str uid,
	struct cor_str name, struct cor_pod_ref *ret, struct cor_err *err) {
	(void)arg;
	if (!cor_str_eq_c(ns, "ns") || cor_str_empty(pod) || (uid.n && !cor_str_eq_c(uid, "uid1")) ||
		(!cor_str_eq_c(pod, "pod") && !cor_str_eq_c(pod, "young")))
		return cor_fail(err, COR_E_NOT_FOUND, "pod \"%.*s\" does not exist", COR_STR_ARG(pod));
	if (name.p && !cor_str_eq_c(name, "c"))
		return cor_fail(err, COR_E_NOT_FOUND, "container \"%.*s\" not found in pod \"%.*s\"",
			COR_STR_ARG(name), COR_STR_ARG(pod));
	*ret = (struct cor_pod_ref){ .pod_uid = "uid1", .net_ns = net_ns, .sandbox_ready = true };
	if (cor_str_eq_c(pod, "young")) {
		ret->waiting = "ImagePullBackOff";
		return 0;
	}
	ret->current = container;
	ret->log_path = container ? container->log_path : NULL;
	return 0;
}

static void list(void *arg, struct cor_buf *out) {
	(void)arg;
	cor_buf_c(out, "{\"metadata\":{\"name\":\"pod\"}}");
}

/* ---- set up ---- */

static void loopback_up(void) {
	struct ifreq req = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	_cleanup_close_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_int_equal(ioctl(fd, SIOCSIFFLAGS, &req), 0);
}

/* A namespace of the pod's own, pinned by a bind mount. */
static void make_net_ns(void) {
	int ready[2];
	char byte, path[64];
	(void)snprintf(net_ns, sizeof(net_ns), "%s/netns", lab.dir);
	int fd = open(net_ns, O_CREAT | O_RDONLY | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	(void)close(fd);
	assert_int_equal(pipe(ready), 0);
	pid_t pid = fork();
	if (pid == 0) {
		if (unshare(CLONE_NEWNET) == 0)
			loopback_up();
		(void)!write(ready[1], "x", 1);
		(void)pause();
		_exit(0);
	}
	assert_int_equal(read(ready[0], &byte, 1), 1);
	(void)snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)pid);
	assert_int_equal(mount(path, net_ns, NULL, MS_BIND, NULL), 0);
	(void)kill(pid, SIGKILL);
	(void)waitpid(pid, NULL, 0);
	(void)close(ready[0]);
	(void)close(ready[1]);
}

static int enter(void **state) {
	struct cor_err err = { 0 };
	(void)state;
	rtlab_enter(&lab);
	loopback_up();
	make_net_ns();
	container = NULL;
	const struct cor_kubelet_config cfg = { .loop = &lab.loop, .world = lab.world, .rt = lab.rt,
		.node_name = "node-1", .data_dir = lab.data, .address = "127.0.0.1", .port = 0,
		.healthz_port = 0, .pods = { find, list, NULL } };
	if (cor_kubelet_new(&cfg, &kubelet, &err) < 0)
		fail_msg("%s", err.message);
	return 0;
}

static void closed(void *arg) {
	*(bool *)arg = true;
}

static int leave(void **state) {
	bool done = false;
	(void)state;
	cor_kubelet_close(kubelet, closed, &done);
	rtlab_until(&lab, &done);
	assert_int_equal(umount2(net_ns, MNT_DETACH), 0);
	rtlab_leave(&lab);
	return 0;
}

static void start(const char *const *argv, bool tty, bool stdin_open) {
	struct cor_container_spec spec = rtlab_spec(&lab, argv);
	spec.net_ns = net_ns;
	spec.tty = tty;
	spec.stdin_open = stdin_open;
	container = rtlab_start(&lab, &spec, NULL);
}

/* ---- clients ---- */

static int dial(int port) {
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0)
		_exit(1);
	return fd;
}

static void send_all(int fd, const void *p, size_t n) {
	if (send(fd, p, n, MSG_NOSIGNAL) != (ssize_t)n)
		_exit(1);
}

/* Runs client in a child and the loop here until it has ended; what it wrote to its argument. */
static void with_client(void (*client)(int out, const void *arg), const void *arg, struct cor_buf *answer) {
	int fds[2];
	assert_int_equal(pipe2(fds, O_NONBLOCK), 0);
	pid_t pid = fork();
	if (pid == 0) {
		(void)alarm(20);
		(void)fcntl(fds[1], F_SETFL, 0);
		client(fds[1], arg);
		_exit(0);
	}
	(void)close(fds[1]);
	for (int i = 0; i < 8000; i++) {
		char *room = cor_buf_reserve(answer, 4096);
		ssize_t n = read(fds[0], room, 4096);
		if (n == 0)
			break;
		if (n > 0)
			answer->n += (size_t)n;
		else
			rtlab_run(&lab, 2);
	}
	cor_buf_byte(answer, 0);
	answer->n--;
	(void)close(fds[0]);
	int status = -1;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

struct get {
	int port;
	const char *path;
};

static void get_client(int out, const void *arg) {
	const struct get *g = arg;
	char request[1024], buf[65536];
	int fd = dial(g->port), n = snprintf(request, sizeof(request),
		"GET %s HTTP/1.1\r\nHost: node\r\nConnection: close\r\n\r\n", g->path);
	send_all(fd, request, (size_t)n);
	ssize_t r;
	while ((r = recv(fd, buf, sizeof(buf), 0)) > 0)
		if (write(out, buf, (size_t)r) < 0)
			_exit(1);
}

/* Status and everything behind the head. Chunk sizes stay in, so texts are looked for, not compared. */
static int get(const char *path, struct cor_buf *answer) {
	const struct get g = { cor_kubelet_port(kubelet), path };
	int status = 0;
	with_client(get_client, &g, answer);
	assert_int_equal(sscanf(answer->p, "HTTP/1.1 %d", &status), 1);
	return status;
}

static void assert_has(const struct cor_buf *b, const char *text) {
	if (!cor_str_contains(cor_buf_view(b), cor_str_c(text)))
		fail_msg("no \"%s\" in \"%.*s\"", text, (int)b->n, b->p);
}

/* ---- WebSocket, as much as a client of channels needs ---- */

struct ws {
	const char *path;
	const char *input;              /* to stdin (or the first port), then its end; NULL: none */
	bool resize;
};

static void ws_send(int fd, uint8_t channel, const char *data, size_t n) {
	uint8_t frame[512] = { 0x82, (uint8_t)(0x80 | (n + 1)), 0, 0, 0, 0, channel };
	if (n > 100)
		_exit(1);
	memcpy(frame + 7, data, n);
	send_all(fd, frame, n + 7);     /* a mask of zeros changes nothing */
}

static bool recv_all(int fd, void *p, size_t n) {
	return recv(fd, p, n, MSG_WAITALL) == (ssize_t)n;
}

/* Writes "<channel>:<text>\n" for each frame. */
static void ws_frames(int fd, int out) {
	uint8_t head[2], ext[8];
	static uint8_t data[1 << 20];
	while (recv_all(fd, head, 2)) {
		uint64_t n = head[1] & 127, ext_n = n == 126 ? 2 : n == 127 ? 8 : 0;
		if (ext_n) {
			if (!recv_all(fd, ext, ext_n))
				return;
			n = 0;
			for (uint64_t i = 0; i < ext_n; i++)
				n = n << 8 | ext[i];
		}
		if (n >= sizeof(data) || !recv_all(fd, data, n) || (head[0] & 15) == 8)
			return;
		if (n < 2)
			continue;
		(void)dprintf(out, "%d:", data[0]);
		data[n] = '\n';
		if (write(out, data + 1, n) < 0)
			_exit(1);
	}
}

/* The answer's head is in head afterwards; what follows it is in the socket. */
static int ws_connect(const char *path, const char *protocol, char *head, size_t cap) {
	char request[1024];
	size_t got = 0;
	int fd = dial(cor_kubelet_port(kubelet)), n = snprintf(request, sizeof(request),
		"GET %s HTTP/1.1\r\nHost: node\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
		"Sec-WebSocket-Protocol: %s\r\n\r\n", path, protocol);
	send_all(fd, request, (size_t)n);
	do
		head[got] = 0;
	while (!strstr(head, "\r\n\r\n") && got < cap - 1 && recv(fd, head + got++, 1, 0) == 1);
	return fd;
}

static void ws_client(int out, const void *arg) {
	const struct ws *w = arg;
	char head[4096];
	int fd = ws_connect(w->path, "v5.channel.k8s.io", head, sizeof(head));
	if (strncmp(head, "HTTP/1.1 101", 12) != 0) {
		(void)dprintf(out, "%s", head);
		return;
	}
	if (w->resize)
		ws_send(fd, 4, "{\"Width\":77,\"Height\":33}", 24);
	if (w->input) {
		ws_send(fd, 0, w->input, strlen(w->input));
		ws_send(fd, 255, "\0", 1);        /* the end of channel 0 */
	}
	ws_frames(fd, out);
}

/* The old form of port-forward: channel 0 data, channel 1 errors; each begins with the port. */
static void forward_client(int out, const void *arg) {
	char head[4096];
	int fd = ws_connect(arg, "v4.channel.k8s.io", head, sizeof(head));
	(void)dprintf(out, "%.12s\n", head);
	ws_send(fd, 0, "ping", 4);
	const struct timeval limit = { .tv_usec = 500000 };
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	ws_frames(fd, out);
}

static void ws(const struct ws *w, struct cor_buf *answer) {
	with_client(ws_client, w, answer);
}

/* ---- tests ---- */

static void plain_paths(void **state) {
	(void)state;
	static const struct {
		const char *path;
		int status;
		const char *text;
	} cases[] = {
		{ "/healthz", 200, "ok" },
		{ "/healthz/ping", 200, "ok" },
		{ "/pods", 200, "{\"kind\":\"PodList\",\"apiVersion\":\"v1\",\"metadata\":{},\"items\":[{\"metadata\":{\"name\":\"pod\"}}]}" },
		{ "/runningpods/", 200, "PodList" },
		{ "/metrics", 200, "kubelet_node_name{node=\"node-1\"} 1" },
		{ "/nosuch", 404, "404 page not found" },
		{ "/podsx", 404, "404 page not found" },
		{ "/containerLogs/ns/pod", 404, "404 page not found" },
		{ "/run/ns/pod/c?cmd=ls", 405, "Method Not Allowed" },
		{ "/containerLogs/ns/other/c", 404, "pod \"other\" does not exist" },
		{ "/containerLogs/ns/pod/x", 404, "container \"x\" not found in pod \"pod\"" },
		{ "/containerLogs/ns/young/c", 400,
			"container \"c\" in pod \"young\" is waiting to start: trying and failing to pull image" },
		{ "/containerLogs/ns/pod/c?previous=true", 400,
			"previous terminated container \"c\" in pod \"pod\" not found" },
		{ "/containerLogs/ns/pod/c?tailLines=-1", 422, "tailLines" },
		{ "/containerLogs/ns/pod/c?tailLines=x", 400, "tailLines" },
		{ "/containerLogs/ns/pod/c?limitBytes=0", 422, "limitBytes" },
		{ "/containerLogs/ns/pod/c?sinceSeconds=0", 422, "sinceSeconds" },
		{ "/containerLogs/ns/pod/c?sinceSeconds=1&sinceTime=2026-01-01T00:00:00Z", 422, "at most one" },
		{ "/containerLogs/ns/pod/c?follow=maybe", 400, "follow" },
		{ "/exec/ns/pod/c?command=ls", 400, "you must specify at least 1 of stdin, stdout, stderr" },
		{ "/exec/ns/pod/c?command=ls&output=1", 500, "container not found (\"c\")" },
	};
	for (size_t i = 0; i < cor_countof(cases); i++) {
		_cleanup_buf_ struct cor_buf answer = COR_BUF_INIT;
		int status = get(cases[i].path, &answer);
		if (status != cases[i].status)
			fail_msg("%s: %.*s", cases[i].path, (int)answer.n, answer.p);
		assert_has(&answer, cases[i].text);
	}
	_cleanup_buf_ struct cor_buf answer = COR_BUF_INIT;
	const struct get health = { cor_kubelet_healthz_port(kubelet), "/healthz" };
	with_client(get_client, &health, &answer);
	assert_has(&answer, "200 OK");
}

static void logs(void **state) {
	(void)state;
	start(SH("echo first; sleep 0.3; echo second; sleep 0.3; echo third"), false, false);
	/* Follows to the end, however it came. */
	_cleanup_buf_ struct cor_buf all = COR_BUF_INIT, tail = COR_BUF_INIT, stamped = COR_BUF_INIT;
	assert_int_equal(get("/containerLogs/ns/pod/c?follow=true", &all), 200);
	assert_has(&all, "first\n");
	assert_has(&all, "second\n");
	assert_has(&all, "third\n");
	rtlab_wait_exit(&lab, container);
	assert_int_equal(get("/containerLogs/ns/pod/c?tailLines=1", &tail), 200);
	assert_has(&tail, "third\n");
	assert_false(cor_str_contains(cor_buf_view(&tail), COR_STR("second")));
	assert_int_equal(get("/containerLogs/ns/pod/c?timestamps=true&limitBytes=36", &stamped), 200);
	assert_has(&stamped, "Z first");
}

static void exec(void **state) {
	(void)state;
	start(ARGV("sleep", "1000"), false, false);
	static const struct {
		struct ws ws;
		const char *texts[3];
	} cases[] = {
		{ { "/exec/ns/pod/c?command=sh&command=-c&command=echo+out%3B+echo+err+%3E%262&output=1&error=1", NULL, false },
			{ "1:out\n", "2:err\n", "3:{\"metadata\":{},\"status\":\"Success\"" } },
		{ { "/exec/ns/pod/uid1/c?command=sh&command=-c&command=exit+3&output=1", NULL, false },
			{ "\"reason\":\"NonZeroExitCode\"", "\"reason\":\"ExitCode\",\"message\":\"3\"", "" } },
		{ { "/exec/ns/pod/c?command=cat&input=1&output=1", "typed\n", false },
			{ "1:typed\n", "\"status\":\"Success\"", "" } },
		{ { "/exec/ns/pod/c?command=nosuch&output=1", NULL, false },
			{ "Internal error occurred: error executing command in container: exec: \\\"nosuch\\\": "
			  "executable file not found in $PATH", "", "" } },
		{ { "/exec/ns/pod/c?command=sh&command=-c&command=sleep+0.2%3B+stty+size&input=1&output=1&tty=1", NULL, true },
			{ "1:33 77\r\n", "\"status\":\"Success\"", "" } },
	};
	for (size_t i = 0; i < cor_countof(cases); i++) {
		_cleanup_buf_ struct cor_buf answer = COR_BUF_INIT;
		ws(&cases[i].ws, &answer);
		for (int k = 0; k < 3; k++)
			if (cases[i].texts[k])
				assert_has(&answer, cases[i].texts[k]);
	}
}

static void attach(void **state) {
	(void)state;
	start(SH("read line; echo got $line; exit 5"), false, true);
	_cleanup_buf_ struct cor_buf answer = COR_BUF_INIT;
	ws(&(struct ws){ "/attach/ns/pod/c?input=1&output=1", "hello\n", false }, &answer);
	assert_has(&answer, "1:got hello\n");
	assert_has(&answer, "\"status\":\"Success\"");
}

static void port_forward(void **state) {
	(void)state;
	start(ARGV("nc", "-ll", "-p", "8080", "-e", "/bin/cat"), false, false);
	struct rtlab_exec x;
	for (int i = 0; i < 200; i++) {         /* it listens: 1F90 */
		rtlab_exec(&lab, container, SH("grep -c :1F90 /proc/net/tcp /proc/net/tcp6 | grep -v :0"), &x);
		bool up = x.code == 0;
		rtlab_exec_fini(&x);
		if (up)
			break;
	}
	_cleanup_buf_ struct cor_buf good = COR_BUF_INIT, bad = COR_BUF_INIT;
	with_client(forward_client, "/portForward/ns/pod?port=8080", &good);
	assert_has(&good, "0:ping");
	with_client(forward_client, "/portForward/ns/pod?port=8081", &bad);
	assert_has(&bad, "1:error forwarding port 8081 to pod pod, uid uid1: failed to connect to localhost:8081");
}

static void statistics(void **state) {
	(void)state;
	start(ARGV("sleep", "1000"), false, false);
	_cleanup_buf_ struct cor_buf summary = COR_BUF_INIT, metrics = COR_BUF_INIT;
	assert_int_equal(get("/stats/summary", &summary), 200);
	const char *body = strstr(summary.p, "\r\n\r\n");
	assert_non_null(body);
	_cleanup_(cor_arena_freep) struct cor_arena *a = cor_arena_new(0);
	const struct cor_node *doc = cor_node_parse(a, cor_str_c(body + 4), NULL, NULL);
	assert_non_null(doc);
	assert_true(cor_str_eq_c(cor_node_path_str(doc, "node.nodeName"), "node-1"));
	const struct cor_node *pods = cor_node_get_c(doc, "pods");
	assert_int_equal(pods->items.n, 1);
	assert_true(cor_str_eq_c(cor_node_path_str(pods->items.p[0], "podRef.name"), "pod"));
	int64_t used = 0;
	assert_true(cor_node_path_int(pods->items.p[0], "memory.workingSetBytes", &used));
	assert_true(used > 0);
	assert_int_equal(get("/metrics/resource", &metrics), 200);
	assert_has(&metrics, "container_cpu_usage_seconds_total{container=\"c\",namespace=\"ns\",pod=\"pod\"} ");
}

/* ---- who may use it ---- */

struct call {
	bool done;
	int status;
	struct cor_buf body;
};

static void call_done(void *arg, const struct cor_http_response *r, struct cor_str body,
	const struct cor_err *err) {
	struct call *c = arg;
	c->done = true;
	c->status = err ? err->code : r->status;
	cor_buf_str(&c->body, body);
	cor_buf_byte(&c->body, 0);
	c->body.n--;
}

static void issue(struct cor_pki_pair *ca, const char *cn, const char *org, struct cor_pki_pair *ret) {
	struct cor_err err = { 0 };
	const struct cor_str orgs[] = { cor_str_c(org) }, sans[] = { COR_STR("127.0.0.1") };
	cor_time now = cor_now(lab.world);
	const struct cor_pki_subject subject = { .cn = cor_str_c(cn), .orgs = orgs, .n_orgs = org ? 1 : 0,
		.sans = sans, .n_sans = 1, .server = true, .client = true, .not_before = now - COR_HOUR,
		.not_after = now + COR_HOUR };
	if (cor_pki_issue(ca, &subject, ret, &err) < 0)
		fail_msg("%s", err.message);
}

static void certificates(void **state) {
	(void)state;
	static const struct {
		const char *cn, *org;           /* cn NULL: no certificate */
		bool other_ca;
		const char *path;
		int status;
		const char *text;
	} cases[] = {
		{ NULL, NULL, false, "/pods", 401, "Unauthorized" },
		{ NULL, NULL, false, "/healthz", 401, "Unauthorized" },
		{ "eve", "developers", false, "/pods", 403,
			"Forbidden (user=eve, verb=get, resource=nodes, subresource(s)=[pods proxy])" },
		{ "eve", NULL, false, "/exec/ns/pod/c", 403, "subresource(s)=[proxy]" },
		{ "root", "system:masters", true, "/pods", 401, "Unauthorized" },
		{ "root", "system:masters", false, "/pods", 200, "PodList" },
		{ "kube-apiserver-kubelet-client", NULL, false, "/pods", 200, "PodList" },
	};
	struct cor_err err = { 0 };
	cor_time now = cor_now(lab.world);
	_cleanup_pki_pair_ struct cor_pki_pair ca = { 0 }, other = { 0 }, server = { 0 };
	assert_int_equal(cor_pki_make_ca(COR_STR("ca"), now - COR_HOUR, now + COR_HOUR, &ca, &err), 0);
	assert_int_equal(cor_pki_make_ca(COR_STR("ca"), now - COR_HOUR, now + COR_HOUR, &other, &err), 0);
	issue(&ca, "node-1", NULL, &server);
	struct cor_tls *tls = cor_tls_new(&(struct cor_tls_config){ .server = true, .no_http2 = true,
		.cert = cor_buf_view(&server.cert), .key = cor_buf_view(&server.key),
		.ca = cor_buf_view(&ca.cert) }, &err);
	assert_non_null(tls);
	struct cor_kubelet *secure = NULL;
	assert_int_equal(cor_kubelet_new(&(struct cor_kubelet_config){ .loop = &lab.loop, .world = lab.world,
		.rt = lab.rt, .tls = tls, .node_name = "node-1", .data_dir = lab.data, .address = "127.0.0.1",
		.healthz_port = -1, .pods = { find, list, NULL } }, &secure, &err), 0);
	for (size_t i = 0; i < cor_countof(cases); i++) {
		_cleanup_pki_pair_ struct cor_pki_pair mine = { 0 };
		struct cor_tls_config config = { .ca = cor_buf_view(&ca.cert) };
		if (cases[i].cn) {
			issue(cases[i].other_ca ? &other : &ca, cases[i].cn, cases[i].org, &mine);
			config.cert = cor_buf_view(&mine.cert);
			config.key = cor_buf_view(&mine.key);
		}
		struct cor_tls *client_tls = cor_tls_new(&config, &err);
		assert_non_null(client_tls);
		struct cor_http_client *client = cor_http_client_new(&(struct cor_http_client_config){
			.loop = &lab.loop, .tls = client_tls, .host = "127.0.0.1",
			.port = cor_kubelet_port(secure), .verify = true });
		struct call call = { 0 };
		(void)cor_http_call_new(client, &(struct cor_http_call_config){ .method = "GET",
			.path = cases[i].path, .ops = { .done = call_done }, .arg = &call });
		rtlab_until(&lab, &call.done);
		if (call.status != cases[i].status || !strstr(call.body.p, cases[i].text))
			fail_msg("case %zu: %d %s", i, call.status, call.body.p);
		cor_http_client_free(client);
		cor_tls_unref(client_tls);
		cor_buf_fini(&call.body);
	}
	bool done = false;
	cor_kubelet_close(secure, closed, &done);
	rtlab_until(&lab, &done);
	cor_tls_unref(tls);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(plain_paths, enter, leave),
		cmocka_unit_test_setup_teardown(logs, enter, leave),
		cmocka_unit_test_setup_teardown(exec, enter, leave),
		cmocka_unit_test_setup_teardown(attach, enter, leave),
		cmocka_unit_test_setup_teardown(port_forward, enter, leave),
		cmocka_unit_test_setup_teardown(statistics, enter, leave),
		cmocka_unit_test_setup_teardown(certificates, enter, leave),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
