// SPDX-License-Identifier: Apache-2.0
// Image references, normalised as Docker does: a first component without a dot, a colon or the
// name localhost is not a host but belongs to docker.io, official images live below library/, and
// neither tag nor digest means the tag latest.

#include <ctype.h>
#include <stdio.h>

#include "node/image_priv.h"

#define BAD "invalid reference format"

static bool lower_alnum(char c) {
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

/* One path component: runs of [a-z0-9] joined by '.', '_', '__' or any number of '-'. */
static bool component_ok(struct cor_str s) {
	size_t i = 0;

	if (s.n == 0 || !lower_alnum(s.p[0]) || !lower_alnum(s.p[s.n - 1]))
		return false;
	while (i < s.n) {
		size_t from = i;

		if (lower_alnum(s.p[i])) {
			i++;
			continue;
		}
		while (i < s.n && s.p[i] == s.p[from])
			i++;
		if (i < s.n && !lower_alnum(s.p[i]))
			return false;
		if (s.p[from] == '.' ? i - from != 1 :
			s.p[from] == '_' ? i - from > 2 : s.p[from] != '-')
			return false;
	}
	return true;
}

static bool path_ok(struct cor_str path) {
	struct cor_str rest = path;

	if (path.n == 0)
		return false;
	while (rest.p) {
		if (!component_ok(cor_str_cut(&rest, '/')))
			return false;
	}
	return true;
}

static bool tag_ok(struct cor_str s) {
	if (s.n == 0 || s.n > 128)
		return false;
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (!(c < 0x80 && (isalnum(c) || c == '_' || (i > 0 && (c == '.' || c == '-')))))
			return false;
	}
	return true;
}

/* Host, or [IPv6], with an optional port. */
static bool domain_ok(struct cor_str s) {
	struct cor_str host = s;
	bool v6 = s.n > 0 && s.p[0] == '[';
	size_t colon = s.n;

	for (size_t i = s.n; i-- > 0 && s.p[i] != ']';) {
		if (s.p[i] == ':') {
			colon = i;
			break;
		}
	}
	if (colon < s.n) {
		uint64_t port;
		struct cor_str digits = cor_str_sub(s, colon + 1, s.n);

		if (digits.n == 0 || digits.n > 5 || !cor_str_to_u64(digits, &port))
			return false;
		host = cor_str_sub(s, 0, colon);
	}
	if (host.n == 0 || (v6 && host.p[host.n - 1] != ']'))
		return false;
	for (size_t i = v6; i < host.n - v6; i++) {
		unsigned char c = (unsigned char)host.p[i];
		bool edge = i == 0 || i + 1 == host.n || host.p[i - 1] == '.' ||
			host.p[i + 1] == '.';

		if (v6 ? !(isxdigit(c) || c == ':') :
			!(c < 0x80 && (isalnum(c) || (!edge && c == '-') ||
				(c == '.' && i > 0 && i + 1 < host.n && host.p[i - 1] != '.'))))
			return false;
	}
	return true;
}

static bool looks_like_domain(struct cor_str first) {
	if (cor_str_eq_c(first, "localhost"))
		return true;
	for (size_t i = 0; i < first.n; i++) {
		if (first.p[i] == '.' || first.p[i] == ':' || isupper((unsigned char)first.p[i]))
			return true;
	}
	return false;
}

static bool is_bare_id(struct cor_str s) {
	if (s.n != IMAGE_HEX - 1)
		return false;
	for (size_t i = 0; i < s.n; i++) {
		if (!isxdigit((unsigned char)s.p[i]) || isupper((unsigned char)s.p[i]))
			return false;
	}
	return true;
}

static void put(char *out, size_t size, struct cor_str s) {
	(void)snprintf(out, size, "%.*s", COR_STR_ARG(s));
}

/* Takes "@digest" and ":tag" off the end of *name. */
static int split_suffixes(struct cor_str *name, struct cor_image_ref *out, struct cor_err *err) {
	size_t at = cor_str_chr(*name, '@');
	size_t colon = 0;
	char hex[IMAGE_HEX];

	if (at < name->n) {
		struct cor_str digest = cor_str_sub(*name, at + 1, name->n);

		if (cor_image_digest_parse(digest, hex, NULL) < 0)
			return cor_fail(err, COR_E_INVALID, BAD);
		put(out->digest, sizeof(out->digest), digest);
		*name = cor_str_sub(*name, 0, at);
	}
	for (size_t i = name->n; i-- > 1 && name->p[i] != '/';) {
		if (name->p[i] == ':') {
			colon = i;
			break;
		}
	}
	if (colon > 0) {
		struct cor_str tag = cor_str_sub(*name, colon + 1, name->n);

		if (!tag_ok(tag))
			return cor_fail(err, COR_E_INVALID, BAD);
		put(out->tag, sizeof(out->tag), tag);
		*name = cor_str_sub(*name, 0, colon);
	}
	if (!out->tag[0] && !out->digest[0])
		put(out->tag, sizeof(out->tag), COR_STR("latest"));
	return 0;
}

static int check_path(struct cor_str path, struct cor_err *err) {
	char lower[256];

	if (path_ok(path))
		return 0;
	if (path.n < sizeof(lower)) {
		for (size_t i = 0; i < path.n; i++)
			lower[i] = (char)tolower((unsigned char)path.p[i]);
		if (path_ok((struct cor_str){ lower, path.n }))
			return cor_fail(err, COR_E_INVALID,
				BAD ": repository name (%.*s) must be lowercase", COR_STR_ARG(path));
	}
	return cor_fail(err, COR_E_INVALID, BAD);
}

enum { NAME_MAX_LENGTH = 255 };     /* as it is written in full, so that what is written in full is taken as well */

int cor_image_ref_parse(struct cor_str text, struct cor_image_ref *ret, struct cor_err *err) {
	struct cor_image_ref out = { 0 };
	struct cor_str name = text, domain = COR_STR("docker.io"), path;
	size_t slash;
	int r;

	if (text.n == 0 || text.n > COR_IMAGE_REF_MAX || memchr(text.p, 0, text.n))
		return cor_fail(err, COR_E_INVALID, BAD);
	r = split_suffixes(&name, &out, err);
	if (r < 0)
		return r;
	if (is_bare_id(name))
		return cor_fail(err, COR_E_INVALID,
			BAD ": a repository name cannot be 64 hexadecimal digits");
	path = name;
	slash = cor_str_chr(name, '/');
	if (slash < name.n && looks_like_domain(cor_str_sub(name, 0, slash))) {
		domain = cor_str_sub(name, 0, slash);
		path = cor_str_sub(name, slash + 1, name.n);
		if (!domain_ok(domain))
			return cor_fail(err, COR_E_INVALID, BAD);
		if (cor_str_eq_c(domain, "index.docker.io"))
			domain = COR_STR("docker.io");
	}
	r = check_path(path, err);
	if (r < 0)
		return r;
	const char *library = cor_str_eq_c(domain, "docker.io") && cor_str_chr(path, '/') == path.n ? "library/" : "";
	if (domain.n + strlen("/") + strlen(library) + path.n > NAME_MAX_LENGTH)
		return cor_fail(err, COR_E_INVALID,
			"repository name must not be more than 255 characters");
	put(out.domain, sizeof(out.domain), domain);
	(void)snprintf(out.path, sizeof(out.path), "%s%.*s", library, COR_STR_ARG(path));
	(void)snprintf(out.text, sizeof(out.text), "%s/%s%s%s%s%s", out.domain, out.path,
		out.tag[0] ? ":" : "", out.tag, out.digest[0] ? "@" : "", out.digest);
	*ret = out;
	return 0;
}

bool cor_image_ref_is_latest(struct cor_str text) {
	struct cor_image_ref ref;
	struct cor_err err;

	return cor_image_ref_parse(text, &ref, &err) == 0 && !ref.digest[0] &&
		strcmp(ref.tag, "latest") == 0;
}
