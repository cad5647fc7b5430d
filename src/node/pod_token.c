// SPDX-License-Identifier: Apache-2.0
// Tokens of a pod's service account, asked for with TokenRequest and renewed before they end
// (facts/node-agent 15.6).
#include "node/pod_priv.h"

#include <stdio.h>

#include "codec/codec.h"
#include "gen/authentication_v1.h"
#include "node/pod_token.h"

static void renew(struct pod_token *t);

static void on_timer(struct cor_timer *timer) {
	struct pod *p = cor_container_of(timer, struct pod, token_timer);
	cor_time next = 0, now = pod_now(p);
	for (size_t i = 0; i < p->n_tokens; i++) {
		struct pod_token *t = p->tokens[i];
		if (t->renew_at <= now && !t->call)
			renew(t);
		else if (next == 0 || t->renew_at < next)
			next = t->renew_at;
	}
	if (next > 0)
		p->all->c.world->timer_set(p->all->c.world, &p->token_timer, next - now);
}

static void schedule(struct pod *p) {
	p->token_timer.fire = on_timer;
	p->all->c.world->timer_set(p->all->c.world, &p->token_timer, 0);
}

static void on_answer(void *arg, const struct cor_err *err, struct cor_str body) {
	struct pod_token *t = arg;
	struct pod *p = t->pod;
	t->call = NULL;
	cor_time now = pod_now(p);
	_cleanup_(cor_arena_freep) struct cor_arena *a = cor_arena_new(0);
	struct cor_decode d = { .arena = a };
	void *obj = NULL;
	t->err = err ? *err : (struct cor_err){ 0 };
	if (!err && cor_json_decode_new(&cor_type_authentication_v1_TokenRequest, body, &obj, &d, &t->err) >= 0) {
		const authentication_v1_TokenRequest *r = obj;
		if (t->token)
			explicit_bzero(t->token, strlen(t->token));
		free(t->token);
		t->token = cor_str_dup_c(r->status.token);
		t->expires_at = r->status.expirationTimestamp;
		cor_time life = t->expires_at - now;
		t->renew_at = now + (life * 8 / 10 > 24 * COR_HOUR ? 24 * COR_HOUR : life * 8 / 10);
	} else {
		/* One that is still good is kept while the next try waits. */
		t->renew_at = now + 5 * COR_SECOND;
	}
	schedule(p);
	pod_volumes_changed(p);
	pod_wake(p);
}

static void renew(struct pod_token *t) {
	struct pod *p = t->pod;
	struct cor_str sa = p->object->spec.serviceAccountName;
	_cleanup_free_ char *path = cor_asprintf("/api/v1/namespaces/%s/serviceaccounts/%.*s/token", p->ns,
		COR_STR_ARG(sa.n > 0 ? sa : COR_STR("default")));
	_cleanup_buf_ struct cor_buf b = COR_BUF_INIT;
	cor_buf_c(&b, "{\"kind\":\"TokenRequest\",\"apiVersion\":\"authentication.k8s.io/v1\",\"spec\":{\"audiences\":[");
	if (t->audience[0])
		cor_json_write_str(&b, cor_str_c(t->audience));
	cor_buf_printf(&b, "],\"expirationSeconds\":%lld,\"boundObjectRef\":{\"kind\":\"Pod\",\"apiVersion\":\"v1\","
		"\"name\":\"%s\",\"uid\":\"%s\"}}}", (long long)t->seconds, p->name, p->uid);
	t->call = cor_api_create(p->all->c.api, path, cor_buf_view(&b), on_answer, t);
}

void pod_tokens_renew(struct pod *p) {
	for (size_t i = 0; i < p->n_tokens; i++)
		p->tokens[i]->renew_at = 0;
	if (p->n_tokens > 0)
		schedule(p);
}

const struct pod_token *pod_token_get(struct pod *p, struct cor_str audience, int64_t seconds) {
	for (size_t i = 0; i < p->n_tokens; i++)
		if (p->tokens[i]->seconds == seconds && cor_str_eq_c(audience, p->tokens[i]->audience))
			return p->tokens[i];
	struct pod_token *t = cor_new(struct pod_token);
	*t = (struct pod_token){ .pod = p, .audience = cor_str_dup_c(audience), .seconds = seconds };
	p->tokens = cor_realloc(p->tokens, (p->n_tokens + 1) * sizeof(*p->tokens));
	p->tokens[p->n_tokens++] = t;
	renew(t);
	return t;
}

void pod_tokens_free(struct pod *p) {
	p->all->c.world->timer_clear(p->all->c.world, &p->token_timer);
	for (size_t i = 0; i < p->n_tokens; i++) {
		struct pod_token *t = p->tokens[i];
		if (t->call)
			cor_api_cancel(t->call);
		if (t->token)
			explicit_bzero(t->token, strlen(t->token));
		free(t->token);
		free(t->audience);
		free(t);
	}
	free(cor_take(p->tokens));
	p->n_tokens = 0;
}
