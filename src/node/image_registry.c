// SPDX-License-Identifier: Apache-2.0
// The registry protocol: manifests and blobs by GET, with whatever login the registry asks for
// (Basic, or a token traded for it), by way of mirrors, with second and further tries. Workers of
// one pull share the tokens; the first one that is refused fetches a new one for all.

#include <ctype.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <strings.h>

#include "node/image_registry.h"

#define ACCEPT "application/vnd.oci.image.index.v1+json, " \
	"application/vnd.docker.distribution.manifest.list.v2+json, " \
	"application/vnd.oci.image.manifest.v1+json, " \
	"application/vnd.docker.distribution.manifest.v2+json"

enum { TRIES = 5, TOKEN_MAX = 64 << 10 };

/* ---- addresses ---- */

static bool is_local(const char *host) {
	return strcmp(host, "localhost") == 0 || strncmp(host, "localhost:", 10) == 0 ||
		strncmp(host, "127.", 4) == 0 || strcmp(host, "[::1]") == 0 ||
		strncmp(host, "[::1]:", 6) == 0;
}

static bool plain_allowed(const struct cor_image_store *s, const char *host) {
	for (size_t i = 0; i < s->cfg.n_insecure; i++) {
		if (strcmp(s->cfg.insecure[i], host) == 0)
			return true;
	}
	return is_local(host);
}

static void add_base(struct registry *r, const char *url, bool plain, bool scheme_known) {
	struct registry_base *b = &r->bases[r->n_bases++];
	const char *host = strstr(url, "://");
	size_t n = strlen(url);

	while (n > 0 && url[n - 1] == '/')
		n--;
	(void)snprintf(b->url, sizeof(b->url), "%.*s", (int)n, url);
	host = host ? host + 3 : url;
	(void)snprintf(b->host, sizeof(b->host), "%.*s", (int)strcspn(host, "/"), host);
	b->plain = plain;
	b->scheme_known = scheme_known;
}

static void lock(struct registry *r) {
	(void)pthread_mutex_lock(&r->mutex);
}

static void unlock(struct registry *r) {
	(void)pthread_mutex_unlock(&r->mutex);
}

int cor_registry_init(struct registry *r, struct cor_image_store *s,
	const struct cor_image_ref *ref, const struct cor_image_keyring *keyring,
	struct image_run *run, struct cor_err *err) {
	const char *host = strcmp(ref->domain, "docker.io") == 0 ? "registry-1.docker.io" :
		ref->domain;
	bool plain = plain_allowed(s, host);
	char url[600];

	*r = (struct registry){ .curl = cor_image_curl(err), .store = s, .ref = ref, .keyring = keyring, .run = run };
	(void)pthread_mutex_init(&r->mutex, NULL);
	for (size_t i = 0; i < s->cfg.n_mirrors && r->n_bases + 1 < REGISTRY_BASES_MAX; i++) {
		const struct cor_image_mirror *m = &s->cfg.mirrors[i];

		if (strcmp(m->registry, "*") == 0 || strcmp(m->registry, ref->domain) == 0)
			add_base(r, m->url, strncmp(m->url, "http://", 7) == 0, true);
	}
	(void)snprintf(url, sizeof(url), "%s://%s", plain ? "http" : "https", host);
	add_base(r, url, plain, !plain);
	return r->curl ? 0 : COR_E_INTERNAL;
}

static void forget(struct registry_base *b) {
	if (b->authorization)
		OPENSSL_cleanse(b->authorization, strlen(b->authorization));
	free(b->authorization);
	b->authorization = NULL;
	b->proven = false;
}

void cor_registry_fini(struct registry *r) {
	for (unsigned i = 0; i < r->n_bases; i++)
		forget(&r->bases[i]);
	while (r->n_idle > 0)
		r->curl->easy_cleanup(r->idle[--r->n_idle]);
	(void)pthread_mutex_destroy(&r->mutex);
}

static CURL *take_handle(struct registry *r) {
	CURL *c;

	lock(r);
	c = r->n_idle ? r->idle[--r->n_idle] : NULL;
	unlock(r);
	return c ? c : r->curl->easy_init();
}

static void give_handle(struct registry *r, CURL *c) {
	lock(r);
	if (c && r->n_idle < REGISTRY_HANDLES_MAX)
		r->idle[r->n_idle++] = cor_take(c);
	unlock(r);
	if (c)
		r->curl->easy_cleanup(c);
}

/* ---- logins ---- */

/* docker.io logins are for what is in truth another host. */
static const struct image_login *login_of(struct registry *r, const struct registry_base *b) {
	const char *host = strcmp(b->host, "registry-1.docker.io") == 0 ? "docker.io" : b->host;

	return cor_image_keyring_match(r->keyring, host, r->ref->path, b->login);
}

const struct image_login *cor_registry_login(struct registry *r) {
	const struct image_login *l;

	lock(r);
	l = r->bases[r->preferred].authorization ? login_of(r, &r->bases[r->preferred]) : NULL;
	unlock(r);
	return l;
}

/* The value of key="..." in a challenge. */
static bool parameter(const char *challenge, const char *key, char *out, size_t size) {
	size_t n = strlen(key);

	for (const char *p = challenge; (p = strcasestr(p, key)); p += n) {
		const char *v = p + n, *end;

		if (p > challenge && (isalnum((unsigned char)p[-1]) || p[-1] == '_'))
			continue;
		if (*v != '=')
			continue;
		v++;
		end = *v == '"' ? strchr(++v, '"') : v + strcspn(v, ", ");
		if (!end || (size_t)(end - v) >= size)
			return false;
		(void)snprintf(out, size, "%.*s", (int)(end - v), v);
		return true;
	}
	return false;
}

static char *basic(const char *user, const char *password) {
	_cleanup_free_ char *plain = cor_asprintf("%s:%s", user ? user : "",
		password ? password : "");
	size_t n = strlen(plain);
	_cleanup_free_ char *code = cor_calloc(1, 4 * (n / 3 + 1) + 1);
	char *out;

	(void)EVP_EncodeBlock((unsigned char *)code, (const unsigned char *)plain, (int)n);
	out = cor_asprintf("Basic %s", code);
	OPENSSL_cleanse(plain, n);
	OPENSSL_cleanse(code, strlen(code));
	return out;
}

static void escaped(const struct registry *r, CURL *c, struct cor_buf *b, const char *key, const char *value) {
	char *e = r->curl->easy_escape(c, value, 0);

	cor_buf_printf(b, "%s%s=%s", b->n && b->p[b->n - 1] != '?' ? "&" : "", key, e ? e : "");
	r->curl->free(e);
}

/* {"token": …} or {"access_token": …} */
static int parse_token(struct cor_str body, char **ret, struct cor_err *err) {
	_cleanup_(cor_arena_freep) struct cor_arena *a = cor_arena_new(1 << 20);
	struct cor_node *doc = cor_node_parse(a, body, NULL, err);
	struct cor_str token = cor_node_path_str(doc, "token");

	if (!doc)
		return cor_wrap(err, "token");
	if (!token.n)
		token = cor_node_path_str(doc, "access_token");
	for (size_t i = 0; i < token.n; i++) {
		if ((unsigned char)token.p[i] <= ' ' || token.p[i] == 0x7f)
			token.n = 0;
	}
	if (!token.n)
		return cor_fail(err, COR_E_PARSE, "the token server gave no token");
	*ret = cor_asprintf("Bearer %.*s", COR_STR_ARG(token));
	return 0;
}

static int fetch_token(struct registry *r, const struct registry_base *b,
	const struct image_login *l, CURL *c, const char *challenge, char **ret,
	struct cor_err *err) {
	_cleanup_buf_ struct cor_buf url = COR_BUF_INIT, form = COR_BUF_INIT, body = COR_BUF_INIT;
	_cleanup_free_ char *auth = NULL;
	char realm[1024], service[512] = "", scope[512];
	struct image_http_reply reply;
	struct image_http q = { .plain = b->plain, .ca_file = r->store->cfg.ca_file, .run = r->run,
		.fd = -1, .max = TOKEN_MAX, .body = &body };
	int e;

	if (!parameter(challenge, "realm", realm, sizeof(realm)))
		return cor_fail(err, COR_E_PARSE, "the registry asks for a token, but not from where");
	(void)parameter(challenge, "service", service, sizeof(service));
	if (!parameter(challenge, "scope", scope, sizeof(scope)))
		(void)snprintf(scope, sizeof(scope), "repository:%.256s:pull", r->ref->path);
	cor_buf_c(&url, realm);
	if (l && l->identity_token) {
		escaped(r, c, &form, "grant_type", "refresh_token");
		escaped(r, c, &form, "refresh_token", l->identity_token);
		escaped(r, c, &form, "client_id", "coracle");
		escaped(r, c, &form, "service", service);
		escaped(r, c, &form, "scope", scope);
		cor_buf_byte(&form, '\0');
		q.form = form.p;
	} else {
		cor_buf_byte(&url, strchr(realm, '?') ? '&' : '?');
		if (service[0])
			escaped(r, c, &url, "service", service);
		escaped(r, c, &url, "scope", scope);
		q.authorization = auth = l ? basic(l->user, l->password) : NULL;
	}
	cor_buf_byte(&url, '\0');
	q.url = url.p;
	e = cor_image_http(r->curl, c, &q, &reply, err);
	if (auth)
		OPENSSL_cleanse(auth, strlen(auth));
	if (form.n)
		OPENSSL_cleanse(form.p, form.n);
	if (e < 0)
		return cor_wrap(err, "token from %.200s", realm);
	if (reply.status == 401 || reply.status == 403)
		return cor_fail(err, COR_E_UNAUTHORIZED, "%.200s refused the login", realm);
	if (reply.status != 200)
		return cor_fail(err, COR_E_INVALID, "token from %.200s: status %ld", realm,
			reply.status);
	e = parse_token(cor_buf_view(&body), ret, err);
	OPENSSL_cleanse(body.p, body.n);
	return e;
}

/* What to send from now on, after a 401 with this challenge. */
static int answer_challenge(struct registry *r, struct registry_base *b, CURL *c,
	const char *challenge, struct cor_err *err) {
	const struct image_login *l = login_of(r, b);

	forget(b);
	if (l && l->registry_token) {
		b->authorization = cor_asprintf("Bearer %s", l->registry_token);
		return 0;
	}
	if (strncasecmp(challenge, "Bearer", 6) == 0)
		return fetch_token(r, b, l, c, challenge, &b->authorization, err);
	if (!l)
		return cor_fail(err, COR_E_UNAUTHORIZED, "no basic auth credentials");
	if (strncasecmp(challenge, "Basic", 5) != 0)
		return cor_fail(err, COR_E_UNSUPPORTED, "the registry asks for a login of unknown kind "
			"\"%.40s\"", challenge);
	b->authorization = basic(l->user, l->password);
	return 0;
}

/* After a refusal of what was sent: again with a new token, or with the next login. */
static int log_in(struct registry *r, struct registry_base *b, CURL *c, unsigned round, bool sent,
	const char *challenge, struct cor_err *err) {
	int e;

	lock(r);
	if (b->round != round) {
		unlock(r);              /* another worker was here */
		return 0;
	}
	/* A token that was good has run out: the same login again. One that never was: the next. */
	if (sent && !b->proven) {
		b->login++;
		if (!login_of(r, b)) {
			unlock(r);
			return cor_fail(err, COR_E_UNAUTHORIZED, "refused");
		}
	}
	do {
		e = answer_challenge(r, b, c, challenge, err);
	} while (e == COR_E_UNAUTHORIZED && (b->login++, login_of(r, b)));
	b->round++;
	unlock(r);
	return e;
}

/* ---- requests ---- */

static int refusal(struct registry *r, const struct registry_base *b, long status,
	struct cor_str body, struct cor_err *err) {
	_cleanup_(cor_arena_freep) struct cor_arena *a = cor_arena_new(1 << 20);
	const struct cor_node *list = cor_node_get_c(cor_node_parse(a, body, NULL, NULL), "errors");
	struct cor_str said = { 0 };

	if (cor_node_is(list, COR_NODE_ARRAY) && list->items.n > 0)
		said = cor_node_path_str(list->items.p[0], "message");
	if (said.n > 200)
		said.n = 200;
	if (status == 404)
		return cor_fail(err, COR_E_NOT_FOUND, "not found");
	if (status == 401 || status == 403)
		return cor_fail(err, COR_E_UNAUTHORIZED,
			"pull access denied, repository does not exist or may require authorization: "
			"%s answered %ld%s%.*s", b->host, status, said.n ? ": " : "", COR_STR_ARG(said));
	return cor_fail(err, status == 429 ? COR_E_LIMIT : COR_E_INVALID, "%s answered %ld%s%.*s",
		b->host, status, said.n ? ": " : "", COR_STR_ARG(said));
}

static bool worth_another(const struct image_http *q, int e, const struct image_http_reply *reply) {
	if (e == COR_E_CLOSED || e == COR_E_LIMIT || e == -ENOSPC || e == -EDQUOT)
		return false;
	if (e < 0)                      /* nobody there: only what has begun goes on */
		return reply->connected || (q->fd >= 0 && q->from > 0);
	return reply->status == 429 || reply->status >= 500 || reply->status == 408;
}

/* http first where that is allowed; a server that speaks only TLS answers 400 or hangs up. */
static bool change_scheme(struct registry *r, struct registry_base *b, int e, long status) {
	bool changed = false;

	lock(r);
	if (!b->scheme_known && e != COR_E_CLOSED) {
		b->scheme_known = true;
		changed = (e < 0 && e != -ECONNREFUSED) || status == 400;
		if (changed) {
			char host[sizeof(b->host)];

			memcpy(host, b->host, sizeof(host));
			(void)snprintf(b->url, sizeof(b->url), "https://%s", host);
		}
	}
	unlock(r);
	return changed;
}

/* One request of one base, with logins and further tries. q->url is set here. */
static int ask(struct registry *r, struct registry_base *b, CURL *c, const char *path,
	struct image_http *q, struct image_http_reply *reply, struct cor_err *err) {
	int logins = 0, e;

	for (int tries = 1;; tries++) {
		_cleanup_free_ char *url = NULL, *sent = NULL;
		uint64_t before = q->from;
		unsigned round;

		lock(r);
		url = cor_asprintf("%s/v2/%s/%s", b->url, r->ref->path, path);
		sent = b->authorization ? cor_strdup(b->authorization) : NULL;
		round = b->round;
		unlock(r);
		q->url = url;
		q->authorization = sent;
		q->plain = b->plain;
		if (q->body)
			cor_buf_clear(q->body);
		e = cor_image_http(r->curl, c, q, reply, err);
		if (change_scheme(r, b, e, reply->status))
			continue;
		if (e == 0 && (reply->status == 401 || (reply->status == 403 && sent)) &&
			++logins < 12) {
			e = log_in(r, b, c, round, sent != NULL, reply->challenge, err);
			if (e == 0) {
				tries--;
				continue;
			}
			if (e != COR_E_UNAUTHORIZED)
				return e;
			return refusal(r, b, reply->status, q->body ? cor_buf_view(q->body) :
				(struct cor_str){ 0 }, err);
		}
		if (!worth_another(q, e, reply)) {
			lock(r);
			b->proven |= e == 0 && sent;
			unlock(r);
			return e < 0 ? cor_wrap(err, "%s", b->host) : 0;
		}
		if (q->from > before)
			tries = 1;      /* it moves: patience begins anew */
		if (tries >= TRIES)
			break;
		cor_image_http_pause(r->run, reply->retry_after_s ? reply->retry_after_s * 1000ULL :
			(uint64_t)r->store->cfg.retry_base_ms << (tries - 1));
		if (cor_image_run_stopped(r->run))
			return cor_fail(err, COR_E_CLOSED, "cancelled");
	}
	return e < 0 ? cor_wrap(err, "%s", b->host) : 0;
}

/* The bases in turn, beginning with the preferred one; the origin, the last, has the last word. */
static int ask_all(struct registry *r, const char *path, struct image_http *q,
	struct image_http_reply *reply, bool choose, struct cor_err *err) {
	unsigned first = choose ? 0 : r->preferred;
	CURL *c = take_handle(r);
	int e = COR_E_INTERNAL;

	if (!c)
		return cor_fail(err, -ENOMEM, "out of memory");
	q->run = r->run;
	q->ca_file = r->store->cfg.ca_file;
	for (unsigned i = first; i < r->n_bases; i++) {
		e = ask(r, &r->bases[i], c, path, q, reply, err);
		if (e == 0 && reply->status != 200 && reply->status != 206)
			e = refusal(r, &r->bases[i], reply->status, q->body ?
				cor_buf_view(q->body) : (struct cor_str){ 0 }, err);
		if (e == 0 && choose)
			r->preferred = i;
		if (e == 0 || e == COR_E_CLOSED)
			break;
	}
	give_handle(r, c);
	return e;
}

int cor_registry_manifest(struct registry *r, const char *what, bool head, struct cor_buf *body,
	char ret_digest[100], struct cor_err *err) {
	struct image_http_reply reply;
	struct image_http q = { .head = head, .accept = ACCEPT, .fd = -1, .max = IMAGE_JSON_MAX,
		.body = body };
	char path[200];
	int e;

	(void)snprintf(path, sizeof(path), "manifests/%s", what);
	e = ask_all(r, path, &q, &reply, true, err);
	if (e == 0 && ret_digest)
		memcpy(ret_digest, reply.digest, sizeof(reply.digest));
	return e;
}

int cor_registry_blob_text(struct registry *r, const char *hex, struct cor_buf *body,
	struct cor_err *err) {
	struct image_http_reply reply;
	struct image_http q = { .fd = -1, .max = IMAGE_JSON_MAX, .body = body };
	char path[120];

	(void)snprintf(path, sizeof(path), "blobs/sha256:%s", hex);
	return ask_all(r, path, &q, &reply, false, err);
}

int cor_registry_blob_file(struct registry *r, const char *hex, uint64_t size, int fd,
	uint64_t *from, struct cor_err *err) {
	_cleanup_buf_ struct cor_buf text = COR_BUF_INIT;
	struct image_http_reply reply;
	struct image_http q = { .fd = fd, .from = *from, .max = size, .body = &text };
	char path[120];
	int e;

	(void)snprintf(path, sizeof(path), "blobs/sha256:%s", hex);
	if (*from == size)
		return 0;
	e = ask_all(r, path, &q, &reply, false, err);
	*from = q.from;
	if (e == 0 && q.from != size)
		return cor_fail(err, COR_E_INVALID, "blob has %llu bytes, but the manifest says %llu",
			(unsigned long long)q.from, (unsigned long long)size);
	return e;
}
