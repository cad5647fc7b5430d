// SPDX-License-Identifier: Apache-2.0
// The status of a pod to the API: written when it has changed, one request at a time; and the last
// DELETE, once the terminal phase is known there and nothing of the pod is left here.
#include "node/pod_priv.h"

#include <stdio.h>

#include "base/log.h"
#include "codec/codec.h"

#define HOLD_BACK (COR_SECOND / 2)

static bool terminal(const core_v1_PodStatus *s) {
	return s && (cor_str_eq(s->phase, COR_STR("Succeeded")) || cor_str_eq(s->phase, COR_STR("Failed")));
}

static void on_retry(struct cor_timer *t) {
	pod_wake(cor_container_of(t, struct pod, write_retry));
}

static void on_written(void *arg, const struct cor_err *err, struct cor_str body) {
	struct pod *p = arg;
	p->write = NULL;
	if (!err) {
		p->written = p->writing;
		p->seen = false;
	} else {
		if (err->reason == COR_REASON_NOT_FOUND || err->reason == COR_REASON_CONFLICT) {
			/* Gone or another one of that name: the informer will say so. */
			cor_debug("status of %s: %s", p->key, err->message);
		} else {
			cor_warn("status of %s: %s", p->key, err->message);
		}
		p->write_retry.fire = on_retry;
		p->all->c.world->timer_set(p->all->c.world, &p->write_retry, COR_SECOND);
		return;
	}
	pod_wake(p);
}

static void on_deleted(void *arg, const struct cor_err *err, struct cor_str body) {
	struct pod *p = arg;
	p->write = NULL;
	if (!err || err->reason == COR_REASON_NOT_FOUND || err->reason == COR_REASON_CONFLICT)
		return;
	cor_warn("delete %s: %s", p->key, err->message);
	p->deleting_sent = false;
	p->write_retry.fire = on_retry;
	p->all->c.world->timer_set(p->all->c.world, &p->write_retry, COR_SECOND);
}

static void delete_object(struct pod *p) {
	_cleanup_free_ char *path = cor_asprintf("/api/v1/namespaces/%s/pods/%s", p->ns, p->name);
	_cleanup_free_ char *body = cor_asprintf("{\"kind\":\"DeleteOptions\",\"apiVersion\":\"v1\",\"gracePeriodSeconds\":0,"
		"\"preconditions\":{\"uid\":\"%s\"}}", p->uid);
	p->deleting_sent = true;
	p->write = cor_api_delete(p->all->c.api, path, cor_str_c(body), on_deleted, p);
}

/* A merge keeps what a patch does not name: what a condition has no more is taken away by name. */
static void print_conditions(struct cor_buf *b, const core_v1_PodStatus *s) {
	cor_buf_c(b, "\"conditions\":[");
	for (size_t i = 0; i < s->conditions.n; i++) {
		const core_v1_PodCondition *c = &s->conditions.p[i];
		cor_buf_c(b, i > 0 ? "," : "");
		(void)cor_json_encode(&cor_type_core_v1_PodCondition, c, b);
		b->n--;         /* the closing brace */
		cor_buf_c(b, c->reason.n > 0 ? "" : ",\"reason\":null");
		cor_buf_c(b, c->message.n > 0 ? "}" : ",\"message\":null}");
	}
	cor_buf_c(b, "],");
}

/* Fields that were written before and are not there now have to be taken away by name. */
static void print_removed(struct cor_buf *b, const core_v1_PodStatus *now, const core_v1_PodStatus *api) {
	if (api->reason.n > 0 && now->reason.n == 0)
		cor_buf_c(b, "\"reason\":null,");
	if (api->message.n > 0 && now->message.n == 0)
		cor_buf_c(b, "\"message\":null,");
}

/* The object says of each condition what we say. */
static bool agrees(const struct pod *p) {
	const core_v1_PodStatus *ours = p->status, *api = &p->object->status;
	for (size_t i = 0; i < ours->conditions.n; i++) {
		bool found = false;
		for (size_t k = 0; k < api->conditions.n; k++)
			found |= cor_str_eq(api->conditions.p[k].type, ours->conditions.p[i].type) &&
				cor_str_eq(api->conditions.p[k].status, ours->conditions.p[i].status);
		if (!found)
			return false;
	}
	return true;
}

static bool just_begins(const struct cor_ctr_facts *f) {
	return f->inst.phase == COR_INST_NONE && f->last.phase == COR_INST_NONE && !f->waiting;
}

/* All that could be told of a new pod is that it will start. That it has started is told soon, and costs as much. */
static bool may_wait(struct pod *p) {
	cor_time until = p->first_at + HOLD_BACK;
	if (p->written || p->ending || p->object->status.startTime != 0 || pod_now(p) >= until || pod_now(p) < p->first_at)
		return false;
	for (size_t i = 0; i < p->n; i++)
		if (!just_begins(&p->facts[i]))
			return false;
	pod_due(p, until);
	return true;
}

void pod_write(struct pod *p) {
	if (p->gone || p->write || p->deleting_sent || p->write_retry.armed || !p->status || may_wait(p))
		return;
	_cleanup_buf_ struct cor_buf b = COR_BUF_INIT;
	cor_buf_printf(&b, "{\"metadata\":{\"uid\":\"%s\"},\"status\":{", p->uid);
	print_removed(&b, p->status, &p->object->status);
	print_conditions(&b, p->status);
	core_v1_PodStatus rest = *p->status;
	rest.conditions.p = NULL;
	rest.conditions.n = 0;
	_cleanup_buf_ struct cor_buf status = COR_BUF_INIT;
	(void)cor_json_encode(&cor_type_core_v1_PodStatus, &rest, &status);
	cor_buf_str(&b, cor_str_sub(cor_buf_view(&status), 1, status.n));
	cor_buf_byte(&b, '}');
	/* Once our last write was seen in the object, another opinion there is somebody else's: pods of a node
	 * that is not heard of are marked as not ready, and only we can take that back. */
	bool agree = agrees(p);
	p->seen |= agree;
	uint64_t hash = cor_str_hash(cor_buf_view(&b)) | 1;
	bool same = p->written == hash && (agree || !p->seen);
	if (!same) {
		_cleanup_free_ char *path = cor_asprintf("/api/v1/namespaces/%s/pods/%s/status", p->ns, p->name);
		p->writing = hash;
		p->write = cor_api_patch(p->all->c.api, path, "application/strategic-merge-patch+json", cor_buf_view(&b),
			on_written, p);
		return;
	}
	if (p->object->metadata.deletionTimestamp != 0 && p->end == STAGE_GONE && terminal(p->status))
		delete_object(p);
}
