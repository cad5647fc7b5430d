// SPDX-License-Identifier: Apache-2.0
// coracle-crun: runs crun on machines whose control groups are version 1 with an empty version 2
// tree beside them ("hybrid"), which crun refuses to look at. The tree is hidden from crun in a
// mount namespace of its own; mounts of the node still reach it. Used only on such machines.
// CORACLE_CRUN names the crun to run.
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <unistd.h>

int main(int argc, char **argv) {
	(void)argc;
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0 ||
		umount2("/sys/fs/cgroup/unified", MNT_DETACH) < 0) {
		perror("coracle-crun");
		return 125;
	}
	argv[0] = "crun";
	const char *crun = getenv("CORACLE_CRUN");
	(void)execvp(crun ? crun : argv[0], argv);
	perror("coracle-crun: crun");
	return 127;
}
