// SPDX-License-Identifier: Apache-2.0
// The pod network on a real kernel, in a network namespace of the test's own: pods made by
// pod_net, traffic by real sockets, and nothing left behind. Needs root.
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "netlab.h"
#include "network/pod_net.h"

static char run_dir[100];
static struct cor_pod_net_config config = {
	.cluster = "net-test", .pod_cidr = { 0x0af42a00, 24 }, .service_cidr = { 0x0a600000, 12 },
	.dns_ip = 0x0a60000a, .mtu = 1400,
};

static struct cor_pod_net *open_net(void) {
	struct cor_pod_net *pn = NULL;
	struct cor_err err = { 0 };
	if (cor_pod_net_new(&config, &pn, &err) < 0)
		fail_msg("%s", err.message);
	return pn;
}

static struct cor_pod_ns make_pod(struct cor_pod_net *pn, const char *uid) {
	struct cor_err err = { 0 };
	struct cor_pod_ns ns;
	struct cor_pod_ns_spec spec = {
		.uid = cor_str_c(uid), .hostname = cor_str_c(uid), .host_ports = true,
	};
	if (cor_pod_ns_create(pn, &spec, &ns, &err) < 0)
		fail_msg("%s", err.message);
	return ns;
}

static void remove_net(struct cor_pod_net *pn) {
	struct cor_err err = { 0 };
	cor_pod_net_free(pn);
	if (cor_pod_net_remove_all(config.cluster, run_dir, &err) < 0)
		fail_msg("%s", err.message);
}

static void assert_nothing_left(void) {
	char cmd[300];
	assert_int_equal(lab_sh(NULL, "test \"$(ip -o link | wc -l)\" = \"$(ip -o link | grep -c "
		"-E ': (lo|tunl|sit|gre|erspan|ip6|ip_vti|ifb)')\""), 0);
	assert_int_equal(lab_sh(NULL, "test -z \"$(ip route show table main)\""), 0);
	snprintf(cmd, sizeof(cmd), "! grep -q %s/ns /proc/self/mounts && test ! -e %s/ns", run_dir,
		run_dir);
	assert_int_equal(lab_sh(NULL, cmd), 0);
}

static void pods_reach_each_other(void **state) {
	struct cor_pod_net *pn = open_net();
	struct cor_pod_ns a = make_pod(pn, "pod-a"), b = make_pod(pn, "pod-b");
	char out[100];
	assert_string_equal(a.ip, "10.244.42.2");
	assert_string_equal(b.ip, "10.244.42.3");
	pid_t server = lab_serve(b.net, b.ip, 80, "b");
	for (enum lab_proto proto = LAB_TCP; proto <= LAB_UDP; proto++) {
		assert_int_equal(lab_ask(a.net, proto, NULL, 0, b.ip, 80, out, sizeof(out)), 0);
		assert_string_equal(out, "b 10.244.42.2");
		assert_int_equal(lab_ask(NULL, proto, NULL, 0, b.ip, 80, out, sizeof(out)), 0);
		assert_string_equal(out, "b 10.244.42.1");
		/* Loopback of the pod is up. */
		assert_int_equal(lab_ask(b.net, proto, NULL, 0, b.ip, 80, out, sizeof(out)), 0);
		assert_string_equal(out, "b 10.244.42.3");
	}
	/* An address without a pod fails at once, from the node and from a pod. */
	assert_int_equal(lab_ask(NULL, LAB_TCP, NULL, 0, "10.244.42.77", 80, out, sizeof(out)),
		EHOSTUNREACH);
	assert_int_equal(lab_ask(a.net, LAB_TCP, NULL, 0, "10.244.42.77", 80, out, sizeof(out)),
		EHOSTUNREACH);
	/* A forged source address goes nowhere. */
	assert_int_equal(lab_sh(a.net, "ip addr add 10.244.42.3/32 dev eth0"), 0);
	assert_int_equal(lab_ask(a.net, LAB_UDP, "10.244.42.3", 0, "10.244.42.1", 80, out,
		sizeof(out)), ETIMEDOUT);
	lab_stop(server);
	remove_net(pn);
	assert_nothing_left();
}

static void namespaces_are_the_pods_own(void **state) {
	struct cor_pod_net *pn = open_net();
	struct stat before, after, pinned;
	assert_int_equal(stat("/proc/thread-self/ns/net", &before), 0);
	struct cor_kv sysctls[] = { { COR_STR("net.ipv4.tcp_fin_timeout"), COR_STR("17") },
		{ COR_STR("kernel.shm_rmid_forced"), COR_STR("1") } };
	struct cor_pod_ns_spec spec = { .uid = COR_STR("own"), .hostname = COR_STR("my-host"),
		.sysctls = sysctls, .sysctl_n = 2 };
	struct cor_pod_ns ns;
	struct cor_err err = { 0 };
	assert_int_equal(cor_pod_ns_create(pn, &spec, &ns, &err), 0);
	assert_int_equal(stat("/proc/thread-self/ns/net", &after), 0);
	assert_int_equal(before.st_ino, after.st_ino);
	assert_int_equal(stat(ns.net, &pinned), 0);
	assert_int_not_equal(before.st_ino, pinned.st_ino);

	char cmd[1600];
	snprintf(cmd, sizeof(cmd),
		"nsenter --net=%s --ipc=%s --uts=%s sh -c 'test $(hostname) = my-host && "
		"test $(cat /proc/sys/net/ipv4/tcp_fin_timeout) = 17 && "
		"test $(cat /proc/sys/kernel/shm_rmid_forced) = 1 && "
		"test $(cat /proc/sys/net/ipv4/ip_unprivileged_port_start) = 0 && "
		"ip link show eth0 | grep -q \"mtu 1400\"'", ns.net, ns.ipc, ns.uts);
	assert_int_equal(lab_sh(NULL, cmd), 0);
	assert_int_not_equal(lab_sh(NULL, "test $(cat /proc/sys/net/ipv4/tcp_fin_timeout) = 17"), 0);

	/* The same pod again is the same namespaces. */
	struct cor_pod_ns again;
	assert_int_equal(cor_pod_ns_create(pn, &spec, &again, &err), 0);
	assert_memory_equal(&ns, &again, sizeof(ns));

	/* Sysctls of the node are out of reach, and the failure leaves nothing behind. */
	static const char *const bad[] = { "kernel.panic", "net/../kernel/panic", "vm.swappiness", "" };
	for (size_t i = 0; i < cor_countof(bad); i++) {
		struct cor_kv kv = { cor_str_c(bad[i]), COR_STR("1") };
		spec = (struct cor_pod_ns_spec){ .uid = COR_STR("bad"), .hostname = COR_STR("h"),
			.sysctls = &kv, .sysctl_n = 1 };
		assert_int_equal(cor_pod_ns_create(pn, &spec, &ns, &err), COR_E_INVALID);
	}
	snprintf(cmd, sizeof(cmd), "test ! -e %s/ns/bad", run_dir);
	assert_int_equal(lab_sh(NULL, cmd), 0);

	/* The node's network: only IPC is the pod's own. */
	spec = (struct cor_pod_ns_spec){ .uid = COR_STR("host"), .host_net = true };
	assert_int_equal(cor_pod_ns_create(pn, &spec, &ns, &err), 0);
	assert_string_equal(ns.net, "");
	assert_string_equal(ns.uts, "");
	assert_string_equal(ns.ip, "");
	assert_int_equal(stat(ns.ipc, &pinned), 0);
	remove_net(pn);
	assert_nothing_left();
}

static void count_pod(struct cor_str uid, const char *ip, void *arg) {
	int *n = arg;
	n[0]++;
	n[1] += *ip != '\0';
}

static void a_new_agent_finds_the_pods(void **state) {
	struct cor_pod_net *pn = open_net();
	struct cor_pod_ns a = make_pod(pn, "pod-a"), b = make_pod(pn, "pod-b");
	struct cor_err err = { 0 };
	/* A link that was being made when the agent died: no alias. */
	char prefix[COR_IFNAME_MAX], cmd[200];
	cor_pod_net_link_prefix(config.cluster, prefix);
	snprintf(cmd, sizeof(cmd), "ip link add %s2a09 type veth peer name x", prefix);
	assert_int_equal(lab_sh(NULL, cmd), 0);
	cor_pod_net_free(pn);

	pn = open_net();
	snprintf(cmd, sizeof(cmd), "ip link show %s2a09", prefix);
	assert_int_not_equal(lab_sh(NULL, cmd), 0);
	int n[2] = { 0 };
	assert_int_equal(cor_pod_ns_list(pn, count_pod, n, &err), 0);
	assert_int_equal(n[0], 2);
	assert_int_equal(n[1], 2);
	struct cor_pod_ns a2 = make_pod(pn, "pod-a");
	assert_memory_equal(&a, &a2, sizeof(a));
	assert_int_equal(cor_pod_ns_destroy(pn, COR_STR("pod-a"), &err), 0);
	assert_int_equal(cor_pod_ns_destroy(pn, COR_STR("pod-a"), &err), 0);
	/* An address is not given out again at once. */
	struct cor_pod_ns c = make_pod(pn, "pod-c");
	assert_string_equal(c.ip, "10.244.42.4");
	assert_string_equal(b.ip, "10.244.42.3");
	remove_net(pn);
	assert_nothing_left();
}

static void addresses_run_out_with_a_clear_error(void **state) {
	struct cor_pod_net_config wide = config;
	config.pod_cidr.bits = 29;
	config.pod_cidr.addr = 0x0af42a08;
	struct cor_pod_net *pn = open_net();
	struct cor_err err = { 0 };
	struct cor_pod_ns ns;
	for (int i = 0; i < 5; i++) {
		char uid[20];
		snprintf(uid, sizeof(uid), "pod-%d", i);
		make_pod(pn, uid);
	}
	struct cor_pod_ns_spec spec = { .uid = COR_STR("more"), .hostname = COR_STR("h") };
	assert_int_equal(cor_pod_ns_create(pn, &spec, &ns, &err), COR_E_LIMIT);
	assert_non_null(strstr(err.message, "all 5 addresses"));
	assert_int_equal(cor_pod_ns_destroy(pn, COR_STR("pod-2"), &err), 0);
	assert_int_equal(cor_pod_ns_create(pn, &spec, &ns, &err), 0);
	assert_string_equal(ns.ip, "10.244.42.12");
	remove_net(pn);
	config = wide;
	assert_nothing_left();
}

int main(void) {
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(pods_reach_each_other),
		cmocka_unit_test(namespaces_are_the_pods_own),
		cmocka_unit_test(a_new_agent_finds_the_pods),
		cmocka_unit_test(addresses_run_out_with_a_clear_error),
	};
	snprintf(run_dir, sizeof(run_dir), "/run/coracle-test-net-%d", (int)getpid());
	lab_enter(run_dir);
	config.run_dir = run_dir;
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	/* The tmpfs goes with the mount namespace; the directory is the machine's. */
	if (fork() == 0) {
		char cmd[300];
		snprintf(cmd, sizeof(cmd), "umount %s; rmdir %s", run_dir, run_dir);
		execl("/bin/sh", "sh", "-c", cmd, NULL);
	}
	wait(NULL);
	return failed;
}
