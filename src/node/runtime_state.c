// SPDX-License-Identifier: Apache-2.0
// What is known of a container, on disk: DIR/containers/<id>/container.json, written when it is
// made, when it runs and when it has ended. A file is complete or absent (rename). It is not
// synced: after a crash of the machine the container is gone as well, and a broken file counts
// as an unknown container.
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "codec/tree.h"
#include "node/oci_json.h"
#include "node/runtime_priv.h"

enum { STATE_FILE_MAX = 16 << 20 };

/* ---- files ---- */

int make_dirs(const char *path, mode_t mode, struct cor_err *err) {
	_cleanup_free_ char *copy = cor_strdup(path);
	for (char *p = copy + 1;; p++) {
		if (*p && *p != '/')
			continue;
		char end = *p;
		*p = 0;
		if (mkdir(copy, mode) < 0 && errno != EEXIST)
			return cor_fail_errno(err, errno, "%s", copy);
		if (!end)
			return 0;
		*p = end;
	}
}

int write_whole(const char *path, struct cor_str text, mode_t mode, struct cor_err *err) {
	_cleanup_free_ char *tmp = cor_asprintf("%s.tmp", path);
	_cleanup_close_ int fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
	if (fd < 0)
		return cor_fail_errno(err, errno, "%s", tmp);
	while (text.n) {
		ssize_t n = write(fd, text.p, text.n);
		if (n < 0) {
			int e = errno;
			(void)unlink(tmp);
			return cor_fail_errno(err, e, "%s", path);
		}
		text = cor_str_sub(text, (size_t)n, text.n);
	}
	if (rename(tmp, path) < 0)
		return cor_fail_errno(err, errno, "%s", path);
	return 0;
}

bool read_whole(const char *path, struct cor_buf *b) {
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	b->limit = STATE_FILE_MAX;
	ssize_t n = 0;
	char *room;
	while ((room = cor_buf_reserve(b, 8192)) && (n = read(fd, room, 8192)) > 0)
		b->n += (size_t)n;
	return room && n == 0;
}

static int remove_entry(const char *path, const struct stat *st, int kind, struct FTW *ftw) {
	(void)st;
	(void)kind;
	(void)ftw;
	(void)remove(path);
	return 0;
}

/* Never crosses into a mounted file system. */
void remove_tree(const char *path) {
	(void)nftw(path, remove_entry, 16, FTW_PHYS | FTW_DEPTH | FTW_MOUNT);
}

/* ---- box ---- */

struct box *box_new(struct crt *rt) {
	struct box *b = cor_new(struct box);
	b->rt = rt;
	b->c.reason = b->c.message = "";
	return b;
}

void box_free(struct box *b) {
	if (!b)
		return;
	const char *const texts[] = { b->c.id, b->c.pod_uid, b->c.pod_namespace, b->c.pod_name, b->c.name,
		b->c.log_path, b->dir, b->message };
	for (size_t i = 0; i < cor_countof(texts); i++)
		free((void *)(uintptr_t)texts[i]);
	for (size_t i = 0; i < b->c.n_labels; i++) {
		free((void *)(uintptr_t)b->c.labels[i].key.p);
		free((void *)(uintptr_t)b->c.labels[i].value.p);
	}
	free((void *)(uintptr_t)b->c.labels);
	child_release(&b->conmon);
	child_release(&b->start);
	fd_watch_free(b->sync);
	fd_watch_free(b->start_err);
	cor_buf_fini(&b->text);
	b->rt->world->timer_clear(b->rt->world, &b->deadline);
	free(b);
}

static struct cor_str dup_text(struct cor_str s) {
	return (struct cor_str){ cor_str_dup_c(s), s.n };
}

/* Takes over a copy of everything that must be known later. */
void box_describe(struct box *b, const struct cor_container_spec *spec) {
	struct cor_container *c = &b->c;
	c->id = cor_strdup(spec->id);
	c->pod_uid = cor_strdup(spec->pod_uid);
	c->pod_namespace = cor_strdup(spec->pod_namespace ? spec->pod_namespace : "");
	c->pod_name = cor_strdup(spec->pod_name ? spec->pod_name : "");
	c->name = cor_strdup(spec->name);
	c->log_path = cor_strdup(spec->log_path);
	c->attempt = spec->attempt;
	c->tty = spec->tty;
	c->stdin_open = spec->stdin_open;
	c->stdin_once = spec->stdin_once;
	c->qos = spec->qos;
	struct cor_kv *labels = cor_calloc(spec->n_labels + 1, sizeof(*labels));
	for (size_t i = 0; i < spec->n_labels; i++)
		labels[i] = (struct cor_kv){ dup_text(spec->labels[i].key), dup_text(spec->labels[i].value) };
	c->labels = labels;
	c->n_labels = spec->n_labels;
	b->dir = cor_asprintf("%s/%s", b->rt->containers_dir, spec->id);
	cor_cgroup_path(&b->rt->cg, spec->qos, spec->pod_uid, spec->id, b->cgroup);
}

/* ---- container.json ---- */

/* One row per plain field, for both directions. */
enum kind { TEXT, INT, BOOL, TIME, PID, U64, QOS };
static const struct row {
	const char *key;
	enum kind kind;
	size_t offset;
} rows[] = {
	{ "id", TEXT, offsetof(struct box, c.id) },
	{ "podUID", TEXT, offsetof(struct box, c.pod_uid) },
	{ "podNamespace", TEXT, offsetof(struct box, c.pod_namespace) },
	{ "podName", TEXT, offsetof(struct box, c.pod_name) },
	{ "name", TEXT, offsetof(struct box, c.name) },
	{ "logPath", TEXT, offsetof(struct box, c.log_path) },
	{ "message", TEXT, offsetof(struct box, message) },
	{ "attempt", INT, offsetof(struct box, c.attempt) },
	{ "exitCode", INT, offsetof(struct box, c.exit_code) },
	{ "signal", INT, offsetof(struct box, c.signal) },
	{ "tty", BOOL, offsetof(struct box, c.tty) },
	{ "stdin", BOOL, offsetof(struct box, c.stdin_open) },
	{ "stdinOnce", BOOL, offsetof(struct box, c.stdin_once) },
	{ "oomKilled", BOOL, offsetof(struct box, c.oom_killed) },
	{ "createdAt", TIME, offsetof(struct box, c.created_at) },
	{ "startedAt", TIME, offsetof(struct box, c.started_at) },
	{ "finishedAt", TIME, offsetof(struct box, c.finished_at) },
	{ "pid", PID, offsetof(struct box, c.pid) },
	{ "pidStart", U64, offsetof(struct box, pid_start) },
	{ "conmon", PID, offsetof(struct box, conmon_pid) },
	{ "conmonStart", U64, offsetof(struct box, conmon_start) },
	{ "qos", QOS, offsetof(struct box, c.qos) },
};

/* Reasons are static texts. */
static const char *const reasons[] = { "", "Completed", "Error", "OOMKilled", "StartError",
	"ContainerStatusUnknown" };

int box_save(const struct box *b, struct cor_err *err) {
	_cleanup_buf_ struct cor_buf out = COR_BUF_INIT;
	cor_buf_byte(&out, '{');
	for (size_t i = 0; i < cor_countof(rows); i++) {
		const void *p = (const char *)b + rows[i].offset;
		const char *key = rows[i].key;
		switch (rows[i].kind) {
		case TEXT: cor_jw_c(&out, key, *(char *const *)p); break;
		case INT: cor_jw_int(&out, key, *(const int *)p); break;
		case BOOL: cor_jw_bool(&out, key, *(const bool *)p); break;
		case TIME: cor_jw_int(&out, key, *(const cor_time *)p); break;
		case PID: cor_jw_int(&out, key, *(const pid_t *)p); break;
		case U64: cor_jw_int(&out, key, (int64_t)*(const uint64_t *)p); break;
		case QOS: cor_jw_int(&out, key, (int64_t)*(const enum cor_qos *)p); break;
		}
	}
	cor_jw_c(&out, "reason", b->c.reason);
	cor_jw_c(&out, "boot", b->rt->boot_id);
	cor_jw_open(&out, "labels", '[');
	for (size_t i = 0; i < b->c.n_labels; i++) {
		cor_jw_str(&out, NULL, b->c.labels[i].key);
		cor_jw_str(&out, NULL, b->c.labels[i].value);
	}
	cor_buf_c(&out, "]}");
	_cleanup_free_ char *path = cor_asprintf("%s/container.json", b->dir);
	return write_whole(path, cor_buf_view(&out), 0600, err);
}

static void load_row(struct box *b, const struct row *row, const struct cor_node *doc) {
	void *p = (char *)b + row->offset;
	const struct cor_node *n = cor_node_get_c(doc, row->key);
	int64_t v = 0;
	(void)cor_node_to_i64(n, &v);
	switch (row->kind) {
	case TEXT:
		*(char **)p = cor_str_dup_c(cor_node_is(n, COR_NODE_STRING) ? n->text : COR_STR(""));
		break;
	case INT: *(int *)p = (int)v; break;
	case BOOL: *(bool *)p = cor_node_is(n, COR_NODE_BOOL) && n->boolean; break;
	case TIME: *(cor_time *)p = v; break;
	case PID: *(pid_t *)p = (pid_t)v; break;
	case U64: *(uint64_t *)p = (uint64_t)v; break;
	case QOS:
		*(enum cor_qos *)p = v >= 0 && v < COR_QOS_MAX ? (enum cor_qos)v : COR_QOS_BURSTABLE;
		break;
	}
}

static void load_labels(struct box *b, const struct cor_node *list) {
	if (!cor_node_is(list, COR_NODE_ARRAY))
		return;
	size_t n = list->items.n / 2;
	struct cor_kv *labels = cor_calloc(n + 1, sizeof(*labels));
	for (size_t i = 0; i < n; i++) {
		const struct cor_node *k = list->items.p[2 * i], *v = list->items.p[2 * i + 1];
		labels[i].key = dup_text(k->kind == COR_NODE_STRING ? k->text : COR_STR(""));
		labels[i].value = dup_text(v->kind == COR_NODE_STRING ? v->text : COR_STR(""));
	}
	b->c.labels = labels;
	b->c.n_labels = n;
}

struct box *box_load(struct crt *rt, const char *dir) {
	_cleanup_free_ char *path = cor_asprintf("%s/container.json", dir);
	_cleanup_buf_ struct cor_buf text = COR_BUF_INIT;
	if (!read_whole(path, &text))
		return NULL;
	_cleanup_(cor_arena_freep) struct cor_arena *arena = cor_arena_new(0);
	const struct cor_node *doc = cor_node_parse(arena, cor_buf_view(&text), NULL, NULL);
	if (!cor_node_is(doc, COR_NODE_OBJECT))
		return NULL;
	struct box *b = box_new(rt);
	for (size_t i = 0; i < cor_countof(rows); i++)
		load_row(b, &rows[i], doc);
	load_labels(b, cor_node_get_c(doc, "labels"));
	b->dir = cor_strdup(dir);
	b->c.message = b->message;
	struct cor_str reason = cor_node_path_str(doc, "reason");
	for (size_t i = 0; i < cor_countof(reasons); i++)
		if (cor_str_eq_c(reason, reasons[i]))
			b->c.reason = reasons[i];
	/* Process numbers of another boot mean nothing. */
	if (!cor_str_eq_c(cor_node_path_str(doc, "boot"), rt->boot_id))
		b->pid_start = b->conmon_start = 0;
	cor_cgroup_path(&rt->cg, b->c.qos, b->c.pod_uid, b->c.id, b->cgroup);
	return b;
}
