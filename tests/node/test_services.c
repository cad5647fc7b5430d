// SPDX-License-Identifier: Apache-2.0
// Service rules on a real kernel with real connections: pods made by pod_net, a machine outside
// behind a veth pair, and servers that answer with their name and the address they saw.
// Everything is in a network namespace of the test's own. Needs root.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>

#include <cmocka.h>

#include "base/arena.h"
#include "codec/codec.h"
#include "gen/core_v1.h"
#include "gen/discovery_v1.h"
#include "netlab.h"
#include "network/pod_net.h"
#include "network/service_rules.h"

#define NODE_IP "192.0.2.1"
#define OUTSIDE_IP "192.0.2.2"
#define BALANCER_IP "198.51.100.7"

static char run_dir[100], outside[130];
static uv_loop_t loop;
static struct cor_world *world;
static struct cor_pod_net *pn;
static struct cor_svc_rules *rules;
static struct cor_arena *arena;
static struct cor_pod_ns a, b;
static pid_t servers[4];
static int last_sync;

/* ---- the bench ---- */

static void *decode(const struct cor_type *t, const char *json) {
	struct cor_decode d = { .arena = arena, .strict = true };
	struct cor_err err = { 0 };
	void *obj = NULL;
	if (cor_json_decode_new(t, cor_str_c(json), &obj, &d, &err) < 0)
		fail_msg("%s: %s", err.message, json);
	return obj;
}

/* A Service n/<name>; rest of spec, then of the object. */
static void service(const char *name, const char *spec, const char *more) {
	char json[1500];
	snprintf(json, sizeof(json), "{\"metadata\":{\"name\":\"%s\",\"namespace\":\"n\"},\"spec\":{%s}%s}",
		name, spec, more);
	cor_svc_rules_set_service(rules, decode(&cor_type_core_v1_Service, json));
}

/* Its endpoints at port 8080, TCP and UDP; each on this node unless its address begins with '-'. */
static void endpoints(const char *name, const char *const *ips) {
	char json[1500];
	int at = snprintf(json, sizeof(json), "{\"metadata\":{\"name\":\"%s-1\",\"namespace\":\"n\","
		"\"labels\":{\"kubernetes.io/service-name\":\"%s\"}},\"addressType\":\"IPv4\",\"ports\":["
		"{\"name\":\"\",\"port\":8080},{\"name\":\"u\",\"port\":8080,\"protocol\":\"UDP\"}],"
		"\"endpoints\":[", name, name);
	for (int i = 0; ips[i]; i++)
		at += snprintf(json + at, sizeof(json) - (size_t)at, "%s{\"addresses\":[\"%s\"],"
			"\"nodeName\":\"%s\"}", i ? "," : "", ips[i] + (ips[i][0] == '-'),
			ips[i][0] == '-' ? "away" : "here");
	snprintf(json + at, sizeof(json) - (size_t)at, "]}");
	cor_svc_rules_set_slice(rules, decode(&cor_type_discovery_v1_EndpointSlice, json));
}

#define ENDPOINTS(name, ...) endpoints(name, (const char *const[]){ __VA_ARGS__ __VA_OPT__(,) NULL })
#define BOTH "\"ports\":[{\"port\":80},{\"name\":\"u\",\"port\":80,\"protocol\":\"UDP\"}]"
#define BOTH_NODE "\"ports\":[{\"port\":80,\"nodePort\":30080},{\"name\":\"u\",\"port\":80,\"protocol\":" \
	"\"UDP\",\"nodePort\":30080}]"

static void note_sync(int code, void *arg) {
	last_sync = code;
}

static void nothing(uv_timer_t *t) {
}

/* Until all changes are in the kernel. */
static void settle(void) {
	uv_timer_t tick;
	uint64_t deadline = uv_hrtime() + 10000000000u;
	uv_timer_init(&loop, &tick);
	uv_timer_start(&tick, nothing, 5, 5);
	while (cor_svc_rules_busy(rules) && uv_hrtime() < deadline)
		uv_run(&loop, UV_RUN_ONCE);
	uv_close((uv_handle_t *)&tick, NULL);
	while (uv_is_active((uv_handle_t *)&tick) || uv_run(&loop, UV_RUN_NOWAIT) < 0)
		;
	assert_false(cor_svc_rules_busy(rules));
	assert_int_equal(last_sync, 0);
}

static void expect(const char *netns, enum lab_proto proto, const char *ip, int port,
	const char *answer) {
	char out[100];
	int rc = lab_ask(netns, proto, NULL, 0, ip, port, out, sizeof(out));
	if (rc != 0 || strcmp(out, answer) != 0)
		fail_msg("%s %s:%d from %s: %s \"%s\", want \"%s\"", proto ? "UDP" : "TCP", ip, port,
			netns ? netns : "the node", strerror(rc), out, answer);
}

static void expect_both(const char *netns, const char *ip, int port, const char *answer) {
	expect(netns, LAB_TCP, ip, port, answer);
	expect(netns, LAB_UDP, ip, port, answer);
}

static void expect_error(const char *netns, const char *ip, int port, int error) {
	char out[100];
	for (enum lab_proto proto = LAB_TCP; proto <= LAB_UDP; proto++) {
		int rc = lab_ask(netns, proto, NULL, 0, ip, port, out, sizeof(out));
		/* The kernel says so to a process of its own whose datagram is rejected. */
		if (!netns && proto == LAB_UDP && error == ECONNREFUSED && rc == EPERM)
			continue;
		if (rc != error)
			fail_msg("%s %s:%d from %s: %s \"%s\", want %s", proto ? "UDP" : "TCP", ip, port,
				netns ? netns : "the node", strerror(rc), out, strerror(error));
	}
}

static struct cor_pod_ns make_pod(const char *uid) {
	struct cor_err err = { 0 };
	struct cor_pod_ns ns;
	struct cor_pod_ns_spec spec = { .uid = cor_str_c(uid), .hostname = cor_str_c(uid),
		.host_ports = true };
	if (cor_pod_ns_create(pn, &spec, &ns, &err) < 0)
		fail_msg("%s", err.message);
	return ns;
}

static int setup(void **state) {
	struct cor_err err = { 0 };
	struct cor_pod_net_config pc = {
		.cluster = "svc-test", .run_dir = run_dir, .pod_cidr = { 0x0af42a00, 24 },
		.service_cidr = { 0x0a600000, 12 }, .dns_ip = 0x0a60000a,
	};
	struct cor_svc_rules_config rc = {
		.world = world, .cluster = "svc-test", .node = "here", .cluster_cidr = { 0x0af40000, 16 },
		.node_cidr = pc.pod_cidr, .service_cidr = pc.service_cidr, .dns_ip = pc.dns_ip,
	};
	if (cor_pod_net_new(&pc, &pn, &err) < 0 || cor_svc_rules_new(&rc, &rules, &err) < 0)
		fail_msg("%s", err.message);
	arena = cor_arena_new(0);
	cor_svc_rules_on_sync(rules, note_sync, NULL);
	a = make_pod("a");
	b = make_pod("b");
	servers[0] = lab_serve(a.net, a.ip, 8080, "a");
	servers[1] = lab_serve(b.net, b.ip, 8080, "b");
	servers[2] = lab_serve(outside, OUTSIDE_IP, 9000, "outside");
	servers[3] = lab_serve(NULL, "10.96.0.10", 53, "dns");
	cor_svc_rules_set_synced(rules);
	settle();
	return 0;
}

static int teardown(void **state) {
	struct cor_err err = { 0 };
	for (int i = 0; i < 4; i++)
		lab_stop(servers[i]);
	settle();
	cor_svc_rules_free(rules);
	cor_pod_net_free(pn);
	cor_arena_free(arena);
	assert_int_equal(cor_pod_net_remove_all("svc-test", run_dir, &err), 0);
	assert_int_equal(cor_svc_rules_remove_all("svc-test", &err), 0);
	assert_int_equal(cor_svc_rules_remove_all("svc-test", &err), 0);
	assert_int_equal(lab_sh(NULL, "test -z \"$(nft list ruleset)\""), 0);
	return 0;
}

/* ---- tests ---- */

static void cluster_ip(void **state) {
	service("web", "\"clusterIP\":\"10.96.1.1\"," BOTH, "");
	settle();
	/* No slice yet: refused at once, for pods and the node. */
	expect_error(a.net, "10.96.1.1", 80, ECONNREFUSED);
	expect_error(NULL, "10.96.1.1", 80, ECONNREFUSED);
	ENDPOINTS("web", b.ip);
	settle();
	expect_both(a.net, "10.96.1.1", 80, "b 10.244.42.2");
	expect_both(NULL, "10.96.1.1", 80, "b 10.244.42.1");
	/* Itself, through the service. */
	expect_both(b.net, "10.96.1.1", 80, "b 10.244.42.1");
	/* A port or an address that no service has never leaves the node. */
	expect_error(a.net, "10.96.1.1", 81, ECONNREFUSED);
	expect_error(a.net, "10.99.9.9", 80, ECONNREFUSED);
	expect_error(NULL, "10.99.9.9", 80, ECONNREFUSED);
	/* The other pod takes over, and nobody does. */
	ENDPOINTS("web", a.ip);
	settle();
	expect_both(b.net, "10.96.1.1", 80, "a 10.244.42.3");
	ENDPOINTS("web");
	settle();
	expect_error(b.net, "10.96.1.1", 80, ECONNREFUSED);
	/* One of two protocols goes. */
	ENDPOINTS("web", a.ip);
	service("web", "\"clusterIP\":\"10.96.1.1\",\"ports\":[{\"port\":80}]", "");
	settle();
	char out[100];
	expect(b.net, LAB_TCP, "10.96.1.1", 80, "a 10.244.42.3");
	assert_int_equal(lab_ask(b.net, LAB_UDP, NULL, 0, "10.96.1.1", 80, out, sizeof(out)),
		ECONNREFUSED);
	cor_svc_rules_del_service(rules, COR_STR("n"), COR_STR("web"));
	settle();
	expect_error(b.net, "10.96.1.1", 80, ECONNREFUSED);
}

static void node_port(void **state) {
	service("np", "\"type\":\"NodePort\",\"clusterIP\":\"10.96.1.2\"," BOTH_NODE, "");
	ENDPOINTS("np", b.ip);
	settle();
	expect_both(outside, NODE_IP, 30080, "b 10.244.42.1");
	expect_both(NULL, NODE_IP, 30080, "b 10.244.42.1");
	expect_both(a.net, NODE_IP, 30080, "b 10.244.42.1");
	expect_both(b.net, NODE_IP, 30080, "b 10.244.42.1");
	expect_both(a.net, "10.96.1.2", 80, "b 10.244.42.2");
	expect_error(outside, NODE_IP, 30081, ECONNREFUSED);
	/* Local: the source stays; without a local endpoint only the node's own traffic goes on. */
	service("np", "\"type\":\"NodePort\",\"externalTrafficPolicy\":\"Local\",\"clusterIP\":\"10.96.1.2\","
		BOTH_NODE, "");
	settle();
	expect_both(outside, NODE_IP, 30080, "b " OUTSIDE_IP);
	expect_both(NULL, NODE_IP, 30080, "b 10.244.42.1");
	expect_both(a.net, NODE_IP, 30080, "b 10.244.42.2");
	char away[20];
	snprintf(away, sizeof(away), "-%s", b.ip);
	ENDPOINTS("np", away);
	settle();
	expect_error(outside, NODE_IP, 30080, ETIMEDOUT);
	expect_both(a.net, NODE_IP, 30080, "b 10.244.42.2");
	ENDPOINTS("np");
	settle();
	expect_error(outside, NODE_IP, 30080, ECONNREFUSED);
	cor_svc_rules_del_service(rules, COR_STR("n"), COR_STR("np"));
}

static void balancer(void **state) {
	static const char more[] = ",\"status\":{\"loadBalancer\":{\"ingress\":[{\"ip\":\"" BALANCER_IP "\"}]}}";
	service("lb", "\"type\":\"LoadBalancer\",\"clusterIP\":\"10.96.1.3\",\"externalIPs\":[\"198.51.100.8\"],"
		BOTH, more);
	ENDPOINTS("lb", a.ip, b.ip);
	ENDPOINTS("lb", a.ip);
	settle();
	expect_both(outside, BALANCER_IP, 80, "a 10.244.42.1");
	expect_both(outside, "198.51.100.8", 80, "a 10.244.42.1");
	expect_both(b.net, BALANCER_IP, 80, "a 10.244.42.1");
	expect_both(NULL, BALANCER_IP, 80, "a 10.244.42.1");
	service("lb", "\"type\":\"LoadBalancer\",\"clusterIP\":\"10.96.1.3\",\"loadBalancerSourceRanges\":["
		"\"192.0.2.128/25\"]," BOTH, more);
	settle();
	expect_error(outside, BALANCER_IP, 80, ETIMEDOUT);
	expect_both(b.net, "10.96.1.3", 80, "a 10.244.42.3");
	service("lb", "\"type\":\"LoadBalancer\",\"clusterIP\":\"10.96.1.3\",\"loadBalancerSourceRanges\":["
		"\"192.0.2.0/25\",\"192.0.2.0/24\"]," BOTH, more);
	settle();
	expect_both(outside, BALANCER_IP, 80, "a 10.244.42.1");
	/* A second one with the same address and port waits until the first is gone. */
	service("lb2", "\"type\":\"LoadBalancer\",\"clusterIP\":\"10.96.1.4\"," BOTH, more);
	ENDPOINTS("lb2", b.ip);
	settle();
	expect_both(outside, BALANCER_IP, 80, "a 10.244.42.1");
	expect_both(a.net, "10.96.1.4", 80, "b 10.244.42.2");
	cor_svc_rules_del_service(rules, COR_STR("n"), COR_STR("lb"));
	settle();
	expect_both(outside, BALANCER_IP, 80, "b 10.244.42.1");
	cor_svc_rules_del_service(rules, COR_STR("n"), COR_STR("lb2"));
}

/* Asks n times; bit 0: a answered, bit 1: b did. */
static int who(int n) {
	int seen = 0;
	for (int i = 0; i < n; i++) {
		char out[100];
		assert_int_equal(lab_ask(NULL, LAB_TCP, NULL, 0, "10.96.1.5", 80, out, sizeof(out)), 0);
		seen |= out[0] == 'a' ? 1 : 2;
	}
	return seen;
}

static void affinity(void **state) {
	static const char with[] = "\"clusterIP\":\"10.96.1.5\",\"sessionAffinity\":\"ClientIP\",\"ports\":["
		"{\"port\":80}]";
	static const char without[] = "\"clusterIP\":\"10.96.1.5\",\"ports\":[{\"port\":80}]";
	service("aff", with, "");
	ENDPOINTS("aff", a.ip, b.ip);
	settle();
	int first = who(15);
	assert_true(first == 1 || first == 2);
	/* It is per client: the endpoint stays when another one comes back, and moves when it goes. */
	ENDPOINTS("aff", first == 1 ? b.ip : a.ip);
	settle();
	assert_int_equal(who(3), 3 - first);
	ENDPOINTS("aff", a.ip, b.ip);
	settle();
	assert_int_equal(who(15), 3 - first);
	service("aff", without, "");
	settle();
	assert_int_equal(who(40), 3);
	service("aff", with, "");
	settle();
	assert_int_not_equal(who(15), 3);
	cor_svc_rules_del_service(rules, COR_STR("n"), COR_STR("aff"));
}

static void host_ports(void **state) {
	struct cor_host_port ports[] = {
		{ COR_STR("127.0.0.1"), COR_STR("TCP"), 54323, 8080 },
		{ COR_STR("127.0.0.1"), COR_STR("UDP"), 54323, 8080 },
	};
	cor_svc_rules_set_host_ports(rules, COR_STR("a"), a.ip, ports, 2);
	ports[0].host_ip = ports[1].host_ip = COR_STR(NODE_IP);
	cor_svc_rules_set_host_ports(rules, COR_STR("b"), b.ip, ports, 2);
	settle();
	expect_both(NULL, "127.0.0.1", 54323, "a 10.244.42.1");
	expect_both(NULL, NODE_IP, 54323, "b 192.0.2.1");
	expect_both(outside, NODE_IP, 54323, "b " OUTSIDE_IP);
	expect_both(a.net, NODE_IP, 54323, "b 10.244.42.2");
	expect_both(b.net, NODE_IP, 54323, "b 10.244.42.1");
	/* From the node's address to loopback, as a host-network pod may ask. */
	char out[100];
	assert_int_equal(lab_ask(NULL, LAB_TCP, NODE_IP, 0, "127.0.0.1", 54323, out, sizeof(out)), 0);
	assert_string_equal(out, "a 192.0.2.1");
	ports[0].host_ip = ports[1].host_ip = COR_STR("");
	cor_svc_rules_set_host_ports(rules, COR_STR("b"), b.ip, ports, 0);
	settle();
	expect_error(outside, NODE_IP, 54323, ECONNREFUSED);
	cor_svc_rules_set_host_ports(rules, COR_STR("a"), a.ip, ports, 2);
	settle();
	expect_both(outside, NODE_IP, 54323, "a " OUTSIDE_IP);
	cor_svc_rules_set_host_ports(rules, COR_STR("a"), a.ip, NULL, 0);
}

static void pods_and_the_rest_of_the_world(void **state) {
	expect_both(a.net, OUTSIDE_IP, 9000, "outside " NODE_IP);
	expect_both(a.net, b.ip, 8080, "b 10.244.42.2");
	/* The DNS address is the node's own; its other ports are nobody's. */
	service("kube-dns", "\"clusterIP\":\"10.96.0.10\",\"ports\":[{\"port\":53},{\"name\":\"u\",\"port\":53,"
		"\"protocol\":\"UDP\"}]", "");
	settle();
	expect_both(a.net, "10.96.0.10", 53, "dns 10.244.42.2");
	expect(NULL, LAB_UDP, "10.96.0.10", 53, "dns 10.96.0.10");
	expect_error(a.net, "10.96.0.10", 8080, ECONNREFUSED);
	/* A pod does not reach the node's loopback, although its link may carry such addresses. */
	pid_t secret = lab_serve(NULL, "127.0.0.1", 7000, "secret");
	assert_int_equal(lab_sh(a.net, "ip addr del 127.0.0.1/8 dev lo; ip route add 127.0.0.1 via "
		"10.244.42.1 dev eth0 onlink; echo 1 > /proc/sys/net/ipv4/conf/all/route_localnet; true"), 0);
	char out[100];
	assert_int_not_equal(lab_ask(a.net, LAB_UDP, a.ip, 0, "127.0.0.1", 7000, out, sizeof(out)), 0);
	lab_stop(secret);
	cor_svc_rules_del_service(rules, COR_STR("n"), COR_STR("kube-dns"));
}

/* A client that keeps its port is not left with an endpoint that is gone. */
static void udp_with_a_fixed_port(void **state) {
	char out[100];
	service("udp", "\"type\":\"NodePort\",\"clusterIP\":\"10.96.1.6\"," BOTH_NODE, "");
	ENDPOINTS("udp", a.ip);
	settle();
	static const struct {
		const char *ip;
		int port;
	} at[] = { { "10.96.1.6", 80 }, { NODE_IP, 30080 } };
	for (int round = 0; round < 4; round++) {
		ENDPOINTS("udp", round % 2 ? b.ip : a.ip);
		settle();
		for (size_t i = 0; i < 2; i++) {
			assert_int_equal(lab_ask(NULL, LAB_UDP, NULL, 4567, at[i].ip, at[i].port, out,
				sizeof(out)), 0);
			assert_int_equal(out[0], round % 2 ? 'b' : 'a');
		}
	}
	cor_svc_rules_del_service(rules, COR_STR("n"), COR_STR("udp"));
}

/* Chains and sets that nothing refers to go a moment later; a table that somebody deleted or
 * emptied comes back. */
static void the_table_is_kept_tidy(void **state) {
	service("tidy", "\"clusterIP\":\"10.96.1.7\",\"sessionAffinity\":\"ClientIP\"," BOTH, "");
	ENDPOINTS("tidy", a.ip, b.ip);
	settle();
	assert_int_equal(lab_sh(NULL, "nft list table ip coracle-svc-test | grep -q n/tidy"), 0);
	cor_svc_rules_del_service(rules, COR_STR("n"), COR_STR("tidy"));
	settle();
	uint64_t deadline = uv_hrtime() + 10000000000u;
	uv_timer_t tick;
	uv_timer_init(&loop, &tick);
	uv_timer_start(&tick, nothing, 50, 50);
	int left = 0;
	do
		uv_run(&loop, UV_RUN_ONCE);
	while ((left = lab_sh(NULL, "nft list table ip coracle-svc-test | grep -qE '(chain|set) .*n/'")) == 0
		&& uv_hrtime() < deadline);
	uv_close((uv_handle_t *)&tick, NULL);
	uv_run(&loop, UV_RUN_NOWAIT);
	assert_int_equal(left, 1);

	service("again", "\"clusterIP\":\"10.96.1.8\"," BOTH, "");
	ENDPOINTS("again", a.ip);
	settle();
	assert_int_equal(lab_sh(NULL, "nft delete table ip coracle-svc-test"), 0);
	ENDPOINTS("again", b.ip);
	uint64_t until = uv_hrtime() + 10000000000u;
	/* The transaction fails once and is written in full. */
	do {
		uv_run(&loop, UV_RUN_ONCE);
	} while (cor_svc_rules_busy(rules) && uv_hrtime() < until);
	settle();
	expect_both(a.net, "10.96.1.8", 80, "b 10.244.42.2");
	cor_svc_rules_del_service(rules, COR_STR("n"), COR_STR("again"));
}

/* What an earlier agent left stays until the new one knows everything, and is replaced then. */
static void nothing_is_written_before_the_feed_is_complete(void **state) {
	service("old", "\"clusterIP\":\"10.96.1.9\"," BOTH, "");
	ENDPOINTS("old", b.ip);
	settle();
	struct cor_svc_rules *first = rules;
	struct cor_err err = { 0 };
	struct cor_svc_rules_config rc = {
		.world = world, .cluster = "svc-test", .node = "here", .cluster_cidr = { 0x0af40000, 16 },
		.node_cidr = { 0x0af42a00, 24 }, .service_cidr = { 0x0a600000, 12 }, .dns_ip = 0x0a60000a,
	};
	assert_int_equal(cor_svc_rules_new(&rc, &rules, &err), 0);
	cor_svc_rules_on_sync(rules, note_sync, NULL);
	service("new", "\"clusterIP\":\"10.96.1.10\"," BOTH, "");
	ENDPOINTS("new", b.ip);
	for (int i = 0; i < 20; i++)
		uv_run(&loop, UV_RUN_NOWAIT);
	assert_true(cor_svc_rules_busy(rules));
	expect_both(a.net, "10.96.1.9", 80, "b 10.244.42.2");
	expect_error(a.net, "10.96.1.10", 80, ECONNREFUSED);
	cor_svc_rules_set_synced(rules);
	settle();
	expect_error(a.net, "10.96.1.9", 80, ECONNREFUSED);
	expect_both(a.net, "10.96.1.10", 80, "b 10.244.42.2");
	cor_svc_rules_free(first);
	cor_svc_rules_del_service(rules, COR_STR("n"), COR_STR("new"));
}

int main(int argc, char **argv) {
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(cluster_ip, setup, teardown),
		cmocka_unit_test_setup_teardown(node_port, setup, teardown),
		cmocka_unit_test_setup_teardown(balancer, setup, teardown),
		cmocka_unit_test_setup_teardown(affinity, setup, teardown),
		cmocka_unit_test_setup_teardown(host_ports, setup, teardown),
		cmocka_unit_test_setup_teardown(pods_and_the_rest_of_the_world, setup, teardown),
		cmocka_unit_test_setup_teardown(udp_with_a_fixed_port, setup, teardown),
		cmocka_unit_test_setup_teardown(the_table_is_kept_tidy, setup, teardown),
		cmocka_unit_test_setup_teardown(nothing_is_written_before_the_feed_is_complete, setup, teardown),
	};
	char cmd[600];
	cmocka_set_test_filter(argc > 1 ? argv[1] : NULL);
	snprintf(run_dir, sizeof(run_dir), "/run/coracle-test-svc-%d", (int)getpid());
	lab_enter(run_dir);
	snprintf(outside, sizeof(outside), "%s/outside", run_dir);
	lab_netns(outside);
	snprintf(cmd, sizeof(cmd), "ip link add up1 type veth peer name up0 netns %d && ip addr add "
		OUTSIDE_IP "/24 dev up1 && ip link set up1 up && ip route add default via " NODE_IP,
		(int)getpid());
	if (lab_sh(outside, cmd) != 0 || lab_sh(NULL, "ip link set lo up && ip addr add " NODE_IP
		"/24 dev up0 && ip link set up0 up && ip route add default via " OUTSIDE_IP) != 0) {
		fprintf(stderr, "cannot build the laboratory\n");
		return 99;
	}
	uv_loop_init(&loop);
	world = cor_world_uv_new(&loop);
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	if (fork() == 0) {
		snprintf(cmd, sizeof(cmd), "umount -l %s; rmdir %s", run_dir, run_dir);
		execl("/bin/sh", "sh", "-c", cmd, NULL);
	}
	wait(NULL);
	return failed;
}
