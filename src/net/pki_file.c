// SPDX-License-Identifier: Apache-2.0
// PEM files: written beside their place and renamed, so that a reader (or a crash) sees the old file or
// the new one and never a part; synced before, unless they can be made anew.
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "net/pki.h"

enum { FILE_MAX = 1024 * 1024 };

static int write_all(int fd, struct cor_str s) {
	while (s.n) {
		ssize_t n = write(fd, s.p, s.n);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		s.p += n;
		s.n -= (size_t)n;
	}
	return 0;
}

int cor_pki_sync_dir(const char *dir, struct cor_err *err) {
	_cleanup_close_ int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 || fsync(fd) < 0 ? cor_fail_errno(err, errno, "%s", dir) : 0;
}

static int write_file(const char *path, struct cor_str pem, unsigned mode, bool sync, struct cor_err *err) {
	_cleanup_free_ char *tmp = cor_asprintf("%s.XXXXXX", path);
	_cleanup_close_ int fd = mkostemp(tmp, O_CLOEXEC);
	int r = 0;

	if (fd < 0)
		return cor_fail_errno(err, errno, "%s", path);
	/* mkostemp made it 0600: nobody can read it before it has its mode. */
	r = write_all(fd, pem);
	if (r == 0 && (fchmod(fd, (mode_t)mode) < 0 || (sync && fsync(fd) < 0) || rename(tmp, path) < 0))
		r = -errno;
	if (r < 0) {
		(void)unlink(tmp);
		return cor_fail_errno(err, -r, "%s", path);
	}
	return 0;
}

int cor_pki_write_file(const char *path, struct cor_str pem, unsigned mode, struct cor_err *err) {
	return write_file(path, pem, mode, true, err);
}

int cor_pki_write_derived(const char *path, struct cor_str pem, unsigned mode, struct cor_err *err) {
	return write_file(path, pem, mode, false, err);
}

int cor_pki_read_file(const char *path, struct cor_buf *ret, struct cor_err *err) {
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	_cleanup_buf_ struct cor_buf b = COR_BUF_INIT;

	if (fd < 0)
		return cor_fail_errno(err, errno, "%s", path);
	for (;;) {
		char *p = cor_buf_reserve(&b, 4096);
		ssize_t n = read(fd, p, 4096);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return cor_fail_errno(err, errno, "%s", path);
		if (n == 0)
			break;
		b.n += (size_t)n;
		if (b.n > FILE_MAX)
			return cor_fail(err, COR_E_LIMIT, "%s: larger than 1 MiB", path);
	}
	cor_buf_fini(ret);
	*ret = b;
	b = COR_BUF_INIT;
	return 0;
}
