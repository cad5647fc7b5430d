// SPDX-License-Identifier: Apache-2.0
// Each object is created, and patched to what it should be when it exists: two operations at most,
// started in the turn of the loop in which the bootstrap objects were.
#include "api/publish.h"

#include <stdio.h>

#include "base/assert.h"
#include "base/log.h"
#include "base/mem.h"
#include "codec/codec.h"
#include "codec/ip.h"

struct publish {
	struct cor_registry *r;
	size_t left;
	int status;
	void (*done)(void *arg, int status);
	void *arg;
};

static void one_done(struct cor_op *op) {
	struct publish *p = op->arg;
	if (op->status == COR_E_EXISTS && op->verb == COR_VERB_CREATE) {
		op->verb = COR_VERB_PATCH;
		op->patch_type = COR_PATCH_MERGE;
		op->obj = NULL;
		cor_op_start(p->r, op);
		return;
	}
	if (op->status < 0) {
		cor_error("%s \"%.*s\": %s", op->res->plural, COR_STR_ARG(op->name), op->err.message);
		p->status = op->status;
	}
	cor_arena_free(op->arena);
	if (--p->left == 0) {
		p->done(p->arg, p->status);
		free(p);
	}
}

static void start(struct publish *p, enum cor_res res, const char *ns, const char *name,
	const struct cor_buf *json) {
	struct cor_arena *a = cor_arena_new(0);
	struct cor_op *op = cor_arena_new_of(a, struct cor_op);
	struct cor_decode d = { .arena = a };
	*op = (struct cor_op){
		.verb = COR_VERB_CREATE, .res = &cor_resources[res], .arena = a, .ns = cor_str_c(ns),
		.name = cor_str_c(name), .patch = cor_arena_str(a, cor_buf_view(json)), .grace_s = -1,
		.done = one_done, .arg = p,
	};
	int status = cor_json_decode_new(op->res->type, op->patch, &op->obj, &d, &op->err);
	cor_assert(status >= 0);        /* a text of ours */
	p->left++;
	cor_op_start(p->r, op);
}

void cor_publish(const struct cor_publish_config *c) {
	struct publish *p = cor_new(struct publish);
	*p = (struct publish){ .r = c->registry, .done = c->done, .arg = c->arg };
	_cleanup_buf_ struct cor_buf b = COR_BUF_INIT;
	cor_buf_c(&b, "{\"metadata\":{\"name\":\"extension-apiserver-authentication\",\"namespace\":"
		"\"kube-system\"},\"data\":{\"client-ca-file\":");
	cor_json_write_str(&b, c->ca_pem);
	cor_buf_c(&b, "}}");
	start(p, COR_RES_CONFIGMAPS, "kube-system", "extension-apiserver-authentication", &b);

	struct cor_ip ip;
	bool usable = cor_ip_parse(cor_str_c(c->address), &ip) && !cor_ip_is_loopback(&ip) &&
		!cor_ip_is_unspecified(&ip);
	if (!usable)
		return;         /* no pod could reach it, and the API refuses such addresses */
	cor_buf_clear(&b);
	cor_buf_printf(&b, "{\"metadata\":{\"name\":\"kubernetes\",\"namespace\":\"default\",\"labels\":{"
		"\"endpointslice.kubernetes.io/skip-mirror\":\"true\"}},\"subsets\":[{\"addresses\":[{\"ip\":"
		"\"%s\"}],\"ports\":[{\"name\":\"https\",\"port\":%d,\"protocol\":\"TCP\"}]}]}", c->address, c->port);
	start(p, COR_RES_ENDPOINTS, "default", "kubernetes", &b);
	cor_buf_clear(&b);
	cor_buf_printf(&b, "{\"metadata\":{\"name\":\"kubernetes\",\"namespace\":\"default\",\"labels\":{"
		"\"kubernetes.io/service-name\":\"kubernetes\"}},\"addressType\":\"%s\",\"endpoints\":[{"
		"\"addresses\":[\"%s\"],\"conditions\":{\"ready\":true}}],\"ports\":[{\"name\":\"https\",\"port\":%d,"
		"\"protocol\":\"TCP\"}]}", ip.v6 ? "IPv6" : "IPv4", c->address, c->port);
	start(p, COR_RES_ENDPOINTSLICES, "default", "kubernetes", &b);
}
