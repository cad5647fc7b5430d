// SPDX-License-Identifier: Apache-2.0
// Certificates of a cluster: see certs.h.
#include "cli/certs.h"

#include <stdio.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "codec/codec.h"

static const cor_time DAY = 24 * COR_HOUR;
/* BACK: what machines without a clock of their own may be wrong by when they start. RENEW: before the end, a fifth
 * of the life. */
enum { CA_DAYS = 3650, CA_BACK_DAYS = 3650, LEAF_DAYS = 365, RENEW_DAYS = 73, BACK_DAYS = 30, SANS_MAX = 12 };

struct maker {
	const struct cor_certs_config *c;
	struct cor_pki_pair *ca;
	cor_time now;
	cor_time good_from, good_until; /* of all leaves */
	struct cor_err *err;
	bool made;                      /* something that must last */
};

void cor_certs_fini(struct cor_certs *c) {
	cor_pki_pair_fini(&c->ca);
	cor_pki_pair_fini(&c->server);
	cor_pki_pair_fini(&c->kubelet_client);
	cor_buf_fini(&c->sa_key);
}

static char *path_of(const struct maker *m, const char *name, const char *ext) {
	return cor_asprintf("%s/%s.%s", m->c->dir, name, ext);
}

/* 1 when both files were read, 0 when there are none. */
static int read_pair(const struct maker *m, const char *name, struct cor_pki_pair *ret) {
	_cleanup_free_ char *crt = path_of(m, name, "crt");
	_cleanup_free_ char *key = path_of(m, name, "key");
	int r = cor_pki_read_file(crt, &ret->cert, m->err);
	if (r >= 0)
		r = cor_pki_read_file(key, &ret->key, m->err);
	if (r == -ENOENT) {
		cor_pki_pair_fini(ret);
		return 0;
	}
	return r < 0 ? r : 1;
}

/* Only what everything else hangs on must survive a loss of power; a leaf that it damages does not fit, and
 * is made anew at the next start. */
static int write_pair(const struct maker *m, const char *name, const struct cor_pki_pair *p,
	int (*write)(const char *path, struct cor_str pem, unsigned mode, struct cor_err *err)) {
	_cleanup_free_ char *crt = path_of(m, name, "crt");
	_cleanup_free_ char *key = path_of(m, name, "key");
	int r = write(key, cor_buf_view(&p->key), 0600, m->err);
	return r < 0 ? r : write(crt, cor_buf_view(&p->cert), 0644, m->err);
}

static int ensure_ca(struct maker *m) {
	int r = read_pair(m, "ca", m->ca);
	if (r != 0)
		return r;
	m->made = true;
	r = cor_pki_make_ca(COR_STR("coracle-ca"), m->now - CA_BACK_DAYS * DAY, m->now + CA_DAYS * DAY, m->ca, m->err);
	return r < 0 ? r : write_pair(m, "ca", m->ca, cor_pki_write_file);
}

static void note_life(struct maker *m, cor_time from, cor_time until) {
	m->good_from = from > m->good_from ? from : m->good_from;
	m->good_until = m->good_until == 0 || until < m->good_until ? until : m->good_until;
}

static int ensure_leaf(struct maker *m, const char *name, struct cor_pki_subject s, struct cor_pki_pair *ret) {
	int r = read_pair(m, name, ret);
	struct cor_err unreadable;
	cor_time from, until;
	if (r < 0)
		return r;
	if (r == 1 && cor_pki_validity(cor_buf_view(&ret->cert), &from, &until, &unreadable) >= 0 && from <= m->now &&
	    until - RENEW_DAYS * DAY > m->now && cor_pki_fits(ret, cor_buf_view(&m->ca->cert), s.sans, s.n_sans)) {
		note_life(m, from, until);
		return 0;
	}
	cor_pki_pair_fini(ret);
	s.not_before = m->now - BACK_DAYS * DAY;
	s.not_after = m->now + LEAF_DAYS * DAY;
	note_life(m, s.not_before, s.not_after);
	r = cor_pki_issue(m->ca, &s, ret, m->err);
	return r < 0 ? r : write_pair(m, name, ret, cor_pki_write_derived);
}

static int ensure_server(struct maker *m, struct cor_pki_pair *ret) {
	_cleanup_free_ char *local = cor_asprintf("kubernetes.default.svc.%s", m->c->domain);
	struct cor_str sans[SANS_MAX] = {
		COR_STR("kubernetes"), COR_STR("kubernetes.default"), COR_STR("kubernetes.default.svc"),
		cor_str_c(local), COR_STR("localhost"), COR_STR("127.0.0.1"), COR_STR("::1"),
		cor_str_c(m->c->service_ip), cor_str_c(m->c->address),
	};
	struct cor_pki_subject s = {
		.cn = COR_STR("kube-apiserver"), .server = true, .sans = sans, .n_sans = 9,
	};
	return ensure_leaf(m, "apiserver", s, ret);
}

static void kubeconfig_text(const struct maker *m, const char *user, const struct cor_pki_pair *p, struct cor_buf *b) {
	_cleanup_buf_ struct cor_buf ca = COR_BUF_INIT, crt = COR_BUF_INIT, key = COR_BUF_INIT;
	cor_base64_encode(&ca, cor_buf_view(&m->ca->cert));
	cor_base64_encode(&crt, cor_buf_view(&p->cert));
	cor_base64_encode(&key, cor_buf_view(&p->key));
	cor_buf_printf(b,
		"apiVersion: v1\nkind: Config\nclusters:\n- name: coracle\n  cluster:\n    server: https://%s:%d\n"
		"    certificate-authority-data: %.*s\nusers:\n- name: %s\n  user:\n    client-certificate-data: %.*s\n"
		"    client-key-data: %.*s\ncontexts:\n- name: coracle\n  context:\n    cluster: coracle\n    user: %s\n"
		"current-context: coracle\n",
		m->c->address, m->c->port, COR_STR_ARG(cor_buf_view(&ca)), user, COR_STR_ARG(cor_buf_view(&crt)),
		COR_STR_ARG(cor_buf_view(&key)), user);
}

static int ensure_client(struct maker *m, const char *name, struct cor_str cn, struct cor_str org, bool config) {
	_cleanup_pki_pair_ struct cor_pki_pair p = { 0 };
	struct cor_pki_subject s = { .cn = cn, .orgs = &org, .n_orgs = org.n > 0, .client = true };
	int r = ensure_leaf(m, name, s, &p);
	if (r < 0 || !config)
		return r;
	_cleanup_buf_ struct cor_buf b = COR_BUF_INIT;
	kubeconfig_text(m, name, &p, &b);
	_cleanup_free_ char *path = path_of(m, name, "kubeconfig");
	/* Those who follow the file shall be told of news only. */
	_cleanup_buf_ struct cor_buf there = COR_BUF_INIT;
	struct cor_err none;
	if (cor_pki_read_file(path, &there, &none) >= 0 && cor_str_eq(cor_buf_view(&there), cor_buf_view(&b)))
		return 0;
	return cor_pki_write_derived(path, cor_buf_view(&b), 0600, m->err);
}

static int ensure_node(struct maker *m) {
	if (!m->c->node_name)
		return 0;
	_cleanup_free_ char *user = cor_asprintf("system:node:%s", m->c->node_name);
	int r = ensure_client(m, "node", cor_str_c(user), COR_STR("system:nodes"), true);
	if (r < 0)
		return r;
	_cleanup_pki_pair_ struct cor_pki_pair p = { 0 };
	struct cor_str org = COR_STR("system:nodes");
	struct cor_str sans[] = { cor_str_c(m->c->node_name), cor_str_c(m->c->address), COR_STR("127.0.0.1") };
	struct cor_pki_subject s = {
		.cn = cor_str_c(user), .orgs = &org, .n_orgs = 1, .server = true, .sans = sans, .n_sans = 3,
	};
	return ensure_leaf(m, "kubelet", s, &p);
}

static int ensure_sa_key(struct maker *m, struct cor_buf *ret) {
	_cleanup_free_ char *path = path_of(m, "sa", "key");
	int r = cor_pki_read_file(path, ret, m->err);
	if (r != -ENOENT)
		return r;
	m->made = true;
	r = cor_pki_make_key(COR_KEY_EC_P256, ret, m->err);
	return r < 0 ? r : cor_pki_write_file(path, cor_buf_view(ret), 0600, m->err);
}

int cor_certs_ensure(const struct cor_certs_config *c, cor_time now, struct cor_certs *ret, struct cor_err *err) {
	if (mkdir(c->dir, 0700) < 0 && errno != EEXIST)
		return cor_fail_errno(err, errno, "cannot make %s", c->dir);
	struct maker m = { .c = c, .ca = &ret->ca, .now = now - now % COR_SECOND, .err = err };
	struct cor_str org = COR_STR("system:masters");
	struct cor_pki_subject kubelet_client = {
		.cn = COR_STR("kube-apiserver-kubelet-client"), .orgs = &org, .n_orgs = 1, .client = true,
	};
	int r = ensure_ca(&m);
	if (r >= 0)
		r = ensure_server(&m, &ret->server);
	if (r >= 0)
		r = ensure_leaf(&m, "kubelet-client", kubelet_client, &ret->kubelet_client);
	if (r >= 0)
		r = ensure_client(&m, "admin", COR_STR("kubernetes-admin"), org, true);
	if (r >= 0)
		r = ensure_client(&m, "dns", COR_STR("system:kube-dns"), COR_STR(""), true);
	if (r >= 0)
		r = ensure_node(&m);
	if (r >= 0)
		r = ensure_sa_key(&m, &ret->sa_key);
	/* Before anyone gets what they signed. The CA's key was written before its certificate: one without the
	 * other is made anew. */
	if (r >= 0 && m.made)
		r = cor_pki_sync_dir(c->dir, err);
	ret->good_from = m.good_from;
	ret->renew_at = m.good_until - RENEW_DAYS * DAY;
	return r < 0 ? r : 0;
}
