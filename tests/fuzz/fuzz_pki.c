// SPDX-License-Identifier: Apache-2.0
// Keys, certificates and tokens in text. The first line chooses: jwt (a token against a key, and
// claims that are signed with it and must verify), pem (keys and certificates), kubeconfig (a
// file).
#include <sys/mman.h>
#include <uv.h>

#include "fuzz.h"
#include "net/pki.h"
#include "net/tls.h"
#include "node/kubeconfig.h"

static struct cor_jwt_key *key;

static void make_key(void) {
	_cleanup_buf_ struct cor_buf text = COR_BUF_INIT;
	struct cor_err err;

	cor_assert(cor_pki_make_key(COR_KEY_EC_P256, &text, &err) == 0);
	key = cor_jwt_key_new(cor_buf_view(&text), &err);
	cor_assert(key);
}

static void jwt(struct cor_str in) {
	_cleanup_buf_ struct cor_buf claims = COR_BUF_INIT, token = COR_BUF_INIT,
				     back = COR_BUF_INIT;
	struct cor_err err;

	if (cor_jwt_verify(&key, 1, in, &claims, &err) < 0)
		cor_assert(err.message[0] && !claims.n);
	if (cor_jwt_sign(key, in, &token, &err) < 0)
		return;
	if (cor_jwt_verify(&key, 1, cor_buf_view(&token), &back, &err) == 0)
		cor_assert(cor_str_eq(cor_buf_view(&back), in));
}

static void pem(struct cor_str in) {
	struct cor_tls_config c = { .server = true, .cert = in, .key = in, .ca = in };
	struct cor_pki_pair pair = { .cert = { .p = (char *)(uintptr_t)in.p, .n = in.n },
		.key = { .p = (char *)(uintptr_t)in.p, .n = in.n } };
	struct cor_pki_subject s = { .cn = COR_STR("x"), .not_after = COR_HOUR, .client = true };
	_cleanup_buf_ struct cor_buf cert = COR_BUF_INIT, jwk = COR_BUF_INIT;
	struct cor_jwt_key *k;
	char text[COR_SHA256_HEX];
	cor_time from, to;
	struct cor_err err;

	if (cor_pki_validity(in, &from, &to, &err) == 0)
		cor_assert(cor_pki_fingerprint(in, text, &err) == 0);
	(void)cor_pki_expires_within(in, 0, 0);
	(void)cor_pki_fits(&pair, in, NULL, 0);
	(void)!cor_pki_sign_csr(&pair, in, &s, &cert, &err);
	pair.cert = pair.key = COR_BUF_INIT;    /* borrowed */
	cor_pki_pair_fini(&pair);
	cor_tls_unref(cor_tls_new(&c, &err));
	k = cor_jwt_key_new(in, &err);
	if (k)
		cor_jwt_print_jwk(k, &jwk);
	cor_jwt_key_free(k);
}

static void kubeconfig(struct cor_str in) {
	static uv_loop_t loop;
	static struct cor_world *world;
	char path[64];
	int fd = memfd_create("kubeconfig", MFD_CLOEXEC);
	struct cor_err err;

	if (!world) {
		cor_assert(uv_loop_init(&loop) == 0);
		world = cor_world_uv_new(&loop);
	}
	cor_assert(fd >= 0 && write(fd, in.p, in.n) == (ssize_t)in.n);
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	cor_api_free(cor_api_from_kubeconfig(&loop, world, path, "fuzz", &err));
	close(fd);
	uv_run(&loop, UV_RUN_NOWAIT);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
	struct cor_str in = fuzz_input(data, n), what = fuzz_line(&in);

	if (!key)
		make_key();
	if (cor_str_eq_c(what, "jwt"))
		jwt(in);
	else if (cor_str_eq_c(what, "pem"))
		pem(in);
	else if (cor_str_eq_c(what, "kubeconfig"))
		kubeconfig(in);
	return 0;
}
