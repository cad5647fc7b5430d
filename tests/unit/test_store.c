// SPDX-License-Identifier: Apache-2.0
// The store on the memory backend and virtual time: order, preconditions, group commit, failures,
// watches, the past, indexes and heartbeats.
#include "store_rig.h"

#include <errno.h>

struct rig {
	struct cor_sim *sim;
	struct cor_backend *backend;    /* the store's */
	struct cor_store *s;
};

static struct cor_store_config config_of(struct rig *r) {
	return (struct cor_store_config){
		.world = cor_sim_world(r->sim), .backend = r->backend, .rebuild = rig_rebuild,
		.n_resources = N_RES,
	};
}

static void rig_open_with(struct rig *r, const struct cor_store_config *c) {
	struct cor_err err;
	assert_int_equal(cor_store_open(c, &r->s, &err), 0);
}

static struct rig rig_new(uint64_t seed) {
	struct rig r = { .sim = cor_sim_new(seed), .backend = cor_backend_memory_new() };
	struct cor_store_config c = config_of(&r);
	rig_open_with(&r, &c);
	return r;
}

/* Closes the store, or cuts its power, and opens it again on what the backend has. */
static void rig_restart(struct rig *r, bool crash) {
	struct cor_backend *next = cor_backend_memory_reopen(r->backend);
	if (crash)
		cor_backend_memory_cut(r->backend);
	cor_store_free(r->s);
	r->backend = next;
	struct cor_store_config c = config_of(r);
	rig_open_with(r, &c);
}

static void rig_free(struct rig *r) {
	cor_store_free(r->s);
	cor_sim_settle(r->sim);
	cor_sim_free(r->sim);
}

static void wait_for(struct rig *r, struct rig_write *x) {
	assert_true(cor_sim_run_until(r->sim, rig_is_done, x, 10 * COR_SECOND));
}

/* A write that is waited for; returns its status. */
static int put(struct rig *r, enum cor_write_op op, uint16_t res, const char *ns, const char *name,
	const char *v, uint64_t expect, uint64_t *ret_rev) {
	struct rig_write x = { 0 };
	rig_start(r->s, &x, op, res, ns, name, v, expect);
	wait_for(r, &x);
	if (ret_rev)
		*ret_rev = x.rev;
	return x.w.status;
}

static void must_put(struct rig *r, enum cor_write_op op, const char *ns, const char *name,
	const char *v) {
	assert_int_equal(put(r, op, PODS, ns, name, v, 0, NULL), 0);
}

/* What iteration and watches saw, as text. */
struct seen {
	struct cor_buf text;
	size_t limit;                   /* 0 = none */
	size_t n;
};

static bool see(void *arg, struct cor_obj *o) {
	struct seen *x = arg;
	cor_buf_printf(&x->text, "%s%.*s/%.*s=%s", x->n ? " " : "", COR_STR_ARG(o->ns),
		COR_STR_ARG(o->name), rig_member(o->json, "v"));
	return ++x->n != x->limit;
}

static void expect_text(struct seen *x, const char *want) {
	cor_buf_byte(&x->text, '\0');
	assert_false(x->text.failed);
	assert_string_equal(x->text.p, want);
	cor_buf_fini(&x->text);
	*x = (struct seen){ 0 };
}

static void expect_list(struct rig *r, const char *ns, const char *want) {
	struct seen x = { 0 };
	cor_store_each(r->s, PODS, S(ns), ABSENT, ABSENT, see, &x);
	expect_text(&x, want);
}

/* ---- writes ---- */

static const char *value_of(struct cor_obj *o) {
	return o ? rig_member(o->json, "v") : "-";
}

static const char *newest(struct rig *r, const char *name) {
	return value_of(cor_store_get_newest(r->s, PODS, S("d"), S(name)));
}

static const char *published(struct rig *r, const char *name) {
	return value_of(cor_store_get(r->s, PODS, S("d"), S(name)));
}

static void test_revision_is_spliced_in(void **state) {
	struct rig r = rig_new(1);
	uint64_t rev;
	assert_int_equal(put(&r, COR_WRITE_CREATE, PODS, "d", "a", "1", 0, &rev), 0);
	assert_int_equal(rev, 2);       /* an empty store is at 1 */
	struct cor_obj *o = cor_store_get(r.s, PODS, S("d"), S("a"));
	assert_non_null(o);
	const char *want = "{\"metadata\":{\"resourceVersion\":\"2\",\"name\":\"a\",\"uid\":\"u-d-a\"},"
		"\"owner\":\"\",\"v\":\"1\"}";
	assert_int_equal(o->json.n, strlen(want));
	assert_memory_equal(o->json.p, want, o->json.n);
	assert_int_equal(cor_store_rev(r.s), 2);
	rig_free(&r);
}

/* All are started in one turn, on top of each other; expect: 0, or offset+1 into the revisions. */
static void test_preconditions_with_writes_under_way(void **state) {
	static const struct {
		enum cor_write_op op;
		const char *v;
		int expect;             /* index of the write whose revision is expected, or -1 */
		int status;
		const char *newest;
	} steps[] = {
		{ COR_WRITE_UPDATE, "0", -1, COR_E_NOT_FOUND, "-" },
		{ COR_WRITE_DELETE, NULL, -1, COR_E_NOT_FOUND, "-" },
		{ COR_WRITE_CREATE, "1", -1, 0, "1" },
		{ COR_WRITE_CREATE, "2", -1, COR_E_EXISTS, "1" },
		{ COR_WRITE_UPDATE, "3", 2, 0, "3" },
		{ COR_WRITE_UPDATE, "4", 2, COR_E_CONFLICT, "3" },
		{ COR_WRITE_UPDATE, "5", -1, 0, "5" },
		{ COR_WRITE_DELETE, NULL, 4, COR_E_CONFLICT, "5" },
		{ COR_WRITE_DELETE, NULL, 6, 0, "-" },
		{ COR_WRITE_UPDATE, "6", -1, COR_E_NOT_FOUND, "-" },
		{ COR_WRITE_CREATE, "7", -1, 0, "7" },
	};
	struct rig r = rig_new(2);
	struct rig_write x[cor_countof(steps)] = { 0 };
	uint64_t revs[cor_countof(steps)] = { 0 };
	for (size_t i = 0; i < cor_countof(steps); i++) {
		uint64_t expect = steps[i].expect < 0 ? 0 : revs[steps[i].expect];
		rig_start(r.s, &x[i], steps[i].op, PODS, "d", "a", steps[i].v, expect);
		assert_string_equal(newest(&r, "a"), steps[i].newest);
		assert_string_equal(published(&r, "a"), "-");
		struct cor_obj *o = cor_store_get_newest(r.s, PODS, S("d"), S("a"));
		revs[i] = o ? o->rev : 0;
	}
	uint64_t last = 0;
	for (size_t i = 0; i < cor_countof(steps); i++) {
		wait_for(&r, &x[i]);
		assert_int_equal(x[i].w.status, steps[i].status);
		if (steps[i].status == 0) {
			assert_true(x[i].rev > last);
			last = x[i].rev;
		} else {
			assert_int_equal(x[i].w.err.code, steps[i].status);
			assert_true(x[i].w.err.message[0] != '\0');
		}
	}
	assert_string_equal(published(&r, "a"), "7");
	rig_free(&r);
}

static void test_group_commit(void **state) {
	struct rig r = rig_new(3);
	struct rig_write x[50] = { 0 };
	char name[8];
	for (int i = 0; i < 50; i++) {
		(void)snprintf(name, sizeof(name), "p%02d", i);
		rig_start(r.s, &x[i], COR_WRITE_CREATE, PODS, "d", name, "1", 0);
		if (i == 9)     /* the first ten are on their way */
			while (cor_sim_jobs(r.sim) == 0)
				assert_true(cor_sim_step(r.sim));
	}
	assert_int_equal(cor_store_count(r.s, PODS, ABSENT), 0);
	wait_for(&r, &x[9]);
	assert_false(x[10].done);
	assert_int_equal(cor_store_count(r.s, PODS, ABSENT), 10);
	wait_for(&r, &x[49]);
	assert_int_equal(cor_backend_memory_commits(r.backend), 2);
	struct cor_store_stats stats;
	cor_store_stats(r.s, &stats);
	assert_int_equal(stats.writes, 50);
	assert_int_equal(stats.commits, 2);
	assert_int_equal(stats.objects, 50);
	rig_free(&r);
}

static void test_close_flushes(void **state) {
	struct rig r = rig_new(4);
	struct rig_write x[3] = { 0 };
	rig_start(r.s, &x[0], COR_WRITE_CREATE, PODS, "d", "a", "1", 0);
	while (cor_sim_jobs(r.sim) == 0)
		assert_true(cor_sim_step(r.sim));
	rig_start(r.s, &x[1], COR_WRITE_CREATE, PODS, "d", "b", "1", 0);
	rig_start(r.s, &x[2], COR_WRITE_CREATE, PODS, "d", "b", "1", 0);
	rig_restart(&r, false);
	assert_int_equal(x[0].w.status, 0);
	assert_int_equal(x[1].w.status, 0);
	assert_true(x[2].done);
	assert_int_equal(x[2].w.status, COR_E_EXISTS);
	expect_list(&r, "", "d/a=1 d/b=1");
	rig_free(&r);
}

/* ---- failures ---- */

static void test_failed_commit_rolls_back(void **state) {
	struct rig r = rig_new(5);
	must_put(&r, COR_WRITE_CREATE, "d", "a", "old");
	uint64_t before = cor_store_rev(r.s);
	struct rig_write x[5] = { 0 };
	cor_backend_memory_fault(r.backend, COR_FAULT_FAIL, 1, ENOSPC, false);
	rig_start(r.s, &x[0], COR_WRITE_UPDATE, PODS, "d", "a", "new", 0);
	while (cor_sim_jobs(r.sim) == 0)
		assert_true(cor_sim_step(r.sim));
	/* These gather behind the commit that will fail; the first is on top of it. */
	rig_start(r.s, &x[1], COR_WRITE_UPDATE, PODS, "d", "a", "newer", 0);
	rig_start(r.s, &x[2], COR_WRITE_CREATE, PODS, "d", "b", "1", 0);
	x[3].w.in_memory = x[4].w.in_memory = true;
	rig_start(r.s, &x[3], COR_WRITE_CREATE, LEASES, "d", "node", "1", 0);
	rig_start(r.s, &x[4], COR_WRITE_UPDATE, PODS, "d", "a", "beat", 0);
	assert_string_equal(newest(&r, "a"), "beat");
	for (int i = 0; i < 5; i++)
		wait_for(&r, &x[i]);
	for (int i = 0; i < 5; i++) {
		int want = i == 3 ? 0 : -ENOSPC;        /* a heartbeat of another key goes on */
		assert_int_equal(x[i].w.status, want);
		if (want)
			assert_non_null(strstr(x[i].w.err.message, "No space left"));
	}
	assert_string_equal(newest(&r, "a"), "old");
	assert_string_equal(newest(&r, "b"), "-");
	assert_int_equal(cor_store_get_newest(r.s, LEASES, S("d"), S("node"))->rev, before + 4);
	/* The disk has room again; no revision comes twice. */
	uint64_t rev;
	assert_int_equal(put(&r, COR_WRITE_UPDATE, PODS, "d", "a", "2", 0, &rev), 0);
	assert_int_equal(rev, before + 6);
	expect_list(&r, "", "d/a=2");
	rig_free(&r);
}

static void test_full_disk_refuses_until_there_is_room(void **state) {
	struct rig r = rig_new(6);
	must_put(&r, COR_WRITE_CREATE, "d", "a", "1");
	cor_backend_memory_fault(r.backend, COR_FAULT_FAIL, 1, ENOSPC, true);
	for (int i = 0; i < 5; i++)
		assert_int_equal(put(&r, COR_WRITE_UPDATE, PODS, "d", "a", "2", 0, NULL), -ENOSPC);
	cor_backend_memory_fault(r.backend, COR_FAULT_FAIL, 0, 0, false);
	must_put(&r, COR_WRITE_UPDATE, "d", "a", "3");
	expect_list(&r, "d", "d/a=3");
	rig_free(&r);
}

/* An error of which nobody knows whether it stored the write: a restart may show it, but then
 * nobody holds a revision from before that could be wrong. */
static void test_commit_in_doubt(void **state) {
	struct rig r = rig_new(7);
	must_put(&r, COR_WRITE_CREATE, "d", "a", "1");
	cor_backend_memory_fault(r.backend, COR_FAULT_DOUBT, 1, EIO, false);
	assert_int_equal(put(&r, COR_WRITE_UPDATE, PODS, "d", "a", "2", 0, NULL), -EIO);
	assert_string_equal(published(&r, "a"), "1");
	uint64_t last = cor_store_rev(r.s);
	rig_restart(&r, true);
	assert_true(cor_store_rev(r.s) > last + 1);
	assert_true(cor_store_compacted(r.s) > last + 1);
	rig_free(&r);
}

static void test_object_that_does_not_rebuild(void **state) {
	struct rig r = rig_new(8);
	must_put(&r, COR_WRITE_CREATE, "d", "bad", "broken");
	struct cor_store *s = NULL;
	struct cor_err err;
	struct cor_store_config c = config_of(&r);
	c.backend = cor_backend_memory_reopen(r.backend);
	assert_int_equal(cor_store_open(&c, &s, &err), COR_E_PARSE);
	assert_non_null(strstr(err.message, "d/bad"));
	assert_null(s);
	rig_free(&r);
}

/* ---- heartbeats ---- */

static void beat(struct rig *r, enum cor_write_op op, const char *name, const char *v, int status) {
	struct rig_write x = { .w.in_memory = true };
	rig_start(r->s, &x, op, LEASES, "d", name, v, 0);
	wait_for(r, &x);
	assert_int_equal(x.w.status, status);
}

static void test_heartbeats_do_not_write(void **state) {
	struct rig r = rig_new(9);
	assert_int_equal(put(&r, COR_WRITE_CREATE, LEASES, "d", "n1", "stored", 0, NULL), 0);
	size_t commits = cor_backend_memory_commits(r.backend);
	for (int i = 0; i < 100; i++)
		beat(&r, COR_WRITE_UPDATE, "n1", "beat", 0);
	beat(&r, COR_WRITE_CREATE, "n2", "beat", 0);
	assert_int_equal(cor_backend_memory_commits(r.backend), commits);
	assert_true(cor_store_get(r.s, LEASES, S("d"), S("n2"))->volatile_only);
	uint64_t last = cor_store_rev(r.s);
	rig_restart(&r, true);
	/* The last durable version is back; revisions go on above all that were seen. */
	assert_string_equal(value_of(cor_store_get(r.s, LEASES, S("d"), S("n1"))), "stored");
	assert_null(cor_store_get(r.s, LEASES, S("d"), S("n2")));
	assert_true(cor_store_rev(r.s) >= last);
	uint64_t rev;
	assert_int_equal(put(&r, COR_WRITE_CREATE, PODS, "d", "a", "1", 0, &rev), 0);
	assert_true(rev > last);
	rig_free(&r);
}

/* Many more than are reserved at once, with a restart after each round. */
static void test_revisions_never_come_twice(void **state) {
	struct rig r = rig_new(10);
	uint64_t last = 1;
	beat(&r, COR_WRITE_CREATE, "n", "0", 0);
	for (int round = 0; round < 4; round++) {
		for (int i = 0; i < 3000; i++) {
			beat(&r, COR_WRITE_UPDATE, "n", "1", 0);
			assert_true(cor_store_rev(r.s) > last);
			last = cor_store_rev(r.s);
		}
		rig_restart(&r, true);
		assert_true(cor_store_rev(r.s) >= last);
		assert_true(cor_store_rev(r.s) < last + 5000);
		beat(&r, COR_WRITE_CREATE, "n", "0", 0);
	}
	assert_true(cor_backend_memory_commits(r.backend) < 10);
	rig_free(&r);
}

static void test_heartbeat_waits_for_its_key(void **state) {
	struct rig r = rig_new(11);
	struct rig_write x[3] = { 0 };
	rig_start(r.s, &x[0], COR_WRITE_CREATE, LEASES, "d", "n", "durable", 0);
	x[1].w.in_memory = true;
	rig_start(r.s, &x[1], COR_WRITE_UPDATE, LEASES, "d", "n", "beat", 0);
	cor_sim_run_for(r.sim, 0);
	assert_false(x[1].done);
	wait_for(&r, &x[1]);
	assert_true(x[0].done && x[0].rev < x[1].rev);
	/* Deleting in memory what the backend has is a durable delete. */
	x[2].w.in_memory = true;
	rig_start(r.s, &x[2], COR_WRITE_DELETE, LEASES, "d", "n", NULL, 0);
	wait_for(&r, &x[2]);
	rig_restart(&r, true);
	assert_null(cor_store_get(r.s, LEASES, S("d"), S("n")));
	rig_free(&r);
}

/* ---- reads ---- */

static void test_order_and_ranges(void **state) {
	static const char *const keys[][2] = {
		{ "b", "x" }, { "a", "z" }, { "a", "a" }, { "ab", "m" }, { "a", "a-0" }, { "b", "a" },
	};
	static const struct {
		const char *ns, *after_ns, *after;
		size_t limit;
		const char *want;
	} rows[] = {
		{ "", "", "", 0, "a/a=1 a/a-0=1 a/z=1 ab/m=1 b/a=1 b/x=1" },
		{ "a", "", "", 0, "a/a=1 a/a-0=1 a/z=1" },
		{ "a", "a", "a", 0, "a/a-0=1 a/z=1" },
		{ "a", "a", "a", 1, "a/a-0=1" },
		{ "", "a", "b", 2, "a/z=1 ab/m=1" },            /* behind a key that is gone */
		{ "b", "a", "z", 0, "b/a=1 b/x=1" },
		{ "a", "b", "a", 0, "" },
		{ "none", "", "", 0, "" },
	};
	struct rig r = rig_new(12);
	for (size_t i = 0; i < cor_countof(keys); i++)
		must_put(&r, COR_WRITE_CREATE, keys[i][0], keys[i][1], "1");
	for (size_t i = 0; i < cor_countof(rows); i++) {
		struct seen x = { .limit = rows[i].limit };
		cor_store_each(r.s, PODS, S(rows[i].ns), S(rows[i].after_ns), S(rows[i].after),
			see, &x);
		expect_text(&x, rows[i].want);
	}
	assert_int_equal(cor_store_count(r.s, PODS, ABSENT), 6);
	assert_int_equal(cor_store_count(r.s, PODS, S("a")), 3);
	assert_int_equal(cor_store_count(r.s, PODS, S("ab")), 1);
	assert_int_equal(cor_store_count(r.s, PODS, S("zz")), 0);
	assert_int_equal(cor_store_count(r.s, LEASES, ABSENT), 0);
	rig_free(&r);
}

static struct rig_write *start_many(struct rig *r, enum cor_write_op op, size_t n, const char *v) {
	struct rig_write *x = cor_calloc(n, sizeof(*x));
	char name[24];
	for (size_t i = 0; i < n; i++) {
		/* In a scattered order, so that blocks split everywhere. */
		(void)snprintf(name, sizeof(name), "p%06zu", i * 7919 % n);
		rig_start(r->s, &x[i], op, PODS, "d", name, v, 0);
	}
	wait_for(r, &x[n - 1]);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(x[i].w.status, 0);
	return x;
}

static bool check_order(void *arg, struct cor_obj *o) {
	struct seen *x = arg;
	char name[24];
	(void)snprintf(name, sizeof(name), "p%06zu", x->n++);
	assert_true(cor_str_eq_c(o->name, name));
	return true;
}

static void test_many_objects(void **state) {
	enum { MANY = 10000 };
	struct rig r = rig_new(13);
	free(start_many(&r, COR_WRITE_CREATE, MANY, "1"));
	struct seen x = { 0 };
	cor_store_each(r.s, PODS, S("d"), ABSENT, ABSENT, check_order, &x);
	assert_int_equal(x.n, MANY);
	assert_int_equal(cor_store_count(r.s, PODS, S("d")), MANY);
	assert_non_null(cor_store_by_uid(r.s, S("u-d-p004711")));
	free(start_many(&r, COR_WRITE_DELETE, MANY, NULL));
	assert_int_equal(cor_store_count(r.s, PODS, ABSENT), 0);
	assert_null(cor_store_by_uid(r.s, S("u-d-p004711")));
	rig_free(&r);
}

static void test_owner_and_uid_indexes(void **state) {
	struct rig r = rig_new(14);
	static const struct {
		enum cor_write_op op;
		const char *name, *owner;
		const char *owned_by_x, *owned_by_y;
	} steps[] = {
		{ COR_WRITE_CREATE, "a", "x", "d/a=1", "" },
		{ COR_WRITE_CREATE, "b", "x", "d/a=1 d/b=1", "" },
		{ COR_WRITE_UPDATE, "a", "y", "d/b=1", "d/a=1" },
		{ COR_WRITE_UPDATE, "b", "", "", "d/a=1" },
		{ COR_WRITE_DELETE, "a", NULL, "", "" },
		{ COR_WRITE_CREATE, "a", "x", "d/a=1", "" },
	};
	for (size_t i = 0; i < cor_countof(steps); i++) {
		struct rig_write x = { .w = {
			.op = steps[i].op, .res = PODS, .ns = S("d"), .name = S(steps[i].name),
			.done = rig_done,
		} };
		_cleanup_(cor_obj_unrefp) struct cor_obj *o = steps[i].owner
			? rig_obj(PODS, "d", steps[i].name, steps[i].name, steps[i].owner, "1") : NULL;
		x.w.obj = o;
		cor_store_write(r.s, &x.w);
		wait_for(&r, &x);
		assert_int_equal(x.w.status, 0);
		struct seen seen = { 0 };
		cor_store_each_owned(r.s, S("x"), see, &seen);
		expect_text(&seen, steps[i].owned_by_x);
		cor_store_each_owned(r.s, S("y"), see, &seen);
		expect_text(&seen, steps[i].owned_by_y);
		bool gone = steps[i].op == COR_WRITE_DELETE;
		struct cor_obj *found = cor_store_by_uid(r.s, S(steps[i].name));
		assert_ptr_equal(found, gone ? NULL
			: cor_store_get(r.s, PODS, S("d"), S(steps[i].name)));
	}
	rig_free(&r);
}

static void test_the_past(void **state) {
	struct rig r = rig_new(15);
	uint64_t at[5];
	must_put(&r, COR_WRITE_CREATE, "d", "b", "1");
	must_put(&r, COR_WRITE_CREATE, "d", "d", "1");
	at[0] = cor_store_rev(r.s);
	must_put(&r, COR_WRITE_CREATE, "d", "a", "2");
	must_put(&r, COR_WRITE_UPDATE, "d", "b", "2");
	at[1] = cor_store_rev(r.s);
	must_put(&r, COR_WRITE_DELETE, "d", "d", NULL);
	must_put(&r, COR_WRITE_CREATE, "e", "z", "3");
	at[2] = cor_store_rev(r.s);
	must_put(&r, COR_WRITE_CREATE, "d", "d", "4");
	must_put(&r, COR_WRITE_DELETE, "d", "a", NULL);
	assert_int_equal(put(&r, COR_WRITE_CREATE, NODES, "", "n", "1", 0, NULL), 0);
	at[3] = cor_store_rev(r.s);
	at[4] = 1;
	static const struct {
		size_t at;
		const char *ns, *after;
		size_t limit;
		const char *want;
	} rows[] = {
		{ 0, "", "", 0, "d/b=1 d/d=1" },
		{ 1, "", "", 0, "d/a=2 d/b=2 d/d=1" },
		{ 1, "d", "a", 0, "d/b=2 d/d=1" },
		{ 1, "d", "a", 1, "d/b=2" },
		{ 2, "", "", 0, "d/a=2 d/b=2 e/z=3" },
		{ 2, "d", "", 0, "d/a=2 d/b=2" },
		{ 2, "e", "", 0, "e/z=3" },
		{ 3, "", "", 0, "d/b=2 d/d=4 e/z=3" },
		{ 4, "", "", 0, "" },
	};
	struct cor_err err;
	for (size_t i = 0; i < cor_countof(rows); i++) {
		struct seen x = { .limit = rows[i].limit };
		struct cor_str after_ns = *rows[i].after ? S(rows[i].ns) : ABSENT;
		assert_int_equal(cor_store_each_at(r.s, at[rows[i].at], PODS, S(rows[i].ns), after_ns,
			S(rows[i].after), see, &x, &err), 0);
		expect_text(&x, rows[i].want);
	}
	struct seen x = { 0 };
	assert_int_equal(cor_store_each_at(r.s, at[3] + 1, PODS, ABSENT, ABSENT, ABSENT, see, &x,
		&err), COR_E_TIMEOUT);
	cor_sim_run_for(r.sim, 20 * COR_MINUTE);
	assert_int_equal(cor_store_each_at(r.s, at[0], PODS, ABSENT, ABSENT, ABSENT, see, &x, &err),
		COR_E_GONE);
	assert_int_equal(err.reason, COR_REASON_EXPIRED);
	rig_free(&r);
}

/* ---- watches ---- */

struct watcher {
	struct cor_watch *w;
	struct seen seen;
	size_t calls;
	bool lazy;                      /* does not read when it is called */
	bool free_when_called;
};

static void read_all(struct watcher *x) {
	static const char *const types[] = { "A", "M", "D", "GONE", "CLOSED" };
	struct cor_event ev;
	while (cor_watch_next(x->w, &ev)) {
		if (x->seen.n++)
			cor_buf_byte(&x->seen.text, ' ');
		cor_buf_printf(&x->seen.text, "%s", types[ev.type]);
		if (!ev.obj)
			continue;
		assert_int_equal(ev.obj->rev, ev.rev);
		assert_int_equal(ev.type == COR_EVENT_ADDED, ev.old == NULL);
		cor_buf_printf(&x->seen.text, ":%.*s=%s", COR_STR_ARG(ev.obj->name),
			rig_member(ev.obj->json, "v"));
		if (ev.old)
			cor_buf_printf(&x->seen.text, "(%s)", rig_member(ev.old->json, "v"));
	}
}

static void on_ready(struct cor_watch *w, void *arg) {
	struct watcher *x = arg;
	assert_ptr_equal(w, x->w);
	x->calls++;
	if (x->free_when_called)
		cor_watch_free(cor_take(x->w));
	else if (!x->lazy)
		read_all(x);
}

static int watch(struct rig *r, struct watcher *x, uint16_t res, const char *ns, const char *name,
	uint64_t after) {
	struct cor_err err;
	struct cor_watch_config c = {
		.res = res, .ns = S(ns), .name = S(name), .after_rev = after, .ready = on_ready,
		.arg = x,
	};
	int e = cor_store_watch(r->s, &c, &x->w, &err);
	assert_int_equal(x->calls, 0);
	return e;
}

static void test_watches_from_history_and_live(void **state) {
	static const struct {
		uint16_t res;
		const char *ns, *name;
		const char *want;
	} rows[] = {
		{ PODS, "", "", "A:b=1 M:a=2(1) D:b=1(1) A:a=3 A:l=4" },
		{ PODS, "d", "", "A:b=1 M:a=2(1) D:b=1(1) A:l=4" },
		{ PODS, "d", "a", "M:a=2(1)" },
		{ PODS, "e", "", "A:a=3" },
		{ LEASES, "", "", "A:n=1" },
		{ NODES, "", "", "" },
		{ COR_WATCH_ALL, "", "", "A:b=1 M:a=2(1) A:n=1 D:b=1(1) A:a=3 A:l=4" },
	};
	for (int live = 0; live < 2; live++) {
		struct rig r = rig_new(16);
		struct watcher x[cor_countof(rows)] = { 0 };
		must_put(&r, COR_WRITE_CREATE, "d", "a", "1");
		uint64_t from = cor_store_rev(r.s);
		for (size_t i = 0; live && i < cor_countof(rows); i++)
			assert_int_equal(watch(&r, &x[i], rows[i].res, rows[i].ns, rows[i].name, from), 0);
		must_put(&r, COR_WRITE_CREATE, "d", "b", "1");
		must_put(&r, COR_WRITE_UPDATE, "d", "a", "2");
		assert_int_equal(put(&r, COR_WRITE_CREATE, LEASES, "d", "n", "1", 0, NULL), 0);
		must_put(&r, COR_WRITE_DELETE, "d", "b", NULL);
		must_put(&r, COR_WRITE_CREATE, "e", "a", "3");
		for (size_t i = 0; !live && i < cor_countof(rows); i++)
			assert_int_equal(watch(&r, &x[i], rows[i].res, rows[i].ns, rows[i].name, from), 0);
		must_put(&r, COR_WRITE_CREATE, "d", "l", "4");
		cor_sim_run_for(r.sim, COR_MS);
		for (size_t i = 0; i < cor_countof(rows); i++) {
			assert_int_equal(cor_watch_rev(x[i].w), cor_store_rev(r.s));
			expect_text(&x[i].seen, rows[i].want);
			/* One that nothing matches is called once, as a greeting. */
			if (live && !*rows[i].want)
				assert_int_equal(x[i].calls, 1);
			cor_watch_free(x[i].w);
		}
		rig_free(&r);
	}
}

static void test_slow_watch_is_overtaken(void **state) {
	struct rig r = { .sim = cor_sim_new(17), .backend = cor_backend_memory_new() };
	struct cor_store_config c = config_of(&r);
	c.history_max = 10;
	rig_open_with(&r, &c);
	struct watcher slow = { .lazy = true }, other = { .lazy = true }, late = { 0 };
	assert_int_equal(watch(&r, &slow, PODS, "", "", 1), 0);
	assert_int_equal(watch(&r, &other, PODS, "elsewhere", "", 1), 0);
	must_put(&r, COR_WRITE_CREATE, "d", "a", "1");
	for (int i = 0; i < 20; i++)
		must_put(&r, COR_WRITE_UPDATE, "d", "a", "2");
	cor_sim_run_for(r.sim, COR_MS);
	read_all(&slow);
	expect_text(&slow.seen, "GONE");
	read_all(&slow);
	expect_text(&slow.seen, "");
	/* Events that do not match overtake nobody. */
	read_all(&other);
	expect_text(&other.seen, "");
	assert_int_equal(cor_watch_rev(other.w), cor_store_rev(r.s));
	uint64_t oldest = cor_store_compacted(r.s);
	assert_int_equal(oldest, cor_store_rev(r.s) - 10);
	assert_int_equal(watch(&r, &late, PODS, "", "", oldest - 1), COR_E_GONE);
	assert_int_equal(watch(&r, &late, PODS, "", "", oldest), 0);
	cor_sim_run_for(r.sim, COR_MS);
	assert_int_equal(late.seen.n, 10);
	cor_buf_fini(&late.seen.text);
	cor_watch_free(slow.w);
	cor_watch_free(other.w);
	cor_watch_free(late.w);
	rig_free(&r);
}

static void test_history_is_bounded_in_bytes_and_time(void **state) {
	struct rig r = { .sim = cor_sim_new(18), .backend = cor_backend_memory_new() };
	struct cor_store_config c = config_of(&r);
	c.history_bytes = 4000;
	rig_open_with(&r, &c);
	must_put(&r, COR_WRITE_CREATE, "d", "a", "1");
	for (int i = 0; i < 100; i++)
		must_put(&r, COR_WRITE_UPDATE, "d", "a", "2");
	cor_sim_run_for(r.sim, COR_MS);
	struct cor_store_stats stats;
	cor_store_stats(r.s, &stats);
	assert_in_range(stats.history, 2, 30);
	cor_sim_run_for(r.sim, 20 * COR_MINUTE);
	cor_store_stats(r.s, &stats);
	assert_int_equal(stats.history, 0);
	assert_int_equal(cor_store_compacted(r.s), cor_store_rev(r.s));
	/* Idle means idle. */
	assert_int_equal(cor_sim_timers(r.sim), 0);
	rig_free(&r);
}

static void test_wake_ups_are_coalesced(void **state) {
	struct rig r = rig_new(19);
	struct watcher x[20] = { 0 };
	for (size_t i = 0; i < cor_countof(x); i++) {
		x[i].free_when_called = i == 7;
		assert_int_equal(watch(&r, &x[i], PODS, "", i == 3 ? "p1" : "", 1), 0);
	}
	cor_sim_run_for(r.sim, COR_MS);
	struct rig_write w[30] = { 0 };
	char name[8];
	for (size_t i = 0; i < cor_countof(w); i++) {
		(void)snprintf(name, sizeof(name), "p%zu", i);
		rig_start(r.s, &w[i], COR_WRITE_CREATE, PODS, "d", name, "1", 0);
	}
	wait_for(&r, &w[29]);
	cor_sim_run_for(r.sim, COR_MS);
	for (size_t i = 0; i < cor_countof(x); i++) {
		assert_int_equal(x[i].calls, i == 7 ? 1 : 2);
		assert_int_equal(x[i].seen.n, i == 7 ? 0 : i == 3 ? 1 : 30);
		cor_buf_fini(&x[i].seen.text);
		cor_watch_free(x[i].w);
	}
	rig_free(&r);
}

static void test_close_ends_watches(void **state) {
	struct rig r = rig_new(20);
	struct watcher x[3] = { { 0 }, { .free_when_called = true }, { .lazy = true } };
	for (size_t i = 0; i < cor_countof(x); i++)
		assert_int_equal(watch(&r, &x[i], PODS, "", "", 1), 0);
	rig_restart(&r, false);
	expect_text(&x[0].seen, "CLOSED");
	assert_null(x[1].w);
	read_all(&x[2]);
	expect_text(&x[2].seen, "CLOSED");
	cor_watch_free(x[0].w);
	cor_watch_free(x[2].w);
	rig_free(&r);
}

/* ---- all at once ---- */

/* Random writes on 8 keys with failing commits and restarts; what a watch saw and what is stored
 * must always be what was acknowledged. */
static void run_seed(uint64_t seed) {
	struct rig r = rig_new(seed);
	char seen_value[8][8] = { 0 };
	uint64_t last = 1;
	for (int round = 0; round < 30; round++) {
		struct watcher x = { .lazy = true };
		assert_int_equal(watch(&r, &x, PODS, "", "", cor_store_rev(r.s)), 0);
		struct rig_write w[40] = { 0 };
		size_t n = 1 + cor_sim_below(r.sim, cor_countof(w));
		enum cor_fault fault = (enum cor_fault)cor_sim_below(r.sim, COR_FAULT_LOSE);
		if (cor_sim_below(r.sim, 3) == 0)
			cor_backend_memory_fault(r.backend, fault, 1, EIO, false);
		for (size_t i = 0; i < n; i++) {
			char name[8], v[8];
			(void)snprintf(name, sizeof(name), "k%d", (int)cor_sim_below(r.sim, 8));
			(void)snprintf(v, sizeof(v), "%d", (int)cor_sim_below(r.sim, 1000));
			enum cor_write_op op = (enum cor_write_op)cor_sim_below(r.sim, 3);
			w[i].w.in_memory = cor_sim_below(r.sim, 4) == 0;
			rig_start(r.s, &w[i], op, PODS, "d", name,
				op == COR_WRITE_DELETE ? NULL : v, 0);
			if (cor_sim_below(r.sim, 5) == 0)
				cor_sim_run_for(r.sim, (cor_time)cor_sim_below(r.sim, 4000));
		}
		for (size_t i = 0; i < n; i++)
			wait_for(&r, &w[i]);
		cor_sim_settle(r.sim);
		struct cor_event ev;
		while (cor_watch_next(x.w, &ev)) {
			assert_true(ev.rev > last);
			last = ev.rev;
			char *at = seen_value[ev.obj->name.p[1] - '0'];
			assert_string_equal(at, ev.old ? rig_member(ev.old->json, "v") : "");
			(void)snprintf(at, 8, "%s", ev.type == COR_EVENT_DELETED ? ""
				: rig_member(ev.obj->json, "v"));
		}
		cor_watch_free(x.w);
		size_t live = 0;
		for (int k = 0; k < 8; k++) {
			char name[8];
			(void)snprintf(name, sizeof(name), "k%d", k);
			const char *want = *seen_value[k] ? seen_value[k] : "-";
			live += *seen_value[k] != '\0';
			assert_string_equal(published(&r, name), want);
			assert_string_equal(newest(&r, name), want);
		}
		assert_int_equal(cor_store_count(r.s, PODS, ABSENT), live);
	}
	rig_restart(&r, true);
	assert_true(cor_store_rev(r.s) >= last);
	rig_free(&r);
}

static void test_seeds(void **state) {
	for (uint64_t seed = 1; seed <= 50; seed++)
		run_seed(seed);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_revision_is_spliced_in),
		cmocka_unit_test(test_preconditions_with_writes_under_way),
		cmocka_unit_test(test_group_commit),
		cmocka_unit_test(test_close_flushes),
		cmocka_unit_test(test_failed_commit_rolls_back),
		cmocka_unit_test(test_full_disk_refuses_until_there_is_room),
		cmocka_unit_test(test_commit_in_doubt),
		cmocka_unit_test(test_object_that_does_not_rebuild),
		cmocka_unit_test(test_heartbeats_do_not_write),
		cmocka_unit_test(test_revisions_never_come_twice),
		cmocka_unit_test(test_heartbeat_waits_for_its_key),
		cmocka_unit_test(test_order_and_ranges),
		cmocka_unit_test(test_many_objects),
		cmocka_unit_test(test_owner_and_uid_indexes),
		cmocka_unit_test(test_the_past),
		cmocka_unit_test(test_watches_from_history_and_live),
		cmocka_unit_test(test_slow_watch_is_overtaken),
		cmocka_unit_test(test_history_is_bounded_in_bytes_and_time),
		cmocka_unit_test(test_wake_ups_are_coalesced),
		cmocka_unit_test(test_close_ends_watches),
		cmocka_unit_test(test_seeds),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
