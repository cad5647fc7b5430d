// SPDX-License-Identifier: Apache-2.0
// Volumes of pods. The loop decides what each volume is made of (volume_plan.c, from API objects)
// and a worker makes it so (volume_apply.c): a plan holds everything the worker needs and nothing
// that can change meanwhile. Persistent volumes of the built-in provisioner are in pv.h.
#pragma once

#include <sys/types.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "gen/core_v1.h"

enum cor_volume_kind {
	COR_VOLUME_EMPTY_DIR,
	COR_VOLUME_TMPFS,               /* emptyDir of medium Memory */
	COR_VOLUME_HOST_PATH,
	COR_VOLUME_FILES,               /* configMap, secret, downwardAPI, projected */
	COR_VOLUME_CLAIM,
	COR_VOLUME_IMAGE,
	COR_VOLUME_KIND_MAX,
};

struct cor_volume_file {
	struct cor_str path;            /* relative, clean */
	struct cor_str data;
	mode_t mode;
	int64_t uid;                    /* -1: root */
};

struct cor_volume_files {
	struct cor_volume_file *p;
	size_t n;
};

struct cor_volume_plan {
	char *name;
	enum cor_volume_kind kind;
	char *path;                     /* what containers mount */
	char *host_type;                /* of hostPath */
	bool in_memory;                 /* files on tmpfs */
	bool read_only;
	uint64_t size;                  /* of tmpfs; 0 = half the memory */
	struct cor_volume_files files;
	int64_t fs_group;               /* -1 = none */
	bool on_root_mismatch;
	void *image;                    /* cor_image, a reference */
	void *pv;                       /* of COR_VOLUME_CLAIM */
	char *lease;
};

/* Adds a file, replacing one of the same path; COR_E_INVALID for a path that leaves the volume. */
[[nodiscard]] int cor_volume_file_add(struct cor_arena *a, struct cor_volume_files *files,
	struct cor_str path, struct cor_str data, mode_t mode, struct cor_err *err);
/* data of a ConfigMap or Secret by items (all keys when there are none). what: "configmap", "secret". */
[[nodiscard]] int cor_volume_files_from(struct cor_arena *a, struct cor_volume_files *files,
	const char *what, struct cor_strmap data, const struct core_v1_KeyToPath *items, size_t n_items,
	mode_t mode, bool optional, struct cor_err *err);

/* Makes the volume as planned, or brings its files up to date. Blocks. */
[[nodiscard]] int cor_volume_apply(const struct cor_volume_plan *p, struct cor_err *err);
/* The atomic writer alone: files below dir, all or nothing, nothing written when nothing changed. */
[[nodiscard]] int cor_volume_write_files(const char *dir, const struct cor_volume_files *files,
	int64_t fs_group, struct cor_err *err);
/* Unmounts what is mounted below dir, deepest first, then removes the tree without crossing into
 * other file systems. Fine when there is nothing. Blocks. */
[[nodiscard]] int cor_volume_remove_tree(const char *dir, struct cor_err *err);
int cor_volume_unmount_below(const char *dir, struct cor_err *err);
[[nodiscard]] int cor_mkdir_all(const char *dir, mode_t mode, struct cor_err *err);

/* Opens sub below the volume for a container, making directories that are missing with the mode of
 * the volume's root; symlinks cannot lead outside. Binds it at target, which is made. Blocks. */
[[nodiscard]] int cor_volume_subpath(const char *volume, const char *sub, bool may_create,
	const char *target, struct cor_err *err);
