// SPDX-License-Identifier: Apache-2.0
// What pv.c (which volume needs what) and pv_image.c (how it is done, on workers) share.
#pragma once

#include "base/err.h"
#include "base/mem.h"

/* Makes the image of this size when there is none, grows one that is smaller and not mounted. */
[[nodiscard]] int pv_image_make(const char *dir, uint64_t size, struct cor_err *err);
/* The same, and mounts it at dir/mount. */
[[nodiscard]] int pv_image_mount(const char *dir, uint64_t size, struct cor_err *err);
/* Of a mounted one (which takes CAP_SYS_RESOURCE): makes file, device and file system this large; never smaller. */
[[nodiscard]] int pv_image_grow(const char *dir, uint64_t size, struct cor_err *err);
[[nodiscard]] int pv_image_unmount(const char *dir, struct cor_err *err);
/* Of the file system, as it was made or grown; 0 when there is none. */
uint64_t pv_image_size(const char *dir);
