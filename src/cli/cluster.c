// SPDX-License-Identifier: Apache-2.0
// Directories and lock of a cluster: see cluster.h.
#include "cli/cluster.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "codec/names.h"

enum { NAME_MAX_BYTES = 20, HOLD_TRIES = 2000, HOLD_PAUSE_MS = 10 };

int cor_cluster_init(struct cor_cluster *c, const char *name, const char *data_dir, struct cor_err *err) {
	struct cor_str n = cor_str_c(name);
	if (n.n == 0 || n.n > NAME_MAX_BYTES || cor_check_dns_label(n).n > 0)
		return cor_fail(err, COR_E_INVALID, "--name %s: want at most %d lower-case letters, digits and dashes", name,
			NAME_MAX_BYTES);
	c->name = name;
	c->data_dir = data_dir ? cor_strdup(data_dir) : cor_asprintf("/var/lib/coracle/%s", name);
	c->run_dir = cor_asprintf("/run/coracle/%s", name);
	return 0;
}

void cor_cluster_fini(struct cor_cluster *c) {
	free(c->data_dir);
	free(c->run_dir);
}

int cor_make_dirs(const char *path, mode_t mode, struct cor_err *err) {
	_cleanup_free_ char *copy = cor_strdup(path);
	for (char *p = copy + 1;; p++) {
		if (*p != '/' && *p != '\0')
			continue;
		char end = *p;
		*p = '\0';
		if (mkdir(copy, end ? 0755 : mode) < 0 && errno != EEXIST)
			return cor_fail_errno(err, errno, "cannot make %s", copy);
		if (!end)
			return 0;
		*p = end;
	}
}

static char *pid_path(const struct cor_cluster *c) {
	return cor_asprintf("%s/pid", c->run_dir);
}

pid_t cor_cluster_pid(const struct cor_cluster *c) {
	_cleanup_free_ char *path = pid_path(c);
	_cleanup_close_ int fd = open(path, O_RDWR | O_CLOEXEC);
	struct flock l = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	if (fd < 0 || fcntl(fd, F_GETLK, &l) < 0 || l.l_type == F_UNLCK)
		return 0;
	return l.l_pid;
}

int cor_cluster_lock(const struct cor_cluster *c, int *ret_fd, struct cor_err *err) {
	_cleanup_free_ char *path = pid_path(c);
	_cleanup_close_ int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	struct flock l = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	if (fd < 0)
		return cor_fail_errno(err, errno, "%s", path);
	if (fcntl(fd, F_SETLK, &l) < 0)
		return cor_fail(err, -EAGAIN, "cluster %s runs already", c->name);
	if (ftruncate(fd, 0) < 0 || dprintf(fd, "%d\n", (int)getpid()) < 0)
		return cor_fail_errno(err, errno, "%s", path);
	*ret_fd = cor_take_fd(fd);
	return 0;
}

int cor_hold_dir(const char *dir, int *ret_fd, struct cor_err *err) {
	_cleanup_free_ char *path = cor_asprintf("%s/lock", dir);
	/* flock() wants no right to write, so it does not matter who has made the file. */
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CREAT | O_CLOEXEC, 0644);
	if (fd < 0)
		return cor_fail_errno(err, errno, "%s", path);
	for (int i = 0; flock(fd, LOCK_EX | LOCK_NB) < 0; i++) {
		if (errno != EWOULDBLOCK)
			return cor_fail_errno(err, errno, "%s", path);
		if (i == HOLD_TRIES)
			return cor_fail(err, -EBUSY, "another process works in %s and does not end", dir);
		(void)poll(NULL, 0, HOLD_PAUSE_MS);
	}
	*ret_fd = cor_take_fd(fd);
	return 0;
}
