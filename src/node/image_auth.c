// SPDX-License-Identifier: Apache-2.0
// Registry credentials of a pod's pull secrets. A login names the registry, and perhaps a path
// below it, that it is for; of those that fit an image the most specific is tried first. Memory
// that held secrets is wiped before it is freed.

#include <fnmatch.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdio.h>

#include "node/image_priv.h"

enum { LOGINS_MAX = 1000, SECRET_JSON_MAX = 1 << 20 };

struct cor_image_keyring {
	struct image_login *logins;
	size_t n;
};

static void wipe(char *s) {
	if (s)
		OPENSSL_cleanse(s, strlen(s));
	free(s);
}

static void login_fini(struct image_login *l) {
	free(l->match);
	wipe(l->user);
	wipe(l->password);
	wipe(l->identity_token);
	wipe(l->registry_token);
}

struct cor_image_keyring *cor_image_keyring_new(void) {
	return cor_new(struct cor_image_keyring);
}

static void truncate_to(struct cor_image_keyring *k, size_t n) {
	while (k->n > n)
		login_fini(&k->logins[--k->n]);
}

void cor_image_keyring_free(struct cor_image_keyring *k) {
	if (!k)
		return;
	truncate_to(k, 0);
	free(k->logins);
	free(k);
}

static struct image_login *add(struct cor_image_keyring *k, struct image_login l) {
	k->logins = cor_realloc(k->logins, (k->n + 1) * sizeof(*k->logins));
	k->logins[k->n] = l;
	return &k->logins[k->n++];
}

static char *dup_or_null(const char *s) {
	return s ? cor_strdup(s) : NULL;
}

struct cor_image_keyring *cor_image_keyring_copy(const struct cor_image_keyring *k) {
	struct cor_image_keyring *out = cor_image_keyring_new();

	for (size_t i = 0; k && i < k->n; i++) {
		const struct image_login *l = &k->logins[i];

		(void)add(out, (struct image_login){ .match = cor_strdup(l->match),
			.user = dup_or_null(l->user), .password = dup_or_null(l->password),
			.identity_token = dup_or_null(l->identity_token),
			.registry_token = dup_or_null(l->registry_token) });
	}
	return out;
}

/* "https://host/v1/", "host/v2" and "host/" all mean "host"; Docker Hub has several names. */
static char *normalise_match(struct cor_str key) {
	static const struct cor_str schemes[] = { COR_STR_INIT("https://"), COR_STR_INIT("http://") };
	static const struct cor_str tails[] = { COR_STR_INIT("/"), COR_STR_INIT("/v1"),
		COR_STR_INIT("/v2"), COR_STR_INIT("/") };
	size_t slash;
	struct cor_str host;

	for (size_t i = 0; i < cor_countof(schemes); i++) {
		if (cor_str_starts(key, schemes[i]))
			key = cor_str_sub(key, schemes[i].n, key.n);
	}
	for (size_t i = 0; i < cor_countof(tails); i++) {
		if (cor_str_ends(key, tails[i]))
			key = cor_str_sub(key, 0, key.n - tails[i].n);
	}
	slash = cor_str_chr(key, '/');
	host = cor_str_sub(key, 0, slash);
	if (cor_str_eq_c(host, "index.docker.io") || cor_str_eq_c(host, "registry-1.docker.io"))
		return cor_asprintf("docker.io%.*s", COR_STR_ARG(cor_str_sub(key, slash, key.n)));
	return cor_str_dup_c(key);
}

/* The field auth is base64 of user:password. */
static int decode_auth(struct cor_str auth, struct image_login *l, struct cor_err *err) {
	size_t cap = auth.n / 4 * 3 + 4, n, colon;
	_cleanup_free_ char *plain = cor_calloc(1, cap);
	int len, r = 0;

	len = auth.n % 4 == 0 ? EVP_DecodeBlock((unsigned char *)plain,
		(const unsigned char *)auth.p, (int)auth.n) : -1;
	if (len < 0)
		return cor_fail(err, COR_E_PARSE, "auth of \"%s\" is not base64", l->match);
	n = (size_t)len;
	for (size_t i = auth.n; i-- > 0 && auth.p[i] == '=' && n > 0;)
		n--;
	colon = cor_str_chr((struct cor_str){ plain, n }, ':');
	if (colon >= n) {
		r = cor_fail(err, COR_E_PARSE, "auth of \"%s\" is not user:password", l->match);
	} else {
		wipe(l->user);
		wipe(l->password);
		l->user = cor_str_dup_c((struct cor_str){ plain, colon });
		/* Docker pads with NULs. */
		l->password = cor_str_dup_c(
			(struct cor_str){ plain + colon + 1, strnlen(plain + colon + 1, n - colon - 1) });
	}
	OPENSSL_cleanse(plain, cap);
	return r;
}

static char *member(const struct cor_node *n, const char *key) {
	struct cor_str s = cor_node_path_str(n, key);

	return s.n ? cor_str_dup_c(s) : NULL;
}

static int add_entry(struct cor_image_keyring *k, const struct cor_member *m, struct cor_err *err) {
	struct image_login *l;
	struct cor_str auth;

	if (k->n >= LOGINS_MAX)
		return cor_fail(err, COR_E_LIMIT, "more than %d registry logins", LOGINS_MAX);
	if (!cor_node_is(m->value, COR_NODE_OBJECT))
		return cor_fail(err, COR_E_PARSE, "entry \"%.*s\" is not an object", COR_STR_ARG(m->key));
	l = add(k, (struct image_login){ .match = normalise_match(m->key),
		.user = member(m->value, "username"), .password = member(m->value, "password"),
		.identity_token = member(m->value, "identitytoken"),
		.registry_token = member(m->value, "registrytoken") });
	auth = cor_node_path_str(m->value, "auth");
	return auth.n ? decode_auth(cor_str_trim(auth), l, err) : 0;
}

int cor_image_keyring_add(struct cor_image_keyring *k, struct cor_str type, struct cor_str data,
	struct cor_err *err) {
	_cleanup_(cor_arena_freep) struct cor_arena *arena = cor_arena_new(8 << 20);
	const struct cor_node *doc;
	size_t before = k->n;
	bool config = cor_str_eq_c(type, "kubernetes.io/dockerconfigjson");

	if (!config && !cor_str_eq_c(type, "kubernetes.io/dockercfg"))
		return cor_fail(err, COR_E_INVALID, "secrets of type \"%.*s\" hold no registry logins",
			COR_STR_ARG(type));
	if (data.n > SECRET_JSON_MAX)
		return cor_fail(err, COR_E_LIMIT, "registry logins are larger than 1 MiB");
	doc = cor_node_parse(arena, data, NULL, err);
	if (!doc)
		return cor_wrap(err, "registry logins");
	if (config)
		doc = cor_node_get_c(doc, "auths");
	if (doc && doc->kind != COR_NODE_OBJECT)
		return cor_fail(err, COR_E_PARSE, "registry logins are not a JSON object");
	for (size_t i = 0; doc && i < doc->members.n; i++) {
		if (add_entry(k, &doc->members.p[i], err) < 0) {
			truncate_to(k, before);
			return err ? err->code : COR_E_PARSE;
		}
	}
	return 0;
}

void cor_image_keyring_add_login(struct cor_image_keyring *k, const char *match, const char *user,
	const char *password) {
	(void)add(k, (struct image_login){ .match = normalise_match(cor_str_c(match)),
		.user = cor_strdup(user), .password = cor_strdup(password) });
}

/* host against a pattern with globs that do not cross a dot; ports must be equal. */
static bool host_fits(struct cor_str pattern, struct cor_str host) {
	struct cor_str a = pattern, b = host;

	while (a.p && b.p) {
		char pa[256], ha[256];
		struct cor_str x = cor_str_cut(&a, '.'), y = cor_str_cut(&b, '.');

		if (x.n >= sizeof(pa) || y.n >= sizeof(ha))
			return false;
		(void)snprintf(pa, sizeof(pa), "%.*s", COR_STR_ARG(x));
		(void)snprintf(ha, sizeof(ha), "%.*s", COR_STR_ARG(y));
		if (fnmatch(pa, ha, 0) != 0)
			return false;
	}
	return !a.p && !b.p;
}

static bool fits(const struct image_login *l, const char *host, const char *path) {
	struct cor_str m = cor_str_c(l->match), p = cor_str_c(path);
	size_t slash = cor_str_chr(m, '/');
	struct cor_str want = slash < m.n ? cor_str_sub(m, slash + 1, m.n) : COR_STR("");

	return host_fits(cor_str_sub(m, 0, slash), cor_str_c(host)) && cor_str_starts(p, want);
}

/* Most specific first: descending order of the text, as kubelet sorts; equal ones as given. */
static bool goes_before(const struct cor_image_keyring *k, size_t a, size_t b) {
	int c = strcmp(k->logins[a].match, k->logins[b].match);

	return c != 0 ? c > 0 : a < b;
}

const struct image_login *cor_image_keyring_match(
	const struct cor_image_keyring *k, const char *host, const char *path, size_t i) {
	for (size_t c = 0; k && c < k->n; c++) {
		size_t before = 0;

		if (!fits(&k->logins[c], host, path))
			continue;
		for (size_t o = 0; o < k->n; o++)
			before += o != c && fits(&k->logins[o], host, path) && goes_before(k, o, c);
		if (before == i)
			return &k->logins[c];
	}
	return NULL;
}

const struct image_login *cor_image_keyring_at(const struct cor_image_keyring *k, size_t i) {
	return k && i < k->n ? &k->logins[i] : NULL;
}

static void hash_login(struct image_hash *h, const struct image_login *l) {
	const char *parts[] = { l->match, l->user, l->password, l->identity_token,
		l->registry_token };

	for (size_t i = 0; i < cor_countof(parts); i++)
		cor_image_hash_add(h, parts[i] ? parts[i] : "",
			(parts[i] ? strlen(parts[i]) : 0) + 1);
}

void cor_image_login_hash(const struct image_login *l, char hex[IMAGE_HEX]) {
	struct image_hash h;

	cor_image_hash_begin(&h);
	hash_login(&h, l);
	cor_image_hash_end(&h, hex);
}

void cor_image_keyring_hash(const struct cor_image_keyring *k, char hex[IMAGE_HEX]) {
	struct image_hash h;

	cor_image_hash_begin(&h);
	for (size_t i = 0; k && i < k->n; i++)
		hash_login(&h, &k->logins[i]);
	cor_image_hash_end(&h, hex);
}
