// SPDX-License-Identifier: Apache-2.0
// What services become in the table, without a kernel: objects in, items and transaction texts out.
// Each case lists everything that the service wants, one "name key -> value" a line.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/arena.h"
#include "codec/codec.h"
#include "network/rules_priv.h"

static struct cor_arena *arena;

static const struct rules_env env = {
	.table = "coracle-t", .prefix = "corabcde-", .cluster_cidr = { 0x0af40000, 16 },
	.node_cidr = { 0x0af40000, 29 }, .service_cidr = { 0x0a600000, 12 }, .dns_ip = 0x0a60000a,
	.zone = (char *)",z1,",
};

static void *decode(const struct cor_type *t, const char *json) {
	struct cor_decode d = { .arena = arena, .strict = true };
	struct cor_err err = { 0 };
	void *obj = NULL;
	if (cor_json_decode_new(t, cor_str_c(json), &obj, &d, &err) < 0)
		fail_msg("%s: %s", err.message, json);
	if (d.errors.n > 0)
		fail_msg("%.*s", COR_STR_ARG(d.errors.p[0]));
	return obj;
}

static void set_service(struct net_model *m, const char *spec_and_status) {
	char json[1500];
	snprintf(json, sizeof(json), "{\"metadata\":{\"name\":\"s\",\"namespace\":\"n\"},%s}",
		spec_and_status);
	net_model_set_service(m, decode(&cor_type_core_v1_Service, json));
}

static void set_slice(struct net_model *m, const char *endpoints) {
	char json[1500];
	snprintf(json, sizeof(json), "{\"metadata\":{\"name\":\"s-1\",\"namespace\":\"n\",\"labels\":{"
		"\"kubernetes.io/service-name\":\"s\"}},\"addressType\":\"IPv4\",\"ports\":["
		"{\"name\":\"\",\"port\":8080},{\"name\":\"u\",\"port\":5353,\"protocol\":\"UDP\"}],"
		"\"endpoints\":[%s]}", endpoints);
	net_model_set_slice(m, decode(&cor_type_discovery_v1_EndpointSlice, json));
}

static const char *const names[IT_MAX] = { "affinity", "chain", "service", "nodeport", "none",
	"nonenode", "firewall", "hostport", "hostportany" };

static void render(const struct items *items, char *out, size_t cap) {
	size_t at = 0;
	out[0] = '\0';
	for (size_t i = 0; i < items->n; i++)
		at += (size_t)snprintf(out + at, cap - at, "%s %s -> %s\n", names[items->p[i].kind],
			items->p[i].key, items->p[i].value);
	for (char *p = out; *p; p++) {
		/* Rules of a chain on one line. */
		if (*p == '\n' && p[1] && p[1] != '\n') {
			bool item = false;
			for (size_t k = 0; k < IT_MAX; k++)
				item |= strncmp(p + 1, names[k], strlen(names[k])) == 0 &&
					p[1 + strlen(names[k])] == ' ';
			if (!item)
				*p = ';';
		}
	}
	for (char *p; (p = strstr(out, "\n\n"));)
		memmove(p, p + 1, strlen(p));
}

#define EP(ip, more) "{\"addresses\":[\"" ip "\"]" more "}"
#define HERE ",\"nodeName\":\"here\""
#define AWAY ",\"nodeName\":\"away\""
#define NOT_READY ",\"conditions\":{\"ready\":false,\"serving\":false,\"terminating\":false}"
#define GOING ",\"conditions\":{\"ready\":false,\"serving\":true,\"terminating\":true}"
#define GONE ",\"conditions\":{\"ready\":false,\"serving\":false,\"terminating\":true}"
#define CIP "\"clusterIP\":\"10.96.1.1\",\"clusterIPs\":[\"10.96.1.1\"]"
#define P80 "\"ports\":[{\"port\":80}]"
#define NP "\"ports\":[{\"port\":80,\"nodePort\":30080}]"
#define TO(n, list) "meta l4proto tcp dnat ip to numgen random mod " n " map { " list " }\n"
#define A1 "10.244.0.5 . 8080"
#define A2 "10.244.1.6 . 8080"

static void what_services_want(void **state) {
	static const struct {
		const char *what, *service, *endpoints, *expect;
	} t[] = {
		{ "cluster IP", "\"spec\":{" CIP "," P80 "}", EP("10.244.1.6", AWAY) "," EP("10.244.0.5", HERE),
			"chain cluster/n/s/tcp/80 -> " TO("2", "0 : " A1 ", 1 : " A2)
			"service 10.96.1.1 . tcp . 80 -> goto cluster/n/s/tcp/80\n" },
		{ "no endpoint", "\"spec\":{" CIP "," P80 "}", "",
			"none 10.96.1.1 . tcp . 80 -> goto reject-new\n" },
		{ "none that is ready", "\"spec\":{" CIP "," P80 "}",
			EP("10.244.0.5", NOT_READY) "," EP("10.244.0.7", GONE),
			"none 10.96.1.1 . tcp . 80 -> goto reject-new\n" },
		{ "only one that is going", "\"spec\":{" CIP "," P80 "}",
			EP("10.244.0.5", GOING) "," EP("10.244.1.6", NOT_READY),
			"chain cluster/n/s/tcp/80 -> " TO("1", "0 : " A1)
			"service 10.96.1.1 . tcp . 80 -> goto cluster/n/s/tcp/80\n" },
		{ "going ones wait behind ready ones", "\"spec\":{" CIP "," P80 "}",
			EP("10.244.0.5", GOING) "," EP("10.244.1.6", ""),
			"chain cluster/n/s/tcp/80 -> " TO("1", "0 : " A2)
			"service 10.96.1.1 . tcp . 80 -> goto cluster/n/s/tcp/80\n" },
		{ "two protocols on one port", "\"spec\":{" CIP ",\"ports\":[{\"port\":80},"
			"{\"name\":\"u\",\"port\":80,\"protocol\":\"UDP\"}]}", EP("10.244.0.5", ""),
			"chain cluster/n/s/tcp/80 -> " TO("1", "0 : " A1)
			"chain cluster/n/s/udp/80 -> meta l4proto udp dnat ip to numgen random mod 1 map "
			"{ 0 : 10.244.0.5 . 5353 }\n"
			"service 10.96.1.1 . tcp . 80 -> goto cluster/n/s/tcp/80\n"
			"service 10.96.1.1 . udp . 80 -> goto cluster/n/s/udp/80\n" },
		{ "a port that no slice has", "\"spec\":{" CIP ",\"ports\":[{\"name\":\"x\",\"port\":80}]}",
			EP("10.244.0.5", ""), "none 10.96.1.1 . tcp . 80 -> goto reject-new\n" },
		{ "headless", "\"spec\":{\"clusterIP\":\"None\"," P80 "}", EP("10.244.0.5", ""), "" },
		{ "external name", "\"spec\":{\"type\":\"ExternalName\",\"externalName\":\"a.b\"," P80 "}",
			EP("10.244.0.5", ""), "" },
		{ "the DNS of this node", "\"spec\":{\"clusterIP\":\"10.96.0.10\"," P80 "}",
			EP("10.244.0.5", ""), "" },
		{ "IPv6 only", "\"spec\":{\"clusterIP\":\"fd00::1\"," P80 "}", EP("10.244.0.5", ""),
			"chain cluster/n/s/tcp/80 -> " TO("1", "0 : " A1) },
		{ "node port", "\"spec\":{\"type\":\"NodePort\"," CIP "," NP "}", EP("10.244.0.5", ""),
			"chain cluster/n/s/tcp/80 -> " TO("1", "0 : " A1)
			"chain external/n/s/tcp/80 -> meta mark set meta mark or 0x4000;"
			"goto cluster/n/s/tcp/80\n"
			"service 10.96.1.1 . tcp . 80 -> goto cluster/n/s/tcp/80\n"
			"nodeport tcp . 30080 -> goto external/n/s/tcp/80\n" },
		{ "node port without endpoints", "\"spec\":{\"type\":\"NodePort\"," CIP "," NP "}", "",
			"none 10.96.1.1 . tcp . 80 -> goto reject-new\n"
			"nonenode tcp . 30080 -> goto reject-new\n" },
		{ "a node port of a plain cluster IP does not count", "\"spec\":{" CIP "," NP "}",
			EP("10.244.0.5", ""), "chain cluster/n/s/tcp/80 -> " TO("1", "0 : " A1)
			"service 10.96.1.1 . tcp . 80 -> goto cluster/n/s/tcp/80\n" },
		{ "balancer, external address given twice, source ranges",
			"\"spec\":{\"type\":\"LoadBalancer\"," CIP "," P80 ",\"externalIPs\":[\"192.0.2.9\"],"
			"\"loadBalancerSourceRanges\":[\"10.0.0.0/8\",\" 10.1.0.0/16\",\"fd00::/8\"]},\"status\":{"
			"\"loadBalancer\":{\"ingress\":[{\"ip\":\"192.0.2.9\"},{\"ip\":\"192.0.2.8\","
			"\"ipMode\":\"Proxy\"},{\"hostname\":\"x\"}]}}", EP("10.244.0.5", ""),
			"chain cluster/n/s/tcp/80 -> " TO("1", "0 : " A1)
			"chain external/n/s/tcp/80 -> meta mark set meta mark or 0x4000;"
			"goto cluster/n/s/tcp/80\n"
			"chain firewall/n/s/tcp/80 -> ip saddr 10.0.0.0/8 return;ip saddr 10.1.0.0/16 return;"
			"ip saddr 192.0.2.9 return;drop\n"
			"service 10.96.1.1 . tcp . 80 -> goto cluster/n/s/tcp/80\n"
			"service 192.0.2.9 . tcp . 80 -> goto external/n/s/tcp/80\n"
			"firewall 192.0.2.9 . tcp . 80 -> goto firewall/n/s/tcp/80\n" },
		{ "a range of everybody is none",
			"\"spec\":{\"type\":\"LoadBalancer\"," CIP "," P80 ",\"loadBalancerSourceRanges\":["
			"\"10.0.0.0/8\",\"0.0.0.0/0\"]},\"status\":{\"loadBalancer\":{\"ingress\":["
			"{\"ip\":\"192.0.2.9\"}]}}", "",
			"none 10.96.1.1 . tcp . 80 -> goto reject-new\n"
			"none 192.0.2.9 . tcp . 80 -> goto reject-new\n" },
		{ "external traffic stays local", "\"spec\":{\"type\":\"NodePort\",\"externalTrafficPolicy\":"
			"\"Local\"," CIP "," NP "}", EP("10.244.0.5", HERE) "," EP("10.244.1.6", AWAY),
			"chain cluster/n/s/tcp/80 -> " TO("2", "0 : " A1 ", 1 : " A2)
			"chain external/n/s/tcp/80 -> ip saddr 10.244.0.0/16 goto cluster/n/s/tcp/80;"
			"fib saddr type local meta mark set meta mark or 0x4000;"
			"fib saddr type local goto cluster/n/s/tcp/80;goto local/n/s/tcp/80\n"
			"chain local/n/s/tcp/80 -> " TO("1", "0 : " A1)
			"service 10.96.1.1 . tcp . 80 -> goto cluster/n/s/tcp/80\n"
			"nodeport tcp . 30080 -> goto external/n/s/tcp/80\n" },
		{ "external traffic stays local, and there is none", "\"spec\":{\"type\":\"NodePort\","
			"\"externalTrafficPolicy\":\"Local\"," CIP "," NP "}", EP("10.244.1.6", AWAY),
			"chain cluster/n/s/tcp/80 -> " TO("1", "0 : " A2)
			"chain external/n/s/tcp/80 -> ip saddr 10.244.0.0/16 goto cluster/n/s/tcp/80;"
			"fib saddr type local meta mark set meta mark or 0x4000;"
			"fib saddr type local goto cluster/n/s/tcp/80\n"
			"service 10.96.1.1 . tcp . 80 -> goto cluster/n/s/tcp/80\n"
			"nodeport tcp . 30080 -> goto external/n/s/tcp/80\n"
			"nonenode tcp . 30080 -> drop\n" },
		{ "internal traffic stays local", "\"spec\":{\"internalTrafficPolicy\":\"Local\"," CIP "," P80 "}",
			EP("10.244.0.5", HERE) "," EP("10.244.1.6", AWAY),
			"chain local/n/s/tcp/80 -> " TO("1", "0 : " A1)
			"service 10.96.1.1 . tcp . 80 -> goto local/n/s/tcp/80\n" },
		{ "internal traffic stays local, and there is none",
			"\"spec\":{\"internalTrafficPolicy\":\"Local\"," CIP "," P80 "}", EP("10.244.1.6", AWAY),
			"none 10.96.1.1 . tcp . 80 -> drop\n" },
		{ "affinity", "\"spec\":{\"sessionAffinity\":\"ClientIP\",\"sessionAffinityConfig\":{\"clientIP\":"
			"{\"timeoutSeconds\":7}}," CIP "," P80 "}", EP("10.244.0.5", "") "," EP("10.244.1.6", NOT_READY),
			"affinity affinity/7/n/s/tcp/80/10.244.0.5/8080 -> type ipv4_addr; flags "
			"dynamic,timeout; timeout 7s;\n"
			"chain cluster/n/s/tcp/80 -> ip saddr @affinity/7/n/s/tcp/80/10.244.0.5/8080 goto "
			"endpoint/n/s/tcp/80/10.244.0.5/8080;"
			"numgen random mod 1 vmap { 0 : goto endpoint/n/s/tcp/80/10.244.0.5/8080 }\n"
			"chain endpoint/n/s/tcp/80/10.244.0.5/8080 -> "
			"update @affinity/7/n/s/tcp/80/10.244.0.5/8080 { ip saddr };"
			"meta l4proto tcp dnat to 10.244.0.5:8080\n"
			"service 10.96.1.1 . tcp . 80 -> goto cluster/n/s/tcp/80\n" },
		{ "hints: this node", "\"spec\":{" CIP "," P80 "}",
			EP("10.244.0.5", ",\"hints\":{\"forNodes\":[{\"name\":\"here\"}]}") ","
			EP("10.244.1.6", ",\"hints\":{\"forNodes\":[{\"name\":\"away\"}]}"),
			"chain cluster/n/s/tcp/80 -> " TO("1", "0 : " A1)
			"service 10.96.1.1 . tcp . 80 -> goto cluster/n/s/tcp/80\n" },
		{ "hints: this zone", "\"spec\":{" CIP "," P80 "}",
			EP("10.244.0.5", ",\"hints\":{\"forZones\":[{\"name\":\"z2\"}]}") ","
			EP("10.244.1.6", ",\"hints\":{\"forZones\":[{\"name\":\"z0\"},{\"name\":\"z1\"}]}"),
			"chain cluster/n/s/tcp/80 -> " TO("1", "0 : " A2)
			"service 10.96.1.1 . tcp . 80 -> goto cluster/n/s/tcp/80\n" },
		{ "hints: one has none", "\"spec\":{" CIP "," P80 "}",
			EP("10.244.0.5", "") "," EP("10.244.1.6", ",\"hints\":{\"forZones\":[{\"name\":\"z1\"}]}"),
			"chain cluster/n/s/tcp/80 -> " TO("2", "0 : " A1 ", 1 : " A2)
			"service 10.96.1.1 . tcp . 80 -> goto cluster/n/s/tcp/80\n" },
		{ "an address twice, what is no address", "\"spec\":{" CIP "," P80 "}",
			EP("10.244.0.5", "") "," EP("10.244.0.5", GOING) "," EP("x; drop", "") ","
			EP("010.1.1.1", "") ",{\"addresses\":[]}",
			"chain cluster/n/s/tcp/80 -> " TO("1", "0 : " A1)
			"service 10.96.1.1 . tcp . 80 -> goto cluster/n/s/tcp/80\n" },
	};
	for (size_t i = 0; i < cor_countof(t); i++) {
		struct net_model m;
		struct items items = { 0 };
		char text[4000], expect[4000];
		net_model_init(&m, "here");
		set_service(&m, t[i].service);
		set_slice(&m, t[i].endpoints);
		rules_plan_service(&env, net_model_find(&m, COR_STR("n"), COR_STR("s")), &items, NULL);
		render(&items, text, sizeof(text));
		snprintf(expect, sizeof(expect), "%s", t[i].expect);
		if (strcmp(text, expect) != 0)
			fail_msg("%s:\ngot:\n%s\nwant:\n%s", t[i].what, text, expect);
		items_fini(&items);
		net_model_fini(&m);
	}
}

static void host_ports(void **state) {
	static const struct cor_host_port ports[] = {
		{ COR_STR_INIT(""), COR_STR_INIT(""), 8080, 80 },
		{ COR_STR_INIT("0.0.0.0"), COR_STR_INIT("UDP"), 8080, 81 },
		{ COR_STR_INIT("127.0.0.1"), COR_STR_INIT("TCP"), 54323, 8080 },
		{ COR_STR_INIT("1.2.3.4; drop"), COR_STR_INIT("TCP"), 1, 1 },
		{ COR_STR_INIT(""), COR_STR_INIT("ICMP"), 1, 1 },
		{ COR_STR_INIT(""), COR_STR_INIT("TCP"), 0, 1 },
	};
	struct items items = { 0 };
	char text[1000];
	rules_plan_host_ports("10.244.0.5", ports, cor_countof(ports), &items);
	render(&items, text, sizeof(text));
	assert_string_equal(text, "hostport 127.0.0.1 . tcp . 54323 -> 10.244.0.5 . 8080\n"
		"hostportany tcp . 8080 -> 10.244.0.5 . 80\n"
		"hostportany udp . 8080 -> 10.244.0.5 . 81\n");
	items_fini(&items);
	rules_plan_host_ports("", ports, cor_countof(ports), &items);
	assert_int_equal(items.n, 0);
}

static char *transaction(const struct items *old, const struct items *now) {
	struct cor_buf b = COR_BUF_INIT;
	for (int part = 0; part < RULES_PART_MAX; part++)
		rules_text_part(&env, (enum rules_part)part, old, now, &b);
	char *text = cor_str_dup_c(cor_buf_view(&b));
	cor_buf_fini(&b);
	return text;
}

static void note_dead(enum item_kind kind, const char *name, void *arg) {
	struct cor_buf *out = arg;
	cor_buf_printf(out, "%s %s;", names[kind], name);
}

/* Only the difference is written, declarations first and elements last. */
static void changes_are_small(void **state) {
	struct items none = { 0 }, a = { 0 }, b = { 0 };
	items_add(&a, IT_CHAIN, cor_strdup("c1"), cor_strdup("r1\nr2\n"));
	items_add(&a, IT_CHAIN, cor_strdup("c2"), cor_strdup("r3\n"));
	items_add(&a, IT_SERVICE, cor_strdup("k1"), cor_strdup("goto c1"));
	items_add(&a, IT_SERVICE, cor_strdup("k2"), cor_strdup("goto c2"));
	items_sort(&a);
	items_add(&b, IT_AFFINITY, cor_strdup("s1"), cor_strdup("def"));
	items_add(&b, IT_CHAIN, cor_strdup("c1"), cor_strdup("r1\n"));
	items_add(&b, IT_CHAIN, cor_strdup("c3"), cor_strdup("r4\n"));
	items_add(&b, IT_SERVICE, cor_strdup("k1"), cor_strdup("goto c1"));
	items_add(&b, IT_SERVICE, cor_strdup("k2"), cor_strdup("goto c3"));
	items_add(&b, IT_NO_EP, cor_strdup("k3"), cor_strdup("drop"));
	items_sort(&b);
	static const struct {
		int from, to;           /* 0 none, 1 a, 2 b */
		const char *text, *dead;
	} t[] = {
		{ 0, 1, "add chain ip coracle-t c1\nadd chain ip coracle-t c2\n"
			"add rule ip coracle-t c1 r1\nadd rule ip coracle-t c1 r2\nadd rule ip coracle-t c2 r3\n"
			"add element ip coracle-t service-ips { k1 : goto c1, k2 : goto c2 }\n", "" },
		{ 1, 1, "", "" },
		{ 1, 2, "add set ip coracle-t s1 { def }\nadd chain ip coracle-t c3\n"
			"flush chain ip coracle-t c1\nadd rule ip coracle-t c1 r1\n"
			"flush chain ip coracle-t c2\nadd rule ip coracle-t c3 r4\n"
			"delete element ip coracle-t service-ips { k2 }\n"
			"add element ip coracle-t service-ips { k2 : goto c3 }\n"
			"add element ip coracle-t no-endpoint-services { k3 : drop }\n", "chain c2;" },
		{ 2, 0, "flush set ip coracle-t s1\nflush chain ip coracle-t c1\nflush chain ip coracle-t c3\n"
			"delete element ip coracle-t service-ips { k1, k2 }\n"
			"delete element ip coracle-t no-endpoint-services { k3 }\n",
			"affinity s1;chain c1;chain c3;" },
	};
	const struct items *const lists[] = { &none, &a, &b };
	for (size_t i = 0; i < cor_countof(t); i++) {
		_cleanup_free_ char *text = transaction(lists[t[i].from], lists[t[i].to]);
		_cleanup_buf_ struct cor_buf dead = COR_BUF_INIT;
		assert_string_equal(text, t[i].text);
		rules_text_dead(&env, lists[t[i].from], lists[t[i].to], note_dead, &dead);
		assert_true(cor_str_eq_c(cor_buf_view(&dead), t[i].dead));
	}
	items_fini(&a);
	items_fini(&b);
}

/* One endpoint more is one chain written again, whatever else the service has. */
static void an_endpoint_more(void **state) {
	struct net_model m;
	struct items old = { 0 }, now = { 0 };
	net_model_init(&m, "here");
	set_service(&m, "\"spec\":{\"type\":\"NodePort\"," CIP "," NP "}");
	set_slice(&m, EP("10.244.0.5", ""));
	struct net_service *svc = net_model_find(&m, COR_STR("n"), COR_STR("s"));
	rules_plan_service(&env, svc, &old, NULL);
	set_slice(&m, EP("10.244.0.5", "") "," EP("10.244.1.6", ""));
	rules_plan_service(&env, svc, &now, NULL);
	_cleanup_free_ char *text = transaction(&old, &now);
	assert_string_equal(text, "flush chain ip coracle-t cluster/n/s/tcp/80\n"
		"add rule ip coracle-t cluster/n/s/tcp/80 " TO("2", "0 : " A1 ", 1 : " A2));
	items_fini(&old);
	items_fini(&now);
	net_model_fini(&m);
}

static void udp_ports_name_what_is_stale(void **state) {
	struct net_model m;
	struct items items = { 0 };
	struct stales stale = { 0 };
	net_model_init(&m, "here");
	set_service(&m, "\"spec\":{\"type\":\"NodePort\"," CIP ",\"ports\":[{\"port\":80},{\"name\":\"u\","
		"\"port\":53,\"protocol\":\"UDP\",\"nodePort\":30053}]}");
	set_slice(&m, EP("10.244.0.5", "") "," EP("10.244.1.6", GOING) "," EP("10.244.1.7", NOT_READY));
	rules_plan_service(&env, net_model_find(&m, COR_STR("n"), COR_STR("s")), &items, &stale);
	assert_int_equal(stale.n, 2);
	assert_int_equal(stale.p[0].ip, 0x0a600101);
	assert_int_equal(stale.p[0].port, 53);
	assert_int_equal(stale.p[1].ip, 0);
	assert_int_equal(stale.p[1].port, 30053);
	assert_int_equal(stale.p[0].live_n, 2);
	assert_int_equal(stale.p[0].live[0], 0x0af40005);
	assert_int_equal(stale.p[0].live[1], 0x0af40106);
	stales_fini(&stale);
	items_fini(&items);
	net_model_fini(&m);
}

static int setup(void **state) {
	arena = cor_arena_new(0);
	return arena ? 0 : -1;
}

static int teardown(void **state) {
	cor_arena_free(arena);
	return 0;
}

int main(void) {
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_services_want),
		cmocka_unit_test(host_ports),
		cmocka_unit_test(changes_are_small),
		cmocka_unit_test(an_endpoint_more),
		cmocka_unit_test(udp_ports_name_what_is_stale),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
