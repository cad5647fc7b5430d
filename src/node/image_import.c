// SPDX-License-Identifier: Apache-2.0
// Import of images from OCI layouts and Docker archives. First all layers of all images are
// unpacked, then the source's temporary files go, then the images become visible: so that the
// sync before a commit writes nothing that is about to be deleted.

#include <stdio.h>

#include "node/image_priv.h"

enum { IMAGES_MAX = 100, INDEX_DEPTH = 4 };

struct import {
	struct cor_image_store *store;
	struct image_source *source;
	struct image_run run;
	struct cor_arena *arena;
	struct cor_str as;
	struct image_new *images[IMAGES_MAX];
	unsigned n;
};

/* What cor_image_layers_ensure() asks: layer i is a file of the source. */
struct files {
	struct import *im;
	char *paths[IMAGE_LAYERS_MAX];
};

static int open_layer(void *arg, unsigned i, int *ret_fd, struct cor_err *err) {
	struct files *f = arg;

	return cor_image_source_file(f->im->source, f->paths[i], ret_fd, NULL, err);
}

static struct cor_node *read_json(struct import *im, const char *name, struct cor_err *err) {
	struct cor_str text;
	struct cor_node *doc;

	if (cor_image_source_text(im->source, name, im->arena, &text, err) < 0)
		return NULL;
	doc = cor_node_parse(im->arena, text, NULL, err);
	if (!doc)
		(void)cor_wrap(err, "%s", name);
	return doc;
}

/* A blob that is JSON, with its digest checked. */
static int read_blob(struct import *im, const struct image_descriptor *d, struct cor_str *ret,
	struct cor_err *err) {
	char name[100], hex[IMAGE_HEX];
	int r;

	(void)snprintf(name, sizeof(name), "blobs/sha256/%s", d->hex);
	r = cor_image_source_text(im->source, name, im->arena, ret, err);
	if (r < 0)
		return r;
	cor_image_hash_of(*ret, hex);
	if (strcmp(hex, d->hex) != 0)
		return cor_fail(err, COR_E_INVALID, "%s: digest is sha256:%s", name, hex);
	return 0;
}

static int add_name(struct import *im, struct image_new *n, struct cor_str name,
	struct cor_err *err) {
	struct cor_image_ref ref;
	int r = cor_image_ref_parse(name, &ref, err);

	if (r < 0)
		return cor_wrap(err, "image name \"%.*s\"", (int)(name.n > 200 ? 200 : name.n), name.p);
	if (!ref.tag[0] || ref.digest[0])
		return cor_fail(err, COR_E_INVALID, "image name \"%s\" needs a tag, not a digest",
			ref.text);
	if (n->n_names >= IMAGE_NAMES_MAX)
		return cor_fail(err, COR_E_LIMIT, "an image has more than %d names", IMAGE_NAMES_MAX);
	n->names[n->n_names] = cor_arena_cstr(im->arena, cor_str_c(ref.text));
	if (!n->names[n->n_names])
		return cor_fail(err, COR_E_LIMIT, "out of memory");
	n->n_names++;
	return 0;
}

static struct image_new *new_image(struct import *im, struct cor_err *err) {
	struct image_new *n;

	if (im->n >= IMAGES_MAX) {
		(void)!cor_fail(err, COR_E_LIMIT, "more than %d images", IMAGES_MAX);
		return NULL;
	}
	n = cor_arena_new_of(im->arena, struct image_new);
	if (!n) {
		(void)!cor_fail(err, COR_E_LIMIT, "out of memory");
		return NULL;
	}
	n->preloaded = true;
	im->images[im->n++] = n;
	return n;
}

/* n has its names and layer blobs, f the files; config is the text of the entry config_name. */
static int take_image(struct import *im, struct image_new *n, struct files *f,
	const char *config_name, struct cor_str config, struct cor_err *err) {
	int r = cor_image_config_take(im->arena, config, n, err);

	if (r < 0)
		return cor_wrap(err, "%s", config_name);
	if (im->as.p) {
		n->n_names = 0;
		r = add_name(im, n, im->as, err);
		if (r < 0)
			return r;
	}
	if (n->n_names == 0)
		return cor_fail(err, COR_E_INVALID,
			"image sha256:%.12s has no name in the archive: give one with --as", n->id);
	n->size = config.n;
	for (unsigned i = 0; i < n->n_layers; i++) {
		_cleanup_close_ int fd = -1;
		uint64_t size;

		r = cor_image_source_file(im->source, f->paths[i], &fd, &size, err);
		if (r < 0)
			return cor_wrap(err, "layer %u", i + 1);
		n->layers[i].size = size;
		n->size += size;
	}
	im->run.p.bytes += n->size;
	return cor_image_layers_ensure(im->store, n, open_layer, f, &im->run, true, err);
}

/* ---- OCI layout ---- */

static char *blob_path(struct import *im, const char *hex) {
	char path[100];

	(void)snprintf(path, sizeof(path), "blobs/sha256/%s", hex);
	return cor_arena_cstr(im->arena, cor_str_c(path));
}

/* doc is the blob of that digest. */
static int import_manifest(struct import *im, struct cor_node *doc, const char *hex, struct cor_str name,
	struct cor_err *err) {
	_cleanup_free_ struct image_manifest *m = cor_new(struct image_manifest);
	_cleanup_free_ struct files *f = cor_new(struct files);
	struct image_new *n = new_image(im, err);
	struct cor_str config;
	int r;

	if (!n)
		return COR_E_LIMIT;
	r = cor_image_manifest_parse(doc, m, err);
	if (r < 0)
		return cor_wrap(err, "blobs/sha256/%s", hex);
	r = read_blob(im, &m->config, &config, err);
	if (r < 0)
		return r;
	f->im = im;
	n->n_layers = m->n_layers;
	for (unsigned i = 0; i < m->n_layers; i++) {
		memcpy(n->layers[i].blob, m->layers[i].hex, IMAGE_HEX);
		f->paths[i] = blob_path(im, m->layers[i].hex);
		if (!f->paths[i])
			return cor_fail(err, COR_E_LIMIT, "out of memory");
	}
	/* A bare word is a tag by the OCI rules, and a tag alone names nothing. */
	if (name.n && (memchr(name.p, '/', name.n) || memchr(name.p, ':', name.n)) && !im->as.p)
		r = add_name(im, n, name, err);
	return r < 0 ? r : take_image(im, n, f, blob_path(im, m->config.hex), config, err);
}

static int import_named(struct import *im, const struct cor_node *index, struct cor_str name,
	struct cor_err *err) {
	struct image_descriptor d;
	struct cor_node *doc = NULL;
	int r = cor_image_index_choose(index, &name, &d, err);

	for (int depth = 0; r == 0; depth++) {
		struct cor_str text;

		r = read_blob(im, &d, &text, err);
		if (r < 0)
			return r;
		doc = cor_node_parse(im->arena, text, NULL, err);
		if (!doc)
			return cor_wrap(err, "blobs/sha256/%s", d.hex);
		if (!cor_image_is_index(doc))
			break;
		if (depth >= INDEX_DEPTH)
			return cor_fail(err, COR_E_LIMIT, "image indexes are nested too deep");
		r = cor_image_index_choose(doc, NULL, &d, err);
	}
	return r < 0 ? r : import_manifest(im, doc, d.hex, name, err);
}

/* Entries with one name are one image for several platforms. */
static int import_oci(struct import *im, struct cor_err *err) {
	struct cor_node *index = read_json(im, "index.json", err);
	const struct cor_node *list = cor_node_get_c(index, "manifests");

	if (!index)
		return err->code;
	if (!cor_image_is_index(index) || list->items.n == 0)
		return cor_fail(err, COR_E_INVALID, "index.json: lists no images");
	for (size_t i = 0; i < list->items.n; i++) {
		struct cor_str name = cor_image_annotated_name(list->items.p[i]);
		bool seen = false;
		int r;

		for (size_t k = 0; k < i; k++)
			seen |= cor_str_eq(cor_image_annotated_name(list->items.p[k]), name);
		r = seen ? 0 : import_named(im, index, name, err);
		if (r < 0)
			return name.n ? cor_wrap(err, "image %.*s", (int)(name.n > 200 ? 200 : name.n),
				name.p) : r;
	}
	return 0;
}

/* ---- Docker archive ---- */

static int docker_layers(struct import *im, const struct cor_node *layers, struct image_new *n,
	struct files *f, struct cor_err *err) {
	if (!cor_node_is(layers, COR_NODE_ARRAY) || layers->items.n > IMAGE_LAYERS_MAX)
		return cor_fail(err, COR_E_INVALID, "manifest.json: Layers is not a list of at most %d",
			IMAGE_LAYERS_MAX);
	for (size_t i = 0; i < layers->items.n; i++) {
		const struct cor_node *l = layers->items.p[i];

		if (!cor_node_is(l, COR_NODE_STRING) || l->text.n == 0)
			return cor_fail(err, COR_E_INVALID, "manifest.json: Layers[%zu] is not a name", i);
		f->paths[i] = cor_arena_cstr(im->arena, l->text);
		if (!f->paths[i])
			return cor_fail(err, COR_E_LIMIT, "out of memory");
	}
	n->n_layers = (unsigned)layers->items.n;
	return 0;
}

static int import_docker_one(struct import *im, const struct cor_node *entry, struct cor_err *err) {
	_cleanup_free_ struct files *f = cor_new(struct files);
	const struct cor_node *tags = cor_node_get_c(entry, "RepoTags");
	const char *config_name = cor_arena_cstr(im->arena, cor_node_path_str(entry, "Config"));
	struct cor_str config;
	struct image_new *n = new_image(im, err);
	int r;

	if (!n)
		return COR_E_LIMIT;
	f->im = im;
	if (!config_name || !*config_name)
		return cor_fail(err, COR_E_INVALID, "manifest.json: an entry has no Config");
	r = cor_image_source_text(im->source, config_name, im->arena, &config, err);
	if (r == 0)
		r = docker_layers(im, cor_node_get_c(entry, "Layers"), n, f, err);
	for (size_t i = 0; r == 0 && !im->as.p && cor_node_is(tags, COR_NODE_ARRAY) &&
		i < tags->items.n; i++) {
		if (cor_node_is(tags->items.p[i], COR_NODE_STRING))
			r = add_name(im, n, tags->items.p[i]->text, err);
	}
	return r < 0 ? r : take_image(im, n, f, config_name, config, err);
}

static int import_docker(struct import *im, const struct cor_node *list, struct cor_err *err) {
	for (size_t i = 0; i < list->items.n; i++) {
		int r = import_docker_one(im, list->items.p[i], err);

		if (r < 0)
			return list->items.n > 1 ? cor_wrap(err, "image %zu", i + 1) : r;
	}
	return 0;
}

/* Newer Docker writes both; its manifest.json is the one with the names. */
static bool has_tags(const struct cor_node *list) {
	for (size_t i = 0; cor_node_is(list, COR_NODE_ARRAY) && i < list->items.n; i++) {
		const struct cor_node *tags = cor_node_get_c(list->items.p[i], "RepoTags");

		if (cor_node_is(tags, COR_NODE_ARRAY) && tags->items.n > 0)
			return true;
	}
	return false;
}

static int import_layers(struct import *im, struct cor_err *err) {
	bool docker = cor_image_source_has(im->source, "manifest.json");
	bool oci = cor_image_source_has(im->source, "index.json");
	struct cor_node *list;

	if (docker) {
		list = read_json(im, "manifest.json", err);
		if (!list)
			return err->code;
		if (!oci || has_tags(list)) {
			if (!cor_node_is(list, COR_NODE_ARRAY) || list->items.n == 0)
				return cor_fail(err, COR_E_INVALID, "manifest.json: lists no images");
			return import_docker(im, list, err);
		}
	}
	if (!oci)
		return cor_fail(err, COR_E_INVALID, "not an image: neither index.json (OCI) nor "
			"manifest.json (Docker) is in it");
	return import_oci(im, err);
}

static int commit_all(struct import *im, struct cor_image_list *out, struct cor_err *err) {
	out->p = cor_calloc(im->n, sizeof(struct cor_image *));
	for (unsigned i = 0; i < im->n; i++) {
		int r = cor_image_commit(im->store, im->images[i], &out->p[out->n], err);

		if (r < 0)
			return r;
		out->n++;
	}
	return 0;
}

int cor_image_import(struct cor_image_store *s, const char *path, struct cor_str as,
	const struct cor_image_work *work, struct cor_image_list *ret, struct cor_err *err) {
	_cleanup_(cor_arena_freep) struct cor_arena *arena = cor_arena_new(256 << 20);
	_cleanup_image_list_ struct cor_image_list out = { 0 };
	struct import im = { .store = s, .arena = arena, .as = as };
	struct cor_err local;
	int r;

	if (!err)
		err = &local;
	cor_image_run_init(&im.run, path, work);
	r = cor_image_source_open(&im.source, s, path, &im.run, err);
	if (r == 0)
		r = import_layers(&im, err);
	if (r == 0 && as.p && im.n > 1)
		r = cor_fail(err, COR_E_INVALID, "holds %u images: --as can name only one", im.n);
	cor_image_source_close(im.source);
	if (r == 0)
		r = commit_all(&im, &out, err);
	for (unsigned i = 0; i < im.n; i++)
		cor_image_layers_unpin(s, im.images[i]);
	if (r < 0 && im.n > 0) {
		struct cor_err why;

		(void)cor_image_gc(s, &why);    /* layers of what failed; opening does it, too */
	}
	cor_image_run_fini(&im.run);
	if (r < 0)
		return cor_wrap(err, "%s", path);
	if (ret) {
		*ret = out;
		out = (struct cor_image_list){ 0 };
	}
	return 0;
}
