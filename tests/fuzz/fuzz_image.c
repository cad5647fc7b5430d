// SPDX-License-Identifier: Apache-2.0
// Fuzz target of what images bring from outside. The first byte chooses: a layer, which is
// unpacked below a directory that is checked afterwards to be the only one touched; a manifest,
// index or config; a reference, which must read back as itself; pull secrets.
// The layer part needs root. Directories are made in TMPDIR, best a tmpfs.
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/assert.h"
#include "codec/tree.h"
#include "node/image_priv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void layer(struct cor_str in) {
	const char *tmp = getenv("TMPDIR");
	_cleanup_free_ char *top = cor_asprintf("%s/cor-fuzz-XXXXXX", tmp ? tmp : "/tmp");
	_cleanup_close_ int dir = -1, root = -1, fd = memfd_create("layer", MFD_CLOEXEC);
	static const char zero[IMAGE_HEX] =
		"0000000000000000000000000000000000000000000000000000000000000000";
	struct image_run run;
	struct cor_err err;

	cor_assert(mkdtemp(top) && fd >= 0 && write(fd, in.p, in.n) == (ssize_t)in.n);
	cor_assert(lseek(fd, 0, SEEK_SET) == 0);
	dir = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cor_assert(dir >= 0 && cor_image_mkdir_open(dir, "root", 0755, &root, &err) == 0);
	cor_image_run_init(&run, "fuzz", NULL);
	(void)cor_image_unpack(&(struct image_unpack){ .fd = fd, .root = root, .number = 1,
		.diff_id = zero, .max_bytes = 1 << 20, .max_entries = 1000, .run = &run }, &err);
	cor_image_run_fini(&run);
	cor_assert(cor_image_rmtree(dir, "root", &err) == 0);
	cor_assert(rmdir(top) == 0);    /* fails when anything was made beside root */
}

static void documents(struct cor_str in) {
	_cleanup_(cor_arena_freep) struct cor_arena *a = cor_arena_new(4 << 20);
	_cleanup_free_ struct image_manifest *m = cor_new(struct image_manifest);
	_cleanup_free_ struct image_new *n = cor_new(struct image_new);
	const struct cor_node *doc = cor_node_parse(a, in, NULL, NULL);
	struct image_descriptor d;
	struct cor_image image = { 0 };
	struct cor_err err;

	if (!doc)
		return;
	if (cor_image_is_index(doc))
		(void)cor_image_index_choose(doc, NULL, &d, &err);
	if (cor_image_manifest_parse(doc, m, &err) == 0)
		n->n_layers = m->n_layers;
	(void)cor_image_config_take(a, in, n, &err);
	(void)cor_image_config_fill(a, in, &image, &err);
}

static void reference(struct cor_str in) {
	struct cor_image_ref ref, again;
	struct cor_err err;

	if (cor_image_ref_parse(in, &ref, &err) < 0)
		return;
	cor_assert(cor_image_ref_parse(cor_str_c(ref.text), &again, &err) == 0);
	cor_assert(strcmp(ref.text, again.text) == 0);
}

static void secrets(struct cor_str in, bool config) {
	_cleanup_(cor_image_keyring_freep) struct cor_image_keyring *k = cor_image_keyring_new();
	struct cor_err err;

	if (cor_image_keyring_add(k, config ? COR_STR("kubernetes.io/dockerconfigjson") :
		COR_STR("kubernetes.io/dockercfg"), in, &err) < 0)
		cor_assert(!cor_image_keyring_at(k, 0));
	for (size_t i = 0; cor_image_keyring_match(k, "registry.example.com", "a/b", i); i++)
		;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	struct cor_str in = { (const char *)data + 1, size - 1 };

	if (size < 1)
		return 0;
	switch (data[0] % 5) {
	case 0:
		layer(in);
		break;
	case 1:
		documents(in);
		break;
	case 2:
		reference(in);
		break;
	default:
		secrets(in, data[0] % 5 == 3);
	}
	return 0;
}
