// SPDX-License-Identifier: Apache-2.0
// A JSON writer in a few lines for the documents that the runtime makes by hand (config.json, the
// answers of the kubelet's API). Commas take care of themselves: one is written unless the last
// byte opens a list, an object or a value.
#pragma once

#include "base/buf.h"
#include "codec/codec.h"

static inline void cor_jw_sep(struct cor_buf *b) {
	if (b->n && !strchr("{[:", b->p[b->n - 1]))
		cor_buf_byte(b, ',');
}

static inline void cor_jw_key(struct cor_buf *b, const char *key) {
	cor_jw_sep(b);
	cor_json_write_str(b, cor_str_c(key));
	cor_buf_byte(b, ':');
}

/* key NULL: an element of a list. */
static inline void cor_jw_open(struct cor_buf *b, const char *key, char bracket) {
	if (key)
		cor_jw_key(b, key);
	else
		cor_jw_sep(b);
	cor_buf_byte(b, bracket);
}

static inline void cor_jw_close(struct cor_buf *b, char bracket) {
	cor_buf_byte(b, bracket);
}

static inline void cor_jw_str(struct cor_buf *b, const char *key, struct cor_str value) {
	if (key)
		cor_jw_key(b, key);
	else
		cor_jw_sep(b);
	cor_json_write_str(b, value);
}

static inline void cor_jw_c(struct cor_buf *b, const char *key, const char *value) {
	cor_jw_str(b, key, cor_str_c(value ? value : ""));
}

static inline void cor_jw_int(struct cor_buf *b, const char *key, int64_t value) {
	if (key)
		cor_jw_key(b, key);
	else
		cor_jw_sep(b);
	cor_buf_i64(b, value);
}

static inline void cor_jw_bool(struct cor_buf *b, const char *key, bool value) {
	if (key)
		cor_jw_key(b, key);
	else
		cor_jw_sep(b);
	cor_buf_c(b, value ? "true" : "false");
}

/* NULL-terminated list of strings. */
static inline void cor_jw_strings(struct cor_buf *b, const char *key, const char *const *list) {
	cor_jw_open(b, key, '[');
	for (; list && *list; list++)
		cor_jw_c(b, NULL, *list);
	cor_jw_close(b, ']');
}
