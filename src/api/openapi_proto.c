// SPDX-License-Identifier: Apache-2.0
// The v2 document as protobuf, which is the only form that older clients ask for. It is made from the
// JSON document by a table of messages: which member of an object has which number and shape
// (facts/api-machinery.md 14.3).
#include "api/openapi.h"

#include "base/arena.h"
#include "base/mem.h"
#include "codec/tree.h"

enum shape {
	TEXT, FLAG, NUMBER,
	TEXTS,                  /* repeated string */
	MESSAGE,
	MESSAGES,               /* array of messages */
	NAMED,                  /* object: repeated {name 1, value 2} in field 1 of a message */
	BOX_TEXTS,              /* TypeItem: string or array in field 1 of a message */
	BOX_LIST,               /* ItemsItem: one message in field 1 of a message */
	ANY,                    /* yaml text in Any.yaml */
	ANYS,
};

struct message;
struct member {
	const char *name;
	unsigned number;
	enum shape shape;
	const struct message *of;
};

/* extensions: the number of vendor_extension, for members that begin with x-. wrap: numbers of messages
 * that go around, innermost last. */
struct message {
	const struct member *members;
	unsigned extensions;
	unsigned wrap;
	/* Chooses by content: parameters. */
	const struct message *(*choose)(const struct cor_node *n);
};

static const struct message schema, additional;

static const struct member schema_members[] = {
	{ "$ref", 1, TEXT, NULL }, { "format", 2, TEXT, NULL }, { "description", 4, TEXT, NULL },
	{ "default", 5, ANY, NULL }, { "uniqueItems", 16, FLAG, NULL }, { "required", 19, TEXTS, NULL },
	{ "enum", 20, ANYS, NULL }, { "additionalProperties", 21, MESSAGE, &additional },
	{ "type", 22, BOX_TEXTS, NULL }, { "items", 23, BOX_LIST, &schema },
	{ "properties", 25, NAMED, &schema }, { NULL, 0, TEXT, NULL },
};
static const struct message schema = { schema_members, 31, 0, NULL };
static const struct message additional = { schema_members, 31, 1, NULL };
static const struct message schema_item = { schema_members, 31, 1, NULL };

static const struct member body_members[] = {
	{ "description", 1, TEXT, NULL }, { "name", 2, TEXT, NULL }, { "in", 3, TEXT, NULL },
	{ "required", 4, FLAG, NULL }, { "schema", 5, MESSAGE, &schema }, { NULL, 0, TEXT, NULL },
};
static const struct member query_members[] = {
	{ "required", 1, FLAG, NULL }, { "in", 2, TEXT, NULL }, { "description", 3, TEXT, NULL },
	{ "name", 4, TEXT, NULL }, { "type", 6, TEXT, NULL }, { "uniqueItems", 20, FLAG, NULL },
	{ NULL, 0, TEXT, NULL },
};
static const struct member path_members[] = {
	{ "required", 1, FLAG, NULL }, { "in", 2, TEXT, NULL }, { "description", 3, TEXT, NULL },
	{ "name", 4, TEXT, NULL }, { "type", 5, TEXT, NULL }, { "uniqueItems", 19, FLAG, NULL },
	{ NULL, 0, TEXT, NULL },
};
/* ParametersItem.parameter 1 > Parameter.body_parameter 1, or .non_body_parameter 2 > query 3, path 4 */
static const struct message body_parameter = { body_members, 6, 0x11, NULL };
static const struct message query_parameter = { query_members, 23, 0x123, NULL };
static const struct message path_parameter = { path_members, 22, 0x124, NULL };

static const struct message *choose_parameter(const struct cor_node *n) {
	struct cor_str in = cor_node_path_str(n, "in");
	return cor_str_eq_c(in, "body") ? &body_parameter : cor_str_eq_c(in, "path") ? &path_parameter
	                                                                            : &query_parameter;
}
static const struct message parameters_item = { NULL, 0, 0, choose_parameter };

static const struct member response_members[] = {
	{ "description", 1, TEXT, NULL }, { "schema", 2, MESSAGE, &schema_item }, { NULL, 0, TEXT, NULL },
};
static const struct message response_value = { response_members, 5, 1, NULL };

static const struct member operation_members[] = {
	{ "tags", 1, TEXTS, NULL }, { "description", 3, TEXT, NULL }, { "operationId", 5, TEXT, NULL },
	{ "produces", 6, TEXTS, NULL }, { "consumes", 7, TEXTS, NULL },
	{ "parameters", 8, MESSAGES, &parameters_item }, { "responses", 9, NAMED, &response_value },
	{ NULL, 0, TEXT, NULL },
};
static const struct message operation = { operation_members, 13, 0, NULL };

static const struct member path_item_members[] = {
	{ "get", 2, MESSAGE, &operation }, { "put", 3, MESSAGE, &operation },
	{ "post", 4, MESSAGE, &operation }, { "delete", 5, MESSAGE, &operation },
	{ "patch", 8, MESSAGE, &operation }, { "parameters", 9, MESSAGES, &parameters_item },
	{ NULL, 0, TEXT, NULL },
};
static const struct message path_item = { path_item_members, 10, 0, NULL };

static const struct member api_key_members[] = {
	{ "type", 1, TEXT, NULL }, { "name", 2, TEXT, NULL }, { "in", 3, TEXT, NULL },
	{ "description", 4, TEXT, NULL }, { NULL, 0, TEXT, NULL },
};
static const struct message api_key = { api_key_members, 5, 2, NULL };

static const struct member info_members[] = {
	{ "title", 1, TEXT, NULL }, { "version", 2, TEXT, NULL }, { NULL, 0, TEXT, NULL },
};
static const struct message info = { info_members, 7, 0, NULL };

static const struct member document_members[] = {
	{ "swagger", 1, TEXT, NULL }, { "info", 2, MESSAGE, &info },
	{ "paths", 8, NAMED, &path_item }, { "definitions", 9, NAMED, &schema },
	{ "securityDefinitions", 13, NAMED, &api_key }, { NULL, 0, TEXT, NULL },
};
static const struct message document = { document_members, 16, 0, NULL };

/* ---- writing ---- */

static void varint(struct cor_buf *b, uint64_t v) {
	while (v >= 0x80) {
		cor_buf_byte(b, (char)(v | 0x80));
		v >>= 7;
	}
	cor_buf_byte(b, (char)v);
}

static void bytes(struct cor_buf *b, unsigned number, struct cor_str s) {
	varint(b, number << 3 | 2);
	varint(b, s.n);
	cor_buf_str(b, s);
}

static void flag(struct cor_buf *b, unsigned number, bool v) {
	varint(b, number << 3);
	varint(b, v);
}

static void write_message(struct cor_buf *b, const struct message *m, const struct cor_node *n);

/* n as message m in field number. */
static void submessage(struct cor_buf *b, unsigned number, const struct message *m,
	const struct cor_node *n) {
	_cleanup_buf_ struct cor_buf inner = COR_BUF_INIT;
	write_message(&inner, m, n);
	bytes(b, number, cor_buf_view(&inner));
}

static void named(struct cor_buf *b, unsigned number, struct cor_str name, struct cor_str value) {
	_cleanup_buf_ struct cor_buf one = COR_BUF_INIT;
	bytes(&one, 1, name);
	bytes(&one, 2, value);
	bytes(b, number, cor_buf_view(&one));
}

/* Any with its value as YAML, of which JSON is a part. */
static void any(struct cor_buf *b, const struct cor_node *n) {
	_cleanup_buf_ struct cor_buf text = COR_BUF_INIT;
	cor_node_print(&text, n, COR_PRINT_PLAIN);
	cor_buf_byte(&text, '\n');
	bytes(b, 2, cor_buf_view(&text));
}

static void write_named(struct cor_buf *b, unsigned number, const struct message *of,
	const struct cor_node *n) {
	_cleanup_buf_ struct cor_buf all = COR_BUF_INIT;
	/* Paths and responses have their extensions in front: field 2 or 1. */
	unsigned at = of == &path_item ? 2 : 1;
	for (size_t i = 0; i < n->members.n; i++) {
		_cleanup_buf_ struct cor_buf value = COR_BUF_INIT;
		write_message(&value, of, n->members.p[i].value);
		named(&all, at, n->members.p[i].key, cor_buf_view(&value));
	}
	bytes(b, number, cor_buf_view(&all));
}

static void write_texts(struct cor_buf *b, unsigned number, const struct cor_node *n) {
	if (n->kind == COR_NODE_STRING) {
		bytes(b, number, n->text);
		return;
	}
	for (size_t i = 0; i < n->items.n; i++)
		bytes(b, number, n->items.p[i]->text);
}

static void write_member(struct cor_buf *b, const struct member *m, const struct cor_node *n) {
	_cleanup_buf_ struct cor_buf box = COR_BUF_INIT;
	switch (m->shape) {
	case TEXT: bytes(b, m->number, n->text); break;
	case FLAG: flag(b, m->number, n->boolean); break;
	case NUMBER: break;
	case TEXTS: write_texts(b, m->number, n); break;
	case MESSAGE: submessage(b, m->number, m->of, n); break;
	case MESSAGES:
		for (size_t i = 0; i < n->items.n; i++)
			submessage(b, m->number, m->of, n->items.p[i]);
		break;
	case NAMED: write_named(b, m->number, m->of, n); break;
	case BOX_TEXTS:
		write_texts(&box, 1, n);
		bytes(b, m->number, cor_buf_view(&box));
		break;
	case BOX_LIST:
		submessage(&box, 1, m->of, n);
		bytes(b, m->number, cor_buf_view(&box));
		break;
	case ANY:
		any(&box, n);
		bytes(b, m->number, cor_buf_view(&box));
		break;
	case ANYS:
		for (size_t i = 0; i < n->items.n; i++) {
			cor_buf_clear(&box);
			any(&box, n->items.p[i]);
			bytes(b, m->number, cor_buf_view(&box));
		}
		break;
	}
}

static void write_members(struct cor_buf *b, const struct message *m, const struct cor_node *n) {
	for (size_t i = 0; cor_node_is(n, COR_NODE_OBJECT) && i < n->members.n; i++) {
		const struct cor_member *x = &n->members.p[i];
		if (cor_str_starts(x->key, COR_STR("x-"))) {
			_cleanup_buf_ struct cor_buf value = COR_BUF_INIT;
			any(&value, x->value);
			named(b, m->extensions, x->key, cor_buf_view(&value));
			continue;
		}
		for (const struct member *k = m->members; k->name; k++)
			if (cor_str_eq_c(x->key, k->name))
				write_member(b, k, x->value);
	}
}

/* wrap has one hexadecimal digit for each message around, the outermost first. */
static void write_wrapped(struct cor_buf *b, const struct message *m, const struct cor_node *n,
	unsigned wrap) {
	if (wrap == 0) {
		write_members(b, m, n);
		return;
	}
	unsigned shift = 0;
	while (wrap >> (shift + 4))
		shift += 4;
	_cleanup_buf_ struct cor_buf inner = COR_BUF_INIT;
	write_wrapped(&inner, m, n, wrap & ((1u << shift) - 1));
	bytes(b, wrap >> shift, cor_buf_view(&inner));
}

static void write_message(struct cor_buf *b, const struct message *m, const struct cor_node *n) {
	if (m->choose)
		m = m->choose(n);
	write_wrapped(b, m, n, m->wrap);
}

bool cor_openapi_v2_proto(struct cor_str json, struct cor_buf *out) {
	struct cor_err err;
	struct cor_arena *a = cor_arena_new(0);
	const struct cor_node *n = cor_node_parse(a, json, NULL, &err);
	if (n)
		write_message(out, &document, n);
	cor_arena_free(a);
	return n != NULL;
}
