// SPDX-License-Identifier: Apache-2.0
// The reader under the JSON decoder, inside this folder only: a cursor with a sticky error, the
// path to where it is, and the tokens of JSON. After an error every function returns at once with
// nothing, so callers check r->code only where they would loop.
#pragma once

#include "codec/codec.h"
#include "codec/json_scan.h"

/* One step of the path to the value being read; lives on the stack of who reads it. */
struct cor_json_step {
	const struct cor_json_step *up;
	struct cor_str name;            /* member or map key; absent for a list element */
	size_t index;
	const struct cor_type *owner;   /* whose field it is; NULL for map keys and elements */
};

struct cor_json_reader {
	const char *p, *end, *start;
	struct cor_arena *arena;
	struct cor_decode *opts;        /* NULL: nobody wants unknown fields */
	struct cor_err *err;
	const struct cor_json_step *path;
	int code;
	unsigned depth;
};

/* --- errors (json_error.c); all return false, the first one wins --- */

/* invalid character 'x' WHERE, or unexpected end of JSON input. */
bool cor_json_bad_char(struct cor_json_reader *r, const char *where);
bool cor_json_bad_limit(struct cor_json_reader *r);
/* json: cannot unmarshal WHAT into Go struct field T.path of type TYPE; at: where it began */
bool cor_json_bad_type(struct cor_json_reader *r, const char *at, const char *type);
bool cor_json_bad_value(struct cor_json_reader *r, const char *at, const char *text);
/* Notes «what "path.name"» for strict decoding. */
void cor_json_note(struct cor_json_reader *r, const char *what, struct cor_str name);
/* int32, *v1.Pod, map[string]string... as Go would name the field's type. */
void cor_json_go_type(const struct cor_field *f, bool element, char *out, size_t size);

/* --- tokens (json_read.c) --- */

/* At the opening quote. Zero-copy when there is nothing to decode. */
bool cor_json_read_str_slow(struct cor_json_reader *r, const char *special, struct cor_str *ret);
static inline bool cor_json_read_str(struct cor_json_reader *r, struct cor_str *ret) {
	const char *from = r->p + 1, *q = cor_scan_plain(from, r->end);
	if (__builtin_expect(q < r->end && *q == '"', 1)) {
		*ret = (struct cor_str){ from, (size_t)(q - from) };
		r->p = q + 1;
		return true;
	}
	return cor_json_read_str_slow(r, q, ret);
}
/* Past any value; *ret (may be NULL) becomes its text with valid UTF-8. */
bool cor_json_skip(struct cor_json_reader *r, struct cor_str *ret);
/* The word true, false or null at the cursor. */
bool cor_json_read_word(struct cor_json_reader *r, const char *word, size_t n);
/* A number; *ret_int is set when it is a plain integer that fits. */
bool cor_json_read_number(struct cor_json_reader *r, struct cor_str *ret_text, int64_t *ret,
	bool *ret_int);

static inline bool cor_json_peek(struct cor_json_reader *r, char *ret) {
	r->p = cor_skip_space(r->p, r->end);
	if (r->p == r->end) {
		*ret = '\0';
		return cor_json_bad_char(r, "");
	}
	*ret = *r->p;
	return true;
}

/* Walks "key": value pairs: call first with *more = true at '{'; false at the end or on error. */
bool cor_json_next_member(struct cor_json_reader *r, bool *first, struct cor_str *ret_key);
bool cor_json_next_element(struct cor_json_reader *r, bool *first);
