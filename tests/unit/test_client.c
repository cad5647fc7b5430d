// SPDX-License-Identifier: Apache-2.0
// The HTTP client, the API client and informers against the HTTP server, all on one loop.
#include "net/api_client.h"
#include "net/http.h"
#include "net_fixture.h"

struct world {
	uv_loop_t loop;
	struct cor_world *w;
	struct fixture_pki pki;
	struct cor_tls *server_tls;
	struct cor_http_server *http;
	int port;
	bool closed;
	int requests;
	char peer[64];                  /* of the last request */
	char target[512];
	struct cor_http_req *watch;     /* an open watch */
	int watches;
	bool no_stream, expire;
	const char *initial;            /* events a watch for everything begins with */
	struct cor_conn *conn;
	bool conn_closed;
};

static void echo_data(void *arg, struct cor_str data) {
	struct world *t = arg;

	cor_conn_write_str(t->conn, data);
}

static void echo_eof(void *arg) {
	struct world *t = arg;

	cor_conn_shutdown(t->conn);
}

static void echo_close(void *arg, const struct cor_err *why) {
	struct world *t = arg;

	(void)why;
	t->conn_closed = true;
}

static void reply_json(struct cor_http_req *req, int status, const char *text) {
	cor_http_reply(req, status, "application/json", cor_str_c(text));
}

static void stream_write(struct cor_http_req *req, const char *text) {
	struct cor_piece p = { .data = cor_str_c(text) };

	cor_http_stream_write(req, &p, 1);
}

static void handle_watch(struct world *t, struct cor_http_req *req) {
	bool all = cor_http_param(req, "sendInitialEvents").p != NULL;

	t->watches++;
	if (all && t->no_stream) {
		reply_json(req, 422, "{\"kind\":\"Status\",\"reason\":\"Invalid\",\"message\":\"no\"}");
		return;
	}
	cor_http_stream_begin(req, 200, "application/json", NULL);
	if (t->expire) {
		t->expire = false;
		stream_write(req, "{\"type\":\"ERROR\",\"object\":{\"kind\":\"Status\",\"code\":410,"
			"\"reason\":\"Expired\",\"message\":\"too old resource version: 1 (2)\"}}\n");
		cor_http_stream_finish(req);
		return;
	}
	if (all)
		stream_write(req, t->initial);
	t->watch = req;
}

static void handle(void *arg, struct cor_http_req *req) {
	static const struct cor_conn_ops ops = { .on_data = echo_data, .on_eof = echo_eof,
		.on_close = echo_close };
	struct world *t = arg;

	t->requests++;
	snprintf(t->peer, sizeof(t->peer), "%.*s", COR_STR_ARG(req->peer.address));
	snprintf(t->target, sizeof(t->target), "%.*s", COR_STR_ARG(req->target));
	if (cor_str_eq_c(req->path, "/echo"))
		cor_http_reply(req, 200, "text/plain", req->body.n ? req->body : req->peer.cn);
	else if (cor_str_eq_c(req->path, "/never"))
		;
	else if (cor_str_eq_c(req->path, "/break"))
		cor_http_abort(req);
	else if (cor_str_eq_c(req->path, "/conflict"))
		reply_json(req, 409, "{\"kind\":\"Status\",\"status\":\"Failure\",\"reason\":\"Conflict\","
			"\"message\":\"it has changed\",\"details\":{\"retryAfterSeconds\":2}}");
	else if (cor_str_eq_c(req->path, "/upgrade")) {
		struct cor_http_header h[] = { { COR_STR("Connection"), COR_STR("Upgrade") },
			{ COR_STR("Upgrade"), COR_STR("echo") } };

		t->conn = cor_http_takeover(req, 101, h, 2);
		cor_conn_set_ops(t->conn, &ops, t);
	} else if (cor_http_param(req, "watch").p)
		handle_watch(t, req);
	else if (cor_http_param(req, "continue").p)
		reply_json(req, 200, "{\"kind\":\"PodList\",\"metadata\":{\"resourceVersion\":\"9\"},"
			"\"items\":[{\"metadata\":{\"name\":\"q\",\"namespace\":\"n\","
			"\"resourceVersion\":\"8\"}}]}\n");
	else
		reply_json(req, 200, "{\"metadata\":{\"resourceVersion\":\"9\",\"continue\":\"to+ken\"},"
			"\"items\":[{\"metadata\":{\"name\":\"p\",\"namespace\":\"n\","
			"\"labels\":{\"x\":\"},{\\\"\"},\"resourceVersion\":\"7\"}}]}\n");
}

static void closed(void *arg, struct cor_http_req *req) {
	struct world *t = arg;

	if (t->watch == req)
		t->watch = NULL;
}

static void server_closed(void *arg) {
	struct world *t = arg;

	t->closed = true;
}

static void setup(struct world *t, bool tls) {
	struct cor_http_config c = { .loop = &t->loop, .handle = handle, .closed = closed, .arg = t };

	memset(t, 0, sizeof(*t));
	uv_loop_init(&t->loop);
	t->w = cor_world_uv_new(&t->loop);
	fixture_pki_make(&t->pki);
	if (tls)
		c.tls = t->server_tls = fixture_server_tls(&t->pki);
	t->http = cor_http_server_new(&c);
	ok(cor_http_listen(t->http, "127.0.0.1", 0, &t->port, err));
	t->initial = "{\"type\":\"BOOKMARK\",\"object\":{\"metadata\":{\"resourceVersion\":\"5\","
		"\"annotations\":{\"k8s.io/initial-events-end\":\"true\"}}}}\n";
}

static void teardown(struct world *t) {
	cor_http_server_close(t->http, 0, server_closed, t);
	fixture_until(&t->loop, t->closed);
	cor_world_uv_free(t->w);
	fixture_loop_close(&t->loop);
	cor_tls_unref(t->server_tls);
	fixture_pki_drop(&t->pki);
}

/* ---- calls ---- */

struct result {
	bool done;
	int status, code, http, retry;
	char body[256], message[600];
	struct cor_conn *conn;
};

static void keep(struct result *r, struct cor_str body, const struct cor_err *err) {
	r->done = true;
	if (err) {
		r->code = err->code;
		r->http = err->http;
		r->retry = err->retry_after_s;
		snprintf(r->message, sizeof(r->message), "%s", err->message);
	}
	snprintf(r->body, sizeof(r->body), "%.*s", COR_STR_ARG(body));
}

static void on_done(void *arg, const struct cor_http_response *resp, struct cor_str body,
	const struct cor_err *err) {
	struct result *r = arg;

	assert_false(r->done);
	keep(r, body, err);
	r->status = resp ? resp->status : 0;
}

static void on_upgraded(void *arg, const struct cor_http_response *resp, struct cor_conn *conn) {
	struct result *r = arg;

	r->done = true;
	r->status = resp->status;
	r->conn = conn;
}

static struct cor_http_client *client(struct world *t, struct cor_tls *tls, const char *host,
	const char *name) {
	struct cor_http_client_config c = { .loop = &t->loop, .tls = tls, .host = host,
		.port = t->port, .server_name = name, .verify = true };

	return cor_http_client_new(&c);
}

static struct cor_http_call *call(struct cor_http_client *c, const char *method, const char *path,
	const char *body, cor_time timeout, struct result *r) {
	struct cor_http_call_config cfg = { .method = method, .path = path, .timeout = timeout,
		.ops = { .done = on_done }, .arg = r };

	memset(r, 0, sizeof(*r));
	if (body)
		cfg.body = cor_str_c(body);
	return cor_http_call_new(c, &cfg);
}

static void test_calls(void **state) {
	struct world t;
	struct result r, r2;
	struct cor_http_client *c;
	struct cor_tls *tls;
	char peer[64];

	setup(&t, true);
	tls = fixture_client_tls(&t.pki, true);
	c = client(&t, tls, "127.0.0.1", NULL);
	call(c, "GET", "/echo", NULL, 0, &r);
	assert_false(r.done);
	fixture_until(&t.loop, r.done);
	assert_int_equal(r.status, 200);
	assert_string_equal(r.body, "admin");
	/* The connection is used again, also by a body; two at once are two connections. */
	snprintf(peer, sizeof(peer), "%s", t.peer);
	call(c, "POST", "/echo", "hello", 0, &r);
	fixture_until(&t.loop, r.done);
	assert_string_equal(r.body, "hello");
	assert_string_equal(peer, t.peer);
	call(c, "GET", "/never", NULL, 20 * COR_MS, &r);
	call(c, "GET", "/echo", NULL, 0, &r2);
	fixture_until(&t.loop, r.done && r2.done);
	assert_int_equal(r.code, COR_E_TIMEOUT);
	assert_int_equal(r2.status, 200);
	assert_string_not_equal(peer, t.peer);
	call(c, "GET", "/break", NULL, 0, &r);
	fixture_until(&t.loop, r.done);
	assert_int_equal(r.code, COR_E_CLOSED);
	/* Cancelled calls are silent; calls of a client that is freed are not. */
	cor_http_call_cancel(call(c, "GET", "/echo", NULL, 0, &r2));
	call(c, "GET", "/never", NULL, 0, &r);
	for (int i = 0; i < 20; i++)
		fixture_turn(&t.loop);
	assert_false(r.done);
	cor_http_client_free(c);
	fixture_until(&t.loop, r.done);
	assert_int_equal(r.code, COR_E_CLOSED);
	assert_false(r2.done);
	cor_tls_unref(tls);
	teardown(&t);
}

static void test_bad_requests(void **state) {
	struct world t;
	struct result r;
	struct cor_http_client *c;
	struct cor_http_header split = { COR_STR("x"), COR_STR("a\r\ny: b") };
	struct cor_http_call_config cfg = { .method = "GET", .path = "/echo", .headers = &split,
		.n_headers = 1, .ops = { .done = on_done }, .arg = &r };

	setup(&t, false);
	c = client(&t, NULL, "127.0.0.1", NULL);
	call(c, "GET", "/a b", NULL, 0, &r);
	fixture_until(&t.loop, r.done);
	assert_int_equal(r.code, COR_E_INVALID);
	memset(&r, 0, sizeof(r));
	cor_http_call_new(c, &cfg);
	fixture_until(&t.loop, r.done);
	assert_int_equal(r.code, COR_E_INVALID);
	assert_int_equal(t.requests, 0);
	cor_http_client_free(c);
	/* Nobody listens on port 1; "localhost" is looked up. */
	t.port = 1;
	c = client(&t, NULL, "127.0.0.1", NULL);
	call(c, "GET", "/echo", NULL, 0, &r);
	fixture_until(&t.loop, r.done);
	assert_int_equal(r.code, -ECONNREFUSED);
	cor_http_client_free(c);
	c = client(&t, NULL, "localhost", NULL);
	call(c, "GET", "/echo", NULL, 0, &r);
	fixture_until(&t.loop, r.done);
	assert_true(r.code < 0);
	cor_http_client_free(c);
	teardown(&t);
}

static void test_verification(void **state) {
	static const struct {
		bool right_ca;
		const char *name;
		int code;
	} rows[] = {
		{ true, NULL, 0 },
		{ true, "localhost", 0 },
		{ true, "other", COR_E_UNAUTHORIZED },
		{ true, "127.0.0.2", COR_E_UNAUTHORIZED },
		{ false, NULL, COR_E_UNAUTHORIZED },
	};
	struct fixture_pki stranger;
	struct world t;

	setup(&t, true);
	fixture_pki_make(&stranger);
	for (size_t i = 0; i < cor_countof(rows); i++) {
		struct cor_tls *tls = fixture_client_tls(rows[i].right_ca ? &t.pki : &stranger, false);
		struct cor_http_client *c = client(&t, tls, "127.0.0.1", rows[i].name);
		struct result r;

		call(c, "GET", "/echo", NULL, 0, &r);
		fixture_until(&t.loop, r.done);
		if (r.code != rows[i].code)
			fail_msg("row %zu: code %d, %s", i, r.code, r.message);
		cor_http_client_free(c);
		cor_tls_unref(tls);
	}
	fixture_pki_drop(&stranger);
	teardown(&t);
}

/* A reload changes what new connections see; old ones go on. */
static void test_reload(void **state) {
	struct fixture_pki fresh;
	struct cor_tls_config cfg = { .server = true };
	struct cor_tls *tls, *tls2;
	struct cor_http_client *c, *c2;
	struct result r;
	struct world t;

	setup(&t, true);
	tls = fixture_client_tls(&t.pki, false);
	c = client(&t, tls, "127.0.0.1", NULL);
	call(c, "GET", "/echo", NULL, 0, &r);
	fixture_until(&t.loop, r.done);
	assert_true(cor_tls_reload(t.server_tls, &cfg, NULL) < 0);      /* nothing in it */
	fixture_pki_make(&fresh);
	cfg.cert = cor_buf_view(&fresh.server.cert);
	cfg.key = cor_buf_view(&fresh.server.key);
	ok(cor_tls_reload(t.server_tls, &cfg, err));
	call(c, "GET", "/echo", NULL, 0, &r);
	fixture_until(&t.loop, r.done);
	assert_int_equal(r.status, 200);
	tls2 = fixture_client_tls(&fresh, false);
	c2 = client(&t, tls2, "127.0.0.1", NULL);
	call(c2, "GET", "/echo", NULL, 0, &r);
	fixture_until(&t.loop, r.done);
	assert_int_equal(r.status, 200);
	cor_http_client_free(c);
	cor_http_client_free(c2);
	cor_tls_unref(tls);
	cor_tls_unref(tls2);
	fixture_pki_drop(&fresh);
	teardown(&t);
}

struct far {
	struct cor_buf got;
	bool eof, closed;
};

static void far_data(void *arg, struct cor_str data) {
	cor_buf_str(&((struct far *)arg)->got, data);
}

static void far_eof(void *arg) {
	((struct far *)arg)->eof = true;
}

static void far_close(void *arg, const struct cor_err *why) {
	(void)why;
	((struct far *)arg)->closed = true;
}

static void test_upgrade(void **state) {
	static const struct cor_conn_ops ops = { .on_data = far_data, .on_eof = far_eof,
		.on_close = far_close };
	struct cor_http_header h[] = { { COR_STR("Connection"), COR_STR("Upgrade") },
		{ COR_STR("Upgrade"), COR_STR("echo") } };
	struct result r = { 0 };
	struct cor_http_call_config cfg = { .method = "GET", .path = "/upgrade", .headers = h,
		.n_headers = 2, .ops = { .done = on_done, .upgraded = on_upgraded }, .arg = &r };
	struct far far = { 0 };
	struct cor_http_client *c;
	struct cor_tls *tls;
	struct world t;
	struct cor_buf big = COR_BUF_INIT;

	setup(&t, true);
	tls = fixture_client_tls(&t.pki, true);
	c = client(&t, tls, "127.0.0.1", NULL);
	cor_http_call_new(c, &cfg);
	fixture_until(&t.loop, r.done);
	assert_int_equal(r.status, 101);
	cor_http_client_free(c);
	cor_conn_set_ops(r.conn, &ops, &far);
	for (size_t i = 0; i < 3000000; i++)
		cor_buf_byte(&big, (char)(i * 7 / 3));
	cor_conn_write_str(r.conn, cor_buf_view(&big));
	cor_conn_shutdown(r.conn);
	/* While the reader pauses, nothing arrives but what was under way. */
	fixture_until(&t.loop, far.got.n > 0);
	cor_conn_pause(r.conn, true);
	size_t before = far.got.n;
	for (int i = 0; i < 50; i++)
		fixture_turn(&t.loop);
	assert_int_equal(before, far.got.n);
	cor_conn_pause(r.conn, false);
	fixture_until(&t.loop, far.eof);
	assert_int_equal(far.got.n, big.n);
	assert_memory_equal(far.got.p, big.p, big.n);
	fixture_until(&t.loop, far.closed && t.conn_closed);
	cor_buf_fini(&far.got);
	cor_buf_fini(&big);
	cor_tls_unref(tls);
	teardown(&t);
}

/* ---- the API client ---- */

static void api_done(void *arg, const struct cor_err *err, struct cor_str body) {
	keep(arg, body, err);
}

static struct cor_api *api(struct world *t) {
	char url[64];
	struct cor_api_config c = { .loop = &t->loop, .world = t->w, .token = COR_STR("secret") };
	struct cor_err err = { 0 };
	struct cor_api *a;

	snprintf(url, sizeof(url), "%s://127.0.0.1:%d/", t->server_tls ? "https" : "http", t->port);
	c.server = cor_str_c(url);
	c.ca = cor_buf_view(&t->pki.ca.cert);
	c.cert = cor_buf_view(&t->pki.client.cert);
	c.key = cor_buf_view(&t->pki.client.key);
	a = cor_api_new(&c, &err);
	if (!a)
		fail_msg("%s", err.message);
	return a;
}

static void test_api(void **state) {
	static const char *const bad[] = { "", "ftp://a", "https://", "https://a:0", "https://a:b",
		"https://a/b" };
	struct result r = { 0 };
	struct world t;
	struct cor_api *a;

	setup(&t, true);
	for (size_t i = 0; i < cor_countof(bad); i++)
		assert_null(cor_api_new(&(struct cor_api_config){ .loop = &t.loop, .world = t.w,
			.server = cor_str_c(bad[i]) }, NULL));
	a = api(&t);
	cor_api_create(a, "/echo", COR_STR("{}"), api_done, &r);
	fixture_until(&t.loop, r.done);
	assert_int_equal(r.code, 0);
	assert_string_equal(r.body, "{}");
	memset(&r, 0, sizeof(r));
	cor_api_get(a, "/conflict", api_done, &r);
	fixture_until(&t.loop, r.done);
	assert_int_equal(r.code, COR_E_CONFLICT);
	assert_int_equal(r.http, 409);
	assert_int_equal(r.retry, 2);
	assert_string_equal(r.message, "it has changed");
	cor_api_free(a);
	teardown(&t);
}

struct seen {
	char log[1024];
	int synced, troubles;
	struct cor_informer *free_at_set;
};

static void on_set(void *arg, struct cor_str key, struct cor_str json) {
	struct seen *s = arg;
	size_t n = strlen(s->log);

	assert_true(json.n > 2 && json.p[0] == '{' && json.p[json.n - 1] == '}');
	snprintf(s->log + n, sizeof(s->log) - n, "+%.*s ", COR_STR_ARG(key));
	if (s->free_at_set)
		cor_informer_free(s->free_at_set);
}

static void on_delete(void *arg, struct cor_str key) {
	struct seen *s = arg;
	size_t n = strlen(s->log);

	snprintf(s->log + n, sizeof(s->log) - n, "-%.*s ", COR_STR_ARG(key));
}

static void on_synced(void *arg) {
	((struct seen *)arg)->synced++;
}

static void on_trouble(void *arg, const struct cor_err *err) {
	(void)err;
	((struct seen *)arg)->troubles++;
}

static struct cor_informer *informer(struct cor_api *a, struct seen *s) {
	struct cor_informer_config c = { .api = a, .path = "/api/v1/pods",
		.field_selector = "spec.nodeName=n1", .arg = s,
		.ops = { on_set, on_delete, on_synced, on_trouble } };

	memset(s, 0, sizeof(*s));
	return cor_informer_new(&c);
}

#define EVENT(type, name, version) "{\"type\":\"" type "\",\"object\":{\"kind\":\"Pod\",\"metadata\":" \
	"{\"name\":\"" name "\",\"namespace\":\"n\",\"resourceVersion\":\"" version "\"}}}\n"
#define END_MARK(version) "{\"type\":\"BOOKMARK\",\"object\":{\"metadata\":{\"resourceVersion\":\"" \
	version "\",\"annotations\":{\"k8s.io/initial-events-end\":\"true\"}}}}\n"

static void test_informer_stream(void **state) {
	struct world t;
	struct seen s;
	struct cor_api *a;
	struct cor_informer *i;

	setup(&t, false);
	a = api(&t);
	t.initial = EVENT("ADDED", "a", "3") EVENT("ADDED", "b", "2") END_MARK("4");
	i = informer(a, &s);
	fixture_until(&t.loop, s.synced);
	assert_string_equal(s.log, "+n/a +n/b ");
	assert_non_null(strstr(t.target, "&fieldSelector=spec.nodeName%3Dn1"));
	assert_string_equal(cor_informer_version(i), "4");
	/* Changes; one event comes in two parts. */
	stream_write(t.watch, EVENT("MODIFIED", "a", "5") EVENT("DELETED", "b", "6") "{\"type\":\"ADD");
	fixture_until(&t.loop, strstr(s.log, "-n/b"));
	stream_write(t.watch, "ED\",\"object\":{\"metadata\":{\"name\":\"c\",\"resourceVersion\":\"7\"}}}\n");
	fixture_until(&t.loop, strstr(s.log, "+c"));
	assert_string_equal(s.log, "+n/a +n/b +n/a -n/b +c ");
	assert_string_equal(cor_informer_version(i), "7");
	/* Cut off: goes on at 7 without reading anything again. */
	cor_http_abort(t.watch);
	fixture_until(&t.loop, !t.watch);
	fixture_until(&t.loop, t.watch);
	assert_non_null(strstr(t.target, "resourceVersion=7"));
	/* Too old: reads everything again and tells only the difference. */
	s.log[0] = '\0';
	t.expire = true;
	t.initial = EVENT("ADDED", "a", "5") EVENT("ADDED", "d", "9") END_MARK("9");
	cor_http_abort(t.watch);
	fixture_until(&t.loop, strstr(s.log, "-c"));
	assert_string_equal(s.log, "+n/d -c ");
	assert_int_equal(s.synced, 1);
	assert_int_equal(cor_informer_count(i), 2);
	cor_informer_free(i);
	cor_api_free(a);
	teardown(&t);
}

static void test_informer_list(void **state) {
	struct world t;
	struct seen s;
	struct cor_api *a;
	struct cor_informer *i;

	setup(&t, false);
	a = api(&t);
	t.no_stream = true;
	i = informer(a, &s);
	fixture_until(&t.loop, s.synced && t.watch);
	assert_string_equal(s.log, "+n/p +n/q ");
	assert_non_null(strstr(t.target, "resourceVersion=9"));
	stream_write(t.watch, EVENT("DELETED", "p", "10"));
	fixture_until(&t.loop, strstr(s.log, "-n/p"));
	cor_informer_free(i);
	/* Freed from within its own callback. */
	i = informer(a, &s);
	s.free_at_set = i;
	fixture_until(&t.loop, s.log[0]);
	for (int k = 0; k < 20; k++)
		fixture_turn(&t.loop);
	assert_string_equal(s.log, "+n/p ");
	cor_api_free(a);
	teardown(&t);
}

static void test_informer_trouble(void **state) {
	struct world t;
	struct seen s;
	struct cor_api *a;
	struct cor_informer *i;
	int port;

	setup(&t, false);
	port = t.port;
	t.port = 1;
	a = api(&t);
	i = informer(a, &s);
	fixture_until(&t.loop, s.troubles >= 2);
	cor_informer_free(i);
	cor_api_free(a);
	t.port = port;
	teardown(&t);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_calls),
		cmocka_unit_test(test_bad_requests),
		cmocka_unit_test(test_verification),
		cmocka_unit_test(test_reload),
		cmocka_unit_test(test_upgrade),
		cmocka_unit_test(test_api),
		cmocka_unit_test(test_informer_stream),
		cmocka_unit_test(test_informer_list),
		cmocka_unit_test(test_informer_trouble),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
