// SPDX-License-Identifier: Apache-2.0
// Makes image layers and archives on the fly, well-formed or broken in one chosen way.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"

/* One entry of a tar. */
struct lab_entry {
	const char *name;
	char type;              /* f d l(symlink) h(ard link) c b p(ipe) */
	const char *text;       /* content or target */
	mode_t mode;            /* 0 = 0644 or 0755 */
	uid_t uid;
	gid_t gid;
	const char *xattr, *xattr_value;
	size_t xattr_size;
	int64_t claim;          /* size written into the header instead of the true one */
};

enum lab_filter { LAB_PLAIN, LAB_GZIP, LAB_ZSTD, LAB_XZ };

struct lab_layer {
	const struct lab_entry *entries;        /* ended by a NULL name */
	enum lab_filter filter;
};

/* The ways in which an archive is written, and broken. */
struct lab_image {
	const struct lab_layer *layers;
	size_t n;
	const char *name;               /* annotation or RepoTag, NULL for none */
	const char *config;             /* members of the config's "config" object, or NULL */
	const char *arch;               /* NULL = this machine's */
	enum lab_filter outer;
	bool docker;
	bool wrong_blob;                /* the layer's bytes are not those of its digest */
	bool wrong_diff;                /* the config's diffID is another one's */
	bool no_layer;                  /* the last layer's blob is missing */
	bool nested_index;              /* index.json names an index for three platforms */
	size_t cut;                     /* bytes missing at the end of the archive */
};

void lab_tar(const struct lab_entry *entries, enum lab_filter filter, struct cor_buf *out);
void lab_hash(const void *p, size_t n, char hex[65]);
/* Writes an archive, or a directory when dir is true. */
void lab_write_image(const struct lab_image *im, const char *path, bool dir);
const char *lab_arch(void);
void lab_write_file(const char *path, const void *p, size_t n);
