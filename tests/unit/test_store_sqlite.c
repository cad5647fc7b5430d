// SPDX-License-Identifier: Apache-2.0
// The store on SQLite: what comes back after a restart, a fault or the end of the process at every
// write and fsync, and kill -9 at random moments under load. The checker is always another
// process than the writer, or sees only what was acknowledged.
#include "store_rig.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <uv.h>

enum { KEYS = 10, PAD = 3000 };

struct place {
	char dir[64];
	char path[100];
};

/* In memory where many fsyncs would only cost time; on a disk where they are the point. */
static struct place place_new(bool on_disk) {
	struct place p;
	bool memory = !on_disk && access("/dev/shm", W_OK) == 0;
	(void)snprintf(p.dir, sizeof(p.dir), "%s/coracle-store-XXXXXX", memory ? "/dev/shm" : "/tmp");
	assert_non_null(mkdtemp(p.dir));
	(void)snprintf(p.path, sizeof(p.path), "%s/a/b/store.db", p.dir);
	return p;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw) {
	return remove(path);
}

static void place_free(struct place *p) {
	assert_int_equal(nftw(p->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
}

/* An object of more than a page of which the last byte is checked, so that a half is not a whole. */
static struct cor_obj *big_obj(uint16_t res, struct cor_str name, uint64_t v) {
	char pad[PAD + 1];
	memset(pad, 'x', PAD);
	pad[PAD] = '\0';
	_cleanup_buf_ struct cor_buf json = COR_BUF_INIT;
	cor_buf_printf(&json, "{\"metadata\":{\"name\":\"%.*s\"},\"v\":\"%" PRIu64 "\",\"pad\":\"%s\"}",
		COR_STR_ARG(name), v, pad);
	return cor_obj_new(&(struct cor_obj_init){
		.res = res, .ns = S("d"), .name = name, .json = cor_buf_view(&json),
		.rv_at = (uint32_t)strlen("{\"metadata\":{"),
	});
}

static uint64_t value_of(struct cor_str json) {
	return strtoull(rig_member(json, "v"), NULL, 10);
}

static struct cor_obj *big_rebuild(void *arg, uint16_t res, struct cor_str ns, struct cor_str name,
	struct cor_str json, struct cor_err *err) {
	struct cor_obj *o = big_obj(res, name, value_of(json));
	assert_true(cor_str_eq(o->json, json));
	return o;
}

static int open_store(const char *path, const char *const *names, struct cor_world *world,
	struct cor_store **ret, struct cor_err *err) {
	struct cor_backend *b;
	int r = cor_backend_sqlite_open(path, names, N_RES, &b, err);
	if (r < 0)
		return r;
	return cor_store_open(&(struct cor_store_config){
		.world = world, .backend = b, .rebuild = big_rebuild, .n_resources = N_RES,
	}, ret, err);
}

static struct cor_store *must_open(const char *path, struct cor_world *world) {
	struct cor_store *s;
	struct cor_err err = { 0 };
	if (open_store(path, rig_names, world, &s, &err) < 0)
		fail_msg("%s", err.message);
	return s;
}

static int set(struct cor_sim *sim, struct cor_store *s, uint16_t res, const char *name, uint64_t v,
	bool in_memory) {
	struct rig_write x = { 0 };
	bool exists = cor_store_get_newest(s, res, S("d"), S(name));
	_cleanup_(cor_obj_unrefp) struct cor_obj *o = big_obj(res, S(name), v);
	x.w.op = exists ? COR_WRITE_UPDATE : COR_WRITE_CREATE;
	x.w.obj = o;
	x.w.in_memory = in_memory;
	x.w.done = rig_done;
	cor_store_write(s, &x.w);
	assert_true(cor_sim_run_until(sim, rig_is_done, &x, 10 * COR_SECOND));
	return x.w.status;
}

static uint64_t get(struct cor_store *s, uint16_t res, const char *name) {
	struct cor_obj *o = cor_store_get(s, res, S("d"), S(name));
	return o ? value_of(o->json) : 0;
}

static uint64_t bytes_of(struct cor_store *s) {
	struct cor_store_stats stats;
	cor_store_stats(s, &stats);
	return stats.backend_bytes;
}

static void test_comes_back(void **state) {
	const char *const reordered[N_RES] = { rig_names[NODES], rig_names[PODS],
		rig_names[LEASES] };
	const char *const fewer[N_RES] = { rig_names[PODS], "other", "another" };
	struct place p = place_new(true);
	struct cor_sim *sim = cor_sim_new(1);
	struct cor_store *s = must_open(p.path, cor_sim_world(sim));
	assert_int_equal(set(sim, s, PODS, "a", 1, false), 0);
	assert_int_equal(set(sim, s, LEASES, "a", 2, false), 0);
	assert_int_equal(set(sim, s, PODS, "a", 3, false), 0);
	uint64_t rev = cor_store_get(s, PODS, S("d"), S("a"))->rev, last = cor_store_rev(s);
	assert_true(bytes_of(s) > 3 * PAD);
	struct stat st;
	assert_int_equal(stat(p.path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	struct cor_store *second = NULL;
	struct cor_err err;
	assert_int_equal(open_store(p.path, rig_names, cor_sim_world(sim), &second, &err), -EBUSY);
	assert_non_null(strstr(err.message, p.path));
	cor_store_free(s);

	s = must_open(p.path, cor_sim_world(sim));
	assert_int_equal(get(s, PODS, "a"), 3);
	assert_int_equal(get(s, LEASES, "a"), 2);
	assert_int_equal(cor_store_get(s, PODS, S("d"), S("a"))->rev, rev);
	assert_true(cor_store_rev(s) >= last);
	cor_store_free(s);

	/* Numbers of resources may change, their names do not. */
	assert_int_equal(open_store(p.path, reordered, cor_sim_world(sim), &s, &err), 0);
	assert_int_equal(get(s, 1, "a"), 3);
	assert_int_equal(get(s, 2, "a"), 2);
	cor_store_free(s);
	assert_int_equal(open_store(p.path, fewer, cor_sim_world(sim), &s, &err), COR_E_UNSUPPORTED);
	assert_non_null(strstr(err.message, "leases.coordination.k8s.io d/a"));
	cor_sim_settle(sim);
	cor_sim_free(sim);
	place_free(&p);
}

static void test_idle_does_not_write(void **state) {
	struct place p = place_new(false);
	struct cor_sim *sim = cor_sim_new(2);
	struct cor_store *s = must_open(p.path, cor_sim_world(sim));
	assert_int_equal(set(sim, s, LEASES, "node", 1, false), 0);
	uint64_t before = bytes_of(s);
	/* An hour of heartbeats. */
	for (int i = 0; i < 360; i++) {
		assert_int_equal(set(sim, s, LEASES, "node", 2, true), 0);
		cor_sim_run_for(sim, 10 * COR_SECOND);
	}
	assert_int_equal(bytes_of(s), before);
	cor_store_free(s);
	s = must_open(p.path, cor_sim_world(sim));
	assert_int_equal(bytes_of(s), 0);
	assert_int_equal(get(s, LEASES, "node"), 1);
	cor_store_free(s);
	cor_sim_settle(sim);
	cor_sim_free(sim);
	place_free(&p);
}

static off_t size_of(const char *path, const char *suffix) {
	char full[120];
	struct stat st;
	(void)snprintf(full, sizeof(full), "%s%s", path, suffix);
	return stat(full, &st) < 0 ? -1 : st.st_size;
}

static void test_size_is_bounded(void **state) {
	struct place p = place_new(false);
	struct cor_sim *sim = cor_sim_new(3);
	struct cor_store *s = must_open(p.path, cor_sim_world(sim));
	off_t largest = 0;
	for (uint64_t i = 0; i < 3000; i++) {
		assert_int_equal(set(sim, s, PODS, i % 2 ? "a" : "b", i, false), 0);
		off_t now = size_of(p.path, "-wal");
		largest = now > largest ? now : largest;
	}
	assert_in_range(largest, 100 << 10, 9 << 20);
	assert_in_range(size_of(p.path, ""), 4096, 100 << 10);
	cor_store_free(s);
	assert_int_equal(size_of(p.path, "-wal"), -1);
	cor_sim_settle(sim);
	cor_sim_free(sim);
	place_free(&p);
}

static void test_bad_files(void **state) {
	struct place p = place_new(false);
	struct cor_sim *sim = cor_sim_new(4);
	cor_store_free(must_open(p.path, cor_sim_world(sim)));
	int fd = open(p.path, O_WRONLY | O_TRUNC);
	char junk[8192];
	memset(junk, 'j', sizeof(junk));
	assert_int_equal(write(fd, junk, sizeof(junk)), sizeof(junk));
	close(fd);
	struct cor_store *s = NULL;
	struct cor_err err;
	assert_int_equal(open_store(p.path, rig_names, cor_sim_world(sim), &s, &err), -EBADMSG);
	assert_non_null(strstr(err.message, p.path));
	assert_int_equal(open_store("/proc/nowhere/x/store.db", rig_names, cor_sim_world(sim), &s,
		&err), -ENOENT);
	assert_null(s);
	cor_sim_free(sim);
	place_free(&p);
}

/* ---- a fault at every operation ---- */

struct fault {
	unsigned k;                     /* counts down; the op that finds 1 fails */
	int answer;                     /* of the hook; 0: the process ends */
	bool hit;
};

static int fault_hook(void *arg, enum cor_disk_op op, const char *path) {
	struct fault *f = arg;
	if (f->k == 0 || --f->k > 0)
		return 0;
	f->hit = true;
	if (f->answer == 0)
		_exit(42);
	return f->answer;
}

static void key_name(char out[8], uint64_t i) {
	(void)snprintf(out, 8, "k%" PRIu64, i % KEYS);
}

/* Opens a store and writes keys 0..KEYS-1 twice; what is acknowledged goes to acked[], if given,
 * and to the pipe. Returns false when it could not be opened. */
static bool workload(const char *path, uint64_t acked[KEYS], int pipe_fd) {
	struct cor_sim *sim = cor_sim_new(5);
	struct cor_store *s = NULL;
	struct cor_err err;
	bool opened = open_store(path, rig_names, cor_sim_world(sim), &s, &err) == 0;
	char name[8];
	for (uint64_t i = 0; opened && i < 2 * KEYS; i++) {
		key_name(name, i);
		if (set(sim, s, PODS, name, i + 1, false) < 0)
			continue;
		if (acked)
			acked[i % KEYS] = i + 1;
		if (pipe_fd >= 0)
			assert_int_equal(write(pipe_fd, &(uint64_t){ i + 1 }, 8), 8);
	}
	cor_store_free(s);
	cor_sim_settle(sim);
	cor_sim_free(sim);
	return opened;
}

/* Nothing acknowledged is lost; nothing comes from nowhere. */
static void check_stored(const char *path, const uint64_t acked[KEYS]) {
	struct cor_sim *sim = cor_sim_new(6);
	struct cor_store *s = must_open(path, cor_sim_world(sim));
	char name[8];
	for (uint64_t i = 0; i < KEYS; i++) {
		key_name(name, i);
		uint64_t v = get(s, PODS, name);
		assert_true(v >= acked[i]);
		assert_true(v == 0 || (v - 1) % KEYS == i);
	}
	cor_store_free(s);
	cor_sim_settle(sim);
	cor_sim_free(sim);
}

static void test_fault_at_every_write_and_sync(void **state) {
	static const int answers[] = { ENOSPC, EIO, COR_DISK_TORN };
	for (size_t a = 0; a < cor_countof(answers); a++) {
		struct fault f = { .hit = true };
		unsigned k = 1;
		for (; f.hit; k++) {
			struct place p = place_new(false);
			uint64_t acked[KEYS] = { 0 };
			f = (struct fault){ .k = k, .answer = answers[a] };
			cor_backend_sqlite_hook(fault_hook, &f);
			bool opened = workload(p.path, acked, -1);
			cor_backend_sqlite_hook(NULL, NULL);
			/* One fault costs at most one write, and that one is not the last of all. */
			size_t lost = 0;
			for (uint64_t i = 0; i < KEYS; i++)
				lost += acked[i] != KEYS + i + 1;
			assert_true(opened ? lost <= 1 : lost == KEYS);
			check_stored(p.path, acked);
			place_free(&p);
		}
		assert_true(k > 40);
	}
}

/* A lost power keeps what was synced: no acknowledgement before that. */
struct unsynced {
	unsigned log, syncs;
	unsigned synced;                /* writes that the last sync made durable */
};

static int unsynced_hook(void *arg, enum cor_disk_op op, const char *path) {
	struct unsynced *u = arg;
	size_t n = strlen(path);
	if (n < 4 || strcmp(path + n - 4, "-wal") != 0)
		return 0;
	if (op == COR_DISK_SYNC)
		u->synced = u->log;
	u->log = op == COR_DISK_SYNC ? 0 : u->log + (op == COR_DISK_WRITE);
	u->syncs += op == COR_DISK_SYNC;
	return 0;
}

static void test_synced_before_acknowledged(void **state) {
	struct place p = place_new(false);
	struct cor_sim *sim = cor_sim_new(8);
	struct unsynced u = { 0 };
	cor_backend_sqlite_hook(unsynced_hook, &u);
	struct cor_store *s = must_open(p.path, cor_sim_world(sim));
	for (uint64_t i = 0; i < 10; i++) {
		unsigned before = u.syncs;
		assert_int_equal(set(sim, s, PODS, "a", i + 1, false), 0);
		assert_int_equal(u.log, 0);
		assert_int_equal(u.syncs, before + 1);
		/* However many pages a commit has, they are one write. */
		assert_int_equal(u.synced, 1);
	}
	cor_store_free(s);
	cor_backend_sqlite_hook(NULL, NULL);
	cor_sim_settle(sim);
	cor_sim_free(sim);
	place_free(&p);
}

static int sync_hook(void *arg, enum cor_disk_op op, const char *path) {
	*(unsigned *)arg += op == COR_DISK_SYNC;
	return 0;
}

/* A first start waits for the disk as seldom as can be: SQLite's log (head, then the schema), once its file has been
 * made. What an earlier one left that ended before it had promised anything does no harm. */
static void test_a_new_store_takes_few_syncs(void **state) {
	static const char *const left[] = { NULL, "-new", "-wal", "" };
	for (size_t i = 0; i < cor_countof(left); i++) {
		struct place p = place_new(false);
		struct cor_sim *sim = cor_sim_new(8);
		unsigned syncs = 0;
		(void)snprintf(p.path, sizeof(p.path), "%s/store.db", p.dir);
		if (left[i]) {
			_cleanup_free_ char *path = cor_asprintf("%s%s", p.path, left[i]);
			FILE *f = fopen(path, "we");
			assert_non_null(f);
			if (*left[i])
				(void)fputs("what is no database and no log", f);
			(void)fclose(f);
		}
		cor_backend_sqlite_hook(sync_hook, &syncs);
		struct cor_store *s = must_open(p.path, cor_sim_world(sim));
		/* A file without anything in it is SQLite's to make, as before. */
		if (!left[i] || *left[i])
			assert_int_equal(syncs, 2);
		assert_int_equal(set(sim, s, PODS, "a", 1, false), 0);
		cor_store_free(s);
		cor_backend_sqlite_hook(NULL, NULL);
		s = must_open(p.path, cor_sim_world(sim));
		assert_int_equal(get(s, PODS, "a"), 1);
		cor_store_free(s);
		cor_sim_settle(sim);
		cor_sim_free(sim);
		place_free(&p);
	}
}

static void read_acks(int fd, uint64_t acked[KEYS], uint64_t *ret_last) {
	uint64_t v;
	while (read(fd, &v, 8) == 8) {
		acked[(v - 1) % KEYS] = v;
		*ret_last = v;
	}
}

static void test_end_of_process_at_every_write_and_sync(void **state) {
	bool finished = false;
	unsigned k = 1;
	for (; !finished; k++) {
		struct place p = place_new(false);
		int fds[2];
		assert_int_equal(pipe(fds), 0);
		pid_t pid = fork();
		assert_true(pid >= 0);
		if (pid == 0) {
			struct fault f = { .k = k };
			close(fds[0]);
			cor_backend_sqlite_hook(fault_hook, &f);
			_exit(workload(p.path, NULL, fds[1]) ? 0 : 1);
		}
		close(fds[1]);
		uint64_t acked[KEYS] = { 0 }, last = 0;
		read_acks(fds[0], acked, &last);
		close(fds[0]);
		int status;
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFEXITED(status));
		finished = WEXITSTATUS(status) == 0;
		assert_true(finished || WEXITSTATUS(status) == 42);
		assert_true(!finished || last == 2 * KEYS);
		check_stored(p.path, acked);
		place_free(&p);
	}
	assert_true(k > 40);
}

/* ---- kill -9 under load, on the real loop ---- */

struct load_writer {
	struct cor_write w;
	struct cor_store *s;
	uint64_t key, v;
	int fd;
};

struct ack {
	uint64_t key, v, rev;
};

static void write_next(struct load_writer *x) {
	char name[8];
	key_name(name, x->key);
	struct cor_obj *o = big_obj(PODS, S(name), ++x->v);
	bool exists = cor_store_get_newest(x->s, PODS, S("d"), S(name));
	x->w.op = exists ? COR_WRITE_UPDATE : COR_WRITE_CREATE;
	x->w.obj = o;
	cor_store_write(x->s, &x->w);
	cor_obj_unref(o);
}

static void on_written(struct cor_write *w) {
	struct load_writer *x = cor_container_of(w, struct load_writer, w);
	struct ack ack = { x->key, x->v, w->result ? w->result->rev : 0 };
	if (w->status < 0 || write(x->fd, &ack, sizeof(ack)) != sizeof(ack))
		_exit(1);
	write_next(x);
}

static _Noreturn void run_writers(const char *path, uint64_t from, int fd) {
	uv_loop_t loop;
	uv_loop_init(&loop);
	struct cor_store *s = must_open(path, cor_world_uv_new(&loop));
	struct load_writer writers[KEYS] = { 0 };
	for (uint64_t i = 0; i < KEYS; i++) {
		writers[i] = (struct load_writer){ .w.done = on_written, .s = s, .key = i, .v = from,
			.fd = fd };
		write_next(&writers[i]);
	}
	uv_run(&loop, UV_RUN_DEFAULT);
	_exit(1);
}

static void test_kill_9(void **state) {
	enum { ROUNDS = 20 };
	struct place p = place_new(true);
	uint64_t acked[KEYS] = { 0 }, last_rev = 0, total = 0;
	unsigned seed = 4711;
	for (int round = 0; round < ROUNDS; round++) {
		int fds[2];
		assert_int_equal(pipe(fds), 0);
		/* A writer's values go on behind all that were ever used for its key. */
		uint64_t from = 1000000 * (uint64_t)(round + 1);
		pid_t pid = fork();
		assert_true(pid >= 0);
		if (pid == 0) {
			close(fds[0]);
			run_writers(p.path, from, fds[1]);
		}
		close(fds[1]);
		struct ack ack;
		int after = 1 + rand_r(&seed) % 300, n = 0;
		while (read(fds[0], &ack, sizeof(ack)) == sizeof(ack)) {
			assert_true(ack.rev > last_rev);
			last_rev = ack.rev;
			acked[ack.key] = ack.v;
			if (++n == after)
				assert_int_equal(kill(pid, SIGKILL), 0);
		}
		close(fds[0]);
		int status;
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
		total += (uint64_t)n;

		struct cor_sim *sim = cor_sim_new(7);
		struct cor_store *s = must_open(p.path, cor_sim_world(sim));
		char name[8];
		for (uint64_t i = 0; i < KEYS; i++) {
			key_name(name, i);
			uint64_t v = get(s, PODS, name);
			/* At most the one write that was under way is ahead. */
			assert_true(v == acked[i] || v == acked[i] + 1 || v == from + 1);
			acked[i] = v;
		}
		assert_true(cor_store_rev(s) >= last_rev);
		cor_store_free(s);
		cor_sim_settle(sim);
		cor_sim_free(sim);
	}
	assert_true(total >= ROUNDS);
	place_free(&p);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_comes_back),
		cmocka_unit_test(test_idle_does_not_write),
		cmocka_unit_test(test_size_is_bounded),
		cmocka_unit_test(test_bad_files),
		cmocka_unit_test(test_synced_before_acknowledged),
		cmocka_unit_test(test_a_new_store_takes_few_syncs),
		cmocka_unit_test(test_fault_at_every_write_and_sync),
		cmocka_unit_test(test_end_of_process_at_every_write_and_sync),
		cmocka_unit_test(test_kill_9),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
