// SPDX-License-Identifier: Apache-2.0
// One HTTP request by libcurl, for the registry client. The body of a success goes to a file or a
// buffer with a limit; that of anything else is kept short, for the error text. Never more than
// http and https, also when redirected; https does not lead to http.

#include <stdio.h>
#include <strings.h>
#include <time.h>

#include "node/image_registry.h"

enum { ERROR_BODY_MAX = 16 << 10 };

struct transfer {
	const struct image_curl *lib;
	CURL *curl;
	struct image_http *q;
	struct image_http_reply *reply;
	bool started;           /* where the body goes is decided */
	bool to_file;
	int error;              /* -errno or COR_E_LIMIT of a sink */
};

static void copy_value(char *out, size_t size, struct cor_str v) {
	(void)snprintf(out, size, "%.*s", COR_STR_ARG(v));
}

static size_t on_header(char *p, size_t size, size_t n, void *arg) {
	struct transfer *t = arg;
	struct cor_str line = { p, size * n }, name = cor_str_cut(&line, ':');
	struct cor_str v = cor_str_trim(line.p ? line : COR_STR(""));
	char key[40];
	uint64_t s;

	if (cor_str_starts(name, COR_STR("HTTP/"))) {   /* of a redirect, or after it */
		memset(t->reply, 0, sizeof(*t->reply));
		return size * n;
	}
	copy_value(key, sizeof(key), name);
	if (strcasecmp(key, "WWW-Authenticate") == 0) {
		if (!t->reply->challenge[0] || strncasecmp(t->reply->challenge, "Bearer", 6) != 0)
			copy_value(t->reply->challenge, sizeof(t->reply->challenge), v);
	} else if (strcasecmp(key, "Content-Range") == 0) {
		copy_value(t->reply->content_range, sizeof(t->reply->content_range), v);
	} else if (strcasecmp(key, "Docker-Content-Digest") == 0) {
		copy_value(t->reply->digest, sizeof(t->reply->digest), v);
	} else if (strcasecmp(key, "Retry-After") == 0 && cor_str_to_u64(v, &s)) {
		t->reply->retry_after_s = s > 60 ? 60 : (unsigned)s;
	}
	return size * n;
}

/* "bytes 100-199/200" must begin where the file ends. */
static bool range_begins_at(const char *range, uint64_t from) {
	struct cor_str s = cor_str_c(range);
	uint64_t v;

	return cor_str_starts(s, COR_STR("bytes ")) &&
		cor_str_to_u64(cor_str_sub(s, 6, cor_str_chr(s, '-') - 6), &v) && v == from;
}

/* A server that does not resume sends all: the file begins anew. */
static void start_body(struct transfer *t) {
	long status = 0;

	t->started = true;
	(void)t->lib->easy_getinfo(t->curl, CURLINFO_RESPONSE_CODE, &status);
	t->to_file = t->q->fd >= 0 && (status == 200 || status == 206);
	if (!t->to_file)
		return;
	if (status == 206 && range_begins_at(t->reply->content_range, t->q->from))
		return;
	if (status == 206) {
		t->error = COR_E_INVALID;
		return;
	}
	cor_image_run_bytes(t->q->run, 0 - t->q->from);
	t->q->from = 0;
	if (ftruncate(t->q->fd, 0) < 0)
		t->error = -errno;
}

static void to_file(struct transfer *t, const char *p, size_t n) {
	if (n > t->q->max - t->q->from) {
		t->error = COR_E_LIMIT;
		return;
	}
	while (n > 0) {
		ssize_t w = pwrite(t->q->fd, p, n, (off_t)t->q->from);

		if (w < 0 && errno == EINTR)
			continue;
		if (w < 0) {
			t->error = -errno;
			return;
		}
		t->q->from += (uint64_t)w;
		cor_image_run_bytes(t->q->run, (uint64_t)w);
		p += w;
		n -= (size_t)w;
	}
}

static size_t on_body(char *p, size_t size, size_t n, void *arg) {
	struct transfer *t = arg;
	size_t len = size * n;

	if (!t->started)
		start_body(t);
	if (t->error)
		return 0;
	if (t->to_file) {
		to_file(t, p, len);
		return t->error ? 0 : len;
	}
	if (!t->q->body)
		return len;
	if (t->q->fd >= 0) {            /* an error's text: its beginning is enough */
		if (t->q->body->n < ERROR_BODY_MAX)
			cor_buf_add(t->q->body, p, len);
		return len;
	}
	if (t->q->body->n + len > t->q->max) {
		t->error = COR_E_LIMIT;
		return 0;
	}
	cor_buf_add(t->q->body, p, len);
	return len;
}

static int on_progress(void *arg, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d) {
	const struct transfer *t = arg;

	return cor_image_run_stopped(t->q->run);
}

static void add_header(const struct image_curl *lib, struct curl_slist **list, const char *name, const char *value) {
	_cleanup_free_ char *line = value ? cor_asprintf("%s: %s", name, value) : NULL;

	if (line)
		*list = lib->slist_append(*list, line);
}

static struct curl_slist *headers(const struct image_curl *lib, const struct image_http *q) {
	struct curl_slist *list = NULL;
	char range[40];

	add_header(lib, &list, "Accept", q->accept);
	add_header(lib, &list, "Authorization", q->authorization);
	/* Compressed blobs are not to be compressed once more, nor undone on the way. */
	add_header(lib, &list, "Accept-Encoding", "identity");
	if (q->fd >= 0 && q->from > 0) {
		(void)snprintf(range, sizeof(range), "bytes=%llu-", (unsigned long long)q->from);
		add_header(lib, &list, "Range", range);
	}
	return list;
}

/* What easy_setopt() answers matters for none of these: all are of curl 7.85 and before. */
static void set_options(struct transfer *t, struct curl_slist *list, char *error) {
	const struct image_curl *lib = t->lib;
	CURL *c = t->curl;
	const struct image_http *q = t->q;

	lib->easy_reset(c);
	(void)lib->easy_setopt(c, CURLOPT_URL, q->url);
	(void)lib->easy_setopt(c, CURLOPT_PROTOCOLS_STR, q->plain ? "http,https" : "https");
	(void)lib->easy_setopt(c, CURLOPT_REDIR_PROTOCOLS_STR,
		strncmp(q->url, "https:", 6) == 0 ? "https" : "http,https");
	(void)lib->easy_setopt(c, CURLOPT_FOLLOWLOCATION, 1L);
	(void)lib->easy_setopt(c, CURLOPT_MAXREDIRS, 5L);
	(void)lib->easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
	(void)lib->easy_setopt(c, CURLOPT_CONNECTTIMEOUT, 15L);
	(void)lib->easy_setopt(c, CURLOPT_LOW_SPEED_LIMIT, 100L);
	(void)lib->easy_setopt(c, CURLOPT_LOW_SPEED_TIME, 60L);
	(void)lib->easy_setopt(c, CURLOPT_USERAGENT, "coracle");
	(void)lib->easy_setopt(c, CURLOPT_ERRORBUFFER, error);
	(void)lib->easy_setopt(c, CURLOPT_HTTPHEADER, list);
	(void)lib->easy_setopt(c, CURLOPT_HEADERFUNCTION, on_header);
	(void)lib->easy_setopt(c, CURLOPT_HEADERDATA, t);
	(void)lib->easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body);
	(void)lib->easy_setopt(c, CURLOPT_WRITEDATA, t);
	(void)lib->easy_setopt(c, CURLOPT_XFERINFOFUNCTION, on_progress);
	(void)lib->easy_setopt(c, CURLOPT_XFERINFODATA, t);
	(void)lib->easy_setopt(c, CURLOPT_NOPROGRESS, 0L);
	if (q->head)
		(void)lib->easy_setopt(c, CURLOPT_NOBODY, 1L);
	if (q->form)
		(void)lib->easy_setopt(c, CURLOPT_POSTFIELDS, q->form);
	if (q->plain)                   /* such hosts are near: no proxy leads to them */
		(void)lib->easy_setopt(c, CURLOPT_NOPROXY, "*");
	if (q->ca_file)
		(void)lib->easy_setopt(c, CURLOPT_CAINFO, q->ca_file);
}

int cor_image_http(const struct image_curl *lib, CURL *curl, struct image_http *q,
	struct image_http_reply *ret, struct cor_err *err) {
	struct transfer t = { .lib = lib, .curl = curl, .q = q, .reply = ret };
	char error[CURL_ERROR_SIZE] = "";
	struct curl_slist *list = headers(lib, q);
	CURLcode code;

	memset(ret, 0, sizeof(*ret));
	set_options(&t, list, error);
	code = lib->easy_perform(curl);
	lib->slist_free_all(list);
	(void)lib->easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &ret->status);
	if (code == CURLE_OK)
		return 0;
	ret->connected = code != CURLE_COULDNT_CONNECT && code != CURLE_COULDNT_RESOLVE_HOST;
	if (cor_image_run_stopped(q->run))
		return cor_fail(err, COR_E_CLOSED, "cancelled");
	if (t.error == COR_E_LIMIT)
		return cor_fail(err, COR_E_LIMIT, "answer of more than %llu bytes",
			(unsigned long long)q->max);
	if (t.error == COR_E_INVALID)
		return cor_fail(err, COR_E_INVALID, "answered the wrong range \"%s\"",
			ret->content_range);
	if (t.error)
		return cor_fail_errno(err, -t.error, "write");
	return cor_fail(err, code == CURLE_OPERATION_TIMEDOUT ? COR_E_TIMEOUT :
		ret->connected ? -EIO : -ECONNREFUSED, "%s", error[0] ? error : lib->easy_strerror(code));
}

void cor_image_http_pause(const struct image_run *run, uint64_t ms) {
	for (uint64_t waited = 0; waited < ms && !cor_image_run_stopped(run); waited += 20) {
		struct timespec ts = { .tv_nsec = 20000000 };

		(void)nanosleep(&ts, NULL);
	}
}
