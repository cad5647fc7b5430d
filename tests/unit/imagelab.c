// SPDX-License-Identifier: Apache-2.0
// Makes image layers and archives on the fly: see imagelab.h.
#include "imagelab.h"

#include <archive.h>
#include <archive_entry.h>
#include <assert.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>

#define MUST(x) do { if (!(x)) { perror(#x); abort(); } } while (0)

const char *lab_arch(void) {
	static struct utsname u;

	MUST(uname(&u) == 0);
	return strcmp(u.machine, "x86_64") == 0 ? "amd64" :
		strcmp(u.machine, "aarch64") == 0 ? "arm64" : u.machine;
}

void lab_hash(const void *p, size_t n, char hex[65]) {
	unsigned char md[32];

	MUST(EVP_Digest(n ? p : "", n, md, NULL, EVP_sha256(), NULL) == 1);
	for (int i = 0; i < 32; i++)
		(void)snprintf(hex + 2 * i, 3, "%02x", md[i]);
}

void lab_write_file(const char *path, const void *p, size_t n) {
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	MUST(fd >= 0 && write(fd, p, n) == (ssize_t)n);
	(void)close(fd);
}

static la_ssize_t on_write(struct archive *a, void *arg, const void *p, size_t n) {
	cor_buf_add(arg, p, n);
	return (la_ssize_t)n;
}

static void add_filter(struct archive *a, enum lab_filter filter) {
	if (filter == LAB_GZIP)
		MUST(archive_write_add_filter_gzip(a) == ARCHIVE_OK);
	if (filter == LAB_ZSTD)
		MUST(archive_write_add_filter_zstd(a) == ARCHIVE_OK);
	if (filter == LAB_XZ)
		MUST(archive_write_add_filter_xz(a) == ARCHIVE_OK);
}

static struct archive *open_tar(enum lab_filter filter, struct cor_buf *out) {
	struct archive *a = archive_write_new();

	add_filter(a, filter);
	MUST(archive_write_set_format_pax_restricted(a) == ARCHIVE_OK);
	(void)archive_write_set_bytes_in_last_block(a, 1);
	MUST(archive_write_open(a, out, NULL, on_write, NULL) == ARCHIVE_OK);
	return a;
}

static void add_entry(struct archive *a, const struct lab_entry *e) {
	static const struct {
		char letter;
		unsigned type;
	} types[] = { { 'f', AE_IFREG }, { 'd', AE_IFDIR }, { 'l', AE_IFLNK }, { 'h', AE_IFREG },
		{ 'c', AE_IFCHR }, { 'b', AE_IFBLK }, { 'p', AE_IFIFO } };
	struct archive_entry *x = archive_entry_new();
	size_t n = e->text && e->type == 'f' ? strlen(e->text) : 0;

	archive_entry_set_pathname(x, e->name);
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		if (types[i].letter == e->type)
			archive_entry_set_filetype(x, types[i].type);
	}
	archive_entry_set_perm(x, e->mode ? e->mode : e->type == 'd' ? 0755 : 0644);
	archive_entry_set_uid(x, e->uid);
	archive_entry_set_gid(x, e->gid);
	archive_entry_set_mtime(x, 1000000000, 0);
	archive_entry_set_size(x, (int64_t)n);
	if (e->type == 'l')
		archive_entry_set_symlink(x, e->text);
	if (e->type == 'h')
		archive_entry_set_hardlink(x, e->text);
	if (e->type == 'c' || e->type == 'b')
		archive_entry_set_rdev(x, 0x0103);
	if (e->xattr)
		archive_entry_xattr_add_entry(x, e->xattr, e->xattr_value, e->xattr_size);
	MUST(archive_write_header(a, x) >= ARCHIVE_WARN);
	if (n)
		(void)archive_write_data(a, e->text, n);
	archive_entry_free(x);
}

/* Lies about the size of one entry, in the form that tar has for large numbers. */
static void claim_size(struct cor_buf *tar, const struct lab_entry *e) {
	for (size_t at = 0; at + 512 <= tar->n && tar->p[at];) {
		unsigned char *h = (unsigned char *)tar->p + at;
		unsigned sum = 0;

		if (strncmp((char *)h, e->name, 100) != 0) {
			at += 512 + (strtoull((char *)h + 124, NULL, 8) + 511) / 512 * 512;
			continue;
		}
		h[124] = 0x80;
		for (int i = 0; i < 11; i++)
			h[135 - i] = (unsigned char)(i < 8 ? e->claim >> (8 * i) & 255 : 0);
		memset(h + 148, ' ', 8);
		for (int i = 0; i < 512; i++)
			sum += h[i];
		(void)snprintf((char *)h + 148, 8, "%06o", sum);
		return;
	}
	abort();
}

static void pack(const struct cor_buf *plain, enum lab_filter filter, struct cor_buf *out) {
	struct archive *a = archive_write_new();
	struct archive_entry *x = archive_entry_new();

	add_filter(a, filter);
	MUST(archive_write_set_format_raw(a) == ARCHIVE_OK);
	(void)archive_write_set_bytes_in_last_block(a, 1);
	MUST(archive_write_open(a, out, NULL, on_write, NULL) == ARCHIVE_OK);
	archive_entry_set_filetype(x, AE_IFREG);
	MUST(archive_write_header(a, x) == ARCHIVE_OK);
	MUST(archive_write_data(a, plain->p, plain->n) == (la_ssize_t)plain->n);
	MUST(archive_write_close(a) == ARCHIVE_OK);
	archive_entry_free(x);
	(void)archive_write_free(a);
}

void lab_tar(const struct lab_entry *entries, enum lab_filter filter, struct cor_buf *out) {
	struct cor_buf plain = COR_BUF_INIT;
	struct archive *a = open_tar(LAB_PLAIN, &plain);

	for (const struct lab_entry *e = entries; e->name; e++)
		add_entry(a, e);
	MUST(archive_write_close(a) == ARCHIVE_OK);
	(void)archive_write_free(a);
	for (const struct lab_entry *e = entries; e->name; e++) {
		if (e->claim)
			claim_size(&plain, e);
	}
	if (filter == LAB_PLAIN)
		cor_buf_add(out, plain.p, plain.n);
	else
		pack(&plain, filter, out);
	cor_buf_fini(&plain);
}

/* ---- images ---- */

/* Where the files of an image go: an archive or a directory. */
struct sink {
	struct archive *a;
	const char *dir;
};

static void put(struct sink *s, const char *name, const void *p, size_t n) {
	struct archive_entry *x;

	if (s->dir) {
		char path[4096];

		(void)snprintf(path, sizeof(path), "%s/%s", s->dir, name);
		for (char *c = path + strlen(s->dir) + 1; *c; c++) {
			if (*c == '/') {
				*c = '\0';
				(void)mkdir(path, 0755);
				*c = '/';
			}
		}
		lab_write_file(path, p, n);
		return;
	}
	x = archive_entry_new();
	archive_entry_set_pathname(x, name);
	archive_entry_set_filetype(x, AE_IFREG);
	archive_entry_set_perm(x, 0644);
	archive_entry_set_size(x, (int64_t)n);
	MUST(archive_write_header(s->a, x) == ARCHIVE_OK);
	MUST(archive_write_data(s->a, p, n) == (la_ssize_t)n);
	archive_entry_free(x);
}

static void put_blob(struct sink *s, const struct cor_buf *b, char hex[65]) {
	char name[100];

	lab_hash(b->p, b->n, hex);
	(void)snprintf(name, sizeof(name), "blobs/sha256/%s", hex);
	put(s, name, b->p, b->n);
}

static void make_config(const struct lab_image *im, char (*diffs)[65], struct cor_buf *b) {
	cor_buf_printf(b, "{\"architecture\":\"%s\",\"os\":\"linux\",\"config\":{%s},\"rootfs\":"
		"{\"type\":\"layers\",\"diff_ids\":[", im->arch ? im->arch : lab_arch(),
		im->config ? im->config : "");
	for (size_t i = 0; i < im->n; i++)
		cor_buf_printf(b, "%s\"sha256:%s\"", i ? "," : "", diffs[i]);
	cor_buf_c(b, "]}}");
}

static void put_layers(const struct lab_image *im, struct sink *s, char (*blobs)[65],
	char (*diffs)[65], size_t *sizes) {
	for (size_t i = 0; i < im->n; i++) {
		struct cor_buf plain = COR_BUF_INIT, packed = COR_BUF_INIT;
		char name[100];

		lab_tar(im->layers[i].entries, LAB_PLAIN, &plain);
		lab_tar(im->layers[i].entries, im->docker ? LAB_PLAIN : im->layers[i].filter, &packed);
		lab_hash(plain.p, plain.n, diffs[i]);
		if (im->wrong_diff)
			diffs[i][0] = diffs[i][0] == 'a' ? 'b' : 'a';
		lab_hash(packed.p, packed.n, blobs[i]);
		if (im->wrong_blob)
			blobs[i][0] = blobs[i][0] == 'a' ? 'b' : 'a';
		(void)snprintf(name, sizeof(name), im->docker ? "%s/layer.tar" : "blobs/sha256/%s",
			blobs[i]);
		sizes[i] = packed.n;
		if (!im->no_layer || i + 1 < im->n)
			put(s, name, packed.p, packed.n);
		cor_buf_fini(&plain);
		cor_buf_fini(&packed);
	}
}

static void put_docker(const struct lab_image *im, struct sink *s, char (*blobs)[65],
	const struct cor_buf *config) {
	struct cor_buf b = COR_BUF_INIT;

	put(s, "config.json", config->p, config->n);
	cor_buf_c(&b, "[{\"Config\":\"config.json\",\"RepoTags\":");
	if (im->name)
		cor_buf_printf(&b, "[\"%s\"]", im->name);
	else
		cor_buf_c(&b, "null");
	cor_buf_c(&b, ",\"Layers\":[");
	for (size_t i = 0; i < im->n; i++)
		cor_buf_printf(&b, "%s\"%s/layer.tar\"", i ? "," : "", blobs[i]);
	cor_buf_c(&b, "]}]");
	put(s, "manifest.json", b.p, b.n);
	cor_buf_fini(&b);
}

static void add_descriptor(struct cor_buf *b, const char *type, const char *hex, size_t size) {
	cor_buf_printf(b, "{\"mediaType\":\"application/vnd.oci.image.%s+json\","
		"\"digest\":\"sha256:%s\",\"size\":%zu", type, hex, size);
}

static void put_oci(const struct lab_image *im, struct sink *s, char (*blobs)[65],
	const size_t *sizes, const struct cor_buf *config) {
	static const char *const others[] = { "s390x", "mips" };
	struct cor_buf m = COR_BUF_INIT, index = COR_BUF_INIT, top = COR_BUF_INIT;
	char hex[65];
	size_t n;

	put_blob(s, config, hex);
	cor_buf_c(&m, "{\"schemaVersion\":2,\"config\":");
	add_descriptor(&m, "config.v1", hex, config->n);
	cor_buf_c(&m, "},\"layers\":[");
	for (size_t i = 0; i < im->n; i++)
		cor_buf_printf(&m, "%s{\"mediaType\":\"application/vnd.oci.image.layer.v1.tar\","
			"\"digest\":\"sha256:%s\",\"size\":%zu}", i ? "," : "", blobs[i], sizes[i]);
	cor_buf_c(&m, "]}");
	put_blob(s, &m, hex);
	n = m.n;
	if (im->nested_index) {
		cor_buf_c(&index, "{\"schemaVersion\":2,\"manifests\":[");
		for (int i = 0; i < 2; i++) {
			char wrong[65];

			lab_hash(others[i], strlen(others[i]), wrong);
			add_descriptor(&index, "manifest.v1", wrong, 10);
			cor_buf_printf(&index, ",\"platform\":{\"os\":\"linux\",\"architecture\":\"%s\"}},",
				others[i]);
		}
		add_descriptor(&index, "manifest.v1", hex, n);
		cor_buf_printf(&index, ",\"platform\":{\"os\":\"linux\",\"architecture\":\"%s\"}}]}",
			lab_arch());
		put_blob(s, &index, hex);
		n = index.n;
	}
	cor_buf_c(&top, "{\"schemaVersion\":2,\"manifests\":[");
	add_descriptor(&top, im->nested_index ? "index.v1" : "manifest.v1", hex, n);
	if (im->name)
		cor_buf_printf(&top, ",\"annotations\":{\"org.opencontainers.image.ref.name\":\"%s\"}",
			im->name);
	cor_buf_c(&top, "}]}");
	put(s, "index.json", top.p, top.n);
	put(s, "oci-layout", "{\"imageLayoutVersion\":\"1.0.0\"}", 30);
	cor_buf_fini(&m);
	cor_buf_fini(&index);
	cor_buf_fini(&top);
}

void lab_write_image(const struct lab_image *im, const char *path, bool dir) {
	struct cor_buf config = COR_BUF_INIT, out = COR_BUF_INIT;
	char (*blobs)[65] = calloc(im->n + 1, 65), (*diffs)[65] = calloc(im->n + 1, 65);
	size_t *sizes = calloc(im->n + 1, sizeof(size_t));
	struct sink s = { .dir = dir ? path : NULL };

	if (dir)
		(void)mkdir(path, 0755);
	else
		s.a = open_tar(im->outer, &out);
	put_layers(im, &s, blobs, diffs, sizes);
	make_config(im, diffs, &config);
	if (im->docker)
		put_docker(im, &s, blobs, &config);
	else
		put_oci(im, &s, blobs, sizes, &config);
	if (!dir) {
		MUST(archive_write_close(s.a) == ARCHIVE_OK);
		(void)archive_write_free(s.a);
		lab_write_file(path, out.p, out.n - (im->cut < out.n ? im->cut : 0));
	}
	cor_buf_fini(&config);
	cor_buf_fini(&out);
	free(blobs);
	free(diffs);
	free(sizes);
}
