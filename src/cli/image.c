// SPDX-License-Identifier: Apache-2.0
// coracle image import, list, remove: the image store of a cluster's node, which the running agent shares.
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "cli/cli.h"
#include "cli/cluster.h"
#include "node/image.h"

struct image_cmd {
	const char *name, *data_dir, *as;
	struct cor_image_store *store;
	bool terminal;
};

/* A bar on a terminal; elsewhere the line that says what came of it is enough. */
static void show_progress(void *arg, const struct cor_image_progress *p) {
	static const char full[] = "########################";
	const struct image_cmd *c = arg;
	if (!c->terminal || p->bytes == 0)
		return;
	int percent = (int)(p->bytes_done * 100 / p->bytes), width = (int)sizeof(full) - 1;
	(void)fprintf(stderr, "\r%s [%-*.*s] %3d%%", p->what, width, percent * width / 100, full, percent);
}

static void print_image(const struct cor_image *i) {
	const char *shown = i->names.n > 0 ? i->names.p[0].p : i->digests.n > 0 ? i->digests.p[0].p : "<none>";
	(void)printf("%-50s %.19s %8.1f MB\n", shown, i->id.p, (double)i->size / 1e6);
}

static int do_import(struct image_cmd *c, const char *file, struct cor_err *err) {
	_cleanup_image_list_ struct cor_image_list l = { 0 };
	struct cor_image_work work = { .progress = show_progress, .progress_arg = c };
	int r = cor_image_import(c->store, file, c->as ? cor_str_c(c->as) : (struct cor_str){ 0 }, &work, &l, err);
	if (c->terminal)
		(void)fputs("\r\033[K", stderr);
	for (size_t i = 0; r >= 0 && i < l.n; i++)
		print_image(l.p[i]);
	return r;
}

static int do_list(struct image_cmd *c, struct cor_err *err) {
	_cleanup_image_list_ struct cor_image_list l = { 0 };
	int r = cor_images_list(c->store, &l, err);
	for (size_t i = 0; r >= 0 && i < l.n; i++)
		print_image(l.p[i]);
	return r;
}

static int open_store(struct image_cmd *c, struct cor_cluster *cluster, struct cor_err *err) {
	int r = cor_cluster_init(cluster, c->name, c->data_dir, err);
	if (r < 0)
		return r;
	_cleanup_free_ char *dir = cor_asprintf("%s/node/images", cluster->data_dir);
	_cleanup_free_ char *node = cor_asprintf("%s/node", cluster->data_dir);
	r = cor_make_dirs(node, 0755, err);
	struct cor_image_config config = { .dir = dir };
	return r < 0 ? r : cor_image_store_open(&c->store, &config, err);
}

int cor_cmd_image(int argc, char **argv) {
	struct image_cmd c = { .name = "default", .terminal = isatty(2) };
	const struct cor_option opts[] = {
		{ "name", &c.name, NULL }, { "data-dir", &c.data_dir, NULL }, { "as", &c.as, NULL },
	};
	struct cor_cluster cluster = { 0 };
	struct cor_err err = { 0 };
	int words = 0;
	int r = cor_options(argc, argv, opts, cor_countof(opts), &words, &err);
	bool import = words == 2 && strcmp(argv[1], "import") == 0, list = words == 1 && strcmp(argv[1], "list") == 0;
	bool drop = words == 2 && strcmp(argv[1], "remove") == 0;
	if (r < 0 || (!import && !list && !drop)) {
		(void)fprintf(stderr, "coracle image: %s\n", r < 0 ? err.message : "want import FILE, list or remove REF");
		return 2;
	}
	r = open_store(&c, &cluster, &err);
	if (r >= 0)
		r = import ? do_import(&c, argv[2], &err) : list ? do_list(&c, &err)
			: cor_image_remove(c.store, cor_str_c(argv[2]), &err);
	if (r < 0)
		(void)fprintf(stderr, "coracle image: %s\n", err.message);
	cor_image_store_close(c.store);
	cor_cluster_fini(&cluster);
	return r < 0 ? 1 : 0;
}
