// SPDX-License-Identifier: Apache-2.0
// Registries for tests: see registrylab.h. The fake one has a thread for each connection, which
// serves one request and closes.
#include "registrylab.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"

#define MUST(x) do { if (!(x)) { perror(#x); abort(); } } while (0)

void reglab_enter(void) {
	struct ifreq lo = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	int s;

	MUST(unshare(CLONE_NEWNS | CLONE_NEWNET) == 0);
	MUST(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
	MUST(mount("tmpfs", "/tmp", "tmpfs", 0, "mode=755") == 0);
	s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	MUST(s >= 0 && ioctl(s, SIOCSIFFLAGS, &lo) == 0);
	(void)close(s);
	(void)signal(SIGPIPE, SIG_IGN);
}

static int dial(int port) {
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	MUST(s >= 0);
	if (connect(s, (struct sockaddr *)&a, sizeof(a)) == 0)
		return s;
	(void)close(s);
	return -1;
}

static void write_text(const char *path, const char *text) {
	FILE *f = fopen(path, "we");

	MUST(f && fputs(text, f) >= 0 && fclose(f) == 0);
}

pid_t reglab_start(int port, const char *users) {
	char dir[64], config[96], text[900], path[96];
	pid_t pid;

	(void)snprintf(dir, sizeof(dir), "/tmp/registry-%d", port);
	(void)snprintf(config, sizeof(config), "%s.yml", dir);
	(void)snprintf(path, sizeof(path), "%s.users", dir);
	if (users)
		write_text(path, users);
	(void)snprintf(text, sizeof(text), "version: 0.1\nlog: {level: error}\n"
		"storage: {filesystem: {rootdirectory: %s}}\nhttp: {addr: 127.0.0.1:%d, secret: x}\n"
		"%s%s%s", dir, port, users ? "auth: {htpasswd: {realm: test, path: " : "",
		users ? path : "", users ? "}}\n" : "");
	write_text(config, text);
	pid = fork();
	MUST(pid >= 0);
	if (pid == 0) {
		int null = open("/dev/null", O_RDWR | O_CLOEXEC);

		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		(void)dup2(null, 1);
		(void)dup2(null, 2);
		(void)execlp("docker-registry", "docker-registry", "serve", config, NULL);
		_exit(127);
	}
	for (int i = 0; i < 1000; i++) {        /* 20 s */
		int s = dial(port);

		if (s >= 0) {
			(void)close(s);
			return pid;
		}
		MUST(waitpid(pid, NULL, WNOHANG) == 0);
		(void)poll(NULL, 0, 20);
	}
	abort();
}

void reglab_stop(pid_t pid) {
	(void)kill(pid, SIGKILL);
	(void)waitpid(pid, NULL, 0);
}

/* ---- push ---- */

static void slurp(const char *dir, const char *name, struct cor_buf *b) {
	char path[300];
	int fd;
	ssize_t n;

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	MUST(fd >= 0);
	while ((n = read(fd, cor_buf_reserve(b, 65536), 65536)) > 0)
		b->n += (size_t)n;
	(void)close(fd);
}

void reglab_digest(const char *dir, char out[80]) {
	struct cor_buf b = COR_BUF_INIT;
	const char *p;

	slurp(dir, "index.json", &b);
	cor_buf_byte(&b, '\0');
	p = strstr(b.p, "sha256:");
	MUST(p);
	(void)snprintf(out, 80, "%.71s", p);
	cor_buf_fini(&b);
}

static size_t on_location(char *p, size_t size, size_t n, void *arg) {
	if (n > 10 && strncasecmp(p, "Location: ", 10) == 0)
		(void)snprintf(arg, 1000, "%.*s", (int)(n - 12), p + 10);
	return size * n;
}

static size_t on_nothing(char *p, size_t size, size_t n, void *arg) {
	return size * n;
}

static long request(const char *method, const char *url, const char *user, const char *type,
	const struct cor_buf *body, char *location) {
	CURL *c = curl_easy_init();
	struct curl_slist *h = curl_slist_append(NULL, type);
	long status = 0;

	curl_easy_setopt(c, CURLOPT_URL, url);
	curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, method);
	curl_easy_setopt(c, CURLOPT_NOPROXY, "*");
	curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE, (long)(body ? body->n : 0));
	curl_easy_setopt(c, CURLOPT_POSTFIELDS, body ? body->p : "");
	curl_easy_setopt(c, CURLOPT_HTTPHEADER, h);
	curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_nothing);
	if (user)
		curl_easy_setopt(c, CURLOPT_USERPWD, user);
	if (location) {
		curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, on_location);
		curl_easy_setopt(c, CURLOPT_HEADERDATA, location);
	}
	MUST(curl_easy_perform(c) == CURLE_OK);
	curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &status);
	curl_slist_free_all(h);
	curl_easy_cleanup(c);
	return status;
}

static void push_blob(const char *base, const char *dir, const char *digest, const char *user) {
	struct cor_buf b = COR_BUF_INIT;
	char url[300], location[1000] = "", put[1200], name[100];

	(void)snprintf(name, sizeof(name), "blobs/sha256/%s", digest + 7);
	slurp(dir, name, &b);
	(void)snprintf(url, sizeof(url), "%s/blobs/uploads/", base);
	MUST(request("POST", url, user, "X: y", NULL, location) == 202);
	(void)snprintf(put, sizeof(put), "%s%cdigest=%s", location, strchr(location, '?') ? '&' : '?',
		digest);
	MUST(request("PUT", put, user, "Content-Type: application/octet-stream", &b, NULL) == 201);
	cor_buf_fini(&b);
}

/* All blobs that the manifest names, then the manifest. */
void reglab_push(int port, const char *name, const char *tag, const char *dir, const char *user) {
	struct cor_buf m = COR_BUF_INIT;
	char base[200], url[300], digest[80], file[100];

	(void)snprintf(base, sizeof(base), "http://127.0.0.1:%d/v2/%s", port, name);
	reglab_digest(dir, digest);
	(void)snprintf(file, sizeof(file), "blobs/sha256/%s", digest + 7);
	slurp(dir, file, &m);
	cor_buf_byte(&m, '\0');
	for (const char *p = m.p; (p = strstr(p, "sha256:")); p += 71) {
		(void)snprintf(digest, sizeof(digest), "%.71s", p);
		push_blob(base, dir, digest, user);
	}
	m.n--;
	(void)snprintf(url, sizeof(url), "%s/manifests/%s", base, tag);
	MUST(request("PUT", url, user,
		"Content-Type: application/vnd.oci.image.manifest.v1+json", &m, NULL) == 201);
	cor_buf_fini(&m);
}

/* ---- the fake registry ---- */

struct connection {
	struct fake_registry *f;
	int fd;
};

static bool take(atomic_int *n) {
	int v = atomic_load(n);

	while (v > 0) {
		if (atomic_compare_exchange_weak(n, &v, v - 1))
			return true;
	}
	return false;
}

static void send_all(int fd, const char *p, size_t n) {
	while (n > 0) {
		ssize_t w = send(fd, p, n, MSG_NOSIGNAL);

		if (w <= 0)
			return;
		p += w;
		n -= (size_t)w;
	}
}

static void answer(int fd, const char *status, const char *headers, const char *body) {
	char text[1500];

	(void)snprintf(text, sizeof(text), "HTTP/1.1 %s\r\nConnection: close\r\n%s"
		"Content-Length: %zu\r\n\r\n%s", status, headers, strlen(body), body);
	send_all(fd, text, strlen(text));
}

static void serve_token(struct connection *c, const char *q) {
	char body[100];

	(void)atomic_fetch_add(&c->f->tokens, 1);
	if (!strstr(q, "service=fake") || !strstr(q, "scope=repository%3A")) {
		answer(c->fd, "400 Bad Request", "", "");
		return;
	}
	if (c->f->need_login && !strstr(q, "Authorization: Basic dTpw\r\n")) {      /* u:p */
		answer(c->fd, "401 Unauthorized", "", "");
		return;
	}
	atomic_store(&c->f->uses, 0);
	(void)snprintf(body, sizeof(body), "{\"token\":\"tok\",\"expires_in\":60}");
	answer(c->fd, "200 OK", "", body);
}

/* A token is good for so many requests; a new one starts the count anew. */
static bool allowed(struct connection *c, const char *q) {
	int uses;

	if (!c->f->need_token)
		return true;
	if (!strstr(q, "Authorization: Bearer tok\r\n"))
		return false;
	uses = atomic_fetch_add(&c->f->uses, 1);
	return !c->f->token_uses || uses < c->f->token_uses;
}

static void serve_file(struct connection *c, const char *q, const char *hex, bool blob) {
	struct cor_buf b = COR_BUF_INIT;
	char name[100], head[500];
	const char *range = strstr(q, "Range: bytes=");
	size_t from = range ? strtoul(range + 13, NULL, 10) : 0, n;

	(void)snprintf(name, sizeof(name), "blobs/sha256/%.64s", hex);
	slurp(c->f->dir, name, &b);
	if (range)
		(void)atomic_fetch_add(&c->f->ranges, 1);
	if (c->f->no_range || from > b.n)
		from = 0;
	if (blob && (c->f->corrupt || (c->f->corrupt_layers && b.n > 100000)))
		b.p[b.n / 2] ^= 1;
	n = b.n - from;
	(void)snprintf(head, sizeof(head), "HTTP/1.1 %s\r\nConnection: close\r\nContent-Type: "
		"application/vnd.oci.image.manifest.v1+json\r\nDocker-Content-Digest: sha256:%.64s\r\n"
		"Content-Range: bytes %zu-%zu/%zu\r\nContent-Length: %zu\r\n\r\n",
		from ? "206 Partial Content" : "200 OK", hex, from, b.n - 1, b.n, n);
	send_all(c->fd, head, strlen(head));
	if (blob && c->f->cut && n > (size_t)c->f->cut && take(&c->f->cuts)) {
		n = (size_t)c->f->cut;
		atomic_store(&c->f->busy, atomic_load(&c->f->busy_after_cut));
	}
	if (blob && c->f->stuck) {
		n = n > 1000 ? 1000 : n;
		send_all(c->fd, b.p + from, n);
		while (!c->f->stop && c->f->stuck)
			(void)poll(NULL, 0, 20);
	} else if (strncmp(q, "HEAD", 4) != 0) {
		send_all(c->fd, b.p + from, n);
	}
	cor_buf_fini(&b);
}

static void serve(struct connection *c, const char *q) {
	const char *manifest = strstr(q, "/manifests/"), *blob = strstr(q, "/blobs/sha256:");
	char digest[80], headers[300];

	if (strstr(q, " /token")) {
		serve_token(c, q);
		return;
	}
	if (take(&c->f->busy)) {
		answer(c->fd, "503 Busy", "", "{\"errors\":[{\"message\":\"come back later\"}]}");
		return;
	}
	if (!allowed(c, q)) {
		(void)snprintf(headers, sizeof(headers), "WWW-Authenticate: Bearer "
			"realm=\"http://127.0.0.1:%d/token\",service=\"fake\"\r\n", c->f->port);
		answer(c->fd, "401 Unauthorized", headers, "");
		return;
	}
	if (manifest) {
		(void)atomic_fetch_add(strncmp(q, "HEAD", 4) == 0 ? &c->f->heads :
			&c->f->manifests, 1);
		reglab_digest(c->f->dir, digest);
		serve_file(c, q, strncmp(manifest, "/manifests/sha256:", 18) == 0 ?
			manifest + 18 : digest + 7, false);
	} else if (blob) {
		(void)atomic_fetch_add(&c->f->blobs, 1);
		serve_file(c, q, blob + 14, true);
	} else {
		answer(c->fd, "404 Not Found", "", "{}");
	}
}

static void *connection_main(void *arg) {
	struct connection *c = arg;
	char q[4096];
	size_t n = 0;

	while (n < sizeof(q) - 1) {
		ssize_t r = recv(c->fd, q + n, sizeof(q) - 1 - n, 0);

		if (r <= 0)
			break;
		n += (size_t)r;
		q[n] = '\0';
		if (strstr(q, "\r\n\r\n")) {
			serve(c, q);
			break;
		}
	}
	(void)close(c->fd);
	free(c);
	return NULL;
}

static void *fake_main(void *arg) {
	struct fake_registry *f = arg;
	pthread_attr_t detached;

	(void)pthread_attr_init(&detached);
	(void)pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
	for (;;) {
		int fd = accept4(f->fd, NULL, NULL, SOCK_CLOEXEC);
		struct connection *c;
		pthread_t t;

		if (f->stop)
			return NULL;
		if (fd < 0)
			continue;
		c = malloc(sizeof(*c));
		*c = (struct connection){ f, fd };
		MUST(pthread_create(&t, &detached, connection_main, c) == 0);
	}
}

/* f lives as long as the process. */
void fake_start(struct fake_registry *f, const char *dir) {
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a);
	pthread_t t;

	f->dir = dir;
	f->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	MUST(bind(f->fd, (struct sockaddr *)&a, sizeof(a)) == 0 && listen(f->fd, 20) == 0);
	MUST(getsockname(f->fd, (struct sockaddr *)&a, &len) == 0);
	f->port = ntohs(a.sin_port);
	MUST(pthread_create(&t, NULL, fake_main, f) == 0);
	(void)pthread_detach(t);
}

void fake_stop(struct fake_registry *f) {
	atomic_store(&f->stop, true);
	(void)shutdown(f->fd, SHUT_RDWR);
}
