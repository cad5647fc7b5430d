// SPDX-License-Identifier: Apache-2.0
// What the image files of this folder share. Digests are handled as 64 hex digits without
// "sha256:" ("hex"); a layer's hex is that of its diffID. Lock order: the store's mutex, then
// the file lock; both are held only for short, local work, never while unpacking or loading.
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/map.h"
#include "codec/tree.h"
#include "node/image.h"

#define IMAGE_HEX 65            /* 64 digits and a NUL */
enum {
	IMAGE_LAYERS_MAX = 127,         /* what Docker allows; overlay's options fit a page */
	IMAGE_JSON_MAX = 4 << 20,       /* manifest, index, config */
	IMAGE_NAMES_MAX = 64,           /* of one archive entry */
};

/* ---- image_util.c: hashing, files, threads ---- */

struct image_hash { void *ctx; };
void cor_image_hash_begin(struct image_hash *h);
void cor_image_hash_add(struct image_hash *h, const void *p, size_t n);
void cor_image_hash_end(struct image_hash *h, char hex[IMAGE_HEX]);     /* frees too */
void cor_image_hash_drop(struct image_hash *h);
void cor_image_hash_of(struct cor_str s, char hex[IMAGE_HEX]);
/* "sha256:<hex>" to hex; COR_E_INVALID for anything else. */
[[nodiscard]] int cor_image_digest_parse(struct cor_str digest, char hex[IMAGE_HEX],
	struct cor_err *err);

/* Whole file into out, COR_E_LIMIT above limit; -ENOENT is left without a message of its own. */
[[nodiscard]] int cor_image_read_file(int dirfd, const char *name, size_t limit,
	struct cor_buf *out, struct cor_err *err);
[[nodiscard]] int cor_image_read_fd(int fd, size_t limit, struct cor_buf *out,
	struct cor_err *err);
/* Temporary file, fsync, rename, fsync of the directory. durable = false leaves the syncs out. */
[[nodiscard]] int cor_image_write_file(int dirfd, const char *name, struct cor_str data,
	bool durable, struct cor_err *err);
/* Removes name below dirfd with all that is in it, however deep; missing is fine. */
[[nodiscard]] int cor_image_rmtree(int dirfd, const char *name, struct cor_err *err);
[[nodiscard]] int cor_image_mkdir_open(int dirfd, const char *name, mode_t mode, int *ret_fd,
	struct cor_err *err);

/* Progress and cancellation of one import or pull, shared by its threads. */
struct image_run {
	const struct cor_image_work *work;      /* may be NULL */
	pthread_mutex_t mutex;
	struct cor_image_progress p;
	cor_time reported;
	atomic_bool failed;                     /* a sibling failed: give up */
};
void cor_image_run_init(struct image_run *r, const char *what, const struct cor_image_work *work);
void cor_image_run_fini(struct image_run *r);
void cor_image_run_bytes(struct image_run *r, uint64_t n);
void cor_image_run_layer(struct image_run *r);
bool cor_image_run_stopped(const struct image_run *r);
/* fn(arg, i) for 0 <= i < n on up to max threads; the first error is returned. */
typedef int (*image_task_fn)(void *arg, unsigned i, struct cor_err *err);
[[nodiscard]] int cor_image_parallel(struct image_run *r, unsigned n, unsigned max,
	image_task_fn fn, void *arg, struct cor_err *err);

/* ---- image_unpack.c ---- */

struct archive_entry;
const char *cor_image_entry_path(struct archive_entry *e);      /* NULL when it has none */

struct image_unpack {
	int fd;                         /* the layer's tar, compressed or not; read from here on */
	int root;                       /* an empty directory */
	unsigned number;                /* of the layer, from 1, for messages */
	const char *blob;               /* hex of the bytes of fd, or NULL */
	const char *diff_id;            /* hex of the tar */
	uint64_t max_bytes, max_entries;
	struct image_run *run;
	bool count;                     /* count bytes read as progress */
};
/* Leaves a mess in root on failure; the caller removes it. */
[[nodiscard]] int cor_image_unpack(const struct image_unpack *u, struct cor_err *err);

/* ---- image_store.c ---- */

struct cor_image_store {
	struct cor_image_config cfg;    /* copied */
	struct cor_arena *arena;        /* of cfg */
	int dir, lock, tmp, session, images, blobs, layers, leases;     /* descriptors */
	char session_name[40];
	atomic_uint serial;             /* names of temporary entries */

	pthread_mutex_t mutex;          /* everything below */
	pthread_cond_t idle;
	struct cor_map pins;            /* layer hex -> count */
	struct cor_map busy;            /* layer hex being unpacked */
	struct image_object **cache;    /* image_record.c */
	size_t n_cache;
	struct timespec cache_time;
	bool cache_valid;
};

[[nodiscard]] int cor_image_lock(struct cor_image_store *s, struct cor_err *err);
void cor_image_unlock(struct cor_image_store *s);
/* A new name for something below s->session. */
void cor_image_temp_name(struct cor_image_store *s, const char *what, char out[64]);

struct image_layer {
	char diff[IMAGE_HEX];
	char blob[IMAGE_HEX];           /* "" when unknown (Docker archives) */
	uint64_t size;                  /* of the blob; 0 when unknown */
	bool pinned;
};

/* An image on its way into the store. */
struct image_new {
	char id[IMAGE_HEX];
	struct cor_str config;
	struct image_layer layers[IMAGE_LAYERS_MAX];
	unsigned n_layers;
	char *names[IMAGE_NAMES_MAX];   /* normalised; owned by an arena of the caller */
	unsigned n_names;
	const char *digest_ref;         /* or NULL */
	uint64_t size;
	bool preloaded;
	char credential[IMAGE_HEX];     /* "" = anonymous */
};

/* Opens the bytes of layer i for reading. */
typedef int (*image_open_fn)(void *arg, unsigned i, int *ret_fd, struct cor_err *err);
/* Makes all layers present and pinned, in parallel; open is asked for those that are missing. */
[[nodiscard]] int cor_image_layers_ensure(struct cor_image_store *s, struct image_new *n,
	image_open_fn open, void *arg, struct image_run *run, bool count, struct cor_err *err);
void cor_image_layers_unpin(struct cor_image_store *s, struct image_new *n);
/* Makes the image visible. Its layers must be pinned. */
[[nodiscard]] int cor_image_commit(struct cor_image_store *s, struct image_new *n,
	struct cor_image **ret, struct cor_err *err);
/* Deletes what nothing needs. Takes and releases the lock. */
[[nodiscard]] int cor_image_gc(struct cor_image_store *s, struct cor_err *err);

/* A lease is a file leases/NAME: the image's id and the directory of the mount, a line each. */
struct image_lease {
	char id[80];
	char dir[4096];
};
[[nodiscard]] int cor_image_lease_read(struct cor_image_store *s, const char *name,
	struct image_lease *ret, struct cor_err *err);

/* ---- image_record.c: records and the cache; callers hold the mutex ---- */

struct image_object {
	struct cor_image pub;
	atomic_uint refs;
	struct cor_arena *arena;
	struct cor_str text;            /* the record as it is on disk */
	struct cor_strlist stamps;         /* beside names: when each was given, decimal µs */
	struct cor_strlist credentials;    /* hex, or "anonymous" */
};

[[nodiscard]] int cor_image_cache_refresh(struct cor_image_store *s, struct cor_err *err);
void cor_image_cache_drop(struct cor_image_store *s);
/* Weak; NULL when absent. */
struct image_object *cor_image_cache_by_id(struct cor_image_store *s, struct cor_str id);
/* Writes the record of add: what o (may be NULL) has, and what add brings. */
[[nodiscard]] int cor_image_record_write(struct cor_image_store *s, const struct image_object *o,
	const struct image_new *add, struct cor_err *err);
/* Writes o's record without some of its names and digest references; all when names is NULL. */
[[nodiscard]] int cor_image_record_without(struct cor_image_store *s, const struct image_object *o,
	char *const *names, size_t n_names, struct cor_err *err);
[[nodiscard]] int cor_image_record_delete(struct cor_image_store *s, const struct image_object *o,
	struct cor_err *err);
const char *cor_image_hex(const struct image_object *o);        /* of its id */

/* ---- image_source.c: the files of an archive or a directory ---- */

struct image_source;
/* Archives are spread into files of the store's session first. */
[[nodiscard]] int cor_image_source_open(struct image_source **ret, struct cor_image_store *s,
	const char *path, struct image_run *run, struct cor_err *err);
void cor_image_source_close(struct image_source *s);
COR_DEFINE_CLEANUP(struct image_source *, cor_image_source_close)
bool cor_image_source_has(struct image_source *s, const char *name);
/* Any thread. */
[[nodiscard]] int cor_image_source_file(struct image_source *s, const char *name, int *ret_fd,
	uint64_t *ret_size, struct cor_err *err);
/* A small file into the arena. */
[[nodiscard]] int cor_image_source_text(struct image_source *s, const char *name,
	struct cor_arena *a, struct cor_str *ret, struct cor_err *err);

/* ---- image_manifest.c: JSON documents ---- */

struct image_descriptor {
	char hex[IMAGE_HEX];
	uint64_t size;
	char media_type[128];
};
struct image_manifest {
	struct image_descriptor config;
	struct image_descriptor layers[IMAGE_LAYERS_MAX];
	unsigned n_layers;
};
/* The architecture in the words of images ("amd64") and its variant ("v7" or ""). */
void cor_image_host_platform(const char **ret_arch, const char **ret_variant);
bool cor_image_is_index(const struct cor_node *doc);
[[nodiscard]] int cor_image_descriptor_parse(const struct cor_node *n,
	struct image_descriptor *ret, struct cor_err *err);
/* The entry of an index for this machine; with name, of the entries annotated with that name. */
[[nodiscard]] int cor_image_index_choose(const struct cor_node *doc, const struct cor_str *name,
	struct image_descriptor *ret, struct cor_err *err);
/* The name that a descriptor's annotations give its image; absent if none. */
struct cor_str cor_image_annotated_name(const struct cor_node *descriptor);
[[nodiscard]] int cor_image_manifest_parse(const struct cor_node *doc, struct image_manifest *ret,
	struct cor_err *err);
/* Reads a config's diffIDs into n and checks its platform. n->config and n->id are set here. */
[[nodiscard]] int cor_image_config_take(struct cor_arena *a, struct cor_str config,
	struct image_new *n, struct cor_err *err);
/* Fills the public fields that come from the config. */
[[nodiscard]] int cor_image_config_fill(struct cor_arena *a, struct cor_str config,
	struct cor_image *ret, struct cor_err *err);

/* ---- image_auth.c ---- */

struct image_login {
	char *match;                    /* HOST[:PORT][/PATH] */
	char *user, *password;          /* or */
	char *identity_token;           /* traded for an access token */
	char *registry_token;           /* a bearer token as it is */
};
/* The i-th login that fits, most specific first; NULL after the last. */
const struct image_login *cor_image_keyring_match(const struct cor_image_keyring *k,
	const char *host, const char *path, size_t i);
void cor_image_login_hash(const struct image_login *l, char hex[IMAGE_HEX]);
struct cor_image_keyring *cor_image_keyring_copy(const struct cor_image_keyring *k);
void cor_image_keyring_hash(const struct cor_image_keyring *k, char hex[IMAGE_HEX]);
const struct image_login *cor_image_keyring_at(const struct cor_image_keyring *k, size_t i);
