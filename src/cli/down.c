// SPDX-License-Identifier: Apache-2.0
// coracle down, status, kubeconfig: the smaller commands about a cluster of this machine.
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <unistd.h>

#include "base/mem.h"
#include "cli/cli.h"
#include "cli/cluster.h"
#include "codec/codec.h"
#include "net/pki.h"
#include "network/pod_net.h"
#include "network/service_rules.h"
#include "node/runtime.h"
#include "node/volume.h"

enum { STOP_S = 90, GRACE_S = 10 };

struct common {
	const char *name, *data_dir, *output;
	bool purge;
	struct cor_cluster cluster;
};

/* What a command knows besides --name and --data-dir. */
enum extra { EXTRA_NONE, EXTRA_PURGE, EXTRA_OUTPUT };

static int read_common(int argc, char **argv, struct common *c, enum extra extra) {
	const struct cor_option opts[] = {
		{ "name", &c->name, NULL }, { "data-dir", &c->data_dir, NULL },
		extra == EXTRA_PURGE ? (struct cor_option){ "purge", NULL, &c->purge }
				     : (struct cor_option){ "o", &c->output, NULL },
	};
	struct cor_err err = { 0 };
	int words = 0;
	c->name = "default";
	if (cor_options(argc, argv, opts, extra == EXTRA_NONE ? 2 : 3, &words, &err) < 0 || words > 0) {
		(void)fprintf(stderr, "coracle %s: %s\n", argv[0], words > 0 ? "unexpected argument" : err.message);
		return 2;
	}
	if (cor_cluster_init(&c->cluster, c->name, c->data_dir, &err) < 0) {
		(void)fprintf(stderr, "coracle %s: %s\n", argv[0], err.message);
		return 2;
	}
	return 0;
}

/* ---- down ---- */

static int stop_supervisor(const struct cor_cluster *c, struct cor_err *err) {
	pid_t pid = cor_cluster_pid(c);
	if (pid <= 0)
		return 0;
	_cleanup_close_ int fd = pidfd_open(pid, 0);
	struct pollfd ended = { .fd = fd, .events = POLLIN };
	/* Its number may be somebody else's by now, but not that of the lock. */
	if (fd < 0 || cor_cluster_pid(c) != pid)
		return cor_cluster_pid(c) == 0 ? 0 : cor_fail(err, -EAGAIN, "cluster %s is being started", c->name);
	if (kill(pid, SIGTERM) < 0)
		return cor_fail_errno(err, errno, "cannot stop pid %d", (int)pid);
	if (poll(&ended, 1, STOP_S * 1000) <= 0)
		return cor_fail(err, COR_E_TIMEOUT, "pid %d does not stop", (int)pid);
	return 0;
}

/* What is ours in the data directory, and the directory when nothing else is in it. What is a disk of its own is
 * emptied and stays mounted: it is the user's. */
static int purge(const char *data_dir, struct cor_err *err) {
	static const char *const ours[] = { "node", "server", "kubeconfig", "log" };
	for (size_t i = 0; i < cor_countof(ours); i++) {
		_cleanup_free_ char *path = cor_asprintf("%s/%s", data_dir, ours[i]);
		int r = cor_volume_remove_tree(path, err);
		if (r < 0 && r != -EBUSY)
			return r;
	}
	if (rmdir(data_dir) < 0 && errno != ENOENT && errno != EBUSY && errno != ENOTEMPTY)
		return cor_fail_errno(err, errno, "remove %s", data_dir);
	return 0;
}

/* Goes on after a failure: what can be removed is; the first failure is the answer. */
static int clean(const struct common *c, struct cor_err *err) {
	_cleanup_free_ char *node = cor_asprintf("%s/node", c->cluster.data_dir);
	struct cor_err errs[5] = { 0 };
	int r[] = {
		cor_runtime_conmon_clean(c->cluster.name, node, c->cluster.run_dir, GRACE_S * COR_SECOND, &errs[0]),
		cor_pod_net_remove_all(c->cluster.name, c->cluster.run_dir, &errs[1]),
		cor_svc_rules_remove_all(c->cluster.name, &errs[2]),
		cor_volume_unmount_below(node, &errs[3]),
		cor_volume_unmount_below(c->cluster.run_dir, &errs[4]),
	};
	for (size_t i = 0; i < cor_countof(r); i++)
		if (r[i] < 0) {
			*err = errs[i];
			return r[i];
		}
	int removed = cor_volume_remove_tree(c->cluster.run_dir, err);
	return removed >= 0 && c->purge ? purge(c->cluster.data_dir, err) : removed;
}

int cor_cmd_down(int argc, char **argv) {
	struct common c = { 0 };
	struct cor_err err = { 0 };
	int r = read_common(argc, argv, &c, EXTRA_PURGE);
	if (r != 0)
		return r;
	if (geteuid() != 0) {
		(void)fprintf(stderr, "coracle down: must be root; try sudo coracle down\n");
		return 1;
	}
	if (stop_supervisor(&c.cluster, &err) < 0 || clean(&c, &err) < 0) {
		(void)fprintf(stderr, "coracle down: %s\n", err.message);
		return 1;
	}
	(void)printf("cluster %s is down%s.\n", c.cluster.name, c.purge ? ", its data removed" : "");
	cor_cluster_fini(&c.cluster);
	return 0;
}

/* ---- status, kubeconfig ---- */

/* Names and directories of ours need no escapes but the data directory, which the user chose. */
static void print_json(const struct common *c, pid_t pid) {
	_cleanup_buf_ struct cor_buf dir = COR_BUF_INIT;
	cor_json_write_str(&dir, cor_str_c(c->cluster.data_dir));
	(void)printf("{\"name\":\"%s\",\"running\":%s,\"pid\":%d,\"dataDir\":%.*s}\n", c->cluster.name,
		pid > 0 ? "true" : "false", (int)pid, COR_STR_ARG(cor_buf_view(&dir)));
}

int cor_cmd_status(int argc, char **argv) {
	struct common c = { 0 };
	int r = read_common(argc, argv, &c, EXTRA_OUTPUT);
	if (r != 0)
		return r;
	if (c.output && strcmp(c.output, "json") != 0) {
		(void)fprintf(stderr, "coracle status: -o %s: want json\n", c.output);
		return 2;
	}
	pid_t pid = cor_cluster_pid(&c.cluster);
	if (c.output)
		print_json(&c, pid);
	else if (pid > 0)
		(void)printf("cluster %s runs (supervisor pid %d), data in %s\n", c.cluster.name, (int)pid, c.cluster.data_dir);
	else
		(void)printf("cluster %s does not run\n", c.cluster.name);
	cor_cluster_fini(&c.cluster);
	return pid > 0 ? 0 : 1;
}

int cor_cmd_kubeconfig(int argc, char **argv) {
	struct common c = { 0 };
	struct cor_err err = { 0 };
	_cleanup_buf_ struct cor_buf b = COR_BUF_INIT;
	int r = read_common(argc, argv, &c, EXTRA_NONE);
	if (r != 0)
		return r;
	_cleanup_free_ char *path = cor_asprintf("%s/server/pki/admin.kubeconfig", c.cluster.data_dir);
	if (cor_pki_read_file(path, &b, &err) < 0) {
		(void)fprintf(stderr, "coracle kubeconfig: %s; was cluster %s ever up?\n", err.message, c.cluster.name);
		return 1;
	}
	(void)fwrite(b.p, 1, b.n, stdout);
	cor_cluster_fini(&c.cluster);
	return 0;
}
