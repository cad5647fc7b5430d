// SPDX-License-Identifier: Apache-2.0
// YAML bodies and answers, by way of the tree.
#include "api/http_priv.h"

#include "codec/yaml_tree.h"

int api_yaml_to_json(struct cor_arena *a, struct cor_str yaml, struct cor_str *ret,
	struct cor_strlist *found, struct cor_err *err) {
	struct cor_node *n = cor_yaml_parse(a, yaml, found, err);
	if (!n)
		return err->code;
	*ret = cor_node_to_str(a, n, COR_PRINT_PLAIN);
	return ret->p ? 0 : cor_fail(err, COR_E_LIMIT, "the request is too large");
}

void api_print_yaml(struct cor_buf *out, const struct cor_node *n) {
	cor_yaml_print(out, n);
}
