// SPDX-License-Identifier: Apache-2.0
// Small tools of the image files: SHA-256, whole files, atomic writes, removal of trees of any
// depth, and the threads and progress of one import or pull.

#include <dirent.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>

#include "base/assert.h"
#include "node/image_priv.h"

void cor_image_hash_begin(struct image_hash *h) {
	h->ctx = EVP_MD_CTX_new();
	cor_assert(h->ctx && EVP_DigestInit_ex(h->ctx, EVP_sha256(), NULL) == 1);
}

void cor_image_hash_add(struct image_hash *h, const void *p, size_t n) {
	cor_assert(EVP_DigestUpdate(h->ctx, p, n) == 1);
}

void cor_image_hash_end(struct image_hash *h, char hex[IMAGE_HEX]) {
	unsigned char md[32];
	unsigned len = sizeof(md);

	cor_assert(EVP_DigestFinal_ex(h->ctx, md, &len) == 1 && len == sizeof(md));
	for (size_t i = 0; i < sizeof(md); i++)
		(void)snprintf(hex + 2 * i, 3, "%02x", md[i]);
	cor_image_hash_drop(h);
}

void cor_image_hash_drop(struct image_hash *h) {
	EVP_MD_CTX_free(h->ctx);
	h->ctx = NULL;
}

void cor_image_hash_of(struct cor_str s, char hex[IMAGE_HEX]) {
	struct image_hash h;

	cor_image_hash_begin(&h);
	if (s.n)
		cor_image_hash_add(&h, s.p, s.n);
	cor_image_hash_end(&h, hex);
}

int cor_image_digest_parse(struct cor_str digest, char hex[IMAGE_HEX], struct cor_err *err) {
	struct cor_str prefix = COR_STR("sha256:");
	struct cor_str d;

	if (!cor_str_starts(digest, prefix) || digest.n != prefix.n + IMAGE_HEX - 1)
		return cor_fail(err, COR_E_INVALID, "\"%.*s\" is not a SHA-256 digest",
			(int)(digest.n > 100 ? 100 : digest.n), digest.p ? digest.p : "");
	d = cor_str_sub(digest, prefix.n, IMAGE_HEX - 1);
	for (size_t i = 0; i < d.n; i++) {
		if (!strchr("0123456789abcdef", d.p[i]) || !d.p[i])
			return cor_fail(err, COR_E_INVALID, "\"%.*s\" is not a SHA-256 digest",
				COR_STR_ARG(digest));
	}
	memcpy(hex, d.p, d.n);
	hex[d.n] = '\0';
	return 0;
}

int cor_image_read_fd(int fd, size_t limit, struct cor_buf *out, struct cor_err *err) {
	for (;;) {
		char *p = cor_buf_reserve(out, 64 << 10);
		ssize_t n;

		if (!p)
			return cor_fail(err, COR_E_LIMIT, "too large");
		n = read(fd, p, 64 << 10);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return cor_fail_errno(err, errno, "read");
		if (n == 0)
			return 0;
		out->n += (size_t)n;
		if (out->n > limit)
			return cor_fail(err, COR_E_LIMIT, "larger than %zu bytes", limit);
	}
}

int cor_image_read_file(
	int dirfd, const char *name, size_t limit, struct cor_buf *out, struct cor_err *err) {
	_cleanup_close_ int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0)
		return cor_fail_errno(err, errno, "open %s", name);
	if (cor_image_read_fd(fd, limit, out, err) < 0)
		return cor_wrap(err, "%s", name);
	return 0;
}

static int write_all(int fd, struct cor_str data) {
	while (data.n > 0) {
		ssize_t n = write(fd, data.p, data.n);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		data = cor_str_sub(data, (size_t)n, data.n);
	}
	return 0;
}

int cor_image_write_file(
	int dirfd, const char *name, struct cor_str data, bool durable, struct cor_err *err) {
	_cleanup_close_ int fd = -1;
	char temp[300];
	int r;

	/* One writer at a time: callers hold the store's lock or own the name. */
	(void)snprintf(temp, sizeof(temp), "%s.tmp", name);
	(void)unlinkat(dirfd, temp, 0);
	fd = openat(dirfd, temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return cor_fail_errno(err, errno, "create %s", temp);
	r = write_all(fd, data);
	if (r == 0 && durable && fsync(fd) < 0)
		r = -errno;
	if (r == 0 && renameat(dirfd, temp, dirfd, name) < 0)
		r = -errno;
	if (r < 0) {
		(void)unlinkat(dirfd, temp, 0);
		return cor_fail_errno(err, -r, "write %s", name);
	}
	if (durable && fsync(dirfd) < 0)
		return cor_fail_errno(err, errno, "sync the directory of %s", name);
	return 0;
}

int cor_image_mkdir_open(
	int dirfd, const char *name, mode_t mode, int *ret_fd, struct cor_err *err) {
	int fd;

	if (mkdirat(dirfd, name, mode) < 0 && errno != EEXIST)
		return cor_fail_errno(err, errno, "create directory %s", name);
	fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return cor_fail_errno(err, errno, "open directory %s", name);
	*ret_fd = fd;
	return 0;
}

/* ---- removal ---- */

enum { REMOVE_DEPTH = 64 };

struct removal {
	int top;                /* the directory that is being emptied */
	dev_t dev;              /* its file system: what is mounted below it stays */
	unsigned serial;
	bool moved;             /* something deep was moved up: empty top once more */
};

static void move_up(struct removal *rm, int dirfd, const char *name) {
	char up[40];

	/* A container may nest directories without end; descriptors and stack may not. */
	for (int tries = 0; tries < 1000; tries++) {
		(void)snprintf(up, sizeof(up), ".cor-deep-%u", rm->serial++);
		if (renameat2(dirfd, name, rm->top, up, RENAME_NOREPLACE) == 0) {
			rm->moved = true;
			return;
		}
		if (errno != EEXIST)
			return;
	}
}

static void empty_dir(struct removal *rm, int fd, int depth) {
	DIR *d = fdopendir(fd);         /* takes fd */
	struct dirent *e;

	if (!d) {
		(void)close(fd);
		return;
	}
	while ((e = readdir(d))) {
		struct stat st;
		int child;

		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		if (unlinkat(dirfd(d), e->d_name, 0) == 0 || (errno != EISDIR && errno != EPERM))
			continue;
		if (depth >= REMOVE_DEPTH) {
			move_up(rm, dirfd(d), e->d_name);
			continue;
		}
		child = openat(dirfd(d), e->d_name,
			O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (child < 0)
			continue;
		if (fstat(child, &st) < 0 || st.st_dev != rm->dev) {
			(void)close(child);
			continue;
		}
		empty_dir(rm, child, depth + 1);
		(void)unlinkat(dirfd(d), e->d_name, AT_REMOVEDIR);
	}
	(void)closedir(d);
}

int cor_image_rmtree(int dirfd, const char *name, struct cor_err *err) {
	_cleanup_close_ int top = -1;
	struct removal rm = { .moved = true };
	struct stat st;

	if (unlinkat(dirfd, name, 0) == 0 || errno == ENOENT)
		return 0;
	top = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (top < 0 || fstat(top, &st) < 0)
		return cor_fail_errno(err, errno, "remove %s", name);
	rm.top = top;
	rm.dev = st.st_dev;
	while (rm.moved) {
		int fd = openat(top, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

		rm.moved = false;
		if (fd < 0)
			return cor_fail_errno(err, errno, "remove %s", name);
		empty_dir(&rm, fd, 0);
	}
	if (unlinkat(dirfd, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
		return cor_fail_errno(err, errno, "remove %s", name);
	return 0;
}

/* ---- progress and threads ---- */

static cor_time mono(void) {
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (cor_time)ts.tv_sec * COR_SECOND + ts.tv_nsec / 1000;
}

void cor_image_run_init(struct image_run *r, const char *what, const struct cor_image_work *work) {
	*r = (struct image_run){ .work = work, .p.what = what };
	(void)pthread_mutex_init(&r->mutex, NULL);
}

void cor_image_run_fini(struct image_run *r) {
	if (r->work && r->work->progress)
		r->work->progress(r->work->progress_arg, &r->p);
	(void)pthread_mutex_destroy(&r->mutex);
}

static void report(struct image_run *r) {
	cor_time now;

	if (!r->work || !r->work->progress)
		return;
	now = mono();
	if (now - r->reported < 100 * COR_MS)
		return;
	r->reported = now;
	r->work->progress(r->work->progress_arg, &r->p);
}

void cor_image_run_bytes(struct image_run *r, uint64_t n) {
	(void)pthread_mutex_lock(&r->mutex);
	r->p.bytes_done += n;
	report(r);
	(void)pthread_mutex_unlock(&r->mutex);
}

void cor_image_run_layer(struct image_run *r) {
	(void)pthread_mutex_lock(&r->mutex);
	r->p.layers_done++;
	report(r);
	(void)pthread_mutex_unlock(&r->mutex);
}

bool cor_image_run_stopped(const struct image_run *r) {
	return atomic_load(&r->failed) ||
		(r->work && r->work->cancel && atomic_load(r->work->cancel));
}

struct crew {
	struct image_run *run;
	image_task_fn fn;
	void *arg;
	unsigned n;
	atomic_uint next;
	pthread_mutex_t mutex;
	int result;
	struct cor_err err;
};

static void *crew_member(void *arg) {
	struct crew *c = arg;

	for (;;) {
		unsigned i = atomic_fetch_add(&c->next, 1);
		struct cor_err e = { 0 };
		int r;

		if (i >= c->n || cor_image_run_stopped(c->run))
			return NULL;
		r = c->fn(c->arg, i, &e);
		if (r >= 0)
			continue;
		(void)pthread_mutex_lock(&c->mutex);
		if (c->result == 0) {   /* what the others say is only that they gave up */
			c->result = r;
			c->err = e;
		}
		(void)pthread_mutex_unlock(&c->mutex);
		atomic_store(&c->run->failed, true);
	}
}

int cor_image_parallel(struct image_run *r, unsigned n, unsigned max, image_task_fn fn, void *arg,
	struct cor_err *err) {
	struct crew c = { .run = r, .fn = fn, .arg = arg, .n = n };
	pthread_t threads[16];
	unsigned started = 0;

	if (max > cor_countof(threads))
		max = cor_countof(threads);
	(void)pthread_mutex_init(&c.mutex, NULL);
	while (started + 1 < n && started + 1 < max) {
		if (pthread_create(&threads[started], NULL, crew_member, &c) != 0)
			break;
		started++;
	}
	(void)crew_member(&c);          /* this thread works as well */
	while (started > 0)
		(void)pthread_join(threads[--started], NULL);
	(void)pthread_mutex_destroy(&c.mutex);
	if (c.result < 0) {
		if (err)
			*err = c.err;
		return c.result;
	}
	if (cor_image_run_stopped(r))
		return cor_fail(err, COR_E_CLOSED, "cancelled");
	return 0;
}
