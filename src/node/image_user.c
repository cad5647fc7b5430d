// SPDX-License-Identifier: Apache-2.0
// USER of an image to numbers, by the passwd and group files inside its root file system. Those
// files are hostile: they are opened inside the root, must be regular files and are read up to a
// limit; lines that do not parse are passed over.

#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "node/image_priv.h"

enum { ACCOUNTS_MAX = 4 << 20 };

/* name:x:number:..., up to seven fields. */
struct account {
	struct cor_str fields[7];
	size_t n;
	uint32_t id;
};

static int read_accounts(const char *rootfs, const char *path, struct cor_buf *out,
	struct cor_err *err) {
	struct open_how how = { .flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY,
		.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS };
	_cleanup_close_ int root = open(rootfs, O_PATH | O_DIRECTORY | O_CLOEXEC), fd = -1;
	struct stat st;

	if (root < 0)
		return cor_fail_errno(err, errno, "root file system");
	fd = (int)syscall(SYS_openat2, root, path, &how, sizeof(how));
	if (fd < 0)
		return errno == ENOENT || errno == ENOTDIR ? 0 :
			cor_fail_errno(err, errno, "%s of the image", path);
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return cor_fail(err, COR_E_INVALID, "%s of the image is not a file", path);
	if (cor_image_read_fd(fd, ACCOUNTS_MAX, out, err) < 0)
		return cor_wrap(err, "%s of the image", path);
	return 0;
}

static bool to_id(struct cor_str s, uint32_t *ret) {
	uint64_t v;

	if (!cor_str_to_u64(s, &v) || v > 0xfffffffeULL)
		return false;
	*ret = (uint32_t)v;
	return true;
}

/* The next line that makes sense; false at the end. */
static bool next_account(struct cor_str *rest, struct account *ret) {
	while (rest->p) {
		struct cor_str line = cor_str_cut(rest, '\n');

		ret->n = 0;
		while (line.p && ret->n < cor_countof(ret->fields))
			ret->fields[ret->n++] = cor_str_cut(&line, ':');
		if (ret->n >= 3 && ret->fields[0].n && to_id(ret->fields[2], &ret->id))
			return true;
	}
	return false;
}

static bool find_account(struct cor_str file, struct cor_str name, bool numeric, uint32_t id,
	struct account *ret) {
	while (next_account(&file, ret)) {
		if (numeric ? ret->id == id : cor_str_eq(ret->fields[0], name))
			return true;
	}
	return false;
}

bool cor_image_user_numeric(struct cor_str user, uid_t *ret_uid) {
	struct cor_str name = cor_str_sub(user, 0, cor_str_chr(user, ':'));

	if (name.n == 0) {
		*ret_uid = 0;
		return true;
	}
	return to_id(name, ret_uid);
}

static int find_user(struct cor_str passwd, struct cor_str name, struct cor_image_user *out,
	struct cor_err *err) {
	uid_t uid = 0;
	bool numeric = cor_image_user_numeric(name, &uid);
	struct account a;
	uint32_t gid;

	out->uid = uid;
	(void)snprintf(out->home, sizeof(out->home), "/");
	if (!find_account(passwd, name, numeric, uid, &a))
		return numeric ? 0 : cor_fail(err, COR_E_NOT_FOUND,
			"unable to find user %.*s: no matching entries in passwd file",
			(int)(name.n > 200 ? 200 : name.n), name.p);
	out->uid = a.id;
	if (a.n > 3 && to_id(a.fields[3], &gid))
		out->gid = gid;
	if (a.fields[0].n < sizeof(out->name))
		(void)snprintf(out->name, sizeof(out->name), "%.*s", COR_STR_ARG(a.fields[0]));
	if (a.n > 5 && a.fields[5].n > 0 && a.fields[5].n < sizeof(out->home) &&
		a.fields[5].p[0] == '/')
		(void)snprintf(out->home, sizeof(out->home), "%.*s", COR_STR_ARG(a.fields[5]));
	return 0;
}

static bool lists_member(struct cor_str members, const char *user) {
	while (members.p) {
		if (cor_str_eq_c(cor_str_trim(cor_str_cut(&members, ',')), user))
			return true;
	}
	return false;
}

static void find_groups(struct cor_str group, struct cor_image_user *out) {
	struct account a;

	if (!out->name[0])
		return;
	while (out->n_groups < COR_IMAGE_GROUPS_MAX && next_account(&group, &a)) {
		bool seen = a.id == out->gid;

		if (a.n < 4 || !lists_member(a.fields[3], out->name))
			continue;
		for (size_t i = 0; i < out->n_groups; i++)
			seen |= out->groups[i] == a.id;
		if (!seen)
			out->groups[out->n_groups++] = a.id;
	}
}

static int choose_group(struct cor_str group, struct cor_str name, struct cor_image_user *out,
	struct cor_err *err) {
	struct account a;
	uint32_t gid;

	if (to_id(name, &gid)) {
		out->gid = gid;
		return 0;
	}
	if (!find_account(group, name, false, 0, &a))
		return cor_fail(err, COR_E_NOT_FOUND,
			"unable to find group %.*s: no matching entries in group file",
			(int)(name.n > 200 ? 200 : name.n), name.p);
	out->gid = a.id;
	return 0;
}

int cor_image_user_resolve(const char *rootfs, struct cor_str user, struct cor_image_user *ret,
	struct cor_err *err) {
	_cleanup_buf_ struct cor_buf passwd = COR_BUF_INIT, group = COR_BUF_INIT;
	_cleanup_free_ struct cor_image_user *out = cor_new(struct cor_image_user);
	struct cor_str name = user, wanted = { 0 };
	size_t colon = cor_str_chr(user, ':');
	int r;

	if (user.p && colon < user.n) {
		name = cor_str_sub(user, 0, colon);
		wanted = cor_str_sub(user, colon + 1, user.n);
	}
	r = read_accounts(rootfs, "etc/passwd", &passwd, err);
	if (r == 0)
		r = read_accounts(rootfs, "etc/group", &group, err);
	if (r == 0)
		r = find_user(cor_buf_view(&passwd), name, out, err);
	if (r < 0)
		return r;
	if (wanted.n)
		r = choose_group(cor_buf_view(&group), wanted, out, err);
	if (r < 0)
		return r;
	find_groups(cor_buf_view(&group), out);
	*ret = *out;
	return 0;
}
