// SPDX-License-Identifier: Apache-2.0
// Image records and their cache. A record is a small text file images/<hex of the id>, replaced
// whole by rename; what the image is (layers, environment, ...) stands in its config,
// blobs/<hex>. A name belongs to one image: when two records claim it, as after a crash between
// two renames, the later claim counts. The cache is valid as long as the directory's time of
// change is the same; another process that changes a record changes that.

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>

#include "base/assert.h"
#include "base/log.h"
#include "node/image_priv.h"

#define HEADER "coracle-image 1"
enum { RECORD_MAX = 1 << 20, IMAGES_MAX = 20000 };

static struct image_object *object_of(struct cor_image *i) {
	return cor_container_of(i, struct image_object, pub);
}

struct cor_image *cor_image_ref_up(struct cor_image *i) {
	atomic_fetch_add(&object_of(i)->refs, 1);
	return i;
}

void cor_image_unref(struct cor_image *i) {
	struct image_object *o;

	if (!i)
		return;
	o = object_of(i);
	if (atomic_fetch_sub(&o->refs, 1) > 1)
		return;
	cor_arena_free(o->arena);
	free(o);
}

struct cor_str cor_image_status_id(const struct cor_image *i) {
	return i->digests.n ? i->digests.p[0] : i->id;
}

const char *cor_image_hex(const struct image_object *o) {
	return o->pub.id.p + strlen("sha256:");
}

/* ---- text to object ---- */

static void push(struct cor_arena *a, struct cor_strlist *list, struct cor_str s) {
	struct cor_str *e = cor_arena_push(a, list);

	if (e)
		*e = cor_arena_str(a, s);
}

static int parse_line(struct image_object *o, struct cor_str line) {
	struct cor_str rest = line, key = cor_str_cut(&rest, ' ');

	if (cor_str_eq_c(key, "preloaded")) {
		o->pub.preloaded = true;
		return 0;
	}
	if (!rest.p)
		return COR_E_PARSE;
	if (cor_str_eq_c(key, "name")) {
		push(o->arena, &o->stamps, cor_str_cut(&rest, ' '));
		push(o->arena, &o->pub.names, rest.p ? rest : COR_STR(""));
	} else if (cor_str_eq_c(key, "digest")) {
		push(o->arena, &o->pub.digests, rest);
	} else if (cor_str_eq_c(key, "credential")) {
		push(o->arena, &o->credentials, rest);
	} else if (cor_str_eq_c(key, "size")) {
		return cor_str_to_u64(rest, &o->pub.size) ? 0 : COR_E_PARSE;
	}
	return 0;       /* a later version's line */
}

static int parse_record(struct image_object *o, struct cor_err *err) {
	struct cor_str rest = o->text;

	if (!cor_str_eq_c(cor_str_cut(&rest, '\n'), HEADER))
		return cor_fail(err, COR_E_PARSE, "not an image record");
	while (rest.p && rest.n) {
		struct cor_str line = cor_str_cut(&rest, '\n');

		if (parse_line(o, line) < 0)
			return cor_fail(err, COR_E_PARSE, "bad line \"%.*s\"", COR_STR_ARG(line));
	}
	return 0;
}

static int load(struct cor_image_store *s, const char *hex, struct cor_str text, cor_time used,
	struct image_object **ret, struct cor_err *err) {
	struct image_object *o = cor_new(struct image_object);
	_cleanup_(cor_image_unrefp) struct cor_image *guard = &o->pub;
	_cleanup_buf_ struct cor_buf config = COR_BUF_INIT;
	int r;

	o->refs = 1;
	o->arena = cor_arena_new(16 << 20);
	o->pub.id = cor_arena_printf(o->arena, "sha256:%s", hex);
	o->text = cor_arena_str(o->arena, text);
	o->pub.last_used = used;
	r = parse_record(o, err);
	if (r == 0)
		r = cor_image_read_file(s->blobs, hex, IMAGE_JSON_MAX, &config, err);
	if (r == 0)
		r = cor_image_config_fill(o->arena, cor_buf_view(&config), &o->pub, err);
	if (r < 0)
		return r;
	(void)cor_take(guard);
	*ret = o;
	return 0;
}

/* ---- the cache ---- */

static struct image_object *find_hex(struct image_object **list, size_t n, const char *hex) {
	for (size_t i = 0; i < n; i++) {
		if (strcmp(cor_image_hex(list[i]), hex) == 0)
			return list[i];
	}
	return NULL;
}

/* The object of one record; the cached one when the text is still the same. */
static int refresh_one(struct cor_image_store *s, const char *hex, struct image_object **ret,
	struct cor_err *err) {
	struct image_object *old = find_hex(s->cache, s->n_cache, hex);
	_cleanup_close_ int fd = openat(s->images, hex, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	_cleanup_buf_ struct cor_buf text = COR_BUF_INIT;
	struct stat st;
	int r;

	if (fd < 0 || fstat(fd, &st) < 0)
		return cor_fail_errno(err, errno, "open");
	r = cor_image_read_fd(fd, RECORD_MAX, &text, err);
	if (r < 0)
		return r;
	if (old && cor_str_eq(old->text, cor_buf_view(&text))) {
		(void)cor_image_ref_up(&old->pub);
		*ret = old;
		return 0;
	}
	return load(s, hex, cor_buf_view(&text),
		(cor_time)st.st_mtim.tv_sec * COR_SECOND + st.st_mtim.tv_nsec / 1000, ret, err);
}

static bool is_hex_name(const char *name) {
	return strlen(name) == IMAGE_HEX - 1 && strspn(name, "0123456789abcdef") == IMAGE_HEX - 1;
}

void cor_image_cache_drop(struct cor_image_store *s) {
	for (size_t i = 0; i < s->n_cache; i++)
		cor_image_unref(&s->cache[i]->pub);
	free(s->cache);
	s->cache = NULL;
	s->n_cache = 0;
	s->cache_valid = false;
}

/* Two renames within one tick of the clock give one time: a young time proves nothing. */
static bool settled(struct timespec t) {
	struct timespec now;

	(void)clock_gettime(CLOCK_REALTIME, &now);
	return (now.tv_sec - t.tv_sec) * 1000 + (now.tv_nsec - t.tv_nsec) / 1000000 > 50;
}

int cor_image_cache_refresh(struct cor_image_store *s, struct cor_err *err) {
	struct image_object **list = NULL;
	struct dirent *e;
	struct stat st;
	size_t n = 0;
	int fd;
	DIR *d;

	if (fstat(s->images, &st) < 0)
		return cor_fail_errno(err, errno, "image records");
	if (s->cache_valid && st.st_mtim.tv_sec == s->cache_time.tv_sec &&
		st.st_mtim.tv_nsec == s->cache_time.tv_nsec)
		return 0;
	fd = openat(s->images, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	d = fd < 0 ? NULL : fdopendir(fd);
	if (!d) {
		if (fd >= 0)
			(void)close(fd);
		return cor_fail_errno(err, errno, "image records");
	}
	while ((e = readdir(d)) && n < IMAGES_MAX) {
		struct image_object *o = NULL;
		struct cor_err why = { 0 };

		if (!is_hex_name(e->d_name))
			continue;
		if (refresh_one(s, e->d_name, &o, &why) < 0) {
			if (why.code != -ENOENT)
				cor_warn("image sha256:%s is left out: %s", e->d_name, why.message);
			continue;
		}
		list = cor_realloc(list, (n + 1) * sizeof(*list));
		list[n++] = o;
	}
	(void)closedir(d);
	cor_image_cache_drop(s);
	s->cache = list;
	s->n_cache = n;
	s->cache_time = st.st_mtim;
	s->cache_valid = settled(st.st_mtim);
	return 0;
}

struct image_object *cor_image_cache_by_id(struct cor_image_store *s, struct cor_str id) {
	for (size_t i = 0; i < s->n_cache; i++) {
		if (cor_str_eq(s->cache[i]->pub.id, id))
			return s->cache[i];
	}
	return NULL;
}

/* ---- object to text ---- */

static bool listed(struct cor_str s, char *const *names, size_t n) {
	for (size_t i = 0; i < n; i++) {
		if (cor_str_eq_c(s, names[i]))
			return true;
	}
	return false;
}

static bool has(const struct cor_strlist *list, const char *s) {
	for (size_t i = 0; i < list->n; i++) {
		if (cor_str_eq_c(list->p[i], s))
			return true;
	}
	return false;
}

static void print_size(struct cor_buf *b, uint64_t size, bool preloaded) {
	cor_buf_printf(b, "size %llu\n", (unsigned long long)size);
	if (preloaded)
		cor_buf_c(b, "preloaded\n");
}

/* Names and digests but those listed; drop_all leaves none. */
static void print_kept(struct cor_buf *b, const struct image_object *o, char *const *drop, size_t n,
	bool drop_all) {
	for (size_t i = 0; i < o->pub.names.n && !drop_all; i++) {
		if (!listed(o->pub.names.p[i], drop, n))
			cor_buf_printf(b, "name %.*s %.*s\n", COR_STR_ARG(o->stamps.p[i]),
				COR_STR_ARG(o->pub.names.p[i]));
	}
	for (size_t i = 0; i < o->pub.digests.n && !drop_all; i++) {
		if (!listed(o->pub.digests.p[i], drop, n))
			cor_buf_printf(b, "digest %.*s\n", COR_STR_ARG(o->pub.digests.p[i]));
	}
	for (size_t i = 0; i < o->credentials.n; i++)
		cor_buf_printf(b, "credential %.*s\n", COR_STR_ARG(o->credentials.p[i]));
}

static int write_record(struct cor_image_store *s, const char *hex, struct cor_buf *b,
	struct cor_err *err) {
	s->cache_valid = false;
	return cor_image_write_file(s->images, hex, cor_buf_view(b), true, err);
}

int cor_image_record_without(struct cor_image_store *s, const struct image_object *o,
	char *const *names, size_t n_names, struct cor_err *err) {
	_cleanup_buf_ struct cor_buf b = COR_BUF_INIT;

	cor_buf_c(&b, HEADER "\n");
	print_size(&b, o->pub.size, o->pub.preloaded);
	print_kept(&b, o, names, n_names, !names);
	return write_record(s, cor_image_hex(o), &b, err);
}

int cor_image_record_write(struct cor_image_store *s, const struct image_object *o,
	const struct image_new *add, struct cor_err *err) {
	_cleanup_buf_ struct cor_buf b = COR_BUF_INIT;
	const char *credential = add->credential[0] ? add->credential : "anonymous";
	struct timespec now;

	(void)clock_gettime(CLOCK_REALTIME, &now);
	cor_buf_c(&b, HEADER "\n");
	print_size(&b, add->size ? add->size : o ? o->pub.size : 0,
		add->preloaded || (o && o->pub.preloaded));
	if (o)
		print_kept(&b, o, add->names, add->n_names, false);
	for (unsigned i = 0; i < add->n_names; i++)
		cor_buf_printf(&b, "name %lld %s\n",
			(long long)now.tv_sec * COR_SECOND + now.tv_nsec / 1000, add->names[i]);
	if (add->digest_ref && !(o && has(&o->pub.digests, add->digest_ref)))
		cor_buf_printf(&b, "digest %s\n", add->digest_ref);
	if (!add->preloaded && !(o && has(&o->credentials, credential)))
		cor_buf_printf(&b, "credential %s\n", credential);
	return write_record(s, add->id, &b, err);
}

int cor_image_record_delete(struct cor_image_store *s, const struct image_object *o,
	struct cor_err *err) {
	s->cache_valid = false;
	if (unlinkat(s->images, cor_image_hex(o), 0) < 0 && errno != ENOENT)
		return cor_fail_errno(err, errno, "remove the record of %s", o->pub.id.p);
	return 0;
}

/* ---- look-up ---- */

static uint64_t stamp_of(const struct image_object *o, size_t i) {
	uint64_t v = 0;

	(void)cor_str_to_u64(o->stamps.p[i], &v);
	return v;
}

static struct image_object *by_name(struct cor_image_store *s, const char *name) {
	struct image_object *best = NULL;
	uint64_t when = 0;

	for (size_t i = 0; i < s->n_cache; i++) {
		struct image_object *o = s->cache[i];

		for (size_t k = 0; k < o->pub.names.n; k++) {
			if (cor_str_eq_c(o->pub.names.p[k], name) &&
				(!best || stamp_of(o, k) > when)) {
				best = o;
				when = stamp_of(o, k);
			}
		}
	}
	return best;
}

static struct image_object *by_digest(struct cor_image_store *s, const char *ref) {
	for (size_t i = 0; i < s->n_cache; i++) {
		if (has(&s->cache[i]->pub.digests, ref))
			return s->cache[i];
	}
	return NULL;
}

/* "sha256:…" or at least 12 digits of an id; an ambiguous beginning finds nothing. */
static struct image_object *by_id(struct cor_image_store *s, struct cor_str ref) {
	struct cor_str prefix = COR_STR("sha256:");
	struct image_object *found = NULL;

	if (cor_str_starts(ref, prefix))
		ref = cor_str_sub(ref, prefix.n, ref.n);
	if (ref.n < 12)
		return NULL;
	for (size_t i = 0; i < s->n_cache; i++) {
		if (!cor_str_starts(cor_str_c(cor_image_hex(s->cache[i])), ref))
			continue;
		if (found)
			return NULL;
		found = s->cache[i];
	}
	return found;
}

static bool nameless(const struct image_object *o) {
	return o->pub.names.n == 0 && o->pub.digests.n == 0;
}

/* How a reference of the caller leads to an image; drop is the name to remove, or "". */
static int look_up(struct cor_image_store *s, struct cor_str text, struct image_object **ret,
	char drop[COR_IMAGE_REF_MAX + 256], struct cor_err *err) {
	struct image_object *o = by_id(s, text);
	struct cor_image_ref ref;
	char plain[COR_IMAGE_REF_MAX + 256];
	int r;

	drop[0] = '\0';
	if (!o) {
		r = cor_image_ref_parse(text, &ref, err);
		if (r < 0)
			return r;
		if (ref.digest[0]) {
			(void)snprintf(plain, sizeof(plain), "%s/%s@%s", ref.domain, ref.path,
				ref.digest);
			o = by_digest(s, plain);
		} else {
			o = by_name(s, ref.text);
			(void)snprintf(drop, COR_IMAGE_REF_MAX + 256, "%s", ref.text);
		}
	}
	if (!o || nameless(o))
		return cor_fail(err, COR_E_NOT_FOUND, "image \"%.*s\" is not on this machine",
			(int)(text.n > 300 ? 300 : text.n), text.p ? text.p : "");
	*ret = o;
	return 0;
}

int cor_image_find(struct cor_image_store *s, struct cor_str ref, struct cor_image **ret,
	struct cor_err *err) {
	char drop[COR_IMAGE_REF_MAX + 256];
	struct image_object *o;
	int r;

	(void)pthread_mutex_lock(&s->mutex);
	r = cor_image_cache_refresh(s, err);
	if (r == 0)
		r = look_up(s, ref, &o, drop, err);
	if (r == 0)
		*ret = cor_image_ref_up(&o->pub);
	(void)pthread_mutex_unlock(&s->mutex);
	return r;
}

static int larger_first(const void *a, const void *b) {
	const struct cor_image *x = *(struct cor_image *const *)a, *y = *(struct cor_image *const *)b;

	if (x->size != y->size)
		return x->size < y->size ? 1 : -1;
	return cor_str_cmp(x->id, y->id);
}

int cor_images_list(struct cor_image_store *s, struct cor_image_list *ret, struct cor_err *err) {
	struct cor_image_list out = { 0 };
	int r;

	(void)pthread_mutex_lock(&s->mutex);
	r = cor_image_cache_refresh(s, err);
	if (r == 0 && s->n_cache)
		out.p = cor_calloc(s->n_cache, sizeof(struct cor_image *));
	for (size_t i = 0; r == 0 && i < s->n_cache; i++) {
		if (!nameless(s->cache[i]))
			out.p[out.n++] = cor_image_ref_up(&s->cache[i]->pub);
	}
	(void)pthread_mutex_unlock(&s->mutex);
	if (r < 0)
		return r;
	if (out.n)
		qsort(out.p, out.n, sizeof(struct cor_image *), larger_first);
	*ret = out;
	return 0;
}

void cor_image_list_fini(struct cor_image_list *l) {
	for (size_t i = 0; i < l->n; i++)
		cor_image_unref(l->p[i]);
	free(l->p);
	*l = (struct cor_image_list){ 0 };
}

/* The last name takes the digest references with it: they are of no use to people. */
static int remove_locked(struct cor_image_store *s, struct cor_str ref, struct cor_err *err) {
	char drop[COR_IMAGE_REF_MAX + 256];
	char *names[] = { drop };
	struct image_object *o;
	bool all;
	int r = cor_image_cache_refresh(s, err);

	if (r == 0)
		r = look_up(s, ref, &o, drop, err);
	if (r < 0)
		return r;
	all = !drop[0] || o->pub.names.n <= 1;
	return cor_image_record_without(s, o, all ? NULL : names, 1, err);
}

int cor_image_remove(struct cor_image_store *s, struct cor_str ref, struct cor_err *err) {
	int r = cor_image_lock(s, err);

	if (r < 0)
		return r;
	r = remove_locked(s, ref, err);
	cor_image_unlock(s);
	return r < 0 ? r : cor_image_gc(s, err);
}

bool cor_image_usable_with(const struct cor_image *i, const struct cor_image_keyring *keyring) {
	const struct image_object *o = cor_container_of(i, struct image_object, pub);
	const struct image_login *l;
	char hex[IMAGE_HEX];

	if (i->preloaded || o->credentials.n == 0 || has(&o->credentials, "anonymous"))
		return true;
	for (size_t k = 0; (l = cor_image_keyring_at(keyring, k)); k++) {
		cor_image_login_hash(l, hex);
		if (has(&o->credentials, hex))
			return true;
	}
	return false;
}
