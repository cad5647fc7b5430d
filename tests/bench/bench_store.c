// SPDX-License-Identifier: Apache-2.0
// The store by itself: durable creates and updates with 1 to 1000 clients beside bare SQLite that
// writes the same rows in batches of the same size, in both table layouts; and from memory a
// get, a list of 10,000 and an event to 1000 watches.
// Usage: bench_store [directory for the databases; default: the current one [only with so many
// clients]]
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <sqlite3.h>
#include <uv.h>

#include "base/assert.h"
#include "base/mem.h"
#include "store/store.h"

enum { ROW = 3000, WATCHES = 1000, OBJECTS = 100000, LIST = 10000 };

static char row_json[ROW + 1];
static const char *const names[] = { "pods" };
static char db_path[300];

static double seconds(void) {
	return (double)uv_hrtime() / 1e9;
}

static void remove_db(void) {
	static const char *const suffixes[] = { "", "-wal", "-shm", "-journal" };
	char path[320];
	for (size_t i = 0; i < cor_countof(suffixes); i++) {
		(void)snprintf(path, sizeof(path), "%s%s", db_path, suffixes[i]);
		(void)remove(path);
	}
}

/* No two writes are equal: SQLite does not write what has not changed. */
static void touch_row(void) {
	static uint64_t count;
	char text[24];
	int n = snprintf(text, sizeof(text), "%020" PRIu64, count++);
	memcpy(row_json + ROW - 100, text, (size_t)n);
}

static struct cor_obj *make_obj(uint64_t i) {
	char name[40], uid[60];
	(void)snprintf(name, sizeof(name), "pod-%08" PRIu64, i);
	(void)snprintf(uid, sizeof(uid), "4b825dc6-42cb-4eb9-a060-%012" PRIu64, i);
	touch_row();
	return cor_obj_new(&(struct cor_obj_init){
		.ns = COR_STR("default"),
		.name = cor_str_c(name),
		.uid = cor_str_c(uid),
		.json = { row_json, ROW },
		.rv_at = 13,
	});
}

static struct cor_obj *no_rebuild(void *arg, uint16_t res, struct cor_str ns, struct cor_str name,
	struct cor_str json, struct cor_err *err) {
	(void)cor_fail(err, COR_E_INTERNAL, "not expected");
	return NULL;
}

/* ---- many clients, each with one write under way ---- */

struct load {
	struct cor_store *s;
	uint64_t next, total, finished, keys;
	enum cor_write_op op;
};

struct client {
	struct cor_write w;
	struct load *load;
};

static void client_next(struct client *c) {
	struct load *l = c->load;
	if (l->next == l->total)
		return;
	_cleanup_(cor_obj_unrefp) struct cor_obj *o = make_obj(l->next++ * 7919 % l->keys);
	c->w.op = l->op;
	c->w.obj = o;
	cor_store_write(l->s, &c->w);
}

static void client_done(struct cor_write *w) {
	struct client *c = cor_container_of(w, struct client, w);
	if (w->status < 0) {
		fprintf(stderr, "%s\n", w->err.message);
		exit(1);
	}
	c->load->finished++;
	client_next(c);
}

static double run_load(uv_loop_t *loop, struct cor_store *s, enum cor_write_op op, uint64_t total,
	size_t n_clients) {
	struct load l = { .s = s, .total = total, .keys = total, .op = op };
	struct client *clients = cor_calloc(n_clients, sizeof(*clients));
	double start = seconds();
	for (size_t i = 0; i < n_clients; i++) {
		clients[i] = (struct client){ .w.done = client_done, .load = &l };
		client_next(&clients[i]);
	}
	while (l.finished < total)
		(void)uv_run(loop, UV_RUN_ONCE);
	double took = seconds() - start;
	free(clients);
	return took;
}

/* ---- bare SQLite ---- */

static void must(sqlite3 *db, int code) {
	if (code == SQLITE_OK || code == SQLITE_DONE || code == SQLITE_ROW)
		return;
	fprintf(stderr, "%s\n", sqlite3_errmsg(db));
	exit(1);
}

/* Times of total creates and then as many updates, in transactions of batch rows. */
static void run_sqlite(
	bool rowid, uint64_t total, uint64_t batch, double took[2], double pages[2]) {
	sqlite3 *db;
	sqlite3_stmt *put;
	remove_db();
	must(NULL, sqlite3_open(db_path, &db));
	must(db, sqlite3_exec(db,
			 "PRAGMA page_size=4096; PRAGMA locking_mode=EXCLUSIVE;"
			 "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA cache_size=-256",
			 NULL, NULL, NULL));
	must(db, sqlite3_exec(db,
			 rowid ? "CREATE TABLE object(res INTEGER, ns TEXT, name TEXT, rev "
				 "INTEGER, json BLOB,"
				 " UNIQUE(res, ns, name))"
			       : "CREATE TABLE object(res INTEGER, ns TEXT, name TEXT, rev "
				 "INTEGER, json BLOB,"
				 " PRIMARY KEY(res, ns, name)) WITHOUT ROWID",
			 NULL, NULL, NULL));
	must(db, sqlite3_prepare_v2(db,
			 "INSERT INTO object VALUES(1, 'default', ?1, ?2, ?3)"
			 " ON CONFLICT(res, ns, name) DO UPDATE SET rev = excluded.rev, json = "
			 "excluded.json",
			 -1, &put, NULL));
	int written = 0, peak;
	for (int round = 0; round < 2; round++) {
		must(db, sqlite3_db_status(db, SQLITE_DBSTATUS_CACHE_WRITE, &written, &peak, 1));
		double start = seconds();
		for (uint64_t i = 0; i < total; i++) {
			char name[40];
			(void)snprintf(name, sizeof(name), "pod-%08" PRIu64, i * 7919 % total);
			if (i % batch == 0)
				must(db, sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL));
			touch_row();
			must(db, sqlite3_bind_text(put, 1, name, -1, SQLITE_STATIC));
			must(db, sqlite3_bind_int64(
					 put, 2, (sqlite3_int64)(i + total * (uint64_t)round)));
			must(db, sqlite3_bind_blob(put, 3, row_json, ROW, SQLITE_STATIC));
			must(db, sqlite3_step(put));
			must(db, sqlite3_reset(put));
			if (i % batch == batch - 1 || i == total - 1)
				must(db, sqlite3_exec(db, "COMMIT", NULL, NULL, NULL));
		}
		took[round] = seconds() - start;
		must(db, sqlite3_db_status(db, SQLITE_DBSTATUS_CACHE_WRITE, &written, &peak, 1));
		pages[round] = written / (double)total;
	}
	(void)sqlite3_finalize(put);
	(void)sqlite3_close(db);
	remove_db();
}

static void bench_durable(uv_loop_t *loop, struct cor_world *world, size_t only) {
	static const struct {
		size_t clients;
		uint64_t total;
	} rows[] = { { 1, 300 }, { 16, 3000 }, { 128, 20000 }, { 1000, 50000 } };
	printf("%8s %10s %10s | %-21s %10s | %-21s %10s\n", "clients", "creates/s", "updates/s",
		"SQLite alone, rowid", "pages/put", "without rowid", "pages/put");
	for (size_t i = 0; i < cor_countof(rows); i++) {
		struct cor_backend *b;
		struct cor_store *s;
		struct cor_err err;
		double total = (double)rows[i].total, took[2], bare[2], pages[2], bare2[2],
		       pages2[2];
		if (only && rows[i].clients != only)
			continue;
		remove_db();
		if (cor_backend_sqlite_open(db_path, names, 1, &b, &err) < 0 ||
			cor_store_open(&(struct cor_store_config){ .world = world,
					       .backend = b,
					       .rebuild = no_rebuild,
					       .n_resources = 1 },
				&s, &err) < 0) {
			fprintf(stderr, "%s\n", err.message);
			exit(1);
		}
		took[0] = run_load(loop, s, COR_WRITE_CREATE, rows[i].total, rows[i].clients);
		took[1] = run_load(loop, s, COR_WRITE_UPDATE, rows[i].total, rows[i].clients);
		struct cor_store_stats stats;
		cor_store_stats(s, &stats);
		uint64_t batch = (stats.writes + stats.commits / 2) / stats.commits;
		cor_store_free(s);
		run_sqlite(true, rows[i].total, batch, bare, pages);
		run_sqlite(false, rows[i].total, batch, bare2, pages2);
		printf("%8zu %10.0f %10.0f | %10.0f %10.0f %4.1f %5.1f | %10.0f %10.0f %4.1f %5.1f"
		       "  batch %" PRIu64 ", %.1f bytes written per byte\n",
			rows[i].clients, total / took[0], total / took[1], total / bare[0],
			total / bare[1], pages[0], pages[1], total / bare2[0], total / bare2[1],
			pages2[0], pages2[1], batch,
			(double)stats.backend_bytes / (2 * total * ROW));
	}
	printf("%8s creates: the store's share of SQLite alone is the first column over the "
	       "third\n",
		"");
}

/* ---- memory only ---- */

static bool count_one(void *arg, struct cor_obj *o) {
	*(size_t *)arg += o->json.n;
	return true;
}

static uint64_t events;

static void on_ready(struct cor_watch *w, void *arg) {
	struct cor_event ev;
	while (cor_watch_next(w, &ev))
		events++;
}

static void bench_memory(uv_loop_t *loop, struct cor_world *world) {
	struct cor_store *s;
	struct cor_err err;
	if (cor_store_open(&(struct cor_store_config){ .world = world,
				   .backend = cor_backend_memory_new(),
				   .rebuild = no_rebuild,
				   .n_resources = 1 },
		    &s, &err) < 0)
		exit(1);
	double took = run_load(loop, s, COR_WRITE_CREATE, OBJECTS, 1000);
	printf("create, memory backend    %8.0f ns each, %d objects in scattered order\n",
		took / OBJECTS * 1e9, OBJECTS);

	double start = seconds();
	for (uint64_t i = 0; i < OBJECTS; i++) {
		char name[40];
		(void)snprintf(name, sizeof(name), "pod-%08" PRIu64, i * 7919 % OBJECTS);
		if (!cor_store_get(s, 0, COR_STR("default"), cor_str_c(name)))
			exit(1);
	}
	printf("get of %d              %8.0f ns\n", OBJECTS, (seconds() - start) / OBJECTS * 1e9);

	size_t bytes = 0;
	start = seconds();
	cor_store_each(s, 0, COR_STR("default"), COR_STR(""), COR_STR(""), count_one, &bytes);
	printf("list, walk of 10,000      %8.1f us\n", (seconds() - start) * 1e6 * LIST / OBJECTS);

	struct cor_watch *watches[WATCHES];
	for (size_t i = 0; i < WATCHES; i++)
		if (cor_store_watch(s,
			    &(struct cor_watch_config){
				    .res = 0, .after_rev = cor_store_rev(s), .ready = on_ready },
			    &watches[i], &err) < 0)
			exit(1);
	enum { UPDATES = 2000 };
	double plain = run_load(loop, s, COR_WRITE_UPDATE, UPDATES, 1);
	(void)uv_run(loop, UV_RUN_NOWAIT);
	for (size_t i = 0; i < WATCHES; i++)
		cor_watch_free(watches[i]);
	double without = run_load(loop, s, COR_WRITE_UPDATE, UPDATES, 1);
	printf("event to 1000 watches     %8.1f us, %.1f ns each (%" PRIu64 " events)\n",
		(plain - without) / UPDATES * 1e6, (plain - without) / (double)events * 1e9,
		events);
	cor_store_free(s);
}

int main(int argc, char **argv) {
	(void)snprintf(db_path, sizeof(db_path), "%s/bench-store.db", argc > 1 ? argv[1] : ".");
	/* Not all of one byte, in case something below compresses. */
	for (size_t i = 0; i < ROW; i++)
		row_json[i] = (char)('a' + (i * i + i / 7) % 26);
	uv_loop_t loop;
	cor_assert(uv_loop_init(&loop) == 0);
	struct cor_world *world = cor_world_uv_new(&loop);
	size_t only = argc > 2 ? strtoul(argv[2], NULL, 10) : 0;
	if (!only)
		bench_memory(&loop, world);
	bench_durable(&loop, world, only);
	(void)uv_run(&loop, UV_RUN_DEFAULT);
	cor_world_uv_free(world);
	(void)uv_run(&loop, UV_RUN_DEFAULT);
	(void)uv_loop_close(&loop);
	return 0;
}
