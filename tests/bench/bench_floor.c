// SPDX-License-Identifier: Apache-2.0
// The floor under every pod start: clone() and execve() of one program, timed until the execve has
// happened; once as an ordinary process, once in the namespaces that a container gets. Prints
// microseconds, one start a line: "bare N" and "namespaces N".
//   bench_floor ROUNDS PROGRAM [ARGUMENT]...
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double now_us(void) {
	struct timespec t;
	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

struct start {
	char **argv;
	int tell; /* closed by execve */
};

static int child(void *arg) {
	struct start *s = arg;
	(void)execv(s->argv[0], s->argv);
	/* Only a failure says anything. */
	(void)!write(s->tell, "x", 1);
	return 127;
}

static double once(char **argv, int flags) {
	static char stack[64 * 1024] __attribute__((aligned(16)));
	int p[2];
	char c;
	if (pipe2(p, O_CLOEXEC) < 0)
		exit(1);
	struct start s = { argv, p[1] };
	double from = now_us();
	pid_t pid = clone(child, stack + sizeof(stack), flags | SIGCHLD, &s);
	if (pid < 0) {
		perror("bench_floor: clone");
		exit(1);
	}
	(void)close(p[1]);
	ssize_t n = read(p[0], &c, 1);
	double took = now_us() - from;
	(void)close(p[0]);
	(void)kill(pid, SIGKILL);
	(void)waitpid(pid, NULL, 0);
	if (n != 0) {
		(void)fprintf(stderr, "bench_floor: %s cannot be executed\n", argv[0]);
		exit(1);
	}
	return took;
}

int main(int argc, char **argv) {
	enum {
		CONTAINER = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS
	};
	if (argc < 3) {
		(void)fprintf(stderr, "usage: bench_floor ROUNDS PROGRAM [ARGUMENT]...\n");
		return 2;
	}
	for (long i = strtol(argv[1], NULL, 10); i > 0; i--)
		(void)printf("bare %.1f\nnamespaces %.1f\n", once(argv + 2, 0),
			once(argv + 2, CONTAINER));
	return 0;
}
