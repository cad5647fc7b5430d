// SPDX-License-Identifier: Apache-2.0
// Tree to YAML through libyaml's emitter, which knows what has to be quoted for YAML's sake. What
// has to be quoted because it would be read as a number, bool or null is decided here.
#include <stdlib.h>
#include <yaml.h>

#include "base/mem.h"
#include "codec/yaml_tree.h"

struct printer {
	yaml_emitter_t emitter;
	struct cor_buf *out;
	struct cor_arena *scratch;
	bool failed;
};

static int write_out(void *arg, unsigned char *p, size_t n) {
	struct printer *pr = arg;
	cor_buf_add(pr->out, p, n);
	return !pr->out->failed;
}

static void emit(struct printer *pr, yaml_event_t *event, int made) {
	/* the emitter takes the event over, also when it fails */
	if (!made)
		pr->failed = true;
	else if (pr->failed)
		yaml_event_delete(event);
	else
		pr->failed = !yaml_emitter_emit(&pr->emitter, event);
}

static void put_scalar(struct printer *pr, struct cor_str s, yaml_scalar_style_t style) {
	yaml_event_t e;
	emit(pr, &e, yaml_scalar_event_initialize(&e, NULL, NULL, (const yaml_char_t *)s.p,
		(int)s.n, 1, 1, style));
}

static bool reads_as_string(struct printer *pr, struct cor_str s) {
	cor_arena_reset(pr->scratch);
	return cor_node_is(cor_yaml_resolve(pr->scratch, s, NULL), COR_NODE_STRING) &&
		!cor_str_eq_c(s, "<<") && !cor_str_eq_c(s, "=");
}

static void put_string(struct printer *pr, struct cor_str s) {
	struct cor_str text = s.p ? s : COR_STR("");
	yaml_scalar_style_t style = YAML_PLAIN_SCALAR_STYLE;
	if (memchr(text.p, '\n', text.n))
		style = YAML_LITERAL_SCALAR_STYLE;
	else if (!reads_as_string(pr, text))
		style = YAML_DOUBLE_QUOTED_SCALAR_STYLE;
	put_scalar(pr, text, style);
}

static int by_key(const void *a, const void *b) {
	const struct cor_member *const *x = a, *const *y = b;
	return cor_str_cmp((*x)->key, (*y)->key);
}

static void print(struct printer *pr, const struct cor_node *n);

static void print_object(struct printer *pr, const struct cor_node *n) {
	_cleanup_free_ const struct cor_member **sorted = cor_calloc(n->members.n + 1,
		sizeof(*sorted));
	yaml_event_t e;
	for (size_t i = 0; i < n->members.n; i++)
		sorted[i] = &n->members.p[i];
	qsort(sorted, n->members.n, sizeof(*sorted), by_key);
	emit(pr, &e, yaml_mapping_start_event_initialize(&e, NULL, NULL, 1,
		YAML_BLOCK_MAPPING_STYLE));
	for (size_t i = 0; i < n->members.n; i++) {
		put_string(pr, sorted[i]->key);
		print(pr, sorted[i]->value);
	}
	emit(pr, &e, yaml_mapping_end_event_initialize(&e));
}

static void print(struct printer *pr, const struct cor_node *n) {
	yaml_event_t e;
	switch (n ? n->kind : COR_NODE_NULL) {
	case COR_NODE_BOOL:
		put_scalar(pr, n->boolean ? COR_STR("true") : COR_STR("false"),
			YAML_PLAIN_SCALAR_STYLE);
		break;
	case COR_NODE_NUMBER:
		put_scalar(pr, n->text, YAML_PLAIN_SCALAR_STYLE);
		break;
	case COR_NODE_STRING:
		put_string(pr, n->text);
		break;
	case COR_NODE_ARRAY:
		emit(pr, &e, yaml_sequence_start_event_initialize(&e, NULL, NULL, 1,
			YAML_BLOCK_SEQUENCE_STYLE));
		for (size_t i = 0; i < n->items.n; i++)
			print(pr, n->items.p[i]);
		emit(pr, &e, yaml_sequence_end_event_initialize(&e));
		break;
	case COR_NODE_OBJECT:
		print_object(pr, n);
		break;
	default:
		put_scalar(pr, COR_STR("null"), YAML_PLAIN_SCALAR_STYLE);
		break;
	}
}

void cor_yaml_print(struct cor_buf *b, const struct cor_node *n) {
	struct printer pr = { .out = b, .scratch = cor_arena_new(0) };
	yaml_event_t e;
	if (!yaml_emitter_initialize(&pr.emitter)) {
		cor_arena_free(pr.scratch);
		b->failed = true;
		return;
	}
	yaml_emitter_set_output(&pr.emitter, write_out, &pr);
	yaml_emitter_set_unicode(&pr.emitter, 1);
	yaml_emitter_set_width(&pr.emitter, -1);
	emit(&pr, &e, yaml_stream_start_event_initialize(&e, YAML_UTF8_ENCODING));
	emit(&pr, &e, yaml_document_start_event_initialize(&e, NULL, NULL, NULL, 1));
	print(&pr, n);
	emit(&pr, &e, yaml_document_end_event_initialize(&e, 1));
	emit(&pr, &e, yaml_stream_end_event_initialize(&e));
	yaml_emitter_delete(&pr.emitter);
	cor_arena_free(pr.scratch);
	if (pr.failed)
		b->failed = true;
}
