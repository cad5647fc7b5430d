// SPDX-License-Identifier: Apache-2.0
// Certificates and tokens. What OpenSSL's own command says about them is the second opinion.
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "net_fixture.h"

/* The exit status of a command line of openssl's tool. */
static int shell(const char *line) {
	int status;
	pid_t pid = fork();
	if (pid == 0) {
		execl("/bin/sh", "sh", "-c", line, (char *)NULL);
		_exit(127);
	}
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void test_issue(void **state) {
	struct fixture_pki p, other;
	cor_time from, to, now = fixture_now();
	static const struct cor_str good[] = { COR_STR_INIT("localhost"), COR_STR_INIT("127.0.0.1") };
	static const struct cor_str more[] = { COR_STR_INIT("localhost"), COR_STR_INIT("10.0.0.1") };
	static const struct cor_str name[] = { COR_STR_INIT("api") };
	char a[COR_SHA256_HEX], b[COR_SHA256_HEX];
	struct cor_pki_pair mixed;

	fixture_pki_make(&p);
	fixture_pki_make(&other);
	ok(cor_pki_validity(cor_buf_view(&p.server.cert), &from, &to, err));
	assert_true(from <= now && to > now && to - from == 2 * COR_HOUR);
	assert_false(cor_pki_expires_within(cor_buf_view(&p.server.cert), now, COR_MINUTE));
	assert_true(cor_pki_expires_within(cor_buf_view(&p.server.cert), now, 2 * COR_HOUR));
	assert_true(cor_pki_expires_within(COR_STR("nonsense"), now, 0));
	assert_true(cor_pki_fits(&p.server, cor_buf_view(&p.ca.cert), good, 2));
	assert_false(cor_pki_fits(&p.server, cor_buf_view(&p.ca.cert), more, 2));
	/* The common name is not a DNS name. */
	assert_false(cor_pki_fits(&p.server, cor_buf_view(&p.ca.cert), name, 1));
	assert_false(cor_pki_fits(&p.server, cor_buf_view(&other.ca.cert), good, 2));
	mixed = (struct cor_pki_pair){ p.server.cert, p.client.key };
	assert_false(cor_pki_fits(&mixed, cor_buf_view(&p.ca.cert), good, 2));
	ok(cor_pki_fingerprint(cor_buf_view(&p.ca.cert), a, err));
	ok(cor_pki_fingerprint(cor_buf_view(&other.ca.cert), b, err));
	assert_int_equal(strlen(a), 64);
	assert_string_not_equal(a, b);
	fixture_pki_drop(&p);
	fixture_pki_drop(&other);
}

static void test_openssl_agrees(void **state) {
	char dir[] = "/tmp/cor-pki-XXXXXX", cmd[512];
	struct fixture_pki p;
	struct stat st;
	struct {
		const char *name;
		struct cor_buf *b;
	} files[] = { { "ca.crt", &p.ca.cert }, { "s.crt", &p.server.cert }, { "c.crt", &p.client.cert },
		{ "s.key", &p.server.key } };

	fixture_pki_make(&p);
	assert_non_null(mkdtemp(dir));
	for (size_t i = 0; i < cor_countof(files); i++) {
		_cleanup_buf_ struct cor_buf back = COR_BUF_INIT;

		snprintf(cmd, sizeof(cmd), "%s/%s", dir, files[i].name);
		ok(cor_pki_write_file(cmd, cor_buf_view(files[i].b), 0600, err));
		assert_int_equal(stat(cmd, &st), 0);
		assert_int_equal(st.st_mode & 07777, 0600);
		ok(cor_pki_read_file(cmd, &back, err));
		assert_true(cor_str_eq(cor_buf_view(&back), cor_buf_view(files[i].b)));
	}
	snprintf(cmd, sizeof(cmd), "cd %s && openssl verify -x509_strict -purpose sslserver "
		"-verify_hostname localhost -CAfile ca.crt s.crt >out 2>&1 && openssl verify "
		"-x509_strict -purpose sslclient -CAfile ca.crt c.crt >>out 2>&1 && "
		"openssl x509 -in c.crt -noout -subject | grep -q 'O = system:masters, O = two, CN = admin'",
		dir);
	assert_int_equal(shell(cmd), 0);
	snprintf(cmd, sizeof(cmd), "cd %s && ! openssl verify -purpose sslclient -CAfile ca.crt s.crt "
		">out 2>&1", dir);
	assert_int_equal(shell(cmd), 0);
	snprintf(cmd, sizeof(cmd), "%s/none", dir);
	{
		_cleanup_buf_ struct cor_buf b = COR_BUF_INIT;

		assert_int_equal(cor_pki_read_file(cmd, &b, NULL), -ENOENT);
	}
	snprintf(cmd, sizeof(cmd), "rm -r %s", dir);
	assert_int_equal(shell(cmd), 0);
	fixture_pki_drop(&p);
}

static void test_tokens(void **state) {
	static const enum cor_key_kind kinds[] = { COR_KEY_EC_P256, COR_KEY_RSA_2048 };
	static const char claims[] = "{\"sub\":\"system:serviceaccount:a:b\",\"exp\":1}";
	struct cor_jwt_key *keys[2];
	struct cor_err e = { 0 };

	for (size_t i = 0; i < 2; i++) {
		_cleanup_buf_ struct cor_buf pem = COR_BUF_INIT;

		ok(cor_pki_make_key(kinds[i], &pem, err));
		keys[i] = cor_jwt_key_new(cor_buf_view(&pem), &e);
		assert_non_null(keys[i]);
	}
	assert_string_equal(cor_jwt_key_alg(keys[0]), "ES256");
	assert_string_equal(cor_jwt_key_alg(keys[1]), "RS256");
	for (size_t i = 0; i < 2; i++) {
		_cleanup_buf_ struct cor_buf token = COR_BUF_INIT, back = COR_BUF_INIT, bad = COR_BUF_INIT,
			jwk = COR_BUF_INIT;

		ok(cor_jwt_sign(keys[i], cor_str_c(claims), &token, err));
		ok(cor_jwt_verify(keys, 2, cor_buf_view(&token), &back, err));
		assert_true(cor_str_eq_c(cor_buf_view(&back), claims));
		/* Not by the other key, and not with any one byte changed. */
		assert_int_equal(cor_jwt_verify(&keys[!i], 1, cor_buf_view(&token), &back, NULL),
			COR_E_UNAUTHORIZED);
		for (size_t k = 0; k < token.n; k += 3) {
			cor_buf_clear(&bad);
			cor_buf_str(&bad, cor_buf_view(&token));
			bad.p[k] = bad.p[k] == 'A' ? 'B' : 'A';
			assert_true(cor_jwt_verify(keys, 2, cor_buf_view(&bad), &back, NULL) < 0);
		}
		cor_jwt_print_jwk(keys[i], &jwk);
		assert_true(cor_str_contains(cor_buf_view(&jwk), cor_str_c(cor_jwt_key_id(keys[i]))));
	}
	static const char *const bad[] = { "", ".", "..", "a.b", "a.b.c.d", "e30.e30.",
		/* {"alg":"none"} */ "eyJhbGciOiJub25lIn0.e30." };
	for (size_t i = 0; i < cor_countof(bad); i++) {
		_cleanup_buf_ struct cor_buf back = COR_BUF_INIT;

		assert_int_equal(cor_jwt_verify(keys, 2, cor_str_c(bad[i]), &back, NULL),
			COR_E_UNAUTHORIZED);
	}
	cor_jwt_key_free(keys[0]);
	cor_jwt_key_free(keys[1]);
}

static void test_base64url(void **state) {
	static const struct {
		const char *plain, *text;
	} rows[] = { { "", "" }, { "f", "Zg" }, { "fo", "Zm8" }, { "foo", "Zm9v" }, { "\xff\xfe\xfd", "__79" } };
	static const char *const bad[] = { "Z", "Zh", "Zm9", "Zm9v=", "Zm 9", "+/==" };

	for (size_t i = 0; i < cor_countof(rows); i++) {
		_cleanup_buf_ struct cor_buf b = COR_BUF_INIT, back = COR_BUF_INIT;

		cor_base64url_encode(&b, cor_str_c(rows[i].plain));
		assert_true(cor_str_eq_c(cor_buf_view(&b), rows[i].text));
		assert_true(cor_base64url_decode(&back, cor_buf_view(&b)));
		assert_true(cor_str_eq_c(cor_buf_view(&back), rows[i].plain));
	}
	for (size_t i = 0; i < cor_countof(bad); i++) {
		_cleanup_buf_ struct cor_buf b = COR_BUF_INIT;

		if (cor_base64url_decode(&b, cor_str_c(bad[i])))
			fail_msg("\"%s\" was accepted", bad[i]);
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_issue),
		cmocka_unit_test(test_openssl_agrees),
		cmocka_unit_test(test_tokens),
		cmocka_unit_test(test_base64url),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
