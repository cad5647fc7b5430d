// SPDX-License-Identifier: Apache-2.0
// A pull: manifest, config, then each missing layer is downloaded into the session, verified and
// unpacked, several at once. What a broken download left stays in the session under the blob's
// name, and the next pull in this process goes on from there.

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "node/image_registry.h"

enum { INDEX_DEPTH = 4 };

struct pull {
	struct cor_image_store *store;
	struct registry registry;
	struct image_run run;
	struct cor_arena *arena;
	struct cor_image_ref ref;
	struct image_manifest manifest;
	struct image_new image;
	char digest_ref[COR_IMAGE_REF_MAX + 100];
};

static void part_name(const char *hex, char out[100]) {
	(void)snprintf(out, 100, "part-%s", hex);
}

static int check_file(int fd, const char *hex, struct cor_err *err) {
	_cleanup_free_ char *p = cor_calloc(1, 256 << 10);
	struct image_hash h;
	char got[IMAGE_HEX];
	off_t at = 0;
	ssize_t n;

	cor_image_hash_begin(&h);
	while ((n = pread(fd, p, 256 << 10, at)) > 0) {
		cor_image_hash_add(&h, p, (size_t)n);
		at += n;
	}
	cor_image_hash_end(&h, got);
	if (n < 0)
		return cor_fail_errno(err, errno, "read");
	if (strcmp(got, hex) != 0)
		return cor_fail(err, COR_E_INVALID, "the registry sent other bytes: their digest is "
			"sha256:%s, not sha256:%s", got, hex);
	return 0;
}

/* The blob as a file without a name. Renaming takes a part away from everybody else. */
static int download(struct pull *p, const struct image_layer *l, int *ret_fd,
	struct cor_err *err) {
	_cleanup_close_ int fd = -1;
	char part[100], mine[64];
	struct stat st;
	uint64_t from;
	int r, session = p->store->session;

	part_name(l->blob, part);
	cor_image_temp_name(p->store, "blob", mine);
	(void)renameat(session, part, session, mine);
	fd = openat(session, mine, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0 || fstat(fd, &st) < 0)
		return cor_fail_errno(err, errno, "create a temporary file");
	from = (uint64_t)st.st_size <= l->size ? (uint64_t)st.st_size : 0;
	cor_image_run_bytes(&p->run, from);
	r = cor_registry_blob_file(&p->registry, l->blob, l->size, fd, &from, err);
	if (r < 0 && from > 0 && from < l->size) {
		(void)renameat(session, mine, session, part);
		return r;
	}
	(void)unlinkat(session, mine, 0);
	if (r == 0)
		r = check_file(fd, l->blob, err);
	if (r < 0)
		return r;
	*ret_fd = cor_take_fd(fd);
	return 0;
}

static int open_layer(void *arg, unsigned i, int *ret_fd, struct cor_err *err) {
	struct pull *p = arg;
	const struct image_layer *l = &p->image.layers[i];
	int r;

	if (l->size > p->store->cfg.max_blob_bytes)
		return cor_fail(err, COR_E_LIMIT, "layer %u: %llu bytes are more than is allowed",
			i + 1, (unsigned long long)l->size);
	r = download(p, l, ret_fd, err);
	return r < 0 ? cor_wrap(err, "layer %u (sha256:%.12s)", i + 1, l->blob) : 0;
}

/* ---- what the registry says ---- */

/* A manifest by tag or digest, its bytes checked when a digest is known. */
static struct cor_node *get_manifest(struct pull *p, const char *what, char hex[IMAGE_HEX],
	struct cor_err *err) {
	_cleanup_buf_ struct cor_buf body = COR_BUF_INIT;
	struct cor_node *doc;

	if (cor_registry_manifest(&p->registry, what, false, &body, NULL, err) < 0)
		return NULL;
	cor_image_hash_of(cor_buf_view(&body), hex);
	if (strncmp(what, "sha256:", 7) == 0 && strcmp(what + 7, hex) != 0) {
		(void)!cor_fail(err, COR_E_INVALID, "the registry sent another manifest: its digest "
			"is sha256:%s, not %s", hex, what);
		return NULL;
	}
	doc = cor_node_parse(p->arena, cor_buf_view(&body), NULL, err);
	if (!doc)
		(void)cor_wrap(err, "manifest");
	return doc;
}

static void set_digest_ref(struct pull *p, const char *digest) {
	(void)snprintf(p->digest_ref, sizeof(p->digest_ref), "%s/%s@%s", p->ref.domain, p->ref.path,
		digest);
}

static int read_manifest(struct pull *p, struct cor_err *err) {
	char what[100], hex[IMAGE_HEX];
	struct cor_node *doc;

	(void)snprintf(what, sizeof(what), "%s", p->ref.digest);
	doc = get_manifest(p, p->ref.digest[0] ? what : p->ref.tag, hex, err);
	for (int depth = 0; doc; depth++) {
		struct image_descriptor d;

		if (depth == 0) {
			(void)snprintf(what, sizeof(what), "sha256:%s", hex);
			set_digest_ref(p, what);
		}
		if (!cor_image_is_index(doc))
			return cor_image_manifest_parse(doc, &p->manifest, err);
		if (depth >= INDEX_DEPTH)
			return cor_fail(err, COR_E_LIMIT, "image indexes are nested too deep");
		if (cor_image_index_choose(doc, NULL, &d, err) < 0)
			break;
		(void)snprintf(what, sizeof(what), "sha256:%s", d.hex);
		doc = get_manifest(p, what, hex, err);
	}
	return err->code;
}

static int read_config(struct pull *p, struct cor_err *err) {
	_cleanup_buf_ struct cor_buf body = COR_BUF_INIT;
	const char *want = p->manifest.config.hex;
	char hex[IMAGE_HEX];
	int r;

	/* An image whose layers are not here yet may have its config here: of an earlier name. */
	if (cor_image_read_file(p->store->blobs, want, IMAGE_JSON_MAX, &body, NULL) < 0) {
		cor_buf_clear(&body);
		r = cor_registry_blob_text(&p->registry, want, &body, err);
		if (r < 0)
			return cor_wrap(err, "image config");
	}
	cor_image_hash_of(cor_buf_view(&body), hex);
	if (strcmp(hex, want) != 0)
		return cor_fail(err, COR_E_INVALID, "image config: digest is sha256:%s, but the "
			"manifest says sha256:%s", hex, want);
	p->image.n_layers = p->manifest.n_layers;
	p->image.size = body.n;
	for (unsigned i = 0; i < p->manifest.n_layers; i++) {
		memcpy(p->image.layers[i].blob, p->manifest.layers[i].hex, IMAGE_HEX);
		p->image.layers[i].size = p->manifest.layers[i].size;
		p->image.size += p->manifest.layers[i].size;
	}
	p->run.p.bytes = p->image.size;
	return cor_image_config_take(p->arena, cor_arena_str(p->arena, cor_buf_view(&body)),
		&p->image, err);
}

/* ---- nothing new ---- */

static bool listed(const struct cor_strlist *l, const char *s) {
	for (size_t i = 0; i < l->n; i++) {
		if (cor_str_eq_c(l->p[i], s))
			return true;
	}
	return false;
}

static void set_credential(struct pull *p) {
	const struct image_login *l = cor_registry_login(&p->registry);

	if (l)
		cor_image_login_hash(l, p->image.credential);
}

/* The record says all that this pull would write, so that a pod that always pulls writes nothing. */
static bool same_record(struct pull *p, const struct cor_image *i) {
	const struct image_object *o = cor_container_of(i, struct image_object, pub);

	set_credential(p);
	return (!p->ref.tag[0] || p->ref.digest[0] || listed(&i->names, p->ref.text)) &&
		listed(&i->digests, p->digest_ref) && listed(&o->credentials,
			p->image.credential[0] ? p->image.credential : "anonymous");
}

/* A HEAD is enough when the tag still means the image that has it here. */
static struct cor_image *unchanged(struct pull *p) {
	_cleanup_(cor_image_unrefp) struct cor_image *here = NULL;
	char digest[100] = "", hex[IMAGE_HEX];
	struct cor_err err;

	if (cor_image_find(p->store, cor_str_c(p->ref.text), &here, &err) < 0)
		return NULL;
	if (cor_registry_manifest(&p->registry, p->ref.digest[0] ? p->ref.digest : p->ref.tag, true,
		NULL, digest, &err) < 0)
		return NULL;
	if (cor_image_digest_parse(cor_str_c(digest), hex, NULL) < 0)
		return NULL;
	set_digest_ref(p, digest);
	return same_record(p, here) ? cor_take(here) : NULL;
}

/* ---- the whole ---- */

static int load(struct pull *p, struct cor_image **ret, struct cor_err *err) {
	int r = read_manifest(p, err);

	if (r == 0)
		r = read_config(p, err);
	if (r == 0)
		r = cor_image_layers_ensure(p->store, &p->image, open_layer, p, &p->run, false, err);
	if (r < 0)
		return r;
	set_credential(p);
	p->image.digest_ref = p->digest_ref;
	if (!p->ref.digest[0])
		p->image.names[p->image.n_names++] = p->ref.text;
	return cor_image_commit(p->store, &p->image, ret, err);
}

int cor_image_pull(struct cor_image_store *s, struct cor_str ref,
	const struct cor_image_keyring *keyring, const struct cor_image_work *work,
	struct cor_image **ret, struct cor_err *err) {
	_cleanup_(cor_arena_freep) struct cor_arena *arena = cor_arena_new(0);
	_cleanup_free_ struct pull *p = cor_new(struct pull);
	struct cor_image *image;
	struct cor_err local;
	int r;

	if (!err)
		err = &local;
	r = cor_image_ref_parse(ref, &p->ref, err);
	if (r < 0)
		return cor_wrap(err, "couldn't parse image name \"%.*s\"",
			(int)(ref.n > 200 ? 200 : ref.n), ref.p ? ref.p : "");
	p->store = s;
	p->arena = arena;
	cor_image_run_init(&p->run, p->ref.text, work);
	r = cor_registry_init(&p->registry, s, &p->ref, keyring, &p->run, err);
	image = r >= 0 ? unchanged(p) : NULL;
	if (r >= 0 && !image)
		r = load(p, &image, err);
	cor_image_layers_unpin(s, &p->image);
	cor_registry_fini(&p->registry);
	cor_image_run_fini(&p->run);
	if (r < 0 && work && work->cancel && atomic_load(work->cancel))
		return cor_fail(err, COR_E_CLOSED, "pull of \"%s\" was cancelled", p->ref.text);
	if (r < 0)
		return cor_wrap(err, "%s", p->ref.text);
	if (ret)
		*ret = image;
	else
		cor_image_unref(image);
	return 0;
}
