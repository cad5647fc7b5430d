// SPDX-License-Identifier: Apache-2.0
// The store's directory: opening, locking, layers on their way in, and the removal of what nothing
// needs. Below the store's directory:
//   lock                     held (flock) while records, layers or leases change
//   images/ blobs/ layers/   by hex: records, configs, unpacked layers
//   leases/                  which image a mounted root file system is of
//   tmp/<session>/           of one process, which holds a flock on it: what is in the making, and
//                            pin-<hex> files that keep a layer no record names yet from removal
// A layer counts only when a record names it; the record is written after a sync of the file
// system. So a crash leaves layers that nothing names, and the next removal takes them away.

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "base/assert.h"
#include "base/log.h"
#include "node/image_priv.h"

#define PIN "pin-"

/* ---- lock ---- */

int cor_image_lock(struct cor_image_store *s, struct cor_err *err) {
	(void)pthread_mutex_lock(&s->mutex);
	while (flock(s->lock, LOCK_EX) < 0) {
		if (errno != EINTR) {
			int e = errno;

			(void)pthread_mutex_unlock(&s->mutex);
			return cor_fail_errno(err, e, "lock the image store");
		}
	}
	return 0;
}

void cor_image_unlock(struct cor_image_store *s) {
	(void)flock(s->lock, LOCK_UN);
	(void)pthread_mutex_unlock(&s->mutex);
}

void cor_image_temp_name(struct cor_image_store *s, const char *what, char out[64]) {
	(void)snprintf(out, 64, "%.40s-%u", what, atomic_fetch_add(&s->serial, 1));
}

static DIR *open_list(int dirfd) {
	int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);

	if (!d && fd >= 0)
		(void)close(fd);
	return d;
}

static void close_list(DIR **d) {
	if (*d)
		(void)closedir(*d);
}
#define _cleanup_list_ _cleanup_(close_list)

static bool dot(const char *name) {
	return name[0] == '.' && (!name[1] || (name[1] == '.' && !name[2]));
}

/* ---- open and close ---- */

static struct cor_str own(struct cor_arena *a, const char *s) {
	return cor_arena_str(a, cor_str_c(s));
}

static void copy_config(struct cor_image_store *s, const struct cor_image_config *c) {
	struct cor_image_mirror *m = cor_arena_array(s->arena, struct cor_image_mirror,
		c->n_mirrors);
	const char **insecure = cor_arena_array(s->arena, const char *, c->n_insecure);

	s->cfg = *c;
	for (size_t i = 0; i < c->n_mirrors; i++)
		m[i] = (struct cor_image_mirror){ own(s->arena, c->mirrors[i].registry).p,
			own(s->arena, c->mirrors[i].url).p };
	for (size_t i = 0; i < c->n_insecure; i++)
		insecure[i] = own(s->arena, c->insecure[i]).p;
	s->cfg.mirrors = m;
	s->cfg.insecure = insecure;
	s->cfg.dir = own(s->arena, c->dir).p;
	s->cfg.ca_file = own(s->arena, c->ca_file).p;
	s->cfg.max_workers = c->max_workers ? c->max_workers : 3;
	s->cfg.max_layer_bytes = c->max_layer_bytes ? c->max_layer_bytes : 32ULL << 30;
	s->cfg.max_layer_entries = c->max_layer_entries ? c->max_layer_entries : 2000000;
	s->cfg.max_blob_bytes = c->max_blob_bytes ? c->max_blob_bytes : 16ULL << 30;
	s->cfg.retry_base_ms = c->retry_base_ms ? c->retry_base_ms : 500;
}

static int make_parents(const char *dir, struct cor_err *err) {
	_cleanup_free_ char *path = cor_strdup(dir);

	for (char *p = path + 1; *p; p++) {
		if (*p != '/')
			continue;
		*p = '\0';
		if (mkdir(path, 0755) < 0 && errno != EEXIST)
			return cor_fail_errno(err, errno, "create directory %s", path);
		*p = '/';
	}
	return 0;
}

static int open_dirs(struct cor_image_store *s, struct cor_err *err) {
	const struct {
		const char *name;
		int *fd;
	} dirs[] = { { "tmp", &s->tmp }, { "images", &s->images }, { "blobs", &s->blobs },
		{ "layers", &s->layers }, { "leases", &s->leases } };
	int r = make_parents(s->cfg.dir, err);

	if (r == 0)
		r = cor_image_mkdir_open(AT_FDCWD, s->cfg.dir, 0700, &s->dir, err);
	for (size_t i = 0; r == 0 && i < cor_countof(dirs); i++)
		r = cor_image_mkdir_open(s->dir, dirs[i].name, 0700, dirs[i].fd, err);
	if (r < 0)
		return r;
	s->lock = openat(s->dir, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	return s->lock < 0 ? cor_fail_errno(err, errno, "open the lock") : 0;
}

/* With the lock held, so that nobody removes the session before it is locked. */
static int start_session(struct cor_image_store *s, struct cor_err *err) {
	unsigned char rnd[16];
	int r;

	if (getrandom(rnd, sizeof(rnd), 0) != (ssize_t)sizeof(rnd))
		return cor_fail_errno(err, errno, "random bytes");
	for (size_t i = 0; i < sizeof(rnd); i++)
		(void)snprintf(s->session_name + 2 * i, 3, "%02x", rnd[i]);
	r = cor_image_mkdir_open(s->tmp, s->session_name, 0700, &s->session, err);
	if (r == 0 && flock(s->session, LOCK_EX | LOCK_NB) < 0)
		r = cor_fail_errno(err, errno, "lock the session");
	return r;
}

/* What a process left that is no more. */
static void remove_stale_sessions(struct cor_image_store *s) {
	_cleanup_list_ DIR *d = open_list(s->tmp);
	struct dirent *e;

	while (d && (e = readdir(d))) {
		_cleanup_close_ int fd = -1;
		struct cor_err err = { 0 };

		if (dot(e->d_name) || strcmp(e->d_name, s->session_name) == 0)
			continue;
		fd = openat(s->tmp, e->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) < 0)
			continue;
		if (cor_image_rmtree(s->tmp, e->d_name, &err) < 0)
			cor_warn("image store: what an earlier process left: %s", err.message);
	}
}

static void drop_dead_leases(struct cor_image_store *s) {
	_cleanup_list_ DIR *d = open_list(s->leases);
	_cleanup_free_ struct image_lease *lease = cor_new(struct image_lease);
	struct dirent *e;
	struct cor_err err;

	while (d && (e = readdir(d))) {
		if (dot(e->d_name))
			continue;
		if (cor_image_lease_read(s, e->d_name, lease, &err) < 0 ||
			access(lease->dir, F_OK) < 0)
			(void)unlinkat(s->leases, e->d_name, 0);
	}
}

int cor_image_store_open(struct cor_image_store **ret, const struct cor_image_config *config,
	struct cor_err *err) {
	_cleanup_(cor_image_store_closep) struct cor_image_store *s = cor_new(struct cor_image_store);
	int r;

	s->dir = s->lock = s->tmp = s->session = s->images = s->blobs = s->layers = s->leases = -1;
	(void)pthread_mutex_init(&s->mutex, NULL);
	(void)pthread_cond_init(&s->idle, NULL);
	s->arena = cor_arena_new(0);
	copy_config(s, config);
	r = open_dirs(s, err);
	if (r == 0)
		r = cor_image_lock(s, err);
	if (r < 0)
		return cor_wrap(err, "image store %s", config->dir);
	r = start_session(s, err);
	if (r == 0) {
		remove_stale_sessions(s);
		drop_dead_leases(s);
	}
	cor_image_unlock(s);
	if (r == 0)
		r = cor_image_gc(s, err);
	if (r < 0)
		return cor_wrap(err, "image store %s", config->dir);
	*ret = cor_take(s);
	return 0;
}

void cor_image_store_close(struct cor_image_store *s) {
	struct cor_err err;

	if (!s)
		return;
	if (s->session >= 0 && cor_image_rmtree(s->tmp, s->session_name, &err) < 0)
		cor_warn("image store: %s", err.message);
	cor_image_cache_drop(s);
	for (size_t i = 0; i < 8; i++) {
		int fds[] = { s->session, s->dir, s->lock, s->tmp, s->images, s->blobs, s->layers,
			s->leases };

		if (fds[i] >= 0)
			(void)close(fds[i]);
	}
	cor_map_fini(&s->pins);
	cor_map_fini(&s->busy);
	(void)pthread_cond_destroy(&s->idle);
	(void)pthread_mutex_destroy(&s->mutex);
	cor_arena_free(s->arena);
	free(s);
}

int cor_image_lease_read(struct cor_image_store *s, const char *name, struct image_lease *ret,
	struct cor_err *err) {
	_cleanup_buf_ struct cor_buf b = COR_BUF_INIT;
	struct cor_str rest, id;
	int r = cor_image_read_file(s->leases, name, sizeof(ret->id) + sizeof(ret->dir), &b, err);

	if (r < 0)
		return r;
	rest = cor_buf_view(&b);
	id = cor_str_cut(&rest, '\n');
	rest = rest.p ? cor_str_cut(&rest, '\n') : COR_STR("");
	if (id.n >= sizeof(ret->id) || rest.n >= sizeof(ret->dir) || rest.n == 0)
		return cor_fail(err, COR_E_PARSE, "lease %s is broken", name);
	(void)snprintf(ret->id, sizeof(ret->id), "%.*s", COR_STR_ARG(id));
	(void)snprintf(ret->dir, sizeof(ret->dir), "%.*s", COR_STR_ARG(rest));
	return 0;
}

/* ---- pins; with the lock held ---- */

static int pin(struct cor_image_store *s, const char *hex, struct cor_err *err) {
	struct cor_str key = cor_str_c(hex);
	size_t count = (size_t)cor_map_get(&s->pins, key);
	char name[IMAGE_HEX + sizeof(PIN)];
	int fd;

	if (count == 0) {
		(void)snprintf(name, sizeof(name), PIN "%s", hex);
		fd = openat(s->session, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
		if (fd < 0)
			return cor_fail_errno(err, errno, "pin a layer");
		(void)close(fd);
	}
	(void)cor_map_put(&s->pins, key, (void *)(count + 1));
	return 0;
}

static void unpin(struct cor_image_store *s, const char *hex) {
	struct cor_str key = cor_str_c(hex);
	size_t count = (size_t)cor_map_get(&s->pins, key);
	char name[IMAGE_HEX + sizeof(PIN)];

	cor_assert(count > 0);
	if (count > 1) {
		(void)cor_map_put(&s->pins, key, (void *)(count - 1));
		return;
	}
	(void)cor_map_remove(&s->pins, key);
	(void)snprintf(name, sizeof(name), PIN "%s", hex);
	(void)unlinkat(s->session, name, 0);
}

void cor_image_layers_unpin(struct cor_image_store *s, struct image_new *n) {
	(void)pthread_mutex_lock(&s->mutex);
	for (unsigned i = 0; i < n->n_layers; i++) {
		if (n->layers[i].pinned)
			unpin(s, n->layers[i].diff);
		n->layers[i].pinned = false;
	}
	(void)pthread_mutex_unlock(&s->mutex);
}

/* ---- layers on their way in ---- */

struct ensure {
	struct cor_image_store *s;
	struct image_new *n;
	image_open_fn open;
	void *arg;
	struct image_run *run;
	bool count;
};

static bool layer_here(struct cor_image_store *s, const char *hex) {
	return faccessat(s->layers, hex, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* Waits while another thread unpacks this layer. *ret_mine: it is for the caller to unpack. */
static int claim(struct cor_image_store *s, struct image_layer *l, bool *ret_mine,
	struct cor_err *err) {
	int r = cor_image_lock(s, err);

	if (r < 0)
		return r;
	while (cor_map_get(&s->busy, cor_str_c(l->diff))) {
		(void)flock(s->lock, LOCK_UN);
		(void)pthread_cond_wait(&s->idle, &s->mutex);
		while (flock(s->lock, LOCK_EX) < 0 && errno == EINTR)
			;
	}
	r = pin(s, l->diff, err);
	if (r == 0) {
		l->pinned = true;
		*ret_mine = !layer_here(s, l->diff);
		if (*ret_mine)
			(void)cor_map_put(&s->busy, cor_str_c(l->diff), l);
	}
	cor_image_unlock(s);
	return r;
}

static void disclaim(struct cor_image_store *s, const struct image_layer *l) {
	(void)pthread_mutex_lock(&s->mutex);
	(void)cor_map_remove(&s->busy, cor_str_c(l->diff));
	(void)pthread_cond_broadcast(&s->idle);
	(void)pthread_mutex_unlock(&s->mutex);
}

/* Unpacks into the session and moves the whole into place. */
static int bring(struct ensure *e, unsigned i, struct cor_err *err) {
	struct image_layer *l = &e->n->layers[i];
	struct cor_image_store *s = e->s;
	_cleanup_close_ int fd = -1, root = -1;
	struct cor_err ignored;
	char temp[64];
	int r = e->open(e->arg, i, &fd, err);

	if (r < 0)
		return r;
	cor_image_temp_name(s, "layer", temp);
	r = cor_image_mkdir_open(s->session, temp, 0755, &root, err);
	if (r == 0 && fchmod(root, 0755) < 0)   /* whatever the umask is */
		r = cor_fail_errno(err, errno, "layer %u", i + 1);
	if (r == 0)
		r = cor_image_unpack(&(struct image_unpack){ .fd = fd, .root = root,
			.number = i + 1, .blob = l->blob[0] ? l->blob : NULL, .diff_id = l->diff,
			.max_bytes = s->cfg.max_layer_bytes, .max_entries = s->cfg.max_layer_entries,
			.run = e->run, .count = e->count }, err);
	if (r == 0 && renameat2(s->session, temp, s->layers, l->diff, RENAME_NOREPLACE) == 0)
		return 0;
	/* Another process may have been faster: same digest, same content. */
	if (r == 0 && errno != EEXIST)
		r = cor_fail_errno(err, errno, "layer %u", i + 1);
	(void)cor_image_rmtree(s->session, temp, &ignored);
	return r;
}

static int ensure_one(void *arg, unsigned i, struct cor_err *err) {
	struct ensure *e = arg;
	struct image_layer *l = &e->n->layers[i];
	bool mine = false;
	int r = claim(e->s, l, &mine, err);

	if (r == 0 && mine) {
		r = bring(e, i, err);
		disclaim(e->s, l);
	}
	if (r == 0 && !mine)
		cor_image_run_bytes(e->run, l->size);
	if (r == 0)
		cor_image_run_layer(e->run);
	return r;
}

int cor_image_layers_ensure(struct cor_image_store *s, struct image_new *n, image_open_fn open,
	void *arg, struct image_run *run, bool count, struct cor_err *err) {
	struct ensure e = { .s = s, .n = n, .open = open, .arg = arg, .run = run, .count = count };

	run->p.layers = n->n_layers;
	return cor_image_parallel(run, n->n_layers, s->cfg.max_workers, ensure_one, &e, err);
}

/* ---- commit ---- */

/* Images that lose names to n get records without them; *ret_lost: one has none any more. */
static int take_names(struct cor_image_store *s, const struct image_new *n, bool *ret_lost,
	struct cor_err *err) {
	for (size_t i = 0; i < s->n_cache; i++) {
		struct image_object *o = s->cache[i];
		size_t hits = 0;
		int r;

		if (strcmp(cor_image_hex(o), n->id) == 0)
			continue;
		for (size_t k = 0; k < o->pub.names.n; k++) {
			for (unsigned j = 0; j < n->n_names; j++)
				hits += cor_str_eq_c(o->pub.names.p[k], n->names[j]);
		}
		if (hits == 0)
			continue;
		r = cor_image_record_without(s, o, n->names, n->n_names, err);
		if (r < 0)
			return r;
		*ret_lost = true;
	}
	return 0;
}

static int commit_locked(struct cor_image_store *s, struct image_new *n, struct cor_image **ret,
	bool *ret_lost, struct cor_err *err) {
	char id[80];
	struct image_object *o;
	int r = cor_image_cache_refresh(s, err);

	if (r < 0)
		return r;
	for (unsigned i = 0; i < n->n_layers; i++)
		cor_assert(n->layers[i].pinned);
	(void)snprintf(id, sizeof(id), "sha256:%s", n->id);
	r = cor_image_write_file(s->blobs, n->id, n->config, true, err);
	if (r == 0)
		r = cor_image_record_write(s, cor_image_cache_by_id(s, cor_str_c(id)), n, err);
	if (r == 0)
		r = take_names(s, n, ret_lost, err);
	if (r == 0)
		r = cor_image_cache_refresh(s, err);
	if (r < 0)
		return r;
	o = cor_image_cache_by_id(s, cor_str_c(id));
	if (!o)
		return cor_fail(err, COR_E_INTERNAL, "image %s vanished", id);
	*ret = cor_image_ref_up(&o->pub);
	return 0;
}

int cor_image_commit(struct cor_image_store *s, struct image_new *n, struct cor_image **ret,
	struct cor_err *err) {
	bool lost = false;
	int r;

	/* One sync for all layers instead of one for each of their files. */
	if (syncfs(s->layers) < 0)
		return cor_fail_errno(err, errno, "sync the image store");
	r = cor_image_lock(s, err);
	if (r < 0)
		return r;
	r = commit_locked(s, n, ret, &lost, err);
	cor_image_unlock(s);
	if (r == 0 && lost) {
		struct cor_err why;

		if (cor_image_gc(s, &why) < 0)
			cor_warn("image store: %s", why.message);
	}
	return r;
}

/* ---- removal ---- */

static void collect_pins(struct cor_image_store *s, struct cor_map *keep) {
	_cleanup_list_ DIR *d = open_list(s->tmp);
	struct dirent *e, *p;

	while (d && (e = readdir(d))) {
		_cleanup_list_ DIR *pins = NULL;
		int fd = dot(e->d_name) ? -1 :
			openat(s->tmp, e->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

		pins = fd < 0 ? NULL : fdopendir(fd);
		while (pins && (p = readdir(pins))) {
			if (strncmp(p->d_name, PIN, strlen(PIN)) == 0)
				(void)cor_map_put(keep, cor_str_c(p->d_name + strlen(PIN)), s);
		}
	}
}

static void collect_leases(struct cor_image_store *s, struct cor_map *ids) {
	_cleanup_list_ DIR *d = open_list(s->leases);
	_cleanup_free_ struct image_lease *lease = cor_new(struct image_lease);
	struct dirent *e;
	struct cor_err err;

	while (d && (e = readdir(d))) {
		if (!dot(e->d_name) && cor_image_lease_read(s, e->d_name, lease, &err) == 0)
			(void)cor_map_put(ids, cor_str_c(lease->id), s);
	}
}

/* Records that nobody can name and nobody uses go; the others' layers and configs stay. */
static int sweep_records(struct cor_image_store *s, struct cor_map *layers, struct cor_map *blobs,
	struct cor_err *err) {
	struct cor_map leased = { 0 };
	int r = 0;

	collect_leases(s, &leased);
	for (size_t i = 0; i < s->n_cache && r == 0; i++) {
		const struct image_object *o = s->cache[i];

		if (o->pub.names.n == 0 && o->pub.digests.n == 0 &&
			!cor_map_get(&leased, o->pub.id)) {
			r = cor_image_record_delete(s, o, err);
			continue;
		}
		(void)cor_map_put(blobs, cor_str_c(cor_image_hex(o)), s);
		for (size_t k = 0; k < o->pub.layers.n; k++) {
			struct cor_str diff = o->pub.layers.p[k];

			(void)cor_map_put(layers,
				cor_str_sub(diff, strlen("sha256:"), diff.n), s);
		}
	}
	cor_map_fini(&leased);
	return r;
}

/* Moves what is not to be kept into trash, which is cheap; it is deleted without the lock. */
static void sweep_dir(struct cor_image_store *s, int dir, const struct cor_map *keep, int trash) {
	_cleanup_list_ DIR *d = open_list(dir);
	struct dirent *e;
	char name[64];

	while (d && (e = readdir(d))) {
		if (dot(e->d_name) || cor_map_get(keep, cor_str_c(e->d_name)))
			continue;
		cor_image_temp_name(s, "old", name);
		(void)renameat(dir, e->d_name, trash, name);
	}
}

/* A record that cannot be read may name any layer: nothing is deleted then. */
static bool all_records_read(struct cor_image_store *s) {
	_cleanup_list_ DIR *d = open_list(s->images);
	struct dirent *e;
	size_t n = 0;

	while (d && (e = readdir(d)))
		n += strlen(e->d_name) == IMAGE_HEX - 1;
	return d && n == s->n_cache;
}

static int sweep(struct cor_image_store *s, int trash, struct cor_err *err) {
	struct cor_map layers = { 0 }, blobs = { 0 };
	int r = cor_image_cache_refresh(s, err);

	if (r == 0 && all_records_read(s)) {
		collect_pins(s, &layers);
		r = sweep_records(s, &layers, &blobs, err);
		if (r == 0) {
			sweep_dir(s, s->layers, &layers, trash);
			sweep_dir(s, s->blobs, &blobs, trash);
		}
	}
	cor_map_fini(&layers);
	cor_map_fini(&blobs);
	return r;
}

int cor_image_gc(struct cor_image_store *s, struct cor_err *err) {
	_cleanup_close_ int trash = -1;
	char name[64];
	int r;

	cor_image_temp_name(s, "trash", name);
	r = cor_image_mkdir_open(s->session, name, 0700, &trash, err);
	if (r == 0)
		r = cor_image_lock(s, err);
	if (r < 0)
		return r;
	r = sweep(s, trash, err);
	cor_image_unlock(s);
	if (r < 0) {
		(void)cor_image_rmtree(s->session, name, NULL);
		return r;
	}
	return cor_image_rmtree(s->session, name, err);
}
