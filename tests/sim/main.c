// SPDX-License-Identifier: Apache-2.0
// The command line: see usage.
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "sim/cluster.h"

static const char usage[] =
	"usage: sim [--seed N | --seeds A..B | --forever] [OPTION]...\n"
	"\n"
	"Runs a cluster on virtual time, everything random from the seed, and checks its "
	"invariants. The\n"
	"first seed that breaks one is told with the last events and the command that repeats it.\n"
	"\n"
	"  --seed N      this one (default 1)\n"
	"  --seeds A..B  these, in order\n"
	"  --forever     from the seed on, until one fails\n"
	"  --steps N     how much happens to the cluster (default 60)\n"
	"  --trace       prints every event\n"
	"  --twice       runs each seed twice; both runs must be the same to the last event\n"
	"  --break NAME  breaks something on purpose; then a seed has to fail, and it is an error "
	"if\n"
	"                none does. --break list names what can be broken\n";

struct options {
	uint64_t from, to;
	unsigned steps;
	bool trace, twice;
	enum breakage breakage;
};

static struct options opt = { .from = 1, .to = 1, .steps = 60 };
static uint64_t running;

/* ---- one seed ---- */

static void print_command(char *out, size_t size, uint64_t seed) {
	(void)snprintf(out, size, "sim --seed %llu --steps %u%s%s --trace\n",
		(unsigned long long)seed, opt.steps, opt.breakage ? " --break " : "",
		opt.breakage ? breakage_to_string(opt.breakage) : "");
}

/* A broken assertion in the code under test is a finding as well. */
static void on_death(int sig) {
	char text[200];
	static const char head[] = "\nlast events:\n", tail[] = "repeat it: ";
	(void)!write(STDERR_FILENO, head, sizeof(head) - 1);
	if (cluster_now)
		trace_dump(cluster_now, STDERR_FILENO);
	(void)!write(STDERR_FILENO, tail, sizeof(tail) - 1);
	print_command(text, sizeof(text), running);
	(void)!write(STDERR_FILENO, text, strlen(text));
	(void)signal(sig, SIG_DFL);
	(void)raise(sig);
}

struct outcome {
	bool failed;
	uint64_t hash;
	size_t lines;
	char failure[400];
};

static struct outcome run_seed(uint64_t seed, bool quiet) {
	running = seed;
	struct cluster *c = cluster_new(seed, 3, true, opt.breakage);
	c->trace.print = opt.trace && !quiet;
	script_new(c, opt.steps);
	script_play(c);
	struct outcome o = {
		.failed = c->failure[0] != '\0', .hash = c->trace.hash, .lines = c->trace.n
	};
	memcpy(o.failure, c->failure, sizeof(o.failure));
	if (o.failed && !quiet && !opt.breakage) {
		char text[200];
		print_command(text, sizeof(text), seed);
		(void)fprintf(stderr, "seed %llu: %s\n\nlast events:\n", (unsigned long long)seed,
			c->failure);
		trace_dump(c, STDERR_FILENO);
		(void)fprintf(stderr, "\nrepeat it: %s", text);
	}
	cluster_free(c);
	return o;
}

/* False when the seed has failed. */
static bool try_seed(uint64_t seed) {
	struct outcome o = run_seed(seed, false);
	if (o.failed) {
		if (opt.breakage)
			(void)printf("seed %llu finds that %s: %s\n", (unsigned long long)seed,
				breakage_text(opt.breakage), o.failure);
		return false;
	}
	if (!opt.twice)
		return true;
	struct outcome again = run_seed(seed, true);
	if (again.hash == o.hash && again.lines == o.lines)
		return true;
	(void)fprintf(stderr,
		"seed %llu: two runs differ: %zu events %016llx, %zu events %016llx\n",
		(unsigned long long)seed, o.lines, (unsigned long long)o.hash, again.lines,
		(unsigned long long)again.hash);
	return false;
}

/* ---- options ---- */

static void list_breakages(void) {
	for (int i = BREAK_NONE + 1; i < BREAK_MAX; i++)
		(void)printf("%-12s %s\n", breakage_to_string((enum breakage)i),
			breakage_text((enum breakage)i));
}

static bool number(const char *s, const char **end, uint64_t *ret) {
	char *e;
	*ret = s ? strtoull(s, &e, 10) : 0;
	if (!s || e == s)
		return false;
	*end = e;
	return true;
}

static bool read_range(const char *s) {
	const char *end;
	return number(s, &end, &opt.from) && strncmp(end, "..", 2) == 0 &&
	       number(end + 2, &end, &opt.to) && !*end && opt.from <= opt.to;
}

/* How many words the option takes; 0: it is none. */
static int read_option(const char *name, const char *value) {
	const char *end = "";
	uint64_t n = 0;
	if (strcmp(name, "--trace") == 0)
		return opt.trace = true;
	if (strcmp(name, "--twice") == 0)
		return opt.twice = true;
	if (strcmp(name, "--forever") == 0) {
		opt.to = UINT64_MAX;
		return 1;
	}
	if (strcmp(name, "--seeds") == 0)
		return read_range(value) ? 2 : 0;
	if (strcmp(name, "--break") == 0 && value) {
		opt.breakage = breakage_from_string(value);
		return opt.breakage < BREAK_MAX ? 2 : 0;
	}
	if (!number(value, &end, &n) || *end)
		return 0;
	if (strcmp(name, "--seed") == 0) {
		opt.from = n;
		opt.to = opt.to == UINT64_MAX ? opt.to : n;
		return 2;
	}
	if (strcmp(name, "--steps") == 0 && n <= 1000000) {
		opt.steps = (unsigned)n;
		return 2;
	}
	return 0;
}

int main(int argc, char **argv) {
	for (int i = 1; i < argc;) {
		if (strcmp(argv[i], "--break") == 0 && i + 1 < argc &&
			strcmp(argv[i + 1], "list") == 0) {
			list_breakages();
			return 0;
		}
		int words = read_option(argv[i], i + 1 < argc ? argv[i + 1] : NULL);
		if (words == 0) {
			(void)fprintf(stderr, "sim: %s: no such option, or a wrong value\n\n%s",
				argv[i], usage);
			return 2;
		}
		i += words;
	}
	(void)signal(SIGABRT, on_death);
	(void)signal(SIGSEGV, on_death);
	uint64_t seed = opt.from;
	bool found = false;
	for (; !found && seed <= opt.to; seed++) {
		found = !try_seed(seed);
		if (opt.to == UINT64_MAX && seed % 100 == 0)
			(void)printf("%llu seeds, no failure\n",
				(unsigned long long)(seed - opt.from + 1));
		(void)fflush(stdout);
	}
	if (opt.breakage && !found)
		(void)printf("nobody noticed that %s\n", breakage_text(opt.breakage));
	else if (!found)
		(void)printf("seeds %llu..%llu: nothing found\n", (unsigned long long)opt.from,
			(unsigned long long)(seed - 1));
	return found == (opt.breakage != BREAK_NONE) ? 0 : 1;
}
