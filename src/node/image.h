// SPDX-License-Identifier: Apache-2.0
// Images of the node agent: references, registry credentials, the content-addressed store,
// import, pull, root file systems and the users named in them.
//
// The store is a directory that several processes may have open at once (the node agent and
// `coracle image`): changes are made under a file lock, and what another process changed is seen
// by the next call. A layer is unpacked once, into a directory named by its diffID, and shared by
// all images; an image is a record that names its config and layers. Nothing half-done survives:
// work happens below tmp/ and is renamed into place; what a dead process left is removed at open.
// Everything here may be called from any thread, and may block unless stated.
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/time.h"
#include "codec/value.h"

/* ---- references (image_ref.c; pure) ------------------------------------------------------- */

#define COR_IMAGE_REF_MAX 512

/* A normalised reference. "busybox" becomes docker.io / library/busybox / latest. */
struct cor_image_ref {
	char domain[256];
	char path[256];
	char tag[129];          /* "" when only a digest was given */
	char digest[72];        /* "sha256:<64 hex>" or "" */
	char text[COR_IMAGE_REF_MAX + 256];     /* domain/path[:tag][@digest] */
};

/* Follows the rules of `docker pull` names. The message of a failure is the detail kubelet puts
 * behind `Failed to apply default image tag "x": couldn't parse image name "x": `. */
[[nodiscard]] int cor_image_ref_parse(struct cor_str text, struct cor_image_ref *ret,
	struct cor_err *err);
/* True when pulls default to Always: no tag and no digest, or the tag latest without digest. */
bool cor_image_ref_is_latest(struct cor_str text);

/* ---- credentials (image_auth.c; pure) ----------------------------------------------------- */

/* The pull secrets of one pod, in the order given. Holds secrets: freed memory is wiped. */
struct cor_image_keyring;

struct cor_image_keyring *cor_image_keyring_new(void);
void cor_image_keyring_free(struct cor_image_keyring *k);
COR_DEFINE_CLEANUP(struct cor_image_keyring *, cor_image_keyring_free)
/* type is the Secret's type: kubernetes.io/dockerconfigjson (data = the value of key
 * .dockerconfigjson) or kubernetes.io/dockercfg (.dockercfg), already base64-decoded. On an error
 * the keyring is unchanged. */
[[nodiscard]] int cor_image_keyring_add(struct cor_image_keyring *k, struct cor_str type,
	struct cor_str data, struct cor_err *err);
/* One entry by hand; match is HOST[:PORT][/PATH], with * in host labels. */
void cor_image_keyring_add_login(struct cor_image_keyring *k, const char *match,
	const char *user, const char *password);

/* ---- images ------------------------------------------------------------------------------- */

/* Immutable (but for last_used) and shared; what it points to lives as long as the reference.
 * All texts are NUL-terminated behind n. A later change of the names makes a new object with the
 * same id. */
struct cor_image {
	struct cor_str id;              /* "sha256:<hex>", the digest of the config */
	struct cor_strlist names;    /* "docker.io/library/busybox:latest" */
	struct cor_strlist digests;  /* "docker.io/library/busybox@sha256:…"; none if imported */
	struct cor_strlist layers;   /* diffIDs, lowest first */
	uint64_t size;                  /* bytes of the compressed layers and the config */
	_Atomic(cor_time) last_used;    /* last pull, import or mount */
	bool preloaded;                 /* imported: no pull secret is asked of those who use it */

	/* from the image's config */
	struct cor_str architecture, variant, os;
	struct cor_str user;            /* "" = root */
	struct cor_str working_dir;     /* "" = / */
	struct cor_str stop_signal;     /* "" = SIGTERM */
	struct cor_strlist entrypoint, cmd;
	struct cor_strlist env;      /* NAME=value */
	struct cor_strlist volumes;  /* paths */
	struct cor_strmap labels;
};

struct cor_image *cor_image_ref_up(struct cor_image *i);        /* returns i */
void cor_image_unref(struct cor_image *i);                      /* NULL is fine */
COR_DEFINE_CLEANUP(struct cor_image *, cor_image_unref)
/* What containerStatuses[].imageID shows: the first digest reference, else the id. */
struct cor_str cor_image_status_id(const struct cor_image *i);

/* ---- the store (image_store.c, image_record.c) -------------------------------------------- */

struct cor_image_store;

/* Where to look before, or instead of, a registry's own address. */
struct cor_image_mirror {
	const char *registry;           /* "docker.io", or "*" for all */
	const char *url;                /* "https://mirror.example:5000"; http:// is allowed here */
};

/* Strings are copied by cor_image_store_open(); zero means the default. */
struct cor_image_config {
	const char *dir;                        /* made when missing, mode 0700 */
	const struct cor_image_mirror *mirrors; /* tried in order, before the registry itself */
	size_t n_mirrors;
	const char *const *insecure;            /* HOST[:PORT] that may be spoken to in plain http */
	size_t n_insecure;                      /* (localhost, 127.0.0.0/8 and [::1] always may) */
	const char *ca_file;                    /* more trusted certificates, PEM */
	unsigned max_workers;                   /* layers at once; 3 */
	uint64_t max_layer_bytes;               /* unpacked; 32 GiB */
	uint64_t max_layer_entries;             /* 2 million */
	uint64_t max_blob_bytes;                /* compressed layer; 16 GiB */
	uint32_t retry_base_ms;                 /* first wait between tries of a download; 500 */
};

[[nodiscard]] int cor_image_store_open(struct cor_image_store **ret,
	const struct cor_image_config *config, struct cor_err *err);
/* No call may be running. NULL is fine. Mounted root file systems stay mounted and leased. */
void cor_image_store_close(struct cor_image_store *s);
COR_DEFINE_CLEANUP(struct cor_image_store *, cor_image_store_close)

/* By name ("busybox", "busybox:1.36"), digest reference, id, or at least 12 hex digits of an id.
 * COR_E_NOT_FOUND when there is none; COR_E_INVALID when ref is not a reference. Does not block
 * on more than a few small files, so the loop may call it. */
[[nodiscard]] int cor_image_find(struct cor_image_store *s, struct cor_str ref,
	struct cor_image **ret, struct cor_err *err);

struct cor_image_list {
	struct cor_image **p;           /* largest first, as in node.status.images */
	size_t n;
};
[[nodiscard]] int cor_images_list(struct cor_image_store *s, struct cor_image_list *ret,
	struct cor_err *err);
void cor_image_list_fini(struct cor_image_list *l);
#define _cleanup_image_list_ _cleanup_(cor_image_list_fini)

/* Removes a name; with the last name, by id or by digest goes the image. Layers that no image and
 * no lease needs are deleted. A leased image loses its names now and its data with the lease. */
[[nodiscard]] int cor_image_remove(struct cor_image_store *s, struct cor_str ref,
	struct cor_err *err);
/* Whether a pod with these secrets may use an image that is here (preloaded and anonymously
 * pulled ones: always). keyring may be NULL. */
bool cor_image_usable_with(const struct cor_image *i, const struct cor_image_keyring *keyring);

/* ---- import and pull (image_import.c, image_pull.c) --------------------------------------- */

struct cor_image_progress {
	const char *what;               /* the reference or file */
	unsigned layers, layers_done;
	uint64_t bytes, bytes_done;     /* compressed; bytes is 0 while unknown */
};
/* Called on worker threads, one at a time, at most every 100 ms and at the end. */
typedef void (*cor_image_progress_fn)(void *arg, const struct cor_image_progress *p);

/* What both take; may be NULL or zero. */
struct cor_image_work {
	cor_image_progress_fn progress;
	void *progress_arg;
	const atomic_bool *cancel;      /* set it to true and the call fails with COR_E_CLOSED */
};

/* Reads an OCI or Docker archive, compressed or not, or a directory with either's layout. as
 * replaces the names found in it (one image only) or is absent. Of a multi-platform index the
 * image for this machine is taken. ret may be NULL. Errors name file, layer and entry. */
[[nodiscard]] int cor_image_import(struct cor_image_store *s, const char *path, struct cor_str as,
	const struct cor_image_work *work, struct cor_image_list *ret, struct cor_err *err);

/* Contacts the registry in any case (policy is the caller's); layers that are here are not loaded
 * again. keyring may be NULL. Error messages are what ErrImagePull shows. Codes: COR_E_INVALID
 * (reference), COR_E_NOT_FOUND, COR_E_UNAUTHORIZED, COR_E_CLOSED (cancelled), -errno and others. */
[[nodiscard]] int cor_image_pull(struct cor_image_store *s, struct cor_str ref,
	const struct cor_image_keyring *keyring, const struct cor_image_work *work,
	struct cor_image **ret, struct cor_err *err);

/* ---- pulls without blocking (image_puller.c) ---------------------------------------------- */

struct uv_loop_s;
/* Runs pulls on threads of its own, at most max_parallel at once, the others in order. Pulls of
 * one reference with the same credentials are one download. All calls on the loop's thread. */
struct cor_image_puller;
struct cor_image_puller *cor_image_puller_new(struct uv_loop_s *loop, struct cor_image_store *s,
	unsigned max_parallel);
/* Cancels what runs and calls closed(arg) on the loop when no thread is left; the puller is gone
 * by then. No done callback comes any more. */
void cor_image_puller_close(struct cor_image_puller *p, void (*closed)(void *arg), void *arg);

/* Embedded in its owner, zeroed before use; alive until done or cancel. */
struct cor_image_pull {
	void (*done)(struct cor_image_pull *p); /* on the loop; p may be freed or started again */
	struct cor_image *image;        /* on success: a reference of the owner */
	int result;                     /* 0 or a negative code, with err */
	struct cor_err err;
	cor_time duration;              /* of the pull itself */
	cor_time waited;                /* from start to done, waiting included */
	void *impl;                     /* of the puller */
};
/* ref and keyring are copied. done is never called from within start. */
void cor_image_pull_start(struct cor_image_puller *p, struct cor_image_pull *pull,
	struct cor_str ref, const struct cor_image_keyring *keyring);
/* done will not be called; the download stops when nobody else waits for it. */
void cor_image_pull_cancel(struct cor_image_pull *pull);

/* ---- root file systems (image_rootfs.c) --------------------------------------------------- */

/* Mounts the image at dir/rootfs: an overlay of its layers under dir/upper (writable, gone with
 * the unmount). dir is made when missing. lease is a unique name for the user of the mount, such
 * as the container's ID ([A-Za-z0-9._-], at most 128): as long as it is held, across restarts
 * too, the layers stay. A lease whose dir is gone is dropped at the next open of the store.
 * read_only mounts the layers alone (image volumes). Mounting again what is mounted is fine. */
[[nodiscard]] int cor_image_rootfs_mount(struct cor_image_store *s, struct cor_image *image,
	const char *lease, const char *dir, bool read_only, struct cor_err *err);
/* Unmounts dir/rootfs, removes dir/rootfs, dir/upper and dir/work (not dir) and drops the lease.
 * What is not there (any more) is no error, so it may be called again after a crash. */
[[nodiscard]] int cor_image_rootfs_unmount(struct cor_image_store *s, const char *lease,
	const char *dir, struct cor_err *err);

/* ---- users (image_user.c) ----------------------------------------------------------------- */

#define COR_IMAGE_GROUPS_MAX 64

struct cor_image_user {
	uid_t uid;
	gid_t gid;
	gid_t groups[COR_IMAGE_GROUPS_MAX];     /* of /etc/group, without gid itself */
	size_t n_groups;
	char name[256];         /* "" when the uid has no name */
	char home[512];         /* "/" when unknown; for HOME */
};

/* True when the user part of an image's USER is a number (ret_uid) or empty (0). */
bool cor_image_user_numeric(struct cor_str user, uid_t *ret_uid);
/* user is USER of the image or the pod's number as text: "", name, uid, either with :group or
 * :gid. Reads etc/passwd and etc/group below rootfs, which may be hostile: symlinks stay inside,
 * only regular files, with limits. COR_E_NOT_FOUND for names that are not there; unknown numbers
 * are fine (gid 0 then). */
[[nodiscard]] int cor_image_user_resolve(const char *rootfs, struct cor_str user,
	struct cor_image_user *ret, struct cor_err *err);
