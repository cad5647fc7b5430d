// SPDX-License-Identifier: Apache-2.0
// The network laboratory: every server and client is a child of its own, which enters its network
// namespace and dies with the test.
#include "netlab.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void die(const char *what) {
	fprintf(stderr, "netlab: %s: %s\n", what, strerror(errno));
	exit(99);
}

void lab_enter(const char *run_dir) {
	if (unshare(CLONE_NEWNET | CLONE_NEWNS) < 0)
		die("unshare (these tests need root)");
	if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		die("make mounts private");
	if (mkdir(run_dir, 0700) < 0 && errno != EEXIST)
		die(run_dir);
	if (mount("tmpfs", run_dir, "tmpfs", 0, NULL) < 0)
		die("mount run directory");
}

static void enter(const char *netns) {
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (!netns)
		return;
	int fd = open(netns, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || setns(fd, CLONE_NEWNET) < 0)
		die(netns);
	close(fd);
}

void lab_netns(const char *path) {
	pid_t pid = fork();
	if (pid == 0) {
		if (unshare(CLONE_NEWNET) < 0)
			die("unshare");
		int fd = open(path, O_CREAT | O_RDONLY | O_CLOEXEC, 0400);
		close(fd);
		if (mount("/proc/self/ns/net", path, NULL, MS_BIND, NULL) < 0)
			die(path);
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	if (lab_sh(path, "ip link set lo up") != 0)
		die("new network namespace");
}

static struct sockaddr_in address(const char *ip, int port) {
	struct sockaddr_in sa = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	if (ip && inet_pton(AF_INET, ip, &sa.sin_addr) != 1)
		die(ip);
	return sa;
}

static int listener(int type, const char *ip, int port) {
	struct sockaddr_in sa = address(ip, port);
	int on = 1, fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (fd < 0 || bind(fd, (void *)&sa, sizeof(sa)) < 0)
		die("bind");
	if (type == SOCK_STREAM && listen(fd, 16) < 0)
		die("listen");
	return fd;
}

static void serve(int tcp, int udp, const char *name) {
	for (;;) {
		struct pollfd fds[2] = { { .fd = tcp, .events = POLLIN }, { .fd = udp, .events = POLLIN } };
		struct sockaddr_in peer = { 0 };
		socklen_t len = sizeof(peer);
		char line[200], ip[INET_ADDRSTRLEN], in[64];
		if (poll(fds, 2, -1) < 0)
			_exit(1);
		int conn = -1;
		if (fds[0].revents)
			conn = accept(tcp, (void *)&peer, &len);
		else if (recvfrom(udp, in, sizeof(in), 0, (void *)&peer, &len) < 0)
			continue;
		inet_ntop(AF_INET, &peer.sin_addr, ip, sizeof(ip));
		int n = snprintf(line, sizeof(line), "%s %s", name, ip);
		if (conn < 0) {
			(void)!sendto(udp, line, (size_t)n, 0, (void *)&peer, len);
			continue;
		}
		(void)!write(conn, line, (size_t)n);
		close(conn);
	}
}

pid_t lab_serve(const char *netns, const char *ip, int port, const char *name) {
	int ready[2];
	if (pipe2(ready, O_CLOEXEC) < 0)
		die("pipe");
	pid_t pid = fork();
	if (pid == 0) {
		enter(netns);
		int tcp = listener(SOCK_STREAM, ip, port), udp = listener(SOCK_DGRAM, ip, port);
		(void)!write(ready[1], "", 1);
		serve(tcp, udp, name);
	}
	close(ready[1]);
	char byte;
	if (read(ready[0], &byte, 1) != 1)
		die("server did not start");
	close(ready[0]);
	return pid;
}

void lab_stop(pid_t server) {
	kill(server, SIGKILL);
	waitpid(server, NULL, 0);
}

static int wait_for(int fd, short events) {
	struct pollfd p = { .fd = fd, .events = events };
	int rc = poll(&p, 1, 1000), error = 0;
	socklen_t len = sizeof(error);
	if (rc == 0)
		return ETIMEDOUT;
	getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len);
	return error;
}

static int ask(int fd, enum lab_proto proto, struct sockaddr_in to, char *out, size_t cap) {
	if (connect(fd, (void *)&to, sizeof(to)) < 0 && errno != EINPROGRESS)
		return errno;
	int error = proto == LAB_TCP ? wait_for(fd, POLLOUT) : 0;
	if (error)
		return error;
	if (proto == LAB_UDP && send(fd, "?", 1, 0) < 0)
		return errno;
	error = wait_for(fd, POLLIN);
	if (error)
		return error;
	ssize_t n = recv(fd, out, cap - 1, 0);
	if (n < 0)
		return errno;
	out[n] = '\0';
	return n == 0 ? EPIPE : 0;
}

int lab_ask(const char *netns, enum lab_proto proto, const char *src, int src_port, const char *ip,
	int port, char *out, size_t cap) {
	int result[2], error = EIO;
	if (pipe2(result, O_CLOEXEC) < 0)
		die("pipe");
	memset(out, 0, cap);
	pid_t pid = fork();
	if (pid == 0) {
		enter(netns);
		char answer[300] = { 0 };
		struct sockaddr_in from = address(src, src_port);
		int on = 1, type = proto == LAB_TCP ? SOCK_STREAM : SOCK_DGRAM;
		int fd = socket(AF_INET, type | SOCK_NONBLOCK, 0);
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
		error = bind(fd, (void *)&from, sizeof(from)) < 0 ? errno
			: ask(fd, proto, address(ip, port), answer, sizeof(answer));
		(void)!write(result[1], &error, sizeof(error));
		(void)!write(result[1], answer, strlen(answer));
		_exit(0);
	}
	close(result[1]);
	if (read(result[0], &error, sizeof(error)) == sizeof(error))
		(void)!read(result[0], out, cap - 1);
	close(result[0]);
	waitpid(pid, NULL, 0);
	return error;
}

int lab_sh(const char *netns, const char *command) {
	pid_t pid = fork();
	if (pid == 0) {
		enter(netns);
		int null = open("/dev/null", O_RDWR);
		dup2(null, 1);
		dup2(null, 2);
		execl("/bin/sh", "sh", "-c", command, NULL);
		_exit(127);
	}
	int status;
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}
