// SPDX-License-Identifier: Apache-2.0
// The table of bootstrap objects as JSON texts, and the operations that create what is missing.
// They start in the order of the table in one turn of the loop, so a later one may rely on an
// earlier one (an object on its namespace). In a text, $API and $DNS are the first and the tenth
// address of the service range, $CIDR is the range.
#include "api/bootstrap.h"

#include <stdio.h>

#include "api/registry.h"
#include "base/assert.h"
#include "base/log.h"
#include "base/mem.h"
#include "codec/codec.h"
#include "codec/ip.h"

#define META(name) "\"metadata\":{\"name\":\"" name "\"}"
/* RBAC's own objects say that they are the server's. */
#define RBAC_META(name, more) "\"metadata\":{\"name\":\"" name "\",\"labels\":{" \
	"\"kubernetes.io/bootstrapping\":\"rbac-defaults\"" more "},\"annotations\":{" \
	"\"rbac.authorization.kubernetes.io/autoupdate\":\"true\"}}"
#define READ "\"verbs\":[\"get\",\"list\",\"watch\"]"
#define WRITE "\"verbs\":[\"create\",\"delete\",\"deletecollection\",\"patch\",\"update\"]"
#define ALL_VERBS "\"verbs\":[\"create\",\"delete\",\"deletecollection\",\"get\",\"list\",\"patch\"," \
	"\"update\",\"watch\"]"
#define BINDING(role, kind, subject) "{" RBAC_META(role, "") ",\"roleRef\":{\"apiGroup\":" \
	"\"rbac.authorization.k8s.io\",\"kind\":\"ClusterRole\",\"name\":\"" role "\"},\"subjects\":[{" \
	"\"apiGroup\":\"rbac.authorization.k8s.io\",\"kind\":\"" kind "\",\"name\":\"" subject "\"}]}"

#define VIEW_RULES \
	"{\"apiGroups\":[\"\"],\"resources\":[\"configmaps\",\"endpoints\",\"persistentvolumeclaims\"," \
	"\"persistentvolumeclaims/status\",\"pods\",\"replicationcontrollers\"," \
	"\"replicationcontrollers/scale\",\"serviceaccounts\",\"services\",\"services/status\"," \
	"\"bindings\",\"events\",\"limitranges\",\"namespaces/status\",\"pods/log\",\"pods/status\"," \
	"\"replicationcontrollers/status\",\"resourcequotas\",\"resourcequotas/status\"," \
	"\"namespaces\"]," READ "}," \
	"{\"apiGroups\":[\"discovery.k8s.io\"],\"resources\":[\"endpointslices\"]," READ "}," \
	"{\"apiGroups\":[\"apps\"],\"resources\":[\"controllerrevisions\",\"daemonsets\"," \
	"\"daemonsets/status\",\"deployments\",\"deployments/scale\",\"deployments/status\"," \
	"\"replicasets\",\"replicasets/scale\",\"replicasets/status\",\"statefulsets\"," \
	"\"statefulsets/scale\",\"statefulsets/status\"]," READ "}," \
	"{\"apiGroups\":[\"autoscaling\"],\"resources\":[\"horizontalpodautoscalers\"," \
	"\"horizontalpodautoscalers/status\"]," READ "}," \
	"{\"apiGroups\":[\"batch\"],\"resources\":[\"cronjobs\",\"cronjobs/status\",\"jobs\"," \
	"\"jobs/status\"]," READ "}," \
	"{\"apiGroups\":[\"policy\"],\"resources\":[\"poddisruptionbudgets\"," \
	"\"poddisruptionbudgets/status\"]," READ "}," \
	"{\"apiGroups\":[\"networking.k8s.io\"],\"resources\":[\"ingresses\",\"ingresses/status\"," \
	"\"networkpolicies\"]," READ "}"

#define EDIT_RULES \
	"{\"apiGroups\":[\"\"],\"resources\":[\"pods/attach\",\"pods/exec\",\"pods/portforward\"," \
	"\"pods/proxy\",\"secrets\",\"services/proxy\"]," READ "}," \
	"{\"apiGroups\":[\"\"],\"resources\":[\"serviceaccounts\"],\"verbs\":[\"impersonate\"]}," \
	"{\"apiGroups\":[\"\"],\"resources\":[\"pods\",\"pods/attach\",\"pods/exec\"," \
	"\"pods/portforward\",\"pods/proxy\",\"configmaps\",\"events\",\"persistentvolumeclaims\"," \
	"\"replicationcontrollers\",\"replicationcontrollers/scale\",\"secrets\",\"serviceaccounts\"," \
	"\"services\",\"services/proxy\"]," WRITE "}," \
	"{\"apiGroups\":[\"\"],\"resources\":[\"pods/eviction\",\"serviceaccounts/token\"]," \
	"\"verbs\":[\"create\"]}," \
	"{\"apiGroups\":[\"apps\"],\"resources\":[\"daemonsets\",\"deployments\"," \
	"\"deployments/rollback\",\"deployments/scale\",\"replicasets\",\"replicasets/scale\"," \
	"\"statefulsets\",\"statefulsets/scale\"]," WRITE "}," \
	"{\"apiGroups\":[\"autoscaling\"],\"resources\":[\"horizontalpodautoscalers\"]," WRITE "}," \
	"{\"apiGroups\":[\"batch\"],\"resources\":[\"cronjobs\",\"jobs\"]," WRITE "}," \
	"{\"apiGroups\":[\"policy\"],\"resources\":[\"poddisruptionbudgets\"]," WRITE "}," \
	"{\"apiGroups\":[\"networking.k8s.io\"],\"resources\":[\"ingresses\",\"networkpolicies\"]," WRITE "}," \
	"{\"apiGroups\":[\"coordination.k8s.io\"],\"resources\":[\"leases\"]," ALL_VERBS "}"

#define ADMIN_RULES \
	"{\"apiGroups\":[\"authorization.k8s.io\"],\"resources\":[\"localsubjectaccessreviews\"]," \
	"\"verbs\":[\"create\"]}," \
	"{\"apiGroups\":[\"rbac.authorization.k8s.io\"],\"resources\":[\"rolebindings\",\"roles\"]," \
	ALL_VERBS "}"

static const struct {
	enum cor_res res;
	const char *ns;
	const char *json;
} objects[] = {
	{ COR_RES_NAMESPACES, "", "{" META("default") "}" },
	{ COR_RES_NAMESPACES, "", "{" META("kube-system") "}" },
	{ COR_RES_NAMESPACES, "", "{" META("kube-public") "}" },
	{ COR_RES_NAMESPACES, "", "{" META("kube-node-lease") "}" },
	{ COR_RES_SERVICECIDRS, "", "{" META("kubernetes") ",\"spec\":{\"cidrs\":[\"$CIDR\"]}}" },
	{ COR_RES_SERVICES, "default", "{\"metadata\":{\"name\":\"kubernetes\",\"labels\":{\"component\":"
		"\"apiserver\",\"provider\":\"kubernetes\"}},\"spec\":{\"clusterIP\":\"$API\",\"ports\":[{"
		"\"name\":\"https\",\"port\":443,\"protocol\":\"TCP\",\"targetPort\":6443}]}}" },
	{ COR_RES_SERVICES, "kube-system", "{\"metadata\":{\"name\":\"kube-dns\",\"labels\":{\"k8s-app\":"
		"\"kube-dns\",\"kubernetes.io/cluster-service\":\"true\",\"kubernetes.io/name\":\"CoreDNS\"}},"
		"\"spec\":{\"clusterIP\":\"$DNS\",\"ports\":[{\"name\":\"dns\",\"port\":53,\"protocol\":\"UDP\","
		"\"targetPort\":53},{\"name\":\"dns-tcp\",\"port\":53,\"protocol\":\"TCP\",\"targetPort\":53}]}}" },
	{ COR_RES_PRIORITYCLASSES, "", "{" META("system-node-critical") ",\"value\":2000001000,"
		"\"description\":\"Used for system critical pods that must not be moved from their current "
		"node.\"}" },
	{ COR_RES_PRIORITYCLASSES, "", "{" META("system-cluster-critical") ",\"value\":2000000000,"
		"\"description\":\"Used for system critical pods that must run in the cluster, but can be moved "
		"to another node if necessary.\"}" },
	{ COR_RES_STORAGECLASSES, "", "{\"metadata\":{\"name\":\"standard\",\"annotations\":{"
		"\"storageclass.kubernetes.io/is-default-class\":\"true\"}},\"provisioner\":"
		"\"local.coracle.dev\",\"reclaimPolicy\":\"Delete\",\"allowVolumeExpansion\":true,"
		"\"volumeBindingMode\":\"WaitForFirstConsumer\"}" },
	{ COR_RES_CLUSTERROLES, "", "{" RBAC_META("cluster-admin", "") ",\"rules\":[{\"apiGroups\":[\"*\"],"
		"\"resources\":[\"*\"],\"verbs\":[\"*\"]},{\"nonResourceURLs\":[\"*\"],\"verbs\":[\"*\"]}]}" },
	{ COR_RES_CLUSTERROLES, "", "{" RBAC_META("view", "") ",\"rules\":[" VIEW_RULES "]}" },
	{ COR_RES_CLUSTERROLES, "", "{" RBAC_META("edit", "") ",\"rules\":[" VIEW_RULES "," EDIT_RULES "]}" },
	{ COR_RES_CLUSTERROLES, "", "{" RBAC_META("admin", "") ",\"rules\":[" VIEW_RULES "," EDIT_RULES ","
		ADMIN_RULES "]}" },
	{ COR_RES_CLUSTERROLES, "", "{" RBAC_META("system:auth-delegator", "") ",\"rules\":[{\"apiGroups\":["
		"\"authentication.k8s.io\"],\"resources\":[\"tokenreviews\"],\"verbs\":[\"create\"]},{"
		"\"apiGroups\":[\"authorization.k8s.io\"],\"resources\":[\"subjectaccessreviews\"],\"verbs\":["
		"\"create\"]}]}" },
	{ COR_RES_CLUSTERROLES, "", "{" RBAC_META("system:discovery", "") ",\"rules\":[{\"nonResourceURLs\":["
		"\"/api\",\"/api/*\",\"/apis\",\"/apis/*\",\"/healthz\",\"/livez\",\"/openapi\",\"/openapi/*\","
		"\"/readyz\",\"/version\",\"/version/\"],\"verbs\":[\"get\"]}]}" },
	{ COR_RES_CLUSTERROLEBINDINGS, "", BINDING("cluster-admin", "Group", "system:masters") },
	{ COR_RES_CLUSTERROLEBINDINGS, "", BINDING("system:discovery", "Group", "system:authenticated") },
};

struct bootstrap {
	size_t left;
	int status;
	void (*done)(void *arg, int status);
	void *arg;
	char api[COR_IP_TEXT_MAX], dns[COR_IP_TEXT_MAX];
	const char *cidr;
};

static void one_done(struct cor_op *op) {
	struct bootstrap *b = op->arg;
	if (op->status < 0 && op->status != COR_E_EXISTS) {
		cor_error("bootstrap of %s \"%.*s\": %s", op->res->plural, COR_STR_ARG(op->name),
			op->err.message);
		if (b->status == 0)
			b->status = op->status;
	}
	cor_arena_free(op->arena);
	if (--b->left == 0) {
		b->done(b->arg, b->status);
		free(b);
	}
}

/* The address at a distance from the start of the range. */
static void address_at(const char *cidr, unsigned distance, char *out) {
	struct cor_cidr c;
	*out = '\0';
	if (!cor_cidr_parse(cor_str_c(cidr), &c))
		return;
	c.ip.bytes[c.ip.v6 ? 15 : 3] = (uint8_t)(c.ip.bytes[c.ip.v6 ? 15 : 3] | distance);
	(void)cor_ip_format(&c.ip, out);
}

static struct cor_str fill_in(const struct bootstrap *b, struct cor_arena *a, const char *text) {
	const struct { const char *name, *value; } names[] = {
		{ "$API", b->api }, { "$DNS", b->dns }, { "$CIDR", b->cidr },
	};
	_cleanup_buf_ struct cor_buf out = COR_BUF_INIT;
	for (const char *p = text; *p;) {
		const char *value = NULL;
		for (size_t i = 0; *p == '$' && i < cor_countof(names); i++) {
			size_t n = strlen(names[i].name);
			if (strncmp(p, names[i].name, n) == 0) {
				value = names[i].value;
				p += n;
				break;
			}
		}
		if (value)
			cor_buf_c(&out, value);
		else
			cor_buf_byte(&out, *p++);
	}
	return cor_arena_str(a, cor_buf_view(&out));
}

void cor_bootstrap(struct cor_registry *r, void (*done)(void *arg, int status), void *arg) {
	struct bootstrap *b = cor_new(struct bootstrap);
	*b = (struct bootstrap){
		.left = cor_countof(objects), .done = done, .arg = arg,
		.cidr = cor_registry_config(r)->service_cidr,
	};
	address_at(b->cidr, 1, b->api);
	address_at(b->cidr, 10, b->dns);
	for (size_t i = 0; i < cor_countof(objects); i++) {
		struct cor_arena *a = cor_arena_new(0);
		struct cor_op *op = cor_arena_new_of(a, struct cor_op);
		struct cor_decode d = { .arena = a };
		*op = (struct cor_op){
			.verb = COR_VERB_CREATE, .res = &cor_resources[objects[i].res], .arena = a,
			.ns = cor_str_c(objects[i].ns), .done = one_done, .arg = b,
		};
		int status = cor_json_decode_new(op->res->type, fill_in(b, a, objects[i].json), &op->obj, &d,
			&op->err);
		cor_assert(status >= 0);        /* a text of ours */
		cor_op_start(r, op);
	}
}
