// SPDX-License-Identifier: Apache-2.0
// The whole API: requests of one input (as lab.h writes them) go one after another through the HTTP
// server, the API and a registry in memory with a cluster's bootstrap objects in it, which is made
// anew when an input has changed it. A first line "anonymous" sends them without being an
// administrator. Every answer must be whole, JSON must be JSON, and every refusal in JSON a Status
// with its own code.
#include "api/http_api.h"
#include "codec/codec.h"
#include "codec/tree.h"
#include "gen/meta_v1.h"
#include "lab.h"
#include "sim/world_sim.h"

static struct fuzz_lab lab;
static struct cor_sim *sim;
static struct cor_http_api *api;
static struct cor_registry *registry;
static bool anonymous;

static void handle(void *arg, struct cor_http_req *req) {
	static const struct cor_str masters[] = { COR_STR_INIT("system:masters") };

	(void)arg;
	/* What a client certificate would have said. */
	if (!anonymous) {
		req->peer.cn = COR_STR("admin");
		req->peer.orgs = masters;
		req->peer.n_orgs = 1;
	}
	cor_http_api_handle(api, req);
}

static void closed(void *arg, struct cor_http_req *req) {
	(void)arg;
	cor_http_api_closed(api, req);
}

static void step(void) {
	cor_sim_run_for(sim, 20 * COR_MS);
}

static bool ready(void *arg) {
	(void)arg;
	return cor_registry_ready(registry);
}

static void open_cluster(void) {
	struct cor_registry_config c = { .backend = cor_backend_memory_new() };
	struct cor_err err;

	sim = cor_sim_new(7);
	cor_sim_job_delay(sim, 1, 1);
	c.world = cor_sim_world(sim);
	cor_assert(cor_registry_open(&c, &registry, &err) == 0);
	cor_assert(cor_sim_run_until(sim, ready, NULL, COR_MINUTE));
	api = cor_http_api_new(
		&(struct cor_http_api_config){ .registry = registry, .loop = &lab.loop });
}

static void close_cluster(void) {
	cor_http_api_drain(api); /* ends the watches that are left */
	fuzz_lab_turn(&lab, 5);
	cor_http_api_free(api);
	cor_registry_free(registry);
	cor_sim_settle(sim);
	cor_sim_free(sim);
	registry = NULL;
}

static void check(int status, const char *type, struct cor_str body) {
	_cleanup_(cor_arena_freep) struct cor_arena *a = cor_arena_new(64 << 20);
	const struct cor_node *doc;
	struct cor_str rest = body;
	int64_t code = 0;

	if (strncmp(type, "application/json", 16) != 0 || !body.n)
		return;
	doc = cor_node_parse(a, body, NULL, NULL);
	/* A watch is a document a line. */
	while (!doc && rest.n)
		cor_assert(cor_node_parse(a, fuzz_line(&rest), NULL, NULL));
	if (status < 400)
		return;
	cor_assert(cor_str_eq_c(cor_node_path_str(doc, "kind"), "Status"));
	cor_assert(cor_str_eq_c(cor_node_path_str(doc, "status"), "Failure"));
	cor_assert(cor_node_path_int(doc, "code", &code) && code == status);
	cor_assert(cor_node_path_str(doc, "message").n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
	struct cor_http_config c = { .handle = handle, .closed = closed };
	struct cor_str in = fuzz_input(data, n);
	uint64_t rev;

	if (n > 65536)
		return 0;
	if (!lab.http) {
		fuzz_isolate();
		lab.step = step;
		fuzz_lab_serve(&lab, &c);
	}
	anonymous = cor_str_starts(in, COR_STR("anonymous\n"));
	if (anonymous)
		(void)fuzz_line(&in);
	if (!registry)
		open_cluster();
	rev = cor_store_rev(cor_registry_store(registry));
	for (int i = 0; i < 8; i++) {
		_cleanup_buf_ struct cor_buf request = COR_BUF_INIT, answer = COR_BUF_INIT,
					     body = COR_BUF_INIT;
		char type[200];

		if (!fuzz_request(&in, &request))
			break;
		(void)fuzz_lab_talk(&lab, cor_buf_view(&request), 65536, &answer);
		check(fuzz_response(&answer,
			      cor_str_starts(cor_buf_view(&request), COR_STR("HEAD ")), &body, type,
			      sizeof(type)),
			type, cor_buf_view(&body));
	}
	if (cor_store_rev(cor_registry_store(registry)) != rev)
		close_cluster();
	return 0;
}
