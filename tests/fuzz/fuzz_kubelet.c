// SPDX-License-Identifier: Apache-2.0
// The kubelet's API: requests of one input (as lab.h writes them) to a kubelet with one pod whose
// runtime refuses to run anything: paths, queries, logs, upgrades, figures.
#include <fcntl.h>
#include <unistd.h>

#include "lab.h"
#include "node/kubelet_http.h"

static struct fuzz_lab lab;
static struct cor_kubelet *kubelet;
static struct cor_container container = { .id = "c1",
	.pod_uid = "uid1",
	.pod_namespace = "ns",
	.pod_name = "pod",
	.name = "c",
	.phase = COR_CONTAINER_EXITED,
	.started_at = COR_SECOND };
static char log_path[] = "/tmp/cor-fuzz-log-XXXXXX";

static struct cor_container *next(struct cor_runtime *rt, size_t *it) {
	(void)rt;
	return (*it)++ == 0 ? &container : NULL;
}

static struct cor_container *find_container(struct cor_runtime *rt, const char *id) {
	(void)rt;
	return strcmp(id, container.id) == 0 ? &container : NULL;
}

static int stats(struct cor_runtime *rt, const struct cor_container *c,
	struct cor_container_stats *ret, struct cor_err *err) {
	(void)rt;
	(void)c;
	(void)err;
	*ret = (struct cor_container_stats){
		.time = COR_SECOND, .cpu_usage_ns = 1, .memory_usage = 2
	};
	return 0;
}

static struct cor_session *exec(struct cor_runtime *rt, struct cor_container *c,
	const struct cor_exec_config *cfg, struct cor_err *err) {
	(void)rt;
	(void)c;
	(void)!cor_fail(
		err, COR_E_NOT_FOUND, "no program \"%s\"", cfg->argv[0] ? cfg->argv[0] : "");
	return NULL;
}

static struct cor_session *attach(struct cor_runtime *rt, struct cor_container *c,
	const struct cor_attach_config *cfg, struct cor_err *err) {
	(void)rt;
	(void)c;
	(void)cfg;
	(void)!cor_fail(err, COR_E_CLOSED, "it has ended");
	return NULL;
}

static int find(void *arg, struct cor_str ns, struct cor_str pod, struct cor_str uid,
	struct cor_str name, struct cor_pod_ref *ret, struct cor_err *err) {
	(void)arg;
	(void)uid;
	if (!cor_str_eq_c(ns, "ns") || (name.p && !cor_str_eq_c(name, "c")))
		return cor_fail(
			err, COR_E_NOT_FOUND, "pod \"%.*s\" does not exist", COR_STR_ARG(pod));
	*ret = (struct cor_pod_ref){ .pod_uid = "uid1", .sandbox_ready = true };
	if (cor_str_eq_c(pod, "young")) {
		ret->waiting = "ImagePullBackOff";
		return 0;
	}
	container.phase = cor_str_eq_c(pod, "ended") ? COR_CONTAINER_EXITED : COR_CONTAINER_RUNNING;
	ret->current = &container;
	ret->log_path = ret->previous_log_path = log_path;
	return 0;
}

static void list(void *arg, struct cor_buf *out) {
	(void)arg;
	cor_buf_c(out, "{\"metadata\":{\"name\":\"pod\"}}");
}

static void remove_log(void) {
	(void)unlink(log_path);
}

static void begin(void) {
	static const char text[] = "2026-11-24T18:56:04.123456789Z stdout F one\n"
				   "2026-11-24T18:56:05.123456789Z stderr P "
				   "tw\n2026-11-24T18:56:05.2Z stderr F o\nbroken\n";
	static const struct cor_runtime_ops ops = {
		.find = find_container, .next = next, .stats = stats, .exec = exec, .attach = attach
	};
	static struct cor_runtime rt = { .ops = &ops, .name = "fuzz", .version = "0" };
	struct cor_kubelet_config c = { .loop = &lab.loop,
		.rt = &rt,
		.node_name = "n",
		.data_dir = "/tmp",
		.address = "127.0.0.1",
		.healthz_port = -1,
		.pods = { find, list, NULL } };
	struct cor_err err;
	int fd = mkstemp(log_path);

	cor_assert(fd >= 0 && write(fd, text, sizeof(text) - 1) == (ssize_t)sizeof(text) - 1);
	close(fd);
	(void)atexit(remove_log);
	fuzz_isolate();
	cor_assert(uv_loop_init(&lab.loop) == 0);
	c.world = cor_world_uv_new(&lab.loop);
	cor_assert(cor_kubelet_new(&c, &kubelet, &err) == 0);
	lab.port = cor_kubelet_port(kubelet);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
	struct cor_str in = fuzz_input(data, n);
	char type[200];

	if (n > 65536)
		return 0;
	if (!kubelet)
		begin();
	for (int i = 0; i < 8; i++) {
		_cleanup_buf_ struct cor_buf request = COR_BUF_INIT, answer = COR_BUF_INIT,
					     body = COR_BUF_INIT;

		if (!fuzz_request(&in, &request))
			break;
		(void)fuzz_lab_talk(&lab, cor_buf_view(&request), 65536, &answer);
		(void)fuzz_response(&answer,
			cor_str_starts(cor_buf_view(&request), COR_STR("HEAD ")), &body, type,
			sizeof(type));
	}
	return 0;
}
