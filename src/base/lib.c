// SPDX-License-Identifier: Apache-2.0
// Libraries opened when they are first used: see lib.h.
#include "base/lib.h"

#include <dlfcn.h>
#include <string.h>

int cor_lib_open(
	const char *soname, const char *const names[], size_t n, void *ret, struct cor_err *err) {
	void *lib = dlopen(soname, RTLD_NOW | RTLD_LOCAL);
	if (!lib)
		return cor_fail(err, COR_E_INTERNAL, "%s", dlerror());
	for (size_t i = 0; i < n; i++) {
		void *f = dlsym(lib, names[i]);
		if (!f)
			return cor_fail(err, COR_E_INTERNAL, "%s", dlerror());
		memcpy((char *)ret + i * sizeof(f), &f, sizeof(f));
	}
	return 0;
}
