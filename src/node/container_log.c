// SPDX-License-Identifier: Apache-2.0
// The log reader works in steps of one piece of the file, so that a long log does not hold up the
// loop. At the end of the file a follower asks first whether the container runs and reads once
// more before it believes the answer; the same with a file that was rotated away: what its writer
// added until it opened the new one is read before the new one is.
#include "node/container_log.h"

#include <dirent.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <uv.h>

#include "base/assert.h"
#include "base/mem.h"

enum { PIECE = 64 * 1024, LINE_MAX_BYTES = 256 * 1024, FOLLOW_POLL_MS = 1000, NAMES_MAX = 64 };

/* ---- format ---- */

bool cor_log_line_parse(struct cor_str line, struct cor_log_line *ret) {
	struct cor_str rest = line;
	struct cor_str time = cor_str_cut(&rest, ' ');
	if (!rest.p)
		return false;
	struct cor_str stream = cor_str_cut(&rest, ' ');
	if (!rest.p || time.n < 20)
		return false;
	bool out = cor_str_eq_c(stream, "stdout");
	if (!out && !cor_str_eq_c(stream, "stderr"))
		return false;
	/* Tags are separated by colons, the first says whether the line is whole. */
	struct cor_str tag = cor_str_cut(&rest, ' ');
	if (tag.n == 0 || (tag.p[0] != 'P' && tag.p[0] != 'F') || (tag.n > 1 && tag.p[1] != ':'))
		return false;
	*ret = (struct cor_log_line){ .time = time, .is_stderr = !out, .partial = tag.p[0] == 'P',
		.text = rest.p ? rest : COR_STR("") };
	return true;
}

/* Nine decimals and Z for UTC, whatever the writer chose. */
static void add_time(struct cor_buf *out, struct cor_str t) {
	size_t end = 19;                /* behind the seconds */
	size_t digits = end;
	if (t.n > end && t.p[end] == '.')
		for (digits = end + 1; digits < t.n && t.p[digits] >= '0' && t.p[digits] <= '9';)
			digits++;
	struct cor_str zone = cor_str_sub(t, digits, t.n);
	size_t n = digits > end + 10 ? end + 10 : digits;
	cor_buf_add(out, t.p, n);
	if (n == end) {
		cor_buf_byte(out, '.');
		n++;
	}
	for (; n < end + 10; n++)
		cor_buf_byte(out, '0');
	if (cor_str_eq_c(zone, "+00:00"))
		cor_buf_byte(out, 'Z');
	else
		cor_buf_str(out, zone);
	cor_buf_byte(out, ' ');
}

/* ---- reader ---- */

struct cor_log_reader {
	struct cor_log_reader_config cfg;
	char *path;
	int fd;
	uv_timer_t step;
	uv_fs_event_t watch;
	int handles;                    /* to be closed */
	struct cor_buf in, out;
	int64_t left;                   /* bytes of limit_bytes */
	bool since_reached, in_line, paused, cancelled, switching, watching;
};

static void step(uv_timer_t *t);

static void again(struct cor_log_reader *r, uint64_t ms) {
	if (!r->cancelled && !r->paused)
		(void)uv_timer_start(&r->step, step, ms, 0);
}

static void handle_closed(uv_handle_t *h) {
	struct cor_log_reader *r = h->data;
	if (--r->handles > 0)
		return;
	if (r->fd >= 0)
		(void)close(r->fd);
	cor_buf_fini(&r->in);
	cor_buf_fini(&r->out);
	free(r->path);
	free(r);
}

void cor_log_reader_cancel(struct cor_log_reader *r) {
	if (r->cancelled)
		return;
	r->cancelled = true;
	uv_close((uv_handle_t *)&r->step, handle_closed);
	uv_close((uv_handle_t *)&r->watch, handle_closed);
}

static void finish(struct cor_log_reader *r, const struct cor_err *err) {
	if (r->cancelled)
		return;
	cor_log_reader_cancel(r);
	r->cfg.done(r->cfg.arg, err);
}

/* One stored line into out. */
static void take_line(struct cor_log_reader *r, struct cor_str text) {
	const struct cor_log_options *o = &r->cfg.options;
	struct cor_log_line line;
	if (!cor_log_line_parse(text, &line))
		return;
	if (!r->since_reached) {
		cor_time when;
		if (!cor_time_parse(line.time, &when) || when < o->since)
			return;
		r->since_reached = true;
	}
	size_t before = r->out.n;
	if (o->timestamps && !r->in_line)
		add_time(&r->out, line.time);
	cor_buf_str(&r->out, line.text);
	if (!line.partial)
		cor_buf_byte(&r->out, '\n');
	r->in_line = line.partial;
	if (o->limit_bytes > 0) {
		int64_t added = (int64_t)(r->out.n - before);
		if (added > r->left) {
			r->out.n -= (size_t)(added - r->left);
			added = r->left;
		}
		r->left -= added;
	}
}

static bool limit_reached(const struct cor_log_reader *r) {
	return r->cfg.options.limit_bytes > 0 && r->left <= 0;
}

/* Whole lines of in; the rest stays. */
static void take_lines(struct cor_log_reader *r) {
	size_t used = 0;
	while (used < r->in.n && !limit_reached(r)) {
		const char *nl = memchr(r->in.p + used, '\n', r->in.n - used);
		if (!nl)
			break;
		size_t n = (size_t)(nl - (r->in.p + used));
		take_line(r, (struct cor_str){ r->in.p + used, n });
		used += n + 1;
	}
	cor_buf_consume(&r->in, used);
	if (r->in.n > LINE_MAX_BYTES)
		cor_buf_clear(&r->in);          /* not a log of ours */
}

/* True when the path leads to another file than the one that is open. */
static bool rotated(const struct cor_log_reader *r) {
	struct stat here, there;
	return fstat(r->fd, &here) == 0 && stat(r->path, &there) == 0 && here.st_ino != there.st_ino;
}

static void at_end(struct cor_log_reader *r, bool was_running) {
	if (r->switching) {
		int fd = open(r->path, O_RDONLY | O_CLOEXEC);
		if (fd >= 0) {
			(void)close(r->fd);
			r->fd = fd;
			cor_buf_clear(&r->in);
		}
		r->switching = false;
		again(r, 0);
	} else if (rotated(r)) {
		r->switching = true;
		again(r, 0);
	} else if (!r->cfg.options.follow || !was_running) {
		finish(r, NULL);
	} else {
		again(r, FOLLOW_POLL_MS);
	}
}

static void step(uv_timer_t *t) {
	struct cor_log_reader *r = t->data;
	bool was_running = r->cfg.options.follow && r->cfg.running(r->cfg.arg);
	char *room = cor_buf_reserve(&r->in, PIECE);
	cor_assert(room);
	ssize_t n = read(r->fd, room, PIECE);
	if (n < 0) {
		struct cor_err err;
		(void)cor_fail_errno(&err, errno, "%s", r->path);
		finish(r, &err);
		return;
	}
	r->in.n += (size_t)n;
	take_lines(r);
	if (r->out.n) {
		r->cfg.output(r->cfg.arg, cor_buf_view(&r->out));
		if (r->cancelled)
			return;
		cor_buf_clear(&r->out);
	}
	if (limit_reached(r))
		finish(r, NULL);
	else if (n > 0)
		again(r, 0);
	else if (!r->cfg.options.follow)
		finish(r, NULL);
	else
		at_end(r, was_running);
}

static void on_change(uv_fs_event_t *h, const char *name, int events, int status) {
	struct cor_log_reader *r = h->data;
	(void)name;
	(void)events;
	(void)status;
	again(r, 0);
}

/* Where the last n lines begin. */
static off_t tail_offset(int fd, int64_t lines) {
	off_t end = lseek(fd, 0, SEEK_END);
	char piece[8192];
	int64_t seen = 0;
	if (end <= 0 || lines <= 0)
		return end < 0 ? 0 : end;
	for (off_t at = end; at > 0;) {
		size_t n = at < (off_t)sizeof(piece) ? (size_t)at : sizeof(piece);
		at -= (off_t)n;
		if (pread(fd, piece, n, at) != (ssize_t)n)
			return 0;
		for (size_t i = n; i-- > 0;)
			/* The newline that ends the file begins no line. */
			if (piece[i] == '\n' && at + (off_t)i + 1 < end && ++seen == lines)
				return at + (off_t)i + 1;
	}
	return 0;
}

struct cor_log_reader *cor_log_reader_new(const struct cor_log_reader_config *cfg, struct cor_err *err) {
	_cleanup_close_ int fd = open(cfg->path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		(void)cor_fail_errno(err, errno, "%s", cfg->path);
		return NULL;
	}
	if (cfg->options.tail_lines >= 0)
		(void)lseek(fd, tail_offset(fd, cfg->options.tail_lines), SEEK_SET);
	struct cor_log_reader *r = cor_new(struct cor_log_reader);
	r->cfg = *cfg;
	r->path = cor_strdup(cfg->path);
	r->cfg.path = r->path;
	r->fd = cor_take_fd(fd);
	r->left = cfg->options.limit_bytes;
	r->since_reached = cfg->options.since == 0;
	r->step.data = r->watch.data = r;
	r->handles = 2;
	(void)uv_timer_init(cfg->loop, &r->step);
	(void)uv_fs_event_init(cfg->loop, &r->watch);
	if (cfg->options.follow) {
		/* The directory: the file changes its name, and its successor is not there yet. */
		_cleanup_free_ char *copy = cor_strdup(r->path);
		r->watching = uv_fs_event_start(&r->watch, on_change, dirname(copy), 0) == 0;
	}
	again(r, 0);
	return r;
}

void cor_log_reader_pause(struct cor_log_reader *r, bool paused) {
	r->paused = paused;
	if (r->cancelled)
		return;
	if (paused)
		(void)uv_timer_stop(&r->step);
	else
		again(r, 0);
}

void cor_log_reader_poke(struct cor_log_reader *r) {
	again(r, 0);
}

/* ---- tail ---- */

int cor_log_tail(const char *path, size_t lines, size_t bytes, struct cor_buf *out, struct cor_err *err) {
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return cor_fail_errno(err, errno, "%s", path);
	off_t end = lseek(fd, 0, SEEK_END), from = tail_offset(fd, (int64_t)lines);
	/* Each stored line has a head of its own; some more than asked for is read. */
	size_t want = bytes + lines * 64;
	if (end - from > (off_t)want)
		from = end - (off_t)want;
	_cleanup_free_ char *text = cor_calloc(1, want + 1);
	ssize_t n = pread(fd, text, want, from);
	if (n < 0)
		return cor_fail_errno(err, errno, "%s", path);
	_cleanup_buf_ struct cor_buf all = COR_BUF_INIT;
	struct cor_str rest = { text, (size_t)n };
	while (rest.p && rest.n) {
		struct cor_log_line line;
		if (!cor_log_line_parse(cor_str_cut(&rest, '\n'), &line))
			continue;
		cor_buf_str(&all, line.text);
		if (!line.partial)
			cor_buf_byte(&all, '\n');
	}
	size_t keep = all.n < bytes ? all.n : bytes;
	cor_buf_add(out, all.p + all.n - keep, keep);
	return 0;
}

/* ---- rotation ---- */

static int by_name(const void *a, const void *b) {
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The names carry their time, so that order of names is order of age. */
static void remove_old(const char *path, size_t keep) {
	_cleanup_free_ char *copy = cor_strdup(path);
	const char *slash = strrchr(path, '/');
	_cleanup_free_ char *prefix = cor_asprintf("%s.", slash ? slash + 1 : path);
	const char *dir = dirname(copy);
	char *names[NAMES_MAX];
	size_t n = 0;
	DIR *d = opendir(dir);
	const struct dirent *e;
	while (d && (e = readdir(d)) && n < NAMES_MAX)
		if (strncmp(e->d_name, prefix, strlen(prefix)) == 0)
			names[n++] = cor_strdup(e->d_name);
	if (d)
		(void)closedir(d);
	qsort(names, n, sizeof(*names), by_name);
	for (size_t i = 0; i < n; i++) {
		_cleanup_free_ char *old = cor_asprintf("%s/%s", dir, names[i]);
		if (i + keep < n)
			(void)unlink(old);
		free(names[i]);
	}
}

int cor_log_rotate(const char *path, cor_time now, struct cor_err *err) {
	struct stat st;
	if (stat(path, &st) < 0)
		return errno == ENOENT ? 0 : cor_fail_errno(err, errno, "%s", path);
	if (st.st_size < COR_LOG_MAX_BYTES)
		return 0;
	time_t seconds = now / COR_SECOND;
	struct tm tm;
	char stamp[32];
	(void)gmtime_r(&seconds, &tm);
	(void)strftime(stamp, sizeof(stamp), "%Y%m%d-%H%M%S", &tm);
	_cleanup_free_ char *to = cor_asprintf("%s.%s", path, stamp);
	if (access(to, F_OK) == 0)
		return 0;               /* twice in a second: it waits for the next look */
	if (rename(path, to) < 0)
		return cor_fail_errno(err, errno, "%s", path);
	remove_old(path, COR_LOG_FILES - 1);
	return 1;
}
