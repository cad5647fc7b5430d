// SPDX-License-Identifier: Apache-2.0
// The JSON documents of images: index (manifest list), manifest and config, of OCI and of Docker,
// which differ only in their media types. All come from outside: each value is checked here, and
// what leaves is plain data.

#include <stdio.h>
#include <sys/utsname.h>

#include "node/image_priv.h"

#define NAME_CONTAINERD "io.containerd.image.name"
#define NAME_OCI "org.opencontainers.image.ref.name"

static const struct {
	const char *machine, *arch, *variant;
} platforms[] = {
	{ "x86_64", "amd64", "" },
	{ "aarch64", "arm64", "v8" },
	{ "armv7l", "arm", "v7" },
	{ "armv6l", "arm", "v6" },
	{ "i686", "386", "" },
	{ "riscv64", "riscv64", "" },
	{ "ppc64le", "ppc64le", "" },
	{ "s390x", "s390x", "" },
	{ "loongarch64", "loong64", "" },
	{ "mips64", "mips64le", "" },
};

void cor_image_host_platform(const char **ret_arch, const char **ret_variant) {
	struct utsname u;

	*ret_arch = "unknown";
	*ret_variant = "";
	if (uname(&u) < 0)
		return;
	for (size_t i = 0; i < cor_countof(platforms); i++) {
		if (strcmp(platforms[i].machine, u.machine) == 0) {
			*ret_arch = platforms[i].arch;
			*ret_variant = platforms[i].variant;
		}
	}
}

/* 0 = cannot run here; larger is better. arm code of an older variant runs on a newer machine. */
static int platform_score(struct cor_str os, struct cor_str arch, struct cor_str variant) {
	const char *host_arch, *host_variant;

	cor_image_host_platform(&host_arch, &host_variant);
	if (!cor_str_eq_c(os, "linux") || !cor_str_eq_c(arch, host_arch))
		return 0;
	if (cor_str_eq_c(variant, host_variant))
		return 100;
	if (variant.n == 0)
		return 50;
	if (variant.n == 2 && variant.p[0] == 'v' && host_variant[0] == 'v')
		return variant.p[1] < host_variant[1] ? variant.p[1] - '0' + 1 : 0;
	return 0;
}

bool cor_image_is_index(const struct cor_node *doc) {
	return cor_node_is(cor_node_get_c(doc, "manifests"), COR_NODE_ARRAY);
}

struct cor_str cor_image_annotated_name(const struct cor_node *n) {
	const struct cor_node *annotations = cor_node_get_c(n, "annotations");
	static const char *const keys[] = { NAME_CONTAINERD, NAME_OCI };

	for (size_t i = 0; i < cor_countof(keys); i++) {
		const struct cor_node *v = cor_node_get_c(annotations, keys[i]);

		if (cor_node_is(v, COR_NODE_STRING) && v->text.n)
			return v->text;
	}
	return (struct cor_str){ 0 };
}

int cor_image_descriptor_parse(const struct cor_node *n, struct image_descriptor *ret,
	struct cor_err *err) {
	struct image_descriptor out = { 0 };
	struct cor_str type = cor_node_path_str(n, "mediaType");
	int64_t size;
	int r = cor_image_digest_parse(cor_node_path_str(n, "digest"), out.hex, err);

	if (r < 0)
		return r;
	if (!cor_node_path_int(n, "size", &size) || size < 0)
		return cor_fail(err, COR_E_INVALID, "descriptor of sha256:%s has no size", out.hex);
	out.size = (uint64_t)size;
	(void)snprintf(out.media_type, sizeof(out.media_type), "%.*s", COR_STR_ARG(type));
	*ret = out;
	return 0;
}

int cor_image_index_choose(const struct cor_node *doc, const struct cor_str *name,
	struct image_descriptor *ret, struct cor_err *err) {
	const struct cor_node *list = cor_node_get_c(doc, "manifests"), *chosen = NULL;
	const char *arch, *variant;
	int best = 0;

	for (size_t i = 0; i < list->items.n; i++) {
		const struct cor_node *m = list->items.p[i];
		const struct cor_node *p = cor_node_get_c(m, "platform");
		/* An entry without a platform is taken when nothing says that it fits. */
		int score = p ? platform_score(cor_node_path_str(p, "os"),
			cor_node_path_str(p, "architecture"), cor_node_path_str(p, "variant")) : 1;

		if (name && !cor_str_eq(cor_image_annotated_name(m), *name))
			continue;
		if (score > 0 && p)
			score++;
		if (score > best) {
			best = score;
			chosen = m;
		}
	}
	if (chosen)
		return cor_image_descriptor_parse(chosen, ret, err);
	cor_image_host_platform(&arch, &variant);
	return cor_fail(err, COR_E_NOT_FOUND, "no match for platform linux/%s%s%s in the image index",
		arch, *variant ? "/" : "", variant);
}

static int check_layer_type(const struct image_descriptor *d, struct cor_err *err) {
	if (strstr(d->media_type, "foreign") || strstr(d->media_type, "nondistributable"))
		return cor_fail(err, COR_E_UNSUPPORTED,
			"layer sha256:%s is of type %s, which is not in the registry", d->hex,
			d->media_type);
	if (strstr(d->media_type, "+encrypted"))
		return cor_fail(err, COR_E_UNSUPPORTED, "layer sha256:%s is encrypted", d->hex);
	return 0;
}

int cor_image_manifest_parse(const struct cor_node *doc, struct image_manifest *ret,
	struct cor_err *err) {
	const struct cor_node *layers = cor_node_get_c(doc, "layers");
	int64_t version = 2;
	int r;

	memset(ret, 0, sizeof(*ret));
	(void)cor_node_path_int(doc, "schemaVersion", &version);
	if (version != 2 || cor_node_get_c(doc, "fsLayers"))
		return cor_fail(err, COR_E_UNSUPPORTED, "manifests of schema version 1 are not supported");
	if (!cor_node_is(layers, COR_NODE_ARRAY))
		return cor_fail(err, COR_E_INVALID, "manifest has no list of layers");
	if (layers->items.n > IMAGE_LAYERS_MAX)
		return cor_fail(err, COR_E_LIMIT, "manifest has %zu layers, more than %d",
			layers->items.n, IMAGE_LAYERS_MAX);
	r = cor_image_descriptor_parse(cor_node_get_c(doc, "config"), &ret->config, err);
	if (r < 0)
		return cor_wrap(err, "manifest: config");
	for (size_t i = 0; i < layers->items.n; i++) {
		struct image_descriptor *d = &ret->layers[ret->n_layers++];

		r = cor_image_descriptor_parse(layers->items.p[i], d, err);
		if (r == 0)
			r = check_layer_type(d, err);
		if (r < 0)
			return cor_wrap(err, "manifest: layer %zu", i + 1);
	}
	return 0;
}

int cor_image_config_take(struct cor_arena *a, struct cor_str config, struct image_new *n,
	struct cor_err *err) {
	const struct cor_node *doc = cor_node_parse(a, config, NULL, err);
	const struct cor_node *ids = cor_node_path(doc, "rootfs.diff_ids");
	struct cor_str os = cor_node_path_str(doc, "os");
	struct cor_str arch = cor_node_path_str(doc, "architecture"), variant = COR_STR("");
	const char *host_arch, *host_variant;

	if (!doc)
		return cor_wrap(err, "image config");
	if (!cor_node_is(ids, COR_NODE_ARRAY))
		return cor_fail(err, COR_E_UNSUPPORTED, "image config has no list of layers: "
			"this is not a container image");
	if (ids->items.n > IMAGE_LAYERS_MAX)
		return cor_fail(err, COR_E_LIMIT, "image has %zu layers, more than %d",
			ids->items.n, IMAGE_LAYERS_MAX);
	if (n->n_layers != ids->items.n)
		return cor_fail(err, COR_E_INVALID, "the manifest has %u layers, but the config %zu",
			n->n_layers, ids->items.n);
	/* Variants of other architectures say how the code is tuned, in words that vary. */
	if (cor_str_eq_c(arch, "arm"))
		variant = cor_node_path_str(doc, "variant");
	if (os.n && arch.n && platform_score(os, arch, variant) == 0) {
		cor_image_host_platform(&host_arch, &host_variant);
		return cor_fail(err, COR_E_NOT_FOUND,
			"no match for platform linux/%s: the image is for %.*s/%.*s", host_arch,
			COR_STR_ARG(os), COR_STR_ARG(arch));
	}
	for (size_t i = 0; i < ids->items.n; i++) {
		const struct cor_node *id = ids->items.p[i];
		int r = cor_image_digest_parse(cor_node_is(id, COR_NODE_STRING) ? id->text :
			(struct cor_str){ 0 }, n->layers[i].diff, err);

		if (r < 0)
			return cor_wrap(err, "image config: rootfs.diff_ids[%zu]", i);
	}
	n->config = config;
	cor_image_hash_of(config, n->id);
	return 0;
}

/* ---- the parts of a config that the node agent uses ---- */

static void copy_list(struct cor_arena *a, const struct cor_node *n, struct cor_strlist *ret) {
	if (!cor_node_is(n, COR_NODE_ARRAY))
		return;
	for (size_t i = 0; i < n->items.n; i++) {
		struct cor_str *s;

		if (!cor_node_is(n->items.p[i], COR_NODE_STRING))
			continue;
		s = cor_arena_push(a, ret);
		if (s)
			*s = cor_arena_str(a, n->items.p[i]->text);
	}
}

static void copy_keys(struct cor_arena *a, const struct cor_node *n, struct cor_strlist *ret) {
	if (!cor_node_is(n, COR_NODE_OBJECT))
		return;
	for (size_t i = 0; i < n->members.n; i++) {
		struct cor_str *s = cor_arena_push(a, ret);

		if (s)
			*s = cor_arena_str(a, n->members.p[i].key);
	}
}

static int by_key(const void *a, const void *b) {
	return cor_str_cmp(((const struct cor_kv *)a)->key, ((const struct cor_kv *)b)->key);
}

static void copy_map(struct cor_arena *a, const struct cor_node *n, struct cor_strmap *ret) {
	if (!cor_node_is(n, COR_NODE_OBJECT))
		return;
	for (size_t i = 0; i < n->members.n; i++) {
		struct cor_kv *kv;

		if (!cor_node_is(n->members.p[i].value, COR_NODE_STRING))
			continue;
		kv = cor_arena_push(a, ret);
		if (kv)
			*kv = (struct cor_kv){ cor_arena_str(a, n->members.p[i].key),
				cor_arena_str(a, n->members.p[i].value->text) };
	}
	if (ret->n)
		qsort(ret->p, ret->n, sizeof(*ret->p), by_key);
}

static struct cor_str copy_text(struct cor_arena *a, const struct cor_node *doc, const char *path) {
	struct cor_str s = cor_node_path_str(doc, path);

	return cor_arena_str(a, s.p ? s : COR_STR(""));
}

int cor_image_config_fill(struct cor_arena *a, struct cor_str config, struct cor_image *ret,
	struct cor_err *err) {
	_cleanup_(cor_arena_freep) struct cor_arena *scratch = cor_arena_new(0);
	const struct cor_node *doc = cor_node_parse(scratch, config, NULL, err);
	const struct cor_node *c = cor_node_get_c(doc, "config");

	if (!doc)
		return cor_wrap(err, "image config");
	ret->architecture = copy_text(a, doc, "architecture");
	ret->variant = copy_text(a, doc, "variant");
	ret->os = copy_text(a, doc, "os");
	ret->user = copy_text(a, c, "User");
	ret->working_dir = copy_text(a, c, "WorkingDir");
	ret->stop_signal = copy_text(a, c, "StopSignal");
	copy_list(a, cor_node_get_c(c, "Entrypoint"), &ret->entrypoint);
	copy_list(a, cor_node_get_c(c, "Cmd"), &ret->cmd);
	copy_list(a, cor_node_get_c(c, "Env"), &ret->env);
	copy_keys(a, cor_node_get_c(c, "Volumes"), &ret->volumes);
	copy_map(a, cor_node_get_c(c, "Labels"), &ret->labels);
	copy_list(a, cor_node_path(doc, "rootfs.diff_ids"), &ret->layers);
	if (cor_arena_failed(a))
		return cor_fail(err, COR_E_LIMIT, "image config is too large");
	return 0;
}
