// SPDX-License-Identifier: Apache-2.0
// The embedded backend: one row per object in a SQLite database in WAL mode, so it never grows with
// time, and a commit is one sequential write and one fsync. One connection, opened exclusively:
// a second server on the same data is refused. All calls but open come from the store's lane.
//
// Resources are stored by their stable text in a table of their own; ids are found once at open.
// When a commit fails SQLite goes back to the last committed state and its next commit overwrites
// the failed one in the log. Only a crash in between can bring it back, whole (see
// docs/internals/store.md).
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <sqlite3.h>

#include "store/sqlite_vfs.h"
#include "store/store_priv.h"

enum { SCHEMA_VERSION = 1 };

/* An ordinary table, with the key in an index beside it: measured against WITHOUT ROWID it writes
 * fewer pages for an update, because an object of 3 KB fits into a leaf (bench_store). */
static const char schema[] =
	"CREATE TABLE IF NOT EXISTS resource(id INTEGER PRIMARY KEY, name TEXT UNIQUE NOT NULL);"
	"CREATE TABLE IF NOT EXISTS revision(id INTEGER PRIMARY KEY CHECK(id = 1), mark INTEGER NOT NULL);"
	"INSERT OR IGNORE INTO revision VALUES(1, 0);"
	"CREATE TABLE IF NOT EXISTS object(res INTEGER NOT NULL, ns TEXT NOT NULL, name TEXT NOT NULL,"
	" rev INTEGER NOT NULL, json BLOB NOT NULL, UNIQUE(res, ns, name));";

/* Cache: pages are read once at load, later only for writing. The log is bounded: it is copied
 * into the database at 1000 pages and cut to its limit when it starts over. */
static const char settings[] =
	"PRAGMA page_size=4096;"
	"PRAGMA locking_mode=EXCLUSIVE;"
	"PRAGMA journal_mode=WAL;"
	"PRAGMA synchronous=FULL;"
	"PRAGMA wal_autocheckpoint=1000;"
	"PRAGMA journal_size_limit=8388608;"
	"PRAGMA cache_size=-256;"
	"PRAGMA temp_store=MEMORY;";

enum statement { STMT_BEGIN, STMT_COMMIT, STMT_ROLLBACK, STMT_PUT, STMT_DELETE, STMT_MARK, STMT_MAX };

static const char *const statements[STMT_MAX] = {
	[STMT_BEGIN] = "BEGIN IMMEDIATE",
	[STMT_COMMIT] = "COMMIT",
	[STMT_ROLLBACK] = "ROLLBACK",
	[STMT_PUT] = ("INSERT INTO object(res, ns, name, rev, json) VALUES(?1, ?2, ?3, ?4, ?5)"
		" ON CONFLICT(res, ns, name) DO UPDATE SET rev = excluded.rev, json = excluded.json"),
	[STMT_DELETE] = "DELETE FROM object WHERE res = ?1 AND ns = ?2 AND name = ?3",
	[STMT_MARK] = "UPDATE revision SET mark = ?1",
};

struct sqlite {
	struct cor_backend base;
	struct cor_vfs vfs;
	bool vfs_is_on;
	sqlite3 *db;
	sqlite3_stmt *stmts[STMT_MAX];
	int *ids;                       /* of the resources, by index */
	size_t n;
	uint64_t mark;                  /* in the table */
	char *path;
};

static struct sqlite *sqlite_of(struct cor_backend *b) {
	return cor_container_of(b, struct sqlite, base);
}

static int errno_of(sqlite3 *db, int code) {
	switch (code & 0xff) {
	case SQLITE_FULL:
		return ENOSPC;
	case SQLITE_READONLY:
		return EROFS;
	case SQLITE_NOMEM:
		return ENOMEM;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return EBUSY;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return EBADMSG;
	case SQLITE_PERM:
	case SQLITE_AUTH:
		return EACCES;
	default:
		return db && sqlite3_system_errno(db) ? sqlite3_system_errno(db) : EIO;
	}
}

/* The error of the last call on the database. */
static int fail_sqlite(struct sqlite *q, struct cor_err *err, int code, const char *what) {
	int e = errno_of(q->db, code);
	if (e == EBUSY)
		return cor_fail(err, -e, "%s %s: another process has it open", what, q->path);
	if (e == EBADMSG)
		return cor_fail(err, -e, "%s %s: %s", what, q->path, sqlite3_errmsg(q->db));
	return cor_fail_errno(err, e, "%s %s", what, q->path);
}

static void finalizep(sqlite3_stmt **s) {
	(void)sqlite3_finalize(*s);
}

static int bind_text(sqlite3_stmt *s, int i, struct cor_str t) {
	return sqlite3_bind_text(s, i, t.p ? t.p : "", (int)t.n, SQLITE_STATIC);
}

/* Runs a prepared statement that returns no rows. */
static int run(struct sqlite *q, enum statement which) {
	sqlite3_stmt *s = q->stmts[which];
	int code = sqlite3_step(s);
	(void)sqlite3_reset(s);
	return code == SQLITE_DONE ? SQLITE_OK : code;
}

static int put_record(struct sqlite *q, const struct cor_record *r) {
	bool put = r->json.p != NULL;
	enum statement which = put ? STMT_PUT : STMT_DELETE;
	sqlite3_stmt *s = q->stmts[which];
	cor_assert(r->res < q->n && q->ids[r->res] > 0);
	/* Binding cannot fail for values in range; a missing one would break NOT NULL. */
	(void)sqlite3_bind_int(s, 1, q->ids[r->res]);
	(void)bind_text(s, 2, r->ns);
	(void)bind_text(s, 3, r->name);
	if (put) {
		(void)sqlite3_bind_int64(s, 4, (sqlite3_int64)r->rev);
		(void)sqlite3_bind_blob64(s, 5, r->json.p, r->json.n, SQLITE_STATIC);
	}
	return run(q, which);
}

static int write_batch(struct sqlite *q, const struct cor_record *r, size_t n, uint64_t mark) {
	int code = run(q, STMT_BEGIN);
	for (size_t i = 0; i < n && code == SQLITE_OK; i++)
		code = put_record(q, &r[i]);
	if (code == SQLITE_OK && mark != q->mark) {
		(void)sqlite3_bind_int64(q->stmts[STMT_MARK], 1, (sqlite3_int64)mark);
		code = run(q, STMT_MARK);
	}
	return code == SQLITE_OK ? run(q, STMT_COMMIT) : code;
}

static int sqlite_commit(struct cor_backend *b, const struct cor_record *r, size_t n,
	uint64_t last_rev, struct cor_err *err) {
	struct sqlite *q = sqlite_of(b);
	if (n == 0 && last_rev == q->mark)
		return 0;
	int code = write_batch(q, r, n, last_rev);
	if (code == SQLITE_OK) {
		q->mark = last_rev;
		return 0;
	}
	/* The error first: rolling back replaces it. Some errors have rolled back already. */
	int e = fail_sqlite(q, err, code, "cannot write");
	if (!sqlite3_get_autocommit(q->db))
		(void)run(q, STMT_ROLLBACK);
	return e;
}

static struct cor_str column(sqlite3_stmt *s, int i) {
	const char *p = sqlite3_column_blob(s, i);
	return (struct cor_str){ p ? p : "", (size_t)sqlite3_column_bytes(s, i) };
}

static int find_resource(const struct sqlite *q, int id, uint16_t *ret) {
	for (size_t i = 0; i < q->n; i++) {
		if (q->ids[i] == id) {
			*ret = (uint16_t)i;
			return 0;
		}
	}
	return -ENOENT;
}

static int sqlite_load(struct cor_backend *b, int (*row)(void *arg, const struct cor_record *r),
	void *arg, uint64_t *ret_rev, struct cor_err *err) {
	struct sqlite *q = sqlite_of(b);
	_cleanup_(finalizep) sqlite3_stmt *s = NULL;
	int code = sqlite3_prepare_v2(q->db,
		"SELECT o.res, o.ns, o.name, o.rev, o.json, r.name FROM object o"
		" LEFT JOIN resource r ON r.id = o.res", -1, &s, NULL);
	while (code == SQLITE_OK && (code = sqlite3_step(s)) == SQLITE_ROW) {
		struct cor_record r = {
			.ns = column(s, 1), .name = column(s, 2),
			.rev = (uint64_t)sqlite3_column_int64(s, 3), .json = column(s, 4),
		};
		if (find_resource(q, sqlite3_column_int(s, 0), &r.res) < 0)
			return cor_fail(err, COR_E_UNSUPPORTED,
				"%s has %.*s %.*s/%.*s, a resource that this version does not know",
				q->path, COR_STR_ARG(column(s, 5)), COR_STR_ARG(r.ns),
				COR_STR_ARG(r.name));
		int e = row(arg, &r);
		if (e < 0)
			return e;
		code = SQLITE_OK;
	}
	if (code != SQLITE_DONE)
		return fail_sqlite(q, err, code, "cannot read");
	*ret_rev = q->mark;
	return 0;
}

static void sqlite_free(struct cor_backend *b) {
	struct sqlite *q = sqlite_of(b);
	for (size_t i = 0; i < STMT_MAX; i++)
		(void)sqlite3_finalize(q->stmts[i]);
	/* Copies the log into the database and removes it. */
	(void)sqlite3_close(q->db);
	if (q->vfs_is_on)
		cor_vfs_fini(&q->vfs);
	free(q->ids);
	free(q->path);
	free(q);
}

static uint64_t sqlite_bytes(struct cor_backend *b) {
	return sqlite_of(b)->vfs.written;
}

/* What a database in WAL mode is before its first table. SQLite makes it by way of a rollback journal, with
 * four waits for the disk; in memory it needs none, and the file format says where the mode is noted. */
static unsigned char *empty_database(sqlite3_int64 *ret_n) {
	enum { WRITE_VERSION = 18, READ_VERSION = 19, WAL = 2 };
	sqlite3 *m = NULL;
	unsigned char *data = NULL;
	if (sqlite3_open(":memory:", &m) == SQLITE_OK &&
		sqlite3_exec(m, "PRAGMA page_size=4096;PRAGMA user_version=0", NULL, NULL, NULL) == SQLITE_OK)
		data = sqlite3_serialize(m, "main", ret_n, 0);
	(void)sqlite3_close(m);
	if (data)
		data[WRITE_VERSION] = data[READ_VERSION] = WAL;
	return data;
}

/* In place as a whole or not at all. That it is in the directory is certain once the log is, which SQLite
 * waits for before the first commit. */
static int make_database(const char *path, struct cor_err *err) {
	_cleanup_free_ char *fresh = cor_asprintf("%s-new", path), *log = cor_asprintf("%s-wal", path);
	_cleanup_close_ int fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return cor_fail_errno(err, errno, "cannot open %s", fresh);
	sqlite3_int64 n = 0;
	unsigned char *data = empty_database(&n);
	errno = ENOSPC;         /* a short write says no more */
	bool ok = data && write(fd, data, (size_t)n) == (ssize_t)n && fsync(fd) == 0 &&
		(unlink(log) == 0 || errno == ENOENT) && rename(fresh, path) == 0;
	int e = errno;
	sqlite3_free(data);
	return ok ? 0 : cor_fail_errno(err, e, "cannot create %s", path);
}

/* The directory above path with all that lead to it, and the file itself, so that nobody else can
 * read them; SQLite gives its log the same mode. */
static int make_file(const char *path, struct cor_err *err) {
	_cleanup_free_ char *dir = cor_strdup(path);
	for (char *p = strchr(dir + 1, '/'); p; p = strchr(p + 1, '/')) {
		*p = '\0';
		if (mkdir(dir, 0700) < 0 && errno != EEXIST)
			return cor_fail_errno(err, errno, "cannot create %s", dir);
		*p = '/';
	}
	return access(path, F_OK) == 0 ? 0 : make_database(path, err);
}

static int query_int(struct sqlite *q, const char *sql, sqlite3_int64 *ret) {
	_cleanup_(finalizep) sqlite3_stmt *s = NULL;
	int code = sqlite3_prepare_v2(q->db, sql, -1, &s, NULL);
	if (code != SQLITE_OK)
		return code;
	code = sqlite3_step(s);
	if (code != SQLITE_ROW)
		return code == SQLITE_DONE ? SQLITE_ERROR : code;
	*ret = sqlite3_column_int64(s, 0);
	return SQLITE_OK;
}

/* The id of every resource; those that are new get one. */
static int find_ids(struct sqlite *q, const char *const *names) {
	_cleanup_(finalizep) sqlite3_stmt *get = NULL, *add = NULL;
	int code = sqlite3_prepare_v2(q->db, "SELECT id FROM resource WHERE name = ?1", -1, &get,
		NULL);
	if (code == SQLITE_OK)
		code = sqlite3_prepare_v2(q->db, "INSERT INTO resource(name) VALUES(?1)", -1, &add,
			NULL);
	for (size_t i = 0; i < q->n && code == SQLITE_OK; i++) {
		struct cor_str name = cor_str_c(names[i]);
		if (!name.n)
			continue;
		(void)bind_text(get, 1, name);
		code = sqlite3_step(get);
		if (code == SQLITE_ROW) {
			q->ids[i] = sqlite3_column_int(get, 0);
			code = SQLITE_OK;
		} else if (code == SQLITE_DONE) {
			(void)bind_text(add, 1, name);
			code = sqlite3_step(add) == SQLITE_DONE ? SQLITE_OK
			                                        : sqlite3_errcode(q->db);
			q->ids[i] = (int)sqlite3_last_insert_rowid(q->db);
			(void)sqlite3_reset(add);
		}
		(void)sqlite3_reset(get);
	}
	return code;
}

/* One transaction, so that a crash leaves a database or none. Writes nothing when all is there. */
static int prepare_schema(struct sqlite *q, const char *const *names, struct cor_err *err) {
	sqlite3_int64 version = 0, mark = 0;
	int code = sqlite3_exec(q->db, settings, NULL, NULL, NULL);
	if (code == SQLITE_OK)
		code = sqlite3_exec(q->db, "BEGIN IMMEDIATE", NULL, NULL, NULL);
	if (code == SQLITE_OK)
		code = query_int(q, "PRAGMA user_version", &version);
	if (code == SQLITE_OK && version > SCHEMA_VERSION)
		return cor_fail(err, COR_E_UNSUPPORTED,
			"%s was written by a newer version of coracle (format %d, this one knows %d)",
			q->path, (int)version, SCHEMA_VERSION);
	if (code == SQLITE_OK && version == 0)
		code = sqlite3_exec(q->db, schema, NULL, NULL, NULL);
	if (code == SQLITE_OK && version == 0)
		code = sqlite3_exec(q->db, "PRAGMA user_version=1", NULL, NULL, NULL);
	if (code == SQLITE_OK)
		code = find_ids(q, names);
	if (code == SQLITE_OK)
		code = query_int(q, "SELECT mark FROM revision", &mark);
	if (code == SQLITE_OK)
		code = sqlite3_exec(q->db, "COMMIT", NULL, NULL, NULL);
	q->mark = (uint64_t)mark;
	for (size_t i = 0; i < STMT_MAX && code == SQLITE_OK; i++)
		code = sqlite3_prepare_v3(q->db, statements[i], -1, SQLITE_PREPARE_PERSISTENT,
			&q->stmts[i], NULL);
	return code == SQLITE_OK ? 0 : fail_sqlite(q, err, code, "cannot open");
}

static int open_db(struct sqlite *q, const char *const *names, struct cor_err *err) {
	/* Before SQLite's first use only; saves a lock at every allocation. */
	(void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
	int r = make_file(q->path, err);
	if (r < 0)
		return r;
	int code = sqlite3_initialize();
	if (code == SQLITE_OK)
		code = cor_vfs_init(&q->vfs);
	q->vfs_is_on = code == SQLITE_OK;
	if (code == SQLITE_OK)
		code = sqlite3_open_v2(q->path, &q->db,
			SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, q->vfs.base.zName);
	if (code != SQLITE_OK)
		return fail_sqlite(q, err, code, "cannot open");
	(void)sqlite3_extended_result_codes(q->db, 1);
	return prepare_schema(q, names, err);
}

int cor_backend_sqlite_open(const char *path, const char *const *resource_names, size_t n_resources,
	struct cor_backend **ret, struct cor_err *err) {
	struct sqlite *q = cor_new(struct sqlite);
	q->base = (struct cor_backend){
		.load = sqlite_load, .commit = sqlite_commit,
		.free = sqlite_free, .bytes_written = sqlite_bytes,
	};
	q->path = cor_strdup(path);
	q->n = n_resources;
	q->ids = cor_calloc(n_resources, sizeof(*q->ids));
	int r = open_db(q, resource_names, err);
	if (r < 0) {
		sqlite_free(&q->base);
		return r;
	}
	*ret = &q->base;
	return 0;
}
