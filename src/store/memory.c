// SPDX-License-Identifier: Apache-2.0
// The backend that keeps everything in memory, for tests and simulations. Its contents are shared
// by all backends that were reopened from it, as a disk would be by one process after another.
#include <stdio.h>

#include "base/buf.h"
#include "store/store_priv.h"
#include "store/store_test.h"

struct record {
	uint16_t res;
	uint64_t rev;
	struct cor_str ns, name;
	struct cor_buf text;            /* ns, name and JSON */
};

struct disk {
	unsigned refs;
	struct cor_map records;
	uint64_t last_rev;
};

struct memory {
	struct cor_backend base;
	struct disk *disk;
	bool cut, forever;
	enum cor_fault fault;
	unsigned countdown;             /* 0: no fault */
	int errnum;
	size_t commits;
	uint64_t bytes;
};

static struct memory *memory_of(struct cor_backend *b) {
	return cor_container_of(b, struct memory, base);
}

static void record_free(struct record *r) {
	if (!r)
		return;
	cor_buf_fini(&r->text);
	free(r);
}

static int memory_load(struct cor_backend *b, int (*row)(void *arg, const struct cor_record *r),
	void *arg, uint64_t *ret_rev, struct cor_err *err) {
	const struct disk *d = memory_of(b)->disk;
	size_t it = 0;
	struct cor_str key;
	void *value;
	while (cor_map_next(&d->records, &it, &key, &value)) {
		const struct record *r = value;
		size_t at = r->ns.n + r->name.n;
		int e = row(arg, &(struct cor_record){
			.res = r->res, .rev = r->rev,
			.ns = { r->text.p, r->ns.n }, .name = { r->text.p + r->ns.n, r->name.n },
			.json = { r->text.p + at, r->text.n - at },
		});
		if (e < 0)
			return e;
	}
	*ret_rev = d->last_rev;
	return 0;
}

static void store_record(struct memory *m, const struct cor_record *r) {
	struct disk *d = m->disk;
	_cleanup_buf_ struct cor_buf key = COR_BUF_INIT;
	cor_buf_printf(&key, "%u/", r->res);
	cor_buf_str(&key, r->ns);
	cor_buf_byte(&key, '/');
	cor_buf_str(&key, r->name);
	if (!r->json.p) {
		record_free(cor_map_remove(&d->records, cor_buf_view(&key)));
		return;
	}
	struct record *copy = cor_new(struct record);
	copy->res = r->res;
	copy->rev = r->rev;
	copy->ns.n = r->ns.n;
	copy->name.n = r->name.n;
	cor_buf_str(&copy->text, r->ns);
	cor_buf_str(&copy->text, r->name);
	cor_buf_str(&copy->text, r->json);
	m->bytes += copy->text.n;
	record_free(cor_map_put(&d->records, cor_buf_view(&key), copy));
}

static bool fault_is_due(struct memory *m) {
	if (m->countdown == 0)
		return false;
	if (m->countdown > 1) {
		m->countdown--;
		return false;
	}
	if (!m->forever)
		m->countdown = 0;
	return true;
}

static int memory_commit(struct cor_backend *b, const struct cor_record *r, size_t n,
	uint64_t last_rev, struct cor_err *err) {
	struct memory *m = memory_of(b);
	if (m->cut)
		return cor_fail_errno(err, EIO, "cannot store");
	bool faulty = fault_is_due(m);
	if (!faulty || m->fault == COR_FAULT_DOUBT) {
		for (size_t i = 0; i < n; i++)
			store_record(m, &r[i]);
		m->disk->last_rev = last_rev;
	}
	if (faulty && m->fault != COR_FAULT_LOSE)
		return cor_fail_errno(err, m->errnum, "cannot store");
	m->commits++;
	return 0;
}

static void memory_free(struct cor_backend *b) {
	struct memory *m = memory_of(b);
	struct disk *d = m->disk;
	free(m);
	if (--d->refs > 0)
		return;
	size_t it = 0;
	struct cor_str key;
	void *value;
	while (cor_map_next(&d->records, &it, &key, &value))
		record_free(value);
	cor_map_fini(&d->records);
	free(d);
}

static uint64_t memory_bytes(struct cor_backend *b) {
	return memory_of(b)->bytes;
}

static struct cor_backend *memory_new(struct disk *d) {
	struct memory *m = cor_new(struct memory);
	m->base = (struct cor_backend){
		.load = memory_load, .commit = memory_commit,
		.free = memory_free, .bytes_written = memory_bytes,
	};
	m->disk = d;
	d->refs++;
	return &m->base;
}

struct cor_backend *cor_backend_memory_new(void) {
	return memory_new(cor_new(struct disk));
}

struct cor_backend *cor_backend_memory_reopen(struct cor_backend *b) {
	return memory_new(memory_of(b)->disk);
}

void cor_backend_memory_fault(struct cor_backend *b, enum cor_fault fault, unsigned k, int errnum,
	bool forever) {
	struct memory *m = memory_of(b);
	m->fault = fault;
	m->countdown = k;
	m->errnum = errnum;
	m->forever = forever;
}

void cor_backend_memory_cut(struct cor_backend *b) {
	memory_of(b)->cut = true;
}

size_t cor_backend_memory_commits(struct cor_backend *b) {
	return memory_of(b)->commits;
}
