// SPDX-License-Identifier: Apache-2.0
// Typed objects to and from JSON and protobuf, driven by the tables of type.h; copies,
// comparison and declared defaults. An object is a generated struct, zeroed when it is empty.
//
// Ownership: a decoded object points into the arena it was decoded with AND into the input (texts
// without escapes are not copied), so both must outlive it. cor_obj_copy makes it independent.
// Nothing here keeps state: all functions may run on any thread.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "codec/type.h"

enum { COR_CODEC_DEPTH_MAX = 1000, COR_CODEC_ERRORS_MAX = 100 };

struct cor_decode {
	struct cor_arena *arena;        /* where the object's parts go; required */
	bool strict;                    /* note fields that are unknown or occur twice */
	/* Out, in order of occurrence, at most COR_CODEC_ERRORS_MAX, in the arena:
	 *   unknown field "spec.foo"      duplicate field "spec.containers[0].image" */
	struct cor_strlist errors;
	size_t offset;                  /* out, on failure: the byte of the input it happened at */
};

/* Decodes one JSON document into *obj, which is zeroed memory of t->size bytes. null is absent,
 * names are case-sensitive, unknown fields are dropped, of fields given twice the last wins,
 * bytes that are not UTF-8 become U+FFFD. COR_E_PARSE with Go's text of the error
 * (json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32)
 * and err->field the path; COR_E_LIMIT when the arena or the depth is exhausted. On failure *obj
 * is half filled. */
[[nodiscard]] int cor_json_decode(const struct cor_type *t, struct cor_str json, void *obj,
	struct cor_decode *d, struct cor_err *err);
/* The same, allocating the object too. */
[[nodiscard]] int cor_json_decode_new(const struct cor_type *t, struct cor_str json, void **ret,
	struct cor_decode *d, struct cor_err *err);

/* Only the members apiVersion and kind of the top level, absent when missing; may point into
 * json. Fails on malformed input as far as it has to read (couldn't get version/kind; ...). */
[[nodiscard]] int cor_json_typemeta(struct cor_str json, struct cor_arena *a,
	struct cor_str *ret_api_version, struct cor_str *ret_kind, struct cor_err *err);

/* Appends canonical JSON: upstream's order of fields and Go's escapes, no white space. Fails only
 * through out's limit (COR_E_LIMIT). */
int cor_json_encode(const struct cor_type *t, const void *obj, struct cor_buf *out);
/* The same without metadata.resourceVersion. *ret_rv_at is the offset in out at which
 * "resourceVersion":"N", (with the comma) has to be put in; metadata must not be empty. */
int cor_json_encode_unversioned(const struct cor_type *t, const void *obj, struct cor_buf *out,
	size_t *ret_rv_at);
/* Appends s as a JSON string with quotes and Go's escapes. */
void cor_json_write_str(struct cor_buf *out, struct cor_str s);

/* Protobuf without envelope. decode ignores what it does not know; last one wins. */
[[nodiscard]] int cor_proto_decode(const struct cor_type *t, struct cor_str data, void *obj,
	struct cor_decode *d, struct cor_err *err);
int cor_proto_encode(const struct cor_type *t, const void *obj, struct cor_buf *out);

/* The envelope: k8s\0 and runtime.Unknown. */
struct cor_envelope {
	struct cor_str api_version, kind;       /* absent when missing */
	struct cor_str raw;
	struct cor_str content_encoding, content_type;
};
[[nodiscard]] int cor_proto_open(struct cor_str data, struct cor_envelope *ret,
	struct cor_err *err);
/* Opens the envelope and decodes; kind and apiVersion are filled from it. */
[[nodiscard]] int cor_proto_decode_envelope(const struct cor_type *t, struct cor_str data,
	void *obj, struct cor_decode *d, struct cor_err *err);
/* With kind and apiVersion of the object, or of its type where the object has none. */
int cor_proto_encode_envelope(const struct cor_type *t, const void *obj, struct cor_buf *out);

/* Deep copy into dst (t->size bytes, overwritten); nothing is shared with src afterwards. */
int cor_obj_copy(const struct cor_type *t, const void *src, void *dst, struct cor_arena *a);
/* A copy of its own; NULL when the arena is exhausted. */
void *cor_obj_dup(const struct cor_type *t, const void *src, struct cor_arena *a);
/* A copy that is kept: alone in an arena of its own that is as large as it, which has to be freed. scratch is
 * reset afterwards; src may be in it. NULL: out of memory. */
void *cor_obj_keep(const struct cor_type *t, const void *src, struct cor_arena *scratch, struct cor_arena **ret);
/* Semantic equality: absent equals an empty list or map, quantities compare by value. */
bool cor_obj_equal(const struct cor_type *t, const void *a, const void *b);
/* Fills absent fields with the defaults the schema declares, at all depths. */
int cor_obj_default(const struct cor_type *t, void *obj, struct cor_arena *a);

/* "v1" or "group/version" of a kind's type; NUL-terminated, returns the length. */
size_t cor_type_api_version(const struct cor_type *t, char *out, size_t size);

/* Standard base64 with padding. */
void cor_base64_encode(struct cor_buf *out, struct cor_str bytes);
/* False when malformed; *ret_at is then the offending byte. White space (CR, LF) is skipped. */
bool cor_base64_decode(struct cor_arena *a, struct cor_str text, struct cor_str *ret,
	size_t *ret_at);
