// SPDX-License-Identifier: Apache-2.0
// Real containers through the runtime interface: start, exit codes, signals, out of memory, exec,
// attach, logs, the agent killed and come back, nothing left over.
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "base/mem.h"
#include "rtlab.h"

#define ARGV(...) ((const char *const[]){ __VA_ARGS__, NULL })
#define SH(text) ARGV("/bin/sh", "-c", text)

static struct rtlab lab;

static int enter(void **state) {
	(void)state;
	rtlab_enter(&lab);
	return 0;
}

static int leave(void **state) {
	(void)state;
	rtlab_leave(&lab);
	return 0;
}

static void assert_has(const struct cor_buf *b, const char *text) {
	if (!cor_str_contains(cor_buf_view(b), cor_str_c(text)))
		fail_msg("no \"%s\" in \"%.*s\"", text, (int)b->n, b->p);
}

static void exits(void **state) {
	(void)state;
	static const struct {
		const char *command;
		int code, signal;
		const char *reason, *log;
	} cases[] = {
		{ "echo hello; echo oops >&2", 0, 0, "Completed", "hello\noops\n" },
		{ "exit 3", 3, 0, "Error", "" },
		{ "sh -c 'kill -9 $$'; exit 7", 7, 0, "Error", "Killed\n" },
		{ "printf 'no newline'", 0, 0, "Completed", "no newline" },
	};
	for (size_t i = 0; i < cor_countof(cases); i++) {
		struct cor_container_spec spec = rtlab_spec(&lab, SH(cases[i].command));
		struct cor_container *c = rtlab_start(&lab, &spec, NULL);
		rtlab_wait_exit(&lab, c);
		_cleanup_buf_ struct cor_buf log = COR_BUF_INIT;
		rtlab_log(c, &log);
		assert_int_equal(c->exit_code, cases[i].code);
		assert_int_equal(c->signal, cases[i].signal);
		assert_string_equal(c->reason, cases[i].reason);
		assert_string_equal(log.p, cases[i].log);
		assert_true(c->started_at >= c->created_at && c->finished_at >= c->started_at);
		rtlab_remove(&lab, c);
		assert_null(lab.rt->ops->find(lab.rt, spec.id));
	}
}

static void start_errors(void **state) {
	(void)state;
	static const struct {
		const char *program, *message;
	} cases[] = {
		{ "nosuch", "exec: \"nosuch\": executable file not found in $PATH" },
		{ "/no/such", "exec: \"/no/such\": stat: no such file or directory" },
		{ "/etc/noexec", "exec: permission denied" },
	};
	for (size_t i = 0; i < cor_countof(cases); i++) {
		struct cor_err err = { 0 };
		struct cor_container_spec spec = rtlab_spec(&lab, ARGV(cases[i].program));
		struct cor_container *c = rtlab_start(&lab, &spec, &err);
		assert_non_null(c);
		assert_string_equal(err.message, cases[i].message);
		assert_string_equal(c->reason, "StartError");
		assert_string_equal(c->message, cases[i].message);
		assert_int_equal(c->exit_code, 128);
		rtlab_remove(&lab, c);
	}
	struct cor_err err = { 0 };
	struct cor_container_spec spec = rtlab_spec(&lab, SH("true"));
	spec.cap_add = ARGV("NO_SUCH");
	assert_null(rtlab_start(&lab, &spec, &err));
	assert_int_equal(err.code, COR_E_INVALID);
}

static void stops(void **state) {
	(void)state;
	/* Ends on TERM. */
	struct cor_container_spec spec =
		rtlab_spec(&lab, SH("trap 'echo bye; exit 5' TERM; echo up; while :; do sleep 0.05; done"));
	struct cor_container *c = rtlab_start(&lab, &spec, NULL);
	_cleanup_buf_ struct cor_buf log = COR_BUF_INIT;
	for (int i = 0; i < 400 && log.n == 0; i++) {
		rtlab_run(&lab, 5);
		rtlab_log(c, &log);
	}
	unsigned before = lab.exits;
	lab.rt->ops->stop(lab.rt, c, SIGTERM, 15 * COR_SECOND);
	rtlab_wait_exit(&lab, c);
	assert_int_equal(c->exit_code, 5);
	assert_int_equal(lab.exits, before + 1);
	assert_string_equal(lab.last_exited, c->id);
	/* Does not: the grace is over after 100 ms, which a longer one cannot prolong. */
	spec = rtlab_spec(&lab, ARGV("sleep", "1000"));
	c = rtlab_start(&lab, &spec, NULL);
	lab.rt->ops->stop(lab.rt, c, SIGTERM, COR_SECOND / 10);
	lab.rt->ops->stop(lab.rt, c, SIGTERM, COR_HOUR);
	rtlab_wait_exit(&lab, c);
	assert_int_equal(c->exit_code, 137);
	assert_int_equal(c->signal, SIGKILL);
	assert_false(c->oom_killed);
}

static void out_of_memory(void **state) {
	(void)state;
	struct cor_container_spec spec = rtlab_spec(&lab, ARGV("dd", "if=/dev/zero", "of=/dev/null", "bs=200M"));
	spec.resources.memory_limit = 30 << 20;
	struct cor_err err = { 0 };
	const struct cor_resources pod = { .memory_limit = 40 << 20, .cpu_request_milli = 100 };
	assert_int_equal(lab.rt->ops->pod_cgroup(lab.rt, "uid1", COR_QOS_BURSTABLE, &pod, &err), 0);
	struct cor_container *c = rtlab_start(&lab, &spec, NULL);
	rtlab_wait_exit(&lab, c);
	assert_int_equal(c->exit_code, 137);
	assert_true(c->oom_killed);
	assert_string_equal(c->reason, "OOMKilled");
}

static void execs(void **state) {
	(void)state;
	struct cor_container_spec spec = rtlab_spec(&lab, ARGV("sleep", "1000"));
	const struct cor_kv env[] = { { COR_STR_INIT("COLOUR"), COR_STR_INIT("blue = green") } };
	spec.env = env;
	spec.n_env = 1;
	spec.uid = 1000;
	spec.gid = 2000;
	spec.groups = (const uint32_t[]){ 3000, 3001 };
	spec.n_groups = 2;
	spec.cwd = "/work/here";
	struct cor_container *c = rtlab_start(&lab, &spec, NULL);
	struct rtlab_exec x;
	rtlab_exec(&lab, c, SH("echo \"$COLOUR\"; id; pwd; echo bad >&2; exit 9"), &x);
	assert_int_equal(x.error.code, 0);
	assert_int_equal(x.code, 9);
	assert_string_equal(x.out.p, "blue = green\nuid=1000 gid=2000 groups=3000,3001\n/work/here\n");
	assert_string_equal(x.err.p, "bad\n");
	rtlab_exec_fini(&x);

	rtlab_exec(&lab, c, ARGV("nosuch", "arg"), &x);
	assert_int_equal(x.error.code, COR_E_NOT_FOUND);
	assert_int_equal(x.code, 127);
	assert_string_equal(x.error.message, "exec: \"nosuch\": executable file not found in $PATH");
	rtlab_exec_fini(&x);

	/* stdin, in more than a pipe holds. */
	struct cor_session *s = rtlab_exec_begin(&lab, c,
		(struct cor_exec_config){ .argv = SH("cat; echo end"), .stdin_open = true }, &x);
	_cleanup_free_ char *big = cor_calloc(1, 300000);
	memset(big, 'x', 299999);
	big[299999] = '\n';
	(void)cor_session_write(s, (struct cor_str){ big, 300000 });
	cor_session_close_stdin(s);
	rtlab_until(&lab, &x.done);
	assert_int_equal(x.code, 0);
	assert_int_equal(x.out.n, 300004);
	rtlab_exec_fini(&x);

	/* A deadline. */
	(void)rtlab_exec_begin(&lab, c,
		(struct cor_exec_config){ .argv = SH("sleep 998 & sleep 999"), .timeout = COR_SECOND / 4 }, &x);
	rtlab_until(&lab, &x.done);
	assert_int_equal(x.error.code, COR_E_TIMEOUT);
	rtlab_exec_fini(&x);
	rtlab_exec(&lab, c, SH("ps -o args | grep -c '[s]leep 99'"), &x);
	assert_string_equal(x.out.p, "0\n");
	rtlab_exec_fini(&x);

	/* The other side goes away. */
	s = rtlab_exec_begin(&lab, c, (struct cor_exec_config){ .argv = ARGV("sleep", "997") }, &x);
	rtlab_run(&lab, 50);
	cor_session_cancel(s);
	for (int i = 0; i < 100; i++) {
		rtlab_exec(&lab, c, SH("ps -o args | grep -c '[s]leep 997'"), &x);
		bool gone = x.out.p[0] == '0';
		rtlab_exec_fini(&x);
		if (gone)
			return;
	}
	fail_msg("the command goes on after it was cancelled");
}

static void exec_terminal(void **state) {
	(void)state;
	struct cor_container_spec spec = rtlab_spec(&lab, ARGV("sleep", "1000"));
	struct cor_container *c = rtlab_start(&lab, &spec, NULL);
	struct rtlab_exec x;
	struct cor_session *s = rtlab_exec_begin(&lab, c, (struct cor_exec_config){ .argv = SH("read line; echo got $line; stty size; exit 4"),
		.tty = true, .stdin_open = true }, &x);
	cor_session_resize(s, 123, 45);
	for (int i = 0; i < 1000 && !x.done; i++) {     /* typed until the terminal is there and echoes */
		if (x.out.n == 0)
			(void)cor_session_write(s, COR_STR("word\n"));
		rtlab_run(&lab, 10);
	}
	assert_true(x.done);
	assert_int_equal(x.code, 4);
	assert_has(&x.out, "got word\r\n");
	assert_has(&x.out, "45 123\r\n");
	rtlab_exec_fini(&x);
}

static void attaches(void **state) {
	(void)state;
	static const bool ttys[] = { false, true };
	for (size_t i = 0; i < cor_countof(ttys); i++) {
		struct cor_container_spec spec =
			rtlab_spec(&lab, SH("while read line; do echo got $line; [ $line = end ] && exit 6; done"));
		spec.tty = ttys[i];
		spec.stdin_open = true;
		struct cor_container *c = rtlab_start(&lab, &spec, NULL);
		struct rtlab_exec x = { 0 };
		struct cor_err err = { 0 };
		struct cor_attach_config cfg = { .stdin_open = true, .out = true, .err = true, .arg = &x };
		cfg.ops = rtlab_session_ops;
		struct cor_session *s = lab.rt->ops->attach(lab.rt, c, &cfg, &err);
		if (!s)
			fail_msg("attach: %s", err.message);
		cor_session_resize(s, 90, 30);
		(void)cor_session_write(s, COR_STR("one\n"));
		(void)cor_session_write(s, COR_STR("end\n"));
		rtlab_until(&lab, &x.done);
		assert_has(&x.out, ttys[i] ? "got one\r\ngot end\r\n" : "got one\ngot end\n");
		rtlab_wait_exit(&lab, c);
		assert_int_equal(c->exit_code, 6);
		rtlab_exec_fini(&x);
	}
}

static void stdin_once(void **state) {
	(void)state;
	struct cor_container_spec spec = rtlab_spec(&lab, SH("cat; echo eof"));
	spec.stdin_open = spec.stdin_once = true;
	struct cor_container *c = rtlab_start(&lab, &spec, NULL);
	struct rtlab_exec x = { 0 };
	struct cor_attach_config cfg = { .stdin_open = true, .out = true, .arg = &x };
	cfg.ops = rtlab_session_ops;
	struct cor_session *s = lab.rt->ops->attach(lab.rt, c, &cfg, NULL);
	assert_non_null(s);
	(void)cor_session_write(s, COR_STR("text\n"));
	cor_session_close_stdin(s);
	rtlab_until(&lab, &x.done);
	assert_string_equal(x.out.p, "text\neof\n");
	rtlab_wait_exit(&lab, c);
	rtlab_exec_fini(&x);
}

static void security(void **state) {
	(void)state;
	struct cor_container_spec spec = rtlab_spec(&lab, ARGV("sleep", "1000"));
	spec.read_only_root = true;
	spec.no_new_privileges = true;
	spec.cap_drop = ARGV("ALL");
	spec.cap_add = ARGV("NET_BIND_SERVICE");
	spec.seccomp = COR_SECCOMP_RUNTIME_DEFAULT;
	spec.resources = (struct cor_resources){ .cpu_limit_milli = 500, .memory_limit = 64 << 20, .pids_limit = 50 };
	struct cor_container *c = rtlab_start(&lab, &spec, NULL);
	struct rtlab_exec x;
	rtlab_exec(&lab, c, SH("grep -E 'CapBnd|NoNewPrivs|Seccomp:' /proc/self/status"), &x);
	assert_has(&x.out, "CapBnd:\t0000000000000400\n");
	assert_has(&x.out, "NoNewPrivs:\t1\n");
	assert_has(&x.out, "Seccomp:\t2\n");
	rtlab_exec_fini(&x);
	rtlab_exec(&lab, c, SH("touch /file; unshare -m true; touch /sys/x; cat /proc/kcore | head -c 1; "
		"touch /dev/shm/ok && echo shm"), &x);
	assert_has(&x.err, "/file: Read-only file system");
	assert_has(&x.err, "unshare(0x20000): Operation not permitted");
	assert_string_equal(x.out.p, "shm\n");
	rtlab_exec_fini(&x);
	/* Limits can be seen from inside, and changed while it runs. */
	const struct cor_resources more = { .cpu_limit_milli = 700, .cpu_request_milli = 300, .memory_limit = 96 << 20 };
	static const char *const limits =
		"cd /sys/fs/cgroup; cat memory/memory.limit_in_bytes cpu/cpu.cfs_quota_us 2>/dev/null || cat memory.max cpu.max";
	rtlab_exec(&lab, c, SH(limits), &x);
	assert_has(&x.out, "67108864\n50000");
	rtlab_exec_fini(&x);
	assert_int_equal(lab.rt->ops->update(lab.rt, c, &more, NULL), 0);
	rtlab_exec(&lab, c, SH(limits), &x);
	assert_has(&x.out, "100663296\n70000");
	rtlab_exec_fini(&x);
	struct cor_container_stats stats = { 0 };
	assert_int_equal(lab.rt->ops->stats(lab.rt, c, &stats, NULL), 0);
	assert_int_equal(stats.memory_limit, 96 << 20);
	assert_true(stats.cpu_usage_ns > 0 && stats.memory_usage > 0 && stats.pids >= 1);
}

static void privileged(void **state) {
	(void)state;
	struct cor_container_spec spec = rtlab_spec(&lab, ARGV("sleep", "1000"));
	spec.privileged = true;
	struct cor_container *c = rtlab_start(&lab, &spec, NULL);
	struct rtlab_exec x;
	rtlab_exec(&lab, c, SH("mkdir /tmp/m; mount -t tmpfs t /tmp/m && stat -c %F /dev/kmsg"), &x);
	assert_string_equal(x.out.p, "character special file\n");
	rtlab_exec_fini(&x);
}

static void mounts(void **state) {
	(void)state;
	char dir[160], sub[200];
	(void)snprintf(dir, sizeof(dir), "%s/vol", lab.dir);
	(void)snprintf(sub, sizeof(sub), "%s/vol2", lab.dir);
	assert_int_equal(mkdir(dir, 0777), 0);
	assert_int_equal(mkdir(sub, 0777), 0);
	/* The one below is given first. */
	const struct cor_mount list[] = {
		{ .source = sub, .destination = "/data/inner/deep" },
		{ .source = dir, .destination = "/data", .propagation = COR_PROPAGATION_HOST_TO_CONTAINER },
		{ .source = dir, .destination = "/ro", .read_only = true, .recursive_read_only = true },
	};
	struct cor_container_spec spec = rtlab_spec(&lab,
		SH("touch /data/a /data/inner/deep/b && ls /ro; touch /ro/c; ls -d /data/inner/deep/b"));
	spec.mounts = list;
	spec.n_mounts = cor_countof(list);
	struct cor_container *c = rtlab_start(&lab, &spec, NULL);
	rtlab_wait_exit(&lab, c);
	_cleanup_buf_ struct cor_buf log = COR_BUF_INIT;
	rtlab_log(c, &log);
	assert_has(&log, "a\ninner\n");
	assert_has(&log, "/ro/c: Read-only file system");
	assert_has(&log, "/data/inner/deep/b\n");
}

/* An agent that starts three containers and is then killed without warning. */
static void doomed_agent(int out) {
	static const char *const commands[] = { "sleep 1000", "sleep 0.3; exit 8", "exit 2" };
	rtlab_open(&lab);
	for (size_t i = 0; i < cor_countof(commands); i++) {
		struct cor_container_spec spec = rtlab_spec(&lab, SH(commands[i]));
		const struct cor_kv labels[] = { { COR_STR_INIT("k"), COR_STR_INIT("v \"x\"\n") } };
		spec.labels = labels;
		spec.n_labels = 1;
		spec.attempt = 3;
		struct cor_container *c = rtlab_start(&lab, &spec, NULL);
		if (i == 2)
			rtlab_wait_exit(&lab, c);
		if (write(out, c->id, COR_CONTAINER_ID_MAX) < 0)
			_exit(1);
	}
	(void)pause();
}

static void agent_killed(void **state) {
	(void)state;
	char ids[3][COR_CONTAINER_ID_MAX];
	int fds[2];
	assert_int_equal(pipe(fds), 0);
	rtlab_close(&lab);
	pid_t agent = fork();
	assert_true(agent >= 0);
	if (agent == 0) {
		doomed_agent(fds[1]);
		_exit(1);
	}
	(void)close(fds[1]);
	for (int i = 0; i < 3; i++)
		assert_int_equal(read(fds[0], ids[i], sizeof(ids[i])), sizeof(ids[i]));
	(void)close(fds[0]);
	assert_int_equal(kill(agent, SIGKILL), 0);
	assert_int_equal(waitpid(agent, NULL, 0), agent);
	rtlab_open(&lab);
	struct cor_container *c[3];
	for (int i = 0; i < 3; i++) {
		c[i] = lab.rt->ops->find(lab.rt, ids[i]);
		assert_non_null(c[i]);
		assert_int_equal(c[i]->attempt, 3);
		assert_int_equal(c[i]->n_labels, 1);
		assert_true(cor_str_eq(c[i]->labels[0].value, COR_STR("v \"x\"\n")));
		assert_true(c[i]->started_at > 0);
	}
	rtlab_wait_exit(&lab, c[1]);
	assert_int_equal(c[1]->exit_code, 8);
	assert_int_equal(c[2]->phase, COR_CONTAINER_EXITED);
	assert_int_equal(c[2]->exit_code, 2);
	assert_int_equal(c[0]->phase, COR_CONTAINER_RUNNING);
	struct rtlab_exec x;
	rtlab_exec(&lab, c[0], ARGV("echo", "still here"), &x);
	assert_string_equal(x.out.p, "still here\n");
	rtlab_exec_fini(&x);
	lab.rt->ops->stop(lab.rt, c[0], SIGTERM, 0);
	rtlab_wait_exit(&lab, c[0]);
	assert_int_equal(c[0]->exit_code, 137);
}

static void ignore_start(void *arg, struct cor_container *c, const struct cor_err *err) {
	(void)arg;
	(void)c;
	(void)err;
}

static void agent_starting(void) {
	rtlab_open(&lab);
	struct cor_container_spec spec = rtlab_spec(&lab, ARGV("sleep", "1000"));
	(void)lab.rt->ops->start(lab.rt, &spec, ignore_start, NULL, NULL);
	rtlab_run(&lab, 20000);
}

/* Killed at any moment of a start: what has begun, or was about to, runs; the rest never was. */
static void agent_killed_while_starting(void **state) {
	(void)state;
	int running = 0, over = 0;
	rtlab_close(&lab);
	/* On a busy machine it takes a long time until one runs. */
	for (int ms = 2; ms < 60 || (running == 0 && ms < 10000); ms += ms < 60 ? 3 : ms) {
		pid_t agent = fork();
		assert_true(agent >= 0);
		if (agent == 0) {
			agent_starting();
			_exit(0);
		}
		(void)usleep((useconds_t)ms * 1000);
		assert_int_equal(kill(agent, SIGKILL), 0);
		assert_int_equal(waitpid(agent, NULL, 0), agent);
		rtlab_open(&lab);
		rtlab_run(&lab, 30);
		struct cor_container *c;
		for (size_t it = 0; (c = lab.rt->ops->next(lab.rt, &it)); it = 0) {
			if (c->phase == COR_CONTAINER_RUNNING)
				running++;
			else
				over++;
			assert_int_not_equal(c->phase, COR_CONTAINER_STARTING);
			if (c->phase == COR_CONTAINER_RUNNING && c->started_at) {
				struct rtlab_exec x;
				rtlab_exec(&lab, c, ARGV("echo", "alive"), &x);
				assert_string_equal(x.out.p, "alive\n");
				rtlab_exec_fini(&x);
			}
			rtlab_remove(&lab, c);
		}
		rtlab_close(&lab);
	}
	print_message("found %d running, %d over\n", running, over);
	assert_true(running > 0);
	assert_int_equal(over, 0);
	rtlab_open(&lab);
}

/* It ended while no agent was there: reported once, by the next. */
static void exit_while_away(void **state) {
	(void)state;
	struct cor_container_spec spec = rtlab_spec(&lab, SH("sleep 0.2; exit 11"));
	struct cor_container *c = rtlab_start(&lab, &spec, NULL);
	char dir[256];
	(void)snprintf(dir, sizeof(dir), "%s/containers/%s/exit", lab.data, spec.id);
	rtlab_close(&lab);
	for (int i = 0; i < 2000 && access(dir, F_OK) != 0; i++)
		(void)usleep(5000);
	lab.exits = 0;
	rtlab_open(&lab);
	c = lab.rt->ops->find(lab.rt, spec.id);
	assert_non_null(c);
	rtlab_wait_exit(&lab, c);
	rtlab_run(&lab, 50);
	assert_int_equal(c->exit_code, 11);
	assert_int_equal(lab.exits, 1);
}

/* conmon itself is killed: the container must not run on unwatched. */
static void conmon_killed(void **state) {
	(void)state;
	struct cor_container_spec spec = rtlab_spec(&lab, ARGV("sleep", "1000"));
	struct cor_container *c = rtlab_start(&lab, &spec, NULL);
	pid_t pid = c->pid;
	char path[64], text[512];
	(void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	FILE *f = fopen(path, "re");
	assert_non_null(f);
	assert_non_null(fgets(text, sizeof(text), f));
	(void)fclose(f);
	int parent = 0;
	assert_int_equal(sscanf(strrchr(text, ')') + 1, " %*c %d", &parent), 1);
	assert_true(parent > 1);
	assert_int_equal(kill(parent, SIGKILL), 0);
	rtlab_wait_exit(&lab, c);
	assert_string_equal(c->reason, "ContainerStatusUnknown");
	assert_int_equal(c->exit_code, 137);
}

static void ignore_exit(void *arg, struct cor_container *c) {
	(void)arg;
	(void)c;
}

/* "coracle down" after the agent has died: waits as long as allowed for a program that hears SIGTERM, here
 * without end, and not at all for those that do not. */
static void cleaned(void **state) {
	(void)state;
	struct cor_err err = { 0 };
	static const char *const deaf[] = { "/bin/sleep", "1000", NULL };
	struct cor_container_spec specs[] = {
		rtlab_spec(&lab, SH("trap '' TERM; sleep 1000")),
		rtlab_spec(&lab, deaf),
		rtlab_spec(&lab, SH("trap 'sleep 0.3; echo heard; exit' TERM; echo up; while :; do sleep 0.1; done")),
	};
	pid_t pids[cor_countof(specs)];
	struct cor_container *c = NULL;
	for (size_t i = 0; i < cor_countof(specs); i++) {
		c = rtlab_start(&lab, &specs[i], NULL);
		pids[i] = c->pid;
	}
	_cleanup_buf_ struct cor_buf log = COR_BUF_INIT;
	for (int i = 0; i < 400 && log.n == 0; i++) {
		rtlab_run(&lab, 10);
		rtlab_log(c, &log);
	}
	_cleanup_free_ char *path = cor_strdup(c->log_path);
	lab.rt->ops->free(lab.rt);
	if (cor_runtime_conmon_clean(lab.cluster, lab.data, lab.run, COR_HOUR, &err) < 0)
		fail_msg("%s", err.message);
	for (size_t i = 0; i < cor_countof(pids); i++) {
		char cwd[64];
		(void)snprintf(cwd, sizeof(cwd), "/proc/%d/cwd", (int)pids[i]);
		assert_int_equal(access(cwd, F_OK), -1);
	}
	char text[4096] = "";
	FILE *f = fopen(path, "re");
	assert_non_null(f);
	(void)!fread(text, 1, sizeof(text) - 1, f);
	(void)fclose(f);
	assert_non_null(strstr(text, "heard"));
	const struct cor_runtime_config cfg = { .loop = &lab.loop, .world = lab.world,
		.cluster = lab.cluster, .data_dir = lab.data, .run_dir = lab.run,
		.hybrid_helper = getenv("COR_HYBRID_CRUN"), .events = { ignore_exit, NULL } };
	assert_int_equal(cor_runtime_conmon_new(&cfg, &lab.rt, &err), 0);
	size_t it = 0;
	assert_null(lab.rt->ops->next(lab.rt, &it));
}

static void many_at_once(void **state) {
	(void)state;
	enum { N = 8 };
	struct cor_container *c[N];
	for (int i = 0; i < N; i++) {
		struct cor_container_spec spec = rtlab_spec(&lab, ARGV("sleep", "1000"));
		cor_time t = lab.world->monotonic(lab.world);
		c[i] = rtlab_start(&lab, &spec, NULL);
		print_message("start: %lld us\n", (long long)(lab.world->monotonic(lab.world) - t));
	}
	for (int i = 0; i < N; i++)
		rtlab_remove(&lab, c[i]);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(exits, enter, leave),
		cmocka_unit_test_setup_teardown(start_errors, enter, leave),
		cmocka_unit_test_setup_teardown(stops, enter, leave),
		cmocka_unit_test_setup_teardown(out_of_memory, enter, leave),
		cmocka_unit_test_setup_teardown(execs, enter, leave),
		cmocka_unit_test_setup_teardown(exec_terminal, enter, leave),
		cmocka_unit_test_setup_teardown(attaches, enter, leave),
		cmocka_unit_test_setup_teardown(stdin_once, enter, leave),
		cmocka_unit_test_setup_teardown(security, enter, leave),
		cmocka_unit_test_setup_teardown(privileged, enter, leave),
		cmocka_unit_test_setup_teardown(mounts, enter, leave),
		cmocka_unit_test_setup_teardown(agent_killed, enter, leave),
		cmocka_unit_test_setup_teardown(agent_killed_while_starting, enter, leave),
		cmocka_unit_test_setup_teardown(exit_while_away, enter, leave),
		cmocka_unit_test_setup_teardown(conmon_killed, enter, leave),
		cmocka_unit_test_setup_teardown(cleaned, enter, leave),
		cmocka_unit_test_setup_teardown(many_at_once, enter, leave),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
