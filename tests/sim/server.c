// SPDX-License-Identifier: Apache-2.0
// The server of the simulation: what `coracle server` has without HTTP, on a disk that can lose
// power, fail, or say that it failed although it did not.
#include <errno.h>

#include "base/assert.h"
#include "sim/cluster.h"
#include "store/store_test.h"

/* ---- the disk ---- */

struct disk {
	struct cor_backend base;
	struct cor_backend *inner;
	struct cluster *c;
};

static struct disk *disk_of(struct cor_backend *b) {
	return cor_container_of(b, struct disk, base);
}

struct highest {
	int (*row)(void *arg, const struct cor_record *r);
	void *arg;
	uint64_t rev;
};

static int count_row(void *arg, const struct cor_record *r) {
	struct highest *h = arg;
	if (r->rev > h->rev)
		h->rev = r->rev;
	return h->row(h->arg, r);
}

static int disk_load(struct cor_backend *b, int (*row)(void *arg, const struct cor_record *r),
	void *arg, uint64_t *ret_rev, struct cor_err *err) {
	struct disk *d = disk_of(b);
	struct highest h = { row, arg, 0 };
	int r = d->inner->load(d->inner, count_row, &h, ret_rev, err);
	if (d->c->breakage == BREAK_REVISION)
		*ret_rev = h.rev;
	return r;
}

static int store_records(
	struct disk *d, const struct cor_record *r, size_t n, uint64_t last, struct cor_err *err) {
	model_stored(d->c, r, n);
	/* The disk lies: the first of the records is not there. */
	if (d->c->breakage == BREAK_LOST_WRITE && n > 1 && chance(d->c, 10)) {
		r++;
		n--;
	}
	return d->inner->commit(d->inner, r, n, last, err);
}

static int disk_commit(struct cor_backend *b, const struct cor_record *r, size_t n, uint64_t last,
	struct cor_err *err) {
	struct disk *d = disk_of(b);
	struct server *s = &d->c->server;
	if (s->power_off)
		return cor_fail_errno(err, EIO, "cannot store");
	if (s->fault == DISK_OK || s->faults == 0)
		return store_records(d, r, n, last, err);
	s->faults--;
	trace(d->c, "disk: a commit of %zu writes fails%s", n,
		s->fault == DISK_DOUBT ? ", but is there" : "");
	if (s->fault == DISK_DOUBT)
		(void)store_records(d, r, n, last, err);
	return cor_fail_errno(err, ENOSPC, "cannot store");
}

static void disk_free(struct cor_backend *b) {
	struct disk *d = disk_of(b);
	d->inner->free(d->inner);
	free(d);
}

static uint64_t disk_bytes(struct cor_backend *b) {
	return disk_of(b)->inner->bytes_written(disk_of(b)->inner);
}

static struct cor_backend *disk_new(struct cluster *c) {
	struct disk *d = cor_new(struct disk);
	d->c = c;
	d->inner = cor_backend_memory_reopen(c->server.platters);
	d->base = (struct cor_backend){
		.load = disk_load,
		.commit = disk_commit,
		.free = disk_free,
		.bytes_written = disk_bytes,
	};
	return &d->base;
}

/* ---- life ---- */

struct cor_store *server_store(struct cluster *c) {
	return cor_registry_store(c->server.registry);
}

void server_start(struct cluster *c) {
	struct server *s = &c->server;
	cor_assert(!s->up);
	if (!s->platters)
		s->platters = cor_backend_memory_new();
	s->power_off = false;
	s->life++;
	struct cor_registry_config rc = { .world = c->world, .backend = disk_new(c) };
	struct cor_err err;
	if (cor_registry_open(&rc, &s->registry, &err) < 0) {
		violation(c, "the server does not start: %s", err.message);
		return;
	}
	s->up = true;
	trace(c, "server: starts at revision %llu",
		(unsigned long long)cor_store_rev(server_store(c)));
	model_attach(c);
	s->engine = cor_engine_new(s->registry, c->model ? oracle_rows(c) : cor_controllers);
	s->scheduler = cor_scheduler_new(s->registry);
}

void server_crash(struct cluster *c) {
	struct server *s = &c->server;
	if (!s->up)
		return;
	trace(c, "server: dies");
	model_detach(c);
	s->up = false;
	s->dying = s->power_off = true;
	s->fault = DISK_OK;
	links_server_died(c);
	cor_engine_stop(s->engine);
	cor_scheduler_stop(s->scheduler);
	cor_registry_free(cor_take(s->registry));
	cor_engine_free(cor_take(s->engine));
	cor_scheduler_free(cor_take(s->scheduler));
	s->dying = false;
}
