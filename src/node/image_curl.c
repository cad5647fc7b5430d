// SPDX-License-Identifier: Apache-2.0
// libcurl, opened with the first pull: see image_curl.h.
#include "node/image_curl.h"

#include <pthread.h>

#include "base/mem.h"

static struct image_curl curl;
static struct cor_err trouble;
static int opened = -1;

static void open_curl(void) {
	static const char *const names[] = { CURL_FUNCTIONS(COR_LIB_NAME) };
	opened = cor_lib_open("libcurl.so.4", names, cor_countof(names), &curl, &trouble);
	if (opened >= 0)
		(void)curl.global_init(CURL_GLOBAL_DEFAULT);
}

const struct image_curl *cor_image_curl(struct cor_err *err) {
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	(void)pthread_once(&once, open_curl);
	if (opened >= 0)
		return &curl;
	if (err)
		*err = trouble;
	return NULL;
}
