// SPDX-License-Identifier: Apache-2.0
// The layer forwards everything to SQLite's own file layer. Its files are of version 1, without
// shared memory and mapping: SQLite then keeps the index of its log in the heap, which fits
// because the store is opened exclusively, and no page is ever read through a mapping.
//
// SQLite writes its log in pieces of 24 and 4096 bytes and a checkpoint page by page. What follows
// on in the file is gathered here and written at once: when the file is synced, read where it was
// written, or written elsewhere. So nothing changes about what is durable when.
#include "store/sqlite_vfs.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"

enum { RUN_MAX = 64 * 1024 };

static struct {
	cor_disk_hook fn;
	void *arg;
} hook;

void cor_backend_sqlite_hook(cor_disk_hook fn, void *arg) {
	hook.fn = fn;
	hook.arg = arg;
}

struct file {
	sqlite3_file base;
	struct cor_vfs *vfs;
	const char *path;               /* lives as long as the file, says SQLite */
	sqlite3_file *real;             /* lies behind this struct */
	struct cor_buf run;             /* to be written at run_at */
	sqlite3_int64 run_at;
};

static struct cor_vfs *vfs_of(sqlite3_vfs *v) {
	return v->pAppData;
}

static struct file *file_of(sqlite3_file *f) {
	return (struct file *)f;
}

/* 0, or the SQLite code of a fault. torn: the op was cut in the middle. */
static int ask_hook(struct cor_vfs *v, enum cor_disk_op op, const char *path, int code,
	bool *ret_torn) {
	*ret_torn = false;
	int e = hook.fn ? hook.fn(hook.arg, op, path ? path : "") : 0;
	if (e == 0)
		return 0;
	*ret_torn = e == COR_DISK_TORN;
	v->injected = e > 0 ? e : EIO;
	return e == ENOSPC ? SQLITE_FULL : code;
}

/* Writes what was gathered. After a failure it is forgotten: SQLite has been told. */
static int flush(struct file *x) {
	size_t n = x->run.n;
	bool torn;
	if (n == 0)
		return SQLITE_OK;
	x->run.n = 0;
	int code = ask_hook(x->vfs, COR_DISK_WRITE, x->path, SQLITE_IOERR_WRITE, &torn);
	if (torn)
		(void)x->real->pMethods->xWrite(x->real, x->run.p, (int)n / 2, x->run_at);
	if (code)
		return code;
	x->vfs->written += n;
	return x->real->pMethods->xWrite(x->real, x->run.p, (int)n, x->run_at);
}

static int f_close(sqlite3_file *f) {
	struct file *x = file_of(f);
	int code = flush(x);
	cor_buf_fini(&x->run);
	int closed = x->real->pMethods ? x->real->pMethods->xClose(x->real) : SQLITE_OK;
	return code ? code : closed;
}

static int f_read(sqlite3_file *f, void *p, int n, sqlite3_int64 at) {
	struct file *x = file_of(f);
	bool apart = at + n <= x->run_at || at >= x->run_at + (sqlite3_int64)x->run.n;
	int code = apart ? SQLITE_OK : flush(x);
	return code ? code : x->real->pMethods->xRead(x->real, p, n, at);
}

static int f_write(sqlite3_file *f, const void *p, int n, sqlite3_int64 at) {
	struct file *x = file_of(f);
	bool follows = at == x->run_at + (sqlite3_int64)x->run.n;
	if (!follows || x->run.n + (size_t)n > RUN_MAX) {
		int code = flush(x);
		if (code)
			return code;
		x->run_at = at;
	}
	if (!cor_buf_reserve(&x->run, (size_t)n)) {
		x->run.failed = false;
		return SQLITE_IOERR_NOMEM;
	}
	cor_buf_add(&x->run, p, (size_t)n);
	return SQLITE_OK;
}

static int f_truncate(sqlite3_file *f, sqlite3_int64 size) {
	struct file *x = file_of(f);
	bool torn;
	int code = flush(x);
	if (code == SQLITE_OK)
		code = ask_hook(x->vfs, COR_DISK_TRUNCATE, x->path, SQLITE_IOERR_TRUNCATE, &torn);
	return code ? code : x->real->pMethods->xTruncate(x->real, size);
}

static int f_sync(sqlite3_file *f, int flags) {
	struct file *x = file_of(f);
	bool torn;
	int code = flush(x);
	if (code == SQLITE_OK)
		code = ask_hook(x->vfs, COR_DISK_SYNC, x->path, SQLITE_IOERR_FSYNC, &torn);
	return code ? code : x->real->pMethods->xSync(x->real, flags);
}

static int f_size(sqlite3_file *f, sqlite3_int64 *ret) {
	struct file *x = file_of(f);
	int code = flush(x);
	return code ? code : x->real->pMethods->xFileSize(x->real, ret);
}

static int f_lock(sqlite3_file *f, int level) {
	sqlite3_file *r = file_of(f)->real;
	return r->pMethods->xLock(r, level);
}

static int f_unlock(sqlite3_file *f, int level) {
	sqlite3_file *r = file_of(f)->real;
	return r->pMethods->xUnlock(r, level);
}

static int f_is_locked(sqlite3_file *f, int *ret) {
	sqlite3_file *r = file_of(f)->real;
	return r->pMethods->xCheckReservedLock(r, ret);
}

static int f_control(sqlite3_file *f, int op, void *arg) {
	sqlite3_file *r = file_of(f)->real;
	return r->pMethods->xFileControl(r, op, arg);
}

static int f_sector(sqlite3_file *f) {
	sqlite3_file *r = file_of(f)->real;
	return r->pMethods->xSectorSize(r);
}

static int f_traits(sqlite3_file *f) {
	sqlite3_file *r = file_of(f)->real;
	return r->pMethods->xDeviceCharacteristics(r);
}

static const sqlite3_io_methods methods = {
	.iVersion = 1,
	.xClose = f_close, .xRead = f_read, .xWrite = f_write, .xTruncate = f_truncate,
	.xSync = f_sync, .xFileSize = f_size, .xLock = f_lock, .xUnlock = f_unlock,
	.xCheckReservedLock = f_is_locked, .xFileControl = f_control, .xSectorSize = f_sector,
	.xDeviceCharacteristics = f_traits,
};

static int v_open(sqlite3_vfs *vfs, sqlite3_filename path, sqlite3_file *f, int flags, int *ret) {
	struct cor_vfs *v = vfs_of(vfs);
	struct file *x = file_of(f);
	*x = (struct file){ .vfs = v, .path = path, .real = (sqlite3_file *)(x + 1) };
	int code = v->real->xOpen(v->real, path, x->real, flags, ret);
	/* Set also after a failure, if there is something to close. */
	x->base.pMethods = x->real->pMethods ? &methods : NULL;
	return code;
}

static int v_delete(sqlite3_vfs *vfs, const char *path, int sync) {
	struct cor_vfs *v = vfs_of(vfs);
	bool torn;
	int code = ask_hook(v, COR_DISK_DELETE, path, SQLITE_IOERR_DELETE, &torn);
	return code ? code : v->real->xDelete(v->real, path, sync);
}

static int v_access(sqlite3_vfs *vfs, const char *path, int flags, int *ret) {
	return vfs_of(vfs)->real->xAccess(vfs_of(vfs)->real, path, flags, ret);
}

static int v_full_path(sqlite3_vfs *vfs, const char *path, int n, char *out) {
	return vfs_of(vfs)->real->xFullPathname(vfs_of(vfs)->real, path, n, out);
}

static int v_random(sqlite3_vfs *vfs, int n, char *out) {
	return vfs_of(vfs)->real->xRandomness(vfs_of(vfs)->real, n, out);
}

static int v_sleep(sqlite3_vfs *vfs, int us) {
	return vfs_of(vfs)->real->xSleep(vfs_of(vfs)->real, us);
}

static int v_time(sqlite3_vfs *vfs, double *ret) {
	return vfs_of(vfs)->real->xCurrentTime(vfs_of(vfs)->real, ret);
}

static int v_last_error(sqlite3_vfs *vfs, int n, char *out) {
	struct cor_vfs *v = vfs_of(vfs);
	int e = v->injected;
	v->injected = 0;
	return e ? e : v->real->xGetLastError(v->real, n, out);
}

int cor_vfs_init(struct cor_vfs *v) {
	sqlite3_vfs *real = sqlite3_vfs_find(NULL);
	if (!real)
		return SQLITE_ERROR;
	*v = (struct cor_vfs){ .real = real };
	(void)snprintf(v->name, sizeof(v->name), "coracle-%p", (void *)v);
	v->base = (sqlite3_vfs){
		.iVersion = 1,
		.szOsFile = (int)sizeof(struct file) + real->szOsFile,
		.mxPathname = real->mxPathname,
		.zName = v->name,
		.pAppData = v,
		.xOpen = v_open, .xDelete = v_delete, .xAccess = v_access,
		.xFullPathname = v_full_path, .xRandomness = v_random, .xSleep = v_sleep,
		.xCurrentTime = v_time, .xGetLastError = v_last_error,
	};
	return sqlite3_vfs_register(&v->base, 0);
}

void cor_vfs_fini(struct cor_vfs *v) {
	(void)sqlite3_vfs_unregister(&v->base);
}
