// SPDX-License-Identifier: Apache-2.0
// Requests and watches between the server and the others. A message takes a moment, may be lost,
// may come twice, and nothing passes a link that is cut: what was on its way is lost, also the
// answer to a write that was done. Messages of a stream keep their order, as TCP does.
#include "base/assert.h"
#include "sim/cluster.h"

#define PATIENCE (10 * COR_SECOND)
enum { WINDOW = 16 };

static cor_time travel(struct link *l) {
	return between(l->c, 100, 3 * COR_MS) + (l->slow ? between(l->c, 0, l->slow) : 0);
}

static bool loses(struct link *l) {
	return l->cut || (l->lose && chance(l->c, l->lose));
}

/* ---- requests ---- */

static void unlink_request(struct request *r) {
	*r->prev = r->next;
	if (r->next)
		r->next->prev = r->prev;
}

static void request_free(struct request *r) {
	struct cor_world *w = r->link->c->world;
	w->timer_clear(w, &r->move);
	w->timer_clear(w, &r->patience);
	unlink_request(r);
	cor_obj_unref(r->result);
	cor_arena_free(r->a);
	free(r);
}

static void settle_request(struct request *r) {
	if (r->at == REQUEST_OVER && !r->done)
		request_free(r);
}

/* Tells the sender, once. */
static void tell(struct request *r, int status) {
	struct cor_world *w = r->link->c->world;
	w->timer_clear(w, &r->patience);
	void (*done)(struct request *) = cor_take(r->done);
	r->status = status;
	if (done)
		done(r);
	settle_request(r);
}

static void on_patience(struct cor_timer *t) {
	tell(cor_container_of(t, struct request, patience), COR_E_TIMEOUT);
}

static void on_returned(struct cor_timer *t) {
	struct request *r = cor_container_of(t, struct request, move);
	r->at = REQUEST_OVER;
	if (r->link->cut)
		settle_request(r); /* patience ends it for the sender */
	else
		tell(r, r->op.status);
}

static void send_back(struct request *r) {
	struct cor_world *w = r->link->c->world;
	r->move.fire = on_returned;
	r->at = REQUEST_RETURNING;
	if (loses(r->link)) {
		r->at = REQUEST_OVER;
		settle_request(r);
		return;
	}
	w->timer_set(w, &r->move, travel(r->link));
}

static void on_served(struct cor_op *op) {
	struct request *r = op->arg;
	struct cluster *c = r->link->c;
	if (c->server.dying) {
		/* The connection breaks; whether it was done is not known. */
		op->status = COR_E_CLOSED;
	} else {
		if (op->status >= 0)
			model_acknowledged(c, op);
		r->result = op->status >= 0 && op->result ? cor_obj_ref(op->result) : NULL;
	}
	r->err = op->err;
	send_back(r);
}

static void note_person(struct request *r) {
	struct cluster *c = r->link->c;
	if (r->op.verb != COR_VERB_DELETE)
		return;
	struct cor_obj *o = cor_store_get_newest(
		server_store(c), (uint16_t)r->op.res->id, r->op.ns, r->op.name);
	if (!o || (r->op.expect_uid.n && !cor_str_eq(o->uid, r->op.expect_uid)))
		return;
	model_intent(c, o->uid, NULL);
	if (r->link == &c->people && r->op.grace_s == 0 && !cor_map_get(&c->forced, o->uid))
		(void)cor_map_put(&c->forced, o->uid, c);
}

void __real_cor_op_start(struct cor_registry *r, struct cor_op *op);

static void on_arrived(struct cor_timer *t) {
	struct request *r = cor_container_of(t, struct request, move);
	struct cluster *c = r->link->c;
	if (r->link->cut) {
		r->at = REQUEST_OVER;
		settle_request(r);
	} else if (!c->server.up) {
		r->op.status = COR_E_CLOSED;
		send_back(r);
	} else if (r->op.verb == COR_VERB_GET) {
		struct cor_obj *o = cor_store_get(
			server_store(c), (uint16_t)r->op.res->id, r->op.ns, r->op.name);
		r->result = o ? cor_obj_ref(o) : NULL;
		r->op.status = o ? 0 : COR_E_NOT_FOUND;
		send_back(r);
	} else {
		note_person(r);
		break_op(c, &r->op);
		r->at = REQUEST_SERVED;
		r->op.done = on_served;
		r->op.arg = r;
		/* Not through the wrapper: what others want is not a decision of the server's. */
		__real_cor_op_start(c->server.registry, &r->op);
	}
}

struct request *request_new(struct link *l, enum cor_verb verb, enum cor_res res, struct cor_str ns,
	struct cor_str name) {
	struct cluster *c = l->c;
	struct request *r = cor_new(struct request);
	r->link = l;
	r->a = cor_arena_new(0);
	r->op = (struct cor_op){
		.verb = verb,
		.res = &cor_resources[res],
		.ns = cor_arena_str(r->a, ns),
		.name = cor_arena_str(r->a, name),
		.arena = r->a,
		.grace_s = -1,
	};
	r->next = c->requests;
	r->prev = &c->requests;
	if (r->next)
		r->next->prev = &r->next;
	c->requests = r;
	return r;
}

static void set_out(struct request *r, cor_time delay) {
	struct cor_world *w = r->link->c->world;
	r->move.fire = on_arrived;
	if (loses(r->link)) {
		r->at = REQUEST_OVER;
		settle_request(r);
		return;
	}
	w->timer_set(w, &r->move, delay);
}

/* A client or something in between tries once more what it thinks was lost. */
static void send_again(struct request *r, cor_time delay) {
	struct request *x =
		request_new(r->link, r->op.verb, (enum cor_res)r->op.res->id, r->op.ns, r->op.name);
	struct cor_op o = x->op;
	x->op = r->op;
	x->op.ns = o.ns;
	x->op.name = o.name;
	x->op.arena = x->a;
	x->op.patch = cor_arena_str(x->a, r->op.patch);
	x->op.subresource = cor_arena_str(x->a, r->op.subresource);
	x->op.expect_uid = cor_arena_str(x->a, r->op.expect_uid);
	x->op.expect_rv = cor_arena_str(x->a, r->op.expect_rv);
	x->op.obj = r->op.obj ? cor_obj_dup(r->op.res->type, r->op.obj, x->a) : NULL;
	set_out(x, delay);
}

void request_send(struct request *r, void (*done)(struct request *r), void *arg) {
	struct cluster *c = r->link->c;
	r->done = done;
	r->arg = arg;
	r->patience.fire = on_patience;
	if (done)
		c->world->timer_set(c->world, &r->patience, PATIENCE);
	cor_time delay = travel(r->link);
	if (r->link->twice && chance(c, r->link->twice))
		send_again(r, delay + travel(r->link));
	set_out(r, delay);
}

void request_forget(struct request *r) {
	struct cor_world *w = r->link->c->world;
	w->timer_clear(w, &r->patience);
	r->done = NULL;
	settle_request(r);
}

/* ---- streams ---- */

struct parcel {
	struct parcel *next;
	cor_time at;
	enum cor_event_type type; /* GONE and CLOSED are the last of a stream */
	bool list;
	struct cor_obj **objs; /* references */
	size_t n;
	uint64_t rev;
};

static void pump(struct stream *s);

static void parcel_free(struct parcel *p) {
	for (size_t i = 0; i < p->n; i++)
		cor_obj_unref(p->objs[i]);
	free(p->objs);
	free(p);
}

static void drop_parcels(struct stream *s) {
	while (s->head) {
		struct parcel *p = s->head;
		s->head = p->next;
		parcel_free(p);
	}
	s->tail = &s->head;
	s->n_parcels = 0;
}

static void arm(struct stream *s, cor_time delay) {
	struct cor_world *w = s->link->c->world;
	w->timer_set(w, &s->timer, delay);
}

/* The connection is no more; another one is opened after delay. */
static void break_off(struct stream *s, cor_time delay) {
	drop_parcels(s);
	cor_watch_free(cor_take(s->watch));
	s->open = false;
	arm(s, delay);
}

static void hand_over(struct stream *s, struct parcel *p) {
	if (p->list) {
		s->rev = p->rev;
		s->on_list(s->arg, p->objs, p->n);
	} else if (p->type == COR_EVENT_GONE) {
		s->rev = 0;
		break_off(s, 10 * COR_MS);
	} else if (p->type == COR_EVENT_CLOSED) {
		break_off(s, COR_SECOND);
	} else {
		s->rev = p->rev;
		s->on_event(s->arg, p->type, p->objs[0]);
	}
}

static void open_stream(struct stream *s);

static void on_stream(struct cor_timer *t) {
	struct stream *s = cor_container_of(t, struct stream, timer);
	struct cluster *c = s->link->c;
	if (!s->open) {
		open_stream(s);
		return;
	}
	if (s->stalled) {
		arm(s, COR_SECOND);
		return;
	}
	struct parcel *p = s->head;
	s->head = p->next;
	if (!s->head)
		s->tail = &s->head;
	s->n_parcels--;
	/* Set first: what is handed over may close the stream. */
	if (s->head)
		arm(s, s->head->at > mono(c) ? s->head->at - mono(c) : 0);
	hand_over(s, p);
	parcel_free(p);
	pump(s);
}

static struct parcel *add_parcel(struct stream *s, enum cor_event_type type, uint64_t rev) {
	struct cluster *c = s->link->c;
	struct parcel *p = cor_new(struct parcel);
	p->type = type;
	p->rev = rev;
	p->at = mono(c) + travel(s->link);
	if (p->at < s->last)
		p->at = s->last;
	s->last = p->at;
	*s->tail = p;
	s->tail = &p->next;
	if (s->n_parcels++ == 0)
		arm(s, p->at - mono(c));
	return p;
}

static void add_object(struct parcel *p, struct cor_obj *o) {
	p->objs = cor_realloc(p->objs, (p->n + 1) * sizeof(struct cor_obj *));
	p->objs[p->n++] = cor_obj_ref(o);
}

/* What the client of a selecting watch is told of a change; false: nothing. */
static bool seen_through(struct stream *s, const struct cor_event *ev, enum cor_event_type *ret) {
	bool before = ev->old && s->wants(s->arg, ev->old), now = s->wants(s->arg, ev->obj);
	*ret = ev->type;
	if (ev->type == COR_EVENT_DELETED)
		return before || now;
	if (now)
		*ret = before ? COR_EVENT_MODIFIED : COR_EVENT_ADDED;
	else if (before)
		*ret = COR_EVENT_DELETED;
	return now || before;
}

/* The server writes as long as the client reads. */
static void pump(struct stream *s) {
	struct cor_event ev;
	while (s->watch && s->n_parcels < WINDOW && cor_watch_next(s->watch, &ev)) {
		enum cor_event_type type;
		if (ev.type == COR_EVENT_GONE || ev.type == COR_EVENT_CLOSED)
			(void)add_parcel(s, ev.type, 0);
		else if (seen_through(s, &ev, &type))
			add_object(add_parcel(s, type, ev.rev), ev.obj);
	}
}

static void on_watch(struct cor_watch *w, void *arg) {
	pump(arg);
}

static bool list_one(void *arg, struct cor_obj *o) {
	struct stream *s = arg;
	if (s->wants(s->arg, o))
		add_object(s->head, o);
	return true;
}

static void open_stream(struct stream *s) {
	struct cluster *c = s->link->c;
	if (loses(s->link) || !c->server.up) {
		arm(s, between(c, COR_SECOND / 2, COR_SECOND));
		return;
	}
	struct cor_store *store = server_store(c);
	s->open = true;
	s->last = 0;
	cor_assert(!s->head && !s->watch);
	uint64_t after = s->rev;
	if (after == 0) {
		after = cor_store_rev(store);
		add_parcel(s, COR_EVENT_ADDED, after)->list = true;
		cor_store_each(store, (uint16_t)s->res, (struct cor_str){ 0 },
			(struct cor_str){ 0 }, (struct cor_str){ 0 }, list_one, s);
	}
	struct cor_watch_config w = {
		.res = (uint16_t)s->res, .after_rev = after, .ready = on_watch, .arg = s
	};
	struct cor_err err;
	if (cor_store_watch(store, &w, &s->watch, &err) < 0) {
		trace(c, "%s: watch of %s from %llu is too old", s->link->name,
			cor_resources[s->res].plural, (unsigned long long)after);
		(void)add_parcel(s, COR_EVENT_GONE, 0);
	}
}

void stream_start(struct stream *s) {
	struct cluster *c = s->link->c;
	s->tail = &s->head;
	s->timer.fire = on_stream;
	s->next = c->streams;
	s->prev = &c->streams;
	if (s->next)
		s->next->prev = &s->next;
	c->streams = s;
	s->open = false;
	arm(s, travel(s->link));
}

void stream_close(struct stream *s) {
	struct cor_world *w = s->link->c->world;
	if (!s->prev)
		return;
	drop_parcels(s);
	cor_watch_free(cor_take(s->watch));
	w->timer_clear(w, &s->timer);
	*s->prev = s->next;
	if (s->next)
		s->next->prev = s->prev;
	s->prev = NULL;
	s->open = false;
	s->rev = 0;
}

bool stream_is_current(const struct stream *s) {
	return s->prev && s->open && s->watch && s->n_parcels == 0 &&
	       cor_watch_rev(s->watch) == cor_store_rev(server_store(s->link->c));
}

/* ---- what happens to links ---- */

void link_set_cut(struct link *l, bool cut) {
	l->cut = cut;
	/* Each end notices in its own time; the server's end costs nothing. */
	for (struct stream *s = l->c->streams; cut && s; s = s->next)
		if (s->link == l && s->open)
			break_off(s, between(l->c, 0, 15 * COR_SECOND));
}

void links_server_died(struct cluster *c) {
	/* Of what was done and not yet told, some is never told. */
	for (struct request *r = c->requests, *next; r; r = next) {
		next = r->next;
		if (r->at != REQUEST_RETURNING || chance(c, 50))
			continue;
		c->world->timer_clear(c->world, &r->move);
		r->at = REQUEST_OVER;
		settle_request(r);
	}
	for (struct stream *s = c->streams; s; s = s->next)
		if (s->open)
			break_off(s, between(c, 0, COR_SECOND));
}

void links_free(struct cluster *c) {
	while (c->requests)
		request_free(c->requests);
	while (c->streams)
		stream_close(c->streams);
}
