// SPDX-License-Identifier: Apache-2.0
// What the rules of each kind refuse, and with which words (facts/kinds.md 6 to 11): an object, or
// an object and what it is updated to.
#include "registry_rig.h"

struct rule {
	enum cor_res res;
	const char *was; /* NULL: now is created */
	const char *now;
	const char *message; /* behind `Kind "x" is invalid: `; "" = accepted */
};

/* An object named x around what a case is about. */
#define X(rest) "{\"metadata\":{\"name\":\"x\"}," rest "}"

#define PORTS "\"ports\":[{\"port\":80}]"
#define SVC(spec) X("\"spec\":{" spec "}")
#define CLAIM(more)                                                                                \
	X("\"spec\":{\"accessModes\":[\"ReadWriteOnce\"],\"resources\":{\"requests\":{"            \
	  "\"storage\":\"1Gi\"}}" more "}")
#define CLAIM_FIXED                                                                                \
	"spec: Forbidden: spec is immutable after creation except resources.requests and "         \
	"volumeAttributesClassName for bound claims"
#define VOLUME(source, more)                                                                       \
	X("\"spec\":{\"capacity\":{\"storage\":\"1Gi\"},\"accessModes\":["                         \
	  "\"ReadWriteOnce\"]," source more "}")
#define HOST "\"hostPath\":{\"path\":\"/d\"}"
#define BACKEND "\"backend\":{\"service\":{\"name\":\"s\",\"port\":{\"number\":80}}}"
#define INGRESS(path, type)                                                                        \
	X("\"spec\":{\"rules\":[{\"http\":{\"paths\":[{\"path\":\"" path "\"" type "," BACKEND     \
	  "}]}}]}")
#define PEER(from) X("\"spec\":{\"podSelector\":{},\"ingress\":[{\"from\":[" from "]}]}")
#define SLICE(rest) X("\"addressType\":\"IPv4\"," rest)

static const struct rule services[] = {
	{ COR_RES_SERVICES, NULL, SVC(PORTS), "" },
	{ COR_RES_SERVICES, NULL, SVC("\"type\":\"ClusterIP\""), "spec.ports: Required value" },
	{ COR_RES_SERVICES, NULL, SVC("\"clusterIP\":\"None\""), "" },
	{ COR_RES_SERVICES, NULL, SVC("\"ports\":[{\"port\":0}]"),
		"[spec.ports[0].port: Invalid value: 0: must be between "
		"1 and 65535, inclusive, spec.ports[0].targetPort: Invalid value: 0: must be "
		"between 1 and 65535, inclusive]" },
	{ COR_RES_SERVICES, NULL, SVC("\"ports\":[{\"port\":80},{\"port\":81}]"),
		"[spec.ports[0].name: Required value, spec.ports[1].name: Required value]" },
	{ COR_RES_SERVICES, NULL,
		SVC("\"ports\":[{\"name\":\"a\",\"port\":80},{\"name\":\"a\",\"port\":81}]"),
		"spec.ports[1].name: Duplicate value: \"a\"" },
	{ COR_RES_SERVICES, NULL,
		SVC("\"ports\":[{\"name\":\"a\",\"port\":80},{\"name\":\"b\",\"port\":80}]"),
		"spec.ports[1]: Duplicate value: {\"Protocol\":\"TCP\",\"Port\":80}" },
	{ COR_RES_SERVICES, NULL, SVC("\"ports\":[{\"port\":80,\"protocol\":\"ICMP\"}]"),
		"spec.ports[0].protocol: Unsupported value: \"ICMP\": supported values: \"SCTP\", "
		"\"TCP\", \"UDP\"" },
	{ COR_RES_SERVICES, NULL, SVC(PORTS ",\"type\":\"Magic\""),
		"spec.type: Unsupported value: \"Magic\": supported "
		"values: \"ClusterIP\", \"ExternalName\", \"LoadBalancer\", \"NodePort\"" },
	{ COR_RES_SERVICES, NULL, SVC("\"ports\":[{\"port\":80,\"nodePort\":30080}]"),
		"spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'" },
	{ COR_RES_SERVICES, NULL, SVC("\"type\":\"ExternalName\""),
		"spec.externalName: Required value" },
	{ COR_RES_SERVICES, NULL,
		SVC("\"type\":\"ExternalName\",\"externalName\":\"example.com.\""), "" },
	{ COR_RES_SERVICES, NULL, SVC(PORTS ",\"externalIPs\":[\"127.0.0.1\"]"),
		"spec.externalIPs[0]: Invalid value: "
		"\"127.0.0.1\": may not be in the loopback range (127.0.0.0/8, ::1/128)" },
	{ COR_RES_SERVICES, NULL,
		SVC(PORTS ",\"sessionAffinity\":\"ClientIP\",\"sessionAffinityConfig\":{"
			  "\"clientIP\":{"
			  "\"timeoutSeconds\":0}}"),
		"spec.sessionAffinityConfig.clientIP.timeoutSeconds: Invalid value: 0: must be "
		"greater than 0 and less than 86400" },
	{ COR_RES_SERVICES, NULL, SVC(PORTS ",\"loadBalancerSourceRanges\":[\"10.0.0.0/8\"]"),
		"spec.LoadBalancerSourceRanges: Forbidden: may only be used when `type` is "
		"'LoadBalancer'" },
	{ COR_RES_SERVICES, NULL, SVC(PORTS ",\"externalTrafficPolicy\":\"Local\""),
		"spec.externalTrafficPolicy: Invalid "
		"value: \"Local\": may only be set for externally-accessible services" },
	{ COR_RES_SERVICES, SVC(PORTS ",\"clusterIP\":\"10.96.0.50\""),
		SVC(PORTS ",\"clusterIP\":\"10.96.0.51\""),
		"spec.clusterIPs[0]: Invalid value: [\"10.96.0.51\"]: may not change once set" },
	{ COR_RES_SERVICES, SVC(PORTS ",\"clusterIP\":\"10.96.0.50\""), SVC(PORTS), "" },
	{ COR_RES_SERVICES, SVC(PORTS ",\"clusterIP\":\"None\""),
		SVC(PORTS ",\"clusterIP\":\"10.96.0.51\""),
		"spec.clusterIPs[0]: Invalid value: [\"10.96.0.51\"]: may not change once set" },
};

static const struct rule storage[] = {
	{ COR_RES_PERSISTENTVOLUMECLAIMS, NULL, CLAIM(""), "" },
	{ COR_RES_PERSISTENTVOLUMECLAIMS, NULL,
		X("\"spec\":{\"resources\":{\"requests\":{\"storage\":\"1Gi\"}}}"),
		"spec.accessModes: Required value: at least 1 access mode is required" },
	{ COR_RES_PERSISTENTVOLUMECLAIMS, NULL, X("\"spec\":{\"accessModes\":[\"Any\"]}"),
		"[spec.accessModes: Unsupported "
		"value: \"Any\": supported values: \"ReadOnlyMany\", \"ReadWriteMany\", "
		"\"ReadWriteOnce\", \"ReadWriteOncePod\", "
		"spec.resources[storage]: Required value]" },
	{ COR_RES_PERSISTENTVOLUMECLAIMS, NULL,
		X("\"spec\":{\"accessModes\":[\"ReadWriteOnce\"],\"resources\":{\"requests\":{"
		  "\"storage\":\"0\"}}}"),
		"spec.resources.requests[storage]: Invalid value: \"0\": must be greater than "
		"zero" },
	{ COR_RES_PERSISTENTVOLUMECLAIMS, CLAIM(""),
		CLAIM(",\"storageClassName\":\"standard\",\"volumeName\":\"v\""), "" },
	{ COR_RES_PERSISTENTVOLUMECLAIMS, CLAIM(""), CLAIM(",\"storageClassName\":\"other\""),
		CLAIM_FIXED },
	{ COR_RES_PERSISTENTVOLUMECLAIMS, CLAIM(",\"storageClassName\":\"a\",\"volumeName\":\"v\""),
		CLAIM(",\"storageClassName\":\"a\",\"volumeName\":\"w\""), CLAIM_FIXED },
	{ COR_RES_PERSISTENTVOLUMES, NULL, VOLUME(HOST, ""), "" },
	{ COR_RES_PERSISTENTVOLUMES, NULL,
		X("\"spec\":{\"capacity\":{\"storage\":\"1Gi\"},\"accessModes\":["
		  "\"ReadWriteOnce\"]}"),
		"spec: Required value: must specify a volume type" },
	{ COR_RES_PERSISTENTVOLUMES, NULL,
		VOLUME(HOST, ",\"nfs\":{\"server\":\"s\",\"path\":\"/\"}"),
		"spec.nfs: Forbidden: may not specify more than 1 volume type" },
	{ COR_RES_PERSISTENTVOLUMES, NULL, VOLUME("\"local\":{\"path\":\"/a/../b\"}", ""),
		"[spec.local.path: Invalid value: "
		"\"/a/../b\": must not contain '..', spec.nodeAffinity: Required value: Local "
		"volume requires node affinity]" },
	{ COR_RES_PERSISTENTVOLUMES, VOLUME(HOST, ""), VOLUME("\"hostPath\":{\"path\":\"/e\"}", ""),
		"spec.persistentvolumesource: Forbidden: spec.persistentvolumesource is immutable "
		"after creation" },
	{ COR_RES_STORAGECLASSES, NULL, X("\"parameters\":{}"), "provisioner: Required value" },
	{ COR_RES_STORAGECLASSES, X("\"provisioner\":\"a.b/c\""), X("\"provisioner\":\"a.b/d\""),
		"provisioner: Invalid value: \"a.b/d\": field is immutable" },
	{ COR_RES_STORAGECLASSES, X("\"provisioner\":\"a.b/c\""),
		X("\"provisioner\":\"a.b/c\",\"parameters\":{\"k\":\"v\"}"),
		"parameters: Invalid value: {\"k\":\"v\"}: field is immutable" },
};

static const struct rule core[] = {
	{ COR_RES_CONFIGMAPS, NULL, X("\"data\":{\"a/b\":\"\"}"),
		"data[a/b]: Invalid value: \"a/b\": a valid config key must "
		"consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or "
		"'KEY_NAME',  or 'key-name', regex used "
		"for validation is '[-._a-zA-Z0-9]+')" },
	{ COR_RES_CONFIGMAPS, NULL, X("\"data\":{\"a\":\"\"},\"binaryData\":{\"a\":\"\"}"),
		"data[a]: Invalid value: \"a\": duplicate of key present in binaryData" },
	{ COR_RES_CONFIGMAPS, X("\"immutable\":true,\"data\":{\"a\":\"1\"}"),
		X("\"immutable\":true,\"data\":{\"a\":\"2\"}"),
		"data: Forbidden: field is immutable when `immutable` is set" },
	{ COR_RES_CONFIGMAPS, X("\"immutable\":true"), X("\"data\":{}"),
		"immutable: Forbidden: field is immutable when `immutable` is set" },
	{ COR_RES_SECRETS, NULL, X("\"type\":\"kubernetes.io/tls\",\"data\":{\"tls.key\":\"\"}"),
		"data[tls.crt]: Required value" },
	{ COR_RES_SECRETS, NULL, X("\"type\":\"kubernetes.io/basic-auth\""),
		"[data[username]: Required value, data[password]: Required value]" },
	{ COR_RES_SECRETS, NULL,
		X("\"type\":\"kubernetes.io/basic-auth\",\"stringData\":{\"password\":\"p\"}"),
		"" },
	{ COR_RES_SECRETS, NULL,
		X("\"type\":\"kubernetes.io/"
		  "dockerconfigjson\",\"stringData\":{\".dockerconfigjson\":\"{\"}"),
		"data[.dockerconfigjson]: Invalid value: \"<secret contents redacted>\": byte 1: "
		"unexpected end of input, a key "
		"in quotes was expected" },
	{ COR_RES_SECRETS, X("\"type\":\"a\""), X("\"type\":\"b\""),
		"type: Invalid value: \"b\": field is immutable" },
	{ COR_RES_NODES, NULL, X("\"spec\":{\"taints\":[{\"key\":\"k\",\"effect\":\"Maybe\"}]}"),
		"metadata.taints[0].effect: "
		"Unsupported value: \"Maybe\": supported values: \"NoExecute\", \"NoSchedule\", "
		"\"PreferNoSchedule\"" },
	{ COR_RES_NODES, X("\"spec\":{\"podCIDR\":\"10.1.0.0/24\",\"podCIDRs\":[\"10.1.0.0/24\"]}"),
		X("\"spec\":{\"podCIDR\":\"10.2.0.0/24\",\"podCIDRs\":[\"10.2.0.0/24\"]}"),
		"spec.podCIDRs: Forbidden: node updates may not change podCIDR except from \"\" to "
		"valid" },
	{ COR_RES_ENDPOINTS, NULL, X("\"subsets\":[{}]"),
		"subsets[0]: Required value: must specify `addresses` or "
		"`notReadyAddresses`" },
	{ COR_RES_ENDPOINTS, NULL, X("\"subsets\":[{\"addresses\":[{\"ip\":\"169.254.1.1\"}]}]"),
		"subsets[0].addresses[0].ip: "
		"Invalid value: \"169.254.1.1\": may not be in the link-local range "
		"(169.254.0.0/16, fe80::/10)" },
	{ COR_RES_EVENTS, NULL, X("\"involvedObject\":{\"namespace\":\"other\"}"),
		"involvedObject.namespace: Invalid value: "
		"\"other\": does not match event.namespace" },
	{ COR_RES_PRIORITYCLASSES, NULL, X("\"value\":1000000001"),
		"value: Forbidden: maximum allowed value of a user "
		"defined priority is 1000000000" },
	{ COR_RES_PRIORITYCLASSES, X("\"value\":1"), X("\"value\":2"),
		"value: Forbidden: may not be changed in an update." },
	{ COR_RES_PODDISRUPTIONBUDGETS, NULL, X("\"spec\":{\"minAvailable\":\"101%\"}"),
		"spec.minAvailable: Invalid value: \"101%\": must not be greater than 100%" },
};

static const struct rule network[] = {
	{ COR_RES_ENDPOINTSLICES, NULL, X("\"endpoints\":[]"), "addressType: Required value" },
	{ COR_RES_ENDPOINTSLICES, NULL, SLICE("\"endpoints\":[{\"addresses\":[\"fd00::1\"]}]"),
		"endpoints[0].addresses[0]: Invalid value: \"fd00::1\": must be an IPv4 address" },
	{ COR_RES_ENDPOINTSLICES, NULL,
		SLICE("\"endpoints\":[],\"ports\":[{\"port\":1},{\"port\":2}]"),
		"ports[1].name: Duplicate value: \"\"" },
	{ COR_RES_INGRESSES, NULL, X("\"spec\":{}"),
		"spec.rules: Invalid value: []: either `defaultBackend` or `rules` must be "
		"specified" },
	{ COR_RES_INGRESSES, NULL, INGRESS("a", ",\"pathType\":\"Prefix\""),
		"spec.rules[0].http.paths[0].path: Invalid value: \"a\": must be an absolute "
		"path" },
	{ COR_RES_INGRESSES, NULL, INGRESS("/a", ""),
		"spec.rules[0].http.paths[0].pathType: Required value: pathType must be "
		"specified" },
	{ COR_RES_INGRESSES, NULL, INGRESS("/a/..", ",\"pathType\":\"Exact\""),
		"spec.rules[0].http.paths[0].path: Invalid value: \"/a/..\": cannot end with "
		"'/..'" },
	{ COR_RES_INGRESSCLASSES, X("\"spec\":{\"controller\":\"a.b/c\"}"),
		X("\"spec\":{\"controller\":\"a.b/d\"}"),
		"spec.controller: Invalid value: \"a.b/d\": field is immutable" },
	{ COR_RES_NETWORKPOLICIES, NULL, PEER("{}"),
		"spec.ingress[0].from[0]: Required value: must specify a peer" },
	{ COR_RES_NETWORKPOLICIES, NULL,
		PEER("{\"ipBlock\":{\"cidr\":\"10.0.0.0/8\",\"except\":[\"11.0.0.0/16\"]}}"),
		"spec.ingress[0].from[0].ipBlock.except[0]: Invalid value: \"11.0.0.0/16\": must "
		"be a strict subset of `cidr`" },
	{ COR_RES_NETWORKPOLICIES, NULL,
		X("\"spec\":{\"podSelector\":{},\"ingress\":[{\"ports\":[{\"endPort\":9}]}]}"),
		"spec.ingress[0].ports[0].endPort: Invalid value: 9: may not be specified when "
		"`port` is not specified" },
};

#define POD(more) X("\"spec\":{\"containers\":[{\"name\":\"c\",\"image\":\"i\"" more "]}")
#define IN "\"affinity\":{\"nodeAffinity\":{\"requiredDuringSchedulingIgnoredDuringExecution\":{\"nodeSelectorTerms\":"

static const struct rule pods[] = {
	{ COR_RES_PODS, NULL, POD("}],\"securityContext\":{\"sysctls\":[{\"name\":\"foo-\",\"value\":\"\"},{\"name\":"
		"\"kernel.shm_rmid_forced\",\"value\":\"1\"}]},\"volumes\":["),
		"spec.securityContext.sysctls[0].name: Invalid value: \"foo-\": must have at most 253 characters and match regex "
		"^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$" },
	{ COR_RES_PODS, NULL, POD(",\"securityContext\":{\"seccompProfile\":{\"type\":\"Localhost\",\"localhostProfile\":"
		"\"../x\"}}}"), "spec.containers[0].securityContext.seccompProfile.localhostProfile: Invalid value: \"../x\": "
		"must not contain '..'" },
	{ COR_RES_PODS, NULL, POD("}],\"volumes\":[{\"name\":\"v\",\"emptyDir\":{},\"hostPath\":{\"path\":\"/\"}}"),
		"spec.volumes[0].emptyDir: Forbidden: may not specify more than 1 volume type" },
	{ COR_RES_PODS, NULL, POD("}],\"dnsPolicy\":\"None\",\"volumes\":["),
		"spec.dnsConfig: Required value: must provide `dnsConfig` when `dnsPolicy` is None" },
	{ COR_RES_PODS, NULL, POD("}]," IN "[]}}},\"volumes\":["), "spec.affinity.nodeAffinity."
		"requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms: Required value: must have at least one node "
		"selector term" },
	{ COR_RES_PODS, NULL, POD("}],\"topologySpreadConstraints\":[{\"maxSkew\":0,\"topologyKey\":\"z\","
		"\"whenUnsatisfiable\":\"ScheduleAnyway\"}"), "spec.topologySpreadConstraints[0].maxSkew: Invalid value: 0: must "
		"be greater than zero" },
};

static void check(struct rig *rig, const struct rule *r) {
	const struct cor_resource *res = &cor_resources[r->res];
	const char *ns = res->namespaced ? "default" : "";
	char want[600] = "";
	struct outcome o = create(rig, r->res, ns, r->was ? r->was : r->now);
	if (r->was) {
		assert_string_equal(o.message, "");
		o = update(rig, r->res, ns, "x", r->now);
	}
	if (r->message[0] && res->group[0])
		(void)snprintf(want, sizeof(want), "%s.%s \"x\" is invalid: %s", res->kind,
			res->group, r->message);
	else if (r->message[0])
		(void)snprintf(
			want, sizeof(want), "%s \"x\" is invalid: %s", res->kind, r->message);
	assert_string_equal(o.message, want);
	assert_int_equal(o.status, r->message[0] ? COR_E_INVALID : 0);
}

/* Each rule meets an empty registry: the same name serves them all. */
static void check_all(const struct rule *rules, size_t n) {
	for (size_t i = 0; i < n; i++) {
		void *rig;
		assert_int_equal(setup(&rig), 0);
		(void)create(rig, COR_RES_SERVICEACCOUNTS, "default", "{\"metadata\":{\"name\":\"default\"}}");
		check(rig, &rules[i]);
		assert_int_equal(teardown(&rig), 0);
	}
}

static void test_services(void **state) {
	check_all(services, cor_countof(services));
}

static void test_storage(void **state) {
	check_all(storage, cor_countof(storage));
}

static void test_core(void **state) {
	check_all(core, cor_countof(core));
}

static void test_pods(void **state) {
	check_all(pods, cor_countof(pods));
}

static void test_network(void **state) {
	check_all(network, cor_countof(network));
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_services),
		cmocka_unit_test(test_storage),
		cmocka_unit_test(test_core),
		cmocka_unit_test(test_network), cmocka_unit_test(test_pods),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
