// SPDX-License-Identifier: Apache-2.0
// What registries and users say about images, as text. The first line chooses: document (a
// manifest, index or config), reference (which must read back as itself), dockercfg or
// dockerconfigjson (pull secrets), challenge (a WWW-Authenticate header), token (a token server's
// answer).
#include "codec/tree.h"
#include "fuzz.h"

/* Reading a challenge is not worth an interface of its own: its functions are static. */
#include "node/image_registry.c"

static void document(struct cor_str in) {
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
		(void)!cor_image_index_choose(doc, NULL, &d, &err);
	(void)!cor_image_descriptor_parse(doc, &d, &err);
	if (cor_image_manifest_parse(doc, m, &err) == 0) {
		cor_assert(m->n_layers <= IMAGE_LAYERS_MAX);
		n->n_layers = m->n_layers;
	}
	(void)!cor_image_config_take(a, in, n, &err);
	(void)!cor_image_config_fill(a, in, &image, &err);
}

static void reference(struct cor_str in) {
	struct cor_image_ref ref, again;
	struct cor_err err;

	(void)cor_image_ref_is_latest(in);
	if (cor_image_ref_parse(in, &ref, &err) < 0) {
		cor_assert(err.message[0]);
		return;
	}
	cor_assert(cor_image_ref_parse(cor_str_c(ref.text), &again, &err) == 0);
	cor_assert(strcmp(ref.text, again.text) == 0);
}

static void secret(struct cor_str in, struct cor_str type) {
	_cleanup_(cor_image_keyring_freep) struct cor_image_keyring *k = cor_image_keyring_new();
	char hex[IMAGE_HEX];
	struct cor_err err;

	if (cor_image_keyring_add(k, type, in, &err) < 0)
		cor_assert(!cor_image_keyring_at(k, 0));
	for (size_t i = 0; cor_image_keyring_match(k, "registry.example.com", "a/b", i); i++)
		;
	cor_image_keyring_hash(k, hex);
}

static void challenge(struct cor_str in) {
	_cleanup_free_ char *text = fuzz_cstr(in);
	char out[64];

	static const char *const keys[] = { "realm", "service", "scope" };
	for (size_t i = 0; i < cor_countof(keys); i++)
		if (parameter(text, keys[i], out, sizeof(out)))
			cor_assert(strlen(out) < sizeof(out) && strstr(text, out));
}

static void token(struct cor_str in) {
	char *text = NULL;
	struct cor_err err;

	if (parse_token(in, &text, &err) == 0)
		cor_assert(strncmp(text, "Bearer ", 7) == 0 && !strpbrk(text + 7, " \r\n"));
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
	struct cor_str in = fuzz_input(data, n), what = fuzz_line(&in);

	if (cor_str_eq_c(what, "document"))
		document(in);
	else if (cor_str_eq_c(what, "reference"))
		reference(in);
	else if (cor_str_eq_c(what, "dockercfg"))
		secret(in, COR_STR("kubernetes.io/dockercfg"));
	else if (cor_str_eq_c(what, "dockerconfigjson"))
		secret(in, COR_STR("kubernetes.io/dockerconfigjson"));
	else if (cor_str_eq_c(what, "challenge"))
		challenge(in);
	else if (cor_str_eq_c(what, "token"))
		token(in);
	return 0;
}
