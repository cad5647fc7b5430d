// SPDX-License-Identifier: Apache-2.0
// Reads a kubeconfig: see kubeconfig.h.
#include "node/kubeconfig.h"

#include "codec/codec.h"
#include "codec/yaml_tree.h"
#include "net/pki.h"

/* The element of a list whose name is this; NULL. */
static const struct cor_node *named(const struct cor_node *root, const char *list, struct cor_str name) {
	const struct cor_node *l = cor_node_get_c(root, list);
	for (size_t i = 0; l && l->kind == COR_NODE_ARRAY && i < l->items.n; i++)
		if (cor_str_eq(cor_node_path_str(l->items.p[i], "name"), name))
			return l->items.p[i];
	return NULL;
}

static struct cor_str data(struct cor_arena *a, const struct cor_node *n, const char *path) {
	struct cor_str text = n ? cor_node_path_str(n, path) : (struct cor_str){ 0 }, out = { 0 };
	size_t at;
	return text.p && cor_base64_decode(a, text, &out, &at) ? out : (struct cor_str){ 0 };
}

/* Into the arena. */
static int read_config(struct cor_arena *a, const char *path, struct cor_api_config *ret, struct cor_err *err) {
	_cleanup_buf_ struct cor_buf text = COR_BUF_INIT;
	if (cor_pki_read_file(path, &text, err) < 0)
		return err->code;
	const struct cor_node *root = cor_yaml_parse(a, cor_arena_str(a, cor_buf_view(&text)), NULL, err);
	if (!root)
		return err->code;
	const struct cor_node *context = named(root, "contexts", cor_node_path_str(root, "current-context"));
	const struct cor_node *cluster = context ? named(root, "clusters", cor_node_path_str(context, "context.cluster")) : NULL;
	const struct cor_node *user = context ? named(root, "users", cor_node_path_str(context, "context.user")) : NULL;
	if (!cluster || !user)
		return cor_fail(err, COR_E_INVALID, "%s: current-context does not name a cluster and a user", path);
	*ret = (struct cor_api_config){
		.server = cor_node_path_str(cluster, "cluster.server"),
		.ca = data(a, cluster, "cluster.certificate-authority-data"),
		.cert = data(a, user, "user.client-certificate-data"), .key = data(a, user, "user.client-key-data"),
		.token = cor_node_path_str(user, "user.token"),
	};
	return 0;
}

int cor_api_reread_kubeconfig(struct cor_api *api, const char *path, struct cor_err *err) {
	_cleanup_(cor_arena_freep) struct cor_arena *a = cor_arena_new(0);
	struct cor_api_config c;
	int r = read_config(a, path, &c, err);
	return r < 0 ? r : cor_api_set_credentials(api, c.cert, c.key, c.token, err);
}

struct cor_api *cor_api_from_kubeconfig(struct uv_loop_s *loop, struct cor_world *world, const char *path,
	const char *user_agent, struct cor_err *err) {
	_cleanup_(cor_arena_freep) struct cor_arena *a = cor_arena_new(0);
	struct cor_api_config c;
	if (read_config(a, path, &c, err) < 0)
		return NULL;
	c.loop = loop;
	c.world = world;
	c.user_agent = user_agent;
	return cor_api_new(&c, err);
}
