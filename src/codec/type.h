// SPDX-License-Identifier: Apache-2.0
// The API as tables: types with their fields, and resources. schema/*.api is the source;
// schema/gen.py makes of it, at build time:
//   #include "gen/core_v1.h"       structs of one package (core_v1_Pod, core_v1_PodSpec, ...)
//   #include "gen/types.h"         structs of all packages
//   #include "gen/resources.h"     enum cor_res { COR_RES_PODS, COR_RES_STATEFULSETS, ... }
// and the tables declared here; cor_type_core_v1_Pod is Pod's row in cor_types. Whoever lists codec_dep in meson
// finds the headers and builds after them. The codec (codec.h) is driven by these tables alone.
//
// How a field is held in its struct (zeroed memory is the empty object):
//   string, Quantity, Duration   struct cor_str; absent: p == NULL. bytes: decoded. Raw: JSON text
//   int32, int64, bool, double   the value; a pointer to it where the API tells absent from zero
//   Time, MicroTime              cor_time, 0 = absent
//   IntOrString                  struct cor_intstr
//   a message                    the struct itself, or a pointer where it may be absent
//   a list                       struct { T *p; size_t n; }; a given [] has p != NULL, n == 0
//   {string}string|Quantity|bytes  struct cor_strmap
//   {string}T                    struct { struct { struct cor_str key; T value; } *p; size_t n; }
// Fields of an inlined message appear in the parent itself, and as a whole under the message's
// protobuf name: core_v1_Volume has .emptyDir and .volumeSource.emptyDir, the same memory.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/str.h"
#include "codec/value.h"

enum cor_field_kind {
	COR_FK_STRING,
	COR_FK_BYTES,
	COR_FK_RAW,             /* any JSON value, kept as text */
	COR_FK_QUANTITY,
	COR_FK_DURATION,        /* Go duration text */
	COR_FK_BOOL,
	COR_FK_INT32,
	COR_FK_INT64,
	COR_FK_DOUBLE,
	COR_FK_TIME,
	COR_FK_MICROTIME,
	COR_FK_INTSTR,
	COR_FK_STRINGS,         /* a list of strings that is a message of its own in protobuf */
	COR_FK_MESSAGE,
	COR_FK_MAX,
};

enum cor_field_shape { COR_FS_ONE, COR_FS_LIST, COR_FS_MAP };

enum cor_list_type { COR_LT_ATOMIC = 0, COR_LT_SET, COR_LT_MAP };

enum cor_field_flags {
	COR_FF_POINTER = 1 << 0,        /* absent and zero differ */
	COR_FF_ALWAYS = 1 << 1,         /* printed even when empty: 0, "", {}, null */
	COR_FF_REQUIRED = 1 << 2,
	COR_FF_INLINE = 1 << 3,         /* no JSON of its own: its fields follow in this table */
	COR_FF_EMBEDDED = 1 << 4,       /* came in through an inlined message; not in protobuf */
	COR_FF_TYPEMETA = 1 << 5,       /* kind and apiVersion: in JSON and the envelope only */
	COR_FF_ITEMS = 1 << 6,          /* items of a list kind: [] when empty, never null */
	COR_FF_IMMUTABLE = 1 << 7,
	COR_FF_PATCH_MERGE = 1 << 8,
	COR_FF_PATCH_RETAIN_KEYS = 1 << 9,
	COR_FF_MAP_ATOMIC = 1 << 10,
	COR_FF_PATCH_REPLACE = 1 << 11, /* a message that strategic patches do not merge */
};

/* The bytes [at, at + n) in the aligned eight bytes that hold them. */
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define COR_OMIT_MASK(at, n) ((~0ull >> (64 - 8 * (n))) << (8 * ((at) % 8)))
#else
#define COR_OMIT_MASK(at, n) ((~0ull >> (64 - 8 * (n))) << (8 * (8 - (n) - (at) % 8)))
#endif
#define COR_OMIT_AT(at) ((at) / 8 * 8)

/* The tables hold numbers, no pointers: a pointer would be filled in when a process starts, and each
 * process would have hundreds of kilobytes of its own that are the same in all. Text is a place in
 * cor_texts (cor_text()), 0 = none; a list of texts ends with an empty one (cor_text_next()). */
typedef uint32_t cor_text_at;

/* What the codec does not need while it runs. */
struct cor_field_info {
	cor_text_at default_json;       /* declared default as JSON */
	cor_text_at enums;              /* list: allowed values */
	cor_text_at keys;               /* list: of a COR_LT_MAP list */
	cor_text_at merge_key;          /* strategic merge key */
	cor_text_at description;
	uint32_t list_type;             /* enum cor_list_type */
};

struct cor_field {
	uint64_t prefix;                /* of the JSON name: its first eight bytes as a number */
	/* JSON leaves the field out when the bytes of omit_mask in the (aligned) eight bytes at
	 * omit_at are all zero, unless keep is set: a test without branches. Whatever is empty by
	 * another rule has keep set. */
	uint64_t omit_mask;
	uint32_t json;                  /* JSON name: cor_field_json() */
	uint16_t offset;                /* in the struct */
	uint16_t omit_at;
	uint16_t elem_size;             /* of a list element or a map entry {key, value} */
	uint16_t flags;                 /* enum cor_field_flags */
	uint16_t sub;                   /* of COR_FK_MESSAGE: cor_field_sub() */
	uint16_t info;                  /* cor_field_info() */
	uint8_t json_n;
	uint8_t kind;                   /* enum cor_field_kind, of the element for lists and maps */
	uint8_t shape;                  /* enum cor_field_shape */
	uint8_t number;                 /* protobuf; 0 = not in protobuf */
	uint8_t keep;
};

enum cor_type_flags {
	COR_TF_KIND = 1 << 0,           /* has kind and apiVersion */
	COR_TF_LIST = 1 << 1,           /* a list kind: metadata and items */
	COR_TF_OBJECT = 1 << 2,         /* a kind whose metadata is ObjectMeta */
	COR_TF_MAP_ATOMIC = 1 << 3,     /* server-side apply owns it as a whole */
};

/* JSON that is one thing or another. */
enum cor_union { COR_UNION_NONE, COR_UNION_ARRAY, COR_UNION_BOOL, COR_UNION_STRINGS };

#define COR_NO_FIELD 0xff

struct cor_type {
	/* Names are found by their first eight bytes (zero-padded, the first one lowest):
	 * prefix * slot_mul >> slot_shift is the first slot to look at, the next ones follow. */
	uint64_t slot_mul;
	uint32_t size;
	uint32_t fields;                /* cor_type_fields(): in the order in which JSON is written */
	/* Places in cor_type_bytes: */
	uint32_t slots;                 /* hash of JSON names -> index, COR_NO_FIELD = free */
	uint32_t numbers;               /* protobuf number -> index; max_number + 1 entries */
	uint32_t proto_order;           /* indices by ascending number, nproto entries */
	uint32_t defaults;              /* indices of the fields that have defaults, here or below */
	uint8_t nfields;                /* at most 64 */
	uint8_t slot_mask, slot_shift;
	uint8_t max_number;
	uint8_t nproto, ndefaults;
	uint8_t union_kind;             /* enum cor_union */
	uint8_t flags;                  /* enum cor_type_flags */
	cor_text_at name;               /* "core.v1.Pod" */
	cor_text_at proto;              /* "k8s.io.api.core.v1.Pod" */
	cor_text_at group;              /* of a kind; for meta kinds "meta.k8s.io" */
	cor_text_at version;
	cor_text_at kind;               /* none when it is no kind */
	cor_text_at description;
};

extern const struct cor_type cor_types[];               /* all, sorted by name */
extern const size_t cor_types_n;
extern const struct cor_field cor_fields[];             /* type by type */
extern const struct cor_field_info cor_field_infos[];
extern const uint8_t cor_type_bytes[];
extern const char cor_texts[];
/* JSON names of fields: each with a quote in front, and from there on a multiple of 16 bytes. */
extern const char cor_field_names[];

static inline const char *cor_text(cor_text_at at) {
	return cor_texts + at;
}
static inline const char *cor_text_next(const char *p) {
	return p + strlen(p) + 1;
}
static inline const struct cor_field *cor_type_fields(const struct cor_type *t) {
	return cor_fields + t->fields;
}
/* NUL-terminated, json_n bytes. */
static inline const char *cor_field_json(const struct cor_field *f) {
	return cor_field_names + f->json;
}
static inline const struct cor_type *cor_field_sub(const struct cor_field *f) {
	return cor_types + f->sub;
}
static inline const struct cor_field_info *cor_field_info(const struct cor_field *f) {
	return cor_field_infos + f->info;
}

extern const uint16_t cor_types_by_kind[];              /* indices of kinds, sorted by kind */
extern const size_t cor_types_by_kind_n;

/* "core.v1.Pod"; NULL when there is none. */
const struct cor_type *cor_type_by_name(struct cor_str name);
/* By kind. Status, List, WatchEvent and the options kinds are found in every group and version. */
const struct cor_type *cor_type_gvk(struct cor_str group, struct cor_str version,
	struct cor_str kind);
/* NULL when the type has no field of that JSON name (names are case-sensitive). */
const struct cor_field *cor_type_field(const struct cor_type *t, struct cor_str json_name);

enum cor_verb {
	COR_VERB_GET = 1 << 0,
	COR_VERB_LIST = 1 << 1,
	COR_VERB_WATCH = 1 << 2,
	COR_VERB_CREATE = 1 << 3,
	COR_VERB_UPDATE = 1 << 4,
	COR_VERB_PATCH = 1 << 5,
	COR_VERB_DELETE = 1 << 6,
	COR_VERB_DELETECOLLECTION = 1 << 7,
};

struct cor_subresource {
	const char *name;               /* "status" */
	const char *kind;               /* "" when it has none (pods/log of old) */
	const char *group, *version;    /* of the kind */
	const struct cor_type *type;    /* of the kind; NULL when not in the schema */
	uint32_t verbs;
};

struct cor_resource {
	int id;                         /* enum cor_res */
	const char *group, *version;    /* "" for core */
	const char *plural, *singular, *kind, *list_kind;
	const struct cor_type *type;
	const struct cor_type *list_type;       /* NULL when it cannot be listed */
	bool namespaced;
	bool stored;                    /* objects live in the store (not reviews, not bindings) */
	uint32_t verbs;                 /* enum cor_verb */
	const char *const *short_names; /* NULL-terminated, never NULL */
	const char *const *categories;  /* the same */
	const struct cor_subresource *subs;
	size_t nsubs;
	/* Index of the resource whose objects it shows: itself, the preferred version's, or for
	 * events.k8s.io the core group's (one store, two spellings). */
	int storage_id;
};

/* Indexed by enum cor_res (gen/resources.h); in the order in which discovery lists groups. */
extern const struct cor_resource cor_resources[];
extern const size_t cor_resources_n;
extern const uint16_t cor_resources_by_plural[];        /* indices, sorted by plural */

const struct cor_resource *cor_resource_find(struct cor_str group, struct cor_str version,
	struct cor_str plural);
const struct cor_resource *cor_resource_by_kind(struct cor_str group, struct cor_str version,
	struct cor_str kind);
const struct cor_subresource *cor_resource_sub(const struct cor_resource *r, struct cor_str name);
/* "create" for COR_VERB_CREATE. */
const char *cor_verb_to_string(enum cor_verb v);
